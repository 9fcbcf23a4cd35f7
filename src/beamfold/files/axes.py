"""What the axes of an array of channels are: names, as `--axes` takes them, and one order for all of them.

    channels      B, matrices that are designed for one after another
    subcarriers   S, one is chosen or each becomes a channel, unless the file states their frequencies
    symbols       times of OFDM; one is chosen or each becomes a channel
    users         K
    receive       R, antennas of each user
    antennas      N, of the base station
    ri            real and imaginary part, of length 2
    paths, taps   summed, which is the channel at the carrier
    -             an axis of length 1

Any other name is an axis of which one position is chosen with `--index NAME=i`, counted from 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from beamfold.errors import InputError
from beamfold.files.arrays import Array
from beamfold.files.atomic import FileError

CHANNELS, SUBCARRIERS, SYMBOLS, USERS, RECEIVE, ANTENNAS = KNOWN = (
    "channels", "subcarriers", "symbols", "users", "receive", "antennas",
)  # fmt: skip
"""The axes in the order in which they are arranged."""
RI, DROPPED, SUMMED = "ri", "-", ("paths", "taps")
SPELLED = {"channel": CHANNELS, "user": USERS, "antenna": ANTENNAS, "subcarrier": SUBCARRIERS,
           "symbol": SYMBOLS, "reim": RI, "complex": RI}  # fmt: skip
"""Other words for the axes in files that name them."""


def parsed_axes(text: str, index: Mapping[str, int | None]) -> tuple[str, ...]:
    """The names of `--axes`, separated by commas.

    Raises:
        InputError: an unknown name of which no position is chosen, one that is named twice, or no antennas.
    """
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in (*KNOWN, RI, DROPPED, *SUMMED) and name not in index:
            raise InputError(
                f"--axes: unknown axis {name[:30]!r}; known: {', '.join((*KNOWN, RI, *SUMMED, DROPPED))}, or "
                f"any other word with --index {name[:30] or 'NAME'}=i"
            )
        if name != DROPPED and names.count(name) > 1:
            raise InputError(f"--axes names the axis {name} {names.count(name)} times; name each axis once")
    if ANTENNAS not in names:
        raise InputError(f"--axes {text[:100]} names no antennas; say which axis is that of the antennas")
    return names


def parsed_index(text: str | None) -> dict[str, int | None]:
    """The positions of `--index snr=6,tx=0` by axis; None for "all".

    Raises:
        InputError: not name=position.
    """
    found: dict[str, int | None] = {}
    for part in (text or "").split(",") if text else ():
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not sign or not name or not (value == "all" or value.isdecimal()):
            raise InputError(
                f"--index takes an axis and a position counted from 0, such as snr=6, got {part[:50]!r}"
            )
        if name in found:
            raise InputError(f"--index gives the axis {name} twice; give it once")
        found[name] = None if value == "all" else int(value[:18])
    return found


def written(names: Sequence[str]) -> str:
    """Names of axes as `--axes` takes them."""
    return ",".join(names)


def fitted(what: str, value: Array, axes: Sequence[str]) -> Array:
    """The array with as many axes as are named: others of length 1 are dropped where one way remains.

    Raises:
        FileError: another number of axes, and no or several ways to drop some.
    """
    if value.ndim == len(axes):
        return value
    ones = [i for i, n in enumerate(value.shape) if n == 1]
    spare = value.ndim - len(axes)
    if spare < 0 or spare > len(ones) or len(ones) > 12:
        raise FileError(
            f"{what} has {value.ndim} axes {value.shape}, {len(axes)} are named: {written(axes)}; name every "
            "axis, with - for one of length 1"
        )
    ways = {tuple(np.delete(value.shape, drop)) for drop in combinations(ones, spare)}
    if len(ways) > 1:
        raise FileError(
            f"{what} has axes {value.shape}, of which {len(axes)} are named: {written(axes)}; say with - "
            "which axis of length 1 is dropped"
        )
    return value.reshape(next(iter(ways)))


class Arranged(NamedTuple):
    """Channels with their axes in order."""

    value: Array
    """(channels, subcarriers, users, receive, antennas); axes that the file lacks have length 1."""
    named: frozenset[str]
    """The axes that the file has."""
    told: tuple[str, ...]
    """What was chosen or summed, in words."""


def arranged(what: str, value: Array, axes: Sequence[str], index: Mapping[str, int | None]) -> Arranged:
    """The array with its axes in the order of `KNOWN`; positions are chosen, symbols become channels.

    Args:
        what: the file and the array, for messages.
        value: the array, with as many axes as `axes` names.
        axes: the name of each.
        index: the position that is chosen of an axis, None for all of them as channels.

    Raises:
        FileError: a position beyond the axis, an axis that needs one, or real and imaginary parts that do not
            fit.
    """
    names, told = list(axes), []
    _check_index(what, value.shape, names, index)
    if RI in names:
        value = _joined(what, np.moveaxis(value, names.index(RI), -1))
        names.remove(RI)
    for name in list(names):
        place, length = names.index(name), value.shape[names.index(name)]
        chosen = index.get(name)
        if chosen is not None:
            value = value.take(chosen, axis=place)
            told.append(f"{name} {chosen} of {length}")
        elif name in SUMMED:
            value = value.sum(axis=place)
            told.append(f"sum over {length} {name}")
        elif name == DROPPED or (name not in KNOWN and name not in index):
            if length != 1:
                hint = "name it" if name == DROPPED else f"choose one with --index {name}=i"
                raise FileError(f"{what} has axes {value.shape}, of which {name!r} is {length} long; {hint}")
            value = value.reshape(np.delete(value.shape, place))
        else:
            continue
        names.remove(name)
    return _in_order(what, value, names, index, told)


def _in_order(
    what: str, value: Array, names: list[str], index: Mapping[str, int | None], told: list[str]
) -> Arranged:
    """Every known axis in its place, and those of which all positions are taken among the channels."""
    spread = [name for name in names if name in index and name != CHANNELS]  # index is None: all
    if any(name in (USERS, RECEIVE, ANTENNAS) for name in spread):
        raise FileError(f"{what}: --index takes all of {spread[0]} anyway; leave it out")
    if SYMBOLS in names and SYMBOLS not in spread:
        length = value.shape[names.index(SYMBOLS)]
        if length != 1:
            raise FileError(
                f"{what} has {length} symbols; choose one with --index symbols=i, or take each as a channel "
                "of its own with --index symbols=all"
            )
        spread.append(SYMBOLS)
    kept = [CHANNELS, *spread, *(n for n in KNOWN if n not in (CHANNELS, *spread))]
    whole = value[(..., *(None for n in kept if n not in names))]
    full = [*names, *(n for n in kept if n not in names)]
    whole = whole.transpose([full.index(name) for name in kept])
    told += [f"every position of {n} a channel" for n in spread if value.shape[names.index(n)] > 1]
    rest = [n for n in kept if n not in (CHANNELS, *spread)]
    front = int(np.prod(whole.shape[: 1 + len(spread)], dtype=int))
    sizes = dict(zip(rest, whole.shape[1 + len(spread) :], strict=True))
    shape = [front, *(sizes.get(n, 1) for n in (SUBCARRIERS, USERS, RECEIVE, ANTENNAS))]
    return Arranged(whole.reshape(shape), frozenset(names) - set(spread), tuple(told))


def _check_index(what: str, shape: Sequence[int], names: list[str], index: Mapping[str, int | None]) -> None:
    for name, chosen in index.items():
        length = shape[names.index(name)] if name in names else 0
        if chosen is not None and name in names and chosen >= length:
            raise FileError(f"{what}: --index {name}={chosen}, the axis has positions 0 to {length - 1}")


def _joined(what: str, value: Array) -> Array:
    """The complex array of real and imaginary part along the last axis."""
    if value.shape[-1] != 2 or value.dtype.kind not in "biuf":
        raise FileError(
            f"{what}: the axis ri has length {value.shape[-1]} and {value.dtype} numbers; it is the real "
            "and the imaginary part, of length 2"
        )
    return value[..., 0] + 1j * value[..., 1]
