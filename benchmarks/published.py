"""Ours beside the table of what the paper's authors published.

    python benchmarks/published.py ../shared/reference

Runs digital zero forcing, conventional PGA and Algorithm 1 with the published step sizes on the published
100 channels and covariances (N = 64, K = M = 4, ω = 0.3) at 0, 6, 12 dB, and prints R, τ and the beampattern
MSE beside the figures of the reference's README, which came from the published program itself.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io
import torch
from torch import Tensor

from beamfold import ModelInfo, UnfoldedPGA, conventional_pga, unfolded, zf_digital
from beamfold.objective import DigitalGradient
from beamfold.optim.layers import Engine
from beamfold.result import Design
from beamfold.scenario import Scenario, make_scenario
from beamfold.sensing import Sensing, angle_grid

SNRS = (0, 6, 12)
WEIGHT = 0.3


class Figures(NamedTuple):
    """Means over the channels: R in bit/s/Hz, τ, and MSE in dB where it is known."""

    rate: float
    tau: float
    mse: float = math.nan


TABLE = {
    "SCA-ManOpt": tuple(
        Figures(*row) for row in ((13.898, 0.497, 7.70), (20.172, 7.108, 6.80), (16.418, 55.037, 1.14))
    ),
    "digital ZF": tuple(Figures(*row) for row in ((14.897, 0.542), (22.529, 8.579), (30.413, 136.38))),
    "conventional PGA": tuple(
        Figures(*row) for row in ((8.945, 0.613, 10.98), (11.298, 9.447, 10.80), (16.175, 133.35, 9.68))
    ),
    "unfolded J=1": tuple(
        Figures(*row) for row in ((11.429, 0.551, 10.10), (19.047, 8.260, 8.96), (29.053, 111.46, 6.86))
    ),
    "unfolded J=10": tuple(
        Figures(*row) for row in ((14.005, 0.516, 8.42), (21.809, 8.053, 7.88), (25.262, 52.945, 1.63))
    ),
    "unfolded J=20": tuple(
        Figures(*row) for row in ((14.342, 0.514, 8.09), (21.934, 7.962, 7.84), (22.936, 31.313, -2.17))
    ),
}
"""The README's table, one row per SNR. Its J=10 program rescales F after inner steps, unlike Algorithm 1."""

CHANNELS = {"digital ZF": 10}
"""The published benchmark file averages over the first 10 of the 100 channels: ZF agrees to all digits."""

EXACT = ("digital ZF", "conventional PGA", "unfolded J=1", "unfolded J=20")
"""The rows that Algorithm 1, or the formula, must reproduce."""

OBJECTIVE = {0: -15.1, 10: -10.8, 20: -3.1, 40: 4.8, 70: 10.8, 120: 13.54}
"""R − 0.3 τ of J = 20 at 12 dB after so many layers."""


def published_channels(folder: Path) -> Tensor:
    """H (100, 4, 64) with rows h_kᴴ; the file's rows are h_kᵀ."""
    return torch.from_numpy(scipy.io.loadmat(folder / "test_data_matlab.mat")["H_test"][0].conj())


