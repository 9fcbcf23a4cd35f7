"""The adjoint of Algorithm 1 compiled: from cotangents of the points to those of the step sizes.

The formulas of `coordinates` backwards. A cotangent Z̄ is meant as dL = Re tr(Z̄ᴴ dZ), which is what
PyTorch's `.grad` holds. Points (F_(i), W_(i)) are given for every layer; the inner coordinates S_j of one
layer at a time are computed again, so that what is stored does not grow with J.

F enters through E: where T_F = Eᴴ F is used, its cotangent T̄_F gives F̄ = E R with
R = T̄_F + [T̄_topᴴ; 0], and everything that depends on F in a layer is gathered in one R (D, M).
"""

from __future__ import annotations

import numpy as np

from beamfold.kernels.coordinates import (
    digital_gradient,
    gradient_adjoint,
    identity,
    inner_gradient,
    real_inner,
    times_gram,
    top,
)
from beamfold.kernels.layers import basis
from beamfold.kernels.rows import (
    add_inner,
    add_product_adjoint,
    clear,
    combine,
    copy,
    dot,
    gram,
    kernel,
    one,
    product,
    scale,
    scale_add,
    small_scale_add,
    unit,
    unit_adjoint,
)
from beamfold.kernels.simd import like


@kernel
def columns_adjoint(R, P, B):
    """R += T̄_F + [T̄_topᴴ; 0] for T̄_F = P Bᴴ."""
    add_product_adjoint(R, one(R), P, B)
    for m in range(B.shape[1]):
        for a in range(B.shape[1]):
            for k in range(B.shape[2]):
                R[0, m, a] += P[0, k, m] * B[0, a, k] + P[1, k, m] * B[1, a, k]
                R[1, m, a] += P[0, k, m] * B[1, a, k] - P[1, k, m] * B[0, a, k]


@kernel
def power_adjoint(Wbar, R, T, stepped, product_, power):
    """Adjoint of W = √P_t W' / ‖F W'‖ (12): Wbar becomes W̄', and R gains what F gets through the norm."""
    times_gram(product_, T, stepped)
    norm2 = real_inner(stepped, product_)
    root = np.sqrt(power / norm2)
    twice = -real_inner(Wbar, stepped) * root / norm2  # 2 ∂L/∂‖F W'‖²
    small_scale_add(Wbar, root, twice, product_)
    for a in range(stepped.shape[1]):  # Q̄ for Q = Fᴴ F is Hermitian: both sides of T_F give the same
        for m in range(stepped.shape[1]):
            for k in range(stepped.shape[2]):
                ar, ai = stepped[0, a, k], stepped[1, a, k]
                mr, mi = stepped[0, m, k], stepped[1, m, k]
                R[0, m, a] += twice * (ar * mr + ai * mi)
                R[1, m, a] += twice * (ai * mr - ar * mi)


@kernel
def digital_adjoint(Wbar, R, W, T, lam, kappa, power, noise, exact, on_U, wide, square, narrow):
    """Adjoint of (24) and (12): Wbar for the new W becomes the old one's, R gains F's; returns λ̄."""
    P, Pb, Sx, Sxb, Y, Yb = wide[0], wide[1], wide[2], wide[3], wide[4], wide[5]
    C, Cb = square[0], square[1]
    g, gb, stepped, small = narrow[0], narrow[1], narrow[2], narrow[3]
    digital_gradient(g, P, Sx, Y, C, T, W, kappa, noise, exact, on_U)
    stepped[:] = W
    small_scale_add(stepped, one(W), lam, g)
    power_adjoint(Wbar, R, T, stepped, small, power)
    lam_bar = real_inner(Wbar, g)
    gb[:] = like(W, 0.0)  # 0 · gb would keep a NaN of uninitialised memory
    small_scale_add(gb, one(W), lam, Wbar)
    # g = T_Fᴴ P
    product(Pb, T, gb)
    columns_adjoint(R, P, gb)
    gradient_adjoint(Sxb, Yb, Cb, Pb, Sx, Y, C, kappa, noise, exact, on_U, W.shape[1])
    # Y = T_F W and S_x = [W; 0; 0]
    columns_adjoint(R, Yb, W)
    add_inner(Wbar, one(W), T, Yb)
    top(small, Sxb)
    small_scale_add(Wbar, one(W), one(W), small)
    return lam_bar


