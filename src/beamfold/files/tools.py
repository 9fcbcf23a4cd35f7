"""The simulators that channels come from: the axes of their arrays and the geometry of their antennas.

All but NYUSIM state y = H x with row entries exp(+j 2π p_n · r̂) for an antenna at p_n and a path towards r̂,
where rows h_kᴴ of this program have exp(−j 2π p_n · r̂). Their data is taken as it is; the array gets the
positions −p_n, so that the rows are a(r̂)ᴴ, directions are those of the tool's world, and the rows of F are
in the tool's order of antennas. NYUSIM's H = a_MS a_BSᴴ has our sign and cos(AOD): azimuth here is 90° − AOD.

Seen by running the tool: Sionna, DeepMIMO, quadriga-lib, HermesPy. Read in documentation or source: the
others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from beamfold.arrays import Array as AntennaArray
from beamfold.arrays import line_array
from beamfold.errors import InputError
from beamfold.files.arrays import Array, Held, numbers
from beamfold.files.atomic import FileError
from beamfold.files.axes import written
from beamfold.files.candidates import Chosen, joined_pairs

Order = tuple[str, ...]


class Tool(NamedTuple):
    """A simulator, as `--from` names it."""

    about: str
    orders: tuple[Order, ...]
    """The axes of its arrays, one order for each number of axes."""
    mirrored: bool = True
    """Its row entries are exp(+j 2π p_n · r̂)."""
    gather: Callable[[Path, Held], tuple[Chosen, Order] | None] | None = None
    """Puts together what it spreads over several arrays of a file; None where the file has no such arrays."""
    parts: str = ""
    """What `gather` looks for, in words."""
    planar: Callable[[int, int], Array] | None = None
    """(across, up) → the positions of its planar array in its own order, where that is known."""
    told: str = ""
    """What else to know of its directions."""


def _coefficients(path: Path, held: Held) -> tuple[Chosen, Order] | None:
    """quadriga-lib's coefficients (rx, tx, paths) of every channel_n and snapshot, summed over the paths."""
    arrays = numbers(held.arrays)
    parts = {c.name: c for c in joined_pairs(arrays)} | {
        name: Chosen(name, value) for name, value in arrays.items() if value.dtype.kind == "c"
    }
    links = {name: c for name, c in parts.items() if name.rsplit(".", 1)[-1] == "coeff"}
    if not links:
        return None
    turned = path.suffix.lower() not in (".npz", ".npy", ".mat")  # HDF5 holds columns as rows
    summed: dict[str, list[Array]] = {}
    for name in sorted(links, key=_by_number):
        value = links[name].value
        if value.ndim not in (2, 3):
            raise FileError(f"{path}: {name} has axes {value.shape}, expected (rx, tx, paths)")
        value = value.T if turned else value
        link = name.partition(".")[0] if "." in name else ""
        summed.setdefault(link, []).append(value.sum(-1) if value.ndim == 3 else value)
    shapes = {part.shape for snaps in summed.values() for part in snaps}
    counts = {len(snaps) for snaps in summed.values()}
    if len(shapes) > 1 or len(counts) > 1:
        raise FileError(
            f"{path}: its links differ in antennas {sorted(shapes)} or "
            f"snapshots {sorted(counts)}; keep one kind"
        )
    value = np.stack([np.stack(snaps) for snaps in summed.values()])
    told = (f"{len(summed)} links as users, sum over the paths",)
    return Chosen("coeff", value, told, tuple(links)), ("users", "channels", "receive", "antennas")


def _ensembles(path: Path, held: Held) -> tuple[Chosen, Order] | None:
    """NYUSIM's CIR_MIMO_Struct.CIR_MIMO_i.H_ensemble (Nr, Nt) of every i."""
    arrays = numbers(held.arrays)
    names = sorted((n for n in arrays if n.rsplit(".", 1)[-1] == "H_ensemble"), key=_by_number)
    if not names:
        return None
    shapes = {arrays[name].shape for name in names}
    if len(shapes) > 1 or len(next(iter(shapes))) != 2:
        raise FileError(
            f"{path}: H_ensemble has axes {sorted(shapes)} in its structures, expected one (Nr, Nt)"
        )
    value = np.stack([arrays[name] for name in names])
    told = (f"H_ensemble of {len(names)} structures as users",)
    return Chosen("H_ensemble", value, told, tuple(names)), ("users", "receive", "antennas")


def _by_number(name: str) -> list[tuple[int, str]]:
    """Names in the order of the numbers in them."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _sionna_panel(across: int, up: int) -> Array:
    """Sionna's element j · up + i at (0, j/2, −i/2): columns one after another, each from the top down."""
    j, i = np.divmod(np.arange(across * up), up)
    return np.stack([np.zeros(across * up), j / 2, -i / 2], -1)


