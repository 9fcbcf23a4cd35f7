"""The fast design of a band as a search for a local maximum of R − ω τ: the kernel on a scenario, its end.

The kernel designs with the power P_t on every subcarrier. Where the scenario keeps the power of the band
alone, its design is where `free.climb` begins, which moves power between the subcarriers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from beamfold.objective import Measured
from beamfold.optim.free import Weighted, climb, tangent
from beamfold.optim.local_maximum import ROUNDING, STATIONARY
from beamfold.optim.matrices import flatten
from beamfold.result import Design, Fault, Status, finish
from beamfold.scenario import Scenario
from beamfold.sensing import Sensing
from beamfold.start import Point, proposed

SHARING = 200
"""L-BFGS steps in which power moves between subcarriers."""


def factors(radars: tuple[Sensing, ...], tolerance: float) -> tuple[Any, Any]:
    """U (S, N, r) of Ψ_s ≈ U_s U_sᴴ with one rank for all, and ‖Ψ_s‖² (S,)."""
    rank = max(radar.factor(tolerance).U.shape[1] for radar in radars)
    each = [radar.factor(tolerance, fill=lambda _: rank).U for radar in radars]
    U = torch.stack([torch.nn.functional.pad(u, (0, rank - u.shape[1])) for u in each])
    square = [float(torch.linalg.matrix_norm(radar.Psi)) ** 2 for radar in radars]
    return U.numpy(), np.array(square)


def search(
    s: Scenario,
    *,
    dtype: Any = np.float32,
    tolerance: float = 0.0,
    which: int = 0,
    subset: int | None = None,
    threads: int | None = None,
    **plan: int,
) -> tuple[Point, Tensor, Tensor]:
    """{F, W} of every band of a scenario on the CPU by the compiled design, f and the steps of F made.

    Args:
        s: the scenario, on a band.
        dtype: np.float32 or np.float64.
        tolerance: stop where the next step of F promises less than this.
        which: the start, see `kernels.fast_setting.mixing`.
        subset: how many subcarriers F is found from; None for as many as the channels need.
        threads: how many work.
        plan: what differs from `kernels.fast_setting.plan_for`.
    """
    from beamfold.kernels.band import run_band
    from beamfold.kernels.fast_setting import DROPPED, plan_for

    assert s.band is not None
    U, square = factors(s.band.each or (s.radar,), DROPPED[dtype])
    count = math.prod(s.batch)
    H = s.H.resolve_conj().numpy().reshape(count, *s.H.shape[-3:])
    power, weight = (t.expand(s.batch).reshape(count).tolist() for t in (s.power, s.weight))
    found = run_band(
        H, U, square, power, weight, noise=s.noise, network=s.network,
        plan=plan_for(s.users, s.network, U.shape[-1], **plan), dtype=dtype, tolerance=tolerance, which=which,
        subset=subset, threads=threads,
    )  # fmt: skip
    F, W, f, done = (torch.from_numpy(z).reshape((*s.batch, *z.shape[1:])) for z in found)
    return Point(F, W), f, done


def conclude(s: Scenario, method: str, point: Point, iterations: Tensor | None = None) -> Design:
    """The design of a point, or of the start (26) where that is better; CONVERGED if it is stationary."""
    assert s.band is not None
    if s.band.rule == "band":
        one = flatten(s)
        begin = Point(*(z.reshape(-1, *z.shape[len(s.batch) :]) for z in point))
        F, W = climb(one, begin, Weighted(), STATIONARY, SHARING).point
        point = Point(F.reshape(point.F.shape), W.reshape(point.W.shape))
    start = proposed(s)
    ours, theirs = (s.objective(s.transmitted(*p)) for p in (point, start))
    lost = ~(ours >= theirs - ROUNDING * (1 + theirs.abs()))
    F = torch.where(lost[..., None, None], start.F, point.F)
    W = torch.where(lost[..., None, None, None], start.W, point.W)
    X = s.transmitted(F, W)
    measured = s.measure(X)
    left = residual(s, Point(F, W), X, measured)
    status = torch.where(left <= STATIONARY, int(Status.CONVERGED), int(Status.ITERATION_LIMIT))
    faults = torch.where(lost, int(Fault.START_RETURNED), 0)
    return finish(
        s, method, F, W, status=status, faults=faults, measured=measured, residual=left, iterations=iterations
    )


def residual(s: Scenario, point: Point, X: Tensor, measured: Measured) -> Tensor:
    """`local_maximum.residual` on a band: ‖[∂f/∂∠F, ‖W_s‖ · 2 ∂f/∂W_s*]‖ / (1 + |f|) (…), f the mean."""
    F, W = point
    G = tangent(s, X, measured.gradient)
    on_F = 2 * (F.conj() * (G @ W.mH).sum(-3)).imag
    on_W = 2 * torch.linalg.matrix_norm(s.on_band(F).mH @ G) * torch.linalg.matrix_norm(W)
    value = measured.rate - s.weight * measured.tau
    moved = torch.hypot(torch.linalg.matrix_norm(on_F), torch.linalg.vector_norm(on_W, dim=-1))
    return moved / (1 + value.abs())
