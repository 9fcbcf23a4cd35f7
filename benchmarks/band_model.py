"""The unfolded model of a band against PGA with tuned constant steps, on channels that neither has seen.

    python benchmarks/band_model.py              the comparison layer by layer, and from S = 16 to 64
    python benchmarks/band_model.py transfer     the latter alone
    python benchmarks/band_model.py tune         PGA's step sizes, `BEST`

N = 64, K = 4, M = 8, J = 10, I = 30, 28 GHz, 1 GHz wide, delays to 20 ns, Ψ_s of each subcarrier; both begin
at the start "mean_covariance" with η = 1 and the exact ∇_W R. PGA's constants are the best of `GRID` after 30
layers on 8 other channels, for all SNRs together, as the model's steps are.
"""

from __future__ import annotations

import sys
from itertools import product

import torch

from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_band
from beamfold.defaults import SLACK
from beamfold.experiments.labelled import interval
from beamfold.files.models import find_model
from beamfold.methods.pga import pga
from beamfold.methods.unfolded import unfolded
from beamfold.scenario import Scenario, make_scenario

N, K, M, J, LAYERS = 64, 4, 8, 10, 30
CARRIER, DELAY = 28e9, 20e-9
FRESH, TUNING = 2027, 78
"""Seeds of the channels of the comparison and of PGA's tuning; training had seed 1."""
SHOWN = (1, 2, 3, 5, 10, 15, 20, 30)
SNRS = (0.0, 6.0, 12.0)
COMMON = {"digital": "exact", "eta": 1.0, "start": "mean_covariance"}
STEPS = product((0.12, 0.24, 0.48, 0.96), (0.0001, 0.0003, 0.001))
GRID = [{**COMMON, "mu": mu, "lam": lam} for mu, lam in STEPS]
BEST = {**COMMON, "mu": 0.24, "lam": 0.0003}
"""What `tune` prints."""


def scenario(
    count: int, snr_db: float, subcarriers: int = 16, seed: int = FRESH, delay_s: float = DELAY
) -> Scenario:
    """Channels of a band with Ψ_s of each subcarrier."""
    H, f = saleh_valenzuela(
        N, K, count, seed=seed, subcarriers=subcarriers, carrier_hz=CARRIER, delay_s=delay_s
    )
    radars = solve_band(N, ratios=(f / CARRIER).tolist(), slack=SLACK)
    return make_scenario(H, radars, snr_db=snr_db, chains=M, frequencies=f, carrier_hz=CARRIER)


def tune() -> None:
    """The constants of `GRID` with the highest mean R − ω τ after 30 layers, over all SNRs."""
    scenarios = [scenario(8, snr_db, seed=TUNING) for snr_db in SNRS]
    found = []
    for steps in GRID:
        ends = [
            float(pga(s, inner=J, layers=LAYERS, engine="torch", **steps).objective.mean()) for s in scenarios
        ]
        found.append(sum(ends) / len(ends))
        print(steps["mu"], steps["lam"], " ".join(f"{e:.3f}" for e in ends), flush=True)
    print("best:", GRID[found.index(max(found))])


def compare(count: int) -> None:
    """R − ω τ of both after the layers `SHOWN`, with the 95 % interval of the difference, and its least."""
    model = find_model(N, K, M, J, band=True)
    print("| SNR | layers | model | PGA | difference |\n| --- | --- | --- | --- | --- |")
    for snr_db in SNRS:
        s = scenario(count, snr_db)
        ours = unfolded(s, model, engine="torch", record=True).trace
        plain = pga(s, inner=J, layers=LAYERS, engine="torch", record=True, **BEST).trace
        values = [t.rate - s.weight * t.tau for t in (ours, plain)]
        differences = (values[0] - values[1]).double().mean(1)[1:]
        for layer in SHOWN:
            a, b = (v[layer].double() for v in values)
            mean, low, _ = interval((a - b).numpy(), 0)
            print(f"| {snr_db:g} dB | {layer} | {float(a.mean()):.3f} | {float(b.mean()):.3f} | "
                  f"{float(mean):+.3f} ± {float(mean - low):.3f} |", flush=True)  # fmt: skip
        at = int(differences.argmin())
        print(f"{snr_db:g} dB: the least difference of all layers is {float(differences[at]):+.3f}, after "
              f"{at + 1}", flush=True)  # fmt: skip


def transfer(count: int) -> None:
    """The model, trained with S = 16, and PGA on the same paths with S = 16 and with S = 64.

    With delays to 20 ns the channel turns 20 times over the band, too fast for a grid of 16; with 2 ns twice.
    """
    model = find_model(N, K, M, J, band=True)
    for snr_db, delay_s in product(SNRS, (DELAY, DELAY / 10)):
        told = []
        for S in (16, 64):
            s = scenario(count, snr_db, S, delay_s=delay_s)
            ours = float(unfolded(s, model, engine="torch").objective.mean())
            plain = float(pga(s, inner=J, layers=LAYERS, engine="torch", **BEST).objective.mean())
            told.append(f"S = {S} model {ours:.3f}, PGA {plain:.3f}")
        print(f"{snr_db:g} dB, delays to {1e9 * delay_s:g} ns: {'; '.join(told)}", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:]:
        {"tune": tune, "transfer": lambda: transfer(6)}[sys.argv[1]]()
        return
    compare(24)
    transfer(6)


if __name__ == "__main__":
    main()
