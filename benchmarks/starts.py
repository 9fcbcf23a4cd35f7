"""Several starts of the fast design, most of them dropped early: what tells them apart, and what that is
worth.

    OMP_NUM_THREADS=1 python benchmarks/starts.py REFERENCE_DIR [--only rank | parts | hard | sizes]
    [--starts 16]

All on the published channels and Ψ (N = 64, K = M = 4, ω = 0.3) and on fresh channels of the same kind, on
one thread; times are processor time per channel, the least of runs in turns. `rank`: the rank correlation
over the starts of f after 0 … 40 steps of F with f after 300, that of a linear score learnt from ten figures
of the point, and what the best of 4 by either ends at. `parts`: each change of the plan of "raced" alone, at
the same time. `hard`: channels of low rank and strong ones, one start and several. `sizes`:
the same for other sizes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from published import published_channels, published_radar
from scipy.stats import spearmanr

from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.kernels.fast import run_fast
from beamfold.kernels.fast_setting import Plan, plan_for
from beamfold.methods.fast import DEPTHS
from beamfold.scenario import Scenario, make_scenario

SNRS = (12, 6, 0)
BEFORE = DEPTHS["deeper"]
"""One start, at the same time."""


def plan_of(s: Scenario, **given: int) -> Plan:
    return plan_for(s.users, s.network, s.radar.factor(1e-3).U.shape[1], **given)


def reached(s: Scenario, plan: Plan, which: int = 0) -> torch.Tensor:
    """R − ω τ per channel."""
    point, _, _ = run_fast(s, plan, which=which, threads=1)
    return s.objective(point.F @ point.W)


def in_turns(s: Scenario, plans: Sequence[Plan], repeats: int = 9) -> list[float]:
    """The least processor time of each plan in microseconds per channel."""
    least = [np.inf] * len(plans)
    for _ in range(repeats):
        for i, plan in enumerate(plans):
            begin = time.process_time()
            run_fast(s, plan, threads=1)
            least[i] = min(least[i], (time.process_time() - begin) / len(s.H) * 1e6)
    return least


def figures(s: Scenario, steps: int, which: int) -> torch.Tensor:
    """(B, 10): what could tell how good a start will be, after so many steps of F."""
    point, f, _ = run_fast(s, plan_of(s, steps=steps), which=which, threads=1)
    _, before, _ = run_fast(s, plan_of(s, steps=max(steps - 3, 0)), which=which, threads=1)
    X = point.F @ point.W
    measured = s.measure(X)
    G = measured.gradient
    G = G - ((X.conj() * G).real.sum((-2, -1)) / s.power)[..., None, None] * X
    turn = 2 * point.F.conj() * (G @ point.W.mH)
    values = torch.linalg.eigvalsh(point.F.mH @ point.F) / s.antennas
    size = point.W.abs().square().sum((-2, -1))
    return torch.stack(
        [
            f, measured.rate, f - before, turn.imag.norm(dim=(1, 2)), G.norm(dim=(1, 2)), values[:, 0],
            values[:, -1], size, turn.real.clamp(max=0).sum((1, 2)), turn.real.mean((1, 2)),
        ],
        -1,
    ).double()  # fmt: skip


def learnt_score(seen: np.ndarray, final: np.ndarray) -> np.ndarray:
    """The ridge regression of the final f on the figures, both less their mean over the starts; 5-fold."""
    x = seen - seen.mean(0)
    x /= np.maximum(x.reshape(-1, x.shape[-1]).std(0), 1e-9)
    y, score = final - final.mean(0), np.zeros_like(final)
    for fold in range(5):
        test = np.arange(final.shape[1]) % 5 == fold
        A, b = x[:, ~test].reshape(-1, x.shape[-1]), y[:, ~test].ravel()
        score[:, test] = x[:, test] @ np.linalg.solve(A.T @ A + 10 * np.eye(A.shape[1]), A.T @ b)
    return score


def rank(scenarios: dict[int, Scenario], starts: int) -> None:
    print(
        "| SNR | after | rank correlation: f | score | best of 4 ends at: by f | by score | by the end "
        "| mean |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for snr_db, s in scenarios.items():
        final = np.stack([reached(s, plan_of(s, steps=300), w).numpy() for w in range(starts)])
        for steps in (0, 3, 10, 20, 40):
            seen = np.stack([figures(s, steps, w).numpy() for w in range(starts)])
            score = learnt_score(seen, final)
            by = [
                np.mean([spearmanr(v[:, b], final[:, b])[0] for b in range(final.shape[1])])
                for v in (seen[..., 0], score)
            ]
            picked = [
                np.mean([final[np.argmax(v[:4, b]), b] for b in range(final.shape[1])])
                for v in (seen[..., 0], score, final)
            ]
            print(
                f"| {snr_db} dB | {steps} | {by[0]:.2f} | {by[1]:.2f} | {picked[0]:.3f} | {picked[1]:.3f} "
                f"| {picked[2]:.3f} | {final.mean():.3f} |",
                flush=True,
            )


def at_equal_time(s: Scenario, limit: float, plan: Plan) -> tuple[Plan, float]:
    """The plan with as many steps of F as fit into `limit` microseconds, and its time."""
    none, some = in_turns(s, [plan._replace(steps=10), plan._replace(steps=60)])
    each = (some - none) / 50
    plan = plan._replace(steps=max(int(10 + (limit - none) / each), 1))
    return plan, none + each * (plan.steps - 10)


def parts(sets: dict[str, dict[int, Scenario]]) -> None:
    base = plan_of(sets["published"][12], **BEFORE)
    now = plan_of(sets["published"][12], **DEPTHS["raced"])
    ways = {
        "one start, deeper": base,
        "digital steps": base._replace(digital=now.digital),
        "alternations": base._replace(alternations=now.alternations),
        "first steps of W": base._replace(first=now.first),
        "all three": base._replace(digital=now.digital, alternations=now.alternations, first=now.first),
        "several starts": base._replace(starts=now.starts, trial=now.trial, further=20),
        "all": now,
        "two steps of W": now._replace(inner=2),
        "ten steps before starts are dropped": now._replace(trial=10),
        "six starts": now._replace(starts=6),
        "further starts without alternations": now._replace(further=0),
    }
    timed = sets["fresh"][12][:60]
    limit = in_turns(timed, [base])[0]
    print(
        f"\nat the time of 100 steps from one start, {limit:.0f} us here; mean R - 0.3 tau, published / fresh"
    )
    print("| what | plan | time | 12 dB | 6 dB | 0 dB |\n| --- | --- | --- | --- | --- | --- |")
    for name, way in ways.items():
        plan, taken = at_equal_time(timed, limit, way)
        values = " | ".join(
            " / ".join(f"{float(reached(sets[k][snr], plan).mean()):.3f}" for k in sets) for snr in SNRS
        )
        print(f"| {name} | {tuple(plan)} | {taken / limit:.2f} | {values} |", flush=True)


def compare(name: str, s: Scenario, depth: str) -> None:
    """The plan of one start and that of a depth on one scenario."""
    plans = [plan_of(s, **work) for work in (BEFORE, DEPTHS[depth])]
    before, now = (reached(s, plan) for plan in plans)
    each = (now - before) / (1 + before.abs())
    times = in_turns(s[:20], plans, 5)
    error = float(each.std() / len(each) ** 0.5) * 100
    print(
        f"| {name} | {len(before)} | {float(before.mean()):.3f} | {float(now.mean()):.3f} "
        f"| {100 * float(each.mean()):.3f} ± {error:.3f} % | {times[1] / times[0]:.2f} |",
        flush=True,
    )


def head() -> None:
    print("\n| channels | count | one start | several | gain | time |\n| --- | --- | --- | --- | --- | --- |")


def low_rank(K: int, rank: int, count: int, radar: object) -> Scenario:
    g = torch.Generator().manual_seed(100 * K + rank)
    A, B = (
        torch.randn(count, *size, dtype=torch.complex128, generator=g) for size in ((K, rank), (rank, 64))
    )
    return make_scenario(A @ B, radar, snr_db=10)


def hard(count: int, depth: str) -> None:
    radar = solve_covariance(64, (-60, 0, 60), angles=181)
    head()
    for K, r in ((4, 2), (8, 2), (8, 4)):
        compare(f"K = {K}, rank {r}", low_rank(K, r, count, radar), depth)
    H = saleh_valenzuela(64, 4, count, seed=12)
    for scale in (1e-2, 1.0, 10.0, 1e2, 1e4):
        compare(f"Saleh-Valenzuela times {scale:g}", make_scenario(scale * H, radar, snr_db=10), depth)


def sizes(count: int, depth: str) -> None:
    head()
    for N, K, M in ((32, 2, 2), (64, 4, 8), (128, 4, 4), (64, 8, 8), (128, 8, 8)):
        radar = solve_covariance(N, (-59, 0, 60), angles=max(181, 2 * N + 1))
        H = saleh_valenzuela(N, K, count, seed=8)
        for snr_db in (12, 0):
            compare(f"{N}, {K}, {M}, {snr_db} dB", make_scenario(H, radar, snr_db=snr_db, chains=M), depth)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("reference", type=Path)
    parser.add_argument("--only", choices=("rank", "parts", "hard", "sizes"))
    parser.add_argument("--starts", type=int, default=16)
    parser.add_argument("--count", type=int, default=1000, help="hard channels of a kind")
    parser.add_argument("--fresh", type=int, default=200)
    parser.add_argument("--depth", default="raced")
    options = parser.parse_args()
    torch.set_num_threads(1)
    H = {
        "published": published_channels(options.reference),
        "fresh": saleh_valenzuela(64, 4, options.fresh, seed=31),
    }
    sets = {
        name: {snr: make_scenario(h, published_radar(options.reference, snr), snr_db=snr) for snr in SNRS}
        for name, h in H.items()
    }
    if options.only in (None, "rank"):
        rank(sets["published"], options.starts)
    if options.only in (None, "parts"):
        parts(sets)
    if options.only in (None, "hard"):
        hard(options.count, options.depth)
    if options.only in (None, "sizes"):
        sizes(min(options.count, 60), options.depth)


if __name__ == "__main__":
    main()
