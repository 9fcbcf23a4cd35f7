"""Design files: F, W and their figures as NumPy and MATLAB open them, written and read back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from beamfold.defaults import POWER_RULE
from beamfold.files.arrays import Array, numbers, read_all, text, write_arrays
from beamfold.files.atomic import FileError, Pathlike
from beamfold.files.bands import CARRIER, ENTRY, band_entries, frequencies_in
from beamfold.files.masks import mask_arrays, mask_in
from beamfold.files.scenes import SCENE, scene_arrays, scene_in
from beamfold.measures import Measure
from beamfold.result import FAULT_CODES, STATUS_CODES, Design, Fault, Status
from beamfold.verifier_scene import HeldScene

FORMER = {
    0: (Status.ITERATION_LIMIT, Fault.NONE),
    1: (Status.CONVERGED, Fault.NONE),
    2: (Status.CLOSED_FORM, Fault.NONE),
    3: (Status.ITERATION_LIMIT, Fault.BELOW_START),
    4: (Status.ITERATION_LIMIT, Fault.INFEASIBLE),
    5: (Status.DIVERGED, Fault.NONE),
}
"""What the numbers of `status` meant in files without `faults`, those of version 0.1.0.

There 0 meant "all layers ran" or "the iteration limit", which the method's name tells apart.
"""
LAYERED = ("unfolded", "pga", "conventional_pga")
POWER = "power_rule"


def design_arrays(design: Design) -> dict[str, Any]:
    """The arrays of a design file.

    `F` (…, N, M), `W` (…, M, K), `rate`, `tau`, `objective`, `mse`, `status` (…), with the batch axes in
    front and an SNR axis before them where several were asked for; `snr_db` (S,), `weight`, `noise`,
    `method`; `Psi` (N, N) at unit power, the `angles_deg` (T,) of its grid, on which `mse` is taken, its
    `targets_deg` and its `solver`, "" where it is a matrix of the user's. A fully digital design has no
    `F`, and its `W` (…, N, K) is X itself. On a band `W` is (…, subcarriers, M, K), or (…, subcarriers, N,
    K); `frequencies` (subcarriers,) and `carrier` are in Hz, `power_rule` says what the power P_t is of, and
    `Psi` is (subcarriers, N, N) where each has its own.
    """
    s = design.scenario
    arrays: dict[str, Any] = {
        "W": design.W.cpu().numpy(),
        "rate": design.rate.cpu().numpy(),
        "tau": design.tau.cpu().numpy(),
        "objective": design.objective.cpu().numpy(),
        "status": design.status.cpu().numpy(),
        "status_codes": STATUS_CODES,
        "faults": design.faults.cpu().numpy(),
        "fault_codes": FAULT_CODES,
        "snr_db": np.array([snr_db for snr_db, _ in s.levels()]),
        "weight": float(s.weight.reshape(-1)[0]),
        "noise": s.noise,
        "method": design.method,
        "Psi": s.Psi.cpu().numpy(),
        "positions": s.array.positions.cpu().numpy(),
        "mse": design.mse.cpu().numpy(),
        "angles_deg": np.rad2deg(s.radar.angles.cpu().numpy()),
        "targets_deg": np.rad2deg(np.array(s.radar.targets)),
        "solver": s.radar.solver,
    }
    if s.band is not None:
        arrays |= {**band_entries(s.band.frequencies, s.band.carrier), POWER: s.band.rule}
    if s.goal is not None:  # not R - omega tau, which `objective` states
        arrays |= {"sensing": s.goal.kind, "sensing_objective": arrays.pop("objective")}
        arrays |= scene_arrays(s.goal.scene)
    if not s.network.usual:
        arrays |= mask_arrays(s.network)
    if s.per_user.sensing:
        arrays |= {"sensing_streams": s.per_user.sensing, "known_to_users": int(s.per_user.known)}
    if not s.per_user.single:
        arrays |= {"receive": s.per_user.receive, "streams": s.per_user.streams}
    if design.F is not None:
        arrays["F"] = design.F.cpu().numpy()
    return arrays


def write_design(path: Pathlike, design: Design, facts: Mapping[str, Any] | None = None) -> None:
    """One design as `.mat` or `.npz`, and what else is to stand in the file."""
    write_arrays(Path(path), {**design_arrays(design), **(facts or {})})


def write_designs(path: Pathlike, designs: list[Design], facts: Mapping[str, Any] | None = None) -> None:
    """Several methods' designs of one scenario in one file, their arrays prefixed by the method's name."""
    shared = ("snr_db", "weight", "noise", "Psi", "positions", "angles_deg", "targets_deg", "solver")
    each = ("receive", "streams", "mask", "bits", "dynamic", "network", ENTRY, CARRIER, POWER)
    arrays: dict[str, Any] = dict(facts or {})
    for design in designs:
        own = design_arrays(design)
        arrays.update({key: own.pop(key) for key in (*shared, *each) if key in own})
        arrays.update({key: own.pop(key) for key in SCENE if key in own})
        own.pop("method")
        arrays.update({f"{design.label}_{key}": value for key, value in own.items()})
    write_arrays(Path(path), arrays)


class HeldDesign(NamedTuple):
    """One method's designs of a file, S SNRs of B channels one after another, as the file states them."""

    F: Array | None
    """(S·B, N, M), None for a fully digital design."""
    W: Array
    """(S·B, M, K), or X (S·B, N, K); on a band with an axis of subcarriers behind the first."""
    stated: dict[str, Array]
    """"rate", "tau", "objective" (of the file's sensing goal) and "mse" (S·B,); those that the file lacks are
    left out."""
    Psi: Array
    """(N, N), or with a first axis of subcarriers."""
    power: Array
    """(S·B,), P_t."""
    noise: float
    weight: float
    """ω, NaN where the file lacks it."""
    angles: Array
    """(T,), or (T, 2) with elevations, the grid of `mse` in rad; empty where the file lacks it."""
    positions: Array | None
    """(N, 3), the antennas in wavelengths; None where the file lacks them."""
    network: tuple[Array, int, bool] | None
    """Mask (N, M), bits (0 for continuous phases), whether it is dynamic; None for the paper's network."""
    ratios: Array | None
    """The frequencies of a band over its carrier; None for flat channels."""
    power_rule: str
    status: Array | None
    """(S·B,) of `Status`, None where the file has none."""
    faults: Array | None
    """(S·B,) of `Fault`."""
    scene: HeldScene | None
    """What is sensed by another goal than τ."""


