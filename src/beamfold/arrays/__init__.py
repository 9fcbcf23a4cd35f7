"""Antenna arrays. base has the model, lags what a beampattern depends on, the others a named array each."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

from beamfold.arrays.base import Array, Kind, Lattice
from beamfold.arrays.line import line_array, steering
from beamfold.arrays.planar import planar_array
from beamfold.errors import InputError

__all__ = ["NAMES", "Array", "Kind", "Lattice", "line_array", "named_array", "planar_array", "steering"]

NAMES = ("line", "planar")
"""Every array that has a name. Its file in this package has the same name and holds its record as `KIND`."""


def kind_named(name: str) -> Kind:
    """The record of a name."""
    return import_module(f"beamfold.arrays.{name}").KIND


def named_array(text: str, antennas: int) -> Array:
    """The array that a text names, such as "line" or "planar:8x8".

    Args:
        text: a name of `NAMES`, and after a colon what its file reads there.
        antennas: N, where the text does not say it.

    Raises:
        InputError: an unknown name, or a text after it that does not fit.
    """
    name, _, rest = text.partition(":")
    if name not in NAMES:
        near = get_close_matches(name, NAMES, n=1)
        raise InputError(
            f"no array {text[:50]!r}" + (f", did you mean {kind_named(near[0]).written}?" if near else "")
        )
    kind = kind_named(name)
    try:
        return kind.make(rest, antennas)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"an array {name} is written {kind.written}, got {text[:50]!r}") from error
