"""Random and degenerate scenarios through every fast method: what ends non-finite, infeasible or misstated.

    OMP_NUM_THREADS=1 python benchmarks/scenarios.py [--count 100000] [--seed 0] [--json FILE]
    python benchmarks/scenarios.py --replay GROUP [--seed 0]
    python benchmarks/scenarios.py --hard [--count 1000]

Scenarios come in groups of 25 channels, see `random_scenarios`; each group goes through one method. Every
design is measured again by `beamfold.verifier`, which shares no code with the methods. Differences
are relative to the terms that a figure is the difference of, since double precision leaves 1e-16 of those:
the larger of
1, R, 1e-6 ‖H‖ ‖F‖ ‖W‖/σ for R (interference sums such amplitudes; above 120 dB rounding fills the nulls),
‖P_t Ψ‖² + ‖X Xᴴ‖² for τ, and the mean square of both patterns for the MSE.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

import hard_channels
from random_scenarios import Rng, draw_group

from beamfold import (
    ModelInfo,
    UnfoldedPGA,
    fast,
    phased_zf,
    prepare,
    zf_digital,
)
from beamfold.kernels.unfolded import run_kernel
from beamfold.methods.fast import prepare_fast
from beamfold.metrics import beampattern, covariance_pattern
from beamfold.objective import DigitalGradient
from beamfold.optim.layers import Outcome, conclude
from beamfold.result import Design, Status, finish
from beamfold.scenario import Scenario
from beamfold.sensing import angle_grid
from beamfold.start import CANCELS, Point, condition, proposed
from beamfold.verifier import verify

GROUP = 25
LIMIT = 1e-9
"""Of what verifier and program may differ by: figures are complex128 whatever precision found the design."""
FEASIBLE = 1e-9
"""A design that is further from (7b) or (7c), relatively, must not carry a good status."""
PRECISION = {np.float32: "single", np.float64: "double"}
DEPTHS = ("start", "shallow", "deep")


# Methods


def model_of(s: Scenario, rng: Rng) -> UnfoldedPGA:
    """Small I and J; step sizes as a trained model's, or anything up to 1e6."""
    layers, inner = int(rng.integers(1, 13)), int(rng.integers(1, 11))
    size = rng.choice([0.01, 10 ** rng.uniform(-5, 6), 1e6], p=(0.5, 0.4, 0.1))
    digital: DigitalGradient = "exact" if rng.random() < 0.3 else "signal"
    mu, lam = (torch.from_numpy(size * rng.uniform(0.2, 1.5, n)) for n in ((layers, inner), (layers,)))
    info = ModelInfo(s.antennas, s.users, s.chains, eta=1 / s.antennas, digital=digital)
    return UnfoldedPGA.from_steps(mu, lam, info)


def layers_in_a_batch(s: Scenario, rng: Rng, dtype: Any) -> Design:
    """PGA and the unfolded model, which differ in their step sizes alone, by the batch kernel."""
    model, begin = model_of(s, rng), proposed(s)
    mu, lam = model.mu.detach(), model.lam.detach()
    eta, digital = model.info.eta, model.info.digital
    point, status, _ = run_kernel(s, begin, mu, lam, eta, digital, dtype=dtype)
    return conclude(s, "layers", begin, Outcome(point, status, None))


def one_by_one(s: Scenario, make: Callable[..., Any], layers: int | None = None) -> Design:
    """A single-channel entry made for every channel; NON_FINITE where it ended before all `layers`."""
    F, W, status = [], [], []
    for b in range(len(s.H)):
        snr_db = 10 * math.log10(float(s.power[b]) / s.noise)
        go = make(snr_db=snr_db, weight=float(s.weight[b]), noise=s.noise)
        Fb, Wb, done = go(s.H[b].numpy())
        F.append(torch.from_numpy(Fb))
        W.append(torch.from_numpy(Wb))
        early = layers is not None and done < layers
        status.append(int(Status.DIVERGED if early else Status.FIXED_DEPTH))
    return finish(s, "entry", torch.stack(F), torch.stack(W), status=torch.tensor(status, dtype=torch.int8))


def layers_one_by_one(s: Scenario, rng: Rng, dtype: Any) -> Design:
    model = model_of(s, rng)
    return one_by_one(s, partial(prepare, model, s.radar, dtype=dtype), model.layers)


