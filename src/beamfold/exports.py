"""A design as NumPy arrays by name, or as an xarray.Dataset with named axes; units as in `Design`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

    from beamfold.result import Design

UNITS = {"rate": "bit/s/Hz", "snr_db": "dB"}
EACH = ("rate", "tau", "objective", "mse", "status", "faults")
"""Figures with one value for each channel."""


def as_numpy(design: Design) -> dict[str, NDArray[Any]]:
    """F, W, X = F W, H, the figures of each channel, and `snr_db` (S,)."""
    found = {"W": design.W, "X": design.X, "H": design.scenario.H}
    found |= {name: getattr(design, name) for name in EACH}
    if design.F is not None:
        found["F"] = design.F
    arrays = {name: value.detach().cpu().resolve_conj().numpy() for name, value in found.items()}
    return {**arrays, "snr_db": np.array([snr_db for snr_db, _ in design.scenario.levels()])}


def as_xarray(design: Design) -> xr.Dataset:
    """The same with named axes: snr_db where there are several, channel, antenna, chain, column, row.

    A column is a stream: that of user k for one stream each. A row is an antenna of a user. Batches of other
    axes are called batch_0, batch_1, … Complex arrays stay complex in memory.
    """
    import xarray as xr

    arrays = as_numpy(design)
    snr_db = arrays.pop("snr_db")
    batch = _batch(design, len(snr_db) > 1)
    last: dict[str, tuple[str, ...]] = {
        "F": ("antenna", "chain"),
        "W": ("antenna" if design.F is None else "chain", "column"),
        "X": ("antenna", "column"),
        "H": ("row", "antenna"),
    }
    found = {
        name: xr.Variable((*batch, *last.get(name, ())), value, {"units": UNITS.get(name, "1")})
        for name, value in arrays.items()
    }
    coords = {"snr_db": ("snr_db", snr_db, {"units": "dB"})} if "snr_db" in batch else {}
    positions = design.scenario.array.positions.cpu().numpy()
    coords["position"] = (("antenna", "xyz"), positions, {"units": "wavelengths"})  # type: ignore[assignment]
    about = {"method": design.method, "weight": float(design.scenario.weight.reshape(-1)[0])}
    about |= {"noise": design.scenario.noise} | ({} if "snr_db" in batch else {"snr_db": float(snr_db[0])})
    return xr.Dataset(found, coords, about)


def _batch(design: Design, several: bool) -> tuple[str, ...]:
    """The names of the leading axes."""
    axes = len(design.scenario.batch) - several
    names = ("channel",) if axes == 1 else tuple(f"batch_{i}" for i in range(axes))
    return ("snr_db", *names) if several else names
