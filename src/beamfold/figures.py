"""The paper's figures, drawn from the experiments' datasets and from nothing else.

Every curve is the mean over the channels, every band its 95 % interval, both as the dataset holds them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beamfold.files.atomic import write
from beamfold.papers import write_for_paper
from beamfold.plots import save
from beamfold.styles import COLOURS, START_LINES, STYLES, label

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LAYER_AXIS = "outer iterations or layers I"


def style_of(method: str, points: int) -> dict[str, Any]:
    """Colour, line and marker of a method; a curve of many points gets a marker now and then."""
    style = {"lw": 1.4, "ms": 4.5, "label": label(method), **STYLES.get(method, {})}
    return style | ({"markevery": max(points // 8, 1)} if points > 20 else {})


def decibel(values: Any) -> NDArray[np.float64]:
    """10 log₁₀, of at least 1e-6: an interval's lower end may lie below 0."""
    return 10 * np.log10(np.maximum(np.asarray(values, dtype=np.float64), 1e-6))


def _sheet(panels: int, height: float = 4.0) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.3 * panels, height), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for each in axes:
        each.grid(alpha=0.3)
    return figure, list(axes)


def legend(figure: Figure, axes: Iterable[Axes], columns: int = 4) -> None:
    """One legend below all panels."""
    held: dict[str, Any] = {}
    for each in axes:
        for handle, text in zip(*each.get_legend_handles_labels(), strict=True):
            held.setdefault(text, handle)
    figure.legend(held.values(), held.keys(), loc="outside lower center", ncols=columns, fontsize=8)


def _band(
    axes: Axes,
    ds: xr.Dataset,
    variable: str,
    axis: str,
    style: dict[str, Any],
    *,
    db: bool = False,
    **at: Any,
) -> None:
    """The mean curve with its 95 % interval at the place `at` of the other axes."""
    shape: Callable[[Any], NDArray[np.float64]] = decibel if db else np.asarray
    x = ds[axis].values
    mean, low, high = (shape(ds[f"{variable}_{part}"].sel(at).values) for part in ("mean", "low", "high"))
    if np.isnan(mean).all():
        return
    axes.plot(x, mean, **style)
    axes.fill_between(x, low, high, color=style["color"], alpha=0.15, lw=0)


def _methods(axes: Axes, ds: xr.Dataset, variable: str, axis: str, *, db: bool = False, **at: Any) -> None:
    for method in ds["method"].values:
        _band(axes, ds, variable, axis, style_of(method, ds.sizes[axis]), db=db, method=method, **at)


def fig2(ds: xr.Dataset) -> Figure:
    """Magnitudes in dB over N, R on the left and τ on the right."""
    figure, axes = _sheet(2)
    for panel, quantity in zip(axes, ("R", "tau"), strict=True):
        for which, colour in (("F", COLOURS[0]), ("W", COLOURS[1])):
            for statistic, line in zip(ds["statistic"].values, ("-", "--"), strict=True):
                symbol = r"\tau" if quantity == "tau" else "R"
                text = rf"$|\nabla_{{\mathbf{{{which}}}}} {symbol}|$, {statistic}"
                style = {"color": colour, "ls": line, "marker": "o", "ms": 3.5, "label": text}
                term = f"grad_{which} {quantity}"
                _band(panel, ds, "gradient", "antennas", style, db=True, term=term, statistic=statistic)
        panel.set(xlabel="antennas N", ylabel="magnitude [dB]", xscale="log")
        panel.set_xticks(ds["antennas"].values, [str(n) for n in ds["antennas"].values])
        panel.minorticks_off()
        panel.legend(fontsize=7)
    return figure


def fig3(ds: xr.Dataset) -> Figure:
    """R − ω τ over the layers for every (J, η): one channel on the left, the mean on the right."""
    figure, axes = _sheet(2)
    for i, inner in enumerate(ds["inner"].values):
        for eta in ds["eta"].values:
            shown = "1" if eta == 1 else "1/N"
            line = "--" if eta == 1 else "-"
            style: dict[str, Any] = {
                "color": COLOURS[i],
                "ls": line,
                "lw": 1.4,
                "label": f"J = {inner}, η = {shown}",
            }
            one = ds["objective"].sel(inner=inner, eta=eta).isel(channel=0)
            axes[0].plot(ds["layer"], one, **style)
            _band(axes[1], ds, "objective", "layer", style, inner=inner, eta=eta)
    for panel, text in zip(axes, ("one channel", f"mean of {ds.sizes['channel']} channels"), strict=True):
        panel.set(xlabel="iterations I", ylabel="R − ωτ [bit/s/Hz]", title=text)
        panel.set_ylim(max(float(ds["objective_mean"].min()) * 1.1, -100), None)
        panel.axhline(0, color="black", lw=0.6)
    legend(figure, axes, 3)
    return figure


