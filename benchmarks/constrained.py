"""Problem (7), max R subject to τ ≤ τ₀: does `constrained` keep τ₀, and what does it gain on a sweep of ω?

    OMP_NUM_THREADS=1 python benchmarks/constrained.py [--count 1000] [--starts 48]

Scenarios at 0, 6 and 12 dB for (N, K, M) = (64, 4, 4), (64, 4, 8), (32, 4, 4), (32, 3, 5), as many of each,
with the Ψ of `solve_covariance(N, (-59, 0, 60))`. τ₀ is drawn, uniformly in its logarithm, between the least
τ that `constrained` can find (τ₀ = 0) and that of the start (26). Beside it stands what a user does without
it: 40 values of ω, the design with the highest R of those with τ ≤ τ₀; by `fast` at its default depth and,
for K = M = 4, by the shipped unfolded model J = 20. ω P_t² runs from 1 to 10⁴, where τ goes from that of the
largest rate to nearly its least. The time is the processor's, on one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from beamfold import constrained, fast, unfolded
from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.files.models import find_model
from beamfold.objective import beam_error
from beamfold.registry import design
from beamfold.result import Design, Status
from beamfold.scenario import Scenario, make_scenario
from beamfold.start import proposed

SIZES = ((64, 4, 4), (64, 4, 8), (32, 4, 4), (32, 3, 5))
SNR_DB = (0, 6, 12)
DECADES = np.linspace(0, 4, 40)


class Case(NamedTuple):
    """The scenarios of one size and SNR, their τ₀ and what was found."""

    s: Scenario
    limit: Tensor
    design: Design
    seconds: float
    by_fast: Tensor
    by_unfolded: Tensor | None


def sweep(s: Scenario, limit: Tensor, method: Callable[[Scenario], Design]) -> Tensor:
    """R of the best design with τ ≤ τ₀ over 40 values of ω; −∞ where none has it."""
    best = torch.full(s.batch, -torch.inf, dtype=torch.float64)
    for decade in DECADES.tolist():
        d = method(replace(s, weight=10**decade / s.power**2))
        best = torch.where((d.tau <= limit) & (d.rate > best), d.rate, best)
    return best


def scenarios(sizes: tuple[int, int, int], snr_db: int, count: int) -> Scenario:
    N, K, M = sizes
    H = saleh_valenzuela(N, K, count, seed=6)
    return make_scenario(H, solve_covariance(N, (-59, 0, 60)), snr_db=snr_db, chains=M)


def limits(s: Scenario, starts: int, seed: int) -> Tensor:
    """τ₀ (B,), log-uniform between the least τ found and the start's."""
    least = constrained(s, 0.0, starts=starts, threads=1).tau
    begin = proposed(s)
    most = beam_error(begin.F @ begin.W, s.Psi, s.power)
    part = torch.from_numpy(np.random.default_rng(seed).uniform(size=s.batch))
    return least * (most / least) ** part


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def case(sizes: tuple[int, int, int], snr_db: int, count: int, starts: int) -> Case:
    s = scenarios(sizes, snr_db, count)
    limit = limits(s, starts, seed=[*sizes, snr_db])  # type: ignore[arg-type]
    where, begin = f"N = {sizes[0]}, K = {sizes[1]}, M = {sizes[2]}, {snr_db} dB", time.process_time()
    found = design(
        s, "constrained", tau_max=limit, starts=starts, threads=1,
        progress=lambda done, count: tell(f"{where}: {done} of {count}"),
    )  # fmt: skip
    seconds = time.process_time() - begin
    by_unfolded = None
    if sizes[1] == sizes[2]:
        model = find_model(*sizes, 20)
        by_unfolded = sweep(s, limit, lambda s: unfolded(s, model))
    return Case(s, limit, found, seconds, sweep(s, limit, fast), by_unfolded)


def gain(ours: Tensor, theirs: Tensor) -> str:
    """Mean, least and number below 0 of R − R_sweep, where the sweep met τ₀ at all."""
    met = torch.isfinite(theirs)
    d = (ours - theirs)[met]
    if not len(d):
        return f"{'the sweep never met tau_0':>36}"
    return f"{float(d.mean()):8.3f} {float(d.min()):9.4f} {int((d < 0).sum()):5d} {int((~met).sum()):7d}"


def line(name: str, cases: list[Case]) -> str:
    cat = lambda pick: torch.cat([pick(c) for c in cases])  # noqa: E731
    over = cat(lambda c: c.design.tau / c.limit - 1)
    status = cat(lambda c: c.design.status)
    R = cat(lambda c: c.design.rate)
    kept = [c for c in cases if c.by_unfolded is not None]
    text = f"{name:24s} {len(R):5d} {int((over > 1e-3).sum()):4d} {float(over.max()):10.1e} "
    text += f"{int((status == Status.CONVERGED).sum()):5d} {gain(R, cat(lambda c: c.by_fast))}"
    if kept:
        text += "   " + gain(
            torch.cat([c.design.rate for c in kept]), torch.cat([c.by_unfolded for c in kept])
        )
    return text + f"   {1e3 * sum(c.seconds for c in cases) / len(R):7.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=1000, help="scenarios in all")
    parser.add_argument("--starts", type=int, default=48, help="starts of `constrained`")
    options = parser.parse_args()
    torch.set_num_threads(1)
    places = [(sizes, snr_db) for sizes in SIZES for snr_db in SNR_DB]
    shares = [len(part) for part in np.array_split(np.arange(options.count), len(places))]
    wide = 36
    print(f"{'':24s} {'':5s} {'over tau_0':>15s} {'':5s} {'R - R(sweep by fast)':>{wide - 4}s}", end="")
    print(f"   {'R - R(sweep by unfolded)':>{wide - 4}s}   time of")
    parts = f"{'mean':>8s} {'least':>9s} {'below':>5s} {'not met':>7s}"
    print(f"{'N, K, M, SNR':24s} {'count':>5s} {'no.':>4s} {'most':>10s} {'KKT':>5s}", end="")
    print(f" {parts}   {parts}   a channel")
    cases = []
    for (sizes, snr_db), count in zip(places, shares, strict=True):
        if count:
            cases.append(case(sizes, snr_db, count, options.starts))
            name = f"{sizes[0]}, {sizes[1]}, {sizes[2]}, {snr_db} dB"
            print(line(name, cases[-1:]), flush=True)
    print(line("all", cases))


if __name__ == "__main__":
    main()
