"""Which array of a file is the channels: by its name, or the only one that can be.

Complex arrays come first, and pairs of real arrays whose names say that they are real and imaginary part. A
real array is taken only where there is no complex one, and with a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from beamfold.files.arrays import Array, Held, numbers
from beamfold.files.atomic import FileError
from beamfold.files.orders import Found, Known, unnamed
from beamfold.files.parts import stays_in_file

NAME = "H"
PARTS = (("real", "imag"), ("re", "im"), ("r", "i"))
"""How the names of real and imaginary part end, in any case, or what they are."""
FACTS = ("positions", "frequencies", "mask")
"""Arrays that describe channels or designs."""
DELAYS = ("tau", "delay", "delays")
"""Names beside which complex amplitudes are those of single paths."""


class Chosen(NamedTuple):
    """The array that was chosen."""

    name: str
    value: Array
    told: tuple[str, ...] = ()
    """How it came about, in words."""
    parts: tuple[str, ...] = ()
    """The names that it has in the file, where that is not `name`."""


def named(path: Path, held: Held, variable: str, imag: str | None) -> Chosen:
    """The array of a name, with that of its imaginary part where one is named.

    Raises:
        FileError: no such array, or parts that do not fit each other.
    """
    arrays = numbers(held.arrays)
    name = variable if variable in arrays else variable.strip("/").replace("/", ".")
    if imag is not None:
        real, other = _there(path, held, variable), _there(path, held, imag)
        whole, told = _together(path, variable, real, imag, other), f"with {imag} as imaginary part"
        return Chosen(name, whole, (told,), (variable, imag))
    pairs = {chosen.name: chosen for chosen in joined_pairs(arrays)}
    if name not in arrays and name in pairs:
        return pairs[name]
    return Chosen(name, _there(path, held, variable))


def _there(path: Path, held: Held, name: str) -> Array:
    arrays = numbers(held.arrays)
    for spelled in (name, name.strip("/").replace("/", ".")):
        if spelled in arrays:
            return arrays[spelled]
        if spelled in held.odd:
            raise FileError(f"{path}: {spelled} is {held.odd[spelled]}")
    there = ", ".join(sorted(arrays)) or "no numeric array"
    raise FileError(f"{path} has no array {name!r}; it holds {there}{_odd(held)}")


def _together(path: Path, real: str, a: Array, imag: str, b: Array) -> Array:
    """a + j b of two real arrays of one shape."""
    if a.shape != b.shape or a.dtype.kind == "c" or b.dtype.kind == "c":
        raise FileError(
            f"{path}: {real} {a.shape} {a.dtype} and {imag} {b.shape} "
            f"{b.dtype} are no real and imaginary part"
        )
    return together(a, b)


def together(real: Array, imag: Array) -> Array:
    """a + j b; of arrays whose values are still in the file the shape alone."""
    if stays_in_file(real) or stays_in_file(imag):
        return np.broadcast_to(np.zeros((), np.complex128), real.shape)
    return real + 1j * imag


def joined_pairs(arrays: Mapping[str, Array]) -> list[Chosen]:
    """Complex arrays of pairs such as H_real and H_imag, HRe and HIm, Re and Im."""
    found = []
    lower = {name.lower(): name for name in arrays}
    for name, value in arrays.items():
        for real, imag in PARTS:
            base = name[: len(name) - len(real)]
            ends = name.lower().endswith(real) and (base == "" or real != "r" or base.endswith("_"))
            other = lower.get(base.lower() + imag) if ends else None
            if other is None or value.dtype.kind == "c" or value.shape != arrays[other].shape:
                continue
            if arrays[other].dtype.kind == "c" or value.ndim < 2:
                continue
            label = base.rstrip("_. ") or NAME
            found.append(
                Chosen(label, together(value, arrays[other]), (f"of {name} and {other}",), (name, other))
            )
            break
    return found


def only(path: Path, held: Held, several: bool, known: Known) -> tuple[Chosen, Found]:
    """The only array that can be channels, with the order of its axes as far as its shape tells it.

    Raises:
        FileError: none or several; says what is there, and what to give.
    """
    arrays = {name: value for name, value in numbers(held.arrays).items() if name not in FACTS}
    complexes = [Chosen(name, value) for name, value in arrays.items() if value.dtype.kind == "c"]
    found = _possible([*complexes, *joined_pairs(arrays)], several, known)
    found = [(c, order) for c, order in found if c.name == NAME or not _is_vector(c.value)] or found
    if not found and not any(c.value.size > 1 for c in complexes):
        found = _possible([Chosen(*item) for item in arrays.items()], several, known)
        _check_real(path, found, several)
    if not found:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in arrays.items()) or "no numeric array"
        raise FileError(
            f"{path} holds no channels: expected an array (channels, users, antennas), found "
            f"{shapes}{_odd(held)}"
        )
    delays = [name for name in arrays if name.rsplit(".", 1)[-1].lower() in DELAYS]
    delays = [name for name in delays if any(_of_paths(c.value, arrays[name]) for c, _ in found)]
    if delays and not any(c.name == NAME for c, _ in found):
        raise FileError(
            f"{path} holds single paths, with their delays in {delays[0]}; --from "
            "quadriga sums those of QuaDRiGa, else save the tool's channel matrix "
            "(Sionna: paths.cfr), or name an array with --variable"
        )
    if len(found) > 1:
        ways = ", ".join(f"{c.name} {c.value.shape}" for c, _ in found)
        raise FileError(
            f"{path} holds several arrays that could be channels: {ways}; choose with --variable, and name "
            "its axes with --axes"
        )
    return found[0]


def _possible(choices: list[Chosen], several: bool, known: Known) -> list[tuple[Chosen, Found]]:
    """Those that can be channels in some order of their axes."""
    found = [(c, unnamed(c.value, several, known)) for c in choices]
    return [(c, order) for c, order in found if order.order is not None or order.refusal]


def _of_paths(value: Array, delays: Array) -> bool:
    """Whether an array can have an axis of the paths that these are the delays of."""
    counts = {delays.size, *delays.shape[:1], *delays.shape[-1:]} - {1}
    return bool(counts & set(value.shape))


def _is_vector(value: Array) -> bool:
    """Whether it is one row or column, which beside matrices is a steering vector or the gains of paths."""
    return sum(n > 1 for n in value.shape) < 2


def _check_real(path: Path, found: list[tuple[Chosen, Found]], several: bool) -> None:
    """Refuse a real array that is half of a pair, has an axis for the parts, or is another quantity.

    Raises:
        FileError: names the option that takes it all the same.
    """
    for chosen, order in found:
        name, value = chosen.name, chosen.value
        last = name.lower().rsplit("_", 1)[-1]
        if last in {part for pair in PARTS for part in pair} | {"abs", "mag", "angle", "phase"}:
            raise FileError(
                f"{path}: {name} {value.shape} is one part of complex channels; name the other with "
                f"--variable {name} --imag NAME"
            )
        if len(found) == 1 and not several and (hint := with_ri(value)):
            ways = order.refusal.partition("; ")[2]
            raise FileError(
                f"{path}: {name} {value.shape} is real, expected complex numbers; {hint}, else {ways}"
            )
        unlike = value.dtype.kind == "f" and not np.signbit(value).any()
        if len(found) == 1 and name not in (NAME, "array") and unlike:
            raise FileError(
                f"{path}: {name} {value.shape} is real and nowhere negative, such as delays or powers; "
                f"--variable {name} takes it as channels all the same"
            )


def with_ri(value: Array) -> str:
    """The option for a real array where an axis of length 2 can be real and imaginary part; else ""."""
    shape = value.shape
    if value.dtype.kind == "c" or 2 not in shape or len(shape) not in (3, 4):
        return ""
    names = ["channels", "users", "antennas"][4 - len(shape) :]
    place = shape.index(2) if shape[0] == 2 else len(shape) - 1 - shape[::-1].index(2)
    axes = ",".join([*names[:place], "ri", *names[place:]])
    return f"where the axis of length 2 is real and imaginary part, give --axes {axes}"


def warn_real(path: Path, name: str) -> None:
    """Log that channels without an imaginary part are taken as they are."""
    said = "%s: %s is real: channels without an imaginary part; --imag names an array of it"
    logging.getLogger("beamfold").warning(said, path.name, name)


def _odd(held: Held) -> str:
    """What else is in the file."""
    return "".join(f"; {name} is {what}" for name, what in list(held.odd.items())[:3])
