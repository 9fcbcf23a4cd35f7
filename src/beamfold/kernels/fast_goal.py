r"""ω c beside R, for c = log₂ det J or Σ_i log₂ SCNR_i, in the coordinates of targets and clutter alone.

For T targets with n angles and C patches of clutter let v_q be the columns of [ā_1 … ā_T, ∂ā_1 … ∂ā_n,
ā_c1 … ā_cC], y_q = v_qᴴ s X and g_q'q = y_q' y_qᴴ. The Fisher matrix of `radar.fisher` is a sum over terms
u_t v_q(t)ᴴ of its parameters p(t), first T amplitudes and then n angles:

    F_p(t)p(t') += W_tt' g_q(t')q(t),      W_tt' = u_tᴴ C⁻¹ u_t',
    (p, q, u) = (i, ā_i, b̄_i),  (T + j, ā_i, α_i ∂b̄_j),  (T + j, ∂ā_j, α_i b̄_i)  for angle j of target i.

The amplitudes are complex, so that J = 2 L Re S with the Schur complement S of F's first T rows. With
Z = F_αα⁻¹ F_αθ, Φ = (Re S)⁻¹ and Ω = [−Z; I] Φ [−Z; I]ᴴ

    d ln det J = tr(Ω dF),    ∂/∂y_q* = Σ_q' κ_q'q y_q',    κ_q(t')q(t) += Ω_p(t')p(t) W_tt'.

SCNR_i is F_ii of the amplitudes, and there Ω = diag(1/F_ii). With clutter, C = I + Σ_c g_cc b̄_c b̄_cᴴ and

    E = [b̄_cᴴ C⁻¹ u_t] = (I + B Γ)⁻¹ [b̄_cᴴ u_t],   W = [u_tᴴ u_t'] − [u_tᴴ b̄_c] Γ E,   Γ = diag(g_cc),
    B = [b̄_cᴴ b̄_c'],       κ_cc −= Σ_tt' Ω_p(t')p(t) g_q(t')q(t) E_ct* E_ct'.

`goal_form` has the constants, `Sensed` the matrices.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from beamfold.kernels.fast_workspace import Objective, Sensed
from beamfold.kernels.linalg import Planes, kernel, leaf, one
from beamfold.kernels.simd import like

LOG2E = 1.4426950408889634


@leaf
def at(A: Planes, i: int, j: int) -> Any:
    """A_ij."""
    return complex(A[0, i, j], A[1, i, j])


@leaf
def put(A: Planes, i: int, j: int, z: Any) -> None:
    """A_ij = z."""
    A[0, i, j], A[1, i, j] = z.real, z.imag


@kernel
def sweep(A: Planes, first: int, last: int, low: int, high: int) -> float:
    """Gauss-Jordan steps without pivoting on A's rows and columns `low` … `high` − 1; the pivots' product.

    With the block A₁₁ of `first` … `last` − 1 A becomes [A₁₁⁻¹, A₁₁⁻¹ A₁₂; −A₂₁ A₁₁⁻¹, A₂₂ − A₂₁ A₁₁⁻¹ A₁₂].
    The pivots are real, as those of Hermitian matrices and of what is similar to them by a diagonal.
    """
    product = 1.0
    for k in range(first, last):
        product *= float(A[0, k, k])
        q = one(A) / A[0, k, k]
        for i in range(low, high):
            if i == k:
                continue
            share = q * at(A, i, k)
            for j in range(low, high):
                if j != k:
                    put(A, i, j, at(A, i, j) - share * at(A, k, j))
            put(A, i, k, -share)
        for j in range(low, high):
            if j != k:
                put(A, k, j, q * at(A, k, j))
        A[0, k, k], A[1, k, k] = q, like(A, 0.0)
    return product


@leaf
def parameter(t: int, p: Sensed) -> int:
    """p(t)."""
    return t if t < p.targets + p.angles else t - p.angles


@leaf
def column(t: int, p: Sensed) -> int:
    """q(t)."""
    T, n = p.targets, p.angles
    if t < T:
        return t
    return (t - T) * T // n if t < T + n else t - n


@leaf
def powers(p: Sensed, Y: Planes, s2: Any, K: int) -> None:
    """g, Hermitian."""
    count, first = p.g.shape[1], p.first
    for i in range(count):
        for j in range(i + 1):
            z = complex(like(Y, 0.0), like(Y, 0.0))
            for k in range(K):
                z += at(Y, k, first + i) * at(Y, k, first + j).conjugate()
            put(p.g, i, j, s2 * z)
            put(p.g, j, i, s2 * z.conjugate())


@leaf
def under_clutter(p: Sensed) -> None:
    """W and E from g."""
    C, count, m = p.clutter, p.products.shape[1], p.targets + p.angles
    for i in range(count):
        for j in range(count):
            level = p.g[0, m + j, m + j] if j < C else one(p.g)
            put(p.W, i, j, level * at(p.products, i, j))
        if i < C:
            p.W[0, i, i] += one(p.g)
    sweep(p.W, 0, C, 0, count)


@leaf
def fisher(p: Sensed) -> None:
    """F."""
    C, terms = p.clutter, p.targets + 2 * p.angles
    for i in range(p.F.shape[1]):
        for j in range(p.F.shape[1]):
            put(p.F, i, j, complex(like(p.F, 0.0), like(p.F, 0.0)))
    for t in range(terms):
        i, q = parameter(t, p), column(t, p)
        for u in range(terms):
            j = parameter(u, p)
            z = at(p.F, i, j) + at(p.W, C + t, C + u) * at(p.g, column(u, p), q)
            put(p.F, i, j, z)


@leaf
def information(p: Sensed) -> float:
    """det J of F up to its constant, and Ω in F's place."""
    F, T, m = p.F, p.targets, p.targets + p.angles
    sweep(F, 0, T, 0, m)
    for i in range(T, m):
        for j in range(T, m):
            F[1, i, j] = like(F, 0.0)
    det = sweep(F, T, m, T, m)
    weigh(F, T, m)
    return det