@kernel
def inner_adjoint(Sbar, Wbar, R, S, T, W, mu, kappa, noise, on_U, wide, square, narrow):
    """Adjoint of one step of (23b): Sbar for the new S becomes the old one's; returns μ̄."""
    P, Pb, Sx, Sxb, Y, Yb, TY = wide[0], wide[1], wide[2], wide[3], wide[4], wide[5], wide[6]
    C, Cb, small = square[0], square[1], narrow[0]
    inner_gradient(P, Sx, Y, C, S, T, W, kappa, noise, on_U)
    # S ← S + μ P Wᴴ
    product(Pb, Sbar, W)
    mu_bar = like(W, 0.0)
    for k in range(W.shape[2]):
        re, _ = dot(Pb, k, P, k)
        mu_bar += re
    add_inner(Wbar, mu, Sbar, P)
    scale(Pb, mu)
    gradient_adjoint(Sxb, Yb, Cb, Pb, Sx, Y, C, kappa, noise, True, on_U, W.shape[1])
    # Y = T S_x, T̄ = Ȳ S_xᴴ, whose columns for F count from both sides
    combine(TY, T, Yb, T.shape[1])
    scale_add(Sxb, one(W), one(W), TY)
    top(small, Sx)
    add_product_adjoint(R, one(W), Yb, small)
    top(small, Yb)
    add_product_adjoint(R, one(W), Sx, small)
    # S_x = S W
    add_product_adjoint(Sbar, one(W), Sxb, W)
    add_inner(Wbar, one(W), S, Sxb)
    return mu_bar


@kernel
def backward(
    H, U, Fs, Ws, Fbars, Wbars, done, mu, lam, omega, eta, power, noise, exact, D, mu_bar, lam_bar, first,
    last,
):  # fmt: skip
    """Cotangents Fbars (B, I + 1, 2, M, N), Wbars of all points → mu_bar (B, I, J), lam_bar (B, I).

    Channel b is swept from layer done[b] on. Fbars[:, 0] and Wbars[:, 0] leave as the starting point's.
    """
    K, M, N, J, t = H.shape[2], Fs.shape[3], Fs.shape[4], mu.shape[1], Fs.dtype
    E, T, on_U = np.empty((2, D, N), t), np.empty((2, D, D), t), np.empty((2, 1, D), t)
    Ss, Sbar, R = np.empty((J + 1, 2, M, D), t), np.empty((2, M, D), t), np.empty((2, M, D), t)
    wide, square, narrow = np.empty((7, 2, K, D), t), np.empty((2, 2, K, K), t), np.empty((4, 2, M, K), t)
    Fhat, size, Fbar = np.empty((2, M, N), t), np.empty((1, M, N), t), np.empty((2, M, N), t)
    direct, block = np.empty((2, M, N), t), np.empty((2, M, M), t)
    P, Sx, Y, C = wide[0], wide[2], wide[4], square[0]
    for b in range(first, last):
        basis(E, T, on_U, H[b], U, np.sqrt(power[b]), M)
        copy(E, Fs[b, done[b]], M)
        gram(T, E, 0, M)
        Wbar = Wbars[b, done[b]].copy()
        clear(R)
        copy(direct, Fbars[b, done[b]], M)
        kappa = omega[b] + omega[b]
        for i in range(done[b] - 1, -1, -1):
            # Here E, T, Wbar belong to point i + 1, whose F̄ is direct + E R.
            lam_bar[b, i] = digital_adjoint(
                Wbar, R, Ws[b, i], T, lam[i], kappa * eta, power[b], noise, exact, on_U, wide, square, narrow
            )
            combine(Fbar, E, R, D)
            scale_add(Fbar, one(E), one(E), direct)
            # Back to point i: its basis, and the inner coordinates once more.
            W = Ws[b, i]
            copy(E, Fs[b, i], M)
            gram(T, E, 0, M)
            identity(Ss[0])
            for j in range(J):
                inner_gradient(P, Sx, Y, C, Ss[j], T, W, kappa, noise, on_U)
                copy(Ss[j + 1], Ss[j], M)
                add_product_adjoint(Ss[j + 1], mu[i, j], P, W)
            combine(Fhat, E, Ss[J], D)
            unit(direct, size, Fhat, Fs[b, i])
            unit_adjoint(Fhat, Fbar, Fs[b, i + 1], size)  # Fhat holds its own cotangent from here on
            # F̂ = E S: S̄ = Eᴴ F̂̄, and F̄ += F̂̄ S_topᴴ for the columns of E that are F.
            for m in range(M):
                for d in range(D):
                    Sbar[0, m, d], Sbar[1, m, d] = dot(E, d, Fhat, m)
            copy(direct, Fbars[b, i], M)
            top(block, Ss[J])
            add_product_adjoint(direct, one(E), Fhat, block)
            clear(R)
            for j in range(J - 1, -1, -1):
                mu_bar[b, i, j] = inner_adjoint(
                    Sbar, Wbar, R, Ss[j], T, W, mu[i, j], kappa, noise, on_U, wide, square, narrow
                )
            small_scale_add(Wbar, one(E), one(E), Wbars[b, i])
        combine(Fbar, E, R, D)
        scale_add(Fbar, one(E), one(E), direct)
        Fbars[b, 0], Wbars[b, 0] = Fbar, Wbar
