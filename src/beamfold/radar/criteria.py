r"""What a design can be optimised for, each a value and its gradient in X in closed form.

`crb`:  log₂ det J of the angles' information J (`fisher`). Why not −tr CRB: near an X that hardly lights a
target CRB grows without bound and its gradient as CRB², so that weight and step sizes fit one region only.
log det J has a gradient that does not depend on the scale of J: target SNR, snapshots and the unit of the
angles add a constant, one ω serves all of them, and −½ of it per angle is the logarithm of the RCRB's
geometric mean for targets that are apart. One bit of it is a factor of two in J.

`scnr`: Σ_i log₂ SCNR_i, likewise a sum of logarithms, so that no target is given up for another.

With d log det J = tr(J⁻¹ dJ), dJ = Z dF Zᵀ and F = 2 L Re Tᴴ Q T (the notation of `fisher`), for
Λ = T Zᵀ J⁻¹ Z Tᴴ

    ∂ log det J/∂X* = 2 L (V K Vᴴ − Σ_c κ_c ā_c ā_cᴴ) X,

K the sum of Λ_qp (Uᴴ C⁻¹ U)_pq over the pairs with v(p), v(q), and κ_c = γ_c b̄_cᴴ C⁻¹ U K' Uᴴ C⁻¹ b̄_c with
K' made of Vᴴ R V in the same way. For one target and no clutter it is (P₁ − (t₂* P₂ + t₂ P₂ᴴ)/t₃ + |t₂|²
P₃/t₃²) X/J.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from beamfold.radar.fisher import Pairs, angle_information, fisher_matrix, noise, pairs
from beamfold.radar.scene import Scene


class Criterion(NamedTuple):
    """A value (…) and ∂/∂X* of it, as X."""

    value: Tensor
    gradient: Tensor


def crb(X: Tensor, scene: Scene, power: Tensor | float = 1.0) -> Criterion:
    """log₂ det J and its gradient, for X (…, N, K) or (…, S, N, K) and P_t (…); −∞ where J is singular."""
    Y = scene.unit(X, power)
    U, V = scene.received.to(Y.device), scene.transmit.to(Y.device)
    C, VX = noise(Y, scene), V.mH @ Y
    G_U, G_V = C.product(U, U), VX @ VX.mH
    J, Z = angle_information(fisher_matrix(X, scene, power), scene)
    sign, value = torch.linalg.slogdet(J)
    value = torch.where(sign > 0, value, -torch.inf)
    inverse = torch.linalg.inv_ex(J).inverse
    if scene.ratios is not None:
        inverse = inverse[..., None, :, :]
        Z = Z if scene.band == "each" else Z[..., None, :, :]
    p = pairs(scene)
    TZ = p.T.to(Y.device) @ Z.mT.to(torch.complex128)
    weight = (TZ @ inverse.to(torch.complex128) @ TZ.mH).mT  # Λ_qp at (p, q)
    K = _gathered(weight * G_U[..., p.left[:, None], p.left], p.right, V.shape[-1])
    on_X = V @ (K @ VX)
    if C.E is not None:
        on_X = on_X - _through_clutter(Y, scene, weight * G_V[..., p.right[:, None], p.right].conj(), p)
    return Criterion(value / math.log(2), 2 * scene.snapshots / math.log(2) * _as(X, on_X, power, scene))


def _gathered(terms: Tensor, index: Tensor, count: int) -> Tensor:
    """Σ of terms (…, pairs, pairs) over the pairs with the same columns: (…, count, count)."""
    rows = terms.new_zeros(*terms.shape[:-2], count, terms.shape[-1])
    rows = rows.index_add(-2, index.to(terms.device), terms)
    both = terms.new_zeros(*terms.shape[:-2], count, count)
    return both.index_add(-1, index.to(terms.device), rows)


def _through_clutter(Y: Tensor, scene: Scene, terms: Tensor, p: Pairs) -> Tensor:
    """Σ_c κ_c ā_c ā_cᴴ Y: what of the gradient comes from C."""
    U = scene.received.to(Y.device)
    a, b = (each.to(Y.device) for each in scene.clutter_steering)
    heard = noise(Y, scene).product(b, U)
    K = _gathered(terms, p.left, U.shape[-1])
    kappa = scene.cnr.to(Y.device) * (heard.conj() @ K * heard).sum(-1).real
    return a @ (kappa[..., None] * (a.mH @ Y))


def scnr_sum(X: Tensor, scene: Scene, power: Tensor | float = 1.0) -> Criterion:
    """Σ_i log₂ SCNR_i and its gradient, for X (…, N, K) or (…, S, N, K) and P_t (…); −∞ where one is 0."""
    Y = scene.unit(X, power)
    V, U = (each[..., : scene.count].to(Y.device) for each in (scene.transmit, scene.received))
    C, VX = noise(Y, scene), V.mH @ Y
    sent = VX.abs().square().sum(-1)
    heard = C.product(U, U).diagonal(dim1=-2, dim2=-1).real
    each = scene.snr.to(Y.device) * sent * heard
    whole = each.sum(-2, keepdim=True) if scene.ratios is not None else each
    share = each / whole
    on_X = V @ ((share / sent)[..., None] * VX)
    if C.E is not None:
        a, b = (part.to(Y.device) for part in scene.clutter_steering)
        through = C.product(b, U).abs().square() * (share / heard)[..., None, :]
        kappa = scene.cnr.to(Y.device) * through.sum(-1)
        on_X = on_X - a @ (kappa[..., None] * (a.mH @ Y))
    value = torch.log2(whole).sum(-1)
    value = value.squeeze(-1) if scene.ratios is not None else value
    return Criterion(value, _as(X, on_X, power, scene) / math.log(2))


def _as(X: Tensor, on_Y: Tensor, power: Tensor | float, scene: Scene) -> Tensor:
    """∂/∂X* from ∂/∂Y*, Y = X/√P_t, in the precision of X."""
    return scene.unit(on_Y, power).to(X.dtype)
