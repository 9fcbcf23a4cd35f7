r"""A Monte Carlo of the received snapshots: the ML angle and the GLRT against their formulas.

Each target is alone in the scene, with the clutter. Snapshots are y_t of `scene` for orthogonal
sequences, Σ_t s_t s_tᴴ = L I, so that R itself is the sample covariance of what is sent. With
the sufficient Z = Σ_t y_t s_tᴴ/L and the unknown amplitude put at its best, the log-likelihood ratio of a
target at θ is

    ℓ(θ) = L |b̄ᴴ C⁻¹ Z Xᴴ ā|² / (b̄ᴴ C⁻¹ b̄ · āᴴ R ā).

The estimate is argmax ℓ over a grid that is refined around the highest sample. At a known angle a target is
declared where ℓ exceeds −ln P_FA, which noise alone does with probability P_FA. The search over all angles
compares max ℓ: its false alarms are about P_FA times the number of resolved cells, which is estimated from
the median of max ℓ on noise alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from beamfold.arrays import Array
from beamfold.errors import InputError
from beamfold.radar.detection import detection, scnr
from beamfold.radar.fisher import bound, noise
from beamfold.radar.scene import Scene
from beamfold.sensing import grid_of

PART = 100
"""Trials whose snapshots are in memory at once."""
PER_BEAM = 4
"""Samples of the first grid from a peak to its first null."""
ROUNDS, AROUND = 12, {1: 9, 2: 5}
"""Refinements of the grid, and points along each angle in each of them."""


class Trials(NamedTuple):
    """What was found over the trials of each target, and what the formulas say; T targets of D angles."""

    rmse: Tensor
    """(T, D), root mean square error of the estimate, rad."""
    rcrb: Tensor
    """(T, D), the bound of the target alone."""
    detected: Tensor
    """(T,), share of the trials that declare the target at its known angle."""
    formula: Tensor
    """(T,), P_D of a constant amplitude."""
    found: Tensor
    """(T,), share of the trials in which the search over all angles declares something."""
    false_alarms: Tensor
    """(T,), share of trials of noise alone above the threshold at the known angle."""
    cells: Tensor
    """(T,), resolved cells of the search."""


def run_trials(X: Tensor, scene: Scene, power: Tensor | float, *, count: int = 2000, seed: int = 0) -> Trials:
    """The Monte Carlo of one X (N, K).

    Args:
        X: (N, K).
        scene: what is sensed, at one frequency, with L ≥ K snapshots.
        power: P_t.
        count: trials of each target.
        seed: of the noise.

    Raises:
        InputError: fewer snapshots than columns of X, no trial, or several frequency ratios.
    """
    if scene.ratios is not None:
        raise InputError("the Monte Carlo is of one frequency; leave the frequency ratios out")
    if scene.snapshots < X.shape[-1]:
        raise InputError(
            f"{X.shape[-1]} columns need as many snapshots for orthogonal sequences, got {scene.snapshots}"
        )
    if count < 1:
        raise InputError(f"a Monte Carlo has at least 1 trial, got {count}")
    Y = scene.unit(X, power)
    found = [_one(Y, alone(scene, i), np.random.default_rng([seed, i]), count) for i in range(scene.count)]
    return Trials(*(torch.stack(parts) for parts in zip(*found, strict=True)))


def alone(scene: Scene, i: int) -> Scene:
    """The scene with target i only."""
    return replace(scene, targets=scene.targets[i : i + 1], amplitudes=scene.amplitudes[i : i + 1])


def _one(Y: Tensor, scene: Scene, rng: np.random.Generator, count: int) -> tuple[Tensor, ...]:
    """The figures of the one target of a scene."""
    likelihood = _Likelihood(Y, scene)
    target = scene.targets
    signal = scene.amplitudes * scene.received[:, :1] @ (scene.transmit[:, :1].mH @ Y)
    threshold = -math.log(scene.false_alarm)
    square = torch.zeros(scene.dims, dtype=torch.float64)
    detected = declared = alarms = 0
    highest = []
    for noise_alone in _outputs(Y, scene, rng, count):
        Z = signal + noise_alone
        angle, value = likelihood.search(Z)
        square += (angle - target.reshape(1, -1)).square().sum(0)
        detected += int((likelihood.at(Z, target) > threshold).sum())
        declared += int((value > threshold).sum())
        alarms += int((likelihood.at(noise_alone, target) > threshold).sum())
        highest.append(likelihood.search(noise_alone, rounds=0)[1])
    median = float(torch.cat(highest).median())
    cells = math.log(0.5) / math.log1p(-math.exp(-median))
    shares = torch.tensor([detected, declared, alarms], dtype=torch.float64) / count
    formula = detection(scene.snapshots * scnr(Y, scene), scene.false_alarm)[0]
    rcrb = bound(Y, scene).rcrb[0]
    return (
        (square / count).sqrt(), rcrb, shares[0], formula, shares[1], shares[2],
        torch.tensor(cells, dtype=torch.float64),
    )  # fmt: skip


def _outputs(Y: Tensor, scene: Scene, rng: np.random.Generator, count: int) -> Iterator[Tensor]:
    """Z (n, N_r, K) of noise and clutter alone, from L snapshots each."""
    L, K = scene.snapshots, Y.shape[-1]
    turns = torch.arange(K, dtype=torch.float64)[:, None] * torch.arange(L) / L
    S = torch.polar(torch.ones(K, L, dtype=torch.float64), 2 * math.pi * turns)
    E = noise(Y, scene).E
    for first in range(0, count, PART):
        n = min(PART, count - first)
        y = _circular(rng, (n, scene.receive.antennas, L))
        if E is not None:
            y = y + E @ _circular(rng, (n, E.shape[-1], L))
        yield y @ S.mH / L


def _circular(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    """Circular complex Gaussian numbers of variance 1."""
    return torch.from_numpy(rng.standard_normal((*shape, 2)) * math.sqrt(0.5)).view(torch.complex128)[..., 0]


class _Likelihood:
    """ℓ(θ) of outputs Z (n, N_r, K), at angles that all share or that each has of its own."""

    def __init__(self, Y: Tensor, scene: Scene) -> None:
        self.Y, self.scene, self.noise = Y, scene, noise(Y, scene)
        length = max(scene.array.length, scene.receive.length, 1.0)
        self.grid = grid_of(scene.array, math.ceil(PER_BEAM * math.pi * length) + 1)
        self.step = math.pi / (math.ceil(PER_BEAM * math.pi * length))
        self.filters = self._filters(self.grid)

    def _filters(self, angles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """C⁻¹ b̄ (…, G, N_r), Xᴴ ā (…, G, K) and L over what |b̄ᴴ C⁻¹ Z Xᴴ ā|² is divided by, (…, G)."""
        b, a = _response(self.scene.receive, angles).conj(), _response(self.scene.array, angles)
        eye = torch.eye(b.shape[-1], dtype=b.dtype)
        filters = b @ self.noise.product(eye, eye).mT
        sent = a @ self.Y.conj()
        size = (b.conj() * filters).sum(-1).real * sent.abs().square().sum(-1)
        dark = size <= 1e-12 * b.shape[-1] * a.shape[-1] ** 2
        return filters, sent, torch.where(dark, 0.0, self.scene.snapshots / size)

    def at(self, Z: Tensor, angles: Tensor) -> Tensor:
        """ℓ (n, G) at angles that all trials share."""
        return self._value(Z, *self._filters(angles))

    @staticmethod
    def _value(Z: Tensor, filters: Tensor, sent: Tensor, scale: Tensor) -> Tensor:
        return scale * ((filters.conj() @ Z) * sent).sum(-1).abs().square()

    def search(self, Z: Tensor, rounds: int = ROUNDS) -> tuple[Tensor, Tensor]:
        """The maximum-likelihood angle (n, D) of every trial and its ℓ (n,)."""
        dims = self.scene.dims
        value, place = self._value(Z, *self.filters).max(-1)
        best = self.grid.reshape(-1, dims)[place]
        axis = torch.linspace(-1, 1, AROUND[dims], dtype=torch.float64)
        offsets = axis[:, None] if dims == 1 else torch.cartesian_prod(axis, axis)
        width = self.step
        for _ in range(rounds):
            near = (best[:, None] + width * offsets).clamp(-math.pi / 2, math.pi / 2)
            each = self._value(Z, *self._filters(near[..., 0] if dims == 1 else near))
            value, place = each.max(-1)
            best = near[torch.arange(len(near)), place]
            width /= (AROUND[dims] - 1) / 2
        return best, value


def _response(array: Array, angles: Tensor) -> Tensor:
    """ā (…, N)."""
    return array.response(array.cosines(angles))
