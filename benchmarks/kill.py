"""SIGKILL at random moments: nothing finished is lost, nothing unreadable is left, resumed equals whole.

    python benchmarks/kill.py [--kills 50] [--only train design report sweep workers] [--seed 0]

Moments. Start-up takes seconds and does nothing worth killing. A sweep is killed after a random number of
new cells and a random part of the next; training a random time after its next checkpoint; `design` and
`report`, which leave one file at the end, at a random moment of their work every other time, and else as
soon as a half-written file shows. Times are of the processor, so that a busy machine moves no kill.

Checks, after every kill. train: the checkpoint is readable and never goes back; a finished model equals that
of an undisturbed run, bit for bit. design, report: the file at the target is the older one or the new one,
to the byte of its contents. sweep: every cell that was there is still there, untouched, and every new one
equals the undisturbed run's, bit for bit, as does the whole at the end. workers: the same with two of them;
half of the kills hit the calling process, whose workers must be gone soon after, and half hit a worker,
whereupon the sweep must end by itself.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import xarray as xr
from processes import Command, Failed, finish, kill, reached, workers_of

from beamfold.files.arrays import read_arrays
from beamfold.files.models import load_checkpoint, load_model

CELL = 0.05  # processor seconds that a cell of the sweep below takes, about
GONE = 30  # seconds in which orphaned workers must be gone


class Tally:
    """Counts kills and says how it goes."""

    def __init__(self, job: str, kills: int) -> None:
        self.job, self.kills = job, kills
        self.done = self.finished = self.halves = 0

    def count(self, text: str, half: bool) -> None:
        """One more kill; `half`: it left a half-written temporary file."""
        self.done += 1
        self.halves += half
        print(f"{self.job}: kill {self.done} of {self.kills}: {text}{', in a write' * half}", flush=True)

    def conclude(self, text: str) -> None:
        print(f"{self.job}: {self.done} kills, {self.halves} in a write; {text}", flush=True)


def leftovers(folder: Path) -> bool:
    """Whether a killed writer left a temporary file, which is hidden and no result; it is tidied here."""
    found = [path for path in folder.glob(".*") if path.is_file() and path.name != ".lock"]
    for path in found:
        path.unlink()
    return bool(found)


def contents(path: Path) -> tuple[bytes, bytes, object]:
    """Step sizes bit for bit, and the metadata, whose order in the file is safetensors' to choose."""
    model = load_model(path)
    return model.mu.detach().numpy().tobytes(), model.lam.detach().numpy().tobytes(), model.info


def training(folder: Path, tally: Tally, rng: random.Random) -> None:
    options = ("--antennas", "16", "--users", "2", "--inner", "3", "--layers", "12", "--count", "200",
               "--epochs", "40", "--targets-deg", "0")  # fmt: skip
    whole, model = folder / "whole.safetensors", folder / "model.safetensors"
    begun = whole.with_suffix(".checkpoint.safetensors")
    lasts = finish("train", *options, "-o", whole, ready=begun.exists)
    truth = contents(whole)
    checkpoint = model.with_suffix(".checkpoint.safetensors")
    epoch = 0

    def ended() -> None:
        nonlocal epoch
        if contents(model) != truth:
            raise Failed("the resumed model differs from the undisturbed one")
        model.unlink()
        checkpoint.unlink(missing_ok=True)
        epoch, tally.finished = 0, tally.finished + 1

    while tally.done < tally.kills:
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = Command("train", *options, "-o", model)
        worked = lambda: checkpoint.exists() and checkpoint.stat().st_mtime_ns != before  # noqa: B023, E731
        if not reached(process, worked, rng.uniform(0, lasts / 3)):
            ended()
            continue
        kill(process)
        half = leftovers(folder)
        if model.exists():  # killed between the model's rename and the end of the process
            ended()
        elif checkpoint.exists():
            now = load_checkpoint(checkpoint).progress.epoch
            if now < epoch:
                raise Failed(f"epoch {now} after {epoch}: finished work was lost")
            epoch = now
        tally.count(f"epoch {epoch} of 40 is kept", half)
    tally.conclude(f"{tally.finished} models finished in between, all equal to the undisturbed one")


