"""What it costs to run the N = 64 model's step sizes on other arrays.

python benchmarks/other_sizes.py
"""

from __future__ import annotations

import torch

from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.files.models import find_model, model_name, shipped_models
from beamfold.registry import design
from beamfold.scenario import make_scenario


def main() -> None:
    torch.set_num_threads(1)
    model = find_model(64, 4, 4, 20)
    print("| N | N = 64 model | non-finite or worse than start | own model | PGA, J = 20 | fast |")
    print("| --- | --- | --- | --- | --- | --- |")
    for N in (32, 64, 128):
        radar = solve_covariance(N, (-59, 0, 60), angles=181 if N < 100 else 361)
        s = make_scenario(saleh_valenzuela(N, 4, 100, seed=77), radar, snr_db=12)
        moved = design(s, "unfolded", model=model, any_size=True)
        bad = int((moved.faults != 0).sum())
        own = "–"
        if model_name(N, 4, 4, 20) in shipped_models():
            own = f"{float(design(s, 'unfolded', inner=20).objective.mean()):.2f}"
        plain, fast = (float(design(s, *a).objective.mean()) for a in (("pga",), ("fast",)))
        print(
            f"| {N} | {float(moved.objective.mean()):.2f} | {bad} of 100 | {own} | {plain:.2f} | {fast:.2f} |"
        )


if __name__ == "__main__":
    main()
