r"""The sum rate R and its gradient through A = H X alone: Eq. (4), and the same for users with several
antennas.

User k has R rows of H and d columns of X. With the blocks A_kl = H_k X_l (R, d) of A = H X,

    Q_k = σ² I + Σ_{l≠k} A_kl A_klᴴ,   T_k = Q_k + A_kk A_kkᴴ,   R = Σ_k log₂ det(Q_k⁻¹ T_k),
    ∂R/∂A_kl* = (T_k⁻¹ − [l ≠ k] Q_k⁻¹) A_kl / ln 2,             ∇_X R = Hᴴ ∂R/∂A*.

One row and one column each is Eq. (4): T_k and Q_k are then numbers, `total` and `other`. Differences of
nearly equal inverses are not formed. With V_k = Q_k⁻¹ A_kk, S_k = A_kkᴴ V_k and M_k = (I + S_k)⁻¹ it is
log₂ det(I + S_k), T_k⁻¹ A_kk = V_k M_k and (T_k⁻¹ − Q_k⁻¹) A_kl = −V_k M_k V_kᴴ A_kl.

Nothing else knows which rows and columns belong to a user. A gradient is the paper's ∂/∂Z* (34).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

LN2 = math.log(2.0)


class Users(NamedTuple):
    """How many rows of H and columns of X belong to each user, and how many columns serve no user."""

    receive: int = 1
    """R, antennas of a user."""
    streams: int = 1
    """d ≤ R, streams to a user."""
    sensing: int = 0
    """D, sensing streams: the last columns of X = F [W_c, W_r], which carry data for nobody. For R = 1."""
    known: bool = False
    """Whether the users know the sensing streams and cancel them; else they are interference."""

    @property
    def single(self) -> bool:
        """One antenna and one stream each, the paper's users."""
        return self.receive == self.streams == 1

    def columns(self, rows: int) -> int:
        """K d, the columns of X that serve users, for K R rows of H."""
        return rows // self.receive * self.streams


SINGLE = Users()
"""The paper's users."""


class Received(NamedTuple):
    """What users of one antenna and one stream receive, with the powers of Eq. (4)."""

    A: Tensor
    """(…, K, K + D), A_kl = h_kᴴ x_l."""
    own: Tensor
    """(…, K), |A_kk|²."""
    other: Tensor
    """(…, K), Σ_l≠k |A_kl|² + σ²."""
    total: Tensor
    """(…, K), Σ_l |A_kl|² + σ²."""


def received(H: Tensor, X: Tensor, noise: float, users: Users = SINGLE) -> Received:
    """A = H X with the powers of Eq. (4); of sensing streams that the users know nothing is received."""
    A = H @ X
    if users.known:
        A = A * (torch.arange(A.shape[-1], device=A.device) < A.shape[-2])
    power = squared_modulus(A)
    off = _others(*power.shape[-2:], power.dtype, power.device)
    # The interference is summed without the signal: total − signal would lose it at high SNR.
    own = power.diagonal(dim1=-2, dim2=-1)
    return Received(A, own, (power * off).sum(-1) + noise, power.sum(-1) + noise)