@leaf
def weigh(F: Planes, T: int, m: int) -> None:
    """Ω = [−Z; I] Φ [−Z; I]ᴴ from the Z and Φ in its last m − T columns."""
    for j in range(T):  # −Φ Zᴴ below
        for i in range(T, m):
            z = complex(like(F, 0.0), like(F, 0.0))
            for k in range(T, m):
                z -= F[0, i, k] * at(F, j, k).conjugate()
            put(F, i, j, z)
    for i in range(T):  # Z Φ Zᴴ, then −Z Φ in Z's place
        for j in range(T):
            z = complex(like(F, 0.0), like(F, 0.0))
            for k in range(T, m):
                z -= at(F, i, k) * at(F, k, j)
            put(F, i, j, z)
    for i in range(T):
        for k in range(T, m):
            put(F, i, k, at(F, k, i).conjugate())


@leaf
def ratios(p: Sensed) -> float:
    """Π_i SCNR_i of F up to its constant, and Ω in F's place."""
    F, product = p.F, 1.0
    for i in range(p.targets):
        product *= float(F[0, i, i])
        for j in range(p.targets):
            put(F, i, j, complex(one(F) / F[0, i, i] if i == j else like(F, 0.0), like(F, 0.0)))
    return product


@leaf
def couple(p: Sensed) -> None:
    """κ from Ω, W and E."""
    C, terms, count = p.clutter, p.targets + 2 * p.angles, p.kappa.shape[1]
    for i in range(count):
        for j in range(count):
            put(p.kappa, i, j, complex(like(p.F, 0.0), like(p.F, 0.0)))
    for t in range(terms):
        i, q = parameter(t, p), column(t, p)
        for u in range(terms):
            weight, r = at(p.F, parameter(u, p), i), column(u, p)
            put(p.kappa, r, q, at(p.kappa, r, q) + weight * at(p.W, C + t, C + u))
            power = weight * at(p.g, r, q)
            for c in range(C):
                heard = at(p.W, c, C + t).conjugate() * at(p.W, c, C + u)
                p.kappa[0, count - C + c, count - C + c] -= (power * heard).real


@kernel
def add_goal(p: Sensed, objective: Objective, trace: Any, K: int) -> Any:
    """ω c up to a constant, and its gradient added to P and P_X; −∞, and nothing added, where c is −∞."""
    Y, P, PX = objective.Y, objective.P, objective.PX
    s2, first = one(Y) / trace, p.first
    powers(p, Y, s2, K)
    if p.clutter > 0:
        under_clutter(p)
    fisher(p)
    found = information(p) if p.angles > 0 else ratios(p)
    if not found > 0:
        return like(Y, -np.inf)
    couple(p)
    scale = like(Y, p.weight * LOG2E) * s2
    along = like(Y, 0.0)
    for k in range(K):
        for q in range(p.g.shape[1]):
            z = complex(like(Y, 0.0), like(Y, 0.0))
            for r in range(p.g.shape[1]):
                z += at(p.kappa, r, q) * at(Y, k, first + r)
            z *= scale
            y = at(Y, k, first + q)
            along += z.real * y.real + z.imag * y.imag
            put(P, k, first + q, at(P, k, first + q) + z)
    for k in range(K):
        PX[0, k, k] -= along / trace
    return like(Y, p.weight * math.log2(found))


@leaf
def with_goal(f: Any, sensed: Sensed | None, objective: Objective, trace: Any, K: int) -> Any:
    """f, or f + ω c of another goal than τ."""
    if sensed is None:
        return f
    return f + add_goal(sensed, objective, trace, K)
