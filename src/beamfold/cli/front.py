"""The command that draws the R-τ front of a channel file."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beamfold.cli.common import check_style, print_json, progress, say, table
from beamfold.cli.data import AsJson, Force, Style
from beamfold.cli.reading import loaded
from beamfold.cli.scenario_options import with_scenario
from beamfold.files.entries import ScenarioSpec
from beamfold.files.scenarios import channel_file
from beamfold.files.spec_files import recorded

if TYPE_CHECKING:
    import xarray as xr

    from beamfold.scenario import Scenario

QUICK = (10, 6)  # channels and points of --quick
NAMES = "constrained, fast, best, unfolded, sca-manopt, digital or digital-jcas"
USUAL = "constrained fast unfolded sca-manopt"
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", help=f"A curve: {NAMES}; repeat it. (default: {USUAL})"),
]
Weights = Annotated[
    list[float] | None,
    typer.Option(help="The weights omega. (default: --points of them, from 1/P_t^2 to 1000/P_t^2)"),
]
HEADINGS = {
    "method": "method",
    "axis": "over",
    "value": "value",
    "rate": "R [bit/s/Hz]",
    "interval": "95 %",
    "tau": "tau",
    "infeasible": "out of reach",
}


SENSED = {
    "method": "method", "value": "omega", "rate": "R [bit/s/Hz]", "tau": "tau", "rcrb_deg": "RCRB [deg]",
    "scnr_db": "SCNR [dB]", "detected": "P_D",
}  # fmt: skip


@with_scenario(one_snr=True)
def front(
    spec: ScenarioSpec,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File to write, .nc; .png and .pdf go beside it.")
    ],
    method: Methods = None,
    weights: Weights = None,
    points: Annotated[int, typer.Option(help="Points of a curve.")] = 12,
    inner: Annotated[int, typer.Option(help="J of the unfolded model.")] = 20,
    quick: Annotated[
        bool, typer.Option("--quick", help=f"At most {QUICK[0]} channels and {QUICK[1]} points.")
    ] = False,
    style: Style = "screen",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """The R-tau front of a channel set as data and picture: each method a curve, the paper's as points.

    With --sensing crb or scnr the front of R and of what the radar sees; curves are then fast,
    best, digital or pga.

    Example: beamfold front channels.mat --snr-db 12 -o front.nc
    """
    import numpy as np

    from beamfold.experiments.front import front as run
    from beamfold.experiments.store import save
    from beamfold.figures import front as picture
    from beamfold.figures import write_figure
    from beamfold.files.atomic import check_target

    check_target(output, force=force, suffixes=(".nc",))
    for suffix in (".png", ".pdf"):
        check_target(output.with_suffix(suffix), force=force)
    paper = check_style(style)
    s, told = loaded(spec)
    if quick:
        s, points = s[: QUICK[0]], min(points, QUICK[1])
    if s.goal is not None:
        _of_goal(s, spec, output, method, weights, points, told, as_json, paper)
        return
    with progress(1000, "front") as tick:
        ds = run(
            s,
            methods=tuple(method) if method else _runnable(s, inner),
            weights=np.array(weights) if weights else None,
            points=points,
            inner=inner,
            source=channel_file(spec).name,
            tick=lambda share, text: tick(round(1000 * share), f"front: {text}"),
        )
    facts = {"scenario": json.dumps(recorded(spec, s, output.parent)), "understood": told}
    save(output, ds.assign_attrs(command=f"beamfold {shlex.join(sys.argv[1:])}", **facts))
    write_figure(picture, ds, output.parent, output.stem, paper=paper)
    _tell(output, ds, recorded(spec, s), told, as_json)


def _of_goal(
    s: Scenario,
    spec: ScenarioSpec,
    output: Path,
    method: list[str] | None,
    weights: list[float] | None,
    points: int,
    told: str,
    as_json: bool,
    paper: bool,
) -> None:
    """The front for another sensing objective than τ."""
    import numpy as np

    from beamfold.experiments.sense_front import sense_front, summary
    from beamfold.experiments.store import save
    from beamfold.figures import write_figure
    from beamfold.sense_figures import front as picture
    from beamfold.styles import label

    with progress(1000, "front") as tick:
        ds = sense_front(
            s,
            methods=tuple(method) if method else None,
            weights=np.array(weights) if weights else None,
            points=points,
            source=channel_file(spec).name,
            tick=lambda share, text: tick(round(1000 * share), f"front: {text}"),
        )
    facts = {"scenario": json.dumps(recorded(spec, s, output.parent)), "understood": told}
    save(output, ds.assign_attrs(command=f"beamfold {shlex.join(sys.argv[1:])}", **facts))
    write_figure(picture, ds, output.parent, output.stem, paper=paper)
    found = summary(ds)
    if as_json:
        parameters = json.loads(ds.attrs["parameters"])
        print_json({"output": str(output), **parameters, "scenario": recorded(spec, s), "points": found})
        return
    shown = [
        {
            **row,
            "method": label(row["method"]),
            "value": f"{row['value']:.3g}",
            "rcrb_deg": f"{row['rcrb_deg']:.3g}",
        }
        for row in found
    ]
    table(shown, SENSED, title=ds.attrs["title"] + f", mean over {ds.sizes['channel']} channels")
    say(f"{output}: the front; {output.with_suffix('.png')}, .pdf: its picture")


def _runnable(s: Scenario, inner: int) -> tuple[str, ...]:
    """The usual curves that the scenario allows, the unfolded model only where one is shipped for it."""
    from beamfold.experiments.front import DEFAULT
    from beamfold.files.models import has_model
    from beamfold.method import lacking
    from beamfold.registry import METHODS

    if not has_model(s, inner):
        sizes = f"N={s.antennas}, K={s.users}, M={s.chains}, J={inner}"
        say(f"no shipped model for {sizes}: unfolded PGA is left out")
    reasons = {name: lacking(METHODS[name].supports, s) for name in DEFAULT}
    for name, reason in reasons.items():
        if reason:
            say(f"note: {name} is left out: it {reason}")
    return tuple(m for m in DEFAULT if not reasons[m] and (m != "unfolded" or has_model(s, inner)))


def _tell(output: Path, ds: xr.Dataset, scenario: dict[str, Any], told: str, as_json: bool) -> None:
    """The points of the curves and those of the paper."""
    from beamfold.experiments.front import summary
    from beamfold.styles import label

    found = summary(ds)
    if as_json:
        facts = json.loads(ds.attrs["parameters"])
        print_json(
            {"output": str(output), **facts, "scenario": scenario, "understood": told, "points": found}
        )
        return
    shown = [
        {
            **p,
            "method": label(p["method"]),
            "value": f"{p['value']:.3g}",
            "interval": f"{p['rate_low']:.3f} to {p['rate_high']:.3f}",
        }
        for p in found
    ]
    table(shown, HEADINGS, title=ds.attrs["title"] + f", mean over {ds.sizes['channel']} channels")
    say(f"{output}: the front; {output.with_suffix('.png')}, .pdf: its picture")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(front)
