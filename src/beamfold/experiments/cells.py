"""One cell of a sweep: computed alone, from its parameters alone, the same on every machine and worker."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import torch
import xarray as xr
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from beamfold.channel import saleh_valenzuela
from beamfold.experiments.grid import Cell
from beamfold.experiments.labelled import machine, revision, shipped_digest, variable
from beamfold.registry import design
from beamfold.scenario import make_scenario
from beamfold.sensing import Sensing

NONE = {
    **dict.fromkeys(("inner", "layers"), "-1: the method has no such number"),
    "bits": "-1: continuous phases",
    **dict.fromkeys(("bandwidth_ghz", "carrier_ghz", "delay_ns"), "-1: flat channels"),
}
"""What -1 stands for."""
FIGURES = ("rate", "tau", "objective", "mse", "status", "faults")


def about() -> dict[str, str]:
    """What a cell's figures depend on besides its parameters: the version and the models in it."""
    from beamfold import __version__

    return {"version": __version__, "models": shipped_digest()}


def one_thread() -> None:
    """Keep torch to one thread: sums split over threads would differ in the last bits."""
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


def compute(parameters: dict[str, Any], radar: Sensing) -> dict[str, Any]:
    """The figures of a cell per channel, as plain arrays that travel between processes.

    Channel b comes from a generator of its own, (seed, b), and every sum runs on one thread, so the
    numbers do not depend on who computes them. Ψ comes from outside, the same for every worker.
    """
    cell = Cell.model_validate(parameters)
    options: dict[str, Any] = dict(cell.options)
    one_thread()
    with threadpool_limits(1):
        drawn, over = (cell.antennas, cell.users, cell.count), {}
        if cell.band is None:
            H = saleh_valenzuela(*drawn, seed=cell.seed, paths=cell.paths)
        else:
            H, f = saleh_valenzuela(*drawn, seed=cell.seed, paths=cell.paths, **cell.band)
            over = {"frequencies": f, "carrier_hz": cell.band["carrier_hz"]}
        s = make_scenario(H, radar, snr_db=cell.snr_db, weight=cell.weight, network=cell.analog, **over)
        found = design(s, cell.method, threads=1, **options)
        error = found.pattern_error(radar.angles)
    return {
        "rate": found.rate.numpy(), "tau": found.tau.numpy(), "objective": found.objective.numpy(),
        "mse": error.numpy(), "status": found.status.numpy(), "faults": found.faults.numpy(),
        "psi_objective": radar.objective, "psi_gap": radar.gap, "psi_solver": radar.solver,
        "machine": machine(), "revision": revision(), **about(),
    }  # fmt: skip


def dataset(cell: Cell, found: dict[str, Any]) -> xr.Dataset:
    """A cell's figures, labelled."""
    ds = xr.Dataset({name: variable(name, ("channel",), found[name]) for name in FIGURES})
    rest = {key: value for key, value in found.items() if key not in FIGURES}
    return ds.assign_attrs(parameters=json.dumps(cell.model_dump()), seed=cell.seed, **rest)


def join(cells: list[Cell], each: list[xr.Dataset]) -> xr.Dataset:
    """All cells along an axis `cell`, whose parameters are coordinates of it."""
    data = {
        name: variable(name, ("cell", "channel"), np.stack([ds[name].values for ds in each]))
        for name in FIGURES
    }
    held = [cell.model_dump() for cell in cells]
    coords: dict[str, Any] = {"cell": [cell.name for cell in cells]}
    for key in held[0]:
        if key in ("count", "seed", "paths", "mask"):
            continue
        values = [row[key] for row in held]
        if key == "targets_deg":
            values = [" ".join(f"{angle:g}" for angle in row) for row in values]
        note = {"note": NONE[key]} if key in NONE else {}
        coords[key] = ("cell", [-1 if v is None else v for v in values], note)
    return xr.Dataset(data, coords=coords)


def compute_on_one_core(parameters: dict[str, Any], radar: Sensing) -> dict[str, Any]:
    """`compute` in a worker of a local cluster, which keeps to one processor and leaves the others theirs."""
    from distributed import get_worker

    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(get_worker().name) % len(cores)]})
    return compute(parameters, radar)
