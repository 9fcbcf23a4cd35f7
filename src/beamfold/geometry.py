"""The array: steering vectors of a uniform linear array, Eq. (3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from beamfold.errors import InputError


def steering(angles: Tensor, antennas: int) -> Tensor:
    r"""a(φ) = N^{-1/2} [1, e^{jπ sin φ}, …, e^{j(N−1)π sin φ}]ᵀ, Eq. (3).

    A uniform linear array with half a wavelength between its elements. The paper's ā(θ) of Eq. (6) is
    √N a(θ). Another array is another function of this signature.

    Args:
        angles: (…) angles from broadside in radians, real.
        antennas: N ≥ 1.

    Returns:
        (…, N) complex128, unit norm along the last axis.

    Raises:
        InputError: N < 1.
    """
    if antennas < 1:
        raise InputError(f"an array has at least 1 antenna, got {antennas}")
    phase = math.pi * torch.sin(angles.to(torch.float64))
    index = torch.arange(antennas, dtype=torch.float64, device=angles.device)
    return torch.exp(1j * phase[..., None] * index) / math.sqrt(antennas)
