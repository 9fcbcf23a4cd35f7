"""Figs. 3 and 5 and Table II: R − ω τ over the layers, for step sizes, starts and J."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from beamfold.defaults import SNR_DB, WEIGHT
from beamfold.experiments.labelled import (
    about_curves,
    conclude,
    inputs,
    interval,
    steps_of,
    variable,
    with_intervals,
)
from beamfold.experiments.setting import (
    LAYERS,
    STEP,
    Curve,
    Setting,
    Steps,
    available,
    constant_curve,
)
from beamfold.scenario import Scenario
from beamfold.start import STARTS, Point, random

SIZES = (32, 64)
PAPER_TABLE_2 = {"unfolded_j20": (10, 25), "pga_j20": (20, 70), "pga_j10": (40, 120)}
"""Table II: layers at N = 32 and 64."""
PAPERS = ("proposed", "random", "svd", "svd_conjugated")
"""The starts of Fig. 5, the singular vectors in two readings."""
BASE: dict[str, Any] = {"snr_db": SNR_DB, "weight": WEIGHT, "layers": LAYERS}


def _starting(name: str, s: Scenario, seed: int) -> Point:
    return random(s, seed) if name == "random" else STARTS[name](s)


def _recorded(curve: Curve, s: Scenario, start: Point) -> NDArray[np.float64]:
    """R and τ (2, I + 1, channel)."""
    trace = curve.run(s, record=True, start=start).trace
    assert trace is not None
    return np.stack([trace.rate.numpy(), trace.tau.numpy()])


def _curves(held: NDArray[Any], dims: tuple[str, ...]) -> dict[str, xr.Variable]:
    """rate, tau and objective of an array whose axis −3 holds R and τ."""
    R, tau = held[..., 0, :, :], held[..., 1, :, :]
    return {
        "rate": variable("rate", dims, R),
        "tau": variable("tau", dims, tau),
        "objective": variable("objective", dims, R - WEIGHT * tau),
    }


def fig3(setting: Setting) -> xr.Dataset:
    """PGA with constant step sizes for J = 1, 10, 20 and η = 1, 1/N, N = 32."""
    antennas, inners = 32, (1, 10, 20)
    s = setting.scenario(antennas)
    start = _starting("proposed", s, setting.seed)
    weights = (1.0, 1 / antennas)
    steps = Steps(setting.tick, len(inners) * len(weights))
    held = []
    for inner in inners:
        for eta in weights:
            curve = constant_curve(inner, eta)
            held.append(_recorded(curve, s, start))
            steps.step(f"J = {inner}, eta = {eta:g}")
    whole = np.stack(held).reshape(len(inners), len(weights), *held[0].shape)
    ds = xr.Dataset(
        _curves(whole, ("inner", "eta", "layer", "channel")),
        coords={"inner": list(inners), "eta": list(weights), "layer": np.arange(whole.shape[-2])},
    )
    ds = with_intervals(ds, ["rate", "tau", "objective"])
    parameters = BASE | {"antennas": antennas, "mu": STEP, "lam": STEP, "digital": "signal"}
    title = "Fig. 3: convergence of PGA with constant step sizes, N = 32"
    return conclude(ds.assign(inputs(setting, antennas, s.radar)), "fig3", title, setting, parameters)


def fig5(setting: Setting) -> xr.Dataset:
    """PGA and unfolded PGA with J = 10, 20 from the three starts, SVD in two readings, N = 32 and 64.

    A method whose model is not shipped for one N is NaN there.
    """
    names = ("pga_j10", "pga_j20", "unfolded_j10", "unfolded_j20")
    starts = PAPERS
    steps = Steps(setting.tick, len(SIZES) * len(names) * len(starts))
    held = np.full((len(SIZES), len(names), len(starts), 2, LAYERS + 1, setting.count), np.nan)
    origin: dict[str, xr.Variable] = {}
    about: dict[str, Any] = {}
    skipped: list[str] = []
    for a, antennas in enumerate(SIZES):
        s = setting.scenario(antennas)
        learned, missing = available(antennas, (10, 20))
        curves = {c.name: c for c in (constant_curve(10), constant_curve(20), *learned)}
        skipped += missing
        points = {name: _starting(name, s, setting.seed) for name in starts}
        for m, name in enumerate(names):
            for p, start in enumerate(starts):
                if name in curves:
                    got = _recorded(curves[name], s, points[start])
                    held[a, m, p, :, :, : got.shape[-1]] = got
                steps.step(f"N = {antennas}, {name}, {start} start")
        origin |= inputs(setting, antennas, s.radar) | steps_of(learned, f"_n{antennas}")
        about[f"N={antennas}"] = about_curves(curves.values())
    ds = xr.Dataset(
        _curves(held, ("antennas", "method", "start", "layer", "channel")),
        coords={
            "antennas": list(SIZES),
            "method": list(names),
            "start": list(starts),
            "layer": np.arange(LAYERS + 1),
        },
    )
    ds = with_intervals(ds, ["rate", "tau", "objective"]).assign(origin)
    parameters = BASE | {"methods": about, "skipped": skipped}
    return conclude(
        ds, "fig5", "Fig. 5: convergence from three starts, SVD in two readings", setting, parameters
    )


def first_crossing(objective: NDArray[np.float64]) -> float:
    """The first layer whose mean R − ω τ is at least 0; NaN where none is. objective (I + 1, channel)."""
    above = objective.mean(-1) >= 0
    return float(above.argmax()) if above.any() else float("nan")


def crossing_interval(objective: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """95 % interval of `first_crossing` over channels drawn again with replacement, 1000 times."""
    generator = np.random.default_rng([seed, 3])
    count = objective.shape[-1]
    again = [first_crossing(objective[:, generator.integers(count, size=count)]) for _ in range(1000)]
    never = np.nan_to_num(np.array(again), nan=np.inf)
    low, high = np.quantile(never, [0.025, 0.975], method="closest_observation")
    return float(low), float(high)


def table2(setting: Setting) -> xr.Dataset:
    """The first layer where the mean objective reaches 0, and the updates n_F = I J, n_W = I until there."""
    names = tuple(PAPER_TABLE_2)
    steps = Steps(setting.tick, len(SIZES) * len(names))
    found = np.full((3, len(names), len(SIZES)), np.nan)
    objective = np.full((len(names), len(SIZES), LAYERS + 1, setting.count), np.nan)
    origin: dict[str, xr.Variable] = {}
    about: dict[str, Any] = {}
    skipped: list[str] = []
    for a, antennas in enumerate(SIZES):
        s = setting.scenario(antennas)
        learned, missing = available(antennas, (20,))
        skipped += missing
        curves = {c.name: c for c in (*learned, constant_curve(20), constant_curve(10))}
        for m, name in enumerate(names):
            if name in curves:
                R, tau = _recorded(curves[name], s, _starting("proposed", s, setting.seed))
                objective[m, a, :, : R.shape[-1]] = R - WEIGHT * tau
                low, high = crossing_interval(R - WEIGHT * tau, setting.seed)
                found[:, m, a] = first_crossing(R - WEIGHT * tau), low, high
            steps.step(f"N = {antennas}, {name}")
        origin |= inputs(setting, antennas, s.radar) | steps_of(learned, f"_n{antennas}")
        about[f"N={antennas}"] = about_curves(curves.values())
    ds = _table(names, found, objective).assign(origin)
    parameters = BASE | {"methods": about, "skipped": skipped}
    title = "Table II: layers and updates until the mean R - omega tau reaches 0"
    return conclude(ds, "table2", title, setting, parameters)


def _table(names: tuple[str, ...], found: NDArray[Any], objective: NDArray[Any]) -> xr.Dataset:
    inner = np.array([int(name.rpartition("_j")[2]) for name in names])
    dims = ("method", "antennas")
    mean, low, high = interval(objective, -1)
    curve = ("method", "antennas", "layer")
    bounds = "95 % interval, the channels drawn again 1000 times; inf: never within the layers"
    return xr.Dataset(
        {
            "crossing": variable("crossing", dims, found[0]),
            "crossing_low": variable("crossing", dims, found[1], statistic=bounds),
            "crossing_high": variable("crossing", dims, found[2], statistic=bounds),
            "crossing_paper": variable("crossing", dims, list(PAPER_TABLE_2.values()), source="Table II"),
            "n_F": variable("n_F", dims, found[0] * inner[:, None], long_name="updates of F", units="1"),
            "n_W": variable("n_W", dims, found[0], long_name="updates of W", units="1"),
            "objective": variable("objective", (*curve, "channel"), objective),
            "objective_mean": variable("objective", curve, mean),
            "objective_low": variable("objective", curve, low),
            "objective_high": variable("objective", curve, high),
        },
        coords={"method": list(names), "antennas": list(SIZES), "layer": np.arange(objective.shape[2])},
    )
