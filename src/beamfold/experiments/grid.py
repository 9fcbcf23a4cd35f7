"""A sweep's configuration: any product of methods, SNR, ω, N, K, M, J, I, networks and targets, checked
whole.

```toml
methods = ["unfolded", "pga", "sca-manopt"]   # names of `beamfold.registry.METHODS`
snr_db = [0, 6, 12]
weight = [0.1, 0.3]
antennas = [64]
users = [4]
chains = [4]                                  # left out: as many as users
inner = [10, 20]                              # J; for methods that have it
layers = [120]                                # I; for methods that have it
network = ["full", "subarrays", "mask.npz"]   # names, or files with a mask (N, M)
bits = ["continuous", 3]                      # of the phase shifters
subcarriers = [1, 16]                         # S of a band, 1 for flat channels
bandwidth_ghz = [0.1, 1]                      # B of the bands
carrier_ghz = 28                              # f_c, whose Psi serves every subcarrier
delay_ns = 20                                 # the longest delay of a path
targets_deg = [[-60, 0, 60], [-30, 30]]
count = 100
seed = 0
```
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import reprlib
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from beamfold.channel import band_frequencies
from beamfold.covariance.problem import check_problem, desired_pattern
from beamfold.defaults import BANDWIDTH_GHZ, CARRIER_GHZ, DELAY_NS, NETWORK, SNR_DB, TARGETS_DEG
from beamfold.errors import InputError
from beamfold.files.covariances import cached_covariance
from beamfold.files.masks import network_called
from beamfold.files.models import find_model
from beamfold.files.spec_files import nearest, read_toml
from beamfold.method import lacking_network
from beamfold.networks import NAMES, Network, named_network
from beamfold.networks.base import MOST_BITS
from beamfold.registry import METHODS, NEEDS, current_name
from beamfold.sensing import Sensing, default_angles

CELLS = 100_000  # of a sweep

Positive = Annotated[int, Field(ge=1, le=1_000_000)]
Antennas = Annotated[int, Field(ge=1, le=4096)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Decibel = Annotated[float, Field(ge=-300, le=300)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Above = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Bits = int | Literal["continuous"]
Mask = tuple[str, ...]
"""A row of zeros and ones for each antenna, one for each chain."""
LISTS = (
    "methods", "snr_db", "weight", "antennas", "users", "chains", "inner", "layers", "network", "bits",
    "targets_deg", "subcarriers", "bandwidth_ghz",
)  # fmt: skip


class Cell(BaseModel):
    """One point of the product: what one file of the sweep holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    snr_db: float
    weight: float
    antennas: int
    users: int
    chains: int
    inner: int | None
    layers: int | None
    targets_deg: tuple[float, ...]
    count: int
    seed: int
    paths: int
    network: str = NETWORK
    bits: int | None = None
    mask: Mask | None = None
    """Of a network that has no name: the cell is computed from its parameters alone, without the file."""
    subcarriers: int = 1
    """S of a band, for which the three below are given; 1 for flat channels."""
    bandwidth_ghz: float | None = None
    carrier_ghz: float | None = None
    delay_ns: float | None = None

    @property
    def analog(self) -> Network:
        """The analog network.

        Raises:
            InputError: none of these sizes.
        """
        return _network(self.network, self.mask, self.antennas, self.chains, self.bits)

    @property
    def band(self) -> dict[str, Any] | None:
        """What `saleh_valenzuela` takes for a band; None for flat channels."""
        if self.bandwidth_ghz is None or self.carrier_ghz is None or self.delay_ns is None:
            return None
        return {
            "subcarriers": self.subcarriers, "carrier_hz": 1e9 * self.carrier_ghz,
            "bandwidth_hz": 1e9 * self.bandwidth_ghz, "delay_s": 1e-9 * self.delay_ns,
        }  # fmt: skip

    @property
    def name(self) -> str:
        """The file's name: the first 16 digits of the SHA-256 of the parameters."""
        text = json.dumps(self.model_dump(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def options(self) -> dict[str, int]:
        """J and I where the method has them."""
        held = {"inner": self.inner, "layers": self.layers}
        return {key: value for key, value in held.items() if value is not None}

    @property
    def work(self) -> float:
        """Roughly proportional to the time of the method, for scaling a trial of it."""
        return self.count * self.antennas * (self.inner or 1) * (self.layers or 1) * self.subcarriers


class Grid(BaseModel):
    """The configuration of a sweep; every list is an axis of the product."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    methods: list[str] = Field(min_length=1)
    snr_db: list[Decibel] = Field(default=[SNR_DB], min_length=1)
    weight: list[Weight] = Field(default=[0.3], min_length=1)
    antennas: list[Antennas] = Field(default=[64], min_length=1)
    users: list[Positive] = Field(default=[4], min_length=1)
    chains: list[Positive] | None = Field(default=None, min_length=1)
    inner: list[Positive] = Field(default=[20], min_length=1)
    layers: list[Positive] = Field(default=[120], min_length=1)
    network: list[str] = Field(default=[NETWORK], min_length=1)
    bits: list[Bits] = Field(default=["continuous"], min_length=1)
    masks: dict[str, Mask] = {}
    """The masks of the files that `network` names; `read_grid` reads them."""
    targets_deg: list[list[Finite]] = Field(default=[list(TARGETS_DEG)], min_length=1)
    subcarriers: list[Positive] = Field(default=[1], min_length=1)
    bandwidth_ghz: list[Above] = Field(default=[BANDWIDTH_GHZ], min_length=1)
    carrier_ghz: Above = CARRIER_GHZ
    delay_ns: Weight = DELAY_NS
    count: Positive = 100
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    paths: Positive = 10

    @field_validator("methods")
    @classmethod
    def _current_names(cls, methods: list[str]) -> list[str]:
        return [current_name(method) for method in methods]

    @field_validator("bits", mode="before")
    @classmethod
    def _known_bits(cls, bits: Any) -> Any:
        for value in bits if isinstance(bits, list) else [bits]:
            if value != "continuous" and (type(value) is not int or not 1 <= value <= MOST_BITS):
                raise InputError(
                    f'bits: expected a list of whole numbers from 1 to {MOST_BITS} or "continuous", '
                    f"got {reprlib.repr(value)}"
                )
        return bits

    @model_validator(mode="after")
    def _known_methods(self) -> Grid:
        for method in self.methods:
            if method not in METHODS:
                raise InputError(f"no method {method[:50]!r}{nearest(method, METHODS)}")
            if method in NEEDS:
                raise InputError(f"the method {method} needs {NEEDS[method]}, which a sweep does not have")
        count = math.prod(len(getattr(self, name) or [None]) for name in LISTS)
        if count > CELLS:
            raise InputError(f"the lists multiply to {count} cells, at most {CELLS} are accepted")
        return self

    def cells(self) -> list[Cell]:
        """The product without repetitions: a method that has no J or I is not run again for each."""
        return list(self._cells)

    @cached_property
    def _cells(self) -> tuple[Cell, ...]:
        found: dict[Cell, None] = {}
        axes: list[list[Any]] = [getattr(self, name) or [None] for name in LISTS]
        options = {method: METHODS[method].options for method in self.methods}
        for point in itertools.product(*axes):
            method, snr_db, weight, antennas, users, chains, inner, layers, network, bits = point[:10]
            targets, subcarriers, bandwidth = point[10:]
            band = subcarriers > 1
            takes, mask = options[method], self.masks.get(network)
            found[Cell(
                method=method, snr_db=snr_db, weight=weight, antennas=antennas, users=users,
                chains=chains or (users if mask is None else len(mask[0])),
                inner=inner if "inner" in takes else None,
                layers=layers if "layers" in takes else None, targets_deg=tuple(targets),
                count=self.count, seed=self.seed, paths=self.paths, network=network,
                bits=None if bits == "continuous" else bits, mask=mask, subcarriers=subcarriers,
                bandwidth_ghz=bandwidth if band else None, carrier_ghz=self.carrier_ghz if band else None,
                delay_ns=self.delay_ns if band else None,
            )] = None  # fmt: skip
        return tuple(found)


def read_grid(path: Path, **instead: Any) -> Grid:
    """A sweep's configuration, checked.

    Args:
        path: a TOML file; files of masks that it names are relative to its folder.
        instead: entries that take the place of the file's; files of masks are relative to the current folder.

    Raises:
        FileError: no such file, no TOML, or no mask where one is named.
        InputError: a wrong key, with the nearest right one, or a value that cannot be run.
    """
    held = {**read_toml(path), **instead}
    names = held.get("network", [])
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        folder = Path() if "network" in instead else path.parent
        masks = {Path(name).name: _mask_in(folder, name) for name in names if name not in NAMES}
        held |= {"network": [Path(name).name for name in names], "masks": masks} if masks else {}
    try:
        grid = Grid.model_validate(held)
    except ValidationError as error:
        raise InputError(f"{path}: {'; '.join(_told(e) for e in error.errors()[:5])}") from error
    for cell in grid.cells():
        check_cell(cell)
    return grid


def _mask_in(folder: Path, name: str) -> Mask:
    """The mask of a file as text; its sizes are those of the mask."""
    text = name if not ("." in name or "/" in name) else str(folder / name)
    mask = network_called(text, 1, 1, None).mask
    return tuple("".join("1" if there else "0" for there in row) for row in mask.tolist())


@lru_cache(maxsize=64)
def _network(name: str, mask: Mask | None, antennas: int, chains: int, bits: int | None) -> Network:
    """The network of a cell."""
    if mask is None:
        return named_network(name, antennas, chains, bits)
    found = Network(torch.tensor([[there == "1" for there in row] for row in mask]), bits, name=name)
    if (found.antennas, found.chains) != (antennas, chains):
        raise InputError(
            f"the mask {name} is for {found.antennas} antennas and {found.chains} chains, the sweep has a "
            f"cell with {antennas} and {chains}"
        )
    return found


def _told(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown key {place[:50]!r}{nearest(place, Grid.model_fields)}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{place[:50]}: {message}, got {reprlib.repr(error['input'])}" if place else message


@lru_cache(maxsize=32)
def benchmark(antennas: int, targets_deg: tuple[float, ...]) -> Sensing:
    """Ψ of a cell."""
    return cached_covariance(antennas, targets_deg)


@lru_cache(maxsize=32)
def _check_problem(antennas: int, targets_deg: tuple[float, ...]) -> None:
    """Refuse targets for which (6) cannot be stated, without solving it."""
    check_problem(*desired_pattern(targets_deg, default_angles(antennas)), antennas)


@lru_cache(maxsize=32)
def _depth(antennas: int, users: int, chains: int, inner: int, network: str, band: bool) -> int:
    """I of the shipped model."""
    return find_model(antennas, users, chains, inner, network, band=band).layers


def _lacking(cell: Cell) -> str:
    """What the method can't do of a cell; "" where it can do all."""
    supports = METHODS[cell.method].supports
    if cell.band is None:
        return lacking_network(supports, cell.analog)
    band_frequencies(cell.subcarriers, cell.band["carrier_hz"], cell.band["bandwidth_hz"])
    if not supports.band:
        return f"is for flat channels, the sweep has {cell.subcarriers} subcarriers"
    if cell.bits is not None and not supports.digital:
        return f"is for continuous phases on a band, the sweep has {cell.bits} bits"
    return lacking_network(supports, cell.analog)


def check_cell(cell: Cell) -> None:
    """Refuse before anything runs what would fail hours later.

    Raises:
        InputError: sizes, a network that there is not or that the method can't do, targets, or a model that
            is not there.
    """
    if not cell.users <= cell.chains <= cell.antennas:
        raise InputError(
            f"the sweep has a cell with {cell.users} users, {cell.chains} RF chains and {cell.antennas} "
            "antennas; the paper needs K <= M <= N"
        )
    missing = _lacking(cell)
    if missing:
        raise InputError(f"the method {cell.method} {missing}; leave one of them out of the sweep")
    _check_problem(cell.antennas, cell.targets_deg)
    if cell.method == "unfolded":
        depth = _depth(
            cell.antennas, cell.users, cell.chains, cell.inner or 0, cell.network, cell.band is not None
        )
        if (cell.layers or 0) > depth:
            raise InputError(f"the unfolded model has {depth} layers, the sweep asks for {cell.layers}")
