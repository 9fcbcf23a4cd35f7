"""The fast design: its objective beside the paper's model and the offline best, and its time per design.

    OMP_NUM_THREADS=1 python benchmarks/fast.py [../shared/reference] [--count 10000] [--sizes]

N = 64, K = M = 4, ω = 0.3 at 12, 6 and 0 dB: mean R − ω τ on the published channels and Ψ where the folder
is given, and on fresh channels with the same Ψ (else `solve_covariance(64, (-59, 0, 60))`). Each timed design
is one call on one core, channel estimate in to {F, W} out. On a shared machine the tail is the scheduler's:
beside the p99 of the wall clock stand that of the thread's own processor time, which leaves other processes'
slices out, and the wall clock's in the quietest block of 200 designs in a row. --sizes gives the same table
for larger arrays and more users (--only N K M for one of them), --settings other SNRs and weights, --plans
what the steps of W and the alternations are worth. --fresh, --compare, --starts and --count say how many
channels, how many of them beside `best`, its starts and the timed designs of a row.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from published import published_channels, published_radar

from beamfold import unfolded
from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.files.models import load_model, model_name, shipped_models
from beamfold.kernels.fast import run_fast
from beamfold.kernels.fast_setting import DROPPED, Plan
from beamfold.methods.best import best
from beamfold.methods.fast import DEPTHS, fast, prepare_fast
from beamfold.scenario import Scenario, make_scenario
from beamfold.sensing import Sensing

DEADLINES_US = (1000, 500, 250, 150, 125)
BLOCK = 200


def times(go: Any, H: np.ndarray, count: int) -> np.ndarray:
    """Microseconds of `count` calls in a row, each timed by itself: (2, count), wall and processor time."""
    for channel in H[:50]:
        go(channel)
    taken = np.empty((2, count))
    for i in range(count):
        cpu = time.thread_time_ns()
        begin = time.perf_counter_ns()
        go(H[i % len(H)])
        taken[0, i] = (time.perf_counter_ns() - begin) / 1e3
        taken[1, i] = (time.thread_time_ns() - cpu) / 1e3
    return taken


def spread(both: np.ndarray) -> str:
    """p50, p99, max, the processor time's and the quietest block's p99, the share late at each deadline."""
    taken, cpu = both
    blocks = taken[: len(taken) // BLOCK * BLOCK].reshape(-1, BLOCK)
    quiet = float(np.percentile(blocks, 99, axis=1).min()) if len(blocks) else float("nan")
    late = "  ".join(f"{limit}: {(taken > limit).mean() * 100:.2f}%" for limit in DEADLINES_US)
    p50, p99 = np.percentile(taken, [50, 99])
    own = np.percentile(cpu, 99)
    return f"{p50:7.1f} {p99:8.1f} {taken.max():9.0f} {own:8.1f} {quiet:9.1f}   {late}"


Sizes = tuple[int, int, int]
LARGER: tuple[Sizes, ...] = ((128, 4, 4), (256, 4, 4), (64, 8, 8), (128, 8, 8))
"""(N, K, M) of --sizes."""


def solved(antennas: int) -> Sensing:
    """Ψ of the published pattern on a grid fine enough for the array.

    Solved to the end: of the many Ψ within 1e-3 of the optimum the solver meets those of full rank first, and
    the time of a design grows with the rank.
    """
    return solve_covariance(antennas, (-59, 0, 60), angles=max(181, 2 * antennas + 1))


def radar_of(folder: Path | None, snr_db: int) -> Sensing:
    return published_radar(folder, snr_db) if folder else solved(64)


def table(sizes: Sizes, snr_db: int, radar: Sensing, channels: dict[str, torch.Tensor], options: Any) -> None:
    """Objective, loss to `best` and times at every depth, on sets of channels by name; the last is timed."""
    N, K, M = sizes
    sets = {name: make_scenario(H, radar, snr_db=snr_db, chains=M) for name, H in channels.items()}
    first = {name: s[: options.compare] for name, s in sets.items()}
    tops = {name: best(s, starts=options.starts).objective for name, s in first.items()}
    rank = radar.factor(DROPPED[np.float32]).U.shape[1]
    print(f"\nN = {N}, K = {K}, M = {M}, rank of Psi {rank}, {snr_db} dB: mean R - 0.3 tau", end=" ")
    print(f"(loss to best on the first {options.compare}, and share of them better than J = 20)")
    rows = {f"best of {options.starts}": tops}
    model = shipped_models().get(model_name(N, K, M, 20))
    if model is not None:
        rows["unfolded J=20"] = {name: unfolded(s, load_model(model)).objective for name, s in first.items()}
    for label, values in rows.items():
        print(f"  {label:14s}" + "".join(f" {n} {float(v.mean()):8.3f}" for n, v in values.items()))
    wide = 17 + (29 if model is not None else 18) * len(sets)
    print(f"{'':{wide}s}    p50      p99       max    cpu99   quiet99   late at")
    timed = next(reversed(channels.values())).numpy()
    for depth in DEPTHS:
        line = f"  {depth:14s}"
        for name, s in sets.items():
            d = fast(s, depth=depth)
            loss = tops[name] - d.objective[: options.compare]
            line += f" {float(d.objective.mean()):7.3f} (-{float(loss.mean()):.3f}"
            if model is not None:
                beaten = d.objective[: options.compare] > rows["unfolded J=20"][name]
                line += f", {100 * float(beaten.double().mean()):.0f}% > J=20"
            line += ")"
        go = prepare_fast(radar, users=K, chains=M, snr_db=snr_db, depth=depth)
        print(f"{line:{wide}s}" + spread(times(go, timed, options.count)), flush=True)


def main_table(folder: Path | None, fresh: torch.Tensor, options: Any) -> None:
    published = {"published": published_channels(folder)} if folder else {}
    for snr_db in (12, 6, 0):
        table((64, 4, 4), snr_db, radar_of(folder, snr_db), {**published, "fresh": fresh}, options)


def larger_tables(options: Any) -> None:
    for sizes in (tuple(options.only),) if options.only else LARGER:
        N, K, _ = sizes
        radar, fresh = solved(N), saleh_valenzuela(N, K, options.fresh, seed=7)
        for snr_db in (12, 6, 0):
            table(sizes, snr_db, radar, {"fresh": fresh}, options)


def settings_table(count: int) -> None:
    print("\nother sizes: mean R - w tau at 0, 12, 60, 100 steps; us per design (p50) at 60")
    for N, K, M in ((32, 3, 5), (64, 4, 8), (128, 4, 4), (128, 8, 8), (256, 4, 4), (256, 8, 8)):
        radar = solved(N)
        H = saleh_valenzuela(N, K, 100, seed=3)
        for snr_db, weight in ((-5, 3.0), (12, 0.3), (20, 0.03)):
            s: Scenario = make_scenario(H, radar, snr_db=snr_db, chains=M, weight=weight)
            values = " ".join(f"{float(fast(s, steps=i).objective.mean()):8.3f}" for i in (0, 12, 60, 100))
            go = prepare_fast(radar, users=K, chains=M, snr_db=snr_db, weight=weight)
            p50 = np.percentile(times(go, H.numpy(), max(count // 20, 100))[0], 50)
            print(
                f"  N={N:4d} K={K} M={M} {snr_db:3d} dB w={weight:4.2f}  {values}  {p50:8.1f} us", flush=True
            )


def plans_table(folder: Path | None, fresh: torch.Tensor) -> None:
    print("\n12 dB: digital steps, alternations, first W steps, W steps per F step, F steps; least us")
    s = make_scenario(fresh[:200], radar_of(folder, 12), snr_db=12)
    for plan in (
        Plan(0), Plan(8), Plan(20), Plan(40), Plan(alternations=5), Plan(alternations=10),
        Plan(alternations=40), Plan(first=5), Plan(inner=1), Plan(inner=2), Plan(inner=2, steps=70),
        Plan(inner=4), Plan(inner=5), Plan(steps=100), Plan(steps=200), Plan(steps=400),
    ):  # fmt: skip
        least = np.inf
        for _ in range(5):
            begin = time.perf_counter()
            point, _, _ = run_fast(s, plan, threads=1)
            least = min(least, (time.perf_counter() - begin) / 200 * 1e6)
        value = s.objective(point.F @ point.W).mean()
        print(f"  {tuple(plan)!s:24s} {float(value):8.3f}  {least:7.1f} us", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("reference", nargs="?", type=Path, help="folder of the published data")
    parser.add_argument("--count", type=int, default=10_000, help="timed designs per row")
    parser.add_argument("--fresh", type=int, default=1000, help="fresh channels")
    parser.add_argument("--compare", type=int, default=100, help="how many of them beside `best`")
    parser.add_argument("--starts", type=int, default=32, help="starts of the offline best")
    parser.add_argument("--sizes", action="store_true", help="the same table for larger arrays")
    parser.add_argument("--only", type=int, nargs=3, metavar=("N", "K", "M"), help="of --sizes, these alone")
    parser.add_argument("--settings", action="store_true", help="other SNRs, weights and sizes, 100 channels")
    parser.add_argument("--plans", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    fresh = saleh_valenzuela(64, 4, options.fresh, seed=7)
    if options.only:
        larger_tables(options)
        return
    main_table(options.reference, fresh, options)
    if options.plans:
        plans_table(options.reference, fresh)
    if options.sizes:
        larger_tables(options)
    if options.settings:
        settings_table(options.count)


if __name__ == "__main__":
    main()
