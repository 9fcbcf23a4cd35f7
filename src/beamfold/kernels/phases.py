"""Matrices on the unit circle, |F_nm| = 1: the projection (10) with its adjoint, gradients and steps."""

from __future__ import annotations

from typing import Any

from beamfold.kernels.linalg import Planes, kernel, leaf, row_times_adjoint
from beamfold.kernels.simd import (
    LANES,
    add,
    divide,
    fma,
    fnma,
    like,
    load,
    multiply,
    root,
    splat,
    store,
    subtract,
    total,
    where_zero,
    zeros,
)


@leaf
def store_unit(out: Planes, old: Planes, m: int, n: int, re: Any, im: Any) -> Any:
    """out = A / |A| for the lanes n of column m, where A is (re, im); returns |A|.

    An entry whose |A|² is 0 keeps `old`, and 0 is returned for it.
    """
    square = fma(im, im, multiply(re, re))
    r = root(square)
    store(out, 0, m, n, where_zero(square, load(old, 0, m, n, LANES), divide(re, r)))
    store(out, 1, m, n, where_zero(square, load(old, 1, m, n, LANES), divide(im, r)))
    return where_zero(square, zeros(out, LANES), r)


@kernel
def unit(out: Planes, size: Planes, A: Planes, old: Planes) -> None:
    """out = A / |A| entry by entry, Eq. (10), |A| in `size`; an entry whose |A|² is 0 keeps `old`."""
    for m in range(A.shape[1]):
        for n in range(0, A.shape[2], LANES):
            re, im = load(A, 0, m, n, LANES), load(A, 1, m, n, LANES)
            store(size, 0, m, n, store_unit(out, old, m, n, re, im))


@kernel
def unit_adjoint(out: Planes, bar: Planes, F: Planes, size: Planes) -> None:
    """The adjoint of `unit`: out = (F̄ − F Re(F* F̄)) / |A|, the part of F̄ along the circle."""
    for m in range(F.shape[1]):
        for n in range(0, F.shape[2], LANES):
            fr, fi = load(F, 0, m, n, LANES), load(F, 1, m, n, LANES)
            br, bi = load(bar, 0, m, n, LANES), load(bar, 1, m, n, LANES)
            along = fma(fi, bi, multiply(fr, br))
            r = load(size, 0, m, n, LANES)
            store(out, 0, m, n, where_zero(r, r, divide(fnma(fr, along, br), r)))
            store(out, 1, m, n, where_zero(r, r, divide(fnma(fi, along, bi), r)))


@kernel
def phases_of(V: Planes, X: Planes, W: Planes, M: int, mask: Planes) -> None:
    """The first M columns of V = the phases of X Wᴴ where the mask is 1; a zero keeps the phase it had."""
    for m in range(M):
        for n in range(0, X.shape[2], LANES):
            re, im = row_times_adjoint(X, W, m, n)
            there = load(mask, 0, m, n, LANES)
            store_unit(V, V, m, n, multiply(there, re), multiply(there, im))


@kernel
def phase_gradient(rows: Planes, row: int, V: Planes, PW: Planes, free: Planes) -> None:
    """rows[row] = 2 Im(F* ∘ (V P Wᴴ)) where `free` is 1, else 0, with F the first columns of V: df/d∠F.

    df/dF* is V (P Wᴴ). Where rows are as long as one column every antenna has one entry of F that is not 0,
    and rows[row] holds the sum over the columns.
    """
    N, M = V.shape[2], free.shape[1]
    stride = N if rows.shape[2] > N else 0
    if stride == 0:
        for n in range(0, N, LANES):
            store(rows, 0, row, n, zeros(V, LANES))
    for m in range(0, M, 2):
        for n in range(0, N, LANES):
            two, also = load(free, 0, m, n, LANES), load(free, 0, m + 1, n, LANES)
            two, also = add(two, two), add(also, also)
            if stride == 0 and total(add(two, also)) == like(V, 0.0):
                continue
            a0, a1, a2, a3 = zeros(V, LANES), zeros(V, LANES), zeros(V, LANES), zeros(V, LANES)
            b0, b1, b2, b3 = zeros(V, LANES), zeros(V, LANES), zeros(V, LANES), zeros(V, LANES)
            for d in range(V.shape[1]):
                vr, vi = load(V, 0, d, n, LANES), load(V, 1, d, n, LANES)
                gr, gi = splat(PW[0, m, d], LANES), splat(PW[1, m, d], LANES)
                a0, a1 = fma(vr, gr, a0), fma(vi, gi, a1)
                a2, a3 = fma(vr, gi, a2), fma(vi, gr, a3)
                gr, gi = splat(PW[0, m + 1, d], LANES), splat(PW[1, m + 1, d], LANES)
                b0, b1 = fma(vr, gr, b0), fma(vi, gi, b1)
                b2, b3 = fma(vr, gi, b2), fma(vi, gr, b3)
            fr, fi = load(V, 0, m, n, LANES), load(V, 1, m, n, LANES)
            turn = fnma(subtract(a0, a1), fi, multiply(add(a2, a3), fr))
            turn = multiply(two, turn)
            fr, fi = load(V, 0, m + 1, n, LANES), load(V, 1, m + 1, n, LANES)
            other = multiply(also, fnma(subtract(b0, b1), fi, multiply(add(b2, b3), fr)))
            if stride == 0:
                store(rows, 0, row, n, add(load(rows, 0, row, n, LANES), add(turn, other)))
            else:
                store(rows, 0, row, m * N + n, turn)
                store(rows, 0, row, (m + 1) * N + n, other)


@kernel
def rotate(V: Planes, base: Planes, rows: Planes, row: int, t: Any) -> None:
    """F = base (1 + ja)/(1 − ja), a = t rows[row] / 2, F being the first columns of V.

    The modulus stays 1 exactly, and 0 stays 0; the angle is t rows[row] up to a term of third order. The
    length of rows is as in `phase_gradient`.
    """
    half, unit = splat(t * like(V, 0.5), LANES), splat(like(V, 1.0), LANES)
    N = V.shape[2]
    stride = N if rows.shape[2] > N else 0
    for m in range(base.shape[1]):
        for n in range(0, N, LANES):
            a = multiply(half, load(rows, 0, row, m * stride + n, LANES))
            q = divide(unit, fma(a, a, unit))
            c, e = multiply(fnma(a, a, unit), q), multiply(add(a, a), q)
            fr, fi = load(base, 0, m, n, LANES), load(base, 1, m, n, LANES)
            store(V, 0, m, n, fnma(fi, e, multiply(fr, c)))
            store(V, 1, m, n, fma(fr, e, multiply(fi, c)))