def fast_one_by_one(s: Scenario, rng: Rng, dtype: Any) -> Design:
    sizes = {"users": s.users, "chains": s.chains, "depth": str(rng.choice(DEPTHS))}
    return one_by_one(s, partial(prepare_fast, s.radar, **sizes, precision=PRECISION[dtype]))


def fast_in_a_batch(s: Scenario, rng: Rng, dtype: Any, depth: str) -> Design:
    return fast(s, depth=depth, precision=PRECISION[dtype])


class Way(NamedTuple):
    """A method with its options, and the precision of its arithmetic."""

    design: Callable[[Scenario, Rng, Any], Design]
    dtype: Any = np.float64


WAYS = {
    "zero forcing": Way(lambda s, *_: zf_digital(s)),
    "start (26)": Way(lambda s, *_: phased_zf(s)),
    **{
        f"{name}, {PRECISION[dtype]}": Way(design, dtype)
        for dtype in PRECISION
        for name, design in {
            **{f"fast {depth}": partial(fast_in_a_batch, depth=depth) for depth in DEPTHS},
            "fast, one channel": fast_one_by_one,
            "layers": layers_in_a_batch,
            "layers, one channel": layers_one_by_one,
        }.items()
    },
}


# Judgement


@dataclass
class Tally:
    """What one way did: scenarios, statuses, faults by kind, the largest differences, and failing places."""

    count: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("R", "tau", "MSE"), 0.0))
    failing: list[str] = field(default_factory=list)


def differences(design: Design) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Program against verifier for R, τ and MSE (B,), and the larger violation of (7b) and (7c) (B,)."""
    s, angles = design.scenario, angle_grid()
    F = None if design.F is None else design.F.numpy()
    ours = {"rate": design.rate.numpy(), "tau": design.tau.numpy()}
    found = verify(s.H.numpy(), F, design.W.numpy(), s.Psi.numpy(), s.power.numpy(), s.noise, ours)
    with np.errstate(all="ignore"):
        square = torch.linalg.matrix_norm(design.X.mH @ design.X).square()
        square = square + (s.power * torch.linalg.matrix_norm(s.Psi)).square()
        patterns = beampattern(design.X, angles) / s.power[:, None]
        patterns = patterns.square().mean(-1) + covariance_pattern(s.Psi, angles).square().mean(-1)
        mse = design.pattern_error(angles).numpy()
        amplitude = torch.linalg.matrix_norm(s.H) * torch.linalg.matrix_norm(design.W) / math.sqrt(s.noise)
        amplitude = amplitude * (1 if design.F is None else math.sqrt(design.F[0].numel()))
        one = np.maximum(np.maximum(1, 1e-6 * amplitude.numpy()), np.abs(found.rate))
        off = {
            "R": np.abs(ours["rate"] - found.rate) / one,
            "tau": np.abs(ours["tau"] - found.tau) / square.numpy(),
            "MSE": np.abs(mse - found.mse) / patterns.numpy(),
        }
    return off, np.maximum(found.modulus, found.power)


def condition_of(design: Design) -> np.ndarray:
    """κ (B,), see `beamfold.start.condition`; 1 for a fully digital design."""
    return np.ones(len(design.W)) if design.F is None else condition(Point(design.F, design.W)).numpy()


def start_value(s: Scenario, *, singly: bool) -> np.ndarray:
    """f of the start (26) (B,), found in a batch or channel by channel, as the method does.

    Of users that differ in their last bits F^† is rounding above 120 dB, and so are the interference that it
    leaves and f: one start has no better claim than the other.
    """
    if singly:
        return np.array([float(phased_zf(s[b]).objective) for b in range(len(s.H))])
    return phased_zf(s).objective.numpy()


def judge(design: Design, name: str, group: int, tally: Tally) -> None:
    """Count a group's designs; what is not finite counts as infinitely far off."""
    off, broken = differences(design)
    start = start_value(design.scenario, singly="one channel" in name)
    value = design.objective.numpy()
    finite = torch.isfinite(torch.view_as_real(design.X.contiguous())).flatten(1).all(-1).numpy()
    faults = {
        "non-finite": ~(finite & np.isfinite(value)),
        "infeasible": ~(broken <= FEASIBLE) & design.usable.numpy(),
        "cancels": ~(condition_of(design) < 10 * CANCELS),
        "below (26)": ~(value >= start - 1e-6 * (1 + np.abs(start))) & name.startswith("fast"),
    }
    for kind, values in off.items():
        values = np.nan_to_num(values, nan=np.inf)  # noqa: PLW2901
        tally.worst[kind] = max(tally.worst[kind], float(values.max()))
        faults[f"{kind} differs"] = values > LIMIT
    tally.count += len(value)
    tally.statuses.update(design.statuses)
    tally.faults.update({kind: int(where.sum()) for kind, where in faults.items()})
    for b in np.flatnonzero(np.any(list(faults.values()), axis=0)):
        kinds = ", ".join(kind for kind, where in faults.items() if where[b])
        tally.failing.append(f"--replay {group}, channel {b}, {name}: {kinds}")


