"""The fast design in torch beside the compiled one: the same objective, and designs per second over batch
size.

    python benchmarks/twin.py [--count 1000] [--threads 2] [--device cpu] [--only equal | speed]

`equal`: random scenarios of N 8 … 64, K 1 … 8, M K … 2 K, −5 … 25 dB, ω 0.01 … 3, one in five with channels
of low rank and one in five on a network that is not fully connected, in float64: |R − ω τ| of both apart,
relative to 1 + |R − ω τ|; and how far the compiled design itself moves, the most of `CHANGES` times, where
its first steps are changed in their last places. `speed`: N = 64, K = M = 4, 12 dB, "deep", float32, designs
per second.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.kernels.fast import run_fast
from beamfold.kernels.fast_setting import CONSTANTS, Plan, plan_for
from beamfold.kernels.fast_workspace import Constants
from beamfold.methods.fast import work_plan
from beamfold.networks import fully_connected, named_network
from beamfold.optim.projected import run_projected
from beamfold.scenario import Scenario, make_scenario

PART = 5
"""Channels of one random setting."""
FEW = Plan(digital=3, alternations=2, first=1, inner=2, steps=1)
"""A plan of few steps: rounding has not been multiplied yet."""
CHANGES = 8
FAR = 1e-3


def drawn(rng: np.random.Generator, seed: int) -> Scenario:
    """`PART` channels of a random setting."""
    K = int(rng.integers(1, 9))
    N, M = int(rng.integers(max(8, 2 * K), 65)), int(rng.integers(K, 2 * K + 1))
    network = fully_connected(N, M)
    if rng.integers(5) == 0:
        N = -(-N // M) * M
        network = named_network(str(rng.choice(["subarrays", "interleaved", "dynamic"])), N, M)
    H = saleh_valenzuela(N, K, PART, seed=seed)
    if rng.integers(5) == 0 and K > 1:
        rank = int(rng.integers(1, K))
        A, B = (rng.standard_normal((2, PART, *size)) for size in ((K, rank), (rank, N)))
        H = torch.from_numpy((A[0] + 1j * A[1]) @ (B[0] + 1j * B[1]))
    target = int(rng.integers(20, 65))
    radar = solve_covariance(N, (-target, 0, target))
    snr_db, weight = float(rng.uniform(-5, 25)), float(10 ** rng.uniform(-2, 0.5))
    return make_scenario(H, radar, snr_db=snr_db, weight=weight, network=network)


def kind(s: Scenario) -> str:
    """The class of a setting in the table."""
    if int(torch.linalg.matrix_rank(s.H[0])) < s.users:
        return "users that depend on others"
    if not s.network.full:
        return "another network"
    if s.chains == s.users:
        return "M = K"
    return "M > K" if s.users > 1 else "K = 1, M = 2"


def compiled(s: Scenario, plan: Plan, constants: Constants = CONSTANTS) -> torch.Tensor:
    """R − ω τ of the compiled design in float64."""
    F, W = run_fast(s, plan, dtype=np.float64, constants=constants)[0]
    return s.objective(F @ W)


def moved(s: Scenario, plan: Plan, value: torch.Tensor) -> torch.Tensor:
    """How far the compiled design of each channel moves by changes of its first steps in the last places."""
    far = torch.zeros_like(value)
    for i in range(1, CHANGES + 1):
        times = 1 + i * 2.0**-52
        constants = CONSTANTS._replace(
            digital=CONSTANTS.digital * times,
            chains=CONSTANTS.chains * times,
            phases=CONSTANTS.phases * times,
        )
        far = torch.maximum(far, (compiled(s, plan, constants) - value).abs())
    return far / (1 + value.abs())


def equal(count: int, steps: int, device: str) -> None:
    rng = np.random.default_rng(31)
    apart: dict[str, list[list[float]]] = {}
    for i in range(count // PART):
        s = drawn(rng, i)
        rank = s.radar.factor(1e-7).U.shape[1]
        row = []
        for plan in (FEW, work_plan(None, steps, rank, s.users, s.network)):
            there = run_projected(s.to(device), plan, dtype=torch.float64)[0]
            value = compiled(s, plan)
            readable = s.objective(there.F.cpu() @ there.W.cpu())
            row += [((value - readable).abs() / (1 + value.abs())), moved(s, plan, value)]
        apart.setdefault(kind(s), []).extend(torch.stack(row, -1).tolist())
    for title, first in ((f"{tuple(FEW)[:5]}", 0), (f"{steps} steps", 2)):
        print(
            f"{title}\n\n| channels | count | median apart | above 1e-3 | of these it moves so far itself |"
        )
        print("| --- | --- | --- | --- | --- |")
        for name, rows in apart.items():
            between, alone = np.array(rows)[:, first : first + 2].T
            far = between > FAR
            both = (far & (alone > FAR)).sum()
            print(f"| {name} | {len(rows)} | {np.median(between):.0e} | {far.sum()} | {both} |")
        print()


def speed(device: str, threads: int) -> None:
    torch.set_num_threads(threads)
    radar = solve_covariance(64, (-59, 0, 60))
    print("| batch | torch, designs/s | compiled, designs/s |\n| --- | --- | --- |")
    for batch in (1, 10, 100, 1000):
        s = make_scenario(saleh_valenzuela(64, 4, batch, seed=3), radar, snr_db=12)
        there = s.to(device)
        plan = plan_for(4, s.network, radar.factor(1e-3).U.shape[1])
        rates = []
        for run, on in ((run_projected, there), (run_fast, s)):
            run(on[:1], plan)
            least = np.inf
            for _ in range(3 if batch < 1000 else 1):
                begin = time.perf_counter()
                run(on, plan)
                if device != "cpu":
                    torch.cuda.synchronize()
                least = min(least, time.perf_counter() - begin)
            rates.append(batch / least)
        print(f"| {batch} | {rates[0]:.0f} | {rates[1]:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", choices=("equal", "speed"))
    options = parser.parse_args()
    if options.only != "speed":
        torch.set_num_threads(1)
        equal(options.count, options.steps, options.device)
    if options.only != "equal":
        speed(options.device, options.threads)


if __name__ == "__main__":
    main()
