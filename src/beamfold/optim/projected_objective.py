r"""R − ω τ of X = F W with the power normalised inside, and its ascent in W, for batches in torch.

The readable form of `kernels.fast_objective` and `kernels.fast_chains`, with their letters: X in units of
√P_t, h_k in units of σ/√P_t, ω in units of 1/P_t², V = [h_1 … h_K, U] (N × D), Ψ ≈ U Uᴴ,
Y = Vᴴ X and C = Xᴴ X,

    f = Σ_k log₂(total_k / other_k) − ω (s⁴ ‖C‖² − 2 s² ‖Y_U‖² + ‖Ψ‖²),  s² = 1 / tr C,
    df/dX* = V P + X P_X.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from beamfold.kernels.fast_workspace import DENSE, PAIRS
from beamfold.optim.lbfgs import as_real
from beamfold.optim.limited_memory import Pairs, dot, pick
from beamfold.optim.matrices import per_matrix

LOG2E = 1.4426950408889634
TINY = 1e-30
"""Added to a square by which is divided."""


class Numbers(NamedTuple):
    """The numbers of (8) of a batch of B channels, see `kernels.fast_workspace.Problem`."""

    omega: Tensor
    """(B,), ω P_t²."""
    square: float
    """‖Ψ‖² at unit power."""


class Value(NamedTuple):
    """f (B,) at a point, P (B, D, K) and P_X (B, K, K)."""

    f: Tensor
    P: Tensor
    PX: Tensor


def value(Y: Tensor, C: Tensor, numbers: Numbers) -> Value:
    """f from Y = Vᴴ X (B, D, K), of which the first K rows are the users', and C = Xᴴ X (B, K, K)."""
    K = C.shape[-1]
    on_U = Y[:, K:]
    power = Y[:, :K].abs().square()
    own = power.diagonal(dim1=-2, dim2=-1)
    eye = torch.eye(K, dtype=power.dtype, device=power.device)
    other = (power * (1 - eye)).sum(-1)
    trace, square = C.diagonal(dim1=-2, dim2=-1).real.sum(-1), C.abs().square().sum((-2, -1))
    s2 = 1 / trace
    scale, q = s2[:, None], 2 * numbers.omega * s2
    rest = 1 + scale * other
    ratio = scale * own / rest
    a = scale * LOG2E / (rest + scale * own)
    c = -a * ratio
    radar = on_U.abs().square().sum((-2, -1))
    mu = ((a * own + c * other).sum(-1) + q * (radar - s2 * square)) / trace
    weights = eye * a[..., None] + (1 - eye) * c[..., None]
    P = torch.cat([weights * Y[:, :K], per_matrix(q) * on_U], 1)
    PX = -per_matrix(q * s2) * C - per_matrix(mu) * eye
    tau = s2 * (s2 * square - 2 * radar) + numbers.square
    return Value(torch.log2(1 + ratio).sum(-1) - numbers.omega * tau, P, PX)


def as_complex(x: Tensor, like: Tensor) -> Tensor:
    """What `as_real` made of a matrix of the shape of `like`."""
    return torch.view_as_complex(x.reshape(*like.shape, 2))


class Inverse(NamedTuple):
    """−(∇²f)⁻¹ for the 2KM real unknowns of W: a dense matrix, or its last pairs where that is large."""

    B: Tensor | Pairs
    updates: Tensor
    """(B,), how many it has had."""


def no_curvature(W: Tensor) -> Inverse:
    """For W (B, M, K), before any step."""
    w = as_real(W)
    updates = torch.zeros(len(w), dtype=torch.int64, device=w.device)
    if 2 * W.shape[-1] * (-(-W.shape[-2] // 4) * 4) <= DENSE:  # the kernel counts M in whole registers
        return Inverse(w.new_zeros(*w.shape, w.shape[-1]), updates)
    return Inverse(Pairs.none(w, w.new_ones(len(w)), PAIRS), updates)


def _product(inverse: Inverse, g: Tensor, first: Tensor) -> Tensor:
    B, updates = inverse
    step = B.times(g) if isinstance(B, Pairs) else (B @ g[..., None])[..., 0]
    return pick(updates == 0, first[:, None] * g, step)


def _updated(inverse: Inverse, s: Tensor, y: Tensor) -> Inverse:
    """By a step s and the change y = g − g⁺, where they show curvature."""
    B, updates = inverse
    sy, yy = dot(s, y), dot(y, y)
    where = sy > 1e-3 * (dot(s, s) * yy).sqrt()
    if isinstance(B, Pairs):
        return Inverse(B.added(s, y, where), updates + where)
    first = where & (updates == 0)
    gamma = (sy / yy).masked_fill(~first, 0.0)  # before the first update the matrix is 0
    r = (1 / sy).masked_fill(~where, 0.0)[:, None]
    s, y = s.masked_fill(~where[:, None], 0.0), y.masked_fill(~where[:, None], 0.0)
    By = (B @ y[..., None])[..., 0] + gamma[:, None] * y
    q = (1 + dot(y, By)[:, None] * r) * r
    left, right = torch.stack([s, By], -1), torch.stack([q * s - r * By, -r * s], 1)
    after = torch.baddbmm(B, left, right)  # B + q s sᵀ − r (s Byᵀ + By sᵀ) in one pass
    after.diagonal(dim1=1, dim2=2).add_(gamma[:, None])
    return Inverse(after, updates + where)


def by_chains(T: Tensor, FF: Tensor, W: Tensor, numbers: Numbers) -> tuple[Value, Tensor]:
    """f at X = F W from T = Vᴴ F (B, D, M) and Fᴴ F alone; and df/dW* as real rows (B, 2MK)."""
    on_F = FF @ W
    found = value(T @ W, W.mH @ on_F, numbers)
    return found, as_real(T.mH @ found.P + on_F @ found.PX)


def ascend_chains(
    T: Tensor, FF: Tensor, W: Tensor, inverse: Inverse, numbers: Numbers, reach: float, steps: int
) -> tuple[Tensor, Value, Inverse]:
    """`steps` BFGS steps on W (B, M, K) for a fixed F; f never falls.

    Returns:
        W, f with P and P_X there, and what was learnt of the inverse Hessian. `reach` is the first step in
        units of ‖W‖.
    """
    here, g = by_chains(T, FF, W, numbers)
    refused = torch.zeros_like(here.f, dtype=torch.bool)
    for _ in range(steps):
        w = as_real(W)
        s = _product(inverse, g, reach * (dot(w, w) / (dot(g, g) + TINY)).sqrt())
        s = torch.where(refused[:, None], 0.3 * s, s)
        trial = as_complex(w + s, W)
        there, after = by_chains(T, FF, trial, numbers)
        inverse = _updated(inverse, s, g - after)
        kept = there.f >= here.f
        refused = ~kept
        W, g = pick(kept, trial, W), pick(kept, after, g)
        here = Value(*(pick(kept, new, old) for new, old in zip(there, here, strict=True)))
    return W, here, inverse