def fig5(ds: xr.Dataset) -> Figure:
    """R − ω τ over the layers, N = 32 and 64: colour for the method, line for the start."""
    figure, axes = _sheet(2, 4.6)
    for panel, antennas in zip(axes, ds["antennas"].values, strict=True):
        for method in ds["method"].values:
            for start in ds["start"].values:
                line, style = START_LINES[str(start)], style_of(method, ds.sizes["layer"])
                style |= {"ls": line, "label": label(method) if line == "-" else "_"}
                _band(panel, ds, "objective", "layer", style, method=method, start=start, antennas=antennas)
        panel.axhline(0, color="black", lw=0.6)
        panel.set(xlabel=LAYER_AXIS, ylabel="R − ωτ [bit/s/Hz]", title=f"N = {antennas}", xlim=(0, None))
        panel.set_ylim(-35, None)
    for start, line in START_LINES.items():
        if start in ds["start"].values:
            axes[0].plot([], [], color="0.3", ls=line, label=f"{label(start)} start")
    legend(figure, axes, 4)
    return figure


def over_layers(ds: xr.Dataset) -> Figure:
    """Figs. 6 and 7: R, τ and the beampattern; methods without layers are horizontals."""
    figure, axes = _sheet(3, 4.6)
    _methods(axes[0], ds, "rate", "layer")
    _methods(axes[1], ds, "tau", "layer")
    axes[0].set(xlabel=LAYER_AXIS, ylabel="R [bit/s/Hz]", title="(a) sum rate", xlim=(0, None))
    axes[1].set(xlabel=LAYER_AXIS, ylabel="τ", title="(b) sensing error", yscale="log", xlim=(0, None))
    axes[1].yaxis.set_major_formatter("{x:g}")
    axes[1].yaxis.set_minor_formatter("{x:g}")
    axes[1].tick_params(axis="y", which="minor", labelsize=7)
    _pattern(axes[2], ds)
    legend(figure, axes)
    return figure


def _pattern(axes: Axes, ds: xr.Dataset) -> None:
    angles = ds["angle_deg"].values
    wanted = ds["desired"].values > 0
    axes.fill_between(
        angles, 12, 14, where=wanted, color=COLOURS[3], lw=0, step="mid", label="targets, $P_d$ = 1"
    )
    axes.fill_between(angles, -20, decibel(ds["benchmark"]), color="0.85", lw=0, label="benchmark Ψ")
    for method in ds["method"].values:
        style = style_of(method, 1) | {"marker": "", "lw": 1.0}
        axes.plot(angles, decibel(ds["pattern_mean"].sel({"method": method})), **style)
    axes.set(xlabel="angle θ [°]", ylabel="power to θ over $P_t$ [dB]", title="(c) beampattern")
    axes.set(xlim=(-90, 90), ylim=(-20, 14))
    axes.set_xticks([-90, -60, -30, 0, 30, 60, 90])


def over_axis(ds: xr.Dataset, axis: str, text: str) -> Figure:
    """Figs. 8 and 9: R and the MSE over the SNR or ω."""
    figure, axes = _sheet(2, 4.6)
    _methods(axes[0], ds, "rate", axis)
    _methods(axes[1], ds, "mse", axis, db=True)
    axes[0].set(xlabel=text, ylabel="R [bit/s/Hz]", title="(a) sum rate")
    axes[1].set(xlabel=text, ylabel="beampattern MSE [dB]", title="(b) beampattern error")
    if axis == "omega":
        for panel in axes:
            panel.set_xscale("log")
            panel.axvline(0.3, color="0.8", lw=1, zorder=0)
    legend(figure, axes, 3)
    return figure


def over_snr(ds: xr.Dataset) -> Figure:
    """Fig. 8."""
    return over_axis(ds, "snr_db", "SNR [dB]")


def over_weight(ds: xr.Dataset) -> Figure:
    """Fig. 9."""
    return over_axis(ds, "omega", "weight ω")


def table1(ds: xr.Dataset) -> Figure:
    """Multiply-adds per step over N, both axes logarithmic."""
    figure, axes = _sheet(2)
    for panel, step in zip(axes, ds["step"].values, strict=True):
        for form, colour in zip(ds["form"].values, COLOURS, strict=False):
            style: dict[str, Any] = {"color": colour, "marker": "o", "ms": 4, "lw": 1.4}
            values = ds["count"].sel(form=form, step=step)
            slope = float(ds["growth"].sel(form=form, step=step))
            text = f"{form}: $N^{{{slope:.2f}}}$"
            panel.plot(
                ds["antennas"], values, ls="--" if form.startswith("paper") else "-", label=text, **style
            )
        panel.set(xscale="log", yscale="log", xlabel="antennas N", title=f"per {step} step")
        panel.set(ylabel="complex multiply-adds")
        panel.set_xticks(ds["antennas"].values, [str(n) for n in ds["antennas"].values])
        panel.minorticks_off()
        panel.legend(fontsize=7)
    return figure


