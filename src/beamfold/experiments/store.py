"""Datasets in and out: netCDF-4 by h5netcdf, and exports to MATLAB, NumPy and CSV."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from beamfold.files.arrays import write_arrays
from beamfold.files.atomic import FileError, check_there, write

LARGE = 4096  # values from which a variable is compressed


def save(path: Path, ds: xr.Dataset) -> None:
    """Write a dataset; a reader sees the old file or the new one, never half of either."""
    packed = {
        name: {"zlib": True, "complevel": 4}
        for name, v in ds.variables.items()
        if v.size >= LARGE and v.dtype.kind in "fi"
    }
    held = io.BytesIO()  # a disk that fills up under HDF5 can take the process with it
    ds.to_netcdf(held, engine="h5netcdf", encoding=packed)
    content = held.getvalue()  # bytes, not a view: one that an error keeps alive stops `held` from closing
    write(path, lambda target: target.write_bytes(content))


def load(path: Path) -> xr.Dataset:
    """The whole dataset, in memory.

    Raises:
        FileError: no such file, or not a netCDF-4 file.
    """
    check_there(path)
    try:
        with xr.open_dataset(path, engine="h5netcdf") as ds:
            return _renamed(ds.load())
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileError(f"{path} is not a netCDF file of this program: {reason}") from error


def _renamed(ds: xr.Dataset) -> xr.Dataset:
    """The axis of real and imaginary part by its name of today; version 0.1.0 called it `reim`."""
    return ds.rename(reim="ri") if "reim" in ds.dims else ds


def whole(path: Path) -> bool:
    """Whether a dataset is there and as long as its header says; a quick look, without the values."""
    if not path.is_file():
        return False
    try:
        with h5py.File(path) as file:
            return len(file) > 0
    except OSError:
        return False


def parameters(ds: xr.Dataset) -> dict[str, Any]:
    """What the dataset was computed with."""
    return json.loads(ds.attrs.get("parameters", "{}"))


def export(source: Path, target: Path) -> None:
    """The dataset as `.mat` or `.npz` (arrays by name), or `.csv` (one value a line).

    Raises:
        FileError: the source can't be read, another suffix, or the disk said no.
    """
    ds = load(source)
    if target.suffix.lower() == ".csv":
        write(target, lambda path: _write_csv(path, ds))
        return
    write_arrays(target, _arrays(ds))


def _arrays(ds: xr.Dataset) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, v in ds.variables.items():
        text = v.dtype.kind in "OUST"
        found[str(name)] = np.array([str(x) for x in v.values.ravel()]) if text else v.values
        found[f"{name}_axes"] = ", ".join(map(str, v.dims))
    return found | {"about": json.dumps({k: _plain(x) for k, x in ds.attrs.items()})}


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _write_csv(path: Path, ds: xr.Dataset) -> None:
    """Columns: variable, every axis, value, units; an axis that a variable lacks is left empty.

    Single channels, channel matrices, Ψ and step sizes stay in the netCDF file: the table holds the
    curves, which are means with their intervals.
    """
    names = [str(n) for n, v in ds.data_vars.items() if "channel" not in v.dims and "ri" not in v.dims]
    names = [n for n in names if not n.startswith(("mu_", "lam_"))]
    axes = list(dict.fromkeys(str(d) for n in names for d in ds[n].dims))
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["variable", *axes, "value", "units"])
        for name in names:
            table.writerows(_lines(ds[name], axes))


def _lines(array: xr.DataArray, axes: list[str]) -> Iterator[list[Any]]:
    dims = [str(d) for d in array.dims]
    labels = [array[d].values.tolist() if d in array.coords else range(array.sizes[d]) for d in dims]
    for place, value in zip(itertools.product(*labels), array.values.ravel(), strict=True):
        at = dict(zip(dims, place, strict=True))
        yield [array.name, *(at.get(axis, "") for axis in axes), value, array.attrs.get("units", "")]
