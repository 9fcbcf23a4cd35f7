r"""What a design can be optimised for, each a value and its gradient in X in closed form.

`crb`:  log₂ det J of the angles' information J (`fisher`). Why not −tr CRB: near an X that hardly lights a
target CRB grows without bound and its gradient as CRB², so that weight and step sizes fit one region only.
log det J has a gradient that does not depend on the scale of J: target SNR, snapshots and the unit of the
angles add a constant, one ω serves all of them, and −½ of it per angle is the logarithm of the RCRB's
geometric mean for targets that are apart. One bit of it is a factor of two in J.

`scnr`: Σ_i log₂ SCNR_i, likewise a sum of logarithms, so that no target is given up for another.

With dJ = Z dF Zᵀ and F = 2 L Re Tᴴ Q T (the notation of `fisher`), for
Λ = T Zᵀ Φ Z Tᴴ and any function of J with dφ = tr(Φ dJ), here Φ = J⁻¹,

    ∂φ/∂X* = 2 L (V K Vᴴ − Σ_c κ_c ā_c ā_cᴴ) X,

K the sum of Λ_qp (Uᴴ C⁻¹ U)_pq over the pairs with v(p), v(q), and κ_c = γ_c b̄_cᴴ C⁻¹ U K' Uᴴ C⁻¹ b̄_c with
K' made of Vᴴ R V in the same way. For one target and no clutter it is (P₁ − (t₂* P₂ + t₂ P₂ᴴ)/t₃ + |t₂|²
P₃/t₃²) X/J.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from beamfold.radar.fisher import Noise, Pairs, angle_information, fisher_matrix, noise, pairs
from beamfold.radar.scene import Scene


class Criterion(NamedTuple):
    """A value (…) and ∂/∂X* of it, as X."""

    value: Tensor
    gradient: Tensor


class Echo(NamedTuple):
    """What the functions of J share for one X: Y = X/√P_t, J, Z, C and VᴴY."""

    Y: Tensor
    J: Tensor
    Z: Tensor
    noise: Noise
    VX: Tensor


def _echo(X: Tensor, scene: Scene, power: Tensor | float) -> Echo:
    Y = scene.unit(X, power)
    J, Z = angle_information(fisher_matrix(X, scene, power), scene)
    return Echo(Y, J, Z, noise(Y, scene), scene.transmit.to(Y.device).mH @ Y)


def _through_J(echo: Echo, Phi: Tensor, scene: Scene) -> Tensor:
    """∂φ/∂Y* of a function φ(J) with dφ = tr(Φ dJ), Φ (…, T D, T D) symmetric."""
    Y, _, Z, C, VX = echo
    U, V = scene.received.to(Y.device), scene.transmit.to(Y.device)
    if scene.ratios is not None:
        Phi = Phi[..., None, :, :]
        Z = Z if scene.band == "each" else Z[..., None, :, :]
    p = pairs(scene)
    TZ = p.T.to(Y.device) @ Z.mT.to(torch.complex128)
    weight = (TZ @ Phi.to(torch.complex128) @ TZ.mH).mT  # Λ_qp at (p, q)
    G_U, G_V = C.product(U, U), VX @ VX.mH
    K = _gathered(weight * G_U[..., p.left[:, None], p.left], p.right, V.shape[-1])
    on_Y = V @ (K @ VX)
    if C.E is not None:
        on_Y = on_Y - _through_clutter(Y, scene, weight * G_V[..., p.right[:, None], p.right].conj(), p)
    return 2 * scene.snapshots * on_Y


def crb(X: Tensor, scene: Scene, power: Tensor | float = 1.0) -> Criterion:
    """log₂ det J and its gradient, for X (…, N, K) or (…, S, N, K) and P_t (…); −∞ where J is singular."""
    echo = _echo(X, scene, power)
    sign, value = torch.linalg.slogdet(echo.J)
    value = torch.where(sign > 0, value, -torch.inf) / math.log(2)
    on_Y = _through_J(echo, torch.linalg.inv_ex(echo.J).inverse, scene) / math.log(2)
    return Criterion(value, _as(X, on_Y, power, scene))


def log_bounds(X: Tensor, scene: Scene, power: Tensor | float = 1.0) -> list[Criterion]:
    """ln CRB of every angle, CRB_i = [J⁻¹]_ii in rad², with its gradient: T D of them."""
    echo = _echo(X, scene, power)
    inverse = torch.linalg.inv_ex(echo.J).inverse
    found = []
    for i in range(inverse.shape[-1]):
        own, column = inverse[..., i, i], inverse[..., i]
        Phi = -column[..., :, None] * column[..., None, :] / own[..., None, None]
        on_Y = _through_J(echo, Phi, scene)
        found.append(Criterion(torch.where(own > 0, own.log(), torch.inf), _as(X, on_Y, power, scene)))
    return found


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
    each = log_scnr(X, scene, power)
    value = torch.stack([c.value for c in each]).sum(0)
    return Criterion(value / math.log(2), torch.stack([c.gradient for c in each]).sum(0) / math.log(2))


def log_scnr(X: Tensor, scene: Scene, power: Tensor | float = 1.0) -> list[Criterion]:
    """ln SCNR of every target with its gradient: T of them."""
    Y = scene.unit(X, power)
    V, U = (each[..., : scene.count].to(Y.device) for each in (scene.transmit, scene.received))
    C, VX = noise(Y, scene), V.mH @ Y
    sent = VX.abs().square().sum(-1)
    heard = C.product(U, U).diagonal(dim1=-2, dim2=-1).real
    every = scene.snr.to(Y.device) * sent * heard
    whole = every.sum(-2, keepdim=True) if scene.ratios is not None else every
    share = every / whole
    found = []
    for i in range(scene.count):
        on_Y = V[..., i, None] * (share[..., i] / sent[..., i])[..., None, None] * VX[..., i, None, :]
        if C.E is not None:
            a, b = (part.to(Y.device) for part in scene.clutter_steering)
            through = C.product(b, U[..., i, None]).abs().square()[..., 0]
            kappa = scene.cnr.to(Y.device) * through * (share[..., i] / heard[..., i])[..., None]
            on_Y = on_Y - a @ (kappa[..., None] * (a.mH @ Y))
        value = torch.log(whole[..., i])
        value = value.squeeze(-1) if scene.ratios is not None else value
        found.append(Criterion(value, _as(X, on_Y, power, scene)))
    return found


def _as(X: Tensor, on_Y: Tensor, power: Tensor | float, scene: Scene) -> Tensor:
    """∂/∂X* from ∂/∂Y*, Y = X/√P_t, in the precision of X."""
    return scene.unit(on_Y, power).to(X.dtype)
