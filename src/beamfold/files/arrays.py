"""Arrays in and out: MATLAB files, HDF5 of any name, NumPy .npz and .npy."""

from __future__ import annotations

import math
import sys
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamfold.files.atomic import FileError, check_there, write
from beamfold.files.matlab import read_matlab, write_matlab
from beamfold.files.matlab_values import joined
from beamfold.files.parts import SMALL, mapped, placeholder, stays_in_file, stored_at

Array = NDArray[Any]
RESULTS = (".mat", ".npz")
NUMBERS = "biufc"  # NumPy's kinds of numbers
LARGEST = 4 << 30  # bytes that one array may ask for
DEFLATE = 1100  # no deflated data expand further than this


def read_arrays(path: Path) -> dict[str, Array]:
    """All numeric arrays of a file by name, as `read_all` reads it."""
    return numbers(read_all(path))


def numbers(held: Mapping[str, Array]) -> dict[str, Array]:
    """Those of the arrays that hold numbers."""
    return {name: value for name, value in held.items() if value.dtype.kind in NUMBERS}


def text(held: Mapping[str, Array], name: str) -> str:
    """A text of a file in one short line; "" where the file has none of that name."""
    value = held.get(name, np.zeros(0))
    if value.dtype.kind != "U" or value.size != 1:
        return ""
    return "".join(c for c in str(value.reshape(-1)[0])[:100] if c.isprintable())


class Held(NamedTuple):
    """What a file holds."""

    arrays: dict[str, Array]
    """Every array of numbers or of text by name, with the axes as MATLAB or NumPy shows them."""
    odd: dict[str, str]
    """What is no such array: its name, and what it is."""
    axes: dict[str, str]
    """The names of an array's axes, separated by commas, where the file states them."""


def read_all(path: Path) -> dict[str, Array]:
    """All arrays of numbers and of text of a file by name, see `read_file`."""
    return read_file(path).arrays


def read_file(path: Path, *, apart: bool = False) -> Held:
    """Everything in a file.

    Args:
        path: `.mat` (v4 to v7.3), HDF5 of any name, `.npz`, or `.npy`, whose one array is called "array".
        apart: large arrays stay in the file where the format allows it, see `parts`.

    Returns:
        Complex numbers that are stored as two fields of one array are put together. Fields of structures and
        elements of cell arrays have names as in MATLAB, `S.H` and `C{2}`, see `matlab_values`.

    Raises:
        FileError: no such file, another kind of file, or one that is damaged or unreasonably large.
    """
    check_there(path)
    try:
        found = _reader(path, apart)(path)
    except FileError:
        raise
    except Exception as error:  # a damaged file can fail in any way inside the reader
        raise FileError(f"{path} can't be read as {path.suffix}: {_first_line(error)}") from error
    held = Held({}, {}, {})
    for name, raw in found.items():
        value = raw if stays_in_file(raw) else joined(raw)
        if name.startswith(("?", "@")):
            (held.odd if name[0] == "?" else held.axes)[name[1:]] = str(value)
        elif name.startswith("&"):
            held.arrays[name[1:]] = placeholder(str(value))
        elif value.dtype.kind in NUMBERS or _is_text(value):
            held.arrays[name] = value
        else:
            held.odd[name] = f"an array of {value.dtype}"
    return held


def _is_text(value: Array) -> bool:
    """Whether an array holds characters: a damaged file can hold numbers that are none, which Python can't
    read.
    """
    if value.dtype.kind != "U":
        return False
    codes = np.frombuffer(value.tobytes(), np.dtype("u4").newbyteorder(value.dtype.byteorder))
    return int(codes.max(initial=0)) <= sys.maxunicode


OTHERS = {
    ".pt": "tensors of torch; save them with numpy.savez('channels.npz', H=H.numpy(force=True))",
    ".pth": "tensors of torch; save them with numpy.savez('channels.npz', H=H.numpy(force=True))",
    ".pkl": "pickled objects, which would need code to load; save H with numpy.savez('channels.npz', H=H)",
    ".pickle": "pickled objects, which would need code to load; save H with numpy.savez('channels.npz', H=H)",
    ".csv": "text; save H with numpy.savez('channels.npz', H=H), or in MATLAB with save('channels.mat', 'H')",
}
"""Files that users have and that are not read: what they hold, and how to save it instead."""


