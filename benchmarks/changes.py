"""What single changes of a fast design's plan and constants gain, and what a learnt choice among them does.

    OMP_NUM_THREADS=1 python benchmarks/changes.py full|subarrays|band [--settings 360] [--channels 48]

Settings as in `divide.py` with K <= M < 2 K, where F W cannot be any X; on sub-arrays each chain has its own
N/M antennas, on a band 8 subcarriers share F. A change is compared with today's plan at depth deep, on the
same channels and at the same counted work (`division.microseconds`; on sub-arrays and bands with the same
steps of F in all). Printed is the gain in percent of 1 + |R − ω τ| over the settings, and in how many it is
more than two of its standard errors above or below 0.

The learnt choice takes for a setting the change whose gain is foretold to be the highest, by a regression on
squares and products of the setting's numbers, or none. It is judged on settings that it was not fitted to.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import torch
from divide import case_of, setting, value
from division import Case, inputs, microseconds

from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.kernels.band import run_band
from beamfold.kernels.fast_setting import CONSTANTS, DROPPED, Plan, plan_for
from beamfold.kernels.fast_workspace import Constants
from beamfold.methods.fast import work_plan
from beamfold.networks import subarrays
from beamfold.optim.band_search import factors
from beamfold.scenario import Scenario, make_scenario

KINDS = ("full", "subarrays", "band")
SUBCARRIERS = 8
CLIPPED = 0.2
"""Percent beyond which a gain counts no further in the regression: a few settings would decide."""
RIDGE = 10.0
FOLDS = 8

Change = Callable[[Plan, Constants], tuple[Plan, Constants]]


def scaled(**by: float) -> Change:
    """The constants times these factors."""
    return lambda plan, c: (plan, c._replace(**{name: getattr(c, name) * f for name, f in by.items()}))


def shares(*given: float) -> Change:
    return lambda plan, c: (plan, c._replace(shares=given))


def planned(**given: int) -> Change:
    return lambda plan, c: (plan._replace(**given), c)


def times(**by: float) -> Change:
    """The numbers of the plan times these factors."""
    return lambda plan, c: (
        plan._replace(**{name: max(round(getattr(plan, name) * f), 1) for name, f in by.items()}),
        c,
    )


def of_start(digital: float, alternations: float, first: int) -> Change:
    """Several parts of the start at once."""
    return lambda plan, c: times(digital=digital, alternations=alternations)(plan._replace(first=first), c)


CONSTANT: dict[str, Change] = {
    "first step of Z times 2": scaled(digital=2.0), "first step of Z times 0.5": scaled(digital=0.5),
    "first step of W times 2": scaled(chains=2.0), "first step of W times 0.5": scaled(chains=0.5),
    "first step of ∠F times 1.6": scaled(phases=1.6), "first step of ∠F times 0.6": scaled(phases=0.6),
    "ridge times 3": scaled(ridge=3.0), "ridge times 0.33": scaled(ridge=0.33),
    "shares 0, 0.3, 0.5": shares(0.0, 0.3, 0.5), "shares 0, 0.3, 0.9": shares(0.0, 0.3, 0.9),
}  # fmt: skip
"""Those that take no time."""
WORK: dict[str, Change] = {
    "digital steps times 0.5": times(digital=0.5), "digital steps times 2": times(digital=2.0),
    "digital steps times 3": times(digital=3.0), "alternations times 0.5": times(alternations=0.5),
    "alternations times 2": times(alternations=2.0), "first steps of W 1": planned(first=1),
    "first steps of W 3": planned(first=3), "first steps of W 20": planned(first=20),
    "steps of W for each of F 2": planned(inner=2), "steps of W for each of F 4": planned(inner=4),
    "digital 2, alternations 2, first 1": of_start(2, 2, 1),
    "digital 3, alternations 2, first 1": of_start(3, 2, 1),
    "digital 2, first 1": of_start(2, 1, 1),
    "a second start for 10 steps": planned(starts=2, trial=10, further=20, first=1),
}  # fmt: skip
STARTS: dict[str, Change] = {
    "one start": planned(starts=1, trial=0, steps=60),
    "a second start for 5 steps": planned(trial=5, steps=50),
    "a second start for 15 steps": planned(trial=15, steps=30),
    "three starts for 10 steps": planned(starts=3, trial=10, steps=30),
    "alternations 5": planned(alternations=5), "alternations 20": planned(alternations=20),
}  # fmt: skip
"""Of sub-arrays, whose plan has two starts of 10 steps: as many steps of F in all."""
CHANGES: dict[str, dict[str, Change]] = {
    "full": CONSTANT | WORK, "subarrays": CONSTANT | STARTS, "band": CONSTANT
}  # fmt: skip


class Row(NamedTuple):
    """A setting: its numbers, and the gain of each change in percent with its standard error."""

    case: Case
    gains: np.ndarray
    errors: np.ndarray


def drawn(kind: str, rng: np.random.Generator, channels: int, seed: int) -> Scenario:
    """A setting with K <= M < 2 K."""
    while True:
        s = setting(rng, channels, seed)
        if s.chains < 2 * s.users:
            break
    if kind == "full":
        return s
    N, K, M = s.antennas // s.chains * s.chains, s.users, s.chains
    numbers = {
        "snr_db": 10 * float(torch.log10(s.power.flatten()[0])),
        "weight": float(s.weight.flatten()[0]),
    }
    radar = solve_covariance(
        N, tuple(math.degrees(t) for t in s.radar.targets), angles=181 if N < 100 else 541
    )
    if kind == "subarrays":
        return make_scenario(s.H[..., :N], radar, network=subarrays(N, M), **numbers)
    H, f = saleh_valenzuela(N, K, max(channels // 4, 6), seed=seed, subcarriers=SUBCARRIERS)
    return make_scenario(H, radar, chains=M, frequencies=f, **numbers)


def plan_of(kind: str, s: Scenario) -> Plan:
    rank = s.radar.factor(DROPPED[np.float32]).U.shape[1]
    if kind == "band":
        return plan_for(s.users, s.network, rank)
    return work_plan("deep", None, rank, s.users, s.network)


def reached(kind: str, s: Scenario, plan: Plan, constants: Constants) -> torch.Tensor:
    """R − ω τ per channel."""
    if kind != "band":
        return value(s, plan, constants)
    U, square = factors((s.radar,), DROPPED[np.float32])
    found = run_band(
        s.H.numpy(), U, square, s.power.tolist(), s.weight.tolist(), noise=s.noise, network=s.network,
        plan=plan, threads=1, constants=constants,
    )  # fmt: skip
    return s.objective(s.transmitted(torch.from_numpy(found.F), torch.from_numpy(found.W)))


def changed(kind: str, change: Change, case: Case, plan: Plan) -> tuple[Plan, Constants]:
    """Plan and constants with a change, at the same counted work."""
    new, constants = change(plan, CONSTANTS)
    if kind == "full":
        sizes = case.antennas, case.users, case.chains, case.rank
        before, each = microseconds(plan, *sizes)
        spent, step = microseconds(new, *sizes)
        new = new._replace(steps=max(math.floor((before + each * plan.steps - spent) / step + 1e-6), 0))
    return new, constants


def row(kind: str, s: Scenario) -> Row:
    """The gains of every change on one setting."""
    plan = plan_of(kind, s)
    case = case_of(replace(s, H=s.H[:, 0], band=None) if kind == "band" else s, plan)
    before = reached(kind, s, plan, CONSTANTS)
    scale = 100 / (1 + abs(float(before.mean())))
    gains = [
        (reached(kind, s, *changed(kind, change, case, plan)) - before) * scale
        for change in CHANGES[kind].values()
    ]
    each = np.array([(float(g.mean()), float(g.std()) / math.sqrt(len(g))) for g in gains])
    return Row(case, each[:, 0], each[:, 1])


def rows(kind: str, count: int, channels: int, seed: int) -> list[Row]:
    """The gains on settings drawn with a seed."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    return [row(kind, drawn(kind, rng, channels, 1_000_000 + 10_000 * seed + i)) for i in range(count)]


