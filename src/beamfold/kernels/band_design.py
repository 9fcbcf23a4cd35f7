r"""One hybrid design for a band: F common to all subcarriers, W_s of each.

    f = (1/S) Σ_s (R − ω τ)(s_s F W_s),   s_s = √P_t / ‖F W_s‖

separates into narrowband problems once F is fixed: the digital optima X_s, every W_s and its inverse Hessian
are found as in `fast_design`. The phases of F have one limited memory, and their gradient is the mean of the
narrowband ones. The start is the phases of the leading eigenvectors of Σ_s X_s X_sᴴ, then in turn

    F = e^{j∠(Σ_s X_s W_sᴴ)},   W_s = (Fᴴ F + εN I)⁻¹ Fᴴ X_s,

of which Σ_s X_s W_sᴴ = (Σ_s X_s X_sᴴ F) (Fᴴ F + εN I)⁻¹.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from beamfold.kernels.band_basis import set_basis, take_out_span
from beamfold.kernels.band_chains import SAVED
from beamfold.kernels.band_finish import put_columns
from beamfold.kernels.band_sums import (
    add_product,
    add_scaled,
    orthonormal,
    times_inverse,
    times_inverse_adjoint,
    turn_gradient,
)
from beamfold.kernels.band_work import (
    ASCEND,
    FINISH,
    FIT,
    GO_BACK,
    LOAD,
    SPAN,
    set_thread_arrays,
    together,
)
from beamfold.kernels.band_workspace import BandPlan, Task, band_of, of_one, thread_arrays
from beamfold.kernels.cholesky import cholesky
from beamfold.kernels.fast_chains import POINT
from beamfold.kernels.fast_design import entries, one_chain_each
from beamfold.kernels.fast_memory import DIRECTION, NEW, OLD, first_direction, next_direction, shorter
from beamfold.kernels.fast_start import RIDGE, connect, connect_best, deal
from beamfold.kernels.fast_workspace import Constants, Problem, rows_of
from beamfold.kernels.linalg import Planes, copy, dot, inner, kernel, leaf, one, row_copy
from beamfold.kernels.phases import phases_of, rotate, store_unit
from beamfold.kernels.simd import LANES, add, fma, like, load, multiply, root, splat, store, subtract
from beamfold.kernels.team import HELPERS, STOP, Team, plain, publish


@kernel
def first_span(F: Planes, X: Planes, users: int, columns: int) -> None:
    """The first columns of F = columns of the digital optima, taken over the whole band."""
    n = X.shape[0] // 2
    for j in range(columns):
        place = j * n * users // columns
        put_columns(F, j, of_one(X, place // users), place % users, 1)


@kernel
def sum_groups(stack: Planes, groups: int) -> Planes:
    """The sum of the groups' matrices, in the place of the first."""
    G = of_one(stack, 0)
    for g in range(1, groups):
        add_scaled(G, one(G), of_one(stack, g))
    return G


@kernel
def unit_of(V: Planes, G: Planes, M: int, mask: Planes) -> None:
    """The first M columns of V = the phases of G where the mask is 1; a zero keeps the phase it had."""
    for m in range(M):
        for n in range(0, V.shape[2], LANES):
            there = load(mask, 0, m, n, LANES)
            re, im = load(G, 0, m, n, LANES), load(G, 1, m, n, LANES)
            store_unit(V, V, m, n, multiply(there, re), multiply(there, im))


@leaf
def score(mask: Planes, m: int, G: Planes, size: Any) -> None:
    """Row m of the mask = 2 |column m of G| − size: what `fast_start.connect_best` compares."""
    for n in range(0, G.shape[2], LANES):
        re, im = load(G, 0, m, n, LANES), load(G, 1, m, n, LANES)
        r = root(fma(im, im, multiply(re, re)))
        store(mask, 0, m, n, subtract(add(r, r), splat(size, LANES)))


