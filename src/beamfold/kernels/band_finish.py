"""W of every subcarrier for the F that has been found, and what it reaches."""

from __future__ import annotations

import numpy as np

from beamfold.kernels.band_chains import ascend_basis, planes_of
from beamfold.kernels.band_workspace import (
    BandPlan,
    Complex,
    Real,
    Task,
    Whole,
    band_of,
    of_one,
    thread_arrays,
)
from beamfold.kernels.cholesky import solve_adjoint
from beamfold.kernels.fast_chains import POINT
from beamfold.kernels.fast_channel import canonical
from beamfold.kernels.fast_workspace import Chains, Constants, Problem
from beamfold.kernels.linalg import Planes, inner, kernel


@kernel
def own_radar(task: Task, s: int) -> Planes:
    """U of subcarrier s."""
    return of_one(task.U, s if task.U.shape[0] > 2 else 0)


@kernel
def numbers_of(square: Real, s: int, problem: Problem) -> Problem:
    """The numbers of (8) for subcarrier s."""
    own = square[s if len(square) > 1 else 0]
    return Problem(problem.power, problem.gain, problem.omega, own, problem.sensed)


@kernel
def put_columns(out: Planes, first: int, A: Planes, start: int, count: int) -> None:
    """Columns `first` on of out = columns `start` on of A."""
    for z in range(2):
        for k in range(count):
            for n in range(A.shape[2]):
                out[z, first + k, n] = A[z, start + k, n]


@kernel
def finish(
    s: int, task: Task, shared: Planes, mine: Planes, problem: Problem, constants: Constants, plan: BandPlan
) -> None:
    """W of subcarrier s for F, from the Z and B of the chosen one that is nearest; its f."""
    band, arrays = band_of(shared, task), thread_arrays(mine, task)
    V, T, rows, B, i = arrays.one.antennas.V, arrays.T, arrays.rows, arrays.B, task.nearest[s]
    H, U, order = task.H[s], own_radar(task, s), task.order[i]
    K, M, most = H.shape[0], task.F.shape[1], 0.0
    for k in range(K):
        most = max(most, canonical(V[:, k], H[order[k]], problem.gain, constants.loudest))
    task.loud[s] = 1 if constants.loudest < most < np.inf else 0
    put_columns(V, K, U, 0, U.shape[1])
    inner(T, V, (K + U.shape[1] + 3) // 4 * 4, band.E, 0, M)
    copy_stack(rows, band.rows, i)
    copy_stack(B, band.B, i)
    numbers = numbers_of(task.square, s, problem)
    chains = Chains(rows, B)
    found = task.chosen[i] == s and len(task.chosen) > 1
    steps = plan.inner if found else plan.last  # one subcarrier's W is as far as that of those equal to it
    f, _ = ascend_basis(chains, T, arrays.objective, numbers, constants.chains, steps, task.updates[i])
    task.f[s] = f
    Z = planes_of(rows, POINT, T.shape[1])
    solve_adjoint(band.L, M, 0, Z, K)
    store_W(task.W[s], Z, task.gram, order, problem.power)


@kernel
def copy_stack(out: Planes, stack: Planes, i: int) -> None:
    """out = the i-th of the stack."""
    for j in range(out.shape[1]):
        for d in range(out.shape[2]):
            out[0, j, d] = stack[i, j, d]


@kernel
def store_W(W: Complex, planes: Planes, gram: Complex, order: Whole, power: float) -> None:
    """W (M, K) with ‖F W‖² = P_t, for users in `order`, gram = Fᴴ F."""
    M, K = W.shape
    total = 0.0
    for k in range(K):
        user = order[k]
        for m in range(M):
            W[m, user] = complex(np.float64(planes[0, k, m]), np.float64(planes[1, k, m]))
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
def finish_group(
    group: int, groups: int, task: Task, shared: Planes, mine: Planes, problem: Problem, constants: Constants,
    plan: BandPlan,
) -> None:  # fmt: skip
    """A group of `FINISH`."""
    S = task.H.shape[0]
    for s in range(group * S // groups, (group + 1) * S // groups):
        finish(s, task, shared, mine, problem, constants, plan)
