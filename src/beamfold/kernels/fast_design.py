r"""One hybrid design: digital optimum, factorisation, then the phases of F with W following.

The antennas are touched by two passes per step of F alone, with V = [F, h_1 … h_K, U] (N × D):

    T = Vᴴ F                        all that f needs of F,
    df/dF* = V (P Wᴴ)               from the P of `fast_objective`.

Variable projection: at each trial F a few BFGS steps bring W near its best, so that df/dF there is the
gradient of max_W f. A trial that does not raise f (Armijo) goes back to F and W before it: f never falls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.cholesky import solve_adjoint
from beamfold.kernels.fast_chains import KEPT_POINT, POINT, SAVED, ascend_chains, planes
from beamfold.kernels.fast_channel import Complex, load_channel, load_point, store_point
from beamfold.kernels.fast_memory import DIRECTION, NEW, OLD, first_direction, next_direction, shorter
from beamfold.kernels.fast_objective import set_masks
from beamfold.kernels.fast_start import ascend_digital, digital_start, factorise
from beamfold.kernels.fast_workspace import (
    Antennas,
    Chains,
    Constants,
    Memory,
    Objective,
    Problem,
    Workspace,
    layout,
    rows_of,
)
from beamfold.kernels.linalg import (
    Planes,
    combine,
    copy,
    inner,
    inner_sparse,
    kernel,
    number,
    one,
    row_copy,
    times_adjoint,
)
from beamfold.kernels.phases import phase_gradient, rotate
from beamfold.kernels.sensing_start import SensingStart, put_sensing_start
from beamfold.kernels.simd import like
from beamfold.kernels.workspace import carve

if TYPE_CHECKING:
    from beamfold.kernels.fast_setting import Plan

Real = NDArray[np.float64]
SENSING_TRIAL = 15
"""Steps of F after which it is decided whether a design goes on from the sensing start."""
PATIENCE = 3
"""How many times the digital steps where users depend on others: who is served is decided there."""


@kernel
def by_phases(
    gradients: Planes, row: int, antennas: Antennas, chains: Chains, objective: Objective, problem: Problem,
    reach: float, steps: int, updates: int,
) -> tuple[Any, int]:  # fmt: skip
    """f at F with W brought near its best for it by `steps` BFGS steps, and df/d∠F in a row of gradients.

    Returns f and how many updates B has had, see `ascend_chains`.
    """
    V, T, PW = antennas.V, antennas.T, antennas.PW
    moving = antennas.free.shape[1]
    if gradients.shape[2] > V.shape[2]:
        inner(T, V, V.shape[1], V, 0, moving)
    else:
        inner_sparse(T, V, V.shape[1], V, moving)
    f, updates = ascend_chains(chains, T, objective, problem, reach, steps, updates)
    times_adjoint(PW, objective.P, planes(chains.rows, POINT, objective.PX.shape[1], T.shape[1]), T.shape[1])
    phase_gradient(gradients, row, V, PW, antennas.free)
    return f, updates


@kernel
def ascend_phases(
    w: Workspace, memory: Memory, problem: Problem, constants: Constants, plan: Plan, steps: int, reach: Any,
    updates: int,
) -> tuple[Any, int]:  # fmt: skip
    """Up to `steps` L-BFGS steps on ∠F, the first of length `reach`; f never falls.

    Returns f, and the trials made until gᵀd is at most the tolerance.
    """
    antennas, objective, _, _, chains = w
    V, base, rows = antennas.V, antennas.base, memory.rows
    old, new, first = number(OLD), number(NEW), constants.chains
    tolerance = like(V, constants.tolerance)
    f, updates = by_phases(rows, old, antennas, chains, objective, problem, first, plan.inner, updates)
    search = first_direction(memory, old, reach)
    t, done, fresh = one(V), 0, True
    copy(base, V, base.shape[1])
    row_copy(chains.rows, SAVED, POINT)
    while done < steps and search.along > tolerance:
        done += 1
        rotate(V, base, rows, DIRECTION, t)
        after, updates = by_phases(
            rows, new, antennas, chains, objective, problem, first, plan.inner, updates
        )
        fresh = after >= f + like(V, 1e-4) * t * search.along
        if fresh:
            f = after
            search = next_direction(memory, search, t, old, new)
            copy(base, V, base.shape[1])
            row_copy(chains.rows, SAVED, POINT)
            old, new, t = new, old, one(V)
        else:
            t = shorter(rows, t, search.along, after - f)
            row_copy(chains.rows, POINT, SAVED)
    if not fresh:
        copy(V, base, base.shape[1])
    return f, done


@kernel
def one_chain_each(V: Planes, M: int) -> bool:
    """Whether F, the first M columns of V, has at most one entry that is not 0 for each antenna."""
    for n in range(V.shape[2]):
        count = 0
        for m in range(M):
            if V[0, m, n] != like(V, 0.0) or V[1, m, n] != like(V, 0.0):
                count += 1
        if count > 1:
            return False
    return True


@kernel
def entries(free: Planes) -> int:
    """How many entries of F may change."""
    count = 0
    for m in range(free.shape[1]):
        for n in range(free.shape[2]):
            if free[0, m, n] > like(free, 0.0):
                count += 1
    return count


@kernel
def digital_optimum(
    w: Workspace, memory: Memory, problem: Problem, constants: Constants, steps: int, r: int
) -> None:
    """X, the digital optimum, by `steps` L-BFGS steps."""
    V, X, T, digital, objective = w.antennas.V, w.antennas.X, w.antennas.T, w.digital, w.objective
    K, o = objective.PX.shape[1], T.shape[1]
    digital_start(memory, digital, objective, problem, constants, o, r)
    ascend_digital(steps, memory, digital, objective, problem, constants.digital)
    Z, on_V = digital.Z, digital.on_V
    solve_adjoint(digital.L, K + r, o, Z, K)
    for z in range(2):
        for k in range(K):
            for i in range(K + r):
                on_V[z, k, o + i] = Z[z, k, i]
    combine(X, V, on_V, V.shape[1])


@kernel
def ascend_point(
    w: Workspace, memory: Memory, problem: Problem, constants: Constants, plan: Plan, steps: int, M: int
) -> tuple[Any, int]:
    """W for the F that V holds, then up to `steps` steps of ∠F; f, and the steps made."""
    V, T, free = w.antennas.V, w.antennas.T, w.antennas.free
    inner(T, V, V.shape[1], V, 0, M)
    f, updates = ascend_chains(w.chains, T, w.objective, problem, constants.chains, plan.first, number(0))
    if steps <= 0:
        return f, 0
    columns = 1 if one_chain_each(V, M) else free.shape[1]
    reach = like(V, constants.phases) * np.sqrt(like(V, entries(free)))
    on_F = rows_of(memory, columns * V.shape[2])
    return ascend_phases(w, on_F, problem, constants, plan, steps, reach, updates)


@kernel
def sensing_too(
    w: Workspace, sense: SensingStart, problem: Problem, constants: Constants, plan: Plan, M: int
) -> int:
    """Go on from the sensing start where that is better; the steps of F that were made to find out.

    That is asked only where it begins above the start that V and W hold: as many as `SENSING_TRIAL` steps
    from either then decide.
    """
    V, T, kept, rows, updates = w.antennas.V, w.antennas.T, w.antennas.kept, w.chains.rows, number(0)
    W = planes(rows, POINT, w.objective.PX.shape[1], T.shape[1])
    inner(T, V, V.shape[1], V, 0, M)
    here, _ = ascend_chains(w.chains, T, w.objective, problem, constants.chains, 0, updates)
    copy(kept, V, kept.shape[1])
    row_copy(rows, KEPT_POINT, POINT)
    put_sensing_start(V, T, W, w.digital.A, sense, M)
    there, _ = ascend_chains(w.chains, T, w.objective, problem, constants.chains, 0, updates)
    trial = 0
    if there > here:
        trial = min(plan.steps // 4, SENSING_TRIAL)
        copy(V, kept, kept.shape[1])
        row_copy(rows, POINT, KEPT_POINT)
        here, _ = ascend_point(w, w.memory, problem, constants, plan, trial, M)
        copy(kept, V, kept.shape[1])
        row_copy(rows, KEPT_POINT, POINT)
        put_sensing_start(V, T, W, w.digital.A, sense, M)
        there, _ = ascend_point(w, w.memory, problem, constants, plan, trial, M)
    if not there > here:
        copy(V, kept, kept.shape[1])
        row_copy(rows, POINT, KEPT_POINT)
    return trial


@kernel
def best_start(
    w: Workspace, mixing: Planes, allowed: Planes, dynamic: bool, problem: Problem, constants: Constants,
    plan: Plan, M: int,
) -> None:  # fmt: skip
    """F and W of the best of `plan.starts` factorisations of X, after `plan.trial` steps from each.

    From the second on they take `plan.further` alternations, and `plan.alternations` where the connections
    are to be chosen.
    """
    V, X, A, free, kept = w.antennas.V, w.antennas.X, w.digital.A, w.antennas.free, w.antennas.kept
    K, rows = w.objective.PX.shape[1], w.chains.rows
    W = planes(rows, POINT, K, w.antennas.T.shape[1])
    best, chosen = like(V, -np.inf), 0
    for i in range(plan.starts):
        first = mixing[i * 2 : i * 2 + 2]
        turns = plan.alternations if i == 0 or dynamic else plan.further
        factorise(V, W, X, A, first, free, allowed, dynamic, turns, constants.ridge, M)
        if plan.starts == 1:
            return
        f, _ = ascend_point(w, w.memory, problem, constants, plan, plan.trial, M)
        if f > best:
            best, chosen = f, i
            copy(kept, V, kept.shape[1])
            row_copy(rows, KEPT_POINT, POINT)
    if chosen < plan.starts - 1:
        copy(V, kept, kept.shape[1])
        row_copy(rows, POINT, KEPT_POINT)
    for m in range(M):
        for n in range(V.shape[2]):
            there = V[0, m, n] != like(V, 0.0) or V[1, m, n] != like(V, 0.0)
            free[0, m, n] = one(V) if there else like(V, 0.0)


class Shared(NamedTuple):
    """What all channels of a batch have in common."""

    U: Planes
    """(2, r, N padded) in the kernel's precision, Ψ ≈ U Uᴴ, or the columns of another goal than τ."""
    mixing: Planes
    """(2 · starts, K, M padded), see `fast.mixing`."""
    dynamic: bool
    """Each antenna is connected to one chain of those that are allowed, chosen for the channel."""
    constants: Constants
    """First steps and thresholds."""
    plan: Plan
    """How much work."""
    problem: Problem
    """The numbers of (8) but for `numbers` of each channel."""
    sense: SensingStart
    """Another start, for channels that sensing decides."""


