"""Starting points X of fully digital designs, scaled to (7c)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from beamfold.errors import InputError
from beamfold.objective import Users
from beamfold.scenario import Scenario
from beamfold.start import maximum_ratio, zero_forcing

DIGITAL_STARTS: dict[str, Callable[[Tensor, Users], Tensor]] = {
    "zero_forcing": zero_forcing,
    "maximum_ratio": maximum_ratio,
}


def digital_start(s: Scenario, start: str | Tensor) -> Tensor:
    """A named fully digital start, or the given X (…, N, K), on a band (…, S, N, K), scaled to (7c).

    Raises:
        InputError: an unknown name, or an X of another shape.
    """
    if isinstance(start, str):
        if start not in DIGITAL_STARTS:
            raise InputError(f"no digital start {start!r}; known: {', '.join(DIGITAL_STARTS)}")
        return s.to_power(DIGITAL_STARTS[start](s.H, s.per_user))
    expected = (*s.H.shape[:-2], s.antennas, s.columns)
    if start.shape != expected:
        raise InputError(f"the start X is {tuple(start.shape)}, expected {expected}")
    return s.to_power(start.to(s.H.dtype))
