"""What is in a MATLAB or HDF5 file: every array of numbers and every text, with a name for each.

A field of a structure is called `S.H`, an element of a structure array `S(2).H`, of a cell array `C{2}`, a
dataset of a group of HDF5 `group.name`. Elements of a structure or cell array that all have one shape are one
array, with the axes of the structure or cell array in front. What is no array gets a line of its own, so that
the others stay readable: its name with a leading "?" and what it is. The axes that HDF5 names stand under the
array's name with a leading "@".

Run in the child process of `matlab.py`, so this module imports nothing of this package.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

Limit = Callable[[int, int], None]
"""Called with the bytes of the arrays and of the file before so much is read."""
Values = dict[str, Any]

LARGEST = 4 << 30  # bytes that the arrays of a file may ask for
DEFLATE = 1100  # no deflated data expand further than this
LEAVES = 10_000  # arrays of a file
DEPTH = 16  # of structures in structures
WIDTH = {"double": 8, "single": 4, "logical": 1, "char": 4} | {
    f"{sign}int{bits}": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)
}
CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 6: "double", 7: "single",
           8: "int8", 9: "uint8", 10: "int16", 11: "uint16", 12: "int32", 13: "uint32", 14: "int64",
           15: "uint64", 16: "function", 17: "opaque"}  # fmt: skip
"""The classes of a v5 file by their numbers."""
PAIRS = (("real", "imag"), ("re", "im"), ("r", "i"))
"""Names of the two fields that a complex number is stored in."""
OBJECT = "an object of MATLAB, which only MATLAB opens; save its numbers as an ordinary array"


def check(name: str, asked: int, there: int) -> None:
    """Refuse what declares more bytes than are there, or than is accepted at all."""
    if asked > min(there, LARGEST):
        raise ValueError(f"{name} declares {asked} bytes, more than a file of this size can hold")


def joined(value: Any) -> Any:
    """Complex numbers from a structured array of their two parts; others as they are."""
    names = getattr(getattr(value, "dtype", None), "names", None)
    if names is None or tuple(str(name).lower() for name in names) not in PAIRS:
        return value
    real, imag = value[names[0]], value[names[1]]
    if real.dtype.kind not in "biuf" or imag.dtype.kind not in "biuf":
        return value
    return real + 1j * imag


def flattened(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """(name, array) of everything in a value as SciPy returns it."""
    if depth > DEPTH:
        yield f"?{name}", np.array(f"structures in more than {DEPTH} structures")
    elif hasattr(value, "toarray"):
        yield name, value.toarray()
    elif not isinstance(value, np.ndarray) or type(value).__name__ != "ndarray":
        kind = "a function of MATLAB" if "Function" in type(value).__name__ else OBJECT
        yield f"?{name}", np.array(kind)
    elif value.dtype.names:
        for field in value.dtype.names:
            yield from _several(name, f".{field}", "()", value[field], depth)
    elif value.dtype == object:
        yield from _several(name, "", "{}", value, depth)
    else:
        yield name, value


def _several(name: str, field: str, braces: str, held: np.ndarray, depth: int) -> Iterator[tuple[str, Any]]:
    """The elements of a cell array, or a field of a structure array: as one array where they all match."""
    values = list(held.ravel(order="F"))
    if len(values) == 1:
        yield from flattened(name + field, values[0], depth + 1)
        return
    one = stacked([value.toarray() if hasattr(value, "toarray") else value for value in values], held.shape)
    if one is not None:
        yield name + field, one
        return
    for index, value in enumerate(values):
        place = f"{braces[0]}{index + 1}{braces[1]}"
        yield from flattened(f"{name}{place}{field}", value, depth + 1)


def stacked(values: list[Any], shape: tuple[int, ...]) -> np.ndarray | None:
    """Arrays of one shape as one, the axes that they are arranged in (without those of length 1) in front."""
    if not values or not all(type(v) is np.ndarray and v.dtype.kind in "biufc" for v in values):
        return None
    if any(v.shape != values[0].shape for v in values) or values[0].size == 0:
        return None
    front = [n for n in shape if n != 1]
    return np.stack(values).reshape(*reversed(front), *values[0].shape).transpose(
        *reversed(range(len(front))), *range(len(front), len(front) + values[0].ndim)
    )  # fmt: skip


def few(found: Iterator[tuple[str, Any]]) -> Values:
    """So many arrays as a file of channels may have."""
    held = dict(itertools.islice(found, LEAVES + 1))
    if len(held) > LEAVES:
        raise ValueError(f"it holds more than {LEAVES} arrays; is it a channel file?")
    return held


def read_v4(path: str, size: int, limit: Limit) -> Values:
    """A file of MATLAB 4: matrices only."""
    import scipy.io

    held = scipy.io.whosmat(path)
    total = sum(math.prod(map(int, shape)) * 16 for _, shape, _ in held)
    check("the file", total, 16 * size)
    limit(total, size)
    return {k: v for k, v in scipy.io.loadmat(path).items() if not k.startswith("__")}


def read_v5(path: str, size: int, limit: Limit) -> Values:
    """The arrays of a file of MATLAB 5 to 7: everything that it declares is checked before it is loaded."""
    from scipy.io.matlab._mio5 import MatFile5Reader

    found: Values = {}
    with open(path, "rb") as stream:  # noqa: PTH123
        reader = MatFile5Reader(stream, struct_as_record=True, squeeze_me=False, chars_as_strings=True)
        total = sum(asked for _, asked, _ in _declared(reader, stream, size))
        limit(total, size)
        for name, _, header in _declared(reader, stream, size):
            kind = CLASSES.get(header.mclass, "unknown")
            if kind in ("opaque", "function", "object", "unknown"):
                label, told = _odd(reader, header, name, kind)
                found.setdefault(f"?{label}", np.array(told))
                continue
            for leaf, value in flattened(name, reader.read_var_array(header, process=True)):
                found[leaf] = value
                if len(found) > LEAVES:
                    raise ValueError(f"it holds more than {LEAVES} arrays; is it a channel file?")
    return found


def _declared(reader: Any, stream: BinaryIO, size: int) -> Iterator[tuple[str, int, Any]]:
    """(name, bytes that it may take in memory, header) of every variable; the stream is at its data."""
    stream.seek(0)
    reader.initialize_read()
    reader.read_file_header()
    total = 0
    while not reader.end_of_stream():
        at = stream.tell()
        header, following = reader.read_var_header()
        name = "" if header.name is None else header.name.decode("latin1")
        kind = CLASSES.get(header.mclass, "unknown")
        if header.mclass == 17 or name:  # the others are what functions and objects keep aside
            asked = 0
            if kind not in ("opaque", "function", "object", "unknown"):
                shape = tuple(int(n) for n in header.dims)
                if min(shape, default=0) < 0:
                    raise ValueError(f"{name} declares axes {shape}")
                data = stream.tell()
                asked = _bytes(kind, shape, stream, at, following, reader.byte_order)
                stream.seek(data)
            total += asked
            check(name, total, 8 * DEFLATE * size)  # doubles that are small integers are stored as bytes
            yield name, asked, header
        stream.seek(following)


def _bytes(kind: str, shape: tuple[int, ...], stream: BinaryIO, at: int, end: int, order: str) -> int:
    """Bytes that a variable may take in memory."""
    if kind in WIDTH:
        return math.prod(shape) * WIDTH[kind]
    dense = math.prod(shape) * 16 if kind == "sparse" else 0
    return dense + 8 * _inflated(stream, at, end, order)


def _inflated(stream: BinaryIO, at: int, end: int, order: str) -> int:
    """Bytes of an element of the file once unpacked; nothing is kept of them."""
    stream.seek(at)
    kind = int.from_bytes(stream.read(4), "little" if order in ("<", "little") else "big")
    if kind != 15:  # not packed
        return end - at
    stream.seek(at + 8)
    left, count, unpack = end - at - 8, 0, zlib.decompressobj()
    while left > 0 and not unpack.eof and count <= LARGEST:
        part = stream.read(min(left, 1 << 16))
        if not part:
            break
        left -= len(part)
        while part and count <= LARGEST:
            count += len(unpack.decompress(part, 1 << 20))
            part = unpack.unconsumed_tail
    return count


def _odd(reader: Any, header: Any, name: str, kind: str) -> tuple[str, str]:
    """The name of a variable that is no array, and what it is."""
    if kind == "function":
        return name, "a function of MATLAB"
    if kind != "opaque":
        return name, OBJECT
    try:
        held = reader.read_var_array(header, process=True)
        label = held["s0"].item() if "s0" in held.dtype.names else name  # before SciPy 1.18
        group = held["s2" if "s2" in held.dtype.names else "_Class"].item()
        label, group = (t.decode("latin1") if isinstance(t, bytes) else str(t) for t in (label, group))
        return label or name, f"a {group} of MATLAB, which only MATLAB opens; save its numbers as an array"
    except Exception:  # whatever SciPy makes of an object
        return name or "an object", OBJECT
