"""Ratios of time between the ways to run Algorithm 1, from interleaved runs, with medians.

    python benchmarks/speed.py [--quick] [--plot docs/images/scaling.png]

1. one design (J = 20, I = 120, N = 64, K = M = 4): compiled kernel, batched torch path, literal oracle;
2. a batch of 100 of them; 3. one training update (batch 10): compiled adjoint and torch autograd;
4. time per design against N at fixed K, M and rank of Psi, with the exponent of a power law.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import oracle

from beamfold import ModelInfo, UnfoldedPGA, prepare, unfolded
from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.kernels.unfolded import differentiable
from beamfold.optim.layers import run_layers
from beamfold.scenario import Scenario, make_scenario
from beamfold.start import proposed
from beamfold.timing import peak_memory_mib


def interleaved(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, np.ndarray]:
    """Each call once per round, round after round: seconds by name."""
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - begin)
    return {name: np.array(values) for name, values in taken.items()}


def show(title: str, taken: dict[str, np.ndarray], first: str) -> None:
    print(f"\n{title}")
    for name, seconds in taken.items():
        ratio = np.median(seconds / taken[first])
        spread = f"{seconds.min() * 1e3:.4g} to {seconds.max() * 1e3:.4g}"
        print(f"  {name:34s} {np.median(seconds) * 1e3:12.4g} ms  ({spread})  {ratio:9.4g} x {first}")


def steps(layers: int, inner: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Step sizes small enough for any N: only time matters here."""
    return torch.full((layers, inner), 1e-3, dtype=torch.float64), torch.full(
        (layers,), 1e-3, dtype=torch.float64
    )


def one_design(s: Scenario, layers: int, inner: int, repeats: int) -> None:
    mu, lam = steps(layers, inner)
    model = UnfoldedPGA.from_steps(mu, lam, ModelInfo(s.antennas, s.users, s.chains, 1 / s.antennas))
    go = prepare(model, s.radar, snr_db=12)
    H = s.H[0].numpy()
    start = proposed(s[:1])
    Psi = (s.power[0] * s.Psi).numpy()

    def literal() -> None:
        F, W = start.F[0].numpy(), start.W[0].numpy()
        steps_ = mu.numpy(), lam.numpy()
        oracle.algorithm_1(H, F, W, Psi, float(s.power[0]), 0.3, 1.0, *steps_, 1 / s.antennas, "signal")

    calls = {
        "compiled kernel, one core": lambda: go(H),
        "torch path, complex128": lambda: unfolded(s[:1], model, engine="torch"),
        "literal oracle of the tests": literal,
    }
    show(
        f"one design, J = {inner}, I = {layers}, N = {s.antennas}",
        interleaved(calls, repeats),
        "compiled kernel, one core",
    )


def batch(s: Scenario, layers: int, inner: int, repeats: int) -> None:
    mu, lam = steps(layers, inner)
    model = UnfoldedPGA.from_steps(mu, lam, ModelInfo(s.antennas, s.users, s.chains, 1 / s.antennas))
    calls = {
        "compiled kernel, all cores": lambda: unfolded(s, model, engine="kernel"),
        "torch path, complex128": lambda: unfolded(s, model, engine="torch"),
    }
    show(f"a batch of {s.batch[0]}, J = {inner}", interleaved(calls, repeats), "compiled kernel, all cores")


def update(s: Scenario, layers: int, inner: int, repeats: int, with_torch: bool) -> None:
    start = proposed(s)

    def step(kernel: bool) -> None:
        mu, lam = (t.requires_grad_() for t in steps(layers, inner))
        eta = 1 / s.antennas
        if kernel:
            F, W = differentiable(s, start, mu, lam, eta, "signal")
        else:
            F, W = run_layers(s, start, mu, lam, eta, "signal", engine="torch").point
        s.objective(F @ W).mean().backward()

    before = peak_memory_mib()
    calls: dict[str, Callable[[], object]] = {"compiled adjoint": lambda: step(True)}
    taken = interleaved(calls, repeats)
    print(
        f"\npeak memory of the process {before:.0f} MiB before, {peak_memory_mib():.0f} MiB after the updates"
    )
    if with_torch:
        taken = interleaved({**calls, "torch autograd": lambda: step(False)}, repeats)
    show(f"one update, batch {s.batch[0]}, J = {inner}, I = {layers}", taken, "compiled adjoint")


def scaling(sizes: list[int], layers: int, inner: int, repeats: int, plot: Path | None) -> None:
    mu, lam = steps(layers, inner)
    calls: dict[str, Callable[[], object]] = {}
    for N in sizes:
        radar = solve_covariance(N, angles=max(181, 2 * N + 1), rank=4, tolerance=1e-3)
        H = saleh_valenzuela(N, 4, 1, seed=3)[0].numpy()
        go = prepare(UnfoldedPGA.from_steps(mu, lam, ModelInfo(N, 4, 4, 1 / N)), radar, snr_db=12)
        calls[str(N)] = lambda go=go, H=H: go(H)
    taken = interleaved(calls, repeats)
    show(f"time per design against N, J = {inner}, rank 4", taken, str(sizes[0]))
    medians = np.array([np.median(taken[str(N)]) for N in sizes])
    exponent = np.polyfit(np.log(sizes), np.log(medians), 1)[0]
    steepest = np.max(np.diff(np.log(medians)) / np.diff(np.log(sizes)))
    print(f"  exponent of N: {exponent:.2f} fitted, {steepest:.2f} between the steepest neighbours")
    if plot:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        axes.loglog(sizes, medians * 1e3, "o-", label=f"J = {inner}, I = {layers}: exponent {exponent:.2f}")
        axes.loglog(
            sizes,
            medians[0] * 1e3 * (np.array(sizes) / sizes[0]) ** 2,
            "--",
            color="0.6",
            label="the paper's count, N²",
        )
        axes.set(
            xlabel="antennas N", ylabel="time per design [ms]", xticks=sizes, xticklabels=map(str, sizes)
        )
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(plot, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="few rounds and shallow torch runs")
    parser.add_argument("--plot", type=Path, help="picture of the scaling in N")
    options = parser.parse_args()
    torch.set_num_threads(1)
    repeats = 1 if options.quick else 5
    radar = solve_covariance(64, (-59, 0, 60))  # the published pattern: rank 7 in float32
    s = make_scenario(saleh_valenzuela(64, 4, 100, seed=2), radar, snr_db=12)
    one_design(s, 120, 20, repeats)
    batch(s, 120, 20, 1)
    update(s[:10], 120, 10, repeats, with_torch=False)
    update(s[:10], 12, 10, repeats, with_torch=True)
    scaling([32, 64, 128, 256, 512, 1024], 120, 20, 3 * repeats, options.plot)


if __name__ == "__main__":
    main()
