"""How a search for a local maximum of R − ω τ over {F, W} ends: how stationary, nowhere below start (26)."""

from __future__ import annotations

import torch
from torch import Tensor

from beamfold.objective import Measured, inner_product
from beamfold.optim.few_bits import on_levels
from beamfold.result import Design, Fault, Status, finish, where_fault
from beamfold.scenario import Scenario
from beamfold.start import Point, least_norm, proposed

ROUNDING = 1e-9
"""Relative difference of R − ω τ up to which a point and the start (26) count as equally good."""
STATIONARY = 1e-4
"""The `residual` at which a design counts as converged."""


def residual(s: Scenario, F: Tensor, W: Tensor) -> Tensor:
    """‖[∂f/∂∠F, ‖W‖ · 2 ∂f/∂W*]‖ / (1 + |f|) (…), f = (R − ω τ) of F W at power P_t whatever W's scale.

    Zero where and only where {F, W} is stationary for (8), or for R + ω c of another goal.
    """
    X = F @ W
    return _residual(s, Point(F, W), X, s.measure(X))


def _residual(s: Scenario, point: Point, X: Tensor, measured: Measured) -> Tensor:
    """`residual` from the figures of X = F W that are at hand."""
    F, W = point
    G = measured.gradient
    G = G - (inner_product(X, G) / s.power)[..., None, None] * X
    on_F = (F.conj() * (G @ W.mH)).imag  # half of each, as of on_W
    on_W = torch.linalg.matrix_norm(F.mH @ G) * torch.linalg.matrix_norm(W)
    value = measured.rate - s.weight * measured.tau if s.goal is None else s.objective(X)
    return 2 * torch.hypot(torch.linalg.matrix_norm(on_F), on_W) / (1 + value.abs())


def start_where_better(s: Scenario, point: Point, threads: int | None = None) -> tuple[Point, Tensor]:
    """Per channel the point, or the paper's start (26) where that has the higher R − ω τ.

    A comparison by Gram matrices, compiled on the CPU, settles nearly every channel in a few microseconds;
    the others, such as users with equal channels, are compared by the pseudo-inverses of (26), the point with
    its `least_norm`: the former is sure of no point whose F W cancels so much.

    Returns:
        The point and, (…) bool, where it is the start.
    """
    from beamfold.kernels.fast_guard import known_above_start
    from beamfold.optim import above_start

    on_cpu = s.H.device.type == "cpu"
    known = known_above_start(s, point, threads) if on_cpu else above_start.known_above_start(s, point)
    if known.all():
        return point, ~known
    open_still, taken = ~known, torch.zeros_like(known)
    part = s[open_still]
    start, mine = proposed(part), least_norm(Point(point.F[open_still], point.W[open_still]), part.power)
    ours, theirs = part.objective(mine.F @ mine.W), part.objective(start.F @ start.W)
    lost = ~(ours >= theirs - ROUNDING * (1 + theirs.abs()))  # also where the point is not finite
    taken[open_still] = lost
    F, W = point.F.clone(), point.W.clone()
    W[open_still] = mine.W
    F[taken], W[taken] = start.F[lost], start.W[lost]
    return Point(F, W), taken


def conclude_search(
    s: Scenario,
    method: str,
    point: Point,
    *,
    threads: int | None = None,
    iterations: Tensor | None = None,
    kicks: int = 0,
) -> Design:
    """The design of a point, or of the paper's start (26) where that is better; CONVERGED if stationary.

    With few bits the point, of continuous phases, is brought onto the levels; nothing is then claimed of it.
    """
    if s.network.bits is not None:
        F, W = on_levels(s, least_norm(point, s.power), kicks=kicks, threads=threads)
        return finish(s, method, F, W, status=Status.ITERATION_LIMIT, iterations=iterations)
    (F, W), start = start_where_better(s, point, threads)
    X = F @ W
    measured = s.measure(X)
    left = _residual(s, Point(F, W), X, measured)
    status = torch.where(left <= STATIONARY, int(Status.CONVERGED), int(Status.ITERATION_LIMIT))
    faults = where_fault(start, Fault.START_RETURNED)
    return finish(
        s, method, F, W, X=X, measured=measured, status=status, faults=faults, residual=left,
        iterations=iterations,
    )  # fmt: skip
