"""Problem (6) and the fast design on arrays that are no line.

    python benchmarks/planar.py           # some minutes
    python benchmarks/planar.py --quick

1. Ψ for planar arrays and for random positions: seconds, certified gap, α, where the pattern peaks.
2. What share of the power goes to directions that exist, with the samples of (6) where no angle is, and
without. 3. The fast design against the best of many starts, R − ω τ at 12 dB, ω = 0.3, K = M = 4.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch

import beamfold as bf
from beamfold.covariance import problem as problems
from beamfold.metrics import beampattern

TARGET = [(20.0, -10.0)]


def apart(count: int, size: float, least: float, seed: int = 0) -> bf.Array:
    """Random positions in a square of y and z, none nearer to another than `least` wavelengths."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < count:
        new = rng.uniform(0, size, 2)
        if all(math.dist(new, old) >= least for old in found):
            found.append(new)
    return bf.Array([[0, y, z] for y, z in found])


def solved(quick: bool) -> None:
    print("1. Psi for a target at azimuth 20, elevation -10 degrees\n")
    print("| array | N | lags | seconds, median [min, max] | certified gap | alpha | peak at |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    sizes = [bf.planar_array(4, 4), bf.planar_array(8, 8), apart(16, 3.5, 0.5)]
    if not quick:
        sizes += [bf.planar_array(16, 8), bf.planar_array(16, 16), apart(32, 5.0, 0.5)]
    for array in sizes:
        seconds = []
        for _ in range(3 if array.antennas <= 64 else 1):
            begin = time.perf_counter()
            radar = bf.solve_covariance(array, TARGET)
            seconds.append(time.perf_counter() - begin)
        p = beampattern(torch.linalg.cholesky(radar.Psi), radar.angles, array)
        az, el = torch.rad2deg(radar.angles[p.argmax()]).tolist()
        spread = f"{np.median(seconds):.2f} [{min(seconds):.2f}, {max(seconds):.2f}]"
        print(
            f"| {array.name} | {array.antennas} | {array.lags.count} | {spread} | {radar.gap:.1e} | "
            f"{radar.scale:.2f} | {az:.0f}, {el:.0f} |",
            flush=True,
        )


def seen() -> None:
    print("\n2. Planar 8 x 8: share of the power that goes to directions that exist\n")
    array = bf.planar_array(8, 8)
    axis = (np.arange(200) + 0.5) / 100 - 1
    cosines = np.stack([np.zeros(40000), *(g.ravel() for g in np.meshgrid(axis, axis))], -1)
    a = array.response(torch.from_numpy(cosines))
    exists = torch.from_numpy((cosines**2).sum(1) <= 1)
    usual = problems.unseen
    for name, unseen in (
        ("with samples where no angle is", usual),
        ("without them", lambda array, angles: np.zeros((0, 3))),
    ):
        problems.unseen = unseen
        radar = bf.solve_covariance(array, TARGET)
        p = ((a.conj() @ radar.Psi) * a).sum(-1).real
        share = float(p[exists].sum() / p.sum())
        print(f"{name}: {100 * share:.1f} %, alpha {radar.scale:.2f}")
    problems.unseen = usual


def designed(quick: bool) -> None:
    count = 5 if quick else 20
    print(f"\n3. R - 0.3 tau at 12 dB, mean of {count} drawn channels, K = M = 4\n")
    print("| array | fast | best | start (26) |")
    print("| --- | --- | --- | --- |")
    for array in (bf.planar_array(8, 8), apart(16, 3.5, 0.5)):
        s = bf.make_scenario(
            bf.saleh_valenzuela(array, 4, count), bf.solve_covariance(array, TARGET), snr_db=12
        )
        found = [float(bf.design(s, name).objective.mean()) for name in ("fast", "best", "phased-zf")]
        print(f"| {array.name} | " + " | ".join(f"{value:.3f}" for value in found) + " |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    solved(quick)
    seen()
    designed(quick)
