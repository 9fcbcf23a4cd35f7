r"""`Band`: the subcarriers of a wideband scenario, their frequencies, Ψ and the rule of the power.

One F serves the whole band, W_s is each subcarrier's own: X_s = F W_s, s = 1 … S. With f_s the frequencies
and r_s = f_s/f_c their ratios to the carrier's, the figures of a design are means,

    R = (1/S) Σ_s R_s,   τ = (1/S) Σ_s ‖X_s X_sᴴ − P_t Ψ_s‖²,

and the power P_t is kept by one of two rules:

* "subcarrier": ‖X_s‖² = P_t on every subcarrier;
* "band": Σ_s ‖X_s‖² = S P_t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

from beamfold.errors import InputError
from beamfold.sensing import Sensing

PowerRule = Literal["subcarrier", "band"]


@dataclass(frozen=True, eq=False)
class Band:
    """The subcarriers of a scenario. `make_scenario` makes one from frequencies.

    Attributes:
        frequencies: f_s (S,) float64, Hz, increasing.
        carrier: f_c in Hz, at which the array's positions are in wavelengths.
        rule: "subcarrier" or "band", see above.
        each: Ψ_s of every subcarrier, or None where one Ψ serves all.

    Raises:
        InputError: frequencies that are not finite, positive and increasing, a carrier that is not positive,
            an unknown rule, or another number of Ψ than of frequencies.
    """

    frequencies: Tensor
    carrier: float
    rule: PowerRule = "subcarrier"
    each: tuple[Sensing, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what is no band."""
        f = self.frequencies
        if f.ndim != 1 or len(f) == 0 or not bool(torch.isfinite(f).all()) or not float(f[0]) > 0:
            raise InputError("frequencies of a band are positive finite numbers in Hz, one per subcarrier")
        wrong = torch.nonzero(f[1:] <= f[:-1]).flatten().tolist()
        if wrong:
            i = wrong[0]
            raise InputError(
                f"frequencies of a band increase: subcarrier {i + 1} has {float(f[i + 1]):g} Hz after "
                f"{float(f[i]):g} Hz; sort the subcarriers"
            )
        if not (math.isfinite(self.carrier) and self.carrier > 0):
            raise InputError(f"the carrier is a positive frequency in Hz, got {self.carrier}")
        if self.rule not in get_args(PowerRule):
            raise InputError(f"no power rule {self.rule!r}; known: {', '.join(get_args(PowerRule))}")
        if self.each is not None and len(self.each) != len(f):
            raise InputError(
                f"{len(self.each)} covariances Psi for {len(f)} subcarriers; give one or {len(f)}"
            )

    @property
    def subcarriers(self) -> int:
        """S."""
        return len(self.frequencies)

    @cached_property
    def ratios(self) -> tuple[float, ...]:
        """r_s = f_s/f_c."""
        return tuple((self.frequencies / self.carrier).tolist())

    @cached_property
    def Psi(self) -> Tensor | None:
        """Ψ_s (S, N, N), or None where one serves all."""
        return None if self.each is None else torch.stack([radar.Psi for radar in self.each])

    def to(self, device: torch.device | str | None, dtype: torch.dtype | None) -> Band:
        """The same with every Ψ on another device, in another complex precision."""
        if self.each is None:
            return self
        return replace(self, each=tuple(radar.to(device, dtype) for radar in self.each))

    def gain(self, X: Tensor, power: Tensor) -> Tensor:
        """The factors (…, S) that bring X (…, S, N, K) to the power (…) by the rule."""
        norm = torch.linalg.matrix_norm(X)
        if self.rule == "band":
            norm = (norm.square().mean(-1, keepdim=True)).sqrt().expand(norm.shape)
        return power.sqrt()[..., None] / norm

    def power_error(self, X: Tensor, power: Tensor) -> Tensor:
        """How far X (…, S, N, K) is from the rule at the power (…), relative to it; the worst s; (…)."""
        share = torch.linalg.matrix_norm(X).square() / power[..., None]
        if self.rule == "band":
            return (share.mean(-1) - 1).abs()
        return (share - 1).abs().amax(-1)


def side_by_side(X: Tensor) -> Tensor:
    """[X_1, …, X_S] (…, N, S K) of X (…, S, N, K)."""
    return X.movedim(-3, -2).flatten(-2)


def apart(W: Tensor, subcarriers: int) -> Tensor:
    """W_s (…, S, M, K) of [W_1, …, W_S] (…, M, S K): the inverse of `side_by_side`."""
    return W.reshape(*W.shape[:-1], subcarriers, -1).movedim(-2, -3)