TOOLS: Mapping[str, Tool] = {
    "sionna": Tool(
        "Sionna PHY and RT: OFDM channels and frequency responses",
        (
            ("channels", "users", "receive", "tx", "antennas", "symbols", "subcarriers"),
            ("users", "receive", "tx", "antennas", "symbols", "subcarriers"),
        ),
        planar=_sionna_panel,
    ),
    "deepmimo": Tool(
        "DeepMIMO: dataset.channel",
        (("users", "receive", "antennas", "subcarriers"), ("users", "receive", "antennas")),
    ),
    "quadriga": Tool(
        "QuaDRiGa: qd_channel.fr, and HDF5 files of quadriga-lib",
        (
            ("receive", "antennas", "subcarriers", "channels"),
            ("receive", "antennas", "subcarriers"),
        ),
        gather=_coefficients,
        parts="coeff_re and coeff_im (rx, tx, paths) for each link",
    ),
    "matlab5g": Tool(
        "5G Toolbox: nrPerfectChannelEstimate",
        (
            ("subcarriers", "symbols", "receive", "antennas"),
            ("users", "subcarriers", "symbols", "receive", "antennas"),
        ),
    ),
    "phased": Tool("Phased Array Toolbox: scatteringchanmtx", (("antennas", "receive"),)),
    "nyusim": Tool(
        "NYUSIM: CIR_MIMO_Struct.CIR_MIMO_i.H_ensemble",
        (("users", "receive", "antennas"), ("receive", "antennas")),
        mirrored=False,
        gather=_ensembles,
        parts="structures with H_ensemble",
        told="azimuth is 90 - AOD degrees",
    ),
    "hermes": Tool(
        "HermesPy: channel states",
        (
            ("receive", "antennas", "symbols", "taps"),
            ("users", "receive", "antennas", "symbols", "taps"),
        ),
    ),
}


def tool_named(name: str) -> Tool:
    """The record of a name of `--from`.

    Raises:
        InputError: an unknown name.
    """
    if name not in TOOLS:
        raise InputError(f"--from: no tool {name[:50]!r}; known: {', '.join(TOOLS)}")
    return TOOLS[name]


def order_of(path: str, name: str, chosen: Chosen) -> tuple[Order, Array]:
    """The axes of a tool's array, by their number; MATLAB drops trailing axes of length 1, which are put
    back.

    Raises:
        FileError: a real array, or another number of axes than the tool's arrays have.
    """
    tool, value = tool_named(name), chosen.value
    ways = [*(f"({', '.join(order)})" for order in tool.orders), *filter(None, [tool.parts])]
    expected = f"--from {name} expects {' or '.join(ways)}"
    if value.dtype.kind != "c":
        raise FileError(f"{path}: {chosen.name} {value.shape} is real; {expected} of complex numbers")
    for order in tool.orders:
        if len(order) == value.ndim:
            return order, value
    trailing = ("channels", "subcarriers", "taps")
    for order in tool.orders:
        if value.ndim < len(order) and all(axis in trailing for axis in order[value.ndim :]):
            return order, value.reshape(*value.shape, *[1] * (len(order) - value.ndim))
    others = f"name others with --axes {written(tool.orders[-1])}"
    raise FileError(f"{path}: {chosen.name} has axes {value.shape}, {expected}; {others}")


def tool_array(name: str, text: str | AntennaArray | None, antennas: int) -> AntennaArray:
    """The antennas of a tool's channels: a half-wavelength line, or as `text` says in the tool's own world.

    Args:
        name: of `TOOLS`.
        text: None, "line", "planar:8x4", a file of positions (N, 3) in wavelengths, or an array.
        antennas: N.

    Raises:
        InputError: a planar array of a tool whose order of elements is not known, or another number of
            antennas.
    """
    from beamfold.files.antennas import array_called

    tool = tool_named(name)
    sign = -1 if tool.mirrored else 1
    if isinstance(text, AntennaArray):
        found = AntennaArray(sign * text.positions)
    elif text is None or text.partition(":")[0] == "line":
        found = line_array(antennas, sign * 0.5)
    elif text.startswith("planar"):
        usual = array_called(text, antennas)
        if tool.planar is None:
            raise InputError(
                f"the order of elements in a planar array of {name} is not known here; give --array a file "
                "with positions (antennas, 3) in wavelengths, in the order of the channels"
            )
        across, up = (int(part) for part in text.partition(":")[2].split("x"))
        found = AntennaArray(torch.from_numpy(sign * tool.planar(across, up)))
        if found.antennas != usual.antennas:
            raise InputError(f"{text} has {usual.antennas} antennas, expected {antennas}")
    else:
        found = AntennaArray(sign * array_called(text, antennas).positions)
    if found.antennas != antennas:
        raise InputError(
            f"the array {found.name} has {found.antennas} antennas, the channels have {antennas}"
        )
    return found
