"""Figures of a design beyond R, τ and their errors, one per file: `--measure name` adds one to a table.

A file of this package has the name of its measure, with underscores for hyphens, and holds its record as
`MEASURE`.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from typing import NamedTuple

from torch import Tensor

from beamfold.errors import InputError
from beamfold.result import Design

NAMES = ("fairness", "antenna-peak", "rcrb", "detection", "pslr")
"""Every measure, in the order in which lists show them."""


class Measure(NamedTuple):
    """A figure of every channel's design."""

    name: str
    """What the command line takes."""
    function: Callable[[Design], Tensor]
    """Design → (…) real, one figure per channel."""
    heading: str
    """Above the column of a table, with the unit."""
    about: str
    """The formula, and what it is good for, in one line."""


def measure_named(name: str) -> Measure:
    """The record of a name.

    Raises:
        InputError: an unknown name; names the nearest and all.
    """
    if name not in NAMES:
        near = get_close_matches(name, NAMES, n=1)
        hint = f", did you mean {near[0]}?" if near else ";"
        raise InputError(f"no measure {name[:50]!r}{hint} known: {', '.join(NAMES)}")
    return import_module(f"beamfold.measures.{name.replace('-', '_')}").MEASURE
