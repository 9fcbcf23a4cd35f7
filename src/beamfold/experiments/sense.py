"""What the radar sees of designs as a labelled dataset: figures of every channel, and over the target SNR."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from beamfold.experiments.labelled import machine, revision, variable, with_intervals
from beamfold.radar import Scene
from beamfold.radar.detection import detection, detection_swerling
from beamfold.radar.figures import Sensed, sense
from beamfold.radar.fisher import REASONS
from beamfold.radar.pattern import Measure

POINTS = 61
"""SNRs of the picture."""
FIGURES = ("rcrb_deg", "scnr", "detected", "swerling", "gain", "pslr", "islr")
MEANINGS = ", ".join(f"{code} {text or 'finite'}" for code, text in REASONS.items())


def sense_designs(
    X: dict[str, Tensor],
    scene: Scene,
    power: Tensor,
    snr_db: tuple[float, ...],
    *,
    measure: Measure = "u",
    source: str = "",
) -> xr.Dataset:
    """Every sensing figure of designs.

    Args:
        X: by the method's name, (S, B, N, K); on a band with its subcarriers behind B.
        scene: what is sensed; its SNRs are those at each design's own P_t.
        power: (S, B), P_t.
        snr_db: (S,), P_t over the users' noise, for the labels.
        measure: of ISLR.
        source: where the designs are from, for the record.

    Returns:
        rcrb_deg and reason (method, snr_db, channel, target, angle), scnr, detected, swerling and gain
        without `angle`, pslr and islr without `target`; rcrb_over_snr, detected_over_snr and
        swerling_over_snr with a further axis `target_snr_db`; of all the means and 95 % intervals over the
        channels.

    Raises:
        InputError: designs that do not fit the scene.
    """
    found = {name: sense(each, scene, power, measure) for name, each in X.items()}
    axis = _snr_axis(scene, found)
    at = ("method", "snr_db", "channel", "target")
    data: dict[str, xr.Variable] = {
        "rcrb_deg": variable("rcrb_deg", (*at, "angle"), _stack(found, "rcrb").rad2deg()),
        "reason": variable("reason", (*at, "angle"), _stack(found, "reason"), meaning=MEANINGS),
        **{
            name: variable(name, at, _stack(found, name)) for name in ("scnr", "detected", "swerling", "gain")
        },
        **{name: variable(name, at[:-1], _stack(found, name)) for name in ("pslr", "islr")},
    }
    data["islr"].attrs["measure"] = {"u": "direction cosines", "angle": "angle"}[measure]
    data |= _over_snr(scene, _stack(found, "rcrb").rad2deg(), _stack(found, "scnr"), axis)
    ds = xr.Dataset(
        data,
        coords={
            "method": list(found),
            "snr_db": list(snr_db),
            "target": _names(scene),
            "angle": ["azimuth", "elevation"][: scene.dims],
            "target_snr_db": axis.numpy(),
        },
    )
    over = [name for name in ds.data_vars if str(name).endswith("_over_snr")]
    with np.errstate(invalid="ignore"):  # a bound that is infinite has an infinite mean and no interval
        ds = with_intervals(ds, [*FIGURES, *map(str, over)])
    return ds.assign_attrs(_about(scene, X, measure, source))


def _stack(found: dict[str, Sensed], name: str) -> Tensor:
    return torch.stack([getattr(each, name) for each in found.values()])


def _names(scene: Scene) -> list[str]:
    """The targets as the command line takes them."""
    degrees = scene.targets.rad2deg().reshape(scene.count, -1)
    return ["/".join(f"{round(value, 6):g}" for value in each) for each in degrees.tolist()]


def _snr_axis(scene: Scene, found: dict[str, Sensed]) -> Tensor:
    """SNRs in dB from where hardly anything is detected to beyond both certainty and the scene's own SNR."""
    own = 10 * torch.log10(scene.snr)
    ratios = torch.cat([each.scnr.reshape(-1) for each in found.values()])
    rho = max(scene.snapshots * float(ratios.mean()), 1e-3)
    gain = 10 * np.log10(rho) - float(own.mean())
    edge = 10 * np.log10(-np.log(scene.false_alarm)) - gain  # where rho is about -ln P_FA
    low, high = min(edge - 12, float(own.min()) - 3), max(edge + 12, float(own.max()) + 3)
    return torch.linspace(round(low), round(high), POINTS, dtype=torch.float64)


