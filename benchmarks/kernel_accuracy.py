"""The compiled kernel against the readable reference on random scenarios: worst relative error of R and τ.

    python benchmarks/kernel_accuracy.py --count 1000

Scenario i is random in everything: N 8…256 (log-uniform), K 1…8, M K…2K, SNR −10…30 dB, ω 0.05…1, one to
four targets, both gradients of W, start and step sizes; I = 20, J = 20. The step sizes are in the regime in
which a gradient step is a contraction (see `steps`): beyond it two runs part like any two of a chaotic
system, whatever their precision, and a comparison says nothing about the arithmetic.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from beamfold.channel import saleh_valenzuela
from beamfold.kernels.unfolded import run_kernel
from beamfold.objective import DigitalGradient, beam_error, rate
from beamfold.optim.layers import run_layers
from beamfold.scenario import Scenario, make_scenario
from beamfold.sensing import Sensing
from beamfold.start import STARTS, Point

LIMITS = {np.float32: 1e-3, np.float64: 1e-9}


class Case(NamedTuple):
    """All that `run_layers` and `run_kernel` take."""

    s: Scenario
    start: Point
    mu: Tensor
    lam: Tensor
    eta: float
    digital: DigitalGradient


def steps(
    s: Scenario, start: Point, layers: int, inner: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Step sizes below the inverse of the gradients' Lipschitz constants, from each other by up to 3 ×.

    With ‖X‖² ≤ P_t, the spectral norms ‖W‖, ‖F‖, ‖H‖ and λ₁ of Ψ, ∇_F (R − ω τ) changes by at most
    L_F ‖dF‖, L_F = ‖W‖² (2 ω P_t (3 + λ₁) + 2 ‖H‖²/(σ² ln 2)): the first part is the second derivative of
    ‖XXᴴ − Ψ‖², the second that of log₂(total/other) with total, other ≥ σ². L_W has ‖F‖² for ‖W‖²; its τ
    carries η, but η ≤ 1 and a bound is enough. The mean over the batch is taken.
    """
    spectral = lambda Z: torch.linalg.matrix_norm(Z, 2)  # noqa: E731
    top = float(s.radar.spectrum[0][0])
    curve = 2 * s.weight * s.power * (3 + top) + 2 * spectral(s.H).square() / (s.noise * math.log(2))
    L_F = float((spectral(start.W).square() * curve).amax())
    L_W = float((spectral(start.F).square() * curve).amax())
    mu = rng.uniform(1 / 3, 1, (layers, inner)) / L_F
    lam = rng.uniform(1 / 3, 1, layers) / L_W
    return torch.from_numpy(mu), torch.from_numpy(lam)


def random_radar(antennas: int, rng: np.random.Generator) -> Sensing:
    """Ψ of one to four beams, each one direction or a patch of 4° (decaying eigenvalues); diagonal 1/N."""
    Psi = np.zeros((antennas, antennas), complex)
    targets = rng.uniform(-70, 70, rng.integers(1, 5))
    for target in targets:
        patch = target + np.linspace(-2, 2, int(rng.choice([1, 5])))
        a = np.exp(1j * math.pi * np.outer(np.arange(antennas), np.sin(np.deg2rad(patch))))
        Psi += rng.uniform(0.3, 1) * (a @ a.conj().T) / len(patch)
    Psi /= np.trace(Psi).real
    return Sensing(torch.from_numpy(Psi), targets=tuple(np.deg2rad(targets).tolist()))


def random_case(index: int, *, layers: int = 20, inner: int = 20, largest: int = 256) -> Case:
    """Random scenario number `index`, always the same."""
    rng = np.random.default_rng([20241, index])
    N = round(math.exp(rng.uniform(math.log(8), math.log(largest))))
    K = int(rng.integers(1, min(8, N) + 1))
    M = int(rng.integers(K, min(2 * K, N) + 1))
    H = saleh_valenzuela(N, K, 1, seed=int(rng.integers(2**31)))
    s = make_scenario(
        H, random_radar(N, rng), snr_db=rng.uniform(-10, 30), chains=M, weight=math.exp(rng.uniform(-3, 0))
    )
    start = STARTS[str(rng.choice(list(STARTS)))](s)
    mu, lam = steps(s, start, layers, inner, rng)
    digital: DigitalGradient = "exact" if rng.random() < 0.5 else "signal"
    return Case(s, start, mu, lam, 1 / N, digital)


def figures(s: Scenario, point: Point) -> tuple[float, float]:
    """R and τ of one channel."""
    X = point.F @ point.W
    return float(rate(s.H, X, s.noise)), float(beam_error(X, s.Psi, s.power))


def errors(case: Case, dtype: Any, truth: Point | None = None) -> tuple[float, float]:
    """Relative errors of R and τ of the kernel in `dtype` against the reference path in complex128."""
    s, start, mu, lam, eta, digital = case
    if truth is None:
        truth = run_layers(s, start, mu, lam, eta, digital, engine="torch").point
    ours, _, _ = run_kernel(s, start, mu, lam, eta, digital, dtype=dtype)
    (R, tau), (R0, tau0) = figures(s, ours), figures(s, truth)
    return abs(R / R0 - 1), abs(tau / tau0 - 1)


def describe(case: Case) -> str:
    s = case.s
    snr = 10 * math.log10(float(s.power.flatten()[0]) / s.noise)
    return f"N={s.antennas} K={s.users} M={s.chains} SNR={snr:.1f} dB {case.digital}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=1000, help="number of random scenarios")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {dtype: np.zeros((options.count, 2)) for dtype in LIMITS}
    moved, began = np.zeros(options.count), time.perf_counter()
    for i in range(options.count):
        case = random_case(options.first + i)
        truth = run_layers(
            case.s, case.start, case.mu, case.lam, case.eta, case.digital, engine="torch"
        ).point
        (R, tau), (R0, tau0) = figures(case.s, truth), figures(case.s, case.start)
        moved[i] = max(abs(R / R0 - 1), abs(tau / tau0 - 1))
        for dtype, errs in found.items():
            errs[i] = errors(case, dtype, truth)
        if sys.stderr.isatty() or (i + 1) % 100 == 0:
            print(f"\r{i + 1}/{options.count}", end="", file=sys.stderr, flush=True)
    print(f"\n{options.count} scenarios in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(f"R or tau moved from the start by (median, relative): {np.median(moved):.3g}")
    failed = 0
    for dtype, errs in found.items():
        for column, name in enumerate(("R", "tau")):
            values = errs[:, column]
            worst = int(values.argmax())
            over = int((~(values <= LIMITS[dtype])).sum())
            failed += over
            print(
                f"{dtype.__name__} {name:>3}: worst {values[worst]:.2e}, median {np.median(values):.2e}, "
                f"{over} above {LIMITS[dtype]:g}; worst is {options.first + worst}: "
                f"{describe(random_case(options.first + worst))}"
            )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
