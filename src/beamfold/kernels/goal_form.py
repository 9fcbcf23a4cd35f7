r"""What the compiled design needs of log₂ det J or Σ_i log₂ SCNR_i, in units in which all numbers are near 1.

∂ā is taken orthogonal to its ā, and ∂b̄ to its b̄: that adds multiples of the amplitude's own term b̄ āᴴ to
∂M/∂θ = α (∂b̄ āᴴ + b̄ ∂āᴴ), which changes no J. `fast_goal` has the formulas.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.fast_workspace import Problem, Sensed
from beamfold.kernels.linalg import Planes
from beamfold.kernels.planes import to_planes
from beamfold.radar.goal import Goal

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]


class GoalForm(NamedTuple):
    """What of a goal does not depend on X, for T targets with n angles and C patches of clutter."""

    columns: Complex
    """(N, T + n + C), [ā_1 … ā_T, ∂ā_1 … ∂ā_n, ā_c1 … ā_cC] of unit length."""
    products: Complex
    """(C + T + 2 n, C + T + 2 n), the Gram matrix of [√γ_c b̄_c, u_t]."""
    constant: float
    """What the goal is above the kernel's c, in bits: SNR, snapshots and units."""
    targets: int
    angles: int
    """n; 0 for SCNR."""
    clutter: int


@lru_cache(maxsize=16)
def goal_form(goal: Goal) -> GoalForm:
    """The form of a goal of flat channels."""
    scene = goal.scene
    T, n = scene.count, scene.count * scene.dims if goal.kind == "crb" else 0
    owner = np.arange(n) // scene.dims
    V, sent = _unit(scene.transmit.numpy()[:, : T + n], T, owner)
    U, heard = _unit(scene.received.numpy()[:, : T + n], T, owner)
    left, right = heard[T:] * sent[owner], heard[owner] * sent[T:]
    size = np.hypot(left, right)  # of ∂M/∂θ without α
    unit = np.where(size > 0, size, 1.0)
    turn = np.exp(1j * scene.amplitudes.angle().numpy()[owner])
    terms = [U[:, :T], turn * left / unit * U[:, T:], turn * right / unit * U[:, owner]]
    a, b = (z.numpy() for z in scene.clutter_steering)
    level = np.sqrt(scene.cnr.numpy() * scene.array.antennas)
    received = np.concatenate([level * b, *terms], 1)
    snr = scene.snr.numpy()
    scales = 2 * scene.snapshots * snr[owner] * unit**2 if n else snr * (sent * heard) ** 2
    return GoalForm(
        np.concatenate([V, a / math.sqrt(scene.array.antennas)], 1),
        received.conj().T @ received,
        float(np.log2(scales).sum()),
        T,
        n,
        a.shape[1],
    )


@lru_cache(maxsize=16)
def _products(goal: Goal, dtype: Any) -> Planes:
    products = goal_form(goal).products
    return to_planes(products, len(products), dtype)


def problem_for(
    power: float, noise: float, weight: float, square: float, goal: Goal | None, first: int, dtype: Any
) -> Problem:
    """The numbers of (8), or of R + ω c with its own working space.

    Args:
        power: P_t.
        noise: σ².
        weight: ω.
        square: ‖Ψ‖² at unit power.
        goal: another goal than τ.
        first: the coordinate of U's first column.
        dtype: the kernel's precision.
    """
    gain = math.sqrt(power / noise)
    if goal is None:
        return Problem(power, gain, weight * power * power, square, None)
    form = goal_form(goal)
    m = form.targets + form.angles
    products = _products(goal, dtype)
    W = np.zeros_like(products) if form.clutter else products
    g, F, kappa = (np.zeros((2, n, n), dtype) for n in (m + form.clutter, m, m + form.clutter))
    sensed = Sensed(
        weight, form.targets, form.angles, form.clutter, first, products, W, g, F, kappa
    )  # fmt: skip
    return Problem(power, gain, 0.0, 0.0, sensed)


def _unit(Z: Complex, T: int, owner: Any) -> tuple[Complex, Real]:
    """Steering vectors (N, T) and their derivatives, orthogonal to them, at unit length; and the lengths."""
    a = Z[:, :T] / np.linalg.norm(Z[:, :T], axis=0)
    slopes = Z[:, T:] - a[:, owner] * (a[:, owner].conj() * Z[:, T:]).sum(0)
    whole: Complex = np.concatenate([Z[:, :T], slopes], 1)
    lengths: Real = np.linalg.norm(whole, axis=0)
    # What is left of a derivative at the end of a line is rounding.
    lengths = np.where(lengths > 1e-9 * math.sqrt(len(Z)), lengths, 0.0)
    return np.divide(whole, np.where(lengths > 0, lengths, np.inf)), lengths
