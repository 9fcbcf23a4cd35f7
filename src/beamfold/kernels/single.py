"""One channel at a time with everything else prepared: the path for a base station's deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from beamfold.kernels import layers, subarrays
from beamfold.kernels.fast_workspace import sizes
from beamfold.kernels.layers import Batch, Points, Steps
from beamfold.kernels.linalg import Planes, kernel
from beamfold.kernels.packed import blocks_of
from beamfold.kernels.planes import to_planes, up
from beamfold.kernels.proposed import PIVOTS, start_layout, start_point
from beamfold.kernels.simd import LANES
from beamfold.kernels.subarrays import Connected
from beamfold.kernels.workspace import buffer_for
from beamfold.networks import Network
from beamfold.start import CANCELS, zero_forcing

Complex = NDArray[np.complex128]


class Blocks(NamedTuple):
    """Where the antennas of a network with one chain on each stand."""

    chain: NDArray[np.int64]
    """(N,), the chain of antenna n."""
    place: NDArray[np.int64]
    """(1, N), see `subarrays.Connected`."""
    ends: NDArray[np.int64]
    """(1, M + 1), likewise its `blocks`."""


@kernel
def to_power(F: Complex, W: Complex, power: float) -> None:
    """W (M, K) scaled to ‖F W‖² = P_t."""
    X = F @ W
    W *= np.sqrt(power / np.sum(X.real**2 + X.imag**2))


@kernel
def on_circle(re: Any, im: Any) -> complex:
    """The number of modulus 1 and the same phase, in float64."""
    z = complex(np.float64(re), np.float64(im))
    return z / abs(z)


@kernel
def load_H(planes: Planes, H: Complex) -> None:
    """The planes (2, K, lanes) of H (K, N)."""
    N = H.shape[1]
    planes[0, :, :N], planes[1, :, :N] = H.real, H.imag


@kernel
def store_W(W: Complex, planes: Planes) -> None:
    """W (M, K) from its planes (2, K, M)."""
    for m in range(W.shape[0]):
        for k in range(W.shape[1]):
            W[m, k] = complex(np.float64(planes[0, k, m]), np.float64(planes[1, k, m]))


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
    load_H(H_planes[0], H)
    F_planes[0, 0, :, :N], F_planes[0, 1, :, :N] = F.T.real, F.T.imag
    W_planes[0, 0], W_planes[0, 1] = W.T.real, W.T.imag
    numbers[0, 0], numbers[1, 0] = omega, power
    batch, at = Batch(H_planes, U, numbers[0], numbers[1]), Points(F_planes, W_planes)
    nothing = Points(np.empty((1, 1, 2, M, lanes), t), np.empty((1, 1, 2, K, M), t))
    done, alive = np.zeros(1, np.int64), np.ones(1, np.bool_)
    layers.forward(batch, at, steps, alive, done, nothing, False, 0, 1, buffer)
    for m in range(M):
        for n in range(N):
            F[n, m] = on_circle(F_planes[0, 0, m, n], F_planes[0, 1, m, n])
    store_W(W, W_planes[0])
    to_power(F, W, power)
    return done[0]


@kernel
def design_connected(
    F: Complex, W: Complex, H: Complex, U: Planes, steps: Steps, omega: Any, power: float, blocks: Blocks,
    buffer: Planes,
) -> int:  # fmt: skip
    """`design_one` on a network with one chain on each antenna: U is (2, r, N), F is 0 off the network."""
    K, N = H.shape
    M, t, (chain, place, ends) = F.shape[1], U.dtype, blocks
    lanes = up(ends[0, M], LANES)
    to_power(F, W, power)
    H_planes, f = np.zeros((1, 2, K, N), t), np.zeros((1, 2, 1, lanes), t)
    W_planes, numbers = np.empty((1, 2, K, M), t), np.empty((2, 1), t)
    load_H(H_planes[0], H)
    for n in range(N):
        f[0, 0, 0, place[0, n]], f[0, 1, 0, place[0, n]] = F[n, chain[n]].real, F[n, chain[n]].imag
    W_planes[0, 0], W_planes[0, 1] = W.T.real, W.T.imag
    numbers[0, 0], numbers[1, 0] = omega, power
    batch, at = Connected(H_planes, U, numbers[0], numbers[1], place, ends), Points(f, W_planes)
    nothing = Points(np.empty((1, 1, 2, 1, lanes), t), np.empty((1, 1, 2, K, M), t))
    done, alive = np.zeros(1, np.int64), np.ones(1, np.bool_)
    subarrays.forward(batch, at, steps, alive, done, nothing, False, 0, 1, buffer)
    for n in range(N):
        F[n, chain[n]] = on_circle(f[0, 0, 0, place[0, n]], f[0, 1, 0, place[0, n]])
    store_W(W, W_planes[0])
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
        network: every chain, or one, on each antenna; continuous phases, fixed connections.
        eta: η.
        exact: ∇_W R of (14) rather than its signal part.
        power: P_t, linear.
        weight: ω.
        noise: σ_n².
        users: K.
        dtype: np.float32 or np.float64.
    """

    def __init__(
        self, U: Complex, extra: Complex, mu: NDArray[Any], lam: NDArray[Any], *, network: Network, eta:
        float, exact: bool, power: float, weight: float, noise: float, users: int, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        N, K, M = self._sizes = network.antennas, users, network.chains
        self._extra = np.ascontiguousarray(np.exp(1j * np.angle(extra)))
        self._mask = np.ascontiguousarray(network.mask.numpy(), np.float64)
        steps = Steps(mu.astype(dtype), lam.astype(dtype), dtype(eta), dtype(noise), exact)
        held = to_planes(U.T, up(N, LANES) if network.full else N, dtype), steps, dtype(weight), float(power)
        self._run: Callable[..., int]
        self._rest: tuple[Any, ...]
        if network.full:
            space = buffer_for(layers.layout(up(N, LANES), K, M, U.shape[1]), dtype)
            self._run, self._rest = design_one, (*held, space)
        else:
            chain = network.mask.to(torch.int8).argmax(-1).numpy()
            place, ends = blocks_of(chain[None], M)
            space = buffer_for(subarrays.layout(up(int(ends[0, -1]), LANES), K, M, U.shape[1]), dtype)
            self._run, self._rest = design_connected, (*held, Blocks(chain, place, ends), space)
        space_of_start = start_layout(sizes(*self._sizes, 0), users)
        self._buffer = buffer_for(space_of_start, np.float64)
        self(np.eye(K, N) * np.sqrt(N) + 1e-3)  # compiles, or loads what was compiled

    def __call__(self, H: Complex) -> tuple[Complex, Complex, int]:
        """F (N, M), W (M, K) for H (K, N) with rows h_kᴴ, and the layers that ended finite."""
        N, K, M = self._sizes
        H = np.ascontiguousarray(H, np.complex128)
        F, W = np.empty((N, M), np.complex128), np.empty((M, K), np.complex128)
        if not start_point(F, W, H, self._extra, self._mask, self._buffer) > PIVOTS:
            inverse = torch.linalg.pinv(torch.from_numpy(F), rtol=1 / CANCELS)
            W[:] = (inverse @ zero_forcing(torch.from_numpy(H))).numpy()
        return F, W, self._run(F, W, H, *self._rest)
