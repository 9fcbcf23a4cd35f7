r"""The pieces of a layer of Algorithm 1, in coordinates in which the inner steps do not know N.

While W is fixed, every gradient step (23b) adds to F̂ a combination of F_(i), the channels and the range
of Ψ = U Uᴴ. So F̂ = V S with the basis V = [F_(i), h_1 … h_K, U] (N × D, D = M + K + rank) and
coordinates S (D × M), and with the Gram matrix T = Vᴴ V

    X = V S_x,  S_x = S W,   Y = Vᴴ X = T S_x,   C = Xᴴ X = S_xᴴ Y,   A = H X = rows M … M + K of Y,
    ∇_X (R − ω τ) = V P,     P = −2ω S_x C + [0; A ∘ (Eq. 4's powers); 2ω Uᴴ X],
    S ← S + μ P Wᴴ                                                                     (23b)
    ∇_W = (Vᴴ F)ᴴ P, for S = [I; 0; 0]                                                  (24)

exactly: an inner step costs O(D² K) whatever N is, and N enters once per outer layer (F̂ = V S, the
projection (10), the new columns of T). No N × N matrix is ever formed.

The adjoint runs the same formulas backwards. With Z̄ the cotangent in the sense dL = Re tr(Z̄ᴴ dZ):
P̄ = μ S̄ W, then through P to S_x and Y, through Y = T S_x to T, through T to F. Layers are checkpointed
(F_(i), W_(i)); the inner coordinates of one layer at a time are computed again.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from beamfold.kernels.linalg import (
    Planes,
    add_inner,
    add_times_adjoint,
    combine,
    erase,
    inner_hermitian,
    kernel,
    one,
    scale,
)
from beamfold.kernels.planes import up
from beamfold.kernels.simd import LANES, fma, like, load, multiply, splat, store
from beamfold.kernels.workspace import shape

LN2 = math.log(2.0)


class Coordinates(NamedTuple):
    """What one gradient is computed from and in."""

    T: Planes
    """(2, D, D), Vᴴ V."""
    on_U: Planes
    """(1, 1, D), 1 at the coordinates of U."""
    Sx: Planes
    """(2, K, D), the coordinates of X."""
    Y: Planes
    """(2, K, D), Vᴴ X."""
    C: Planes
    """(2, K, K), Xᴴ X."""
    P: Planes
    """(2, K, D), the coordinates of the gradient in X."""


class Cotangents(NamedTuple):
    """The cotangents of what `Coordinates` holds under the same names."""

    Sx: Planes
    Y: Planes
    C: Planes
    P: Planes


@kernel
def coordinates(K: int, M: int, rank: int) -> int:
    """D, padded."""
    return up(M + K + rank, LANES)


@kernel
def coordinates_layout(K: int, D: int) -> Coordinates:
    """The shapes of `Coordinates`."""
    wide = shape(2, K, D)
    return Coordinates(T=shape(2, D, D), on_U=shape(1, 1, D), Sx=wide, Y=wide, C=shape(2, K, K), P=wide)


@kernel
def cotangents_layout(K: int, D: int) -> Cotangents:
    """The shapes of `Cotangents`."""
    wide = shape(2, K, D)
    return Cotangents(Sx=wide, Y=wide, C=shape(2, K, K), P=wide)


@kernel
def powers(Y: Planes, noise: Any, row: int, k: int) -> tuple[Any, Any]:
    """|A_kk|² and Σ_{l≠k} |A_kl|² + σ² of Eq. (4); user k's A is in row `row` of Y."""
    signal = Y[0, k, row] * Y[0, k, row] + Y[1, k, row] * Y[1, k, row]
    other = noise
    for m in range(Y.shape[1]):
        if m != k:
            other += Y[0, m, row] * Y[0, m, row] + Y[1, m, row] * Y[1, m, row]
    return signal, other


@kernel
def rate_rows(P: Planes, Y: Planes, noise: Any, exact: bool, M: int) -> None:
    """P += A ∘ weights in the rows M … M + K of the channels; `exact` as for `gradient`."""
    bits = like(Y, 1 / LN2)
    K = Y.shape[1]
    for k in range(K):
        r = M + k
        signal, other = powers(Y, noise, r, k)
        a = bits / (other + signal)
        for m in range(K):
            # a − b without its cancellation
            weight = a if m == k else (-a * signal / other if exact else like(Y, 0.0))
            P[0, m, r] += weight * Y[0, m, r]
            P[1, m, r] += weight * Y[1, m, r]


@kernel
def gradient(c: Coordinates, kappa: Any, noise: Any, exact: bool, M: int) -> None:
    """P = −κ S_x C + [0; A ∘ weights; κ Uᴴ X]; `exact` for (14), else its signal part alone."""
    _, on_U, Sx, Y, C, P = c
    K, D = Y.shape[1], Y.shape[2]
    combine(P, Sx, C, K)
    minus = splat(-kappa, LANES)
    for d in range(0, D, LANES):
        on = multiply(splat(kappa, LANES), load(on_U, 0, 0, d, LANES))
        for k in range(K):
            for z in range(2):
                radar = multiply(on, load(Y, z, k, d, LANES))
                store(P, z, k, d, fma(minus, load(P, z, k, d, LANES), radar))
    rate_rows(P, Y, noise, exact, M)


