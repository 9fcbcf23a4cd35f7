"""One channel at a time with everything else prepared: the path for a base station's deadline."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.layers import Batch, Points, Steps, forward, layout
from beamfold.kernels.linalg import Planes, kernel
from beamfold.kernels.planes import to_planes, up
from beamfold.kernels.simd import LANES
from beamfold.kernels.workspace import buffer_for
from beamfold.start import CANCELS, DEPENDENT

Complex = NDArray[np.complex128]


@kernel
def proposed_start(H: Complex, extra: Complex, power: float) -> tuple[Complex, Complex]:
    """(26) for one channel: F = e^{j∠G}, G = [h_1 … h_K, extra], W ∝ F^† H^†, ‖F W‖² = P_t.

    H (K, N) complex128, extra (N, M − K); returns F (N, M), W (M, K).
    """
    G = np.concatenate((np.ascontiguousarray(H.conj().T), extra), axis=1)
    F = np.exp(1j * np.angle(G))
    X = np.ascontiguousarray(np.linalg.pinv(H, DEPENDENT))
    if not X.any():
        X = np.eye(H.shape[1], H.shape[0]).astype(H.dtype)
    W = np.ascontiguousarray(np.linalg.pinv(F, 1 / CANCELS)) @ X
    X = F @ W
    return F, W * np.sqrt(power / np.sum(X.real**2 + X.imag**2))


@kernel
def design_one(
    H: Complex, extra: Complex, U: Planes, steps: Steps, omega: Any, power: float, buffer: Planes
) -> tuple[Complex, Complex, int]:
    """Start (26) and all layers for one channel, in the precision of U; feasible in complex128.

    H (K, N) complex128, U (2, r, N padded) planes; returns F (N, M), W (M, K) and the layers done.
    """
    K, N = H.shape
    F, W = proposed_start(H, extra, power)
    M, padded, t = F.shape[1], U.shape[2], U.dtype
    Hp = np.zeros((1, 2, K, padded), t)
    Fp = np.zeros((1, 2, M, padded), t)
    Wp = np.empty((1, 2, M, K), t)
    Hp[0, 0, :, :N], Hp[0, 1, :, :N] = H.real, H.imag
    Fp[0, 0, :, :N], Fp[0, 1, :, :N] = F.T.real, F.T.imag
    Wp[0, 0], Wp[0, 1] = W.real, W.imag
    one = np.empty(1, t)
    one[0] = power
    weight = np.empty(1, t)
    weight[0] = omega
    done, alive = np.zeros(1, np.int64), np.ones(1, np.bool_)
    none = np.empty((1, 1, 2, M, padded), t)
    small = np.empty((1, 1, 2, M, K), t)
    batch = Batch(Hp, U, weight, one)
    forward(batch, Points(Fp, Wp), steps, alive, done, Points(none, small), False, 0, 1, buffer)
    for m in range(M):
        for n in range(N):
            z = complex(np.float64(Fp[0, 0, m, n]), np.float64(Fp[0, 1, m, n]))
            F[n, m] = z / abs(z)
    for m in range(M):
        for k in range(K):
            W[m, k] = complex(np.float64(Wp[0, 0, m, k]), np.float64(Wp[0, 1, m, k]))
    X = F @ W
    return F, W * np.sqrt(power / np.sum(X.real**2 + X.imag**2)), done[0]


class Prepared:
    """Algorithm 1 for one deployment: call it with a channel estimate, get {F, W}.

    Ψ's factor, the step sizes and the compiled code are ready before the first channel arrives. The
    result is that of `methods.unfolded` on the kernel engine.

    Args:
        U: (N, r) complex, Ψ ≈ U Uᴴ at unit power.
        extra: (N, M − K) complex, the columns that (26) adds to the channels.
        mu: (I, J).
        lam: (I,).
        eta: η.
        exact: ∇_W R of (14) rather than its signal part.
        power: P_t, linear.
        weight: ω.
        noise: σ_n².
        users: K.
        dtype: np.float32 or np.float64.
    """

    def __init__(
        self, U: Complex, extra: Complex, mu: NDArray[Any], lam: NDArray[Any], *, eta: float, exact: bool,
        power: float, weight: float, noise: float, users: int, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        antennas = len(U)
        self._extra = np.ascontiguousarray(extra)
        self._U = to_planes(U.T, up(antennas, LANES), dtype)
        self._steps = Steps(mu.astype(dtype), lam.astype(dtype), dtype(eta), dtype(noise), exact)
        sizes = self._U.shape[2], users, users + extra.shape[1], self._U.shape[1]
        self._rest = dtype(weight), float(power), buffer_for(layout(*sizes), dtype)
        self(np.eye(users, antennas) * np.sqrt(antennas) + 1e-3)  # compiles, or loads what was compiled

    def __call__(self, H: Complex) -> tuple[Complex, Complex, int]:
        """F (N, M), W (M, K) for H (K, N) with rows h_kᴴ, and the layers that ended finite."""
        return design_one(
            np.ascontiguousarray(H, np.complex128), self._extra, self._U, self._steps, *self._rest
        )
