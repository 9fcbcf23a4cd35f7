r"""The objective R − ω τ and its gradients in closed form: Eqs. (4), (5), (8), (13)-(18).

Everything depends on F and W through X = F W alone, so there is one gradient per term, with respect to
X; the paper's four follow by the chain rule ∇_F = ∇_X Wᴴ and ∇_W = Fᴴ ∇_X. Expanding them gives
(13), (14), (17) and (18); the tests hold a literal transcription of those four beside this module.

A gradient is the paper's ∂/∂Z* (34), half of what PyTorch's `.grad` holds.

Shapes: H (…, K, N) with rows h_kᴴ, X (…, N, K), F (…, N, M), W (…, M, K), Psi (N, N) or (…, N, N), which
`power` P multiplies; leading axes broadcast. `noise` is σ_n², linear.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

LN2 = math.log(2.0)
DigitalGradient = Literal["exact", "signal"]


def received(H: Tensor, X: Tensor, noise: float) -> tuple[Tensor, Tensor, Tensor]:
    """A = H X with the powers of Eq. (4): all that user k receives, and what of it is not k's.

    Returns:
        A (…, K, K), A_kl = h_kᴴ x_l; total (…, K) = Σ_l |A_kl|² + σ²; other (…, K) = total − |A_kk|².
    """
    A = H @ X
    power = A.real.square() + A.imag.square()
    # The interference is summed without the signal: total − signal would lose it at high SNR.
    off = 1 - torch.eye(power.shape[-1], dtype=power.dtype, device=power.device)
    return A, power.sum(-1) + noise, (power * off).sum(-1) + noise


def rate(H: Tensor, X: Tensor, noise: float = 1.0) -> Tensor:
    """R = Σ_k log₂(1 + |h_kᴴ x_k|² / (Σ_{l≠k} |h_kᴴ x_l|² + σ²)), Eq. (4), in bit/s/Hz.

    Returns:
        (…) real.
    """
    return _rate(*received(H, X, noise))


def _rate(A: Tensor, total: Tensor, other: Tensor) -> Tensor:
    """`rate` from what `received` returns."""
    signal = A.diagonal(dim1=-2, dim2=-1).abs().square()
    return torch.log1p(signal / other).sum(-1) / LN2


def beam_error(X: Tensor, Psi: Tensor, power: Tensor | float = 1.0) -> Tensor:
    """τ = ‖X Xᴴ − P Ψ‖²_F, Eq. (5), in units of power².

    With C = Xᴴ X it is ‖C‖² − 2 P Re tr(Xᴴ Ψ X) + P² ‖Ψ‖², which needs no N × N matrix per channel. The
    rounding of that form is ε (‖C‖² + P² ‖Ψ‖²) for the machine's ε. Where τ is a smaller part of this sum
    than ε^(1/3), the difference X Xᴴ − P Ψ itself is formed, so the relative error is at most ε^(2/3) times
    a small number: some 1e-10 in double precision.

    Args:
        X: (…, N, K).
        Psi: (N, N) or (…, N, N), Hermitian.
        power: (…) or a number, P: the power that multiplies Ψ.

    Returns:
        (…) real.
    """
    return _beam_error(X, Psi, Psi @ X, power)


def _beam_error(X: Tensor, Psi: Tensor, PsiX: Tensor, power: Tensor | float) -> Tensor:
    """`beam_error` for a product Ψ X that is at hand."""
    power = torch.as_tensor(power, dtype=X.real.dtype, device=X.device)
    C = X.mH @ X
    size = _square(C) + power.square() * _square(Psi)
    cross = (X.real * PsiX.real + X.imag * PsiX.imag).sum((-2, -1))
    tau = size - 2 * power * cross
    hard = tau <= torch.finfo(tau.dtype).eps ** (1 / 3) * size
    if not hard.any():
        return tau
    part = X.expand(*tau.shape, *X.shape[-2:])[hard]
    each = Psi.expand(*tau.shape, *Psi.shape[-2:])[hard] if Psi.ndim > 2 else Psi
    D = part @ part.mH - power.expand(tau.shape)[hard][..., None, None] * each
    return tau.masked_scatter(hard, _square(D))


def _square(Z: Tensor) -> Tensor:
    """‖Z‖²_F over the last two axes."""
    return (Z.real.square() + Z.imag.square()).sum((-2, -1))


def objective(
    H: Tensor, X: Tensor, Psi: Tensor, power: Tensor | float, weight: Tensor | float, noise: float = 1.0
) -> Tensor:
    """R − ω τ, Eq. (8a), with τ against P Ψ; `power` is P, `weight` is ω, both (…) or a number."""
    return rate(H, X, noise) - weight * beam_error(X, Psi, power)


class Measured(NamedTuple):
    """R and τ of X, and the gradient of R − ω τ there."""

    rate: Tensor
    """(…), bit/s/Hz."""
    tau: Tensor
    """(…)."""
    gradient: Tensor
    """(…, N, K), ∇_X (R − ω τ)."""


def measure(H: Tensor, X: Tensor, Psi: Tensor, power: Tensor, weight: Tensor, noise: float = 1.0) -> Measured:
    """R, τ and ∇_X (R − ω τ) of X together: H X and Ψ X, the two costly products, are formed once.

    Args:
        H: (…, K, N), rows h_kᴴ.
        X: (…, N, K).
        Psi: (N, N) at unit power.
        power: (…), P_t.
        weight: (…), ω.
        noise: σ_n².
    """
    A = received(H, X, noise)
    PsiX = Psi @ X
    tau = _beam_error(X, Psi, PsiX, power)
    on_tau = 2 * (X @ (X.mH @ X) - power[..., None, None] * PsiX)
    return Measured(_rate(*A), tau, _rate_gradient(H, *A) - weight[..., None, None] * on_tau)


def rate_gradient(H: Tensor, X: Tensor, noise: float = 1.0) -> Tensor:
    """∇_X R = Hᴴ C, C_kk = A_kk / (total_k ln 2), C_kl = −A_kl |A_kk|² / (total_k other_k ln 2), l ≠ k.

    The second is A_kl (1/total_k − 1/other_k) without its cancellation. ∇_X R Wᴴ is Eq. (13)
    and Fᴴ ∇_X R is Eq. (14), both without an N × N matrix.

    Returns:
        (…, N, K).
    """
    return _rate_gradient(H, *received(H, X, noise))


def _rate_gradient(H: Tensor, A: Tensor, total: Tensor, other: Tensor) -> Tensor:
    """`rate_gradient` from what `received` returns."""
    own = A.diagonal(dim1=-2, dim2=-1)
    signal = own.real.square() + own.imag.square()
    # The diagonal is taken out of the interference's term and put back in its own.
    C = A * (-signal / (total * other))[..., None]
    C = C - torch.diag_embed(C.diagonal(dim1=-2, dim2=-1)) + torch.diag_embed(own / total)
    return H.mH @ (C / LN2)


def beam_gradient(X: Tensor, Psi: Tensor, power: Tensor | float = 1.0) -> Tensor:
    """∇_X τ = 2 (X Xᴴ − P Ψ) X, multiplied from the right so that no N × N product is formed.

    ∇_X τ Wᴴ is Eq. (17) and Fᴴ ∇_X τ is Eq. (18). Arguments as for `beam_error`.

    Returns:
        (…, N, K).
    """
    scale = power[..., None, None] if isinstance(power, Tensor) else power
    return 2 * (X @ (X.mH @ X) - scale * (Psi @ X))


def gradient_F(
    H: Tensor, F: Tensor, W: Tensor, Psi: Tensor, power: Tensor | float, weight: Tensor, noise: float
) -> Tensor:
    """∇_F R − ω ∇_F τ, the ascent direction of (9) and (23b), from (13) and (17).

    Args:
        H: (…, K, N), rows h_kᴴ.
        F: (…, N, M).
        W: (…, M, K).
        Psi: (N, N) or (…, N, N); τ is against P Ψ.
        power: (…) or a number, P.
        weight: (…, 1, 1), ω.
        noise: σ_n².

    Returns:
        (…, N, M).
    """
    X = F @ W
    return (rate_gradient(H, X, noise) - weight * beam_gradient(X, Psi, power)) @ W.mH


def signal_gradient(H: Tensor, X: Tensor, noise: float = 1.0) -> Tensor:
    """Hᴴ diag(A_kk / total_k) / ln 2: the part of ∇_X R that strengthens each user's own signal.

    It is what the published program uses in place of (14): its second denominator runs over all of W
    instead of W_k̄, equals the first, and every interference term cancels. The published step sizes and
    figures belong to it; (14) itself sends W astray at the paper's step sizes. See docs/findings.md.

    Returns:
        (…, N, K).
    """
    A, total, _ = received(H, X, noise)
    return H.mH @ torch.diag_embed(A.diagonal(dim1=-2, dim2=-1) / total / LN2)


def gradient_W(
    H: Tensor,
    F: Tensor,
    W: Tensor,
    Psi: Tensor,
    power: Tensor | float,
    weight: Tensor,
    noise: float,
    digital: DigitalGradient = "exact",
) -> Tensor:
    """∇_W R − ω ∇_W τ, the ascent direction of (11), from (14) and (18); (24) passes ω η as weight.

    Arguments as for `gradient_F`; `digital="signal"` takes `signal_gradient` in place of ∇_W R.

    Returns:
        (…, M, K).
    """
    X = F @ W
    ascent = rate_gradient(H, X, noise) if digital == "exact" else signal_gradient(H, X, noise)
    return F.mH @ (ascent - weight * beam_gradient(X, Psi, power))
