"""One channel at a time with everything else prepared: the path for a base station's deadline."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from beamfold.kernels.fast_workspace import sizes
from beamfold.kernels.layers import Batch, Points, Steps, forward, layout
from beamfold.kernels.linalg import Planes, kernel
from beamfold.kernels.planes import to_planes, up
from beamfold.kernels.proposed import PIVOTS, start_layout, start_point
from beamfold.kernels.simd import LANES
from beamfold.kernels.workspace import buffer_for
from beamfold.start import CANCELS, zero_forcing

Complex = NDArray[np.complex128]


@kernel
def to_power(F: Complex, W: Complex, power: float) -> None:
    """W (M, K) scaled to ‖F W‖² = P_t."""
    X = F @ W
    W *= np.sqrt(power / np.sum(X.real**2 + X.imag**2))


@kernel
def design_one(
    F: Complex, W: Complex, H: Complex, U: Planes, steps: Steps, omega: Any, power: float, buffer: Planes
) -> int:
    """All layers for one channel, in the precision of U; feasible in complex128.

    Args:
        F: (N, M), the start, replaced by the design.
        W: (M, K) likewise, of any scale.
        H: (K, N).
        U: (2, r, N padded).
        steps: the step sizes.
        omega: ω.
        power: P_t.
        buffer: for the arrays of `layers.layout`.

    Returns:
        The layers that ended finite.
    """
    K, N = H.shape
    M, lanes, t = F.shape[1], U.shape[2], U.dtype
    to_power(F, W, power)
    H_planes, F_planes = np.zeros((1, 2, K, lanes), t), np.zeros((1, 2, M, lanes), t)
    W_planes, numbers = np.empty((1, 2, K, M), t), np.empty((2, 1), t)
    H_planes[0, 0, :, :N], H_planes[0, 1, :, :N] = H.real, H.imag
    F_planes[0, 0, :, :N], F_planes[0, 1, :, :N] = F.T.real, F.T.imag
    W_planes[0, 0], W_planes[0, 1] = W.T.real, W.T.imag
    numbers[0, 0], numbers[1, 0] = omega, power
    batch, at = Batch(H_planes, U, numbers[0], numbers[1]), Points(F_planes, W_planes)
    nothing = Points(np.empty((1, 1, 2, M, lanes), t), np.empty((1, 1, 2, K, M), t))
    done, alive = np.zeros(1, np.int64), np.ones(1, np.bool_)
    forward(batch, at, steps, alive, done, nothing, False, 0, 1, buffer)
    for m in range(M):
        for n in range(N):
            z = complex(np.float64(F_planes[0, 0, m, n]), np.float64(F_planes[0, 1, m, n]))
            F[n, m] = z / abs(z)
        for k in range(K):
            W[m, k] = complex(np.float64(W_planes[0, 0, k, m]), np.float64(W_planes[0, 1, k, m]))
    to_power(F, W, power)
    return done[0]


class Prepared:
    """Algorithm 1 for one deployment: call it with a channel estimate, get {F, W}.

    Ψ's factor, the step sizes and the compiled code are ready before the first channel arrives. The
    result is that of `methods.unfolded` on the kernel engine. One caller at a time: the working space is the
    object's.

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
        antennas, further = extra.shape
        self._sizes = antennas, users, users + further
        self._extra = np.ascontiguousarray(np.exp(1j * np.angle(extra)))
        self._U = to_planes(U.T, up(antennas, LANES), dtype)
        steps = Steps(mu.astype(dtype), lam.astype(dtype), dtype(eta), dtype(noise), exact)
        space = layout(self._U.shape[2], users, users + further, self._U.shape[1])
        self._rest = self._U, steps, dtype(weight), float(power), buffer_for(space, dtype)
        space_of_start = start_layout(sizes(*self._sizes, 0), users)
        self._buffer = buffer_for(space_of_start, np.float64)
        self(np.eye(users, antennas) * np.sqrt(antennas) + 1e-3)  # compiles, or loads what was compiled

    def __call__(self, H: Complex) -> tuple[Complex, Complex, int]:
        """F (N, M), W (M, K) for H (K, N) with rows h_kᴴ, and the layers that ended finite."""
        N, K, M = self._sizes
        H = np.ascontiguousarray(H, np.complex128)
        F, W = np.empty((N, M), np.complex128), np.empty((M, K), np.complex128)
        if not start_point(F, W, H, self._extra, self._buffer) > PIVOTS:
            inverse = torch.linalg.pinv(torch.from_numpy(F), rtol=1 / CANCELS)
            W[:] = (inverse @ zero_forcing(torch.from_numpy(H))).numpy()
        return F, W, design_one(F, W, H, *self._rest)
