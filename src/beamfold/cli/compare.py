"""The command that runs all methods side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beamfold.cli.common import check_style, print_json, say, table
from beamfold.cli.data import AsJson, Force, Style
from beamfold.cli.method_options import Shown, Threads
from beamfold.cli.reading import loaded
from beamfold.cli.running import SENSED, headings_with, measures_named, run
from beamfold.cli.scenario_options import with_scenario
from beamfold.errors import InputError
from beamfold.files.entries import ScenarioSpec
from beamfold.files.spec_files import recorded

if TYPE_CHECKING:
    from beamfold.scenario import Scenario

USUAL = (
    "zf-digital", "digital", "sca-manopt", "phased-zf", "conventional-pga", "pga", "unfolded", "fast",
)  # fmt: skip
"""The methods of `compare` on the paper's network, in the order of its table."""
SHOWN = ("zf_digital", "sca_manopt", "conventional_pga", "unfolded_j1", "unfolded_j20", "fast")


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
    measures = measures_named([*(measure or ()), *(SENSED if sense else ())])
    s, told = loaded(spec)
    if sense:
        scene_of(s.radar)  # refuses a Ψ without targets before anything runs
    output.mkdir(exist_ok=True)
    designs = [run(s, name, options, label(_title(name, options)), threads) for name, options in _lineup(s)]
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
        table(named, headings_with(measures), title=title + f", weight {held['weight']:g}")
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


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)
