"""How well the angles of Ψ's targets can be known."""

from __future__ import annotations

from torch import Tensor

from beamfold.measures import Measure
from beamfold.radar.fisher import bound
from beamfold.result import Design
from beamfold.scenario import sensed_by


def rcrb(d: Design) -> Tensor:
    """√CRB (…) in degrees of the target and angle that are known least, for the scene of `sensed_by`."""
    s = d.scenario
    return bound(d.X, sensed_by(s), s.power).rcrb.flatten(-2).amax(-1).rad2deg()


MEASURE = Measure("rcrb", rcrb, "RCRB [deg]", "root Cramer-Rao bound of the worst target's angle, in degrees")
