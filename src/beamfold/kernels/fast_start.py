r"""The start: the digital optimum in a space of K + r dimensions, and its factorisation X ≈ F W.

The optimum over digital X lies in the span of V_0 = [h_1 … h_K, U]. With the Cholesky factor L of V_0ᴴ V_0
an orthonormal basis is Q = V_0 L^(−H): X = Q Z, V_0ᴴ X = L Z. Z begins at the best of (1 − b) Z_c + b Z_s
for some shares b: regularised zero forcing Z_c, and Ψ's leading eigenvectors Z_s = U_1 A, assigned to the
users by A, the rows of U_1ᴴ Z_c made orthonormal. Then in turn

    F = e^{j∠(X Wᴴ)},   W = (Fᴴ F + εN I)⁻¹ Fᴴ X.

For M near 2 K, where F W = X has solutions, ε keeps the alternations from driving F's columns together: W
would grow, and the phases would be left with next to no influence.

Shapes: L (2, K + r, D), user k and U's columns at the coordinates `o` on; Z (2, K, K + r); all by columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from beamfold.kernels.cholesky import cholesky, solve, solve_adjoint
from beamfold.kernels.fast_memory import DIRECTION, NEW, OLD, first_direction, next_direction, shorter
from beamfold.kernels.fast_objective import by_coordinates
from beamfold.kernels.fast_workspace import Constants, Digital, Memory, Objective, Problem
from beamfold.kernels.linalg import Planes, copy, erase, inner, kernel, number, one, row_times_adjoint
from beamfold.kernels.phases import phases_of
from beamfold.kernels.simd import LANES, add, fma, like, load, multiply, root, splat, store, subtract

RIDGE = Constants().ridge
"""ε of the factorisation where nothing else is said."""


@kernel
def normalise(Z: Planes, first: int, last: int) -> None:
    """Columns `first` … `last` − 1 of Z, together, scaled to unit norm."""
    p = like(Z, 1e-30)
    for k in range(first, last):
        for m in range(Z.shape[2]):
            p += Z[0, k, m] * Z[0, k, m] + Z[1, k, m] * Z[1, k, m]
    q = one(Z) / np.sqrt(p)
    for k in range(first, last):
        for m in range(Z.shape[2]):
            Z[0, k, m] *= q
            Z[1, k, m] *= q


@kernel
def zero_forcing(Z: Planes, L: Planes, A: Planes, o: int, K: int) -> None:
    """z_k = (Lᴴ L + K I)⁻¹ Lᴴ e_k with L's users alone: regularised zero forcing, unit columns.

    A user whose channel depends on those before it takes no part, its column is zero: all of more users than
    dimensions would only disturb one another.
    """
    for k in range(K):
        for i in range(k, K):
            re, im = like(L, 0.0), like(L, 0.0)
            for b in range(i, K):
                if L[0, b, o + b] == like(L, 0.0):
                    continue
                re += L[0, i, o + b] * L[0, k, o + b] + L[1, i, o + b] * L[1, k, o + b]
                im += L[0, i, o + b] * L[1, k, o + b] - L[1, i, o + b] * L[0, k, o + b]
            A[0, k, i], A[1, k, i] = re, im
        A[0, k, k] += like(L, K)
    cholesky(A, K, 0, 0.0)
    erase(Z)
    for k in range(K):
        if L[0, k, o + k] == like(L, 0.0):
            continue
        for m in range(k + 1):
            Z[0, k, m], Z[1, k, m] = L[0, m, o + k], -L[1, m, o + k]
    solve(A, K, 0, Z, K)
    solve_adjoint(A, K, 0, Z, K)
    for k in range(K):
        normalise(Z, k, k + 1)


@kernel
def orthogonalise(A: Planes, j: int, K: int) -> tuple[Any, Any]:
    """Row j of A made orthogonal to the rows before it; its energy before and after."""
    before, after = like(A, 0.0), like(A, 0.0)
    for k in range(K):
        before += A[0, j, k] * A[0, j, k] + A[1, j, k] * A[1, j, k]
    for i in range(j):
        re, im = like(A, 0.0), like(A, 0.0)
        for k in range(K):
            re += A[0, i, k] * A[0, j, k] + A[1, i, k] * A[1, j, k]
            im += A[0, i, k] * A[1, j, k] - A[1, i, k] * A[0, j, k]
        for k in range(K):
            a, b = A[0, i, k], A[1, i, k]
            A[0, j, k] -= re * a - im * b
            A[1, j, k] -= re * b + im * a
    for k in range(K):
        after += A[0, j, k] * A[0, j, k] + A[1, j, k] * A[1, j, k]
    return before, after


@kernel
def least_served(A: Planes, j: int, K: int) -> int:
    """The first of the users with the least energy in the rows of A before row j."""
    user, least = 0, like(A, np.inf)
    for k in range(K):
        energy = like(A, 0.0)
        for i in range(j):
            energy += A[0, i, k] * A[0, i, k] + A[1, i, k] * A[1, i, k]
        if energy < least:
            user, least = k, energy
    return user


@kernel
def orthonormal_row(A: Planes, j: int, K: int) -> None:
    """Row j of A made orthogonal to those before it and of unit norm; its rest beyond K is zero.

    A row of which those before it leave next to nothing goes to the user whom they serve least.
    """
    before, after = orthogonalise(A, j, K)
    if not after > like(A, 1e-6) * before:
        user = least_served(A, j, K)
        for k in range(K):
            A[0, j, k], A[1, j, k] = one(A) if k == user else like(A, 0.0), like(A, 0.0)
        orthogonalise(A, j, K)
    normalise(A, j, j + 1)


@kernel
def assign_beams(A: Planes, L: Planes, Z: Planes, o: int, K: int, beams: int) -> None:
    """A (beams, K), stored by rows: the rows of U_1ᴴ Z made orthonormal, the strongest beam first."""
    for j in range(beams):
        for k in range(K):
            re, im = like(L, 0.0), like(L, 0.0)
            for m in range(K):
                ar, ai = L[0, m, o + K + j], L[1, m, o + K + j]
                re += ar * Z[0, k, m] - ai * Z[1, k, m]
                im += ar * Z[1, k, m] + ai * Z[0, k, m]
            A[0, j, k], A[1, j, k] = re, im
        orthonormal_row(A, j, K)


@kernel
def sensing_beams(Z: Planes, L: Planes, A: Planes, o: int, K: int, beams: int) -> None:
    """Z = U_1 A in the basis Q."""
    erase(Z)
    for k in range(K):
        for m in range(K + beams):
            for j in range(beams):
                ar, ai = L[0, m, o + K + j], -L[1, m, o + K + j]
                Z[0, k, m] += ar * A[0, j, k] - ai * A[1, j, k]
                Z[1, k, m] += ar * A[1, j, k] + ai * A[0, j, k]


@kernel
def mix(digital: Digital, b: float, K: int) -> None:
    """Z = (1 − b) Z_c + b Z_s at unit norm."""
    Z, communicate, sense = digital.Z, digital.base, digital.sense
    share = like(Z, b)
    p, q = splat(one(Z) - share, LANES), splat(share, LANES)
    for z in range(2):
        for k in range(K):
            for d in range(0, Z.shape[2], LANES):
                part = multiply(p, load(communicate, z, k, d, LANES))
                store(Z, z, k, d, fma(q, load(sense, z, k, d, LANES), part))
    normalise(Z, 0, K)


@kernel
def digital_start(
    memory: Memory,
    digital: Digital,
    objective: Objective,
    problem: Problem,
    constants: Constants,
    o: int,
    r: int,
) -> None:
    """Z = the best of the mixes of Z_c and Z_s, for a Ψ of rank r."""
    L, A, communicate, sense = digital.L, digital.A, digital.base, digital.sense
    K, best, choice = objective.PX.shape[1], like(L, -np.inf), 0.0
    beams = min(r, K)
    zero_forcing(communicate, L, A, o, K)
    assign_beams(A, L, communicate, o, K, beams)
    sensing_beams(sense, L, A, o, K, beams)
    normalise(communicate, 0, K)
    normalise(sense, 0, K)
    for b in constants.shares:
        mix(digital, b, K)
        f = by_coordinates(memory.rows, 0, digital, objective, problem)
        if f > best:
            best, choice = f, b
    mix(digital, choice, K)


@kernel
def move(digital: Digital, rows: Planes, t: Any) -> None:
    """Z = its base + t d, d being the direction among the rows."""
    Z, base = digital.Z, digital.base
    v, size = splat(t, LANES), Z.shape[1] * Z.shape[2]
    for z in range(2):
        for k in range(Z.shape[1]):
            for d in range(0, Z.shape[2], LANES):
                step = load(rows, 0, DIRECTION, z * size + k * Z.shape[2] + d, LANES)
                store(Z, z, k, d, fma(v, step, load(base, z, k, d, LANES)))


@kernel
def ascend_digital(
    steps: int, memory: Memory, digital: Digital, objective: Objective, problem: Problem, reach: float
) -> Any:
    """Up to `steps` L-BFGS steps on Z, the first of length `reach`; f, which never falls."""
    rows, Z, base = memory.rows, digital.Z, digital.base
    old, new = number(OLD), number(NEW)
    f = by_coordinates(rows, old, digital, objective, problem)
    search = first_direction(memory, old, like(Z, reach))
    t = one(rows)
    copy(base, Z, Z.shape[1])
    for _ in range(steps):
        if not 0 < search.along < np.inf:  # at the top to rounding: a pair without curvature would end in NaN
            break
        move(digital, rows, t)
        after = by_coordinates(rows, new, digital, objective, problem)
        if not (after >= f + like(rows, 1e-4) * t * search.along):
            t = shorter(rows, t, search.along, after - f)
            continue
        f = after
        search = next_direction(memory, search, t, old, new)
        copy(base, Z, Z.shape[1])
        old, new, t = new, old, one(rows)
    copy(Z, base, Z.shape[1])
    return f


@kernel
def least_squares(W: Planes, V: Planes, X: Planes, A: Planes, M: int, ridge: float) -> None:
    """W = (Fᴴ F + ridge · N I)⁻¹ Fᴴ X, F the first M columns of V; A is working space."""
    K = W.shape[1]
    inner(W, V, W.shape[2], X, 0, K)
    inner(A, V, W.shape[2], V, 0, M)
    for m in range(M):
        A[0, m, m] *= like(A, 1 + ridge)
    cholesky(A, M, 0, 0.0)
    solve(A, M, 0, W, K)
    solve_adjoint(A, M, 0, W, K)


@kernel
def deal(mask: Planes, allowed: Planes, M: int) -> None:
    """Of the c chains to which antenna n may be connected, the mask has the (n mod c)-th."""
    for n in range(mask.shape[2]):
        count = 0
        for m in range(M):
            if allowed[0, m, n] > like(mask, 0.0):
                count += 1
        place = 0
        for m in range(M):
            mask[0, m, n] = like(mask, 0.0)
            if allowed[0, m, n] > like(mask, 0.0):
                if place == n % count:
                    mask[0, m, n] = one(mask)
                place += 1


@kernel
def assign(mask: Planes, allowed: Planes, X: Planes, W: Planes, M: int) -> None:
    """The mask of the best chain for each antenna, W fixed: argmax_m 2 |(X Wᴴ)_nm| − ‖w_m‖²."""
    for m in range(M):
        size = like(W, 0.0)
        for k in range(W.shape[1]):
            size += W[0, k, m] * W[0, k, m] + W[1, k, m] * W[1, k, m]
        for n in range(0, X.shape[2], LANES):
            re, im = row_times_adjoint(X, W, m, n)
            r = root(fma(im, im, multiply(re, re)))
            store(mask, 0, m, n, subtract(add(r, r), splat(size, LANES)))
    connect_best(mask, allowed, M)


@kernel
def connect_best(mask: Planes, allowed: Planes, M: int) -> None:
    """1 where the mask is largest of what is allowed for an antenna, else 0."""
    for n in range(mask.shape[2]):
        most, best = -1, like(mask, -np.inf)
        for m in range(M):
            if allowed[0, m, n] > like(mask, 0.0) and mask[0, m, n] > best:
                most, best = m, mask[0, m, n]
        for m in range(M):
            mask[0, m, n] = one(mask) if m == most else like(mask, 0.0)


@kernel
def connect(V: Planes, mask: Planes, M: int) -> None:
    """F, the first M columns of V, is 1 where the mask is, else 0."""
    for m in range(M):
        for n in range(V.shape[2]):
            V[0, m, n], V[1, m, n] = mask[0, m, n], like(V, 0.0)


@kernel
def two_chains_each(V: Planes, W: Planes, X: Planes, mask: Planes, M: int) -> None:
    """F and W with F W = X, for M ≥ 2 K chains that are on every antenna.

    With 2 w = max_n |x_n| for a column x of X, θ_n = ∠x_n and cos φ_n = |x_n| / 2w,

        x_n = w (e^{j(θ_n + φ_n)} + e^{j(θ_n − φ_n)}).

    Chains beyond 2 K repeat e^{jθ_n} of the columns and send nothing.
    """
    erase(W)
    for m in range(M):
        k = m // 2 if m // 2 < X.shape[1] else m % X.shape[1]
        sign = one(V) if m % 2 == 0 else -one(V)
        top = like(V, 0.0)
        for n in range(X.shape[2]):
            top = max(top, np.sqrt(X[0, k, n] * X[0, k, n] + X[1, k, n] * X[1, k, n]))
        if m < 2 * X.shape[1]:
            W[0, k, m] = top / like(V, 2.0)
        for n in range(X.shape[2]):
            size = np.sqrt(X[0, k, n] * X[0, k, n] + X[1, k, n] * X[1, k, n])
            re, im = (X[0, k, n] / size, X[1, k, n] / size) if size > 0 else (one(V), like(V, 0.0))
            c = size / top if top > 0 and m < 2 * X.shape[1] else one(V)
            s = sign * np.sqrt(max(one(V) - c * c, like(V, 0.0)))
            V[0, m, n], V[1, m, n] = mask[0, m, n] * (c * re - s * im), mask[0, m, n] * (c * im + s * re)


@kernel
def factorise(
    V: Planes, W: Planes, X: Planes, A: Planes, mixing: Planes, mask: Planes, allowed: Planes,
    dynamic: bool, alternations: int, ridge: float, M: int,
) -> None:  # fmt: skip
    """F from the phases of X mixingᵀ, 0 where that is 0; then F = e^{j∠(X Wᴴ)} and W = F^† X in turn.

    Where the mask (1, M, N) is 0 F is 0, too. In a dynamic network it is chosen anew before each F, among
    the connections that are allowed. With `alternations` below 0 X is factorised by `two_chains_each`.
    """
    if alternations < 0:
        two_chains_each(V, W, X, mask, M)
        return
    if dynamic:
        deal(mask, allowed, M)
    connect(V, mask, M)
    phases_of(V, X, mixing, M, mask)
    least_squares(W, V, X, A, M, ridge)
    for _ in range(alternations):
        if dynamic:
            assign(mask, allowed, X, W, M)
            connect(V, mask, M)
        phases_of(V, X, W, M, mask)
        least_squares(W, V, X, A, M, ridge)
