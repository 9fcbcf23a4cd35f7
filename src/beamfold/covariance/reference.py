"""Reference solver of the sensing covariance problem (6): the problem as written, in CVXPY.

    minimise over α, Ψ   Σ_t | α P_d(θ_t) − ā(θ_t)ᴴ Ψ ā(θ_t) |²
    subject to           diag Ψ = 1/N,  Ψ Hermitian, Ψ ⪰ 0    (P_t = 1)

Slow and plain on purpose: it is what covariance.fast is checked against. The pattern goes through Ψ's real
lag sums x (pattern = A x, arrays.lags), an identity that spares CVXPY an expression of T N² terms. Two
formulations, of which "centro" is the default where the array allows it:

    "hermitian"  Ψ an N × N Hermitian variable, as in the paper; the solvers see a real 2N × 2N cone.
    "centro"     for arrays that are their own point reflection: Ψ = U Z Uᴴ with Z real symmetric N × N, U the
                 fixed unitary of covariance.centro. Nothing is lost: Ψ → J Ψ* J changes neither objective nor
                 constraints, so the mean of a minimiser and its image, which has this form, is a minimiser. N
                 = 64, T = 181: Clarabel 4 s instead of 100 s, SCS 0.9 s instead of 5 s.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.sparse as sp

from beamfold.arrays.lags import Lags
from beamfold.covariance.centro import to_complex
from beamfold.covariance.certificate import fit
from beamfold.covariance.interior import reflects
from beamfold.covariance.problem import Complex, Problem
from beamfold.errors import InputError

Formulation = Literal["hermitian", "centro"]


class Reference(NamedTuple):
    """A solver's Ψ after the clean-up, and how far from feasible it was before."""

    Psi: Complex
    """(N, N)."""
    alpha: float
    objective: float
    raw_least_eigenvalue: float
    raw_diagonal_error: float


def reference_covariance(
    problem: Problem,
    solver: str = "CLARABEL",
    formulation: Formulation | None = None,
    **options: Any,
) -> Reference:
    """Ψ of (6) at P_t = 1 by a general conic solver.

    Clean-up of the solver's Ψ: Hermitian part, negative eigenvalues set to zero, then
    D^{−1/2} Ψ D^{−1/2} / N for the diagonal; the objective is that of the cleaned Ψ.

    Args:
        problem: (6), from `problem.check_problem` or `problem.problem_of`.
        solver: "CLARABEL" or "SCS".
        formulation: "hermitian" or "centro"; default "centro" where the array is its own point reflection.
        options: go to the solver unchanged.

    Returns:
        A `Reference`.

    Raises:
        InputError: bad input, in one line.
        RuntimeError: the solver stopped short of its own accuracy (a status other than "optimal"), or its
            Ψ is further than 1e-4/N from feasible; states the status and the residuals.
    """
    formulation = formulation or ("centro" if reflects(problem.array) else "hermitian")
    if solver not in ("CLARABEL", "SCS"):
        raise InputError(f"solver {solver!r}: must be 'CLARABEL' or 'SCS'")
    if formulation not in ("hermitian", "centro"):
        raise InputError(f"formulation {formulation!r}: must be 'hermitian' or 'centro'")
    if formulation == "centro" and not reflects(problem.array):
        raise InputError("the formulation 'centro' needs an array that is its own point reflection")

    cp = _cvxpy()
    matrix, constraints, lags = (_hermitian if formulation == "hermitian" else _centro)(cp, problem.lags)
    alpha = cp.Variable()
    A = problem.lags.basis(problem.cosines)
    x = cp.Variable(A.shape[1])  # its own variable keeps A (dense) away from N^2 unknowns
    error = cp.sum_squares(alpha * problem.pattern - A @ x)
    # Clarabel stalls at "optimal_inaccurate" on the sum but not on the mean; SCS's relative
    # accuracy is better on the sum
    scale = 1 / problem.samples if solver == "CLARABEL" else 1.0
    program = cp.Problem(cp.Minimize(scale * error), [*constraints, x == lags])
    try:
        with warnings.catch_warnings():  # "may be inaccurate": the status says so, and raises
            warnings.filterwarnings("ignore", message="Solution may be inaccurate")
            program.solve(solver=solver, **options)
    except cp.error.SolverError as failure:
        raise RuntimeError(f"{solver} failed: {failure}") from failure
    story = f"{solver} stopped with status {program.status!r} ({_own_residuals(program)})"
    if matrix.value is None:
        raise RuntimeError(f"{story}: no Psi")
    raw = matrix.value if formulation == "hermitian" else to_complex(matrix.value)
    return _checked(raw, problem, story, program.status)


