"""What beam squint costs over the bandwidth: R, τ, R − ω τ and the gain on the targets, one F for the band.

For every bandwidth the same paths are drawn on S subcarriers, and every way of building the precoder is
designed for them and judged on the true band, each subcarrier with its own steering vectors and its own Ψ_s:

* common: one F for the band, W_s and Ψ_s of every subcarrier;
* blind: the same, designed as if r_s = 1 held for the sensing, with the carrier's Ψ on all subcarriers;
* each: an F for every subcarrier, which no phase shifter can build: the bound of what chains can reach;
* subarrays: one F of contiguous sub-arrays;
* delays_Q: one F behind Q true-time-delay lines in each chain (`optim.delay_lines`);
* digital: X_s of every subcarrier without an analog part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from beamfold.arrays import Array
from beamfold.channel import saleh_valenzuela
from beamfold.defaults import CARRIER_GHZ, DELAY_NS, SLACK, SNR_DB, TARGETS_DEG, USERS, WEIGHT
from beamfold.errors import InputError
from beamfold.experiments.labelled import machine, revision, variable, with_intervals
from beamfold.files.covariances import cached_band, cached_covariance
from beamfold.metrics import beampattern
from beamfold.networks import named_network
from beamfold.optim.delay_lines import with_delay_lines
from beamfold.registry import design
from beamfold.result import FAULT_CODES, STATUS_CODES, Design, Status, finish
from beamfold.scenario import Scenario, make_scenario
from beamfold.sensing import Sensing, angle_grid

BANDWIDTHS_GHZ = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
CHAINS = (4, 8, 16)
SUBCARRIERS = 64
SHOWN_GHZ = 1.0
"""The bandwidth of the pictures over angle and frequency, where it is among those of the study."""
PICTURES = ("conventional", "blind", "common", "digital")
FIGURES = ("rate", "tau", "objective", "gain_mean", "gain_worst")
Tick = Callable[[float, str], None]


@dataclass(frozen=True)
class Study:
    """The setting of a study.

    Attributes:
        array: the base station's antennas, a line.
        users: K.
        count: channels.
        seed: of the channels.
        subcarriers: S.
        carrier_ghz: f_c.
        delay_ns: the longest delay of a path.
        snr_db: P_t over the noise.
        weight: ω.
        targets_deg: azimuths of the targets.
        method: a method that supports bands and networks.
        slack: of Ψ_s; None solves every subcarrier for itself.
    """

    array: Array
    users: int = USERS
    count: int = 20
    seed: int = 0
    subcarriers: int = SUBCARRIERS
    carrier_ghz: float = CARRIER_GHZ
    delay_ns: float = DELAY_NS
    snr_db: float = SNR_DB
    weight: float = WEIGHT
    targets_deg: tuple[float, ...] = TARGETS_DEG
    method: str = "fast"
    slack: float | None = SLACK


def squint(
    study: Study,
    *,
    bandwidths_ghz: Sequence[float] = BANDWIDTHS_GHZ,
    chains: Sequence[int] = CHAINS,
    lines: Sequence[int] = (),
    tick: Tick = lambda share, text: None,
) -> xr.Dataset:
    """One dataset over the bandwidths.

    Args:
        study: the setting.
        bandwidths_ghz: B, each at most the carrier.
        chains: M; each must divide N for the sub-arrays.
        lines: Q of the true time delay, each a divisor of N; none unless given.
        tick: called with the share done and what is being done.

    Returns:
        rate, tau, objective, gain_mean and gain_worst (design, chains, bandwidth_ghz, channel) with their
        means and 95 % intervals, the same with `digital_` in front without the first two axes, and
        `pattern` (picture, subcarrier, angle_deg), the mean over the channels of the power to an angle over
        P_t.

    Raises:
        InputError: sizes that do not divide the antennas, an array that is no line, or no band.
    """
    _check(study, chains, lines)
    names = ["common", "blind", "each", "subarrays", *(f"delays_{Q}" for Q in lines)]
    found, digital, pictures = [], [], None
    shown = SHOWN_GHZ if SHOWN_GHZ in bandwidths_ghz else max(bandwidths_ghz)
    total, done = len(bandwidths_ghz) * (1 + len(chains) * len(names)), 0

    def step(text: str) -> None:
        nonlocal done
        tick(done / total, text)
        done += 1

    for B in bandwidths_ghz:
        step(f"B = {B:g} GHz, digital")
        s, centre = _scenario(study, B)
        ceiling = design(s, "digital")
        digital.append(ceiling)
        row = []
        for M in chains:
            designs: dict[str, Design] = {}
            for name in names:
                step(f"B = {B:g} GHz, M = {M}, {name}")
                designs[name] = _designed(replace_chains(s, M), name, study.method, centre, designs)
            if shown == B and chains[len(chains) // 2] == M:
                pictures = _pictures(s, {**designs, "digital": ceiling})
            row.append([designs[name] for name in names])
        found.append(row)
    return _dataset(study, names, bandwidths_ghz, chains, found, digital, pictures, shown)


def _check(study: Study, chains: Sequence[int], lines: Sequence[int]) -> None:
    """Refuse sizes that do not divide the antennas, fewer chains than users, and an array that is no line."""
    N = study.array.antennas
    if not study.array.is_line:
        raise InputError("the study of squint is for a line, whose pictures have one angle")
    for what, values in (("chains", chains), ("delay lines", lines)):
        wrong = [value for value in values if value < 1 or N % value]
        if wrong:
            raise InputError(f"{wrong[0]} {what} do not divide {N} antennas")
    few = [M for M in chains if study.users > M]
    if few:
        raise InputError(f"{few[0]} chains are fewer than {study.users} users")


def _scenario(study: Study, bandwidth_ghz: float) -> tuple[Scenario, Sensing]:
    """The channels of a band with Ψ_s of every subcarrier, and the carrier's Ψ."""
    H, f = saleh_valenzuela(
        study.array, study.users, study.count, seed=study.seed, subcarriers=study.subcarriers,
        carrier_hz=1e9 * study.carrier_ghz, bandwidth_hz=1e9 * bandwidth_ghz, delay_s=1e-9 * study.delay_ns,
    )  # fmt: skip
    carrier = 1e9 * study.carrier_ghz
    radars = cached_band(study.array, study.targets_deg, ratios=(f / carrier).tolist(), slack=study.slack)
    s = make_scenario(H, radars, snr_db=study.snr_db, weight=study.weight, frequencies=f, carrier_hz=carrier)
    return s, cached_covariance(study.array, study.targets_deg)


