"""MATLAB files, parsed in a child process: their readers are not hardened against crafted input.

SciPy documents that `loadmat` may crash on a malicious file, and HDF5 is C code too. So a child process,
started with the first MATLAB file and kept for further ones, forks for every file: the fork has limits on
memory and processor time, reads the file and hands plain arrays over a pipe in NumPy's own format, which
cannot hold code. Where it dies, the caller gets one line, and the next file a new fork.

Where a system has no fork (Windows), the file is read in the calling process, after the same check of the
sizes that it declares.

A small file is also written by that child process where it is up: it has imported SciPy, which would take
the calling process a tenth of a second.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import io
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beamfold.files.atomic import FileError

Arrays = dict[str, NDArray[Any]]
SUFFIXES = (".mat", ".h5", ".hdf5", ".nc")
SECONDS = 60  # of waiting for a file; processor time is limited to less in the fork
SMALL = 16 << 20
"""Bytes of arrays up to which the child may write them: they go through a pipe and through memory twice."""
CHILD = Path(__file__).with_name("matlab_child.py")
# One thread, so that forking is safe; no filters of HDF5 from libraries that lie about.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}

GUARDED = (
    all(hasattr(os, name) for name in ("fork", "register_at_fork", "killpg"))
    and hasattr(socket, "send_fds")
    and importlib.util.find_spec("resource") is not None
)
"""Whether this system has what the guarded child process needs."""


class _Late(Exception):
    """The fork did not deliver in time."""


class _Pipe:
    """The reading end of a pipe, for `numpy.lib.format`: whole reads, each within the time that is left."""

    def __init__(self, descriptor: int, deadline: float) -> None:
        self.descriptor = descriptor
        self.deadline = deadline

    def read(self, size: int = 0) -> bytes:
        """`size` bytes, or what there is until the end."""
        parts: list[bytes] = []
        while size > 0:
            left = self.deadline - time.monotonic()
            if left <= 0 or not select.select([self.descriptor], [], [], left)[0]:
                raise _Late
            try:
                part = os.read(self.descriptor, min(size, 1 << 20))
            except ConnectionResetError:
                part = b""
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


class _Child:
    """The process that forks readers; one file at a time, whatever thread asks."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """As if none had been started: a fork of the caller has no child, and no lock of another thread."""
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None

    def start(self) -> socket.socket:
        """The socket to the running child, started where there is none."""
        if self.control is None or self.process is None or self.process.poll() is not None:
            self.stop()
            self.control, theirs = socket.socketpair()
            with theirs:
                self.process = subprocess.Popen(
                    [sys.executable, "-P", str(CHILD), str(theirs.fileno())],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()], start_new_session=True, env={**os.environ, **ENVIRONMENT},
                )  # fmt: skip
        return self.control

    def stop(self) -> None:
        """End the child and its fork."""
        if self.control is not None:
            self.control.close()
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = self.control = None

    def ask(self, path: Path, wish: bytes) -> tuple[int, str, Arrays] | None:
        """The fork's exit code, its refusal and the arrays; None where the child had ended before it."""
        control = self.start()
        ours, theirs = os.pipe()
        _request(control, path, wish, theirs)
        deadline = time.monotonic() + SECONDS
        try:
            refusal, arrays = _receive(_Pipe(ours, deadline))
        finally:
            os.close(ours)  # a fork that still writes ends
        code = _Pipe(control.fileno(), deadline).read(4)
        return (int.from_bytes(code, "little", signed=True), refusal, arrays) if code else None

    def give(self, path: Path, data: memoryview) -> bool:
        """Whether a fork of the running child has written a file of arrays that are given as .npz."""
        if self.control is None or self.process is None or self.process.poll() is not None:
            return False
        theirs, ours = os.pipe()
        _request(self.control, path, b'\0{"write": true}', theirs)
        with contextlib.suppress(BrokenPipeError), os.fdopen(ours, "wb") as pipe:
            pipe.write(data)
        code = _Pipe(self.control.fileno(), time.monotonic() + SECONDS).read(4)
        return code == bytes(4)


def _request(control: socket.socket, path: Path, wish: bytes, theirs: int) -> None:
    """Send a request with the fork's end of a pipe, which is closed here."""
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(control, [os.fsencode(path.absolute()), wish], [theirs])
    finally:
        os.close(theirs)


