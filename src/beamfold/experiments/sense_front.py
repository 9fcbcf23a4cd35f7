"""The front of R and sensing: designs for R + ω c over ω, beside those for R − ω τ and the paper's designs.

For the objective "crb" the other axis is the RCRB of the worst angle, for "scnr" the SCNR of the worst
target.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from beamfold.errors import InputError
from beamfold.experiments.front import default_weights, marks
from beamfold.experiments.labelled import machine, revision, scenario_planes, variable, with_intervals
from beamfold.experiments.setting import Steps, Tick
from beamfold.method import lacking
from beamfold.radar.detection import detection, scnr
from beamfold.radar.fisher import bound
from beamfold.registry import method_named
from beamfold.result import FAULT_CODES, Design
from beamfold.scenario import Scenario

METHODS = ("fast", "best", "digital")
"""The curves for the scenario's objective, of those methods that can do it."""
AGAINST = ("fast",)
"""Those for R − ω τ."""
COST = {"best": 2000.0, "digital": 300.0, "fast": 1.0, "pga": 300.0, "unfolded": 300.0, "sca-manopt": 150.0}
"""Milliseconds per design, roughly, for the progress."""
DECADES = (-1.0, 1.5)
"""log₁₀ of ω at the ends, of logarithms to base 2."""
OPTIONS: dict[str, dict[str, Any]] = {"best": {"starts": 1, "polish": 300}}


def sense_front(
    s: Scenario,
    *,
    methods: tuple[str, ...] | None = None,
    against: tuple[str, ...] = AGAINST,
    weights: NDArray[np.float64] | None = None,
    points: int = 8,
    source: str = "",
    tick: Tick = lambda share, text: None,
) -> xr.Dataset:
    """R, RCRB, SCNR and P_D of every method over ω, per channel, with means and 95 % intervals.

    Args:
        s: channels (B,) at one SNR with another sensing objective than τ; its ω plays no part.
        methods: that optimise the objective; default those of `METHODS` that can.
        against: that optimise R − ω τ, over ω of `front.default_weights`.
        weights: ω of `methods`; default `points` of them, logarithmically even.
        points: how many.
        source: what the channels are, in words.
        tick: told the share that is done and what is being done.

    Returns:
        rate, rcrb_deg, scnr, detected and tau (method, point, channel), `value` (method, point) of ω; rate
        and the others with `mark_` in front (mark, channel) of the paper's designs. RCRB, SCNR and P_D are
        those of the worst target, RCRB in degrees.

    Raises:
        InputError: τ as the objective, several SNRs, or fewer than two points.
    """
    if s.goal is None:
        raise InputError("this front is for another sensing objective than tau")
    if len(s.batch) != 1 or points < 2:
        raise InputError(f"a front is of one SNR and two points or more, got axes {tuple(s.batch)}, {points}")
    if methods is None:
        methods = tuple(m for m in METHODS if not lacking(method_named(m).supports, s))
    omega = np.logspace(*DECADES, points) if weights is None else np.sort(weights)
    if len(omega) < 2 or not (omega > 0).all():
        raise InputError(f"a front needs two weights or more, each above 0, got {omega.tolist()}")
    plain = replace(s, goal=None)
    values = [*(omega for _ in methods), *(default_weights(plain, len(omega)) for _ in against)]
    names, stars = (*methods, *against), marks(plain)
    work = sum(COST.get(m, 100.0) for m in names) * len(omega) + sum(COST.get(m.method, 1.0) for m in stars)
    steps = Steps(tick, work)
    curves = [
        [
            steps.design(_at(s if i < len(methods) else plain, w), m, f"{m}, omega = {w:.3g}",
                         cost=COST.get(m, 100.0), **(OPTIONS.get(m, {}) if i < len(methods) else {}))
            for w in weight.tolist()
        ]
        for i, (m, weight) in enumerate(zip(names, values, strict=True))
    ]  # fmt: skip
    dots = [
        steps.design(plain, m.method, f"{m.name}, a point", cost=COST.get(m.method, 1.0), **m.options)
        for m in stars
    ]
    goal = s.goal.kind
    labels = [f"{m} ({goal})" for m in methods] + [f"{m} (tau)" for m in against]
    data: dict[str, Any] = {
        name: variable(name, ("method", "point", "channel"), torch.stack([torch.stack(row) for row in rows]))
        for name, rows in _figures(s, curves).items()
    }
    data["faults"] = variable(
        "faults", ("method", "point", "channel"),
        torch.stack([torch.stack([d.faults for d in row]) for row in curves]), meaning=FAULT_CODES,
    )  # fmt: skip
    data["value"] = variable("value", ("method", "point"), np.stack(values), long_name="omega")
    for name, [row] in _figures(s, [dots]).items() if dots else ():
        data[f"mark_{name}"] = variable(name, ("mark", "channel"), torch.stack(row))
    ds = xr.Dataset(data, coords={"method": labels, "mark": [m.name for m in stars]})
    ds = with_intervals(ds, [str(n) for n in ds.data_vars if n not in ("faults", "value")])
    return _with_origin(ds, s, source)


