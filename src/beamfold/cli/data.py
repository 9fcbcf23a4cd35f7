"""Commands that make inputs: channels and the sensing covariance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from beamfold.cli.common import print_json, say
from beamfold.cli.scenario_options import with_scenario
from beamfold.errors import InputError
from beamfold.files.entries import ScenarioSpec
from beamfold.files.scenarios import array_of, sensing_of, sizes_of

Output = Annotated[Path, typer.Option("-o", "--output", help="File to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@with_scenario()
def generate(
    spec: ScenarioSpec,
    output: Output,
    count: Annotated[int, typer.Option(help="Number of channel matrices.")] = 100,
    paths: Annotated[int, typer.Option(help="Q, propagation paths per user.")] = 10,
    seed: Annotated[int, typer.Option(help="Channel b of a seed is the same whatever the count.")] = 0,
    receive: Annotated[
        int | None, typer.Option(help="R, antennas of each user, for H (channels, users, receive, antennas).")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Draw Saleh-Valenzuela channels (2) into a file.

    Example: beamfold generate -o channels.mat --antennas 64 --users 4 --count 100 --seed 0
    """
    from beamfold.arrays import line_array
    from beamfold.channel import saleh_valenzuela
    from beamfold.files import write_channels
    from beamfold.files.arrays import RESULTS
    from beamfold.files.atomic import check_target

    check_target(output, force=force, suffixes=RESULTS)
    spec = replace(spec, channels=None, from_=None)  # channels are made here
    antennas, users, _ = sizes_of(spec)
    if users > antennas:
        raise InputError(f"--users is {users} for {antennas} antennas; it must be at most --antennas")
    array = array_of(spec, antennas) or line_array(antennas)
    H = saleh_valenzuela(array, users, count, seed=seed, paths=paths, receive=receive)
    write_channels(output, H, {"seed": seed, "paths": paths, "rows": "h^H"}, array)
    if as_json:
        facts = {"shape": list(H.shape), "array": array.name, "seed": seed, "paths": paths}
        print_json({"output": str(output), **facts})
    else:
        each = "" if receive is None else f" of {receive} antennas"
        say(f"{output}: {count} channels of {users} users{each} and {antennas} antennas ({array.name})")


@with_scenario()
def covariance(
    spec: ScenarioSpec,
    output: Output,
    solver: Annotated[str, typer.Option(help="fast, clarabel or scs.")] = "fast",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Solve (6) for the sensing covariance Psi, with a proof of how close it is.

    Example: beamfold covariance --antennas 64 --targets-deg -59 0 60 -o psi.npz
    """
    from beamfold.files import write_sensing
    from beamfold.files.arrays import RESULTS
    from beamfold.files.atomic import check_target

    check_target(output, force=force, suffixes=RESULTS)
    if solver not in ("fast", "clarabel", "scs"):
        raise InputError(f"no solver {solver!r}; known: fast, clarabel, scs")
    if spec.psi is not None:
        raise InputError(f"the scenario takes Psi from {spec.psi}; --targets-deg solves for targets instead")
    antennas = sizes_of(spec)[0] if spec.antennas is None else spec.antennas
    radar = sensing_of(spec, antennas, solver)
    write_sensing(output, radar)
    facts = {
        "output": str(output),
        "antennas": antennas,
        "array": radar.array.name,
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
            f"{output}: Psi for N = {antennas} ({radar.array.name}), objective (6a) {radar.objective:.6g}, "
            f"proven within {radar.gap:.1e} of the optimum, rank {facts['rank']}"
        )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(generate)
    app.command()(covariance)
