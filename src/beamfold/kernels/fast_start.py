r"""The start: the digital optimum in a space of K + r dimensions, and its factorisation X ≈ F W.

The optimum over digital X lies in the span of B = [h_1 … h_K, U]. With the Cholesky factor L of Bᴴ B
an orthonormal basis is Q = B L^(−H): X = Q Z, Bᴴ X = L Z. Z begins at the best of (1 − b) Z_c + b Z_s
for some shares b: regularised zero forcing Z_c, and Ψ's leading beams Z_s = U_1 T dealt to the users, T the
rows of U_1ᴴ Z_c made orthonormal. Then in turn

    F = e^{j∠(X Wᴴ)},   W = (Fᴴ F + εN I)⁻¹ Fᴴ X.

For M near 2 K, where F W = X has solutions, ε keeps the alternations from driving F's columns together: W
would grow, and the phases would be left with next to no influence.

Shapes: L (2, K + r, D) by columns, user k and U's columns at the coordinates `o` on; Z (2, K, ·) by columns.
"""

from __future__ import annotations

import numpy as np

from beamfold.kernels.fast_lanes import inner, leaf, phases_of
from beamfold.kernels.fast_newton import MEMORY, first_direction, next_direction, shorter
from beamfold.kernels.fast_objective import DIGITAL, SHARES, by_coordinates
from beamfold.kernels.rows import LANES, copy, erase, kernel, one
from beamfold.kernels.simd import fma, fnma, like, load, multiply, splat, store

RIDGE = 0.03
"""ε of the factorisation."""


@leaf
def taken(A, j, o):
    """Σ |L_ji|² over the columns i before j: what they took from A_jj."""
    share = like(A, 0.0)
    for i in range(j):
        share += A[0, i, o + j] * A[0, i, o + j] + A[1, i, o + j] * A[1, i, o + j]
    return share


