"""What is read off a design: beampatterns and their errors, Eqs. (6a), (27) and the MSE of Section IV."""

from __future__ import annotations

from torch import Tensor

from beamfold.geometry import steering


def beampattern(X: Tensor, angles: Tensor) -> Tensor:
    """p(θ) = ā(θ)ᴴ X Xᴴ ā(θ) = ‖Xᴴ ā(θ)‖², the power that X sends to θ.

    Args:
        X: (…, N, K) complex.
        angles: (T,) rad.

    Returns:
        (…, T) real, in units of power; its mean over a uniform sin θ is the total power.
    """
    antennas = X.shape[-2]
    a = steering(angles, antennas).to(X.dtype)
    return antennas * (a.conj() @ X).abs().square().sum(-1)


def covariance_pattern(Psi: Tensor, angles: Tensor) -> Tensor:
    """ā(θ)ᴴ Ψ ā(θ) for Ψ (…, N, N); returns (…, T) real."""
    antennas = Psi.shape[-1]
    a = steering(angles, antennas).to(Psi.dtype)
    return antennas * ((a.conj() @ Psi) * a).sum(-1).real


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
    difference = beampattern(X, angles) / power[..., None] - covariance_pattern(Psi, angles)
    return difference.square().mean(-1)


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
