r"""Algorithm 1 compiled for networks that connect every antenna to one chain: N phases instead of N M.

Antenna n of chain m(n) has one number f_n, and row n of X = F W is f_n w_m(n), w_m being the rows of W. So
with V = [h_1 … h_K, √P_t U] (N × (K + r))

    E_m = Σ_{n of m} V_nᴴ f_n  (column m of Vᴴ F),   D_m = Σ_{n of m} |f_n|²,
    Y = Vᴴ X = E W,            C = Xᴴ X = Wᴴ D W,
    ∇_X (R − ω τ) = V P − 2ω X C,     P = [A ∘ (Eq. 4's powers); 2ω √P_t Uᴴ X] from Y, as in `coordinates`,
    f_n ← f_n + μ (V_n (P Wᴴ)_m − c_m f_n),    c_m = 2ω w_m C w_mᴴ                               (23b)
    ∇_W = Eᴴ P − 2ωη D W C                                                                      (24)

exactly. An inner step costs 2 N (K + r) products for E and V, and 2 (K + r) M K for Y and P Wᴴ. The basis of
`coordinates` has no use here: with a Gram matrix for every chain a step would cost M (K + r + 1)² products.

The antennas of a chain stand together, in blocks whose lengths are padded with zeros to multiples of 4.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.coordinates import rate_rows
from beamfold.kernels.layers import Points, Steps, healthy
from beamfold.kernels.linalg import (
    Planes,
    add_inner,
    combine,
    copy,
    erase,
    inner,
    kernel,
    one,
    scale_add,
    small_copy,
    small_scale_add,
    times_adjoint,
)
from beamfold.kernels.phases import unit
from beamfold.kernels.planes import up
from beamfold.kernels.simd import LANES, like, load, multiply, splat, store
from beamfold.kernels.workspace import carve, shape


class Connected(NamedTuple):
    """Channels, what belongs to each, and what each antenna is connected to; the first four as in `Batch`."""

    H: Planes
    """(B, 2, K, N)."""
    U: Planes
    """(2, r, N), Ψ ≈ U Uᴴ at unit power."""
    omega: Planes
    """(B,), ω."""
    power: Planes
    """(B,), P_t."""
    place: NDArray[np.int64]
    """(B, N), where antenna n stands among the blocks."""
    blocks: NDArray[np.int64]
    """(B, M + 1), where the block of each chain begins, and the end of the last."""


class Gradient(NamedTuple):
    """What the gradients in f and W are computed from and in."""

    A: Planes
    """(2, N, K + r), Vᴴ: row n of V, conjugated, is column n of it."""
    E: Planes
    """(2, M, K + r), Vᴴ F."""
    D: Planes
    """(1, 1, M), Σ |f_n|² of each chain."""
    Y: Planes
    """(2, K, K + r), Vᴴ X."""
    P: Planes
    """(2, K, K + r)."""
    PW: Planes
    """(2, M, K + r), P Wᴴ."""
    C: Planes
    """(2, K, K), Xᴴ X."""
    WC: Planes
    """(2, K, M), W C."""
    c: Planes
    """(1, 1, M), −c_m."""
    f: Planes
    """(2, 1, N), the gradient in f."""
    W: Planes
    """(2, K, M), the gradient in W."""


class Space(NamedTuple):
    """What the layers are computed in."""

    g: Gradient
    f: Planes
    """(2, 1, N), f̂ of the inner steps."""
    new: Planes
    """(2, 1, N), f̂ / |f̂|."""
    size: Planes
    """(1, 1, N), |f̂|."""
    W: Planes
    """(2, K, M), the new W until it is known to be finite."""


@kernel
def gradient_layout(N: int, K: int, M: int, r: int) -> Gradient:
    """The shapes of a `Gradient`."""
    rows = up(K + r, LANES)
    wide, small, tall, each = shape(2, K, rows), shape(2, K, M), shape(2, M, rows), shape(1, 1, M)
    return Gradient(
        A=shape(2, N, rows), E=tall, D=each, Y=wide, P=wide, PW=tall, C=shape(2, K, K), WC=small, c=each,
        f=shape(2, 1, N), W=small,
    )  # fmt: skip


@kernel
def layout(N: int, K: int, M: int, r: int) -> Space:
    """The shapes of a `Space`, for N padded antennas and a U of r columns."""
    long = shape(2, 1, N)
    return Space(
        g=gradient_layout(N, K, M, r), f=long, new=long, size=shape(1, 1, N), W=shape(2, K, M)
    )  # fmt: skip


@kernel
def load_rows(A: Planes, H: Planes, U: Planes, root_power: Any, place: NDArray[np.int64]) -> None:
    """Vᴴ = [H; √P_t Uᴴ], its columns in the order of the blocks."""
    K = H.shape[1]
    erase(A)
    for n in range(len(place)):
        for k in range(K):
            A[0, place[n], k] = H[0, k, n]
            A[1, place[n], k] = H[1, k, n]
        for r in range(U.shape[1]):
            A[0, place[n], K + r] = root_power * U[0, r, n]
            A[1, place[n], K + r] = -root_power * U[1, r, n]


@kernel
def gather(E: Planes, A: Planes, f: Planes, blocks: NDArray[np.int64]) -> None:
    """E = Vᴴ F: column m is the sum of Vᴴ f over the antennas of chain m."""
    for m in range(E.shape[1]):
        here = slice(blocks[m], blocks[m + 1])
        combine(E[:, m : m + 1], A[:, here], f[:, :, here], blocks[m + 1] - blocks[m])


@kernel
def spread(out: Planes, A: Planes, Q: Planes, blocks: NDArray[np.int64]) -> None:
    """out_n = V_n Q_m for the chain m of antenna n and column m of Q: the adjoint of `gather`."""
    for m in range(Q.shape[1]):
        here = slice(blocks[m], blocks[m + 1])
        inner(out[:, :, here], A[:, here], blocks[m + 1] - blocks[m], Q, m, 1)


@kernel
def add_by_chain(out: Planes, s: Planes, f: Planes, blocks: NDArray[np.int64]) -> None:
    """out_n += s_m f_n for the chain m of antenna n."""
    for m in range(s.shape[2]):
        for n in range(blocks[m], blocks[m + 1]):
            out[0, 0, n] += s[0, 0, m] * f[0, 0, n]
            out[1, 0, n] += s[0, 0, m] * f[1, 0, n]


@kernel
def inner_by_chain(out: Planes, a: Planes, b: Planes, blocks: NDArray[np.int64]) -> None:
    """out_m = Re Σ a_n* b_n over the antennas n of chain m."""
    for m in range(out.shape[2]):
        value = like(a, 0.0)
        for n in range(blocks[m], blocks[m + 1]):
            value += a[0, 0, n] * b[0, 0, n] + a[1, 0, n] * b[1, 0, n]
        out[0, 0, m] = value


@kernel
def weighted_gram(C: Planes, s: Planes, W: Planes) -> None:
    """C = Wᴴ diag(s) W for W (M, K)."""
    K = W.shape[1]
    for a in range(K):
        for b in range(a, K):
            re, im = like(W, 0.0), like(W, 0.0)
            for m in range(W.shape[2]):
                ar, ai = s[0, 0, m] * W[0, a, m], s[0, 0, m] * W[1, a, m]
                re += ar * W[0, b, m] + ai * W[1, b, m]
                im += ar * W[1, b, m] - ai * W[0, b, m]
            C[0, b, a], C[1, b, a] = re, im
            C[0, a, b], C[1, a, b] = re, -im


@kernel
def rows_times(out: Planes, W: Planes, C: Planes) -> None:
    """out = W C for W (M, K) and C (K, K)."""
    for b in range(W.shape[1]):
        for m in range(W.shape[2]):
            re, im = like(W, 0.0), like(W, 0.0)
            for a in range(W.shape[1]):
                re += W[0, a, m] * C[0, b, a] - W[1, a, m] * C[1, b, a]
                im += W[0, a, m] * C[1, b, a] + W[1, a, m] * C[0, b, a]
            out[0, b, m], out[1, b, m] = re, im


@kernel
def row_inner(out: Planes, scale: Any, A: Planes, B: Planes) -> None:
    """out_m = scale Re (row m of A) (row m of B)ᴴ for A, B (M, K)."""
    for m in range(A.shape[2]):
        value = like(A, 0.0)
        for k in range(A.shape[1]):
            value += A[0, k, m] * B[0, k, m] + A[1, k, m] * B[1, k, m]
        out[0, 0, m] = scale * value


@kernel
def add_scaled_rows(out: Planes, scale: Any, s: Planes, A: Planes) -> None:
    """out += scale diag(s) A for A (M, K)."""
    for z in range(2):
        for k in range(A.shape[1]):
            for m in range(A.shape[2]):
                out[z, k, m] += scale * s[0, 0, m] * A[z, k, m]


@kernel
def beam_rows(out: Planes, kappa: Any, A: Planes) -> None:
    """out = κ A in the rows of U, 0 in those of the channels."""
    K = A.shape[1]
    for k in range(K):
        for d in range(0, A.shape[2], LANES):
            for z in range(2):
                store(out, z, k, d, multiply(splat(kappa, LANES), load(A, z, k, d, LANES)))
        for d in range(K):
            out[0, k, d] = out[1, k, d] = like(A, 0.0)


@kernel
def common(
    g: Gradient, f: Planes, W: Planes, blocks: NDArray[np.int64], kappa: Any, noise: Any, exact: bool
) -> None:
    """E, D, Y, C, W C and P, which both gradients are made of; κ = 2 ω, or 2 ω η."""
    gather(g.E, g.A, f, blocks)
    inner_by_chain(g.D, f, f, blocks)
    combine(g.Y, g.E, W, W.shape[2])
    weighted_gram(g.C, g.D, W)
    rows_times(g.WC, W, g.C)
    beam_rows(g.P, kappa, g.Y)
    rate_rows(g.P, g.Y, noise, exact, 0)


@kernel
def analog_gradient(
    g: Gradient, f: Planes, W: Planes, blocks: NDArray[np.int64], kappa: Any, noise: Any
) -> None:
    """g.f = V_n (P Wᴴ)_m − c_m f_n, the gradient of R − ω τ in the connected entries of F."""
    common(g, f, W, blocks, kappa, noise, True)
    times_adjoint(g.PW, g.P, W, W.shape[2])
    row_inner(g.c, -kappa, g.WC, W)
    spread(g.f, g.A, g.PW, blocks)
    add_by_chain(g.f, g.c, f, blocks)


@kernel
def digital_gradient(
    g: Gradient, f: Planes, W: Planes, blocks: NDArray[np.int64], kappa: Any, noise: Any, exact: bool
) -> None:
    """g.W = Eᴴ P − κ D W C, with κ = 2 ω η."""
    common(g, f, W, blocks, kappa, noise, exact)
    erase(g.W)
    add_inner(g.W, one(W), g.E, g.P)
    add_scaled_rows(g.W, -kappa, g.D, g.WC)


@kernel
def power_of(D: Planes, W: Planes) -> Any:
    """‖F W‖² = Σ_m D_m ‖w_m‖²."""
    value = like(W, 0.0)
    for k in range(W.shape[1]):
        for m in range(W.shape[2]):
            value += D[0, 0, m] * (W[0, k, m] * W[0, k, m] + W[1, k, m] * W[1, k, m])
    return value


@kernel
def forward(
    batch: Connected, at: Points, steps: Steps, alive: NDArray[np.bool_], done: NDArray[np.int64],
    path: Points, keep: bool, first: int, last: int, buffer: Planes,
) -> None:  # fmt: skip
    """`layers.forward` on these networks: F is (B, 2, 1, N), f in the order of the blocks."""
    H, U, omega, power, place, blocks = batch
    mu, lam, eta, noise, exact = steps
    K, M, N = H.shape[2], at.W.shape[3], at.F.shape[3]
    g, f, new, size, W = carve(buffer, layout(N, K, M, U.shape[1]))
    for b in range(first, last):
        fb, Wb, block = at.F[b], at.W[b], blocks[b]
        load_rows(g.A, H[b], U, np.sqrt(power[b]), place[b])
        erase(
            g.f
        )  # behind the last block nothing is written, and there the last channel's blocks may have been
        kappa = omega[b] + omega[b]
        done[b] = len(lam) if alive[b] else 0
        if keep:
            small_copy(path.F[b, 0], fb)
            small_copy(path.W[b, 0], Wb)
        for i in range(done[b]):
            copy(f, fb, 1)
            for j in range(mu.shape[1]):
                analog_gradient(g, f, Wb, block, kappa, noise)
                scale_add(f, one(f), mu[i, j], g.f)
            unit(new, size, f, fb)
            digital_gradient(g, new, Wb, block, kappa * eta, noise, exact)
            small_copy(W, Wb)
            small_scale_add(W, one(W), lam[i], g.W)
            norm2 = power_of(g.D, W)
            W *= np.sqrt(power[b] / norm2)
            if not healthy(new, W, size, norm2):
                done[b] = i
                break
            copy(fb, new, 1)
            small_copy(Wb, W)
            if keep:
                small_copy(path.F[b, i + 1], fb)
                small_copy(path.W[b, i + 1], Wb)
        if keep:
            for i in range(done[b] + 1, len(lam) + 1):
                small_copy(path.F[b, i], fb)
                small_copy(path.W[b, i], Wb)
