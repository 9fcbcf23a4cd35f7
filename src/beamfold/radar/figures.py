"""All sensing figures of an X at once."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from beamfold.radar.detection import detection, detection_swerling, scnr
from beamfold.radar.fisher import bound
from beamfold.radar.pattern import Measure, lobes
from beamfold.radar.scene import Scene


class Sensed(NamedTuple):
    """What the radar sees of an X, linear and in rad; T targets of D angles."""

    rcrb: Tensor
    """(…, T, D), √CRB."""
    reason: Tensor
    """(…, T, D) int8, why a bound is infinite, of `fisher.REASONS`."""
    scnr: Tensor
    """(…, T), of one snapshot, with the best receive beam."""
    detected: Tensor
    """(…, T), P_D of a constant amplitude."""
    swerling: Tensor
    """(…, T), P_D of Swerling I."""
    gain: Tensor
    """(…, T), power to the target over P_t."""
    pslr: Tensor
    """(…)."""
    islr: Tensor
    """(…)."""


def sense(X: Tensor, scene: Scene, power: Tensor | float = 1.0, measure: Measure = "u") -> Sensed:
    """Every figure of X (…, N, K), or (…, S, N, K) with several frequency ratios, and P_t (…).

    Raises:
        InputError: X of another number of antennas or subcarriers than the scene.
    """
    rcrb, reason = bound(X, scene, power)
    ratio = scnr(X, scene, power)
    rho = scene.snapshots * ratio
    gain, pslr, islr = lobes(X, scene, power, measure)
    return Sensed(
        rcrb,
        reason,
        ratio,
        detection(rho, scene.false_alarm),
        detection_swerling(rho, scene.false_alarm),
        gain,
        pslr,
        islr,
    )