def one_group(seed: int, group: int, count: int = GROUP) -> tuple[str, Design]:
    """A group's designs, and the way that it drew."""
    s, rng = draw_group(seed, group, count)
    name = str(rng.choice(list(WAYS)))
    return name, WAYS[name].design(s, rng, WAYS[name].dtype)


def run(count: int, seed: int, first: int = 0) -> Iterator[dict[str, Tally]]:
    """All groups that `count` scenarios need, one after another; the tallies so far after each."""
    tallies = {name: Tally() for name in WAYS}
    for group in range(first, first + math.ceil(count / GROUP)):
        name, design = one_group(seed, group, min(GROUP, count - (group - first) * GROUP))
        judge(design, name, group, tallies[name])
        yield tallies


def table(tallies: dict[str, Tally]) -> str:
    """One line per way."""
    kinds = ("non-finite", "infeasible", "cancels", "below (26)")
    lines = [
        f"{'':29} {'count':>7} " + " ".join(f"{k:>10}" for k in kinds) + "        R      tau      MSE  status"
    ]
    for name, t in tallies.items():
        below = t.faults["below (26)"] if name.startswith("fast") else "-"
        four = " ".join(f"{t.faults[k]:10d}" for k in kinds[:3]) + f" {below:>10}"
        worst = " ".join(f"{v:8.1e}" for v in t.worst.values())
        status = ", ".join(f"{n} {label}" for label, n in sorted(t.statuses.items()))
        lines.append(f"{name:29} {t.count:7d} {four} {worst}  {status}")
    return "\n".join(lines)


def replay(seed: int, group: int) -> None:
    """A group's scenarios and designs, channel by channel."""
    name, design = one_group(seed, group)
    s = design.scenario
    start = start_value(s, singly="one channel" in name)
    print(f"{name}: N = {s.antennas}, K = {s.users}, M = {s.chains}, noise {s.noise:.2e}, "
          f"rank of Psi {int((s.radar.spectrum[0] > 1e-9).sum())}")  # fmt: skip
    for b, label in enumerate(design.statuses):
        snr_db = 10 * math.log10(float(s.power[b]) / s.noise)
        size = torch.linalg.vector_norm(s.H[b], dim=-1).tolist()
        print(
            f"{b:3d} {snr_db:6.1f} dB, w {float(s.weight[b]):.1e}, |h| {' '.join(f'{x:.1e}' for x in size)}: "
            f"R {float(design.rate[b]):.6g}, tau {float(design.tau[b]):.6g}, "
            f"R - w tau {float(design.objective[b]):.9g}, start {float(start[b]):.9g}, {label}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", type=int, metavar="GROUP", help="show one group, channel by channel")
    parser.add_argument("--hard", action="store_true", help="channels of low rank and far above the noise")
    parser.add_argument("--json", type=Path, help="write the tallies to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.hard:
        hard_channels.table(min(options.count, 1000))
        return 0
    if options.replay is not None:
        replay(options.seed, options.replay)
        return 0
    begin = last = time.monotonic()
    for tallies in run(options.count, options.seed):
        if time.monotonic() - last > 10:
            last = time.monotonic()
            done = sum(t.count for t in tallies.values())
            failing = sum(len(t.failing) for t in tallies.values())
            print(f"{done} of {options.count}, {failing} failing, {last - begin:.0f} s", file=sys.stderr)
    print(table(tallies))
    lines = [line for t in tallies.values() for line in t.failing]
    taken = time.monotonic() - begin
    print(f"{options.count} scenarios, seed {options.seed}, {len(lines)} failing, {taken:.0f} s")
    print("\n".join(lines[:100]))
    if options.json:
        options.json.write_text(json.dumps({n: vars(t) for n, t in tallies.items()}, indent=1) + "\n")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
