r"""Phase shifters of b bits: F on the levels e^{j2πi/2^b}, W following.

A design with continuous phases is brought onto the levels in three steps.

1. A common rotation of a column of F is absorbed by the row of W, so each chain's offset is free: of `OFFSETS`
   rotations the one is taken whose rounded column is nearest to the column.
2. W is fitted anew to the rounded F: R − ω τ over W alone, which is `in_span` in the columns of F.
3. Entries one at a time take the level that raises R − ω τ most (`kernels.levels`), then W is fitted again, until
   a round gains nothing to speak of.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from beamfold.constraints import full_power, total_power
from beamfold.networks import quantised
from beamfold.optim.in_span import in_basis
from beamfold.optim.lbfgs import maximise
from beamfold.optim.matrices import flatten
from beamfold.scenario import Scenario
from beamfold.start import CANCELS, Point
from beamfold.threads import parallel_for

OFFSETS = 32
"""Rotations of a column that are tried, within one step of the levels."""
ROUNDS = 30
"""At most so many rounds of entries and W."""
GAIN = 1e-3
"""A channel is done where a round raises R − ω τ by less than this, relative to 1 + |R − ω τ|."""
PASSES = 4
"""Passes over the entries in a round."""


def rounded(point: Point, bits: int) -> Point:
    """F on the levels and W turned with it: each column by the rotation that rounds with the least error."""
    F, W = point
    step = 2 * math.pi / (1 << bits)
    best = torch.full(F.shape[:-2] + F.shape[-1:], math.inf, dtype=torch.float64, device=F.device)
    chosen, turned = quantised(F, bits), torch.ones_like(F[..., 0, :])
    for i in range(OFFSETS):
        turn = torch.polar(torch.ones_like(best), torch.full_like(best, i * step / OFFSETS)).to(F.dtype)
        candidate = quantised(F * turn[..., None, :], bits)
        error = (candidate - F * turn[..., None, :]).abs().square().sum(-2)
        nearer = error < best - 1e-12
        best = torch.where(nearer, error, best)
        chosen = torch.where(nearer[..., None, :], candidate, chosen)
        turned = torch.where(nearer, turn, turned)
    return Point(chosen, turned.conj()[..., :, None] * W)


def refitted(s: Scenario, point: Point, tolerance: float = 1e-4, iterations: int = 200) -> tuple[Point, Tensor]:
    """W of the highest R − ω τ that L-BFGS finds for F as it is, and that value.

    Args:
        s: one leading axis.
        point: F (B, N, M), W (B, M, K).
        tolerance: on the residual of `lbfgs.maximise`, bit/s/Hz.
        iterations: at most.
    """
    F, W = point
    Q, T = torch.linalg.qr(F)
    p = in_basis(s, Q)
    Y, value, _ = maximise(p, full_power(T @ W, p.power), tolerance, iterations)
    return Point(F, total_power(F, torch.linalg.pinv(T, rtol=1 / CANCELS) @ Y, p.power)), value


def designed_for_bits(s: Scenario, point: Point, threads: int | None = None) -> tuple[Point, Tensor]:
    """The point on the levels of the scenario's network, and the rounds that each channel took.

    Args:
        s: the scenario, with bits.
        point: F (…, N, M) of continuous phases, W (…, M, K).
        threads: how many share the batch.
    """
    bits = s.network.bits
    assert bits is not None
    flat = flatten(s)
    shapes = point.F.shape, point.W.shape
    start = Point(point.F.reshape(-1, *shapes[0][-2:]), point.W.reshape(-1, *shapes[1][-2:]))
    at, value = refitted(flat, rounded(start, bits))
    rounds = torch.zeros(len(value), dtype=torch.int64)
    going = torch.arange(len(value))
    for _ in range(ROUNDS):
        if not len(going):
            break
        part = flat[going]
        moved = Point(_improved(part, Point(at.F[going], at.W[going]), bits, threads), at.W[going])
        new, risen = refitted(part, moved)
        gained = risen - value[going]
        better = gained > 0
        took = going[better]
        at.F[took], at.W[took], value[took] = new.F[better], new.W[better], risen[better]
        rounds[going] += 1
        going = going[gained > GAIN * (1 + value[going].abs())]
    return Point(at.F.reshape(shapes[0]), at.W.reshape(shapes[1])), rounds.reshape(s.batch)


def _improved(s: Scenario, point: Point, bits: int, threads: int | None) -> Tensor:
    """F after `PASSES` over its entries, channel by channel."""
    from beamfold.kernels.levels import improve

    levels = np.exp(2j * np.pi * np.arange(1 << bits) / (1 << bits))
    F, W, H = (np.ascontiguousarray(Z.numpy(), dtype=np.complex128) for Z in (point.F.clone(), point.W, s.H))
    Psi, noise = np.ascontiguousarray(s.Psi.numpy()), s.noise
    power, weight = s.power.expand(s.batch).tolist(), s.weight.expand(s.batch).tolist()

    def work(first: int, last: int) -> None:
        for b in range(first, last):
            improve(F[b], W[b], H[b], Psi, levels, power[b], weight[b], noise, PASSES)

    parallel_for(work, len(F), threads)
    return torch.from_numpy(F)
