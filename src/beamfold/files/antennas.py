"""Arrays of antennas in files and on the command line: positions (N, 3) in wavelengths, or a name."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch

from beamfold.arrays import Array as AntennaArray
from beamfold.arrays import line_array, planar_array
from beamfold.errors import InputError
from beamfold.files.arrays import Array, read_arrays
from beamfold.files.atomic import FileError, Pathlike

PLANAR = re.compile(r"planar:(\d+)x(\d+)")
NAMES = "line, planar:8x8 or a file of positions"
"""What names an array."""


def is_named(text: str) -> bool:
    """Whether a text names an array by itself, and no file."""
    return text == "line" or text.startswith("planar:")


def named_array(text: str, antennas: int) -> AntennaArray:
    """The array that a text names: "line" of N at half a wavelength, "planar:AxB", or a file of positions.

    Args:
        text: the name or the path of a file, see `read_antennas`.
        antennas: N, of a line.

    Raises:
        InputError: neither a name nor a file of positions.
    """
    if text == "line":
        return line_array(antennas)
    if text.startswith("planar:"):
        sizes = PLANAR.fullmatch(text)
        if sizes is None:
            raise InputError(f"an array is {NAMES}, got {text[:50]!r}")
        return planar_array(int(sizes[1]), int(sizes[2]))
    if not Path(text).is_file():
        raise InputError(f"no such array or file: {text[:200]}; expected {NAMES}")
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
