"""The objective against time, on one picture: every way to a hybrid design on the published channels.

    OMP_NUM_THREADS=1 python benchmarks/race.py REFERENCE_DIR --plot docs/images/race.png

12 dB, ω = 0.3, one core, one channel at a time, channel estimate in to {F, W} out; the time is the median
over the channels. Unfolded models and PGA are stopped after 5 … 120 layers, the fast design after 0 … 100
steps of F from one start, and at the depths raced and deepest, of two and four starts; L-BFGS is SciPy's over
(∠F, W) from the start (26) with torch's gradients.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from claims import load
from scipy.optimize import minimize

from beamfold import ModelInfo, UnfoldedPGA, prepare, prepare_fast
from beamfold.files.models import find_model
from beamfold.registry import design
from beamfold.scenario import Scenario, make_scenario
from beamfold.start import proposed

LAYERS = (5, 10, 20, 40, 80, 120)
STEPS = (0, 3, 6, 12, 30, 60, 100)


def point(s: Scenario, go: Callable[[np.ndarray], tuple], repeats: int = 3) -> tuple[float, float]:
    """Median microseconds and mean R − ω τ over the channels."""
    taken, values = [], []
    for b, H in enumerate(s.H.numpy()):
        for _ in range(repeats):
            begin = time.perf_counter()
            F, W = go(H)[:2]
            taken.append(time.perf_counter() - begin)
        X = torch.as_tensor(F) @ torch.as_tensor(W)
        values.append(float(s[b].objective(X)))
    return 1e6 * float(np.median(taken)), float(np.mean(values))


def quasi_newton(s: Scenario, evaluations: int) -> Callable[[np.ndarray], tuple]:
    """SciPy's L-BFGS over (∠F, √N W), power normalised inside the objective."""

    def go(H: np.ndarray) -> tuple:
        one = make_scenario(H, s.radar, snr_db=12)
        F0, W0 = proposed(one)
        N, M, K = s.antennas, s.chains, s.users
        scale = np.sqrt(N)

        def split(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            W = torch.complex(*x[N * M :].reshape(2, M, K)) / scale
            F = torch.exp(1j * x[: N * M].reshape(N, M))
            return F, W * (one.power.sqrt() / torch.linalg.matrix_norm(F @ W))

        def value(x: np.ndarray) -> tuple[float, np.ndarray]:
            t = torch.tensor(x, requires_grad=True)
            F, W = split(t)
            loss = -one.objective(F @ W)
            loss.backward()
            return float(loss.detach()), t.grad.numpy()

        start = torch.cat([F0.angle().flatten(), (scale * W0.real).flatten(), (scale * W0.imag).flatten()])
        found = minimize(value, start.numpy(), jac=True, method="L-BFGS-B", options={"maxfun": evaluations})
        return split(torch.from_numpy(found.x))

    return go


def general(s: Scenario, method: str, **options: object) -> Callable[[np.ndarray], tuple]:
    """A method through the general entry, one channel at a time."""

    def go(H: np.ndarray) -> tuple:
        d = design(make_scenario(H[None], s.radar, snr_db=12), method, **options)
        return d.F[0], d.W[0]

    return go


def curves(s: Scenario) -> dict[str, list[tuple[float, float]]]:
    plain = UnfoldedPGA(ModelInfo(64, 4, 4, 1 / 64), 120, 20)
    models = {f"unfolded J = {j}": find_model(64, 4, 4, j) for j in (1, 10, 20)} | {"PGA J = 20": plain}
    found = {
        "fast": [point(s, prepare_fast(s.radar, users=4, snr_db=12, steps=n)) for n in STEPS],
        "fast, several starts": [
            point(s, prepare_fast(s.radar, users=4, snr_db=12, depth=d)) for d in ("raced", "deepest")
        ],
        **{
            name: [point(s, prepare(model, s.radar, snr_db=12, layers=n)) for n in LAYERS]
            for name, model in models.items()
        },
        "L-BFGS from (26)": [point(s, quasi_newton(s, n), 1) for n in (25, 50, 100, 200, 400)],
        "SCA-ManOpt": [point(s, general(s, "sca-manopt"), 1)],
        "best of 32": [point(s, general(s, "best", starts=32, threads=1), 1)],
    }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("reference", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    H, radar = load(options.reference)
    s = make_scenario(H[: options.count], radar, snr_db=12)
    found = curves(s)
    for name, points in found.items():
        print(f"{name:22s} " + "  ".join(f"{us:.0f} us: {value:.2f}" for us, value in points))
    if options.plot:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.5, 4.5), layout="constrained")
        axes = figure.add_subplot()
        colours = (
            "#D55E00",
            "#8B2500",
            "#009E73",
            "#CC79A7",
            "#E69F00",
            "0.5",
            "#0072B2",
            "black",
            "#56B4E9",
        )
        for (name, points), colour in zip(found.items(), colours, strict=True):
            axes.plot(
                *zip(*points, strict=True),
                "o-",
                ms=4,
                color=colour,
                label=name,
                lw=2.2 if name.startswith("fast") else 1.2,
            )
        axes.set(
            xscale="log", ylim=(-20, 19), xlabel="time per design on one core [µs]", ylabel="mean R − 0.3 τ"
        )
        axes.set_title("N = 64, K = M = 4, 12 dB, published channels", fontsize=10)
        for limit, text in ((125, "0.125 ms"), (500, "0.5 ms"), (1000, "1 ms")):
            axes.axvline(limit, color="0.85", zorder=0)
            axes.text(limit, -19.5, text, rotation=90, fontsize=7, color="0.5", ha="right")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="lower right")
        figure.savefig(options.plot, dpi=150)


if __name__ == "__main__":
    main()
