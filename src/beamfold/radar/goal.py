"""`Goal`: sensing as one thing of a scenario, other than τ: its value, its gradient in X, and its limits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from beamfold.errors import InputError
from beamfold.radar.criteria import Criterion, crb, log_bounds, log_scnr, scnr_sum
from beamfold.radar.scene import Scene, scene_of
from beamfold.sensing import Sensing

Kind = Literal["crb", "scnr"]
SENSING = ("tau", "crb", "scnr")
"""What a design can sense for: the first is no `Goal`, but R − ω τ of the paper."""
LABELS: dict[str, str] = {"crb": "R + w log2 det J", "scnr": "R + w sum log2 SCNR"}
"""The objectives in one line."""


@dataclass(frozen=True, eq=False)
class Goal:
    """c(X) of the objective R + ω c: log₂ det J for "crb", Σ_i log₂ SCNR_i for "scnr"; see `criteria`.

    Attributes:
        kind: "crb" or "scnr".
        scene: what is sensed.
    """

    kind: Kind
    scene: Scene

    @property
    def label(self) -> str:
        """The objective in one line."""
        return LABELS[self.kind]

    def measure(self, X: Tensor, power: Tensor) -> Criterion:
        """c (…) and ∂c/∂X* of X (…, N, K), or (…, S, N, K) on a band, at P_t (…)."""
        return (crb if self.kind == "crb" else scnr_sum)(X, self.scene, power)

    def on_band(self, ratios: tuple[float, ...] | None) -> Goal:
        """The same at the frequencies of a band."""
        return self if ratios == self.scene.ratios else Goal(self.kind, replace(self.scene, ratios=ratios))

    def excess(self, X: Tensor, power: Tensor, limit: float) -> list[Criterion]:
        """g_i ≤ 0 where a limit is kept, each with its gradient: in nepers, so that all are of one size.

        Args:
            X: (…, N, K).
            power: (…).
            limit: of "crb" the largest √CRB of an angle, in rad: g = ln(√CRB_i/limit). Of "scnr" the least
                SCNR of a target, linear: g = ln(limit/SCNR_i).
        """
        if self.kind == "crb":
            each = log_bounds(X, self.scene, power)
            return [Criterion(c.value / 2 - math.log(limit), c.gradient / 2) for c in each]
        each = log_scnr(X, self.scene, power)
        return [Criterion(math.log(limit) - c.value, -c.gradient) for c in each]


def goal_named(
    sensing: str, scene: Scene | None, radar: Sensing, ratios: tuple[float, ...] | None
) -> Goal | None:
    """The goal of a scenario, None for τ; arguments as for `make_scenario`, the band by its ratios f_s/f_c.

    Raises:
        InputError: no such objective, a scene beside τ, or one for another array.
    """
    if sensing not in SENSING:
        raise InputError(f"no sensing objective {sensing[:50]!r}; known: {', '.join(SENSING)}")
    if sensing == "tau":
        if scene is not None:
            raise InputError("a scene is for sensing='crb' or 'scnr'; tau knows Psi alone")
        return None
    scene = scene_of(radar) if scene is None else scene
    if not scene.array.same_as(radar.array):
        raise InputError(
            f"the scene is for the array {scene.array.name}, Psi for {radar.array.name}; take one array"
        )
    return Goal("crb" if sensing == "crb" else "scnr", scene).on_band(ratios)
