"""Linear algebra of batches of small matrices, shared by the methods."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from beamfold.scenario import Scenario


def per_matrix(t: Tensor) -> Tensor:
    """(…) as (…, 1, 1), to multiply matrices."""
    return t[..., None, None]


def solve(A: Tensor, B: Tensor) -> Tensor:
    """A⁻¹ B for Hermitian A ⪰ 0, which rounding may have made singular; NaN where A = 0."""
    rounding = torch.finfo(A.dtype).eps * A.diagonal(dim1=-2, dim2=-1).sum(-1)
    eye = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    return torch.linalg.solve_ex(A + rounding[..., None, None] * eye, B).result


def least_squares(F: Tensor, X: Tensor) -> Tensor:
    """W = F^† X (…, M, K), of least norm where F's columns are dependent to 1e-6.

    Two users that are nearly equal give two such columns; W would be huge and F W rounding.
    """
    return torch.linalg.pinv(F, rtol=1e-6) @ X


def subspace(columns: Tensor, Psi: Tensor, tolerance: float = 1e-8) -> Tensor:
    """An orthonormal basis B (…, N, d) of span{columns (…, N, K), range of Ψ (N, N)}, d ≤ min(N, K + r).

    Eigenvectors of Ψ below `tolerance` of the largest are left out: ∇τ changes by less than that.
    """
    values, vectors = torch.linalg.eigh(Psi)
    U = vectors[:, values.abs() > tolerance * values.abs().max()]
    both = torch.cat([U.expand(*columns.shape[:-2], *U.shape), columns], -1)
    return torch.linalg.qr(both).Q


def flatten(s: Scenario) -> Scenario:
    """The scenario with one leading axis, whatever its batch."""
    power, weight = s.power.expand(s.batch).reshape(-1), s.weight.expand(s.batch).reshape(-1)
    return replace(s, H=s.H.reshape(-1, *s.H.shape[len(s.batch) :]), power=power, weight=weight)
