"""Which order of axes an array of channels can have, where nothing states it.

The documented order is (channels, users, antennas), or (users, antennas) for one channel. A shape alone does
not tell it from the other orders that people use, (antennas, users, channels) in MATLAB, (users, antennas,
channels), or a list of users. So the documented order is taken only where none of these is as likely:

- it is refused where it has more users than antennas, or as many;
- it is refused where another axis can be that of the antennas in another order, with at least `FEW` of them,
  unless the last axis is a power of two, as arrays of antennas usually are, and the other one is not;
- axes of length 1 are dropped, except where a simulator's own order has them.

What was taken is told in words, with the order that was assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from beamfold.files.arrays import Array
from beamfold.files.axes import written

FEW = 8
"""Antennas below which an axis is not suspected to be theirs."""
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


def likely(value: Array, several: bool, antennas: int | None = None) -> Found:
    """The order of an array for which none was stated.

    Args:
        value: the array.
        several: the users have several antennas, so that the documented order has an axis `receive`.
        antennas: N where the file states it by the positions of its antennas.
    """
    shape = value.shape
    if value.size == 0 or value.ndim < 2 or (max(shape) == 1 and value.ndim != 3):
        return Found(None, value)
    refusal = _simulators(shape, several)
    if refusal:
        return Found(None, value, refusal)
    value = dropped(value, len(SEVERAL if several else NATIVE))
    if several:
        if value.ndim == 4 and value.shape[1] <= value.shape[3]:
            return Found(SEVERAL, value)
        return Found(None, value, f"expected {told(SEVERAL)}; {_give(_orders(shape))}")
    if value.ndim not in (2, 3):
        hint = (
            "a band needs `frequencies` and `carrier` in Hz beside it; for users with several antennas give "
            "--streams or --receive, else"
        )
        return Found(None, value, f"expected {told(NATIVE)}; {hint} {_give(_orders(shape))[5:]}")
    return _sure(value, antennas)


def _simulators(shape: Sequence[int], several: bool) -> str:
    """The refusal of a shape that is a simulator's; "" for others."""
    many = sum(n > 1 for n in shape) > 1
    if len(shape) >= SIONNA and many and not _leading_ones(shape, 4 if several else 3):
        return "the order of a simulator; give --from sionna, or --axes"
    if len(shape) == 4 and not several and shape[1] == 1 and shape[0] > 1:
        return f"{UNSURE}; {_give(['users,receive,antennas,subcarriers'], '--from deepmimo')}"
    return ""


def dropped(value: Array, axes: int) -> Array:
    """The array without leading axes of length 1 beyond so many, else without any axis of length 1."""
    shape = value.shape
    if _leading_ones(shape, axes):
        return value.reshape(shape[len(shape) - axes :])
    kept = tuple(n for n in shape if n != 1)
    return value.reshape(kept) if value.ndim > axes and 2 <= len(kept) <= axes else value


def _leading_ones(shape: Sequence[int], axes: int) -> bool:
    return len(shape) > axes and all(n == 1 for n in shape[: len(shape) - axes])


def _sure(value: Array, antennas: int | None) -> Found:
    """The documented order of 2 or 3 axes, or why it is not sure."""
    shape, native = value.shape, NATIVE if value.ndim == 3 else ONE
    users, last = shape[-2], shape[-1]
    if users == last > 1 and hermitian(value):
        return Found(None, value, "and is Hermitian, a covariance; give it as --psi, with --psi-variable")
    if antennas is not None and antennas in shape:
        if last == antennas and users <= last and shape.count(antennas) == 1:
            return Found(native, value)
        return Found(None, value, f"{UNSURE}; {_give(_orders(shape, antennas))}")
    rivals = [n for n in _rivals(shape) if n >= FEW]
    listed = value.ndim == 3 and users == 1 and shape[0] > 2  # users one after another, one antenna each
    unusual = not _power_of_two(last) or any(_power_of_two(n) for n in rivals)
    if users > last:
        count = (
            f"{users} users and {last} antennas as {told(native)}; there are never fewer antennas than users"
        )
        return Found(None, value, f"{count}; {_give(_orders(shape))}")
    if (rivals and unusual) or listed or users == last > 1:
        return Found(None, value, f"{UNSURE}; {_give(_orders(shape))}")
    return Found(native, value)


def _rivals(shape: Sequence[int]) -> Iterator[int]:
    """N in every other order that people use."""
    if len(shape) == 2:
        yield shape[0]  # antennas, users or antennas, channels
    if len(shape) == 3 and shape[1] <= shape[0]:
        yield shape[0]  # antennas, users, channels
    if len(shape) == 3 and shape[0] <= shape[1]:
        yield shape[1]  # users, antennas, channels


def _power_of_two(n: int) -> bool:
    return n & (n - 1) == 0


EVERY: dict[int, tuple[Order, ...]] = {
    1: (("antennas",),),
    2: (ONE, ("antennas", "users"), ("channels", "antennas"), ("antennas", "channels")),
    3: (
        NATIVE,
        ("antennas", "users", "channels"),
        ("users", "antennas", "channels"),
        ("users", "receive", "antennas"),
        ("users", "antennas", "subcarriers"),
    ),
    4: (
        SEVERAL,
        ("antennas", "receive", "users", "channels"),
        ("channels", "subcarriers", "users", "antennas"),
        ("channels", "users", "antennas", "subcarriers"),
        ("antennas", "users", "subcarriers", "channels"),
        ("users", "receive", "antennas", "subcarriers"),
    ),
}
"""The orders that people use, by the number of axes."""


def _orders(shape: Sequence[int], antennas: int | None = None) -> list[str]:
    """The orders that a shape can have, as `--axes` takes them."""
    found = []
    for order in EVERY.get(len(shape), ()):
        sizes = dict(zip(order, shape, strict=True))
        N = sizes["antennas"]
        fits = "channels" not in sizes or sizes.get("users", 1) <= N
        if fits and sizes.get("receive", 1) <= N and antennas in (None, N):
            found.append(written(order))
    return found


def _give(orders: list[str], *options: str) -> str:
    """The options that read a shape."""
    if not orders and not options:
        return "give the names of its axes with --axes"
    return "give " + " or ".join([*(f"--axes {order}" for order in orders), *options])


def told(order: Order) -> str:
    """An order in words, "(channels, users, antennas)"."""
    return f"({', '.join(order)})"


def hermitian(value: Array) -> bool:
    """Whether every matrix of the last two axes is its own conjugate transpose, up to rounding."""
    if value.dtype.kind != "c":
        return False
    with np.errstate(all="ignore"):
        size = np.abs(value).max()
        off = np.abs(value - value.conj().swapaxes(-1, -2)).max()
        return bool(size > 0 and off <= 1e-5 * size)