@kernel
def alternate(task: Task, shared: Planes, groups: int, free: Planes, allowed: Planes, dynamic: bool) -> None:
    """F = the phases of Σ_s X_s W_sᴴ = G (Fᴴ F + ε N I)⁻¹ for G = Σ_s X_s X_sᴴ F.

    In a dynamic network the connections are chosen anew before, see `fast_start.assign`. There
    Σ_s ‖w_sm‖² is column m of F (Fᴴ F + ε N I)⁻¹, conjugated, times that of Σ_s X_s W_sᴴ.
    """
    band, M = band_of(shared, task), task.F.shape[1]
    A, G = band.A, sum_groups(band.G, groups)
    inner(A, band.F, A.shape[2], band.F, 0, M)
    for m in range(M):
        A[0, m, m] *= like(A, 1 + RIDGE)
    cholesky(A, M, 0, 0.0)
    times_inverse_adjoint(G, A, M)
    times_inverse(G, A, M)
    if dynamic:
        copy(band.E, band.F, M)
        times_inverse_adjoint(band.E, A, M)
        times_inverse(band.E, A, M)
        for m in range(M):
            size, _ = dot(band.E, m, G, m)
            score(free, m, G, size)
        connect_best(free, allowed, M)
        connect(band.F, free, M)
    unit_of(band.F, G, M, free)


@kernel
def band_start(
    mixing: Planes, allowed: Planes, dynamic: bool, team: Team, task: Task, shared: Planes, mine: Planes,
    problem: Problem, constants: Constants, plan: BandPlan,
) -> None:  # fmt: skip
    """F and all Z from the digital optima: eigenvectors, their phases, alternations."""
    band, antennas = band_of(shared, task), thread_arrays(mine, task).one.antennas
    F, free, kept = band.F, antennas.free, antennas.kept
    M, K, columns = task.F.shape[1], task.H.shape[1], mixing.shape[1]
    first_span(F, band.X, K, columns)
    orthonormal(F, columns)
    for _ in range(plan.turns):
        groups = together(plain(SPAN), columns, team, task, shared, mine, problem, constants, plan)
        copy(F, sum_groups(band.G, groups), columns)
        orthonormal(F, columns)
    copy(kept, F, columns)
    if dynamic:
        deal(free, allowed, M)
    connect(F, free, M)
    phases_of(F, kept, mixing, M, free)
    for _ in range(plan.alternations):
        groups = together(plain(SPAN), M, team, task, shared, mine, problem, constants, plan)
        alternate(task, shared, groups, free, allowed, dynamic)
    set_basis(task, shared, constants.rounding)
    together(plain(FIT), plain(0), team, task, shared, mine, problem, constants, plan)


@kernel
def by_band(
    kind: int, steps: int, rows: Planes, row: int, team: Team, task: Task, shared: Planes, mine: Planes,
    problem: Problem, constants: Constants, plan: BandPlan,
) -> Any:  # fmt: skip
    """f at F with all Z brought near their best for it, and df/d∠F in a row."""
    band, free, M = band_of(shared, task), thread_arrays(mine, task).one.antennas.free, task.F.shape[1]
    set_basis(task, shared, constants.rounding)
    groups = together(kind, steps, team, task, shared, mine, problem, constants, plan)
    G, PZ = sum_groups(band.G, groups), sum_groups(band.PZ, groups)
    add_product(G, band.U, PZ, 0, band.U.shape[1], M)
    take_out_span(G, band.E, M)
    times_inverse(G, band.L, M)
    turn_gradient(rows, row, band.F, G, free)
    f = like(G, 0.0)
    for i in range(len(task.share)):
        f += band.f[0, 0, i] * like(G, task.share[i])
    return f


