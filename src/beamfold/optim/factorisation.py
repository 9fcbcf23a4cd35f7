r"""X ≈ F W on an analog network: what the methods share that approximate a digital precoder X.

Each has a step of its own in F. The step in W for F fixed is common: min_W ‖X − F W‖² by W = F^† X, which is
D⁻¹ Fᴴ X on sub-arrays, where Fᴴ F = D is diagonal.
"""

from __future__ import annotations

import torch
from torch import Tensor

from beamfold.band import apart, side_by_side
from beamfold.errors import InputError
from beamfold.networks import Network
from beamfold.networks.fit import digital_least_squares
from beamfold.optim.matrices import least_squares
from beamfold.result import FEASIBLE
from beamfold.scenario import Scenario
from beamfold.start import STARTS, over_band


def nearest_digital(F: Tensor, X: Tensor, network: Network) -> Tensor:
    """W (…, M, K) that minimises ‖X − F W‖ for F (…, N, M) on the network; of least norm where several do."""
    closed = network.one_chain_each and not network.full
    return digital_least_squares(F, X) if closed else least_squares(F, X)


def as_one(s: Scenario, X: Tensor) -> Tensor:
    """X (…, N, K) as the one matrix that F W is to be near to: on a band [X_1, …, X_S] (…, N, S K).

    ‖[X_1, …, X_S] − F [W_1, …, W_S]‖² is the sum of the subcarriers' ‖X_s − F W_s‖².
    """
    return X if s.band is None else side_by_side(X)


def scaled(s: Scenario, F: Tensor, W: Tensor) -> Tensor:
    """W (…, M, K) of F [W_1, …, W_S] (…, M, S K), at the power of (7c); on a band (…, S, M, K)."""
    each = W if s.band is None else apart(W, s.subcarriers)
    return s.to_power(s.transmitted(F, each), each)


def connections(s: Scenario) -> Tensor:
    """B (N, M) bool of the network; of a dynamic one (…, N, M), those of the start (26) for each channel."""
    return STARTS["proposed"](s).F != 0 if s.network.dynamic else s.network.mask.to(s.H.device)


def start_phases(s: Scenario, X: Tensor, start: str | Tensor) -> Tensor:
    """F (…, N, M) to start from, on the network.

    Args:
        s: the scenario.
        X: (…, N, K), what F W is to be near to; on a band (…, S, N, K).
        start: "target" (the phases of X's columns, then those of (26)'s columns beyond K), a name of
            `beamfold.start.STARTS`, or F (…, N, M) itself, whose phases are taken.

    Raises:
        InputError: an unknown name, an F of another shape, or one that is not on the network.
    """
    if isinstance(start, Tensor):
        expected = (*s.batch, s.antennas, s.chains)
        if start.shape != expected:
            raise InputError(f"the start F is {tuple(start.shape)}, expected {expected}")
        F = torch.sgn(start.to(X.dtype))
        off = float(s.network.violation(F).max())
        if not off <= FEASIBLE:
            raise InputError(
                f"the start F is not on the network {s.network.label}: an entry is {off:.2g} away from what "
                "is allowed; give zeros exactly where an antenna is not connected to a chain"
            )
        return F
    if start == "target":
        begin = STARTS["proposed"](s).F
        # The zeros of (26)'s columns beyond K have no phase, and the mask takes them out in any case.
        columns = X if s.band is None else over_band(X.mH)
        F = torch.exp(1j * torch.cat([columns, begin[..., s.columns :]], -1).angle())
        return F if s.network.full else torch.where(begin == 0, torch.zeros_like(F), F)
    if start not in STARTS:
        raise InputError(f"no start {start!r}; known: target, {', '.join(STARTS)}")
    return STARTS[start](s).F
