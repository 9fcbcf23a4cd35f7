r"""The beampattern error τ and its gradient, Eqs. (5), (17), (18).

Shapes: X (…, N, K), Psi (N, N) or (…, N, N) at unit power, which `power` P multiplies; leading axes
broadcast.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
    power = torch.as_tensor(power, dtype=X.real.dtype, device=X.device)
    return beam_error_from(X, X.mH @ X, Psi, Psi @ X, power)


def beam_error_from(
    X: Tensor, C: Tensor, Psi: Tensor, PsiX: Tensor, power: Tensor, Psi_square: Tensor | float | None = None
) -> Tensor:
    """`beam_error` for products C = Xᴴ X and Ψ X that are at hand, and ‖Ψ‖² where that is."""
    size = square(C) + power.square() * (square(Psi) if Psi_square is None else Psi_square)
    tau = size - 2 * power * inner_product(X, PsiX)
    hard = tau <= torch.finfo(tau.dtype).eps ** (1 / 3) * size
    if not hard.any():
        return tau
    part = X.expand(*tau.shape, *X.shape[-2:])[hard]
    each = Psi.expand(*tau.shape, *Psi.shape[-2:])[hard] if Psi.ndim > 2 else Psi
    D = part @ part.mH - power.expand(tau.shape)[hard][..., None, None] * each
    return tau.masked_scatter(hard, square(D))


def inner_product(A: Tensor, B: Tensor) -> Tensor:
    """⟨A, B⟩ = Re tr(Aᴴ B), the real inner product of complex matrices over the last two axes; (…)."""
    parts = (torch.view_as_real(Z.resolve_conj()) for Z in (A, B))
    return torch.mul(*parts).sum((-3, -2, -1))


def square(Z: Tensor) -> Tensor:
    """‖Z‖²_F over the last two axes."""
    return torch.linalg.matrix_norm(Z).square()


def beam_gradient(X: Tensor, Psi: Tensor, power: Tensor | float = 1.0) -> Tensor:
    """∇_X τ = 2 (X Xᴴ − P Ψ) X, multiplied from the right so that no N × N product is formed.

    ∇_X τ Wᴴ is Eq. (17) and Fᴴ ∇_X τ is Eq. (18). Arguments as for `beam_error`.

    Returns:
        (…, N, K).
    """
    scale = power[..., None, None] if isinstance(power, Tensor) else power
    return 2 * (X @ (X.mH @ X) - scale * (Psi @ X))
