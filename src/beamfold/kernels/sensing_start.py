r"""A start for designs that sensing decides: the best hybrid X_0 = F_0 W_0 for τ, turned to the users.

Where ω τ outweighs R, at a high P_t or for weak channels, the digital optimum is a poor start: its
factorisation has a large τ, and F's phases leave that only slowly. X_0 does not depend on the channel, so it
is found once for a deployment. Of all X_0 Q with unitary Q, which have the same τ, a design begins at one
near to the users,

    Q = A with orthonormal rows,   A_jk = x_jᴴ h_k / ‖h_k‖.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from beamfold.kernels.fast_start import orthonormal_row
from beamfold.kernels.linalg import Planes, copy, erase, inner, kernel
from beamfold.kernels.simd import like


class SensingStart(NamedTuple):
    """{F_0, W_0} of a deployment, the columns of X_0 orthogonal and the strongest first."""

    F: Planes
    """(2, M, N padded); (2, 0, 0) where a design has no such start."""
    W: Planes
    """(2, K, M padded)."""


@kernel
def put_sensing_start(V: Planes, T: Planes, W: Planes, A: Planes, sense: SensingStart, M: int) -> None:
    """F_0 as the first columns of V, T = Vᴴ F_0, and W = W_0 Q for the users whose h_k V holds.

    A (2, ≥ K, ≥ K) is working space.
    """
    K, o = W.shape[1], T.shape[1]
    copy(V, sense.F, M)
    inner(T, V, V.shape[1], V, 0, M)
    erase(A)
    for k in range(K):
        size = like(V, 1e-30)
        for n in range(V.shape[2]):
            size += V[0, o + k, n] * V[0, o + k, n] + V[1, o + k, n] * V[1, o + k, n]
        unit = like(V, 1.0) / np.sqrt(size)
        for j in range(K):
            re, im = like(V, 0.0), like(V, 0.0)
            for m in range(M):
                a, b = T[0, m, o + k], T[1, m, o + k]
                re += a * sense.W[0, j, m] - b * sense.W[1, j, m]
                im += a * sense.W[1, j, m] + b * sense.W[0, j, m]
            A[0, j, k], A[1, j, k] = re * unit, -im * unit
    for j in range(K):
        orthonormal_row(A, j, K)
    turn(W, sense.W, A, M)


@kernel
def turn(W: Planes, W_0: Planes, Q: Planes, M: int) -> None:
    """W = W_0 Q."""
    erase(W)
    K: Any = W.shape[1]
    for k in range(K):
        for j in range(K):
            a, b = Q[0, j, k], Q[1, j, k]
            for m in range(M):
                W[0, k, m] += W_0[0, j, m] * a - W_0[1, j, m] * b
                W[1, k, m] += W_0[0, j, m] * b + W_0[1, j, m] * a
