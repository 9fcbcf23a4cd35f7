r"""The Fisher matrix of the angles and amplitudes, and the Cramér-Rao bound of every angle.

With M = Σ_i α_i b̄_i ā_iᴴ, the parameters η = (θ, Re α, Im α) and the model of `scene`,

    F_ij = 2 L Re tr((∂M/∂η_i)ᴴ C⁻¹ (∂M/∂η_j) R).

Every ∂M/∂η_i is a sum of c u vᴴ, with u of U = [b̄, ∂b̄] and v of V = [ā, ∂ā], so F = 2 L Re Tᴴ Q T for the
coefficients T and

    Q_pq = (Uᴴ C⁻¹ U)_{u(p) u(q)} (Vᴴ R V)_{v(q) v(p)}:

no N × N matrix is formed. It is the matrix of Li, Xu, Stoica, Forsythe and Bliss, IEEE Trans. Signal Process.
56(1), 2008, for two angles and coloured noise, too. C is taken as known.

The information on the angles, with the amplitudes unknown, is the Schur complement

    J = F_θθ − F_θα F_αα⁻¹ F_αθ,      CRB = diag J⁻¹;   for one target and white noise

    CRB(θ) = σ²/(2 L |α|² (t₁ − |t₂|²/t₃)),   t₁ = tr(Ȧ R Ȧᴴ), t₂ = tr(A R Ȧᴴ), t₃ = tr(A R Aᴴ), A = b̄ āᴴ.

Without the second term, as two public programs have it, the bound depends on the phase reference and is too
low.

Shapes: X (…, N, K) or (…, S, N, K), power (…), T targets of D angles; angles in rad, the angles of a target
one after another.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from beamfold.radar.scene import Scene

SINGULAR = 1e-13
"""Eigenvalues of J, scaled by what each angle has with all else known, up to which they are rounding."""
DARK = 1e-26
"""Share of P_t N on a target up to which no power reaches it: the rounding of a null."""
FINITE, NO_POWER, AMBIGUOUS = 0, 1, 2
REASONS = {
    FINITE: "",
    NO_POWER: "no power reaches the target",
    AMBIGUOUS: "the echoes do not tell this angle from other parameters: X has too few independent columns, "
    "or the arrays have too few antennas",
}
"""Why a bound is infinite."""


class Pairs(NamedTuple):
    """The terms c u vᴴ of ∂M/∂η."""

    left: Tensor
    """u(p), columns of U."""
    right: Tensor
    """v(p), columns of V."""
    T: Tensor
    """(pairs, parameters) complex, the coefficients."""


def pairs(scene: Scene) -> Pairs:
    """The pairs b̄_i ā_iᴴ, then ∂b̄_i ā_iᴴ, then b̄_i ∂ā_iᴴ, and how parameters are made of them."""
    count, dims = scene.count, scene.dims
    target = torch.arange(count)
    slope = torch.arange(count * dims)
    owner = slope // dims
    left = torch.cat([target, count + slope, owner])
    right = torch.cat([target, owner, count + slope])
    T = torch.zeros(len(left), count * dims + 2 * count, dtype=torch.complex128)
    alpha = scene.amplitudes[owner]
    T[count + slope, slope] = alpha
    T[count + len(slope) + slope, slope] = alpha
    T[target, len(slope) + target] = 1
    T[target, len(slope) + count + target] = torch.tensor(1j, dtype=T.dtype)
    return Pairs(left, right, T)


class Noise(NamedTuple):
    """C/σ² = I + E Eᴴ, where E (…, N_r, C) are the clutter's received columns; None for white noise."""

    E: Tensor | None
    """(…, N_r, C)."""
    M: Tensor | None
    """I + Eᴴ E."""

    def product(self, U: Tensor, Z: Tensor) -> Tensor:
        """Uᴴ C⁻¹ Z σ², by the identity of Woodbury."""
        direct = U.mH @ Z
        if self.E is None or self.M is None:
            return direct
        return direct - (U.mH @ self.E) @ torch.linalg.solve(self.M, self.E.mH @ Z)


def noise(Y: Tensor, scene: Scene) -> Noise:
    """C of Y = X/√P_t."""
    if not len(scene.clutter):
        return Noise(None, None)
    a, b = (each.to(Y.device) for each in scene.clutter_steering)
    level = scene.cnr.to(Y.device) * (a.mH @ Y).abs().square().sum(-1)
    E = b * level.sqrt()[..., None, :]
    return Noise(E, torch.eye(E.shape[-1], dtype=E.dtype, device=E.device) + E.mH @ E)


