"""What the fast design of a band works with, beside the working space of one subcarrier for each thread.

The letters are those of the package's table (`beamfold.kernels`). A matrix of each of n subcarriers is a
stack of planes (2n, columns, lanes), of which subcarrier i has planes 2i and 2i + 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.fast_workspace import Workspace, sizes
from beamfold.kernels.fast_workspace import layout as layout_of_one
from beamfold.kernels.linalg import Planes, kernel
from beamfold.kernels.planes import up
from beamfold.kernels.workspace import shape

GROUPS = 8
"""Parts in which sums over the subcarriers are made, at most; the same for any number of threads."""
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
    """BFGS steps of W of all subcarriers at the final F."""


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

    V: Planes
    """(2, columns, N), [F, 0, U]: the columns of V that all subcarriers have in common."""
    T: Planes
    """(2, M, D), Vᴴ F of those."""
    own: Planes
    """(2n, own, N), [h_1 … h_K] of each, with its U behind where each has its own Ψ."""
    X: Planes
    """(2n, K, N), the digital optima."""
    rows: Planes
    """(n, 9, 2KM), see `Chains`."""
    B: Planes
    """(n, 2KM, 2KM), see `Chains`."""
    A: Planes
    """(2, M, M), Fᴴ F + ε N I of the common least squares, factorised."""
    f: Planes
    """(1, 1, n), f of each."""
    G: Planes
    """(2 GROUPS, M, N), sums over the subcarriers of a group of what has the form of F."""
    PW: Planes
    """(2 GROUPS, M, D), sums of P Wᴴ."""


class Desk(NamedTuple):
    """The working space of one thread."""

    one: Workspace
    part: Planes
    """(2, M, own), [h_1 … h_K]ᴴ F, or what else is as large."""


@kernel
def band_layout(N: int, K: int, M: int, r: int, n: int, separate: bool) -> Band:
    """The shapes of a `Band`; `separate` where each subcarrier has its own Ψ."""
    p = sizes(N, K, M, r)
    return Band(
        V=shape(2, p.columns, p.N),
        T=shape(2, p.M, p.D),
        own=shape(2 * n, own_columns(K, r, separate), p.N),
        X=shape(2 * n, p.K, p.N),
        rows=shape(n, 9, p.W),
        B=shape(n, p.B, p.W),
        A=shape(2, p.M, p.M),
        f=shape(1, 1, n),
        G=shape(2 * GROUPS, p.M, p.N),
        PW=shape(2 * GROUPS, p.M, p.D),
    )


@kernel
def desk_layout(N: int, K: int, M: int, r: int, separate: bool) -> Desk:
    """The shapes of a `Desk`."""
    p = sizes(N, K, M, r)
    return Desk(layout_of_one(N, K, M, r), shape(2, p.M, own_columns(K, r, separate)))


@kernel
def own_columns(K: int, r: int, separate: bool) -> int:
    """Columns of V that a subcarrier does not share."""
    return up(K + r if separate else K, 4)


@kernel
def of_one(stack: Any, i: int) -> Any:
    """The planes of subcarrier or group i."""
    return stack[2 * i : 2 * i + 2]
