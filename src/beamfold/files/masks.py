"""Analog networks in files and on the command line: a mask (N, M) of zeros and ones, or a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from beamfold.errors import InputError
from beamfold.files.arrays import Array, read_arrays
from beamfold.files.atomic import FileError
from beamfold.networks import NAMES, Network, named_network


def network_called(text: str, antennas: int, chains: int, bits: int | None) -> Network:
    """The network that a text names, see `networks.named_network`, or that of a file with a mask.

    Args:
        text: a name, or a file with `mask` (N, M), or with that as its only array.
        antennas: N.
        chains: M; a file brings its own.
        bits: b, or None for continuous phases.

    Raises:
        InputError: neither a name nor a file, or a mask that is no network.
    """
    if text in NAMES or not ("." in text or "/" in text):
        return named_network(text, antennas, chains, bits)
    path = Path(text)
    if not path.is_file():
        raise InputError(
            f"no such network or file: {text[:200]}; known: {', '.join(NAMES)}, or a file with a mask"
        )
    arrays = read_arrays(path)
    alone = next(iter(arrays.values())) if len(arrays) == 1 else None
    mask = arrays.get("mask", alone)
    if mask is None or mask.ndim != 2:
        raise FileError(
            f"{path} holds no mask: expected an array `mask` (antennas, chains) of zeros and ones"
        )
    try:
        return Network(_real(path, mask), bits, name=path.name)  # type: ignore[arg-type]
    except InputError as error:
        raise FileError(f"{path}: {error}") from error


def mask_arrays(network: Network) -> dict[str, Any]:
    """The arrays with which a design file describes its network."""
    return {
        "mask": network.mask.cpu().numpy().astype(np.uint8),
        "bits": network.bits or 0,
        "dynamic": int(network.dynamic),
        "network": network.label,
    }


def mask_in(path: Path, arrays: dict[str, Array], antennas: int) -> tuple[Array, int, bool] | None:
    """Mask, bits (0 for continuous phases) and whether it is dynamic, of a design file, or None."""
    if "mask" not in arrays:
        return None
    mask = _real(path, arrays["mask"])
    if mask.ndim != 2 or len(mask) != antennas or not np.isin(mask, (0, 1)).all():
        raise FileError(f"{path}: mask is {mask.shape}, expected ({antennas}, chains) zeros and ones")
    bits, dynamic = (float(np.ravel(arrays.get(key, np.zeros(1)))[0].real) for key in ("bits", "dynamic"))
    if bits not in range(11):
        raise FileError(f"{path}: bits is {bits:g}, expected a whole number from 0 to 10")
    return mask, int(bits), bool(dynamic)


def _real(path: Path, mask: Array) -> Array:
    if mask.dtype.kind == "c":
        raise FileError(f"{path}: the mask is complex, expected zeros and ones")
    return mask
