r"""R − ω τ, or R + ω c, with the power normalised inside, in coordinates that do not know N.

With X in units of √P_t, h_k in units of σ/√P_t and ω in units of 1/P_t²,

    f(X) = (R − ω τ)(s X),  s² = 1 / ‖X‖²,   V = [F, h_1 … h_K, U]  (N × D),  Ψ ≈ U Uᴴ

has no constraint on the scale of X and needs of it only Y = Vᴴ X and C = Xᴴ X:

    f = Σ_k log₂(total_k / other_k) − ω (s⁴ ‖C‖² − 2 s² ‖Y_U‖² + ‖Ψ‖²)
    df/dX* = V P + X P_X,
    P_H = s²/ln 2 (1/total on the diagonal, 1/total − 1/other off it) ∘ Y_H,   P_U = 2 ω s² Y_U,
    P_X = −2 ω s⁴ C − μ I,   μ = (Re⟨P, Y⟩ − 2 ω s⁴ ‖C‖²) / tr C,

where μ takes out the part of the gradient along X. For X = F W that is V P alone, with W P_X added to P on
the coordinates of F. Another goal c than −τ is a function of Y_U, too, with U the columns that it needs:
`fast_goal` adds it.

Shapes: Y, P (2, K, D) with the coordinates of F first, C and P_X (2, K, K), all by columns and padded with
zeros.
"""

from __future__ import annotations

from typing import Any

from beamfold.kernels.fast_goal import with_goal
from beamfold.kernels.fast_workspace import Digital, Objective, Problem
from beamfold.kernels.linalg import (
    Planes,
    combine,
    combine_narrow,
    erase,
    inner,
    inner_narrow,
    kernel,
    leaf,
)
from beamfold.kernels.simd import (
    LANES,
    NARROW,
    add,
    divide,
    fma,
    like,
    load,
    log2,
    multiply,
    splat,
    store,
    total,
    zeros,
)
from beamfold.kernels.workspace import of_shape

LOG2E = 1.4426950408889634


@kernel
def set_masks(masks: Planes, first: int, users: int, rank: int) -> None:
    """The coordinates of each role, for users at the coordinates `first` on and U's r behind them.

    masks[0, k] is 1 at user k's own channel, masks[1, k] at all other channels and at U, masks[2, 0] at U.
    """
    erase(masks)
    for k in range(users):
        for d in range(first, first + users + rank):
            masks[1, k, d] = like(masks, 1.0)
        masks[0, k, first + k] = like(masks, 1.0)
        masks[1, k, first + k] = like(masks, 0.0)
    for d in range(first + users, first + users + rank):
        masks[2, 0, d] = like(masks, 1.0)


@leaf
def with_lengths(objective: Objective, lanes: int) -> Objective:
    """The same arrays for K = 4 users and coordinates in so many lanes, numbers that the compiler knows.

    More than half of a design's time is spent in loops over them: with lengths that are known a design of the
    paper's sizes takes 8 % less.
    """
    Y, C, P, PX, masks = objective
    return Objective(
        of_shape(Y, 2, 4, lanes), of_shape(C, 2, 4, 4), of_shape(P, 2, 4, lanes), of_shape(PX, 2, 4, 4),
        of_shape(masks, 3, 4, lanes),
    )  # fmt: skip


@leaf
def gram_sums(C: Planes, K: int) -> tuple[Any, Any]:
    """tr C and ‖C‖²."""
    trace = like(C, 0.0)
    square = zeros(C, NARROW)
    for k in range(K):
        trace += C[0, k, k]
        for i in range(0, C.shape[2], NARROW):
            re, im = load(C, 0, k, i, NARROW), load(C, 1, k, i, NARROW)
            square = fma(im, im, fma(re, re, square))
    return trace, total(square)


@leaf
def value(objective: Objective, problem: Problem, K: int) -> Any:
    """f from Y and C; fills P and P_X."""
    Y, C, P, PX, masks = objective
    weight = like(Y, problem.omega)
    trace, square = gram_sums(C, K)
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
            store(P, 0, k, d, multiply(weights, load(Y, 0, k, d, LANES)))
            store(P, 1, k, d, multiply(weights, load(Y, 1, k, d, LANES)))
    v2 = total(radar)
    mu = (total(along) + q * (v2 - s2 * square)) / trace
    minus = splat(-q * s2, NARROW)
    for k in range(K):
        for z in range(2):
            for i in range(0, C.shape[2], NARROW):
                store(PX, z, k, i, multiply(minus, load(C, z, k, i, NARROW)))
        PX[0, k, k] -= mu
    f = total(R) - weight * (s2 * (s2 * square - (v2 + v2)) + like(Y, problem.square))
    return with_goal(f, problem.sensed, objective, trace, K)


@kernel
def by_chains(g: Planes, T: Planes, W: Planes, objective: Objective, problem: Problem) -> Any:
    """f at X = F W from T = Vᴴ F alone, and g = df/dW*; leaves P with W P_X on F's coordinates.

    T (2, M, D), W and g (2, K, M).
    """
    Y, C, P, PX, _ = objective
    K, M = W.shape[1], W.shape[2]
    combine(Y, T, W, M)
    inner_narrow(C, Y, C.shape[2], W, 0, K)
    f = value(objective, problem, K)
    combine_narrow(P, W, PX, K)
    inner(g, T, M, P, 0, K)
    return f


@kernel
def by_coordinates(g: Planes, row: int, digital: Digital, objective: Objective, problem: Problem) -> Any:
    """f at X = Q Z, Q orthonormal and Vᴴ Q = L, and its real gradient (2 df/dZ*) in row `row` of g."""
    Y, C, P, PX, _ = objective
    L, Z, through_V, through_X = digital.L, digital.Z, digital.through_V, digital.through_X
    K, size = PX.shape[1], Z.shape[1] * Z.shape[2]
    combine(Y, L, Z, L.shape[1])
    inner(C, Z, C.shape[2], Z, 0, K)
    f = value(objective, problem, K)
    combine(through_X, Z, PX, K)
    inner(through_V, L, L.shape[1], P, 0, K)
    two = splat(like(Z, 2.0), LANES)
    for z in range(2):
        for k in range(K):
            for d in range(0, Z.shape[2], LANES):
                both = add(load(through_V, z, k, d, LANES), load(through_X, z, k, d, LANES))
                store(g, 0, row, z * size + k * Z.shape[2] + d, multiply(two, both))
    return f
