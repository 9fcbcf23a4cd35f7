r"""Limited-memory BFGS for batches in torch, in the compact form that `kernels.fast_memory` has too.

The last m pairs of a channel, s_i (a step) and y_i (the gradient before it less that after it), are rows of
one matrix. The two loops of L-BFGS need their inner products alone, so that a direction passes twice over the
rows: once for the products with the gradient g, and once for

    d = γ g + Σ_i δ_i s_i − γ Σ_i α_i y_i.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Row by row, (B, n) · (B, n)."""
    return (a * b).sum(-1)


def pick(which: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """For each channel `a` where `which` (B,), else `b`."""
    return torch.where(which.reshape(-1, *[1] * (a.dim() - 1)), a, b)


def _times(A: Tensor, x: Tensor) -> Tensor:
    return (A @ x[..., None])[..., 0]


class Pairs(NamedTuple):
    """The last m pairs of each of B channels, for vectors of n numbers."""

    rows: Tensor
    """(B, 2 m, n), s_1 … s_m, then y_1 … y_m; a new pair is written into it in place."""
    SY: Tensor
    """(B, m, m), s_iᵀ y_j where pair j is newer than pair i, else 0."""
    YY: Tensor
    """(B, m, m), y_iᵀ y_j."""
    r: Tensor
    """(B, m), 1/s_iᵀ y_i; 0 where a pair is not there."""
    gamma: Tensor
    """(B,), γ, the scale of the inverse Hessian before the pairs."""
    made: Tensor
    """(B,), pairs added so far."""

    @classmethod
    def none(cls, like: Tensor, gamma: Tensor, m: int) -> Pairs:
        """An empty memory of m pairs for vectors like (B, n)."""
        B, n = like.shape
        table = like.new_zeros(B, m, m)
        made = torch.zeros(B, dtype=torch.int64, device=like.device)
        return cls(like.new_zeros(B, 2 * m, n), table, table, like.new_zeros(B, m), gamma, made)

    def added(self, s: Tensor, y: Tensor, where: Tensor) -> Pairs:
        """With a pair (B, n) in the place of the oldest, for the channels `where` (B,); changes `rows`."""
        m = self.r.shape[1]
        slot = self.made % m
        place = torch.stack([slot, slot + m], 1)[..., None].expand(-1, -1, s.shape[1])
        self.rows.scatter_(1, place, pick(where, torch.stack([s, y], 1), self.rows.gather(1, place)))
        products, sy = _times(self.rows, y), dot(s, y)
        new = where[:, None] & (slot[:, None] == torch.arange(m, device=slot.device))
        column, row = new[:, None, :], new[:, :, None]
        SY = torch.where(column, products[:, :m, None], self.SY).masked_fill(row, 0.0)
        YY = torch.where(column, products[:, m:, None], self.YY)
        return Pairs(
            rows=self.rows,
            SY=SY,
            YY=torch.where(row, products[:, None, m:], YY),
            r=torch.where(new, (1 / sy)[:, None], self.r),
            gamma=torch.where(where, sy / dot(y, y), self.gamma),
            made=self.made + where,
        )

    def forgotten(self, where: Tensor) -> Pairs:
        """Empty for the channels `where` (B,)."""
        return self._replace(r=self.r.masked_fill(where[:, None], 0.0))

    def times(self, g: Tensor) -> Tensor:
        """The inverse Hessian of −f times its gradient's negative g (B, n): the direction of ascent.

        α_i = r_i (s_iᵀ g − Σ_j α_j s_iᵀ y_j) over the pairs j newer than i, and δ likewise over the older
        ones. Each is repeated m times from zero: after i times it holds for the i newest (oldest) pairs.
        """
        m, (r, gamma) = self.r.shape[1], (self.r, self.gamma[:, None])
        products = _times(self.rows, g)
        on_s, on_y = products[:, :m], products[:, m:]
        alpha = r * on_s
        for _ in range(m - 1):
            alpha = r * (on_s - _times(self.SY, alpha))
        on_y = gamma * (on_y - _times(self.YY, alpha))
        delta = alpha - r * on_y
        for _ in range(m - 1):
            delta = alpha - r * (on_y + _times(self.SY.mT, delta))
        return gamma * g + _times(self.rows.mT, torch.cat([delta, -gamma * alpha], 1))
