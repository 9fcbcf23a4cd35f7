"""Ψ of problem (6): the sensing covariance that a design's beampattern is measured against.

problem ← certificate; problem ← centro, newton, lowrank, interior ← fast; problem ← reference (CVXPY).
docs/explanations/covariance.md has the mathematics and the measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch

from beamfold.arrays import Array, line_array
from beamfold.covariance.certificate import certify
from beamfold.covariance.problem import (
    Complex,
    Problem,
    Real,
    check_antennas,
    check_problem,
    check_steps,
    desired_pattern,
    problem_of,
    target_pairs,
)
from beamfold.defaults import TARGETS_DEG
from beamfold.errors import InputError
from beamfold.sensing import Sensing, default_angles

Solver = Literal["fast", "clarabel", "scs"]

AIM, ACCEPT = 1e-7, 1e-4
"""Relative gaps: where the default stops, and what it still accepts where rounding stops it earlier."""
RANK_OF_CENTRE = 1e-3
"""Eigenvalues above this share of the largest are the rank of Ψ at the carrier."""
RATIOS = (0.5, 1.5)
"""Least and largest frequency of a subcarrier over the carrier's."""


def solve_covariance(
    antennas: int | Array,
    targets_deg: Sequence[float] | Sequence[Sequence[float]] = TARGETS_DEG,
    *,
    width_deg: float | None = None,
    angles: int | None = None,
    rank: int | None = None,
    solver: Solver = "fast",
    tolerance: float | None = None,
    ratio: float = 1.0,
    near: Sensing | None = None,
) -> Sensing:
    """Ψ = argmin_{α, Ψ} Σ_t |α P_d(θ_t) − ā(θ_t)ᴴ Ψ ā(θ_t)|², diag Ψ = 1/N, Ψ ⪰ 0, Eq. (6) at P_t = 1.

    The minimiser is not unique, and τ depends on which one is taken. The default is the point of the
    central path where the certified gap falls to 1e-7, next to the optimal set's analytic centre; it is
    deterministic, and on the published pattern within 4e-5 (squared Frobenius norm) of the published Ψ.
    `rank=K` asks for one that X Xᴴ can reach.

    Args:
        antennas: N ≥ 1 of a half-wavelength line, or any `Array`. For N = 1 the only feasible Ψ is 1.
        targets_deg: angles of the targets in degrees, within ±90, mainlobes not overlapping: azimuths, or for
            an array that is no line pairs of azimuth and elevation.
        width_deg: full width of a mainlobe in degrees; default the paper's 5, whose text, read to the letter,
            has 10, and for an array that is no line at least 60 over its length in wavelengths.
        angles: T, a uniform grid over ±90 degrees; must exceed 1 + π N / 2. Unless given, the paper's 181
            where they do, else at least 2πN (`sensing.default_angles`). An array that is no line gets T
            angles along azimuth and T along elevation, 91 unless it is longer than 28 wavelengths.
        rank: at most this rank for Ψ; `gap` then bounds what that loses to the full optimum. "fast" only.
        solver: "fast", or the program as written through CVXPY: "clarabel", "scs".
        tolerance: relative gap to prove, in [1e-8, 0.1], "fast" only. Unless said, 1e-7 is aimed at, and
            up to 1e-4 accepted where rounding ends the steps earlier (grids near the coarsest allowed).
        ratio: r, for a subcarrier at r times the carrier's frequency: ā(θ_t) are the steering vectors there,
            and what they see from no angle is sampled with P_d = 0 (`covariance.problem`).
        near: with `rank` and `tolerance`, of the Ψ within the tolerance one that is near this one, of as many
            antennas.

    Returns:
        A `Sensing` whose `gap` was computed from Ψ and multipliers by `model.certify`, whatever the
        solver says; for "clarabel" and "scs" the multipliers come from Ψ alone, which is a looser proof.

    Raises:
        InputError: targets, width, grid, rank, solver or tolerance that make no sense, in one line.
        RuntimeError: the solver stopped short; says the gap reached, or its status and residuals.
    """
    if solver not in get_args(Solver):
        raise InputError(f"solver {solver!r}: must be one of {', '.join(get_args(Solver))}")
    if not RATIOS[0] <= ratio <= RATIOS[1]:
        raise InputError(
            f"a frequency of {ratio:g} times the carrier's: must be {RATIOS[0]} to {RATIOS[1]} times"
        )
    if solver != "fast" and (rank is not None or tolerance is not None):
        name = "rank" if rank is not None else "tolerance"
        raise InputError(f"{name} is for the fast solver, not for {solver!r}")
    array = antennas if isinstance(antennas, Array) else line_array(check_antennas(antennas))
    if near is not None and (rank is None or near.antennas != array.antennas):
        raise InputError(f"near needs a rank, and a Psi of {array.antennas} antennas")
    chosen = default_angles(array) if angles is None else angles
    pattern, grid = desired_pattern(targets_deg, chosen, width_deg, array)
    problem = _problem(array, pattern, grid, chosen, ratio)
    if solver == "fast":
        Psi, alpha, objective, gap = _fast(problem, rank, tolerance, near)
    else:
        from beamfold.covariance.reference import reference_covariance

        found = reference_covariance(problem, solver=solver.upper())
        Psi, alpha, objective = found.Psi, found.alpha, found.objective
        gap = certify(problem, Psi).gap
    targets = np.deg2rad(np.asarray(targets_deg, dtype=float))
    if not array.is_line:
        targets = np.deg2rad(target_pairs(targets_deg, array))
    return Sensing(
        Psi=torch.from_numpy(Psi),
        targets=tuple(targets.tolist()) if array.is_line else tuple((az, el) for az, el in targets.tolist()),
        angles=torch.from_numpy(grid),
        desired=torch.from_numpy(pattern),
        scale=alpha,
        objective=objective,
        gap=gap,
        solver=solver,
        array=array,
        ratio=ratio,
    )


