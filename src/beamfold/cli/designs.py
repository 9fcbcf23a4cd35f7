"""Commands on one method: a design of every channel of a file, and the list of methods."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from beamfold.cli.common import print_json, say, table
from beamfold.cli.data import AsJson, Force, Output
from beamfold.cli.method_options import (
    AnySize,
    Budget,
    Depth,
    Device,
    Engine,
    Inner,
    Layers,
    Method,
    Model,
    Precision,
    RcrbMax,
    ScnrMin,
    Settings,
    Shown,
    TauMax,
    TauMaxDb,
    Threads,
)
from beamfold.cli.reading import loaded
from beamfold.cli.running import SENSED, headings_with, measures_named, run
from beamfold.cli.scenario_options import with_scenario
from beamfold.defaults import METHOD
from beamfold.errors import InputError
from beamfold.files.entries import ScenarioSpec
from beamfold.files.scenarios import channel_file
from beamfold.files.spec_files import recorded

if TYPE_CHECKING:
    from beamfold.measures import Measure
    from beamfold.result import Design
    from beamfold.scenario import Scenario


@with_scenario()
def design(
    spec: ScenarioSpec,
    output: Output,
    method: Method = None,
    inner: Inner = None,
    layers: Layers = None,
    model: Model = None,
    any_size: AnySize = False,
    engine: Engine = None,
    depth: Depth = None,
    budget_us: Budget = None,
    tau_max: TauMax = None,
    tau_max_db: TauMaxDb = None,
    rcrb_max_deg: RcrbMax = None,
    scnr_min_db: ScnrMin = None,
    precision: Precision = None,
    settings: Settings = None,
    measure: Shown = None,
    device: Device = None,
    threads: Threads = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Design F and W for every channel of a file.

    Example: beamfold design channels.mat --snr-db 12 --weight 0.3 --method unfolded --inner 20 -o designs.mat
    """
    from beamfold.files.arrays import RESULTS
    from beamfold.files.atomic import check_target
    from beamfold.files.matlab import expect
    from beamfold.threads import check_threads, torch_threads

    check_target(output, force=force, suffixes=RESULTS)
    check_threads(threads)
    expect(channel_file(spec))  # a MATLAB file's reader starts while torch is imported
    from beamfold.cli.options import options_for
    from beamfold.files import write_design
    from beamfold.method import lacking
    from beamfold.registry import METHODS

    spec = _for_limit(spec, rcrb_max_deg, scnr_min_db)
    given = _stated(
        inner=inner, layers=layers, engine=engine, any_size=any_size or None, depth=depth, model=model,
        precision=precision, tau_max=tau_max, tau_max_db=tau_max_db, rcrb_max_deg=rcrb_max_deg,
        scnr_min_db=scnr_min_db,
    )  # fmt: skip
    named = method is not None
    limited = not LIMITS.isdisjoint(given)
    method = method or ("constrained" if limited else "unfolded" if model or inner else METHOD)
    options = options_for(method, given, settings or ())
    _check_budget(method, budget_us)
    measures = _measures(measure, spec)
    if model is not None:
        options = _with_model(model, options)
    with torch_threads():  # also what is read and measured: see beamfold.threads
        s, told = loaded(spec)
        s = s if device is None else _moved(s, device)
        if not named and s.goal is not None and lacking(METHODS[method].supports, s):
            method = "best"
        _warn_of_other_sizes(s, options)
        if budget_us is not None:
            options["steps"] = _steps_within(s, budget_us)
        result = run(s, method, options, f"{method} on {s.batch[-1]} channels", threads)
        facts = {"scenario": json.dumps(recorded(spec, s, output.parent)), "understood": told}
        write_design(output, result, facts)
        _tell(output, result, recorded(spec, s), told, measures, as_json)


LIMITS = {"tau_max", "tau_max_db", "rcrb_max_deg", "scnr_min_db"}
"""Options that state problem (7)."""


def _stated(**options: Any) -> dict[str, Any]:
    """The options that were stated."""
    return {name: value for name, value in options.items() if value is not None}


def _measures(named: list[str] | None, spec: ScenarioSpec) -> list[Measure]:
    """The figures that were asked for, and those of sensing where the design is for them."""
    sensed = SENSED[:2] if spec.sensing in ("crb", "scnr") else ()
    return measures_named(list(dict.fromkeys([*(named or ()), *sensed])))


