"""The published program's step sizes, out of a `.pth` file, and no pickle run for it.

A `.pth` of torch ≥ 1.6 is a zip archive: `data.pkl`, a pickle that describes tensors, and `data/0`, …, their
numbers. The pickle is taken apart into its opcodes, which executes nothing, and a small machine follows
those that describe a table of tensors. It knows no way to call anything: the names that it meets are
compared with the few that a state_dict has, and any other name ends it.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.files.arrays import entries
from beamfold.files.atomic import FileError

LARGEST = 1 << 20  # bytes of a pickle that describes a state_dict
STORAGES = {"torch FloatStorage": "f4", "torch DoubleStorage": "f8", "torch HalfStorage": "f2"}
TABLE = "collections OrderedDict"
TENSORS = ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter")
PUSHED = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE", "NONE"),
    *("NEWTRUE", "NEWFALSE"),
}


class _Name(NamedTuple):
    """A class or function that the pickle names; it stays a name."""

    text: str


class _Stored(NamedTuple):
    """Numbers of the archive: NumPy's type, the entry data/<key>, how many."""

    dtype: str
    key: str
    length: int


class _View(NamedTuple):
    """A tensor: numbers, offset, sizes and strides in numbers."""

    stored: _Stored
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Refused(Exception):
    """Not the pickle of a table of tensors."""


_MARK = object()


def read_steps(path: Path) -> Tensor:
    """The tensor `step_size`, or the only one, of a `.pth` file, float64.

    Raises:
        FileError: not such a file, or one that would need code to load.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            held = {entry.filename: entry for entry in entries(path, archive)}
            pickles = [name for name in held if name.endswith("/data.pkl")]
            if len(pickles) != 1 or held[pickles[0]].file_size > LARGEST:
                raise _Refused("it is no archive that torch >= 1.6 writes")
            folder = pickles[0].removesuffix("data.pkl")
            if f"{folder}byteorder" in held and archive.read(f"{folder}byteorder") != b"little":
                raise _Refused("its numbers are big-endian")
            view = _steps(_described(archive.read(pickles[0])))
            numbers = archive.read(f"{folder}data/{view.stored.key}")
        return torch.from_numpy(_values(view, numbers))
    except FileError:
        raise
    except _Refused as error:
        raise FileError(f"{path} is refused: {error}") from error
    except Exception as error:  # a damaged archive can fail in any way inside the readers
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FileError(
            f"{path} is refused: it is damaged or no .pth file of torch >= 1.6 ({reason})"
        ) from error


def _steps(held: Any) -> _View:
    found = held.get("step_size") if isinstance(held, dict) else held
    if not isinstance(found, _View):
        raise _Refused("it holds no step sizes, expected a tensor `step_size` (I, 2) or (J, I, 2)")
    return found


def _values(view: _View, numbers: bytes) -> NDArray[np.float64]:
    """The view's numbers, every index of it inside what is stored."""
    flat = np.frombuffer(numbers, np.dtype(f"<{view.stored.dtype}"))
    if len(flat) != view.stored.length:
        raise _Refused(f"it holds {len(flat)} numbers where it describes {view.stored.length}")
    whole = all(type(n) is int and n >= 0 for n in (view.offset, *view.size, *view.stride))
    if not whole or len(view.size) != len(view.stride) or math.prod(view.size) > len(flat):
        raise _Refused(f"its tensor has sizes {view.size} and strides {view.stride}")
    last = view.offset + sum((n - 1) * step for n, step in zip(view.size, view.stride, strict=True))
    if 0 in view.size or last >= len(flat):
        raise _Refused(f"its tensor of sizes {view.size} reaches beyond its {len(flat)} numbers")
    strides = [flat.itemsize * step for step in view.stride]
    return np.lib.stride_tricks.as_strided(flat[view.offset :], view.size, strides).astype(np.float64)


def _described(pickle: bytes) -> Any:
    """What the pickle describes: numbers, texts, tables and `_View`s."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, _ in pickletools.genops(pickle):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "GLOBAL":
                stack.append(_Name(str(argument)))
            case "MARK":
                stack.append(_MARK)
            case "EMPTY_DICT" | "EMPTY_TUPLE":
                stack.append({} if opcode.name == "EMPTY_DICT" else ())
            case "BINPUT" | "LONG_BINPUT":
                memo[int(argument or 0)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[int(argument or 0)])
            case name if name in PUSHED:
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}.get(name, argument))
            case name:
                _combine(name, stack)
    raise _Refused("its description has no end")


def _combine(opcode: str, stack: list[Any]) -> None:
    """The opcodes that make one thing out of those on top of the stack."""
    match opcode:
        case "TUPLE":
            stack.append(tuple(_marked(stack)))
        case "TUPLE1" | "TUPLE2" | "TUPLE3":
            count = int(opcode[-1])
            stack[-count:] = [tuple(stack[-count:])]
        case "SETITEM":
            key, value = stack[-2:]
            del stack[-2:]
            stack[-1][key] = value
        case "SETITEMS":
            several = _marked(stack)
            stack[-1].update(zip(several[::2], several[1::2], strict=True))
        case "BUILD":
            stack.pop()  # a state_dict's notes on versions
        case "BINPERSID":
            stack.append(_stored(stack.pop()))
        case "REDUCE":
            arguments = stack.pop()
            stack.append(_made(stack.pop(), arguments))
        case _:
            raise _Refused(f"it would need code to load (opcode {opcode})")


def _marked(stack: list[Any]) -> list[Any]:
    at = len(stack) - 1 - stack[::-1].index(_MARK)
    found = stack[at + 1 :]
    del stack[at:]
    return found


def _stored(named: Any) -> _Stored:
    match named:
        case ("storage", _Name(text), str(key), str(), int(count)) if text in STORAGES:
            return _Stored(STORAGES[text], key, count)
        case ("storage", _Name(text), *_):
            raise _Refused(f"its numbers are {text}, expected float32 or float64")
    return _refuse(named)


def _made(what: Any, arguments: Any) -> Any:
    """What a name with arguments stands for: an empty table, a tensor, or a parameter, which is one."""
    match what, arguments:
        case _Name(text), () if text == TABLE:
            return {}
        case _Name(text), (_Stored() as stored, int(offset), tuple(size), tuple(stride), *_) if (
            text in TENSORS
        ):
            return _View(stored, offset, size, stride)
        case _Name(text), (_View() as view, *_) if text in TENSORS:
            return view
    return _refuse(what)


def _refuse(what: Any) -> NoReturn:
    named = what.text.replace(" ", ".") if isinstance(what, _Name) else type(what).__name__
    raise _Refused(f"it would need code to load ({named})")
