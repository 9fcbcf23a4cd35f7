"""Commands on the sensing performance of designs: the bounds, and a Monte Carlo to compare with them."""

from __future__ import annotations

import math
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from beamfold.cli.common import check_style, print_json, progress, say, table
from beamfold.cli.data import AsJson, Force, Style
from beamfold.errors import InputError
from beamfold.files.directions import Angle, direction

if TYPE_CHECKING:
    import xarray as xr

    from beamfold.files.precoders import Precoders
    from beamfold.radar import Scene

Designs = Annotated[Path, typer.Argument(help="A file that `beamfold design` or `compare` wrote.")]
Targets = Annotated[
    list[Angle] | None,
    typer.Option(
        parser=direction,
        help="Azimuth of a target, or azimuth/elevation. Several are allowed. (default: those of Psi)",
    ),
]
TargetSnr = Annotated[
    list[float] | None,
    typer.Option(
        help="|alpha|^2 P_t/noise in dB, of one antenna on each side. One for all, or one of each target. "
        "(default: -35)"
    ),
]
Snapshots = Annotated[int, typer.Option(help="L, snapshots.")]
FalseAlarm = Annotated[float, typer.Option(help="P_FA, the probability of a false alarm.")]
Clutter = Annotated[
    list[Angle] | None,
    typer.Option(parser=direction, help="Direction of a clutter patch. Several are allowed."),
]
ClutterDb = Annotated[
    list[float] | None,
    typer.Option(
        help="Power of the clutter like that of targets, one for all or one of each. (default: -20)"
    ),
]
Receive = Annotated[
    str | None,
    typer.Option(
        help="Receive antennas: line:32, planar:8x8, or a file of positions. (default: as transmit)"
    ),
]
HEADINGS = {
    "method": "method", "snr_db": "SNR [dB]", "target": "target", "rcrb_deg": "RCRB [deg]",
    "interval": "95 %",
    "scnr_db": "SCNR [dB]", "detected": "P_D", "swerling": "P_D Swerling", "gain_db": "gain [dB]",
    "pslr_db": "PSLR [dB]", "islr_db": "ISLR [dB]",
}  # fmt: skip


def sense(
    designs: Designs,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File to write, .nc; .png and .pdf go beside it.")
    ],
    targets_deg: Targets = None,
    target_snr_db: TargetSnr = None,
    snapshots: Snapshots = 64,
    false_alarm: FalseAlarm = 1e-6,
    clutter_deg: Clutter = None,
    clutter_db: ClutterDb = None,
    receive_array: Receive = None,
    islr_over: Annotated[str, typer.Option(help="What ISLR integrates over: u (sin theta) or angle.")] = "u",
    amplitudes: Annotated[
        str,
        typer.Option(help="Of a band: alpha of a target is common to all subcarriers, or another on each."),
    ] = "common",
    style: Style = "screen",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """What the radar sees: root CRB of every angle, SCNR, P_D, gains and sidelobes of designs, per channel.

    Over a band information and SCNR add up over the subcarriers, each at its own frequency.
    Example: beamfold sense designs.mat --targets-deg -60 0 60 --target-snr-db -35 --snapshots 64 -o sense.nc
    """
    from beamfold.experiments.sense import sense_designs, summary
    from beamfold.experiments.store import save
    from beamfold.figures import write_figure
    from beamfold.files.atomic import check_target
    from beamfold.files.precoders import read_precoders
    from beamfold.radar.scene import Amplitudes
    from beamfold.sense_figures import sense as picture

    check_target(output, force=force, suffixes=(".nc",))
    for suffix in (".png", ".pdf"):
        check_target(output.with_suffix(suffix), force=force)
    paper = check_style(style)
    if islr_over not in ("u", "angle"):
        raise InputError(f"--islr-over is u or angle, got {islr_over!r}")
    if amplitudes not in get_args(Amplitudes):
        raise InputError(f"--amplitudes is common or each, got {amplitudes!r}")
    held = read_precoders(designs)
    scene = _scene(
        held, targets_deg, target_snr_db, snapshots, false_alarm, clutter_deg, clutter_db, receive_array
    )
    scene = replace(scene, ratios=held.ratios, band=amplitudes)  # type: ignore[arg-type]
    ds = sense_designs(
        held.X,
        scene,
        held.power,
        held.snr_db,
        measure="u" if islr_over == "u" else "angle",
        source=designs.name,
    )
    save(output, ds.assign_attrs(command=f"beamfold {shlex.join(sys.argv[1:])}"))
    write_figure(picture, ds, output.parent, output.stem, paper=paper)
    _tell(output, ds, summary(ds), as_json)


def _scene(
    held: Precoders,
    targets: list[Any] | None,
    target_snr_db: list[float] | None,
    snapshots: int,
    false_alarm: float,
    clutter: list[Any] | None,
    clutter_db: list[float] | None,
    receive: str | None,
) -> Scene:
    """The scene of a design file's array and the options."""
    from beamfold.files.entries import ScenarioSpec
    from beamfold.files.goals import written_scene

    if not targets and not held.targets_deg:
        raise InputError("the designs name no targets; give --targets-deg")
    spec = ScenarioSpec(
        target_snr_db=target_snr_db,
        snapshots=snapshots,
        clutter_deg=clutter,
        clutter_db=clutter_db,
        receive_array=receive,
    )
    return written_scene(spec, held.array, targets or held.targets_deg, false_alarm)


