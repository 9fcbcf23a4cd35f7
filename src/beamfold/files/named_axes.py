"""The axes of an array as its file names them: in words, by what wrote the file, or as it was published."""

from __future__ import annotations

import numpy as np

from beamfold.errors import InputError
from beamfold.files.arrays import Held, text
from beamfold.files.axes import DROPPED, SPELLED, SUBCARRIERS, parsed_axes
from beamfold.files.bands import ENTRY
from beamfold.files.candidates import NAME, Chosen
from beamfold.files.orders import NATIVE, SEVERAL, Order
from beamfold.files.rows import called_today

PUBLISHED = ("H_test", "H_train")
"""Channels of the data published with the paper, (1, channels, users, antennas)."""


def documented(axes: int, band: bool) -> Order | None:
    """The order in which this program writes H of so many axes, None for another number."""
    order = {3: NATIVE, 4: SEVERAL}.get(axes - band)
    return (order[0], SUBCARRIERS, *order[1:]) if band and order is not None else order


def named_axes(held: Held, chosen: Chosen) -> Order | None:
    """The axes as the file names them: by labels, or in an entry `axes`, which is of H where there is an H.

    A file with an entry `rows` beside H was written by this program before it named the axes.
    """
    value = chosen.value
    words = [word.strip().lower() for word in _stated(held, chosen).split(",")]
    names = [SPELLED.get(word, word) for word in words if word]
    if names:
        return _known(names) if len(names) == value.ndim else None
    if chosen.name == NAME and rows_in(held):
        return documented(value.ndim, ENTRY in held.arrays)
    if chosen.name in PUBLISHED and value.ndim == 4 and value.shape[0] == 1:
        return (DROPPED, *NATIVE)
    return None


def _stated(held: Held, chosen: Chosen) -> str:
    """The names of an array's axes that the file states, separated by commas; "" where it states none."""
    value = held.arrays.get("axes", np.zeros(0))
    own = value.dtype.kind == "U" and (chosen.name == NAME or NAME not in held.arrays)
    return held.axes.get(chosen.name, "") or (",".join(value.ravel()[:20])[:200] if own else "")


def misnamed(held: Held, chosen: Chosen) -> str:
    """What a refusal adds where the file says something of the axes that does not name them."""
    line = "".join(c for c in _stated(held, chosen) if c.isprintable())
    said = f"; its axes are called {line!r} in the file, which does not name each of the {chosen.value.ndim}"
    return said if line.strip(",") else ""


def rows_in(held: Held) -> str:
    """h^H or h^T where the file says what the rows of H are, else ""."""
    return called_today(text(held.arrays, "rows"))


def _known(names: list[str]) -> Order | None:
    """The names where all of them are known, so that they can be taken."""
    try:
        return parsed_axes(",".join(names), {})
    except InputError:
        return None
