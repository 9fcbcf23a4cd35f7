"""Read channels H (B, K, N) and Ψ from a file and check them; write them."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.arrays import Array as AntennaArray
from beamfold.arrays import line_array
from beamfold.errors import InputError
from beamfold.files.antennas import antennas_at
from beamfold.files.arrays import Array, numbers, read_all, read_arrays, text, write_arrays
from beamfold.files.atomic import FileError, Pathlike
from beamfold.files.bands import check_subcarriers, frequencies_in
from beamfold.sensing import UNIT, Sensing

ROWS = ("h^H", "h^T")
"""What row k of a file's H is: h_kᴴ, so that H F W is what the users receive, or h_kᵀ."""
_FORMER_ROWS = {"hermitian": "h^H", "transpose": "h^T"}


def _axes(several: bool, band: bool) -> str:
    """The axes of channels, of users with one antenna or with several, flat or of a band."""
    return f"(channels, {'subcarriers, ' * band}users, {'receive, ' * several}antennas)"


def rows_named(rows: str) -> str:
    """One of `ROWS`; the words of version 0.1.0, of which "transpose" conjugated, are taken with a warning.

    Raises:
        InputError: neither.
    """
    if rows in _FORMER_ROWS:
        warnings.warn(f"rows {rows!r} is now called {_FORMER_ROWS[rows]!r}", FutureWarning, stacklevel=3)
        return _FORMER_ROWS[rows]
    if rows not in ROWS:
        raise InputError(f"rows of H are {' or '.join(ROWS)}, got {rows[:50]!r}")
    return rows


def _candidates(arrays: dict[str, Array], axes: int) -> dict[str, Array]:
    """Arrays that can be channels: so many axes, or two for one channel; leading ones of 1 are dropped."""
    squeezed = {name: _drop_leading(value, axes) for name, value in arrays.items() if name != "positions"}
    several = {name: value for name, value in squeezed.items() if value.ndim == axes}
    if several or axes == 4:
        return several
    return {name: value for name, value in squeezed.items() if value.ndim == 2 and min(value.shape) > 1}


def _drop_leading(value: Array, axes: int) -> Array:
    while value.ndim > axes and value.shape[0] == 1:
        value = value[0]
    return value


def _choose(
    path: Path, arrays: dict[str, Array], variable: str | None, axes: int, expected: str
) -> tuple[str, Array]:
    if variable is not None:
        if variable not in arrays:
            held = ", ".join(sorted(arrays)) or "no numeric array"
            raise FileError(f"{path} has no array {variable!r}; it holds {held}")
        return variable, _drop_leading(arrays[variable], axes)
    if "H" in arrays:
        return "H", _drop_leading(arrays["H"], axes)
    found = _candidates(arrays, axes)
    if not found:
        held = ", ".join(f"{name} {value.shape}" for name, value in arrays.items()) or "no numeric array"
        raise FileError(f"{path} holds no channels: expected an array {expected}, found {held}")
    if len(found) > 1:
        held = ", ".join(f"{name} {value.shape}" for name, value in found.items())
        raise FileError(f"{path} holds several arrays that could be channels: {held}; choose with --variable")
    return next(iter(found.items()))


def read_channels(
    path: Pathlike, *, variable: str | None = None, rows: str = "h^H", several: bool = False
) -> Tensor:
    """H (B, K, N) complex128 from a channel file, or (B, K, R, N) of users with several antennas.

    A file of a band, which has `frequencies` (`files.bands`), has an axis S after B.

    Args:
        path: `.mat` v5 or v7.3, `.npz` or `.npy`.
        variable: which array, where the file holds several that could be channels.
        rows: "h^H" where row k is h_kᴴ, so that H F W is what the users receive; "h^T" where row k is h_kᵀ,
            as in the published data: H is then conjugated.
        several: the users have several antennas each, axes (channels, users, receive, antennas).

    Raises:
        FileError: what was found in the file and what is expected.
    """
    path, rows = Path(path), rows_named(rows)
    arrays = read_arrays(path)
    band = frequencies_in(path, arrays)
    expected, users = _axes(several, band is not None), 1 if band is None else 2
    axes = expected.count(",") + 1
    name, value = _choose(path, arrays, variable, axes, expected)
    if value.ndim == axes - 1 and not several:
        value = value[None]
    if value.ndim != axes or 0 in value.shape:
        ways = (
            "; for users with several antennas give --streams, for a band the file needs `frequencies` and "
            "`carrier` in Hz"
        )
        raise FileError(
            f"{path}: {name} has axes {value.shape}, expected {expected} after leading axes of length 1"
            + (ways if value.ndim == 4 and axes == 3 else "")
        )
    check_subcarriers(path, name, value, band)
    if value.shape[users] > value.shape[-1]:
        raise FileError(
            f"{path}: {name} has {value.shape[users]} users and {value.shape[-1]} antennas; there are "
            "never fewer antennas than users, so the axes are probably not (channels, users, antennas)"
        )
    H = _complex(value)
    return H.conj().resolve_conj() if rows == "h^T" else H


