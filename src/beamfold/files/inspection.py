"""What is in a file, for someone who does not know yet: shapes, kinds, scales, possible readings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from beamfold.files.arrays import Array, Held, numbers, read_file
from beamfold.files.atomic import Pathlike
from beamfold.files.axes import written
from beamfold.files.candidates import FACTS, Chosen, joined_pairs, with_ri
from beamfold.files.named_axes import named_axes
from beamfold.files.orders import unnamed
from beamfold.files.tools import TOOLS

KINDS = {"c": "complex", "f": "real", "i": "integer", "u": "integer", "b": "logical", "U": "text"}


def inspected(path: Pathlike) -> list[dict[str, Any]]:
    """One row for each array: name, shape, kind, root mean square, the readings that are possible, and a
    word.

    Raises:
        FileError: a file that can't be read.
    """
    held = read_file(Path(path))
    arrays = numbers(held.arrays)
    pairs = joined_pairs(arrays)
    halves = {name for pair in pairs for name in pair.parts}
    rows = []
    for name, value in held.arrays.items():
        known = name in FACTS or name in halves or value.dtype.kind == "U"
        about = (
            "part of a pair"
            if name in halves
            else "".join(value.reshape(-1)[:1])[:60]
            if value.dtype.kind == "U"
            else ""
        )
        rows.append(_row(name, value, [] if known else _readings(held, Chosen(name, value)), about))
    rows += [_row(pair.name, pair.value, _readings(held, pair), pair.told[0]) for pair in pairs]
    return rows + [
        {"name": name, "shape": [], "kind": "other", "rms": None, "readings": [], "about": what}
        for name, what in held.odd.items()
    ]


def _row(name: str, value: Array, readings: list[str], about: str) -> dict[str, Any]:
    with np.errstate(all="ignore"):
        size = None if value.dtype.kind == "U" or not value.size else np.sqrt(np.mean(np.abs(value) ** 2.0))
    rms = None if size is None else float(f"{float(size):.3g}")
    kind = KINDS[value.dtype.kind]
    return {
        "name": name,
        "shape": list(value.shape),
        "kind": kind,
        "rms": rms,
        "readings": readings,
        "about": about,
    }


def _readings(held: Held, chosen: Chosen) -> list[str]:
    """The orders that are possible as options; what is taken without one is said to be."""
    value = chosen.value
    if sum(n > 1 for n in value.shape) < (2 if value.dtype.kind == "c" else 3):
        return []
    own = named_axes(held, chosen)
    if own is not None:
        return [f"{written(own)}, as the file says, taken without an option"]
    refusal = unnamed(value, several=False).refusal
    fits = [name for name, tool in TOOLS.items() if value.ndim > 3 and value.ndim in map(len, tool.orders)]
    words = f"the number of axes fits --from {', '.join(fits)}"
    return [*filter(None, [refusal, with_ri(value)]), *([words] if fits else [])]
