"""Commands that design: one method on a channel file, or all of them side by side."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beamfold.cli.common import check_style, print_json, progress, say, say_if_compiling, table
from beamfold.cli.data import AsJson, Force, Output, Style
from beamfold.cli.reading import loaded
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

Method = Annotated[
    str | None,
    typer.Option(help=f"fast, unfolded, best, ...; `beamfold methods` lists all. (default: {METHOD})"),
]
Threads = Annotated[int | None, typer.Option(help="Threads of the batch. (default: one per processor)")]
Precision = Annotated[
    str | None,
    typer.Option(help="Of fast, unfolded and pga: single or double. (default: single)"),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Any other option of the method as name=value, see `beamfold methods`; repeat."
    ),
]
Inner = Annotated[int | None, typer.Option(help="J, updates of F per layer. (default: 20)")]
Layers = Annotated[int | None, typer.Option(help="Stop after this many layers. (default: all)")]
Model = Annotated[str | None, typer.Option(help="A model file, or the name of a shipped one.")]
AnySize = Annotated[bool, typer.Option(help="Use a model on other sizes than it was trained for.")]
Engine = Annotated[
    str | None,
    typer.Option(help="fast, pga, unfolded: kernel (compiled) or torch (readable); sca: fast or cvxpy."),
]
Depth = Annotated[
    str | None,
    typer.Option(help="Of the fast method: start, shallow, medium, deep, deeper, raced or deepest."),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="Where to compute: cpu, cuda, ...; for methods written in torch, and fast. (default: cpu)"
    ),
]
Budget = Annotated[float | None, typer.Option(help="Microseconds per design that the fast method may take.")]
TauMax = Annotated[
    float | None, typer.Option(help="Problem (7): max R with tau at most this; omega plays no part.")
]
RcrbMax = Annotated[
    float | None, typer.Option(help="Problem (7): max R with every root CRB at most this, in degrees.")
]
ScnrMin = Annotated[
    float | None, typer.Option(help="Problem (7): max R with every target's SCNR at least this, in dB.")
]
TauMaxDb = Annotated[float | None, typer.Option(help="The same in dB of ||P_t Psi||^2.")]
Shown = Annotated[
    list[str] | None,
    typer.Option(
        "--measure",
        help="A further figure: fairness, antenna-peak, rcrb, detection or pslr; repeat it for several.",
    ),
]
HEADINGS = {
    "method": "method",
    "snr_db": "SNR [dB]",
    "rate": "R [bit/s/Hz]",
    "tau": "tau",
    "objective": "R - w tau",
    "mse_db": "MSE [dB]",
    "status": "status",
}


def _measures(names: list[str] | None) -> list[Measure]:
    """The measures of these names."""
    from beamfold.measures import measure_named

    return [measure_named(name) for name in names or ()]


def _headings(measures: list[Measure]) -> dict[str, str]:
    """The columns of the table, those of the measures before the status."""
    extra = {measure.name: measure.heading for measure in measures}
    return {
        **{key: HEADINGS[key] for key in HEADINGS if key != "status"},
        **extra,
        "status": HEADINGS["status"],
    }


USUAL = (
    "zf-digital", "digital", "sca-manopt", "phased-zf", "conventional-pga", "pga", "unfolded", "fast",
)  # fmt: skip
"""The methods of `compare` on the paper's network, in the order of its table."""
SENSED = ("rcrb", "detection", "pslr")
SHOWN = ("zf_digital", "sca_manopt", "conventional_pga", "unfolded_j1", "unfolded_j20", "fast")


def _run(s: Scenario, method: str, options: dict[str, Any], text: str, threads: int | None = None) -> Design:
    """The design of all channels behind a progress bar."""
    from beamfold.registry import design

    if s.goal is None or method == METHOD:
        single, banded = options.get("precision", "single"), s.band is not None
        say_if_compiling(method, single, band=banded, goal=s.goal is not None)
    with progress(s.batch[-1], text) as tick:
        return design(s, method, threads=threads, progress=lambda done, count: tick(done, text), **options)


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
    limits = {
        "tau_max": tau_max, "tau_max_db": tau_max_db, "rcrb_max_deg": rcrb_max_deg, "scnr_min_db":
    scnr_min_db, }  # fmt: skip
    limited = any(value is not None for value in limits.values())
    named = method is not None
    method = method or ("constrained" if limited else "unfolded" if model or inner else METHOD)
    given = {
        "inner": inner, "layers": layers, "engine": engine, "any_size": any_size or None, "depth": depth,
        "precision": precision, "model": model, **limits,
    }  # fmt: skip
    options = options_for(
        method, {key: value for key, value in given.items() if value is not None}, settings or ()
    )
    _check_budget(method, budget_us)
    sensed = SENSED[:2] if spec.sensing in ("crb", "scnr") else ()
    measures = _measures(list(dict.fromkeys([*(measure or ()), *sensed])))
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
        result = _run(s, method, options, f"{method} on {s.batch[-1]} channels", threads)
        facts = {"scenario": json.dumps(recorded(spec, s, output.parent)), "understood": told}
        write_design(output, result, facts)
        _tell(output, result, recorded(spec, s), told, measures, as_json)


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
        headings = _headings(measures)
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


