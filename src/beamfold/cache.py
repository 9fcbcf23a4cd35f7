"""The user's cache folder: what took long to compute and can be computed again, kept between runs.

It holds solved Ψ (`files.covariances`) and compiled kernels (`kernels.code_cache`), each in a subfolder. All
of it may be deleted at any time. Where the folder cannot be used, the program goes on without it and says so
once.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from importlib import resources
from pathlib import Path

import platformdirs

DAYS = 30
"""What was not used for so long is removed."""


def root() -> Path:
    """The folder for all that Beamfold caches, where the system keeps a user's caches."""
    return platformdirs.user_cache_path("beamfold", appauthor=False)


def folder(name: str) -> Path | None:
    """The subfolder `name` of the cache, made where it is missing; None where that is not possible."""
    path = root() / name
    if not path.is_absolute():  # a user without a home folder
        unusable(path, "it has no absolute path")
        return None
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        unusable(path, error.strerror or str(error))
        return None
    return path


def unusable(path: Path, reason: str) -> None:
    """Say, once in a process, that the cache cannot be used and that the program goes on without it."""
    place = root() if path.is_relative_to(root()) else path
    text = f"note: the cache folder {place} can't be used ({reason}); the program goes on without it"
    say_once(text, about=str(place))


_SAID: set[str] = set()
"""What `say_once` has spoken about in this process."""


def say_once(text: str, about: str | None = None) -> None:
    """One line for the user about a subject, the text itself unless given; the first time only.

    It goes to the logger "beamfold", which writes to standard error unless a program configures logging.
    """
    if (about or text) not in _SAID:
        _SAID.add(about or text)
        logging.getLogger("beamfold").warning("%s", text)


@lru_cache(maxsize=16)
def fingerprint(packages: tuple[str, ...], *more: str) -> str:
    """A hash of the Python sources of packages and single modules, and of further text such as versions.

    Args:
        packages: dotted names, like "beamfold.kernels"; of a package all sources of its folder count.
        more: what else the cached result depends on.
    """
    digest = hashlib.sha256(repr(more).encode())
    for name in packages:
        above, _, last = name.rpartition(".")
        place = resources.files(above).joinpath(last)
        sources = place.iterdir() if place.is_dir() else [resources.files(above).joinpath(f"{last}.py")]
        for source in sorted((s for s in sources if s.name.endswith(".py")), key=lambda s: s.name):
            text = source.read_bytes()
            digest.update(f"{name}/{source.name}:{len(text)}:".encode())
            digest.update(text)
    return digest.hexdigest()[:24]


def mark_used(path: Path) -> None:
    """Let a file or folder of the cache count as used now."""
    with suppress(OSError):
        os.utime(path)


def remove_unused(entries: Iterable[Path], days: float = DAYS) -> None:
    """Delete files and folders that were neither written nor marked as used for `days`.

    Other processes may do the same at the same time: what is gone already is no error, and whoever loses a
    file that it wanted to read computes the result again.
    """
    limit = time.time() - days * 86400
    for path in entries:
        with suppress(OSError):
            if path.stat().st_mtime >= limit:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
