r"""The pieces of a layer of Algorithm 1, in coordinates in which the inner steps do not know N.

While W is fixed, every gradient step (23b) adds to F̂ a combination of F_(i), the channels and the range
of Ψ = U Uᴴ. So F̂ = E S with the basis E = [F_(i), h_1 … h_K, U] (N × D, D = M + K + rank) and
coordinates S (D × M), and with the Gram matrix T = Eᴴ E

    X = E S_x,  S_x = S W,   Y = Eᴴ X = T S_x,   C = Xᴴ X = S_xᴴ Y,   A = H X = rows M … M + K of Y,
    ∇_X (R − ω τ) = E P,     P = −2ω S_x C + [0; A ∘ (Eq. 4's powers); 2ω Uᴴ X],
    S ← S + μ P Wᴴ                                                                     (23b)
    ∇_W = (Eᴴ F)ᴴ P, for S = [I; 0; 0]                                                  (24)

exactly: an inner step costs O(D² K) whatever N is, and N enters once per outer layer (F̂ = E S, the
projection (10), the new columns of T). No N × N matrix is ever formed.

The adjoint runs the same formulas backwards. With Z̄ the cotangent in the sense dL = Re tr(Z̄ᴴ dZ):
P̄ = μ S̄ W, then through P to S_x and Y, through Y = T S_x to T, through T to F. Layers are checkpointed
(F_(i), W_(i)); the inner coordinates of one layer at a time are computed again.
"""

from __future__ import annotations

import math

from beamfold.kernels.rows import (
    LANES,
    add_inner,
    add_product_adjoint,
    clear,
    combine,
    inner_hermitian,
    kernel,
    one,
    product,
    scale,
)
from beamfold.kernels.simd import fma, like, load, multiply, splat, store

LN2 = math.log(2.0)


@kernel
def powers(Y, noise, row, k):
    """|A_kk|² and Σ_{l≠k} |A_kl|² + σ² of Eq. (4); user k's A is in row `row` of Y."""
    signal = Y[0, k, row] * Y[0, k, row] + Y[1, k, row] * Y[1, k, row]
    other = noise
    for m in range(Y.shape[1]):
        if m != k:
            other += Y[0, m, row] * Y[0, m, row] + Y[1, m, row] * Y[1, m, row]
    return signal, other


@kernel
def gradient(P, Sx, Y, C, kappa, noise, exact, on_U, M):
    """P = −κ S_x C + [0; A ∘ weights; κ Uᴴ X]; `exact` for (14), else its signal part alone."""
    K, D = Y.shape[1], Y.shape[2]
    product(P, Sx, C)
    minus = splat(-kappa, LANES)
    for d in range(0, D, LANES):
        on = multiply(splat(kappa, LANES), load(on_U, 0, 0, d, LANES))
        for k in range(K):
            for z in range(2):
                radar = multiply(on, load(Y, z, k, d, LANES))
                store(P, z, k, d, fma(minus, load(P, z, k, d, LANES), radar))
    bits = like(Y, 1 / LN2)
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
def rate_adjoint(Yb, Pb, Y, noise, exact, M):
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
def gradient_adjoint(Sxb, Yb, Cb, Pb, Sx, Y, C, kappa, noise, exact, on_U, M):
    """S̄_x and Ȳ from P̄, where C = S_xᴴ Y is a function of both; Cb is working space."""
    K, D = Y.shape[1], Y.shape[2]
    Cb[:] = like(Y, 0.0)
    add_inner(Cb, -kappa, Sx, Pb)
    product(Sxb, Pb, C)
    scale(Sxb, -kappa)
    product(Yb, Sx, Cb)
    for d in range(0, D, LANES):
        on = multiply(splat(kappa, LANES), load(on_U, 0, 0, d, LANES))
        for k in range(K):
            for z in range(2):
                store(Yb, z, k, d, fma(on, load(Pb, z, k, d, LANES), load(Yb, z, k, d, LANES)))
    add_product_adjoint(Sxb, one(Y), Y, Cb)
    rate_adjoint(Yb, Pb, Y, noise, exact, M)


@kernel
def identity(S):
    """S = [I; 0; 0], the coordinates of F_(i) itself."""
    clear(S)
    for m in range(S.shape[1]):
        S[0, m, m] = one(S)


@kernel
def embed(Sx, W):
    """S_x = [W; 0; 0], the coordinates of F W."""
    clear(Sx)
    for z in range(2):
        for k in range(W.shape[2]):
            for m in range(W.shape[1]):
                Sx[z, k, m] = W[z, m, k]


@kernel
def top(out, S):
    """out (M, K) = the first M rows of S (D, K), the part of the coordinates that belongs to F_(i)."""
    for z in range(2):
        for m in range(out.shape[1]):
            for k in range(out.shape[2]):
                out[z, m, k] = S[z, k, m]


@kernel
def times_gram(out, T, W):
    """out = Fᴴ F W, Fᴴ F being the leading block of T."""
    M, K = W.shape[1], W.shape[2]
    for a in range(M):
        for k in range(K):
            re = like(T, 0.0)
            im = like(T, 0.0)
            for b in range(M):
                re += T[0, b, a] * W[0, b, k] - T[1, b, a] * W[1, b, k]
                im += T[0, b, a] * W[1, b, k] + T[1, b, a] * W[0, b, k]
            out[0, a, k] = re
            out[1, a, k] = im


@kernel
def real_inner(A, B):
    """Re tr(Aᴴ B) for small matrices."""
    value = like(A, 0.0)
    for z in range(2):
        for m in range(A.shape[1]):
            for k in range(A.shape[2]):
                value += A[z, m, k] * B[z, m, k]
    return value


@kernel
def inner_gradient(P, Sx, Y, C, S, T, W, kappa, noise, on_U):
    """P for F̂ = E S, with κ = 2 ω: the gradient of R − ω τ in X, in coordinates."""
    product(Sx, S, W)
    combine(Y, T, Sx, T.shape[1])
    inner_hermitian(C, Sx, Y)
    gradient(P, Sx, Y, C, kappa, noise, True, on_U, S.shape[1])


@kernel
def digital_gradient(g, P, Sx, Y, C, T, W, kappa, noise, exact, on_U):
    """g = ∇_W R − ω η ∇_W τ of (24), with κ = 2 ω η."""
    M = W.shape[1]
    embed(Sx, W)
    combine(Y, T, Sx, M)
    inner_hermitian(C, Sx, Y)
    gradient(P, Sx, Y, C, kappa, noise, exact, on_U, M)
    g[:] = like(Y, 0.0)
    add_inner(g, one(Y), T, P)
