"""The command that measures the loss by beam squint over the bandwidth."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beamfold.cli.common import check_style, print_json, progress, say, say_if_compiling, table
from beamfold.cli.data import AsJson, Force, Style
from beamfold.cli.scenario_options import with_scenario
from beamfold.defaults import CARRIER_GHZ, DELAY_NS, SNR_DB, TARGETS_DEG, WEIGHT
from beamfold.errors import InputError
from beamfold.files.directions import directions
from beamfold.files.entries import ScenarioSpec
from beamfold.files.scenarios import array_of, sizes_of

if TYPE_CHECKING:
    from beamfold.experiments.squint import Study

QUICK = 2
HEADINGS = {
    "bandwidth_ghz": "B [GHz]",
    "chains": "M",
    "design": "design",
    "rate": "R [bit/s/Hz]",
    "tau": "tau",
    "objective": "R - w tau",
    "gain_mean_db": "gain on targets [dB]",
    "gain_worst_db": "worst [dB]",
}


@with_scenario(one_snr=True)
def squint(
    spec: ScenarioSpec,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File to write, .nc; .png and .pdf go beside it.")
    ],
    over_bandwidth_ghz: Annotated[
        list[float] | None,
        typer.Option(help="B in GHz; several are allowed. (default: 0.05 0.1 0.2 0.5 1 2)"),
    ] = None,
    over_chains: Annotated[
        list[int] | None, typer.Option(help="M, RF chains; several are allowed. (default: 4 8 16)")
    ] = None,
    ttd: Annotated[
        list[int] | None,
        typer.Option(help="Q, true-time-delay lines in each chain; several are allowed. (default: none)"),
    ] = None,
    method: Annotated[str, typer.Option(help="A method that supports bands and networks.")] = "fast",
    count: Annotated[int, typer.Option(help="Number of channels to draw.")] = 20,
    seed: Annotated[int, typer.Option(help="Channel b of a seed is the same whatever the count.")] = 0,
    slack: Annotated[
        float, typer.Option(help="How far (6a) may be from its optimum for Psi close to the carrier's.")
    ] = 0.01,
    quick: Annotated[bool, typer.Option("--quick", help=f"{QUICK} channels on 16 subcarriers.")] = False,
    style: Style = "screen",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """R, tau and the gain on the targets over the bandwidth, as data and picture.

    Example: beamfold squint -o squint.nc

    Example: beamfold squint -o thz.nc --carrier-ghz 300 --over-bandwidth-ghz 3 10 30 --delay-ns 2 --ttd 4 8
    """
    from beamfold.band_plots import squint as picture
    from beamfold.experiments.squint import BANDWIDTHS_GHZ, CHAINS, SUBCARRIERS, summary
    from beamfold.experiments.squint import squint as study_of
    from beamfold.experiments.store import save
    from beamfold.figures import write_figure
    from beamfold.files.atomic import check_target

    check_target(output, force=force, suffixes=(".nc",))
    for suffix in (".png", ".pdf"):
        check_target(output.with_suffix(suffix), force=force)
    paper = check_style(style)
    study = _study(
        spec, min(count, QUICK) if quick else count, seed, 16 if quick else SUBCARRIERS, method, slack
    )
    say_if_compiling(method, band=True)
    with progress(1000, "squint") as tick:
        ds = study_of(
            study,
            bandwidths_ghz=over_bandwidth_ghz or BANDWIDTHS_GHZ,
            chains=over_chains or CHAINS,
            lines=ttd or (),
            tick=lambda share, text: tick(round(1000 * share), f"squint: {text}"),
        )
    save(output, ds.assign_attrs(command=f"beamfold {shlex.join(sys.argv[1:])}"))
    write_figure(picture, ds, output.parent, output.stem, paper=paper)
    found = summary(ds)
    if as_json:
        print_json({"output": str(output), **json.loads(ds.attrs["parameters"]), "results": found})
        return
    found = [{**row, "chains": row["chains"] or "-"} for row in found]  # a digital design has no chains
    table(found, HEADINGS, title=ds.attrs["title"] + f", mean over {ds.sizes['channel']} channels")
    say(f"{output}: the figures of every channel; {output.with_suffix('.png')}, .pdf: their picture")


def _study(spec: ScenarioSpec, count: int, seed: int, subcarriers: int, method: str, slack: float) -> Study:
    """What is studied: the entries of the scenario with the usual values in the place of what is not stated.

    Raises:
        InputError: channels or a covariance, which belong to one bandwidth, or targets with an elevation.
    """
    from beamfold.arrays import line_array
    from beamfold.experiments.squint import Study

    if spec.channels is not None or spec.psi is not None:
        raise InputError("this command draws channels for each bandwidth; leave channels and psi out")
    targets = directions(spec.targets_deg or list(TARGETS_DEG))
    if any(isinstance(target, tuple) for target in targets):
        raise InputError("this command is for a line, whose targets are azimuths alone")
    antennas, users, _ = sizes_of(spec)
    return Study(
        array_of(spec, antennas) or line_array(antennas),
        users=users,
        count=count,
        seed=seed,
        subcarriers=subcarriers if spec.subcarriers is None else spec.subcarriers,
        carrier_ghz=CARRIER_GHZ if spec.carrier_ghz is None else spec.carrier_ghz,
        delay_ns=DELAY_NS if spec.delay_ns is None else spec.delay_ns,
        snr_db=SNR_DB if spec.snr_db is None else spec.snr_db[0],
        weight=WEIGHT if spec.weight is None else spec.weight,
        targets_deg=tuple(target for target in targets if isinstance(target, float)),
        method=method,
        slack=slack,
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(squint)
