r"""Two quasi-Newton ascents on rows of registers: dense BFGS for W, limited-memory BFGS for the phases of F.

Dense, for the n = 2KM real unknowns of W: B ≈ −(∇²f)⁻¹, kept from one F to the next,

    s = B g,  y = g − g⁺,  B ← B + (1 + yᵀB y / sᵀy) s sᵀ / sᵀy − (s (B y)ᵀ + (B y) sᵀ) / sᵀy.

Limited memory, for the NM phases: the last m pairs (s_i, y_i) as rows 0 … m − 1 and m … 2m − 1 of R, then
g, g⁺ and d. Its two loops need inner products alone, P g for the pairs P and the tables s_iᵀy_j and y_iᵀy_j,
of which a new pair adds one row and column that are differences of the P g of two steps:

    s_iᵀ y = s_iᵀ g − s_iᵀ g⁺,   so that one step passes twice over R.

Shapes: rows (1, 8, n) and B (1, n, n padded) for W; R (1, 2m + 3, NM), tables (2, m, m), small (1, 4, 2m).
"""

from __future__ import annotations

import numpy as np

from beamfold.kernels.fast_lanes import leaf, totals
from beamfold.kernels.fast_objective import CHAINS, by_chains
from beamfold.kernels.rows import LANES, erase, kernel, one
from beamfold.kernels.simd import add, fma, like, load, multiply, splat, store, subtract, total, zeros

MEMORY = 8
PAIRS = 16
"""Pairs that stand for the inverse Hessian of W where the dense one, (2KM)² numbers, would be too large."""
POINT, KEPT, STEP, CHANGE, IMAGE, OLD, NEW, SAVED = range(8)
"""Rows of W's working space: W, W before the step, s, y, B y, g, g⁺, and W before the step of F."""
RHO, NOW, BEFORE, COEFFICIENTS = range(4)
"""Rows of `small`: 1/sᵀy, P g, the P g before, and the direction's coefficients on P."""


@leaf
def dot(A, a, B, b):
    """Row a of A (1, ·, n) · row b of B (1, ·, n)."""
    value = zeros(A, LANES)
    for i in range(0, A.shape[2], LANES):
        value = fma(load(A, 0, a, i, LANES), load(B, 0, b, i, LANES), value)
    return total(value)


@leaf
def dot_rows(A, a, b):
    """Row a · row b of A."""
    return dot(A, a, A, b)


@leaf
def add_row(A, to, scale, B, source):
    """Row `to` of A += scale · row `source` of B."""
    v = splat(scale, LANES)
    for i in range(0, A.shape[2], LANES):
        store(A, 0, to, i, fma(v, load(B, 0, source, i, LANES), load(A, 0, to, i, LANES)))


@leaf
def set_row(A, to, scale, B, source):
    """Row `to` of A = scale · row `source` of B."""
    v = splat(scale, LANES)
    for i in range(0, A.shape[2], LANES):
        store(A, 0, to, i, multiply(v, load(B, 0, source, i, LANES)))


@leaf
def copy_row(A, to, source):
    """Row `to` = row `source`."""
    for i in range(0, A.shape[2], LANES):
        store(A, 0, to, i, load(A, 0, source, i, LANES))


@leaf
def image(rows, to, B, source):
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
def multiple_of_identity(B, q):
    """B = q I."""
    erase(B)
    for j in range(B.shape[1]):
        B[0, j, j] = q


@leaf
def learn(B, rows, sy, yBy):
    """The BFGS update of B by the rows s, y and B y."""
    r = one(B) / sy
    q = (one(B) + yBy * r) * r
    for i in range(0, B.shape[2], LANES):
        s, by = load(rows, 0, STEP, i, LANES), load(rows, 0, IMAGE, i, LANES)
        for j in range(B.shape[1]):
            sj = rows[0, STEP, j]
            a = splat(q * sj - r * rows[0, IMAGE, j], LANES)
            b = splat(-r * sj, LANES)
            store(B, 0, j, i, fma(b, by, fma(a, s, load(B, 0, j, i, LANES))))


@leaf
def try_step(rows, scale):
    """W ← W + s, s = scale s, W before in KEPT."""
    v = splat(scale, LANES)
    for i in range(0, rows.shape[2], LANES):
        s, w = multiply(v, load(rows, 0, STEP, i, LANES)), load(rows, 0, POINT, i, LANES)
        store(rows, 0, STEP, i, s)
        store(rows, 0, KEPT, i, w)
        store(rows, 0, POINT, i, add(w, s))


