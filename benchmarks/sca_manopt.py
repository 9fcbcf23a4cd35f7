"""SCA-ManOpt beside the published curve, its front over ρ, and the time of every benchmark method.

    python benchmarks/sca_manopt.py ../shared/reference            some five minutes
    python benchmarks/sca_manopt.py ../shared/reference --table    the first table only, half a minute

1. R, τ and the beampattern MSE at 0, 2, …, 12 dB on the published channels and covariances (N = 64,
   K = M = 4), beside `result_benchmark.mat`. The published curves are means over the first 10 of the 100
   channels (digital ZF agrees there to 1e-15), so those are compared; all 100 follow.
2. The R-τ front over ρ on the first 20 channels at 12 dB, for both norms of `digital_jcas`, digital and
   hybrid, and the ceiling of R − 0.3 τ.
3. Seconds per channel of each method at 12 dB, batched and alone. Run with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import functools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io
import torch
from torch import Tensor

from beamfold.methods.digital import digital
from beamfold.methods.digital_jcas import digital_jcas
from beamfold.methods.manopt import manopt
from beamfold.methods.omp import omp
from beamfold.methods.phased_zf import phased_zf
from beamfold.methods.sca import sca
from beamfold.methods.sca_manopt import sca_manopt
from beamfold.methods.wmmse import wmmse
from beamfold.methods.zf_digital import zf_digital
from beamfold.result import Design
from beamfold.scenario import Scenario, make_scenario
from beamfold.sensing import Sensing, angle_grid

SNRS = (0, 2, 4, 6, 8, 10, 12)
PUBLISHED_COUNT = 10  # channels behind result_benchmark.mat, the first of H_test
RHOS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
TARGETS = tuple(np.deg2rad([-60.0, 0.0, 60.0]))


class Figures(NamedTuple):
    """Means over the channels: R in bit/s/Hz, τ, MSE in dB."""

    rate: float
    tau: float
    mse: float

    def __str__(self) -> str:
        return f"{self.rate:6.3f} / {self.tau:6.3f} / {self.mse:5.2f}"


def published_scenario(folder: Path, snr_db: int, count: int = 100) -> Scenario:
    """The first `count` channels with the Ψ that was published for this SNR, ω = 0.3."""
    H = scipy.io.loadmat(folder / "test_data_matlab.mat", variable_names="H_test")["H_test"][0]
    covariances = scipy.io.loadmat(folder / "radar_data.mat", variable_names="J")["J"]
    Psi = torch.from_numpy(covariances[:, :, 0, SNRS.index(snr_db)] / 10 ** (snr_db / 10))
    radar = Sensing((Psi + Psi.mH) / 2, targets=TARGETS)
    return make_scenario(torch.from_numpy(H[:count].conj().copy()), radar, snr_db=snr_db, weight=0.3)


def published_figures(folder: Path) -> dict[int, Figures]:
    """SNR → what result_benchmark.mat holds of SCA-ManOpt."""
    data = scipy.io.loadmat(folder / "result_benchmark.mat")
    rate, tau, mse = (data[f"{name}_SCA_mean"].ravel() for name in ("rate", "tau", "MSE"))
    return {
        snr: Figures(*map(float, row)) for snr, *row in zip(SNRS, rate, tau, 10 * np.log10(mse), strict=True)
    }


def measure(design: Design) -> Figures:
    error = 10 * math.log10(float(design.pattern_error(angle_grid()).mean()))
    return Figures(float(design.rate.mean()), float(design.tau.mean()), error)


def within(ours: Figures, theirs: Figures) -> bool:
    """R within 5 %, τ within 10 %, MSE within 0.7 dB."""
    return (
        abs(ours.rate / theirs.rate - 1) <= 0.05
        and abs(ours.tau / theirs.tau - 1) <= 0.1
        and abs(ours.mse - theirs.mse) <= 0.7
    )


def table(folder: Path) -> None:
    print("R / τ / MSE in dB; first 10 channels, ρ = 0.8, tolerance 1e-3; * outside 5 % / 10 % / 0.7 dB")
    print(f"{'SNR':>3} {'published':>23} {'unit columns':>25} {'stated (power)':>25} {'ρ = 0.2':>25}")
    for snr, theirs in published_figures(folder).items():
        s = published_scenario(folder, snr, PUBLISHED_COUNT)
        options = ({"norm": "unit_columns"}, {"norm": "power"}, {"norm": "power", "rho": 0.2})
        ours = [measure(sca_manopt(s, **o)) for o in options]  # type: ignore[arg-type]
        cells = "".join(f"{o!s:>24}{' ' if within(o, theirs) else '*'} " for o in ours)
        print(f"{snr:3d} {theirs!s:>23} {cells}")
    print("\nall 100 channels, ρ = 0.8")
    for snr in SNRS:
        s = published_scenario(folder, snr)
        unit, stated = measure(sca_manopt(s, norm="unit_columns")), measure(sca_manopt(s))
        print(f"{snr:3d} {'':>23} {unit!s:>24}  {stated!s:>24}")


def front(folder: Path, snr_db: int = 12, count: int = 20) -> None:
    s = published_scenario(folder, snr_db, count)
    print(f"\nfront over ρ, {count} channels, {snr_db} dB: R / τ / MSE in dB, R − 0.3 τ")
    print(f"{'ρ':>4}" + "".join(f"{h:>33}" for h in ("digital", "hybrid", "digital, unit", "hybrid, unit")))
    for rho in RHOS:
        cells = []
        for norm in ("power", "unit_columns"):
            trade = digital_jcas(s, rho=rho, norm=norm)  # type: ignore[arg-type]
            pair = (trade, manopt(s, target=trade.X))
            cells += [f"{measure(d)!s:>25}{float(d.objective.mean()):8.3f}" for d in pair]
        print(f"{rho:4.2f}" + "".join(cells))
    best = digital(s)
    print(f"digital ceiling {measure(best)}{float(best.objective.mean()):8.3f}")


def methods() -> dict[str, Callable[[Scenario], Design]]:
    return {
        "zf_digital": zf_digital,
        "start": phased_zf,
        "wmmse": wmmse,
        "sca": sca,
        "digital_jcas given X*": lambda s: digital_jcas(s, target=cached_rate(s)),
        "manopt given X": lambda s: manopt(s, target=cached_trade(s)),
        "sca_manopt": sca_manopt,
        "sca_manopt, unit columns": lambda s: sca_manopt(s, norm="unit_columns"),
        "omp given X": lambda s: omp(s, target=cached_trade(s)),
        "digital, 3 starts": digital,
        "digital, 1 start": lambda s: digital(s, starts=("jcas_0.8",)),
    }


@functools.cache
def cached_rate(s: Scenario) -> Tensor:
    return sca(s).X


@functools.cache
def cached_trade(s: Scenario) -> Tensor:
    return digital_jcas(s).X


def times(folder: Path, snr_db: int = 12) -> None:
    whole, alone = published_scenario(folder, snr_db), published_scenario(folder, snr_db, 1)
    print(f"\nms per channel at {snr_db} dB, and what the 100 channels give: R / τ / MSE in dB, R − 0.3 τ")
    for name, method in methods().items():
        method(alone)
        start = time.perf_counter()
        method(alone)
        single = time.perf_counter() - start
        method(whole)
        start = time.perf_counter()
        design = method(whole)
        batch = (time.perf_counter() - start) / 100
        figures = f"{measure(design)!s:>24}{float(design.objective.mean()):9.3f}"
        print(f"{name:26s} alone {1e3 * single:8.1f}   batch of 100 {1e3 * batch:7.2f}  {figures}")
    start = time.perf_counter()
    sca(alone, engine="cvxpy")
    print(f"{'sca, cvxpy':26s} alone {1e3 * (time.perf_counter() - start):8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("reference", type=Path, help="folder of the published files")
    parser.add_argument("--table", action="store_true", help="the comparison with the published curve only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table(arguments.reference)
    if not arguments.table:
        front(arguments.reference)
        times(arguments.reference)


if __name__ == "__main__":
    main()
