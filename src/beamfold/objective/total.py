r"""The objective R − ω τ and its gradients in closed form: Eqs. (8), (13)-(18).

Everything depends on F and W through X = F W alone, so there is one gradient per term, with respect to
X; the paper's four follow by the chain rule ∇_F = ∇_X Wᴴ and ∇_W = Fᴴ ∇_X. Expanding them gives
(13), (14), (17) and (18); the tests hold a literal transcription of those four beside this module.

A gradient is the paper's ∂/∂Z* (34), half of what PyTorch's `.grad` holds.

Shapes: H (…, K, N) with rows h_kᴴ, X (…, N, K), F (…, N, M), W (…, M, K), Psi (N, N) or (…, N, N), which
`power` P multiplies; leading axes broadcast. `noise` is σ_n², linear. Users with R antennas and d streams
each have K R rows of H and K d columns of X and W (`objective.rate`).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor

from beamfold.objective.beam import beam_error, beam_error_from, beam_gradient
from beamfold.objective.rate import (
    SINGLE,
    Users,
    rate,
    rate_from,
    rate_gradient,
    rate_gradient_from,
    received,
    signal_gradient,
)

DigitalGradient = Literal["exact", "signal"]


def objective(
    H: Tensor,
    X: Tensor,
    Psi: Tensor,
    power: Tensor | float,
    weight: Tensor | float,
    noise: float = 1.0,
    users: Users = SINGLE,
) -> Tensor:
    """R − ω τ, Eq. (8a), with τ against P Ψ; `power` is P, `weight` is ω, both (…) or a number."""
    return rate(H, X, noise, users) - weight * beam_error(X, Psi, power)


class Measured(NamedTuple):
    """R and τ of X, and the gradient of R − ω τ there."""

    rate: Tensor
    """(…), bit/s/Hz."""
    tau: Tensor
    """(…)."""
    gradient: Tensor
    """(…, N, K), ∇_X (R − ω τ)."""


def measure(
    H: Tensor,
    X: Tensor,
    Psi: Tensor,
    power: Tensor,
    weight: Tensor,
    noise: float = 1.0,
    users: Users = SINGLE,
    Psi_square: float | None = None,
) -> Measured:
    """R, τ and ∇_X (R − ω τ) of X together: H X and Ψ X, the two costly products, are formed once.

    Args:
        H: (…, K, N), rows h_kᴴ.
        X: (…, N, K).
        Psi: (N, N) at unit power.
        power: (…), P_t.
        weight: (…), ω.
        noise: σ_n².
        users: antennas and streams of each.
        Psi_square: ‖Ψ‖² where that is at hand.
    """
    C, PsiX = X.mH @ X, Psi @ X
    tau = beam_error_from(X, C, Psi, PsiX, power, Psi_square)
    on_tau = 2 * (X @ C - power[..., None, None] * PsiX)
    if users.single:
        of = received(H, X, noise, users)
        R, on_R = rate_from(of), rate_gradient_from(H, of)
    else:
        R, on_R = rate(H, X, noise, users), rate_gradient(H, X, noise, users)
    return Measured(R, tau, on_R - weight[..., None, None] * on_tau)


def ascent(
    H: Tensor,
    X: Tensor,
    Psi: Tensor,
    power: Tensor | float,
    weight: Tensor | float,
    noise: float = 1.0,
    users: Users = SINGLE,
    digital: DigitalGradient = "exact",
) -> Tensor:
    """G = ∇_X R − ω ∇_X τ: ∇_F = G Wᴴ is the ascent direction of (9) and (23b), ∇_W = Fᴴ G that of (11).

    Args:
        H: (…, K, N), rows h_kᴴ.
        X: (…, N, K).
        Psi: (N, N) or (…, N, N); τ is against P Ψ.
        power: (…) or a number, P.
        weight: (…) or a number, ω; (24) has ω η in its place.
        noise: σ_n².
        users: antennas and streams of each.
        digital: "signal" takes `signal_gradient` in place of ∇_X R.

    Returns:
        (…, N, K).
    """
    on_R = rate_gradient if digital == "exact" else signal_gradient
    omega = weight[..., None, None] if isinstance(weight, Tensor) else weight
    return on_R(H, X, noise, users) - omega * beam_gradient(X, Psi, power)