@lru_cache(maxsize=64)
def _others(users: int, columns: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(K, K + D), 0 on the diagonal and 1 elsewhere."""
    return 1 - torch.eye(users, columns, dtype=dtype, device=device)


def squared_modulus(Z: Tensor) -> Tensor:
    """|Z|² of every entry."""
    return torch.view_as_real(Z.resolve_conj()).square().sum(-1)


class Receivers(NamedTuple):
    """What `receivers` finds of every user: see the module's docstring."""

    other: Tensor
    """(…, K, R, K d): row block k of A without the columns of user k."""
    V: Tensor
    """(…, K, R, d) = Q_k⁻¹ A_kk."""
    S: Tensor
    """(…, K, d, d) = A_kkᴴ V_k, Hermitian."""


def by_user(Z: Tensor, users: Users) -> Tensor:
    """Z (…, K R, n) as (…, K, R, n): the rows of each user."""
    return Z.reshape(*Z.shape[:-2], -1, users.receive, Z.shape[-1])


def receivers(A: Tensor, noise: float, users: Users) -> Receivers:
    """V_k and S_k of every user from A (…, K R, K d)."""
    blocks = by_user(A, users)
    count = blocks.shape[-3]
    pairs = blocks.reshape(*blocks.shape[:-1], count, users.streams).movedim(-2, -4)
    own = pairs.diagonal(dim1=-4, dim2=-3).movedim(-1, -3)
    other = blocks.masked_fill(_mask(count, users, A.device), 0)
    Q = other @ other.mH + noise * torch.eye(users.receive, dtype=A.dtype, device=A.device)
    V = torch.linalg.solve(Q, own)
    S = own.mH @ V
    return Receivers(other, V, (S + S.mH) / 2)


def _mask(count: int, users: Users, device: torch.device) -> Tensor:
    """(K, 1, K d): whether the column is of the user."""
    owner = torch.arange(count * users.streams, device=device) // users.streams
    return (owner == torch.arange(count, device=device)[:, None])[:, None]


def block_diagonal_of(blocks: Tensor) -> Tensor:
    """The block-diagonal matrix (…, K m, K n) of blocks (…, K, m, n)."""
    *batch, count, m, n = blocks.shape
    whole = blocks.new_zeros(*batch, count, m, count, n)
    whole.diagonal(dim1=-4, dim2=-2).copy_(blocks.movedim(-3, -1))
    return whole.reshape(*batch, count * m, count * n)


def weights(S: Tensor) -> Tensor:
    """M = (I + S)⁻¹ (…, d, d) for S ⪰ 0."""
    eye = torch.eye(S.shape[-1], dtype=S.dtype, device=S.device)
    return torch.linalg.inv(eye + S)


def log_det(A: Tensor, noise: float, users: Users) -> Tensor:
    """log det(I + S_k) = R_k ln 2 of A = H X (…, K R, K d); (…, K)."""
    S = receivers(A, noise, users).S
    return torch.log1p(torch.linalg.eigvalsh(S).clamp_min(0)).sum(-1)


def rate_core(A: Tensor, noise: float, users: Users, *, signal_only: bool = False) -> Tensor:
    """∂R/∂A* ln 2 (…, K R, K d) of A = H X; `signal_only` leaves out the blocks l ≠ k."""
    other, V, S = receivers(A, noise, users)
    count = V.shape[-3]
    VM = V @ weights(S)
    own = VM.repeat(*[1] * (VM.ndim - 1), count).masked_fill(~_mask(count, users, A.device), 0)
    return (own if signal_only else own - VM @ (V.mH @ other)).flatten(-3, -2)


def rate(H: Tensor, X: Tensor, noise: float = 1.0, users: Users = SINGLE) -> Tensor:
    """R = Σ_k log₂(1 + |h_kᴴ x_k|² / (Σ_{l≠k} |h_kᴴ x_l|² + σ²)), Eq. (4), in bit/s/Hz.

    Args:
        H: (…, K R, N), the rows of each user one after another.
        X: (…, N, K d), the columns of each user one after another.
        noise: σ_n², linear.
        users: R and d; for more than one of them R is Σ_k log₂ det(Q_k⁻¹ T_k).

    Returns:
        (…) real.
    """
    return (
        rate_from(received(H, X, noise, users))
        if users.single
        else log_det(H @ X, noise, users).sum(-1) / LN2
    )


def user_rates(H: Tensor, X: Tensor, noise: float = 1.0, users: Users = SINGLE) -> Tensor:
    """R_k of every user (…, K), whose sum is `rate`; arguments as there."""
    nats = _log_ratios(received(H, X, noise, users)) if users.single else log_det(H @ X, noise, users)
    return nats / LN2


def rate_from(of: Received) -> Tensor:
    """`rate` from what `received` returns."""
    return _log_ratios(of).sum(-1) / LN2


def _log_ratios(of: Received) -> Tensor:
    """log(total_k / other_k) (…, K) without the cancellation of small signals."""
    return torch.log1p(of.own / of.other)


def rate_gradient(H: Tensor, X: Tensor, noise: float = 1.0, users: Users = SINGLE) -> Tensor:
    """∇_X R = Hᴴ C, C_kk = A_kk / (total_k ln 2), C_kl = −A_kl |A_kk|² / (total_k other_k ln 2), l ≠ k.

    The second is A_kl (1/total_k − 1/other_k) without its cancellation. ∇_X R Wᴴ is Eq. (13)
    and Fᴴ ∇_X R is Eq. (14), both without an N × N matrix. Arguments as for `rate`.

    Returns:
        (…, N, K d).
    """
    if users.single:
        return rate_gradient_from(H, received(H, X, noise, users))
    return H.mH @ (rate_core(H @ X, noise, users) / LN2)


def rate_gradient_from(H: Tensor, of: Received) -> Tensor:
    """`rate_gradient` from what `received` returns."""
    A, own, other, total = of
    C = A * (own / (total * other * -LN2))[..., None]
    C.diagonal(dim1=-2, dim2=-1).copy_(A.diagonal(dim1=-2, dim2=-1) / (total * LN2))
    return H.mH @ C


def _first_columns(diagonal: Tensor, count: int) -> Tensor:
    """[diag(z), 0] (…, K, count) of z (…, K)."""
    return torch.nn.functional.pad(torch.diag_embed(diagonal), (0, count - diagonal.shape[-1]))


def signal_gradient(H: Tensor, X: Tensor, noise: float = 1.0, users: Users = SINGLE) -> Tensor:
    """Hᴴ diag(A_kk / total_k) / ln 2: the part of ∇_X R that strengthens each user's own signal.

    It is what the published program uses in place of (14): its second denominator runs over all of W
    instead of W_k̄, equals the first, and every interference term cancels. The published step sizes and
    figures belong to it; with (14) itself the same step sizes end far below, see docs/measured/findings.md.

    Returns:
        (…, N, K d).
    """
    if not users.single:
        return H.mH @ (rate_core(H @ X, noise, users, signal_only=True) / LN2)
    A, _, _, total = received(H, X, noise, users)
    return H.mH @ _first_columns(A.diagonal(dim1=-2, dim2=-1) / total / LN2, X.shape[-1])
