"""Phase shifters of few bits on the published channels: rounded, W refitted, designed for the levels.

    python benchmarks/few_bits.py ../shared/reference            # 50 channels, 12 dB, omega = 0.3, M = K = 4
    python benchmarks/few_bits.py ../shared/reference --count 10

Continuous phases are those of the fast design and of the best of many starts. "half" is half of the way from
"W refitted" to the fast design's continuous phases, which the designed levels are to reach for 2 and 3 bits,
and 98 % of the latter for 4.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.io
import torch

import beamfold as bf
from beamfold.constraints import total_power
from beamfold.networks import fully_connected, quantised
from beamfold.optim.few_bits import on_levels
from beamfold.start import Point


def scenario(folder: Path, count: int) -> bf.Scenario:
    H = bf.read_channels(folder / "test_data_matlab.mat", variable="H_test", rows="h^T")[:count]
    Psi = scipy.io.loadmat(folder / "radar_data.mat")["J"][:, :, 0, 6] / 10**1.2
    radar = bf.Sensing(torch.from_numpy((Psi + Psi.conj().T) / 2), targets=tuple(np.deg2rad([-60, 0, 60])))
    return bf.make_scenario(H, radar, snr_db=12, weight=0.3)


def mean(s: bf.Scenario, point: Point) -> float:
    return float(s.objective(point.F @ point.W).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--bits", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--kicks", type=int, default=20)
    given = parser.parse_args()
    s = scenario(given.folder, given.count)
    fast, best = (bf.design(s, name) for name in ("fast", "best"))
    print(f"continuous phases, mean of {given.count} channels: fast {float(fast.objective.mean()):.2f}, "
          f"best {float(best.objective.mean()):.2f}\n")  # fmt: skip
    print(
        "| b | rounded | W refitted | designed | designed, kicks | from best, kicks | half | ms per channel |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for bits in given.bits:
        few = replace(s, network=fully_connected(64, 4, bits))
        assert fast.F is not None and best.F is not None
        start = Point(fast.F, fast.W)
        on_levels(few[:1], Point(fast.F[:1], fast.W[:1]))  # compiles
        plain = Point(quantised(fast.F, bits), fast.W)
        plain = Point(plain.F, total_power(*plain, s.power))
        refitted = mean(s, on_levels(few, plain, passes=0))
        seconds, values = [], []
        for point, kicks in ((start, 0), (start, given.kicks), (Point(best.F, best.W), given.kicks)):
            begin = time.perf_counter()
            values.append(mean(s, on_levels(few, point, kicks=kicks)))
            seconds.append(1e3 * (time.perf_counter() - begin) / given.count)
        half = (refitted + float(fast.objective.mean())) / 2
        print(f"| {bits} | {mean(s, plain):.2f} | {refitted:.2f} | " + " | ".join(f"{v:.2f}" for v in values)
              + f" | {half:.2f} | {' / '.join(f'{ms:.0f}' for ms in seconds)} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