@leaf
def changes(rows):
    """y = g − g⁺; sᵀs, sᵀy, yᵀy."""
    ss, sy, yy = zeros(rows, LANES), zeros(rows, LANES), zeros(rows, LANES)
    for i in range(0, rows.shape[2], LANES):
        s = load(rows, 0, STEP, i, LANES)
        y = subtract(load(rows, 0, OLD, i, LANES), load(rows, 0, NEW, i, LANES))
        store(rows, 0, CHANGE, i, y)
        ss, sy, yy = fma(s, s, ss), fma(s, y, sy), fma(y, y, yy)
    return total(ss), total(sy), total(yy)


@kernel
def image_of_pairs(rows, B, known):
    """rows[STEP] = B rows[OLD] with B in the form of its last pairs: the two loops of limited memory."""
    count, numbers = min(known, PAIRS), 2 * PAIRS
    set_row(rows, STEP, one(B), rows, OLD)
    for c in range(count):  # newest to oldest: a = ρ_j s_jᵀ q, q ← q − a y_j
        j = (known - 1 - c) % PAIRS
        a = B[0, numbers, j] * dot(rows, STEP, B, j)
        B[0, numbers, PAIRS + j] = a
        add_row(rows, STEP, -a, B, PAIRS + j)
    set_row(rows, STEP, B[0, numbers, numbers], rows, STEP)
    for c in range(count - 1, -1, -1):  # oldest to newest: q ← q + (a − ρ_j y_jᵀ q) s_j
        j = (known - 1 - c) % PAIRS
        b = B[0, numbers, j] * dot(rows, STEP, B, PAIRS + j)
        add_row(rows, STEP, B[0, numbers, PAIRS + j] - b, B, j)


@kernel
def learn_pair(B, rows, known, sy, yy):
    """The rows s and y take the place of the oldest of the last pairs."""
    j = known % PAIRS
    set_row(B, j, one(B), rows, STEP)
    set_row(B, PAIRS + j, one(B), rows, CHANGE)
    B[0, 2 * PAIRS, j] = one(B) / sy
    B[0, 2 * PAIRS, 2 * PAIRS] = sy / yy


@kernel
def ascend_chains(rows, B, known, steps, W, g, E, N3, Y, S, C, masks, setting):
    """f after up to `steps` BFGS steps on W for the F behind C, never down; E belongs to the W it leaves.

    W and g (2, K, M) are views of rows POINT and NEW; `known` (1,): how often B has learned. B is dense, or
    has 2 `PAIRS` + 1 rows: the last pairs s and y, then their 1/sᵀy and the scale sᵀy/yᵀy.
    """
    dense = B.shape[1] != 2 * PAIRS + 1
    f = by_chains(g, E, N3, Y, S, C, W, masks, setting)
    copy_row(rows, OLD, NEW)
    refused = False
    for _ in range(steps):
        if known[0] == 0:  # no curvature yet: a first step of a share of ‖W‖
            size = dot_rows(rows, POINT, POINT) / (dot_rows(rows, OLD, OLD) + like(rows, 1e-30))
            set_row(rows, STEP, setting[CHAINS] * np.sqrt(size), rows, OLD)
        elif dense:
            image(rows, STEP, B, OLD)
        else:
            image_of_pairs(rows, B, known[0])
        try_step(rows, like(rows, 0.3) if refused else one(rows))
        after = by_chains(g, E, N3, Y, S, C, W, masks, setting)
        ss, sy, yy = changes(rows)
        if sy > like(rows, 1e-3) * np.sqrt(ss * yy):
            if dense:
                if known[0] == 0:
                    multiple_of_identity(B, sy / yy)
                image(rows, IMAGE, B, CHANGE)
                learn(B, rows, sy, dot_rows(rows, CHANGE, IMAGE))
            else:
                learn_pair(B, rows, known[0], sy, yy)
            known[0] += 1
        refused = not (after >= f)
        if refused:
            copy_row(rows, POINT, KEPT)
        else:
            f = after
            copy_row(rows, OLD, NEW)
    if refused:
        f = by_chains(g, E, N3, Y, S, C, W, masks, setting)
    return f


