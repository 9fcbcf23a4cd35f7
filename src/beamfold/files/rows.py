"""What row k of a file's H is."""

from __future__ import annotations

import warnings

from beamfold.errors import InputError

ROWS = ("h^H", "h^T")
"""What row k of a file's H is: h_kᴴ, so that H F W is what the users receive, or h_kᵀ."""
_FORMER_ROWS = {"hermitian": "h^H", "transpose": "h^T"}


def called_today(text: str) -> str:
    """One of `ROWS` for what a file of today or of version 0.1.0 says, "" for other words."""
    word = _FORMER_ROWS.get(text, text)
    return word if word in ROWS else ""


def rows_named(rows: str) -> str:
    """One of `ROWS`; the words of version 0.1.0, of which "transpose" conjugated, are taken with a warning.

    Raises:
        InputError: neither.
    """
    if rows in _FORMER_ROWS:
        warnings.warn(f"rows {rows!r} is now called {_FORMER_ROWS[rows]!r}", FutureWarning, stacklevel=3)
        return _FORMER_ROWS[rows]
    if rows not in ROWS:
        raise InputError(f"rows of H are {' or '.join(ROWS)}, got {rows[:50]!r}")
    return rows