def _cvxpy() -> Any:
    """CVXPY, imported where it is needed (1 s); as Any, for its functions are not typed."""
    return importlib.import_module("cvxpy")


def _hermitian(cp: Any, lags: Lags) -> tuple[Any, list[Any], Any]:
    """Ψ as a variable, its constraints, and its lag sums x as expressions."""
    N = len(lags.which)
    matrix = cp.Variable((N, N), hermitian=True)
    rho = _lag_operator(lags) @ cp.vec(matrix, order="F")
    sums = cp.hstack([cp.real(rho), cp.imag(rho)[1:]])
    return matrix, [matrix >> 0, cp.real(cp.diag(matrix)) == 1 / N], sums


def _centro(cp: Any, lags: Lags) -> tuple[Any, list[Any], Any]:
    """Z of Ψ = U Z Uᴴ as a variable, its constraints, and Ψ's lag sums x as expressions."""
    N = len(lags.which)
    U = _centro_basis(N)
    matrix = cp.Variable((N, N), PSD=True)
    expand = sp.kron(U.conj(), U, format="csr")  # vec(U Z U^H) = (conj(U) kron U) vec(Z)
    z = cp.vec(matrix, order="F")
    # the diagonal is real and mirror-symmetric by construction: its first half says it all
    diagonal = expand[np.arange((N + 1) // 2) * (N + 1)].real
    rho = _lag_operator(lags) @ expand
    return matrix, [diagonal @ z == 1 / N], cp.hstack([rho.real @ z, (rho.imag @ z)[1:]])


def _own_residuals(program: Any) -> str:
    """The solver's own primal and dual residuals in words; CVXPY passes on SCS's, not Clarabel's."""
    info = (program.solver_stats.extra_stats or {}).get("info")
    if info is None:
        return f"after {program.solver_stats.num_iters} iterations"
    return f"primal residual {info['res_pri']:.1e}, dual residual {info['res_dual']:.1e}"


def _checked(raw: Complex, problem: Problem, story: str, status: str) -> Reference:
    """The cleaned Ψ as a Reference, or RuntimeError that tells the story and the residuals."""
    N = len(raw)
    raw = (raw + raw.conj().T) / 2
    diagonal_error = float(np.abs(np.diag(raw).real - 1 / N).max())
    eigenvalues, vectors = np.linalg.eigh(raw)
    least = float(eigenvalues[0])
    if status != "optimal" or diagonal_error > 1e-4 / N or least < -1e-4 / N:
        raise RuntimeError(f"{story}: diagonal off by {diagonal_error:.1e}, least eigenvalue {least:.1e}")
    Psi = (vectors * np.maximum(eigenvalues, 0)) @ vectors.conj().T
    scale = 1 / np.sqrt(np.diag(Psi).real * N)
    Psi = Psi * scale[:, None] * scale
    Psi = (Psi + Psi.conj().T) / 2
    Psi[np.diag_indices(N)] = 1 / N
    if np.linalg.eigvalsh(Psi)[0] < -1e-9:
        raise RuntimeError(f"{story}: Psi still indefinite after the clean-up")
    alpha, _, objective = fit(problem, Psi)
    return Reference(Psi, alpha, objective, least, diagonal_error)


def _lag_operator(lags: Lags) -> sp.csr_matrix:
    """Sparse (D, N²): ρ_d = Σ Ψ_mn over p_n − p_m = Δ_d, from vec Ψ (column-major)."""
    N = len(lags.which)
    rows, columns = np.nonzero(lags.which >= 0)
    place = (lags.which[rows, columns], rows + N * columns)
    return sp.csr_matrix((np.ones(rows.size), place), (lags.count, N * N))


def _centro_basis(N: int) -> sp.csr_matrix:
    """The unitary U (N, N) of covariance.centro, sparse: U Z Uᴴ is centro-Hermitian for real Z."""
    n = N // 2
    upper = np.hstack([np.eye(n), np.zeros((n, N % 2)), 1j * np.eye(n)])
    middle = np.zeros((N % 2, N), dtype=complex)
    middle[:, n] = np.sqrt(2)
    return sp.csr_matrix(np.vstack([upper, middle, upper[::-1].conj()]) / np.sqrt(2))