def published_radar(folder: Path, snr_db: int) -> Sensing:
    """Ψ at unit power: the file holds one per SNR 0, 2, …, 12 dB, solved at that power."""
    data = scipy.io.loadmat(folder / "radar_data.mat")
    Psi = data["J"][:, :, 0, snr_db // 2] / 10 ** (snr_db / 10)
    desired = torch.from_numpy(data["Pd_theta"].ravel().astype(np.float64))
    return Sensing(torch.from_numpy(Psi), targets=tuple(np.deg2rad([-60.0, 0.0, 60.0])), desired=desired)


def published_scenario(folder: Path, snr_db: int, count: int = 100) -> Scenario:
    return make_scenario(
        published_channels(folder)[:count], published_radar(folder, snr_db), snr_db=snr_db, weight=WEIGHT
    )


def published_model(folder: Path, inner: int, digital: DigitalGradient = "signal") -> UnfoldedPGA:
    """The published step sizes: last axis 0 is μ, last axis 1 at inner index 0 is λ."""
    steps = torch.load(folder / f"UPGA_J{inner}.pth", weights_only=True)["step_size"].to(torch.float64)
    steps = steps.reshape(inner, -1, 2)
    info = ModelInfo(antennas=64, users=4, chains=4, eta=1 / 64, digital=digital, note="published")
    return UnfoldedPGA.from_steps(steps[:, :, 0].mT, steps[0, :, 1], info)


def methods(folder: Path, engine: Engine = "auto") -> dict[str, Callable[[Scenario], Design]]:
    """The table's methods that are ours to run."""

    def run(inner: int) -> Callable[[Scenario], Design]:
        model = published_model(folder, inner)
        return lambda s: unfolded(s, model, engine=engine)

    return {
        "digital ZF": zf_digital,
        "conventional PGA": lambda s: conventional_pga(s, engine=engine),
        **{f"unfolded J={inner}": run(inner) for inner in (1, 10, 20)},
    }


def measure(design: Design) -> Figures:
    mse = 10 * math.log10(float(design.pattern_error(angle_grid()).mean()))
    return Figures(float(design.rate.mean()), float(design.tau.mean()), mse)


def objective_curve(folder: Path, engine: Engine = "auto", snr_db: int = 12) -> Tensor:
    """Mean R − 0.3 τ of J = 20 after 0 … 120 layers."""
    s = published_scenario(folder, snr_db)
    trace = unfolded(s, published_model(folder, 20), engine=engine, record=True).trace
    assert trace is not None
    return (trace.rate - WEIGHT * trace.tau).mean(-1)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("reference", type=Path, help="folder of the published data")
    parser.add_argument("--engine", choices=("auto", "kernel", "torch"), default="auto")
    options = parser.parse_args()
    if not options.reference.is_dir():
        parser.error(f"no such folder: {options.reference}")
    print(f"{'method':18}{'SNR':>6}{'R':>10}{'table':>10}{'dev':>9}{'tau':>10}{'table':>10}{'dev':>9}"
          f"{'MSE dB':>9}{'table':>8}{'diff':>8}")  # fmt: skip
    worst = 0.0
    for name, method in methods(options.reference, options.engine).items():
        for snr_db, theirs in zip(SNRS, TABLE[name], strict=True):
            ours = measure(method(published_scenario(options.reference, snr_db, CHANNELS.get(name, 100))))
            dR, dtau = ours.rate / theirs.rate - 1, ours.tau / theirs.tau - 1
            if name in EXACT:
                worst = max(worst, abs(dR), abs(dtau))
            mark = "" if name in EXACT else "  (another algorithm, see TABLE)"
            print(
                f"{name:18}{snr_db:4d} dB{ours.rate:9.3f} {theirs.rate:9.3f} {dR:8.2%}"
                f"{ours.tau:10.3f}{theirs.tau:10.3f} {dtau:8.2%}"
                f"{ours.mse:9.2f}{theirs.mse:8.2f}{ours.mse - theirs.mse:8.2f}{mark}"
            )
    print("\nR - 0.3 tau of J=20 at 12 dB\n  layers    ours   table")
    curve = objective_curve(options.reference, options.engine)
    for layers, value in OBJECTIVE.items():
        print(f"  {layers:6d}{float(curve[layers]):8.2f}{value:8.2f}")
    literal = measure(
        unfolded(published_scenario(options.reference, 12), published_model(options.reference, 20, "exact"))
    )
    print(f"\nJ=20 at 12 dB with (14) to the letter: R {literal.rate:.2f}, tau {literal.tau:.2f}")
    print(f"\nworst relative deviation of R and tau (rows that must agree): {worst:.2%}")
    return int(worst > 0.005)


if __name__ == "__main__":
    sys.exit(main())