@kernel
def design(
    F: Complex, W: Complex, H: Complex, free: Planes, shared: Shared, problem: Problem, buffer: Planes
) -> tuple[Any, int, bool]:
    """{F, W} for one channel, see `designs`; f, the steps of F made, and whether a user was too loud."""
    U, mixing, dynamic, constants, plan, _, sense = shared
    K, N = H.shape
    M, r = F.shape[1], U.shape[1]
    for i in range(len(buffer)):
        buffer[i] = like(buffer, 0.0)
    w = carve(buffer, layout(N, K, M, r))
    V, T, there = w.antennas.V, w.antennas.T, w.antennas.free
    o = T.shape[1]
    W_planes, order = planes(w.chains.rows, POINT, K, o), np.empty(K, np.int64)
    set_masks(w.objective.masks, o, K, r)
    deficient, loud = load_channel(V, w.digital.L, order, H, U, problem.gain, constants, o)
    for m in range(there.shape[1]):
        for n in range(there.shape[2]):
            there[0, m, n] = free[0, m, n]
    trial = 0
    if plan.digital < 0:
        load_point(V, W_planes, there, F, W, order, problem)
    else:
        on_Z = rows_of(w.memory, 2 * w.digital.Z.shape[1] * w.digital.Z.shape[2])
        steps = (PATIENCE if deficient else 1) * plan.digital
        digital_optimum(w, on_Z, problem, constants, steps, r)
        best_start(w, mixing, free, dynamic, problem, constants, plan, M)
        if sense.F.shape[1] > 0:
            trial = sensing_too(w, sense, problem, constants, plan, M)
        for n in range(N):
            for m in range(M):
                F[n, m] = 0
    f, done = ascend_point(w, w.memory, problem, constants, plan, plan.steps - trial, M)
    store_point(F, W, V, W_planes, there, order, problem)
    return f, trial + done, loud