def streams_in(path: Path) -> int | None:
    """The streams to each user of a file of designs for users with several antennas, else None."""
    held = read_all(path)
    return int(held["streams"].reshape(-1)[0]) if "streams" in held else None


def sensing_in(path: Path) -> tuple[int, bool]:
    """D, the sensing streams of a file of designs, and whether the users know them."""
    held = read_all(path)
    if "sensing_streams" not in held:
        return 0, False
    return int(held["sensing_streams"].reshape(-1)[0]), bool(held["known_to_users"].reshape(-1)[0])


def read_designs(path: Path, channels: int, columns: int, antennas: int) -> dict[str, HeldDesign]:
    """The designs of a file of `write_design` or `write_designs` by the method's name, raw.

    Args:
        path: `.mat` or `.npz`.
        channels: B, of the channels that they were made for.
        columns: K d, of W.
        antennas: N.

    Raises:
        FileError: not a design file, or one whose arrays do not fit the channels or each other.
    """
    held = read_all(path)
    arrays = numbers(held)
    prefixes = sorted(name.removesuffix("W") for name in arrays if name == "W" or name.endswith("_W"))
    if not prefixes or not {"Psi", "snr_db", "noise"} <= set(arrays):
        raise FileError(f"{path} is not a design file: it lacks W, Psi, snr_db or noise")
    snr_db = _reals(path, arrays, "snr_db")
    noise = _reals(path, arrays, "noise")
    count = len(snr_db) * channels
    theirs = (*arrays[f"{prefixes[0]}W"].shape[-1:], *arrays["Psi"].shape[-1:])
    band = frequencies_in(path, arrays)
    each = () if band is None else (len(band.ratios),)
    if theirs != (columns, antennas) or arrays["Psi"].shape not in {
        (antennas, antennas),
        (*each, antennas, antennas),
    }:
        raise FileError(f"{path}: designs for (K, N) = {theirs}, the channels have {(columns, antennas)}")
    if noise.size != 1 or count == 0:
        raise FileError(f"{path}: {len(snr_db)} snr_db and {noise.size} noise, expected some and one")
    with np.errstate(over="ignore"):
        power = np.repeat(float(noise[0]) * 10 ** (snr_db / 10), channels)
    weight = float(_reals(path, arrays, "weight", 1)[0]) if "weight" in arrays else math.nan
    angles = _reals(path, arrays, "angles_deg")
    if "angles_deg" in arrays and arrays["angles_deg"].shape[-1:] == (2,) and arrays["angles_deg"].ndim == 2:
        angles = angles.reshape(-1, 2)
    positions = arrays.get("positions")
    if positions is not None and (positions.shape != (antennas, 3) or positions.dtype.kind == "c"):
        raise FileError(f"{path}: positions are {positions.shape}, expected ({antennas}, 3) real numbers")
    network = mask_in(path, arrays, antennas)
    scene, found = scene_in(path, held), {}
    for prefix in prefixes:
        F = _fitted(path, arrays, f"{prefix}F", (count, antennas, -1)) if f"{prefix}F" in arrays else None
        rows = antennas if F is None else F.shape[2]
        W = _fitted(path, arrays, f"{prefix}W", (count, *each, rows, columns))
        stated = _stated(path, arrays, prefix, count, "objective" if scene is None else "sensing_objective")
        name = prefix.rstrip("_") or "design"
        found[name] = HeldDesign(
            F,
            W,
            stated,
            arrays["Psi"],
            power,
            float(noise[0]),
            weight,
            np.deg2rad(angles),
            positions,
            network,
            None if band is None else np.array(band.ratios),
            text(held, POWER) or POWER_RULE,
            *_ended(path, arrays, prefix, count, prefix or text(held, "method")),
            scene,
        )
    return found


