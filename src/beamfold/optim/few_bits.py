r"""Phase shifters of b bits: F on the levels e^{j2πi/2^b}, W following.

A design with continuous phases is brought onto the levels in four steps.

1. A common rotation of a column of F is absorbed by the row of W, so each chain's offset is free: of
   `OFFSETS` rotations the one is taken whose rounded column is nearest to the column.
2. The entries that are nearest to a level are rounded and held there, a share at a time, while the phases of
   the others and W go on rising from there (`kernels.fast`): what rounding spoils the rest makes good.
3. Entries one at a time take the level that is best once W has followed, until nothing gains
   (`kernels.levels`).
4. A kick moves a few entries to a neighbouring level, step 3 is repeated from there, and the better end is
   kept: entries that have to change together are found that way.

Steps 2 to 4 are compiled for users of one antenna, on the CPU. Elsewhere step 1 is followed by the best W for
the rounded F alone. Steps 3 and 4 are for τ.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.constraints import total_power
from beamfold.networks import quantised
from beamfold.optim.in_span import in_basis
from beamfold.optim.lbfgs import maximise
from beamfold.optim.matrices import flatten, least_squares
from beamfold.scenario import Scenario
from beamfold.start import Point
from beamfold.threads import parallel_for

if TYPE_CHECKING:
    from beamfold.kernels.levels import Terms

Complex = NDArray[np.complex128]
OFFSETS = 32
"""Rotations of a column that are tried, within one step of the levels."""
PASSES = 12
"""At most so many passes over the entries in step 3."""
SHARES, STEPS = 16, 20
"""Shares of step 2, and steps of the other phases after each."""
TOLERANCE, ITERATIONS = 1e-3, 300
"""Of `refitted`: 2 ‖∂f/∂Y*‖ ‖Y‖ at which it stops, and the most steps."""
FOLLOW = 60
"""Steps of W at the end for another goal than τ."""
SHARE = 0.06
"""Share of the entries that a kick moves."""


def rounded(point: Point, bits: int) -> Point:
    """F on the levels and W turned with it: each column by the rotation that rounds with the least error.

    Args:
        point: F (…, N, M), an entry of 0 stays; W (…, M, K).
        bits: b.
    """
    F, W = point
    step = 2 * math.pi / (1 << bits)
    least = torch.full(F.shape[:-2] + F.shape[-1:], math.inf, dtype=torch.float64, device=F.device)
    chosen, turned = F, torch.ones_like(F[..., 0, :])
    for i in range(OFFSETS):
        turn = complex(math.cos(i * step / OFFSETS), math.sin(i * step / OFFSETS))
        candidate = quantised(turn * F, bits)
        error = (candidate - turn * F).abs().square().sum(-2)
        nearer = error < least - 1e-12
        least = torch.where(nearer, error, least)
        chosen = torch.where(nearer[..., None, :], candidate, chosen)
        turned = torch.where(nearer, torch.full_like(turned, turn), turned)
    return Point(chosen, turned.conj()[..., None] * W)


def held_by_parts(s: Scenario, point: Point, bits: int, threads: int | None = None) -> Point:
    """Step 2: a point on the levels, W following.

    Args:
        s: one leading axis.
        point: F (B, N, M) of continuous phases, W (B, M, K).
        bits: b.
        threads: how many share the batch.
    """
    turned = rounded(point, bits).W
    # The rotation of a column that rounds best, read off the row of W that was turned back by it.
    largest = point.W.abs().argmax(-1, keepdim=True)
    row = point.W.gather(-1, largest)[..., 0]
    turn = torch.where(
        row == 0, 1.0, turned.gather(-1, largest)[..., 0] / torch.where(row == 0, 1.0, row)
    ).conj()
    F, W = point.F * turn[..., None, :], turned
    held = F == 0
    entries = (~held).flatten(1).sum(1)
    for share in range(1, SHARES + 1):
        near = (quantised(F, bits) - F).abs().masked_fill(F == 0, -1.0).masked_fill(held, -1.0).flatten(1)
        want = (entries * share // SHARES)[:, None] + (F == 0).flatten(1).sum(1)[:, None]
        rank_of = near.argsort(dim=1, stable=True).argsort(1)
        held = (rank_of < want).reshape(F.shape)
        F = torch.where(held, quantised(F, bits), F)
        if share < SHARES:
            free = (~held).to(torch.float64)
            F, W = _risen(s, Point(F, W), free, threads, steps=STEPS)
    return Point(quantised(F, bits), W)


def _risen(s: Scenario, point: Point, free: Tensor, threads: int | None, **work: int) -> Point:
    """The objective raised from a point by the free phases, those where `free` (B, N, M) is 1, and by W."""
    from beamfold.kernels.fast import run_fast
    from beamfold.kernels.fast_setting import columns, plan_for

    continuous = replace(s, network=s.network.continuous)
    plan = plan_for(s.users, continuous.network, columns(s.radar, s.goal, np.float64).shape[1], **work)
    # For another goal single precision serves as well, and is the one that is compiled already.
    dtype = np.float64 if s.goal is None else np.float32
    return run_fast(continuous, plan, start=point, dtype=dtype, threads=threads, free=free)[0]


def refitted(s: Scenario, point: Point) -> Point:
    """W that maximises R − ω τ for F fixed, from the point's W on, with ‖F W‖² = P_t.

    X = B Y for an orthonormal basis B of F's columns, and W = F^† B Y.

    Args:
        s: one leading axis.
        point: F (B, N, M), W (B, M, K d).
    """
    F, W = point
    U, values, _ = torch.linalg.svd(F, full_matrices=False)
    # Directions beyond F's rank become columns of zeros: nothing is sent along them.
    basis = U * (values > 1e-6 * values[..., :1])[..., None, :]
    Y, _, _ = maximise(in_basis(s, basis), basis.mH @ (F @ W), TOLERANCE, ITERATIONS)
    return Point(F, total_power(F, least_squares(F, basis @ Y), s.power))


def on_levels(
    s: Scenario, point: Point, *, passes: int = PASSES, kicks: int = 0, threads: int | None = None
) -> Point:
    """A point on the levels of the scenario's network, from one of continuous phases.

    Args:
        s: the scenario; its network has bits.
        point: F (…, N, M), W (…, M, K).
        passes: of step 3; 0 leaves step 2 out, rounds and lets W follow.
        kicks: how often step 4 is done.
        threads: how many share the batch.

    Users with several antennas, and channels on another device, get F rounded and W `refitted`. For another
    goal than τ step 2 is the last one, and W follows.
    """
    bits = s.network.bits
    assert bits is not None
    flat = flatten(s)
    whole = Point(*(Z.reshape(-1, *Z.shape[-2:]) for Z in point))
    if not s.per_user.single or s.H.device.type != "cpu":
        found = refitted(flat, rounded(whole, bits))
        return Point(found.F.reshape(point.F.shape), found.W.reshape(point.W.shape))
    start = held_by_parts(flat, whole, bits, threads) if passes else rounded(whole, bits)
    if s.goal is not None:
        found = _risen(flat, start, torch.zeros_like(start.F.real), threads, first=FOLLOW, steps=0)
        return Point(found.F.reshape(point.F.shape), found.W.reshape(point.W.shape))
    F, W = (np.array(Z.resolve_conj().numpy(), np.complex128, order="C") for Z in start)
    H, Psi = np.ascontiguousarray(flat.H.numpy()), np.ascontiguousarray(s.Psi.to(torch.complex128).numpy())
    square = float(np.sum(np.abs(Psi) ** 2))
    power, weight = (v.expand(flat.batch).tolist() for v in (flat.power, flat.weight))

    def work(first: int, last: int) -> None:
        from beamfold.kernels.levels import Terms

        for b in range(first, last):
            terms = Terms(power[b], weight[b], s.noise, square)
            F[b], W[b] = _searched(F[b], W[b], H[b], Psi, bits, terms, passes, kicks)

    parallel_for(work, len(F), threads)
    found = Point(*(torch.from_numpy(Z).reshape(own.shape) for Z, own in ((F, point.F), (W, point.W))))
    return Point(found.F, total_power(found.F, found.W, s.power))


def _searched(
    F: Complex, W: Complex, H: Complex, Psi: Complex, bits: int, terms: Terms, passes: int, kicks: int
) -> tuple[Complex, Complex]:
    """Steps 3 and 4 for one channel; every channel gets the same kicks, so none depends on another."""
    from beamfold.kernels.levels import improve

    value = improve(F, W, H, Psi, bits, terms, passes)
    random = np.random.default_rng(0)
    turn = np.exp(2j * np.pi / (1 << bits))
    for _ in range(kicks):
        moved = (random.random(F.shape) < SHARE) * random.choice([-1, 1], F.shape)
        tried, V = F * turn**moved, W.copy()
        found = improve(tried, V, H, Psi, bits, terms, passes)
        if found > value:
            F, W, value = tried, V, found
    return F, W