def table2(ds: xr.Dataset) -> Figure:
    """The curves that Table II is read off, their crossings, and the paper's."""
    figure, axes = _sheet(2, 4.6)
    for panel, antennas in zip(axes, ds["antennas"].values, strict=True):
        for method in ds["method"].values:
            style = style_of(method, 10**6) | {"marker": ""}
            _band(panel, ds, "objective", "layer", style, method=method, antennas=antennas)
            at = {"method": method, "antennas": antennas}
            ours, paper = float(ds["crossing"].sel(at)), float(ds["crossing_paper"].sel(at))
            panel.plot(ours, 0, "o", color=style["color"], ms=6)
            panel.plot(paper, 0, "o", mfc="none", color=style["color"], ms=9)
        panel.axhline(0, color="black", lw=0.6)
        text = f"N = {antennas}; dots: ours, rings: the paper's"
        panel.set(xlabel=LAYER_AXIS, ylabel="R − ωτ [bit/s/Hz]", title=text, xlim=(0, None))
    legend(figure, axes, 3)
    return figure


WAYS = {"omega": "over ω", "rho": "over ρ", "tau_0": "over τ₀"}
MARKS = ("s", "o", "X", "D", "P")


def front(ds: xr.Dataset) -> Figure:
    """R over τ, both means over the channels: a curve for every method, points for the paper's designs."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot()
    for name, axis in zip(ds["method"].values, ds["axis"].values, strict=True):
        of = ds.sel({"method": name})
        of = of.isel(point=np.argsort(of["tau_mean"].values))
        style = style_of(name, 1) | {"label": f"{label(name)}, {WAYS[str(axis)]}"}
        axes.plot(of["tau_mean"], of["rate_mean"], **style)
        axes.fill_between(
            of["tau_mean"], of["rate_low"], of["rate_high"], color=style["color"], alpha=0.12, lw=0
        )
    for name, marker in zip(ds["mark"].values, MARKS[-ds.sizes["mark"] :], strict=True):
        of = ds.sel(mark=name)
        style = style_of(name, 1) | {"marker": marker, "ls": "", "ms": 9, "mec": "white", "zorder": 3}
        axis, value = WAYS[str(of["mark_axis"].values)].removeprefix("over "), float(of["mark_value"])
        text = f"{label(name)}, {axis} = {value:g}"
        axes.plot(of["mark_tau_mean"], of["mark_rate_mean"], **style | {"label": text})
    axes.set(xscale="log", xlabel="beampattern error τ", ylabel="sum rate R [bit/s/Hz]")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    return figure


NETWORK_COLOURS = {name: COLOURS[i] for i, name in enumerate(("full", "subarrays", "interleaved", "dynamic"))}
STAGE_STYLES = {"rounded": ":", "W refitted": "--", "designed": "-"}


def network(ds: xr.Dataset) -> Figure:
    """R − ω τ over the RF chains of each network, and over the bits of the phase shifters."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in ds["network"].values:
        of, colour = ds.sel(network=name), NETWORK_COLOURS[str(name)]
        left.plot(ds["chains"], of["objective_mean"], "o-", color=colour, label=str(name))
        left.fill_between(
            ds["chains"], of["objective_low"], of["objective_high"], color=colour, alpha=0.12, lw=0
        )
    left.set(xlabel="RF chains M", ylabel="R − ωτ [bit/s/Hz]", xticks=ds["chains"].values, title="networks")
    for stage in ds["stage"].values:
        of = ds.sel(stage=stage)
        right.plot(
            ds["bits"], of["bits_objective_mean"], STAGE_STYLES[str(stage)], marker="o",
            color=COLOURS[0], label=str(stage),
        )  # fmt: skip
    right.axhline(float(ds["continuous_objective"].mean()), color="black", lw=1, label="continuous phases")
    M = json.loads(ds.attrs["parameters"])["chains"]
    right.set(xlabel="bits of the phase shifters", xticks=ds["bits"].values, title=f"full network, M = {M}")
    # Rounding to one or two bits loses so much that it would hide the rest.
    right.set_ylim(bottom=float(ds["bits_objective_mean"].sel(stage="designed").min()) - 5)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


Picture = Callable[["xr.Dataset"], "Figure"]
"""The figure of an experiment's dataset, one of the functions above."""


def titled(picture: Picture, ds: xr.Dataset) -> Figure:
    """The figure with what it shows and how it was made above it."""
    figure = picture(ds)
    held = json.loads(ds.attrs["parameters"])
    seed = f", seed {held['seed']}" if "seed" in held else ""
    facts = f"{held['count']} channels ({held['channels']}){seed}; band: 95 % interval"
    figure.suptitle(f"{ds.attrs['title']}\n{facts}; beamfold {ds.attrs['version']}", fontsize=8)
    return figure


def write_figure(
    picture: Picture, ds: xr.Dataset, folder: Path, name: str | None = None, *, paper: bool = False
) -> list[Path]:
    """`<experiment>.png` and `.pdf` in a folder, or under another name; those for a `paper` too."""
    figure = titled(picture, ds)
    stem = folder / (name or ds.attrs["experiment"])
    paths = [folder / f"{stem.name}{suffix}" for suffix in (".png", ".pdf")]
    for path in paths:
        write(path, lambda target: save(figure, target))
    return [*paths, *write_for_paper(picture(ds), stem)] if paper else paths
