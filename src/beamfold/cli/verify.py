"""The command that checks a design file against its channels, independently."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beamfold.cli.common import print_json, progress, say
from beamfold.cli.data import AsJson
from beamfold.cli.reading import read_channels
from beamfold.cli.scenario_options import with_scenario
from beamfold.defaults import ROWS, SAME_RATIO
from beamfold.errors import InputError
from beamfold.files.entries import ScenarioSpec

PART = 200  # designs between two steps of the progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from beamfold.files.designs import HeldDesign


@with_scenario()
def verify(
    designs: Annotated[Path, typer.Argument(help="A file that `beamfold design` or `compare` wrote.")],
    spec: ScenarioSpec,
    tolerance: Annotated[float, typer.Option(help="Largest residual that passes.")] = 1e-6,
    as_json: AsJson = False,
) -> None:
    """Recompute the stated figures from H, F, W, Psi and compare them with the file; check (7b) and (7c).

    The figures are R, tau, R - w tau (R + w c of another sensing goal), MSE and faults.

    Psi is the one in the design file. Files of version 0.1.0 state no MSE and no faults: these are then not
    checked. Nor is why a method stopped, and whether a design is below its start.
    Exit code 1 where a residual exceeds the tolerance. Example: beamfold verify designs.mat channels.mat
    """
    from beamfold.files.designs import read_designs, sensing_in, streams_in

    streams = streams_in(designs)
    read = read_channels(replace(spec, streams=streams))
    H = read.H.numpy()
    receive = 1 if streams is None else H.shape[-2]
    users = H.shape[-2 if streams is None else -3]
    sensing = sensing_in(designs)
    held = read_designs(designs, H.shape[0], users * (streams or 1) + sensing[0], H.shape[-1])
    if streams is not None:
        H = H.reshape(*H.shape[:-3], -1, H.shape[-1])
    for name, one in held.items():
        _check_band(designs, name, one, None if read.band is None else read.band.ratios)
    say(f"note: {read.told}")
    worst = {name: _one(one, H, receive, sensing) for name, one in held.items()}
    unstated = [
        key for key in ("objective", "mse", "faults") if any(key not in one.stated for one in held.values())
    ]
    failed = {name: w for name, w in worst.items() if not max(w.values()) <= tolerance}
    if as_json:
        facts = {"designs": str(designs), "tolerance": tolerance, "passed": not failed}
        print_json({**facts, "understood": read.told, "not_checked": unstated, "worst": worst})
    else:
        for name, residuals in worst.items():
            typer.echo(f"{name}: " + ", ".join(f"{key} {value:.1e}" for key, value in residuals.items()))
    if unstated:
        say(f"not checked: {designs} does not state {' and '.join(unstated)} with what it depends on")
    if failed:
        say(f"failed: residuals above {tolerance:g} in {', '.join(failed)}")
        other = {name: _one(held[name], H.conj(), receive, sensing) for name in failed}
        if all(max(w.values()) <= tolerance for w in other.values()):
            turned = "h^H" if (spec.rows or ROWS) == "h^T" else "h^T"
            say(f"with --rows {turned} they pass: the rows of the channels were taken the wrong way")
        raise typer.Exit(1)


def _check_band(designs: Path, name: str, held: HeldDesign, ratios: list[float] | None) -> None:
    """Refuse designs for another band than that of the channels."""
    theirs = None if held.ratios is None else held.ratios.tolist()
    if ratios is None and theirs is None:
        return
    if ratios is None or theirs is None or len(ratios) != len(theirs):
        count = [f"{len(r)} subcarriers" if r is not None else "flat channels" for r in (theirs, ratios)]
        raise InputError(f"{designs}: {name} is for {count[0]}, the channel file has {count[1]}")
    if max(abs(a - b) for a, b in zip(ratios, theirs, strict=True)) > SAME_RATIO:
        raise InputError(f"{designs}: {name} is for other frequencies than those of the channel file")


def _one(held: HeldDesign, H: NDArray[Any], receive: int, sensing: tuple[int, bool]) -> dict[str, float]:
    """The worst residuals of one method of the file, over all SNRs and channels."""
    import numpy as np
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from beamfold.verifier import verify as check

    count, text = len(held.power), "designs recomputed"
    angles = held.angles if "mse" in held.stated else None
    worst: dict[str, float] = {}
    # What is not finite fails below. One thread: BLAS would divide products of 64 x 64 matrices.
    with np.errstate(all="ignore"), threadpool_limits(1), progress(count, text) as tick:
        for first in range(0, count, PART):
            tick(first, text)
            part = slice(first, min(first + PART, count))
            each = H[np.arange(count)[part] % len(H)]
            F = None if held.F is None else held.F[part]
            stated = {key: values[part] for key, values in held.stated.items()}
            found = check(
                each,
                F,
                held.W[part],
                held.Psi,
                held.power[part],
                held.noise,
                stated,
                held.weight,
                angles,
                held.positions,
                receive,
                held.network,
                held.ratios,
                held.power_rule,
                *sensing,
                held.scene,
            ).worst()
            worst = {key: max(value, worst.get(key, 0.0)) for key, value in found.items()}
    return worst


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)
