"""Arrays of antennas in files and on the command line: positions (N, 3) in wavelengths, or a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from beamfold.arrays import NAMES, kind_named, named_array
from beamfold.arrays import Array as AntennaArray
from beamfold.errors import InputError
from beamfold.files.arrays import Array, read_arrays
from beamfold.files.atomic import FileError, Pathlike


def is_named(text: str) -> bool:
    """Whether a text names an array by itself, and no file."""
    return text.partition(":")[0] in NAMES


def array_called(text: str, antennas: int) -> AntennaArray:
    """The array that a text names, see `arrays.named_array`, or that of a file of positions.

    Args:
        text: a name or the path of a file, see `read_antennas`.
        antennas: N, where neither says it.

    Raises:
        InputError: neither a name nor a file of positions.
    """
    if is_named(text):
        return named_array(text, antennas)
    if not Path(text).is_file():
        names = ", ".join(kind_named(name).written for name in NAMES)
        raise InputError(f"no such array or file: {text[:200]}; expected {names} or a file of positions")
    found = read_antennas(text)
    if found is None:
        raise FileError(
            f"{text} holds no positions: expected an array `positions` (antennas, 3) in wavelengths"
        )
    return found


def read_antennas(path: Pathlike) -> AntennaArray | None:
    """The array of a file of channels, of Ψ, of designs, or of positions alone; None where it states none.

    Args:
        path: `.mat`, `.npz` or `.npy` with `positions` (N, 3), or as its only array, in wavelengths.

    Raises:
        FileError: positions that are no array of antennas.
    """
    path = Path(path)
    arrays = read_arrays(path)
    alone = next(iter(arrays.values())) if len(arrays) == 1 else None
    if "positions" in arrays:
        return antennas_at(path, arrays["positions"])
    if alone is not None and alone.ndim == 2 and alone.shape[1] == 3 and alone.dtype.kind != "c":
        return antennas_at(path, alone)
    return None


def antennas_at(path: Path, positions: Array) -> AntennaArray:
    """The array of the positions of a file.

    Raises:
        FileError: they are no array of antennas.
    """
    if positions.dtype.kind == "c":
        raise FileError(f"{path}: positions are complex, expected real numbers (antennas, 3) in wavelengths")
    try:
        return AntennaArray(torch.from_numpy(np.ascontiguousarray(positions, dtype=np.float64)))
    except InputError as error:
        raise FileError(f"{path}: {error}") from error
