r"""Closed forms on networks in which every antenna is connected to one chain: F W nearest to a digital X.

With Fᴴ F = D, D_m the antennas of chain m, ‖F W‖² = Σ_m D_m ‖w_m‖² for the rows w_m of W, whatever F is.
So min ‖X − F W‖² over ‖F W‖² = P is a least-squares problem of the scale of D^{1/2} W alone:

    W = c D⁻¹ Fᴴ X,   c = √P / ‖D^{−1/2} Fᴴ X‖,

which for equal sub-arrays is c Fᴴ X with c = √(P M/N)/‖Fᴴ X‖. For a given W the phases are
F_{n m(n)} = e^{j∠(X Wᴴ)_{n m(n)}}, and where the chain of an antenna may be chosen the best one is exactly
argmax_m 2 |(X Wᴴ)_nm| − ‖w_m‖².
"""

from __future__ import annotations

import torch
from torch import Tensor

from beamfold.networks.base import Network

ROUNDS = 30
"""Alternations between W and F of `fitted`."""


def sizes(F: Tensor) -> Tensor:
    """D (…, M, 1), how many antennas are connected to each chain; 1e-300 for none, to divide by."""
    return F.abs().square().sum(-2).clamp_min(1e-300)[..., None]


def digital_least_squares(F: Tensor, X: Tensor) -> Tensor:
    """W = D⁻¹ Fᴴ X (…, M, K), nearest to X (…, N, K), for F with one chain on each antenna."""
    return F.mH @ X / sizes(F)


def digital_step(F: Tensor, X: Tensor, power: Tensor) -> Tensor:
    """W (…, M, K) with ‖F W‖² = P (…) nearest to X (…, N, K), for F with one chain on each antenna."""
    Y = digital_least_squares(F, X)
    norm = (sizes(F) * (Y.real.square() + Y.imag.square())).sum((-2, -1)).sqrt()
    return (power.sqrt() / norm)[..., None, None] * Y


def phases(X: Tensor, W: Tensor, mask: Tensor) -> Tensor:
    """F (…, N, M) with F_nm = e^{j∠(X Wᴴ)_nm} where the mask has a one, for W fixed."""
    G = X @ W.mH
    return torch.where(mask, torch.where(G == 0, torch.ones_like(G), torch.sgn(G)), torch.zeros_like(G))


def assignment(X: Tensor, W: Tensor, allowed: Tensor) -> Tensor:
    """The mask (…, N, M) of the best chain for each antenna, for W fixed: argmax_m 2 |(X Wᴴ)_nm| − ‖w_m‖²."""
    gain = 2 * (X @ W.mH).abs() - W.abs().square().sum(-1)[..., None, :]
    best = torch.where(allowed, gain, -torch.inf).argmax(-1, keepdim=True)
    return torch.zeros_like(gain, dtype=torch.bool).scatter(-1, best, True)


def analog_step(X: Tensor, W: Tensor, network: Network) -> Tensor:
    """F (…, N, M) nearest to X (…, N, K) for W (…, M, K) fixed, one chain on each antenna.

    Phases in closed form; in a dynamic network together with the best chain for each antenna.
    """
    mask = network.mask.to(X.device)
    connected = assignment(X, W, mask) if network.dynamic else mask
    return phases(X, W, connected.expand(*W.shape[:-2], *mask.shape))


def fitted(X: Tensor, power: Tensor, network: Network, F: Tensor) -> Tensor:
    """F (…, N, M) of a network with one chain on each antenna, from F on: W, phases and assignment in turns.

    Args:
        X: (…, N, K), what F W is to be near to.
        power: (…), ‖F W‖².
        network: with `one_chain_each`.
        F: (…, N, M), where to begin; of a dynamic network with one entry for each antenna.
    """
    for _ in range(ROUNDS):
        F = analog_step(X, digital_step(F, X, power), network)
    return F
