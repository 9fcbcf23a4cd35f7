"""The one loop of the batched searches: only the channels that are not done yet are computed.

So the design of a channel does not depend on how long its neighbours in the batch take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from beamfold.errors import InputError
from beamfold.result import Status

ARMIJO = 1e-4
"""The share of the predicted decrease that a step has to reach."""


class Channels(Protocol):
    """The state of a search: NamedTuples of tensors whose rows are channels."""

    def part(self, index: Tensor) -> Self:
        """Of some channels."""


State = TypeVar("State", bound=Channels)


def run_active(
    step: Callable[[State, Tensor], tuple[State, Tensor]], state: State, going: Tensor, iterations: int
) -> None:
    """state, going ← step(state, which) for the channels still going, until none is or `iterations` are done.

    Args:
        step: takes the state of b channels and their places (b,) in the batch; returns their next state and
            (b,) bool, which of them go on. What a channel ends with it writes into tensors of its own.
        state: of all B channels.
        going: (B,) bool, which of them begin.
        iterations: the most steps of a channel.
    """
    which = torch.arange(len(going), device=going.device)
    for _ in range(iterations):
        if not going.all():
            kept = torch.nonzero(going)[:, 0]
            state, which = state.part(kept), which[kept]
        if not len(which):
            return
        state, going = step(state, which)


def not_done(count: int, like: Tensor) -> Tensor:
    """The status (count,) of channels that have not ended yet: `ITERATION_LIMIT`, should they never."""
    return torch.full((count,), int(Status.ITERATION_LIMIT), dtype=torch.int8, device=like.device)


def backtrack(
    trial: Callable[[Tensor], tuple[Tensor, Tensor]],
    cost: Tensor,
    slope: Tensor,
    length: Tensor,
    *,
    share: float = ARMIJO,
    halvings: int = 40,
) -> tuple[Tensor, Tensor, Tensor]:
    """Halve the length t of a step until f(t) ≤ f(0) + share · t · f'(0), Armijo's rule, channel by channel.

    Args:
        trial: t (B,) ↦ the point at t and its f (B,).
        cost: (B,), f(0).
        slope: (B,), f'(0) ≤ 0.
        length: (B,), the first t.
        share: of the predicted decrease.
        halvings: the most; then the last trial is returned whatever its cost.

    Returns:
        The point, its f, and the t (B,) that a further halving would begin with.
    """
    for _ in range(halvings):
        point, value = trial(length)
        long = ~(value <= cost + share * length * slope)
        if not long.any():
            break
        length = torch.where(long, length / 2, length)
    return point, value, length


def check_limits(tolerance: float, iterations: int) -> None:
    """Raise InputError unless tolerance ≥ 0 and iterations ≥ 0."""
    if not (tolerance >= 0 and iterations >= 0):
        raise InputError(f"tolerance and iterations can't be below 0, got {tolerance} and {iterations}")
