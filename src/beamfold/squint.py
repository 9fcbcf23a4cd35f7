r"""Beam squint: what phase shifters set at the carrier lose at other frequencies, and what undoes it.

A phase shifter turns all frequencies by the same phase, so a beam set with w = a(θ, f_c) at the carrier has
at r = f/f_c the gain

    g(r) = |a(θ, f)ᴴ w|² = |N^{-1} Σ_n e^{j2π (1 − r) p_n · r̂(θ)}|²,

1 at the carrier. For a line the beam points to sin θ_r = sin θ / r. Two ways out:

* True time delay: Q delay lines for each chain, each before the phase shifters of N/Q neighbouring antennas.
  A line delays by the time of flight to the middle p̄_q of its block, which is exact at every frequency, so
  only the differences p_n − p̄_q squint: the gain is that of an array of N/Q.
* Several chains: the steering vectors of the band lie near a subspace of few dimensions, and chains that span
  it follow the frequency through W_s. `energy` says how much of them so many dimensions hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from beamfold.arrays import Array
from beamfold.errors import InputError


def delayed_beam(array: Array, angle: Tensor, ratio: float, delay_lines: int | None = None) -> Tensor:
    """w (N,) of unit norm: phase shifters set at the carrier for a direction, behind Q delay lines.

    Args:
        array: the array.
        angle: θ, () an azimuth for a line, else (2,); radians.
        ratio: r, which only the delay lines follow.
        delay_lines: Q, one for each N/Q neighbouring antennas; None for none, N for one per antenna.

    Raises:
        InputError: Q does not divide N.
    """
    N = array.antennas
    cosines = array.cosines(angle)
    w = array.response(cosines) / math.sqrt(N)
    if delay_lines is None:
        return w
    if delay_lines < 1 or N % delay_lines:
        raise InputError(f"{delay_lines} delay lines do not divide {N} antennas")
    middle = array.positions.reshape(delay_lines, -1, 3).mean(1, keepdim=True)
    lag = (middle.expand(-1, N // delay_lines, -1).reshape(N, 3) * cosines).sum(-1)
    return w * torch.exp(2j * math.pi * (ratio - 1) * lag)


def gain_over_band(
    array: Array, angle: Tensor | float, ratios: Sequence[float], delay_lines: int | None = None
) -> Tensor:
    """g (S,) at each frequency of a beam that is set at the carrier for the direction θ, linear, at most 1.

    Args:
        array: the array.
        angle: θ in radians, an azimuth for a line, else (2,) azimuth and elevation.
        ratios: r_s = f_s/f_c.
        delay_lines: Q of true time delay, which must divide N; None for phase shifters alone.

    Raises:
        InputError: Q does not divide N.
    """
    theta = torch.as_tensor(angle, dtype=torch.float64)
    beams = torch.stack([delayed_beam(array, theta, r, delay_lines) for r in ratios])
    return (_steering(array, theta, ratios).conj() * beams).sum(-1).abs().square()


def energy(array: Array, angle: Tensor | float, ratios: Sequence[float]) -> Tensor:
    """The share (min(N, S),) of the band's steering vectors a(θ, f_s) in their best 1, 2, … dimensions.

    With A = [a(θ, f_1) … a(θ, f_S)] it is Σ_{i ≤ m} σ_i² / ‖A‖², σ the singular values, m = 1, 2, ….
    """
    theta = torch.as_tensor(angle, dtype=torch.float64)
    squares = torch.linalg.svdvals(_steering(array, theta, ratios)).square()
    return squares.cumsum(0) / squares.sum()


def _steering(array: Array, theta: Tensor, ratios: Sequence[float]) -> Tensor:
    """a(θ, f_s), (S, N)."""
    return torch.stack([array.steering(theta, float(r)) for r in ratios])
