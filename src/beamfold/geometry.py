"""The array: steering vectors of a uniform linear array, Eq. (3)."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
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


def lag_basis(angles: NDArray[np.float64], antennas: int) -> NDArray[np.float64]:
    """A with p = A x: columns 1, 2 cos(πd sin θ), −2 sin(πd sin θ) for d = 1 … N−1.

    The pattern p(θ) = ā(θ)ᴴ R ā(θ) of a covariance R depends on the sums along its diagonals alone,
    x = (ρ_0, Re ρ_1 …, Im ρ_1 …) with ρ_d = Σ_m R[m, m+d]: the array is a uniform line.

    Args:
        angles: (T,) rad.
        antennas: N.

    Returns:
        (T, 2N − 1).
    """
    phase = np.pi * np.sin(angles)[:, None] * np.arange(1, antennas)
    return np.hstack([np.ones((len(angles), 1)), 2 * np.cos(phase), -2 * np.sin(phase)])