def replacing(
    tally: Tally, rng: random.Random, target: Path, arguments: tuple[Any, ...], idle: tuple[Any, ...],
    held: Callable[[Path], Any], equal: Callable[[Any, Any], bool],
) -> None:  # fmt: skip
    """Kill a command that replaces `target`; `idle` is the same with nothing to do, for its start-up."""
    older, kept = held(target), target.read_bytes()
    startup, lasts = finish(*idle, fails=True), finish(*arguments)
    newer = held(target)
    if equal(older, newer):
        raise Failed("the older file and the newer one are alike; the check would see nothing")
    while tally.done < tally.kills:
        target.write_bytes(kept)
        process = Command(*arguments)
        if tally.done % 2:
            hit = reached(process, lambda: True, rng.uniform(startup, lasts))
        else:
            written = lambda: any(target.parent.glob(f".{target.stem}-*"))  # noqa: E731
            hit = reached(process, written, nap=0)
        if not hit:
            tally.finished += 1
            continue
        kill(process)
        half, now = leftovers(target.parent), held(target)
        if not (equal(now, older) or equal(now, newer)):
            raise Failed(f"{target.name} is neither the older file nor the newer one")
        tally.count("the older file" if equal(now, older) else "the newer file", half)
    finish(*arguments)
    if not equal(held(target), newer):
        raise Failed("the run after the kills differs from the undisturbed one")
    tally.conclude("the file was the older or the newer one, whole, after every one")


def same_arrays(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        np.asarray(value).tobytes() == np.asarray(other[key]).tobytes() for key, value in one.items()
    )


def designing(folder: Path, tally: Tally, rng: random.Random) -> None:
    channels, target = folder / "c.npz", folder / "d.npz"
    finish("generate", "-o", channels, "--antennas", "32", "--count", "200")
    finish("design", channels, "--method", "phased-zf", "-o", target)
    arguments = ("design", channels, "--method", "pga", "-o", target, "--force")
    idle = ("design", folder / "none.npz", "--method", "pga", "-o", folder / "e.npz")
    replacing(tally, rng, target, arguments, idle, read_arrays, same_arrays)


def parsed(page: Path) -> bytes:
    """The page, after a look whether it is one."""
    text = page.read_text(encoding="utf-8")
    HTMLParser().feed(text)
    data = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    if data is None or not json.loads(data[1]) or not text.endswith("</html>\n"):
        raise Failed("the page is not whole")
    return page.read_bytes()


def reporting(folder: Path, tally: Tally, rng: random.Random) -> None:
    results, target = folder / "results", folder / "report.html"
    finish("reproduce", "fig2", "--count", "4", "-o", results)
    finish("report", results, "-o", target)
    finish("reproduce", "fig3", "table2", "--count", "4", "-o", results)
    arguments = ("report", results, "-o", target, "--force")
    idle = ("report", folder, "-o", folder / "none.html")
    replacing(tally, rng, target, arguments, idle, parsed, lambda one, other: one == other)


SWEEP = """methods = ["pga", "phased-zf", "fast"]
snr_db = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
weight = [0.1, 0.2, 0.3, 0.5]
antennas = [32]
users = [4]
inner = [10]
layers = [120]
targets_deg = [[-30, 30]]
count = 30
"""


class Sweep:
    """A sweep that is killed and resumed, and what must hold of its folder."""

    def __init__(self, folder: Path, tally: Tally, extra: tuple[str, ...]) -> None:
        config, self.whole = folder / "sweep.toml", folder / "whole"
        config.write_text(SWEEP)
        self.run, self.tally = folder / "run", tally
        self.arguments = ("sweep", config, "-o", self.run, *extra)
        finish("sweep", config, "-o", self.whole)
        self.total = len(finished(self.whole))
        self.kept: dict[str, int] = {}

    def after(self, cells: int) -> Callable[[], bool]:
        """Whether so many cells were finished since the last look."""
        return lambda: len(finished(self.run)) >= len(self.kept) + cells

    def look(self) -> str:
        """After a kill: nothing lost, nothing touched, everything new right."""
        now = finished(self.run)
        lost = [name for name, when in self.kept.items() if now.get(name) != when]
        if lost:
            raise Failed(f"{len(lost)} finished cells were lost or written again")
        for name in now.keys() - self.kept.keys():
            if not same(self.whole / "cells" / name, self.run / "cells" / name):
                raise Failed(f"the cell {name} differs from the undisturbed one")
        self.kept = now
        return f"{len(now)} of {self.total} cells are kept"

    def ended(self) -> None:
        """It came to its end: equal to the undisturbed one, and away with it."""
        self.look()
        if not same(self.whole / "sweep.nc", self.run / "sweep.nc"):
            raise Failed("the resumed sweep differs from the undisturbed one")
        self.kept, self.tally.finished = {}, self.tally.finished + 1
        shutil.rmtree(self.run)

    def half(self) -> bool:
        """Whether the kill left a half-written file; the program tidies it at its next start."""
        hidden = (*(self.run / "cells").glob(".*"), *self.run.glob(".sweep-*"))
        return bool(hidden)


