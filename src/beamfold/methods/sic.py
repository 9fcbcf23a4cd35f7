r"""Successive interference cancellation for the analog precoder (SIC): the rate alone, chain by chain.

max_F C(F) = log₂ det(I + Σ_m p_m H f_m f_mᴴ Hᴴ),   p_m = P_t/(M N_m σ²),

the capacity of users that receive jointly, every chain with the same power on its N_m antennas, by Gao,
Dai, Han, I and Heath, IEEE J. Sel. Areas Commun. 34(4), 2016, Algorithm 1. What chain m adds to the chains
before it is log₂(1 + p_m f_mᴴ G f_m) with

    G = Hᴴ T⁻¹ H,   T = I + Σ_{i<m} p_i H f_i f_iᴴ Hᴴ,

and f_m takes the phases of the leading eigenvector of G's block of the chain's antennas. The steps are
greedy; none is revised. Theirs is a link with one receiver, where a diagonal digital precoder suffices.
Users that receive each for itself need W against their interference: here regularised zero forcing through F,

    W = V (H F V + (K σ²/P_t) I)⁻¹,   V = F^† Hᴴ,                   scaled to (7c),

which at low SNR, where two chains can point at one user, does not spend the power on separating them. τ is
ignored. The paper has equal sub-arrays; the same steps hold for any mask. A dynamic network keeps the
connections of the start (26).
"""

from __future__ import annotations

import torch
from torch import Tensor

from beamfold.constraints import total_power
from beamfold.method import Method, Supports
from beamfold.networks.fit import phases
from beamfold.optim.factorisation import connections, nearest_digital
from beamfold.optim.matrices import per_matrix, solve
from beamfold.result import Design, Status, finish
from beamfold.scenario import Scenario
from beamfold.start import anywhere


def cancel_successively(s: Scenario, mask: Tensor) -> Tensor:
    """F (…, N, M) of the steps above for the connections B (…, N, M)."""
    mask = mask.expand(*s.batch, s.antennas, s.chains)
    antennas = mask.sum(-2)
    share = s.power[..., None] / (s.chains * antennas.clamp_min(1) * s.noise)  # p_m (…, M)
    T = torch.eye(s.H.shape[-2], dtype=s.H.dtype, device=s.H.device).expand(*s.batch, -1, -1)
    columns = []
    for m in range(s.chains):
        here = mask[..., m : m + 1]
        values, U = torch.linalg.eigh(T)
        root = (U / values.clamp_min(1).sqrt()[..., None, :]) @ U.mH  # T^{−1/2}; T ⪰ I but for rounding
        A = root @ torch.where(here.mT, s.H, 0)
        top = torch.linalg.eigh(A @ A.mH).eigenvectors[..., -1:]
        f = phases(A.mH, top.mH, here)  # Aᴴ A is the block of G; its leading eigenvector is along Aᴴ top
        columns.append(f)
        received = s.H @ f
        T = T + per_matrix(share[..., m]) * received @ received.mH
    return torch.cat(columns, -1)


def regularised_zero_forcing(s: Scenario, F: Tensor) -> Tensor:
    """W (…, M, K) of the formula above for F (…, N, M); not scaled."""
    V = nearest_digital(F, s.H.mH, s.network)
    eye = torch.eye(s.users, dtype=F.dtype, device=F.device)
    return solve(s.H @ F @ V + per_matrix(s.users * s.noise / s.power) * eye, V.mH).mH


def sic(s: Scenario) -> Design:
    """F by successive interference cancellation for the rate of joint users, W regularised zero forcing.

    Returns:
        A hybrid `Design`, `CLOSED_FORM`: a greedy choice, of which nothing is claimed.
    """
    F = cancel_successively(s, connections(s))
    W = anywhere(regularised_zero_forcing(s, F))
    return finish(s, "sic", F, total_power(F, W, s.power), status=Status.CLOSED_FORM)


METHOD = Method(
    "sic",
    sic,
    "R alone: phases chain by chain, then regularised zero forcing",
    supports=Supports(networks=True, device=True),
)