def _tell(output: Path, ds: xr.Dataset, rows: list[dict[str, Any]], as_json: bool) -> None:
    """The means, and which bounds are infinite."""
    import json

    from beamfold.styles import label

    if as_json:
        print_json({"output": str(output), **json.loads(ds.attrs["parameters"]), "results": rows})
        return
    headings = dict(HEADINGS)
    if "elevation" in ds["angle"].values:
        headings = {
            key: text
            for name, heading in HEADINGS.items()
            for key, text in (
                (name, heading),
                *([("rcrb_elevation_deg", "elevation")] if name == "rcrb_deg" else []),
            )
        }
    shown = [
        {
            **row,
            "method": label(row["method"]),
            "rcrb_deg": f"{row['rcrb_deg']:.3g}",
            "rcrb_elevation_deg": f"{row.get('rcrb_elevation_deg', math.nan):.3g}",
            "interval": f"{row['rcrb_deg_low']:.3g} to {row['rcrb_deg_high']:.3g}",
        }
        for row in rows
    ]
    table(shown, headings, title=f"{ds.attrs['title']}, mean over {ds.sizes['channel']} channels")
    for row in rows:
        if row["infinite"]:
            say(f"note: {row['method']}, target {row['target']}: a bound is infinite: {row['infinite']}")
    say(f"{output}: the figures of every channel; {output.with_suffix('.png')}, .pdf: their picture")


DETECTED = {
    "method": "method", "snr_db": "SNR [dB]", "channel": "channel", "target": "target",
    "target_snr_db": "target SNR [dB]", "rmse_deg": "RMSE [deg]", "rcrb_deg": "RCRB [deg]",
    "ratio": "RMSE/RCRB",
    "detected": "P_D", "formula": "formula", "found": "P_D, search", "false_alarms": "false alarms",
    "cells": "cells",
}  # fmt: skip


def detect(
    designs: Designs,
    targets_deg: Targets = None,
    target_snr_db: Annotated[
        list[float] | None,
        typer.Option(
            help="|alpha|^2 P_t/noise in dB of every target; several are run one after another. "
            "(default: -40 -30 -20)"
        ),
    ] = None,
    snapshots: Snapshots = 64,
    false_alarm: FalseAlarm = 1e-6,
    clutter_deg: Clutter = None,
    clutter_db: ClutterDb = None,
    receive_array: Receive = None,
    trials: Annotated[int, typer.Option(help="Trials of each target.")] = 1000,
    channels: Annotated[int, typer.Option(help="So many channels of the file, from the first.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    as_json: AsJson = False,
) -> None:
    """A Monte Carlo of received snapshots: RMSE of the maximum-likelihood angle, P_D of the GLRT, each target
    alone.

    The search looks over all angles: its false alarms are about P_FA times the cells.
    Example: beamfold detect designs.mat --targets-deg 20 --target-snr-db -40 -20 --trials 2000
    """
    from beamfold.files.precoders import read_precoders

    held = read_precoders(designs)
    if held.ratios is not None:
        raise InputError(
            f"{designs} holds designs of a band, the Monte Carlo is of one frequency; "
            "`beamfold sense` has the figures of a band"
        )
    if not 1 <= channels <= held.power.shape[1]:
        raise InputError(f"--channels is from 1 to {held.power.shape[1]} for {designs}, got {channels}")
    scenes = [
        _scene(held, targets_deg, [snr], snapshots, false_alarm, clutter_deg, clutter_db, receive_array)
        for snr in target_snr_db or (-40.0, -30.0, -20.0)
    ]
    rows = _run_trials(held, scenes, channels, trials, seed)
    if as_json:
        facts = {"snapshots": snapshots, "false_alarm": false_alarm, "trials": trials, "seed": seed}
        print_json({"designs": str(designs), **facts, "results": rows})
        return
    shown = [
        {**row, **{k: f"{row[k]:.3g}" for k in ("rmse_deg", "rcrb_deg", "false_alarms", "cells")}}
        for row in rows
    ]
    table(
        shown,
        DETECTED,
        title=f"{trials} trials, {snapshots} snapshots, P_FA = {false_alarm:g}, each target alone",
    )


def _run_trials(
    held: Any, scenes: list[Scene], channels: int, trials: int, seed: int
) -> list[dict[str, Any]]:
    """The rows of every method, SNR, channel and scene, behind a progress bar."""
    from beamfold.radar.trials import run_trials

    work = [
        (m, s, b, scene)
        for m in held.X
        for s in range(len(held.snr_db))
        for b in range(channels)
        for scene in scenes
    ]
    rows: list[dict[str, Any]] = []
    with progress(len(work), "trials") as tick:
        for done, (method, s, b, scene) in enumerate(work):
            tick(done, f"{method}, channel {b}")
            found = run_trials(held.X[method][s, b], scene, held.power[s, b], count=trials, seed=seed)
            rows += _trial_rows({"method": method, "snr_db": held.snr_db[s], "channel": b}, scene, found)
    return rows


def _trial_rows(where: dict[str, Any], scene: Scene, found: Any) -> list[dict[str, Any]]:
    """A row for each target, its first angle; that of the elevation under names of its own."""
    import torch

    rows = []
    for i in range(scene.count):
        row: dict[str, Any] = {
            **where,
            "target": "/".join(
                f"{x:g}" for x in torch.rad2deg(scene.targets[i].reshape(-1)).round(decimals=6).tolist()
            ),
            "target_snr_db": round(10 * math.log10(float(scene.snr[i])), 6),
        }
        for j, end in enumerate(("", "_elevation")[: scene.dims]):
            rmse, rcrb = (math.degrees(float(x[i, j])) for x in (found.rmse, found.rcrb))
            row |= {f"rmse{end}_deg": rmse, f"rcrb{end}_deg": rcrb, f"ratio{end}": rmse / rcrb}
        for name in ("detected", "formula", "found", "false_alarms", "cells"):
            row[name] = float(getattr(found, name)[i])
        rows.append(row)
    return rows


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(sense)
    app.command()(detect)
