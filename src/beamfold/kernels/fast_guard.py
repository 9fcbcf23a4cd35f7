r"""No design of a single channel is worse than the start (26), at a cost of a few microseconds.

f of the design and of (26) are compared in float64 with Ψ ≈ U Uᴴ, where all but H is ready. What U leaves
out of Ψ moves the difference of the two f by no more than 2 ω P_t² ‖Ψ − U Uᴴ‖₂. Where that could decide,
where `proposed` does not trust a Gram matrix, where the connections of a dynamic network are to be chosen, or
where the channel is so strong that rounding is no longer below the noise, both points are measured without
short cuts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.errors import InputError
from beamfold.kernels.compiled import direct
from beamfold.kernels.fast_objective import by_chains, set_masks
from beamfold.kernels.fast_workspace import Objective, Problem, objective_layout, sizes
from beamfold.kernels.goal_form import goal_form, problem_for
from beamfold.kernels.linalg import Planes, copy, inner, kernel
from beamfold.kernels.planes import plain, to_planes
from beamfold.kernels.proposed import PIVOTS, Mask, Start, analog_part, digital_part, put, start_layout
from beamfold.kernels.workspace import Buffers, carve, shape
from beamfold.networks import Network
from beamfold.radar.goal import Goal
from beamfold.scenario import Scenario
from beamfold.sensing import Sensing
from beamfold.start import CANCELS, Point, least_norm, proposed
from beamfold.threads import parallel_for

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]
LEFT_OUT = 1e-3
"""Eigenvalues of Ψ below this fraction of the largest are left out of U."""
STRONGEST = 1e12
"""P_t ‖h_k‖²/σ² up to which the interference that rounding leaves is far below the noise."""


class Space(NamedTuple):
    """What a comparison with (26) is computed in."""

    start: Start
    objective: Objective
    g: Planes
    """(2, K, M), df/dW*, which is of no use here."""


@kernel
def layout(N: int, K: int, M: int, r: int) -> Space:
    """The shapes of a `Space`."""
    p = sizes(N, K, M, r)
    return Space(
        start=start_layout(p, K),
        objective=objective_layout(p, K),
        g=shape(2, K, p.M),
    )


class Reference(NamedTuple):
    """What (26) of every channel has in common."""

    U: Planes
    """(2, r, N padded), Ψ ≈ U Uᴴ, or the columns of another goal than τ."""
    extra: Complex
    """(N, M − K), the columns that (26) adds to the channels."""
    mask: Mask
    """(N, M), 1 where an antenna is connected to a chain."""
    problem: Problem
    """The numbers of (8) but for `numbers` of each channel."""


@kernel
def gain_over_start(
    F: Complex, W: Complex, H: Complex, reference: Reference, problem: Problem, buffer: Planes
) -> float:
    """f of {F, W} less f of the start (26) for one channel, see `gains_over_start`."""
    U, extra, mask, _ = reference
    K, N = H.shape
    M, r = F.shape[1], U.shape[1]
    start, objective, g = carve(buffer, layout(N, K, M, r))
    V, T, W_planes = start.V, start.T, start.W
    o = T.shape[1]
    set_masks(objective.masks, o, K, r)
    copy(V[:, o + K :], U, r)
    strongest, size = 0.0, 0.0
    for k in range(K):
        strongest = max(strongest, put(V, o + k, H[k].conj(), problem.gain))
    for m in range(M):
        put(V, m, F[:, m], 1.0)
        for k in range(K):
            W_planes[0, k, m], W_planes[1, k, m] = W[m, k].real, W[m, k].imag
            size += W[m, k].real ** 2 + W[m, k].imag ** 2
    inner(T, V, V.shape[1], V, 0, M)
    f = by_chains(g, T, W_planes, objective, problem)
    analog_part(start, extra, mask, K)
    inner(T, V, V.shape[1], V, 0, M)
    trust = digital_part(start, K, M)
    if not (trust > PIVOTS and strongest < STRONGEST and N * M * size < CANCELS**2 * problem.power):
        return -np.inf
    return f - by_chains(g, T, W_planes, objective, problem)


@kernel
def gains_over_start(
    F: Complex, W: Complex, H: Complex, numbers: Real, reference: Reference, buffer: Planes, gains: Real
) -> None:
    """f of {F, W} less f of (26), −∞ where that is not known well enough; NaN where F, W are.

    Args:
        F: (B, N, M).
        W: (B, M, K).
        H: (B, K, N).
        numbers: (B, 3), power, gain and omega of `Problem`.
        reference: what the channels have in common.
        buffer: for the arrays of `layout`, zero before the first call.
        gains: (B,), filled.
    """
    square, sensed = reference.problem.square, reference.problem.sensed
    for b in range(len(H)):
        problem = Problem(numbers[b, 0], numbers[b, 1], numbers[b, 2], square, sensed)
        gains[b] = gain_over_start(F[b], W[b], H[b], reference, problem, buffer)


class Guard:
    """The start (26) of one deployment, and whether a design is above it.

    Args:
        radar: Ψ.
        users: K.
        network: the analog network, M chains.
        power: P_t, linear.
        weight: ω.
        noise: σ².
        goal: another goal than τ.
    """

    def __init__(
        self,
        radar: Sensing,
        *,
        users: int,
        network: Network,
        power: float,
        weight: float,
        noise: float,
        goal: Goal | None = None,
    ) -> None:
        form = None if goal is None else goal_form(goal)
        U, left_out = radar.factor(LEFT_OUT) if form is None else (torch.from_numpy(form.columns), 0.0)
        N, K, M, r = *U.shape[:1], users, network.chains, U.shape[1]
        numbers = torch.tensor([power, weight], dtype=torch.float64)
        H = torch.zeros(K, N, dtype=torch.complex128)
        self._without = Scenario(H, radar, numbers[0], M, numbers[1], noise, network=network, goal=goal)
        self._fixed = [power], [weight]
        self._noise, self._left_out = noise, left_out
        self._square = radar.square
        extra = proposed(self._without).F[:, K:].resolve_conj().numpy()
        self._extra = np.ascontiguousarray(extra)
        self._mask = np.ascontiguousarray(network.mask.numpy(), np.float64)
        p = sizes(N, K, M, r)
        self._goal, self._first = goal, p.M + K
        self._U = to_planes(U.mT.resolve_conj().numpy(), p.N, np.float64)
        self._buffers = Buffers(layout(N, K, M, r), np.float64)
        self._ready = self._inputs(*self._fixed) if goal is None else None
        self._least = self.margin(power, weight)
        self._direct: Any = gains_over_start
        nothing = np.zeros((1, N, M), np.complex128), np.zeros((1, M, K), np.complex128)
        users_alone = np.eye(K, N).astype(np.complex128)[None]
        self.gains(*nothing, users_alone, *self._fixed, ours=True)  # compiles, or loads

    def margin(self, power: float, weight: float) -> float:
        """How far `gains` may be off: what U leaves out of Ψ, and rounding."""
        energy = weight * power * power if self._goal is None else weight
        # 1e-9 is float64's share of terms whose size is that of R and ω P_t² (1 + ‖Ψ‖)².
        return 2 * energy * self._left_out + 1e-9 * (1 + energy * (1 + math.sqrt(self._square)) ** 2)

    def _inputs(self, power: Sequence[float], weight: Sequence[float]) -> tuple[Real, Reference]:
        """What the kernel takes; one thread at a time may use it with another goal than τ."""
        problem = problem_for(
            power[0], self._noise, weight[0], self._square, self._goal, self._first, np.float64
        )
        of_tau = self._goal is None
        pairs = zip(power, weight, strict=True)
        numbers = [(p, math.sqrt(p / self._noise), w * p * p if of_tau else 0.0) for p, w in pairs]
        return np.array(numbers), Reference(self._U, self._extra, self._mask, problem)

    def gains(
        self, F: Complex, W: Complex, H: Complex, power: Sequence[float], weight: Sequence[float],
        inputs: tuple[Real, Reference] | None = None, *, ours: bool = False,
    ) -> Real:  # fmt: skip
        """R − ω τ of {F, W} less that of (26) for H (B, K, N), P_t and ω (B,); −∞ where it is not known.

        With another goal than τ all have one ω. With `ours` the arrays are known to be contiguous
        and aligned, of complex128: see `compiled.direct`.
        """
        found = np.full(len(H), -math.inf)
        if self._without.network.dynamic:  # (26) then chooses the connections, for which there is no kernel
            return found
        numbers, reference = self._inputs(power, weight) if inputs is None else inputs
        with self._buffers.lent() as buffer:
            run = self._direct if ours else gains_over_start
            run(F, W, H, numbers, reference, buffer, found)
            if ours and run is gains_over_start:
                self._direct = direct(gains_over_start, F, W, H, numbers, reference, buffer, found)
        return found

    def gain(self, F: Complex, W: Complex, H: Complex, power: float, weight: float) -> float:
        """`gains` of one channel."""
        return float(self.gains(F[None], W[None], H[None], [power], [weight])[0])

    def above(
        self, F: Complex, W: Complex, H: Complex, power: Sequence[float], weight: Sequence[float]
    ) -> NDArray[np.bool_]:
        """(B,): True where {F, W} is above (26) for certain; False where that is to be looked at.

        The arrays are contiguous and aligned, of complex128.
        """
        least = np.array([self.margin(p, w) for p, w in zip(power, weight, strict=True)])
        sure: NDArray[np.bool_] = self.gains(F, W, H, power, weight, ours=True) > least
        return sure

    def __call__(self, F: Complex, W: Complex, H: Complex) -> None:
        """Put (26) in the place of F (N, M), W (M, K) where that is better for H (K, N).

        Where F W cancels, W becomes the least one.

        Raises:
            InputError: a channel that holds NaN or Inf.
        """
        one, other, channel = (plain(z)[None] for z in (F, W, H))
        if self.gains(one, other, channel, *self._fixed, self._ready, ours=True)[0] > self._least:
            return
        if not np.isfinite(H).all():
            raise InputError("the channel holds NaN or Inf")
        s = replace(self._without, H=torch.from_numpy(H))
        point, start = least_norm(Point(torch.from_numpy(F), torch.from_numpy(W)), s.power), proposed(s)
        f, f0 = (float(s.objective(p.F @ p.W)) for p in (point, start))
        best = point if f >= f0 else start
        F[:], W[:] = best.F.numpy(), best.W.numpy()


@lru_cache(maxsize=4)
def _guard(radar: Sensing, users: int, network: Network, noise: float, goal: Goal | None) -> Guard:
    """A `Guard` that serves any power and weight, and several threads."""
    return Guard(radar, users=users, network=network, power=1.0, weight=1.0, noise=noise, goal=goal)


def known_above_start(s: Scenario, point: Point, threads: int | None = None) -> Tensor:
    """(…) bool: where a point of each channel of a scenario is above the start (26) for certain.

    Where it is not known, the two objectives have to be compared; see this module's docstring.
    """
    count = math.prod(s.batch)
    arrays = (z.resolve_conj().numpy().reshape(count, *z.shape[-2:]) for z in (*point, s.H))
    F, W, H = (plain(z) for z in arrays)
    power, weight = (t.expand(s.batch).reshape(count).tolist() for t in (s.power, s.weight))
    guard = _guard(s.radar, s.users, s.network, s.noise, s.goal)
    above = np.zeros(count, np.bool_)
    each = s.goal is not None and weight != weight[:1] * count

    def work(first: int, last: int) -> None:
        for a, b in [(b, b + 1) for b in range(first, last)] if each else [(first, last)]:
            above[a:b] = guard.above(F[a:b], W[a:b], H[a:b], power[a:b], weight[a:b])

    parallel_for(work, count, threads)
    return torch.from_numpy(above.reshape(s.batch))
