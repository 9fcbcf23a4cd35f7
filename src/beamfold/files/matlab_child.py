"""The readers of MATLAB files, and the child process of `matlab.py` that runs them with limits.

As the child it is run as a script, and it imports nothing of this package, so that it starts fast. The child
stays up for further files. For each it forks a grandchild with limits on memory and processor time,
which parses the file and writes its arrays into the caller's pipe: what a crafted file does to a reader
ends with that grandchild.

    request   the path, with the pipe's end to write to passed along
    pipe      b"A", then per array its name's length (4 bytes), its name, its data as .npy; or b"E", reason
    answer    the grandchild's exit code in 4 bytes, negative for a signal
"""

from __future__ import annotations

import math
import os
import select
import socket
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import scipy.io

Limit = Callable[[int, int], None]
"""Called with the bytes of the arrays and of the file before so much is read."""

IDLE = 60  # seconds without a request after which the child ends; the next request starts another
SPARE = 128 << 20  # bytes that parsing may take beside the data
LARGEST = 4 << 30  # bytes that the arrays of a file may ask for
DEFLATE = 1100  # no deflated data expand further than this
WIDTH = {"double": 8, "single": 4, "logical": 1, "char": 4} | {
    f"{sign}int{bits}": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def _limit(data: int, size: int) -> None:
    """Memory for `data` bytes of arrays, time for a file of `size` bytes; no core dump, no file written.

    macOS refuses some of these limits; there the file is read without them.
    """
    import resource

    here = Path("/proc/self/statm")
    held = int(here.read_text().split()[0]) * resource.getpagesize() if here.is_file() else 1 << 30
    space = held + SPARE + 6 * data  # raw parts, complex whole and its copy for the pipe
    seconds = 5 + (size + data) // (20 << 20)
    for name, most in (("AS", space), ("CPU", seconds), ("CORE", 0), ("FSIZE", 0)):
        with nullcontext() if sys.platform == "linux" else suppress(AttributeError, OSError, ValueError):
            what = getattr(resource, f"RLIMIT_{name}")
            hard = resource.getrlimit(what)[1]
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _check(name: str, asked: int, there: int) -> None:
    if asked > min(there, LARGEST):
        raise ValueError(f"{name} declares {asked} bytes, more than a file of this size can hold")


def _read_v5(path: str, size: int, limit: Limit) -> dict[str, Any]:
    """Only arrays of numbers and texts are loaded: MATLAB's cells, structures and objects stay closed."""
    held = [item for item in scipy.io.whosmat(path) if item[2] in WIDTH]
    total = 0
    for name, shape, kind in held:
        if min(shape, default=0) < 0:
            raise ValueError(f"{name} declares axes {shape}")
        total += math.prod(map(int, shape)) * WIDTH[kind]
        _check(name, total, 8 * DEFLATE * size)  # MATLAB stores doubles that are small integers as bytes
    limit(total, size)
    names = list(dict.fromkeys(name for name, _, _ in held))
    found = scipy.io.loadmat(path, variable_names=names) if names else {}
    for name in names:
        if not isinstance(found.get(name), np.ndarray):  # SciPy puts the reason in the array's place
            raise ValueError(f"{name} can't be read: {found.get(name)}")
    return {name: found[name] for name in names}


def _read_v73(path: str, size: int, limit: Limit) -> dict[str, Any]:
    """HDF5 stores MATLAB's columns as rows: the axes come out reversed and are turned back."""
    import h5py

    found: dict[str, Any] = {}
    total = 0
    with h5py.File(path, "r") as file:
        for name in file:
            if name.startswith("#") or not isinstance(file.get(name, getlink=True), h5py.HardLink):
                continue  # other links lead to other files
            item = file[name]
            if not isinstance(item, h5py.Dataset) or item.size is None:
                continue
            if item.external or item.is_virtual:
                raise ValueError(f"{name} keeps its data in another file")
            stored = min(item.id.get_storage_size(), size)
            _check(name, item.nbytes, DEFLATE * max(stored, 1))
            total += item.nbytes
            _check("the file", total, DEFLATE * size)
            limit(total, size)
            value = item[()]
            if getattr(value, "dtype", np.dtype("O")).names == ("real", "imag"):
                value = value["real"] + 1j * value["imag"]
            if item.attrs.get("MATLAB_class") == b"char" and getattr(value, "dtype", None) == np.uint16:
                value = np.array(value.tobytes().decode("utf-16", errors="replace"))
            found[name] = np.asarray(value).T
    return found


def _is_hdf5(header: bytes) -> bool:
    return header.startswith(b"\x89HDF\r\n\x1a\n") or b"MATLAB 7.3" in header[:116]


def parse(path: str, limit: Limit) -> dict[str, Any]:
    """The arrays of a file by name, after a check that it can hold what it declares.

    Args:
        path: v5 or v7.3.
        limit: sets limits on this process, or does nothing.

    Raises:
        ValueError: an array declares more than a file of this size can hold, or keeps its data elsewhere.
        Exception: of any kind, from SciPy or h5py, for a damaged file.
    """
    size = os.stat(path).st_size  # noqa: PTH116
    with open(path, "rb") as stream:  # noqa: PTH123
        hdf5 = _is_hdf5(stream.read(128))
    limit(0, size)
    return _read_v73(path, size, limit) if hdf5 else _read_v5(path, size, limit)


class _Pipe:
    """Something to write to that is no file for NumPy, which would seek in it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        while view:
            view = view[os.write(self.descriptor, view) :]
        return 0


def _send(path: str, pipe: _Pipe) -> None:
    arrays = parse(path, _limit)
    pipe.write(b"A")
    for name, value in arrays.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "biufcU":
            label = name.encode(errors="replace")
            pipe.write(len(label).to_bytes(4, "little") + label)
            np.lib.format.write_array(pipe, value, allow_pickle=False)


def _grandchild(path: str, descriptor: int) -> NoReturn:
    pipe = _Pipe(descriptor)
    code = 0
    try:
        _send(path, pipe)
    except BaseException as error:  # whatever a damaged file makes the readers raise
        code = 2
        text = "it asks for more memory than a file of its size should need"
        if not isinstance(error, MemoryError):
            text = " ".join(str(error).split()) or type(error).__name__
        try:
            pipe.write(b"E" + text[:300].encode(errors="replace"))
        except BaseException:  # the caller is gone
            code = 3
    os._exit(code)


def main() -> None:
    """Serve the socket whose number is on the command line until it closes or nothing comes for a while."""
    control = socket.socket(fileno=int(sys.argv[1]))
    while select.select([control], [], [], IDLE)[0]:
        path, pipes, _, _ = socket.recv_fds(control, 1 << 16, 1)
        if not path:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            _grandchild(os.fsdecode(path), pipes[0])
        os.close(pipes[0])
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        control.sendall(code.to_bytes(4, "little", signed=True))


if __name__ == "__main__":
    main()
