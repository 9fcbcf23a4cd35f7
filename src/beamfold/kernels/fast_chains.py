r"""BFGS for W while F is fixed, on rows of registers.

For the n = 2KM real unknowns of W: B ≈ −(∇²f)⁻¹, kept from one F to the next,

    s = B g,  y = g − g⁺,  B ← B + (1 + yᵀB y / sᵀy) s sᵀ / sᵀy − (s (B y)ᵀ + (B y) sᵀ) / sᵀy.

Where a dense B would be too large, its last pairs s, y stand for it. `Chains` has the shapes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from beamfold.kernels.fast_objective import by_chains, with_lengths
from beamfold.kernels.fast_workspace import PAIRS, Chains, Objective, Problem
from beamfold.kernels.linalg import (
    Planes,
    erase,
    kernel,
    leaf,
    one,
    row_add,
    row_copy,
    row_dot,
    row_set,
)
from beamfold.kernels.simd import LANES, add, fma, like, load, multiply, splat, store, subtract, total, zeros
from beamfold.kernels.workspace import of_shape

POINT, KEPT, STEP, CHANGE, PRODUCT, OLD, NEW, SAVED, KEPT_POINT = range(9)
"""Rows of `Chains.rows`: W, W before the step, s, y, B y, g, g⁺, W before the step of F, W of the best
start."""
NUMBERS = 2 * PAIRS
"""Where B is the last pairs: the row behind them, of their 1/sᵀy, and in it the place of sᵀy/yᵀy."""


@kernel
def planes(rows: Planes, row: int, K: int, M: int) -> Planes:
    """A row as the planes (2, K, M) of W or of its gradient."""
    return rows[0, row][: 2 * K * M].reshape((2, K, M))


@leaf
def multiply_by_B(rows: Planes, to: int, B: Planes, source: int) -> None:
    """rows[to] = B rows[source] for the symmetric B."""
    n = B.shape[1]
    for i in range(0, B.shape[2], LANES):
        a, b, c, d = zeros(B, LANES), zeros(B, LANES), zeros(B, LANES), zeros(B, LANES)
        for j in range(0, n, 4):
            a = fma(splat(rows[0, source, j], LANES), load(B, 0, j, i, LANES), a)
            b = fma(splat(rows[0, source, j + 1], LANES), load(B, 0, j + 1, i, LANES), b)
            c = fma(splat(rows[0, source, j + 2], LANES), load(B, 0, j + 2, i, LANES), c)
            d = fma(splat(rows[0, source, j + 3], LANES), load(B, 0, j + 3, i, LANES), d)
        store(rows, 0, to, i, add(add(a, b), add(c, d)))


@kernel
def multiple_of_identity(B: Planes, q: Any) -> None:
    """B = q I."""
    erase(B)
    for j in range(B.shape[1]):
        B[0, j, j] = q


@leaf
def update_B(B: Planes, rows: Planes, sy: Any, yBy: Any) -> None:
    """The BFGS update of B by the rows s, y and B y."""
    r = one(B) / sy
    q = (one(B) + yBy * r) * r
    for i in range(0, B.shape[2], LANES):
        s, by = load(rows, 0, STEP, i, LANES), load(rows, 0, PRODUCT, i, LANES)
        for j in range(B.shape[1]):
            sj = rows[0, STEP, j]
            a = splat(q * sj - r * rows[0, PRODUCT, j], LANES)
            b = splat(-r * sj, LANES)
            store(B, 0, j, i, fma(b, by, fma(a, s, load(B, 0, j, i, LANES))))


@leaf
def try_step(rows: Planes, scale: Any) -> None:
    """W ← W + s, s = scale s, W before in KEPT."""
    v = splat(scale, LANES)
    for i in range(0, rows.shape[2], LANES):
        s, w = multiply(v, load(rows, 0, STEP, i, LANES)), load(rows, 0, POINT, i, LANES)
        store(rows, 0, STEP, i, s)
        store(rows, 0, KEPT, i, w)
        store(rows, 0, POINT, i, add(w, s))


@leaf
def changes(rows: Planes) -> tuple[Any, Any, Any]:
    """y = g − g⁺; sᵀs, sᵀy, yᵀy."""
    ss, sy, yy = zeros(rows, LANES), zeros(rows, LANES), zeros(rows, LANES)
    for i in range(0, rows.shape[2], LANES):
        s = load(rows, 0, STEP, i, LANES)
        y = subtract(load(rows, 0, OLD, i, LANES), load(rows, 0, NEW, i, LANES))
        store(rows, 0, CHANGE, i, y)
        ss, sy, yy = fma(s, s, ss), fma(s, y, sy), fma(y, y, yy)
    return total(ss), total(sy), total(yy)


@kernel
def multiply_by_pairs(rows: Planes, B: Planes, updates: int) -> None:
    """rows[STEP] = B rows[OLD] with B in the form of its last pairs: the two loops of limited memory."""
    count = min(updates, PAIRS)
    row_set(rows, STEP, one(B), rows, OLD)
    for c in range(count):  # newest to oldest: a = ρ_j s_jᵀ q, q ← q − a y_j
        j = (updates - 1 - c) % PAIRS
        a = B[0, NUMBERS, j] * row_dot(rows, STEP, B, j)
        B[0, NUMBERS, PAIRS + j] = a
        row_add(rows, STEP, -a, B, PAIRS + j)
    row_set(rows, STEP, B[0, NUMBERS, NUMBERS], rows, STEP)
    for c in range(count - 1, -1, -1):  # oldest to newest: q ← q + (a − ρ_j y_jᵀ q) s_j
        j = (updates - 1 - c) % PAIRS
        b = B[0, NUMBERS, j] * row_dot(rows, STEP, B, PAIRS + j)
        row_add(rows, STEP, B[0, NUMBERS, PAIRS + j] - b, B, j)


@kernel
def update_pairs(B: Planes, rows: Planes, updates: int, sy: Any, yy: Any) -> None:
    """The rows s and y take the place of the oldest of the last pairs."""
    j = updates % PAIRS
    row_set(B, j, one(B), rows, STEP)
    row_set(B, PAIRS + j, one(B), rows, CHANGE)
    B[0, NUMBERS, j] = one(B) / sy
    B[0, NUMBERS, NUMBERS] = sy / yy


@leaf
def propose(rows: Planes, B: Planes, updates: int, reach: float) -> None:
    """rows[STEP] = B g, or a share `reach` of ‖W‖ along g where B holds no curvature yet."""
    if updates == 0:
        size = row_dot(rows, POINT, rows, POINT) / (row_dot(rows, OLD, rows, OLD) + like(rows, 1e-30))
        row_set(rows, STEP, like(rows, reach) * np.sqrt(size), rows, OLD)
    elif is_dense(B):
        multiply_by_B(rows, STEP, B, OLD)
    else:
        multiply_by_pairs(rows, B, updates)


@leaf
def is_dense(B: Planes) -> bool:
    """Whether B is the matrix, or its last pairs."""
    return B.shape[1] != NUMBERS + 1


@leaf
def update(rows: Planes, B: Planes, updates: int) -> int:
    """B after the last step, where that shows curvature; how many updates B has had."""
    ss, sy, yy = changes(rows)
    if not sy > like(rows, 1e-3) * np.sqrt(ss * yy):
        return updates
    if is_dense(B):
        if updates == 0:
            multiple_of_identity(B, sy / yy)
        multiply_by_B(rows, PRODUCT, B, CHANGE)
        update_B(B, rows, sy, row_dot(rows, CHANGE, rows, PRODUCT))
    else:
        update_pairs(B, rows, updates, sy, yy)
    return updates + 1


@leaf
def ascend(
    chains: Chains, T: Planes, objective: Objective, problem: Problem, reach: float, steps: int, updates: int
) -> tuple[Any, int]:
    """Up to `steps` BFGS steps on W for the fixed F behind T = Vᴴ F; f never falls.

    On return P belongs to the final W. `reach` is the first step in units of ‖W‖, `updates` how many updates
    B has had before.

    Returns:
        f, and how many updates B has had.
    """
    rows, B = chains
    K, M = objective.PX.shape[1], T.shape[1]
    W, g = planes(rows, POINT, K, M), planes(rows, NEW, K, M)
    f = by_chains(g, T, W, objective, problem)
    row_copy(rows, OLD, NEW)
    refused = False
    for _ in range(steps):
        propose(rows, B, updates, reach)
        try_step(rows, like(rows, 0.3) if refused else one(rows))
        after = by_chains(g, T, W, objective, problem)
        updates = update(rows, B, updates)
        refused = not (after >= f)
        if refused:
            row_copy(rows, POINT, KEPT)
        else:
            f = after
            row_copy(rows, OLD, NEW)
    if refused:
        f = by_chains(g, T, W, objective, problem)
    return f, updates


@kernel
def ascend_chains(
    chains: Chains, T: Planes, objective: Objective, problem: Problem, reach: float, steps: int, updates: int
) -> tuple[Any, int]:
    """`ascend` for any sizes, with code of their own for K = 4, M up to 4 and r up to 8 or to 24."""
    if objective.PX.shape[1] == 4 and T.shape[1] == 4:
        same = Chains(of_shape(chains.rows, 1, 9, 32), of_shape(chains.B, 1, 32, 32))
        if T.shape[2] == 16:
            known = with_lengths(objective, 16)
            return ascend(same, of_shape(T, 2, 4, 16), known, problem, reach, steps, updates)
        if T.shape[2] == 32:
            known = with_lengths(objective, 32)
            return ascend(same, of_shape(T, 2, 4, 32), known, problem, reach, steps, updates)
    return ascend(chains, T, objective, problem, reach, steps, updates)
