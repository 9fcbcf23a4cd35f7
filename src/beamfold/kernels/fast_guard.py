r"""No design of a single channel below the start (26): the promise of the batch, kept in a few microseconds.

f of the design and of (26) are compared in float64 with Ψ ≈ U Uᴴ, where all but H is ready. (26) needs no
pseudo-inverse there: with Gram matrices, factors L Lᴴ,

    W = F^† H^† = (Fᴴ F)⁻¹ (Fᴴ Hᴴ) (H Hᴴ)⁻¹,

good to 1e-16 times the conditions of both. What U leaves out of Ψ moves the difference of the two f by no
more than 2 ω P_t² ‖Ψ − U Uᴴ‖₂. Where that could decide, where a Gram matrix is near singular or the channel
so strong that rounding is no longer below the noise, both points are measured without short cuts.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.errors import InputError
from beamfold.kernels.fast_design import sizes
from beamfold.kernels.fast_lanes import inner
from beamfold.kernels.fast_objective import by_chains, set_masks
from beamfold.kernels.fast_start import cholesky, solve, solve_adjoint
from beamfold.kernels.rows import kernel
from beamfold.scenario import Scenario
from beamfold.sensing import Sensing
from beamfold.start import CANCELS, Point, least_norm, proposed
from beamfold.threads import parallel_for

Complex = NDArray[np.complex128]
LEFT_OUT = 1e-3
"""Eigenvalues of Ψ below this fraction of the largest are left out of U."""
PIVOTS = 1e-4
"""What `pivots` tells of a Gram matrix down to which its inverse is trusted: errors of 1e-12."""
STRONGEST = 1e12
"""P_t ‖h_k‖²/σ² up to which the interference that rounding leaves is far below the noise."""


@kernel
def put(V, column, source, gain):
    """A column of V = gain · source (N,); ‖·‖²."""
    total = 0.0
    for n in range(len(source)):
        re, im = gain * source[n].real, gain * source[n].imag
        V[0, column, n], V[1, column, n] = re, im
        total += re * re + im * im
    return total


@kernel
def phases(V, column, source, antennas):
    """A column of V = e^{j∠} of column `source`, ±1 where that is ±0."""
    for n in range(antennas):
        re, im = V[0, source, n], V[1, source, n]
        size = np.sqrt(re * re + im * im)
        V[0, column, n] = re / size if size > 0 else math.copysign(1.0, re)
        V[1, column, n] = im / size if size > 0 else 0.0


@kernel
def pivots(A, n, o):
    """Smallest pivot L_jj² over the largest, or over its row's Σ_i |L_ji|² if that is less; 0 for NaN.

    L is what `cholesky` left in A. The row tells of a column that the weaker ones before it leave nothing of.
    """
    least, most, share = np.inf, 0.0, 1.0
    for j in range(n):
        p = row = A[0, j, o + j] * A[0, j, o + j]
        if not p > 0:
            return 0.0
        for i in range(j):
            row += A[0, i, o + j] * A[0, i, o + j] + A[1, i, o + j] * A[1, i, o + j]
        least, most, share = min(least, p), max(most, p), min(share, p / row)
    return min(least / most, share) if most < np.inf else 0.0


@kernel
def start(W, G, Q, T, V, C, K, M, o):
    """W of (26) for the F and H that V holds, C = Vᴴ F; how far both Gram matrices are from singular."""
    inner(G, V, V.shape[1], V, o, K)
    cholesky(G, K, o, 0.0)
    inner(Q, V, Q.shape[2], V, 0, M)
    cholesky(Q, M, 0, 0.0)
    for z in range(2):
        for m in range(M):
            for k in range(K):
                T[z, m, k] = C[z, m, o + k]
    solve(G, K, o, T, M)
    solve_adjoint(G, K, o, T, M)
    for m in range(M):
        for k in range(K):
            W[0, k, m], W[1, k, m] = T[0, m, k], -T[1, m, k]
    solve(Q, M, 0, W, K)
    solve_adjoint(Q, M, 0, W, K)
    return min(pivots(G, K, o), pivots(Q, M, 0))


@kernel
def gain_over_start(F, W, H, extra, power, root, setting, V, C, Y, E, S, N3, g, Wp, G, Q, T, masks):
    """f of {F, W} less f of the start (26), −∞ where that is not known well enough; NaN where F, W are."""
    K, N = H.shape
    M, o = F.shape[1], C.shape[1]
    strongest, size = 0.0, 0.0
    for k in range(K):
        strongest = max(strongest, put(V, o + k, H[k].conj(), root))
    for m in range(M):
        put(V, m, F[:, m], 1.0)
        for k in range(K):
            Wp[0, k, m], Wp[1, k, m] = W[m, k].real, W[m, k].imag
            size += W[m, k].real ** 2 + W[m, k].imag ** 2
    inner(C, V, V.shape[1], V, 0, M)
    f = by_chains(g, E, N3, Y, S, C, Wp, masks, setting)
    for k in range(K):
        phases(V, k, o + k, N)
    for m in range(K, M):
        put(V, m, extra[:, m - K], 1.0)
    inner(C, V, V.shape[1], V, 0, M)
    trust = start(Wp, G, Q, T, V, C, K, M, o)
    if not (trust > PIVOTS and strongest < STRONGEST and N * M * size < CANCELS**2 * power):
        return -np.inf
    return f - by_chains(g, E, N3, Y, S, C, Wp, masks, setting)


class Guard:
    """The start (26) of one deployment, and whether a design is above it.

    Args:
        radar: Ψ.
        users: K.
        chains: M.
        power: P_t, linear.
        weight: ω.
        noise: σ².
    """

    def __init__(
        self, radar: Sensing, *, users: int, chains: int, power: float, weight: float, noise: float
    ) -> None:
        U, left_out = radar.factor(LEFT_OUT)
        N, K, M, r = *U.shape[:1], users, chains, U.shape[1]
        Np, Kq, Mq, _, D, columns = sizes(N, K, M, r)[:6]
        square = float(torch.linalg.matrix_norm(radar.Psi)) ** 2
        numbers = torch.tensor([power, weight], dtype=torch.float64)
        H = torch.zeros(K, N, dtype=torch.complex128)
        self._without = Scenario(H, radar, numbers[0], M, numbers[1], noise)
        self._fixed = power, weight
        self._noise, self._square, self._left_out = noise, square, left_out
        extra = proposed(self._without).F[:, K:].resolve_conj().numpy()
        self._extra = np.ascontiguousarray(extra)
        room = lambda *shape: np.zeros(shape)  # noqa: E731
        V, masks = room(2, columns, Np), room(3, K, D)
        planes = U.mT.resolve_conj().numpy()
        V[0, Mq + K : Mq + K + r, :N], V[1, Mq + K : Mq + K + r, :N] = planes.real, planes.imag
        set_masks(masks, Mq, K, r)
        self._space: tuple[Any, ...] = (
            V, room(2, Mq, D), room(2, Kq, D), room(2, Kq, D), room(2, Kq, Kq), room(2, K, Kq),
            room(2, K, Mq), room(2, K, Mq), room(2, Kq, D), room(2, Mq, Mq), room(2, Mq, max(Kq, Mq)), masks,
        )  # fmt: skip
        nothing = np.zeros((N, M), np.complex128), np.zeros((M, K), np.complex128)
        self.above(*nothing, np.eye(K, N).astype(np.complex128), power, weight)  # compiles, or loads

    def for_a_thread(self) -> Guard:
        """The same with working space of its own."""
        other = copy(self)
        other._space = tuple(array.copy() for array in self._space)
        return other

    def margin(self, power: float, weight: float) -> float:
        """How far `gain` may be off: what U leaves out of Ψ, and rounding."""
        energy = weight * power * power
        # 1e-9 is float64's share of terms whose size is that of R and ω P_t² (1 + ‖Ψ‖)².
        return 2 * energy * self._left_out + 1e-9 * (1 + energy * (1 + math.sqrt(self._square)) ** 2)

    def gain(self, F: Complex, W: Complex, H: Complex, power: float, weight: float) -> float:
        """R − ω τ of {F, W} less that of (26) for H (K, N); −∞ where that is not known well enough."""
        figures = np.array([weight * power * power, self._square])
        root = math.sqrt(power / self._noise)
        return gain_over_start(F, W, H, self._extra, power, root, figures, *self._space)

    def above(self, F: Complex, W: Complex, H: Complex, power: float, weight: float) -> bool:
        """True where {F, W} is above (26) for H (K, N) for certain; False where that is to be looked at."""
        return bool(self.gain(F, W, H, power, weight) > self.margin(power, weight))

    def __call__(self, F: Complex, W: Complex, H: Complex) -> None:
        """Put (26) in the place of F (N, M), W (M, K) where that is better for H (K, N).

        Where F W cancels, W becomes the least one.

        Raises:
            InputError: a channel that holds NaN or Inf.
        """
        if self.above(F, W, H, *self._fixed):
            return
        if not np.isfinite(H).all():
            raise InputError("the channel holds NaN or Inf")
        s = replace(self._without, H=torch.from_numpy(H))
        point, start = least_norm(Point(torch.from_numpy(F), torch.from_numpy(W)), s.power), proposed(s)
        f, f0 = (float(s.objective(p.F @ p.W)) for p in (point, start))
        best = point if f >= f0 else start
        F[:], W[:] = best.F.numpy(), best.W.numpy()


@lru_cache(maxsize=4)
def _guard(radar: Sensing, users: int, chains: int, noise: float) -> Guard:
    """A `Guard` that serves any power and weight; its working space is copied for each thread."""
    return Guard(radar, users=users, chains=chains, power=1.0, weight=1.0, noise=noise)


def known_above_start(s: Scenario, point: Point, threads: int | None = None) -> Tensor:
    """(…) bool: where a point of each channel of a scenario is above the start (26) for certain.

    Where it is not known, the two objectives have to be compared; see this module's docstring.
    """
    count, K, M, N = math.prod(s.batch), s.users, s.chains, s.antennas
    H = np.ascontiguousarray(s.H.resolve_conj().numpy().reshape(count, K, N), np.complex128)
    F, W = (z.resolve_conj().numpy().reshape(count, *z.shape[-2:]) for z in point)
    power, weight = (t.expand(s.batch).reshape(count).tolist() for t in (s.power, s.weight))
    guard = _guard(s.radar, K, M, s.noise)
    above = np.zeros(count, np.bool_)

    def work(first: int, last: int) -> None:
        mine = guard.for_a_thread()
        for b in range(first, last):
            above[b] = mine.above(F[b], W[b], H[b], power[b], weight[b])

    parallel_for(work, count, threads)
    return torch.from_numpy(above.reshape(s.batch))