def _stated(
    path: Path, arrays: dict[str, Array], prefix: str, count: int, objective: str
) -> dict[str, Array]:
    """The figures of one method, those of which the file holds all that they depend on."""
    stated = {key: _reals(path, arrays, f"{prefix}{key}", count) for key in ("rate", "tau")}
    for key, name, needed in (
        ("objective", objective, "weight"), ("mse", "mse", "angles_deg"), ("faults", "faults", "Psi"),
    ):  # fmt: skip
        if f"{prefix}{name}" in arrays and needed in arrays:
            stated[key] = _reals(path, arrays, f"{prefix}{name}", count)
    return stated


def _ended(
    path: Path, arrays: dict[str, Array], prefix: str, count: int, method: str
) -> tuple[Array | None, Array | None]:
    """`status` and `faults` (S·B,) of one method, also of a file of version 0.1.0."""
    if f"{prefix}status" not in arrays:
        return None, None
    status = _reals(path, arrays, f"{prefix}status", count).astype(np.int8)
    if f"{prefix}faults" in arrays:
        return status, _reals(path, arrays, f"{prefix}faults", count).astype(np.int8)
    unknown = sorted(set(status.tolist()) - set(FORMER))
    if unknown:
        raise FileError(f"{path}: {prefix}status holds {unknown[0]}, expected numbers from 0 to 5")
    layered = method.startswith(LAYERED)
    pairs = [FORMER[code] for code in status.tolist()]
    stopped = [
        Status.FIXED_DEPTH if layered and first == Status.ITERATION_LIMIT else first for first, _ in pairs
    ]
    return np.array(stopped, np.int8), np.array([fault for _, fault in pairs], np.int8)


def _fitted(path: Path, arrays: dict[str, Array], name: str, shape: tuple[int, ...]) -> Array:
    """An array whose last axes are those of `shape` but the first, -1 for any, and all others make one."""
    value, fixed = arrays[name], len(shape) - 1
    expected = [size if size > 0 else value.shape[-1] for size in shape] if value.ndim >= fixed else []
    if not expected or list(value.shape[-fixed:]) != expected[1:] or value.size != math.prod(expected):
        raise FileError(f"{path}: {name} {value.shape} does not fit {shape[0]} designs, expected {shape}")
    return value.reshape(expected)


def _reals(path: Path, arrays: dict[str, Array], name: str, count: int | None = None) -> Array:
    """The real numbers of an array in a row, `count` of them."""
    value = arrays.get(name, np.zeros(0)).ravel()
    if value.dtype.kind == "c" or count not in (None, value.size):
        raise FileError(f"{path}: {name} has {value.size} {value.dtype} values, expected {count} real ones")
    return value.astype(np.float64)


def summary(design: Design, measures: Sequence[Measure] = ()) -> list[dict[str, Any]]:
    """Mean figures per SNR, those of `measures` too, as plain values: for tables and `--json`."""
    s = design.scenario
    found = {measure.name: measure.function(design) for measure in measures}
    rows = []
    for snr_db, part in s.levels():
        mse = float(design.mse[part].mean())
        rows.append(
            {
                "method": design.label,
                "snr_db": round(snr_db, 6),
                "channels": design.status[part].numel(),
                "rate": float(design.rate[part].mean()),
                "tau": float(design.tau[part].mean()),
                "objective": float(design.objective[part].mean()),
                "mse_db": float(10 * np.log10(mse)) if mse > 0 else float("-inf"),
                **{name: float(values[part].mean()) for name, values in found.items()},
                "status": design.counts(part),
            }
        )
    return rows
