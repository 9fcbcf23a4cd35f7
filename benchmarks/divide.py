"""The learnt division of a fast design's work: trained by an evolution strategy, and judged on fresh
settings.

    OMP_NUM_THREADS=1 python benchmarks/divide.py train models.safetensors [--generations 60] [--seed 1]
    OMP_NUM_THREADS=1 python benchmarks/divide.py judge [--seed 77] [--settings 20] [--model FILE]

Settings are drawn from SNR −5 … 25 dB, ω 0.01 … 3, N 16 … 128, K 1 … 8, M K … 2 K, three targets, and one in
six has channels of low rank. A candidate θ is compared with the constants at the same counted work, on the
same channels, at the depths medium and deep. `judge` also times both on the same channels in turns.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.files.divisions import load_division, save_division
from beamfold.kernels.fast import CONSTANTS, DROPPED, Plan, plan_for, run_fast
from beamfold.kernels.fast_workspace import Constants
from beamfold.methods.fast import DEPTHS
from beamfold.optim.division import PARTS, RANGES, Case, Division, DivisionInfo, case_for, divided, inputs
from beamfold.scenario import Scenario, make_scenario

TRAINED = ("medium", "deep")
WORST = 3.0
"""A loss counts so many times a gain."""
MOST = 0.5
"""Percent above which a gain counts no further: a few settings would decide."""


BEGIN = {"digital_steps": 0.2, "alternations": 0.3, "first": -0.4, "trial": -0.7}
"""Where the search begins: near the plan of "deeper", found by hand for the published setting."""


class Task(NamedTuple):
    """A setting at one depth, with what the constants reach."""

    s: Scenario
    case: Case
    plan: Plan
    reached: torch.Tensor


def setting(rng: np.random.Generator, channels: int, seed: int) -> Scenario:
    """One setting of the range, with channels of its own."""
    K = int(rng.integers(1, 9))
    N = round(2 ** rng.uniform(max(4, np.log2(2 * K)), 7))
    M = int(rng.integers(K, min(2 * K, N) + 1))
    snr_db, weight = float(rng.uniform(-5, 25)), float(10 ** rng.uniform(-2, np.log10(3)))
    target = int(rng.integers(20, 65))
    H = saleh_valenzuela(N, K, channels, seed=seed)
    if rng.integers(6) == 0 and K > 1:
        rank = int(rng.integers(1, K))
        A, B = (
            torch.from_numpy(rng.standard_normal((2, channels, *size)).astype(np.float64))
            for size in ((K, rank), (rank, N))
        )
        H = torch.complex(*A) @ torch.complex(*B)
    radar = solve_covariance(N, (-target, 0, target), angles=181 if N < 100 else 541)
    return make_scenario(H, radar, snr_db=snr_db, weight=weight, chains=M)


def case_of(s: Scenario, plan: Plan) -> Case:
    rank = s.radar.factor(DROPPED[np.float32]).U.shape[1]
    return case_for(
        plan, plan_for(s.users, s.network, rank), antennas=s.antennas, users=s.users, chains=s.chains,
        rank=rank, snr_db=10 * float(torch.log10(s.power.flatten()[0] / s.noise)),
        weight=float(s.weight.flatten()[0]),
    )  # fmt: skip


def value(s: Scenario, plan: Plan, constants: Constants) -> torch.Tensor:
    """R − ω τ per channel."""
    point, _, _ = run_fast(s, plan, constants=constants, threads=1)
    return s.objective(point.F @ point.W)


def tasks_of(s: Scenario, depths: tuple[str, ...]) -> list[Task]:
    rank = s.radar.factor(DROPPED[np.float32]).U.shape[1]
    plans = [plan_for(s.users, s.network, rank, **DEPTHS[depth]) for depth in depths]
    return [Task(s, case_of(s, plan), plan, value(s, plan, CONSTANTS)) for plan in plans]


def gain(task: Task, theta: np.ndarray) -> float:
    """Percent of 1 + |R − ω τ| that θ gains over the constants, in the mean over the channels."""
    after = value(task.s, *divided(theta, task.case, task.plan, CONSTANTS))
    return 100 * float((after - task.reached).mean() / (1 + task.reached.mean().abs()))


def score(task: Task, theta: np.ndarray) -> float:
    g = gain(task, theta)
    return min(g, MOST) if g > 0 else WORST * max(g, -MOST)


def evolve(
    tasks: list[Task], generations: int, size: int, subset: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[float]]:
    """θ by evolution: the mean of the better half of `size` normal candidates, one width for each number."""
    rows, columns = len(PARTS), len(inputs(tasks[0].case))
    mean, width = np.zeros((rows, columns)), np.full((rows, columns), 0.05)
    for part, value in BEGIN.items():
        mean[PARTS.index(part), 0] = value
    width[:, 0] = 0.1
    width[PARTS.index("share_1") : PARTS.index("share_2") + 1] *= 0.4
    width[PARTS.index("starts")] *= 3.0
    half = size // 2
    weights = np.log(half + 0.5) - np.log(np.arange(1, half + 1))
    weights /= weights.sum()
    curve = []
    for generation in range(generations):
        chosen = [tasks[i] for i in rng.choice(len(tasks), min(subset, len(tasks)), replace=False)]
        noise = rng.standard_normal((size, rows, columns))
        noise[size // 2 :] = -noise[: size // 2]
        scores = [float(np.mean([score(t, mean + width * z) for t in chosen])) for z in noise]
        best = np.argsort(scores)[::-1][:half]
        step = np.tensordot(weights, noise[best], 1)
        spread = np.tensordot(weights, noise[best] ** 2, 1)
        mean = mean + width * step
        width = width * np.exp(0.15 * np.clip(spread - 1, -1, 1)) * 0.98
        curve.append(float(np.mean([gain(t, mean) for t in chosen])))
        print(
            f"generation {generation}: mean gain {curve[-1]:.3f} %, scores {np.mean(scores):.3f} "
            f"(best {max(scores):.3f})",
            flush=True,
        )
    return mean, curve


def train(options: argparse.Namespace) -> None:
    rng = np.random.default_rng(options.seed)
    tasks = [
        t for i in range(options.settings)
        for t in tasks_of(setting(rng, options.channels, 10_000 * options.seed + i), TRAINED)
    ]  # fmt: skip
    theta, curve = evolve(tasks, options.generations, options.size, options.subset, rng)
    ranges = {name: (float(a), float(b)) for name, (a, b) in RANGES.items()}
    info = DivisionInfo(
        ranges,
        options.settings,
        options.channels,
        options.generations,
        options.seed,
        tuple(curve),
        f"benchmarks/divide.py train --generations {options.generations} --size {options.size} "
        f"--subset {options.subset} --settings {options.settings} --channels {options.channels} "
        f"--seed {options.seed}",
    )
    save_division(options.file, Division(theta, info))


def in_turns(s: Scenario, ways: list[tuple[Plan, Constants]], repeats: int = 7) -> list[float]:
    """The least processor time of each way in microseconds per channel, measured in turns."""
    least = [np.inf] * len(ways)
    for _ in range(repeats):
        for i, (plan, constants) in enumerate(ways):
            begin = time.process_time()
            run_fast(s, plan, constants=constants, threads=1)
            least[i] = min(least[i], (time.process_time() - begin) / len(s.H) * 1e6)
    return least


def judge(options: argparse.Namespace) -> None:
    division = load_division(options.model)
    rng = np.random.default_rng(options.seed)
    print("| N, K, M (rank) | SNR | ω | depth | constants | learnt | gain | time | starts, trial, steps |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    gains = []
    for i in range(options.settings):
        s = setting(rng, options.channels, 10_000 * options.seed + i)
        for depth, task in zip(options.depth, tasks_of(s, tuple(options.depth)), strict=True):
            case = task.case
            plan, constants = divided(division.theta, case, task.plan, CONSTANTS)
            if division.outside(case):
                plan, constants = task.plan, CONSTANTS
            after = value(s, plan, constants)
            percent = 100 * float((after - task.reached).mean() / task.reached.mean().abs())
            gains.append(percent)
            least = in_turns(s[:40], [(task.plan, CONSTANTS), (plan, constants)])
            print(
                f"| {case.antennas}, {case.users}, {case.chains} ({case.rank}) | {case.snr_db:.1f} dB "
                f"| {case.weight:.3f} "
                f"| {depth} | {float(task.reached.mean()):.3f} | {float(after.mean()):.3f} | {percent:.3f} % "
                f"| {least[1] / least[0]:.2f} | {plan.starts}, {plan.trial}, {plan.steps} |"
                f"{division.outside(case)}",
                flush=True,
            )
    better = sum(g > 0 for g in gains)
    print(f"\nbetter in {better} of {len(gains)}, mean {np.mean(gains):.3f} %, worst {min(gains):.3f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=("train", "judge"))
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--generations", type=int, default=60)
    parser.add_argument("--size", type=int, default=10)
    parser.add_argument("--subset", type=int, default=18)
    parser.add_argument("--settings", type=int, default=None)
    parser.add_argument("--channels", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--depth", nargs="+", default=["deep"])
    parser.add_argument("--model", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    training = options.what == "train"
    options.settings = options.settings or (40 if training else 20)
    options.channels = options.channels or (8 if training else 200)
    (train if training else judge)(options)


if __name__ == "__main__":
    main()
