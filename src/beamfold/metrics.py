"""What is read off a design: beampatterns and their errors, Eqs. (6a), (27) and the MSE of Section IV."""

from __future__ import annotations

import torch
from torch import Tensor

from beamfold.geometry import lag_basis, steering


def beampattern(X: Tensor, angles: Tensor) -> Tensor:
    """p(θ) = ā(θ)ᴴ X Xᴴ ā(θ) = ‖Xᴴ ā(θ)‖², the power that X sends to θ.

    Args:
        X: (…, N, K) complex.
        angles: (T,) rad.

    Returns:
        (…, T) real, in units of power; its mean over a uniform sin θ is the total power.
    """
    antennas = X.shape[-2]
    a = steering(angles.to(X.device), antennas).to(X.dtype)
    return antennas * (a.conj() @ X).abs().square().sum(-1)


def covariance_pattern(Psi: Tensor, angles: Tensor) -> Tensor:
    """ā(θ)ᴴ Ψ ā(θ) for Ψ (…, N, N); returns (…, T) real."""
    antennas = Psi.shape[-1]
    a = steering(angles.to(Psi.device), antennas).to(Psi.dtype)
    return antennas * ((a.conj() @ Psi) * a).sum(-1).real


PART = 512
"""Channels whose Fourier transforms are in memory at once."""


def lags(X: Tensor) -> Tensor:
    """x = (ρ_0, Re ρ_d, Im ρ_d) with ρ_d = Σ_m [X Xᴴ]_{m, m+d}, see `geometry.lag_basis`; (…, 2N − 1) real.

    The sums are the autocorrelations of X's columns, by Fourier transforms: without an N × N matrix.
    """
    antennas = X.shape[-2]
    Z = torch.fft.fft(X, n=1 << (2 * antennas - 2).bit_length(), dim=-2)
    spectrum = (Z.real.square() + Z.imag.square()).sum(-1)
    r = torch.fft.ifft(spectrum, dim=-1)[..., :antennas]  # Σ_m x_{m+d} x_m*
    return torch.cat([r.real, -r.imag[..., 1:]], -1)


def pattern_error(X: Tensor, Psi: Tensor, power: Tensor, angles: Tensor) -> Tensor:
    """MSE = T⁻¹ Σ_t |(ā(θ_t)ᴴ (X Xᴴ − Ψ) ā(θ_t)) / P_t|², the beampattern MSE of Fig. 8.

    The paper's formula compares P_d with Ψ's own pattern, which has no design in it; this one compares
    the design's pattern with Ψ's, both over P_t, which is what the published figures hold.

    Args:
        X: (…, N, K).
        Psi: (N, N) at unit power.
        power: (…), P_t.
        angles: (T,) rad.

    Returns:
        (…) real, linear.
    """
    wanted = covariance_pattern(Psi, angles)
    A = torch.from_numpy(lag_basis(angles.cpu().numpy(), X.shape[-2])).to(wanted)
    batch = X.shape[:-2]
    each, levels = X.reshape(-1, *X.shape[-2:]), power.expand(batch).reshape(-1, 1)
    found = []
    for first in range(0, len(each), PART):
        part, level = each[first : first + PART], levels[first : first + PART]
        difference = lags(part) @ A.mT / level - wanted
        found.append(difference.square().mean(-1))
    return torch.cat(found).reshape(batch) if found else power.new_zeros(batch)


def desired_error(X: Tensor, desired: Tensor, scale: Tensor | float, power: Tensor, angles: Tensor) -> Tensor:
    """T⁻¹ Σ_t |p(θ_t)/P_t − α P_d(θ_t)|², the error against the desired pattern itself.

    Args:
        X: (…, N, K).
        desired: (T,), P_d of (27).
        scale: α of (6a) at unit power.
        power: (…), P_t.
        angles: (T,) rad.

    Returns:
        (…) real, linear.
    """
    return (beampattern(X, angles) / power[..., None] - scale * desired).square().mean(-1)