def _complex(value: Array) -> Tensor:
    """complex128 from any of NumPy's numbers, whatever their order of bytes; what overflows becomes Inf."""
    with np.errstate(all="ignore"):
        return torch.from_numpy(np.ascontiguousarray(value, dtype=np.complex128))


def write_channels(
    path: Pathlike, H: Tensor, facts: Mapping[str, Any] | None = None, array: AntennaArray | None = None
) -> None:
    """H with rows h_kᴴ, how it was made, and its array where one is given, as `.mat` or `.npz`.

    The axes of H are those of `read_channels`; for a band, `bands.band_entries` are among the facts.
    """
    placed = {} if array is None else {"positions": array.positions.numpy()}
    write_arrays(Path(path), {"H": H.numpy(), **placed, **(facts or {})})


def write_sensing(path: Pathlike, radar: Sensing) -> None:
    """Ψ and the problem it solves, as `.mat` or `.npz`."""
    write_arrays(Path(path), sensing_entries(radar))


def sensing_entries(radar: Sensing) -> dict[str, Any]:
    """What a file holds of Ψ."""
    desired = radar.desired if radar.desired is not None else torch.zeros(0)
    return {
        "Psi": radar.Psi.numpy(),
        "positions": radar.array.positions.numpy(),
        "targets_deg": np.rad2deg(np.array(radar.targets)),
        "angles_deg": np.rad2deg(radar.angles.numpy()),
        "desired": desired.numpy(),
        "scale": radar.scale,
        "objective": radar.objective,
        "gap": radar.gap,
        "solver": radar.solver,
    }


def read_sensing(
    path: Pathlike, *, variable: str | None = None, array: AntennaArray | None = None
) -> Sensing:
    """Ψ from a file: what `write_sensing` wrote, or a bare (N, N) array, which is scaled to trace 1.

    A design file holds its Ψ, too, with the grid and the targets but not with α of (6a) and the proof.

    Args:
        path: `.mat`, `.npz` or `.npy`.
        variable: which array, where it is not called Psi.
        array: the antennas, for a file that does not state them; default the half-wavelength line.

    Raises:
        FileError: no such array, not square, not Hermitian, not positive semidefinite.
    """
    return sensing_in(Path(path), read_all(Path(path)), variable, array)


