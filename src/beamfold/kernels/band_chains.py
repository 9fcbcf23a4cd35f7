r"""The ascent of one subcarrier's W for a fixed F, in the orthonormal basis of F.

With Fᴴ F = L Lᴴ the columns of E = F L^(−H) are orthonormal, and X = F W = E Z for Z = Lᴴ W. So f needs of
F only T = [h_1 … h_K, U]ᴴ E, half of the coordinates that V has, and C = Zᴴ Z:

    df/dZ* = Tᴴ P + Z P_X,   P and P_X as in `fast_objective`.

BFGS for the n = 2KM real unknowns of Z passes once over B in a step. With d = B g and q = B g⁺

    y = g − g⁺,   B y = d − q,   B⁺ = B + s leftᵀ + (B y) rightᵀ,
    left = (1 + yᵀB y / sᵀy) s / sᵀy − B y / sᵀy,   right = −s / sᵀy,

and the next direction B⁺ g⁺ is q + s leftᵀg⁺ + (B y) rightᵀg⁺: the update itself waits for the next pass. Of
the last step B learns when the next ascent begins, in the pass that it takes anyway.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from beamfold.kernels.fast_chains import (
    CHANGE,
    KEPT,
    NEW,
    OLD,
    POINT,
    PRODUCT,
    STEP,
    changes,
    is_dense,
    multiple_of_identity,
    propose,
    try_step,
    update,
)
from beamfold.kernels.fast_objective import value
from beamfold.kernels.fast_workspace import Chains, Objective, Problem
from beamfold.kernels.linalg import (
    Planes,
    combine,
    inner,
    inner_narrow,
    kernel,
    leaf,
    one,
    row_copy,
    row_dot,
    row_set,
)
from beamfold.kernels.simd import LANES, fma, like, load, multiply, splat, store, subtract, zeros

SAVED, AHEAD, IMAGE, PAST, LEFT, RIGHT, OPEN = range(7, 14)
"""More rows: Z before the step of F, d, q, s of the update that waits, and its left and right; and sᵀy of a
last step of which B has not learnt yet, else 0."""


@kernel
def planes_of(rows: Planes, row: int, M: int) -> Planes:
    """A row as the planes (2, K padded, M padded) of Z or of its gradient."""
    return rows[0, row].reshape((2, rows.shape[2] // (2 * M), M))


@kernel
def by_basis(g: Planes, T: Planes, Z: Planes, objective: Objective, problem: Problem) -> Any:
    """f at X = E Z from T alone, and g = df/dZ*; P is that of the gradient.

    T (2, M, D), Z and g (2, K, M).
    """
    Y, C, P, PX, _ = objective
    K, M = PX.shape[1], Z.shape[2]
    combine(Y, T, Z, M)
    inner_narrow(C, Z, C.shape[2], Z, 0, K)
    f = value(objective, problem, K)
    inner(g, T, M, P, 0, K)
    add_combined(g, Z, PX, K)
    return f


@leaf
def add_combined(g: Planes, Z: Planes, PX: Planes, K: int) -> None:
    """g += Z P_X."""
    for k in range(K):
        for m in range(0, Z.shape[2], 4):
            re, im = load(g, 0, k, m, 4), load(g, 1, k, m, 4)
            for j in range(K):
                ar, ai = load(Z, 0, j, m, 4), load(Z, 1, j, m, 4)
                br, bi = splat(PX[0, k, j], 4), splat(PX[1, k, j], 4)
                re, im = fma(ar, br, re), fma(ar, bi, im)
                re, im = subtract(re, multiply(ai, bi)), fma(ai, br, im)
            store(g, 0, k, m, re)
            store(g, 1, k, m, im)


@leaf
def pass_over(rows: Planes, B: Planes, to: int, source: int) -> None:
    """B ← B + s leftᵀ + (B y) rightᵀ, the update that waits; then rows[to] = B rows[source]."""
    n = B.shape[1]
    for i in range(0, B.shape[2], 2 * LANES):
        s, t = load(rows, 0, PAST, i, LANES), load(rows, 0, PAST, i + LANES, LANES)
        u, v = load(rows, 0, PRODUCT, i, LANES), load(rows, 0, PRODUCT, i + LANES, LANES)
        a, b = zeros(B, LANES), zeros(B, LANES)
        for j in range(n):
            left, right = splat(rows[0, LEFT, j], LANES), splat(rows[0, RIGHT, j], LANES)
            g = splat(rows[0, source, j], LANES)
            c = fma(right, u, fma(left, s, load(B, 0, j, i, LANES)))
            d = fma(right, v, fma(left, t, load(B, 0, j, i + LANES, LANES)))
            store(B, 0, j, i, c)
            store(B, 0, j, i + LANES, d)
            a, b = fma(g, c, a), fma(g, d, b)
        store(rows, 0, to, i, a)
        store(rows, 0, to, i + LANES, b)


@leaf
def pass_twice(rows: Planes, B: Planes) -> None:
    """`pass_over` for two rows at once: d = B g and q = B y."""
    for i in range(0, B.shape[2], LANES):
        s, u = load(rows, 0, PAST, i, LANES), load(rows, 0, PRODUCT, i, LANES)
        a, b = zeros(B, LANES), zeros(B, LANES)
        for j in range(B.shape[1]):
            left, right = splat(rows[0, LEFT, j], LANES), splat(rows[0, RIGHT, j], LANES)
            c = fma(right, u, fma(left, s, load(B, 0, j, i, LANES)))
            store(B, 0, j, i, c)
            a = fma(splat(rows[0, OLD, j], LANES), c, a)
            b = fma(splat(rows[0, CHANGE, j], LANES), c, b)
        store(rows, 0, AHEAD, i, a)
        store(rows, 0, IMAGE, i, b)


@leaf
def nothing_waits(rows: Planes) -> None:
    """No update of B waits."""
    for i in range(0, rows.shape[2], LANES):
        store(rows, 0, LEFT, i, zeros(rows, LANES))
        store(rows, 0, RIGHT, i, zeros(rows, LANES))


@leaf
def combine_rows(rows: Planes, to: int, a: Any, source: int, b: Any, other: int) -> None:
    """rows[to] = a rows[source] + b rows[other]."""
    v, w = splat(a, LANES), splat(b, LANES)
    for i in range(0, rows.shape[2], LANES):
        part = multiply(v, load(rows, 0, source, i, LANES))
        store(rows, 0, to, i, fma(w, load(rows, 0, other, i, LANES), part))


@leaf
def learn(rows: Planes, sy: Any, base: int, g: int) -> None:
    """The update by s, y and B y waits; d = B⁺ g for the gradient in row g, from B g in row `base`."""
    r = one(rows) / sy
    q = (one(rows) + row_dot(rows, CHANGE, rows, PRODUCT) * r) * r
    row_copy(rows, PAST, STEP)
    combine_rows(rows, LEFT, q, STEP, -r, PRODUCT)
    row_set(rows, RIGHT, -r, rows, STEP)
    a, b = splat(row_dot(rows, LEFT, rows, g), LANES), splat(row_dot(rows, RIGHT, rows, g), LANES)
    for i in range(0, rows.shape[2], LANES):
        d = fma(a, load(rows, 0, PAST, i, LANES), load(rows, 0, base, i, LANES))
        store(rows, 0, AHEAD, i, fma(b, load(rows, 0, PRODUCT, i, LANES), d))


@leaf
def begin(rows: Planes, B: Planes) -> None:
    """d = B g for the gradient in row OLD, after what B has still to learn of the last step."""
    sy = rows[0, OPEN, 0]
    if sy > like(rows, 0.0):
        pass_twice(rows, B)
        row_copy(rows, PRODUCT, IMAGE)
        learn(rows, sy, AHEAD, OLD)
        rows[0, OPEN, 0] = like(rows, 0.0)
    else:
        pass_over(rows, B, AHEAD, OLD)
        nothing_waits(rows)


@leaf
def first_update(rows: Planes, B: Planes, sy: Any, yy: Any, now: int) -> None:
    """B = sᵀy/yᵀy I, and its update by s and y."""
    scale = sy / yy
    multiple_of_identity(B, scale)
    row_set(rows, PRODUCT, scale, rows, CHANGE)
    row_set(rows, IMAGE, scale, rows, now)
    learn(rows, sy, IMAGE, now)


@kernel
def ascend_dense(
    chains: Chains, T: Planes, objective: Objective, problem: Problem, reach: float, steps: int, updates: int
) -> tuple[Any, int]:
    """`ascend_basis` where B is a dense matrix."""
    rows, B = chains
    M = T.shape[1]
    Z, g = planes_of(rows, POINT, M), planes_of(rows, NEW, M)
    f, refused = by_basis(g, T, Z, objective, problem), False
    row_copy(rows, OLD, NEW)
    if updates > 0 and steps > 0:
        begin(rows, B)
    for step in range(steps):
        if updates == 0:
            size = row_dot(rows, POINT, rows, POINT) / (row_dot(rows, OLD, rows, OLD) + like(rows, 1e-30))
            row_set(rows, AHEAD, like(rows, reach) * np.sqrt(size), rows, OLD)
        row_copy(rows, STEP, AHEAD)
        try_step(rows, like(rows, 0.3) if refused else one(rows))
        after = by_basis(g, T, Z, objective, problem)
        ss, sy, yy = changes(rows)
        refused = not (after >= f)
        now, last = OLD if refused else NEW, step == steps - 1
        if sy > like(rows, 1e-3) * np.sqrt(ss * yy):
            if updates == 0:
                first_update(rows, B, sy, yy, now)
            elif last:
                rows[0, OPEN, 0] = sy
            else:
                pass_over(rows, B, IMAGE, NEW)
                combine_rows(rows, PRODUCT, one(rows), AHEAD, -one(rows), IMAGE)
                learn(rows, sy, AHEAD if refused else IMAGE, now)
            updates += 1
        elif updates > 0 and not refused and not last:
            pass_over(rows, B, AHEAD, NEW)
            nothing_waits(rows)
        if refused:
            row_copy(rows, POINT, KEPT)
        else:
            f = after
            row_copy(rows, OLD, NEW)
    if refused:
        f = by_basis(g, T, Z, objective, problem)
    return f, updates


@kernel
def ascend_pairs(
    chains: Chains, T: Planes, objective: Objective, problem: Problem, reach: float, steps: int, updates: int
) -> tuple[Any, int]:
    """`ascend_basis` where the last pairs stand for B."""
    rows, B = chains
    M = T.shape[1]
    Z, g = planes_of(rows, POINT, M), planes_of(rows, NEW, M)
    f, refused = by_basis(g, T, Z, objective, problem), False
    row_copy(rows, OLD, NEW)
    for _ in range(steps):
        propose(rows, B, updates, reach)
        try_step(rows, like(rows, 0.3) if refused else one(rows))
        after = by_basis(g, T, Z, objective, problem)
        updates = update(rows, B, updates)
        refused = not (after >= f)
        if refused:
            row_copy(rows, POINT, KEPT)
        else:
            f = after
            row_copy(rows, OLD, NEW)
    if refused:
        f = by_basis(g, T, Z, objective, problem)
    return f, updates


@kernel
def ascend_basis(
    chains: Chains, T: Planes, objective: Objective, problem: Problem, reach: float, steps: int, updates: int
) -> tuple[Any, int]:
    """Up to `steps` BFGS steps on Z for the fixed F behind T; f never falls.

    On return P belongs to the final Z. `reach` is the first step in units of ‖Z‖, `updates` how many updates
    B has had before.

    Returns:
        f, and how many updates B has had.
    """
    if is_dense(chains.B):
        return ascend_dense(chains, T, objective, problem, reach, steps, updates)
    return ascend_pairs(chains, T, objective, problem, reach, steps, updates)
