"""The adjoint of Algorithm 1 compiled: from cotangents of the points to those of the step sizes.

The formulas of `coordinates` backwards. A cotangent Z̄ is meant as dL = Re tr(Z̄ᴴ dZ), which is what
PyTorch's `.grad` holds. Points (F_(i), W_(i)) are given for every layer; the inner coordinates S_j of one
layer at a time are computed again, so that what is stored does not grow with J.

F enters through V: where T_F = Vᴴ F is used, its cotangent T̄_F gives F̄ = V Φ with
Φ = T̄_F + [T̄_topᴴ; 0]. All contributions of a layer to F̄ are accumulated in one Φ (D, M).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.coordinates import (
    Coordinates,
    Cotangents,
    coordinates,
    coordinates_layout,
    cotangents_layout,
    digital_gradient,
    gradient_adjoint,
    identity,
    inner_gradient,
    real_inner,
    times_gram,
    top,
)
from beamfold.kernels.layers import Batch, Points, Steps, load_basis, load_F
from beamfold.kernels.linalg import (
    Planes,
    add_inner,
    add_times_adjoint,
    combine,
    copy,
    dot,
    erase,
    kernel,
    one,
    scale,
    scale_add,
    small_copy,
    small_scale_add,
)
from beamfold.kernels.phases import unit, unit_adjoint
from beamfold.kernels.simd import like
from beamfold.kernels.workspace import carve, shape


class Backwards(NamedTuple):
    """The cotangents that are carried from layer to layer, and working space."""

    W: Planes
    """(2, K, M), W̄."""
    Phi: Planes
    """(2, M, D), Φ: what F̄ gets through V."""
    direct: Planes
    """(2, M, N), what F̄ gets otherwise."""
    S: Planes
    """(2, M, D), S̄."""
    inside: Cotangents
    """Of what one gradient holds."""
    TY: Planes
    """(2, K, D), T Ȳ."""
    g: Planes
    """(2, K, M), ∇_W."""
    gbar: Planes
    """(2, K, M), its cotangent."""
    stepped: Planes
    """(2, K, M), W + λ ∇_W."""
    small: Planes
    """(2, K, M)."""


class Space(NamedTuple):
    """What the adjoint is computed in."""

    c: Coordinates
    bar: Backwards
    V: Planes
    """(2, D, N), [F_(i), h_1 … h_K, √P_t U]."""
    S: Planes
    """(2 (J + 1), M, D), the inner coordinates S_0 … S_J of one layer."""
    Fhat: Planes
    """(2, M, N), F̂ = V S_J, then its cotangent."""
    size: Planes
    """(1, M, N), |F̂|."""
    F: Planes
    """(2, M, N), F̂ / |F̂|, which is known already."""
    Fbar: Planes
    """(2, M, N), F̄."""
    top: Planes
    """(2, M, M), the first M rows of S_J."""


@kernel
def layout(N: int, K: int, M: int, r: int, J: int) -> Space:
    """The shapes of a `Space`, for N padded antennas and a U of r columns."""
    D = coordinates(K, M, r)
    small, wide, long = shape(2, K, M), shape(2, M, D), shape(2, M, N)
    return Space(
        c=coordinates_layout(K, D),
        bar=Backwards(
            W=small, Phi=wide, direct=long, S=wide, inside=cotangents_layout(K, D), TY=shape(2, K, D),
            g=small, gbar=small, stepped=small, small=small,
        ),
        V=shape(2, D, N), S=shape(2 * (J + 1), M, D), Fhat=long, size=shape(1, M, N), F=long,
        Fbar=long, top=shape(2, M, M),
    )  # fmt: skip


@kernel
def columns_adjoint(Phi: Planes, P: Planes, B: Planes) -> None:
    """Φ += T̄_F + [T̄_topᴴ; 0] for T̄_F = P Bᴴ."""
    add_times_adjoint(Phi, one(Phi), P, B)
    for m in range(B.shape[2]):
        for a in range(B.shape[2]):
            for k in range(B.shape[1]):
                Phi[0, m, a] += P[0, k, m] * B[0, k, a] + P[1, k, m] * B[1, k, a]
                Phi[1, m, a] += P[0, k, m] * B[1, k, a] - P[1, k, m] * B[0, k, a]


@kernel
def power_adjoint(bar: Backwards, T: Planes, power: Any) -> None:
    """Adjoint of W = √P_t W' / ‖F W'‖ (12): W̄ becomes W̄', and Φ gains what F gets through the norm."""
    Wbar, Phi, stepped, product_ = bar.W, bar.Phi, bar.stepped, bar.small
    times_gram(product_, T, stepped)
    norm2 = real_inner(stepped, product_)
    root = np.sqrt(power / norm2)
    twice = -real_inner(Wbar, stepped) * root / norm2  # 2 ∂L/∂‖F W'‖²
    small_scale_add(Wbar, root, twice, product_)
    for a in range(stepped.shape[2]):  # Q̄ for Q = Fᴴ F is Hermitian: both sides of T_F give the same
        for m in range(stepped.shape[2]):
            for k in range(stepped.shape[1]):
                ar, ai = stepped[0, k, a], stepped[1, k, a]
                mr, mi = stepped[0, k, m], stepped[1, k, m]
                Phi[0, m, a] += twice * (ar * mr + ai * mi)
                Phi[1, m, a] += twice * (ai * mr - ar * mi)


