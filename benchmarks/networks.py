"""Partially connected networks: the fast design and `best` beside a general optimiser, and what they cost.

    python benchmarks/networks.py ../shared/reference

The first 20 published channels with the published Ψ, ω = 0.3, N = 64, K = 4: mean R − ω τ (R / τ) at 12, 6
and 0 dB. The table is the best of two starts of 1500 steps of Adam over the phases and W. Dynamic networks
follow, beside designs whose connections are those of the start (26), fitted to zero forcing. Then the time of
one design on one core, in turns with that of the fully connected network.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from beamfold.kernels.fast import Prepared, run_fast
from beamfold.kernels.fast_setting import Plan
from beamfold.methods.best import best
from beamfold.methods.fast import fast, prepare_fast
from beamfold.networks import Network, dynamic, fully_connected, interleaved, subarrays
from beamfold.result import Design
from beamfold.scenario import Scenario
from beamfold.start import proposed

sys.path.insert(0, str(Path(__file__).parent))
from published import WEIGHT, published_channels, published_radar, published_scenario

SNRS = (12, 6, 0)
NETWORKS = {
    "subarrays, M = 4": subarrays(64, 4),
    "subarrays, M = 8": subarrays(64, 8),
    "subarrays, M = 16": subarrays(64, 16),
    "interleaved, M = 4": interleaved(64, 4),
}
TABLE = {
    "subarrays, M = 4": (-3.40, 14.45, 9.80),
    "subarrays, M = 8": (2.42, 15.93, 10.96),
    "subarrays, M = 16": (5.39, 17.37, 12.26),
    "interleaved, M = 4": (-6.78, 14.18, 9.60),
}
"""Mean R − 0.3 τ of a general optimiser, to two decimals."""


def on_network(folder: Path, network: Network, snr_db: int, count: int = 20) -> Scenario:
    s = published_scenario(folder, snr_db, count)
    return replace(s, network=network, chains=network.chains)


def text(d: Design) -> str:
    return f"{float(d.objective.mean()):7.3f} ({float(d.rate.mean()):6.2f} /{float(d.tau.mean()):7.2f})"


def cells(folder: Path, starts: int) -> None:
    print(f"{'network':20}{'SNR':>6}{'table':>8}{'deep':>18}{'deeper':>26}{f'best of {starts}':>27}")
    for name, network in NETWORKS.items():
        for snr_db, theirs in zip(SNRS, TABLE[name], strict=True):
            s = on_network(folder, network, snr_db)
            found = [fast(s), fast(s, depth="deeper"), best(s, starts=starts)]
            print(f"{name:20}{snr_db:3d} dB{theirs:8.2f}  {'  '.join(map(text, found))}", flush=True)


def dynamic_cells(folder: Path, starts: int) -> None:
    print("\ndynamic: fitted to zero forcing, then 60 steps; deep; deeper; best")
    for chains in (4, 8, 16):
        for snr_db in SNRS:
            s = on_network(folder, dynamic(64, chains), snr_db)
            fitted, _, _ = run_fast(s, Plan(), start=proposed(s))
            begun = float(s.objective(fitted.F @ fitted.W).mean())
            found = [fast(s), fast(s, depth="deeper"), best(s, starts=starts)]
            print(f"M = {chains:2d} {snr_db:3d} dB{begun:8.3f}  {'  '.join(map(text, found))}", flush=True)


def times(folder: Path, rounds: int) -> None:
    """p50 in microseconds of single designs, the networks in turns."""
    radar, channels = published_radar(folder, 12), published_channels(folder).resolve_conj().numpy()[:20]

    def ready(network: Network, depth: str) -> Prepared:
        return prepare_fast(radar, users=4, snr_db=12, weight=WEIGHT, network=network, depth=depth)

    makers = {
        f"{network.name}, M = {network.chains}, {depth}": ready(network, depth)
        for depth in ("deep", "deeper")
        for network in (
            fully_connected(64, 4), fully_connected(64, 8), subarrays(64, 4), subarrays(64, 8),
            subarrays(64, 16), interleaved(64, 4), interleaved(64, 8),
        )
    }  # fmt: skip
    taken: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(rounds):
        for name, go in makers.items():
            for H in channels:
                begin = time.perf_counter_ns()
                go(H)
                taken[name].append((time.perf_counter_ns() - begin) / 1e3)
    first = np.percentile(taken["full, M = 4, deep"], 50)
    print("\nmicroseconds of one design on one core at 12 dB: least, p50, p50 over that of the first line")
    for name, values in taken.items():
        p50 = np.percentile(values, 50)
        print(f"{name:28}{min(values):8.0f}{p50:8.0f}{p50 / first:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("reference", type=Path, help="folder of the published data")
    parser.add_argument("--starts", type=int, default=32, help="starts of `best`")
    parser.add_argument("--rounds", type=int, default=20, help="of the timing, 20 channels each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cells(options.reference, options.starts)
    dynamic_cells(options.reference, options.starts)
    times(options.reference, options.rounds)


if __name__ == "__main__":
    main()
