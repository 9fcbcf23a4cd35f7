"""Compiled versions of a method's inner loop: the same steps, tested against the readable path."""

from contextlib import suppress
from pathlib import Path


def forget_outdated(folder: Path) -> None:
    """Remove compiled code that is older than any source of the folder.

    Numba's cache looks at the file of a function, not at the files of what it calls and has inlined: after an
    update of one file it would go on with the old code of another.
    """
    newest = max(path.stat().st_mtime for path in folder.glob("*.py"))
    for index in folder.glob("__pycache__/*.nbi"):
        with suppress(OSError):  # another process was faster, or the folder is read-only
            if index.stat().st_mtime < newest:
                index.unlink()


forget_outdated(Path(__file__).parent)
