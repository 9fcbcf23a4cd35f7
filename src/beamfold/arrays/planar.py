"""The uniform planar array: a grid of elements in the plane of y (to the side) and z (up)."""

from __future__ import annotations

import torch

from beamfold.arrays.base import Array, Kind
from beamfold.errors import InputError


def planar_array(across: int, up: int, spacing: float | tuple[float, float] = 0.5) -> Array:
    """Element n = i · up + j at (0, i · d_y, j · d_z) wavelengths: the index of height runs fastest.

    Args:
        across: elements along y, i = 0 … across − 1.
        up: elements along z, j = 0 … up − 1.
        spacing: in wavelengths, one for both axes or (d_y, d_z).

    Raises:
        InputError: fewer than one element along an axis, or a spacing of 0.
    """
    if min(across, up) < 1:
        raise InputError(f"a planar array has at least 1 x 1 elements, got {across} x {up}")
    d_y, d_z = spacing if isinstance(spacing, tuple) else (spacing, spacing)
    count = torch.arange(max(across, up), dtype=torch.float64)
    i, j = torch.meshgrid(count[:across], count[:up], indexing="ij")
    zero = torch.zeros(across * up, dtype=torch.float64)
    return Array(torch.stack([zero, d_y * i.flatten(), d_z * j.flatten()], -1))


def _named(text: str, antennas: int) -> Array:
    """ "planar:8x4" is 8 across and 4 up."""
    across, up = (int(part) for part in text.split("x"))
    return planar_array(across, up)


KIND = Kind("planar", "planar:8x8", _named)
