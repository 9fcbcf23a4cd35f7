r"""R − ω τ with the power normalised inside, in coordinates that do not know N.

With X in units of √P_t, h_k in units of σ/√P_t and ω in units of 1/P_t²,

    f(X) = (R − ω τ)(s X),  s² = 1 / ‖X‖²,   V = [F, h_1 … h_K, U]  (N × D),  Ψ ≈ U Uᴴ

has no constraint on the scale of X and needs of it only Y = Vᴴ X and S = Xᴴ X:

    f = Σ_k log₂(total_k / other_k) − ω (s⁴ ‖S‖² − 2 s² ‖Y_U‖² + ‖Ψ‖²)
    df/dX* = V E − X E_3,
    E_H = s²/ln 2 (1/total on the diagonal, 1/total − 1/other off it) ∘ Y_H,   E_U = 2 ω s² Y_U,
    E_3 = 2 ω s⁴ S + μ I,   μ = (Re⟨E, Y⟩ − 2 ω s⁴ ‖S‖²) / tr S,

where μ takes out the part of the gradient along X.

Shapes: Y, E (2, K, D) with the coordinates of F first, S and N_3 = −E_3 (2, K, K) by columns, all padded
with zeros; `masks` (3, K, D): own[k] is 1 on user k's coordinate, the others' on the rest of H and on U,
and the last plane's first row on U.
"""

from __future__ import annotations

from beamfold.kernels.fast_lanes import (
    NARROW,
    combine,
    combine_narrow,
    inner,
    inner_narrow,
    leaf,
    log2,
)
from beamfold.kernels.rows import LANES, erase, kernel
from beamfold.kernels.simd import add, divide, fma, like, load, multiply, splat, store, total, zeros

LOG2E = 1.4426950408889634
OMEGA, SQUARE, DIGITAL, CHAINS, PHASES, DEPENDENT, LOUDEST, SHARES = range(8)
"""Places in `setting`: ω, ‖Ψ‖², the first steps of Z, W and F, `cholesky`'s `least`, the largest
P_t ‖h_k‖²/σ², and then shares of sensing beams."""


@kernel
def set_masks(masks, first, users, rank):
    """`masks` for users at the coordinates `first` on and U's r behind them."""
    erase(masks)
    for k in range(users):
        for d in range(first, first + users + rank):
            masks[1, k, d] = like(masks, 1.0)
        masks[0, k, first + k] = like(masks, 1.0)
        masks[1, k, first + k] = like(masks, 0.0)
    for d in range(first + users, first + users + rank):
        masks[2, 0, d] = like(masks, 1.0)


@leaf
def gram_sums(S, K):
    """tr S and ‖S‖²."""
    trace = like(S, 0.0)
    square = zeros(S, NARROW)
    for k in range(K):
        trace += S[0, k, k]
        for i in range(0, S.shape[2], NARROW):
            re, im = load(S, 0, k, i, NARROW), load(S, 1, k, i, NARROW)
            square = fma(im, im, fma(re, re, square))
    return trace, total(square)


@leaf
def value(E, N3, Y, S, masks, setting, K):
    """f from Y and S; fills E and N_3. setting = [ω, ‖Ψ‖², …]."""
    weight = setting[OMEGA]
    trace, square = gram_sums(S, K)
    s2 = like(Y, 1.0) / trace
    q = (weight + weight) * s2
    unit, scale, bits = splat(like(Y, 1.0), LANES), splat(s2, LANES), splat(s2 * like(Y, LOG2E), LANES)
    R, along, radar = zeros(Y, LANES), zeros(Y, LANES), zeros(Y, LANES)
    for d in range(0, Y.shape[2], LANES):
        own, other = zeros(Y, LANES), zeros(Y, LANES)
        for k in range(K):
            re, im = load(Y, 0, k, d, LANES), load(Y, 1, k, d, LANES)
            p = fma(im, im, multiply(re, re))
            own = fma(p, load(masks, 0, k, d, LANES), own)
            other = fma(p, load(masks, 1, k, d, LANES), other)
        rest = fma(scale, other, unit)
        ratio = divide(multiply(scale, own), rest)
        a = divide(bits, fma(scale, own, rest))
        c = multiply(multiply(a, ratio), splat(like(Y, -1.0), LANES))
        on_U = load(masks, 2, 0, d, LANES)
        R = add(R, log2(add(unit, ratio)))
        along = fma(a, own, fma(c, other, along))
        radar = fma(on_U, other, radar)
        c = fma(on_U, splat(q, LANES), c)
        for k in range(K):
            weights = fma(a, load(masks, 0, k, d, LANES), multiply(c, load(masks, 1, k, d, LANES)))
            store(E, 0, k, d, multiply(weights, load(Y, 0, k, d, LANES)))
            store(E, 1, k, d, multiply(weights, load(Y, 1, k, d, LANES)))
    v2 = total(radar)
    mu = (total(along) + q * (v2 - s2 * square)) / trace
    minus = splat(-q * s2, NARROW)
    for k in range(K):
        for z in range(2):
            for i in range(0, S.shape[2], NARROW):
                store(N3, z, k, i, multiply(minus, load(S, z, k, i, NARROW)))
        N3[0, k, k] -= mu
    return total(R) - weight * (s2 * (s2 * square - (v2 + v2)) + setting[SQUARE])


@kernel
def by_chains(g, E, N3, Y, S, C, W, masks, setting):
    """f at X = F W from C = Vᴴ F alone, and g = df/dW*; leaves E with −W E_3 on F's coordinates.

    C (2, M, D), W and g (2, K, M) by columns.
    """
    K, M = W.shape[1], W.shape[2]
    combine(Y, C, W, M)
    inner_narrow(S, Y, S.shape[2], W, 0, K)
    f = value(E, N3, Y, S, masks, setting, K)
    combine_narrow(E, W, N3, K)
    inner(g, C, M, E, 0, K)
    return f


@kernel
def by_coordinates(R, row, G, T, E, N3, Y, S, L, Z, masks, setting):
    """f at X = Q Z, Q orthonormal and Vᴴ Q = L, and its real gradient (2 df/dZ*) in R[row].

    L (2, n, D), Z and the working space G, T (2, K, n) by columns.
    """
    K, size = N3.shape[1], Z.shape[1] * Z.shape[2]
    combine(Y, L, Z, L.shape[1])
    inner(S, Z, S.shape[2], Z, 0, K)
    f = value(E, N3, Y, S, masks, setting, K)
    combine(G, Z, N3, K)
    inner(T, L, L.shape[1], E, 0, K)
    two = splat(like(Z, 2.0), LANES)
    for z in range(2):
        for k in range(K):
            for d in range(0, Z.shape[2], LANES):
                both = add(load(T, z, k, d, LANES), load(G, z, k, d, LANES))
                store(R, 0, row, z * size + k * Z.shape[2] + d, multiply(two, both))
    return f
