"""Arrays as users hold them as tensors: NumPy in any order of bytes, torch with a gradient, DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def as_tensor(values: Any) -> Tensor:
    """A tensor of the numbers of a NumPy array, a tensor, nested lists, or an object of another library.

    A tensor that needs a gradient is taken without it; one with `__dlpack__` shares its memory.
    """
    if isinstance(values, Tensor):
        return values.detach().resolve_conj().resolve_neg()
    if hasattr(values, "__dlpack__") and not isinstance(values, (np.ndarray, np.generic)):
        return torch.utils.dlpack.from_dlpack(values)
    array = np.ascontiguousarray(values)
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))


def as_complex(values: Any) -> Tensor:
    """complex128 from any of NumPy's numbers, whatever their order of bytes; what overflows becomes Inf."""
    if isinstance(values, Tensor) or not isinstance(values, (np.ndarray, np.generic)):
        return as_tensor(values).to(torch.complex128)
    with np.errstate(all="ignore"):
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.complex128))
