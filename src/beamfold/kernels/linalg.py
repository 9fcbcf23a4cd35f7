"""Products of thin complex matrices stored by columns.

A matrix Z (D, M) is an array (2, M, D): plane 0 real, plane 1 imaginary, column m contiguous along the last
axis, whose length is padded with zeros to whole registers (`simd.LANES`, or `NARROW` for `_narrow`). Sizes
are read off the arrays, so that one compilation per precision serves every size.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from beamfold.kernels.compiled import compiled
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
    total,
    totals,
    zeros,
)

Planes = NDArray[Any]
kernel = compiled()
leaf = compiled(forceinline=True)
"""`kernel`, but always inlined: for what is called a hundred times per design with many arrays."""


def _combine(lanes: int) -> Any:
    @kernel
    def combine(out: Planes, A: Planes, B: Planes, columns: int) -> None:
        """out = A B for the first `columns` columns of A (N, D) and rows of B (D, M)."""
        for m in range(B.shape[1]):
            for n in range(0, A.shape[2], lanes):
                # Four sums instead of two halve the chain of dependent additions.
                rr, ii, ri, ir = zeros(A, lanes), zeros(A, lanes), zeros(A, lanes), zeros(A, lanes)
                for d in range(columns):
                    ar, ai = load(A, 0, d, n, lanes), load(A, 1, d, n, lanes)
                    br, bi = splat(B[0, m, d], lanes), splat(B[1, m, d], lanes)
                    rr, ii = fma(ar, br, rr), fma(ai, bi, ii)
                    ri, ir = fma(ar, bi, ri), fma(ai, br, ir)
                store(out, 0, m, n, subtract(rr, ii))
                store(out, 1, m, n, add(ri, ir))

    return combine


def _inner(lanes: int) -> Any:
    @leaf
    def inner_column(
        out: Planes, A: Planes, rows: int, B: Planes, b: int, j: int, begin: int, end: int
    ) -> None:
        """out[:, j, i] = (column i of A)ᴴ (column b of B) over the lanes `begin` to `end`."""
        for i in range(0, rows, 4):
            r0, r1, r2, r3 = zeros(A, lanes), zeros(A, lanes), zeros(A, lanes), zeros(A, lanes)
            i0, i1, i2, i3 = zeros(A, lanes), zeros(A, lanes), zeros(A, lanes), zeros(A, lanes)
            for d in range(begin, end, lanes):
                br, bi = load(B, 0, b, d, lanes), load(B, 1, b, d, lanes)
                ar, ai = load(A, 0, i, d, lanes), load(A, 1, i, d, lanes)
                r0, i0 = fma(ai, bi, fma(ar, br, r0)), fnma(ai, br, fma(ar, bi, i0))
                ar, ai = load(A, 0, i + 1, d, lanes), load(A, 1, i + 1, d, lanes)
                r1, i1 = fma(ai, bi, fma(ar, br, r1)), fnma(ai, br, fma(ar, bi, i1))
                ar, ai = load(A, 0, i + 2, d, lanes), load(A, 1, i + 2, d, lanes)
                r2, i2 = fma(ai, bi, fma(ar, br, r2)), fnma(ai, br, fma(ar, bi, i2))
                ar, ai = load(A, 0, i + 3, d, lanes), load(A, 1, i + 3, d, lanes)
                r3, i3 = fma(ai, bi, fma(ar, br, r3)), fnma(ai, br, fma(ar, bi, i3))
            store(out, 0, j, i, totals(r0, r1, r2, r3))
            store(out, 1, j, i, totals(i0, i1, i2, i3))

    @kernel
    def inner(out: Planes, A: Planes, rows: int, B: Planes, first: int, count: int) -> None:
        """out[:, j, i] = (column i of A)ᴴ (column first + j of B), i < rows, a multiple of 4, j < count."""
        for j in range(count):
            inner_column(out, A, rows, B, first + j, j, 0, B.shape[2])

    @kernel
    def inner_sparse(out: Planes, A: Planes, rows: int, B: Planes, count: int) -> None:
        """`inner` for the first columns of B, of each from its first register that is not 0 to its last."""
        for j in range(count):
            begin, end = B.shape[2], 0
            for d in range(0, B.shape[2], lanes):
                re, im = load(B, 0, j, d, lanes), load(B, 1, j, d, lanes)
                if total(fma(im, im, multiply(re, re))) > like(B, 0.0):
                    begin, end = min(begin, d), d + lanes
            inner_column(out, A, rows, B, j, j, begin, end)

    return inner, inner_sparse


combine, combine_narrow = _combine(LANES), _combine(NARROW)
inner, inner_sparse = _inner(LANES)
inner_narrow, _ = _inner(NARROW)


@kernel
def gram(T: Planes, V: Planes, first: int, last: int) -> None:
    """T = Vᴴ V for V (N, D), D a multiple of 4: its columns `first` to `last`, and their mirror images."""
    inner(T[:, first:], V, V.shape[1], V, first, last - first)
    for j in range(first, last):
        for i in range(V.shape[1]):
            T[0, i, j] = T[0, j, i]
            T[1, i, j] = -T[1, j, i]


@kernel
def dot(A: Planes, a: int, B: Planes, b: int) -> tuple[Any, Any]:
    """Column a of A (D, ·), conjugated, times column b of B (D, ·): real and imaginary part."""
    re, im = zeros(A, LANES), zeros(A, LANES)
    for d in range(0, A.shape[2], LANES):
        ar, ai = load(A, 0, a, d, LANES), load(A, 1, a, d, LANES)
        br, bi = load(B, 0, b, d, LANES), load(B, 1, b, d, LANES)
        re = fma(ai, bi, fma(ar, br, re))
        im = fnma(ai, br, fma(ar, bi, im))
    return total(re), total(im)


@kernel
def times_adjoint(out: Planes, P: Planes, W: Planes, M: int) -> None:
    """out = P Wᴴ for P (D, K) and the first M rows of W (M, K)."""
    for m in range(M):
        for d in range(0, P.shape[2], LANES):
            rr, ii, ri, ir = zeros(P, LANES), zeros(P, LANES), zeros(P, LANES), zeros(P, LANES)
            for k in range(W.shape[1]):
                ar, ai = load(P, 0, k, d, LANES), load(P, 1, k, d, LANES)
                br, bi = splat(W[0, k, m], LANES), splat(W[1, k, m], LANES)
                rr, ii = fma(ar, br, rr), fma(ai, bi, ii)
                ri, ir = fma(ar, bi, ri), fma(ai, br, ir)
            store(out, 0, m, d, add(rr, ii))
            store(out, 1, m, d, subtract(ir, ri))


@leaf
def row_times_adjoint(P: Planes, W: Planes, m: int, d: int) -> tuple[Any, Any]:
    """Column m of P Wᴴ at the lanes d: real and imaginary part, for P (D, K), W (M, K)."""
    re, im = zeros(P, LANES), zeros(P, LANES)
    for k in range(W.shape[1]):
        ar, ai = load(P, 0, k, d, LANES), load(P, 1, k, d, LANES)
        br, bi = splat(W[0, k, m], LANES), splat(W[1, k, m], LANES)
        re = fma(ai, bi, fma(ar, br, re))
        im = fnma(ar, bi, fma(ai, br, im))
    return re, im


@kernel
def add_times_adjoint(out: Planes, scale: Any, P: Planes, W: Planes) -> None:
    """out += scale P Wᴴ for P (D, K), W (M, K); out (D, M)."""
    s = splat(scale, LANES)
    for m in range(W.shape[2]):
        for d in range(0, P.shape[2], LANES):
            re, im = row_times_adjoint(P, W, m, d)
            store(out, 0, m, d, fma(s, re, load(out, 0, m, d, LANES)))
            store(out, 1, m, d, fma(s, im, load(out, 1, m, d, LANES)))


@kernel
def add_inner(out: Planes, scale: Any, A: Planes, B: Planes) -> None:
    """out += scale Aᴴ B, out (M, K), for the first M columns of A (D, ·) and B (D, K)."""
    for k in range(out.shape[1]):
        for m in range(out.shape[2]):
            re, im = dot(A, m, B, k)
            out[0, k, m] += scale * re
            out[1, k, m] += scale * im


@kernel
def inner_hermitian(C: Planes, A: Planes, B: Planes) -> None:
    """C = Aᴴ B where it is known to be Hermitian: half the work."""
    K = C.shape[1]
    for a in range(K):
        for b in range(a, K):
            re, im = dot(A, a, B, b)
            C[0, b, a] = re
            C[1, b, a] = im
            C[0, a, b] = re
            C[1, a, b] = -im


@kernel
def scale_add(out: Planes, a: Any, b: Any, B: Planes) -> None:
    """out = a out + b B, all columns of B."""
    va, vb = splat(a, LANES), splat(b, LANES)
    for m in range(B.shape[1]):
        for d in range(0, B.shape[2], LANES):
            for z in range(2):
                scaled = multiply(va, load(out, z, m, d, LANES))
                store(out, z, m, d, fma(vb, load(B, z, m, d, LANES), scaled))


@kernel
def scale(out: Planes, a: Any) -> None:
    """out = a out."""
    v = splat(a, LANES)
    for m in range(out.shape[1]):
        for d in range(0, out.shape[2], LANES):
            store(out, 0, m, d, multiply(v, load(out, 0, m, d, LANES)))
            store(out, 1, m, d, multiply(v, load(out, 1, m, d, LANES)))


@kernel
def copy(out: Planes, A: Planes, columns: int) -> None:
    """out = A, the first `columns` columns."""
    for m in range(columns):
        for d in range(0, A.shape[2], LANES):
            store(out, 0, m, d, load(A, 0, m, d, LANES))
            store(out, 1, m, d, load(A, 1, m, d, LANES))


@kernel
def small_scale_add(out: Planes, a: Any, b: Any, B: Planes) -> None:
    """out = a out + b B for small matrices, whose rows are not padded."""
    for z in range(2):
        for m in range(B.shape[1]):
            for k in range(B.shape[2]):
                out[z, m, k] = a * out[z, m, k] + b * B[z, m, k]


@kernel
def small_copy(out: Planes, A: Planes) -> None:
    """out = A for small matrices, whose rows are not padded; a loop as in `erase`."""
    for z in range(A.shape[0]):
        for m in range(A.shape[1]):
            for k in range(A.shape[2]):
                out[z, m, k] = A[z, m, k]


@kernel
def erase(A: Planes) -> None:
    """A = 0, all entries of its three axes. A loop: assigning to a slice takes Numba seconds to compile."""
    nothing = like(A, 0.0)
    for z in range(A.shape[0]):
        for j in range(A.shape[1]):
            for i in range(A.shape[2]):
                A[z, j, i] = nothing


@kernel
def number(constant: int) -> int:
    """A constant as any other number: Numba compiles a kernel that is handed a constant for that alone."""
    return constant


@kernel
def one(array: Planes) -> Any:
    """1 in the precision of `array`."""
    return like(array, 1.0)


@leaf
def row_dot(A: Planes, a: int, B: Planes, b: int) -> Any:
    """Row a of A (1, ·, n) · row b of B (1, ·, n), both real."""
    value = zeros(A, LANES)
    for i in range(0, A.shape[2], LANES):
        value = fma(load(A, 0, a, i, LANES), load(B, 0, b, i, LANES), value)
    return total(value)


@leaf
def row_add(A: Planes, to: int, scale: Any, B: Planes, source: int) -> None:
    """Row `to` of A += scale · row `source` of B."""
    v = splat(scale, LANES)
    for i in range(0, A.shape[2], LANES):
        store(A, 0, to, i, fma(v, load(B, 0, source, i, LANES), load(A, 0, to, i, LANES)))


@leaf
def row_set(A: Planes, to: int, scale: Any, B: Planes, source: int) -> None:
    """Row `to` of A = scale · row `source` of B."""
    v = splat(scale, LANES)
    for i in range(0, A.shape[2], LANES):
        store(A, 0, to, i, multiply(v, load(B, 0, source, i, LANES)))


@leaf
def row_copy(A: Planes, to: int, source: int) -> None:
    """Row `to` = row `source`."""
    for i in range(0, A.shape[2], LANES):
        store(A, 0, to, i, load(A, 0, source, i, LANES))
