"""Python entry points of the compiled layers: batched inference and a differentiable version for training."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.constraints import total_power
from beamfold.kernels import adjoint, layers, subarrays, subarrays_adjoint
from beamfold.kernels.layers import Batch, Points, Steps
from beamfold.kernels.linalg import Planes
from beamfold.kernels.packed import Packed, pack
from beamfold.kernels.workspace import buffer_for
from beamfold.objective import DigitalGradient
from beamfold.result import Status
from beamfold.scenario import Scenario
from beamfold.start import Point, condition
from beamfold.threads import parallel_for

CONDITION = 200.0
"""κ of a start beyond which float32 would cost more than 1e-3 of R or τ, see `condition`."""


def _compiled(p: Packed) -> tuple[Any, Any]:
    """The layers and their adjoint for the network."""
    return (layers, adjoint) if isinstance(p.batch, Batch) else (subarrays, subarrays_adjoint)


def sweep(
    p: Packed, steps: Steps, keep: bool, threads: int | None, alive: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], Points]:
    """Run Algorithm 1 on p.at in place; layers done per channel, and all points if `keep`."""
    F, W = p.at
    count, depth = len(F), len(steps.lam)
    alive = np.ones(count, np.bool_) if alive is None else alive
    done = np.zeros(count, np.int64)
    kept = (count, depth + 1) if keep else (1, 1)
    path = Points(np.empty((*kept, *F.shape[1:]), p.dtype), np.empty((*kept, *W.shape[1:]), p.dtype))

    forwards, _ = _compiled(p)

    def work(first: int, last: int) -> None:
        buffer = buffer_for(forwards.layout(*p.padded), p.dtype)
        forwards.forward(p.batch, p.at, steps, alive, done, path, keep, first, last, buffer)

    parallel_for(work, count, threads)
    return done, path


def run_kernel(
    s: Scenario,
    start: Point,
    mu: Tensor,
    lam: Tensor,
    eta: float,
    digital: DigitalGradient,
    *,
    record: bool = False,
    dtype: Any = np.float32,
    threads: int | None = None,
) -> tuple[Point, Tensor, list[Point]]:
    """Algorithm 1 by the compiled kernel.

    Args:
        s: the scenario, on the CPU.
        start: F (…, N, M), W (…, M, K).
        mu: (I, J).
        lam: (I,).
        eta: η.
        digital: see `objective.signal_gradient`.
        record: return all points.
        dtype: np.float32 or np.float64.
        threads: how many share the batch; default all cores.

    Returns:
        The last finite point, the status (…), and the points after 0 … I layers if `record`.
    """
    if dtype == np.float32:
        hard = condition(start) > CONDITION
        if hard.any():
            return _mixed(s, start, hard, (mu, lam, eta, digital), record, threads)
    p = pack(s, start, dtype)
    steps = p.steps(mu.detach().numpy(), lam.detach().numpy(), eta, digital)
    done, path = sweep(p, steps, record, threads)
    status = np.where(done == len(lam), int(Status.FIXED_DEPTH), int(Status.DIVERGED)).astype(np.int8)
    points = [_point(s, p, path.F[:, i], path.W[:, i]) for i in range(path.F.shape[1])] if record else []
    return _point(s, p, *p.at), torch.from_numpy(status).reshape(s.batch), points


def _mixed(
    s: Scenario, start: Point, hard: Tensor, steps: tuple[Any, ...], record: bool, threads: int | None
) -> tuple[Point, Tensor, list[Point]]:
    """Channels where F W cancels in float64, the others in float32."""
    last = Point(start.F.clone(), start.W.clone())
    points = [Point(start.F.clone(), start.W.clone()) for _ in range(len(steps[1]) + 1)] if record else []
    status = torch.empty(s.batch, dtype=torch.int8)
    for which, dtype in ((hard, np.float64), (~hard, np.float32)):
        if which.any():
            part = Point(start.F[which], start.W[which])
            found, status[which], path = run_kernel(
                s[which], part, *steps, record=record, dtype=dtype, threads=threads
            )
            for whole, piece in zip([last, *points], [found, *path], strict=True):
                whole.F[which], whole.W[which] = piece
    return last, status, points


def _point(s: Scenario, p: Packed, F: Planes, W: Planes) -> Point:
    """A point in complex128, put back on (7b) and (7c) to that precision."""
    F_, W_ = p.matrices(F, W)
    F_ = torch.sgn(F_.reshape(*s.batch, *F_.shape[-2:]))
    return Point(F_, total_power(F_, W_.reshape(*s.batch, *W_.shape[-2:]), s.power))


def pull_back(
    p: Packed, steps: Steps, stored: tuple[NDArray[np.int64], Points], bars: Points, threads: int | None
) -> tuple[Planes, Planes, Points]:
    """The adjoint of `sweep`: from cotangents of the last point to those of mu, lam and the first."""
    done, path = stored
    count, each = len(done), np.arange(len(done))
    along = Points(np.zeros_like(path.F), np.zeros_like(path.W))
    along.F[each, done], along.W[each, done] = bars
    mu_bar, lam_bar = np.zeros((count, *steps.mu.shape), p.dtype), np.zeros((count, len(steps.lam)), p.dtype)

    _, backwards = _compiled(p)

    def work(first: int, last: int) -> None:
        buffer = buffer_for(backwards.layout(*p.padded, steps.mu.shape[1]), p.dtype)
        backwards.backward(p.batch, steps, path, along, done, mu_bar, lam_bar, first, last, buffer)

    parallel_for(work, count, threads)
    first = Points(along.F[:, 0], along.W[:, 0])
    return mu_bar.sum(0, dtype=np.float64), lam_bar.sum(0, dtype=np.float64), first


class _Sweep(torch.autograd.Function):
    """(mu, lam) → the last point, with the compiled adjoint as its derivative."""

    @staticmethod
    def forward(ctx: Any, mu: Tensor, lam: Tensor, p: Packed, options: dict[str, Any]) -> Any:
        steps = p.steps(mu.detach().numpy(), lam.detach().numpy(), options["eta"], options["digital"])
        depth, threads = max(len(lam), 1), options["threads"]
        # A point is held twice: itself, and its cotangent on the way back.
        whole = 2 * (len(lam) + 1) * (p.at.F.nbytes + p.at.W.nbytes) <= options["bound"]
        stride = depth if whole else math.ceil(math.sqrt(depth))
        alive = np.ones(len(p.at.F), np.bool_)
        # A segment of `stride` layers is kept with all its points where they fit, else by its first point.
        segments: list[tuple[slice, Steps, NDArray[np.bool_], Any]] = []
        for first in range(0, depth, stride):
            part = slice(first, first + stride)
            some = steps._replace(mu=steps.mu[part], lam=steps.lam[part])
            begin = Points(p.at.F.copy(), p.at.W.copy())
            stored = sweep(p, some, whole, threads, alive)
            segments.append((part, some, alive, stored if whole else begin))
            alive = alive & (stored[0] == len(some.lam))
        ctx.saved = (p, threads, steps, segments, whole)
        F, W = p.matrices(*p.at)
        return F.contiguous(), W.contiguous()

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        p, threads, steps, segments, whole = ctx.saved
        bars = p.points(*(Z.detach() for Z in cotangents))
        on_mu, on_lam = np.zeros(steps.mu.shape), np.zeros(steps.lam.shape)
        for part, some, alive, kept in reversed(segments):
            stored = kept
            if not whole:
                again = replace(p, at=Points(kept.F.copy(), kept.W.copy()))
                stored = sweep(again, some, True, threads, alive)
            on_mu[part], on_lam[part], bars = pull_back(p, some, stored, bars, threads)
        return torch.from_numpy(on_mu), torch.from_numpy(on_lam), None, None


def differentiable(
    s: Scenario,
    start: Point,
    mu: Tensor,
    lam: Tensor,
    eta: float,
    digital: DigitalGradient,
    *,
    dtype: Any = np.float32,
    threads: int | None = None,
    bound: int = 1 << 30,
) -> Point:
    """The last point of Algorithm 1 as a differentiable function of mu and lam.

    Args:
        s: the scenario, on the CPU.
        start: F (…, N, M), W (…, M, K); constant.
        mu: (I, J), float64.
        lam: (I,), float64.
        eta: η.
        digital: see `objective.signal_gradient`.
        dtype: np.float32 or np.float64, the precision of both sweeps.
        threads: how many share the batch.
        bound: bytes of stored points beyond which only every √I-th is kept and the rest run again.

    Returns:
        F (…, N, M), W (…, M, K) complex128.
    """
    options = {"eta": eta, "digital": digital, "threads": threads, "bound": bound}
    F, W = _Sweep.apply(mu, lam, pack(s, start, dtype), options)
    return Point(F.reshape(*s.batch, *F.shape[-2:]), W.reshape(*s.batch, *W.shape[-2:]))
