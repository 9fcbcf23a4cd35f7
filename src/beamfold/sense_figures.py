"""Pictures of sensing figures, drawn from their datasets and from nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from beamfold.figures import legend
from beamfold.styles import COLOURS, label

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def sense(ds: xr.Dataset) -> Figure:
    """RCRB and P_D over the SNR of the target, means over the channels; at the first P_t of the file.

    One method: a curve for each target, with P_D of Swerling I dashed. Several: a curve for each method, of
    the target that it sees worst.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    several = ds.sizes["method"] > 1
    for of, style in _curves(ds.isel(snr_db=0)):
        _band(left, of, "rcrb_over_snr", style)
        _band(right, of, "detected_over_snr", style)
        if not several:
            _band(right, of, "swerling_over_snr", style | {"ls": "--", "label": "_"})
    for axes in (left, right):
        for snr in sorted(set(json.loads(ds.attrs["parameters"])["target_snr_db"])):
            axes.axvline(snr, color="0.6", lw=0.8)
        ends = (ds["target_snr_db"][0], ds["target_snr_db"][-1])
        axes.set(xlabel="target SNR $|α|^2 P_t/σ^2$ [dB]", xlim=ends)
        axes.grid(alpha=0.3)
    left.set(yscale="log", ylabel="root Cramér-Rao bound [°]")
    right.set(ylim=(0, 1.02), ylabel="probability of detection")
    if several:
        left.set_title("the target that a method sees worst", fontsize=9)
        right.set_title("the same, constant amplitude", fontsize=9)
    else:
        right.plot([], [], color="0.3", label="constant amplitude")
        right.plot([], [], color="0.3", ls="--", label="Swerling I")
    legend(figure, (right,))
    return figure


def _curves(ds: xr.Dataset) -> list[tuple[xr.Dataset, dict[str, Any]]]:
    """Each curve with its style."""
    if ds.sizes["method"] == 1:
        found = ds.isel(method=0)
        return [
            (found.sel(target=t), _style(i, f"target at {t}°")) for i, t in enumerate(found["target"].values)
        ]
    curves = []
    for i, method in enumerate(ds["method"].values):
        of = ds.sel({"method": method})
        worst = int(np.argmin(of["scnr_mean"].values))
        curves.append((of.isel(target=worst), _style(i, label(str(method)))))
    return curves


def _style(i: int, text: str) -> dict[str, Any]:
    """Colours in turn, then the same with another line."""
    line = ("-", "-.", ":")[i // len(COLOURS) % 3]
    return {"color": COLOURS[i % len(COLOURS)], "ls": line, "lw": 1.4, "label": text}


def _band(axes: Axes, of: xr.Dataset, name: str, style: dict[str, Any]) -> None:
    """A mean over the target's SNR with its interval."""
    x = of["target_snr_db"].values
    mean, low, high = (of[f"{name}_{part}"].values for part in ("mean", "low", "high"))
    if not np.isfinite(mean).any():
        return
    axes.plot(x, mean, **style)
    axes.fill_between(x, low, high, color=style["color"], alpha=0.12, lw=0)


def front(ds: xr.Dataset) -> Figure:
    """R over the bound or SCNR of the worst target, and over P_D: curves, the paper's designs as points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    crb = json.loads(ds.attrs["parameters"])["sensing"] == "crb"
    for axes, name in ((left, "rcrb_deg" if crb else "scnr"), (right, "detected")):
        for i, method in enumerate(ds["method"].values):
            of = ds.sel({"method": method})
            style = _style(i, str(method)) | {"marker": "o", "ms": 4}
            axes.plot(_shown(of, name, ""), of["rate_mean"], **style)
        for i, mark in enumerate(ds["mark"].values):
            of = ds.sel({"mark": mark})
            style = _style(i + ds.sizes["method"], label(str(mark))) | {"marker": "D", "ls": "", "ms": 7}
            axes.plot(_shown(of, name, "mark_"), of["mark_rate_mean"], **style)
        axes.grid(alpha=0.3, which="both")
    worst = "of the worst target"
    if crb:
        left.set(xscale="log", xlabel=f"root Cramér-Rao bound {worst} [°]", ylabel="sum rate R [bit/s/Hz]")
        left.xaxis.set_major_formatter("{x:g}")
        left.xaxis.set_minor_formatter("{x:g}")
        left.tick_params(axis="x", which="minor", labelsize=7)
    else:
        left.set(xlabel=f"SCNR {worst} [dB]", ylabel="sum rate R [bit/s/Hz]")
    right.set(xlabel=f"probability of detection {worst}")
    legend(figure, (left,))
    return figure


def _shown(of: xr.Dataset, name: str, prefix: str) -> Any:
    """The mean, of SCNR in dB."""
    mean = of[f"{prefix}{name}_mean"].values
    return 10 * np.log10(mean) if name == "scnr" else mean
