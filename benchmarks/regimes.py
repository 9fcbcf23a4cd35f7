"""Two parts of the fast design for some settings: the sensing start, and two chains for each column.

    OMP_NUM_THREADS=1 python benchmarks/regimes.py [--count 100] [--starts 8] [--only sensing | exact]

Fresh channels, targets at -59, 0 and 60 degrees, ω = 0.3, "deep". `sensing`: mean R − ω τ without and with
the start of `kernels.sensing_start`, the share of the channels on which they differ by more than 1e-3, the
loss to `best` of `--starts` starts on the first 20, and the median time of a call. `exact`: M = 2 K chains,
where F W can be any X, beside the steps of F that fewer chains need and the digital ceiling.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch

from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.kernels.fast import Prepared, run_fast
from beamfold.kernels.fast_guard import Guard
from beamfold.kernels.fast_setting import Plan, Setting, columns, plan_for, setting_for
from beamfold.methods.best import best
from beamfold.methods.digital import digital
from beamfold.methods.fast import fast, prepare_fast, work_plan
from beamfold.networks import fully_connected, named_network
from beamfold.scenario import Scenario, make_scenario

CASES = (
    (64, 4, 4, "full", 0, 1.0), (64, 4, 4, "full", 12, 1.0), (64, 4, 4, "full", 14, 1.0),
    (64, 4, 4, "full", 16, 1.0), (64, 4, 4, "full", 18, 1.0), (64, 4, 4, "full", 20, 1.0),
    (64, 4, 4, "full", 25, 1.0), (64, 4, 4, "full", 10, 1e-2), (64, 4, 4, "full", 10, 1e-1),
    (64, 2, 2, "full", 12, 1.0), (64, 4, 6, "full", 20, 1.0), (64, 8, 8, "full", 20, 1.0),
    (128, 4, 4, "full", 20, 1.0), (64, 4, 8, "subarrays", 12, 1.0), (64, 4, 8, "subarrays", 20, 1.0),
)  # fmt: skip
"""N, K, M, network, SNR in dB, and what the channels are multiplied by."""
EXACT = ((1, 12), (2, 12), (4, 0), (4, 12), (4, 20), (8, 12))
"""K and the SNR in dB."""


def median_us(go: Any, H: np.ndarray) -> float:
    """The median wall time of a call."""
    taken = []
    for h in [*H[:50]] * 5:
        begin = time.perf_counter_ns()
        go(h)
        taken.append((time.perf_counter_ns() - begin) / 1e3)
    return float(np.median(taken))


def without(s: Scenario, plan: Plan) -> torch.Tensor:
    """R − ω τ of the fast design that knows no sensing start."""
    setting = Setting(
        columns(s.radar, None, np.float32), s.radar.square, users=s.users, network=s.network, noise=s.noise,
        plan=plan,
    )  # fmt: skip
    B, (N, K, M, _) = len(s.H), setting.sizes
    F, W = np.empty((B, N, M), np.complex128), np.empty((B, M, K), np.complex128)
    numbers = (t.expand(s.batch).tolist() for t in (s.power, s.weight))
    with setting.buffers.lent() as buffer:
        setting.filled(F, W, s.H.numpy(), setting.inputs(*numbers), buffer)
    return s.objective(torch.from_numpy(F @ W))


def sensing(count: int, starts: int) -> None:
    print("| N, K, M, network, SNR, scale | without | with | apart | loss to best: without | with | us |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for N, K, M, name, snr_db, scale in CASES:
        network = fully_connected(N, M) if name == "full" else named_network(name, N, M)
        radar = solve_covariance(N, (-59, 0, 60))
        H = scale * saleh_valenzuela(N, K, count, seed=9)
        s = make_scenario(H, radar, snr_db=snr_db, network=network)
        rank = columns(radar, None, np.float32).shape[1]
        plan = work_plan("deep", None, rank, K, network)
        before, point = without(s, plan), run_fast(s, plan)[0]
        now = s.objective(point.F @ point.W)
        top = best(s[:20], starts=starts).objective
        losses = [float(((top - v[:20]) / (1 + top.abs())).mean()) for v in (before, now)]
        go = prepare_fast(radar, users=K, snr_db=snr_db, network=network, depth="deep")
        apart = float(((now - before).abs() > 1e-3 * (1 + before.abs())).double().mean())
        print(
            f"| {N}, {K}, {M}, {name}, {snr_db} dB, {scale:g} | {float(before.mean()):.3f} | "
            f"{float(now.mean()):.3f} | {apart:.0%} | {losses[0]:.2%} | {losses[1]:.2%} | "
            f"{median_us(go, H.numpy()):.0f} |",
            flush=True,
        )


def exact(count: int) -> None:
    print("| K, M, SNR | digital ceiling | steps of F, deep | us | exact: shallow | us | deep | us |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    radar = solve_covariance(64, (-59, 0, 60))
    rank = columns(radar, None, np.float32).shape[1]
    for K, snr_db in EXACT:
        M, power = 2 * K, 10 ** (snr_db / 10)
        network = fully_connected(64, M)
        H = saleh_valenzuela(64, K, count, seed=9)
        s = make_scenario(H, radar, snr_db=snr_db, chains=M)
        top = float(digital(s).objective.mean())
        plan = plan_for(K, network, rank)
        point = run_fast(s, plan)[0]
        setting = setting_for(radar, None, users=K, network=network, noise=1.0, plan=plan, dtype=np.float32)
        guard = Guard(radar, users=K, network=network, power=power, weight=0.3, noise=1.0)
        row = [
            float(s.objective(point.F @ point.W).mean()),
            median_us(Prepared(setting, power, 0.3, guard), H.numpy()),
        ]
        for depth in ("shallow", "deep"):
            go = prepare_fast(radar, users=K, chains=M, snr_db=snr_db, depth=depth)
            row += [float(fast(s, depth=depth).objective.mean()), median_us(go, H.numpy())]
        cells = " | ".join(f"{v:.3f} | {t:.0f}" for v, t in zip(row[::2], row[1::2], strict=True))
        print(f"| {K}, {M}, {snr_db} dB | {top:.3f} | {cells} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--starts", type=int, default=8)
    parser.add_argument("--only", choices=("sensing", "exact"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.only != "exact":
        sensing(options.count, options.starts)
    if options.only != "sensing":
        exact(options.count)


if __name__ == "__main__":
    main()
