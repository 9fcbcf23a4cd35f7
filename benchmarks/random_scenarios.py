"""Random scenarios in which every kind of trouble occurs, alone and together.

Scenarios come in groups of one size. A group draws sizes, Ψ and noise from (seed, group); each of its
channels has a generator of its own, (seed, group, channel), for SNR, ω, scale and defects: equal, dependent,
faint and blocked users, dead antennas, nothing at all.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from beamfold.arrays import steering
from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.scenario import Scenario, make_scenario
from beamfold.sensing import Sensing

KINDS = ("beams", "edge", "solved", "full rank", "white", "zero")
Rng = np.random.Generator


def draw_sizes(rng: Rng) -> tuple[int, int, int]:
    """N, K, M with K <= M <= N: N = 1 … 64, one in fifty up to 256; K = 1, M = K and K = M = N among them."""
    N = int(
        rng.choice([1, 2, 3, rng.integers(4, 65), rng.integers(65, 257)], p=(0.04, 0.04, 0.04, 0.86, 0.02))
    )
    K = min(int(rng.choice([1, 2, 4, rng.integers(1, 9)])), N)
    M = int(rng.choice([K, min(K + rng.integers(0, 5), N)]))
    if N <= 8 and rng.random() < 0.2:
        K = M = N
    return N, K, M


def draw_radar(rng: Rng, antennas: int) -> Sensing:
    """Ψ: weighted beams, targets at ±90°, a solution of (6), full rank, I/N, or 0."""
    kind = rng.choice(KINDS, p=(0.4, 0.1, 0.2, 0.1, 0.1, 0.1))
    targets = sorted(rng.choice(np.arange(-90.0, 91, 6), rng.integers(1, 6), replace=False).tolist())
    if kind == "edge":
        targets = [-90.0, 90.0][: rng.integers(1, 3)]
    radians = tuple(math.radians(t) for t in targets)
    if kind == "solved" and 2 <= antennas <= 64:
        return solve_covariance(antennas, targets)
    if kind in ("beams", "edge", "solved"):
        a = steering(torch.tensor(radians, dtype=torch.float64), antennas).mT
        weights = torch.from_numpy(rng.dirichlet(np.ones(len(targets))))
        return Sensing((a * weights) @ a.mH, targets=radians)
    Z = rng.standard_normal((2, antennas, antennas))
    Psi = torch.from_numpy((Z[0] + 1j * Z[1]) @ (Z[0] + 1j * Z[1]).conj().T)
    if kind == "white":
        Psi = torch.eye(antennas, dtype=torch.complex128)
    Psi = (Psi + Psi.mH) / 2
    Psi = Psi / Psi.diagonal().real.sum() if kind != "zero" else torch.zeros_like(Psi)
    return Sensing(Psi, targets=radians if rng.random() < 0.5 else ())


def draw_channel(rng: Rng, antennas: int, users: int) -> Tensor:
    """H (K, N) with none, one or several defects."""
    seed, paths = int(rng.integers(2**31)), int(rng.integers(1, 11))
    H = saleh_valenzuela(antennas, users, 1, seed=seed, paths=paths)[0].numpy().copy()
    if rng.random() < 0.1:
        H = H.real + 0j
    k, j = rng.integers(users, size=2)
    defects = rng.random(6) < (0.2, 0.1, 0.05, 0.1, 0.1, 0.03)
    if defects[0]:  # equal users, or almost
        H[k] = H[j] * np.exp(1j * rng.choice([0.0, 1.0])) + H[k] * rng.choice([0, 10 ** rng.uniform(-15, -3)])
    if defects[1] and users > 2:  # dependent users
        H[k] = rng.standard_normal(users - 1) @ np.delete(H, k, 0)
    if defects[2]:  # a user that is hardly there
        H[k] *= 10.0 ** rng.uniform(-12, -3)
    if defects[3]:  # a blocked user
        H[k] = 0
    if defects[4]:  # dead antennas
        H[:, rng.integers(antennas, size=rng.integers(1, 4))] = 0
    if defects[5]:
        H[:] = 0
    scale = rng.choice([1.0, 10 ** rng.uniform(-8, 8), 1e-8, 1e8], p=(0.5, 0.3, 0.1, 0.1))
    return torch.from_numpy(H * scale)


def draw_group(seed: int, group: int, count: int) -> tuple[Scenario, Rng]:
    """`count` scenarios of one size, and the generator for what else is drawn for the group."""
    rng = np.random.default_rng([seed, group])
    N, K, M = draw_sizes(rng)
    radar = draw_radar(rng, N)
    noise = float(rng.choice([1.0, 10 ** rng.uniform(-6, 6)]))
    each = [np.random.default_rng([seed, group, b]) for b in range(count)]
    H = torch.stack([draw_channel(r, N, K) for r in each])
    s = make_scenario(H, radar, snr_db=0, chains=M, noise=noise)
    snr_db = [r.choice([r.uniform(-40, 60), -40.0, 60.0], p=(0.8, 0.1, 0.1)) for r in each]
    omega = [r.choice([10 ** r.uniform(-6, 6), 0.0, 1e6, 0.3], p=(0.5, 0.1, 0.1, 0.3)) for r in each]
    power = noise * 10 ** (torch.tensor(snr_db, dtype=torch.float64) / 10)
    return replace(s, power=power, weight=torch.tensor(omega, dtype=torch.float64)), rng
