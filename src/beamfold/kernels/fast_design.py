r"""One hybrid design: digital optimum, factorisation, then the phases of F with W following.

The antennas are touched by two passes per step of F alone, with V = [F, h_1 … h_K, U] (N × D):

    C = Vᴴ F                        all that f needs of F,
    df/dF* = V (E Wᴴ)               from the E of `fast_objective`.

The problem is put into a canonical form first, in which every statement of it is the same: X in units of
√P_t, h_k √P_t/σ with its largest entry real, on a grid of 2⁻³⁰ of that entry, the strongest user first. So
scaled channels and noise, turned phases and renumbered users give the same design.

Variable projection: at each trial F a few BFGS steps bring W near its best, so that df/dF there is the
gradient of max_W f. A trial that does not raise f (Armijo) goes back to F and W before it: f never falls.
"""

from __future__ import annotations

import math

import numpy as np

from beamfold.kernels.fast_lanes import combine, combine_adjoint, inner, phase_gradient, rotate
from beamfold.kernels.fast_newton import (
    MEMORY,
    PAIRS,
    POINT,
    SAVED,
    ascend_chains,
    copy_row,
    first_direction,
    next_direction,
    shorter,
)
from beamfold.kernels.fast_objective import DEPENDENT, LOUDEST, PHASES, set_masks
from beamfold.kernels.fast_start import ascend_digital, cholesky, digital_start, factorise, solve_adjoint
from beamfold.kernels.rows import LANES, copy, kernel, one
from beamfold.kernels.simd import like

GRID = 30
"""Bits of a channel's largest entry that count: beyond what any estimate holds, far above rounding."""


PATIENCE = 3
"""How many times the digital steps where users depend on others: who is served is decided there."""
DENSE = 300
"""Real unknowns of W up to which its inverse Hessian is a dense matrix."""