@kernel
def digital_adjoint(
    bar: Backwards, c: Coordinates, W: Planes, lam: Any, kappa: Any, power: Any, noise: Any, exact: bool
) -> Any:
    """Adjoint of (24) and (12): W̄ for the new W becomes the old one's, Φ gains F's; returns λ̄."""
    Wbar, Phi, gb, g, stepped, small, inside = (
        bar.W,
        bar.Phi,
        bar.gbar,
        bar.g,
        bar.stepped,
        bar.small,
        bar.inside,
    )
    T, P, M = c.T, c.P, W.shape[2]
    digital_gradient(g, c, W, kappa, noise, exact)
    small_copy(stepped, W)
    small_scale_add(stepped, one(W), lam, g)
    power_adjoint(bar, T, power)
    lam_bar = real_inner(Wbar, g)
    erase(gb)  # 0 · gb would keep a NaN of uninitialised memory
    small_scale_add(gb, one(W), lam, Wbar)
    # g = T_Fᴴ P
    combine(inside.P, T, gb, M)
    columns_adjoint(Phi, P, gb)
    gradient_adjoint(inside, c, kappa, noise, exact, M)
    # Y = T_F W and S_x = [W; 0; 0]
    columns_adjoint(Phi, inside.Y, W)
    add_inner(Wbar, one(W), T, inside.Y)
    top(small, inside.Sx)
    small_scale_add(Wbar, one(W), one(W), small)
    return lam_bar


@kernel
def inner_adjoint(
    bar: Backwards, c: Coordinates, S: Planes, W: Planes, mu: Any, kappa: Any, noise: Any
) -> Any:
    """Adjoint of one step of (23b): S̄ for the new S becomes the old one's; returns μ̄."""
    Wbar, Phi, Sbar, TY, small, inside = bar.W, bar.Phi, bar.S, bar.TY, bar.small, bar.inside
    T, P, M = c.T, c.P, W.shape[2]
    inner_gradient(c, S, W, kappa, noise)
    # S ← S + μ P Wᴴ
    combine(inside.P, Sbar, W, M)
    mu_bar = like(W, 0.0)
    for k in range(W.shape[1]):
        re, _ = dot(inside.P, k, P, k)
        mu_bar += re
    add_inner(Wbar, mu, Sbar, P)
    scale(inside.P, mu)
    gradient_adjoint(inside, c, kappa, noise, True, M)
    # Y = T S_x, T̄ = Ȳ S_xᴴ, whose columns for F count from both sides
    combine(TY, T, inside.Y, T.shape[1])
    scale_add(inside.Sx, one(W), one(W), TY)
    top(small, c.Sx)
    add_times_adjoint(Phi, one(W), inside.Y, small)
    top(small, inside.Y)
    add_times_adjoint(Phi, one(W), c.Sx, small)
    # S_x = S W
    add_times_adjoint(Sbar, one(W), inside.Sx, W)
    add_inner(Wbar, one(W), S, inside.Sx)
    return mu_bar


