"""What commands say about the channels they read; the commands that look into files and convert them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beamfold.cli.common import print_json, say
from beamfold.cli.data import AsJson, Force, Output
from beamfold.cli.scenario_options import with_scenario
from beamfold.files.entries import ScenarioSpec
from beamfold.files.scenarios import array_of, channel_file, scenario_of

if TYPE_CHECKING:
    from beamfold.files.reader import Channels
    from beamfold.scenario import Scenario

FILE = "file"
"""The source of `beamfold import` for files of no tool."""


def loaded(spec: ScenarioSpec) -> tuple[Scenario, str]:
    """The scenario, and what was understood of its channels, which is printed."""
    read = read_channels(spec)
    s = scenario_of(spec, read)
    say(f"note: {read.told}")
    return s, read.told


def read_channels(spec: ScenarioSpec) -> Channels:
    """The channels of the file that is named."""
    from beamfold.files.reader import read_set

    return read_set(channel_file(spec), spec)


@with_scenario()
def import_(
    source: Annotated[
        str,
        typer.Argument(
            help="The tool that made them, sionna, deepmimo, quadriga, matlab5g, phased, nyusim or hermes, "
            "else file."
        ),
    ],
    spec: ScenarioSpec,
    output: Output,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write channels of a simulator, or of any file, as a file of this program with its antennas.

    Example: beamfold import sionna cfr.npy --users 4 --group order --subcarrier 0 -o channels.npz
    """
    from beamfold.files import write_channels
    from beamfold.files.arrays import RESULTS
    from beamfold.files.atomic import check_target
    from beamfold.files.reader import read_set

    check_target(output, force=force, suffixes=RESULTS)
    path = channel_file(spec)
    spec = replace(spec, from_=None if source == FILE else source)
    read = read_set(path, spec, keep=True)
    array = array_of(spec, read.H.shape[-1])
    facts = {"rows": "h^H", "understood": read.told, "source": source}
    write_channels(output, read.H, facts, array, band=read.band)
    if as_json:
        name = None if array is None else array.name
        shape = list(read.H.shape)
        print_json({"output": str(output), "shape": shape, "array": name, "understood": read.told})
    else:
        say(f"note: {read.told}\n{output}: H {tuple(read.H.shape)} with rows h^H")


def inspect(
    file: Annotated[Path, typer.Argument(help="Any file of arrays.")], as_json: AsJson = False
) -> None:
    """Every array of a file with its axes, kind and scale, and which readings as channels are possible.

    Example: beamfold inspect channels.mat
    """
    from beamfold.files.inspection import inspected

    found = inspected(file)
    if as_json:
        print_json({"file": str(file), "arrays": found})
        return
    for row in found:
        rms = "" if row["rms"] is None else f", rms {row['rms']:g}"
        axes = " x ".join(map(str, row["shape"])) or "one"
        line = f"{row['name']}: {axes}, {row['kind']}{rms}" + (f", {row['about']}" if row["about"] else "")
        typer.echo(_shown(line))
        for way in row["readings"]:
            typer.echo(_shown(f"    {way}"))


def _shown(line: str) -> str:
    """A line that a terminal only prints: names come out of a file."""
    return "".join(c if c.isprintable() else "?" for c in line[:500])


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("import")(import_)
    app.command()(inspect)
