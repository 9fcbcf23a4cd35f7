"""The loop of the PGA layers in torch: counts, records, and keeps the last finite iterate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from beamfold.constraints import modulus_error, power_error
from beamfold.result import FEASIBLE, Status, Trace
from beamfold.scenario import Scenario
from beamfold.start import Point


class Outcome(NamedTuple):
    """Where the loop ended: the last finite point, a `Status` per channel, the trace if recorded."""

    point: Point
    status: Tensor
    trace: Trace | None


def trace(s: Scenario, points: Iterable[Point]) -> Trace:
    """R and τ of every point, in the points' precision."""
    pairs = [(s.rate(X), s.tau(X)) for X in (F @ W for F, W in points)]
    return Trace(torch.stack([R for R, _ in pairs]), torch.stack([tau for _, tau in pairs]))


def _sound(s: Scenario, point: Point) -> Tensor:
    """(7b) and (7c) hold (…), which nothing that is not finite meets."""
    with torch.no_grad():
        F, W = point
        return (modulus_error(F) <= FEASIBLE) & (power_error(F @ W, s.power) <= FEASIBLE)


def iterate(
    s: Scenario, start: Point, step: Callable[[Point, int], Point], layers: int, *, record: bool = False
) -> Outcome:
    """point ← step(point, i) for i = 0 … layers − 1, channel by channel for as long as it stays finite.

    A channel whose next iterate holds a NaN or Inf, or is not feasible because a norm overflowed, keeps
    its last finite one and gets `DIVERGED`; the other channels of the batch go on.
    """
    point = start
    alive = torch.ones(s.batch, dtype=torch.bool, device=s.H.device)
    points = [start]
    for i in range(layers):
        new = step(point, i)
        alive = alive & _sound(s, new)
        keep = alive[..., None, None]
        point = Point(torch.where(keep, new.F, point.F), torch.where(keep, new.W, point.W))
        if record:
            points.append(point)
    status = torch.where(alive, int(Status.FIXED_DEPTH), int(Status.DIVERGED)).to(torch.int8)
    return Outcome(point, status, trace(s, points) if record else None)
