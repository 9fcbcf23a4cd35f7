"""The program `beamfold`, also as `python -m beamfold` and as what torchrun starts."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading

COLLECT_AFTER = 50_000
"""New objects after which Python looks for garbage: at its usual rate a tenth of the time of imports goes
there."""


def program() -> None:
    """Run the command of the command line and end the process with its exit code."""
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)  # else the end of the process looks for garbage among all imports: 0.3 s
    from beamfold.cli import main

    try:
        main()
    except SystemExit as stop:
        if _may_end_at_once(stop.code):
            _end(int(stop.code or 0))
        raise


def _may_end_at_once(code: object) -> bool:
    """Whether nothing is left to wait for: no other thread, and nobody who watches this process run."""
    watched = sys.gettrace() is not None or sys.getprofile() is not None
    return isinstance(code, int | None) and threading.active_count() == 1 and not watched


def _end(code: int) -> None:
    """End the process after what was registered for its end; Python would take apart every module: 0.15 s.

    Where the last of the output can't be written, Python's own end says so.
    """
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return
    os._exit(code)


if __name__ == "__main__":
    program()
