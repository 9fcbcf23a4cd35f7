"""What is sensed, as a design file states it where its goal is another one than τ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from beamfold.files.arrays import numbers, text
from beamfold.files.atomic import FileError
from beamfold.radar.scene import Scene
from beamfold.verifier_scene import HeldScene

KIND = "sensing"
SCENE = (
    KIND, "scene_targets", "scene_amplitudes", "scene_clutter", "scene_cnr", "scene_receive",
    "scene_snapshots", "scene_common",
)  # fmt: skip
"""Names of the entries: angles in rad, α_i √P_t/σ, γ_c P_t/σ², receive antennas in wavelengths, L."""


def scene_arrays(scene: Scene) -> dict[str, Any]:
    """The entries of a scene, all but the goal's name."""
    values: tuple[Any, ...] = (
        scene.targets.numpy(), scene.amplitudes.numpy(), scene.clutter.numpy(), scene.cnr.numpy(),
        scene.receive.positions.numpy(), scene.snapshots, int(scene.band == "common"),
    )  # fmt: skip
    stated = dict(zip(SCENE[1:], values, strict=True))
    return {name: value for name, value in stated.items() if np.size(value)}


def scene_in(path: Path, held: Mapping[str, Any]) -> HeldScene | None:
    """The scene that a file states; None where its goal is τ, or where it was written without a scene.

    Raises:
        FileError: entries that do not fit each other.
    """
    kind = text(held, KIND)
    arrays = {"scene_clutter": np.zeros(0), "scene_cnr": np.zeros(0), **numbers(held)}
    if kind not in ("crb", "scnr") or not set(SCENE[1:]) <= set(arrays):
        return None
    receive = arrays["scene_receive"]
    amplitudes, cnr = arrays["scene_amplitudes"].ravel(), arrays["scene_cnr"].ravel()
    targets, clutter = (
        _directions(path, arrays[name], len(each))
        for name, each in (("scene_targets", amplitudes), ("scene_clutter", cnr))
    )
    if receive.ndim != 2 or receive.shape[1] != 3 or not len(amplitudes):
        raise FileError(f"{path}: scene_receive {receive.shape} or {len(amplitudes)} targets: not a scene")
    snapshots, common = (int(arrays[name].ravel()[0]) for name in SCENE[-2:])
    return HeldScene(kind, targets, amplitudes, clutter, cnr, receive, snapshots, bool(common))


def _directions(path: Path, found: Any, count: int) -> Any:
    """(count,) azimuths, or (count, 2) with elevations."""
    if found.size not in (count, 2 * count) or found.dtype.kind == "c":
        raise FileError(f"{path}: {found.shape} angles of a scene for {count} amplitudes")
    shaped = found.reshape(count, -1) if count else found.reshape(0)
    return shaped[:, 0] if count and shaped.shape[1] == 1 else np.asarray(shaped, np.float64)