@kernel
def F_adjoint(Fbar: Planes, bar: Backwards, V: Planes) -> None:
    """F̄ = what it gets directly + V Φ."""
    combine(Fbar, V, bar.Phi, V.shape[1])
    scale_add(Fbar, one(V), one(V), bar.direct)


@kernel
def projection_adjoint(
    bar: Backwards, V: Planes, S: Planes, Fhat: Planes, beside: Planes, block: Planes
) -> None:
    """Adjoint of F̂ = V S for the cotangent in Fhat: S̄ = Vᴴ F̂̄, and F̄ = `beside` + F̂̄ S_topᴴ directly."""
    for m in range(S.shape[1]):
        for d in range(S.shape[2]):
            bar.S[0, m, d], bar.S[1, m, d] = dot(V, d, Fhat, m)
    copy(bar.direct, beside, S.shape[1])
    top(block, S)
    add_times_adjoint(bar.direct, one(V), Fhat, block)


@kernel
def backward(
    batch: Batch, steps: Steps, path: Points, bars: Points, done: NDArray[np.int64], mu_bar: Planes,
    lam_bar: Planes, first: int, last: int, buffer: Planes,
) -> None:  # fmt: skip
    """From cotangents of all points to those of the step sizes and of the first point.

    Args:
        batch: the channels.
        steps: the step sizes.
        path: F (B, I + 1, 2, M, N) and W, the points.
        bars: their cotangents; the first of them leave as the starting point's.
        done: (B,), the layer from which channel b is swept.
        mu_bar: (B, I, J), filled.
        lam_bar: (B, I), filled.
        first: the first channel.
        last: one behind the last channel.
        buffer: for the arrays of `layout`.
    """
    H, U, omega, power = batch
    mu, lam, eta, noise, exact = steps
    K, M, N, J = H.shape[2], path.F.shape[3], path.F.shape[4], mu.shape[1]
    c, bar, V, S, Fhat, size, unused, Fbar, block = carve(buffer, layout(N, K, M, U.shape[1], J))
    for b in range(first, last):
        load_basis(V, c, H[b], U, np.sqrt(power[b]), M)
        load_F(V, c, path.F[b, done[b]])
        small_copy(bar.W, bars.W[b, done[b]])
        erase(bar.Phi)
        copy(bar.direct, bars.F[b, done[b]], M)
        kappa = omega[b] + omega[b]
        for i in range(done[b] - 1, -1, -1):
            # Here V, T, W̄ belong to point i + 1, whose F̄ is direct + V Φ.
            F, W = path.F[b, i], path.W[b, i]
            lam_bar[b, i] = digital_adjoint(bar, c, W, lam[i], kappa * eta, power[b], noise, exact)
            F_adjoint(Fbar, bar, V)
            # Back to point i: its basis, and the inner coordinates once more.
            load_F(V, c, F)
            identity(S[:2])
            for j in range(J):
                now, after = S[2 * j : 2 * j + 2], S[2 * j + 2 : 2 * j + 4]
                inner_gradient(c, now, W, kappa, noise)
                copy(after, now, M)
                add_times_adjoint(after, mu[i, j], c.P, W)
            last_S = S[2 * J :]
            combine(Fhat, V, last_S, V.shape[1])
            unit(unused, size, Fhat, F)
            unit_adjoint(Fhat, Fbar, path.F[b, i + 1], size)  # Fhat holds its own cotangent from here on
            projection_adjoint(bar, V, last_S, Fhat, bars.F[b, i], block)
            erase(bar.Phi)
            for j in range(J - 1, -1, -1):
                mu_bar[b, i, j] = inner_adjoint(bar, c, S[2 * j : 2 * j + 2], W, mu[i, j], kappa, noise)
            small_scale_add(bar.W, one(V), one(V), bars.W[b, i])
        F_adjoint(Fbar, bar, V)
        bars.F[b, 0], bars.W[b, 0] = Fbar, bar.W
