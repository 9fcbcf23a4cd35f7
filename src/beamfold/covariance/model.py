"""The sensing covariance problem (6): pattern fit, its lag form, and an optimality certificate.

Model. For a half-wavelength ULA, ā(θ) = [1, e^{jπs}, …, e^{j(N−1)πs}]ᵀ with s = sin θ, problem (6) at
P_t = 1 is

    minimise over α, Ψ   Σ_t | α P_d(θ_t) − ā(θ_t)ᴴ Ψ ā(θ_t) |²
    subject to           diag Ψ = 1/N,  Ψ Hermitian, Ψ ⪰ 0.

Lag form. āᴴ Ψ ā = Σ_d ρ_d e^{jπds} with ρ_d = Σ_m Ψ[m, m+d], so the pattern is p = A x with
x = (ρ_0, Re ρ_1…, Im ρ_1…), 2N−1 reals. The best α is P_dᵀ p / P_dᵀ P_d, which leaves f(Ψ) = ‖Q A x‖²
with the projector Q = I − P_d P_dᵀ / (P_dᵀ P_d).

Certificate. Take any q with Q q = q and any real ν. From ‖Q p′ − c q‖² ≥ 0, for every feasible Ψ′ and
every real c ≥ 0,

    f(Ψ′) ≥ 2 c qᵀ p′ − c² ‖q‖² = c ⟨G, Ψ′⟩ − c² ‖q‖²,  G = 2 Σ_t q_t ā_t ā_tᴴ,
    ⟨G, Ψ′⟩ = Σν/N + ⟨G − Diag ν, Ψ′⟩  ≥  b = Σν/N + min(0, λ_min(G − Diag ν)),

the last step because tr Ψ′ = 1. The best c gives f* ≥ max(b, 0)² / (4 ‖q‖²). At the optimum q = Q p,
ν_n = N Re (G Ψ)_nn, and the bound equals f.

Angles are radians unless a name says degrees; Ψ scales with P_t, and f with P_t².
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from beamfold.errors import InputError
from beamfold.geometry import lag_basis

Real: TypeAlias = NDArray[np.float64]
Complex: TypeAlias = NDArray[np.complex128]


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


def desired_pattern(
    targets_deg: Sequence[float] | Real, T: int = 181, width_deg: float = 5.0
) -> tuple[Real, Real]:
    """P_d(θ_t) = 1 where |θ_t − θ̂_p| ≤ width/2 for a target p, else 0, Eq. (27), on T angles over ±90°.

    Args:
        targets_deg: θ̂_p in degrees, in any order.
        T: angles of the uniform grid, both ends included.
        width_deg: full width of a mainlobe in degrees.

    Returns:
        P_d (T,) and the grid θ (T,) in radians.

    Raises:
        InputError: no target, a target outside ±90°, two targets nearer than the width (their mainlobes
            would overlap), or a grid so coarse that a mainlobe holds no angle.
    """
    targets = np.sort(np.atleast_1d(np.asarray(targets_deg, dtype=float)))
    if targets.ndim != 1 or targets.size == 0 or not np.all(np.isfinite(targets)):
        raise InputError("targets must be a non-empty list of finite angles in degrees")
    if np.abs(targets).max() > 90:
        raise InputError(f"target at {targets[np.abs(targets).argmax()]:g} degrees: outside [-90, 90]")
    if not (np.isfinite(width_deg) and width_deg > 0):
        raise InputError(f"width of {width_deg} degrees: must be positive")
    if not np.isfinite(T) or int(T) != T or T < 2:
        raise InputError(f"T = {T} angles: must be an integer of at least 2")
    closest = np.diff(targets).min() if targets.size > 1 else np.inf
    if closest < width_deg:
        raise InputError(f"targets {closest:g} degrees apart overlap: mainlobes are {width_deg:g} wide")
    angles = np.linspace(-90.0, 90.0, int(T))
    # 1e-9 degrees: an angle on the edge of a mainlobe counts as inside whatever its rounding
    inside = np.abs(angles[:, None] - targets) <= width_deg / 2 + 1e-9
    if not inside.any(axis=0).all():
        missed = targets[~inside.any(axis=0)][0]
        raise InputError(f"no angle of the {T}-angle grid lies in the mainlobe of the target at {missed:g}")
    return inside.any(axis=1).astype(float), np.deg2rad(angles)


def check_antennas(N: int) -> int:
    """N as an int.

    Raises:
        InputError: N is not an integer of at least 1.
    """
    if not np.isfinite(N) or int(N) != N or N < 1:
        raise InputError(f"N = {N} antennas: must be an integer of at least 1")
    return int(N)


def check_problem(pattern: ArrayLike, grid_rad: ArrayLike, N: int) -> tuple[Real, Real, int]:
    """sin θ_{t+1} − sin θ_t < 2/N for all t, cyclically: the grid must see every beam.

    A beam of N elements is 4/N wide between its nulls in s = sin θ, so where neighbouring angles are 2/N
    or more apart in s (which has period 2) a beam between them vanishes at both: the fit is blind to it
    and its optimum means nothing. A uniform grid over 180° passes when T > 1 + πN/2. Below a step of
    1/(N−1), T > 1 + π(N−1), the samples fix the pattern everywhere; between the two the fit reads
    somewhat better on the grid than off it (docs/covariance.md has figures).

    Args:
        pattern: P_d (T,) ≥ 0, not all zero.
        grid_rad: (T,) radians, increasing within ±π/2.
        N: antennas.

    Returns:
        The pattern and the grid as float arrays, and N as an int.

    Raises:
        InputError: in one line, what does not fit.
    """
    N = check_antennas(N)
    pattern = np.asarray(pattern, dtype=float).ravel()
    grid = np.asarray(grid_rad, dtype=float).ravel()
    if pattern.shape != grid.shape or grid.size < 2:
        raise InputError(f"pattern has {pattern.size} values for {grid.size} grid angles")
    if not (np.all(np.isfinite(pattern)) and np.all(np.isfinite(grid))):
        raise InputError("pattern and grid must be finite")
    if np.any(pattern < 0):
        raise InputError("pattern must not be negative")
    if not np.any(pattern > 0):
        raise InputError("pattern is empty: no grid angle is wanted")
    if np.abs(grid).max() > np.pi / 2 + 1e-9 or np.any(np.diff(grid) <= 0):
        raise InputError("grid must increase strictly within [-pi/2, pi/2] (radians)")
    s = np.sin(grid)
    step = max(np.diff(s).max(), s[0] + 2 - s[-1])
    if step >= 2 / N:
        raise InputError(
            f"grid too coarse for N = {N}: a step of {step:.4f} in sin(theta) hides a whole beam "
            f"(2/N = {2 / N:.4f}); a uniform grid needs T >= {int(np.floor(1 + np.pi * N / 2)) + 1}"
        )
    return pattern, grid, N


def lag_sums(Psi: Complex) -> Real:
    """x = (ρ_0, Re ρ_d, Im ρ_d) with ρ_d = Σ_m Ψ[m, m+d], (2N−1,), of a Hermitian Ψ (N, N)."""
    N = len(Psi)
    # rows padded to 2N and read as rows of 2N+1 slide row m left by m: diagonals become columns
    padded = np.zeros(N * (2 * N + 1), dtype=complex)
    padded[: 2 * N * N].reshape(N, 2 * N)[:, :N] = Psi
    rho = padded.reshape(N, 2 * N + 1)[:, :N].sum(axis=0)
    return np.concatenate([rho.real, rho[1:].imag])


def lag_adjoint(y: Real, N: int) -> Complex:
    """The Hermitian Toeplitz G (N, N) with ⟨G, Ψ⟩ = yᵀ lag_sums(Ψ) for every Hermitian Ψ; y (2N−1,)."""
    from scipy.linalg import toeplitz  # a Ψ that is read from a file does without SciPy

    row = np.empty(N, dtype=complex)
    row[0] = y[0]
    row[1:] = (y[1:N] + 1j * y[N:]) / 2
    return toeplitz(row.conj(), row)


def _steering(grid_rad: Real, N: int) -> Complex:
    """[ā(θ_1) … ā(θ_T)], (N, T): unit-modulus entries, √N times the steering vectors of (3)."""
    return np.exp(1j * np.pi * np.outer(np.arange(N), np.sin(grid_rad)))


def fit(pattern: Real, grid_rad: Real, Psi: Complex) -> tuple[float, Real, float]:
    """α = P_dᵀ p / P_dᵀ P_d with p_t = ā_tᴴ Ψ ā_t, from the definition.

    Returns:
        α, the residual q = Q p (T,), and the objective f = ‖q‖².
    """
    steering = _steering(grid_rad, len(Psi))
    p = np.einsum("nt,nt->t", steering.conj(), Psi @ steering).real
    alpha = float(pattern @ p / (pattern @ pattern))
    residual = p - alpha * pattern
    return alpha, residual, float(residual @ residual)


def dual_bound(pattern: Real, grid_rad: Real, N: int, dual: Dual) -> tuple[float, float]:
    """max(b, 0)² / (4 ‖q‖²) ≤ f*, b = Σν/N + min(0, λ_min(G − Diag ν)), for any q and ν.

    Returns:
        The bound and λ_min(G − Diag ν).
    """
    q = dual.q - pattern * (pattern @ dual.q) / (pattern @ pattern)
    steering = _steering(grid_rad, N)
    slack = 2 * (steering * q) @ steering.conj().T
    slack[np.diag_indices(N)] -= dual.nu
    eigenvalues = np.linalg.eigvalsh(slack)
    # eigvalsh is backward stable: its error is below N eps ||slack||, counted against the bound
    least = eigenvalues[0] - N * np.finfo(float).eps * np.abs(eigenvalues).max()
    bound = float(np.sum(dual.nu)) / N + min(0.0, float(least))
    square = float(q @ q)
    return (max(bound, 0.0) ** 2 / (4 * square) if square > 0 else 0.0), float(eigenvalues[0])


def certify(pattern: Real, grid_rad: Real, Psi: Complex, dual: Dual | None = None) -> Certificate:
    """(f(Ψ) − bound) / max(f, 10⁻³ T): how far from optimal Ψ is at most, whatever solver made it.

    Where f is below 10⁻³ T the pattern is met within 3 % of the isotropic level (1 at P_t = 1), and a gap
    relative to f says nothing. Dense steering vectors only: no code in common with the fast solver's
    steps.

    Args:
        pattern: P_d (T,).
        grid_rad: (T,) radians.
        Psi: (N, N), feasible; the certificate says by how much it is not.
        dual: any multipliers give a true bound, poor ones a loose bound. Without them both come from Ψ
            alone: q = Q p, ν_n = N Re (G Ψ)_nn.

    Returns:
        A `Certificate`.
    """
    N = len(Psi)
    alpha, residual, objective = fit(pattern, grid_rad, Psi)
    if dual is None:
        y = 2 * lag_basis(grid_rad, N).T @ residual
        dual = Dual(residual, N * np.einsum("mn,nm->m", lag_adjoint(y, N), Psi).real)
    lower, slack = dual_bound(pattern, grid_rad, N, dual)
    return Certificate(
        objective=objective,
        lower_bound=lower,
        gap=max(0.0, objective - lower) / max(objective, 1e-3 * len(pattern)),
        alpha=alpha,
        least_eigenvalue=float(np.linalg.eigvalsh(Psi)[0]),
        diagonal_error=float(np.abs(np.diag(Psi) - 1 / N).max()),
        least_slack_eigenvalue=slack,
    )
