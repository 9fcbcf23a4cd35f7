"""Small Hermitian systems by Cholesky's factorisation A = L Lᴴ, also where A is singular.

A (2, ≥ n, ≥ o + n) is stored by columns as planes, with A[i, j] at A[:, j, o + i], and L takes its place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from beamfold.kernels.linalg import Planes, kernel, leaf, one
from beamfold.kernels.simd import fma, fnma, like, load, multiply, splat, store


@leaf
def taken(A: Planes, j: int, o: int) -> Any:
    """Σ |L_ji|² over the columns i before j: what they took from A_jj."""
    share = like(A, 0.0)
    for i in range(j):
        share += A[0, i, o + j] * A[0, i, o + j] + A[1, i, o + j] * A[1, i, o + j]
    return share


@kernel
def cholesky(A: Planes, n: int, o: int, least: float) -> None:
    """A = L Lᴴ in place.

    Where a pivot is at most `least` of A_jj, what the columns before j leave of column j counts as rounding:
    column j of L is zero, and L Lᴴ is A to that share.
    """
    for j in range(n):
        pivot = A[0, j, o + j]
        if not pivot > like(A, least) * (pivot + taken(A, j, o)):
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
def inverse(A: Planes, m: int, o: int) -> Any:
    """1/L_mm, and 0 where column m of L is zero."""
    return one(A) / A[0, m, o + m] if A[0, m, o + m] > like(A, 0.0) else like(A, 0.0)


@kernel
def solve(A: Planes, n: int, o: int, B: Planes, count: int) -> None:
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
def solve_adjoint(A: Planes, n: int, o: int, B: Planes, count: int) -> None:
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
def pivots(A: Planes, n: int, o: int) -> float:
    """Smallest pivot L_jj² over the largest, or over A_jj if that is less; 0 for NaN.

    A small ratio means that a column is nearly a combination of the columns before it.
    """
    least, most, share = np.inf, 0.0, 1.0
    for j in range(n):
        p = row = A[0, j, o + j] * A[0, j, o + j]
        if not p > 0:
            return 0.0
        for i in range(j):
            row += A[0, i, o + j] * A[0, i, o + j] + A[1, i, o + j] * A[1, i, o + j]
        least, most, share = min(least, p), max(most, p), min(share, p / row)
    return min(least / most, share) if most < np.inf else 0.0
