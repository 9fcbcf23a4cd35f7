"""Channels of low rank, and channels far above the noise, through every entry point of the fast design.

    OMP_NUM_THREADS=1 python benchmarks/scenarios.py --hard [--count 1000]

Low rank: H = A B with complex normal A (K, r) and B (r, 64), r < K = M, 10 dB. Far above the noise:
Saleh-Valenzuela channels of N = 64, K = M = 4 times a scale, 10 dB. `random_scenarios` draws neither.

A line has the number of channels, the mean R - w tau of each entry point, how many of its designs are the
start (26), and its mean and worst loss against `best` of 8 starts on the first 20 channels, relative to 1
plus the size of the latter.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.methods.best import best
from beamfold.methods.fast import fast, prepare_fast
from beamfold.scenario import Scenario, make_scenario
from beamfold.start import proposed

RANKS = ((4, 2), (8, 2), (8, 4), (24, 5), (40, 5), (64, 5))
"""(K, r) of the channels of low rank."""
SCALES = (1e-6, 1e-4, 1e-2, 1.0, 1e1, 1e2, 1e3, 1e4, 1e6)
ANTENNAS = 64


def low_rank(users: int, rank: int, count: int, seed: int = 0) -> Tensor:
    """H = A B (count, K, N), A (K, r) and B (r, N) complex normal of unit variance."""
    g = np.random.default_rng([seed, users, rank])
    A = g.standard_normal((2, count, users, rank))
    B = g.standard_normal((2, count, rank, ANTENNAS))
    return torch.from_numpy((A[0] + 1j * A[1]) @ (B[0] + 1j * B[1]) / 2)


def one_by_one(s: Scenario) -> tuple[Tensor, Tensor]:
    """F and W of `prepare_fast` for every channel."""
    snr_db = 10 * float(torch.log10(s.power.flatten()[0] / s.noise))
    go = prepare_fast(s.radar, users=s.users, chains=s.chains, snr_db=snr_db)
    points = [go(H.numpy())[:2] for H in s.H]
    return torch.from_numpy(np.stack([F for F, _ in points])), torch.from_numpy(
        np.stack([W for _, W in points])
    )


def line(label: str, s: Scenario, compare: int) -> str:
    """The three entry points beside `best` on the first `compare` channels."""
    single, double = fast(s), fast(s, precision="double")
    ways = {"single": (single.F, single.W), "double": (double.F, double.W), "one channel": one_by_one(s)}
    top = best(s[:compare], starts=8).objective if compare else None
    start = proposed(s).F
    text = f"{label:12s} {len(s.H):5d}"
    for name, (F, W) in ways.items():
        f = s.objective(F @ W)
        left = int((start == F).flatten(1).all(-1).sum())
        text += f"  {name} {float(f.mean()):8.3f} {left:3d} at (26)"
        if top is not None:
            loss = (top - f[:compare]) / (1 + top.abs())
            text += f" {100 * float(loss.mean()):5.2f} {100 * float(loss.max()):5.2f} %"
    return text


def table(count: int, compare: int = 20) -> None:
    """Both sets; fewer channels of many users, of which a design takes (K/8)^3 times as long."""
    radar = solve_covariance(ANTENNAS, (-60, 0, 60))
    for users, rank in RANKS:
        share = max(round(count / max(1, users / 8) ** 3), 4)
        s = make_scenario(low_rank(users, rank, share), radar, snr_db=10)
        print(line(f"K {users}, r {rank}", s, compare if users <= 8 else 0), flush=True)
    H = saleh_valenzuela(ANTENNAS, 4, count, seed=5)
    for scale in SCALES:
        print(line(f"scale {scale:.0e}", make_scenario(H * scale, radar, snr_db=10), compare), flush=True)
