"""Commands that make inputs: channels and the sensing covariance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from beamfold.cli.common import print_json, say
from beamfold.defaults import TARGETS_DEG
from beamfold.errors import InputError

Output = Annotated[Path, typer.Option("-o", "--output", help="File to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]

USERS = 4
"""K of the paper, and of `generate` unless said."""


def generate(
    output: Output,
    antennas: Annotated[int, typer.Option(help="N, antennas of the base station.")] = 64,
    users: Annotated[
        int | None, typer.Option(help="K, single-antenna users. (default: 4, or N where N is below 4)")
    ] = None,
    count: Annotated[int, typer.Option(help="Number of channel matrices.")] = 100,
    paths: Annotated[int, typer.Option(help="Q, propagation paths per user.")] = 10,
    seed: Annotated[int, typer.Option(help="Channel b of a seed is the same whatever the count.")] = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Draw Saleh-Valenzuela channels (2) into a file.

    Example: beamfold generate -o channels.mat --antennas 64 --users 4 --count 100 --seed 0
    """
    from beamfold.channel import saleh_valenzuela
    from beamfold.files import write_channels
    from beamfold.files.arrays import RESULTS
    from beamfold.files.atomic import check_target

    check_target(output, force=force, suffixes=RESULTS)
    users = min(USERS, antennas) if users is None else users
    if users > antennas:
        raise InputError(f"--users is {users} for {antennas} antennas; it must be at most --antennas")
    H = saleh_valenzuela(antennas, users, count, seed=seed, paths=paths)
    write_channels(output, H, {"seed": seed, "paths": paths, "rows": "h^H"})
    if as_json:
        print_json({"output": str(output), "shape": list(H.shape), "seed": seed, "paths": paths})
    else:
        say(f"{output}: {count} channels of {users} users and {antennas} antennas")


def covariance(
    output: Output,
    antennas: Annotated[int, typer.Option(help="N.")] = 64,
    targets_deg: Annotated[
        list[float] | None, typer.Option(help="A target's angle; repeat, or several values.")
    ] = None,
    width_deg: Annotated[float, typer.Option(help="Full width of a mainlobe.")] = 5.0,
    angles: Annotated[
        int | None,
        typer.Option(help="T, angles of the grid over -90 to 90. (default: 181, more from N = 115 on)"),
    ] = None,
    psi_rank: Annotated[int | None, typer.Option(help="A Psi of at most this rank.")] = None,
    solver: Annotated[str, typer.Option(help="fast, clarabel or scs.")] = "fast",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Solve (6) for the sensing covariance Psi, with a proof of how close it is.

    Example: beamfold covariance --antennas 64 --targets-deg -59 0 60 -o psi.npz
    """
    from beamfold.files import cached_covariance, write_sensing
    from beamfold.files.arrays import RESULTS
    from beamfold.files.atomic import check_target

    check_target(output, force=force, suffixes=RESULTS)
    if solver not in ("fast", "clarabel", "scs"):
        raise InputError(f"no solver {solver!r}; known: fast, clarabel, scs")
    radar = cached_covariance(
        antennas,
        targets_deg or TARGETS_DEG,
        width_deg=width_deg,
        angles=angles,
        rank=psi_rank,
        solver=solver,
    )
    write_sensing(output, radar)
    facts = {
        "output": str(output),
        "antennas": antennas,
        "objective": radar.objective,
        "certified_gap": radar.gap,
        "scale": radar.scale,
        "rank": int((radar.spectrum[0] > 1e-9 * radar.spectrum[0][0]).sum()),
        "solver": solver,
    }
    if as_json:
        print_json(facts)
    else:
        say(
            f"{output}: Psi for N = {antennas}, objective (6a) {radar.objective:.6g}, "
            f"proven within {radar.gap:.1e} of the optimum, rank {facts['rank']}"
        )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(generate)
    app.command()(covariance)
