"""The R-τ front of a channel set: each method over its parameter, the paper's designs as points.

R and τ are bought with one another, so one weight is one point. A curve is a method over ω of R − ω τ (8),
over ρ of SCA-ManOpt's second step, or over the limit τ₀ of problem (7); its points are means over the
channels.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from beamfold.channel import saleh_valenzuela
from beamfold.defaults import WEIGHT
from beamfold.errors import InputError
from beamfold.experiments.labelled import machine, revision, scenario_planes, variable, with_intervals
from beamfold.experiments.setting import Steps, Tick
from beamfold.experiments.tradeoff import TRAINING_SEED, best_scales, rescaled
from beamfold.files.models import has_model, model_for
from beamfold.registry import design
from beamfold.result import FAULT_CODES, STATUS_CODES, UNUSABLE, Design
from beamfold.scenario import Scenario
from beamfold.unfolded_model import UnfoldedPGA

Values = NDArray[np.float64]


class Way(NamedTuple):
    """How a method moves along the front."""

    axis: str
    """omega, rho or tau_0."""
    cost: float
    """Milliseconds per design, roughly, for the progress."""


WAYS = {
    "constrained": Way("tau_0", 400),
    "fast": Way("omega", 1),
    "best": Way("omega", 300),
    "unfolded": Way("omega", 2),
    "sca-manopt": Way("rho", 150),
    "digital": Way("omega", 400),
    "digital-jcas": Way("rho", 60),
}
DEFAULT = ("constrained", "fast", "unfolded", "sca-manopt")
DECADES = (0.0, 3.0)
"""log₁₀ of ω P_t² at the ends: from hardly any sensing to hardly any communications."""
RHO = (0.1, 0.95)
SCA_RHO = 0.8
TRAINING_COUNT = 10
"""Training channels on which the unfolded step sizes are scaled for another ω."""


def default_weights(s: Scenario, points: int) -> Values:
    """ω, logarithmically even between the ends `DECADES` of ω P_t²."""
    return np.logspace(*DECADES, points) / float(s.power[0]) ** 2


def _limits(s: Scenario, weights: Values, points: int) -> Values:
    """τ₀, logarithmically even from what the fast design reaches on every channel to what R alone leaves."""
    low = design(_weighed(s, float(weights.max())), "fast").tau.max()
    high = design(_weighed(s, 0.0), "fast").tau.mean()
    return np.geomspace(1.02 * float(low), max(float(high), 1.1 * float(low)), points)


def _weighed(s: Scenario, weight: float) -> Scenario:
    return replace(s, weight=torch.full_like(s.power, weight))


def _curve(s: Scenario, method: str, values: Values, inner: int, steps: Steps) -> list[Design]:
    """The designs of a method at every value of its axis."""
    found, (axis, cost) = [], WAYS[method]
    for value in values.tolist():
        text, at = f"{method}, {axis} = {value:.3g}", s
        options: dict[str, Any] = {}
        if axis == "tau_0":
            options = {"tau_max": torch.full_like(s.power, value)}
        elif axis == "rho":
            options = {"rho": value}
        else:
            at = _weighed(s, value)
        if method == "unfolded":
            steps.within(0, text)
            options = {"model": _scaled(s, value, inner)}
        found.append(steps.design(at, method, text, cost=cost, **options))
    return found


def _scaled(s: Scenario, weight: float, inner: int) -> UnfoldedPGA:
    """The shipped step sizes, shorter for a larger ω by the factors that are best on training channels."""
    model = model_for(s, inner)
    H = saleh_valenzuela(s.antennas, s.users, TRAINING_COUNT, seed=TRAINING_SEED)
    return rescaled(model, best_scales(model, weight, H, s.radar), weight)


class Mark(NamedTuple):
    """A design of the paper's: what it is called, and how it is made."""

    name: str
    method: str
    value: float
    options: dict[str, Any]