def _over_snr(scene: Scene, rcrb: Tensor, scnr: Tensor, axis: Tensor) -> dict[str, xr.Variable]:
    """The figures with every target's SNR in turn set to each of the axis: the bound goes with its root."""
    scale = 10 ** (axis / 10) / scene.snr[:, None]
    rho = scene.snapshots * scnr[..., None] * scale
    worst = rcrb.amax(-1)[..., None] / scale.sqrt()
    dims = ("method", "snr_db", "channel", "target", "target_snr_db")
    return {
        "rcrb_over_snr": variable(
            "rcrb_deg", dims, worst, statistic="the larger of both angles, all targets moved alike"
        ),
        "detected_over_snr": variable("detected", dims, detection(rho, scene.false_alarm)),
        "swerling_over_snr": variable("swerling", dims, detection_swerling(rho, scene.false_alarm)),
    }


def _about(scene: Scene, X: dict[str, Tensor], measure: Measure, source: str) -> dict[str, Any]:
    from beamfold import __version__

    levels, count, *_, antennas, columns = next(iter(X.values())).shape
    facts = {
        "antennas": antennas, "columns": columns, "count": count, "channels": source, "levels": levels,
        "targets_deg": _names(scene), "target_snr_db": [round(x, 9) for x in (10 *
        torch.log10(scene.snr)).tolist()], "receive": scene.receive.name, "clutter_deg":
        scene.clutter.rad2deg().tolist(), "clutter_db": [round(x, 9) for x in (10 *
        torch.log10(scene.cnr)).tolist()], "snapshots": scene.snapshots, "false_alarm": scene.false_alarm,
    "measure": measure, "subcarriers": len(scene.ratios or (1,)), "amplitudes": scene.band, }  # fmt: skip
    return {
        "title": f"What the radar sees, N = {antennas}, {scene.snapshots} snapshots, "
        f"false alarms {scene.false_alarm:g}",
        "experiment": "sense", "version": __version__, "revision": revision(), "machine": machine(),
        "parameters": json.dumps(facts),
    }  # fmt: skip


def summary(ds: xr.Dataset) -> list[dict[str, Any]]:
    """A row for each method, SNR and target: means over the channels with their intervals."""
    rows = []
    for method in ds["method"].values:
        for snr_db in ds["snr_db"].values:
            for target in ds["target"].values:
                one = ds.sel({"method": method, "snr_db": snr_db, "target": target})
                rows.append(
                    {
                        "method": str(method),
                        "snr_db": round(float(snr_db), 6),
                        "target": str(target),
                        **_row(one),
                    }
                )
    return rows


def _row(one: xr.Dataset) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for i, angle in enumerate(one["angle"].values):
        name = "rcrb_deg" if i == 0 else f"rcrb_{angle}_deg"
        row |= {name + end: float(one[f"rcrb_deg_{part}"][i]) for part, end in ENDS.items()}
    for name in ("detected", "swerling"):
        row |= {name + end: float(one[f"{name}_{part}"]) for part, end in ENDS.items()}
    for name in ("scnr", "gain", "pslr", "islr"):
        with np.errstate(divide="ignore", invalid="ignore"):
            row |= {
                f"{name}_db{end}": float(10 * np.log10(one[f"{name}_{part}"])) for part, end in ENDS.items()
            }
    reasons = sorted({int(code) for code in one["reason"].values.ravel()} - {0})
    return row | {"infinite": "; ".join(REASONS[code] for code in reasons)}


ENDS = {"mean": "", "low": "_low", "high": "_high"}
