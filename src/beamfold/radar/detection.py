r"""SCNR of every target with the best receive beam, and how often it is detected.

With the best receive vector u = C⁻¹ b̄, the signal to clutter and noise ratio of one snapshot is

    SCNR_i = |α_i|² (ā_iᴴ R ā_i) b̄_iᴴ C⁻¹ b̄_i,

and L snapshots have ρ = L SCNR. At a known angle the likelihood-ratio test of an unknown amplitude compares
2 |ẑ|², ẑ the matched filter's output in units of its noise, with −2 ln P_FA; so

    P_D = Q₁(√(2ρ), √(−2 ln P_FA)) for a constant |α|,      P_D = P_FA^{1/(1 + ρ)} for Swerling I,

where |α|² is exponentially distributed with the mean that ρ holds. A search over unknown angles takes the
largest of many such outputs: its false alarms grow with the number of resolved cells (`trials` counts them).
Over S subcarriers SCNR is that of the whole band: the sum.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from beamfold.radar.fisher import noise
from beamfold.radar.scene import Scene


def scnr(X: Tensor, scene: Scene, power: Tensor | float = 1.0) -> Tensor:
    """SCNR_i (…, T) of one snapshot, linear, for X (…, N, K) or (…, S, N, K) and P_t (…)."""
    Y = scene.unit(X, power)
    V, U = (each[..., : scene.count].to(Y.device) for each in (scene.transmit, scene.received))
    sent = (V.mH @ Y).abs().square().sum(-1)
    heard = noise(Y, scene).product(U, U).diagonal(dim1=-2, dim2=-1).real
    found = scene.snr.to(Y.device) * sent * heard
    return found.sum(-2) if scene.ratios is not None else found


def receive_beams(X: Tensor, scene: Scene, power: Tensor | float = 1.0) -> Tensor:
    """u_i ∝ C⁻¹ b̄_i (…, N_r, T), or (…, S, N_r, T), of unit norm: the receive beams of the best SCNR."""
    Y = scene.unit(X, power)
    U = scene.received[..., : scene.count].to(Y.device)
    eye = torch.eye(U.shape[-2], dtype=U.dtype, device=U.device)
    u = noise(Y, scene).product(eye, U)
    return u / torch.linalg.vector_norm(u, dim=-2, keepdim=True)


def detection(rho: Tensor, false_alarm: float) -> Tensor:
    """P_D of a constant amplitude, Q₁(√(2ρ), √(−2 ln P_FA)), for ρ of any shape; ρ = L SCNR."""
    from scipy.stats import ncx2  # SciPy's statistics take a second to import

    found = ncx2.sf(-2 * math.log(false_alarm), 2, 2 * rho.cpu().numpy())
    return torch.as_tensor(found, dtype=torch.float64, device=rho.device)


def detection_swerling(rho: Tensor, false_alarm: float) -> Tensor:
    """P_D of a target whose |α|² is exponential with mean ρ (Swerling I), P_FA^{1/(1 + ρ)}."""
    return torch.exp(math.log(false_alarm) / (1 + rho))