@kernel
def up(value, multiple):
    """The next multiple."""
    return -(-value // multiple) * multiple


@kernel
def take(buffer, at, planes, rows, lanes):
    """A (planes, rows, lanes) view of the buffer, and the cache line behind it."""
    size = planes * rows * lanes
    return buffer[at : at + size].reshape((planes, rows, lanes)), at + up(size, 16)


@kernel
def sizes(N, K, M, r):
    """Padded sizes: N, K, M (to 4 and to 2), coordinates, columns of V, of L, lanes of Z, of W, rows of B."""
    Mq, Kq, n = up(M, 4), up(K, 4), up(K + r, 4)
    unknowns = 2 * K * Mq
    return (
        up(N, LANES), Kq, Mq, up(M, 2), up(Mq + K + r, LANES), up(Mq + K + r, 4),
        n, up(n, LANES), up(unknowns, LANES), unknowns if unknowns <= DENSE else 2 * PAIRS + 1,
    )  # fmt: skip


@kernel
def floats(N, K, M, r):
    """Numbers in the working space of one design."""
    Np, Kq, Mq, Me, D, columns, n, lanes, w, b = sizes(N, K, M, r)
    rows = (2 * MEMORY + 3) * max(Me * Np, 2 * Kq * lanes)
    antennas = 2 * Np * (columns + Kq + Me)
    small = (
        2 * D * (Mq + 2 * Kq + Mq + n + Kq + 2 * K) + 2 * lanes * Kq * 5 + 2 * max(Kq, Mq) ** 2 + 4 * Kq * Kq
    )
    return rows + antennas + small + w * (b + 8) + 2 * MEMORY * (MEMORY + 4) + 32 * 16


@kernel
def canonical(v, h, gain, loudest):
    """v (2, N padded) = (gain h)* with h's largest entry real, on the grid of `GRID`; returns ‖gain h‖².

    Where that is above `loudest`, v has the norm √loudest instead.
    """
    most, loud = 0, 0.0
    for n in range(len(h)):
        if abs(h[n]) > abs(h[most]):
            most = n
    size = abs(h[most])
    if gain * size * math.sqrt(len(h)) > math.sqrt(loudest):
        relative = 0.0
        for n in range(len(h)):
            relative += (h[n].real / size) ** 2 + (h[n].imag / size) ** 2
        norm = size * math.sqrt(relative)
        if gain * norm > math.sqrt(loudest):
            mantissa, exponent = math.frexp(gain * norm)
            loud = math.ldexp(np.rint(math.ldexp(mantissa, GRID)), exponent - GRID)
            gain = math.sqrt(loudest) / norm
    turn = gain * h[most].conjugate() / size if size > 0 else complex(gain)
    unit = math.ldexp(1.0, math.frexp(gain * size)[1] - GRID)
    total = 0.0
    for n in range(len(h)):
        value = turn * h[n]
        re, im = np.rint(value.real / unit) * unit, np.rint(value.imag / unit) * unit
        total += re * re + im * im
        v[0, n], v[1, n] = re, -im
    return max(loud * loud, total)


@kernel
def swap(V, a, b):
    """Columns a and b of V in each other's place."""
    for z in range(2):
        for n in range(V.shape[2]):
            V[z, a, n], V[z, b, n] = V[z, b, n], V[z, a, n]


@kernel
def dependent(L, K, o):
    """Whether one of the first K columns of L is zero."""
    nothing = 0
    for k in range(K):
        if L[0, k, o + k] == like(L, 0.0):
            nothing += 1
    return nothing > 0


@kernel
def exchange(G, a, b, K, o):
    """Rows and columns a and b of the Gram matrix of K users in each other's place."""
    for z in range(2):
        for i in range(K):
            G[z, a, o + i], G[z, b, o + i] = G[z, b, o + i], G[z, a, o + i]
        for i in range(K):
            G[z, i, o + a], G[z, i, o + b] = G[z, i, o + b], G[z, i, o + a]


@kernel
def strongest(G, first, K, o):
    """The user from `first` on with the largest diagonal entry of G."""
    most = first
    for i in range(first + 1, K):
        if G[0, i, o + i] > G[0, most, o + most]:
            most = i
    return most


@kernel
def independent_first(V, G, order, K, o, least):
    """Users in the order of a Cholesky factorisation with pivots.

    Each user adds the most to what those before it span. G[:, j, o + i] = h_iᴴ h_j is overwritten.
    """
    top = like(G, 0.0)
    for j in range(K):
        most = strongest(G, j, K, o)
        top = max(top, G[0, most, o + most])
        if not G[0, most, o + most] > least * top:
            return
        if most != j:
            swap(V, o + j, o + most)
            order[j], order[most] = order[most], order[j]
            exchange(G, j, most, K, o)
        for c in range(j + 1, K):
            re, im = G[0, c, o + j] / G[0, j, o + j], G[1, c, o + j] / G[0, j, o + j]
            for i in range(j + 1, K):
                G[0, c, o + i] -= re * G[0, j, o + i] - im * G[1, j, o + i]
                G[1, c, o + i] -= re * G[1, j, o + i] + im * G[0, j, o + i]


@kernel
def load_channel(V, L, order, H, U, gain, least, loudest, o):
    """V = [0, h_1 … h_K, U] in canonical form and L = the Cholesky factor of its Gram matrix.

    Coordinate o + k belongs to user order[k]. Returns whether users depend on others, and whether one was
    louder than `loudest`.
    """
    K, r = H.shape[0], U.shape[1]
    strength = np.empty(K)
    for k in range(K):
        order[k] = k
        strength[k] = canonical(V[:, o + k], H[k], gain, loudest)
    for k in range(K):
        first = k
        for j in range(k + 1, K):
            if strength[j] > strength[first]:
                first = j
        if first != k:
            swap(V, o + k, o + first)
            strength[k], strength[first] = strength[first], strength[k]
            order[k], order[first] = order[first], order[k]
    for z in range(2):
        for j in range(r):
            for n in range(U.shape[2]):
                V[z, o + K + j, n] = U[z, j, n]
    inner(L, V, V.shape[1], V, o, K + r)
    cholesky(L, K + r, o, least)
    deficient = dependent(L, K, o)
    if deficient:
        inner(L, V, V.shape[1], V, o, K + r)
        independent_first(V, L, order, K, o, least)
        inner(L, V, V.shape[1], V, o, K + r)
        cholesky(L, K + r, o, least)
    return deficient, loudest < strength[0] < np.inf


@kernel
def by_phases(R, row, V, E2, rows, B, known, inner_steps, W, g, E, N3, Y, S, C, masks, setting):
    """f at F with W brought near its best for it, and df/d∠F in R[row]."""
    K, M = W.shape[1], C.shape[1]
    inner(C, V, V.shape[1], V, 0, R.shape[2] // V.shape[2])
    f = ascend_chains(rows, B, known, inner_steps, W, g, E, N3, Y, S, C, masks, setting)
    combine_adjoint(E2, E, W, K, M)
    phase_gradient(R, row, V, E2, V.shape[1], R.shape[2] // V.shape[2])
    return f


@kernel
def ascend_phases(
    steps, inner_steps, reach, tolerance, R, tables, small, base, V, E2, rows, B, known, W, g, E, N3, Y, S, C,
    masks, setting,
):  # fmt: skip
    """Up to `steps` L-BFGS steps on ∠F, never down; f, and the trials made until gᵀd ≤ tolerance."""
    old, new = 2 * MEMORY, 2 * MEMORY + 1
    f = by_phases(R, old, V, E2, rows, B, known, inner_steps, W, g, E, N3, Y, S, C, masks, setting)
    gamma, along = first_direction(R, tables, small, old, reach)
    head, count, t, done, fresh = 0, 0, one(R), 0, True
    copy(base, V, base.shape[1])
    copy_row(rows, SAVED, POINT)
    while done < steps and along > tolerance:
        done += 1
        rotate(V, base, R, 2 * MEMORY + 2, t)
        after = by_phases(R, new, V, E2, rows, B, known, inner_steps, W, g, E, N3, Y, S, C, masks, setting)
        fresh = after >= f + like(R, 1e-4) * t * along
        if fresh:
            f = after
            head, count, gamma, along = next_direction(R, tables, small, t, head, count, gamma, old, new)
            copy(base, V, base.shape[1])
            copy_row(rows, SAVED, POINT)
            old, new, t = new, old, one(R)
        else:
            t = shorter(R, t, along, after - f)
            copy_row(rows, POINT, SAVED)
    if not fresh:
        copy(V, base, base.shape[1])
    return f, done


@kernel
def given(V, W_planes, F, W, order, power):
    """F and W as the kernel keeps them."""
    unit = 1 / np.sqrt(power)
    for m in range(F.shape[1]):
        for n in range(F.shape[0]):
            V[0, m, n], V[1, m, n] = F[n, m].real, F[n, m].imag
        for k in range(W.shape[1]):
            w = unit * W[m, order[k]]
            W_planes[0, k, m], W_planes[1, k, m] = w.real, w.imag


@kernel
def output(F, W, V, W_planes, order, power):
    """F (N, M) on the unit circle and W (M, K) with ‖F W‖² = P_t, in complex128."""
    N, M = F.shape
    K = W.shape[1]
    for m in range(M):
        for n in range(N):
            re, im = np.float64(V[0, m, n]), np.float64(V[1, m, n])
            q = 1 / np.sqrt(re * re + im * im)
            F[n, m] = complex(re * q, im * q)
        for k in range(K):
            W[m, order[k]] = complex(np.float64(W_planes[0, k, m]), np.float64(W_planes[1, k, m]))
    total = 0.0
    for k in range(K):
        for n in range(N):
            x = 0j
            for m in range(M):
                x += F[n, m] * W[m, k]
            total += x.real * x.real + x.imag * x.imag
    scale = np.sqrt(power / total)
    for m in range(M):
        for k in range(K):
            W[m, k] *= scale


@kernel
def carve(buffer, N, K, M, r, numbers):
    """The working space of one design, all zero: views of the buffer in the order of their names in `design`.

    R and Rp, the memories of Z and of F, are never needed at once and share their place.
    """
    Np, Kq, Mq, Me, D, columns, n, lanes, w, b = sizes(N, K, M, r)
    V, at = take(buffer, 0, 2, columns, Np)
    X, at = take(buffer, at, 2, Kq, Np)
    base, at = take(buffer, at, 2, Me, Np)
    R, _ = take(buffer, at, 1, 2 * MEMORY + 3, 2 * Kq * lanes)
    Rp, _ = take(buffer, at, 1, 2 * MEMORY + 3, Me * Np)
    at += (2 * MEMORY + 3) * max(Me * Np, 2 * Kq * lanes)
    C, at = take(buffer, at, 2, Mq, D)
    Y, at = take(buffer, at, 2, Kq, D)
    E, at = take(buffer, at, 2, Kq, D)
    E2, at = take(buffer, at, 2, Mq, D)
    L, at = take(buffer, at, 2, n, D)
    coordinates, at = take(buffer, at, 2, K, D)
    masks, at = take(buffer, at, 3, K, D)
    Z, at = take(buffer, at, 2, Kq, lanes)
    Zb, at = take(buffer, at, 2, Kq, lanes)
    Zs, at = take(buffer, at, 2, Kq, lanes)
    G, at = take(buffer, at, 2, Kq, lanes)
    T, at = take(buffer, at, 2, Kq, lanes)
    A, at = take(buffer, at, 2, max(Kq, Mq), max(Kq, Mq))
    S, at = take(buffer, at, 2, Kq, Kq)
    N3, at = take(buffer, at, 2, K, Kq)
    tables, at = take(buffer, at, 2, MEMORY, MEMORY)
    small, at = take(buffer, at, 1, 4, 2 * MEMORY)
    Wp, _ = take(buffer, at, 2, K, Mq)  # W and g lie in the rows POINT and NEW
    g, _ = take(buffer, at + 6 * w, 2, K, Mq)
    rows, at = take(buffer, at, 1, 8, w)
    B, at = take(buffer, at, 1, b, w)
    setting = buffer[at : at + numbers]
    for i in range(at):
        buffer[i] = like(buffer, 0.0)
    return (
        V, X, base, R, Rp, C, Y, E, E2, L, coordinates, masks, Z, Zb, Zs, G, T, A, S, N3, tables, small, rows,
        B, Wp, g, setting,
    )  # fmt: skip


@kernel
def design(F, W, H, U, mixing, figures, tolerance, plan, buffer):
    """{F, W} for one channel; f in the kernel's precision, steps of F made, whether a user was too loud.

    F (N, M), W (M, K), H (K, N) complex128; U (2, r, N padded), mixing (2, K, M padded) in the kernel's
    precision, with the `buffer` of `floats` numbers; figures float64 = [P_t, √P_t/σ, then `setting`];
    plan = digital steps, alternations, first steps of W, steps of W per step of F, steps of F. With digital
    steps below 0 the start is the {F, W} that the arrays hold. Where users depend on
    others, `PATIENCE` times the digital steps are made. With a user too loud f is that of a weaker one.
    """
    K, N = H.shape
    M, r = F.shape[1], U.shape[1]
    (
        V, X, base, R, Rp, C, Y, E, E2, L, coordinates, masks, Z, Zb, Zs, G, T, A, S, N3, tables, small, rows,
        B, Wp, g, setting,
    ) = carve(buffer, N, K, M, r, len(figures) - 2)  # fmt: skip
    Mq, columns = C.shape[1], V.shape[1]
    for i in range(len(setting)):
        setting[i] = figures[2 + i]
    order = np.empty(K, np.int64)
    set_masks(masks, Mq, K, r)
    deficient, loud = load_channel(V, L, order, H, U, figures[1], setting[DEPENDENT], setting[LOUDEST], Mq)
    if plan[0] < 0:
        given(V, Wp, F, W, order, figures[0])
    else:
        digital_start(R, Zb, Zs, G, T, E, N3, Y, S, A, L, Z, masks, setting, Mq, r)
        patience = PATIENCE if deficient else 1
        ascend_digital(patience * plan[0], R, tables, small, Zb, G, T, E, N3, Y, S, L, Z, masks, setting)
        solve_adjoint(L, K + r, Mq, Z, K)
        for z in range(2):
            for k in range(K):
                for i in range(K + r):
                    coordinates[z, k, Mq + i] = Z[z, k, i]
        combine(X, V, coordinates, columns)
        factorise(V, Wp, X, A, mixing, plan[1], M, N)
    inner(C, V, columns, V, 0, M)
    known = np.zeros(1, np.int64)
    f = ascend_chains(rows, B, known, plan[2], Wp, g, E, N3, Y, S, C, masks, setting)
    done = 0
    if plan[4] > 0:
        f, done = ascend_phases(
            plan[4], plan[3], setting[PHASES] * np.sqrt(like(V, N * M)), tolerance, Rp, tables, small, base,
            V, E2, rows, B, known, Wp, g, E, N3, Y, S, C, masks, setting,
        )  # fmt: skip
    output(F, W, V, Wp, order, figures[0])
    return f, done, loud