def marks(s: Scenario) -> list[Mark]:
    """The paper's designs, for its ω = 0.3, as far as models for these sizes are shipped."""
    held = [j for j in (1, 10, 20) if has_model(s, j)]
    return [
        *(Mark(f"unfolded_j{j}", "unfolded", WEIGHT, {"inner": j}) for j in held),
        Mark("sca_manopt", "sca-manopt", SCA_RHO, {}),
        Mark("sca_manopt_published", "sca-manopt", SCA_RHO, {"norm": "unit_columns"}),
    ]


def front(
    s: Scenario,
    *,
    methods: tuple[str, ...] = DEFAULT,
    weights: Values | None = None,
    points: int = 12,
    inner: int = 20,
    source: str = "",
    tick: Tick = lambda share, text: None,
) -> xr.Dataset:
    """R and τ of every method along its axis, per channel, with means and 95 % intervals.

    Args:
        s: channels (B,) at one SNR; its ω plays no part.
        methods: of `WAYS`; "unfolded" with the shipped step sizes, scaled for each ω.
        weights: ω of the methods that know it; default `default_weights`.
        points: how many ω, where they are not given, and how many ρ and τ₀.
        inner: J of the unfolded model.
        source: what the channels are, in words.
        tick: told the share that is done and what is being done.

    Returns:
        A dataset with rate, tau, status and faults (method, point, channel), `value` (method, point) of the
        `axis` (method) that the method moves along; mark_rate and mark_tau (mark, channel) of `marks`. NaN
        where a method has fewer points than another, and the means where a channel's τ₀ is out of reach.

    Raises:
        InputError: an unknown method, several SNRs, a weight that is not above 0, fewer than two points.
        InputError: no shipped model for the unfolded method.
    """
    _check(s, methods, weights, points)
    weights = default_weights(s, points) if weights is None else np.sort(weights)
    along = {"omega": weights, "rho": np.linspace(*RHO, points).round(3)}
    if "constrained" in methods:
        along["tau_0"] = _limits(s, weights, points)
    values, stars = [along[WAYS[m].axis] for m in methods], marks(s)
    work = sum(WAYS[m].cost * len(v) for m, v in zip(methods, values, strict=True))
    steps = Steps(tick, work + sum(WAYS[m.method].cost for m in stars))
    curves = [_curve(s, m, v, inner, steps) for m, v in zip(methods, values, strict=True)]
    dots = [
        steps.design(
            _weighed(s, WEIGHT), m.method, f"{m.name}, a point", cost=WAYS[m.method].cost, **m.options
        )
        for m in stars
    ]
    names = [f"unfolded_j{inner}" if m == "unfolded" else m.replace("-", "_") for m in methods]
    ds = _labelled(names, [WAYS[m].axis for m in methods], values, curves)
    ds = ds.assign_coords(
        mark=[m.name for m in stars],
        mark_axis=("mark", [WAYS[m.method].axis for m in stars]),
        mark_value=("mark", [m.value for m in stars]),
    )
    for name in ("rate", "tau"):
        stacked = torch.stack([getattr(d, name) for d in dots])
        ds[f"mark_{name}"] = variable(name, ("mark", "channel"), stacked)
    return _with_origin(with_intervals(ds, ["mark_rate", "mark_tau"]), s, inner, source)


def _check(s: Scenario, methods: tuple[str, ...], weights: Values | None, points: int) -> None:
    if len(s.batch) != 1:
        raise InputError(f"a front is of one SNR, the scenario has the axes {tuple(s.batch)}")
    unknown = [m for m in methods if m not in WAYS]
    if unknown or not methods:
        raise InputError(f"no front of the method {(unknown or [''])[0]!r}; known: {', '.join(WAYS)}")
    if len(set(methods)) < len(methods):
        raise InputError(f"a method is named twice: {', '.join(methods)}")
    if weights is not None and not (len(weights) > 1 and np.isfinite(weights).all() and (weights > 0).all()):
        raise InputError(f"a front needs two weights or more, each above 0, got {weights.tolist()}")
    if points < 2:
        raise InputError(f"a curve needs at least 2 points, got {points}")


