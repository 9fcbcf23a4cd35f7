"""Further register arithmetic for the fast kernel: joint sums, logarithms, and products of row planes.

A complex matrix is stored by columns as planes (2, columns, lanes), see `rows`. Products come in two
widths, `LANES` for rows along the antennas or the coordinates and `NARROW` for rows along the M chains.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from beamfold.kernels.rows import LANES, kernel
from beamfold.kernels.simd import (
    Register,
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
    where_zero,
    zeros,
)

NARROW = 4
leaf = njit(
    fastmath={"arcp", "contract", "afn", "reassoc"},
    nogil=True,
    error_model="numpy",
    cache=True,
    forceinline=True,
)
"""`kernel`, but always inlined: for what is called a hundred times per design with many arrays."""


def _pick(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    kind = ir.VectorType(ir.IntType(32), len(lanes))
    return builder.shuffle_vector(a, b, ir.Constant(kind, lanes))


@intrinsic
def totals(typing: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """[Σ a, Σ b, Σ c, Σ d] as a register of four lanes, in half the instructions of four sums."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        L = a.lanes

        def fold(x: Any, y: Any, part: int) -> Any:
            """Segments of length `part` in x and in y, each added to its own other half."""
            low = [i for i in range(2 * L) if i % part < part // 2]
            high = [i + part // 2 for i in low]
            return builder.fadd(_pick(builder, x, y, low), _pick(builder, x, y, high))

        value = fold(fold(args[0], args[1], L), fold(args[2], args[3], L), L // 2)
        part = L // 4
        while part > 1:
            low = [i for i in range(4 * part) if i % part < part // 2]
            high = [i + part // 2 for i in low]
            none = ir.Constant(value.type, ir.Undefined)
            value = builder.fadd(_pick(builder, value, none, low), _pick(builder, value, none, high))
            part //= 2
        return value

    return Register(a.dtype, 4)(a, b, c, d), code


@intrinsic
def log2(typing: Any, a: Any) -> Any:
    """log₂ a, lane by lane, for normal a > 0: exponent + 2/ln 2 artanh((m − 1)/(m + 1)), √½ ≤ m < √2."""
    single = a.dtype == types.float32
    bits, mantissa, terms = (32, 23, 5) if single else (64, 52, 11)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        real = args[0].type
        whole = ir.VectorType(ir.IntType(bits), a.lanes)
        number = lambda x: ir.Constant(real, [x] * a.lanes)  # noqa: E731
        integer = lambda x: ir.Constant(whole, [x] * a.lanes)  # noqa: E731
        # Bits of √½: what lies above them, shifted, is the exponent of a number in [√½, √2).
        offset = 0x3F3504F3 if single else 0x3FE6A09E667F3BCD
        raw = builder.sub(builder.bitcast(args[0], whole), integer(offset))
        exponent = builder.sitofp(builder.ashr(raw, integer(mantissa)), real)
        fraction = builder.add(builder.and_(raw, integer((1 << mantissa) - 1)), integer(offset))
        m = builder.bitcast(fraction, real)
        z = builder.fdiv(builder.fsub(m, number(1.0)), builder.fadd(m, number(1.0)))
        z2 = builder.fmul(z, z)
        series = number(0.0)
        for k in range(terms, -1, -1):
            series = builder.fadd(builder.fmul(series, z2), number(2.8853900817779268 / (2 * k + 1)))
        return builder.fadd(builder.fmul(series, z), exponent)

    return a(a), code


def _inner(lanes: int) -> Any:
    """Aᴴ B over rows of whole registers of `lanes` lanes."""

    @kernel
    def inner(out, A, rows, B, first, count):
        """out[:, j, i] = (column i of A)ᴴ (column first + j of B), i < rows, a multiple of 4, j < count."""
        for j in range(count):
            b = first + j
            for i in range(0, rows, 4):
                r0, r1, r2, r3 = zeros(A, lanes), zeros(A, lanes), zeros(A, lanes), zeros(A, lanes)
                i0, i1, i2, i3 = zeros(A, lanes), zeros(A, lanes), zeros(A, lanes), zeros(A, lanes)
                for d in range(0, B.shape[2], lanes):
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

    return inner


def _combine(lanes: int) -> Any:
    """A S with S stored by columns."""

    @kernel
    def combine(out, A, S, columns):
        """out[j] = Σ_d A[d] S[j, d] over the first `columns` columns d of A."""
        for j in range(S.shape[1]):
            for n in range(0, A.shape[2], lanes):
                rr, ii, ri, ir_ = zeros(A, lanes), zeros(A, lanes), zeros(A, lanes), zeros(A, lanes)
                for d in range(columns):
                    ar, ai = load(A, 0, d, n, lanes), load(A, 1, d, n, lanes)
                    br, bi = splat(S[0, j, d], lanes), splat(S[1, j, d], lanes)
                    rr, ii = fma(ar, br, rr), fma(ai, bi, ii)
                    ri, ir_ = fma(ar, bi, ri), fma(ai, br, ir_)
                store(out, 0, j, n, subtract(rr, ii))
                store(out, 1, j, n, add(ri, ir_))

    return combine


inner, inner_narrow = _inner(LANES), _inner(NARROW)
combine, combine_narrow = _combine(LANES), _combine(NARROW)


@kernel
def combine_adjoint(out, E, W, K, M):
    """out[m] = Σ_k E[k] W*[k, m] for m < M: the columns of E Wᴴ."""
    for m in range(M):
        for d in range(0, E.shape[2], LANES):
            rr, ii, ri, ir_ = zeros(E, LANES), zeros(E, LANES), zeros(E, LANES), zeros(E, LANES)
            for k in range(K):
                ar, ai = load(E, 0, k, d, LANES), load(E, 1, k, d, LANES)
                br, bi = splat(W[0, k, m], LANES), splat(W[1, k, m], LANES)
                rr, ii = fma(ar, br, rr), fma(ai, bi, ii)
                ri, ir_ = fma(ar, bi, ri), fma(ai, br, ir_)
            store(out, 0, m, d, add(rr, ii))
            store(out, 1, m, d, subtract(ir_, ri))


@kernel
def phases_of(V, X, W, M):
    """Column m of V = the phases of Σ_k X[k] W*[k, m], m < M; a zero keeps the phase it had.

    So does what is so small that 1e-16 of its square underflows: the root of a subnormal number is not exact.
    """
    for m in range(M):
        for n in range(0, X.shape[2], LANES):
            re, im = zeros(X, LANES), zeros(X, LANES)
            for k in range(W.shape[1]):
                ar, ai = load(X, 0, k, n, LANES), load(X, 1, k, n, LANES)
                br, bi = splat(W[0, k, m], LANES), splat(W[1, k, m], LANES)
                re = fma(ai, bi, fma(ar, br, re))
                im = fnma(ar, bi, fma(ai, br, im))
            square = fma(im, im, multiply(re, re))
            r, normal = root(square), multiply(square, splat(like(V, 1e-16), LANES))
            store(V, 0, m, n, where_zero(normal, load(V, 0, m, n, LANES), divide(re, r)))
            store(V, 1, m, n, where_zero(normal, load(V, 1, m, n, LANES), divide(im, r)))


@kernel
def phase_gradient(R, row, V, S, columns, M):
    """R[row] = 2 Im(conj(F) ∘ G) with F = V[: M], G = Σ_d V[d] S[:, d]: df/d∠F from df/dF* = G."""
    two = splat(like(V, 2.0), LANES)
    N = V.shape[2]
    for m in range(0, M, 2):
        for n in range(0, N, LANES):
            a0, a1, a2, a3 = zeros(V, LANES), zeros(V, LANES), zeros(V, LANES), zeros(V, LANES)
            b0, b1, b2, b3 = zeros(V, LANES), zeros(V, LANES), zeros(V, LANES), zeros(V, LANES)
            for d in range(columns):
                vr, vi = load(V, 0, d, n, LANES), load(V, 1, d, n, LANES)
                sr, si = splat(S[0, m, d], LANES), splat(S[1, m, d], LANES)
                a0, a1 = fma(vr, sr, a0), fma(vi, si, a1)
                a2, a3 = fma(vr, si, a2), fma(vi, sr, a3)
                sr, si = splat(S[0, m + 1, d], LANES), splat(S[1, m + 1, d], LANES)
                b0, b1 = fma(vr, sr, b0), fma(vi, si, b1)
                b2, b3 = fma(vr, si, b2), fma(vi, sr, b3)
            fr, fi = load(V, 0, m, n, LANES), load(V, 1, m, n, LANES)
            turn = fnma(subtract(a0, a1), fi, multiply(add(a2, a3), fr))
            store(R, 0, row, m * N + n, multiply(two, turn))
            fr, fi = load(V, 0, m + 1, n, LANES), load(V, 1, m + 1, n, LANES)
            turn = fnma(subtract(b0, b1), fi, multiply(add(b2, b3), fr))
            store(R, 0, row, (m + 1) * N + n, multiply(two, turn))


@kernel
def rotate(V, base, R, row, t):
    """V = base (1 + ja)/(1 − ja), a = t R[row] / 2: unit modulus exactly, an angle of t R[row] + O(³)."""
    half, unit = splat(t * like(V, 0.5), LANES), splat(like(V, 1.0), LANES)
    N = V.shape[2]
    for m in range(base.shape[1]):
        for n in range(0, N, LANES):
            a = multiply(half, load(R, 0, row, m * N + n, LANES))
            q = divide(unit, fma(a, a, unit))
            c, e = multiply(fnma(a, a, unit), q), multiply(add(a, a), q)
            fr, fi = load(base, 0, m, n, LANES), load(base, 1, m, n, LANES)
            store(V, 0, m, n, fnma(fi, e, multiply(fr, c)))
            store(V, 1, m, n, fma(fr, e, multiply(fi, c)))