def _at(s: Scenario, weight: float) -> Scenario:
    return replace(s, weight=torch.full_like(s.power, weight))


def _figures(s: Scenario, curves: list[list[Design]]) -> dict[str, list[list[Tensor]]]:
    """The figures of every design for the scene of `s`."""
    assert s.goal is not None
    scene = s.goal.scene

    def of(d: Design) -> dict[str, Tensor]:
        ratio = scnr(d.X, scene, s.power).amin(-1)
        return {
            "rate": d.rate,
            "tau": d.tau,
            "rcrb_deg": bound(d.X, scene, s.power).rcrb.flatten(-2).amax(-1).rad2deg(),
            "scnr": ratio,
            "detected": detection(scene.snapshots * ratio, scene.false_alarm),
        }

    found = [[of(d) for d in row] for row in curves]
    return {
        name: [[f[name] for f in row] for row in found]
        for name in ("rate", "tau", "rcrb_deg", "scnr", "detected")
    }


def _with_origin(ds: xr.Dataset, s: Scenario, source: str) -> xr.Dataset:
    """With the channels and Ψ, so that the file alone can be recomputed, and who made it."""
    from beamfold import __version__

    assert s.goal is not None
    ds = ds.assign(scenario_planes(s))
    snr_db = round(10 * float(np.log10(float(s.power[0]) / s.noise)), 9)
    facts = {
        "antennas": s.antennas, "users": s.users, "chains": s.chains, "snr_db": snr_db, "noise": s.noise,
        "count": s.batch[0], "channels": source, "sensing": s.goal.kind,
        "targets_deg": s.goal.scene.targets.rad2deg().tolist(), "snapshots": s.goal.scene.snapshots,
    }  # fmt: skip
    return ds.assign_attrs(
        title=f"R and sensing, N = {s.antennas}, K = {s.users}, M = {s.chains}, {snr_db:g} dB",
        experiment="sense_front", version=__version__, revision=revision(), machine=machine(),
        parameters=json.dumps(facts),
    )  # fmt: skip


def summary(ds: xr.Dataset) -> list[dict[str, Any]]:
    """The points of the curves and the paper's, as plain values."""
    places = [(name, i) for name in ds["method"].values for i in range(ds.sizes["point"])]
    points = [(str(name), ds.sel({"method": name}).isel(point=i)) for name, i in places]
    stars = [(str(name), ds.sel({"mark": name})) for name in ds["mark"].values]
    return [
        *({"method": name, "value": float(one["value"]), **_row(one, "")} for name, one in points),
        *({"method": name, "value": float("nan"), **_row(one, "mark_")} for name, one in stars),
    ]


def _row(one: xr.Dataset, prefix: str) -> dict[str, float]:
    names = {"rate": "rate_mean", "rate_low": "rate_low", "rate_high": "rate_high", "tau": "tau_mean",
             "rcrb_deg": "rcrb_deg_mean", "detected": "detected_mean"}  # fmt: skip
    found = {key: float(one[prefix + name]) for key, name in names.items()}
    return found | {"scnr_db": 10 * float(np.log10(one[f"{prefix}scnr_mean"]))}
