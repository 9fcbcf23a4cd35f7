"""Commands that make inputs: channels and the sensing covariance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beamfold.cli.common import print_json, progress, say
from beamfold.cli.scenario_options import with_scenario
from beamfold.defaults import DELAY_NS
from beamfold.errors import InputError
from beamfold.files.covariance_of import band_sensing_of, sensing_of
from beamfold.files.entries import ScenarioSpec
from beamfold.files.scenarios import array_of, sizes_of

if TYPE_CHECKING:
    from beamfold.files.bands import Frequencies
    from beamfold.sensing import Sensing

Output = Annotated[Path, typer.Option("-o", "--output", help="File to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
Style = Annotated[
    str,
    typer.Option(
        help="screen, or paper: beside the picture a PDF 3.5 or 7.16 inches wide in 8 pt, its curves as CSV."
    ),
]
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
    """Draw Saleh-Valenzuela channels (2) into a file, flat or with --subcarriers those of a band.

    Example: beamfold generate -o channels.mat --antennas 64 --users 4 --count 100 --seed 0

    Example: beamfold generate -o band.npz --subcarriers 64 --carrier-ghz 28 --bandwidth-ghz 1 --delay-ns 20
    """
    from beamfold.arrays import line_array
    from beamfold.channel import saleh_valenzuela
    from beamfold.files import write_channels
    from beamfold.files.arrays import RESULTS
    from beamfold.files.atomic import check_target
    from beamfold.files.bands import Frequencies, stated_band

    check_target(output, force=force, suffixes=RESULTS)
    spec = replace(spec, channels=None, from_=None)  # channels are made here
    antennas, users, _ = sizes_of(spec)
    if users > antennas:
        raise InputError(f"--users is {users} for {antennas} antennas; it must be at most --antennas")
    array = array_of(spec, antennas) or line_array(antennas)
    facts: dict[str, Any] = {"seed": seed, "paths": paths}
    band, band_facts, over = stated_band(spec), {}, ""
    of_file = None
    if band is None:
        H = saleh_valenzuela(array, users, count, seed=seed, paths=paths, receive=receive)
    else:
        delay_ns = DELAY_NS if spec.delay_ns is None else spec.delay_ns
        facts = {**facts, "delay_ns": delay_ns, "bandwidth_hz": band.bandwidth_hz}
        H, frequencies = saleh_valenzuela(
            array, users, count, seed=seed, paths=paths, receive=receive,
            delay_s=1e-9 * delay_ns, **band._asdict(),
        )  # fmt: skip
        of_file = Frequencies(frequencies, band.carrier_hz)
        band_facts = {"carrier": band.carrier_hz, "frequencies": frequencies.tolist()}
        width, at = band.bandwidth_hz / 1e9, band.carrier_hz / 1e9
        over = f" on {band.subcarriers} subcarriers, {width:g} GHz around {at:g} GHz"
    write_channels(output, H, {**facts, "rows": "h^H"}, array, of_file)
    if as_json:
        shape = {"shape": list(H.shape), "array": array.name}
        print_json({"output": str(output), **shape, **facts, **band_facts})
    else:
        each = "" if receive is None else f" of {receive} antennas"
        say(f"{output}: {count} channels of {users} users{each} and {antennas} antennas ({array.name}){over}")


@with_scenario()
def covariance(
    spec: ScenarioSpec,
    output: Output,
    solver: Annotated[str, typer.Option(help="fast, clarabel or scs.")] = "fast",
    slack: Annotated[
        float | None,
        typer.Option(help="On a band: how far (6a) may be from its optimum for Psi close to the carrier's."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Solve (6) for the sensing covariance Psi, with a proof of how close it is; on a band for every
    subcarrier.

    Example: beamfold covariance --antennas 64 --targets-deg -59 0 60 -o psi.npz

    Example: beamfold covariance --subcarriers 64 --carrier-ghz 28 --bandwidth-ghz 1 -o psi.npz
    """
    from beamfold.files import write_sensing
    from beamfold.files.arrays import RESULTS
    from beamfold.files.atomic import check_target
    from beamfold.files.bands import band_of

    check_target(output, force=force, suffixes=RESULTS)
    if solver not in ("fast", "clarabel", "scs"):
        raise InputError(f"no solver {solver!r}; known: fast, clarabel, scs")
    if spec.psi is not None:
        raise InputError(f"the scenario takes Psi from {spec.psi}; --targets-deg solves for targets instead")
    antennas = sizes_of(spec)[0] if spec.antennas is None else spec.antennas
    band = band_of(spec)
    if band is None and (spec.common or slack is not None):
        name = "--common" if spec.common else "--slack"
        raise InputError(f"{name} is of a band; give --subcarriers as well")
    if spec.common and slack is not None:
        raise InputError("--common solves for one Psi; leave --slack out")
    if band is not None and not spec.common:
        _covariances(spec, output, antennas, band, solver, slack, as_json)
        return
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


def _covariances(
    spec: ScenarioSpec,
    output: Path,
    antennas: int,
    band: Frequencies,
    solver: str,
    slack: float | None,
    as_json: bool,
) -> None:
    """Ψ_s of every subcarrier into one file."""
    from beamfold.files import write_band_sensing

    found: list[Sensing] = []
    with progress(len(band.ratios), "Psi of every subcarrier") as tick:
        for s, ratio in enumerate(band.ratios):
            found += band_sensing_of(spec, antennas, [ratio], solver, slack)
            tick(s + 1, "Psi of every subcarrier")
    write_band_sensing(output, found, band)
    gap = max(radar.gap for radar in found)
    figures = {
        "frequencies": band.frequencies.tolist(),
        "objective": [radar.objective for radar in found],
        "certified_gap": [radar.gap for radar in found],
        "scale": [radar.scale for radar in found],
    }
    if as_json:
        sizes = {"antennas": antennas, "array": found[0].array.name, "subcarriers": len(found)}
        print_json({"output": str(output), **sizes, "carrier": band.carrier, **figures, "solver": solver})
        return
    low, high = min(figures["objective"]), max(figures["objective"])
    say(
        f"{output}: Psi for N = {antennas} ({found[0].array.name}) on {len(found)} subcarriers, objectives "
        f"(6a) {low:.6g} to {high:.6g}, each proven within {gap:.1e} of its optimum"
    )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(generate)
    app.command()(covariance)
