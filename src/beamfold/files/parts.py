"""Large files: their arrays stay in the file, and only the channels that are asked for are read.

An array of `.npy`, or of `.npz` without compression, is mapped into memory. Of HDF5 and MATLAB v7.3 the
shapes are read first, and then channels as parts of one dataset. Other formats are read whole.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WHOLE = 256 << 20
"""Bytes up to which a file is read whole."""
SMALL = 1 << 20
"""Bytes up to which an array of a large file is read with it."""
Array = NDArray[Any]


def is_large(path: Path) -> bool:
    """Whether the channels of a file are read one at a time where that is possible."""
    return path.is_file() and path.stat().st_size > WHOLE


def mapped(path: Path, offset: int, end: int) -> Array:
    """The array in NumPy's format that begins at a byte of a file, its values left there.

    Raises:
        ValueError: Python objects, or more values than there are bytes up to `end`.
    """
    with path.open("rb") as stream:
        stream.seek(offset)
        version = np.lib.format.read_magic(stream)
        old = version == (1, 0)
        read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
        shape, turned, dtype = read(stream)
        begin = stream.tell()
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or size > end - begin or not size:
        raise ValueError(f"the array declares {size} bytes of {dtype}, the file holds {end - begin}")
    return np.memmap(path, dtype, "r", begin, shape, "F" if turned else "C")


def stored_at(path: Path, entry: zipfile.ZipInfo) -> int:
    """Where the data of an entry of an archive begin, which is stored without compression.

    Raises:
        ValueError: no entry begins where the archive's directory says.
    """
    with path.open("rb") as stream:
        stream.seek(entry.header_offset)
        header = stream.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise ValueError(f"no entry {entry.filename} where the directory has it")
    name, extra = struct.unpack("<HH", header[26:])
    return entry.header_offset + 30 + int(name) + int(extra)


def placeholder(text: str) -> Array:
    """An array of a shape and kind, "complex128;3,4,64", whose values are all 0 and take no memory."""
    kind, _, sizes = text.partition(";")
    shape = tuple(int(size) for size in sizes.split(",") if size)
    return np.broadcast_to(np.zeros((), np.dtype(kind)), shape)


def stays_in_file(value: Array) -> bool:
    """Whether the values of an array are still in its file."""
    return isinstance(value, np.memmap) or (value.size > 1 and not any(value.strides))


def part_of(
    path: Path, arrays: Mapping[str, Array], names: tuple[str, ...], axis: int, first: int, last: int
) -> Array:
    """Positions first to last − 1 on an axis of an array, or of the real and the imaginary part of one.

    Raises:
        FileError: the file can't be read any more.
    """
    from beamfold.files.matlab import read_matlab

    found = []
    for name in names:
        value = arrays[name]
        if stays_in_file(value) and not isinstance(value, np.memmap):
            found.append(read_matlab(path, part=(name, axis, first, last))[name])
        else:
            found.append(np.array(value[(*(slice(None),) * axis, slice(first, last))]))
    return found[0] if len(found) == 1 else found[0] + 1j * found[1]
