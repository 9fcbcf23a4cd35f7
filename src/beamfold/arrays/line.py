"""The uniform line, the paper's array, Eq. (3)."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from beamfold.arrays.base import Array, Kind
from beamfold.errors import InputError


@lru_cache(maxsize=16)
def line_array(antennas: int, spacing: float = 0.5) -> Array:
    """Element n = 0 … N−1 at (0, n · spacing, 0) wavelengths: at half a wavelength a_n ∝ e^{jπ n sin az}.

    Args:
        antennas: N ≥ 1.
        spacing: in wavelengths, not 0; a negative one lets the elements run the other way, as the arrays of
            some simulators do.

    Raises:
        InputError: N < 1 or a spacing of 0.
    """
    if antennas < 1:
        raise InputError(f"an array has at least 1 antenna, got {antennas}")
    positions = torch.zeros(antennas, 3, dtype=torch.float64)
    positions[:, 1] = spacing * torch.arange(antennas, dtype=torch.float64)
    return Array(positions)


def steering(angles: Tensor, antennas: int) -> Tensor:
    r"""a(φ) = N^{-1/2} [1, e^{jπ sin φ}, …, e^{j(N−1)π sin φ}]ᵀ, Eq. (3), of the paper's array.

    Args:
        angles: (…) angles from broadside in radians, real.
        antennas: N ≥ 1.

    Returns:
        (…, N) complex128, unit norm along the last axis.

    Raises:
        InputError: N < 1.
    """
    return line_array(antennas).steering(angles)


def _named(text: str, antennas: int) -> Array:
    """ "line" of N, "line:48" of 48."""
    return line_array(int(text) if text else antennas)


KIND = Kind("line", "line", _named)
