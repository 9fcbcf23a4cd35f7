"""Algorithm 1 compiled: a batch of channels through all layers, forwards.

A compiled function works through the channels of a batch one after another, on one core, without
allocating inside its loops; threads share a batch by channels. `coordinates` has the formulas.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.coordinates import (
    Coordinates,
    coordinates,
    coordinates_layout,
    digital_gradient,
    identity,
    inner_gradient,
    real_inner,
    times_gram,
)
from beamfold.kernels.linalg import (
    Planes,
    add_times_adjoint,
    combine,
    copy,
    erase,
    gram,
    kernel,
    one,
    small_copy,
    small_scale_add,
)
from beamfold.kernels.phases import unit
from beamfold.kernels.simd import like
from beamfold.kernels.workspace import carve, shape


class Batch(NamedTuple):
    """Channels and what belongs to each, as planes."""

    H: Planes
    """(B, 2, K, N)."""
    U: Planes
    """(2, r, N), Ψ ≈ U Uᴴ at unit power."""
    omega: Planes
    """(B,), ω."""
    power: Planes
    """(B,), P_t."""


class Steps(NamedTuple):
    """Algorithm 1 with its step sizes."""

    mu: Planes
    """(I, J)."""
    lam: Planes
    """(I,)."""
    eta: Any
    """η."""
    noise: Any
    """σ²."""
    exact: bool
    """∇_W R of (14) rather than its signal part."""


class Points(NamedTuple):
    """Iterates, or their cotangents."""

    F: Planes
    """(B, …, 2, M, N)."""
    W: Planes
    """(B, …, 2, K, M)."""


class Space(NamedTuple):
    """What the layers are computed in."""

    c: Coordinates
    V: Planes
    """(2, D, N), [F_(i), h_1 … h_K, √P_t U]."""
    S: Planes
    """(2, M, D), the coordinates of F̂."""
    Fhat: Planes
    """(2, M, N), F̂ = V S."""
    size: Planes
    """(1, M, N), |F̂|."""
    g: Planes
    """(2, K, M), ∇_W."""
    W: Planes
    """(2, K, M), the new W until it is known to be finite."""
    FFW: Planes
    """(2, K, M), Fᴴ F W."""


@kernel
def layout(N: int, K: int, M: int, r: int) -> Space:
    """The shapes of a `Space`, for N padded antennas and a U of r columns."""
    D, small = coordinates(K, M, r), shape(2, K, M)
    return Space(
        c=coordinates_layout(K, D), V=shape(2, D, N), S=shape(2, M, D), Fhat=shape(2, M, N),
        size=shape(1, M, N), g=small, W=small, FFW=small,
    )  # fmt: skip


@kernel
def load_basis(V: Planes, c: Coordinates, H: Planes, U: Planes, root_power: Any, M: int) -> None:
    """V = [·, h_1 … h_K, √P_t U] and the part of T that stays; F is put in by the caller."""
    K, N = H.shape[1], H.shape[2]
    erase(V)
    erase(c.T)
    for d in range(c.on_U.shape[2]):
        c.on_U[0, 0, d] = like(V, 1.0 if M + K <= d < M + K + U.shape[1] else 0.0)
    for k in range(K):
        for n in range(N):
            V[0, M + k, n] = H[0, k, n]
            V[1, M + k, n] = -H[1, k, n]
    for r in range(U.shape[1]):
        for n in range(N):
            V[0, M + K + r, n] = root_power * U[0, r, n]
            V[1, M + K + r, n] = root_power * U[1, r, n]
    gram(c.T, V, M, M + K + U.shape[1])


@kernel
def load_F(V: Planes, c: Coordinates, F: Planes) -> None:
    """F as the first columns of V, and what T has of it."""
    copy(V, F, F.shape[1])
    gram(c.T, V, 0, F.shape[1])


@kernel
def inner_steps(S: Planes, c: Coordinates, W: Planes, mu: Planes, omega: Any, noise: Any) -> None:
    """(23): all J steps of one layer, S from [I; 0; 0] on."""
    identity(S)
    for j in range(len(mu)):
        inner_gradient(c, S, W, omega + omega, noise)
        add_times_adjoint(S, mu[j], c.P, W)


@kernel
def digital_step(W: Planes, g: Planes, T: Planes, lam: Any, power: Any, small: Planes) -> Any:
    """W ← √P_t (W + λ g) / ‖F (W + λ g)‖, (24) and (12); returns ‖F (W + λ g)‖²."""
    small_scale_add(W, one(W), lam, g)
    times_gram(small, T, W)
    norm2 = real_inner(W, small)
    W *= np.sqrt(power / norm2)
    return norm2


@kernel
def healthy(F: Planes, W: Planes, size: Planes, norm2: Any) -> bool:
    """All of the new point is finite, and so is what it was divided by."""
    check = norm2
    for m in range(size.shape[1]):
        for n in range(F.shape[2]):
            check += F[0, m, n] + F[1, m, n] + size[0, m, n]
    for k in range(W.shape[1]):
        for m in range(W.shape[2]):
            check += W[0, k, m] + W[1, k, m]
    return np.isfinite(check) and norm2 > 0


@kernel
def forward(
    batch: Batch, at: Points, steps: Steps, alive: NDArray[np.bool_], done: NDArray[np.int64], path: Points,
    keep: bool, first: int, last: int, buffer: Planes,
) -> None:  # fmt: skip
    """Run the points `at` of the channels first … last − 1 through all layers, in place.

    Args:
        batch: the channels.
        at: F (B, 2, M, N), W (B, 2, K, M).
        steps: the step sizes.
        alive: (B,), channels that are not stay where they are.
        done: (B,), filled with the layers that ended finite.
        path: F (B, I + 1, 2, M, N) and W likewise, filled with every point if `keep`.
        keep: see `path`.
        first: the first channel.
        last: one behind the last channel.
        buffer: for the arrays of `layout`.
    """
    H, U, omega, power = batch
    mu, lam, eta, noise, exact = steps
    F, W = at
    K, M, N = H.shape[2], F.shape[2], F.shape[3]
    c, V, S, Fhat, size, g, new, small = carve(buffer, layout(N, K, M, U.shape[1]))
    for b in range(first, last):
        Fb, Wb = F[b], W[b]
        load_basis(V, c, H[b], U, np.sqrt(power[b]), M)
        load_F(V, c, Fb)
        done[b] = len(lam) if alive[b] else 0
        if keep:
            small_copy(path.F[b, 0], Fb)
            small_copy(path.W[b, 0], Wb)
        for i in range(done[b]):
            inner_steps(S, c, Wb, mu[i], omega[b], noise)
            combine(Fhat, V, S, V.shape[1])
            unit(V, size, Fhat, Fb)
            gram(c.T, V, 0, M)
            kappa = (omega[b] + omega[b]) * eta
            digital_gradient(g, c, Wb, kappa, noise, exact)
            small_copy(new, Wb)
            norm2 = digital_step(new, g, c.T, lam[i], power[b], small)
            if not healthy(V, new, size, norm2):
                done[b] = i
                break
            copy(Fb, V, M)
            small_copy(Wb, new)
            if keep:
                small_copy(path.F[b, i + 1], Fb)
                small_copy(path.W[b, i + 1], Wb)
        if keep:
            for i in range(done[b] + 1, len(lam) + 1):
                small_copy(path.F[b, i], Fb)
                small_copy(path.W[b, i], Wb)
