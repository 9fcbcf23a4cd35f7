"""What the commands that design have in common: the run behind a progress bar, and the columns of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beamfold.cli.common import progress, say_if_compiling
from beamfold.defaults import METHOD

if TYPE_CHECKING:
    from beamfold.measures import Measure
    from beamfold.result import Design
    from beamfold.scenario import Scenario

SENSED = ("rcrb", "detection", "pslr")
"""Figures of sensing that `compare --sense` shows; of a design for them the first two."""
HEADINGS = {
    "method": "method",
    "snr_db": "SNR [dB]",
    "rate": "R [bit/s/Hz]",
    "tau": "tau",
    "objective": "R - w tau",
    "mse_db": "MSE [dB]",
    "status": "status",
}


def measures_named(names: list[str] | None) -> list[Measure]:
    """The measures of these names."""
    from beamfold.measures import measure_named

    return [measure_named(name) for name in names or ()]


def headings_with(measures: list[Measure]) -> dict[str, str]:
    """The columns of the table, those of the measures before the status."""
    extra = {measure.name: measure.heading for measure in measures}
    return {
        **{key: HEADINGS[key] for key in HEADINGS if key != "status"},
        **extra,
        "status": HEADINGS["status"],
    }


def run(s: Scenario, method: str, options: dict[str, Any], text: str, threads: int | None = None) -> Design:
    """The design of all channels behind a progress bar."""
    from beamfold.registry import design

    if s.goal is None or method == METHOD:
        single, banded = options.get("precision", "single"), s.band is not None
        say_if_compiling(method, single, band=banded, goal=s.goal is not None)
    with progress(s.batch[-1], text) as tick:
        return design(s, method, threads=threads, progress=lambda done, count: tick(done, text), **options)
