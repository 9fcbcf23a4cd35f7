"""Designs out: F, W and their figures in a file that NumPy, MATLAB and xarray open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from beamfold.files.arrays import write_arrays
from beamfold.scenario import Design, Status


def design_arrays(design: Design) -> dict[str, Any]:
    """The arrays of a design file.

    `F` (…, N, M), `W` (…, M, K), `rate`, `tau`, `objective`, `status` (…), with the batch axes in front
    and an SNR axis before them where several were asked for; `snr_db` (S,), `weight`, `noise`, `method`.
    A fully digital design has no `F`, and its `W` (…, N, K) is X itself.
    """
    s = design.scenario
    power = s.power.reshape(s.power.shape[0], -1)[:, 0] if s.power.ndim > 1 else s.power.reshape(-1)[:1]
    arrays: dict[str, Any] = {
        "W": design.W.numpy(),
        "rate": design.rate.numpy(),
        "tau": design.tau.numpy(),
        "objective": design.objective.numpy(),
        "status": design.status.numpy(),
        "status_names": ", ".join(sorted(set(design.statuses))),
        "snr_db": 10 * np.log10(power.numpy() / s.noise),
        "weight": float(s.weight.reshape(-1)[0]),
        "noise": s.noise,
        "method": design.method,
        "Psi": s.Psi.numpy(),
    }
    if design.F is not None:
        arrays["F"] = design.F.numpy()
    return arrays


def write_design(path: Path, design: Design) -> None:
    """One design as `.mat` or `.npz`."""
    write_arrays(path, design_arrays(design))


def write_designs(path: Path, designs: list[Design]) -> None:
    """Several methods' designs of one scenario in one file, their arrays prefixed by the method's name."""
    shared = ("snr_db", "weight", "noise", "Psi")
    arrays: dict[str, Any] = {}
    for design in designs:
        own = design_arrays(design)
        arrays.update({key: own.pop(key) for key in shared})
        own.pop("method")
        arrays.update({f"{design.method}_{key}": value for key, value in own.items()})
    write_arrays(path, arrays)


def summary(design: Design, angles: torch.Tensor) -> list[dict[str, Any]]:
    """Mean figures per SNR, as plain values: what tables show and `--json` prints."""
    s = design.scenario
    several = len(s.batch) > 1
    parts = range(s.batch[0]) if several else [slice(None)]
    error = design.pattern_error(angles)
    rows = []
    for part in parts:
        status = design.status[part].flatten()
        power = float(s.power[part].reshape(-1)[0])
        mse = float(error[part].mean())
        rows.append(
            {
                "method": design.method,
                "snr_db": round(10 * float(np.log10(power / s.noise)), 6),
                "channels": status.numel(),
                "rate": float(design.rate[part].mean()),
                "tau": float(design.tau[part].mean()),
                "objective": float(design.objective[part].mean()),
                "mse_db": float(10 * np.log10(mse)) if mse > 0 else float("-inf"),
                "status": _counts(design, part),
            }
        )
    return rows


def _counts(design: Design, part: Any) -> dict[str, int]:
    values, counts = torch.unique(design.status[part], return_counts=True)
    return {Status(int(v)).label: int(c) for v, c in zip(values, counts, strict=True)}
