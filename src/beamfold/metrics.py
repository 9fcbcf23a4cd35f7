"""What is read off a design: beampatterns and their errors, Eqs. (6a), (27) and the MSE of Section IV."""

from __future__ import annotations

import torch
from torch import Tensor

from beamfold.arrays import Array, line_array


def beampattern(X: Tensor, angles: Tensor, array: Array | None = None, ratio: float = 1.0) -> Tensor:
    """p(θ) = ā(θ)ᴴ X Xᴴ ā(θ) = ‖Xᴴ ā(θ)‖², the power that X sends to θ.

    Args:
        X: (…, N, K) complex.
        angles: directions in rad: (T,) azimuths for a line, else (T, 2) azimuths and elevations.
        array: default the half-wavelength line of N.
        ratio: r, the frequency of X over the carrier's.

    Returns:
        (…, T) real, in units of power; for the default its mean over a uniform sin θ is the total power.
    """
    antennas = X.shape[-2]
    return power_along((array or line_array(antennas)).steering(angles.to(X.device), ratio), X)


def power_along(a: Tensor, X: Tensor) -> Tensor:
    """`beampattern` (…, T) of X (…, N, K) for steering vectors a (T, N) of unit norm that are at hand."""
    return X.shape[-2] * (a.to(X.dtype).conj() @ X).abs().square().sum(-1)


def covariance_pattern(Psi: Tensor, angles: Tensor, array: Array | None = None, ratio: float = 1.0) -> Tensor:
    """ā(θ)ᴴ Ψ ā(θ) for Ψ (…, N, N); returns (…, T) real. Arguments as for `beampattern`."""
    antennas = Psi.shape[-1]
    a = (array or line_array(antennas)).steering(angles.to(Psi.device), ratio).to(Psi.dtype)
    return antennas * ((a.conj() @ Psi) * a).sum(-1).real


PART = 512
"""Channels whose Fourier transforms are in memory at once."""


def lag_sums(X: Tensor, array: Array) -> Tensor:
    """x = (ρ_0, Re ρ_d, Im ρ_d) of X Xᴴ, see `arrays.lags`, for elements on a grid; (…, 2D − 1) real.

    The sums are the autocorrelations of X's columns over the grid of elements, by Fourier transforms: without
    an N × N matrix.
    """
    assert array.lattice is not None
    shape, lags = array.lattice.shape, array.lags
    assert lags.on_grid is not None
    sizes = tuple(1 << (2 * n - 2).bit_length() for n in shape)
    axes = tuple(range(-1 - len(shape), -1))
    Z = torch.fft.fftn(X.reshape(*X.shape[:-2], *shape, X.shape[-1]), s=sizes, dim=axes)
    spectrum = (Z.real.square() + Z.imag.square()).sum(-1)
    r = torch.fft.ifftn(spectrum, dim=tuple(range(-len(shape), 0)))  # Σ_m x_{m+d} x_m*
    place = torch.from_numpy(lags.on_grid).to(X.device) % torch.tensor(sizes, device=X.device)
    weights = [1]
    for size in reversed(sizes[1:]):
        weights.insert(0, weights[0] * size)
    index = (place * torch.tensor(weights, device=X.device)).sum(-1)  # a GPU has no product of integers
    r = r.flatten(-len(shape))[..., index]
    return torch.cat([r.real, -r.imag[..., 1:]], -1)


def pattern_error(
    X: Tensor,
    Psi: Tensor,
    power: Tensor,
    angles: Tensor,
    array: Array | None = None,
    ratio: float = 1.0,
) -> Tensor:
    """MSE = T⁻¹ Σ_t |(ā(θ_t)ᴴ (X Xᴴ − Ψ) ā(θ_t)) / P_t|², the beampattern MSE of Fig. 8.

    The paper's formula compares P_d with Ψ's own pattern, which has no design in it; this one compares
    the design's pattern with Ψ's, both over P_t, which is what the published figures hold.

    Args:
        X: (…, N, K).
        Psi: (N, N) at unit power.
        power: (…), P_t.
        angles: as for `beampattern`.
        array: default the half-wavelength line of N.
        ratio: r, the frequency of X over the carrier's.

    Returns:
        (…) real, linear.
    """
    array = array or line_array(X.shape[-2])
    wanted = covariance_pattern(Psi, angles, array, ratio)
    cosines = (ratio * array.cosines(angles)).cpu().numpy()
    A = None if array.lattice is None else torch.from_numpy(array.lags.basis(cosines)).to(wanted)
    batch = X.shape[:-2]
    each, levels = X.reshape(-1, *X.shape[-2:]), power.expand(batch).reshape(-1, 1)
    found = []
    for first in range(0, len(each), PART):
        part, level = each[first : first + PART], levels[first : first + PART]
        pattern = beampattern(part, angles, array, ratio) if A is None else lag_sums(part, array) @ A.mT
        found.append((pattern / level - wanted).square().mean(-1))
    return torch.cat(found).reshape(batch) if found else power.new_zeros(batch)


def desired_error(
    X: Tensor,
    desired: Tensor,
    scale: Tensor | float,
    power: Tensor,
    angles: Tensor,
    array: Array | None = None,
) -> Tensor:
    """T⁻¹ Σ_t |p(θ_t)/P_t − α P_d(θ_t)|², the error against the desired pattern itself.

    Args:
        X: (…, N, K).
        desired: (T,), P_d of (27).
        scale: α of (6a) at unit power.
        power: (…), P_t.
        angles: as for `beampattern`.
        array: default the half-wavelength line of N.

    Returns:
        (…) real, linear.
    """
    pattern = beampattern(X, angles, array)
    return (pattern / power[..., None] - scale * desired).square().mean(-1)
