"""The command that checks a design file against its channels, independently."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beamfold.cli.common import print_json, say
from beamfold.cli.data import AsJson
from beamfold.cli.designs import Rows, Variable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from beamfold.files.designs import HeldDesign


def verify(
    designs: Annotated[Path, typer.Argument(help="A file that `beamfold design` or `compare` wrote.")],
    channels: Annotated[Path, typer.Argument(help="The channels it was designed for.")],
    variable: Variable = None,
    rows: Rows = "hermitian",
    tolerance: Annotated[float, typer.Option(help="Largest residual that passes.")] = 1e-6,
    as_json: AsJson = False,
) -> None:
    """Recompute R, tau, R - w tau and MSE from H, F, W and Psi, compare with the file; check (7b) and (7c).

    Psi is the one in the design file. Files of version 0.1.0 state no MSE, which is then not checked.
    Exit code 1 where a residual exceeds the tolerance. Example: beamfold verify designs.mat channels.mat
    """
    from beamfold.files import read_channels
    from beamfold.files.designs import read_designs

    if rows not in ("hermitian", "transpose"):
        raise ValueError(f"--rows is hermitian or transpose, got {rows!r}")
    H = read_channels(channels, variable=variable, rows=rows).numpy()  # type: ignore[arg-type]
    held = read_designs(designs, *H.shape)
    worst = {name: _one(one, H) for name, one in held.items()}
    unstated = [key for key in ("objective", "mse") if any(key not in one.stated for one in held.values())]
    failed = {name: w for name, w in worst.items() if not max(w.values()) <= tolerance}
    if as_json:
        facts = {"designs": str(designs), "tolerance": tolerance, "passed": not failed}
        print_json({**facts, "not_checked": unstated, "worst": worst})
    else:
        for name, residuals in worst.items():
            typer.echo(f"{name}: " + ", ".join(f"{key} {value:.1e}" for key, value in residuals.items()))
    if unstated:
        say(f"not checked: {designs} does not state {' and '.join(unstated)} with what it depends on")
    if failed:
        say(f"failed: residuals above {tolerance:g} in {', '.join(failed)}")
        raise typer.Exit(1)


def _one(held: HeldDesign, H: NDArray[Any]) -> dict[str, float]:
    """The worst residuals of one method of the file, over all SNRs and channels."""
    import numpy as np

    from beamfold.verifier import verify as check

    every = np.tile(H, (len(held.power) // len(H), 1, 1))
    angles = held.angles if "mse" in held.stated else None
    with np.errstate(all="ignore"):  # what is not finite fails below
        found = check(
            every, held.F, held.W, held.Psi, held.power, held.noise, held.stated, held.weight, angles
        )
    return found.worst()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)