def finished(folder: Path) -> dict[str, int]:
    """The finished cells and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cells").glob("[!.]*.nc")}


def same(one: Path, other: Path) -> bool:
    """All numbers of two datasets, bit for bit."""
    with xr.open_dataset(one, engine="h5netcdf") as a, xr.open_dataset(other, engine="h5netcdf") as b:
        numbers = [name for name, value in a.data_vars.items() if value.dtype.kind in "fi"]
        return bool(numbers) and all(a[n].values.tobytes() == b[n].values.tobytes() for n in numbers)


def sweeping(folder: Path, tally: Tally, rng: random.Random) -> None:
    sweep = Sweep(folder, tally, ())
    kill_the_caller(sweep, tally, tally.kills, rng)
    finish(*sweep.arguments)
    sweep.ended()
    tally.conclude(f"{tally.finished} sweeps finished in between, all equal to the undisturbed one")


def kill_the_caller(sweep: Sweep, tally: Tally, kills: int, rng: random.Random) -> float:
    """SIGKILL to the command itself; the longest that one of its workers outlived it, in seconds."""
    longest = 0.0
    while tally.done < kills:
        process = Command(*sweep.arguments)
        if not reached(process, sweep.after(rng.randint(1, sweep.total // 3)), rng.uniform(0, CELL)):
            sweep.ended()
            continue
        children = process.children(recursive=True)
        kill(process)
        begin = time.monotonic()
        _, alive = psutil.wait_procs(children, timeout=GONE)
        if alive:
            raise Failed(f"{len(alive)} workers outlive the command by {GONE} s")
        longest = max(longest, time.monotonic() - begin)
        tally.count(sweep.look(), sweep.half())
    return longest


def kill_workers(sweep: Sweep, tally: Tally, rng: random.Random) -> None:
    """SIGKILL to one worker after the other while the sweep runs; it must come to its end."""
    while tally.done < tally.kills:
        process = Command(*sweep.arguments)
        while reached(process, sweep.after(rng.randint(1, sweep.total // 6)), rng.uniform(0, CELL)):
            workers = workers_of(process)
            if workers and tally.done < tally.kills:
                kill(rng.choice(workers))
                tally.count(f"a worker; {sweep.look()}", False)
            elif tally.done >= tally.kills:
                process.wait()
        sweep.ended()


def working_together(folder: Path, tally: Tally, rng: random.Random) -> None:
    sweep = Sweep(folder, tally, ("--workers", "2"))
    longest = kill_the_caller(sweep, tally, tally.kills // 2, rng)
    finish(*sweep.arguments)
    sweep.ended()
    kill_workers(sweep, tally, rng)
    tally.conclude(
        f"{tally.finished} sweeps finished in between, all equal to the one without workers; "
        f"workers were gone within {longest:.1f} s of their caller's end"
    )


JOBS = {
    "train": training, "design": designing, "report": reporting, "sweep": sweeping,
    "workers": working_together,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=50, help="for each of the commands")
    parser.add_argument("--only", nargs="*", choices=list(JOBS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for job in options.only or JOBS:
        with tempfile.TemporaryDirectory() as name:
            JOBS[job](Path(name), Tally(job, options.kills), random.Random(options.seed))


if __name__ == "__main__":
    main()
