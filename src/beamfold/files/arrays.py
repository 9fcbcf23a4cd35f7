"""Arrays in and out: MATLAB v5 and v7.3, NumPy .npz and .npy."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beamfold.files.atomic import FileError, write
from beamfold.files.matlab import read_matlab

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


def read_all(path: Path) -> dict[str, Array]:
    """All arrays of numbers and of text of a file by name, with the axes as MATLAB or NumPy shows them.

    Args:
        path: `.mat` (v5 or v7.3), `.npz`, or `.npy`, whose one array is called "array".

    Returns:
        name → array; complex v7.3 arrays are put together from their real and imaginary parts.

    Raises:
        FileError: no such file, another kind of file, or one that is damaged or unreasonably large.
    """
    if not path.is_file():
        raise FileError(f"no such file: {path}")
    readers = {".mat": read_matlab, ".npz": _read_npz, ".npy": _read_npy}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise FileError(f"{path} is not a file of arrays: expected .mat, .npz or .npy")
    try:
        found = reader(path)
    except FileError:
        raise
    except Exception as error:  # a damaged file can fail in any way inside the reader
        raise FileError(f"{path} can't be read as {path.suffix}: {_first_line(error)}") from error
    return {name: value for name, value in found.items() if value.dtype.kind in NUMBERS + "U"}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


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


def _check_header(path: Path, name: str, stream: Any, there: int) -> None:
    """The shape that an .npy stream declares, before anything of that size is allocated."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise FileError(f"{path}: {name} holds Python objects, which would need code to load")
    if min(shape, default=0) < 0:
        raise FileError(f"{path}: {name} declares axes {shape}")
    _check_size(path, name, math.prod(shape) * dtype.itemsize, there)


def _read_npz(path: Path) -> dict[str, Array]:
    found: dict[str, Array] = {}
    with zipfile.ZipFile(path) as archive:
        for entry in entries(path, archive):
            name = entry.filename.removesuffix(".npy")
            with archive.open(entry) as stream:
                _check_header(path, name, stream, entry.file_size)
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
            import scipy.io

            scipy.io.savemat(str(target), dict(arrays))
    else:
        raise FileError(f"{path}: results are written as .mat or .npz, not {suffix or 'without a suffix'}")
    write(path, save)
