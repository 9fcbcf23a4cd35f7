"""A scenario and a start as the compiled layers take them, for both kinds of networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.kernels.layers import Batch, Points, Steps
from beamfold.kernels.linalg import Planes
from beamfold.kernels.planes import to_planes, to_tensor, up
from beamfold.kernels.simd import LANES
from beamfold.kernels.subarrays import Connected
from beamfold.objective import SINGLE, DigitalGradient
from beamfold.scenario import Scenario
from beamfold.sensing import Sensing
from beamfold.start import Point

DROPPED = {np.float32: 1e-3, np.float64: 1e-12}
"""Eigenvalues of Ψ below this fraction of the largest are left out of U."""


def factor(radar: Sensing, taken: int, dtype: Any) -> Tensor:
    """U (N, r): the eigenvalues that count, and as many more as fit into the padding.

    Args:
        radar: Ψ.
        taken: the columns that stand beside U in a padded row: K + M, on sub-arrays K.
        dtype: np.float32 or np.float64.
    """
    return radar.factor(DROPPED[dtype], fill=lambda rank: up(taken + rank, LANES) - taken).U


def one_chain_each(F: Tensor) -> bool:
    """Whether every row of F (…, N, M) has one entry other than 0: then F is N numbers."""
    return bool(((F != 0).sum(-1) == 1).all())


def compiled_for(s: Scenario, F: Tensor) -> bool:
    """Whether the layers are compiled for it: one-antenna users, flat, τ, and all chains or one on each."""
    usual = s.per_user == SINGLE and s.goal is None
    return s.band is None and usual and (s.network.full or one_chain_each(F))


@dataclass(frozen=True)
class Packed:
    """A scenario and a start as planes, N and D padded with zeros, which stay zero in every step."""

    batch: Batch | Connected
    at: Points
    noise: Any
    sizes: tuple[int, int, int]
    chain: NDArray[np.int64] | None = None
    """(B, N), the chain of every antenna, or None on the fully connected network."""

    @property
    def dtype(self) -> Any:
        """The precision, np.float32 or np.float64."""
        return self.at.F.dtype.type

    @property
    def padded(self) -> tuple[int, int, int, int]:
        """N padded, K, M and the columns of U."""
        K, M, _ = self.sizes
        return self.at.F.shape[-1], K, M, self.batch.U.shape[1]

    def steps(self, mu: NDArray[Any], lam: NDArray[Any], eta: float, digital: DigitalGradient) -> Steps:
        """The step sizes and what else Algorithm 1 is given, in this precision."""
        t = self.dtype
        return Steps(mu.astype(t), lam.astype(t), t(eta), self.noise, digital == "exact")

    def points(self, F: Tensor, W: Tensor) -> Points:
        """Planes of F (B, N, M) and W (B, M, K); on sub-arrays of the connected entries of F."""
        N, lanes, M = F.shape[-2], self.at.F.shape[-1], self.at.W.shape[-1]
        columns = to_planes(F.resolve_conj().mT.numpy(), lanes if self.chain is None else N, self.dtype)
        W_planes = to_planes(W.resolve_conj().mT.numpy(), M, self.dtype)
        if self.chain is None or not isinstance(self.batch, Connected):
            return Points(columns, W_planes)
        held = np.zeros((len(F), 2, 1, lanes), self.dtype)
        connected = np.take_along_axis(columns, self.chain[:, None, None], axis=-2)
        np.put_along_axis(held, self.batch.place[:, None, None], connected, axis=-1)
        return Points(held, W_planes)

    def matrices(self, F: Planes, W: Planes) -> tuple[Tensor, Tensor]:
        """F (B, N, M) and W (B, M, K) in complex128: the inverse of `points`."""
        K, M, N = self.sizes
        W_ = to_tensor(W, K, M).mT
        if self.chain is None or not isinstance(self.batch, Connected):
            return to_tensor(F, M, N).mT, W_
        place, chain = (torch.from_numpy(index)[..., None] for index in (self.batch.place, self.chain))
        f = to_tensor(F, 1, F.shape[-1]).mT.gather(-2, place)
        return torch.zeros(len(F), N, M, dtype=f.dtype).scatter(-1, chain, f), W_


def pack(s: Scenario, start: Point, dtype: Any) -> Packed:
    """Everything that the compiled functions take, for a flattened batch."""
    count = math.prod(s.batch)
    K, M, N = s.users, s.chains, s.antennas

    def flat(t: Tensor, *shape: int) -> Tensor:
        return t.detach().resolve_conj().expand((*s.batch, *shape)).reshape((count, *shape))

    F, W = flat(start.F, N, M), flat(start.W, M, K)
    omega, power = (flat(t).numpy().astype(dtype) for t in (s.weight, s.power))
    U = factor(s.radar, K + M if s.network.full else K, dtype).mT.resolve_conj().numpy()
    batch: Batch | Connected
    if s.network.full:
        lanes, columns, chain = up(N, LANES), M, None
        batch = Batch(
            to_planes(flat(s.H, K, N).numpy(), lanes, dtype), to_planes(U, lanes, dtype), omega, power
        )
    else:
        chain = (F != 0).to(torch.int8).argmax(-1).numpy()
        place, blocks = blocks_of(chain, M)
        lanes, columns = up(int(blocks[:, -1].max(initial=0)), LANES), 1
        H = to_planes(flat(s.H, K, N).numpy(), N, dtype)
        batch = Connected(H, to_planes(U, N, dtype), omega, power, place, blocks)
    empty = Points(np.zeros((count, 2, columns, lanes), dtype), np.zeros((count, 2, K, M), dtype))
    packed = Packed(batch, empty, dtype(s.noise), (K, M, N), chain)
    empty.F[:], empty.W[:] = packed.points(F, W)
    return packed


def blocks_of(chain: NDArray[np.int64], chains: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places and blocks of `Connected` for the chain (B, N) of every antenna."""
    on = chain[..., None] == np.arange(chains)
    size = -(-on.sum(1) // 4) * 4
    blocks = np.concatenate([np.zeros((len(chain), 1), np.int64), np.cumsum(size, 1)], 1)
    before = np.take_along_axis(np.cumsum(on, 1), chain[..., None], -1)[..., 0] - 1
    return np.take_along_axis(blocks, chain, 1) + before, blocks
