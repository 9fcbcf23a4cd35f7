"""The published program's step sizes out of a `.pth` file, read by `torch.load(weights_only=True)`.

A `.pth` of torch ≥ 1.6 is a zip archive: `data.pkl`, a pickle that describes tensors, and `data/0`, …, their
numbers. torch's restricted unpickler runs no code of the file, but it does allocate what the file asks for:
348 bytes that call `bytearray(2_000_000_000)` take 1.9 GiB, and 1 MB of packed zeros takes 1 GiB. The archive
is therefore checked before torch sees it: its entries are stored as they are, so that they are no larger
than the file, and the pickle names tensors, storages and tables only.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from beamfold.files.arrays import entries
from beamfold.files.atomic import FileError

LARGEST = 1 << 20  # bytes of a pickle that describes tensors
WHOLE = 256 << 20  # bytes of a file; step sizes take kilobytes
KINDS = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
NAMES = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {kind}Storage" for kind in KINDS),
}
"""What the pickle may name: a table, a tensor, a parameter, their numbers."""
NAMING = {"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"}
CALLING = {"NEWOBJ", "NEWOBJ_EX", "OBJ"}


class _Refused(Exception):
    """Not a file of step sizes; the text says why."""


def read_steps(path: Path) -> Tensor:
    """The tensor `step_size` of a `.pth` file, or its only tensor, in float64.

    It is found under a prefix (`module.step_size`) and in nested tables (`state_dict`, `model`) too.

    Raises:
        FileError: another kind of file, one that would need code to load, or several such tensors.
    """
    try:
        if path.stat().st_size > WHOLE:
            raise _Refused(f"it is larger than {WHOLE >> 20} MiB, and step sizes take kilobytes")
        archive = _checked(path)
        held = torch.load(archive, map_location="cpu", weights_only=True)
        return _numbers(_steps(held), len(archive.getbuffer()))
    except FileError:
        raise
    except _Refused as error:
        raise FileError(f"{path} is refused: {error}") from error
    except Exception as error:  # a damaged archive can fail in any way inside the readers
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FileError(
            f"{path} is refused: it is damaged or no .pth file of torch >= 1.6 ({reason})"
        ) from error


def _checked(path: Path) -> io.BytesIO:
    """The archive's tensors and their description in an archive of our own, as torch writes it.

    torch has a zip reader of its own, which could see other entries in the file than Python's does: a copy of
    what was checked leaves it no choice.
    """
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as checked:
        held = entries(path, archive)
        pickles = [entry for entry in held if entry.filename.endswith("/data.pkl")]
        if len(pickles) != 1 or pickles[0].file_size > LARGEST:
            raise _Refused("it is no archive that torch >= 1.6 writes")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in held):
            raise _Refused("its entries are packed, which torch.save never does")
        folder = pickles[0].filename.removesuffix("data.pkl")
        _check_names(archive.read(pickles[0]))
        for entry in held:
            name = entry.filename.removeprefix(folder)
            if name in ("data.pkl", "byteorder", "version") or name.startswith("data/"):
                checked.writestr(f"steps/{name}", archive.read(entry))
    copy.seek(0)
    return copy


def _check_names(pickle: bytes) -> None:
    """Refuse a pickle that names or makes anything but tensors and tables of them."""
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name in CALLING or (opcode.name in NAMING and argument not in NAMES):
            named = str(argument).replace(" ", ".") if argument else f"opcode {opcode.name}"
            raise _Refused(f"it would need code to load ({named})")


def _steps(held: Any) -> Tensor:
    """The tensor itself, or the only one that is named `step_size`."""
    if isinstance(held, Tensor):
        return held
    found = dict(_named(held))
    if len({id(tensor) for tensor in found.values()}) > 1:
        raise _Refused(f"it holds several tensors of step sizes: {', '.join(found)}")
    if not found:
        raise _Refused("it holds no step sizes, expected a tensor `step_size` (I, 2) or (J, I, 2)")
    return next(iter(found.values()))


def _named(held: Any) -> Iterator[tuple[str, Tensor]]:
    """Every tensor `step_size` of a table and of the tables in it, each table once."""
    tables = [("", held)] if isinstance(held, dict) else []
    seen = {id(held)}
    for place, table in tables:
        for key, value in table.items():
            if isinstance(value, Tensor) and str(key).split(".")[-1] == "step_size":
                yield f"{place}{key}", value
            elif isinstance(value, dict) and id(value) not in seen:
                seen.add(id(value))
                tables.append((f"{place}{key}.", value))


def _numbers(tensor: Tensor, size: int) -> Tensor:
    """The tensor in float64; refused where it has more numbers than a file of `size` bytes can hold."""
    if not tensor.is_floating_point():
        raise _Refused(f"its step sizes are {tensor.dtype}, expected float32 or float64")
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        raise _Refused(f"its step sizes are {tensor.layout} on {tensor.device}, expected plain numbers")
    asked = max(tensor.untyped_storage().nbytes(), tensor.numel() * tensor.element_size())
    if tensor.numel() == 0 or asked > size:
        raise _Refused(f"its tensor of sizes {tuple(tensor.shape)} is empty or larger than the file")
    return tensor.detach().to(torch.float64).contiguous()
