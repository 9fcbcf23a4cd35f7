"""One set of constants for all settings, against constants trained for each setting alone.

    OMP_NUM_THREADS=1 python benchmarks/conditioned.py [--settings 10] [--trials 150] [--seed 0] [--steps 60]

The fast design has some constants: first steps of Z, W and F, the candidates of its start, and how its work
is divided. `Constants` and `plan_for` serve SNR −5 … 20 dB, ω 0.03 … 3, N 32 … 256, K 2 … 8 and M K … 2 K.
Here settings are drawn from that range, and for each the constants are trained: random search, then a
random walk from the best, on 40 channels, at no more work than the shipped ones. Both are then measured on
200 other channels: mean R − ω τ, and how much of it is lost by not training for the setting.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.kernels.fast import run_fast
from beamfold.kernels.fast_setting import CONSTANTS, DROPPED, Plan, plan_for
from beamfold.kernels.fast_workspace import Constants
from beamfold.scenario import Scenario, make_scenario

Trial = tuple[Plan, Constants]


def draw_setting(rng: np.random.Generator) -> dict[str, float]:
    K = int(rng.integers(2, 9))
    return {
        "N": round(2 ** rng.uniform(5, 8)),
        "K": K,
        "M": int(rng.integers(K, 2 * K + 1)),
        "snr_db": round(float(rng.uniform(-5, 20)), 1),
        "weight": round(float(10 ** rng.uniform(-1.5, 0.5)), 3),
        "target_deg": int(rng.integers(20, 65)),
    }


def scenario(setting: dict[str, float], count: int, seed: int) -> Scenario:
    N, target = int(setting["N"]), setting["target_deg"]
    radar = solve_covariance(N, (-target, 0, target), angles=181 if N < 100 else 541)
    H = saleh_valenzuela(N, int(setting["K"]), count, seed=seed)
    return make_scenario(
        H, radar, snr_db=setting["snr_db"], weight=setting["weight"], chains=int(setting["M"])
    )


def score(s: Scenario, trial: Trial) -> torch.Tensor:
    """R − ω τ per channel."""
    plan, constants = trial
    point, _, _ = run_fast(s, plan, constants=constants)
    return s.objective(point.F @ point.W)


def shipped_for(s: Scenario, steps: int) -> Trial:
    """What `fast` uses: a function of K, M and the rank of Ψ alone."""
    rank = s.radar.factor(DROPPED[np.float32]).U.shape[1]
    return plan_for(s.users, s.network, rank, steps=steps), CONSTANTS


def divided(work: int, digital: int, alternations: int, first: int, inner: int) -> Plan:
    """A plan of the given work, in evaluations: each step of F costs one and `inner` of W."""
    return Plan(
        digital, alternations, first, inner, max((work - digital - alternations - first) // (1 + inner), 1)
    )


def work_of(plan: Plan) -> int:
    return plan.digital + plan.alternations + plan.first + plan.steps * (1 + plan.inner)


def near(rng: np.random.Generator, trial: Trial, work: int, width: float) -> Trial:
    """Constants multiplied by e^(width · normal), whole numbers rounded, shares moved by as much."""
    plan, c = trial
    factors = np.exp(width * rng.standard_normal(6))
    digital, alternations, first = (
        int(np.clip(round((a + 1) * f) - 1, 0, work // 4)) for a, f in zip(plan[:3], factors[:3], strict=True)
    )
    inner = int(np.clip(plan.inner + rng.integers(-1, 2), 1, 8))
    shares = tuple(float(np.clip(b + 0.3 * width * rng.standard_normal(), 0, 1)) for b in c.shares)
    first_steps = (float(a * f) for a, f in zip(c[:3], factors[3:], strict=True))
    return divided(work, digital, alternations, first, inner), Constants(*first_steps, shares)


def train(s: Scenario, shipped: Trial, trials: int, rng: np.random.Generator) -> Trial:
    """The best of a random search around the shipped constants that narrows down on the best so far."""
    work, best, top = work_of(shipped[0]), shipped, float(score(s, shipped).mean())
    for i in range(trials):
        trial = near(rng, best if i > trials // 3 else shipped, work, 1.0 if i <= trials // 3 else 0.3)
        value = float(score(s, trial).mean())
        if value > top:
            best, top = trial, value
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--settings", type=int, default=10)
    parser.add_argument("--trials", type=int, default=150)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    drawing, rng = (np.random.default_rng([options.seed, i]) for i in range(2))
    print("| N, K, M | SNR | ω | targets | shipped | trained | lost | trained constants |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    worst = -np.inf
    for i in range(options.settings):
        setting = draw_setting(drawing)
        test = scenario(setting, 200, 2000 + i)
        shipped = shipped_for(test, options.steps)
        own = train(scenario(setting, 40, 1000 + i), shipped, options.trials, rng)
        ours, theirs = (float(score(test, trial).mean()) for trial in (shipped, own))
        lost = (theirs - ours) / abs(theirs)
        worst = max(worst, lost)
        steps = " ".join(f"{v:.3f}" for v in (*own[1][:3], *own[1].shares))
        print(
            f"| {setting['N']}, {setting['K']}, {setting['M']} | {setting['snr_db']} dB "
            f"| {setting['weight']} "
            f"| 0, ±{setting['target_deg']}° | {ours:.3f} | {theirs:.3f} | {lost * 100:.2f} % "
            f"| {' '.join(map(str, own[0]))}; {steps} |",
            flush=True,
        )
    print(f"\nthe most that is lost by one set of constants: {worst * 100:.2f} %")


if __name__ == "__main__":
    main()