def features(case: Case) -> np.ndarray:
    """1, the numbers of a setting, their squares and products."""
    x = inputs(case)[1:7]
    return np.array([1.0, *x, *np.outer(x, x)[np.triu_indices(len(x))]])


def choice(train: list[Row], cases: list[Case]) -> np.ndarray:
    """For each case the change that promises most, -1 for none."""
    X, Y = np.stack([features(r.case) for r in train]), np.stack([r.gains for r in train])
    B = np.linalg.solve(X.T @ X + RIDGE * np.eye(X.shape[1]), X.T @ Y.clip(-CLIPPED, CLIPPED))
    promised = np.stack([features(c) for c in cases]) @ B
    return np.where(promised.max(1) > 0, promised.argmax(1), -1)


def told(title: str, held: list[Row], chosen: np.ndarray) -> None:
    """What the chosen changes gain."""
    took = [(r.gains[c], r.errors[c]) if c >= 0 else (0.0, 0.0) for r, c in zip(held, chosen, strict=True)]
    gains, errors = np.array(took).T
    print(
        f"{title}: mean gain {gains.clip(-1, 1).mean():.3f} % (each cut at 1), better in {(gains > 0).sum()} "
        f"of {len(gains)}, in {(gains > 2 * errors).sum()} by more than two standard errors, worse in "
        f"{(gains < 0).sum()}, worst {gains.min():.3f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--settings", type=int, default=360)
    parser.add_argument("--channels", type=int, default=48)
    parser.add_argument("--judge", type=int, default=20, help="settings of a seed of their own")
    options = parser.parse_args()
    half = options.settings // 2
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        parts = [pool.submit(rows, options.kind, half, options.channels, seed) for seed in (1, 2)]
        fresh = pool.submit(rows, options.kind, options.judge, 4 * options.channels, 77)
        found, judged = [r for part in parts for r in part.result()], fresh.result()
    G, E = np.stack([r.gains for r in found]), np.stack([r.errors for r in found])
    print(f"{len(found)} settings\n\n| change | mean, each cut at 1 | above | below | 10 and 90 % |")
    print("| --- | --- | --- | --- | --- |")
    for i, name in enumerate(CHANGES[options.kind]):
        low, high = np.percentile(G[:, i], [10, 90])
        above, below = (G[:, i] > 2 * E[:, i]).mean(), (G[:, i] < -2 * E[:, i]).mean()
        print(
            f"| {name} | {G[:, i].clip(-1, 1).mean():.3f} % | {above:.0%} | {below:.0%} "
            f"| {low:.3f}, {high:.3f} % |"
        )
    none = 1 - (G > 2 * E).any(1).mean()
    print(f"\nno change gains more than two standard errors in {none:.0%} of the settings")
    order = np.random.default_rng(0).permutation(len(found))
    chosen = np.empty(len(found), int)
    for fold in np.array_split(order, FOLDS):
        rest = [found[i] for i in np.setdiff1d(order, fold)]
        chosen[fold] = choice(rest, [found[i].case for i in fold])
    told("learnt choice, each eighth judged by the rest", found, chosen)
    told("learnt choice, fresh settings", judged, choice(found, [r.case for r in judged]))


if __name__ == "__main__":
    main()
