"""The feasible set: F of (7b) with projection (10), see `networks`; total power (7c) with projection (12)."""

from __future__ import annotations

import torch
from torch import Tensor


def unit_modulus(F: Tensor, previous: Tensor) -> Tensor:
    """[F]_nm / |[F]_nm|, Eq. (10); an entry that is exactly zero keeps the phase of `previous`.

    Args:
        F: (…, N, M) complex, any values.
        previous: (…, N, M) of unit modulus, or 0 where an antenna is not connected to a chain, the point that
            F was reached from.

    Returns:
        (…, N, M) with |[F]_nm| = 1, and 0 where `previous` is.
    """
    return torch.where((F == 0) | (previous == 0), previous, torch.sgn(F))


def total_power(F: Tensor, W: Tensor, power: Tensor) -> Tensor:
    """√P_t W / ‖F W‖_F, so that ‖F W‖²_F = P_t, Eq. (7c).

    Eq. (12) prints P_t for √P_t, which does not meet (7c); the text below (26) has the root.

    Args:
        F: (…, N, M).
        W: (…, M, K).
        power: (…), P_t, linear.

    Returns:
        (…, M, K).
    """
    norm = torch.linalg.matrix_norm(F @ W)
    return (power.sqrt() / norm)[..., None, None] * W


def full_power(X: Tensor, power: Tensor) -> Tensor:
    """√P_t X / ‖X‖_F, Eq. (7c), for a fully digital X (…, N, K) and power (…)."""
    return (power.sqrt() / torch.linalg.matrix_norm(X))[..., None, None] * X


def modulus_error(F: Tensor) -> Tensor:
    """max_nm | |[F]_nm| − 1 |, the violation of (7b) by a fully connected F; (…) real."""
    return (F.abs() - 1).abs().amax((-2, -1))


def power_error(X: Tensor, power: Tensor) -> Tensor:
    """| ‖X‖²_F / P_t − 1 |, the relative violation of (7c); (…) real."""
    return (torch.linalg.matrix_norm(X).square() / power - 1).abs()