def _receive(pipe: _Pipe) -> tuple[str, Arrays]:
    """What a fork sends, see `matlab_child`: its refusal or "", and the arrays that came whole."""
    arrays: Arrays = {}
    if pipe.read(1) == b"E":
        return pipe.read(4096).decode(errors="replace"), arrays
    with contextlib.suppress(ValueError, MemoryError):  # the fork died on the way: its code tells
        while length := pipe.read(4):
            name = pipe.read(int.from_bytes(length, "little")).decode(errors="replace")
            arrays[name] = np.lib.format.read_array(pipe, allow_pickle=False)
    return "", arrays


_child = _Child()
if GUARDED:
    atexit.register(_child.stop)
    os.register_at_fork(after_in_child=_child.forget)


def expect(path: Path) -> None:
    """Start the child already where `path` is a MATLAB file, so that it starts while the caller imports."""
    if GUARDED and path.suffix.lower() in SUFFIXES and path.is_file():
        with _child.lock:
            _child.start()


def read_matlab(
    path: Path, *, large: int | None = None, part: tuple[str, int, int, int] | None = None
) -> Arrays:
    """All arrays of numbers and texts of a MATLAB or HDF5 file, named as `matlab_values` says.

    Args:
        path: the file.
        large: of HDF5, arrays of more bytes are read by their kind and shape alone, see `hdf5_values`.
        part: of HDF5, the name of one array, an axis, and the first and last position to read, the last one
            left out; nothing else is read then.

    Raises:
        FileError: the file is damaged, too large when unpacked, or made its reader crash.
    """
    wish = {"large": large, "part": part}
    return _read_guarded(path, wish) if GUARDED else _read_here(path, wish)


def write_matlab(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of numbers and texts by name as a MATLAB file (v5).

    Raises:
        OSError: the disk is full, broken or read-only.
    """
    small = sum(value.nbytes for value in arrays.values()) <= SMALL
    if not (GUARDED and small and _child.process is not None and _written_by_child(path, arrays)):
        import scipy.io

        scipy.io.savemat(str(path), dict(arrays))


def _written_by_child(path: Path, arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether the child has written the file; where it has not, the caller does, and meets the reason."""
    data: Any = io.BytesIO()
    np.savez(data, allow_pickle=False, **arrays)
    with _child.lock:
        try:
            return _child.give(path, data.getbuffer())
        except BaseException as error:
            _child.stop()
            if isinstance(error, (_Late, OSError)):
                return False
            raise


def _read_here(path: Path, wish: dict[str, Any]) -> Arrays:
    """The arrays, read in this process, where a crafted file can still crash SciPy or HDF5."""
    from beamfold.files.matlab_child import parse

    _note()
    try:
        return parse(str(path), lambda data, size: None, **wish)
    except Exception as error:  # whatever a damaged file makes the readers raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileError(f"{path} can't be read as {path.suffix}: {reason}") from error


@functools.cache
def _note() -> None:
    """Say once, on standard error unless logging is set up otherwise, that there is no guarded process."""
    logging.getLogger("beamfold").warning(
        "this system has no fork: .mat files are read in this process; read only files that you trust"
    )


def _read_guarded(path: Path, wish: dict[str, Any]) -> Arrays:
    """The arrays, read by a fork of the child process."""
    text = b"\0" + json.dumps(wish).encode()
    with _child.lock:
        try:
            answer = _child.ask(path, text)
            if answer is None:  # the child had ended, idle for long or killed; it may not show it yet
                _child.stop()
                answer = _child.ask(path, text)
        except BaseException as error:
            _child.stop()
            if isinstance(error, _Late):
                raise FileError(f"{path}: reading it took over {SECONDS} s; is it a channel file?") from error
            raise
    if answer is None:
        raise FileError(f"{path} can't be read as {path.suffix}: the process that reads it did not start")
    code, refusal, arrays = answer
    if code == -signal.SIGXCPU:
        raise FileError(f"{path}: reading it took longer than a file of its size should; is it damaged?")
    if code or refusal:
        reason = refusal or f"its reader ended with {code}"
        raise FileError(f"{path} can't be read as {path.suffix}: {reason}")
    return arrays
