r"""Table I: what a step costs, counted in complex multiply-adds of what the code does.

The compiled layers work in coordinates of dimension D = M + K + r, r the rank of Ψ (see
`kernels.coordinates`), so that an inner step does not know N:

    inner:  S_x = S W, Y = T S_x, C = S_xᴴ Y, P = −2ω S_x C + …, S += μ P Wᴴ      D² K + O(D K (M + K))
    outer:  F̂ = E S, the new columns of T = Eᴴ E, ∇_W = (Eᴴ F)ᴴ P, ‖F W‖           2 N D M + …

The dense form, `objective`'s closed-form gradients with Ψ X as an N × N product, is what the paper's
orders speak of:

    ∇_F:  X = F W, A = H X, Hᴴ C, X (Xᴴ X), Ψ X, ∇_X Wᴴ                           N² K + N K (2 M + 4 K)

Hᴴ C and A are K × K per row of H; nothing costs N M² K, because all four gradients are ∇_X times W or F.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from beamfold.experiments.labelled import conclude, variable
from beamfold.experiments.setting import USERS, Setting, Steps, published_pattern
from beamfold.kernels.packed import DROPPED
from beamfold.kernels.simd import LANES

ANTENNAS = (8, 16, 32, 64, 128, 256)


class Cost(NamedTuple):
    """Complex multiply-adds of the parts of Algorithm 1 for one channel."""

    inner: int
    """One update of F (23b)."""
    outer: int
    """The rest of a layer: projection (10), update of W (24), scaling (12)."""
    once: int
    """Before the first layer."""


def _gradient(D: int, K: int) -> int:
    """P from S_x: Y = T S_x, C = S_xᴴ Y, S_x C, and the weights on H's and U's rows."""
    return D * D * K + 2 * D * K * K + D * K + K * K


def kernel_cost(N: int, M: int, K: int, rank: int, lanes: int = 1) -> Cost:
    """The compiled layers; `lanes` pads N and D as the vector registers do, 1 counts the mathematics."""
    D, N = -(-(M + K + rank) // lanes) * lanes, -(-N // lanes) * lanes
    inner = D * M * K + _gradient(D, K) + D * K * M
    outer = N * D * M + N * M + N * D * M + D * M * K + _gradient(D, K) + D * M * K + M * M * K + 2 * M * K
    return Cost(inner, outer, N * (D - M) * D)


def dense_cost(N: int, M: int, K: int) -> Cost:
    """The closed-form gradients with Ψ X as an N × N product, no coordinates."""
    gradient = N * M * K + N * K * K + K * K + N * K * K + 2 * N * K * K + N * N * K + N * K
    inner = gradient + N * K * M + N * M
    outer = N * M + gradient + M * N * K + M * K + N * M * K + M * K
    return Cost(inner, outer, 0)


def table1(setting: Setting) -> xr.Dataset:
    """Multiply-adds per inner and outer step over N, beside the paper's orders, K = M = 4."""
    M = K = USERS
    steps = Steps(setting.tick, len(ANTENNAS))
    rows, ranks = [], []
    for N in ANTENNAS:
        radar = published_pattern(N)
        rank = radar.factor(DROPPED[np.float32]).U.shape[1]
        code, exact = kernel_cost(N, M, K, rank, LANES), kernel_cost(N, M, K, rank)
        dense = dense_cost(N, M, K)
        rows.append([
            [code.inner, code.outer], [exact.inner, exact.outer], [dense.inner, dense.outer],
            [max(N * M * M * K, N * N * K), max(M * M * K * K, N * N * K)],
        ])  # fmt: skip
        ranks.append(rank)
        steps.step(f"N = {N}")
    names = ["kernel", "kernel without padding", "dense gradients", "paper's order"]
    counts = np.array(rows).transpose(1, 2, 0)
    ds = xr.Dataset(
        {
            "count": variable("count", ("form", "step", "antennas"), counts),
            "growth": variable("growth", ("form", "step"), _growth(counts)),
            "rank": variable("rank", ("antennas",), ranks),
        },
        coords={"form": names, "step": ["inner", "outer"], "antennas": list(ANTENNAS)},
    )
    parameters = {"users": K, "chains": M, "lanes": LANES, "paper": "max(N M^2 K, N^2 K) and N^2 K"}
    return conclude(ds, "table1", "Table I: cost of a step, counted", setting, parameters)


def _growth(counts: NDArray[Any]) -> NDArray[Any]:
    slopes = np.polyfit(np.log(ANTENNAS), np.log(counts.reshape(-1, len(ANTENNAS)).T), 1)[0]
    return slopes.reshape(counts.shape[:-1])
