"""A learnt division of a fast design's work: trained by the response to each part, judged on fresh settings.

    OMP_NUM_THREADS=1 python benchmarks/divide.py train division.json [--settings 60] [--seed 1]
    OMP_NUM_THREADS=1 python benchmarks/divide.py judge division.json [--seed 77]

Settings are drawn from SNR −5 … 25 dB, ω 0.01 … 3, N 16 … 128, K 1 … 8, M K … 2 K, three targets, and one in
six has channels of low rank. A candidate θ is compared with the constants at the same counted work, on the
same channels, at the depths medium and deep. `judge` also times both on the same channels in turns.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from division import PARTS, Case, case_for, divided, inputs, outside

from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.kernels.fast import run_fast
from beamfold.kernels.fast_setting import CONSTANTS, DROPPED, Plan, plan_for
from beamfold.kernels.fast_workspace import Constants
from beamfold.methods.fast import DEPTHS
from beamfold.scenario import Scenario, make_scenario

TRAINED = ("medium", "deep")
WORST = 3.0
"""A loss counts so many times a gain."""
MOST = 0.5
"""Percent above which a gain counts no further: a few settings would decide."""


STEPS = {
    "digital": 0.7, "chains": 0.7, "phases": 0.5, "ridge": 1.0, "share_1": 0.15, "share_2": 0.15,
    "digital_steps": 0.4, "alternations": 0.6, "first": 0.7, "inner": 0.35,
}  # fmt: skip
"""How far each part is moved to either side when its response is measured."""
LEAST = 0.02
"""Least curvature that a response is taken to have, in percent at one step of `STEPS`."""
WORTH = 0.03
"""Percent that a further start has to promise."""
FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0)


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


def shifted(part: str, by: float) -> np.ndarray:
    """θ that moves one part alone, by the same in every setting."""
    theta = np.zeros((len(PARTS), len(inputs(Case(16, 1, 1, 1, 0.0, 1.0)))))
    theta[PARTS.index(part), 0] = by
    return theta


def response(tasks: list[Task], part: str, by: float) -> tuple[np.ndarray, np.ndarray]:
    """Slope and curvature of the gain along one part, for each task, from a step to either side."""
    up, down = (np.array([gain(t, shifted(part, h)) for t in tasks]).clip(-MOST, MOST) for h in (by, -by))
    print(f"{part}: mean gain {up.mean():.3f} % at +{by}, {down.mean():.3f} % at -{by}", flush=True)
    return (up - down) / (2 * by), (up + down) / by**2


def fitted(tasks: list[Task]) -> np.ndarray:
    """θ that maximises the sum over the tasks of slope δ + curvature δ²/2 with δ = θᵀ x, part by part.

    A further start is taken where the regression of its gain promises more than `WORTH`.
    """
    x = np.stack([inputs(t.case) for t in tasks])
    ridge = 0.02 * len(tasks) * np.eye(x.shape[1])
    theta = np.zeros((len(PARTS), x.shape[1]))
    for part, by in STEPS.items():
        slope, curvature = response(tasks, part, by)
        weight = np.maximum(-curvature, LEAST / by**2)
        theta[PARTS.index(part)] = np.linalg.solve((x * weight[:, None]).T @ x + ridge / by**2, x.T @ slope)
    moved = shifted("starts", 1.0) + shifted("trial", -0.9)
    gains = np.array([gain(t, moved) for t in tasks]).clip(-MOST, MOST)
    print(f"a second start: mean gain {gains.mean():.3f} %, above 0 in {(gains > 0).sum()} of {len(gains)}")
    theta[PARTS.index("starts")] = np.linalg.solve(x.T @ x + ridge, x.T @ gains) / (2 * WORTH)
    theta[PARTS.index("trial"), 0] = -0.9
    return theta


def shrunk(theta: np.ndarray, tasks: list[Task]) -> tuple[np.ndarray, list[float]]:
    """θ times the factor that gains most on tasks that it was not fitted to, a loss counted `WORST` times."""
    curve, scores = [], []
    for factor in FACTORS:
        part = theta * factor
        gains = np.array([gain(t, part) for t in tasks]).clip(-MOST, MOST)
        curve.append(float(gains.mean()))
        scores.append(float(np.where(gains > 0, gains, WORST * gains).mean()))
        print(
            f"factor {factor}: mean gain {curve[-1]:.3f} %, least {gains.min():.3f} %, "
            f"above 0 in {(gains > 0).sum()} of {len(gains)}, score {scores[-1]:.3f}",
            flush=True,
        )
    return theta * FACTORS[int(np.argmax(scores))], curve


def train(options: argparse.Namespace) -> None:
    rng = np.random.default_rng(options.seed)
    tasks = [
        t for i in range(options.settings)
        for t in tasks_of(setting(rng, options.channels, 10_000 * options.seed + i), TRAINED)
    ]  # fmt: skip
    first = len(tasks) * 3 // 4
    theta, curve = shrunk(fitted(tasks[:first]), tasks[first:])
    recipe = {"settings": options.settings, "channels": options.channels, "seed": options.seed}
    held = {"theta": theta.tolist(), "curve": curve, "factors": FACTORS, **recipe}
    options.file.write_text(json.dumps(held))


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
    theta = np.array(json.loads(options.file.read_text())["theta"])
    rng = np.random.default_rng(options.seed)
    print("| N, K, M (rank) | SNR | ω | depth | constants | learnt | gain | time | starts, trial, steps |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    gains = []
    for i in range(options.settings):
        s = setting(rng, options.channels, 10_000 * options.seed + i)
        for depth, task in zip(options.depth, tasks_of(s, tuple(options.depth)), strict=True):
            case = task.case
            plan, constants = divided(theta, case, task.plan, CONSTANTS)
            if outside(case):
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
                f"{outside(case)}",
                flush=True,
            )
    better = sum(g > 0 for g in gains)
    print(f"\nbetter in {better} of {len(gains)}, mean {np.mean(gains):.3f} %, worst {min(gains):.3f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=("train", "judge"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--settings", type=int, default=None)
    parser.add_argument("--channels", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--depth", nargs="+", default=["deep"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    training = options.what == "train"
    options.settings = options.settings or (60 if training else 20)
    options.channels = options.channels or (24 if training else 200)
    (train if training else judge)(options)


if __name__ == "__main__":
    main()
