r"""How a fast design divides its work: plan and constants as smooth functions of a scenario's numbers.

With x the numbers of a scenario, each brought to about [−1, 1], and 1 in front,

    constant_i = today's_i · e^{θ_iᵀ x},   shares_i = today's_i + θ_iᵀ x,   starts = today's + θ_iᵀ x,

whole numbers rounded, and as many steps of F as the work of the plan that is replaced leaves. θ = 0 is that
plan. The work is counted in microseconds of one processor, `microseconds`: both plans take the same time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.fast_setting import Plan
from beamfold.kernels.fast_workspace import Constants

PARTS = (
    "digital", "chains", "phases", "ridge", "share_1", "share_2", "digital_steps", "alternations", "first",
    "inner", "starts", "trial", "further",
)  # fmt: skip
"""What is learnt, a row of θ each: first steps of Z, W and ∠F, ε of the factorisation, the two shares of
sensing beams, and the numbers of a `Plan`."""
TRIAL = 5
"""Steps of F from each of several starts where θ = 0 and the plan has one."""


class Case(NamedTuple):
    """The numbers of a scenario; `work` is that of the plan over that of "deep"."""

    antennas: int
    users: int
    chains: int
    rank: int
    snr_db: float
    weight: float
    work: float = 1.0


RANGES: dict[str, tuple[float, float]] = {
    "antennas": (16, 128), "users": (1, 8), "chains": (1, 16), "rank": (1, 48), "snr_db": (-5, 25),
    "weight": (0.01, 3), "work": (0.4, 1.2),
}  # fmt: skip
"""What the division is trained on; outside of it the constants stay."""


def outside(case: Case) -> str:
    """The number of a scenario that is outside of `RANGES`, in words; "" where none is."""
    for name, found in case._asdict().items():
        least, most = RANGES[name]
        if not least <= found <= most:
            return f"{name} = {found:g} is outside {least:g} to {most:g}"
    return ""


def inputs(case: Case) -> NDArray[np.float64]:
    """x, with 1 in front."""
    N, K, M, r, snr_db, weight, work = case
    loudness = snr_db / 5 + math.log10(max(weight, 1e-9))  # of ω P_t², in decades
    return np.array([
        1.0, (snr_db - 10) / 15, (loudness - 1.25) / 3, (math.log2(N) - 5.5) / 1.5, (math.log2(K) - 1.5) /
        1.5, 2 * math.log2(M / K) - 1, math.log2(max(r, 1) / K) / 3, math.log2(work) / 2,
    ])  # fmt: skip


def microseconds(plan: Plan, antennas: int, users: int, chains: int, rank: int) -> tuple[float, float]:
    """The work of a plan before its last steps of F, and of one such step, in microseconds of one processor.

    Fitted to the compiled design, see docs/explanations/learned-starts.md; only ratios matter.
    """
    N, K, M = -(-antennas // 16) * 16, users, chains
    D = M + K + rank
    of_W = 0.25 + 6.9e-4 * K * M * D + 8.2e-4 * (K * M) ** 2
    of_F = 0.96 + 1.3e-4 * N * M * (D + 16) + 9.3e-4 * K * M * D
    of_digital = 0.42 + 9.4e-3 * K * (K + rank) + 2.4e-4 * K * (K + rank) ** 2
    of_alternation = 0.17 + 4.3e-4 * N * K * M + 1.4e-3 * M**3
    step = of_F + plan.inner * of_W
    several = plan.starts > 1
    start = of_digital * plan.digital + of_alternation * (
        plan.alternations + (plan.starts - 1) * plan.further
    )
    start += of_W * plan.first * (1 + plan.starts * several)
    return start + several * plan.starts * plan.trial * step, step


def case_for(
    plan: Plan,
    usual: Plan,
    *,
    antennas: int,
    users: int,
    chains: int,
    rank: int,
    snr_db: float,
    weight: float,
) -> Case:
    """The numbers of a scenario for a plan, `usual` being that of "deep"."""
    sizes = antennas, users, chains, rank
    (start, step), (start_of_usual, step_of_usual) = (microseconds(p, *sizes) for p in (plan, usual))
    work = (start + step * plan.steps) / (start_of_usual + step_of_usual * usual.steps)
    return Case(*sizes, snr_db, weight, work)


def divided(
    theta: NDArray[np.float64], case: Case, plan: Plan, constants: Constants
) -> tuple[Plan, Constants]:
    """The plan and the constants of θ in the place of those given, at the same work."""
    N, K, M, r, *_ = case
    of = dict(zip(PARTS, theta @ inputs(case), strict=True))
    times = {name: math.exp(float(np.clip(value, -3, 3))) for name, value in of.items()}
    whole = {
        name: max(round(before * times[part]), 0)
        for name, part, before in (
            ("digital", "digital_steps", plan.digital), ("alternations", "alternations", plan.alternations),
            ("first", "first", plan.first), ("trial", "trial", plan.trial or TRIAL),
            ("further", "further", plan.further or plan.alternations),
        )
    }  # fmt: skip
    starts = int(np.clip(plan.starts + math.floor(of["starts"] + 0.5), 1, 8))
    inner = int(np.clip(round(plan.inner * times["inner"]), 1, 6))
    alone = {"starts": 1, "trial": 0, "further": 0}
    new = plan._replace(**whole, inner=inner, starts=starts)
    if starts == 1:
        new = new._replace(**alone)
    before, each = microseconds(plan, N, K, M, r)
    spent, step = microseconds(new, N, K, M, r)
    steps = math.floor((before + each * plan.steps - spent) / step + 1e-6)
    if steps < min(plan.steps, 3):  # too little is left for the steps that count: all of it from one start
        new = new._replace(**alone)
        steps = math.floor((before + each * plan.steps - microseconds(new, N, K, M, r)[0]) / step + 1e-6)
    first, *shares = constants.shares
    moved = (float(np.clip(b + of[f"share_{i + 1}"], 0, 1)) for i, b in enumerate(shares))
    return new._replace(steps=max(steps, 0)), constants._replace(
        digital=constants.digital * times["digital"], chains=constants.chains * times["chains"],
        phases=constants.phases * times["phases"], ridge=constants.ridge * times["ridge"],
        shares=(first, *moved),
    )  # fmt: skip
