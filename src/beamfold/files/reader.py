"""Channels out of a file or an array: which array, which axes, which scale; one reading, told in one line.

`read_set` is the one way in for every command and for `beamfold.read_channels`; what it was asked is a
`ScenarioSpec`. What was not stated is refused where it is not sure, see `candidates`, `named_axes` and
`orders`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from beamfold.arrays import Array as AntennaArray
from beamfold.defaults import ROWS
from beamfold.errors import InputError
from beamfold.files.antennas import antennas_at
from beamfold.files.arrays import Array, Held, numbers, read_file
from beamfold.files.atomic import FileError, Pathlike
from beamfold.files.axes import (
    CHANNELS,
    RI,
    SUBCARRIERS,
    USERS,
    Arranged,
    arranged,
    fitted,
    parsed_axes,
    parsed_index,
    written,
)
from beamfold.files.bands import ENTRY, Frequencies, frequencies_in
from beamfold.files.candidates import NAME, Chosen, joined_pairs, named, only, warn_real
from beamfold.files.entries import ScenarioSpec
from beamfold.files.named_axes import misnamed, named_axes, rows_in
from beamfold.files.orders import Found, Known, unnamed
from beamfold.files.parts import WHOLE, is_large, part_of
from beamfold.files.reductions import grouped, normalised, one_antenna, path_less
from beamfold.files.rows import rows_named
from beamfold.files.tools import order_of, tool_array, tool_named
from beamfold.tensors import as_complex

ROW = "the only axis longer than 1 is that of the antennas"
BAND = "order of axes by the number of frequencies, --axes states another"
SCALES = 100
"""mean ‖h‖²/N beyond which, or below 1 over which, normalising is suggested."""


@dataclass(frozen=True, eq=False)
class Channels:
    """What was read: channels, and what was understood.

    Attributes:
        H: (B, K, N) complex128, rows h_kᴴ; (B, K, R, N) of users with several antennas. On a band an axis S
            stands behind B.
        told: what was understood, in one line.
        array: the antennas, where the file or the tool states them.
        band: the frequencies of the subcarriers, where several are kept and the file states them.
        axes: the names of the array's axes, as they were understood.
        count: B of the file where H is a part of it, else 0.
    """

    H: Tensor
    told: str
    array: AntennaArray | None = None
    band: Frequencies | None = None
    axes: tuple[str, ...] = ()
    count: int = 0


def read_set(path: Pathlike, spec: ScenarioSpec, *, keep: bool = False) -> Channels:
    """The channels of a file.

    Args:
        path: any file of `read_file`.
        spec: its entries that say how to read.
        keep: users keep several receive antennas where the entries don't say what becomes of them.

    Raises:
        InputError: one line: what was found, what was expected, and the options that choose.
    """
    path = Path(path)
    index = parsed_index(spec.index)
    chosen = index.pop(CHANNELS, None)
    if chosen is not None and is_large(path):
        rest = ",".join(f"{name}={'all' if i is None else i}" for name, i in index.items())
        spec = replace(spec, index=rest or None)
        return understood(path, read_file(path, apart=True), spec, keep=keep, channel=chosen)
    return understood(path, read_file(path), spec, keep=keep)


def understood(
    path: Path, held: Held, spec: ScenarioSpec, *, keep: bool = False, channel: int | None = None
) -> Channels:
    """The channels among the arrays of a file, see `read_set`, or one of them that is still in the file."""
    own = rows_in(held) if spec.variable in (None, NAME) else ""
    if spec.rows is None and own not in ("", ROWS):
        raise FileError(
            f"{path} says that its rows are {own}; give --rows {own}, or --rows {ROWS} if they are not"
        )
    spec = replace(spec, rows=rows_named(spec.rows or ROWS))
    if spec.imag is not None and spec.variable is None:
        raise InputError("--imag names the imaginary part of the array that --variable names; give both")
    index = parsed_index(spec.index)
    if spec.subcarrier is not None:
        index[SUBCARRIERS] = _subcarrier(spec.subcarrier)
    positions = held.arrays.get("positions")
    stated = antennas_at(path, positions) if positions is not None else None
    chosen, order, value, told = _ordered(path, held, spec, index, stated)
    what = f"{path}: {chosen.name}"
    if value.size == 0 or value.dtype.kind == "U":
        raise FileError(f"{what} has axes {value.shape}: no channel, user or antenna")
    count = 0
    if channel is not None:
        value, count = _one(path, held, chosen, order, value, channel)
        told = [f"channel {channel} of {count}", *told]
    found = arranged(what, fitted(what, value, order), order, _of(index, order, spec))
    band = _band(path, held, found)
    H, more = _reduced(what, found, spec, keep, band is not None)
    kind = "complex" if value.dtype.kind == "c" or RI in order else "real"
    if kind == "real":
        warn_real(path, chosen.name)
    line = _line(path, chosen.name, H, kind, spec, [*chosen.told, *found.told, *more, *told])
    if band is None:
        H = H[:, 0]
    if spec.streams is None and H.shape[-2] == 1:
        H = H[..., 0, :]
    array = tool_array(spec.from_, spec.array, H.shape[-1]) if spec.from_ else stated
    if array is not None and array.antennas != H.shape[-1]:
        raise FileError(f"{what} has {H.shape[-1]} antennas, the file's positions {array.antennas}")
    return Channels(H, line, array, band, tuple(order), count)


def _one(
    path: Path, held: Held, chosen: Chosen, order: tuple[str, ...], value: Array, channel: int
) -> tuple[Array, int]:
    """One channel of an array that is in the file, with the axis of channels, and how many there are.

    Raises:
        FileError: the channels are no axis of the array as it is stored, or there are fewer.
    """
    if CHANNELS not in order or value.ndim != chosen.value.ndim or len(order) != value.ndim:
        raise FileError(
            f"{path} is larger than {WHOLE >> 20} MiB and is read one channel at a time, but {chosen.name} "
            f"has axes {chosen.value.shape} as {written(order)}; name an axis `channels` with --axes"
        )
    place = order.index(CHANNELS)
    count = value.shape[place]
    if channel >= count:
        raise FileError(f"{path}: channel {channel} of {count}: channels are counted from 0")
    names = chosen.parts or (chosen.name,)
    return part_of(path, held.arrays, names, place, channel, channel + 1), count


def _subcarrier(text: str) -> int | None:
    if text != "all" and not text.isdecimal():
        raise InputError(f"--subcarrier is a number counted from 0, or all, got {text[:30]!r}")
    return None if text == "all" else int(text[:18])


def _of(index: dict[str, int | None], order: tuple[str, ...], spec: ScenarioSpec) -> dict[str, int | None]:
    """The positions that concern the channels; an axis of Ψ may be named beside them."""
    unknown = [name for name in index if name not in order]
    if unknown and (spec.psi is None or SUBCARRIERS in unknown):
        raise InputError(
            f"no axis {unknown[0]!r} to choose a position of: the channels have {', '.join(order)}; name "
            "the axes with --axes"
        )
    return {name: i for name, i in index.items() if name in order}


def _ordered(
    path: Path,
    held: Held,
    spec: ScenarioSpec,
    index: dict[str, int | None],
    stated: AntennaArray | None,
) -> tuple[Chosen, tuple[str, ...], Array, list[str]]:
    """The array, the names of its axes, and how they came about."""
    axes = None if spec.axes is None else parsed_axes(spec.axes, index)
    if spec.from_ is not None:
        return _of_tool(path, held, spec, spec.from_, axes)
    if axes is not None:
        chosen = _alone(path, held, spec)
        return chosen, axes, chosen.value, []
    first = _alone(path, held, spec) if spec.variable is not None else _h(held)
    own = None if first is None else named_axes(held, first)
    if first is None or own is None:
        chosen, guess = _unnamed(path, held, spec, stated)
        own = named_axes(held, chosen)
        if own is None and guess.order is None:
            why = guess.refusal or "expected (channels, users, antennas); name its axes with --axes"
            raise FileError(
                f"{path}: {chosen.name} has axes {chosen.value.shape}, {why}{misnamed(held, chosen)}"
            )
        if own is None:
            return (
                chosen,
                guess.order or (),
                guess.value,
                [BAND if SUBCARRIERS in (guess.order or ()) else ROW],
            )
        first = chosen
    return first, own, first.value, []


def _h(held: Held) -> Chosen | None:
    """The array H, where there is one."""
    value = numbers(held.arrays).get(NAME)
    return None if value is None else Chosen(NAME, value)


def _unnamed(path: Path, held: Held, spec: ScenarioSpec, stated: AntennaArray | None) -> tuple[Chosen, Found]:
    """The one array whose axes have no names, or names that may be labels, and the orders that fit."""
    several = spec.streams is not None or spec.receive is not None
    band = frequencies_in(path, held.arrays)
    known = Known(
        None if stated is None else stated.antennas, None if band is None else len(band.frequencies)
    )
    if spec.variable is None:
        return only(path, held, several, known)
    chosen = _alone(path, held, spec)
    return chosen, unnamed(chosen.value, several, known)


def _of_tool(
    path: Path, held: Held, spec: ScenarioSpec, name: str, axes: tuple[str, ...] | None
) -> tuple[Chosen, tuple[str, ...], Array, list[str]]:
    """`_ordered` for the file of a tool, whose order of axes is known."""
    tool = tool_named(name)
    gathered = tool.gather(path, held) if tool.gather and spec.variable is None else None
    chosen, order = gathered or (_alone(path, held, spec), None)
    told = [f"--from {name}", *([tool.told] if tool.told else [])]
    if order is None and axes is None:
        order, value = order_of(str(path), name, chosen)
        return chosen, order, value, told
    return chosen, axes or order or (), chosen.value, told


def _alone(path: Path, held: Held, spec: ScenarioSpec) -> Chosen:
    """The array that is named, else the only complex one, or H."""
    if spec.variable is not None:
        return named(path, held, spec.variable, spec.imag)
    arrays = numbers(held.arrays)
    ri = spec.axes is not None and RI in spec.axes.split(",")
    found = [Chosen(n, v) for n, v in arrays.items() if v.size > 1 and (v.dtype.kind == "c") != ri and v.ndim]
    found = found if ri else found + joined_pairs(arrays)
    found = found or [Chosen(n, v) for n, v in arrays.items() if n == "H" or (v.size > 1 and v.ndim > 1)]
    found = [c for c in found if c.name == "H"] or found
    if len(found) == 1:
        return found[0]
    ways = ", ".join(f"{name} {value.shape}" for name, value in arrays.items()) or "no numeric array"
    odd = "".join(f"; {name} is {what}" for name, what in list(held.odd.items())[:3])
    if not found:
        raise FileError(f"{path} holds no complex array that could be channels; found {ways}{odd}")
    raise FileError(f"{path} holds several arrays that could be channels: {ways}; choose with --variable")


def _reduced(
    what: str, found: Arranged, spec: ScenarioSpec, keep: bool, on_band: bool
) -> tuple[Tensor, list[str]]:
    """H (B, S, K, R, N) with receive antennas, groups of users and scale as asked for; what was done."""
    H = as_complex(found.value)
    if spec.rows == "h^T":
        if spec.from_ is not None:
            raise InputError(f"--from {spec.from_} says what the rows of H are; leave --rows out")
        H = H.conj().resolve_conj()
    if H.shape[1] > 1 and not on_band:
        raise FileError(
            f"{what} has {H.shape[1]} subcarriers and the file no frequencies; choose one with "
            "--subcarrier i, or take each as a channel of its own with --subcarrier all"
        )
    H, more = one_antenna(what, H, spec.receive, streams=1 if keep and spec.receive is None else spec.streams)
    H, groups = grouped(what, H, spec.users, spec.group, listed=CHANNELS not in found.named)
    H, scale = normalised(H, spec.normalise)
    told = [*more, *groups, *scale, *path_less(what, H)]
    if H.shape[2] > H.shape[-1]:
        raise FileError(
            f"{what} has {H.shape[2]} users and {H.shape[-1]} antennas; "
            "there are never fewer antennas than users: "
            + (
                "give --users K for channels of K of them"
                if USERS in found.named
                else "name the axes with --axes"
            )
        )
    return H, told


def _band(path: Path, held: Held, found: Arranged) -> Frequencies | None:
    """The band, where several subcarriers are kept and the file states their frequencies."""
    S = found.value.shape[1]
    named = [name for name in held.arrays if name.lower().startswith("freq")]
    name = ENTRY if ENTRY in named else named[0] if len(named) == 1 else ""
    if S == 1 or not name:
        return None
    band = frequencies_in(path, {**held.arrays, ENTRY: held.arrays[name]})
    if band is not None and len(band.frequencies) != S:
        raise FileError(f"{path}: {name} has {len(band.frequencies)} values for {S} subcarriers")
    return band


def _line(path: Path, name: str, H: Tensor, kind: str, spec: ScenarioSpec, told: list[str]) -> str:
    """What was understood of H (B, S, K, R, N), in one line."""
    B, S, K, R, N = H.shape
    sizes = [(B, "channel"), (S, "subcarrier"), (K, "user"), (R, "receive antenna"), (N, "antenna")]
    shown = [(n, word) for n, word in sizes if n != 1 or word not in ("subcarrier", "receive antenna")]
    axes = " × ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in shown)
    mean = float(H.abs().square().sum(-1).mean())
    if mean > 0 and spec.normalise in (None, "none") and not N / SCALES <= mean <= N * SCALES:
        told = [*told, f"scale as it is, --normalise set makes the mean {N}"]
    line = f"{name} of {path.name}: {axes}, {kind}, mean ‖h‖² = {mean:.3g}, rows {spec.rows}"
    return line + (f" ({'; '.join(told)})" if told else "")
