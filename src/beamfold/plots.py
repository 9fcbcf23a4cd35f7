"""Pictures of results; the only module that knows matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from beamfold.metrics import covariance_pattern
from beamfold.result import Design
from beamfold.sensing import PLANAR_ANGLES, Sensing, angle_grid, default_angles
from beamfold.styles import COLOURS, label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMOOTH = 721
"""Angles at least of a picture: every quarter of a degree."""


def beampatterns(
    designs: Sequence[Design], radar: Sensing, *, part: Any = slice(None), title: str = ""
) -> Figure:
    """p(θ)/P_t in dB, averaged over the channels, of several designs beside Ψ's, targets marked.

    Args:
        designs: of the same scenario.
        radar: Ψ with its targets.
        part: which of the leading axis (SNR) to show.
        title: above the picture.
    """
    if not radar.array.is_line:
        return _maps(designs, radar, part, title)
    from matplotlib.figure import Figure

    angles = angle_grid(max(SMOOTH, default_angles(radar.array)))
    degrees = torch.rad2deg(angles).numpy()
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.add_subplot()
    targets = torch.rad2deg(radar.target_angles).tolist()
    for target in targets:
        axes.axvline(target, color="0.8", lw=5, zorder=0)
    wanted = _db(covariance_pattern(radar.Psi, angles, radar.array))
    axes.plot(degrees, wanted, color="black", lw=1.6, label="benchmark Ψ")
    for design, colour in zip(designs, COLOURS, strict=False):
        axes.plot(degrees, _mean(design, angles, part), color=colour, lw=1.2, label=label(design.label))
    axes.set(
        xlabel="angle θ [°]", ylabel="power to θ over $P_t$ [dB]", xlim=(-90, 90), ylim=(-20, 12), title=title
    )
    axes.set_xticks(range(-90, 91, 30))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=2, loc="lower center")
    if targets:
        axes.annotate("targets", (max(targets), 11), fontsize=8, color="0.4", ha="center", va="top")
    return figure


def _maps(designs: Sequence[Design], radar: Sensing, part: Any, title: str) -> Figure:
    """The same over azimuth and elevation: one map for Ψ and one for each design, targets as circles."""
    from matplotlib.figure import Figure

    axis = angle_grid(PLANAR_ANGLES)
    angles = torch.cartesian_prod(axis, axis)
    maps = [("benchmark Ψ", _db(covariance_pattern(radar.Psi, angles, radar.array)))]
    maps += [(label(d.label), _mean(d, angles, part)) for d in designs]
    top = max(float(values.max()) for _, values in maps)
    columns = min(3, len(maps))
    rows = math.ceil(len(maps) / columns)
    figure = Figure(figsize=(3.3 * columns + 0.8, 3.2 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, (name, values) in zip(grid.flat, maps, strict=False):
        image = axes.imshow(
            values.reshape(len(axis), -1).T,
            origin="lower",
            extent=(-90, 90, -90, 90),
            vmin=top - 30,
            vmax=top,
        )
        for az, el in torch.rad2deg(radar.target_angles).tolist():
            axes.plot(az, el, "o", mfc="none", mec="white", ms=9)
        axes.set_title(name, fontsize=9)
        axes.set_xticks(range(-90, 91, 45))
        axes.set_yticks(range(-90, 91, 45))
    for axes in grid.flat[len(maps) :]:
        axes.set_axis_off()
    figure.supxlabel("azimuth [°]", fontsize=9)
    figure.supylabel("elevation [°]", fontsize=9)
    figure.colorbar(image, ax=grid, label="power over $P_t$ [dB]", shrink=0.9)
    figure.suptitle(f"{title} (circles: targets)" if title else "circles: targets", fontsize=10)
    return figure


def _mean(design: Design, angles: Tensor, part: Any) -> Any:
    """p/P_t in dB, averaged over the channels of a part of the batch."""
    return _db(design.beampattern(angles)[part].reshape(-1, len(angles)).mean(0))


def _db(pattern: Tensor) -> Any:
    return 10 * torch.log10(pattern.clamp_min(1e-12)).numpy()


def save(figure: Figure, path: Path) -> None:
    """Write the picture; the suffix says the kind (.png, .pdf, .svg)."""
    figure.savefig(path, dpi=150)
