"""Products and sums over the subcarriers of a group, in planes."""

from __future__ import annotations

from typing import Any

import numpy as np

from beamfold.kernels.cholesky import inverse
from beamfold.kernels.linalg import Planes, dot, inner, kernel, leaf, one
from beamfold.kernels.simd import (
    LANES,
    NARROW,
    add,
    fma,
    fnma,
    like,
    load,
    multiply,
    splat,
    store,
    subtract,
    zeros,
)


@leaf
def add_product(out: Planes, A: Planes, B: Planes, first: int, rows: int, columns: int) -> None:
    """out += A B for `rows` columns of A (N, ·), the rows `first` on of B (·, M) and its first columns.

    Columns are taken in pairs, the last beside one more of B and out where their number is odd.
    """
    for m in range(0, columns, 2):
        for n in range(0, A.shape[2], LANES):
            a0, a1 = load(out, 0, m, n, LANES), zeros(A, LANES)
            a2, a3 = load(out, 1, m, n, LANES), zeros(A, LANES)
            b0, b1 = load(out, 0, m + 1, n, LANES), zeros(A, LANES)
            b2, b3 = load(out, 1, m + 1, n, LANES), zeros(A, LANES)
            for d in range(rows):
                vr, vi = load(A, 0, d, n, LANES), load(A, 1, d, n, LANES)
                gr, gi = splat(B[0, m, first + d], LANES), splat(B[1, m, first + d], LANES)
                a0, a1 = fma(vr, gr, a0), fma(vi, gi, a1)
                a2, a3 = fma(vr, gi, a2), fma(vi, gr, a3)
                gr, gi = splat(B[0, m + 1, first + d], LANES), splat(B[1, m + 1, first + d], LANES)
                b0, b1 = fma(vr, gr, b0), fma(vi, gi, b1)
                b2, b3 = fma(vr, gi, b2), fma(vi, gr, b3)
            store(out, 0, m, n, subtract(a0, a1))
            store(out, 1, m, n, add(a2, a3))
            store(out, 0, m + 1, n, subtract(b0, b1))
            store(out, 1, m + 1, n, add(b2, b3))


@leaf
def add_scaled(out: Planes, scale: Any, A: Planes) -> None:
    """out += scale A, all columns of out."""
    v = splat(scale, LANES)
    for z in range(2):
        for m in range(out.shape[1]):
            for d in range(0, out.shape[2], LANES):
                store(out, z, m, d, fma(v, load(A, z, m, d, LANES), load(out, z, m, d, LANES)))


@kernel
def add_inner_at(T: Planes, part: Planes, own: Planes, o: int, V: Planes, M: int) -> None:
    """T[:, m, o + i] += (column i of own)ᴴ (column m of V), m < M; `part` is working space."""
    inner(part, own, own.shape[1], V, 0, M)
    for z in range(2):
        for m in range(M):
            for i in range(0, part.shape[2], NARROW):
                store(T, z, m, o + i, add(load(T, z, m, o + i, NARROW), load(part, z, m, i, NARROW)))


@leaf
def subtract_multiple(V: Planes, j: int, E: Planes, i: int, re: Any, im: Any) -> None:
    """Column j of V −= (re + j im) column i of E."""
    r, s = splat(re, LANES), splat(im, LANES)
    for n in range(0, V.shape[2], LANES):
        ar, ai = load(E, 0, i, n, LANES), load(E, 1, i, n, LANES)
        store(V, 0, j, n, fma(s, ai, fnma(r, ar, load(V, 0, j, n, LANES))))
        store(V, 1, j, n, fnma(s, ar, fnma(r, ai, load(V, 1, j, n, LANES))))


@leaf
def scale_column(V: Planes, j: int, q: Any) -> None:
    """Column j of V times the real q."""
    v = splat(q, LANES)
    for z in range(2):
        for n in range(0, V.shape[2], LANES):
            store(V, z, j, n, multiply(v, load(V, z, j, n, LANES)))


@kernel
def times_inverse_adjoint(V: Planes, L: Planes, M: int) -> None:
    """V ← V L^(−H) for the first M columns of V and L as `cholesky` leaves it; 0 where L has no column."""
    for j in range(M):
        for i in range(j):
            subtract_multiple(V, j, V, i, L[0, i, j], -L[1, i, j])
        scale_column(V, j, inverse(L, j, 0))


@kernel
def times_inverse(V: Planes, L: Planes, M: int) -> None:
    """V ← V L⁻¹."""
    for a in range(M):
        j = M - 1 - a
        for i in range(j + 1, M):
            subtract_multiple(V, j, V, i, L[0, j, i], L[1, j, i])
        scale_column(V, j, inverse(L, j, 0))


@kernel
def orthonormal(V: Planes, columns: int) -> None:
    """The first columns of V made orthonormal, one after the other; 0 where the others leave rounding."""
    for j in range(columns):
        before, _ = dot(V, j, V, j)
        for i in range(j):
            re, im = dot(V, i, V, j)
            subtract_multiple(V, j, V, i, re, im)
        after, _ = dot(V, j, V, j)
        kept = after > like(V, 1e-6) * before
        scale_column(V, j, one(V) / np.sqrt(after) if kept else like(V, 0.0))


@kernel
def turn_gradient(rows: Planes, row: int, F: Planes, G: Planes, free: Planes) -> None:
    """rows[row] = 2 Im(F* ∘ G) where `free` is 1, else 0: df/d∠F for G = df/dF*, F the first columns.

    Where rows are as long as one column it holds the sum over the columns, see `phases.phase_gradient`.
    """
    N = F.shape[2]
    stride = N if rows.shape[2] > N else 0
    if stride == 0:
        for n in range(0, N, LANES):
            store(rows, 0, row, n, zeros(F, LANES))
    for m in range(free.shape[1]):
        for n in range(0, N, LANES):
            there = load(free, 0, m, n, LANES)
            fr, fi = load(F, 0, m, n, LANES), load(F, 1, m, n, LANES)
            turn = fnma(load(G, 0, m, n, LANES), fi, multiply(load(G, 1, m, n, LANES), fr))
            turn = multiply(add(there, there), turn)
            if stride == 0:
                turn = add(turn, load(rows, 0, row, n, LANES))
            store(rows, 0, row, m * stride + n, turn)
