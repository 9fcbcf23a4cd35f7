"""The paper's figures and tables, one record each: how it is computed, drawn, shown and set beside the paper.

What a record names is imported when it is used, so that the command line can list the experiments at once.
A dataset is all that its picture, its panels on the page of results and its claims are made of.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import xarray as xr

    from beamfold.experiments.claims import Row
    from beamfold.experiments.setting import Setting


class View(NamedTuple):
    """A panel: a variable over an axis, for one place on the axis `split` per panel where there is one."""

    variable: str
    axis: str
    db: bool = False
    logx: bool = False
    logy: bool = False
    split: str = ""
    floor: float | None = None


class Experiment(NamedTuple):
    """A figure or a table of the paper."""

    computed: str
    """module:function in `beamfold.experiments`, `Setting` → dataset."""
    drawn: str
    """The function in `beamfold.figures`, dataset → picture."""
    views: tuple[View, ...]
    """Its panels on the page of results."""
    cost: float
    """Seconds on one machine, for its share of the progress of `reproduce all`."""
    claims: str = ""
    """The function in `beamfold.experiments.claims`, dataset → rows of claims; "" for none."""
    levels: bool = False
    """Whether the page of claims has a table of every method at the last layer."""

    def compute(self, setting: Setting) -> xr.Dataset:
        """The dataset."""
        module, _, function = self.computed.partition(":")
        return _load(f"experiments.{module}", function)(setting)

    def write_figure(self, ds: xr.Dataset, folder: Path, *, paper: bool = False) -> list[Path]:
        """The picture as `<experiment>.png` and `.pdf` in a folder; that for a `paper` too."""
        from beamfold.figures import write_figure

        return write_figure(_load("figures", self.drawn), ds, folder, paper=paper)

    def rows(self, ds: xr.Dataset) -> list[Row]:
        """The claims that the dataset bears on."""
        return _load("experiments.claims", self.claims)(ds) if self.claims else []


def _load(module: str, function: str) -> Any:
    return getattr(import_module(f"beamfold.{module}"), function)


LAYERED = (
    View("rate", "layer"),
    View("tau", "layer", logy=True),
    View("objective", "layer", floor=-35),
    View("pattern", "angle_deg", db=True, floor=-20),
)
BY_SIZE = View("objective", "layer", split="antennas", floor=-35)
EXPERIMENTS: dict[str, Experiment] = {
    "fig2": Experiment(
        "gradients:fig2", "fig2", (View("gradient", "antennas", db=True, logx=True, split="statistic"),), 2,
        claims="gradients",
    ),
    "fig3": Experiment(
        "convergence:fig3", "fig3", (View("objective", "layer", floor=-100),), 4, claims="smoothness"
    ),
    "fig5": Experiment("convergence:fig5", "fig5", (BY_SIZE,), 40, claims="starts"),
    "fig6": Experiment("figures_6_to_8:fig6", "over_layers", LAYERED, 25, levels=True),
    "fig7": Experiment("figures_6_to_8:fig7", "over_layers", LAYERED, 30, claims="against_sca", levels=True),
    "fig8": Experiment(
        "figures_6_to_8:fig8", "over_snr", (View("rate", "snr_db"), View("mse", "snr_db", db=True)), 150,
        claims="errors",
    ),
    "fig9": Experiment(
        "tradeoff:fig9", "over_weight",
        (View("rate", "omega", logx=True), View("mse", "omega", db=True, logx=True)), 600,
        claims="over_weight",
    ),
    "table1": Experiment(
        "complexity:table1", "table1", (View("count", "antennas", logx=True, logy=True, split="step"),), 2,
        claims="costs",
    ),
    "table2": Experiment("convergence:table2", "table2", (BY_SIZE,), 10, claims="crossings"),
}  # fmt: skip
"""Name → experiment, in the order of the paper, of the page of results and of the claims."""


def datasets_of(folder: Path) -> dict[str, xr.Dataset]:
    """The datasets of `reproduce` in a folder, in the order of `EXPERIMENTS`."""
    from beamfold.experiments.store import load

    paths = {name: folder / f"{name}.nc" for name in EXPERIMENTS}
    return {name: load(path) for name, path in paths.items() if path.is_file()}
