"""Ψ_s of every subcarrier in a file: Psi (S, N, N) with the frequencies, and what `write_sensing` writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from beamfold.arrays import Array as AntennaArray
from beamfold.files.arrays import numbers, read_all, write_arrays
from beamfold.files.atomic import FileError, Pathlike
from beamfold.files.bands import Frequencies, band_entries, frequencies_in
from beamfold.files.psi import sensing_entries, sensing_in
from beamfold.sensing import Sensing

EACH = ("Psi", "scale", "objective", "gap")
"""Entries with a first axis of subcarriers."""


def write_band_sensing(path: Pathlike, radars: Sequence[Sensing], band: Frequencies) -> None:
    """Ψ_s (S, N, N), its figures (S,), the frequencies and the problem (6), as `.mat` or `.npz`."""
    every = [sensing_entries(radar) for radar in radars]
    stacked = {name: np.stack([np.asarray(one[name]) for one in every]) for name in EACH}
    write_arrays(Path(path), {**every[0], **stacked, **band_entries(*band)})


def read_band_sensing(path: Pathlike, *, array: AntennaArray | None = None) -> tuple[Sensing, ...]:
    """Ψ_s of a file with Psi (S, N, N), one for each subcarrier, each scaled to trace 1.

    Args:
        path: `.mat` or `.npz`, from `write_band_sensing` or with the same entries; only Psi, `frequencies`
            and `carrier` (Hz) are necessary.
        array: the antennas, for a file that does not state them; default the half-wavelength line.

    Raises:
        FileError: no such array, another number of subcarriers than of frequencies, or no covariance.
    """
    path = Path(path)
    held = read_all(path)
    arrays = numbers(held)
    Psi = arrays.get("Psi", np.zeros(0))
    if Psi.ndim != 3 or len(Psi) == 0:
        raise FileError(
            f"{path}: Psi has axes {Psi.shape}, expected (subcarriers, antennas, antennas); "
            "`beamfold covariance --subcarriers` writes such a file"
        )
    band = frequencies_in(path, arrays)
    if band is None or len(band.frequencies) != len(Psi):
        count = "no" if band is None else str(len(band.frequencies))
        raise FileError(f"{path}: {count} frequencies for {len(Psi)} subcarriers of Psi; each needs its own")
    each = {name: arrays[name].ravel() for name in EACH[1:] if name in arrays}
    for name, values in each.items():
        if len(values) != len(Psi):
            raise FileError(f"{path}: {name} has {len(values)} values for {len(Psi)} subcarriers")
    found: list[Sensing] = []
    for s, ratio in enumerate(band.ratios):
        one = {**held, "Psi": Psi[s], **{name: values[s : s + 1] for name, values in each.items()}}
        found.append(replace(sensing_in(path, one, array=array), ratio=ratio))
    return tuple(found)