def fisher_matrix(X: Tensor, scene: Scene, power: Tensor | float = 1.0) -> Tensor:
    """F (…, n, n), n = T (D + 2), for (θ, Re α, Im α), α in units of σ/√P_t.

    Over S subcarriers (…, S, n, n): that of each.
    """
    Y = scene.unit(X, power)
    U, V = scene.received.to(Y.device), scene.transmit.to(Y.device)
    VX = V.mH @ Y
    Q = _terms(scene, noise(Y, scene).product(U, U), VX @ VX.mH)
    T = pairs(scene).T.to(Y.device)
    return 2 * scene.snapshots * (T.mH @ Q @ T).real


def _terms(scene: Scene, G_U: Tensor, G_V: Tensor) -> Tensor:
    """Q from Uᴴ C⁻¹ U and Vᴴ R V."""
    left, right, _ = pairs(scene)
    return G_U[..., left[:, None], left] * G_V[..., right[:, None], right].conj()


class Information(NamedTuple):
    """J and how it is made of F: J = Σ_s Z_s F_s Z_sᵀ."""

    J: Tensor
    """(…, T D, T D)."""
    Z: Tensor
    """(…, T D, n) = [I, −F_θα F_αα⁻¹]; (…, S, T D, n) where the amplitudes are each subcarrier's own."""


def angle_information(F: Tensor, scene: Scene) -> Information:
    """J of the Fisher matrix; over S subcarriers their sum, before or after the amplitudes are eliminated."""
    banded = scene.ratios is not None
    if banded and scene.band == "common":
        F = F.sum(-3)
    count = scene.count * scene.dims
    F12, F22 = F[..., :count, count:], F[..., count:, count:]
    # Scaled to a unit diagonal, so that a weak target is no rounding of a strong one.
    d = _root_diagonal(F22)
    scaled = F22 / (d[..., :, None] * d[..., None, :])
    inverse = torch.linalg.pinv(scaled, rtol=SINGULAR, hermitian=True) / (d[..., :, None] * d[..., None, :])
    eye = torch.eye(count, dtype=F.dtype, device=F.device).expand(*F.shape[:-2], count, count)
    Z = torch.cat([eye, -F12 @ inverse], -1)
    J = F[..., :count, :count] - F12 @ inverse @ F12.mT
    return Information(J.sum(-3) if banded and scene.band == "each" else J, Z)


def _root_diagonal(F: Tensor) -> Tensor:
    """√F_ii, or 1 where it is 0."""
    d = F.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
    return torch.where(d > 0, d, 1.0)


class Bound(NamedTuple):
    """The Cramér-Rao bound of every angle."""

    rcrb: Tensor
    """(…, T, D), √CRB in rad; infinite where the Fisher matrix is singular for that angle."""
    reason: Tensor
    """(…, T, D) int8 of `REASONS`."""


def bound(X: Tensor, scene: Scene, power: Tensor | float = 1.0) -> Bound:
    """√diag J⁻¹, infinite and with the reason where an angle has no unbiased estimate; nothing is
    regularised.

    An angle has a finite bound where it is orthogonal to the null space of J. Other angles of the same scene
    keep theirs.

    Args:
        X: (…, N, K) or (…, S, N, K).
        scene: what is sensed.
        power: (…), P_t.
    """
    F = fisher_matrix(X, scene, power)
    J = angle_information(F, scene).J
    whole = F.sum(-3) if scene.ratios is not None else F
    count = J.shape[-1]
    d = _root_diagonal(whole[..., :count, :count])
    lit = illuminated(X, scene, power).repeat_interleave(scene.dims, -1)
    values, vectors = torch.linalg.eigh((J + J.mT) / 2 / (d[..., :, None] * d[..., None, :]))
    good = values > SINGULAR * count
    square = vectors.square()
    lost = (square * ~good[..., None, :]).sum(-1) > 1e-12
    inverse = (square * torch.where(good, 1 / values, 0.0)[..., None, :]).sum(-1)
    reason = torch.where(lit, torch.where(lost, AMBIGUOUS, FINITE), NO_POWER).to(torch.int8)
    rcrb = torch.where(reason == FINITE, inverse.sqrt() / d, torch.inf)
    shape = (*rcrb.shape[:-1], scene.count, scene.dims)
    return Bound(rcrb.reshape(shape), reason.reshape(shape))


def illuminated(X: Tensor, scene: Scene, power: Tensor | float = 1.0) -> Tensor:
    """Whether power reaches each target (…, T)."""
    V = scene.transmit[..., : scene.count].to(X.device)
    share = (V.mH @ scene.unit(X, power)).abs().square().sum(-1) / scene.array.antennas**2
    return (share.amax(-2) if scene.ratios is not None else share) > DARK
