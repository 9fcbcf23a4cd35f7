"""Algorithm 1 compiled: a batch of channels through all layers, forwards.

A compiled function works through the channels of a batch one after another, on one core, without
allocating inside its loops; threads share a batch by channels. Planes (real, imaginary) lead:
E (2, D, N) holds the basis by columns, W (2, M, K), T (2, D, D), S (2, M, D), S_x, Y, P (2, K, D).
`coordinates` tells what they are.
"""

from __future__ import annotations

import numpy as np

from beamfold.kernels.coordinates import (
    digital_gradient,
    identity,
    inner_gradient,
    real_inner,
    times_gram,
)
from beamfold.kernels.rows import (
    add_product_adjoint,
    clear,
    combine,
    copy,
    gram,
    kernel,
    one,
    small_scale_add,
    unit,
)


@kernel
def basis(E, T, on_U, H, U, root_power, M):
    """E = [·, h_1 … h_K, √P_t U] and the part of T that stays; F is put in by the caller."""
    K, N = H.shape[1], H.shape[2]
    clear(E)
    clear(T)
    clear(on_U)
    for k in range(K):
        for n in range(N):
            E[0, M + k, n] = H[0, k, n]
            E[1, M + k, n] = -H[1, k, n]
    for r in range(U.shape[1]):
        on_U[0, 0, M + K + r] = one(E)
        for n in range(N):
            E[0, M + K + r, n] = root_power * U[0, r, n]
            E[1, M + K + r, n] = root_power * U[1, r, n]
    gram(T, E, M, M + K + U.shape[1])


@kernel
def inner_steps(S, T, W, Sx, Y, C, P, mu, omega, noise, on_U):
    """(23): all J steps of one layer, S from [I; 0; 0] on."""
    identity(S)
    for j in range(len(mu)):
        inner_gradient(P, Sx, Y, C, S, T, W, omega + omega, noise, on_U)
        add_product_adjoint(S, mu[j], P, W)


@kernel
def digital_step(W, g, T, lam, power, small):
    """W ← √P_t (W + λ g) / ‖F (W + λ g)‖, (24) and (12); returns ‖F (W + λ g)‖²."""
    small_scale_add(W, one(W), lam, g)
    times_gram(small, T, W)
    norm2 = real_inner(W, small)
    W *= np.sqrt(power / norm2)
    return norm2


@kernel
def healthy(F, W, size, norm2):
    """All of the new point is finite, and so is what it was divided by."""
    check = norm2
    for m in range(W.shape[1]):
        for n in range(F.shape[2]):
            check += F[0, m, n] + F[1, m, n] + size[0, m, n]
        for k in range(W.shape[2]):
            check += W[0, m, k] + W[1, m, k]
    return np.isfinite(check) and norm2 > 0


@kernel
def forward(H, U, F, W, mu, lam, omega, eta, power, noise, exact, D, alive, done, Fs, Ws, keep, first, last):
    """Run channels first … last − 1 in place.

    H (B, 2, K, N), U (2, r, N), F (B, 2, M, N), W (B, 2, M, K), mu (I, J), lam (I,), omega and power
    (B,), D the padded number of coordinates. Channels that are not `alive` (B,) stay where they are.
    `done` (B,) takes the layers that ended finite; with `keep`, Fs (B, I + 1, 2, M, N) and Ws take every
    point.
    """
    K, M, N = H.shape[2], F.shape[2], F.shape[3]
    t = F.dtype
    E, T, S = np.empty((2, D, N), t), np.empty((2, D, D), t), np.empty((2, M, D), t)
    Sx, Y, P = np.empty((2, K, D), t), np.empty((2, K, D), t), np.empty((2, K, D), t)
    C, on_U = np.empty((2, K, K), t), np.empty((2, 1, D), t)
    g, new, small = np.empty((2, M, K), t), np.empty((2, M, K), t), np.empty((2, M, K), t)
    Fhat, size = np.empty((2, M, N), t), np.empty((1, M, N), t)
    for b in range(first, last):
        Fb, Wb = F[b], W[b]
        basis(E, T, on_U, H[b], U, np.sqrt(power[b]), M)
        copy(E, Fb, M)
        gram(T, E, 0, M)
        done[b] = len(lam) if alive[b] else 0
        if keep:
            Fs[b, 0], Ws[b, 0] = Fb, Wb
        for i in range(done[b]):
            inner_steps(S, T, Wb, Sx, Y, C, P, mu[i], omega[b], noise, on_U)
            combine(Fhat, E, S, D)
            unit(E, size, Fhat, Fb)
            gram(T, E, 0, M)
            kappa = (omega[b] + omega[b]) * eta
            digital_gradient(g, P, Sx, Y, C, T, Wb, kappa, noise, exact, on_U)
            new[:] = Wb
            norm2 = digital_step(new, g, T, lam[i], power[b], small)
            if not healthy(E, new, size, norm2):
                done[b] = i
                break
            copy(Fb, E, M)
            Wb[:] = new
            if keep:
                Fs[b, i + 1], Ws[b, i + 1] = Fb, Wb
        if keep:
            for i in range(done[b] + 1, len(lam) + 1):
                Fs[b, i], Ws[b, i] = Fb, Wb