def replace_chains(s: Scenario, M: int, network: str = "full") -> Scenario:
    """The scenario with M chains of a network."""
    return replace(s, chains=M, network=named_network(network, s.antennas, M))


def _designed(s: Scenario, name: str, method: str, centre: Sensing, before: dict[str, Design]) -> Design:
    """The design of a name, judged on the true band."""
    assert s.band is not None
    if name == "common":
        return design(s, method)
    if name == "blind":
        blind = replace(s, radar=centre, band=replace(s.band, each=None))
        d = design(blind, method)
        return finish(s, method, d.F, d.W, status=d.status)
    if name == "each":
        parts = [design(part, method) for part in s.parts()]
        X = torch.stack([d.X for d in parts], -3)
        return finish(s, method, None, X, status=parts[0].status)
    if name == "subarrays":
        return design(replace_chains(s, s.chains, "subarrays"), method)
    X, _ = with_delay_lines(s, before["common"], int(name.removeprefix("delays_")))
    return finish(s, method, None, X, status=Status.ITERATION_LIMIT)


def gains(d: Design) -> tuple[Tensor, Tensor]:
    """Power to the target windows over P_t: the mean, and that of the worst subcarrier and target; (…)."""
    s = d.scenario
    radar = s.radar
    assert radar.desired is not None
    angles = radar.angles[radar.desired > 0]
    nearest = (angles[:, None] - radar.target_angles).abs().argmin(-1)
    p = d.beampattern(angles)  # (…, S, T)
    windows = [p[..., nearest == i].mean(-1) for i in range(len(radar.targets))]
    each = torch.stack(windows, -1)
    return each.mean((-2, -1)), each.amin((-2, -1))


def _pictures(s: Scenario, designs: dict[str, Design]) -> Tensor:
    """Power over P_t (picture, S, T) to the angles of `PICTURES_DEG`, mean over the channels."""
    assert s.band is not None
    angles = angle_grid(ANGLES)
    beams = s.array.steering(s.radar.target_angles).mT / len(s.radar.targets) ** 0.5
    classical = torch.stack([beampattern(beams, angles, s.array, r) for r in s.band.ratios])
    return torch.stack([classical, *(designs[name].beampattern(angles).mean(0) for name in PICTURES[1:])])


ANGLES = 361
"""Angles of a picture, every half degree."""


