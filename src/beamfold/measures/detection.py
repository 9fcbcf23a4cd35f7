"""How often Ψ's targets are found."""

from __future__ import annotations

from torch import Tensor

from beamfold.measures import Measure
from beamfold.radar.detection import detection as of_constant
from beamfold.radar.detection import scnr
from beamfold.result import Design
from beamfold.scenario import sensed_by


def detection(d: Design) -> Tensor:
    """P_D (…) of the target that is found least, of constant amplitude, for the scene of `sensed_by`."""
    s = d.scenario
    scene = sensed_by(s)
    rho = scene.snapshots * scnr(d.X, scene, s.power)
    return of_constant(rho.amin(-1), scene.false_alarm)


MEASURE = Measure("detection", detection, "P_D", "probability that the worst target is detected")
