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
from beamfold.sensing import Sensing, angle_grid, default_angles
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
    from matplotlib.figure import Figure

    angles = angle_grid(max(SMOOTH, default_angles(radar.antennas)))
    degrees = torch.rad2deg(angles).numpy()
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for target in radar.targets:
        axes.axvline(math.degrees(target), color="0.8", lw=5, zorder=0)
    axes.plot(degrees, _db(covariance_pattern(radar.Psi, angles)), color="black", lw=1.6, label="benchmark Ψ")
    for design, colour in zip(designs, COLOURS, strict=False):
        pattern = design.beampattern(angles)[part].reshape(-1, len(angles)).mean(0)
        axes.plot(degrees, _db(pattern), color=colour, lw=1.2, label=label(design.label))
    axes.set(
        xlabel="angle θ [°]", ylabel="power to θ over $P_t$ [dB]", xlim=(-90, 90), ylim=(-20, 12), title=title
    )
    axes.set_xticks(range(-90, 91, 30))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=2, loc="lower center")
    if radar.targets:
        axes.annotate(
            "targets", (math.degrees(max(radar.targets)), 11), fontsize=8, color="0.4", ha="center", va="top"
        )
    return figure


def _db(pattern: Tensor) -> Any:
    return 10 * torch.log10(pattern.clamp_min(1e-12)).numpy()


def save(figure: Figure, path: Path) -> None:
    """Write the picture; the suffix says the kind (.png, .pdf, .svg)."""
    figure.savefig(path, dpi=150)
