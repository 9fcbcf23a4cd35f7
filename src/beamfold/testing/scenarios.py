"""Small scenarios that need no convex program, and the distance that the checks use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from beamfold.arrays import steering
from beamfold.channel import saleh_valenzuela
from beamfold.scenario import Scenario, make_scenario
from beamfold.sensing import Sensing

TARGETS_DEG = (-60.0, 0.0, 60.0)


def three_beams(
    antennas: int, degrees: Sequence[float] = TARGETS_DEG, weights: Sequence[float] | None = None
) -> Sensing:
    """Ψ = Σ_l w_l a(θ_l) a(θ_l)ᴴ: of rank 3, with a diagonal of exactly 1/N and trace 1.

    Args:
        antennas: N.
        degrees: the angles θ_l.
        weights: w_l with sum 1; default equal ones.
    """
    share = np.full(len(degrees), 1 / len(degrees)) if weights is None else np.asarray(weights)
    a = steering(torch.deg2rad(torch.tensor(degrees, dtype=torch.float64)), antennas).numpy().T
    Psi = torch.from_numpy((a * share) @ a.conj().T)
    return Sensing(Psi, targets=tuple(math.radians(d) for d in degrees))


def small(
    antennas: int = 16,
    users: int = 3,
    chains: int | None = None,
    count: int = 4,
    snr_db: float = 6.0,
    weight: float = 0.3,
    seed: int = 0,
    noise: float = 1.0,
    degrees: Sequence[float] = TARGETS_DEG,
    sensing: str = "tau",
) -> Scenario:
    """A scenario of `count` drawn channels and three beams; arguments as for `make_scenario`."""
    H = saleh_valenzuela(antennas, users, count, seed=seed)
    radar = three_beams(antennas, degrees)
    return make_scenario(H, radar, snr_db=snr_db, chains=chains, weight=weight, noise=noise, sensing=sensing)


def relative(ours: Any, theirs: Any) -> float:
    """‖ours − theirs‖ / ‖theirs‖ over all entries of two arrays."""
    a, b = np.asarray(ours), np.asarray(theirs)
    return float(np.linalg.norm((a - b).ravel())) / max(float(np.linalg.norm(b.ravel())), 1e-300)
