"""Analog networks compared: R, τ and R − ω τ over the RF chains of each network, and over the bits.

Every network is designed for the same channels, Ψ, ω and power by one method. The bits are those of the fully
connected network of the scenario's own M: rounded to the nearest levels with W as it was, with W following,
and designed for the levels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from beamfold.constraints import total_power
from beamfold.errors import InputError
from beamfold.experiments.labelled import machine, revision, scenario_planes, variable, with_intervals
from beamfold.networks import NAMES, fully_connected, named_network, quantised
from beamfold.optim.few_bits import on_levels
from beamfold.registry import design
from beamfold.result import FAULT_CODES, STATUS_CODES, Design, Status, finish
from beamfold.scenario import Scenario
from beamfold.start import Point

CHAINS = (4, 8, 16)
BITS = (1, 2, 3, 4, 5)
STAGES = ("rounded", "W refitted", "designed")
Tick = Callable[[float, str], None]


def network_cost(
    s: Scenario,
    *,
    chains: Sequence[int] = CHAINS,
    bits: Sequence[int] = BITS,
    method: str = "fast",
    kicks: int = 0,
    source: str = "",
    tick: Tick = lambda share, text: None,
) -> xr.Dataset:
    """One dataset for one channel set.

    Args:
        s: fully connected, one SNR.
        chains: M of the networks; each must divide N for the sub-arrays.
        bits: b of the phase shifters.
        method: a method that supports networks.
        kicks: of `few_bits.on_levels`, for the designed stage.
        source: where the channels are from, for the record.
        tick: called with the share done and what is being done.

    Returns:
        rate, tau, objective (network, chains, channel), with their means and 95 % intervals, and the same
        with `bits_` in front (stage, bits, channel); `continuous_objective` (channel).

    Raises:
        InputError: a band, or chains that are fewer than the users, more than the antennas, or do not divide
            them.
    """
    if s.band is not None:
        raise InputError(
            f"the cost of a network is for flat channels, these have {s.subcarriers} subcarriers; design for "
            "each network with `beamfold design --network`"
        )
    for M in chains:
        if not s.columns <= M <= s.antennas or s.antennas % M:
            raise InputError(
                f"{M} chains do not divide {s.antennas} antennas, or are fewer than {s.columns} users"
            )
    total, done = len(NAMES) * len(chains) + 1 + len(bits), 0
    designs: list[list[Design]] = []
    for name in NAMES:
        row = []
        for M in chains:
            tick(done / total, f"{name}, M = {M}")
            row.append(design(_on(s, name, M), method))
            done += 1
        designs.append(row)
    tick(done / total, "continuous phases")
    continuous = design(s, method)
    staged: list[list[Design]] = [[] for _ in STAGES]
    for b in bits:
        done += 1
        tick(done / total, f"{b} bits")
        for row, found in zip(staged, _stages(s, continuous, b, kicks), strict=True):
            row.append(found)
    ds = xr.Dataset(
        {
            **_figures(designs, ("network", "chains", "channel"), ""),
            **_figures(staged, ("stage", "bits", "channel"), "bits_"),
            "continuous_objective": variable("objective", ("channel",), continuous.objective.numpy()),
            **scenario_planes(s),
        },
        coords={"network": list(NAMES), "chains": list(chains), "stage": list(STAGES), "bits": list(bits)},
    )
    names = [f"{prefix}{key}" for prefix in ("", "bits_") for key in ("rate", "tau", "objective")]
    return with_intervals(ds, names).assign_attrs(_about(s, method, source))


def _on(s: Scenario, name: str, M: int) -> Scenario:
    return replace(s, chains=M, network=named_network(name, s.antennas, M))


def _stages(s: Scenario, continuous: Design, bits: int, kicks: int) -> list[Design]:
    """Rounded, W refitted, and designed for b bits, from the design of continuous phases."""
    few = replace(s, network=fully_connected(s.antennas, s.chains, bits))
    assert continuous.F is not None
    F, W = quantised(continuous.F, bits), continuous.W
    start = Point(continuous.F, W)
    found = [
        Point(F, total_power(F, W, s.power)),
        on_levels(few, Point(F, W), passes=0),
        on_levels(few, start, kicks=kicks),
    ]
    return [finish(few, continuous.method, *point, status=Status.ITERATION_LIMIT) for point in found]


def _figures(designs: list[list[Design]], dims: tuple[str, ...], prefix: str) -> dict[str, xr.Variable]:
    """R, τ, R − ω τ, status and faults of a table of designs."""

    def stack(name: str) -> np.ndarray:
        return np.stack([np.stack([getattr(d, name).numpy() for d in row]) for row in designs])

    return {
        **{f"{prefix}{name}": variable(name, dims, stack(name)) for name in ("rate", "tau", "objective")},
        f"{prefix}status": variable("status", dims, stack("status"), meaning=STATUS_CODES),
        f"{prefix}faults": variable("faults", dims, stack("faults"), meaning=FAULT_CODES),
    }


def _about(s: Scenario, method: str, source: str) -> dict[str, str]:
    from beamfold import __version__

    snr_db = round(10 * float(np.log10(float(s.power[0]) / s.noise)), 9)
    facts = {
        "antennas": s.antennas, "users": s.users, "chains": s.chains, "snr_db": snr_db, "noise": s.noise,
        "weight": float(s.weight[0]), "count": s.batch[0], "channels": source, "method": method,
    }  # fmt: skip
    return {
        "title": f"Analog networks, N = {s.antennas}, K = {s.users}, {snr_db:g} dB, ω = {facts['weight']:g}",
        "experiment": "network", "version": __version__, "revision": revision(), "machine": machine(),
        "parameters": json.dumps(facts),
    }  # fmt: skip


def summary(ds: xr.Dataset) -> list[dict[str, object]]:
    """The means as plain values: one row for each network and M, one for each stage and b."""
    keys = ("rate", "tau", "objective")
    rows: list[dict[str, object]] = []
    for name in ds["network"].values:
        for M in ds["chains"].values:
            one = ds.sel(network=name, chains=M)
            means = {key: float(one[f"{key}_mean"]) for key in keys}
            rows.append({"network": str(name), "chains": int(M), "phases": "continuous", **means})
    own = int(json.loads(ds.attrs["parameters"])["chains"])
    for b in ds["bits"].values:
        for stage in ds["stage"].values:
            one = ds.sel(stage=stage, bits=b)
            means = {key: float(one[f"bits_{key}_mean"]) for key in keys}
            rows.append({"network": "full", "chains": own, "phases": f"{b} bits, {stage}", **means})
    return rows
