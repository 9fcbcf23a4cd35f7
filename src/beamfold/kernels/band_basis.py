"""The orthonormal basis of F in which the W_s of a band are found, and what a gradient has outside it."""

from __future__ import annotations

from typing import Any

import numpy as np

from beamfold.kernels.band_sums import subtract_multiple, times_inverse_adjoint
from beamfold.kernels.band_workspace import Task, band_of
from beamfold.kernels.cholesky import cholesky
from beamfold.kernels.linalg import Planes, copy, dot, inner, kernel
from beamfold.kernels.simd import like

DEPENDENT = 1e-3
"""The share of a column of F, left by those before it, below which its basis is made orthonormal twice."""


@kernel
def least_pivot(L: Planes, M: int) -> Any:
    """The smallest L_jj², without columns that are zero."""
    least = like(L, np.inf)
    for j in range(M):
        pivot = L[0, j, j] * L[0, j, j]
        if like(L, 0.0) < pivot < least:
            least = pivot
    return least


@kernel
def times_lower(L: Planes, A: Planes, M: int) -> None:
    """L ← L A for lower triangular matrices."""
    for k in range(M):
        for j in range(M - 1, k - 1, -1):
            re, im = like(L, 0.0), like(L, 0.0)
            for i in range(k, j + 1):
                re += L[0, i, j] * A[0, k, i] - L[1, i, j] * A[1, k, i]
                im += L[0, i, j] * A[1, k, i] + L[1, i, j] * A[0, k, i]
            L[0, k, j], L[1, k, j] = re, im


@kernel
def set_basis(task: Task, shared: Planes, rounding: float) -> None:
    """L, the orthonormal basis E = F L^(−H), and T = [0, U]ᴴ E.

    Where a column of F is nearly a combination of the others E is not orthonormal to rounding: once more.
    """
    band, M = band_of(shared, task), task.F.shape[1]
    inner(band.L, band.F, band.L.shape[2], band.F, 0, M)
    cholesky(band.L, M, 0, rounding)
    copy(band.E, band.F, M)
    times_inverse_adjoint(band.E, band.L, M)
    if least_pivot(band.L, M) < like(band.L, DEPENDENT * task.F.shape[0]):
        inner(band.A, band.E, band.A.shape[2], band.E, 0, M)
        cholesky(band.A, M, 0, rounding)
        times_inverse_adjoint(band.E, band.A, M)
        times_lower(band.L, band.A, M)
    inner(band.T, band.U, band.U.shape[1], band.E, 0, M)


@kernel
def take_out_span(G: Planes, E: Planes, M: int) -> None:
    """G ← (I − E Eᴴ) G for orthonormal columns of E."""
    for j in range(M):
        for i in range(M):
            re, im = dot(E, i, G, j)
            subtract_multiple(G, j, E, i, re, im)
