"""The paper's figures and tables, and sweeps: each a function of a `Setting` that gives a labelled dataset.

setting ← labelled ← gradients, convergence, performance, tradeoff, complexity ← this registry.
store reads and writes the datasets, claims puts them beside the paper's; grid, cells and sweep are sweeps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from beamfold.experiments.complexity import table1
from beamfold.experiments.convergence import fig3, fig5, table2
from beamfold.experiments.gradients import fig2
from beamfold.experiments.performance import fig6, fig7, fig8
from beamfold.experiments.setting import Setting
from beamfold.experiments.tradeoff import fig9

if TYPE_CHECKING:
    import xarray as xr


class Experiment(NamedTuple):
    """How an experiment is run, and its share of `all`, in seconds of one machine, for the progress."""

    run: Callable[[Setting], xr.Dataset]
    cost: float


EXPERIMENTS = {
    "fig2": Experiment(fig2, 2),
    "fig3": Experiment(fig3, 4),
    "fig5": Experiment(fig5, 40),
    "fig6": Experiment(fig6, 25),
    "fig7": Experiment(fig7, 30),
    "fig8": Experiment(fig8, 150),
    "fig9": Experiment(fig9, 600),
    "table1": Experiment(table1, 2),
    "table2": Experiment(table2, 10),
}

__all__ = ["EXPERIMENTS", "Experiment", "Setting"]
