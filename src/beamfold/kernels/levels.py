r"""One pass over the entries of a quantised F: each takes the level that raises R − ω τ most, W fixed.

Changing F_nm by δ adds δ w_mᵀ to row n of X = F W, with w_m row m of W. A = H X, C = Xᴴ X and t = tr(Xᴴ Ψ X)
follow by products with the K numbers v = δ w_m:

    A ← A + h_n vᵀ,   C ← C + x_n* vᵀ + v* (x_n + v)ᵀ,   t ← t + 2 Re vᴴ (Ψ X)_n + Ψ_nn ‖v‖²,

and f is that of X scaled to the power P_t. ΨX is kept, and renewed where a change is taken: O(N K) each.
"""

from __future__ import annotations

import numpy as np
from numba import njit

CHANGE = 1e-12
"""Relative gain of f below which a change is not taken: rounding."""


@njit(nogil=True)
def _value(A, C, t, power, weight, noise, square):
    """f = R − ω τ of X scaled to power P_t, from A = H X, C = Xᴴ X, t = tr(Xᴴ Ψ X); square = ‖Ψ‖²."""
    K = len(C)
    size, fourth = 0.0, 0.0
    for i in range(K):
        size += C[i, i].real
        for j in range(K):
            fourth += C[i, j].real ** 2 + C[i, j].imag ** 2
    scale = power / size
    rate = 0.0
    for k in range(K):
        other = 0.0
        for j in range(K):
            if j != k:
                other += A[k, j].real ** 2 + A[k, j].imag ** 2
        own = A[k, k].real ** 2 + A[k, k].imag ** 2
        rate += np.log1p(scale * own / (scale * other + noise))
    tau = scale * scale * fourth - 2 * scale * power * t + power * power * square
    return rate / np.log(2.0) - weight * tau


@njit(nogil=True)
def improve(F, W, H, Psi, levels, power, weight, noise, passes):
    """F (N, M) changed in place, entries of 0 left alone; returns f and the number of changes.

    Args:
        F: (N, M) complex, every entry 0 or one of the levels.
        W: (M, K).
        H: (K, N).
        Psi: (N, N) at unit power.
        levels: (L,) complex.
        power: P_t.
        weight: ω.
        noise: σ_n².
        passes: over all entries; fewer where one changes nothing.
    """
    N, M = F.shape
    K = W.shape[1]
    X = F @ W
    A = H @ X
    C = X.conj().T @ X
    PX = Psi @ X
    t = 0.0
    square = 0.0
    for n in range(N):
        for k in range(K):
            t += (X[n, k].conjugate() * PX[n, k]).real
        for i in range(N):
            square += Psi[n, i].real ** 2 + Psi[n, i].imag ** 2
    v = np.empty(K, np.complex128)
    newA, newC = np.empty_like(A), np.empty_like(C)
    f = _value(A, C, t, power, weight, noise, square)
    changes = 0
    for _ in range(passes):
        before = changes
        for n in range(N):
            for m in range(M):
                if F[n, m] == 0:
                    continue
                best, best_t, taken = f + CHANGE * (1 + abs(f)), t, -1
                for which in range(len(levels)):
                    delta = levels[which] - F[n, m]
                    if delta.real * delta.real + delta.imag * delta.imag < 1e-20:
                        continue
                    along, norm = 0.0, 0.0
                    for k in range(K):
                        v[k] = delta * W[m, k]
                        along += (v[k].conjugate() * PX[n, k]).real
                        norm += v[k].real ** 2 + v[k].imag ** 2
                    new_t = t + 2 * along + Psi[n, n].real * norm
                    for i in range(K):
                        for j in range(K):
                            newA[i, j] = A[i, j] + H[i, n] * v[j]
                            newC[i, j] = (
                                C[i, j] + X[n, i].conjugate() * v[j] + v[i].conjugate() * (X[n, j] + v[j])
                            )
                    found = _value(newA, newC, new_t, power, weight, noise, square)
                    if found > best:
                        best, best_t, taken = found, new_t, which
                if taken >= 0:
                    delta = levels[taken] - F[n, m]
                    for k in range(K):
                        v[k] = delta * W[m, k]
                    for i in range(K):
                        for j in range(K):
                            A[i, j] += H[i, n] * v[j]
                            C[i, j] += X[n, i].conjugate() * v[j] + v[i].conjugate() * (X[n, j] + v[j])
                    for k in range(K):
                        X[n, k] += v[k]
                        for i in range(N):
                            PX[i, k] += Psi[i, n] * v[k]
                    F[n, m] = levels[taken]
                    f, t = best, best_t
                    changes += 1
        if changes == before:
            break
    return f, changes
