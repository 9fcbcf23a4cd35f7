"""Design files read without their channels: the X of every method, and the array that sends it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from beamfold.arrays import Array as AntennaArray
from beamfold.arrays import line_array
from beamfold.files.antennas import antennas_at
from beamfold.files.arrays import numbers, read_all, text
from beamfold.files.atomic import FileError
from beamfold.files.bands import frequencies_in
from beamfold.files.designs import read_designs
from beamfold.files.directions import Directions


class Precoders(NamedTuple):
    """What a design file sends; S SNRs of B channels."""

    X: dict[str, Tensor]
    """By the method's name, (S, B, N, K) complex128, on a band with its subcarriers behind B."""
    snr_db: tuple[float, ...]
    """P_t over the users' noise."""
    power: Tensor
    """(S, B), P_t."""
    array: AntennaArray
    targets_deg: Directions
    """Of Ψ; empty where the file states none."""
    ratios: tuple[float, ...] | None
    """The subcarriers' frequencies over the carrier's; None for flat channels."""


def read_precoders(path: Path) -> Precoders:
    """X = F W of a file of `write_design` or `write_designs`.

    Raises:
        FileError: not a design file, or one whose arrays do not fit each other.
    """
    everything = read_all(path)
    held = numbers(everything)
    W = next((held[name] for name in sorted(held) if name == "W" or name.endswith("_W")), None)
    if W is None or not {"Psi", "snr_db"} <= set(held):
        raise FileError(f"{path} is not a design file: it lacks W, Psi or snr_db")
    band = frequencies_in(path, held)
    subcarriers = 1 if band is None else len(band.ratios)
    levels = tuple(float(x) for x in held["snr_db"].ravel())
    count = W.size // max(1, int(np.prod(W.shape[-2:])) * subcarriers)
    if W.ndim < 2 or not levels or count % len(levels):
        raise FileError(f"{path}: W {W.shape} does not fit {len(levels)} SNRs")
    antennas = held["Psi"].shape[-1]
    designs = read_designs(path, count // len(levels), W.shape[-1], antennas)
    found = {}
    for name, one in designs.items():
        F = one.F if one.F is None or band is None else one.F[:, None]
        X = one.W if F is None else F @ one.W
        if not np.isfinite(X).all():
            raise FileError(f"{path}: the designs of {name} hold NaN or Inf")
        shown = text(everything, "method") or name if name == "design" else name
        found[shown] = torch.from_numpy(X.astype(np.complex128)).reshape(len(levels), -1, *X.shape[1:])
    first = next(iter(designs.values()))
    array = line_array(antennas) if first.positions is None else antennas_at(path, first.positions)
    targets = held.get("targets_deg", np.zeros(0))
    pairs = [] if targets.size == 0 else targets.reshape(-1, 1 if array.is_line else 2).tolist()
    degrees: Directions = [p[0] if array.is_line else p for p in pairs]
    power = torch.from_numpy(first.power).reshape(len(levels), -1)
    ratios = None if band is None else tuple(band.ratios)
    return Precoders(found, levels, power, array, degrees, ratios)