@with_scenario(one_snr=True)
def compare(
    spec: ScenarioSpec,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the designs and the picture.")],
    measure: Shown = None,
    sense: Annotated[
        bool, typer.Option("--sense", help="With RCRB, P_D and PSLR of Psi's targets, see `beamfold sense`.")
    ] = False,
    threads: Threads = None,
    style: Style = "screen",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Run every method on a channel file: a table, a beampattern picture, the designs.

    Example: beamfold compare channels.mat --snr-db 12 -o results
    """
    from beamfold.files import summary, write_designs
    from beamfold.files.atomic import check_target, write
    from beamfold.papers import write_for_paper
    from beamfold.plots import beampatterns, save
    from beamfold.radar.scene import scene_of
    from beamfold.styles import label
    from beamfold.threads import check_threads

    check_threads(threads)
    paper = check_style(style)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file; compare writes a folder")
    if not output.parent.is_dir():
        raise InputError(f"the folder {output.parent} does not exist; make it first")
    picture, file = output / "beampattern.png", output / "designs.mat"
    for target in (picture, file):
        if output.exists():
            check_target(target, force=force)
    measures = _measures([*(measure or ()), *(SENSED if sense else ())])
    s, told = loaded(spec)
    if sense:
        scene_of(s.radar)  # refuses a Ψ without targets before anything runs
    output.mkdir(exist_ok=True)
    designs = [_run(s, name, options, label(_title(name, options)), threads) for name, options in _lineup(s)]
    facts = {"scenario": json.dumps(recorded(spec, s, output)), "understood": told}
    write_designs(file, designs, facts)
    shown = [d for d in designs if d.label in SHOWN]
    held = recorded(spec, s)
    sizes = f"N = {s.antennas}, K = {s.users}, M = {s.chains}"
    title = f"{sizes}, {held['snr_db'][0]:g} dB, mean over {s.batch[-1]} channels"
    title += "" if s.band is None else f" and {s.subcarriers} subcarriers"
    write(picture, lambda path: save(beampatterns(shown, s.radar, title=title), path))
    if paper:
        write_for_paper(beampatterns(shown, s.radar), picture.with_suffix(""))
    figures = [row for d in designs for row in summary(d, measures)]
    if as_json:
        places = {"designs": str(file), "picture": str(picture)}
        print_json({**places, "scenario": held, "understood": told, "results": figures})
    else:
        named = [{**row, "method": label(row["method"])} for row in figures]
        table(named, _headings(measures), title=title + f", weight {held['weight']:g}")
        say(f"{picture}: beampatterns\n{file}: F and W of every method")


def _title(name: str, options: dict[str, Any]) -> str:
    return f"{name}_j{options['inner']}" if "inner" in options else name.replace("-", "_")


def _lineup(s: Scenario) -> list[tuple[str, dict[str, Any]]]:
    """The methods of the comparison that can do the scenario; unfolded ones with a shipped model.

    On the paper's network those that the paper compares, on any other one every method. One line says which
    are left out, and why.
    """
    from beamfold.files.models import has_model
    from beamfold.method import lacking
    from beamfold.registry import METHODS, NEEDS

    fits = s.per_user.single
    trained = [j for j in (1, 10, 20) if fits and has_model(s, j)]
    if fits and not trained:
        say(f"no shipped model for N={s.antennas}, K={s.users}, M={s.chains}: unfolded PGA is left out")
    inner = {"pga": (10, 20), "unfolded": trained}
    names = (
        USUAL if s.network.usual else (*USUAL[:-1], *(name for name in METHODS if name not in USUAL), "fast")
    )
    reasons: dict[str, list[str]] = {}
    for name in names:
        missing = lacking(METHODS[name].supports, s) or (f"needs {NEEDS[name]}" if name in NEEDS else "")
        if missing:
            reasons.setdefault(missing, []).append(name)
    if reasons:
        told = (f"{', '.join(left)}, which {missing}" for missing, left in reasons.items())
        say(f"note: left out: {'; '.join(told)}")
    out = {name for left in reasons.values() for name in left}
    return [
        (name, options)
        for name in names
        if name not in out
        for options in ([{"inner": j} for j in inner[name]] if name in inner else [{}])
    ]


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
    app.command()(compare)
