"""Ψ of problem (6): the sensing covariance that a design's beampattern is measured against.

model (the problem and its certificate) ← centro, lowrank, interior ← fast; model ← reference (CVXPY).
docs/covariance.md has the mathematics and the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch

from beamfold.covariance.model import Complex, Real, certify, check_antennas, desired_pattern
from beamfold.defaults import TARGETS_DEG
from beamfold.errors import InputError
from beamfold.sensing import Sensing, default_angles

Solver = Literal["fast", "clarabel", "scs"]

AIM, ACCEPT = 1e-7, 1e-4
"""Relative gaps: where the default stops, and what it still accepts where rounding stops it earlier."""


def solve_covariance(
    antennas: int,
    targets_deg: Sequence[float] = TARGETS_DEG,
    *,
    width_deg: float = 5.0,
    angles: int | None = None,
    rank: int | None = None,
    solver: Solver = "fast",
    tolerance: float | None = None,
) -> Sensing:
    """Ψ = argmin_{α, Ψ} Σ_t |α P_d(θ_t) − ā(θ_t)ᴴ Ψ ā(θ_t)|², diag Ψ = 1/N, Ψ ⪰ 0, Eq. (6) at P_t = 1.

    The minimiser is not unique, and τ depends on which one is taken. The default is the point of the
    central path where the certified gap falls to 1e-7, next to the optimal set's analytic centre; it is
    deterministic, and on the published pattern within 4e-5 (squared Frobenius norm) of the published Ψ.
    `rank=K` asks for one that X Xᴴ can reach.

    Args:
        antennas: N ≥ 1. For N = 1 the only feasible Ψ is 1.
        targets_deg: angles of the targets in degrees, within ±90, mainlobes not overlapping.
        width_deg: full width of a mainlobe in degrees; the paper's text, read to the letter, has 10.
        angles: T, a uniform grid over ±90 degrees; must exceed 1 + π N / 2. Unless given, the paper's 181
            where they do, else at least 2πN (`beampattern.default_angles`).
        rank: at most this rank for Ψ; `gap` then bounds what that loses to the full optimum. "fast" only.
        solver: "fast", or the program as written through CVXPY: "clarabel", "scs".
        tolerance: relative gap to prove, in [1e-8, 0.1], "fast" only. Unless said, 1e-7 is aimed at, and
            up to 1e-4 accepted where rounding ends the steps earlier (grids near the coarsest allowed).

    Returns:
        A `Sensing` whose `gap` was computed from Ψ and multipliers by `model.certify`, whatever the
        solver says; for "clarabel" and "scs" the multipliers come from Ψ alone, which is a looser proof.

    Raises:
        InputError: targets, width, grid, rank, solver or tolerance that make no sense, in one line.
        RuntimeError: the solver stopped short; says the gap reached, or its status and residuals.
    """
    if solver not in get_args(Solver):
        raise InputError(f"solver {solver!r}: must be one of {', '.join(get_args(Solver))}")
    if solver != "fast" and (rank is not None or tolerance is not None):
        name = "rank" if rank is not None else "tolerance"
        raise InputError(f"{name} is for the fast solver, not for {solver!r}")
    chosen = default_angles(check_antennas(antennas)) if angles is None else angles
    pattern, grid = desired_pattern(targets_deg, chosen, width_deg)
    if solver == "fast":
        Psi, alpha, objective, gap = _fast(pattern, grid, antennas, rank, tolerance)
    else:
        from beamfold.covariance.reference import reference_covariance

        found = reference_covariance(pattern, grid, antennas, solver=solver.upper(), formulation="centro")
        Psi, alpha, objective = found.Psi, found.alpha, found.objective
        gap = certify(pattern, grid, Psi).gap
    return Sensing(
        Psi=torch.from_numpy(Psi),
        targets=tuple(math.radians(t) for t in targets_deg),
        angles=torch.from_numpy(grid),
        desired=torch.from_numpy(pattern),
        scale=alpha,
        objective=objective,
        gap=gap,
        solver=solver,
    )


def _fast(
    pattern: Real, grid: Real, antennas: int, rank: int | None, tolerance: float | None
) -> tuple[Complex, float, float, float]:
    """Ψ, α, objective and certified gap of the fast solver, at the tolerance asked for or the default."""
    from beamfold.covariance.fast import fast_covariance

    aim, accept = (AIM, ACCEPT) if tolerance is None else (tolerance, tolerance)
    found = fast_covariance(pattern, grid, antennas, rank=rank, tolerance=aim, accept=accept)
    return found.Psi, found.alpha, found.objective, found.gap