def _dataset(
    study: Study,
    names: list[str],
    bandwidths: Sequence[float],
    chains: Sequence[int],
    found: list[list[list[Design]]],
    digital: list[Design],
    pictures: Tensor | None,
    shown: float,
) -> xr.Dataset:
    """The figures of the designs (bandwidth, chains, design) with their axes and units."""

    def stack(value: Callable[[Design], Tensor]) -> np.ndarray:
        each = [[[value(d).numpy() for d in row] for row in rows] for rows in found]
        return np.array(each).transpose(2, 1, 0, 3)

    def values(name: str) -> Callable[[Design], Tensor]:
        if name.startswith("gain"):
            return lambda d: gains(d)[name == "gain_worst"]
        return lambda d: getattr(d, name)

    dims = ("design", "chains", "bandwidth_ghz", "channel")
    about = {
        "gain_mean": "power to the target windows over P_t, mean",
        "gain_worst": "the same, worst subcarrier and target",
    }
    held: dict[str, xr.Variable] = {}
    for name in FIGURES:
        text = {"long_name": about[name], "units": "1 (linear)"} if name in about else {}
        held[name] = variable(name, dims, stack(values(name)), **text)
        held[f"digital_{name}"] = variable(
            name, dims[2:], np.stack([values(name)(d).numpy() for d in digital]), **text
        )
    for name, codes in (("status", STATUS_CODES), ("faults", FAULT_CODES)):
        held[name] = variable(name, dims, stack(values(name)), meaning=codes)
    assert pictures is not None
    held["pattern"] = variable("pattern", ("picture", "subcarrier", "angle_deg"), pictures)
    f = (
        study.carrier_ghz
        + shown * (np.arange(study.subcarriers) - (study.subcarriers - 1) / 2) / study.subcarriers
    )
    ds = xr.Dataset(
        held,
        coords={
            "design": names, "chains": list(chains), "bandwidth_ghz": list(bandwidths),
            "picture": list(PICTURES), "angle_deg": np.linspace(-90, 90, ANGLES),
            "frequency_ghz": ("subcarrier", f),
        },
    )  # fmt: skip
    ds = with_intervals(ds, [f"{front}{name}" for front in ("", "digital_") for name in FIGURES])
    return ds.assign_attrs(_about(study, shown, chains[len(chains) // 2]))


def _about(study: Study, shown: float, M: int) -> dict[str, str]:
    from beamfold import __version__

    facts = {
        "antennas": study.array.antennas, "array": study.array.name, "users": study.users, "count":
        study.count, "seed": study.seed, "subcarriers": study.subcarriers, "carrier_ghz": study.carrier_ghz,
        "delay_ns": study.delay_ns, "snr_db": study.snr_db, "weight": study.weight,
        "targets_deg": list(study.targets_deg), "method": study.method, "slack": study.slack,
        "picture_bandwidth_ghz": shown, "picture_chains": M, "channels": "drawn",
    }  # fmt: skip
    title = (
        f"Beam squint at {study.carrier_ghz:g} GHz, N = {study.array.antennas}, K = {study.users}, "
        f"{study.snr_db:g} dB, ω = {study.weight:g}"
    )
    return {
        "title": title, "experiment": "squint", "version": __version__, "revision": revision(),
        "machine": machine(), "parameters": json.dumps(facts),
    }  # fmt: skip


def summary(ds: xr.Dataset) -> list[dict[str, object]]:
    """The means as plain values: one row for each bandwidth, M and design."""
    rows: list[dict[str, object]] = []
    for B in ds["bandwidth_ghz"].values:
        for M in ds["chains"].values:
            for name in ds["design"].values:
                one = ds.sel(bandwidth_ghz=B, chains=M, design=name)
                rows.append(
                    {"bandwidth_ghz": float(B), "chains": int(M), "design": str(name), **_means(one, "")}
                )
        one = ds.sel(bandwidth_ghz=B)
        rows.append({"bandwidth_ghz": float(B), "chains": 0, "design": "digital", **_means(one, "digital_")})
    return rows


def _means(one: xr.Dataset, front: str) -> dict[str, float]:
    """R, τ, R − ω τ, and the gains in dB."""
    means = {name: float(one[f"{front}{name}_mean"]) for name in FIGURES}
    decibel = {f"{name}_db": 10 * float(np.log10(max(means[name], 1e-30))) for name in FIGURES[3:]}
    return {**{name: means[name] for name in FIGURES[:3]}, **decibel}
