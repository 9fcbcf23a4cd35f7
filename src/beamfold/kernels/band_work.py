r"""What is done for each subcarrier of a band, in groups that any thread may take.

With the orthonormal basis E = F L^(−H) of F and X_s = E Z_s the gradient by F is

    df/dF* = (I − E Eᴴ) Σ_s share_s [h_s1 … h_sK, U_s] (P_s Z_sᴴ) L⁻¹,

without its part in the span of F, which is 0 where all Z_s are at their best for F. The channels, and U where
each subcarrier has its own Ψ, are a subcarrier's own columns; the common U meets Σ_s share_s P_s Z_sᴴ alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from beamfold.kernels.band_chains import SAVED, ascend_basis, planes_of
from beamfold.kernels.band_finish import finish_group, numbers_of, own_radar, put_columns
from beamfold.kernels.band_sums import add_inner_at, add_product, add_scaled
from beamfold.kernels.band_workspace import (
    GROUPS,
    BandPlan,
    Complex,
    Task,
    Whole,
    band_of,
    of_one,
    thread_arrays,
)
from beamfold.kernels.fast_chains import POINT
from beamfold.kernels.fast_channel import load_channel
from beamfold.kernels.fast_design import PATIENCE, digital_optimum
from beamfold.kernels.fast_objective import set_masks
from beamfold.kernels.fast_workspace import Chains, Constants, Objective, Problem, rows_of
from beamfold.kernels.linalg import Planes, copy, erase, inner, kernel, row_copy, scale, times_adjoint
from beamfold.kernels.simd import like
from beamfold.kernels.team import (
    DONE,
    STEPS,
    STOP,
    TASK,
    Team,
    claim,
    fetch_add,
    publish,
    wait_for_all,
    wait_for_more,
)

LOAD, SPAN, FIT, ASCEND, GO_BACK, FINISH = range(6)
"""Tasks: each channel and its digital optimum X; the sum of X Xᴴ F; Z = Eᴴ X; the ascent of Z and the sums of
which the gradient by F consists, from the present Z, or from that before the last step of F; W and f of all
subcarriers."""


@kernel
def load(
    i: int, task: Task, shared: Planes, mine: Planes, problem: Problem, constants: Constants, plan: BandPlan
) -> None:
    """The own columns of the i-th chosen subcarrier, and its digital optimum X, or Z = Lᴴ W of a given W."""
    band, w, s = band_of(shared, task), thread_arrays(mine, task).one, task.chosen[i]
    own = of_one(band.own, i)
    V, H, U = w.antennas.V, task.H[s], own_radar(task, s)
    o, K, r = w.antennas.T.shape[1], H.shape[0], U.shape[1]
    deficient, _ = load_channel(V, w.digital.L, task.order[i], H, U, problem.gain, constants, o)
    put_columns(own, 0, V, o, K + r if task.U.shape[0] > 2 else K)
    if plan.digital < 0:
        load_W(planes_of(band.rows[i : i + 1], POINT, o), band.L, task.W[s], task.order[i], problem)
        return
    steps = (PATIENCE if deficient else 1) * plan.digital
    on_Z = rows_of(w.memory, 2 * w.digital.Z.shape[1] * w.digital.Z.shape[2])
    digital_optimum(w, on_Z, numbers_of(task.square, s, problem), constants, steps, r)
    copy(of_one(band.X, i), w.antennas.X, w.antennas.X.shape[1])


@kernel
def load_W(Z: Planes, L: Planes, W: Complex, order: Whole, problem: Problem) -> None:
    """Z = Lᴴ W for users in `order` and in units of √P_t."""
    M, unit = W.shape[0], 1 / np.sqrt(problem.power)
    for k in range(W.shape[1]):
        for m in range(M):
            x = 0j
            for a in range(m, M):
                x += complex(L[0, m, a], -L[1, m, a]) * W[a, order[k]]
            Z[0, k, m], Z[1, k, m] = unit * x.real, unit * x.imag


@kernel
def span(X: Planes, F: Planes, part: Planes, share: float, G: Planes, columns: int) -> None:
    """G += share X Xᴴ F for the first columns of F; `part` is working space."""
    inner(part, X, X.shape[1], F, 0, columns)
    scale(part, like(X, share))
    add_product(G, X, part, 0, X.shape[1], columns)


@kernel
def ascend(
    chains: Chains, own: Planes, E: Planes, common: Planes, T: Planes, part: Planes, mine: Planes,
    objective: Objective, problem: Problem, reach: float, steps: int, updates: int, share: float, G: Planes,
    PZ: Planes, M: int,
) -> tuple[Any, int]:  # fmt: skip
    """Z of a subcarrier brought near its best for F, and its share of the gradient by F; see `ascend_basis`.

    All that it is handed are arrays that own nothing: to count references would take longer than the sums.
    """
    copy(T, common, T.shape[1])
    add_inner_at(T, part, own, 0, E, M)
    f, updates = ascend_basis(chains, T, objective, problem, reach, steps, updates)
    times_adjoint(mine, objective.P, planes_of(chains.rows, POINT, T.shape[1]), T.shape[1])
    scale(mine, like(T, share))
    add_scaled(PZ, like(T, 1.0), mine)
    add_product(G, own, mine, 0, own.shape[1], M)
    return f, updates


@kernel
def load_group(
    group: int, groups: int, task: Task, shared: Planes, mine: Planes, problem: Problem, constants: Constants,
    plan: BandPlan,
) -> None:  # fmt: skip
    """A group of `LOAD`."""
    n = len(task.chosen)
    for i in range(group * n // groups, (group + 1) * n // groups):
        load(i, task, shared, mine, problem, constants, plan)


@kernel
def start_group(
    kind: int, group: int, groups: int, columns: int, task: Task, shared: Planes, mine: Planes
) -> None:
    """A group of `SPAN`, for the first columns of F, or of `FIT`."""
    band, part, n = band_of(shared, task), thread_arrays(mine, task).one.antennas.PW, len(task.chosen)
    G, (K, _), M = of_one(band.G, group), task.H.shape[1:], band.T.shape[1]
    erase(G)
    for i in range(group * n // groups, (group + 1) * n // groups):
        X = of_one(band.X, i)
        if kind == SPAN:
            span(X, band.F, part, task.share[i], G, columns)
        else:
            inner(planes_of(band.rows[i : i + 1], POINT, M), band.E, M, X, 0, K)


@kernel
def ascend_group(
    kind: int, group: int, groups: int, steps: int, task: Task, shared: Planes, mine: Planes,
    problem: Problem, reach: float,
) -> None:  # fmt: skip
    """A group of `ASCEND` or `GO_BACK`."""
    band, arrays, n = band_of(shared, task), thread_arrays(mine, task), len(task.chosen)
    G, PZ = of_one(band.G, group), of_one(band.PZ, group)
    erase(G)
    erase(PZ)
    for i in range(group * n // groups, (group + 1) * n // groups):
        rows = band.rows[i : i + 1]
        row_copy(rows, POINT if kind == GO_BACK else SAVED, SAVED if kind == GO_BACK else POINT)
        band.f[0, 0, i], task.updates[i] = ascend(
            Chains(rows, band.B[i : i + 1]), of_one(band.own, i), band.E, band.T, arrays.T, arrays.part,
            arrays.PZ, arrays.objective, numbers_of(task.square, task.chosen[i], problem), reach, steps,
            task.updates[i], task.share[i], G, PZ, task.W.shape[1],
        )  # fmt: skip


@kernel
def do_group(
    kind: int, group: int, steps: int, task: Task, shared: Planes, mine: Planes, problem: Problem,
    constants: Constants, plan: BandPlan,
) -> None:  # fmt: skip
    """One group of a task."""
    groups = groups_of(kind, task)
    if kind == LOAD:
        load_group(group, groups, task, shared, mine, problem, constants, plan)
    elif kind == FINISH:
        finish_group(group, groups, task, shared, mine, problem, constants, plan)
    elif kind in (SPAN, FIT):
        start_group(kind, group, groups, steps, task, shared, mine)
    else:
        ascend_group(kind, group, groups, steps, task, shared, mine, problem, constants.chains)


@kernel
def groups_of(kind: int, task: Task) -> int:
    """Groups of a task."""
    return min(2 * GROUPS, task.H.shape[0]) if kind == FINISH else min(GROUPS, len(task.chosen))


@kernel
def together(
    kind: int, steps: int, team: Team, task: Task, shared: Planes, mine: Planes, problem: Problem,
    constants: Constants, plan: BandPlan,
) -> int:  # fmt: skip
    """All groups of a task, with the help of other threads; returns how many groups hold sums."""
    groups = groups_of(kind, task)
    publish(team, kind, groups, steps)
    while True:
        _, group = claim(team, 0)
        if group < 0:
            break
        do_group(kind, group, steps, task, shared, mine, problem, constants, plan)
        fetch_add(team, DONE, 1)
    wait_for_all(team, groups)
    return groups


@kernel
def help_out(
    me: int, team: Team, task: Task, shared: Planes, mine: Planes, problem: Problem, constants: Constants,
    plan: BandPlan,
) -> None:  # fmt: skip
    """What helping thread `me`, from 1 on, does until the task is `STOP`."""
    set_thread_arrays(mine, task)
    while True:
        number, group = claim(team, me)
        if group < 0:
            wait_for_more(team, number)
            continue
        kind, steps = team[TASK], team[STEPS]
        if kind == STOP:
            return
        do_group(kind, group, steps, task, shared, mine, problem, constants, plan)
        fetch_add(team, DONE, 1)


@kernel
def set_thread_arrays(mine: Planes, task: Task) -> None:
    """The buffer of a thread, ready."""
    for i in range(len(mine)):
        mine[i] = like(mine, 0.0)
    arrays, K, r = thread_arrays(mine, task), task.H.shape[1], task.U.shape[1]
    set_masks(arrays.one.objective.masks, arrays.one.antennas.T.shape[1], K, r)
    set_masks(arrays.objective.masks, 0, K, r)
