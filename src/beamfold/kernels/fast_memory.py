r"""Limited-memory BFGS for the digital optimum Z and for the phases of F, on rows of registers.

The last m = `MEMORY` pairs s_i (a step) and y_i (the gradient before it less that after it) are rows
0 … m − 1 and m … 2m − 1 of `Memory.rows`. The two loops need inner products alone: those of every row of a
pair with g, and the tables s_iᵀy_j and y_iᵀy_j, of which a new pair adds one row and column that are
differences of the former between two steps:

    s_iᵀ y = s_iᵀ g − s_iᵀ g⁺,   so that one step passes twice over the rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from beamfold.kernels.fast_workspace import MEMORY, Memory
from beamfold.kernels.linalg import erase, kernel, leaf, one, row_dot
from beamfold.kernels.simd import (
    LANES,
    add,
    fma,
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

OLD, NEW, DIRECTION = 2 * MEMORY, 2 * MEMORY + 1, 2 * MEMORY + 2
"""Rows of `Memory.rows` behind the pairs: two gradients, which change places, and the direction d."""
RHO, NOW, BEFORE, COEFFICIENTS = range(4)
"""Rows of `Memory.small`: 1/sᵀy, then for all 2m rows of pairs their products with g, those before, and their
coefficients in the direction."""


class Search(NamedTuple):
    """Where an ascent by limited memory is."""

    head: int
    """The newest pair."""
    pairs: int
    """How many pairs there are."""
    gamma: Any
    """Scale of the inverse Hessian before the pairs."""
    along: Any
    """gᵀd, the slope of f along the direction."""


@kernel
def forget(memory: Memory) -> None:
    """No pairs: the unused ones take part in every pass, as zeros."""
    nothing = zeros(memory.rows, LANES)
    for i in range(2 * MEMORY):
        for j in range(0, memory.rows.shape[2], LANES):
            store(memory.rows, 0, i, j, nothing)
    erase(memory.tables)
    erase(memory.small)


@leaf
def set_pair(rows: Any, t: Any, slot: int, old: int, new: int) -> tuple[Any, Any]:
    """Pair `slot` becomes s = t d, y = g − g⁺; returns sᵀy and yᵀy."""
    v, sy, yy = splat(t, LANES), zeros(rows, LANES), zeros(rows, LANES)
    for i in range(0, rows.shape[2], LANES):
        s = multiply(v, load(rows, 0, DIRECTION, i, LANES))
        y = subtract(load(rows, 0, old, i, LANES), load(rows, 0, new, i, LANES))
        store(rows, 0, slot, i, s)
        store(rows, 0, MEMORY + slot, i, y)
        sy, yy = fma(s, y, sy), fma(y, y, yy)
    return total(sy), total(yy)


@leaf
def project(rows: Any, small: Any, row: int) -> None:
    """small[NOW] = the products of the pairs with g in `row`; what it was in small[BEFORE]."""
    for i in range(0, 2 * MEMORY, 4):
        store(small, 0, BEFORE, i, load(small, 0, NOW, i, 4))
        a, b, c, d = zeros(rows, LANES), zeros(rows, LANES), zeros(rows, LANES), zeros(rows, LANES)
        for j in range(0, rows.shape[2], LANES):
            g = load(rows, 0, row, j, LANES)
            a = fma(g, load(rows, 0, i, j, LANES), a)
            b = fma(g, load(rows, 0, i + 1, j, LANES), b)
            c = fma(g, load(rows, 0, i + 2, j, LANES), c)
            d = fma(g, load(rows, 0, i + 3, j, LANES), d)
        store(small, 0, NOW, i, totals(a, b, c, d))


@leaf
def set_direction(rows: Any, small: Any, gamma: Any, row: int) -> Any:
    """d = γ g + the pairs times their coefficients, g in `row`; returns gᵀd."""
    v, along = splat(gamma, LANES), zeros(rows, LANES)
    for j in range(0, rows.shape[2], LANES):
        g = load(rows, 0, row, j, LANES)
        a, b = multiply(v, g), zeros(rows, LANES)
        for i in range(0, 2 * MEMORY, 2):
            a = fma(splat(small[0, COEFFICIENTS, i], LANES), load(rows, 0, i, j, LANES), a)
            b = fma(splat(small[0, COEFFICIENTS, i + 1], LANES), load(rows, 0, i + 1, j, LANES), b)
        d = add(a, b)
        store(rows, 0, DIRECTION, j, d)
        along = fma(g, d, along)
    return total(along)


@kernel
def two_loops(tables: Any, small: Any, head: int, count: int, gamma: Any) -> None:
    """The coefficients of the direction on the pairs, newest pair in slot `head`."""
    j = head
    for c in range(count):  # newest to oldest: a = ρ_j s_jᵀ q, q ← q − a y_j
        a = small[0, NOW, j]
        i = head
        for _ in range(c):
            a += small[0, COEFFICIENTS, MEMORY + i] * tables[0, j, i]
            i = i - 1 if i > 0 else MEMORY - 1
        small[0, COEFFICIENTS, MEMORY + j] = -small[0, RHO, j] * a
        j = j - 1 if j > 0 else MEMORY - 1
    for c in range(count):  # oldest to newest: q ← q + (a − ρ_j y_jᵀ q) s_j
        j = j + 1 if j < MEMORY - 1 else 0
        a = small[0, NOW, MEMORY + j]
        for i in range(MEMORY):
            a += small[0, COEFFICIENTS, MEMORY + i] * tables[1, j, i]
        a *= gamma
        i = j
        for _ in range(c):
            i = i - 1 if i > 0 else MEMORY - 1
            a += small[0, COEFFICIENTS, i] * tables[0, i, j]
        small[0, COEFFICIENTS, j] = -small[0, COEFFICIENTS, MEMORY + j] - small[0, RHO, j] * a
    for i in range(MEMORY, 2 * MEMORY):
        small[0, COEFFICIENTS, i] *= gamma


@kernel
def first_direction(memory: Memory, row: int, reach: Any) -> Search:
    """d = reach g / ‖g‖ with an empty memory, g in `row`."""
    rows, _, small = memory
    forget(memory)
    gamma = reach / np.sqrt(row_dot(rows, row, rows, row) + like(rows, 1e-30))
    return Search(0, 0, gamma, set_direction(rows, small, gamma, row))


@kernel
def next_direction(memory: Memory, search: Search, t: Any, old: int, new: int) -> Search:
    """The next d after a step t d that was kept, from g in row `old` to g⁺ in row `new`."""
    rows, tables, small = memory
    head, count, gamma, _ = search
    slot = head + 1 if head < MEMORY - 1 else 0
    sy, yy = set_pair(rows, t, slot, old, new)
    project(rows, small, new)
    for i in range(MEMORY):
        tables[0, i, slot] = small[0, BEFORE, i] - small[0, NOW, i]
        tables[1, i, slot] = small[0, BEFORE, MEMORY + i] - small[0, NOW, MEMORY + i]
        tables[1, slot, i] = tables[1, i, slot]
    tables[1, slot, slot] = yy
    if sy > like(rows, 1e-12) * yy:
        small[0, RHO, slot] = one(rows) / sy
        gamma = sy / yy
        head = slot
        count = min(count + 1, MEMORY)
        two_loops(tables, small, head, count, gamma)
    else:  # negative curvature: start the memory anew
        forget(memory)
        count = 0
    along = set_direction(rows, small, gamma, new)
    if not along > 0:  # round-off
        forget(memory)
        count = 0
        along = set_direction(rows, small, gamma, new)
    return Search(head, count, gamma, along)


@kernel
def shorter(rows: Any, t: Any, along: Any, gain: Any) -> Any:
    """The maximiser of the parabola through f, its slope and the gain at t, clipped to [0.1 t, 0.5 t]."""
    least, most = like(rows, 0.1) * t, like(rows, 0.5) * t
    top = most * along * t / (along * t - gain)
    return min(top, most) if top > least else least
