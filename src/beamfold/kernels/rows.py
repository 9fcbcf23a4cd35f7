"""Products of thin complex matrices kept as rows of lanes: the arithmetic of the compiled kernels.

A matrix Z (D, M) is stored by columns, as an array (2, M, D): plane 0 real, plane 1 imaginary, column m
contiguous along the last axis, whose length is a multiple of `LANES` (padded with zeros). A small matrix
B (M, K) that multiplies from the right is a plain (2, M, K). Sizes are read off the arrays, so that one
compilation per precision serves every size.
"""

from __future__ import annotations

from beamfold.kernels.compiled import compiled
from beamfold.kernels.simd import (
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

LANES = 16
kernel = compiled()


@kernel
def product(out, A, B):
    """out = A B for A (D, M), B (M, K); out (D, K)."""
    M, K = B.shape[1], B.shape[2]
    for d in range(0, A.shape[2], LANES):
        for k in range(K):
            re = zeros(A, LANES)
            im = zeros(A, LANES)
            for m in range(M):
                ar = load(A, 0, m, d, LANES)
                ai = load(A, 1, m, d, LANES)
                br = splat(B[0, m, k], LANES)
                bi = splat(B[1, m, k], LANES)
                re = fnma(ai, bi, fma(ar, br, re))
                im = fma(ai, br, fma(ar, bi, im))
            store(out, 0, k, d, re)
            store(out, 1, k, d, im)


@kernel
def add_product_adjoint(out, scale, P, W):
    """out += scale P Wᴴ for P (D, K), W (M, K); out (D, M)."""
    M, K = W.shape[1], W.shape[2]
    s = splat(scale, LANES)
    for d in range(0, P.shape[2], LANES):
        for m in range(M):
            re = zeros(P, LANES)
            im = zeros(P, LANES)
            for k in range(K):
                ar = load(P, 0, k, d, LANES)
                ai = load(P, 1, k, d, LANES)
                br = splat(W[0, m, k], LANES)
                bi = splat(W[1, m, k], LANES)
                re = fma(ai, bi, fma(ar, br, re))
                im = fnma(ar, bi, fma(ai, br, im))
            store(out, 0, m, d, fma(s, re, load(out, 0, m, d, LANES)))
            store(out, 1, m, d, fma(s, im, load(out, 1, m, d, LANES)))


@kernel
def combine(out, A, S, columns):
    """out = A S for the first `columns` columns of A (N, D) and rows of S (D, M), S stored by columns."""
    for n in range(0, A.shape[2], LANES):
        for m in range(S.shape[1]):
            # Four sums instead of two halve the chain of dependent additions.
            rr = zeros(A, LANES)
            ii = zeros(A, LANES)
            ri = zeros(A, LANES)
            ir = zeros(A, LANES)
            for d in range(columns):
                ar = load(A, 0, d, n, LANES)
                ai = load(A, 1, d, n, LANES)
                br = splat(S[0, m, d], LANES)
                bi = splat(S[1, m, d], LANES)
                rr = fma(ar, br, rr)
                ii = fma(ai, bi, ii)
                ri = fma(ar, bi, ri)
                ir = fma(ai, br, ir)
            store(out, 0, m, n, subtract(rr, ii))
            store(out, 1, m, n, add(ri, ir))


@kernel
def dot(A, a, B, b):
    """Column a of A (D, ·), conjugated, times column b of B (D, ·): real and imaginary part."""
    re = zeros(A, LANES)
    im = zeros(A, LANES)
    for d in range(0, A.shape[2], LANES):
        ar = load(A, 0, a, d, LANES)
        ai = load(A, 1, a, d, LANES)
        br = load(B, 0, b, d, LANES)
        bi = load(B, 1, b, d, LANES)
        re = fma(ai, bi, fma(ar, br, re))
        im = fnma(ai, br, fma(ar, bi, im))
    return total(re), total(im)


@kernel
def add_inner(out, scale, A, B):
    """out += scale Aᴴ B, out (M, K), for the first M columns of A (D, ·) and B (D, K)."""
    for m in range(out.shape[1]):
        for k in range(out.shape[2]):
            re, im = dot(A, m, B, k)
            out[0, m, k] += scale * re
            out[1, m, k] += scale * im


@kernel
def inner_hermitian(C, A, B):
    """C = Aᴴ B where it is known to be Hermitian: half the work."""
    K = C.shape[1]
    for a in range(K):
        for b in range(a, K):
            re, im = dot(A, a, B, b)
            C[0, a, b] = re
            C[1, a, b] = im
            C[0, b, a] = re
            C[1, b, a] = -im


@kernel
def gram(T, E, first, last):
    """T = Eᴴ E for E (N, D): its columns `first` to `last`, and their mirror images."""
    for j in range(first, last):
        for i in range(E.shape[1]):
            re, im = dot(E, i, E, j)
            T[0, j, i] = re
            T[1, j, i] = im
            T[0, i, j] = re
            T[1, i, j] = -im


@kernel
def unit(out, size, A, old):
    """out = A / |A| entry by entry, Eq. (10), |A| in `size`; an entry whose |A|² is 0 keeps `old`."""
    for m in range(A.shape[1]):
        for n in range(0, A.shape[2], LANES):
            re = load(A, 0, m, n, LANES)
            im = load(A, 1, m, n, LANES)
            square = fma(im, im, multiply(re, re))
            r = root(square)
            store(size, 0, m, n, where_zero(square, zeros(A, LANES), r))
            store(out, 0, m, n, where_zero(square, load(old, 0, m, n, LANES), divide(re, r)))
            store(out, 1, m, n, where_zero(square, load(old, 1, m, n, LANES), divide(im, r)))


@kernel
def unit_adjoint(out, bar, F, size):
    """The adjoint of `unit`: out = (F̄ − F Re(F* F̄)) / |A|, the part of F̄ along the circle."""
    for m in range(F.shape[1]):
        for n in range(0, F.shape[2], LANES):
            fr = load(F, 0, m, n, LANES)
            fi = load(F, 1, m, n, LANES)
            br = load(bar, 0, m, n, LANES)
            bi = load(bar, 1, m, n, LANES)
            along = fma(fi, bi, multiply(fr, br))
            r = load(size, 0, m, n, LANES)
            store(out, 0, m, n, where_zero(r, r, divide(fnma(fr, along, br), r)))
            store(out, 1, m, n, where_zero(r, r, divide(fnma(fi, along, bi), r)))


@kernel
def scale_add(out, a, b, B):
    """out = a out + b B, all columns of B."""
    va, vb = splat(a, LANES), splat(b, LANES)
    for m in range(B.shape[1]):
        for d in range(0, B.shape[2], LANES):
            for z in range(2):
                scaled = multiply(va, load(out, z, m, d, LANES))
                store(out, z, m, d, fma(vb, load(B, z, m, d, LANES), scaled))


@kernel
def scale(out, a):
    """out = a out."""
    v = splat(a, LANES)
    for m in range(out.shape[1]):
        for d in range(0, out.shape[2], LANES):
            store(out, 0, m, d, multiply(v, load(out, 0, m, d, LANES)))
            store(out, 1, m, d, multiply(v, load(out, 1, m, d, LANES)))


@kernel
def copy(out, A, columns):
    """out = A, the first `columns` columns."""
    for m in range(columns):
        for d in range(0, A.shape[2], LANES):
            store(out, 0, m, d, load(A, 0, m, d, LANES))
            store(out, 1, m, d, load(A, 1, m, d, LANES))


@kernel
def clear(out):
    """out = 0, all columns."""
    nothing = zeros(out, LANES)
    for m in range(out.shape[1]):
        for d in range(0, out.shape[2], LANES):
            store(out, 0, m, d, nothing)
            store(out, 1, m, d, nothing)


@kernel
def small_scale_add(out, a, b, B):
    """out = a out + b B for small matrices (2, M, K), which have no lanes."""
    for z in range(2):
        for m in range(B.shape[1]):
            for k in range(B.shape[2]):
                out[z, m, k] = a * out[z, m, k] + b * B[z, m, k]


@kernel
def erase(A):
    """A = 0, all entries of its three axes. A loop: assigning to a slice takes Numba seconds to compile."""
    nothing = like(A, 0.0)
    for z in range(A.shape[0]):
        for j in range(A.shape[1]):
            for i in range(A.shape[2]):
                A[z, j, i] = nothing


@kernel
def one(array):
    """1 in the precision of `array`."""
    return like(array, 1.0)
