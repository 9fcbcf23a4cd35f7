r"""The adjoint of `subarrays`: from cotangents of the points to those of the step sizes.

As in `adjoint`, a cotangent Z̄ is meant as dL = Re tr(Z̄ᴴ dZ), the points of all layers are given, and the
inner steps f_0 … f_J of one layer at a time are computed again. Back through one inner step, with Ḡ = μ f̄:

    (P Wᴴ)̄ = gathered Ḡ,   c̄_m = −Re Σ_{n of m} Ḡ_n* f_n,   C̄ = 2ω Wᴴ diag(c̄) W,   D̄_m = w_m C̄ w_mᴴ,
    P̄ = (P Wᴴ)̄ W,          Ȳ from P̄ as in `coordinates`,    Ē = Ȳ Wᴴ,
    f̄_n ← (1 − μ c_m) f̄_n + V_n Ē_m + 2 D̄_m f_n,
    W̄ += ((P Wᴴ)̄)ᴴ P + Eᴴ Ȳ + 4ω diag(c̄) W C + 2 D W C̄.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.coordinates import rate_adjoint, real_inner
from beamfold.kernels.layers import Points, Steps
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
    scale_add,
    small_copy,
    small_scale_add,
    times_adjoint,
)
from beamfold.kernels.phases import unit, unit_adjoint
from beamfold.kernels.planes import up
from beamfold.kernels.simd import LANES, like
from beamfold.kernels.subarrays import (
    Connected,
    Gradient,
    add_by_chain,
    add_scaled_rows,
    analog_gradient,
    beam_rows,
    digital_gradient,
    gather,
    gradient_layout,
    inner_by_chain,
    load_rows,
    power_of,
    row_inner,
    rows_times,
    spread,
    weighted_gram,
)
from beamfold.kernels.workspace import carve, shape


class Backwards(NamedTuple):
    """The cotangents that are carried from step to step, and working space."""

    f: Planes
    """(2, 1, N), f̄."""
    W: Planes
    """(2, K, M), W̄."""
    E: Planes
    """(2, M, K + r), Ē."""
    PW: Planes
    """(2, M, K + r), the cotangent of P Wᴴ."""
    Y: Planes
    """(2, K, K + r), Ȳ."""
    P: Planes
    """(2, K, K + r), P̄."""
    C: Planes
    """(2, K, K), C̄, or C̄ + C̄ᴴ."""
    c: Planes
    """(1, 1, M), c̄, then 2 D̄."""
    g: Planes
    """(2, K, M), the cotangent of ∇_W."""
    step: Planes
    """(2, 1, N), what an inner step adds to f̄."""
    small: Planes
    """(2, K, M)."""


class Space(NamedTuple):
    """What the adjoint is computed in."""

    g: Gradient
    bar: Backwards
    f: Planes
    """(2 (J + 1), 1, N), f_0 … f_J of one layer."""
    size: Planes
    """(1, 1, N), |f_J|."""
    new: Planes
    """(2, 1, N), f_J / |f_J|, which is known already."""


@kernel
def layout(N: int, K: int, M: int, r: int, J: int) -> Space:
    """The shapes of a `Space`, for N padded antennas and a U of r columns."""
    rows = up(K + r, LANES)
    long, small, wide, tall = shape(2, 1, N), shape(2, K, M), shape(2, K, rows), shape(2, M, rows)
    return Space(
        g=gradient_layout(N, K, M, r),
        bar=Backwards(
            f=long, W=small, E=tall, PW=tall, Y=wide, P=wide, C=shape(2, K, K), c=shape(1, 1, M), g=small,
            step=long, small=small,
        ),
        f=shape(2 * (J + 1), 1, N), size=shape(1, 1, N), new=long,
    )  # fmt: skip


@kernel
def common_adjoint(bar: Backwards, g: Gradient, W: Planes, kappa: Any, noise: Any, exact: bool) -> None:
    """From P̄ to Ȳ, and what E and W get of it: Ē = Ȳ Wᴴ, W̄ += Eᴴ Ȳ."""
    beam_rows(bar.Y, kappa, bar.P)
    rate_adjoint(bar.Y, bar.P, g.Y, noise, exact, 0)
    times_adjoint(bar.E, bar.Y, W, W.shape[2])
    add_inner(bar.W, one(W), g.E, bar.Y)


@kernel
def inner_adjoint(
    bar: Backwards, g: Gradient, f: Planes, W: Planes, blocks: NDArray[np.int64], mu: Any, kappa: Any,
    noise: Any,
) -> Any:  # fmt: skip
    """Adjoint of one step of (23b): f̄ for the new f becomes the old one's; returns μ̄."""
    each, back = bar.c, g.c
    analog_gradient(g, f, W, blocks, kappa, noise)
    mu_bar, _ = dot(bar.f, 0, g.f, 0)
    # G = V_n (P Wᴴ)_m − c_m f_n for Ḡ = μ f̄
    gather(bar.PW, g.A, bar.f, blocks)
    scale_add(bar.PW, mu, like(f, 0.0), g.PW)
    inner_by_chain(bar.c, bar.f, f, blocks)
    each *= -mu
    # P Wᴴ
    combine(bar.P, bar.PW, W, W.shape[2])
    add_inner(bar.W, one(W), bar.PW, g.P)
    # c_m = κ w_m C w_mᴴ and C = Wᴴ D W
    add_scaled_rows(bar.W, kappa + kappa, bar.c, g.WC)
    each *= kappa
    weighted_gram(bar.C, bar.c, W)
    rows_times(bar.small, W, bar.C)
    add_scaled_rows(bar.W, one(W) + one(W), g.D, bar.small)
    row_inner(bar.c, one(W) + one(W), bar.small, W)
    common_adjoint(bar, g, W, kappa, noise, True)
    # f̄, with −c_m in `back`
    spread(bar.step, g.A, bar.E, blocks)
    add_by_chain(bar.step, bar.c, f, blocks)
    back *= mu
    add_by_chain(bar.step, g.c, bar.f, blocks)
    scale_add(bar.f, one(f), one(f), bar.step)
    return mu_bar


