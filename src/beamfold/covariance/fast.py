"""Fast solver of the sensing covariance problem (6): a certified Ψ in tens of milliseconds.

    Ψ = argmin ‖Q A x(Ψ)‖²   subject to   diag Ψ = 1/N, Ψ ⪰ 0    (covariance.problem has the notation)

The work is done by an interior-point method (covariance.interior), and what it returns is judged by a
certificate that has no code in common with its steps (`covariance.certificate.certify`).

Which minimiser: (6) fixes the pattern but not Ψ. The returned Ψ is the point of the central path where
the gap reaches the tolerance: near the analytic centre (greatest determinant) of the optimal set, full
rank, centro-Hermitian. With `rank` it is a Ψ of at most that rank (covariance.lowrank). No randomness,
and BLAS runs on one thread while solving: the same input gives the same bits on a machine whatever its
thread setting, and matrices this small lose by threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from beamfold.covariance.certificate import Certificate, Dual, certify
from beamfold.covariance.interior import interior_point, square_root
from beamfold.covariance.lowrank import low_rank_factor, near_factor
from beamfold.covariance.problem import Complex, Problem
from beamfold.errors import InputError


@dataclass(frozen=True, eq=False)
class Covariance:
    """A certified solution at P_t = 1: Ψ (N, N) with (f(Ψ) − f*) / max(f, 10⁻³ T) ≤ gap."""

    Psi: Complex
    alpha: float
    objective: float
    lower_bound: float
    gap: float
    dual: Dual
    iterations: int


def fast_covariance(
    problem: Problem,
    rank: int | None = None,
    tolerance: float = 1e-4,
    accept: float | None = None,
    near: Complex | None = None,
) -> Covariance:
    """Ψ of (6) at P_t = 1 with (f(Ψ) − f*) / max(f, 10⁻³ T) ≤ tolerance, certified.

    Args:
        problem: (6), from `problem.check_problem` or `problem.problem_of`.
        rank: at most this rank for Ψ; then `gap` bounds what it loses to the full optimum, and may exceed
            the tolerance where the search found no better one of that rank (not an error).
        tolerance: the gap to aim at, in [1e-8, 0.1].
        accept: the gap still accepted where rounding stops the steps before the tolerance; the tolerance
            itself unless said.
        near: with `rank`, of the Ψ within the tolerance one that is near this one, (N, N).

    Returns:
        A `Covariance`; Ψ is exactly Hermitian with a diagonal of exactly 1/N.

    Raises:
        InputError: bad input, in one line.
        RuntimeError: no acceptable gap certified; states the gap.
    """
    N = problem.antennas
    if not 1e-8 <= tolerance <= 0.1:
        raise InputError(f"tolerance {tolerance}: must lie in [1e-8, 0.1]")
    if rank is not None and (not np.isfinite(rank) or int(rank) != rank or not 1 <= rank <= N):
        raise InputError(f"rank {rank}: must be an integer from 1 to N = {N}")
    with threadpool_limits(1, user_api="blas"):
        found = _solve(problem, None if rank is None else int(rank), tolerance, near)
    accept = tolerance if accept is None else max(accept, tolerance)
    if rank is None and found.gap > accept:
        raise RuntimeError(f"stopped at a certified gap of {found.gap:.1e}, above {accept:.1e}")
    return found


def _solve(problem: Problem, rank: int | None, tolerance: float, near: Complex | None) -> Covariance:
    """The interior point, its rank reduced if asked, with the certificate; never raises for the gap."""
    QA = problem.rejected(problem.lags.basis(problem.cosines))
    R = square_root(QA / np.sqrt(problem.samples))

    # the low-rank search is judged against the bound, so that bound is made four times tighter
    goal = tolerance / (2 if rank is None else 8)
    Psi, w, nu, iterations = interior_point(R, problem, goal)
    # back from w to a residual on the samples, in the units of (6): q = Q A x with R x = w; R's rows
    # are orthogonal, so x is R^T w / (squared row norms)
    dual = Dual(QA @ (R.T @ (w / np.sum(R * R, axis=1))), nu * problem.samples)
    if rank is not None:
        floor = certify(problem, Psi, dual).lower_bound / problem.samples
        allowed = max(floor, 1e-3) * tolerance
        if near is None:
            V = low_rank_factor(R, problem.lags, Psi, rank, floor + allowed / 2)
        else:  # the bound's own gap is an eighth of the tolerance
            V = near_factor(R, problem.lags, near, rank, floor, 0.8 * allowed)
        Psi = V @ V.conj().T
    Psi = _tidy(Psi)
    return _covariance(Psi, certify(problem, Psi, dual), dual, iterations)


def _covariance(Psi: Complex, proof: Certificate, dual: Dual, iterations: int) -> Covariance:
    return Covariance(Psi, proof.alpha, proof.objective, proof.lower_bound, proof.gap, dual, iterations)


def _tidy(Psi: Complex) -> Complex:
    """D^{−1/2} Ψ D^{−1/2} / N, exactly Hermitian with diagonal exactly 1/N; it stays PSD."""
    N = len(Psi)
    scale = 1 / np.sqrt(np.diag(Psi).real * N)
    Psi = Psi * scale[:, None] * scale
    Psi = (Psi + Psi.conj().T) / 2
    Psi[np.diag_indices(N)] = 1 / N
    return Psi
