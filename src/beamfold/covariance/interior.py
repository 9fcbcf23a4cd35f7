"""The interior-point method behind the fast solver of (6).

Dual of (6), with x the lag vector, M = Aᵀ Q A / T = Rᵀ R and T(y) the Hermitian Toeplitz adjoint of the
lag sums (covariance.model has the notation):

    maximise  −‖w‖² + Σν/N   subject to   S = T(2 Rᵀ w) − Diag ν ⪰ 0,

with w = R x at the optimum. Only 2N−1 + N multipliers, whatever T is. On the central path Ψ S = μ I,
diag Ψ = 1/N, w = R x(Ψ), and the gap is exactly μ N. Each step is a Mehrotra predictor-corrector along
the HKM direction. Two structures make a step cheap:

* the Newton matrix holds tr(Ψ B_i S⁻¹ B_j) for B_i lag or diagonal matrices: all of it is one 2-D
  cross-correlation of Ψ and S⁻¹, O(N² log N) by FFT, instead of O(N⁴);
* (6) does not change under Ψ → J Ψ* J (J reverses the antennas), nor does the start, so the iterates are
  centro-Hermitian; a fixed unitary U makes them real symmetric, and ν symmetric (covariance.centro).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.linalg

from beamfold.covariance.centro import to_complex, to_real
from beamfold.covariance.model import Complex, Real, lag_adjoint, lag_sums

CholeskyFactor = tuple[Real, bool]


def square_root(B: Real) -> Real:
    """R (k, 2N−1) with Rᵀ R = Bᵀ B up to 1e-13 of the largest eigenvalue; k ≤ 2N−1.

    B is nearly rank deficient where the angles crowd (end-fire), so the tail is dropped.
    """
    eigenvalues, vectors = np.linalg.eigh(B.T @ B)
    keep = eigenvalues > max(1e-13 * eigenvalues[-1], 1e-300)
    return np.sqrt(eigenvalues[keep])[:, None] * vectors[:, keep].T


def interior_point(R: Real, N: int, goal: float, max_iterations: int = 60) -> tuple[Complex, Real, Real, int]:
    """(Ψ, w, ν) with (primal − dual) / max(primal, 10⁻³) ≤ goal, or as near as rounding allows.

    Args:
        R: (k, 2N−1) with ‖R x‖² = f/T, as `square_root` gives it.
        N: antennas.
        goal: the relative gap to stop at.
        max_iterations: after which to stop anyway.

    Returns:
        Ψ (N, N), w (k,), ν (N,) and the number of steps taken.
    """
    RT = np.ascontiguousarray(R.T)
    point, steps = _start(R, RT, N), 0
    while point.gap(R, goal) > goal and steps < max_iterations:
        try:
            point = _Newton(point, R, RT).advance()
        except np.linalg.LinAlgError:  # rounding: the caller's certificate judges what is there
            break
        steps += 1
    return to_complex(point.X), point.w, _unfold(point.half, N), steps


@dataclass(frozen=True, eq=False)
class _Point:
    """An iterate in real form: X = Uᴴ Ψ U and S (N, N), w (k,), the free half of ν."""

    X: Real
    S: Real
    w: Real
    half: Real

    def gap(self, R: Real, goal: float) -> float:
        """(primal − dual) / max(primal, 10⁻³); infinite while diag Ψ is off by more than rounding."""
        N = len(self.X)
        Psi = to_complex(self.X)
        fitted = R @ lag_sums(Psi)
        primal, dual = fitted @ fitted, self.half @ _fold(np.full(N, 1 / N)) - self.w @ self.w
        if np.abs(N * np.diag(Psi).real - 1).max() >= max(1e-9, 0.01 * goal):
            return np.inf
        return float(primal - dual) / max(float(primal), 1e-3)


class _Newton:
    """The linearised equations at a point, factored once for both directions of a step."""

    def __init__(self, point: _Point, R: Real, RT: Real) -> None:
        self.point, self.R, self.RT = point, R, RT
        self.LX, self.LS = _cholesky(point.X), _cholesky(point.S)
        self.Y: Real = np.asarray(np.linalg.inv(point.S), dtype=np.float64)
        self.factor = _factor(newton_matrix(to_complex(point.X), to_complex(self.Y), R, RT))

    def direction(self, mu: float, correction: Real | float) -> tuple[Real, Real, Real]:
        """(d(w, half of ν), dS, dX) towards X S = μ I, less the correction of second order."""
        X, w, Y = self.point.X, self.point.w, self.Y
        N, k = len(X), len(self.R)
        aim = mu * Y - correction  # what X + dX would be if S stood still
        full = to_complex(aim)
        right = np.concatenate([2 * (self.R @ lag_sums(full) - w), _fold(1 / N - np.diag(full).real)])
        step = scipy.linalg.cho_solve(self.factor, right, check_finite=False)
        dS = _slack(self.RT, step[:k], step[k:], N)
        XdSY = X @ (dS @ Y)
        return step, dS, aim - X - (XdSY + XdSY.T) / 2

    def advance(self) -> _Point:
        """The next point: a predictor that measures how far μ can fall, then the corrected step."""
        X, S = self.point.X, self.point.S
        N, k = len(X), len(self.R)
        mu = _inner(X, S) / N
        step, dS, dX = self.direction(0.0, 0.0)
        ahead = _inner(X + _reach(self.LX, dX, 1.0) * dX, S + _reach(self.LS, dS, 1.0) * dS) / N
        sigma = min(1.0, max((ahead / mu) ** 2, 1e-3))
        second = dX @ dS @ self.Y
        step, dS, dX = self.direction(sigma * mu, (second + second.T) / 2)
        tX, tS = _reach(self.LX, dX, 0.95), _reach(self.LS, dS, 0.95)
        return _Point(X + tX * dX, S + tS * dS, self.point.w + tS * step[:k], self.point.half + tS * step[k:])


def _start(R: Real, RT: Real, N: int) -> _Point:
    """Ψ = I/N and a ν that puts S well inside the cone."""
    Psi = np.eye(N, dtype=np.complex128) / N
    w = R @ lag_sums(Psi)
    eigenvalues = np.linalg.eigvalsh(lag_adjoint(2 * RT @ w, N))
    nu = eigenvalues[0] - 0.5 * (eigenvalues[-1] - eigenvalues[0]) - 0.1
    half = np.full((N + 1) // 2, nu)
    return _Point(to_real(Psi), _slack(RT, w, half, N), w, half)


def _slack(RT: Real, w: Real, half: Real, N: int) -> Real:
    """T(2 Rᵀ w) − Diag ν in real form, (N, N)."""
    S = to_real(lag_adjoint(2 * (RT @ w), N))
    S[np.diag_indices(N)] -= np.concatenate([half, half[: N // 2]])
    return S


def newton_matrix(Psi: Complex, Y: Complex, R: Real, RT: Real) -> Real:
    """The symmetric positive definite matrix of a step in (w, half of ν); Ψ, Y complex (N, N)."""
    N, k = len(Psi), len(R)
    fPsi, fY = scipy.fft.fft(Psi, 2 * N, axis=0), scipy.fft.fft(Y, 2 * N, axis=0)
    # E_d has ones at (m, m+d).  columns[d, n] = tr(Psi E_d Y e_n e_n^T)
    columns = scipy.fft.ifft(fY * fPsi.conj(), axis=0)
    # pairs[d, e] = tr(Psi E_d Y E_{-e})
    pairs = scipy.fft.ifft2(scipy.fft.fft(fY, 2 * N, axis=1) * scipy.fft.fft(fPsi, 2 * N, axis=1).conj())
    back = -np.arange(N)
    pp, mm = pairs[:N, :N], pairs[np.ix_(back, back)]
    pm, mp = pairs[:N, back], pairs[back, :N]
    # the lag basis is C_d = (E_d + E_{-d})/2 and S_d = j (E_d - E_{-d})/2
    H = np.empty((2 * N - 1, 2 * N - 1))
    H[:N, :N] = (pp + mm + pm + mp).real / 4
    H[N:, N:] = (pp + mm - pm - mp).real[1:, 1:] / 4
    H[:N, N:] = (pp + mp - pm - mm).imag[:, 1:] / 4
    H[N:, :N] = H[:N, N:].T
    cross = np.vstack([(columns[:N] + columns[back]).real / 2, (columns[back] - columns[:N]).imag[1:] / 2])
    h = (N + 1) // 2
    K = np.empty((k + h, k + h))
    K[:k, :k] = 4 * (R @ (H @ RT))
    K[np.arange(k), np.arange(k)] += 2
    K[k:, :k] = -2 * (_fold(cross.T) @ RT)
    K[:k, k:] = K[k:, :k].T
    K[k:, k:] = _fold(_fold((Psi.conj() * Y).real).T)
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


def _cholesky(A: Real) -> Real:
    """L with L Lᵀ = A; LinAlgError where A is not positive definite."""
    return np.asarray(np.linalg.cholesky(A), dtype=np.float64)


def _inner(A: Real, B: Real) -> float:
    """⟨A, B⟩ = tr(Aᵀ B)."""
    return float(np.vdot(A, B))


def _reach(L: Real, D: Real, share: float) -> float:
    """min(1, share · the largest t with L Lᵀ + t D ⪰ 0)."""
    B = scipy.linalg.solve_triangular(L, D, lower=True, check_finite=False)
    B = scipy.linalg.solve_triangular(L, B.T, lower=True, check_finite=False)
    least = scipy.linalg.eigvalsh((B + B.T) / 2, subset_by_index=[0, 0], check_finite=False)[0]
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
