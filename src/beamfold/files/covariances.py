"""Solved Ψ in the user's cache folder: `cached_covariance` is `solve_covariance` that remembers its results.

One file per request. Its name is a hash of the request and of the sources of the solver, so that a changed
solver never meets a result of the old one.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from beamfold import cache
from beamfold.arrays import Array as AntennaArray
from beamfold.arrays import line_array
from beamfold.covariance import solve_band, solve_covariance
from beamfold.covariance.problem import check_antennas
from beamfold.files.arrays import Array, read_arrays
from beamfold.files.atomic import DiskError, FileError, write
from beamfold.sensing import Sensing

SLOW = 400
"""N from which solving (6) takes several seconds."""
FOLDER = "covariances"
"""Subfolder of the cache."""
SOURCES = ("beamfold.covariance", "beamfold.sensing", "beamfold.arrays")
"""What a result depends on besides its request."""


def cached_covariance(antennas: int | AntennaArray, *args: Any, **options: Any) -> Sensing:
    """Ψ of (6), as `solve_covariance` returns it for the same arguments, from the cache where it is there.

    A file that is damaged is solved for again and replaced. Where the cache folder cannot be used, every Ψ is
    solved, with one note.

    Raises:
        InputError, RuntimeError: as `solve_covariance` does.
    """
    array = antennas if isinstance(antennas, AntennaArray) else line_array(check_antennas(antennas))
    path = _path(antennas, *args, **options)
    if path is not None and path.exists():
        try:
            found = _read(path, array, options.get("solver", "fast"), options.get("ratio", 1.0))
        except (OSError, FileError) as error:
            cache.say_once(f"note: {error}; Psi is solved again")
        else:
            cache.mark_used(path)
            return found
    if array.antennas >= SLOW:
        cache.say_once(f"note: solving problem (6) for N = {array.antennas}, which takes long")
    solved = solve_covariance(antennas, *args, **options)
    if path is not None:
        _keep(path, solved)
    return solved


def cached_band(
    antennas: int | AntennaArray, *args: Any, ratios: Iterable[float], **options: Any
) -> tuple[Sensing, ...]:
    """Ψ_s of every subcarrier, as `solve_band` returns them, each from the cache where it is there."""
    return solve_band(antennas, *args, ratios=ratios, solve=cached_covariance, **options)


def _path(*args: Any, **options: Any) -> Path | None:
    """The file of a request, whether it exists or not; None where there is no cache folder."""
    request = inspect.signature(solve_covariance).bind(*args, **options)
    request.apply_defaults()
    given = request.arguments
    try:
        given["targets_deg"] = np.asarray(given["targets_deg"], dtype=float).tolist()
    except ValueError:  # the solver says what is wrong with them
        return None
    if isinstance(given["antennas"], AntennaArray):
        given["antennas"] = given["antennas"].positions.tolist()
    if given["near"] is not None:
        given["near"] = hashlib.sha256(given["near"].Psi.numpy().tobytes()).hexdigest()
    place = cache.folder(FOLDER)
    if place is None:
        return None
    text = json.dumps(given, sort_keys=True, default=float)
    try:
        name = hashlib.sha256((cache.fingerprint(SOURCES) + text).encode()).hexdigest()[:32]
    except OSError as error:  # a program that was frozen without its sources
        cache.unusable(place, f"no sources: {error}")
        return None
    return place / f"{name}.npz"


def _keep(path: Path, radar: Sensing) -> None:
    """Write a result, and remove those that were not used for long; failing is no error."""
    assert radar.desired is not None
    arrays: dict[str, Any] = {
        "Psi": radar.Psi.numpy(),
        "targets": np.array(radar.targets),
        "angles": radar.angles.numpy(),
        "desired": radar.desired.numpy(),
        "figures": np.array([radar.scale, radar.objective, radar.gap]),
    }

    def save(target: Path) -> None:
        with target.open("wb") as stream:
            np.savez(stream, **arrays)  # random digits, which compression makes no smaller

    try:
        write(path, save)
    except (OSError, FileError, DiskError) as error:
        cache.unusable(path.parent, str(error))
        return
    with suppress(OSError):
        cache.remove_unused(path.parent.iterdir())


def _read(path: Path, array: AntennaArray, solver: str, ratio: float) -> Sensing:
    """The result in a file.

    Raises:
        FileError: it does not hold what `_keep` writes.
    """
    arrays = read_arrays(path)
    shapes = {name: value.shape for name, value in arrays.items()}
    T = len(arrays["angles"]) if "angles" in arrays else 0
    N, each = array.antennas, () if array.is_line else (2,)
    expected = {"Psi": (N, N), "angles": (T, *each), "desired": (T,), "figures": (3,)}
    if T < 2 or any(shapes.get(name) != shape for name, shape in expected.items()) or "targets" not in arrays:
        raise FileError(f"{path} is damaged: it holds {shapes}")
    if not all(np.isfinite(value).all() for value in arrays.values()) or not _is_covariance(arrays["Psi"]):
        raise FileError(f"{path} is damaged: its Psi is not Hermitian with trace 1")
    scale, objective, gap = arrays["figures"].tolist()
    return Sensing(
        torch.from_numpy(arrays["Psi"]),
        tuple(tuple(t) if isinstance(t, list) else t for t in arrays["targets"].tolist()),
        torch.from_numpy(arrays["angles"]),
        torch.from_numpy(arrays["desired"]),
        scale=scale,
        objective=objective,
        gap=gap,
        solver=solver,
        array=array,
        ratio=ratio,
    )


def _is_covariance(Psi: Array) -> bool:
    """Whether Ψ is complex128, Hermitian and of trace 1, up to rounding."""
    N = len(Psi)
    if Psi.dtype != np.complex128 or abs(np.trace(Psi) - 1) > 1e-12 * N:
        return False
    return bool(np.abs(Psi - Psi.conj().T).max() <= 1e-12)
