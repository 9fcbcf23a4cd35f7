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


def verify(
    designs: Annotated[Path, typer.Argument(help="A file that `beamfold design` or `compare` wrote.")],
    channels: Annotated[Path, typer.Argument(help="The channels it was designed for.")],
    variable: Variable = None,
    rows: Rows = "hermitian",
    tolerance: Annotated[float, typer.Option(help="Largest residual that passes.")] = 1e-6,
    as_json: AsJson = False,
) -> None:
    """Recompute R, tau, MSE, (7b) and (7c) from the raw arrays and compare with what the file states.

    Exit code 1 where a residual exceeds the tolerance. Example: beamfold verify designs.mat channels.mat
    """
    from beamfold.files import read_channels
    from beamfold.files.arrays import read_arrays
    from beamfold.files.atomic import FileError

    if rows not in ("hermitian", "transpose"):
        raise ValueError(f"--rows is hermitian or transpose, got {rows!r}")
    held = read_arrays(designs)
    prefixes = sorted(name.removesuffix("W") for name in held if name == "W" or name.endswith("_W"))
    if not prefixes or not {"Psi", "snr_db", "noise"} <= set(held):
        raise FileError(f"{designs} is not a design file: it lacks W, Psi, snr_db or noise")
    H = read_channels(channels, variable=variable, rows=rows).numpy()  # type: ignore[arg-type]
    worst: dict[str, dict[str, float]] = {}
    for prefix in prefixes:
        worst[prefix.rstrip("_") or "design"] = _one(designs, held, prefix, H)
    failed = {name: w for name, w in worst.items() if not max(w.values()) <= tolerance}
    if as_json:
        print_json({"designs": str(designs), "tolerance": tolerance, "passed": not failed, "worst": worst})
    else:
        for name, residuals in worst.items():
            typer.echo(f"{name}: " + ", ".join(f"{key} {value:.1e}" for key, value in residuals.items()))
    if failed:
        say(f"failed: residuals above {tolerance:g} in {', '.join(failed)}")
        raise typer.Exit(1)


def _one(path: Path, held: dict[str, Any], prefix: str, H: NDArray[Any]) -> dict[str, float]:
    """The worst residuals of one method of the file, over all SNRs and channels."""
    import numpy as np

    from beamfold.files.atomic import FileError
    from beamfold.verify import verify as check

    snr_db, noise = held["snr_db"].ravel(), float(held["noise"].ravel()[0])
    count = len(snr_db) * len(H)

    def flat(name: str, axes: int) -> NDArray[Any]:
        value = held[prefix + name]
        if value.size == 0 or value.size % count:
            raise FileError(
                f"{path}: {prefix}{name} {value.shape} does not fit {len(H)} channels at {len(snr_db)} SNRs"
            )
        return value.reshape(count, *value.shape[-axes:]) if axes else value.reshape(count)

    W = flat("W", 2)
    F = flat("F", 2) if f"{prefix}F" in held else None
    rows = W.shape[1] if F is None else F.shape[1]
    if rows != H.shape[2] or W.shape[2] != H.shape[1]:
        raise FileError(f"{path}: designs for (K, N) = {(W.shape[2], rows)}, channels have {H.shape[1:]}")
    power = np.repeat(noise * 10 ** (snr_db / 10), len(H))
    stated = {"rate": flat("rate", 0), "tau": flat("tau", 0)}
    return check(np.tile(H, (len(snr_db), 1, 1)), F, W, held["Psi"], power, noise, stated).worst()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)
