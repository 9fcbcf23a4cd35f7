r"""Spatially sparse precoding by orthogonal matching pursuit (OMP) [66]: X ≈ F W, F's columns steering.

El Ayach et al., IEEE Trans. Wireless Commun. 13(3), 2014, Algorithm 1: M times, take the dictionary's
steering vector most correlated with what is left of X, argmax_d ‖a_dᴴ X_res‖², then W = F^† X and
X_res = (X − F W)/‖X − F W‖. On a partially connected network the vectors for chain m are masked by its
connections, argmax_d ‖(b_m ∘ a_d)ᴴ X_res‖², in the order of the chains; a dynamic network has the connections
of the start (26). Their dictionary holds the channel's true angles; ours is a grid uniform in
sin θ with the known targets added, so that it needs no more than the scenario.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from beamfold.digital_start import digital_start
from beamfold.errors import InputError
from beamfold.method import SLOW, Method, Supports
from beamfold.methods.digital_jcas import digital_jcas
from beamfold.optim.factorisation import as_one, connections, nearest_digital, scaled
from beamfold.optim.matrices import least_squares
from beamfold.result import Design, Status, finish
from beamfold.scenario import Scenario


def dictionary(s: Scenario, atoms: int) -> Tensor:
    """√N a(θ_d) as columns (N, D): `atoms` angles uniform in sin θ, then the scenario's targets.

    For an array that sees elevation the angles are uniform in sin θ along azimuth and elevation, at least
    `atoms` of them.
    """
    each = atoms if s.array.is_line else math.ceil(math.sqrt(atoms))
    axis = torch.asin((2 * torch.arange(each, dtype=torch.float64) + 1) / each - 1)
    grid = axis if s.array.is_line else torch.cartesian_prod(axis, axis)
    angles = torch.cat([grid.to(s.H.device), s.radar.target_angles])
    return (math.sqrt(s.antennas) * s.array.steering(angles).mT).to(s.H.dtype)


def pursue(X: Tensor, A: Tensor, mask: Tensor) -> Tensor:
    """F (…, N, M): the M columns of A (N, D), unit-modulus entries, that OMP picks for X (…, N, K).

    The mask (N, M) or (…, N, M) leaves each column the entries that are connected. A column that was picked
    is not picked again for a chain that shares an antenna with its first one.
    """
    residual, F = X, X[..., :0]
    mask = mask.expand(*X.shape[:-2], *mask.shape[-2:])
    taken = torch.zeros(*X.shape[:-2], mask.shape[-1], A.shape[-1], dtype=torch.bool, device=X.device)
    for m in range(mask.shape[-1]):
        here = mask[..., m : m + 1]
        match = (A.mH @ torch.where(here, residual, 0)).abs().square().sum(-1)
        best = match.masked_fill(taken[..., m, :], -1).argmax(-1, keepdim=True)
        shared = (mask & here).any(-2)[..., None]
        taken = taken | (
            shared & torch.zeros_like(match, dtype=torch.bool).scatter(-1, best, True)[..., None, :]
        )
        F = torch.cat([F, torch.where(here, A.mT[best[..., 0]][..., None], 0)], -1)
        residual = X - F @ least_squares(F, X)
    return F


def omp(s: Scenario, *, target: Tensor | None = None, rho: float = 0.8, atoms: int | None = None) -> Design:
    """The spatially sparse hybrid design [66] of a digital precoder.

    Args:
        s: the scenario.
        target: X (…, N, K) to approximate; default `digital_jcas(s, rho=rho)`.
        rho: ρ of that default.
        atoms: directions in the dictionary's grid, default 4 N; at least M.

    Returns:
        A hybrid `Design`, `CLOSED_FORM`: a greedy choice, of which nothing is claimed.

    Raises:
        InputError: a target of another shape, or fewer atoms than RF chains.
    """
    atoms = 4 * s.antennas if atoms is None else atoms
    if atoms < s.chains:
        raise InputError(f"OMP picks {s.chains} atoms, one for each RF chain, from a grid of {atoms}")
    X = as_one(s, digital_start(s, digital_jcas(s, rho=rho).X if target is None else target))
    F = pursue(X, dictionary(s, atoms), connections(s))
    W = scaled(s, F, nearest_digital(F, X, s.network))
    return finish(s, "omp", F, W, status=Status.CLOSED_FORM)


METHOD = Method(
    "omp",
    omp,
    "F W nearest to a digital design, F of steering vectors",
    part=SLOW,
    supports=Supports(networks=True, band=True, device=True),
)
