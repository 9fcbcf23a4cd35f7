"""The picture of the study of squint: R − ω τ and the gain over B, and power over angle and frequency."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from beamfold.styles import COLOURS

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {
    "common": "one F for the band", "blind": "the same, Ψ of the carrier", "each": "an F for each subcarrier",
    "subarrays": "sub-arrays", "digital": "digital",
}  # fmt: skip
PICTURES = {
    "conventional": "beams set at the carrier", "blind": "one F, Ψ of the carrier",
    "common": "one F, Ψ of every subcarrier", "digital": "digital",
}  # fmt: skip
FLOOR_DB, TOP_DB = -15.0, 10.0
"""Range of the colours of a picture."""


def squint(ds: xr.Dataset) -> Figure:
    """R − ω τ over B for each M, the gain on the worst subcarrier and target, and power over angle and f."""
    from matplotlib.figure import Figure

    chains = ds["chains"].values
    columns = max(len(chains) + 1, ds.sizes["picture"])
    figure = Figure(figsize=(3.6 * columns, 7.4), layout="constrained")
    grid = figure.subplots(2, columns, squeeze=False)
    for axes, M in zip(grid[0], chains, strict=False):
        _curves(axes, ds, "objective", M)
        axes.set(ylabel="R − ωτ [bit/s/Hz]", title=f"M = {M}")
        # Values far below the others would hide how these differ.
        best = float(ds["digital_objective_mean"].max())
        axes.set_ylim(max(float(ds["objective_mean"].min()) - 1, best - 40), best + 2)
    facts = json.loads(ds.attrs["parameters"])
    M = facts["picture_chains"]
    gain = grid[0][len(chains)]
    _curves(gain, ds, "gain_worst", M)
    gain.set(ylabel="power over $P_t$ [dB]", title=f"worst subcarrier and target, M = {M}")
    for axes in grid[0][: len(chains) + 1]:
        axes.set(xscale="log", xlabel="bandwidth B [GHz]")
        axes.set_xticks(ds["bandwidth_ghz"].values, [f"{B:g}" for B in ds["bandwidth_ghz"].values])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    handles, texts = gain.get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=6, fontsize=8)
    drawn = grid[1][: ds.sizes["picture"]]
    for axes, name in zip(drawn, ds["picture"].values, strict=True):
        image = _picture(axes, ds.sel(picture=name), facts)
        text = f", M = {M}" if name in ("blind", "common") else ""
        axes.set(title=PICTURES[str(name)] + text, xlabel="angle θ [°]")
    drawn[0].set_ylabel("frequency [GHz]")
    figure.colorbar(image, ax=list(drawn), label="power to θ over $P_t$ [dB]", shrink=0.9)
    for axes in (*grid[0][len(chains) + 1 :], *grid[1][len(drawn) :]):
        axes.axis("off")
    return figure


def _curves(axes: Axes, ds: xr.Dataset, name: str, M: int) -> None:
    """A figure over B: the designs of M chains and the digital one, with their intervals."""
    for i, design in enumerate(ds["design"].values):
        of = ds.sel(design=design, chains=M)
        _curve(axes, of, name, {"color": COLOURS[i], "label": label(str(design)), "marker": "o"})
    _curve(axes, ds, f"digital_{name}", {"color": "black", "label": label("digital"), "ls": "--"})


def _curve(axes: Axes, of: xr.Dataset, name: str, style: dict[str, Any]) -> None:
    bounds = [of[f"{name}_{end}"].values for end in ("mean", "low", "high")]
    if "gain" in name:
        bounds = [10 * np.log10(np.maximum(values, 1e-6)) for values in bounds]
    axes.plot(of["bandwidth_ghz"], bounds[0], **{"lw": 1.4, "ms": 4, **style})
    axes.fill_between(of["bandwidth_ghz"], bounds[1], bounds[2], color=style["color"], alpha=0.12, lw=0)


def label(design: str) -> str:
    """What a design is called in the picture."""
    if design.startswith("delays_"):
        return f"one F, {design.removeprefix('delays_')} delay lines a chain"
    return LABELS[design]


def _picture(axes: Axes, of: xr.Dataset, facts: dict[str, Any]) -> Any:
    """Power over angle and frequency, in dB, the targets marked."""
    power = 10 * np.log10(np.maximum(of["pattern"].values, 1e-6))
    f = of["frequency_ghz"].values
    image = axes.imshow(
        power, origin="lower", aspect="auto", vmin=FLOOR_DB, vmax=TOP_DB, cmap="viridis",
        extent=(-90.0, 90.0, float(f[0]), float(f[-1])), interpolation="nearest",
    )  # fmt: skip
    for target in facts["targets_deg"]:
        axes.axvline(target, color="white", lw=0.8, ls=":")
    axes.set_xticks([-90, -60, -30, 0, 30, 60, 90])
    return image
