"""The page without a server: a table of designs over channel, SNR and ω in one file."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from beamfold.explore.controls import Control, start_of
from beamfold.explore.designs import Designs
from beamfold.explore.page import ALONE, facts_of, page_of
from beamfold.explore.recipe import recipe
from beamfold.explore.state import State
from beamfold.files.entries import ScenarioSpec

WEIGHTS = 25
"""ω, over four decades around the stated one."""
LEVELS = (-6.0, 0.0, 6.0, 12.0, 18.0, 24.0)
"""SNRs in dB where at most one is stated."""
BYTES = 6 << 20
"""Of the table, from which fewer channels are taken; there are at least one and at most `CHANNELS`."""
CHANNELS = 8
SECONDS = 300.0
"""Of computing the table, from which fewer channels are taken."""
MARKS = {"channel": 900_719, "snr_db": 31.0625, "weight": 0.987654321}
"""Numbers that stand in the recipe of the table where the page puts its own."""
Tick = Callable[[float], None]


def offline_page(
    held: Designs, weights: list[float] | None = None, tick: Tick = lambda share: None
) -> tuple[str, str]:
    """The page, and what its table holds in words.

    Args:
        held: the designs of the file.
        weights: ω; default `WEIGHTS` of them, and the stated one.
        tick: called with the share of the work that is done.
    """
    start = start_of(held.spec, held.columns)
    axes = axes_of(held.spec, start, weights)
    if start.weight not in axes["weight"]:
        start = start.model_copy(update={"weight": axes["weight"][len(axes["weight"]) // 2]})
    wanted = held.answer(start).get("wanted")
    first = _stripped(held.answer(start))  # the second one: the first loaded or compiled code
    each = len(str(first)) * len(axes["snr_db"]) * len(axes["weight"])
    slow = max(held.seconds, 1e-3) * len(axes["snr_db"]) * len(axes["weight"])
    count = min(CHANNELS, held.channels.count, max(1, BYTES // each), max(1, int(SECONDS / slow)))
    axes = {"channel": list(range(count)), **axes}
    answers = []
    total = count * len(axes["snr_db"]) * len(axes["weight"])
    for place in itertools.product(*axes.values()):
        state = start.model_copy(update=dict(zip(axes, place, strict=True)))
        answers.append(_stripped(held.answer(state)))
        tick(len(answers) / total)
    told = f"{total} designs: {count} channels, {len(axes['snr_db'])} SNRs, {len(axes['weight'])} weights"
    table = {
        "axes": axes,
        "answers": answers,
        "wanted": wanted,
        "recipe": template(held, start),
        "prepared": held.prepared_seconds(start),
    }
    facts = facts_of(held, start) | {"live": False, "table": table, "made": f"It holds {told}."}
    facts["controls"] = [c._asdict() for c in controls_of(axes)]
    return page_of(facts, policy=ALONE), told


def axes_of(spec: ScenarioSpec, start: State, weights: list[float] | None) -> dict[str, list[float]]:
    """The values of SNR and ω; where they are not stated, several around the usual ones."""
    stated = [float(v) for v in spec.snr_db or ()]
    levels = sorted(set(stated) or {*LEVELS, start.snr_db})
    if weights is not None:
        return {"snr_db": levels, "weight": sorted({float(w) for w in weights})}
    middle = start.weight or 0.3
    around = {*(float(f"{w:.3g}") for w in np.logspace(-2, 2, WEIGHTS) * middle), start.weight}
    return {"snr_db": levels, "weight": sorted(around)}


def controls_of(axes: dict[str, list[Any]]) -> list[Control]:
    """The sliders of a table."""
    about: dict[str, tuple[str, str]] = {
        "channel": ("channel", ""), "snr_db": ("SNR, Pₜ/σ²", "dB"), "weight": ("weight ω of sensing", ""),
    }  # fmt: skip
    return [
        Control(name, about[name][0], "slider", values, [], about[name][1])
        for name, values in axes.items()
        if len(values) > 1
    ]


def template(held: Designs, start: State) -> dict[str, str]:
    """The recipe with {channel}, {snr_db} and {weight} where their values stand."""
    found = recipe(held, start.model_copy(update=MARKS))
    for name, mark in MARKS.items():
        found = {key: text.replace(str(mark), f"{{{name}}}") for key, text in found.items()}
    return found


def _stripped(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what is the same for all of a table, or known to the page."""
    same = ("state", "wanted", "advice", "notes")
    return {name: value for name, value in answer.items() if name not in same}
