"""What the fast design of a band works with, beside the working space of one subcarrier for each thread.

The letters are those of the package's table (`beamfold.kernels`). A matrix of each of n subcarriers is a
stack of planes (2n, columns, lanes), of which subcarrier i has planes 2i and 2i + 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.fast_workspace import DENSE, PAIRS, Objective, Workspace, sizes
from beamfold.kernels.fast_workspace import layout as layout_of_one
from beamfold.kernels.linalg import Planes, kernel, leaf
from beamfold.kernels.planes import up
from beamfold.kernels.simd import LANES
from beamfold.kernels.workspace import carve, shape

GROUPS = 8
"""Parts in which sums over the subcarriers are made, at most; the same for any number of threads."""
ROWS = 14
"""Rows of numbers about Z of a subcarrier; `band_chains` names them."""
Complex = NDArray[np.complex128]
Whole = NDArray[np.int64]
Real = NDArray[np.float64]


class BandPlan(NamedTuple):
    """How much work the design of a band is, in the order in which it is done."""

    digital: int
    """L-BFGS steps of each subcarrier's digital optimum; below 0 the design starts from a given {F, W}."""
    turns: int
    """Multiplications of the subspace iteration."""
    alternations: int
    """Alternations of F with all W."""
    first: int
    """BFGS steps of each W before F moves."""
    inner: int
    """BFGS steps of each W per step of F."""
    steps: int
    """L-BFGS steps of F's phases."""
    last: int
    """BFGS steps of W at the final F, of the subcarriers that were left out."""


class Task(NamedTuple):
    """A band and its design, as the threads that work on it share it."""

    H: Complex
    """(S, K, N)."""
    U: Planes
    """(2, r, N padded), Ψ ≈ U Uᴴ of all subcarriers, or (2 S, r, N padded), of each."""
    square: Real
    """(1,) or (S,), ‖Ψ‖² at unit power."""
    chosen: Whole
    """(n,), the subcarriers from which F is found."""
    nearest: Whole
    """(S,), for each subcarrier the one of the chosen that is nearest."""
    share: Real
    """(n,), of how many subcarriers each of the chosen is the nearest, divided by S."""
    order: Whole
    """(n, K), see `fast_channel.load_channel`."""
    updates: Whole
    """(n,), how many updates B has had."""
    F: Complex
    """(N, M)."""
    gram: Complex
    """(M, M), Fᴴ F of the result."""
    W: Complex
    """(S, M, K)."""
    f: Real
    """(S,), the objective of each subcarrier at the result."""
    loud: Whole
    """(S,), 1 where a user was louder than `Constants.loudest`."""


class Band(NamedTuple):
    """What the subcarriers share, and what each of the n chosen ones keeps."""

    F: Planes
    """(2, M, N)."""
    E: Planes
    """(2, M, N), the orthonormal basis F L^(−H)."""
    L: Planes
    """(2, M, M), Fᴴ F = L Lᴴ."""
    A: Planes
    """(2, M, M), the Gram matrix of other columns."""
    U: Planes
    """(2, K + r, N), [0, U]: the columns beside F that all subcarriers have in common."""
    T: Planes
    """(2, M, D), [0, U]ᴴ E."""
    own: Planes
    """(2n, own, N), [h_1 … h_K] of each, with its U behind where each has its own Ψ."""
    X: Planes
    """(2n, K, N), the digital optima."""
    rows: Planes
    """(n, 14, 2KM), see `band_chains`."""
    B: Planes
    """(n, 2KM, 2KM), see `fast_workspace.Chains`."""
    f: Planes
    """(1, 1, n), f of each."""
    G: Planes
    """(2 GROUPS, M, N), sums over the subcarriers of a group of what has the form of F."""
    PZ: Planes
    """(2 GROUPS, M, D), sums of P Zᴴ."""


class ThreadArrays(NamedTuple):
    """The working space of one thread."""

    one: Workspace
    """Of the narrowband design, for the digital optimum."""
    objective: Objective
    """Without the coordinates of F."""
    T: Planes
    """(2, M, D), [h_1 … h_K, U]ᴴ E."""
    PZ: Planes
    """(2, M, D), P Zᴴ."""
    part: Planes
    """(2, M, own), products with the own columns."""
    rows: Planes
    """As in `Band`, for a subcarrier that was not chosen."""
    B: Planes


@kernel
def band_layout(N: int, K: int, M: int, r: int, n: int, separate: bool) -> Band:
    """The shapes of a `Band`; `separate` where each subcarrier has its own Ψ."""
    p = sizes(N, K, M, r)
    unknowns, F = 2 * p.K * p.M, shape(2, p.M, p.N)
    square, T = shape(2, p.M, p.M), shape(2, p.M, up(K + r, LANES))
    return Band(
        F=F,
        E=F,
        L=square,
        A=square,
        U=shape(2, up(K + r, 4), p.N),
        T=T,
        own=shape(2 * n, own_columns(K, r, separate), p.N),
        X=shape(2 * n, p.K, p.N),
        rows=shape(n, ROWS, unknowns),
        B=shape(n, rows_of_B(unknowns), unknowns),
        f=shape(1, 1, n),
        G=shape(2 * GROUPS, p.M, p.N),
        PZ=shape(2 * GROUPS, p.M, up(K + r, LANES)),
    )


@kernel
def thread_layout(N: int, K: int, M: int, r: int, separate: bool) -> ThreadArrays:
    """The shapes of a `ThreadArrays`."""
    p = sizes(N, K, M, r)
    unknowns, D = 2 * p.K * p.M, up(K + r, LANES)
    wide, T = shape(2, p.K, D), shape(2, p.M, D)
    return ThreadArrays(
        one=layout_of_one(N, K, M, r),
        objective=Objective(Y=wide, C=shape(2, p.K, p.K), P=wide, PX=shape(2, K, p.K), masks=shape(3, K, D)),
        T=T,
        PZ=T,
        part=shape(2, p.M, own_columns(K, r, separate)),
        rows=shape(1, ROWS, unknowns),
        B=shape(1, rows_of_B(unknowns), unknowns),
    )


@kernel
def rows_of_B(unknowns: int) -> int:
    """Rows of B, or of the pairs that stand for it."""
    return unknowns if unknowns <= DENSE else 2 * PAIRS + 1


@leaf
def band_of(shared: Planes, task: Task) -> Band:
    """The arrays of a band in the buffer that its threads share.

    Carved anew in each kernel: to hand on a buffer takes less time, and less to compile, than forty arrays.
    """
    (_, K, N), M, r = task.H.shape, task.F.shape[1], task.U.shape[1]
    return carve(shared, band_layout(N, K, M, r, len(task.chosen), task.U.shape[0] > 2))


@leaf
def thread_arrays(mine: Planes, task: Task) -> ThreadArrays:
    """The arrays of a thread in its buffer."""
    (_, K, N), M, r = task.H.shape, task.F.shape[1], task.U.shape[1]
    return carve(mine, thread_layout(N, K, M, r, task.U.shape[0] > 2))


@kernel
def own_columns(K: int, r: int, separate: bool) -> int:
    """Columns of V that a subcarrier does not share."""
    return up(K + r if separate else K, 4)


@kernel
def of_one(stack: Any, i: int) -> Any:
    """The planes of subcarrier or group i."""
    return stack[2 * i : 2 * i + 2]
