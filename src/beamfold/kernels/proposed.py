r"""The start (26) of one channel without a pseudo-inverse, and how far it can be trusted.

[F]_nm = e^{jϑ_nm} has the phases ϑ of G = [h_1, …, h_K, further columns]. With Gram matrices, factored as
L Lᴴ,

    W = F^† H^† = (Fᴴ F)⁻¹ (Fᴴ Hᴴ) (H Hᴴ)⁻¹,

good to 1e-16 times the conditions of both. `start.proposed` is the definition, which also holds where users
depend on one another.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.cholesky import cholesky, pivots, solve, solve_adjoint
from beamfold.kernels.fast_workspace import Sizes, sizes
from beamfold.kernels.linalg import Planes, inner, kernel
from beamfold.kernels.workspace import carve, shape

Complex = NDArray[np.complex128]
Mask = NDArray[np.float64]
PIVOTS = 1e-4
"""The least result of `pivots` for a Gram matrix whose inverse is used: its errors are then at most 1e-12."""


class Start(NamedTuple):
    """What (26) is computed in."""

    V: Planes
    """(2, D, N), [F, h_1 … h_K, …] by columns."""
    T: Planes
    """(2, M, D), Vᴴ F."""
    W: Planes
    """(2, K, M)."""
    HH: Planes
    """(2, K, D), the Gram matrix H Hᴴ at the coordinates of H."""
    FF: Planes
    """(2, M, M), the Gram matrix Fᴴ F."""
    A: Planes
    """(2, M, max(K, M)), (Fᴴ Hᴴ) (H Hᴴ)⁻¹."""


@kernel
def start_layout(p: Sizes, K: int) -> Start:
    """The shapes of a `Start`."""
    return Start(
        V=shape(2, p.columns, p.N),
        T=shape(2, p.M, p.D),
        W=shape(2, K, p.M),
        HH=shape(2, p.K, p.D),
        FF=shape(2, p.M, p.M),
        A=shape(2, p.M, max(p.K, p.M)),
    )


@kernel
def put(V: Planes, column: int, source: Complex, gain: float) -> float:
    """A column of V = gain · source (N,); ‖·‖²."""
    total = 0.0
    for n in range(len(source)):
        re, im = gain * source[n].real, gain * source[n].imag
        V[0, column, n], V[1, column, n] = re, im
        total += re * re + im * im
    return total


@kernel
def phases(V: Planes, column: int, source: int, antennas: int) -> None:
    """A column of V = e^{j∠} of column `source`, ±1 where that is ±0."""
    for n in range(antennas):
        re, im = V[0, source, n], V[1, source, n]
        size = np.sqrt(re * re + im * im)
        V[0, column, n] = re / size if size > 0 else math.copysign(1.0, re)
        V[1, column, n] = im / size if size > 0 else 0.0


@kernel
def digital_part(start: Start, K: int, M: int) -> float:
    """W of (26), of no certain scale, for the F and H that V and T hold.

    Returns:
        The smaller one of the results of `pivots` for the two Gram matrices.
    """
    V, T, W, HH, FF, A = start
    o = T.shape[1]
    inner(HH, V, V.shape[1], V, o, K)
    cholesky(HH, K, o, 0.0)
    inner(FF, V, FF.shape[2], V, 0, M)
    cholesky(FF, M, 0, 0.0)
    for z in range(2):
        for m in range(M):
            for k in range(K):
                A[z, m, k] = T[z, m, o + k]
    solve(HH, K, o, A, M)
    solve_adjoint(HH, K, o, A, M)
    for m in range(M):
        for k in range(K):
            W[0, k, m], W[1, k, m] = A[0, m, k], -A[1, m, k]
    solve(FF, M, 0, W, K)
    solve_adjoint(FF, M, 0, W, K)
    return min(pivots(HH, K, o), pivots(FF, M, 0))


@kernel
def analog_part(start: Start, extra: Complex, mask: Mask, K: int) -> None:
    """F of (26) as the first columns of V, for the users whose h_k V holds and `extra` (N, M − K).

    It is 0 where the mask (N, M) is.
    """
    V, (N, M) = start.V, mask.shape
    for k in range(K):
        phases(V, k, start.T.shape[1] + k, N)
    for m in range(K, M):
        put(V, m, extra[:, m - K], 1.0)
    for m in range(M):
        for n in range(N):
            V[0, m, n] *= mask[n, m]
            V[1, m, n] *= mask[n, m]


@kernel
def proposed_start(start: Start, extra: Complex, mask: Mask, K: int) -> float:
    """(26) for the users whose h_k V holds, the further columns `extra` (N, M − K) and the mask (N, M).

    F becomes the first columns of V, and T = Vᴴ F.

    Returns:
        How far it can be trusted: to rounding above `PIVOTS`.
    """
    M = mask.shape[1]
    analog_part(start, extra, mask, K)
    inner(start.T, start.V, start.V.shape[1], start.V, 0, M)
    return digital_part(start, K, M)


@kernel
def start_point(F: Complex, W: Complex, H: Complex, extra: Complex, mask: Mask, buffer: Planes) -> float:
    """Fill F (N, M) and W (M, K), of no certain scale, with (26) for H (K, N); how far it can be trusted.

    Args:
        F: (N, M), filled.
        W: (M, K), filled.
        H: (K, N).
        extra: (N, M − K), the further columns.
        mask: (N, M), 1 where an antenna is connected to a chain, else 0.
        buffer: for the arrays of `start_layout` with a Ψ of rank 0, zero before the first call.
    """
    K, N = H.shape
    M = F.shape[1]
    start = carve(buffer, start_layout(sizes(N, K, M, 0), K))
    V, T, W_planes = start.V, start.T, start.W
    for k in range(K):
        put(V, T.shape[1] + k, H[k].conj(), 1.0)
    trust = proposed_start(start, extra, mask, K)
    for m in range(M):
        for n in range(N):
            F[n, m] = complex(V[0, m, n], V[1, m, n])
        for k in range(K):
            W[m, k] = complex(W_planes[0, k, m], W_planes[1, k, m])
    return trust
