"""The sensing objective of a scenario as it is written down: tau, or crb and scnr with what is sensed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beamfold.errors import InputError
from beamfold.files.antennas import array_called
from beamfold.files.directions import Directions, directions
from beamfold.files.entries import ScenarioSpec
from beamfold.radar.goal import SENSING
from beamfold.radar.scene import CNR_DB, FALSE_ALARM, SNAPSHOTS, SNR_DB, Scene, make_scene

if TYPE_CHECKING:
    from beamfold.arrays import Array
    from beamfold.sensing import Sensing

OF_SCENE = ("target_snr_db", "snapshots", "clutter_deg", "clutter_db", "receive_array")
"""Entries that describe what is sensed."""


def of_goal(spec: ScenarioSpec, radar: Sensing) -> dict[str, Any]:
    """What `make_scenario` is told of sensing; nothing for τ.

    Raises:
        InputError: an unknown objective, entries of a scene beside τ, or a scene that `make_scene` refuses.
    """
    sensing = spec.sensing or SENSING[0]
    if sensing not in SENSING:
        raise InputError(f"sensing is {', '.join(SENSING)}; got {sensing[:50]!r}")
    stated = [name for name in OF_SCENE if getattr(spec, name) is not None]
    if sensing == "tau":
        if stated:
            raise InputError(
                f"{', '.join(stated)} is for the sensing objectives crb and scnr, this one is tau"
            )
        return {}
    if not radar.targets:
        raise InputError(
            "Psi states no targets to sense; give --targets-deg, or a Psi that was solved for them"
        )
    targets = [list(t) if isinstance(t, tuple) else t for t in radar.target_angles.rad2deg().tolist()]
    return {"sensing": sensing, "scene": written_scene(spec, radar.array, targets)}


def written_scene(
    spec: ScenarioSpec, array: Array, targets: Directions, false_alarm: float = FALSE_ALARM
) -> Scene:
    """The scene of directions in degrees and of the entries that are stated, with the defaults elsewhere.

    Raises:
        InputError: as `make_scene` says, or no such receive array.
    """
    receive = None if spec.receive_array is None else array_called(spec.receive_array, array.antennas)
    return make_scene(
        array,
        _as_seen(array, targets),
        target_snr_db=spec.target_snr_db or SNR_DB,
        receive=receive,
        clutter_deg=_as_seen(array, spec.clutter_deg or []),
        clutter_db=spec.clutter_db or CNR_DB,
        snapshots=SNAPSHOTS if spec.snapshots is None else spec.snapshots,
        false_alarm=false_alarm,
    )


def _as_seen(array: Array, found: Directions) -> Any:
    """Azimuths, or pairs with elevation 0 where an array that sees elevation is given azimuths alone."""
    degrees = directions(found)
    return degrees if array.is_line else [(x, 0.0) if isinstance(x, float) else tuple(x) for x in degrees]
