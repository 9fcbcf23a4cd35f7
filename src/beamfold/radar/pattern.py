r"""Gains towards the targets, and the levels of the sidelobes: PSLR and ISLR.

    gain_i = ā_iᴴ R ā_i / P_t,      1 for power that goes everywhere alike, N at most;
    PSLR   = (the highest power outside all wanted lobes) / (the peak of the weakest wanted lobe);
    ISLR   = ∫ power outside the wanted lobes / ∫ power inside.

A wanted lobe is that of a target. Its peak is the highest power within a quarter of the width between a
beam's nulls from the target. It reaches to the first null on either side, as this very X has them: the first
minimum at least 3 dB below the peak, since a broad lobe may have ripples, or to where the pattern is 3 dB
above the peak, which is another beam's. Where an array sees azimuth and elevation, the nulls along both cuts
through the peak bound a box.

The measure of ISLR is named: "u" integrates over direction cosines, over which a half-wavelength line spreads
its power evenly; "angle" over θ, and over the solid angle where there are two angles.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from beamfold.arrays import Array
from beamfold.radar.scene import Scene

Measure = Literal["u", "angle"]
SAMPLES = 16
"""Grid points of a line from a peak to its first null; a peak is then met within 0.02 dB."""
FEWER = 4
"""The same along each of two angles."""
PART = 1 << 22
"""Numbers of a pattern that are in memory at once."""


class Grid(NamedTuple):
    """Directions at which a pattern is sampled."""

    angles: Tensor
    """(G,) azimuths of a line, else (G, 2), elevation fastest; rad."""
    shape: tuple[int, ...]
    """Samples along each angle."""
    weights: dict[Measure, Tensor]
    """(G,), the measure's share of each sample."""


def grid_for(array: Array) -> Grid:
    """Even in u = sin θ for a line, even in both angles else."""
    if array.is_line:
        count = 2 * math.ceil(SAMPLES * max(array.length, 1.0)) + 1
        u = torch.linspace(-1, 1, count, dtype=torch.float64)
        angles = torch.asin(u)
        step = torch.gradient(angles)[0]
        return Grid(angles, (count,), {"u": torch.ones_like(u), "angle": step})
    count = 2 * math.ceil(FEWER * math.pi * max(array.length, 1.0) / 2) + 1
    axis = torch.linspace(-math.pi / 2, math.pi / 2, count, dtype=torch.float64)
    angles = torch.cartesian_prod(axis, axis)
    az, el = angles.unbind(-1)
    weights: dict[Measure, Tensor] = {"u": torch.cos(az) * torch.cos(el).square(), "angle": torch.cos(el)}
    return Grid(angles, (count, count), weights)


class Lobes(NamedTuple):
    """Gains and sidelobes, linear."""

    gain: Tensor
    """(…, T)."""
    pslr: Tensor
    """(…)."""
    islr: Tensor
    """(…)."""


def lobes(X: Tensor, scene: Scene, power: Tensor | float = 1.0, measure: Measure = "u") -> Lobes:
    """Gain on each target, PSLR and ISLR of X (…, N, K) and P_t (…).

    Over S subcarriers, X (…, S, N, K), the pattern is the mean over them, each at its own frequency.
    """
    Y = scene.unit(X, power)
    V = scene.transmit[..., : scene.count].to(Y.device)
    gain = (V.mH @ Y).abs().square().sum(-1)
    if scene.ratios is not None:
        gain = gain.mean(-2)
    batch = gain.shape[:-1]
    each = Y.reshape(-1, *Y.shape[len(batch) :])
    grid = grid_for(scene.array)
    size = max(1, PART // (len(grid.angles) * Y.shape[-1]))
    parts = [_sidelobes(each[i : i + size], scene, grid, measure) for i in range(0, len(each), size)]
    pslr, islr = (torch.cat(part).reshape(batch) for part in zip(*parts, strict=True))
    return Lobes(gain, pslr, islr)


def _sidelobes(Y: Tensor, scene: Scene, grid: Grid, measure: Measure) -> tuple[Tensor, Tensor]:
    """PSLR and ISLR of (B, N, K) or (B, S, N, K)."""
    p = _pattern(Y, scene, grid)
    inside = torch.zeros_like(p, dtype=torch.bool)
    weakest = torch.full_like(p[:, 0], torch.inf)
    for target in scene.targets:
        peak = _peak(p, scene.array, target, grid)
        weakest = torch.minimum(weakest, p.gather(-1, peak[:, None])[:, 0])
        inside |= _lobe(p, peak, grid.shape)
    weight = grid.weights[measure].to(p)
    pslr = torch.where(inside, 0.0, p).amax(-1) / weakest
    return pslr, (p * weight * ~inside).sum(-1) / (p * weight * inside).sum(-1)


def _pattern(Y: Tensor, scene: Scene, grid: Grid) -> Tensor:
    """ā(θ)ᴴ R ā(θ) (B, G), the mean over the subcarriers."""
    array = scene.array

    def at(Y: Tensor, ratio: float) -> Tensor:
        a = array.steering(grid.angles, ratio).to(Y.device)
        return array.antennas * (a.conj() @ Y).abs().square().sum(-1)

    if scene.ratios is None:
        return at(Y, 1.0)
    return torch.stack([at(Y[:, s], r) for s, r in enumerate(scene.ratios)]).mean(0)


def _peak(p: Tensor, array: Array, target: Tensor, grid: Grid) -> Tensor:
    """(B,), where the pattern is highest within 1/(2 length) of the target in direction cosines."""
    apart = (array.cosines(grid.angles) - array.cosines(target)).abs().amax(-1)
    near = apart <= max(1 / (2 * max(array.length, 1.0)), float(apart.min()))
    return torch.where(near.to(p.device), p, -1.0).argmax(-1)


def _lobe(p: Tensor, peak: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(B, G), whether a sample is of the lobe of a peak."""
    if len(shape) == 1:
        return _between(p, peak)
    row, column = peak // shape[1], peak % shape[1]
    whole = p.reshape(-1, *shape)
    every = torch.arange(len(p), device=p.device)
    across, up = _between(whole[every, :, column], row), _between(whole[every, row], column)
    return (across[:, :, None] & up[:, None, :]).flatten(1)


def _between(p: Tensor, peak: Tensor) -> Tensor:
    """(B, G), from the first null left of a peak to the first one right of it."""
    place, count = torch.arange(p.shape[-1], device=p.device), p.shape[-1]
    top = p.gather(-1, peak[:, None])
    low, other = p < top / 2, p > 2 * top
    rises = torch.nn.functional.pad(p[:, 1:] > p[:, :-1], (0, 1))
    falls = torch.nn.functional.pad(p[:, 1:] <= p[:, :-1], (1, 0))
    right = torch.where(((low & rises) | other) & (place >= peak[:, None]), place, count).amin(-1)
    left = torch.where(((low & falls) | other) & (place <= peak[:, None]), place, -1).amax(-1)
    return (place >= left[:, None]) & (place <= right[:, None]) & ~other
