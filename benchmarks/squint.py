"""The tables of docs/explanations/wideband.md: how far Ψ_s lie apart, what squint costs a fixed beam.

python benchmarks/squint.py
"""

from __future__ import annotations

import math

import torch

import beamfold as bf
from beamfold.squint import energy, gain_over_band

SETTINGS = ((16, 28, 1), (64, 28, 0.4), (64, 28, 1), (64, 28, 2), (64, 300, 30), (256, 300, 30))


def ratios(subcarriers: int, carrier_ghz: float, bandwidth_ghz: float) -> list[float]:
    """r_s = f_s/f_c."""
    f = bf.band_frequencies(subcarriers, 1e9 * carrier_ghz, 1e9 * bandwidth_ghz)
    return (f / (1e9 * carrier_ghz)).tolist()


def decibel(value: torch.Tensor) -> str:
    return f"{10 * math.log10(float(value)):.2f}"


def spread(bandwidth_ghz: float, slack: float | None) -> float:
    """Mean over s of ‖Ψ_s − mean‖² for 16 subcarriers."""
    Psi = torch.stack([r.Psi for r in bf.solve_band(64, ratios=ratios(16, 28, bandwidth_ghz), slack=slack)])
    return float((Psi - Psi.mean(0)).abs().square().sum((-2, -1)).mean())


def main() -> None:
    for B in (0.1, 0.5, 1.0, 2.0):
        row = [f"{spread(B, slack):.4f}" for slack in (None, 0.001, 0.01, 0.1)]
        print(f"| {B:g} GHz | {' | '.join(row)} |")
    print()
    for antennas, carrier, bandwidth in SETTINGS:
        over, theta, array = ratios(64, carrier, bandwidth), math.radians(60), bf.line_array(antennas)
        gain = gain_over_band(array, theta, over)
        held = energy(array, theta, over)
        columns = [
            decibel(gain[0]),
            decibel(gain.mean()),
            *(decibel(gain_over_band(array, theta, over, Q).mean()) for Q in (4, 8)),
            ", ".join(f"{float(held[m - 1]):.3f}" for m in (1, 2, 4)),
            str(int((held < 0.99).sum()) + 1),
        ]
        print(f"| {antennas}, {carrier:g}/{bandwidth:g} | {' | '.join(columns)} |")


if __name__ == "__main__":
    main()
