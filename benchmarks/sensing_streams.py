"""What the rank of X costs: R and τ with D = 0, 1 and 3 sensing streams, on the published channels at 12 dB.

    OMP_NUM_THREADS=1 python benchmarks/sensing_streams.py ../shared/reference [--count 20] [-o streams.png]

Hybrid designs for R − ω τ by L-BFGS over {F, W} (`optim.goal_search`), the streams as interference or, with
--known, known to the users; in the last column ω is so large that τ alone counts. With K + D columns and M
chains the rank alone bounds τ by P_t² Σ λ_i² over the eigenvalues of Ψ beyond the first min(K + D, M).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from published import published_channels, published_radar

from beamfold.optim.goal_search import best_hybrid
from beamfold.scenario import Scenario, make_scenario
from beamfold.start import Point

SNR_DB = 12
Front = list[tuple[float, float]]
"""(τ, R), the means at each ω."""


def rank_bound(s: Scenario) -> float:
    """P_t² times the least ‖X Xᴴ/P_t − Ψ‖² of any X of K + D columns and M chains."""
    values = s.radar.spectrum[0][min(s.columns, s.chains) :]
    return float(s.power[0]) ** 2 * float(values.square().sum())


def front(s: Scenario, weights: list[float], starts: int) -> tuple[Front, list[str]]:
    """R and τ over ω as numbers, and as cells of a table with the standard error of R."""
    points, cells = [], []
    for weight in weights:
        at = replace(s, weight=torch.full_like(s.power, weight))
        point, _, _ = best_hybrid(at, starts, 200, 400)
        assert isinstance(point, Point)
        X = at.transmitted(*point)
        R, tau = at.rate(X), at.tau(X)
        points.append((float(tau.mean()), float(R.mean())))
        error = float(R.std()) / np.sqrt(len(R))
        cells.append(f"{points[-1][1]:.2f} ± {error:.2f} / {points[-1][0]:.3g}")
    return points, cells


def picture(path: Path, fronts: dict[tuple[int, int], Front]) -> None:
    """R over τ, a panel for each M and a curve for each D."""
    from matplotlib.figure import Figure

    from beamfold.styles import COLOURS

    chains = sorted({M for M, _ in fronts})
    figure = Figure(figsize=(4.8 * len(chains), 4.4), layout="constrained")
    panels = figure.subplots(1, len(chains), sharey=True, squeeze=False)[0]
    for axes, M in zip(panels, chains, strict=True):
        for i, D in enumerate(sorted(D for m, D in fronts if m == M)):
            tau, R = zip(*fronts[M, D], strict=True)
            axes.plot(tau, R, marker="o", ms=4, lw=1.4, color=COLOURS[i], label=f"D = {D}")
        axes.set(xscale="log", xlabel="τ", title=f"M = {M}")
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=8)
    panels[0].set_ylabel("sum rate R [bit/s/Hz]")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("reference", type=Path, help="folder of the published data")
    parser.add_argument("--count", type=int, default=20, help="channels")
    parser.add_argument("--chains", type=int, nargs="+", default=[4, 8], help="M")
    parser.add_argument("--streams", type=int, nargs="+", default=[0, 1, 3], help="D")
    parser.add_argument("--known", action="store_true", help="the users cancel the streams")
    parser.add_argument("--starts", type=int, default=1, help="of every design")
    parser.add_argument("--weights", type=float, nargs="+", default=[0.03, 0.1, 0.3, 1.0, 10.0, 1000.0])
    parser.add_argument("-o", "--output", type=Path, help="a picture of the fronts")
    options = parser.parse_args()
    torch.set_num_threads(1)
    H = published_channels(options.reference)[: options.count]
    radar = published_radar(options.reference, SNR_DB)
    heads = [f"w = {w:g}: R / tau" for w in options.weights]
    print(f"| M | D | known | rank bound on tau | {' | '.join(heads)} |")
    print("| --- " * (4 + len(heads)) + "|", flush=True)
    fronts: dict[tuple[int, int], Front] = {}
    for chains in options.chains:
        for streams in options.streams:
            known = options.known and streams > 0
            s = make_scenario(
                H, radar, snr_db=SNR_DB, chains=chains, sensing_streams=streams, known_to_users=known
            )
            fronts[chains, streams], cells = front(s, options.weights, options.starts)
            start = f"| {chains} | {streams} | {'yes' if known else 'no'} | {rank_bound(s):.2g} | "
            print(start + " | ".join(cells) + " |", flush=True)
    if options.output:
        picture(options.output, fronts)


if __name__ == "__main__":
    main()
