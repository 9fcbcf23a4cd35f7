r"""A channel in canonical form, on its way into the working space of a fast design, and the design out of it.

X is in units of √P_t, h_k √P_t/σ with its largest entry real, on a grid of 2⁻³⁰ of that entry, the strongest
user first. So scaled channels and noise, turned phases and renumbered users give the same design.

V has h_1 … h_K at the columns `o` on, and L[i, j] of the Cholesky factor is at L[:, j, o + i].
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.cholesky import cholesky
from beamfold.kernels.fast_workspace import Constants, Problem
from beamfold.kernels.linalg import Planes, inner, kernel
from beamfold.kernels.simd import like

Complex = NDArray[np.complex128]
Order = NDArray[np.int64]
GRID = 30
"""Bits of a channel's largest entry that count: beyond what any estimate holds, far above rounding."""


@kernel
def canonical(v: Planes, h: Any, gain: float, loudest: float) -> float:
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
def swap(V: Planes, a: int, b: int) -> None:
    """Columns a and b of V in each other's place."""
    for z in range(2):
        for n in range(V.shape[2]):
            V[z, a, n], V[z, b, n] = V[z, b, n], V[z, a, n]


@kernel
def dependent(L: Planes, K: int, o: int) -> bool:
    """Whether one of the first K columns of L is zero."""
    nothing = 0
    for k in range(K):
        if L[0, k, o + k] == like(L, 0.0):
            nothing += 1
    return nothing > 0


@kernel
def exchange(G: Planes, a: int, b: int, K: int, o: int) -> None:
    """Rows and columns a and b of the Gram matrix of K users in each other's place."""
    for z in range(2):
        for i in range(K):
            G[z, a, o + i], G[z, b, o + i] = G[z, b, o + i], G[z, a, o + i]
        for i in range(K):
            G[z, i, o + a], G[z, i, o + b] = G[z, i, o + b], G[z, i, o + a]


@kernel
def strongest(G: Planes, first: int, K: int, o: int) -> int:
    """The user from `first` on with the largest diagonal entry of G."""
    most = first
    for i in range(first + 1, K):
        if G[0, i, o + i] > G[0, most, o + most]:
            most = i
    return most


@kernel
def independent_first(V: Planes, G: Planes, order: Order, K: int, o: int, least: float) -> None:
    """Users in the order of a Cholesky factorisation with pivots.

    Each user adds the most to what those before it span. G[:, j, o + i] = h_iᴴ h_j is overwritten.
    """
    top = like(G, 0.0)
    for j in range(K):
        most = strongest(G, j, K, o)
        top = max(top, G[0, most, o + most])
        if not G[0, most, o + most] > like(G, least) * top:
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
def load_channel(
    V: Planes, L: Planes, order: Order, H: Complex, U: Planes, gain: float, constants: Constants, o: int
) -> tuple[bool, bool]:
    """V = [0, h_1 … h_K, U] in canonical form and L = the Cholesky factor of its Gram matrix.

    Coordinate o + k belongs to user order[k].

    Returns:
        Whether users depend on others, and whether one was louder than `constants.loudest`.
    """
    K, r, least = H.shape[0], U.shape[1], constants.rounding
    strength = np.empty(K)
    for k in range(K):
        order[k] = k
        strength[k] = canonical(V[:, o + k], H[k], gain, constants.loudest)
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
    return deficient, constants.loudest < strength[0] < np.inf


@kernel
def load_point(
    V: Planes, W_planes: Planes, free: Planes, F: Complex, W: Complex, order: Order, problem: Problem
) -> None:
    """F as the first columns of V, and W for users in `order` and in units of √P_t; where F is 0 it stays."""
    unit = 1 / np.sqrt(problem.power)
    for m in range(F.shape[1]):
        for n in range(F.shape[0]):
            V[0, m, n], V[1, m, n] = F[n, m].real, F[n, m].imag
            if F[n, m] == 0:
                free[0, m, n] = like(free, 0.0)
        for k in range(W.shape[1]):
            w = unit * W[m, order[k]]
            W_planes[0, k, m], W_planes[1, k, m] = w.real, w.imag


@kernel
def store_point(
    F: Complex, W: Complex, V: Planes, W_planes: Planes, free: Planes, order: Order, problem: Problem
) -> None:
    """F (N, M) on the unit circle where it is free, and W (M, K) with ‖F W‖² = P_t, in complex128."""
    N, M = F.shape
    K = W.shape[1]
    for m in range(M):
        for n in range(N):
            if free[0, m, n] > 0:
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
    scale = np.sqrt(problem.power / total)
    for m in range(M):
        for k in range(K):
            W[m, k] *= scale