@kernel
def forget(R, tables, small):
    """No pairs: the unused ones take part in every pass, as zeros."""
    nothing = zeros(R, LANES)
    for i in range(2 * MEMORY):
        for j in range(0, R.shape[2], LANES):
            store(R, 0, i, j, nothing)
    erase(tables)
    erase(small)


@leaf
def remember(R, t, slot, old, new):
    """Pair `slot` becomes s = t d, y = g − g⁺; returns sᵀy and yᵀy."""
    v, sy, yy = splat(t, LANES), zeros(R, LANES), zeros(R, LANES)
    for i in range(0, R.shape[2], LANES):
        s = multiply(v, load(R, 0, 2 * MEMORY + 2, i, LANES))
        y = subtract(load(R, 0, old, i, LANES), load(R, 0, new, i, LANES))
        store(R, 0, slot, i, s)
        store(R, 0, MEMORY + slot, i, y)
        sy, yy = fma(s, y, sy), fma(y, y, yy)
    return total(sy), total(yy)


@leaf
def project(R, small, row):
    """small[NOW] = P g, g in `row`, what it was in small[BEFORE]."""
    for i in range(0, 2 * MEMORY, 4):
        store(small, 0, BEFORE, i, load(small, 0, NOW, i, 4))
        a, b, c, d = zeros(R, LANES), zeros(R, LANES), zeros(R, LANES), zeros(R, LANES)
        for j in range(0, R.shape[2], LANES):
            g = load(R, 0, row, j, LANES)
            a = fma(g, load(R, 0, i, j, LANES), a)
            b = fma(g, load(R, 0, i + 1, j, LANES), b)
            c = fma(g, load(R, 0, i + 2, j, LANES), c)
            d = fma(g, load(R, 0, i + 3, j, LANES), d)
        store(small, 0, NOW, i, totals(a, b, c, d))


@leaf
def direction(R, small, gamma, row):
    """d = γ g + Pᵀ coefficients, g in `row`; returns gᵀd."""
    v, along = splat(gamma, LANES), zeros(R, LANES)
    for j in range(0, R.shape[2], LANES):
        g = load(R, 0, row, j, LANES)
        a, b = multiply(v, g), zeros(R, LANES)
        for i in range(0, 2 * MEMORY, 2):
            a = fma(splat(small[0, COEFFICIENTS, i], LANES), load(R, 0, i, j, LANES), a)
            b = fma(splat(small[0, COEFFICIENTS, i + 1], LANES), load(R, 0, i + 1, j, LANES), b)
        d = add(a, b)
        store(R, 0, 2 * MEMORY + 2, j, d)
        along = fma(g, d, along)
    return total(along)


@kernel
def two_loops(tables, small, head, count, gamma):
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
def first_direction(R, tables, small, row, reach):
    """d = reach g / ‖g‖ with an empty memory; returns γ and gᵀd."""
    forget(R, tables, small)
    gamma = reach / np.sqrt(dot_rows(R, row, row) + like(R, 1e-30))
    return gamma, direction(R, small, gamma, row)


@kernel
def next_direction(R, tables, small, t, head, count, gamma, old, new):
    """After a step t d that was kept, g in row `new`: the next d; returns head, count, γ and gᵀd."""
    slot = head + 1 if head < MEMORY - 1 else 0
    sy, yy = remember(R, t, slot, old, new)
    project(R, small, new)
    for i in range(MEMORY):
        tables[0, i, slot] = small[0, BEFORE, i] - small[0, NOW, i]
        tables[1, i, slot] = small[0, BEFORE, MEMORY + i] - small[0, NOW, MEMORY + i]
        tables[1, slot, i] = tables[1, i, slot]
    tables[1, slot, slot] = yy
    if sy > like(R, 1e-12) * yy:
        small[0, RHO, slot] = one(R) / sy
        gamma = sy / yy
        head = slot
        count = min(count + 1, MEMORY)
        two_loops(tables, small, head, count, gamma)
    else:  # negative curvature: start the memory anew
        forget(R, tables, small)
        count = 0
    along = direction(R, small, gamma, new)
    if not along > 0:  # round-off
        forget(R, tables, small)
        count = 0
        along = direction(R, small, gamma, new)
    return head, count, gamma, along


@kernel
def shorter(R, t, along, gain):
    """The top of the parabola through f, its slope and the gain at t, within [0.1, 0.5] t."""
    least, most = like(R, 0.1) * t, like(R, 0.5) * t
    top = most * along * t / (along * t - gain)
    return min(top, most) if top > least else least
