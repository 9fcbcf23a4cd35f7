"""Datasets: every number with its axes, its unit, its equation, its interval and its origin."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import t as student

from beamfold.experiments.setting import Curve, Setting
from beamfold.files.models import shipped_models
from beamfold.result import FAULT_CODES, STATUS_CODES, Design
from beamfold.scenario import Scenario
from beamfold.sensing import Sensing


class Quantity(NamedTuple):
    """What a variable is."""

    long_name: str
    units: str
    equation: str


QUANTITIES = {
    "rate": Quantity("sum rate R", "bit/s/Hz", "(4)"),
    "tau": Quantity("sensing error tau", "(units of noise power)^2", "(5)"),
    "objective": Quantity("R - omega tau", "bit/s/Hz", "(8a)"),
    "mse": Quantity("beampattern MSE against Psi, over P_t", "1 (linear)", "MSE of Section IV-B"),
    "mse_desired": Quantity("beampattern MSE against alpha P_d, over P_t", "1 (linear)", "(6a), (27)"),
    "pattern": Quantity("power to theta over P_t", "1 (linear)", "(6a)"),
    "benchmark": Quantity("pattern of Psi over P_t", "1 (linear)", "(6a)"),
    "desired": Quantity("desired pattern P_d", "1 (linear)", "(27)"),
    "gradient": Quantity("magnitude of a gradient's elements", "varies", "(13), (14), (17), (18)"),
    "status": Quantity("why the method stopped", "1", ""),
    "faults": Quantity("what is wrong with the design", "1", ""),
    "count": Quantity("cost of a step", "complex multiply-adds", "(23b), (24), Table I"),
    "growth": Quantity("exponent of N in the count, fitted over all N", "1", "Table I"),
    "rank": Quantity("rank of Psi in the kernel: eigenvalues above 1e-3 of the largest", "1", "(6)"),
    "rcrb_deg": Quantity("root Cramer-Rao bound of an angle", "degree", "radar.fisher"),
    "reason": Quantity("why a bound is infinite", "1", ""),
    "scnr": Quantity("SCNR of one snapshot, best receive beam", "1 (linear)", "radar.detection"),
    "detected": Quantity("P_D, constant amplitude", "1", "radar.detection"),
    "swerling": Quantity("P_D, Swerling I", "1", "radar.detection"),
    "gain": Quantity("power to the target over P_t", "1 (linear)", "radar.pattern"),
    "pslr": Quantity("highest sidelobe over the weakest wanted lobe", "1 (linear)", "radar.pattern"),
    "islr": Quantity("power outside over power inside the wanted lobes", "1 (linear)", "radar.pattern"),
    "crossing": Quantity("first layer with mean R - omega tau >= 0", "layers", "(8a), Table II"),
}
CODES = {"status": {"meaning": STATUS_CODES}, "faults": {"meaning": FAULT_CODES}}
"""The names of the numbers of a variable."""
AXES = {
    "snr_db": ("P_t over noise power", "dB"),
    "angle_deg": ("angle theta", "degree"),
    "layer": ("outer layer I", "1"),
    "antennas": ("antennas N", "1"),
    "omega": ("weight omega of tau", "1"),
    "channel": ("channel realisation", "1"),
    "eta": ("weight eta of the gradient of tau in W", "1"),
    "inner": ("inner steps J", "1"),
    "ri": ("real and imaginary part", "1"),
}


def variable(name: str, dims: Sequence[str], values: Any, **attrs: Any) -> xr.Variable:
    """A variable with the name's unit and equation; attributes override."""
    kind = QUANTITIES.get(name)
    about = {} if kind is None else {key: text for key, text in kind._asdict().items() if text}
    about |= CODES.get(name, {})
    data = values.numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    return xr.Variable(tuple(dims), data, {**about, **attrs})


def scenario_planes(s: Scenario) -> dict[str, xr.Variable]:
    """H and Ψ of a scenario, and on a band the frequencies: what a dataset needs to be recomputed."""
    over, each = (["subcarrier"] if flag else [] for flag in (s.band is not None, s.Psi.ndim == 3))
    found = {
        "H": planes(("channel", *over, "user", "antenna"), s.H, long_name="channels, rows h_k^H", units="1"),
        "Psi": planes((*each, "antenna", "antenna_column"), s.Psi, long_name="Psi at unit power", units="1"),
    }
    if s.band is not None:
        facts = {"long_name": "frequencies", "units": "Hz", "carrier": s.band.carrier}
        found["frequencies"] = xr.Variable(("subcarrier",), s.band.frequencies.numpy(), facts)
    return found


