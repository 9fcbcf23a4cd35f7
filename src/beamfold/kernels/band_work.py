r"""What is done for each subcarrier of a band, in groups that any thread may take.

V_s = [F, h_1 … h_K, U] has columns of its own (the channels, and U where each subcarrier has its own Ψ) and
common ones. So T_s = V_sᴴ F is that of the common columns plus the own ones, and the gradient

    df/dF* = Σ_s share_s V_s (P_s W_sᴴ)

is the common columns times Σ_s share_s P_s W_sᴴ plus the own ones times theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from beamfold.kernels.band_sums import add_inner_at, add_product, add_scaled, transposed
from beamfold.kernels.band_workspace import (
    GROUPS,
    Band,
    BandPlan,
    Complex,
    Desk,
    Task,
    Whole,
    band_layout,
    desk_layout,
    of_one,
)
from beamfold.kernels.cholesky import solve, solve_adjoint
from beamfold.kernels.fast_chains import POINT, SAVED, ascend_chains, planes
from beamfold.kernels.fast_channel import canonical, load_channel
from beamfold.kernels.fast_design import PATIENCE, digital_optimum
from beamfold.kernels.fast_objective import set_masks
from beamfold.kernels.fast_workspace import Chains, Constants, Problem, rows_of
from beamfold.kernels.linalg import Planes, copy, erase, inner, kernel, row_copy, scale, times_adjoint
from beamfold.kernels.simd import like
from beamfold.kernels.team import DONE, STEPS, STOP, TASK, Team, claim, fetch_add, publish, wait_for_all, wait_for_more
from beamfold.kernels.workspace import carve

LOAD, SPAN, FIT, ASCEND, GO_BACK, FINISH = range(6)
"""Tasks: the channel and its digital optimum X; X Xᴴ E summed; W = F^† X and X Wᴴ summed; W's ascent and the
gradient by F summed, the same with W as it was before the last step of F; W of all subcarriers and the result."""


@kernel
def own_radar(task: Task, s: int) -> Planes:
    """U of subcarrier s."""
    return of_one(task.U, s if task.U.shape[0] > 2 else 0)


@kernel
def numbers_of(task: Task, s: int, problem: Problem) -> Problem:
    """The numbers of (8) for subcarrier s."""
    square = task.square[s if len(task.square) > 1 else 0]
    return Problem(problem.power, problem.gain, problem.omega, square)


@kernel
def load(
    i: int, task: Task, band: Band, desk: Desk, problem: Problem, constants: Constants, plan: BandPlan
) -> None:
    """The own columns of the i-th chosen subcarrier, and its digital optimum X or the given W."""
    w, own, s = desk.one, of_one(band.own, i), task.chosen[i]
    V, T, H, U = w.antennas.V, w.antennas.T, task.H[s], own_radar(task, s)
    o, K, r = T.shape[1], H.shape[0], U.shape[1]
    deficient, _ = load_channel(V, w.digital.L, task.order[i], H, U, problem.gain, constants, o)
    for z in range(2):
        for k in range(own.shape[1]):
            for n in range(V.shape[2]):
                own[z, k, n] = V[z, o + k, n]
    for k in range(K, own.shape[1] if task.U.shape[0] == 2 else K):
        for n in range(V.shape[2]):
            own[0, k, n], own[1, k, n] = like(V, 0.0), like(V, 0.0)
    if plan.digital < 0:
        W, unit = planes(band.rows[i : i + 1], POINT, K, o), 1 / np.sqrt(problem.power)
        for k in range(K):
            for m in range(task.W.shape[1]):
                value = unit * task.W[s, m, task.order[i, k]]
                W[0, k, m], W[1, k, m] = value.real, value.imag
        return
    steps = (PATIENCE if deficient else 1) * plan.digital
    on_Z = rows_of(w.memory, 2 * w.digital.Z.shape[1] * w.digital.Z.shape[2])
    digital_optimum(w, on_Z, numbers_of(task, s, problem), constants, steps, r)
    copy(of_one(band.X, i), w.antennas.X, w.antennas.X.shape[1])


@kernel
def span(i: int, columns: int, G: Planes, band: Band, desk: Desk) -> None:
    """G += X Xᴴ E for the i-th chosen subcarrier, E the first columns of V."""
    X, part = of_one(band.X, i), desk.one.antennas.PW
    inner(part, X, X.shape[1], band.V, 0, columns)
    add_product(G, X, part, 0, X.shape[1], columns)


@kernel
def fit(i: int, G: Planes, task: Task, band: Band, desk: Desk) -> None:
    """W = (Fᴴ F + ε N I)⁻¹ Fᴴ X for the i-th chosen subcarrier, G += share X Wᴴ; see `Band.A`."""
    K, M = task.W.shape[2], task.W.shape[1]
    X, W = of_one(band.X, i), planes(band.rows[i : i + 1], POINT, K, band.T.shape[1])
    inner(W, band.V, W.shape[2], X, 0, K)
    solve(band.A, M, 0, W, K)
    solve_adjoint(band.A, M, 0, W, K)
    adjoint = desk.one.antennas.PW
    transposed(adjoint, W, like(W, task.share[i]))
    add_product(G, X, adjoint, 0, K, M)


@kernel
def ascend(
    i: int, steps: int, G: Planes, PW: Planes, task: Task, band: Band, desk: Desk, problem: Problem,
    constants: Constants,
) -> None:  # fmt: skip
    """W of the i-th chosen subcarrier brought near its best for F; its share of the gradient by F."""
    T, mine, objective = desk.one.antennas.T, desk.one.antennas.PW, desk.one.objective
    K, M = task.W.shape[2], T.shape[1]
    own, rows = of_one(band.own, i), band.rows[i : i + 1]
    copy(T, band.T, M)
    add_inner_at(T, desk.part, own, M, band.V, task.W.shape[1])
    chains = Chains(rows, band.B[i : i + 1])
    numbers = numbers_of(task, task.chosen[i], problem)
    f, updates = ascend_chains(chains, T, objective, numbers, constants.chains, steps, task.updates[i])
    band.f[0, 0, i], task.updates[i] = f, updates
    times_adjoint(mine, objective.P, planes(rows, POINT, K, M), M)
    share = like(T, task.share[i])
    add_scaled(PW, share, mine)
    scale(mine, share)
    add_product(G, own, mine, M, own.shape[1], task.W.shape[1])


@kernel
def finish(
    s: int, task: Task, band: Band, desk: Desk, problem: Problem, constants: Constants, plan: BandPlan
) -> None:
    """W of subcarrier s for the F of V, from the W and B of the chosen one that is nearest; its f."""
    w, H, U, i = desk.one, task.H[s], own_radar(task, s), task.nearest[s]
    V, T, rows, B = w.antennas.V, w.antennas.T, w.chains.rows, w.chains.B
    o, (K, N), M = T.shape[1], H.shape, task.F.shape[1]
    most = 0.0
    for k in range(K):
        most = max(most, canonical(V[:, o + k], H[task.order[i, k]], problem.gain, constants.loudest))
    task.loud[s] = 1 if constants.loudest < most < np.inf else 0
    if task.U.shape[0] > 2:
        for z in range(2):
            for j in range(U.shape[1]):
                for n in range(V.shape[2]):
                    V[z, o + K + j, n] = U[z, j, n]
    inner(T, V, V.shape[1], V, 0, M)
    for j in range(rows.shape[2]):
        rows[0, POINT, j] = band.rows[i, POINT, j]
    for j in range(B.shape[1]):
        for d in range(B.shape[2]):
            B[0, j, d] = band.B[i, j, d]
    numbers = numbers_of(task, s, problem)
    f, _ = ascend_chains(w.chains, T, w.objective, numbers, constants.chains, plan.last, task.updates[i])
    task.f[s] = f
    store_W(task.W[s], planes(rows, POINT, K, o), task.gram, task.order[i], problem.power)


@kernel
def store_W(W: Complex, planes_of_W: Planes, gram: Complex, order: Whole, power: float) -> None:
    """W (M, K) with ‖F W‖² = P_t, for users in `order`, gram = Fᴴ F."""
    M, K = W.shape
    total = 0.0
    for k in range(K):
        user = order[k]
        for m in range(M):
            W[m, user] = complex(np.float64(planes_of_W[0, k, m]), np.float64(planes_of_W[1, k, m]))
        for m in range(M):
            x = 0j
            for a in range(M):
                x += gram[m, a] * W[a, user]
            total += W[m, user].real * x.real + W[m, user].imag * x.imag
    q = np.sqrt(power / total)
    for m in range(M):
        for k in range(K):
            W[m, k] *= q


@kernel
def do_group(
    kind: int, group: int, groups: int, steps: int, task: Task, band: Band, desk: Desk, problem: Problem,
    constants: Constants, plan: BandPlan,
) -> None:  # fmt: skip
    """One group of a task."""
    n, S = len(task.chosen), task.H.shape[0]
    G, PW = of_one(band.G, group), of_one(band.PW, group)
    if kind == FINISH:
        copy(desk.one.antennas.V, band.V, band.V.shape[1])
        for s in range(group * S // groups, (group + 1) * S // groups):
            finish(s, task, band, desk, problem, constants, plan)
        return
    erase(G)
    erase(PW)
    for i in range(group * n // groups, (group + 1) * n // groups):
        if kind == LOAD:
            load(i, task, band, desk, problem, constants, plan)
        elif kind == SPAN:
            span(i, steps, G, band, desk)
        elif kind == FIT:
            fit(i, G, task, band, desk)
        else:
            rows = band.rows[i : i + 1]
            if kind == GO_BACK:
                row_copy(rows, POINT, SAVED)
            else:
                row_copy(rows, SAVED, POINT)
            ascend(i, steps, G, PW, task, band, desk, problem, constants)


@kernel
def together(
    kind: int, steps: int, team: Team, task: Task, band: Band, desk: Desk, problem: Problem,
    constants: Constants, plan: BandPlan,
) -> int:  # fmt: skip
    """All groups of a task, with the help of other threads; returns how many groups hold sums."""
    groups = min(GROUPS, len(task.chosen)) if kind != FINISH else min(2 * GROUPS, task.H.shape[0])
    publish(team, kind, groups, steps)
    while True:
        _, group = claim(team)
        if group < 0:
            break
        do_group(kind, group, groups, steps, task, band, desk, problem, constants, plan)
        fetch_add(team, DONE, 1)
    wait_for_all(team, groups)
    return groups


@kernel
def help_out(
    team: Team, task: Task, band_buffer: Planes, desk_buffer: Planes, problem: Problem, constants: Constants,
    plan: BandPlan,
) -> None:  # fmt: skip
    """What a helping thread does until the task is `STOP`."""
    (S, K, N), M, r, n = task.H.shape, task.F.shape[1], task.U.shape[1], len(task.chosen)
    separate = task.U.shape[0] > 2
    band = carve(band_buffer, band_layout(N, K, M, r, n, separate))
    desk = set_desk(desk_buffer, task)
    while True:
        number, group = claim(team)
        if group < 0:
            wait_for_more(team, number)
            continue
        kind, steps = team[TASK], team[STEPS]
        if kind == STOP:
            return
        groups = min(GROUPS, n) if kind != FINISH else min(2 * GROUPS, S)
        do_group(kind, group, groups, steps, task, band, desk, problem, constants, plan)
        fetch_add(team, DONE, 1)


@kernel
def set_desk(buffer: Planes, task: Task) -> Desk:
    """The working space of a thread, ready."""
    for i in range(len(buffer)):
        buffer[i] = like(buffer, 0.0)
    (_, K, N), M, r = task.H.shape, task.F.shape[1], task.U.shape[1]
    desk = carve(buffer, desk_layout(N, K, M, r, task.U.shape[0] > 2))
    set_masks(desk.one.objective.masks, desk.one.antennas.T.shape[1], K, r)
    return desk
