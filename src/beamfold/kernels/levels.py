r"""Phase shifters of few bits: entries of F one at a time, W following.

R − ω τ depends on F through L = H F (K × M), S = Fᴴ F and Q = Fᴴ Ψ F (M × M) alone, and X is scaled to
power P_t: with s² = P_t / tr(Wᴴ S W), A = L W, C = Wᴴ S W and t = tr(Wᴴ Q W)

    f = Σ_k log₂(1 + s² |A_kk|² / (s² Σ_{l≠k} |A_kl|² + σ²)) − ω (s⁴ ‖C‖² − 2 s² P_t t + P_t² ‖Ψ‖²).

Where an entry F_nm changes by δ, column m of L and row and column m of S and Q change: O(M + K). What a level
is worth is f there plus what W gains when it follows, to second order: f + ½ gᵀ B g with the gradient g in W
and B = (−∇²f)⁻¹, which is kept for some antennas at a time. The best level is taken if f rises once W has
followed by real steps along B g.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.linalg import kernel

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]

FLOOR = 1e-3
"""Eigenvalues of −∇²f below this fraction of the largest are raised to it: f does not depend on W's scale."""
RENEW = 8
"""Antennas for which one B serves."""
RISE = 1e-9
"""The least gain, relative to 1 + |f|, for which an entry changes."""
REFITS, FOLLOW, HALVINGS = 30, 3, 8
"""Times that B is renewed while W is fitted to a given F, steps of W along one B, and halvings of a step that
does not rise."""
SETTLED = 1e-7
"""W is fitted where steps along a new B gain less than this, relative to 1 + |f|."""
NEAR = 2
"""Levels on either side that are tried where there are more than 8."""


class Seen(NamedTuple):
    """What R − ω τ sees of F."""

    L: Complex
    """(K, M), H F."""
    S: Complex
    """(M, M), Fᴴ F."""
    Q: Complex
    """(M, M), Fᴴ Ψ F."""


class Terms(NamedTuple):
    """The numbers of f."""

    power: float
    weight: float
    noise: float
    square: float
    """‖Ψ‖²."""


@kernel
def on_received(A: Complex, s2: float, noise: float) -> tuple[float, float]:
    """R ln 2 and its derivative in s² from A (K, K), which becomes ∂(R ln 2)/∂A*."""
    nats, slope = 0.0, 0.0
    K = len(A)
    for k in range(K):
        own = A[k, k].real ** 2 + A[k, k].imag ** 2
        other = (A[k].real ** 2 + A[k].imag ** 2).sum() - own
        rest = s2 * max(other, 0.0) + noise
        total = rest + s2 * own
        nats += np.log1p(s2 * own / rest)
        slope += (own + other) / total - other / rest
        for j in range(K):
            A[k, j] *= s2 / total if j == k else -s2 * s2 * own / (total * rest)
    return nats, slope


@kernel
def product(A: Complex, B: Complex) -> float:
    """Re ⟨A, B⟩."""
    return (A.real * B.real + A.imag * B.imag).sum()


@kernel
def gradient(W: Complex, F: Seen, p: Terms, g: Complex) -> float:
    """f at W (M, K); ∂f/∂W* goes into g (M, K)."""
    Z, QW, A = F.S @ W, F.Q @ W, F.L @ W
    C = W.conj().T @ Z
    size, t, fourth = product(W, Z), product(W, QW), product(C, C)
    s2 = p.power / size
    nats, slope = on_received(A, s2, p.noise)
    ln2 = np.log(2.0)
    on_s2 = slope / ln2 - p.weight * (2 * s2 * fourth - 2 * p.power * t)
    on_tau = 2 * s2 * s2 * (Z @ C) - 2 * s2 * p.power * QW
    g[:] = (F.L.conj().T @ A) / ln2 - p.weight * on_tau - (on_s2 * s2 / size) * Z
    tau = s2 * s2 * fourth - 2 * s2 * p.power * t + p.power * p.power * p.square
    return nats / ln2 - p.weight * tau


@kernel
def as_real(g: Complex) -> Real:
    """The gradient in (Re W, Im W), entry after entry, of ∂f/∂W*."""
    flat = g.reshape(-1)
    out = np.empty(2 * len(flat))
    for i in range(len(flat)):
        out[2 * i], out[2 * i + 1] = 2 * flat[i].real, 2 * flat[i].imag
    return out


@kernel
def metric(W: Complex, F: Seen, p: Terms) -> Real:
    """B = (−∇²f)⁻¹ (2MK, 2MK) by differences of the gradient, its eigenvalues bounded by `FLOOR`."""
    size = W.size
    here, there = np.empty_like(W), np.empty_like(W)
    gradient(W, F, p, here)
    at = as_real(here)
    h = 1e-5 * np.sqrt((W.real**2 + W.imag**2).sum())
    H = np.empty((2 * size, 2 * size))
    V = W.copy()
    K = W.shape[1]
    for i in range(2 * size):
        m, k = i // 2 // K, i // 2 % K
        V[m, k] = W[m, k] + (h if i % 2 == 0 else 1j * h)
        gradient(V, F, p, there)
        H[:, i] = (at - as_real(there)) / h
        V[m, k] = W[m, k]
    e, U = np.linalg.eigh((H + H.T) / 2)
    size_of = np.abs(e)  # where f curves the wrong way, steps of its size rise too
    e = np.maximum(size_of, FLOOR * max(size_of.max(), 1e-300))
    return (U / e) @ U.T


