"""Directions as files and the command line write them: azimuths, or pairs of azimuth and elevation.

The command line imports this module for its help, so it loads nothing heavy.
"""

from __future__ import annotations

from beamfold.errors import InputError

Directions = list[float | str | list[float]]
"""Angles in degrees: azimuths, or pairs of azimuth and elevation as [20, -10] or "20/-10"."""


class Angle(str):
    """A direction on the command line, "20" or "20/-10"."""


def direction(text: str | float | list[float]) -> float | tuple[float, float]:
    """An azimuth, or a pair of azimuth and elevation, in degrees.

    Raises:
        ValueError: neither a number nor a pair of numbers.
    """
    if isinstance(text, (int, float)):
        return float(text)
    parts = [float(part) for part in (text.split("/") if isinstance(text, str) else text)]
    if len(parts) == 2:
        return parts[0], parts[1]
    if len(parts) != 1:
        raise ValueError(f"a direction is an azimuth or azimuth/elevation in degrees, got {text!r}")
    return parts[0]


def directions(values: Directions) -> list[float] | list[tuple[float, float]]:
    """All as azimuths, or all as pairs where one of them is; an azimuth alone has elevation 0.

    Raises:
        InputError: one that is neither a number nor a pair of numbers.
    """
    try:
        found = [direction(value) for value in values]
    except ValueError as error:
        raise InputError(
            f"a direction is an azimuth or azimuth/elevation in degrees, such as 20 or 20/-10: {error}"
        ) from error
    alone = [value for value in found if isinstance(value, float)]
    if len(alone) == len(found):
        return alone
    return [(value, 0.0) if isinstance(value, float) else value for value in found]
