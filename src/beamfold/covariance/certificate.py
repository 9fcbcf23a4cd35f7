"""How far a Ψ is from the optimum of (6): a proof for any array and from any solver.

Notation of covariance.problem. Take any q with Q q = q and any real ν. From ‖Q p′ − c q‖² ≥ 0, for every
feasible Ψ′ and every real c ≥ 0,

    f(Ψ′) ≥ 2 c qᵀ p′ − c² ‖q‖² = c ⟨G, Ψ′⟩ − c² ‖q‖²,  G = 2 Σ_t q_t ā_t ā_tᴴ,
    ⟨G, Ψ′⟩ = Σν/N + ⟨G − Diag ν, Ψ′⟩  ≥  b = Σν/N + min(0, λ_min(G − Diag ν)),

the last step because tr Ψ′ = 1. The best c gives f* ≥ max(b, 0)² / (4 ‖q‖²). At the optimum q = Q p,
ν_n = N Re (G Ψ)_nn, and the bound equals f. It holds for any array.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from beamfold.covariance.problem import Complex, Problem, Real


class Dual(NamedTuple):
    """Multipliers (q, ν) of (6), as the certificate in this module's docstring takes them."""

    q: Real
    """(T,), a residual on the grid."""
    nu: Real
    """(N,), of the constraints on the diagonal."""


class Certificate(NamedTuple):
    """What `certify` measured on a Ψ at P_t = 1."""

    objective: float
    """f(Ψ), the value of (6a) with the best α."""
    lower_bound: float
    """Proven: no feasible Ψ has a smaller f."""
    gap: float
    """(f − lower_bound) / max(f, 10⁻³ T)."""
    alpha: float
    """The best α of (6a)."""
    least_eigenvalue: float
    """λ_min(Ψ)."""
    diagonal_error: float
    """max_n |Ψ_nn − 1/N|."""
    least_slack_eigenvalue: float
    """λ_min(G − Diag ν)."""


def fit(problem: Problem, Psi: Complex) -> tuple[float, Real, float]:
    """α = P_dᵀ p / P_dᵀ P_d with p_t = ā_tᴴ Ψ ā_t, from the definition.

    Returns:
        α, the residual q = Q p (T,), and the objective f = ‖q‖².
    """
    steering, pattern = problem.steering, problem.pattern
    p = np.einsum("nt,nt->t", steering.conj(), Psi @ steering).real
    alpha = float(pattern @ p / (pattern @ pattern))
    residual = p - alpha * pattern
    return alpha, residual, float(residual @ residual)


def _weighted(problem: Problem, q: Real) -> Complex:
    """G = 2 Σ_t q_t ā_t ā_tᴴ (N, N)."""
    steering = problem.steering
    return 2 * (steering * q) @ steering.conj().T


def dual_bound(problem: Problem, dual: Dual) -> tuple[float, float]:
    """max(b, 0)² / (4 ‖q‖²) ≤ f*, b = Σν/N + min(0, λ_min(G − Diag ν)), for any q and ν.

    Returns:
        The bound and λ_min(G − Diag ν).
    """
    N = problem.antennas
    q = problem.rejected(dual.q)
    slack = _weighted(problem, q)
    slack[np.diag_indices(N)] -= dual.nu
    eigenvalues = np.linalg.eigvalsh(slack)
    # eigvalsh is backward stable: its error is below N eps ||slack||, counted against the bound
    least = eigenvalues[0] - N * np.finfo(float).eps * np.abs(eigenvalues).max()
    bound = float(np.sum(dual.nu)) / N + min(0.0, float(least))
    square = float(q @ q)
    return (max(bound, 0.0) ** 2 / (4 * square) if square > 0 else 0.0), float(eigenvalues[0])


def certify(problem: Problem, Psi: Complex, dual: Dual | None = None) -> Certificate:
    """(f(Ψ) − bound) / max(f, 10⁻³ T): how far from optimal Ψ is at most, whatever solver made it.

    Where f is below 10⁻³ T the pattern is met within 3 % of the isotropic level (1 at P_t = 1), and a gap
    relative to f says nothing. Dense steering vectors only: no code in common with the fast solver's
    steps.

    Args:
        problem: (6).
        Psi: (N, N), feasible; the certificate says by how much it is not.
        dual: any multipliers give a true bound, poor ones a loose bound. Without them both come from Ψ
            alone: q = Q p, ν_n = N Re (G Ψ)_nn.

    Returns:
        A `Certificate`.
    """
    N = problem.antennas
    alpha, residual, objective = fit(problem, Psi)
    if dual is None:
        dual = Dual(residual, N * np.einsum("mn,nm->m", _weighted(problem, residual), Psi).real)
    lower, slack = dual_bound(problem, dual)
    return Certificate(
        objective=objective,
        lower_bound=lower,
        gap=max(0.0, objective - lower) / max(objective, 1e-3 * problem.samples),
        alpha=alpha,
        least_eigenvalue=float(np.linalg.eigvalsh(Psi)[0]),
        diagonal_error=float(np.abs(np.diag(Psi) - 1 / N).max()),
        least_slack_eigenvalue=slack,
    )
