"""Fig. 2: how large the four gradients are, over the number of antennas."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from beamfold.constraints import total_power
from beamfold.defaults import SNR_DB, TARGETS_DEG
from beamfold.experiments.labelled import conclude, inputs, variable, with_intervals
from beamfold.experiments.setting import (
    USERS,
    Setting,
    Steps,
    published_pattern,
)
from beamfold.objective import beam_gradient, rate_gradient
from beamfold.scenario import Scenario, make_scenario
from beamfold.sensing import PAPER_ANGLES, default_angles
from beamfold.start import Point

ANTENNAS = (4, 8, 16, 32, 64, 96, 128)
TERMS = ("grad_F R", "grad_W R", "grad_F tau", "grad_W tau")


def random_point(s: Scenario, seed: int) -> Point:
    """F of uniform phases and W of CN(0, 1) entries scaled to (7c): feasible, and near no optimum."""
    pairs = [_draw(np.random.default_rng([seed, 2, b]), s) for b in range(s.batch[0])]
    F = torch.from_numpy(np.exp(1j * np.stack([phase for phase, _ in pairs])))
    W = torch.from_numpy(np.stack([w for _, w in pairs]))
    return Point(F, total_power(F, W, s.power))


def _draw(generator: np.random.Generator, s: Scenario) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    phase = generator.uniform(0, 2 * np.pi, (s.antennas, s.chains))
    re, im = generator.standard_normal((2, s.chains, s.users))
    return phase, re + 1j * im


def four_gradients(s: Scenario, point: Point) -> tuple[Tensor, ...]:
    """∇_F R (13), ∇_W R (14), ∇_F τ (17), ∇_W τ (18), each (B, rows, columns)."""
    F, W = point
    X = F @ W
    on_R, on_tau = rate_gradient(s.H, X, s.noise), beam_gradient(X, s.Psi, s.power)
    return on_R @ W.mH, F.mH @ on_R, on_tau @ W.mH, F.mH @ on_tau


def fig2(setting: Setting) -> xr.Dataset:
    """|∇| at random feasible points for N from 4 to 128: mean over the elements, and the (1, 1) element."""
    steps = Steps(setting.tick, len(ANTENNAS))
    held: list[NDArray[np.float64]] = []
    origin: dict[str, xr.Variable] = {}
    for antennas in ANTENNAS:
        radar = published_pattern(antennas)
        s = make_scenario(setting.draw(antennas)[0], radar, snr_db=SNR_DB)
        sizes = [g.abs() for g in four_gradients(s, random_point(s, setting.seed))]
        held.append(np.stack([np.stack([g.mean((-2, -1)), g[:, 0, 0]]) for g in sizes]))
        origin |= inputs(setting, antennas, radar)
        steps.step(f"N = {antennas}")
    ds = xr.Dataset(
        {"gradient": variable("gradient", ("antennas", "term", "statistic", "channel"), np.stack(held))},
        coords={
            "antennas": list(ANTENNAS),
            "term": list(TERMS),
            "statistic": ["mean of the elements", "element (1, 1)"],
        },
    )
    parameters = {
        "snr_db": SNR_DB, "users": USERS, "chains": USERS, "targets_deg": TARGETS_DEG,
        "angles": f"{PAPER_ANGLES}, and {default_angles(ANTENNAS[-1])} for N = {ANTENNAS[-1]}",
        "points": "uniform phases, CN(0, 1) digital part",
        "gradient_W": "exact, Eq. (14)", "unit": "the paper's derivative with respect to the conjugate",
    }  # fmt: skip
    title = "Fig. 2: magnitudes of the gradients at random feasible points"
    return conclude(with_intervals(ds, ["gradient"]).assign(origin), "fig2", title, setting, parameters)