def sensing_in(
    path: Path, held: Mapping[str, Array], variable: str | None = None, array: AntennaArray | None = None
) -> Sensing:
    """`read_sensing` of the arrays of a file."""
    arrays = numbers(held)
    name = variable or (
        "Psi" if "Psi" in arrays else next((n for n, v in arrays.items() if _square(v)), "Psi")
    )
    if name not in arrays:
        there = ", ".join(f"{n} {v.shape}" for n, v in arrays.items()) or "no numeric array"
        raise FileError(f"{path} holds no square array for Psi; found {there}")
    if arrays[name].ndim == 3:
        raise FileError(
            f"{path}: {name} has axes {arrays[name].shape}, a covariance for each subcarrier of a band; "
            "expected one (antennas, antennas), as `beamfold covariance --common` writes"
        )
    Psi = _unit_trace(path, name, _complex(arrays[name]))
    if "positions" in arrays:
        array = antennas_at(path, arrays["positions"])
    array = array or line_array(len(Psi))
    if array.antennas != len(Psi):
        raise FileError(f"{path}: {name} is {tuple(Psi.shape)}, the array has {array.antennas} antennas")
    if "angles_deg" not in arrays:
        return Sensing(Psi, array=array)
    angles = _directions(path, arrays, "angles_deg", array)
    desired = _reals(path, arrays, "desired")
    if len(angles) == 0 or np.abs(angles).max() > 90:
        raise FileError(f"{path}: angles_deg needs angles from -90 to 90")
    if len(desired) not in (0, len(angles)):
        raise FileError(f"{path}: desired has {len(desired)} values for {len(angles)} angles_deg")
    facts = arrays if "scale" in arrays else {}  # the objective of a design file is the designs'
    return Sensing(
        Psi,
        tuple(_plain(np.deg2rad(_directions(path, arrays, "targets_deg", array)))),
        torch.from_numpy(np.deg2rad(angles)),
        torch.from_numpy(desired) if len(desired) else None,
        _single(path, facts, "scale"),
        _single(path, facts, "objective"),
        _single(path, facts, "gap"),
        text(held, "solver"),
        array,
    )


def _directions(path: Path, arrays: dict[str, Array], key: str, array: AntennaArray) -> NDArray[np.float64]:
    """Angles in degrees: (T,) azimuths for a line, else (T, 2)."""
    values = _reals(path, arrays, key)
    if array.is_line:
        return values
    if values.size % 2:
        raise FileError(f"{path}: {key} holds {values.size} numbers, expected pairs of azimuth and elevation")
    return values.reshape(-1, 2)


def _plain(angles: NDArray[np.float64]) -> list[Any]:
    """Azimuths as numbers, pairs as tuples."""
    return [tuple(value) if isinstance(value, list) else value for value in angles.tolist()]


def _reals(path: Path, arrays: dict[str, Array], key: str) -> NDArray[np.float64]:
    """The finite real values of an array that describes Ψ, in a row; none where the file lacks it."""
    values = arrays.get(key, np.zeros(0)).ravel()
    if values.dtype.kind == "c" or not np.isfinite(values).all():
        raise FileError(f"{path}: {key} holds values that are not finite real numbers")
    return values.astype(np.float64)


def _single(path: Path, arrays: dict[str, Array], key: str) -> float:
    """One real number, NaN where the file lacks it or does not know it."""
    values = arrays.get(key, np.full(1, math.nan)).ravel()
    if values.dtype.kind == "c" or len(values) != 1:
        raise FileError(f"{path}: {key} has {len(values)} {values.dtype} values, expected one real number")
    return float(values[0])


def _square(value: Array) -> bool:
    return value.ndim == 2 and value.shape[0] == value.shape[1] > 0


def _unit_trace(path: Path, name: str, Psi: Tensor) -> Tensor:
    """Ψ scaled to trace 1, or 0; refused unless square, finite, Hermitian and positive semidefinite."""
    if Psi.ndim != 2 or Psi.shape[0] != Psi.shape[1] or len(Psi) == 0:
        raise FileError(f"{path}: {name} has axes {tuple(Psi.shape)}, expected a square (antennas, antennas)")
    if not torch.isfinite(torch.view_as_real(Psi)).all():
        raise FileError(f"{path}: {name} holds NaN or Inf")
    size = float(torch.view_as_real(Psi).abs().max())
    if size < 1e-290:  # 0, or so small that its quotients are not finite
        return torch.zeros_like(Psi)
    unit = Psi / size
    if float((unit - unit.mH).abs().max()) > 1e-8:
        raise FileError(f"{path}: {name} is not Hermitian, so it is no covariance")
    least = float(torch.linalg.eigvalsh(unit)[0])
    if least < -1e-6 * len(Psi):
        raise FileError(
            f"{path}: {name} is not positive semidefinite: its least eigenvalue is {size * least:.2e}"
        )
    trace = float(Psi.diagonal().real.sum())
    if abs(trace - 1) > UNIT:
        said = "%s: %s has trace %.6g: it is scaled to trace 1, since the SNR sets the power"
        logging.getLogger("beamfold").warning(said, path.name, name, trace)
    return Psi / trace if 0 < trace < math.inf else unit / float(unit.diagonal().real.sum())
