"""Commands of beamfold as processes: started, watched, and killed at a chosen point of their work."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

BEAMFOLD = [sys.executable, "-m", "beamfold"]


class Failed(SystemExit):
    """A promise was broken."""

    def __init__(self, text: str) -> None:
        super().__init__(f"FAILED: {text}")


class Command(psutil.Popen):
    """A command at work; what it says on standard error is kept for the report of a failure."""

    def __init__(self, *arguments: str | Path) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the process
        command = [*BEAMFOLD, *map(str, arguments)]
        super().__init__(command, stdout=subprocess.DEVNULL, stderr=self.log)

    def failed(self) -> Failed:
        self.log.seek(0)
        said = self.log.read().decode(errors="replace")[-2000:]
        return Failed(f"exit code {self.returncode} of {' '.join(self.args[3:])}\n{said}")


def work(process: Command) -> float:
    """Processor seconds so far: unlike the clock on the wall they do not depend on what else is running."""
    times = process.cpu_times()
    return times.user + times.system


def reached(process: Command, ready: Callable[[], bool], delay: float = 0.0, nap: float = 0.001) -> bool:
    """Wait for a sign of work, then so many processor seconds; False if the command ended before that."""
    since = None
    while process.poll() is None:
        if since is None and ready():
            since = work(process)
        if since is not None and work(process) - since >= delay:
            return True
        time.sleep(nap)
    if process.returncode:
        raise process.failed()
    return False


def kill(process: psutil.Process) -> None:
    process.kill()
    process.wait()


def finish(*arguments: str | Path, ready: Callable[[], bool] = lambda: True, fails: bool = False) -> float:
    """Run a command to its end; its processor seconds from the first sign of work."""
    process = Command(*arguments)
    since = last = None
    while process.poll() is None:
        last = work(process)
        if since is None and ready():
            since = last
        time.sleep(0.001)
    if bool(process.returncode) != fails:
        raise process.failed()
    return 0.0 if since is None or last is None else last - since


def workers_of(process: Command) -> list[psutil.Process]:
    """The worker processes of a sweep with `--workers`."""
    found = []
    for child in process.children(recursive=True):
        try:
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:  # it is gone meanwhile
            continue
    return found
