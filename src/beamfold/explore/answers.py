"""What the page draws of a design: numbers, and patterns and phases packed into few bytes."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from beamfold.metrics import covariance_pattern, power_along
from beamfold.objective import user_rates
from beamfold.radar.fisher import bound
from beamfold.radar.scene import Scene
from beamfold.result import Design, Fault, Status
from beamfold.scenario import Scenario
from beamfold.sensing import Sensing, angle_grid
from beamfold.styles import label

CURVE, ROWS, MAP = 721, 361, 73
"""Angles of a curve over azimuth, of a picture over frequency, and along each axis of a map."""
FREQUENCIES = 48
"""Subcarriers at most that are drawn."""
FLOOR_DB, DEPTH_DB = -60.0, 40.0
"""What counts as no power, and how far below its top a picture reaches."""


@dataclass(frozen=True, eq=False)
class View:
    """The directions in which a scenario's patterns are drawn, with their steering vectors.

    Attributes:
        s: a scenario; only its array and its band count.
    """

    s: Scenario

    @property
    def line(self) -> bool:
        """Whether a direction is an azimuth alone."""
        return self.s.array.is_line

    @cached_property
    def drawn(self) -> list[int]:
        """The subcarriers that are drawn, evenly spread over the band."""
        S = self.s.subcarriers
        return np.linspace(0, S - 1, min(S, FREQUENCIES)).round().astype(int).tolist()

    @cached_property
    def angles(self) -> Tensor:
        """(T,), or (T², 2) of a map."""
        axis = angle_grid((CURVE if self.s.band is None else ROWS) if self.line else MAP)
        return axis if self.line else torch.cartesian_prod(axis, axis)

    @cached_property
    def ratios(self) -> list[float]:
        """r of the subcarriers that are drawn."""
        return [1.0] if self.s.band is None else [self.s.band.ratios[i] for i in self.drawn]

    @cached_property
    def steering(self) -> Tensor:
        """(subcarriers, T, N)."""
        return torch.stack([self.s.array.steering(self.angles, r) for r in self.ratios])

    def pattern(self, X: Tensor, power: Tensor) -> Tensor:
        """p(θ)/P_t (subcarriers, T) of X (N, K), or (S, N, K) on a band."""
        each = X[None] if self.s.band is None else X[self.drawn]
        return power_along(self.steering, each) / power

    @lru_cache(maxsize=64)  # noqa: B019  a view lives as long as the explorer
    def wanted(self, radar: Sensing) -> str:
        """Ψ's own pattern in dB, packed; that of the carrier on a band."""
        return decibels(covariance_pattern(radar.Psi, self.angles, self.s.array))


def decibels(pattern: Tensor) -> str:
    """10 log₁₀ p in hundredths of a dB, 16 bits each, in base64."""
    db = (10 * torch.log10(pattern)).clamp(FLOOR_DB, -FLOOR_DB)
    return packed((100 * db).round().numpy().astype("<i2"))


def shades(pattern: Tensor) -> dict[str, Any]:
    """A picture: 10 log₁₀ p from `DEPTH_DB` below a top that is a multiple of 5 dB, as bytes."""
    db = (10 * torch.log10(pattern)).clamp_min(FLOOR_DB)
    top = 5 * math.ceil(float(db.max()) / 5)
    scaled = ((db - top + DEPTH_DB) * (255 / DEPTH_DB)).clamp(0, 255)
    return {"top": top, "bottom": top - DEPTH_DB, "values": packed(scaled.round().numpy().astype(np.uint8))}


def packed(values: Any) -> str:
    """The bytes of an array in base64."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def plain(value: float) -> float | None:
    """A number as JSON has it, None for NaN and Inf."""
    return value if math.isfinite(value) else None


def answer(d: Design, view: View, scene: Scene | None) -> dict[str, Any]:
    """What the page shows of the design of one channel, in a scenario whose batch is that channel."""
    s = d.scenario
    rates = user_rates(s.H, d.X, s.noise, s.per_user)[0]
    found: dict[str, Any] = {
        "method": label(d.label),
        "rate": plain(float(d.rate)),
        "tau": plain(float(d.tau)),
        "objective": plain(float(d.objective)),
        "users": [plain(r) for r in (rates if s.band is None else rates.mean(0)).tolist()],
        "status": Status(int(d.status)).label.replace("_", " "),
        "advice": Status(int(d.status)).advice,
        "faults": [f.advice for f in Fault if f and f & int(d.faults)],
        "seconds": d.seconds,
    }
    if scene is not None:
        found["rcrb_deg"] = [plain(v) for v in bound(d.X, scene, s.power).rcrb[0].amax(-1).rad2deg().tolist()]
    p = view.pattern(d.X[0], s.power)
    if view.line:
        found["pattern"], found["wanted"] = decibels(p.mean(0)), view.wanted(s.radar)
    if s.band is not None and view.line:
        found["map"] = shades(p)
    elif not view.line:
        found["map"] = shades(p.mean(0).reshape(MAP, MAP).T)
    return found | {"phases": _phases(d)}


def _phases(d: Design) -> dict[str, Any] | None:
    """∠F, one byte an entry: 0 where a chain is not connected, else 1 to 255 from −π to π."""
    if d.F is None:
        return None
    F = d.F[0]
    turn = (F.angle() + math.pi) / (2 * math.pi)
    byte = torch.where(F == 0, 0, 1 + (254 * turn).round().clamp(0, 254))
    return {"shape": list(F.shape), "values": packed(byte.T.numpy().astype(np.uint8))}