@kernel
def hermitian_inner(C: Planes, A: Planes, B: Planes) -> None:
    """C = Aᴴ B + Bᴴ A for A, B (M, K)."""
    for a in range(A.shape[1]):
        for b in range(A.shape[1]):
            re, im = like(A, 0.0), like(A, 0.0)
            for m in range(A.shape[2]):
                re += A[0, a, m] * B[0, b, m] + A[1, a, m] * B[1, b, m]
                re += B[0, a, m] * A[0, b, m] + B[1, a, m] * A[1, b, m]
                im += A[0, a, m] * B[1, b, m] - A[1, a, m] * B[0, b, m]
                im += B[0, a, m] * A[1, b, m] - B[1, a, m] * A[0, b, m]
            C[0, b, a], C[1, b, a] = re, im


@kernel
def digital_adjoint(
    bar: Backwards, g: Gradient, W: Planes, lam: Any, kappa: Any, power: Any, noise: Any, exact: bool
) -> Any:
    """Adjoint of (24) and (12): W̄ for the new W becomes the old one's, and f̄'s part is in Ē; returns λ̄.

    g is that of `digital_gradient`. D is a constant here: |f_n| = 1 behind the projection (10), whose adjoint
    drops what f̄ has along f.
    """
    stepped = bar.small
    small_copy(stepped, W)
    small_scale_add(stepped, one(W), lam, g.W)
    norm2 = power_of(g.D, stepped)
    root = np.sqrt(power / norm2)
    along = real_inner(bar.W, stepped) * root / norm2
    small_scale_add(bar.W, root, like(W, 0.0), stepped)
    add_scaled_rows(bar.W, -along, g.D, stepped)
    lam_bar = real_inner(bar.W, g.W)
    erase(bar.g)
    small_scale_add(bar.g, one(W), lam, bar.W)
    # ∇_W = Eᴴ P − κ D W C
    combine(bar.P, g.E, bar.g, W.shape[2])
    common_adjoint(bar, g, W, kappa, noise, exact)
    add_times_adjoint(bar.E, one(W), g.P, bar.g)
    erase(bar.small)
    add_scaled_rows(bar.small, -kappa, g.D, bar.g)
    hermitian_inner(bar.C, W, bar.small)
    rows_times(bar.g, bar.small, g.C)
    small_scale_add(bar.W, one(W), one(W), bar.g)
    rows_times(bar.small, W, bar.C)
    add_scaled_rows(bar.W, one(W), g.D, bar.small)
    return lam_bar


@kernel
def backward(
    batch: Connected, steps: Steps, path: Points, bars: Points, done: NDArray[np.int64], mu_bar: Planes,
    lam_bar: Planes, first: int, last: int, buffer: Planes,
) -> None:  # fmt: skip
    """`adjoint.backward` on these networks: F is (B, I + 1, 2, 1, N), f in the order of the blocks."""
    H, U, omega, power, place, blocks = batch
    mu, lam, eta, noise, exact = steps
    K, M, N, J = H.shape[2], path.W.shape[4], path.F.shape[4], mu.shape[1]
    g, bar, f, size, new = carve(buffer, layout(N, K, M, U.shape[1], J))
    for b in range(first, last):
        block = blocks[b]
        load_rows(g.A, H[b], U, np.sqrt(power[b]), place[b])
        erase(
            g.f
        )  # behind the last block nothing is written, and there the last channel's blocks may have been
        erase(bar.step)
        copy(bar.f, bars.F[b, done[b]], 1)
        small_copy(bar.W, bars.W[b, done[b]])
        kappa = omega[b] + omega[b]
        for i in range(done[b] - 1, -1, -1):
            W, after = path.W[b, i], path.F[b, i + 1]
            digital_gradient(g, after, W, block, kappa * eta, noise, exact)
            lam_bar[b, i] = digital_adjoint(bar, g, W, lam[i], kappa * eta, power[b], noise, exact)
            spread(bar.step, g.A, bar.E, block)
            scale_add(bar.f, one(W), one(W), bar.step)
            # The inner steps once more.
            copy(f[:2], path.F[b, i], 1)
            for j in range(J):
                analog_gradient(g, f[2 * j : 2 * j + 2], W, block, kappa, noise)
                copy(f[2 * j + 2 : 2 * j + 4], f[2 * j : 2 * j + 2], 1)
                scale_add(f[2 * j + 2 : 2 * j + 4], one(W), mu[i, j], g.f)
            unit(new, size, f[2 * J :], path.F[b, i])
            copy(bar.step, bar.f, 1)
            unit_adjoint(bar.f, bar.step, after, size)
            for j in range(J - 1, -1, -1):
                here = f[2 * j : 2 * j + 2]
                mu_bar[b, i, j] = inner_adjoint(bar, g, here, W, block, mu[i, j], kappa, noise)
            scale_add(bar.f, one(W), one(W), bars.F[b, i])
            small_scale_add(bar.W, one(W), one(W), bars.W[b, i])
        copy(bars.F[b, 0], bar.f, 1)
        bars.W[b, 0] = bar.W
