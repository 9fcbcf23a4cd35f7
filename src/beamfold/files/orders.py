"""Which orders of axes an array of channels can have, where nothing states it: no shape decides between them.

The documented order is (channels, users, antennas), or (users, antennas) for one channel. But (4, 2, 16) can
also be 4 users of 2 receive antennas, or 16 channels of 4 antennas in MATLAB's order, and (4, 64) 4 channels
of one user or 64 of 4 antennas. Wherever two axes are longer than 1 there are several such readings. So the
order is taken from the file that names its axes (all that this program writes do), from `--from` or from
`--axes`, and an array without any of these is refused with those `--axes` that its shape allows. Sure without
a name are a single row, which is that of the antennas, and an array beside frequencies of subcarriers where
one axis has their number and one order of the others remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from beamfold.files.arrays import Array
from beamfold.files.axes import SUBCARRIERS, written

Order = tuple[str, ...]
NATIVE: Order = ("channels", "users", "antennas")
ONE: Order = ("users", "antennas")
SEVERAL: Order = ("channels", "users", "receive", "antennas")
UNSURE = "whose order the shape does not tell"
SIONNA = 6  # axes from which an array can only be a simulator's


class Found(NamedTuple):
    """The order of an array's axes, or why there is none."""

    order: Order | None
    """None where it is not sure."""
    value: Array
    """The array with as many axes as the order."""
    refusal: str = ""
    """What to say in the place of an order; "" where the array can't be channels at all."""


class Known(NamedTuple):
    """Lengths of axes that the file states."""

    antennas: int | None = None
    """N, by the positions of the antennas."""
    subcarriers: int | None = None
    """S, by their frequencies."""


NOTHING = Known()


def unnamed(value: Array, several: bool, known: Known = NOTHING) -> Found:
    """The order of an array for which none was stated: that of a single row, or the orders to choose from.

    Args:
        value: the array.
        several: the users have several antennas, so that the documented order has an axis `receive`.
        known: what else the file states.
    """
    shape = value.shape
    if value.size == 0 or value.ndim < 2:
        return Found(None, value)
    if len(shape) >= SIONNA and not _leading_ones(shape, 4 if several else 3):
        return Found(None, value, "the order of a simulator; give --from sionna, or --axes")
    long = tuple(n for n in shape if n > 1)
    if len(long) < 2:
        row = value.reshape(1, -1)
        return Found(ONE, row) if long or value.ndim == 3 else Found(None, value)
    if len(long) == 2 and long[0] == long[1] and hermitian(value.reshape(long)):
        return Found(None, value, "and is Hermitian, a covariance; give it as --psi, with --psi-variable")
    orders = _orders(long, known)
    if len(orders) == 1 and long.count(known.subcarriers or 0) == 1:
        return Found(orders[0], value.reshape(long))
    ways = [f"--axes {written(order)}" for order in orders]
    if len(shape) == 4 and shape[1] == 1:  # one antenna of each user
        ways.append("--from deepmimo")
    give = " or ".join(ways) or "the names of its axes with --axes"
    return Found(None, value, f"{UNSURE}; give {give}")


def _leading_ones(shape: Sequence[int], axes: int) -> bool:
    return len(shape) > axes and all(n == 1 for n in shape[: len(shape) - axes])


EVERY: dict[int, tuple[Order, ...]] = {
    2: (ONE, ("antennas", "users"), ("channels", "antennas"), ("antennas", "channels")),
    3: (
        NATIVE,
        ("antennas", "users", "channels"),
        ("users", "antennas", "channels"),
        ("channels", "antennas", "users"),
        ("users", "receive", "antennas"),
        ("users", "antennas", "subcarriers"),
        ("subcarriers", "users", "antennas"),
    ),
    4: (
        SEVERAL,
        ("channels", "subcarriers", "users", "antennas"),
        ("antennas", "users", "subcarriers", "channels"),
        ("users", "receive", "antennas", "subcarriers"),
        ("antennas", "receive", "users", "channels"),
        ("channels", "users", "antennas", "subcarriers"),
    ),
    5: (("channels", "subcarriers", "users", "receive", "antennas"),),
}
"""The orders that people use, by the number of axes."""


def _orders(shape: Sequence[int], known: Known) -> list[Order]:
    """The orders that a shape can have.

    The users of a list are divided into channels, so there may be more of them than antennas.
    """
    found = []
    for order in EVERY.get(len(shape), ()):
        sizes = dict(zip(order, shape, strict=True))
        N = sizes["antennas"]
        fits = "channels" not in sizes or sizes.get("users", 1) <= N
        stated = known.antennas in (None, N) and known.subcarriers in (None, sizes.get(SUBCARRIERS))
        if fits and stated and sizes.get("receive", 1) <= N > 1:
            found.append(order)
    return found


def hermitian(value: Array) -> bool:
    """Whether every matrix of the last two axes is its own conjugate transpose, up to rounding."""
    if value.dtype.kind != "c":
        return False
    with np.errstate(all="ignore"):
        size = np.abs(value).max()
        off = np.abs(value - value.conj().swapaxes(-1, -2)).max()
        return bool(size > 0 and off <= 1e-5 * size)
