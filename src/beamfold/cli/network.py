"""The command that compares analog networks."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beamfold.cli.common import check_style, print_json, progress, say, say_if_compiling, table
from beamfold.cli.data import AsJson, Force, Style
from beamfold.cli.reading import loaded
from beamfold.cli.scenario_options import with_scenario
from beamfold.errors import InputError
from beamfold.files.entries import ScenarioSpec
from beamfold.files.scenarios import channel_file
from beamfold.files.spec_files import recorded

if TYPE_CHECKING:
    import xarray as xr

QUICK = 10
HEADINGS = {
    "network": "network",
    "chains": "M",
    "phases": "phases",
    "rate": "R [bit/s/Hz]",
    "tau": "tau",
    "objective": "R - w tau",
}


@with_scenario(one_snr=True)
def network(
    spec: ScenarioSpec,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File to write, .nc; .png and .pdf go beside it.")
    ],
    over_chains: Annotated[
        list[int] | None,
        typer.Option(help="M, RF chains of the networks; several are allowed. (default: 4 8 16)"),
    ] = None,
    over_bits: Annotated[
        list[int] | None,
        typer.Option(help="Bits of the phase shifters; several are allowed. (default: 1 2 3 4 5)"),
    ] = None,
    method: Annotated[str, typer.Option(help="A method that supports networks.")] = "fast",
    kicks: Annotated[
        int, typer.Option(help="How often the few-bit search is begun anew from a few moved entries.")
    ] = 0,
    quick: Annotated[bool, typer.Option("--quick", help=f"At most {QUICK} channels.")] = False,
    style: Style = "screen",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """R, tau and R - w tau over the RF chains of each analog network and over the bits, as data and picture.

    Example: beamfold network channels.mat --snr-db 12 -o network.nc
    """
    from beamfold.experiments.network import BITS, CHAINS, network_cost, summary
    from beamfold.experiments.store import save
    from beamfold.figures import network as picture
    from beamfold.figures import write_figure
    from beamfold.files.atomic import check_target

    check_target(output, force=force, suffixes=(".nc",))
    for suffix in (".png", ".pdf"):
        check_target(output.with_suffix(suffix), force=force)
    paper = check_style(style)
    if kicks < 0:
        raise InputError(f"--kicks must be at least 0, got {kicks}")
    s, told = loaded(spec)
    if not s.network.usual:
        raise InputError("this command goes over the networks itself; leave --network and --bits out")
    if quick:
        s = s[:QUICK]
    say_if_compiling(method)
    with progress(1000, "network") as tick:
        ds = network_cost(
            s,
            chains=over_chains or CHAINS,
            bits=over_bits or BITS,
            method=method,
            kicks=kicks,
            source=channel_file(spec).name,
            tick=lambda share, text: tick(round(1000 * share), f"network: {text}"),
        )
    kept = {"scenario": json.dumps(recorded(spec, s, output.parent)), "understood": told}
    save(output, ds.assign_attrs(command=f"beamfold {shlex.join(sys.argv[1:])}", **kept))
    write_figure(picture, ds, output.parent, output.stem, paper=paper)
    _tell(output, ds, summary(ds), {"scenario": recorded(spec, s), "understood": told}, as_json)


def _tell(
    output: Path, ds: xr.Dataset, found: list[dict[str, Any]], scenario: dict[str, Any], as_json: bool
) -> None:
    """The means over the channels as a table or as JSON."""
    if as_json:
        print_json(
            {"output": str(output), **json.loads(ds.attrs["parameters"]), **scenario, "results": found}
        )
        return
    table(found, HEADINGS, title=ds.attrs["title"] + f", mean over {ds.sizes['channel']} channels")
    say(f"{output}: the figures of every channel; {output.with_suffix('.png')}, .pdf: their picture")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(network)