def _labelled(
    names: list[str], axes: list[str], values: list[Values], curves: list[list[Design]]
) -> xr.Dataset:
    """rate, tau, status and faults (method, point, channel), short curves filled with NaN."""
    longest = max(len(v) for v in values)

    def stack(pick: Callable[[Design], torch.Tensor], empty: float) -> NDArray[Any]:
        rows = [np.stack([pick(d).numpy() for d in designs]) for designs in curves]
        fill = [np.full((longest - len(r), r.shape[1]), empty, r.dtype) for r in rows]
        return np.stack([np.concatenate(pair) for pair in zip(rows, fill, strict=True)])

    value = np.stack([np.append(v, np.full(longest - len(v), np.nan)) for v in values])
    dims = ("method", "point", "channel")
    status, faults = stack(lambda d: d.status, -1), stack(lambda d: d.faults, -1)
    ds = xr.Dataset(
        {
            "rate": variable("rate", dims, stack(lambda d: d.rate, np.nan)),
            "tau": variable("tau", dims, stack(lambda d: d.tau, np.nan)),
            "status": variable("status", dims, status, meaning=f"-1 none, {STATUS_CODES}"),
            "faults": variable("faults", dims, faults, meaning=f"-1 none, {FAULT_CODES}"),
            "value": variable("value", ("method", "point"), value, long_name="omega, rho or tau_0, see axis"),
        },
        coords={"method": names, "axis": ("method", axes)},
    )
    ds = with_intervals(ds, ["rate", "tau"])
    lost = ((faults > 0) & (faults & int(UNUSABLE) != 0)).any(-1)
    for name in ("rate_mean", "rate_low", "rate_high", "tau_mean", "tau_low", "tau_high"):
        ds[name] = ds[name].where(~xr.DataArray(lost, dims=("method", "point")))
    return ds


def _with_origin(ds: xr.Dataset, s: Scenario, inner: int, source: str) -> xr.Dataset:
    """With the channels and Ψ, so that the file alone can be recomputed, and who made it."""
    from beamfold import __version__

    ds = ds.assign(scenario_planes(s))
    snr_db = round(10 * float(np.log10(float(s.power[0]) / s.noise)), 9)
    square = float((s.power[0] * torch.linalg.matrix_norm(s.Psi)).square().mean())  # tau of no power at all
    facts = {
        "antennas": s.antennas, "users": s.users, "chains": s.chains, "snr_db": snr_db, "noise": s.noise,
        "count": s.batch[0], "channels": source, "inner": inner, "psi_norm_squared": square,
    }  # fmt: skip
    return ds.assign_attrs(
        title=f"The R-tau front, N = {s.antennas}, K = {s.users}, M = {s.chains}, {snr_db:g} dB",
        experiment="front", version=__version__, revision=revision(), machine=machine(),
        parameters=json.dumps(facts),
    )  # fmt: skip


def summary(ds: xr.Dataset) -> list[dict[str, Any]]:
    """The points of the curves and the paper's, as plain values: what tables show and `--json` prints."""
    rows = []
    for name, axis in zip(ds["method"].values, ds["axis"].values, strict=True):
        for point in range(ds.sizes["point"]):
            one = ds.sel({"method": name}).isel(point=point)
            if np.isfinite(one["value"]):
                lost = int(((one["faults"].astype(int) & int(UNUSABLE)) != 0).sum())
                rows.append(_row(one, "", str(name), str(axis), float(one["value"]), lost))
    for name, axis, value in zip(
        ds["mark"].values, ds["mark_axis"].values, ds["mark_value"].values, strict=True
    ):
        rows.append(_row(ds.sel(mark=name), "mark_", str(name), str(axis), float(value), 0))
    return rows


def _row(one: xr.Dataset, prefix: str, name: str, axis: str, value: float, lost: int) -> dict[str, Any]:
    names = ("rate_mean", "rate_low", "rate_high", "tau_mean")
    figures = {key.removesuffix("_mean"): float(one[prefix + key]) for key in names}
    return {"method": name, "axis": axis, "value": value, **figures, "infeasible": lost}
