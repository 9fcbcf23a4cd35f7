"""R − ω τ over X = B Y for a given basis B: a small problem in Y, exact within the basis.

With B orthonormal, H X = (H B) Y and τ(X) = ‖Y Yᴴ − Bᴴ P_t Ψ B‖² + the constant P_t² (‖Ψ‖² − ‖Bᴴ Ψ B‖²), so
`objective` and its gradients apply as they are. The power is normalised inside, X = √P_t B Y/‖Y‖.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from beamfold.constraints import full_power
from beamfold.objective import SINGLE, Users, beam_error, beam_gradient, inner_product, rate, rate_gradient
from beamfold.optim.matrices import per_matrix
from beamfold.optim.riemannian import sphere_tangent
from beamfold.scenario import Scenario


class Small(NamedTuple):
    """R − ω τ in the basis: L = H B (B, K, d), Psi = P_t Bᴴ Ψ B (B, d, d), P_t, ω, σ², τ's constant (B,)."""

    L: Tensor
    Psi: Tensor
    power: Tensor
    weight: Tensor
    noise: float
    rest: Tensor
    users: Users = SINGLE

    def part(self, index: Tensor) -> Small:
        """Of some channels."""
        L, Psi, power, weight, noise, rest, users = self
        return Small(L[index], Psi[index], power[index], weight[index], noise, rest[index], users)

    def value(self, Y: Tensor) -> Tensor:
        """R − ω τ (B,) at √P_t Y/‖Y‖."""
        X = full_power(Y, self.power)
        return rate(self.L, X, self.noise, self.users) - self.weight * (beam_error(X, self.Psi) + self.rest)

    def gradient(self, Y: Tensor) -> Tensor:
        """∂/∂Y* of `value`: what of ∇_X (R − ω τ) is tangent to the sphere, times √P_t/‖Y‖."""
        X = full_power(Y, self.power)
        on_R = rate_gradient(self.L, X, self.noise, self.users)
        ascent = on_R - per_matrix(self.weight) * beam_gradient(X, self.Psi)
        return sphere_tangent(X, ascent) * per_matrix(self.power.sqrt() / torch.linalg.matrix_norm(Y))


def in_basis(s: Scenario, B: Tensor) -> Small:
    """The small problem in an orthonormal basis B (B, N, d); s has one leading axis."""
    Psi = B.mH @ s.Psi @ B
    rest = s.power.square() * (inner_product(s.Psi, s.Psi) - inner_product(Psi, Psi)).clamp_min(0)
    weight = s.weight.expand(s.batch)
    return Small(s.H @ B, per_matrix(s.power) * Psi, s.power, weight, s.noise, rest, s.per_user)
