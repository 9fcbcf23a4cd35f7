"""The readers of MATLAB files, and the child process of `matlab.py` that runs them with limits.

As the child it is run as a script, and it imports nothing of this package, so that it starts fast. The child
stays up for further files. For each it forks a grandchild with limits on memory and processor time,
which parses the file and writes its arrays into the caller's pipe: what a crafted file does to a reader
ends with that grandchild.

    request   the path, a zero byte and `parse`'s further arguments as JSON, with the pipe's end to write to
    pipe      b"A", then per array its name's length (4 bytes), its name, its data as .npy; or b"E", reason
    answer    the grandchild's exit code in 4 bytes, negative for a signal

With {"write": true} as JSON the grandchild writes a file of the caller's arrays, which come through the pipe
as .npz, for SciPy is imported here and takes the caller a tenth of a second.
"""

from __future__ import annotations

import io
import json
import os
import select
import socket
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import scipy.io  # before the forks, which then need not

if TYPE_CHECKING or __package__:
    from beamfold.files.hdf5_values import read_hdf5
    from beamfold.files.matlab_values import Limit, read_v4
    from beamfold.files.matlab_values import read_v5 as _read_v5
else:  # the child process: its path lacks this package and gets this folder
    sys.path.append(str(Path(__file__).parent))
    from hdf5_values import read_hdf5
    from matlab_values import Limit, read_v4
    from matlab_values import read_v5 as _read_v5

IDLE = 60  # seconds without a request after which the child ends; the next request starts another
SPARE = 128 << 20  # bytes that parsing may take beside the data


def _limit(data: int, size: int) -> None:
    """Memory for `data` bytes of arrays, time for a file of `size` bytes; no core dump, no file written.

    macOS refuses some of these limits; there the file is read without them.
    """
    import resource

    here = Path("/proc/self/statm")
    held = int(here.read_text().split()[0]) * resource.getpagesize() if here.is_file() else 1 << 30
    space = held + SPARE + 6 * data  # raw parts, complex whole and its copy for the pipe
    seconds = 3 + (size + data) // (20 << 20)
    for name, most in (("AS", space), ("CPU", seconds), ("CORE", 0), ("FSIZE", 0)):
        with nullcontext() if sys.platform == "linux" else suppress(AttributeError, OSError, ValueError):
            what = getattr(resource, f"RLIMIT_{name}")
            hard = resource.getrlimit(what)[1]
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _is_hdf5(stream: Any, size: int) -> bool:
    """Whether HDF5 begins here or after a user block, whose length is a power of two from 512 on."""
    places = [0, *(512 << n for n in range(20) if 512 << n < size)]
    for place in places:
        stream.seek(place)
        if stream.read(8) == b"\x89HDF\r\n\x1a\n":
            return True
    return False


def parse(
    path: str, limit: Limit, large: int | None = None, part: Sequence[Any] | None = None
) -> dict[str, Any]:
    """The arrays and texts of a file by name, as `matlab_values` and `hdf5_values` name them.

    Args:
        path: MATLAB v4, v5 to v7, v7.3, or any other HDF5.
        limit: sets limits on this process, or does nothing.
        large: see `matlab.read_matlab`; both concern HDF5 alone.
        part: see there.

    Raises:
        ValueError: an array declares more than a file of this size can hold, or keeps its data elsewhere.
        Exception: of any kind, from SciPy or h5py, for a damaged file.
    """
    size = os.stat(path).st_size  # noqa: PTH116
    with open(path, "rb") as stream:  # noqa: PTH123
        header = stream.read(128)
        hdf5 = _is_hdf5(stream, size)
    limit(0, size)
    matlab = b"MATLAB 7.3" in header[:116]
    if hdf5 or matlab:
        return read_hdf5(path, size, limit, matlab, large, part)
    if header[:4] and min(header[:4]) == 0:  # v4 begins with a small number, later ones with text
        return read_v4(path, size, limit)
    return _read_v5(path, size, limit)


class _Pipe:
    """Something to write to that is no file for NumPy, which would seek in it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        while view:
            view = view[os.write(self.descriptor, view) :]
        return 0


def _send(path: str, pipe: _Pipe, wish: dict[str, Any]) -> None:
    arrays = parse(path, _limit, **wish)
    pipe.write(b"A")
    for name, value in arrays.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "biufcU":
            label = name.encode(errors="replace")
            pipe.write(len(label).to_bytes(4, "little") + label)
            np.lib.format.write_array(pipe, value, allow_pickle=False)


def _write(path: str, descriptor: int) -> None:
    with os.fdopen(descriptor, "rb", closefd=False) as stream:
        data = io.BytesIO(stream.read())
    with np.load(data, allow_pickle=False) as held:
        scipy.io.savemat(path, dict(held))


def _grandchild(path: str, descriptor: int, wish: bytes) -> NoReturn:
    pipe = _Pipe(descriptor)
    code = 0
    try:
        arguments = json.loads(wish)
        if "write" in arguments:
            _write(path, descriptor)
        else:
            _send(path, pipe, arguments)
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
        request, pipes, _, _ = socket.recv_fds(control, 1 << 16, 1)
        if not request:
            return
        path, _, wish = request.partition(b"\0")
        pid = os.fork()
        if pid == 0:
            control.close()
            _grandchild(os.fsdecode(path), pipes[0], wish)
        os.close(pipes[0])
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        control.sendall(code.to_bytes(4, "little", signed=True))


if __name__ == "__main__":
    main()