@kernel
def follow(W: Complex, F: Seen, p: Terms, B: Real, steps: int) -> float:
    """W ← W + B g in place, halved until f rises, at most `steps` times; returns f."""
    g, new, V = np.empty_like(W), np.empty_like(W), np.empty_like(W)
    f = gradient(W, F, p, g)
    K = W.shape[1]
    for _ in range(steps):
        d = B @ as_real(g)
        length, risen = 1.0, False
        for _ in range(HALVINGS):
            for i in range(W.size):
                V[i // K, i % K] = W[i // K, i % K] + length * complex(d[2 * i], d[2 * i + 1])
            found = gradient(V, F, p, new)
            if found > f:
                risen = True
                break
            length /= 2
        if not risen:
            break
        W[:], g[:], f = V, new, found
    return f


@kernel
def refit(W: Complex, F: Seen, p: Terms) -> float:
    """W fitted to F in place, B renewed as it goes; returns f."""
    f = follow(W, F, p, metric(W, F, p), FOLLOW)
    for _ in range(REFITS):
        before = f
        f = follow(W, F, p, metric(W, F, p), FOLLOW)
        if f - before < SETTLED * (1 + abs(f)):
            break
    return f


class Entry(NamedTuple):
    """Where an entry of F stands: its row of F and of Ψ F, its column of H, Ψ_nn, and its chain m."""

    F: Complex
    PF: Complex
    h: Complex
    own: float
    m: int


@kernel
def change(seen: Seen, out: Seen, at: Entry, delta: complex) -> None:
    """`seen` with F_nm + δ into `out`."""
    out.L[:], out.S[:], out.Q[:] = seen.L, seen.S, seen.Q
    m, back = at.m, delta.conjugate()
    for k in range(len(at.h)):
        out.L[k, m] += delta * at.h[k]
    for j in range(len(at.F)):
        out.S[j, m] += at.F[j].conjugate() * delta
        out.S[m, j] += back * at.F[j]
        out.Q[j, m] += at.PF[j].conjugate() * delta
        out.Q[m, j] += back * at.PF[j]
    norm = delta.real**2 + delta.imag**2
    out.S[m, m] += norm
    out.Q[m, m] += at.own * norm


class Try(NamedTuple):
    """What a change of an entry is judged by: W, what f depends on of F before and after, and the rest."""

    W: Complex
    seen: Seen
    trial: Seen
    terms: Terms
    B: Real
    levels: Complex


@kernel
def best_level(at: Entry, x: Try, f: float) -> complex:
    """δ to the level that is worth most, 0 where none is worth more than f."""
    count = len(x.levels)
    near = NEAR if count > 8 else count // 2
    now = round(np.angle(at.F[at.m]) * count / (2 * np.pi))
    g = np.empty_like(x.W)
    best: Any = f + RISE * (1 + abs(f))
    taken = 0j
    for step in range(-near, near + 1):
        if step == 0:
            continue
        delta = x.levels[(now + step) % count] - at.F[at.m]
        change(x.seen, x.trial, at, delta)
        worth: Any = gradient(x.W, x.trial, x.terms, g)
        r = as_real(g)
        worth += 0.5 * (r @ (x.B @ r))
        if worth > best:
            best, taken = worth, delta
    return taken


@kernel
def settle(at: Entry, x: Try, f: float) -> tuple[float, complex]:
    """The best level of an entry, W following in place: f and δ, 0 where nothing rose."""
    delta = best_level(at, x, f)
    if delta == 0:
        return f, 0j
    change(x.seen, x.trial, at, delta)
    V = x.W.copy()
    found = follow(V, x.trial, x.terms, x.B, FOLLOW)
    if found <= f + RISE * (1 + abs(f)):
        return f, 0j
    x.W[:] = V
    x.seen.L[:], x.seen.S[:], x.seen.Q[:] = x.trial.L, x.trial.S, x.trial.Q
    return found, delta


@kernel
def improve(F: Complex, W: Complex, H: Complex, Psi: Complex, bits: int, p: Terms, passes: int) -> float:
    """F (N, M) and W (M, K) made better in place; entries of F that are 0 stay 0.

    Args:
        F: every entry 0 or one of the levels e^{j2πi/2^b}.
        W: where W begins.
        H: (K, N), rows h_kᴴ.
        Psi: (N, N) at unit power.
        bits: b.
        p: power, weight, noise and ‖Ψ‖².
        passes: over all entries, fewer where one changes nothing; 0 lets W follow and nothing else.

    Returns:
        f.
    """
    N, M = F.shape
    levels = np.exp(2j * np.pi * np.arange(1 << bits) / (1 << bits))
    PF = Psi @ F
    seen = Seen(H @ F, F.conj().T @ F, F.conj().T @ PF)
    trial = Seen(seen.L.copy(), seen.S.copy(), seen.Q.copy())
    columns = np.ascontiguousarray(H.T)
    f = refit(W, seen, p)
    for _ in range(passes):
        changes = 0
        B = metric(W, seen, p)
        for n in range(N):
            if n % RENEW == 0 and n > 0:
                B = metric(W, seen, p)
            for m in range(M):
                if F[n, m] == 0:
                    continue
                at = Entry(F[n], PF[n], columns[n], Psi[n, n].real, m)
                f, delta = settle(at, Try(W, seen, trial, p, B, levels), f)
                if delta != 0:
                    PF[:, m] += Psi[:, n] * delta
                    F[n, m] = levels[
                        round(np.angle(F[n, m] + delta) * len(levels) / (2 * np.pi)) % len(levels)
                    ]
                    changes += 1
        f = refit(W, seen, p)
        if changes == 0:
            break
    return f
