"""Fully digital methods on a band: each subcarrier is a narrowband problem of its own with the power P_t."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce, wraps
from typing import Any, Concatenate, ParamSpec, cast

import torch
from torch import Tensor

from beamfold.result import Design, finish
from beamfold.scenario import Scenario

P = ParamSpec("P")
Digital = Callable[Concatenate[Scenario, P], Design]


def by_subcarrier(function: Digital[P]) -> Digital[P]:
    """The method for bands too: `function` for each subcarrier, the designs joined.

    A subcarrier's power is P_t by either rule. The status of a channel is that of the subcarrier that ended
    worst, its residual and its iterations the largest.
    """

    @wraps(function)
    def over_a_band(s: Scenario, *args: P.args, **options: P.kwargs) -> Design:
        if s.band is None:
            return function(s, *args, **options)
        parts = s.parts()
        several = len(parts) > 1
        found = [
            function(part, *args, **{name: _part(v, s, i) if several else v for name, v in options.items()})  # type: ignore[arg-type]
            for i, part in enumerate(parts)
        ]
        return _joined(s, found, several)

    return cast(Digital[P], over_a_band)  # `wraps` keeps the signature, which mypy can't see


def _part(value: Any, s: Scenario, i: int) -> Any:
    """Of an option that holds a matrix for each subcarrier the i-th, of another one itself."""
    if isinstance(value, (list, tuple)):
        return [_part(one, s, i) for one in value]
    each = isinstance(value, Tensor) and value.ndim > 2 and value.shape[:-2] == s.H.shape[:-2]
    return value[..., i, :, :] if each else value


def _joined(s: Scenario, found: list[Design], several: bool) -> Design:
    """One design of the band from those of its parts."""

    def all_of(name: str, axis: int) -> Tensor | None:
        values = [getattr(d, name) for d in found]
        return None if values[0] is None else torch.stack(values, axis) if several else values[0]

    def worst(name: str) -> Tensor | None:
        values = all_of(name, -1)
        return None if values is None else values.amax(-1)

    W, faults, status = all_of("W", -3), all_of("faults", -1), worst("status")
    assert W is not None and faults is not None and status is not None
    return finish(
        s,
        found[0].method,
        None,
        W,
        status=status,
        faults=reduce(torch.bitwise_or, faults.unbind(-1)),
        residual=worst("residual"),
        iterations=worst("iterations"),
    )
