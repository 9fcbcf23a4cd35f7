"""The command that measures time."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from beamfold.cli.common import print_json, progress, say
from beamfold.cli.data import AsJson


def bench(
    method: Annotated[str, typer.Option(help="Any method of `beamfold design`.")] = "unfolded",
    inner: Annotated[int, typer.Option(help="J.")] = 20,
    layers: Annotated[int, typer.Option(help="I.")] = 120,
    depth: Annotated[str | None, typer.Option(help="Of the fast method, see `design`.")] = None,
    antennas: Annotated[int, typer.Option(help="N.")] = 64,
    users: Annotated[int, typer.Option(help="K.")] = 4,
    chains: Annotated[int | None, typer.Option(help="M. [default: as many as users]")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of Psi. [default: as many as users]")] = None,
    snr_db: Annotated[float, typer.Option(help="P_t/noise in dB.")] = 12.0,
    threads: Annotated[int | None, typer.Option(help="Threads of the batch. [default: all cores]")] = None,
    count: Annotated[int, typer.Option(help="Designs to time one by one.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Time designs: latency of one at a time, throughput of a batch, training updates, memory.

    Example: beamfold bench --method unfolded --inner 20 --count 1000 --json
    """
    from beamfold import timing
    from beamfold.files import cached_covariance
    from beamfold.files.models import load_model, model_name, shipped_models
    from beamfold.training import Recipe

    if count < 1:
        raise ValueError(f"--count must be at least 1, got {count}")
    chains = chains or users
    _limit(threads)
    say("preparing: Psi, channels, compiled code (seconds the first time on a machine)")
    radar = cached_covariance(antennas, rank=rank or users)
    s = timing.channels(antennas, users, chains, min(count, 100), radar, snr_db)
    shipped = shipped_models().get(model_name(antennas, users, chains, inner))
    trained = method == "unfolded" and shipped is not None and layers <= 120
    model = (
        load_model(shipped)
        if trained and shipped
        else timing.untrained(antennas, users, chains, layers, inner)
    )
    steps = method in ("pga", "unfolded", "conventional-pga")
    options: dict[str, Any] = {"model": model, "layers": layers} if method == "unfolded" else {}
    if method in ("pga", "conventional-pga"):
        options = {"layers": layers} | ({"inner": inner} if method == "pga" else {})
    if method == "fast" and depth is not None:
        options["depth"] = depth
    call = timing.prepared(method, model, radar, s, depth)
    with progress(count, f"{count} designs one by one") as tick:
        result = timing.latency(call, count, lambda done: tick(done, "designs one by one"))
    result["designs_per_second"] = timing.throughput(s, method, options)
    result["objective_loss"] = timing.loss(s[:20], method, options) if steps else 0.0
    if method == "unfolded":
        recipe = Recipe(layers=layers, inner=inner, epochs=2)
        result["training_updates_per_second"] = timing.updates_per_second(recipe, radar, users, chains)
    result |= {
        "peak_memory_mib": timing.peak_memory_mib(),
        "method": method, "inner": inner, "layers": layers, "antennas": antennas, "users": users,
        "chains": chains, "count": count, "trained": trained,
    }  # fmt: skip
    if as_json:
        print_json(result)
        return
    for name, value in result.items():
        typer.echo(f"{name:28s} {value if not isinstance(value, float) else round(value, 6)}")


def _limit(threads: int | None) -> None:
    """Confine this process to so many processors."""
    import torch

    if threads is None:
        return
    allowed = sorted(os.sched_getaffinity(0))
    if not 1 <= threads <= len(allowed):
        raise ValueError(f"--threads must be between 1 and {len(allowed)}, got {threads}")
    os.sched_setaffinity(0, allowed[:threads])
    torch.set_num_threads(threads)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)
