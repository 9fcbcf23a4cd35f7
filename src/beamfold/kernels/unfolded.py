"""Python entry points of the compiled layers: batched inference and a differentiable version for training."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.constraints import total_power
from beamfold.kernels.adjoint import backward
from beamfold.kernels.layers import forward
from beamfold.kernels.rows import LANES
from beamfold.objective import DigitalGradient
from beamfold.result import Status
from beamfold.scenario import Scenario
from beamfold.sensing import Sensing
from beamfold.start import Point, condition
from beamfold.threads import parallel_for

Planes = NDArray[Any]
DROPPED = {np.float32: 1e-3, np.float64: 1e-12}
"""Eigenvalues of Ψ below this fraction of the largest are left out of U."""
CONDITION = 200.0
"""κ of a start beyond which float32 would cost more than 1e-3 of R or τ, see `condition`."""


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def factor(radar: Sensing, users: int, chains: int, dtype: Any) -> Tensor:
    """U (N, r): the eigenvalues that count, and as many more as the padding of D has room for."""
    taken = users + chains
    return radar.factor(DROPPED[dtype], fill=lambda rank: _up(taken + rank, LANES) - taken).U


@dataclass(frozen=True)
class Packed:
    """A scenario and a start as planes, N and D padded with zeros, which stay zero in every step."""

    dtype: Any
    coordinates: int
    H: Planes
    U: Planes
    F: Planes
    W: Planes
    omega: Planes
    power: Planes
    noise: Any
    sizes: tuple[int, int, int]


def _planes(Z: Tensor, rows: int, columns: int, dtype: Any) -> Planes:
    """(B, a, b) complex → (B, 2, rows, columns), zero-padded."""
    z = torch.view_as_real(Z.detach().to(torch.complex128).resolve_conj())
    out = np.zeros((len(Z), 2, rows, columns), dtype)
    out[:, :, : Z.shape[1], : Z.shape[2]] = z.permute(0, 3, 1, 2).numpy()
    return out


def _complex(Z: Planes, rows: int, columns: int) -> Tensor:
    """The inverse of `_planes`."""
    z = torch.from_numpy(np.ascontiguousarray(Z[:, :, :rows, :columns])).to(torch.float64)
    return torch.complex(z[:, 0], z[:, 1])


def pack(s: Scenario, start: Point, dtype: Any) -> Packed:
    """Everything that the compiled functions take, for a flattened batch."""
    count = math.prod(s.batch)
    K, M, N = s.users, s.chains, s.antennas
    U = factor(s.radar, K, M, dtype)
    Np = _up(N, LANES)
    flat = lambda t, *shape: t.expand((*s.batch, *shape)).reshape((count, *shape))  # noqa: E731
    return Packed(
        dtype=dtype,
        coordinates=_up(M + K + U.shape[1], LANES),
        H=_planes(flat(s.H, K, N), K, Np, dtype),
        U=_planes(U.mT[None], U.shape[1], Np, dtype)[0],
        F=_planes(flat(start.F, N, M).mT, M, Np, dtype),
        W=_planes(flat(start.W, M, K), M, K, dtype),
        omega=flat(s.weight).numpy().astype(dtype),
        power=flat(s.power).numpy().astype(dtype),
        noise=dtype(s.noise),
        sizes=(K, M, N),
    )


def sweep(
    p: Packed,
    mu: Planes,
    lam: Planes,
    eta: float,
    digital: DigitalGradient,
    keep: bool,
    threads: int | None,
    alive: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int64], Planes, Planes]:
    """Run Algorithm 1 on p.F, p.W in place; layers done per channel, and all points if `keep`."""
    alive = np.ones(len(p.F), np.bool_) if alive is None else alive
    count, depth = len(p.F), len(lam)
    done = np.zeros(count, np.int64)
    kept = (count, depth + 1) if keep else (1, 1)
    Fs = np.empty((*kept, *p.F.shape[1:]), p.dtype)
    Ws = np.empty((*kept, *p.W.shape[1:]), p.dtype)
    steps = (mu.astype(p.dtype), lam.astype(p.dtype))

    def work(first: int, last: int) -> None:
        forward(
            p.H, p.U, p.F, p.W, *steps, p.omega, p.dtype(eta), p.power, p.noise, digital == "exact",
            p.coordinates, alive, done, Fs, Ws, keep, first, last,
        )  # fmt: skip

    parallel_for(work, count, threads)
    return done, Fs, Ws


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
    done, Fs, Ws = sweep(p, mu.detach().numpy(), lam.detach().numpy(), eta, digital, record, threads)
    status = np.where(done == len(lam), int(Status.FIXED_DEPTH), int(Status.DIVERGED)).astype(np.int8)
    points = [_point(s, p, Fs[:, i], Ws[:, i]) for i in range(Fs.shape[1])] if record else []
    return _point(s, p, p.F, p.W), torch.from_numpy(status).reshape(s.batch), points


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
    K, M, N = p.sizes
    F_ = torch.sgn(_complex(F, M, N).mT.reshape(*s.batch, N, M))
    return Point(F_, total_power(F_, _complex(W, M, K).reshape(*s.batch, M, K), s.power))


def pull_back(
    p: Packed,
    steps: tuple[Planes, Planes],
    eta: float,
    digital: DigitalGradient,
    stored: tuple[NDArray[np.int64], Planes, Planes],
    bars: tuple[Planes, Planes],
    threads: int | None,
) -> tuple[Planes, Planes, Planes, Planes]:
    """The adjoint of `sweep`: from cotangents of the last point to those of mu, lam and the first."""
    done, Fs, Ws = stored
    mu, lam = (step.astype(p.dtype) for step in steps)
    count, each = len(p.F), np.arange(len(p.F))
    Fbars, Wbars = np.zeros_like(Fs), np.zeros_like(Ws)
    Fbars[each, done], Wbars[each, done] = bars
    mu_bar, lam_bar = np.zeros((count, *mu.shape), p.dtype), np.zeros((count, len(lam)), p.dtype)

    def work(first: int, last: int) -> None:
        backward(
            p.H, p.U, Fs, Ws, Fbars, Wbars, done, mu, lam, p.omega, p.dtype(eta), p.power, p.noise,
            digital == "exact", p.coordinates, mu_bar, lam_bar, first, last,
        )  # fmt: skip

    parallel_for(work, count, threads)
    return mu_bar.sum(0, dtype=np.float64), lam_bar.sum(0, dtype=np.float64), Fbars[:, 0], Wbars[:, 0]


class _Sweep(torch.autograd.Function):
    """(mu, lam) → the last point, with the compiled adjoint as its derivative."""

    @staticmethod
    def forward(ctx: Any, mu: Tensor, lam: Tensor, p: Packed, options: dict[str, Any]) -> Any:
        eta, digital, threads, bound = (options[key] for key in ("eta", "digital", "threads", "bound"))
        steps = mu.detach().numpy(), lam.detach().numpy()
        depth = max(len(lam), 1)
        # A point is held twice: itself, and its cotangent on the way back.
        whole = 2 * (len(lam) + 1) * (p.F.nbytes + p.W.nbytes) <= bound
        stride = depth if whole else math.ceil(math.sqrt(depth))
        alive = np.ones(len(p.F), np.bool_)
        # A segment of `stride` layers is kept with all its points where they fit, else by its first point.
        segments: list[tuple[slice, NDArray[np.bool_], Any]] = []
        for first in range(0, depth, stride):
            part = slice(first, first + stride)
            begin = (p.F.copy(), p.W.copy())
            stored = sweep(p, steps[0][part], steps[1][part], eta, digital, whole, threads, alive)
            segments.append((part, alive, stored if whole else begin))
            alive = alive & (stored[0] == len(steps[1][part]))
        ctx.saved = (p, options, steps, segments, whole)
        K, M, N = p.sizes
        return _complex(p.F, M, N).mT.contiguous(), _complex(p.W, M, K)

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        p, options, (mu, lam), segments, whole = ctx.saved
        eta, digital, threads = (options[key] for key in ("eta", "digital", "threads"))
        Fbar = _planes(cotangents[0].mT, p.F.shape[2], p.F.shape[3], p.dtype)
        Wbar = _planes(cotangents[1], p.W.shape[2], p.W.shape[3], p.dtype)
        on_mu, on_lam = np.zeros(mu.shape), np.zeros(lam.shape)
        for part, alive, stored in reversed(segments):
            if not whole:
                again = replace(p, F=stored[0].copy(), W=stored[1].copy())
                stored = sweep(again, mu[part], lam[part], eta, digital, True, threads, alive)  # noqa: PLW2901
            steps = mu[part], lam[part]
            on_mu[part], on_lam[part], Fbar, Wbar = pull_back(
                p, steps, eta, digital, stored, (Fbar, Wbar), threads
            )
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
