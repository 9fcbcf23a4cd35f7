"""The band of a file of channels or of Ψ: `frequencies` (S,) of the subcarriers and `carrier`, in Hz."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from beamfold.channel import band_frequencies
from beamfold.defaults import BANDWIDTH_GHZ, CARRIER_GHZ, DELAY_NS
from beamfold.errors import InputError
from beamfold.files.arrays import Array, read_arrays
from beamfold.files.atomic import FileError, Pathlike
from beamfold.files.entries import OF_BAND, ScenarioSpec

ENTRY, CARRIER = "frequencies", "carrier"


class Frequencies(NamedTuple):
    """Where the subcarriers of a file are."""

    frequencies: Tensor
    """f_s (S,) float64, Hz."""
    carrier: float
    """f_c, Hz: the array's positions are in its wavelengths."""

    @property
    def ratios(self) -> list[float]:
        """r_s = f_s/f_c."""
        found: list[float] = (self.frequencies / self.carrier).tolist()
        return found


class Stated(NamedTuple):
    """A band as a scenario states it; the names are those of `saleh_valenzuela`."""

    subcarriers: int
    carrier_hz: float
    bandwidth_hz: float


def stated_band(spec: ScenarioSpec) -> Stated | None:
    """What a scenario says of a band, with the defaults where it says nothing; None for flat channels.

    Raises:
        InputError: a carrier, bandwidth or delay without subcarriers.
    """
    if spec.subcarriers is None:
        alone = [name for name in OF_BAND if getattr(spec, name) is not None]
        if alone:
            raise InputError(f"{', '.join(alone)} describes a band; give subcarriers (--subcarriers) as well")
        return None
    carrier = CARRIER_GHZ if spec.carrier_ghz is None else spec.carrier_ghz
    bandwidth = BANDWIDTH_GHZ if spec.bandwidth_ghz is None else spec.bandwidth_ghz
    return Stated(spec.subcarriers, 1e9 * carrier, 1e9 * bandwidth)


def drawn_band(spec: ScenarioSpec) -> dict[str, Any] | None:
    """What `saleh_valenzuela` takes for the channels of a stated band; None for flat channels."""
    band = stated_band(spec)
    delay_ns = DELAY_NS if spec.delay_ns is None else spec.delay_ns
    return None if band is None else {**band._asdict(), "delay_s": 1e-9 * delay_ns}


def frequencies_of(band: Stated) -> Frequencies:
    """The frequencies of a stated band."""
    return Frequencies(band_frequencies(*band), band.carrier_hz)


def band_of(spec: ScenarioSpec) -> Frequencies | None:
    """The band that a scenario states, else that of its channel file; None for flat channels.

    Raises:
        InputError: no band, see `stated_band` and `band_frequencies`.
    """
    stated = stated_band(spec)
    if stated is not None:
        return frequencies_of(stated)
    return None if spec.channels is None else read_frequencies(spec.channels)


def read_frequencies(path: Pathlike) -> Frequencies | None:
    """The band that a file states, None for a file of flat channels.

    Raises:
        FileError: frequencies that are no band.
    """
    return frequencies_in(Path(path), read_arrays(Path(path)))


def frequencies_in(path: Path, arrays: Mapping[str, Array]) -> Frequencies | None:
    """The band among the arrays of a file, None where it states none.

    Raises:
        FileError: frequencies that are not finite, positive and increasing real numbers, or no carrier.
    """
    if ENTRY not in arrays:
        return None
    f = arrays[ENTRY].ravel()
    if (
        f.dtype.kind == "c"
        or not len(f)
        or not np.isfinite(f).all()
        or np.any(f <= 0)
        or np.any(np.diff(f) <= 0)
    ):
        raise FileError(f"{path}: {ENTRY} must be finite positive real numbers in Hz that increase")
    carrier = arrays.get(CARRIER, np.zeros(0)).ravel()
    if carrier.dtype.kind == "c" or len(carrier) != 1 or not 0 < carrier[0] < np.inf:
        raise FileError(
            f"{path} has {ENTRY} and needs {CARRIER}: one frequency in Hz, whose wavelengths are the array's"
        )
    return Frequencies(torch.from_numpy(f.astype(np.float64)), float(carrier[0]))


def band_entries(frequencies: Tensor, carrier: float) -> dict[str, Any]:
    """What `frequencies_in` reads, for `write_arrays`."""
    return {ENTRY: frequencies.numpy(), CARRIER: carrier}