def _moved(s: Scenario, device: str) -> Scenario:
    """The scenario on a device.

    Raises:
        InputError: there is no such device here, or this build of torch does not know it.
    """
    try:
        return s.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"--device {device}: {str(error).splitlines()[0]}; without it the CPU is taken"
        ) from None


def _for_limit(spec: ScenarioSpec, rcrb_max_deg: float | None, scnr_min_db: float | None) -> ScenarioSpec:
    """The scenario with the sensing objective of a limit, where none is stated."""
    if spec.sensing is not None or (rcrb_max_deg is None and scnr_min_db is None):
        return spec
    return replace(spec, sensing="crb" if rcrb_max_deg is not None else "scnr")


def _with_model(model: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options with the model in the place of its name."""
    from beamfold.files.models import named_model

    held = named_model(model)
    inner = options.pop("inner", held.inner)
    if held.inner != inner:
        raise InputError(f"{model} has J = {held.inner} inner steps, --inner asks for {inner}")
    return {**options, "model": held}


def _check_budget(method: str, budget_us: float | None) -> None:
    if budget_us is None:
        return
    if method != "fast":
        raise InputError(f"--budget-us is for the fast method, not {method}")
    if not budget_us > 0:
        raise InputError(f"--budget-us must be above 0, got {budget_us:g}")


def _warn_of_other_sizes(s: Scenario, options: dict[str, Any]) -> None:
    held = options.get("model")
    if held is not None and options.get("any_size") and held.info.antennas != s.antennas:
        sizes = f"step sizes of N = {held.info.antennas} on N = {s.antennas}"
        say(f"note: {sizes}: docs/measured/performance.md says what that costs")


def _tell(
    output: Path,
    result: Design,
    scenario: dict[str, Any],
    told: str,
    measures: list[Measure],
    as_json: bool,
) -> None:
    """The figures of what was written."""
    from beamfold.files import summary

    s = result.scenario
    _warn_of_faults(result)
    figures = summary(result, measures)
    if as_json:
        print_json({"output": str(output), "antennas": s.antennas, "users": s.users, "chains": s.chains,
                    "weight": scenario["weight"], "scenario": scenario, "understood": told,
                    "results": figures})  # fmt: skip
    else:
        headings = headings_with(measures)
        if s.goal is not None:
            headings["objective"] = s.goal.label
        table(figures, headings)
        say(f"{output}: F, W and their figures for {s.batch[-1]} channels")


def _warn_of_faults(result: Design) -> None:
    """A line for each thing that is wrong with some channel's design."""
    from beamfold.result import Fault

    for fault in Fault:
        count = int(((result.faults & int(fault)) != 0).sum())
        if count:
            say(f"note: {fault.label} on {count} of {result.faults.numel()} channels. {fault.advice}")


def _steps_within(s: Scenario, budget_us: float) -> int:
    """The depth of the fast method that fits a time budget on this machine."""
    from beamfold.methods.fast import prepare_fast

    one = s[(0,) * len(s.batch)]
    snr_db = 10 * math.log10(float(one.power) / s.noise)
    ready = prepare_fast(
        s.radar,
        users=s.users,
        network=s.network,
        snr_db=snr_db,
        weight=float(one.weight),
        budget_us=budget_us,
        goal=s.goal,
    )
    say(f"{budget_us:g} us per design: {ready.steps} steps of F fit on this machine")
    return ready.steps


def methods(as_json: AsJson = False) -> None:
    """List the methods: what each maximises, and its options with their defaults.

    Example: beamfold methods
    """
    from beamfold.cli.options import described
    from beamfold.registry import METHODS

    found: dict[str, dict[str, Any]] = {
        name: {"about": method.about, "default": name == METHOD, "options": described(name)}
        for name, method in METHODS.items()
    }
    if as_json:
        print_json(found)
        return
    for name, facts in found.items():
        typer.echo(f"{name}{' (default)' if facts['default'] else ''}: {facts['about']}")
        for option in facts["options"]:
            default = "" if option["default"] is None else f" (default: {option['default']})"
            typer.echo(f"    {option['name']}: {option['takes']}{default}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(methods)
    app.command()(design)
