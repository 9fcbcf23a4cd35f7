"""Starting points X of fully digital designs, scaled to (7c)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from beamfold.constraints import full_power
from beamfold.errors import InputError
from beamfold.objective import SINGLE, Users
from beamfold.scenario import Scenario
from beamfold.start import anywhere, pointing_columns, zero_forcing


def maximum_ratio(H: Tensor, users: Users = SINGLE) -> Tensor:
    """Hᴴ with columns of unit norm (…, N, K): each user's own channel, interference ignored.

    Of a user with several antennas the d leading right singular vectors of its channel. A user without a
    channel gets nothing; where nobody has one, user k gets antenna k.
    """
    columns = pointing_columns(H, users)
    norm = torch.linalg.vector_norm(columns, dim=-2, keepdim=True)
    return anywhere(columns / torch.where(norm > 0, norm, 1.0))


DIGITAL_STARTS: dict[str, Callable[[Tensor, Users], Tensor]] = {
    "zero_forcing": zero_forcing,
    "maximum_ratio": maximum_ratio,
}


def digital_start(s: Scenario, start: str | Tensor) -> Tensor:
    """A named fully digital start, or the given X (…, N, K), scaled to (7c).

    Raises:
        InputError: an unknown name, or an X of another shape.
    """
    if isinstance(start, str):
        if start not in DIGITAL_STARTS:
            raise InputError(f"no digital start {start!r}; known: {', '.join(DIGITAL_STARTS)}")
        return full_power(DIGITAL_STARTS[start](s.H, s.per_user), s.power)
    expected = (*s.batch, s.antennas, s.columns)
    if start.shape != expected:
        raise InputError(f"the start X is {tuple(start.shape)}, expected {expected}")
    return full_power(start.to(s.H.dtype), s.power)
