"""The fast design for the Cramér-Rao bound and SCNR beside L-BFGS from 8 starts, and its time.

    OMP_NUM_THREADS=1 python benchmarks/fast_goals.py ../shared/reference [--count 10]

The published channels, N = 64, K = M = 4, 12 dB, one target at 0 degrees or three at −60, 0 and 60. Mean
R + ω c of the depths of `fast` less that of `best` (8 starts of L-BFGS in torch over {F, W}, the best of them
taken to its end), in bit/s/Hz; then the largest loss of a channel at the default depth, relative to R of
`best` alone, since c holds a constant of SNR, snapshots and units. The times are the processor's of one call
of `prepare_fast`, median and least over all channels and --repeats, in turns with those for τ.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from published import published_channels, published_radar

from beamfold.methods.best import best
from beamfold.methods.fast import DEPTHS, fast, prepare_fast
from beamfold.radar.scene import make_scene
from beamfold.scenario import Scenario, make_scenario

SNR_DB = 12
TARGETS = {"one": (0.0,), "three": (-60.0, 0.0, 60.0)}


def losses(s: Scenario) -> str:
    """The cells of a row."""
    top = best(s, threads=1)
    found = {depth: fast(s, depth=depth, threads=1).objective for depth in DEPTHS}
    less = [float((found[depth] - top.objective).mean()) for depth in DEPTHS]
    worst = float(((top.objective - found["deep"]) / top.rate).max())
    means = f"{float(top.rate.mean()):.2f} | {float(top.objective.mean()):.2f}"
    return f"{means} | " + " | ".join(f"{x:+.3f}" for x in less) + f" | {100 * worst:.2f} %"


def times(s: Scenario, repeats: int) -> str:
    """Median and least microseconds for the goal and, in turns, for τ."""
    given = {"users": s.users, "snr_db": SNR_DB, "weight": float(s.weight[0])}
    goes = prepare_fast(s.radar, goal=s.goal, **given), prepare_fast(s.radar, **{**given, "weight": 0.3})
    taken: tuple[list[float], list[float]] = ([], [])
    for H in [*s.H.numpy()] * repeats:
        for go, into in zip(goes, taken, strict=True):
            begin = time.process_time_ns()
            go(H)
            into.append((time.process_time_ns() - begin) / 1e3)
    return " | ".join(f"{np.median(each):.0f} ({min(each):.0f})" for each in taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("reference", type=Path, help="folder of the published data")
    parser.add_argument("--count", type=int, default=10, help="channels")
    parser.add_argument("--repeats", type=int, default=20, help="calls of each channel")
    parser.add_argument("--weights", type=float, nargs="+", default=[1.0, 10.0], help="ω")
    options = parser.parse_args()
    torch.set_num_threads(1)
    H = published_channels(options.reference)[: options.count]
    radar = published_radar(options.reference, SNR_DB)
    heads = "goal | targets | w | best: R | R + w c"
    print(f"| {heads} | {' | '.join(DEPTHS)} | worst, deep | us, median (least) | us for tau |")
    print("| --- " * (8 + len(DEPTHS)) + "|", flush=True)
    for sensing in ("crb", "scnr"):
        for name, degrees in TARGETS.items():
            for weight in options.weights:
                scene = make_scene(radar.array, degrees)
                s = make_scenario(H, radar, snr_db=SNR_DB, weight=weight, sensing=sensing, scene=scene)
                told = f"| {sensing} | {name} | {weight:g} | {losses(s)} | {times(s, options.repeats)} |"
                print(told, flush=True)


if __name__ == "__main__":
    main()