@kernel
def cholesky(A, n, o, least):
    """A = L Lᴴ in place, L[i, j] at A[:, j, o + i].

    Where a pivot is at most `least` of A_jj, what the columns before j leave of column j counts as rounding:
    column j of L is zero, and L Lᴴ is A to that share.
    """
    for j in range(n):
        pivot = A[0, j, o + j]
        if not pivot > least * (pivot + taken(A, j, o)):
            for z in range(2):
                for d in range(o + n):
                    A[z, j, d] = like(A, 0.0)
            continue
        q = one(A) / np.sqrt(pivot)
        v = splat(q, 4)
        for z in range(2):
            for d in range((o + j) // 4 * 4, (o + n + 3) // 4 * 4, 4):
                store(A, z, j, d, multiply(v, load(A, z, j, d, 4)))
            for d in range(o + j):
                A[z, j, d] = like(A, 0.0)
        A[0, j, o + j] = one(A) / q
        A[1, j, o + j] = like(A, 0.0)
        for c in range(j + 1, n):
            re, im = splat(A[0, j, o + c], 4), splat(A[1, j, o + c], 4)
            for d in range((o + c) // 4 * 4, (o + n + 3) // 4 * 4, 4):
                ar, ai = load(A, 0, j, d, 4), load(A, 1, j, d, 4)
                store(A, 0, c, d, fnma(ai, im, fnma(ar, re, load(A, 0, c, d, 4))))
                store(A, 1, c, d, fma(ar, im, fnma(ai, re, load(A, 1, c, d, 4))))


@leaf
def inverse(A, m, o):
    """1/L_mm, and 0 where column m of L is zero."""
    return one(A) / A[0, m, o + m] if A[0, m, o + m] > like(A, 0.0) else like(A, 0.0)


@kernel
def solve(A, n, o, B, count):
    """b ← L⁻¹ b for the first `count` columns of B, L as `cholesky` leaves it; 0 where L has no column."""
    for k in range(count):
        for m in range(n):
            q = inverse(A, m, o)
            re, im = B[0, k, m] * q, B[1, k, m] * q
            B[0, k, m], B[1, k, m] = re, im
            for b in range(m + 1, n):
                B[0, k, b] -= A[0, m, o + b] * re - A[1, m, o + b] * im
                B[1, k, b] -= A[0, m, o + b] * im + A[1, m, o + b] * re


@kernel
def solve_adjoint(A, n, o, B, count):
    """b ← L^(−H) b; 0 where L has no column."""
    for k in range(count):
        for i in range(n):
            m = n - 1 - i
            re, im = B[0, k, m], B[1, k, m]
            for b in range(m + 1, n):
                re -= A[0, m, o + b] * B[0, k, b] + A[1, m, o + b] * B[1, k, b]
                im -= A[0, m, o + b] * B[1, k, b] - A[1, m, o + b] * B[0, k, b]
            q = inverse(A, m, o)
            B[0, k, m], B[1, k, m] = re * q, im * q


@kernel
def normalise(Z, first, last):
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
def zero_forcing(Z, L, A, o, K):
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
    cholesky(A, K, 0, like(A, 0.0))
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
def away_from_rows_before(T, j, K):
    """Row j of T made orthogonal to the rows before it; its energy before and after."""
    before, after = like(T, 0.0), like(T, 0.0)
    for k in range(K):
        before += T[0, j, k] * T[0, j, k] + T[1, j, k] * T[1, j, k]
    for i in range(j):
        re, im = like(T, 0.0), like(T, 0.0)
        for k in range(K):
            re += T[0, i, k] * T[0, j, k] + T[1, i, k] * T[1, j, k]
            im += T[0, i, k] * T[1, j, k] - T[1, i, k] * T[0, j, k]
        for k in range(K):
            a, b = T[0, i, k], T[1, i, k]
            T[0, j, k] -= re * a - im * b
            T[1, j, k] -= re * b + im * a
    for k in range(K):
        after += T[0, j, k] * T[0, j, k] + T[1, j, k] * T[1, j, k]
    return before, after


@kernel
def least_served(T, j, K):
    """The first of the users with the least energy in the rows of T before row j."""
    user, least = 0, like(T, np.inf)
    for k in range(K):
        energy = like(T, 0.0)
        for i in range(j):
            energy += T[0, i, k] * T[0, i, k] + T[1, i, k] * T[1, i, k]
        if energy < least:
            user, least = k, energy
    return user


@kernel
def deal(T, L, Z, o, K, beams):
    """T (beams, K): the rows of U_1ᴴ Z made orthonormal, the strongest beam first.

    A beam of which the rows before it leave next to nothing goes to the user whom they serve least.
    """
    for j in range(beams):
        for k in range(K):
            re, im = like(L, 0.0), like(L, 0.0)
            for m in range(K):
                ar, ai = L[0, m, o + K + j], L[1, m, o + K + j]
                re += ar * Z[0, k, m] - ai * Z[1, k, m]
                im += ar * Z[1, k, m] + ai * Z[0, k, m]
            T[0, j, k], T[1, j, k] = re, im
        before, after = away_from_rows_before(T, j, K)
        if not after > like(L, 1e-6) * before:
            user = least_served(T, j, K)
            for k in range(K):
                T[0, j, k], T[1, j, k] = one(L) if k == user else like(L, 0.0), like(L, 0.0)
            away_from_rows_before(T, j, K)
        normalise(T, j, j + 1)


@kernel
def sensing_beams(Z, L, T, o, K, beams):
    """Z = U_1 T in the basis Q."""
    erase(Z)
    for k in range(K):
        for m in range(K + beams):
            for j in range(beams):
                ar, ai = L[0, m, o + K + j], -L[1, m, o + K + j]
                Z[0, k, m] += ar * T[0, j, k] - ai * T[1, j, k]
                Z[1, k, m] += ar * T[1, j, k] + ai * T[0, j, k]


@kernel
def mix(Z, C, S, b, K):
    """Z = (1 − b) C + b S at unit norm."""
    p, q = splat(one(Z) - b, LANES), splat(b, LANES)
    for z in range(2):
        for k in range(K):
            for d in range(0, Z.shape[2], LANES):
                store(Z, z, k, d, fma(q, load(S, z, k, d, LANES), multiply(p, load(C, z, k, d, LANES))))
    normalise(Z, 0, K)


@kernel
def digital_start(R, communicate, sense, G, T, E, N3, Y, S, A, L, Z, masks, setting, o, rank):
    """Z = the best of the mixes; what stands before L is working space."""
    K, best, choice = N3.shape[1], like(L, -np.inf), like(L, 0.0)
    beams = min(rank, K)
    zero_forcing(communicate, L, A, o, K)
    deal(A, L, communicate, o, K, beams)
    sensing_beams(sense, L, A, o, K, beams)
    normalise(communicate, 0, K)
    normalise(sense, 0, K)
    for i in range(SHARES, len(setting)):
        b = setting[i]
        mix(Z, communicate, sense, b, K)
        f = by_coordinates(R, 0, G, T, E, N3, Y, S, L, Z, masks, setting)
        if f > best:
            best, choice = f, b
    mix(Z, communicate, sense, choice, K)


@kernel
def move(Z, base, R, row, t):
    """Z = base + t d, d in a row of R."""
    v, size = splat(t, LANES), Z.shape[1] * Z.shape[2]
    for z in range(2):
        for k in range(Z.shape[1]):
            for d in range(0, Z.shape[2], LANES):
                step = load(R, 0, row, z * size + k * Z.shape[2] + d, LANES)
                store(Z, z, k, d, fma(v, step, load(base, z, k, d, LANES)))


@kernel
def ascend_digital(steps, R, tables, small, base, G, T, E, N3, Y, S, L, Z, masks, setting):
    """Up to `steps` L-BFGS steps on Z, never down."""
    old, new = 2 * MEMORY, 2 * MEMORY + 1
    f = by_coordinates(R, old, G, T, E, N3, Y, S, L, Z, masks, setting)
    gamma, along = first_direction(R, tables, small, old, setting[DIGITAL])
    head, count, t = 0, 0, one(R)
    copy(base, Z, Z.shape[1])
    for _ in range(steps):
        if not 0 < along < np.inf:  # at the top to rounding: a pair without curvature would end in NaN
            break
        move(Z, base, R, 2 * MEMORY + 2, t)
        after = by_coordinates(R, new, G, T, E, N3, Y, S, L, Z, masks, setting)
        if not (after >= f + like(R, 1e-4) * t * along):
            t = shorter(R, t, along, after - f)
            continue
        f = after
        head, count, gamma, along = next_direction(R, tables, small, t, head, count, gamma, old, new)
        copy(base, Z, Z.shape[1])
        old, new, t = new, old, one(R)
    copy(Z, base, Z.shape[1])
    return f


@kernel
def least_squares(W, V, X, A, M):
    """W = (Fᴴ F + `RIDGE` N I)⁻¹ Fᴴ X, F the first M columns of V; A is working space."""
    K = W.shape[1]
    inner(W, V, W.shape[2], X, 0, K)
    inner(A, V, W.shape[2], V, 0, M)
    for m in range(M):
        A[0, m, m] *= like(A, 1 + RIDGE)
    cholesky(A, M, 0, like(A, 0.0))
    solve(A, M, 0, W, K)
    solve_adjoint(A, M, 0, W, K)


@kernel
def factorise(V, W, X, A, mixing, alternations, M, N):
    """F from the phases of X mixingᵀ, 0 where that is 0; then F = e^{j∠(X Wᴴ)} and W = F^† X in turn."""
    for m in range(M):
        for n in range(N):
            V[0, m, n] = one(V)
    phases_of(V, X, mixing, M)
    least_squares(W, V, X, A, M)
    for _ in range(alternations):
        phases_of(V, X, W, M)
        least_squares(W, V, X, A, M)
