"""Ψ in files: read with the problem it solves, or as a bare matrix; written."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.arrays import Array as AntennaArray
from beamfold.arrays import line_array
from beamfold.files.antennas import antennas_at
from beamfold.files.arrays import Array, numbers, read_all, text, write_arrays
from beamfold.files.atomic import FileError, Pathlike
from beamfold.files.axes import parsed_index
from beamfold.sensing import UNIT, Sensing
from beamfold.tensors import as_complex


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
    path: Pathlike,
    *,
    variable: str | None = None,
    array: AntennaArray | None = None,
    index: str | None = None,
) -> Sensing:
    """Ψ from a file: what `write_sensing` wrote, or a bare (N, N) array, which is scaled to trace 1.

    A design file holds its Ψ, too, with the grid and the targets but not with α of (6a) and the proof.

    Args:
        path: `.mat`, `.npz` or `.npy`.
        variable: which array, where it is not called Psi.
        array: the antennas, for a file that does not state them; default the half-wavelength line.
        index: the position on a further axis such as that of the SNRs, "snr=6", counted from 0.

    Raises:
        FileError: no such array, not square, not Hermitian, not positive semidefinite.
    """
    return sensing_in(Path(path), read_all(Path(path)), variable, array, index)


def sensing_in(
    path: Path,
    held: Mapping[str, Array],
    variable: str | None = None,
    array: AntennaArray | None = None,
    index: str | None = None,
) -> Sensing:
    """`read_sensing` of the arrays of a file."""
    arrays = numbers(held)
    name = _name(path, arrays, variable)
    if "frequencies" in arrays and arrays[name].ndim == 3:
        raise FileError(
            f"{path}: {name} has axes {arrays[name].shape}, a covariance for each subcarrier of a band; "
            "expected one (antennas, antennas), as `beamfold covariance --common` writes"
        )
    precise = arrays[name].dtype.itemsize // (2 if arrays[name].dtype.kind == "c" else 1) > 4
    Psi = _unit_trace(path, name, as_complex(_one(path, name, arrays[name], index)), precise)
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


def _name(path: Path, arrays: dict[str, Array], variable: str | None) -> str:
    """Which array is Ψ: the one that is named, else Psi, else the only one with two equal axes.

    Raises:
        FileError: no such array, or several.
    """
    there = ", ".join(f"{n} {v.shape}" for n, v in arrays.items()) or "no numeric array"
    if variable is not None:
        if variable not in arrays:
            raise FileError(f"{path} has no array {variable!r} for Psi; found {there}")
        return variable
    if "Psi" in arrays:
        return "Psi"
    square = [n for n, v in arrays.items() if v.size > 1 and _sides(v.shape) is not None]
    exact = [n for n in square if arrays[n].ndim == 2]
    found = exact or square or [n for n, v in arrays.items() if v.shape == (1, 1) and len(arrays) == 1]
    if len(found) != 1:
        several = f"several square arrays ({', '.join(found)}); choose one with --psi-variable"
        raise FileError(f"{path} holds {several if found else 'no square array for Psi'}; found {there}")
    return found[0]


def _sides(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The two neighbouring axes of one length, the longest, that are those of the antennas."""
    pairs = [(i, i + 1) for i in range(len(shape) - 1) if shape[i] == shape[i + 1] > 1]
    return max(pairs, key=lambda pair: shape[pair[0]], default=None)


def _one(path: Path, name: str, value: Array, index: str | None) -> Array:
    """One matrix of several: axes of length 1 are dropped, and a position is taken on one further axis.

    Raises:
        FileError: several axes beside those of the antennas, or a position that is missing or does not exist.
    """
    sides = _sides(value.shape)
    if value.ndim <= 2 or sides is None:
        return value
    rest = [i for i in range(value.ndim) if i not in sides and value.shape[i] != 1]
    if len(rest) > 1:
        raise FileError(
            f"{path}: {name} has axes {value.shape}; expected (antennas, antennas) and one more at most"
        )
    if rest:
        count = value.shape[rest[0]]
        chosen = parsed_index(index).get("snr")
        if chosen is None or chosen >= count:
            raise FileError(
                f"{path}: {name} has axes {value.shape}, {count} matrices; choose one with --index snr=i, i "
                f"from 0 to {count - 1}"
            )
        value = np.expand_dims(value.take(chosen, axis=rest[0]), rest[0])
    return value.reshape(value.shape[sides[0]], -1)


def _unit_trace(path: Path, name: str, Psi: Tensor, precise: bool = True) -> Tensor:
    """Ψ scaled to trace 1, or 0; refused unless square, finite, Hermitian and positive semidefinite."""
    if Psi.ndim != 2 or Psi.shape[0] != Psi.shape[1] or len(Psi) == 0:
        raise FileError(f"{path}: {name} has axes {tuple(Psi.shape)}, expected a square (antennas, antennas)")
    if not torch.isfinite(torch.view_as_real(Psi)).all():
        raise FileError(f"{path}: {name} holds NaN or Inf")
    size = float(torch.view_as_real(Psi).abs().max())
    if size < 1e-290:  # 0, or so small that its quotients are not finite
        return torch.zeros_like(Psi)
    unit = Psi / size
    asymmetry = float((unit - unit.mH).abs().max())
    if asymmetry > (1e-8 if precise else 1e-5):
        raise FileError(f"{path}: {name} is not Hermitian, so it is no covariance")
    if asymmetry > 1e-15 and not precise:  # rounded in single precision
        Psi = (Psi + Psi.mH) / 2
        unit = Psi / size
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
