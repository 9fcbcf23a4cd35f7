"""The learnt division of a fast design's work in and out: θ as safetensors, its training in the metadata."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from importlib import resources
from pathlib import Path

import torch

from beamfold.errors import InputError
from beamfold.files.atomic import FileError, Pathlike, write
from beamfold.optim.division import Division, DivisionInfo

FORMAT = "beamfold-division-1"
SHIPPED = "division.safetensors"
"""The one that comes with the package, in the folder `divisions`."""


def save_division(path: Pathlike, division: Division) -> None:
    """θ in float64, `DivisionInfo` as JSON in the metadata."""
    from safetensors.torch import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise FileError(f"{path}: models are written as .safetensors")
    data = save(
        {"theta": torch.from_numpy(division.theta)},
        metadata={"format": FORMAT, "info": json.dumps(asdict(division.info))},
    )
    write(path, lambda target: target.write_bytes(data))


def load_division(path: Pathlike | None = None) -> Division:
    """A division from its file, or the shipped one.

    Raises:
        FileError: not such a file, or θ of another layout.
    """
    from safetensors import safe_open

    from beamfold.files.metadata import parse

    path = Path(str(resources.files("beamfold") / "divisions" / SHIPPED)) if path is None else Path(path)
    if not path.is_file():
        raise FileError(f"no such file: {path}")
    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # a damaged file can fail in any way inside the reader
        raise FileError(f"{path} is not a safetensors file: {error}") from error
    if meta.get("format") != FORMAT or set(tensors) != {"theta"} or "info" not in meta:
        stated = meta.get("format", "not stated")
        raise FileError(f"{path} is not a division of the fast design: its format is {stated!r}")
    theta = tensors["theta"]
    if not theta.is_floating_point():
        raise FileError(f"{path}: theta holds {theta.dtype}, expected real numbers")
    info = parse(DivisionInfo, meta["info"], path, "info")
    try:
        return Division(theta.to(torch.float64).numpy(), info)
    except InputError as error:
        raise FileError(f"{path}: {error}") from error


@lru_cache(maxsize=1)
def shipped_division() -> Division:
    """The division that comes with the package."""
    return load_division()
