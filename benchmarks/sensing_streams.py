"""What the rank of X costs: R and τ with D = 0, 1 and 3 sensing streams, on the published channels at 12 dB.

    OMP_NUM_THREADS=1 python benchmarks/sensing_streams.py ../shared/reference [--count 5]

Hybrid designs for R − ω τ by L-BFGS over {F, W} (`optim.goal_search`), the streams as interference and known
to the users; in the last rows ω is so large that τ alone counts. With K + D columns and M chains the rank
alone bounds τ by P_t² Σ λ_i² over the eigenvalues of Ψ beyond the first min(K + D, M).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from published import published_channels, published_radar

from beamfold.optim.goal_search import best_hybrid
from beamfold.scenario import Scenario, make_scenario
from beamfold.start import Point

SNR_DB = 12
CASES = ((0, False), (1, False), (1, True), (3, False), (3, True))


def rank_bound(s: Scenario) -> float:
    """P_t² times the least ‖X Xᴴ/P_t − Ψ‖² of any X of K + D columns and M chains."""
    values = s.radar.spectrum[0][min(s.columns, s.chains) :]
    return float(s.power[0]) ** 2 * float(values.square().sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("reference", type=Path, help="folder of the published data")
    parser.add_argument("--count", type=int, default=5, help="channels")
    parser.add_argument("--chains", type=int, nargs="+", default=[4, 8], help="M")
    parser.add_argument("--starts", type=int, default=2, help="of every design")
    parser.add_argument("--weights", type=float, nargs="+", default=[0.1, 0.3, 1.0, 1000.0])
    options = parser.parse_args()
    torch.set_num_threads(1)
    H, radar = (
        published_channels(options.reference)[: options.count],
        published_radar(options.reference, SNR_DB),
    )
    print(
        "| M | D | known | rank bound on tau | "
        + " | ".join(f"w = {w:g}: R / tau" for w in options.weights)
        + " |"
    )
    print("| --- " * (4 + len(options.weights)) + "|")
    for chains in options.chains:
        for streams, known in CASES:
            s = make_scenario(
                H, radar, snr_db=SNR_DB, chains=chains, sensing_streams=streams, known_to_users=known
            )
            cells = []
            for weight in options.weights:
                at = replace(s, weight=torch.full_like(s.power, weight))
                point, _, _ = best_hybrid(at, options.starts, 200, 400)
                assert isinstance(point, Point)
                X = at.transmitted(*point)
                cells.append(f"{float(at.rate(X).mean()):.2f} / {float(at.tau(X).mean()):.3g}")
            print(
                f"| {chains} | {streams} | {'yes' if known else 'no'} | {rank_bound(s):.2g} | "
                + " | ".join(cells)
                + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
