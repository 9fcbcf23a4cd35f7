"""What true-time-delay lines bring a band, beside what the further steps alone bring.

    OMP_NUM_THREADS=1 python benchmarks/delay_lines.py

N = 64, K = 4, 28 GHz, 1 GHz wide, S = 16, 12 dB, ω = 0.3, Ψ_s of each subcarrier, 4 channels. From the fast
design with one F, 200 L-BFGS steps on the phases of F and all W_s: with delays that stay 0, with delays that
start at 0, and with delays that start where they steer each chain to its strongest direction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize

import beamfold as bf
from beamfold.optim.delay_lines import ITERATIONS, _Model, steering_delays

N, K, COUNT, S, CARRIER = 64, 4, 4, 16, 28e9
LIMITS: Any = {"maxiter": ITERATIONS, "maxfun": 2 * ITERATIONS, "maxcor": 20}


def ascent(model: _Model, start: np.ndarray, delays: slice) -> float:
    """R − ω τ in the end; the entries `delays` of the variables stay as they are."""

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = model.cost(x)
        slope = slope.copy()
        slope[delays] = 0
        return value, slope

    return -float(minimize(cost, start, jac=True, method="L-BFGS-B", options=LIMITS).fun)


def main() -> None:
    torch.set_num_threads(1)
    H, f = bf.saleh_valenzuela(N, K, COUNT, seed=0, subcarriers=S, carrier_hz=CARRIER)
    radars = bf.solve_band(N, ratios=(f / CARRIER).tolist(), slack=0.01)
    print("| M | Q | one F | further steps | delays from 0 | delays that steer |")
    print("| --- | --- | --- | --- | --- | --- |")
    for M in (4, 8):
        s = bf.make_scenario(H, radars, snr_db=12, chains=M, frequencies=f, carrier_hz=CARRIER)
        d = bf.design(s, "fast")
        for Q in (4, 8):
            found = []
            for i in range(COUNT):
                model = _Model(s[i], Q)
                still = model.packed(d.F[i], torch.zeros(Q, M, dtype=torch.float64), d.W[i])
                steering = model.packed(d.F[i], steering_delays(s.array, d.F[i], Q), d.W[i])
                held, none = slice(N * M, (N + Q) * M), slice(0, 0)
                found.append([ascent(model, still, held), ascent(model, still, none),
                              ascent(model, steering, none)])  # fmt: skip
            means = " | ".join(f"{x:.2f}" for x in np.mean(found, 0))
            print(f"| {M} | {Q} | {float(d.objective.mean()):.2f} | {means} |", flush=True)


if __name__ == "__main__":
    main()
