"""Algorithm 1 and Eqs. (4), (5), (13)-(18), (26) as the paper prints them: per user, with N × N matrices.

Nothing here is optimised and nothing is shared with the package: it is what the package is tested against.
One channel at a time, NumPy complex128. H (K, N) has the rows h_kᴴ, F (N, M), W (M, K), Psi (N, N) at the
power of the design.
"""

from __future__ import annotations

import numpy as np

LN2 = np.log(2.0)


def h(H, k):
    """h_k, a column: row k of H is its conjugate transpose."""
    return H[k].conj()[:, None]


def rate(H, F, W, noise=1.0):
    """(4)."""
    total = 0.0
    for k in range(len(H)):
        signal = abs((h(H, k).conj().T @ F @ W[:, [k]]).item()) ** 2
        other = sum(abs((h(H, k).conj().T @ F @ W[:, [j]]).item()) ** 2 for j in range(W.shape[1]) if j != k)
        total += np.log1p(signal / (other + noise)) / LN2
    return total


def tau(F, W, Psi):
    """(5)."""
    return np.linalg.norm(F @ W @ W.conj().T @ F.conj().T - Psi, "fro") ** 2


def without(W, k):
    """W_k̄ of Theorem 1: W with its k-th column replaced by zeros."""
    out = W.copy()
    out[:, k] = 0
    return out


def V(W):
    """(15), for V and, with `without`, for V_k̄."""
    return W @ W.conj().T


def H_tilde(H, k):
    """(16), N × N."""
    return h(H, k) @ h(H, k).conj().T


def H_bar(H, F, k):
    """(16), M × M."""
    return F.conj().T @ H_tilde(H, k) @ F


def rate_gradient_F(H, F, W, noise=1.0):
    """(13)."""
    out = np.zeros_like(F)
    for k in range(len(H)):
        Hk, Vk = H_tilde(H, k), V(without(W, k))
        out += Hk @ F @ V(W) / (LN2 * (np.trace(F @ V(W) @ F.conj().T @ Hk).real + noise))
        out -= Hk @ F @ Vk / (LN2 * (np.trace(F @ Vk @ F.conj().T @ Hk).real + noise))
    return out


def rate_gradient_W(H, F, W, noise=1.0):
    """(14)."""
    out = np.zeros_like(W)
    for k in range(len(H)):
        Hk, Wk = H_bar(H, F, k), without(W, k)
        out += Hk @ W / (LN2 * (np.trace(W @ W.conj().T @ Hk).real + noise))
        out -= Hk @ Wk / (LN2 * (np.trace(Wk @ Wk.conj().T @ Hk).real + noise))
    return out


def published_gradient_W(H, F, W, noise=1.0):
    """(14) as the published program has it: the second denominator over all of W too."""
    out = np.zeros_like(W)
    for k in range(len(H)):
        Hk, Wk = H_bar(H, F, k), without(W, k)
        denominator = LN2 * (np.trace(W @ W.conj().T @ Hk).real + noise)
        out += Hk @ W / denominator - Hk @ Wk / denominator
    return out


def tau_gradient_F(F, W, Psi):
    """(17)."""
    return 2 * (F @ W @ W.conj().T @ F.conj().T - Psi) @ F @ W @ W.conj().T


def tau_gradient_W(F, W, Psi):
    """(18)."""
    return 2 * F.conj().T @ (F @ W @ W.conj().T @ F.conj().T - Psi) @ F @ W


def project_modulus(F, previous):
    """(10), an entry that is zero keeping the phase of `previous`."""
    out = previous.copy()
    for n, m in zip(*np.nonzero(F), strict=True):
        out[n, m] = F[n, m] / abs(F[n, m])
    return out


def project_power(F, W, power):
    """(12), with the root that the text below (26) has."""
    return np.sqrt(power) * W / np.linalg.norm(F @ W, "fro")


def start(H, power, extra=None):
    """(26): the phases of G = [h_1 … h_K, extra], W = F^† X_ZF of the users, scaled."""
    G = H.conj().T if extra is None else np.hstack([H.conj().T, extra])
    F = np.exp(1j * np.angle(G))
    return F, project_power(F, np.linalg.pinv(F) @ np.linalg.pinv(H), power)


def algorithm_1(H, F, W, Psi, power, weight, noise, mu, lam, eta, variant):
    """Algorithm 1, (23)-(24) with (10), (12): the points after 0, 1, …, I layers; mu (I, J), lam (I,)."""
    on_W = {"exact": rate_gradient_W, "signal": published_gradient_W}[variant]
    points = [(F, W)]
    for i in range(len(lam)):
        hat = F  # (23a)
        for j in range(mu.shape[1]):  # (23b)
            step = rate_gradient_F(H, hat, W, noise) - weight * tau_gradient_F(hat, W, Psi)
            hat = hat + mu[i, j] * step
        F = project_modulus(hat, F)  # (23c), (10)
        W = W + lam[i] * (on_W(H, F, W, noise) - weight * eta * tau_gradient_W(F, W, Psi))  # (24)
        W = project_power(F, W, power)  # (12)
        points.append((F, W))
    return points
