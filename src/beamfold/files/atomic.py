"""Writing so that a reader ever sees the old file or the new one, never half of either."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from beamfold.errors import InputError

LINE = 500  # characters


Pathlike = str | os.PathLike[str]
"""A path as users give it."""


class FileError(InputError):
    """A file that cannot be read or written; its text is the one line for the user.

    Names out of a file may be of any length and hold anything, so the line is cut and what a terminal
    would obey is left out.
    """

    def __init__(self, text: str) -> None:
        line = " ".join(text.split())
        line = line if len(line) <= LINE else f"{line[:LINE]} ..."
        super().__init__("".join(c if c.isprintable() else "?" for c in line))


class DiskError(RuntimeError):
    """The disk is full, over its quota or broken: no fault of the user's input; one line."""


REFUSED = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
}
"""Reasons that the user can mend by another target."""


def check_there(path: Path) -> None:
    """Raise FileError unless there is such a file."""
    if not path.is_file():
        raise FileError(f"no such file: {path}")


def check_target(path: Path, *, force: bool, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse a target early, before anything is computed.

    Raises:
        FileError: the folder does not exist or can't be written, the target exists and `force` is not
            set, it is a folder, or its suffix is not one of `suffixes`.
    """
    folder = path.parent
    if suffixes and path.suffix.lower() not in suffixes:
        raise FileError(f"{path}: the output is written as {' or '.join(suffixes)}")
    if not folder.is_dir():
        raise FileError(f"the output folder {folder} does not exist; make it first")
    if path.is_dir():
        raise FileError(f"{path} is a folder; the output needs a file name")
    if path.exists() and not force:
        raise FileError(f"{path} exists; pass --force to replace it")
    if not os.access(folder, os.W_OK):
        raise FileError(f"the output folder {folder} is read-only")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends without an error.

    The data is flushed to the disk before the rename, and the folder after it.

    Raises:
        FileError: the folder is read-only or gone.
        DiskError: the disk is full or broken. Whatever stood at `path` still stands either way.
    """
    temporary = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _flush(temporary)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        temporary = None
        _flush(path.parent)
    except OSError as error:
        kind = FileError if error.errno in REFUSED else DiskError
        raise kind(f"could not write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write(path: Path, save: Callable[[Path], object]) -> None:
    """`save(temporary)`, then the rename."""
    with replacing(path) as temporary:
        save(temporary)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; Windows opens no folder for that."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