@kernel
def designs(
    F: Complex,
    W: Complex,
    H: Complex,
    free: Planes,
    numbers: Real,
    shared: Shared,
    buffer: Planes,
    found: Real,
) -> None:
    """{F, W} for a batch of channels, one after another.

    With `plan.digital` below 0 the start is the {F, W} that the arrays hold. Where users depend on others,
    `PATIENCE` times the digital steps are made.

    Args:
        F: (B, N, M), filled.
        W: (B, M, K), filled.
        H: (B, K, N).
        free: (1, M padded, N padded), 1 where an antenna is connected to a chain and the phase may change.
            With a start of the arrays also where F is 0 it stays; where it is not 0 but `free` is, it is
            frozen.
        numbers: (B, 3), power, gain and omega of `Problem`.
        shared: what the channels have in common.
        buffer: as many numbers as the arrays of `fast_workspace.layout` have.
        found: (B, 3), filled with f in the kernel's precision, the steps of F made, and 1 where a user was
            louder than `Constants.loudest`; f is then that of a weaker one.
    """
    square, sensed = shared.problem.square, shared.problem.sensed
    for b in range(len(H)):
        problem = Problem(numbers[b, 0], numbers[b, 1], numbers[b, 2], square, sensed)
        f, done, loud = design(F[b], W[b], H[b], free, shared, problem, buffer)
        found[b, 0], found[b, 1], found[b, 2] = f, done, loud
