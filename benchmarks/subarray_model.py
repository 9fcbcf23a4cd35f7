"""The unfolded model on sub-arrays against PGA with tuned constant steps, on channels that neither has seen.

    python benchmarks/subarray_model.py          the comparison
    python benchmarks/subarray_model.py tune     PGA's step sizes, `BEST`
    python benchmarks/subarray_model.py weights  why ω = 0.3 and η = 1: R and τ where PGA comes to rest

N = 64, M = 8 contiguous, K = 4, J = 10, the published Ψ. PGA's step sizes, η and form of ∇_W R are the best
of `GRID` on 100 other channels: for all SNRs together, as the model's are, and for each SNR by itself.
"""

from __future__ import annotations

import sys
from itertools import product
from typing import NamedTuple

import torch

from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.defaults import TARGETS_DEG
from beamfold.experiments.labelled import interval
from beamfold.files.models import find_model
from beamfold.methods.pga import pga
from beamfold.methods.unfolded import unfolded
from beamfold.networks import subarrays
from beamfold.scenario import Scenario, make_scenario

N, K, M, J = 64, 4, 8, 10
FRESH, TUNING = 2026, 77
"""Seeds of the channels of the comparison and of PGA's tuning; training had seed 1."""
FORMS, ETAS = ("exact", "signal"), (1.0, 1 / N)
GRID = [
    {"digital": digital, "eta": eta, "mu": mu, "lam": lam}
    for digital, eta, mu, lam in product(
        FORMS, ETAS, (0.05, 0.08, 0.12, 0.16, 0.24), (0.004, 0.005, 0.008, 0.03)
    )
]
COMMON = {"digital": "exact", "eta": 1.0, "mu": 0.12, "lam": 0.005}
BEST = {
    0.0: {**COMMON, "mu": 0.24, "lam": 0.004},
    6.0: {**COMMON, "mu": 0.16, "lam": 0.004},
    12.0: {**COMMON, "mu": 0.08, "lam": 0.008},
}
"""What `tune` prints: PGA's steps for all SNRs, as the model has them, and for each SNR by itself."""


class Compared(NamedTuple):
    """R − ω τ of the model and of PGA after 120 layers each."""

    model: float
    pga: float
    difference: float
    half_width: float
    """Of the 95 % interval of the mean difference, Student's t over the channels."""
    figures: tuple[float, float, float, float]
    """R and τ of the model, R and τ of PGA."""
    usable: bool


def scenario(count: int, snr_db: float, seed: int = FRESH, weight: float = 0.3) -> Scenario:
    """Sub-arrays of 8 antennas, the published Ψ."""
    H = saleh_valenzuela(N, K, count, seed=seed)
    radar = solve_covariance(N, TARGETS_DEG)
    return make_scenario(H, radar, snr_db=snr_db, network=subarrays(N, M), weight=weight)


def tune() -> None:
    """The constants of `GRID` with the highest mean R − ω τ after 120 layers, on channels of another seed."""
    forms = [[s for s in GRID if (s["digital"], s["eta"]) == form] for form in product(FORMS, ETAS)]
    found: dict[float, list[list[float]]] = {}
    for snr_db in BEST:
        s = scenario(100, snr_db, TUNING)
        ends = [[float(pga(s, inner=J, layers=120, **g).objective.mean()) for g in grid] for grid in forms]
        found[snr_db] = ends
        for grid, values in zip(forms, ends, strict=True):
            print(f"{snr_db:g} dB: {max(values):.3f} by {grid[values.index(max(values))]}", flush=True)
    for i, grid in enumerate(forms):
        means = torch.tensor([ends[i] for ends in found.values()]).mean(0)
        print(f"all SNRs: {float(means.max()):.3f} by {grid[int(means.argmax())]}")


def compare(count: int, snr_db: float, steps: dict[str, object]) -> Compared:
    """The shipped model and PGA J = 10 on the same fresh channels."""
    s = scenario(count, snr_db)
    ours = unfolded(s, find_model(N, K, M, J, "subarrays"))
    plain = pga(s, inner=J, layers=120, **steps)
    mean, low, _ = interval((ours.objective - plain.objective).numpy(), 0)
    figures = tuple(float(x.mean()) for d in (ours, plain) for x in (d.rate, d.tau))
    return Compared(
        float(ours.objective.mean()), float(plain.objective.mean()), float(mean), float(mean - low), figures,
        bool((ours.usable & plain.usable).all()),
    )  # fmt: skip


def layers_needed(snr_db: float, steps: dict[str, object], target: float, most: int = 2000) -> str:
    """The layers after which PGA has the mean `target` on 100 fresh channels."""
    s = scenario(100, snr_db)
    trace = pga(s, inner=J, layers=most, record=True, **steps).trace
    value = (trace.rate - s.weight * trace.tau).mean(-1)
    reached = torch.nonzero(value >= target).flatten()
    return str(int(reached[0])) if len(reached) else f"not in {most}: {float(value.max()):.3f} at best"


def weights() -> None:
    """R and τ at 12 dB where PGA comes to rest, for several ω and both η: 50 channels, 4000 layers."""
    print("| ω | η = 1, (14): R / τ | η = 1/N, signal: R / τ |\n| --- | --- | --- |")
    exact = {"digital": "exact", "eta": 1.0, "mu": 0.003, "lam": 0.003}
    signal = {"digital": "signal", "eta": 1 / N, "mu": 0.01, "lam": 0.01}
    for weight in (0.03, 0.1, 0.3, 1.0):
        s = scenario(50, 12, TUNING, weight)
        ends = [pga(s, inner=J, layers=4000, **steps) for steps in (exact, signal)]
        told = (f"{float(d.rate.mean()):.2f} / {float(d.tau.mean()):.1f}" for d in ends)
        print(f"| {weight:g} | {' | '.join(told)} |", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:]:
        {"tune": tune, "weights": weights}[sys.argv[1]]()
        return
    print("| PGA | model: R / τ / R − 0.3τ | PGA: R / τ / R − 0.3τ | difference, 95 % | layers PGA needs |")
    print("| --- | --- | --- | --- | --- |")
    for (snr_db, own), common in product(BEST.items(), (True, False)):
        steps = COMMON if common else own
        c = compare(1000, snr_db, steps)
        layers = layers_needed(snr_db, steps, compare(100, snr_db, steps).model)
        a, b, x, y = c.figures
        print(
            f"| {snr_db:g} dB, {'steps for all SNRs' if common else 'steps for this SNR'} | "
            f"{a:.2f} / {b:.2f} / {c.model:.3f} | {x:.2f} / {y:.2f} / {c.pga:.3f} | "
            f"{c.difference:.3f} ± {c.half_width:.3f} | {layers} |" + " not all usable" * (not c.usable),
            flush=True,
        )


if __name__ == "__main__":
    main()