@kernel
def rate_adjoint(Yb: Planes, Pb: Planes, Y: Planes, noise: Any, exact: bool, M: int) -> None:
    """Ȳ += what P's rate rows pass back to A: through A itself and through the powers of (4)."""
    bits = like(Y, 1 / LN2)
    K = Y.shape[1]
    for k in range(K):
        r = M + k
        signal, other = powers(Y, noise, r, k)
        a = bits / (other + signal)
        b = bits / other
        a_bar = like(Y, 0.0)
        b_bar = like(Y, 0.0)
        for m in range(K):
            along = Pb[0, m, r] * Y[0, m, r] + Pb[1, m, r] * Y[1, m, r]
            if m == k:
                a_bar += along
            elif exact:
                a_bar += along
                b_bar -= along
        on_total = -(a_bar + a_bar) * a / (other + signal)
        on_other = -(b_bar + b_bar) * b / other
        for m in range(K):
            weight = a if m == k else (-a * signal / other if exact else like(Y, 0.0))
            through = on_total if m == k else on_total + on_other
            Yb[0, m, r] += weight * Pb[0, m, r] + through * Y[0, m, r]
            Yb[1, m, r] += weight * Pb[1, m, r] + through * Y[1, m, r]


@kernel
def gradient_adjoint(bar: Cotangents, c: Coordinates, kappa: Any, noise: Any, exact: bool, M: int) -> None:
    """S̄_x and Ȳ from P̄, where C = S_xᴴ Y is a function of both."""
    Sxb, Yb, Cb, Pb = bar
    _, on_U, Sx, Y, C, _ = c
    K, D = Y.shape[1], Y.shape[2]
    erase(Cb)
    add_inner(Cb, -kappa, Sx, Pb)
    combine(Sxb, Pb, C, K)
    scale(Sxb, -kappa)
    combine(Yb, Sx, Cb, K)
    for d in range(0, D, LANES):
        on = multiply(splat(kappa, LANES), load(on_U, 0, 0, d, LANES))
        for k in range(K):
            for z in range(2):
                store(Yb, z, k, d, fma(on, load(Pb, z, k, d, LANES), load(Yb, z, k, d, LANES)))
    add_times_adjoint(Sxb, one(Y), Y, Cb)
    rate_adjoint(Yb, Pb, Y, noise, exact, M)


@kernel
def identity(S: Planes) -> None:
    """S = [I; 0; 0], the coordinates of F_(i) itself."""
    erase(S)
    for m in range(S.shape[1]):
        S[0, m, m] = one(S)


@kernel
def embed(Sx: Planes, W: Planes) -> None:
    """S_x = [W; 0; 0], the coordinates of F W."""
    erase(Sx)
    for z in range(2):
        for k in range(W.shape[1]):
            for m in range(W.shape[2]):
                Sx[z, k, m] = W[z, k, m]


@kernel
def top(out: Planes, S: Planes) -> None:
    """out (M, K) = the first M rows of S (D, K), the part of the coordinates that belongs to F_(i)."""
    for z in range(2):
        for k in range(out.shape[1]):
            for m in range(out.shape[2]):
                out[z, k, m] = S[z, k, m]


@kernel
def times_gram(out: Planes, T: Planes, W: Planes) -> None:
    """out = Fᴴ F W, Fᴴ F being the leading block of T."""
    K, M = W.shape[1], W.shape[2]
    for k in range(K):
        for a in range(M):
            re = like(T, 0.0)
            im = like(T, 0.0)
            for b in range(M):
                re += T[0, b, a] * W[0, k, b] - T[1, b, a] * W[1, k, b]
                im += T[0, b, a] * W[1, k, b] + T[1, b, a] * W[0, k, b]
            out[0, k, a] = re
            out[1, k, a] = im


@kernel
def real_inner(A: Planes, B: Planes) -> Any:
    """Re tr(Aᴴ B) for small matrices."""
    value = like(A, 0.0)
    for z in range(2):
        for k in range(A.shape[1]):
            for m in range(A.shape[2]):
                value += A[z, k, m] * B[z, k, m]
    return value


@kernel
def inner_gradient(c: Coordinates, S: Planes, W: Planes, kappa: Any, noise: Any) -> None:
    """P for F̂ = V S, with κ = 2 ω: the gradient of R − ω τ in X, in coordinates."""
    T, _, Sx, Y, C, _ = c
    M = S.shape[1]
    combine(Sx, S, W, M)
    combine(Y, T, Sx, T.shape[1])
    inner_hermitian(C, Sx, Y)
    gradient(c, kappa, noise, True, M)


@kernel
def digital_gradient(g: Planes, c: Coordinates, W: Planes, kappa: Any, noise: Any, exact: bool) -> None:
    """g = ∇_W R − ω η ∇_W τ of (24), with κ = 2 ω η."""
    T, _, Sx, Y, C, P = c
    M = W.shape[2]
    embed(Sx, W)
    combine(Y, T, Sx, M)
    inner_hermitian(C, Sx, Y)
    gradient(c, kappa, noise, exact, M)
    erase(g)
    add_inner(g, one(Y), T, P)
