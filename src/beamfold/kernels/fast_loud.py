r"""Users far above the noise: the kernel designs for weaker ones, then W meets the true noise.

Far above the noise R grows by log₂ of P_t ‖h_k‖²/σ² whatever {F, W} is, so that the best F hardly depends on
it. The condition of the problem does: interference counts once it reaches the noise, the least step of F
turns some of the signal into it, and quasi-Newton steps no longer find the nulls. So the kernel scales the
channel of a user with P_t ‖h_k‖²/σ² above a limit down to that limit. W then takes out the interference that
this leaves at the true noise: with X in units of √P_t, C = H F √P_t/σ and O = C W off its diagonal, 0 on it,
D minimises

    ‖C D + O‖² + K ‖F D‖²,      W ← W + D,

as in regularised zero forcing. In the orthonormal basis Q of F = Q T, with G = H Q √P_t/σ, this is
D = −T^† Gᴴ (G Gᴴ + K I)⁻¹ O.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from beamfold.kernels.fast_workspace import Problem
from beamfold.objective import objective, rate
from beamfold.radar.goal import Goal

Complex = NDArray[np.complex128]
DEPENDENT = 1e-6
"""Singular values of F below this fraction of the largest count as 0."""


def value(
    F: Complex, W: Complex, H: Complex, U: Complex, problem: Problem, goal: Goal | None = None
) -> float:
    """f = R − ω τ of F (N, M), W (M, K) scaled to power P_t, for H (K, N) and Ψ ≈ U Uᴴ with U (N, r).

    R + ω c of another goal.
    """
    X = F @ W
    X /= np.linalg.norm(X)
    if goal is not None and problem.sensed is not None:
        h, x = torch.from_numpy(np.ascontiguousarray(problem.gain * H)), torch.from_numpy(X)
        c = goal.measure(x, torch.ones((), dtype=torch.float64)).value
        return float(rate(h, x) + problem.sensed.weight * c)
    Psi = U @ U.conj().T
    left_out = problem.square - float(np.linalg.norm(Psi)) ** 2
    h, x, psi = (torch.from_numpy(np.ascontiguousarray(Z)) for Z in (problem.gain * H, X, Psi))
    return float(objective(h, x, psi, 1.0, problem.omega)) - problem.omega * left_out


def deepen(F: Complex, W: Complex, H: Complex, power: float, gain: float) -> Complex:
    """W (M, K) with less interference at power P_t, for F (N, M), H (K, N), gain = √P_t/σ."""
    users = len(H)
    Q, sizes, turn = np.linalg.svd(F, full_matrices=False)
    kept = sizes > DEPENDENT * sizes[0]
    Q, sizes, turn = Q[:, kept], sizes[kept, None], turn[kept]
    Z = sizes * (turn @ W) / np.sqrt(power)
    C = gain * (H @ Q)
    left, strengths, right = np.linalg.svd(C, full_matrices=False)
    shrunk = (strengths / (strengths**2 + users))[:, None]
    for _ in range(2):  # the first pass leaves rounding of the interference that was there
        others = C @ Z
        np.fill_diagonal(others, 0)
        Z = Z - right.conj().T @ (shrunk * (left.conj().T @ others))
        Z /= np.linalg.norm(Z)
    return np.sqrt(power) * (turn.conj().T @ (Z / sizes))
