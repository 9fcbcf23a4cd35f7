r"""From which subcarriers F of a band is found: as many as the channels change over it.

Between two neighbouring subcarriers the channels turn by the angle

    a_s² = 1/K Σ_k arccos² |h_{s,k}ᴴ h_{s+1,k}| / (‖h_{s,k}‖ ‖h_{s+1,k}‖),

and, where each has its own Ψ, by that between Ψ_s and Ψ_{s+1} if it is larger. The path A = Σ_s a_s grows in
proportion to the bandwidth times the spread of the delays, whatever S is. Subcarriers are chosen at equal
distances along it, and each of the others counts as the nearest of them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Whole = NDArray[np.int64]
STANDING = 1e-3
"""The path up to which the subcarriers count as equal."""
PER_ANGLE, ENDS = 0.85, 4.0
"""Subcarriers per radian of a long path, and how many more."""
SMALLEST, LARGEST = 1e-100, 1e100
"""Norms between which squares and products of two of them are ordinary numbers."""
FIRST = 3.0
"""Subcarriers per radian of a short path."""


class Choice(NamedTuple):
    """The chosen subcarriers of S."""

    chosen: Whole
    """(n,), increasing."""
    nearest: Whole
    """(S,), for each subcarrier the place of the nearest of the chosen."""
    share: Real
    """(n,), of how many subcarriers each is the nearest, divided by S."""


def angles(rows: NDArray[Any]) -> Real:
    """The angles (S − 1, …) between neighbours of rows (S, …, N); 0 where one of them is zero."""
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.sqrt(np.vecdot(rows, rows).real)
    if not (size.min() > SMALLEST and size.max() < LARGEST):  # squares that are zero or infinite
        largest = np.maximum(np.abs(rows.real).max(-1), np.abs(rows.imag).max(-1))
        rows = rows / np.where(largest > 0, largest, 1.0)[..., None]
        size = np.sqrt(np.vecdot(rows, rows).real)
    both = size[1:] * size[:-1]
    product = np.abs(np.vecdot(rows[1:], rows[:-1]))
    cosine = np.where(both > 0, product / np.where(both > 0, both, 1.0), 1.0)
    return np.arccos(np.minimum(cosine, 1.0))


def radar_angles(U: NDArray[Any]) -> Real:
    """The angles (S − 1,) between neighbouring Ψ_s = U_s U_sᴴ, U (S, N, r)."""
    size = np.linalg.norm(U.conj().mT @ U, axis=(-2, -1))
    product = np.linalg.norm(U[1:].conj().mT @ U[:-1], axis=(-2, -1)) ** 2
    return np.arccos(np.minimum(product / (size[1:] * size[:-1]), 1.0))


def needed(path: float) -> int:
    """How many subcarriers a path (rad) needs."""
    if not path > STANDING:
        return 1
    return 1 + math.ceil(min(FIRST * path, ENDS + PER_ANGLE * path))


def choose(H: NDArray[Any], radar: Real, count: int | None = None) -> Choice:
    """The subcarriers from which F is found, for H (S, K, N) and the angles between Ψ_s.

    Args:
        H: the channels.
        radar: of `radar_angles`, or zeros.
        count: how many, unless the path is to say it; S and more for all.
    """
    S = len(H)
    if count is not None and count >= S:
        return Choice(np.arange(S), np.arange(S), np.full(S, 1 / S))
    steps = np.maximum(np.sqrt((angles(H) ** 2).mean(-1)), radar)
    along = np.concatenate([[0.0], np.cumsum(np.nan_to_num(steps))])
    n = min(needed(along[-1]) if count is None else count, S)
    if n >= S:
        return Choice(np.arange(S), np.arange(S), np.full(S, 1 / S))
    if not along[-1] > STANDING:  # equal channels have no path: by their numbers
        along = np.arange(S, dtype=np.float64)
    places = (np.arange(n) + 0.5) / n * along[-1]
    chosen = np.unique(np.abs(along[:, None] - places).argmin(0))
    nearest = np.abs(along[:, None] - along[chosen]).argmin(1)
    return Choice(chosen, nearest, np.bincount(nearest, minlength=len(chosen)) / S)
