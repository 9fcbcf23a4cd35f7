"""The interior-point method behind the fast solver of (6).

Dual of (6), with x the lag vector, M = Aᵀ Q A / T = Rᵀ R and T(y) the Hermitian adjoint of the lag sums
(covariance.problem and arrays.lags have the notation):

    maximise  −‖w‖² + Σν/N   subject to   S = T(2 Rᵀ w) − Diag ν ⪰ 0,

with w = R x at the optimum. Only 2D−1 + N multipliers for D lags, whatever the number of samples is. On the
central path Ψ S = μ I, diag Ψ = 1/N, w = R x(Ψ), and the gap is exactly μ N. Each step is a Mehrotra
predictor-corrector along the HKM direction. Two structures make a step cheap:

* on a uniform grid of elements the Newton matrix is a cross-correlation (covariance.newton);
* where reversing the order of the antennas is a point reflection of the array, as on every uniform grid, (6)
  does not change under Ψ → J Ψ* J (J reverses), nor does the start, so the iterates are centro-Hermitian; a
  fixed unitary U makes them real symmetric, and ν symmetric (covariance.centro). Other arrays are solved in
  complex arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from beamfold.arrays import Array
from beamfold.arrays.base import NEAR
from beamfold.covariance.centro import to_complex, to_real
from beamfold.covariance.newton import DenseTraces, GridTraces
from beamfold.covariance.problem import Complex, Problem, Real

CholeskyFactor = tuple[Real, bool]
Matrix = Real | Complex
"""A symmetric or a Hermitian matrix: what X and S are in the form of the array."""


def square_root(B: Real) -> Real:
    """R (k, L) with Rᵀ R = Bᵀ B up to 1e-13 of the largest eigenvalue, of B (T, L); k ≤ min(T, L).

    B is nearly rank deficient where the angles crowd (end-fire), so the tail is dropped.
    """
    if len(B) < B.shape[1]:
        eigenvalues, vectors = np.linalg.eigh(B @ B.T)
        keep = eigenvalues > max(1e-13 * eigenvalues[-1], 1e-300)
        return vectors[:, keep].T @ B
    eigenvalues, vectors = np.linalg.eigh(B.T @ B)
    keep = eigenvalues > max(1e-13 * eigenvalues[-1], 1e-300)
    return np.sqrt(eigenvalues[keep])[:, None] * vectors[:, keep].T


class Form:
    """In which arithmetic the matrices of an array's (6) are kept, and its lags and traces.

    Real symmetric where the array is its own point reflection (`centro`), else complex Hermitian.
    """

    def __init__(self, R: Real, problem: Problem) -> None:
        """R (k, 2D − 1) with ‖R x‖² = f/T."""
        self.R, self.RT, self.lags = R, np.ascontiguousarray(R.T), problem.lags
        self.antennas, lattice = problem.antennas, problem.array.lattice
        self.centro = reflects(problem.array)
        self.traces = (
            DenseTraces(R, self.lags) if lattice is None else GridTraces(R, self.lags, lattice.shape)
        )

    def inside(self, Z: Complex) -> Matrix:
        """A Hermitian Z (N, N) in the form."""
        return to_real(Z) if self.centro else Z

    def outside(self, X: Matrix) -> Complex:
        """The inverse of `inside`."""
        return to_complex(X) if self.centro else X  # type: ignore[arg-type, return-value]

    def fold(self, v: Real) -> Real:
        """v (N, …) on the free multipliers of the diagonal: mirror rows summed where ν is symmetric."""
        return _fold(v) if self.centro else v

    def unfold(self, nu: Real) -> Real:
        """ν (N,) from the free ones."""
        return _unfold(nu, self.antennas) if self.centro else nu

    def slack(self, w: Real, nu: Real) -> Matrix:
        """T(2 Rᵀ w) − Diag ν in the form, (N, N); ν by its free entries."""
        N = self.antennas
        S = self.inside(self.lags.adjoint(2 * (self.RT @ w)))
        S[np.diag_indices(N)] -= np.concatenate([nu, nu[: N // 2]]) if self.centro else nu
        return S

    def fitted(self, Psi: Complex) -> Real:
        """R x(Ψ)."""
        return self.R @ self.lags.sums(Psi)


def reflects(array: Array) -> bool:
    """Whether p_n + p_{N−1−n} is the same for all n."""
    p = array.positions.numpy()
    total = p + p[::-1]
    return bool(np.abs(total - total[0]).max() <= NEAR)


def interior_point(
    R: Real, problem: Problem, goal: float, max_iterations: int = 60
) -> tuple[Complex, Real, Real, int]:
    """(Ψ, w, ν) with (primal − dual) / max(primal, 10⁻³) ≤ goal, or as near as rounding allows.

    Args:
        R: (k, 2D−1) with ‖R x‖² = f/T, as `square_root` gives it.
        problem: (6).
        goal: the relative gap to stop at.
        max_iterations: after which to stop anyway.

    Returns:
        Ψ (N, N), w (k,), ν (N,) and the number of steps taken.
    """
    form = Form(R, problem)
    point, steps = _start(form), 0
    while point.gap(form, goal) > goal and steps < max_iterations:
        try:
            point = _Newton(point, form).advance()
        except np.linalg.LinAlgError:  # rounding: the caller's certificate judges what is there
            break
        steps += 1
    return form.outside(point.X), point.w, form.unfold(point.half), steps


@dataclass(frozen=True, eq=False)
class _Point:
    """An iterate in its form: X = Ψ and S (N, N), w (k,), the free entries of ν."""

    X: Matrix
    S: Matrix
    w: Real
    half: Real

    def gap(self, form: Form, goal: float) -> float:
        """(primal − dual) / max(primal, 10⁻³); infinite while diag Ψ is off by more than rounding."""
        N = len(self.X)
        Psi = form.outside(self.X)
        fitted = form.fitted(Psi)
        primal, dual = fitted @ fitted, self.half @ form.fold(np.full(N, 1 / N)) - self.w @ self.w
        if np.abs(N * np.diag(Psi).real - 1).max() >= max(1e-9, 0.01 * goal):
            return np.inf
        return float(primal - dual) / max(float(primal), 1e-3)


class _Newton:
    """The linearised equations at a point, factored once for both directions of a step."""

    def __init__(self, point: _Point, form: Form) -> None:
        self.point, self.form = point, form
        self.LX, self.LS = _cholesky(point.X), _cholesky(point.S)
        self.Y: Matrix = np.linalg.inv(point.S)  # type: ignore[assignment]
        self.factor = _factor(newton_matrix(form, form.outside(point.X), form.outside(self.Y)))

    def direction(self, mu: float, correction: Matrix | float) -> tuple[Real, Matrix, Matrix]:
        """(d(w, free ν), dS, dX) towards X S = μ I, less the correction of second order."""
        X, w, Y, form = self.point.X, self.point.w, self.Y, self.form
        N, k = len(X), len(form.R)
        aim: Matrix = mu * Y - correction  # type: ignore[assignment]  # what X + dX would be if S stood still
        full = form.outside(aim)
        right = np.concatenate([2 * (form.fitted(full) - w), form.fold(1 / N - np.diag(full).real)])
        step = scipy.linalg.cho_solve(self.factor, right, check_finite=False)
        dS = form.slack(step[:k], step[k:])
        XdSY = X @ (dS @ Y)
        return step, dS, aim - X - (XdSY + XdSY.conj().T) / 2

    def advance(self) -> _Point:
        """The next point: a predictor that measures how far μ can fall, then the corrected step."""
        X, S = self.point.X, self.point.S
        N, k = len(X), len(self.form.R)
        mu = _inner(X, S) / N
        step, dS, dX = self.direction(0.0, 0.0)
        ahead = _inner(X + _reach(self.LX, dX, 1.0) * dX, S + _reach(self.LS, dS, 1.0) * dS) / N
        sigma = min(1.0, max((ahead / mu) ** 2, 1e-3))
        second = dX @ dS @ self.Y
        step, dS, dX = self.direction(sigma * mu, (second + second.conj().T) / 2)
        tX, tS = _reach(self.LX, dX, 0.95), _reach(self.LS, dS, 0.95)
        return _Point(X + tX * dX, S + tS * dS, self.point.w + tS * step[:k], self.point.half + tS * step[k:])


def _start(form: Form) -> _Point:
    """Ψ = I/N and a ν that puts S well inside the cone."""
    N = form.antennas
    Psi = np.eye(N, dtype=np.complex128) / N
    w = form.fitted(Psi)
    eigenvalues = np.linalg.eigvalsh(form.lags.adjoint(2 * form.RT @ w))
    nu = eigenvalues[0] - 0.5 * (eigenvalues[-1] - eigenvalues[0]) - 0.1
    half = np.full((N + 1) // 2 if form.centro else N, nu)
    return _Point(form.inside(Psi), form.slack(w, half), w, half)


def newton_matrix(form: Form, Psi: Complex, Y: Complex) -> Real:
    """The symmetric positive definite matrix of a step in (w, free ν); Ψ and Y = S⁻¹ complex (N, N)."""
    lags, cross = form.traces(Psi, Y, form.fold)
    k, h = len(lags), len(cross)
    K = np.empty((k + h, k + h))
    K[:k, :k] = 4 * lags
    K[np.arange(k), np.arange(k)] += 2
    K[k:, :k] = -2 * cross
    K[:k, k:] = K[k:, :k].T
    K[k:, k:] = form.fold(form.fold((Psi.conj() * Y).real).T)
    return K


def _factor(K: Real) -> CholeskyFactor:
    """Cholesky factor of K, nudged by 1e-12, 1e-10 or 1e-8 of its diagonal if rounding needs it.

    Near a degenerate optimum K's condition passes 1/eps; the nudged step still points inwards, and what it
    leaves of the equations the next step takes up.
    """
    scale = np.diag(K).copy()
    for nudge in (0.0, 1e-12, 1e-10):
        try:
            return scipy.linalg.cho_factor(K + np.diag(nudge * scale), lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            continue
    return scipy.linalg.cho_factor(K + np.diag(1e-8 * scale), lower=True, check_finite=False)


def _cholesky(A: Matrix) -> Matrix:
    """L with L Lᴴ = A; LinAlgError where A is not positive definite."""
    return np.asarray(np.linalg.cholesky(A))


def _inner(A: Matrix, B: Matrix) -> float:
    """⟨A, B⟩ = Re tr(Aᴴ B)."""
    return float(np.vdot(A, B).real)


def _reach(L: Matrix, D: Matrix, share: float) -> float:
    """min(1, share · the largest t with L Lᴴ + t D ⪰ 0)."""
    B = scipy.linalg.solve_triangular(L, D, lower=True, check_finite=False)
    B = scipy.linalg.solve_triangular(L, B.conj().T, lower=True, check_finite=False)
    least = scipy.linalg.eigvalsh((B + B.conj().T) / 2, subset_by_index=[0, 0], check_finite=False)[0]
    return 1.0 if least >= -share else float(-share / least)


def _fold(v: Real) -> Real:
    """Sums of mirror rows v[n] + v[N−1−n] for the first ⌈N/2⌉ n (a middle row once)."""
    N = len(v)
    folded = v[: (N + 1) // 2] + v[::-1][: (N + 1) // 2]
    if N % 2:
        folded[-1] /= 2
    return folded


def _unfold(half: Real, N: int) -> Real:
    """ν (N,) from its first ⌈N/2⌉."""
    return np.concatenate([half, half[: N // 2][::-1]])