def planes(dims: Sequence[str], values: torch.Tensor | NDArray[Any], **attrs: Any) -> xr.Variable:
    """A complex array as a real one with a last axis `ri`, as netCDF4 with `auto_complex` reads it."""
    z = np.asarray(values)
    return xr.Variable((*dims, "ri"), np.stack([z.real, z.imag], -1), attrs)


def complex_of(array: xr.DataArray) -> NDArray[np.complex128]:
    """The complex array of a variable with a last axis `ri`."""
    return array.values[..., 0] + 1j * array.values[..., 1]


POSITIVE = (
    "mse", "mse_desired", "pattern", "gradient", "rcrb_deg", "rcrb_over_snr", "scnr", "gain", "pslr", "islr",
    "gain_mean", "gain_worst", "digital_gain_mean", "digital_gain_worst",
)  # fmt: skip
"""Quantities that are drawn in dB or on a logarithmic axis: their interval is symmetric there and above 0."""


def interval(
    values: NDArray[Any], axis: int, *, positive: bool = False
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Mean m and 95 % interval m ± h, h = t_{0.975, n−1} s/√n, over an axis; NaN bounds for n = 1.

    `positive` gives m e^{± h/m} instead, the same to first order.
    """
    count = values.shape[axis]
    mean = values.mean(axis)
    if count < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half = student.ppf(0.975, count - 1) * values.std(axis, ddof=1) / math.sqrt(count)
    if positive:
        factor = np.exp(half / np.maximum(mean, 1e-300))
        return mean, mean / factor, mean * factor
    return mean, mean - half, mean + half


def with_intervals(ds: xr.Dataset, names: Iterable[str]) -> xr.Dataset:
    """`x_mean`, `x_low`, `x_high` beside every x of `names`: mean and 95 % interval over `channel`."""
    added: dict[str, xr.Variable] = {}
    for name in names:
        whole = ds[name].variable
        dims = [d for d in whole.dims if d != "channel"]
        bounds = interval(whole.values, whole.dims.index("channel"), positive=name in POSITIVE)
        for label, values in zip(("mean", "low", "high"), bounds, strict=True):
            text = (
                "mean"
                if label == "mean"
                else f"95 % interval, {label}, Student's t" + ", on log" * (name in POSITIVE)
            )
            attrs = {**whole.attrs, "statistic": f"{text} over {ds.sizes['channel']} channels"}
            added[f"{name}_{label}"] = xr.Variable(dims, values, attrs)
    return ds.assign(added)


def steps_of(curves: Iterable[Curve], suffix: str = "") -> dict[str, xr.Variable]:
    """The learned step sizes of the curves that have them: mu (I, J) and lam (I,)."""
    found: dict[str, xr.Variable] = {}
    for curve in curves:
        if curve.model is not None:
            name, inner = f"{curve.name}{suffix}", f"inner_{curve.model.inner}"
            mu, lam = curve.model.mu.detach().numpy(), curve.model.lam.detach().numpy()
            found[f"mu_{name}"] = xr.Variable(
                ("outer", inner), mu, {"long_name": "step sizes of F", "equation": "(23b)", "units": "1"}
            )
            found[f"lam_{name}"] = xr.Variable(
                ("outer",), lam, {"long_name": "step sizes of W", "equation": "(24)", "units": "1"}
            )
    return found


def inputs(setting: Setting, antennas: int, radar: Sensing) -> dict[str, xr.Variable]:
    """The channels and the Ψ of one N, whole, so that the file alone can be recomputed."""
    H, source = setting.draw(antennas)
    axis = f"antenna_{antennas}"
    about = {
        "long_name": "Psi at unit power; a method uses P_t Psi", "equation": "(6)", "units": "1",
        "solver": radar.solver, "targets_deg": np.rad2deg(radar.targets), "objective_6a": radar.objective,
        "proven_gap": radar.gap, "alpha": radar.scale,
        "desired": "the published P_d: 1 at -61..-57, -2..2, 58..62 degrees of a 1 degree grid",
    }  # fmt: skip
    return {
        f"H_n{antennas}": planes(
            ("channel", "user", axis),
            H,
            long_name="channels, rows h_k^H",
            equation="(2)",
            source=source,
            units="1",
        ),
        f"Psi_n{antennas}": planes((axis, f"{axis}_column"), radar.Psi, **about),
    }


def about_curves(curves: Iterable[Curve]) -> dict[str, Any]:
    """Parameters of every method with the hash of its step sizes, for the attribute `methods`."""
    return {
        curve.name: curve.about | ({"sha256": digest(curve)} if curve.model is not None else {})
        for curve in curves
    }


def digest(curve: Curve) -> str:
    """First 16 digits of the SHA-256 of the step sizes in float64."""
    assert curve.model is not None
    data = curve.model.mu.detach().numpy().tobytes() + curve.model.lam.detach().numpy().tobytes()
    return hashlib.sha256(data).hexdigest()[:16]


def traces(designs: Sequence[Design]) -> tuple[NDArray[Any], NDArray[Any]]:
    """R and τ (method, I + 1, channel) of recorded designs; one without layers is constant over them."""
    depth = max(len(d.trace.rate) for d in designs if d.trace is not None)

    def spread(whole: torch.Tensor | None, last: torch.Tensor) -> NDArray[Any]:
        return (last.expand(depth, *last.shape) if whole is None else whole).numpy()

    R = [spread(d.trace.rate if d.trace else None, d.rate) for d in designs]
    tau = [spread(d.trace.tau if d.trace else None, d.tau) for d in designs]
    return np.stack(R), np.stack(tau)


def chosen(setting: Setting) -> dict[str, Any]:
    """What the user chose, as plain values: results of other choices are other results."""
    return {
        "count": setting.count,
        "seed": setting.seed,
        "quick": setting.quick,
        "channels": setting.source or "drawn",
        "shipped models": shipped_digest(),
    }


@lru_cache(maxsize=1)
def shipped_digest() -> str:
    """First 16 digits of the SHA-256 of all models that come with the package."""
    whole = hashlib.sha256()
    for name, path in sorted(shipped_models().items()):
        whole.update(name.encode() + path.read_bytes())
    return whole.hexdigest()[:16]


def conclude(
    ds: xr.Dataset, name: str, title: str, setting: Setting, parameters: Mapping[str, Any]
) -> xr.Dataset:
    """The dataset with everything that says how it was made, as attributes; dicts as JSON."""
    from beamfold import __version__

    for axis, (long_name, units) in AXES.items():
        if axis in ds.coords:
            ds[axis].attrs |= {"long_name": long_name, "units": units}
    held = {**chosen(setting), **parameters}
    attrs: dict[str, Any] = {
        "title": title, "experiment": name, "seed": setting.seed, "version": __version__,
        "revision": revision(), "machine": machine(), "parameters": json.dumps(held),
        "paper": "Joint Communications and Sensing Hybrid Beamforming Design via Deep Unfolding, Section IV",
        "command": f"beamfold reproduce {name} --count {setting.count} --seed {setting.seed}"
        + (" --quick" if setting.quick else "")
        + setting.asked,
    }  # fmt: skip
    return ds.assign_attrs(attrs)


@lru_cache(maxsize=1)
def revision() -> str:
    """The commit of the source tree, with `+changes` where the tree differs from it; "" outside one.

    Asked once: what runs is what was imported, whatever happens to the tree later.
    """
    here = Path(__file__).resolve().parent
    try:
        commit = _git(here, "rev-parse", "HEAD")
        return commit + ("+changes" if _git(here, "status", "--porcelain", "--", str(here.parent)) else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()


@lru_cache(maxsize=1)
def machine() -> str:
    """The machine in words: processor, cores, system, Python and torch."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        held = [line.split(":", 1)[1] for line in info.read_text().splitlines() if "model name" in line]
        name = held[0].strip() if held else name
    return (
        f"{name}, {os.cpu_count()} processors, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}"
    )
