"""The command that measures time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beamfold.cli.common import print_json, progress, say
from beamfold.cli.data import AsJson
from beamfold.cli.scenario_options import with_scenario
from beamfold.defaults import SNR_DB
from beamfold.errors import InputError
from beamfold.files.covariance_of import radar_of, sensing_of
from beamfold.files.entries import ScenarioSpec
from beamfold.files.scenarios import network_of, sizes_of

if TYPE_CHECKING:
    from beamfold.scenario import Scenario
    from beamfold.sensing import Sensing


@with_scenario(one_snr=True)
def bench(
    spec: ScenarioSpec,
    method: Annotated[str, typer.Option(help="Any method of `beamfold design`.")] = "unfolded",
    inner: Annotated[int | None, typer.Option(help="J of unfolded and pga. (default: 20)")] = None,
    layers: Annotated[
        int | None, typer.Option(help="I, layers of unfolded, pga and conventional-pga. (default: 120)")
    ] = None,
    depth: Annotated[str | None, typer.Option(help="Of the fast method, see `design`.")] = None,
    tau_max_db: Annotated[
        float | None, typer.Option(help="Of the constrained method, see `design`. (default: -4)")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the batch. (default: all cores)")] = None,
    count: Annotated[int, typer.Option(help="Designs to time one by one.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Time designs: latency of one at a time, throughput of a batch, training updates, memory.

    Example: beamfold bench --method unfolded --inner 20 --count 1000 --json
    """
    from beamfold import timing
    from beamfold.checks import check_sizes
    from beamfold.method import check_supported
    from beamfold.networks import fully_connected
    from beamfold.registry import METHODS, method_named
    from beamfold.training import Recipe

    if count < 1:
        raise InputError(f"--count must be at least 1, got {count}")
    options = timing.options_of(method, inner=inner, layers=layers, depth=depth, tau_max_db=tau_max_db)
    antennas, users, chains = sizes_of(spec)
    network = network_of(spec, antennas, chains) or fully_connected(antennas, chains)
    chains = network.chains
    check_sizes(users, chains, antennas)
    _limit(threads)
    radar, band = _radar(spec, antennas)
    say("preparing: channels, compiled code (seconds the first time on a machine)")
    s = timing.channels(users, network, min(count, 100), radar, (spec.snr_db or [SNR_DB])[0], band)
    check_supported(method_named(method), s, METHODS.values())
    facts = {"inner": None, "layers": None, **options}
    facts["trained"] = method == "unfolded" and _give_model(options, s)
    call = timing.prepared(method, options, radar, s)
    with progress(count, f"{count} designs one by one") as tick:
        result = timing.latency(call, count, lambda done: tick(done, "designs one by one"))
    result["designs_per_second"] = timing.throughput(s, method, options)
    result["objective_loss"] = timing.loss(s[:20], method, options) if method in timing.LAYERED else 0.0
    if method == "unfolded" and band is None and not isinstance(radar, tuple):
        recipe = Recipe(
            layers=facts["layers"], inner=facts["inner"], epochs=2, network=options["model"].info.network
        )
        result["training_updates_per_second"] = timing.updates_per_second(recipe, radar, users, chains)
    result |= {
        "peak_memory_mib": timing.peak_memory_mib(), "method": method, **facts, "antennas": antennas,
        "users": users, "chains": chains, "network": network.name, "bits": network.bits, "count": count,
        "subcarriers": s.subcarriers,
    }  # fmt: skip
    if as_json:
        print_json(result)
        return
    for name, value in result.items():
        typer.echo(f"{name:28s} {value if not isinstance(value, float) else round(value, 6)}")


def _radar(spec: ScenarioSpec, antennas: int) -> tuple[Sensing | tuple[Sensing, ...], dict[str, Any] | None]:
    """Ψ, and what describes the band of the channels; None for flat ones."""
    from beamfold.files.bands import drawn_band, frequencies_of, stated_band

    band = stated_band(spec)
    if band is None:
        return sensing_of(spec, antennas), None
    return radar_of(spec, antennas, frequencies_of(band)), drawn_band(spec)


def _give_model(options: dict[str, Any], s: Scenario) -> bool:
    """Replace J by the shipped model of it, or by constant step sizes; True for a shipped one."""
    from beamfold import timing
    from beamfold.files.models import has_model, model_for
    from beamfold.networks import NAMES

    inner, layers = options.pop("inner"), options["layers"]
    held = model_for(s, inner) if has_model(s, inner) else None
    trained = held is not None and layers <= held.layers
    if s.network.name not in NAMES:
        raise InputError(f"a model is for a named network, {s.network.name} is none; time pga on it instead")
    untrained = timing.untrained(s, layers, inner)
    options["model"] = held if trained else untrained
    return trained


def _limit(threads: int | None) -> None:
    """Confine this process to so many processors."""
    import torch

    if threads is None:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise InputError("--threads confines the process to processors, which this system does not offer")
    allowed = sorted(os.sched_getaffinity(0))
    if not 1 <= threads <= len(allowed):
        raise InputError(f"--threads must be between 1 and {len(allowed)}, got {threads}")
    os.sched_setaffinity(0, allowed[:threads])
    torch.set_num_threads(threads)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)
