"""Low-rank solutions of the sensing covariance problem (6): Ψ = V Vᴴ with V (N, r).

X Xᴴ has rank at most K, so a Ψ of rank ≤ K is one that τ = ‖X Xᴴ − Ψ‖²_F can reach. diag Ψ = 1/N holds
exactly because each row of V is scaled to the norm 1/√N; what is left,

    minimise  ‖R x‖²,   x = lag sums of V Vᴴ,   Rᵀ R = Aᵀ Q A / T   (arrays.lags has A and x),

is smooth and free of constraints in the unscaled rows, but not convex. L-BFGS descends from a fixed
start, and the dual bound of the convex problem, known beforehand, tells when the rank costs nothing.

(6) does not say which of its nearly optimal Ψ to take. `near_factor` takes one near a given Ψ_0: it minimises
‖V Vᴴ − Ψ_0‖² + ρ ‖R x‖² with the least ρ of a sequence for which ‖R x‖² is within a limit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from beamfold.arrays.lags import Lags
from beamfold.covariance.problem import Complex, Real


def low_rank_factor(
    R: Real, lags: Lags, Psi: Complex, rank: int, target: float, max_iterations: int = 4000
) -> Complex:
    """V with ‖R x(V Vᴴ)‖² ≤ target, if a descent finds it.

    Descends from the leading eigenvectors of Ψ; should that end above the target, also from fixed chirps
    (for some target sets the better valley), and keeps the better of the two.

    Args:
        R: (k, 2D−1).
        lags: the array's.
        Psi: (N, N), a solution of full rank.
        rank: r, from 1 to N.
        target: where a descent stops.
        max_iterations: of each descent.

    Returns:
        V (N, r) with rows of norm 1/√N.
    """
    M = R.T @ R
    value, V = _descend(M, lags, _leading(Psi, rank), target, max_iterations)
    if value > target:
        other_value, other = _descend(M, lags, _chirps(len(Psi), rank), target, max_iterations)
        if other_value < value:
            return other
    return V


FIRST = 0.01
"""ρ of the first attempt times what the limit allows above the optimum."""
GROWTH = 2.0
"""From one ρ to the next."""
ATTEMPTS = 24


def near_factor(
    R: Real, lags: Lags, near: Complex, rank: int, bound: float, allowed: float, max_iterations: int = 100
) -> Complex:
    """V near Ψ_0, V Vᴴ ≈ Ψ_0, with ‖R x(V Vᴴ)‖² ≤ bound + allowed; where no ρ finds one, the last.

    Args:
        R: (k, 2D−1).
        lags: the array's.
        near: Ψ_0 (N, N).
        rank: r, from 1 to N.
        bound: no Ψ has a smaller ‖R x‖².
        allowed: what it may be above that, > 0.
        max_iterations: of each ρ.

    Returns:
        V (N, r) with rows of norm 1/√N.
    """
    M, V, rho = R.T @ R, _leading(near, rank), FIRST / allowed
    for _ in range(ATTEMPTS):
        value, V = _descend(M, lags, V, -np.inf, max_iterations, (rho, near))
        if value <= bound + allowed:
            break
        rho *= GROWTH
    return V


def _leading(Psi: Complex, rank: int) -> Complex:
    """[√λ_1 u_1, …, √λ_r u_r] of the largest eigenvalues, (N, r)."""
    eigenvalues, vectors = np.linalg.eigh(Psi)
    V: Complex = vectors[:, ::-1][:, :rank] * np.sqrt(np.maximum(eigenvalues[::-1][:rank], 0))
    # a row of zeros has no direction to scale; 1e-6 is far below any row that matters
    V[:, 0] += 1e-6 * (np.linalg.norm(V, axis=1) < 1e-9)
    return V


def _chirps(N: int, rank: int) -> Complex:
    """Quadratic phases of different rates, (N, r): flat in magnitude and spread over all angles."""
    n, k = np.arange(N)[:, None], np.arange(rank)
    return np.exp(1j * np.pi * (n * n / N * (0.5 + 0.37 * k) + 0.61 * n * k)) / np.sqrt(N * rank)


def _descend(
    M: Real,
    lags: Lags,
    V: Complex,
    target: float,
    max_iterations: int,
    near: tuple[float, Complex] | None = None,
) -> tuple[float, Complex]:
    """(‖R x‖², V): L-BFGS from V until the target, a vanishing gradient or max_iterations.

    With `near` = (ρ, Ψ_0) of ‖R x‖² + ‖V Vᴴ − Ψ_0‖²/ρ.
    """
    from scipy.optimize import minimize  # its import takes longer than most problems

    N, rank = V.shape

    def stop(intermediate_result: Any) -> None:
        if intermediate_result.fun <= target:
            raise StopIteration

    def value_and_gradient(u: Any) -> Any:
        value, gradient = _value_and_gradient(u, M, lags, rank)
        if near is None:
            return value, gradient
        distance, slope = _distance_and_gradient(u, near[1], rank)
        return value + distance / near[0], gradient + slope / near[0]

    limits = {"maxiter": max_iterations, "maxfun": 4 * max_iterations, "maxcor": 20}
    options: Any = limits | {"gtol": 1e-12, "ftol": 1e-14}
    start = np.ascontiguousarray(V * np.sqrt(N)).view(float).ravel()
    found: Any = minimize(
        value_and_gradient, start, jac=True, method="L-BFGS-B", callback=stop, options=options
    )
    value = float(found.fun) if near is None else _value_and_gradient(found.x, M, lags, rank)[0]
    return value, _scaled(found.x, N, rank)[0]


def _scaled(u: Real, N: int, rank: int) -> tuple[Complex, Real]:
    """V (N, r) with rows of norm 1/√N from 2 N r reals, and what each row was divided by, (N, 1)."""
    U = u.view(complex).reshape(N, rank)
    norms = np.linalg.norm(U, axis=1, keepdims=True) * np.sqrt(N)
    return U / norms, norms


def _value_and_gradient(u: Real, M: Real, lags: Lags, rank: int) -> tuple[float, Real]:
    """xᵀ M x and its gradient in the 2 N r reals of the unscaled rows; O(r N² + D²)."""
    N = len(lags.which)
    V, norms = _scaled(u, N, rank)
    x = lags.sums(V @ V.conj().T)
    y = 2 * (M @ x)
    # d f = <G, d(V V^H)> = 2 Re <G V, dV>
    return float(x @ y) / 2, _through_scaling(2 * (lags.adjoint(y) @ V), V, norms)


def _distance_and_gradient(u: Real, near: Complex, rank: int) -> tuple[float, Real]:
    """‖V Vᴴ − Ψ_0‖² and its gradient in the 2 N r reals of the unscaled rows."""
    V, norms = _scaled(u, len(near), rank)
    E = V @ V.conj().T - near
    return float(np.vdot(E, E).real), _through_scaling(4 * (E @ V), V, norms)


def _through_scaling(D: Complex, V: Complex, norms: Real) -> Real:
    """The gradient in the unscaled rows from that in V: only the part of D across each row counts."""
    D = (D - V * (len(V) * np.sum((V.conj() * D).real, axis=1, keepdims=True))) / norms
    return np.ascontiguousarray(D).view(float).ravel()
