"""Figs. 6, 7 and 8: rate, sensing error and beampatterns over the layers and over the SNR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from beamfold.defaults import SNR_DB, WEIGHT
from beamfold.experiments.labelled import (
    about_curves,
    conclude,
    inputs,
    steps_of,
    traces,
    variable,
    with_intervals,
)
from beamfold.experiments.setting import (
    LAYERS,
    SCA_MANOPT,
    ZERO_FORCING,
    Curve,
    Setting,
    Steps,
    available,
    constant_curve,
)
from beamfold.metrics import covariance_pattern, desired_error
from beamfold.result import Design
from beamfold.sensing import Sensing


def lineup(antennas: int) -> tuple[list[Curve], list[str]]:
    """The methods of Figs. 6-9 in the order of their legends, and what is missing."""
    learned, missing = available(antennas, (1, 10, 20))
    return [ZERO_FORCING, *SCA_MANOPT, constant_curve(1), *learned], missing


def figures(designs: Sequence[Design], radar: Sensing) -> dict[str, Any]:
    """rate, tau, mse and mse_desired of designs, stacked over the methods: (method, …) arrays."""
    assert radar.desired is not None
    s = designs[0].scenario
    return {
        "rate": torch.stack([d.rate for d in designs]),
        "tau": torch.stack([d.tau for d in designs]),
        "mse": torch.stack([d.pattern_error(radar.angles) for d in designs]),
        "mse_desired": torch.stack(
            [desired_error(d.X, radar.desired, radar.scale, s.power, radar.angles) for d in designs]
        ),
        "status": torch.stack([d.status for d in designs]),
        "faults": torch.stack([d.faults for d in designs]),
    }


def patterns(designs: Sequence[Design], radar: Sensing) -> dict[str, xr.Variable]:
    """The designs' patterns over P_t, Ψ's and the desired one, over `angle_deg`."""
    each = torch.stack([d.beampattern(radar.angles) for d in designs])
    return {
        "pattern": variable("pattern", ("method", "channel", "angle_deg"), each),
        "benchmark": variable("benchmark", ("angle_deg",), covariance_pattern(radar.Psi, radar.angles)),
        "desired": variable("desired", ("angle_deg",), radar.desired, alpha=radar.scale),
    }


def degrees(radar: Sensing) -> Any:
    """The grid of (6) in degrees."""
    return torch.rad2deg(radar.angles).numpy().round(9)


def over_layers(name: str, antennas: int, setting: Setting) -> xr.Dataset:
    """R, τ, R − ω τ after every layer and the beampatterns at the end, 12 dB."""
    s = setting.scenario(antennas)
    curves, skipped = lineup(antennas)
    steps = Steps(setting.tick, len(curves))
    designs = [curve.run(s, steps=steps, record=True) for curve in curves]
    R, tau = traces(designs)
    dims = ("method", "layer", "channel")
    final = figures(designs, s.radar)
    ds = xr.Dataset(
        {
            "rate": variable("rate", dims, R),
            "tau": variable("tau", dims, tau),
            "objective": variable("objective", dims, R - WEIGHT * tau),
            "mse": variable("mse", ("method", "channel"), final["mse"]),
            "mse_desired": variable("mse_desired", ("method", "channel"), final["mse_desired"]),
            "status": variable("status", ("method", "channel"), final["status"]),
            "faults": variable("faults", ("method", "channel"), final["faults"]),
            **patterns(designs, s.radar),
        },
        coords={
            "method": [c.name for c in curves],
            "layer": np.arange(R.shape[1]),
            "angle_deg": degrees(s.radar),
        },
    )
    ds = with_intervals(ds, ["rate", "tau", "objective", "mse", "mse_desired", "pattern"])
    ds = ds.assign(inputs(setting, antennas, s.radar) | steps_of(curves))
    parameters = {
        "antennas": antennas, "snr_db": SNR_DB, "weight": WEIGHT, "layers": LAYERS,
        "methods": about_curves(curves), "skipped": skipped,
    }  # fmt: skip
    number = name.removeprefix("fig")
    title = f"Fig. {number}: R, tau and beampattern over the layers, N = {antennas}"
    return conclude(ds, name, title, setting, parameters)


def fig6(setting: Setting) -> xr.Dataset:
    """`over_layers` for N = 32."""
    return over_layers("fig6", 32, setting)


def fig7(setting: Setting) -> xr.Dataset:
    """`over_layers` for N = 64."""
    return over_layers("fig7", 64, setting)


def fig8(setting: Setting) -> xr.Dataset:
    """R and beampattern MSE over the SNR, N = 64."""
    antennas, levels = 64, list(range(0, 13, 2))
    s = setting.scenario(antennas, snr_db=levels)
    curves, skipped = lineup(antennas)
    steps = Steps(setting.tick, len(curves))
    final = figures([curve.run(s, steps=steps) for curve in curves], s.radar)
    dims = ("method", "snr_db", "channel")
    ds = xr.Dataset(
        {key: variable(key, dims, value) for key, value in final.items()},
        coords={"method": [c.name for c in curves], "snr_db": [float(x) for x in levels]},
    )
    ds["objective"] = variable("objective", dims, (final["rate"] - WEIGHT * final["tau"]).numpy())
    ds = with_intervals(ds, ["rate", "tau", "objective", "mse", "mse_desired"])
    ds = ds.assign(inputs(setting, antennas, s.radar) | steps_of(curves))
    parameters = {
        "antennas": antennas, "weight": WEIGHT, "layers": LAYERS,
        "methods": about_curves(curves), "skipped": skipped,
    }  # fmt: skip
    title = "Fig. 8: R and beampattern MSE over the SNR, N = 64"
    return conclude(ds, "fig8", title, setting, parameters)