@kernel
def ascend_band(
    team: Team, task: Task, shared: Planes, mine: Planes, problem: Problem, constants: Constants,
    plan: BandPlan,
) -> int:  # fmt: skip
    """All W for F, then up to `plan.steps` L-BFGS steps on ∠F with them following; f never falls.

    Returns the trials made until gᵀd is at most the tolerance.
    """
    band, one_of, M = band_of(shared, task), thread_arrays(mine, task).one, task.F.shape[1]
    V, base, free = band.F, one_of.antennas.base, one_of.antennas.free
    columns = 1 if one_chain_each(V, M) else free.shape[1]
    memory = rows_of(one_of.memory, columns * V.shape[2])
    rows = memory.rows
    old, new = plain(OLD), plain(NEW)
    tolerance = like(V, constants.tolerance)
    f = by_band(plain(ASCEND), plan.first, rows, old, team, task, shared, mine, problem, constants, plan)
    reach = like(V, constants.phases) * np.sqrt(like(V, entries(free)))
    search = first_direction(memory, old, reach)
    t, done, fresh = one(V), 0, True
    copy(base, V, base.shape[1])
    while done < plan.steps and search.along > tolerance:
        done += 1
        rotate(V, base, rows, DIRECTION, t)
        kind = plain(ASCEND) if fresh else plain(GO_BACK)
        after = by_band(kind, plan.inner, rows, new, team, task, shared, mine, problem, constants, plan)
        fresh = after >= f + like(V, 1e-4) * t * search.along
        if fresh:
            f = after
            search = next_direction(memory, search, t, old, new)
            copy(base, V, base.shape[1])
            old, new, t = new, old, one(V)
        else:
            t = shorter(rows, t, search.along, after - f)
    if not fresh:
        copy(V, base, base.shape[1])
        set_basis(task, shared, constants.rounding)
        for i in range(len(task.chosen)):
            row_copy(band.rows[i : i + 1], POINT, SAVED)
    return done


@kernel
def load_F(F: Planes, free: Planes, task: Task) -> None:
    """The given F ; where it is 0 it stays."""
    N, M = task.F.shape
    for m in range(M):
        for n in range(N):
            value = task.F[n, m]
            F[0, m, n], F[1, m, n] = value.real, value.imag
            if value == 0:
                free[0, m, n] = like(free, 0.0)


@kernel
def store_F(task: Task, planes: Planes, free: Planes, moved: bool) -> None:
    """F (N, M) on the unit circle where it is free, unless it has not moved; its Gram matrix; complex128."""
    F, gram = task.F, task.gram
    N, M = F.shape
    for m in range(M if moved else 0):
        for n in range(N):
            if free[0, m, n] > 0:
                re, im = np.float64(planes[0, m, n]), np.float64(planes[1, m, n])
                q = 1 / np.sqrt(re * re + im * im)
                F[n, m] = complex(re * q, im * q)
    for m in range(M):
        for a in range(M):
            x = 0j
            for n in range(N):
                x += F[n, m].conjugate() * F[n, a]
            gram[m, a] = x


@kernel
def design_band(
    task: Task, mixing: Planes, free: Planes, dynamic: bool, problem: Problem, constants: Constants,
    plan: BandPlan, team: Team, helpers: int, shared: Planes, mine: Planes,
) -> int:  # fmt: skip
    """F of a band and all W_s, from its own start or from the {F, W} of the task; the steps of F made.

    Args:
        task: the band, and the arrays that are filled.
        mixing: (2, min(M, n K), M padded), see `fast.mixing`.
        free: (1, M padded, N padded), see `fast_design.design`.
        dynamic: each antenna is connected to one chain of those that `free` allows, chosen for the band.
        problem: the numbers of (8); `square` stands in the task.
        constants: first steps and thresholds.
        plan: how much work.
        team: zeros, see `team`.
        helpers: threads in `help_out`.
        shared: for the arrays of `band_layout`, zero.
        mine: for the arrays of `thread_layout`.
    """
    team[HELPERS] = helpers
    set_thread_arrays(mine, task)
    band, there = band_of(shared, task), thread_arrays(mine, task).one.antennas.free
    for m in range(there.shape[1]):
        for d in range(there.shape[2]):
            there[0, m, d] = free[0, m, d]
    if task.U.shape[0] == 2:
        put_columns(band.U, task.H.shape[1], task.U, 0, task.U.shape[1])
    if plan.digital < 0:
        load_F(band.F, there, task)
        set_basis(task, shared, constants.rounding)
    together(plain(LOAD), plain(0), team, task, shared, mine, problem, constants, plan)
    if plan.digital >= 0:
        band_start(mixing, free, dynamic, team, task, shared, mine, problem, constants, plan)
    done = ascend_band(team, task, shared, mine, problem, constants, plan)
    store_F(task, band.F, there, plan.digital >= 0 or plan.steps > 0)
    together(plain(FINISH), plain(0), team, task, shared, mine, problem, constants, plan)
    publish(team, plain(STOP), helpers, plain(0))
    return done