def _reader(path: Path, apart: bool) -> Callable[[Path], dict[str, Array]]:
    """The reader of a file, by its suffix, or by its first bytes where the suffix is another one.

    With `apart` one that leaves large arrays in the file.
    """
    suffix = path.suffix.lower()
    with path.open("rb") as stream:
        first = stream.read(256)
    if first.startswith((b"# Created by Octave", b"# name:")):
        raise FileError(f"{path} is in Octave's text format; save it with: save -v7 {path.stem}.mat H")
    matlab = partial(read_matlab, large=SMALL if apart else None)
    known: dict[str, Callable[[Path], dict[str, Array]]] = {
        ".mat": matlab,
        ".npz": _map_npz if apart else _read_npz,
        ".npy": _map_npy if apart else _read_npy,
    }
    if suffix in known:
        return known[suffix]
    if suffix in (".h5", ".hdf5", ".nc") or first.startswith(b"\x89HDF\r\n\x1a\n"):
        return matlab
    told = f"it holds {OTHERS[suffix]}" if suffix in OTHERS else "expected .mat, .npz, .npy or HDF5"
    raise FileError(f"{path} is not a file of arrays: {told}")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _map_npy(path: Path) -> dict[str, Array]:
    return {"array": mapped(path, 0, path.stat().st_size)}


def _map_npz(path: Path) -> dict[str, Array]:
    """`_read_npz` with every large array that is stored without compression left in the file."""
    with zipfile.ZipFile(path) as archive:
        held = {e.filename.removesuffix(".npy"): e for e in entries(path, archive)}
    stays = {n: e for n, e in held.items() if not e.compress_type and e.file_size > SMALL}
    found = _read_npz(path, leave=frozenset(stays))
    for name, entry in stays.items():
        begin = stored_at(path, entry)
        found[name] = mapped(path, begin, begin + entry.file_size)
    return found


def _check_size(path: Path, name: str, asked: int, there: int) -> None:
    """Refuse an array that declares more bytes than the file holds, or than is reasonable."""
    if asked > LARGEST:
        raise FileError(f"{path}: {name} declares {asked >> 20} MiB, more than is accepted")
    if asked > there:
        raise FileError(f"{path}: {name} declares {asked} bytes, the file holds {there}")


def _read_npy(path: Path) -> dict[str, Array]:
    with path.open("rb") as stream:
        _check_header(path, "the array", stream, path.stat().st_size)
        stream.seek(0)
        return {"array": np.lib.format.read_array(stream, allow_pickle=False)}


class _Objects(FileError):
    """An array of Python objects, beside which others may be read."""


def _check_header(path: Path, name: str, stream: Any, there: int) -> None:
    """The shape that an .npy stream declares, before anything of that size is allocated."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise _Objects(f"{path}: {name} holds Python objects, which would need code to load")
    if min(shape, default=0) < 0:
        raise FileError(f"{path}: {name} declares axes {shape}")
    _check_size(path, name, math.prod(shape) * dtype.itemsize, there)


def _read_npz(path: Path, leave: frozenset[str] = frozenset()) -> dict[str, Array]:
    found: dict[str, Array] = {}
    with zipfile.ZipFile(path) as archive:
        for entry in entries(path, archive):
            name = entry.filename.removesuffix(".npy")
            if name in leave:
                continue
            try:
                with archive.open(entry) as stream:
                    _check_header(path, name, stream, entry.file_size)
            except _Objects:
                found[f"?{name}"] = np.array("Python objects, which would need code to load")
                continue
            with archive.open(entry) as stream:
                found[name] = np.lib.format.read_array(stream, allow_pickle=False)
    return found


def entries(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The entries of an archive whose directory can be true: together no more than the file holds.

    Raises:
        FileError: entries that overlap, expand beyond what deflate can, or are packed in another way.
    """
    held = archive.infolist()
    stored = sum(entry.compress_size for entry in held)
    _check_size(path, "its directory", stored, path.stat().st_size)
    _check_size(path, "its directory", sum(entry.file_size for entry in held), DEFLATE * (stored + 1))
    for entry in held:
        _check_size(path, entry.filename, entry.file_size, DEFLATE * (entry.compress_size + 1))
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FileError(f"{path}: {entry.filename} is packed in a way that is not read; deflate is")
    return held


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays (and strings, numbers) by name as `.mat` (v5) or `.npz`, atomically.

    Not compressed: the last bits of computed numbers are noise, which hardly shrinks, and trying to takes
    longer than all else that a command does with ten thousand channels.

    Raises:
        FileError: another suffix, or the disk said no.
    """
    suffix = path.suffix.lower()
    plain: dict[str, Any] = {name: np.asarray(value) for name, value in arrays.items()}
    if suffix == ".npz":

        def save(target: Path) -> None:
            with target.open("wb") as stream:
                np.savez(stream, allow_pickle=False, **plain)
    elif suffix == ".mat":

        def save(target: Path) -> None:
            write_matlab(target, plain)
    else:
        raise FileError(f"{path}: results are written as .mat or .npz, not {suffix or 'without a suffix'}")
    write(path, save)
