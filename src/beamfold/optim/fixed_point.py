"""Monotone ascent: a map that never lowers a value, repeated until it hardly raises it any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from beamfold.optim.active import not_done, run_active
from beamfold.optim.matrices import flatten
from beamfold.result import Status
from beamfold.scenario import Scenario


class Iterate(NamedTuple):
    """Matrices (B, …) that change together, such as (X,) or (F, W), and their value (B,)."""

    matrices: tuple[Tensor, ...]
    value: Tensor

    def part(self, index: Tensor) -> Iterate:
        """Of some channels."""
        return Iterate(tuple(Z[index] for Z in self.matrices), self.value[index])


class Ascent(NamedTuple):
    """Where an ascent ended: the matrices (B, …), a `Status` (B,) and the steps taken (B,)."""

    matrices: tuple[Tensor, ...]
    status: Tensor
    steps: Tensor


def ascend(
    step: Callable[[tuple[Tensor, ...], Tensor], Iterate],
    start: Iterate,
    tolerance: float | Tensor,
    iterations: int,
) -> Ascent:
    """Z ← step(Z) channel by channel until the value rises by no more than `tolerance`.

    Args:
        step: takes the matrices of b channels and their places (b,) in the batch; returns the next ones with
            their value.
        start: matrices (B, …) and their value.
        tolerance: ≥ 0, one for all or (B,).
        iterations: the most steps.

    Returns:
        The matrices, their value nowhere below the start's; `DIVERGED` where the next value was not finite:
        the last finite ones stay.
    """
    value = start.value.clone()
    whole = tuple(Z.clone() for Z in start.matrices)
    status, steps = (
        not_done(len(value), value),
        torch.zeros(value.shape, dtype=torch.int64, device=value.device),
    )
    limit = torch.as_tensor(tolerance, dtype=value.dtype, device=value.device).expand(value.shape)

    def once(here: Iterate, which: Tensor) -> tuple[Iterate, Tensor]:
        new = step(here.matrices, which)
        finite = torch.isfinite(new.value)
        status[which[~finite]] = int(Status.DIVERGED)
        status[which[new.value - here.value <= limit[which]]] = int(Status.CONVERGED)
        better = finite & (new.value >= here.value)
        risen = which[better]
        for Z, found in zip(whole, new.matrices, strict=True):
            Z[risen] = found[better]
        value[risen] = new.value[better]
        steps[which] += 1
        going = status[which] == int(Status.ITERATION_LIMIT)
        return Iterate(tuple(Z[which] for Z in whole), value[which]), going

    run_active(once, Iterate(whole, value), torch.ones_like(value, dtype=torch.bool), iterations)
    return Ascent(whole, status, steps)


def ascend_rate(
    s: Scenario, step: Callable[[Scenario, Tensor], Tensor], start: Tensor, tolerance: float, iterations: int
) -> tuple[Tensor, Tensor, Tensor]:
    """X ← step(s, X) channel by channel until the rate R rises by no more than `tolerance`.

    Args:
        s: the scenario.
        step: a map of (scenario, X) that does not lower R.
        start: X (…, N, K), feasible.
        tolerance: ≥ 0, bit/s/Hz.
        iterations: the most steps.

    Returns:
        X (…, N, K), a `Status` (…) and the steps taken (…).
    """
    flat = flatten(s)
    X = start.reshape(-1, *start.shape[-2:])

    def once(matrices: tuple[Tensor, ...], which: Tensor) -> Iterate:
        part = flat[which]
        new = step(part, matrices[0])
        return Iterate((new,), part.rate(new))

    (X,), status, steps = ascend(once, Iterate((X,), flat.rate(X)), tolerance, iterations)
    return X.reshape(start.shape), status.reshape(s.batch), steps.reshape(s.batch)
