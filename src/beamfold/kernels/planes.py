"""Complex matrices as the kernels keep them: planes of real and imaginary parts, rows padded with zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.kernels.linalg import Planes, kernel


@kernel
def up(value: int, multiple: int) -> int:
    """The next multiple."""
    return -(-value // multiple) * multiple


def plain(Z: NDArray[Any]) -> NDArray[np.complex128]:
    """Z in complex128, contiguous and aligned; itself where it is."""
    Z = np.ascontiguousarray(Z, np.complex128)
    return Z if Z.flags.aligned else Z.copy()


def to_planes(Z: NDArray[Any], lanes: int, dtype: Any, rows: int | None = None) -> Planes:
    """(…, a, b) complex → (…, 2, rows, lanes), zero-padded; `rows` is a unless given."""
    a, b = Z.shape[-2:]
    out = np.zeros((*Z.shape[:-2], 2, rows or a, lanes), dtype)
    out[..., 0, :a, :b], out[..., 1, :a, :b] = Z.real, Z.imag
    return out


def to_tensor(Z: Planes, rows: int, columns: int) -> Tensor:
    """(…, 2, ≥ rows, ≥ columns) planes → (…, rows, columns) complex128."""
    z = torch.from_numpy(np.ascontiguousarray(Z[..., :rows, :columns])).to(torch.float64)
    return torch.complex(z[..., 0, :, :], z[..., 1, :, :])