def solve_band(
    antennas: int | Array,
    targets_deg: Sequence[float] | Sequence[Sequence[float]] = TARGETS_DEG,
    *,
    ratios: Iterable[float],
    slack: float | None = None,
    solve: Callable[..., Sensing] = solve_covariance,
    **options: Any,
) -> tuple[Sensing, ...]:
    """Ψ_s of every subcarrier of a band: problem (6) at its frequency, each with its own certificate.

    Solutions of (6) at neighbouring frequencies can lie far apart: patterns that hardly differ belong to
    quite different Ψ. One F cannot follow that. With `slack` each Ψ_s is instead one near the carrier's, of
    at most its numerical rank, for which (6a) is proven within the slack of its optimum.

    Args:
        antennas: N or the array, as for `solve_covariance`.
        targets_deg: the targets, common to the band.
        ratios: r_s = f_s/f_c; where one is 1, its Ψ is that of `solve_covariance`.
        slack: the relative gap of (6a) to allow for Ψ_s close to each other, in [1e-8, 0.1]; None to solve
            every subcarrier for itself.
        solve: `solve_covariance`, or a function that remembers its results.
        options: of `solve_covariance`.

    Raises:
        InputError, RuntimeError: as `solve_covariance` does.
    """
    if slack is None:
        return tuple(solve(antennas, targets_deg, ratio=float(r), **options) for r in ratios)
    centre = solve(antennas, targets_deg, **options)
    rank = options.pop("rank", None) or centre.factor(RANK_OF_CENTRE).U.shape[-1]
    close = {**options, "rank": rank, "tolerance": slack, "near": centre}
    return tuple(centre if r == 1 else solve(antennas, targets_deg, ratio=float(r), **close) for r in ratios)


def _problem(array: Array, pattern: Real, grid: Real, T: int, ratio: float) -> Problem:
    """(6) on the grid, which must see every beam of the array."""
    if array.same_as(line_array(array.antennas)):
        return check_problem(pattern, grid, array.antennas, ratio)
    check_steps(array, T, ratio)
    return problem_of(array, pattern, grid, ratio)


def _fast(
    problem: Problem, rank: int | None, tolerance: float | None, near: Sensing | None
) -> tuple[Complex, float, float, float]:
    """Ψ, α, objective and certified gap of the fast solver, at the tolerance asked for or the default."""
    from beamfold.covariance.fast import fast_covariance

    aim, accept = (AIM, ACCEPT) if tolerance is None else (tolerance, tolerance)
    start = None if near is None else near.Psi.numpy()
    found = fast_covariance(problem, rank=rank, tolerance=aim, accept=accept, near=start)
    return found.Psi, found.alpha, found.objective, found.gap
