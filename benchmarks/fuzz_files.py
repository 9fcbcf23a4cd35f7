"""Mutated input files through the entries that users use: read or refused in one line, nothing else.

    python benchmarks/fuzz_files.py [--count 100000] [--seed 0] [--keep fuzz-failures] [--json]
    python benchmarks/fuzz_files.py --replay fuzz-failures/npz-000123-channels.npz

A file passes if its entry returns or raises the ValueError that the command line turns into one line and
exit code 2, within 10 s of processor time and with a growth of peak memory of at most 4 × its size + 300 MB,
the reading child processes included. A wait of a minute is a failure too; less of it can be the load of the
machine. The files go through workers, each of which reads a few thousand: a worker that
dies or hangs is seen and replaced, and the file it was at is a failure. Failures are kept for replay.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

SECONDS = 10.0  # of processor time per file
WAITING = 60.0
"""Seconds of any time per file: a wait without end uses no processor, but neither does a starved process."""
STARTING = 120.0  # until a worker has imported everything and made the valid files
SPARE = 300 << 20  # bytes
LINE = 1000  # characters that still are one line
PART = 2500  # files per worker
GOOD = ("read", "refused")
FORMATS = ("mat", "npz", "npy", "h5", "safetensors", "pth", "toml")


READING: tuple[dict[str, Any], ...] = (
    *(
        {"from_": tool, "receive": "combine", "index": None}
        for tool in ("sionna", "quadriga", "nyusim", "hermes")
    ),
    {"from_": "deepmimo", "users": 2, "group": "random:1", "subcarrier": "all", "normalise": "user"},
    {"axes": "antennas,users,channels", "normalise": "set"},
    {"axes": "channels,users,ri,antennas"},
    {"axes": "users,receive,antennas,paths", "receive": "strongest"},
    {"variable": "S.H", "axes": "snr,users,antennas", "index": "snr=1"},
    {"variable": "H", "imag": "G"},
    {"streams": 1},
)
"""Entries that say how to read; a file gets one of them by its size."""


class Verdict(NamedTuple):
    """What became of a file."""

    index: int
    entry: str
    outcome: str
    """read, refused, or what is wrong: traceback, memory, crash, hang."""
    said: str
    seconds: float
    """Of processor time; the forked reader of MATLAB files has a limit of its own."""
    growth: int
    """Bytes of peak memory above what was in use before, in the process that called the entry."""
    size: int


def entries(folder: Path) -> dict[str, tuple[str, Callable[[Path], object]]]:
    """Entry → formats that it reads, and the call."""
    import numpy as np

    import beamfold as bf
    from beamfold.cli.verify import verify
    from beamfold.experiments.grid import read_grid
    from beamfold.files.channels import read_channels, write_channels
    from beamfold.files.entries import ScenarioSpec
    from beamfold.files.inspection import inspected
    from beamfold.files.models import import_steps, load_checkpoint, load_model
    from beamfold.files.psi import read_sensing
    from beamfold.files.reader import read_set

    good = folder / "channels.npz"
    write_channels(good, bf.saleh_valenzuela(8, 2, 3, seed=0), {})

    def channels(path: Path) -> object:
        H = read_channels(path, rows="h^T")
        return bf.make_scenario(H, np.eye(H.shape[-1]) / H.shape[-1], snr_db=3) if H.shape[-1] <= 64 else H

    def verified(path: Path) -> None:
        import typer

        quiet = io.StringIO()
        with (
            contextlib.redirect_stdout(quiet),
            contextlib.redirect_stderr(quiet),
            contextlib.suppress(typer.Exit),
        ):
            verify(designs=path, channels=good, tolerance=1e-6, as_json=False)

    def options(path: Path) -> object:
        return read_set(path, ScenarioSpec(**READING[path.stat().st_size % len(READING)]))

    arrays = "mat npz npy h5"
    return {
        "channels": (arrays, channels),
        "psi": (arrays, read_sensing),
        "verify": (arrays, verified),
        "options": (arrays, options),
        "inspect": (arrays, inspected),
        "model": ("safetensors", load_model),
        "checkpoint": ("safetensors", load_checkpoint),
        "steps": ("pth", lambda path: import_steps(path, antennas=8, users=2, chains=2)),
        "sweep": ("toml", read_grid),
    }


def peak() -> tuple[int, int]:
    """Bytes of memory in use, and the most since the last call's end; the mark starts anew."""
    held = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    Path("/proc/self/clear_refs").write_text("5")
    return tuple(int(held[key].split()[0]) << 10 for key in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def judge(index: int, name: str, entry: Callable[[Path], object], path: Path) -> Verdict:
    """Pass one file through one entry."""
    before, _ = peak()
    begin, asleep = time.process_time(), time.monotonic()
    outcome, said = "read", ""
    try:
        entry(path)
    except ValueError as error:
        said = " ".join(str(error).split())
        outcome = "refused" if 0 < len(said) <= LINE and said.isprintable() else "no line"
    except Exception as error:
        outcome, said = "traceback", f"{type(error).__name__}: {error}"
    seconds, waited = time.process_time() - begin, time.monotonic() - asleep
    growth, size = max(peak()[1] - before, 0), path.stat().st_size
    if seconds > SECONDS or waited > WAITING:
        outcome = "hang"
    elif growth > 4 * size + SPARE:
        outcome = "memory"
    return Verdict(index, name, outcome, said[:LINE], seconds, growth, size)


MEASURED = """import resource, sys
sys.path.insert(0, {folder!r})
import matlab_child
matlab_child.main()
with open({peak!r}, "w") as stream:
    stream.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10))
"""
"""The child that forks readers of MATLAB files, which tells the most memory of a fork when it ends."""


def work(format: str, first: int, last: int, seed: int, folder: Path) -> None:
    """A worker: a line of JSON per file, and the peak of its child processes at the end."""
    import torch
    from fuzz_mutations import mutated

    from beamfold.files import matlab

    torch.set_num_threads(1)
    most, script = folder / "most", folder / "child.py"
    script.write_text(MEASURED.format(folder=str(matlab.CHILD.parent), peak=str(most)))
    matlab.CHILD = script
    held = [(name, entry) for name, (formats, entry) in entries(folder).items() if format in formats.split()]
    for index in range(first, last):
        name, entry = held[index % len(held)]
        path = folder / f"current-{name}.{format}"
        path.write_bytes(mutated(seed, format, index))
        verdict = judge(index, name, entry, path)
        path.replace(
            folder / ("passed" if verdict.outcome in GOOD else f"{format}-{index:06d}-{name}.{format}")
        )
        print(json.dumps(verdict), flush=True)
    if matlab._child.process is not None and matlab._child.control is not None:
        matlab._child.control.close()
        matlab._child.process.wait()
        print(most.read_text(), flush=True)


def follow(command: list[str], first: int, log: Path) -> Iterator[Verdict | int]:
    """A worker's verdicts as they come; the last is of a crash or a hang if it ends in one."""
    with log.open("wb") as told_off:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told_off)
    assert process.stdout is not None
    index, patience = first, STARTING
    pending = b""
    try:
        while True:
            while b"\n" not in pending:
                if not select.select([process.stdout], [], [], patience)[0]:
                    yield Verdict(index, "", "hang", f"nothing for {patience:.0f} s", patience, 0, 0)
                    return
                part = process.stdout.read1(1 << 16)  # type: ignore[attr-defined]
                if not part:
                    if code := process.wait():
                        last = log.read_text(errors="replace").strip().splitlines()[-1:]
                        yield Verdict(index, "", "crash", f"the process ended with {code}: {last}", 0, 0, 0)
                    return
                pending += part
            line, pending = pending.split(b"\n", 1)
            patience = WAITING + 5
            told = json.loads(line)
            if isinstance(told, list):
                yield (verdict := Verdict(*told))
                index = verdict.index + 1
            else:
                yield told
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Tally:
    """Counts of one format."""

    def __init__(self, format: str) -> None:
        self.format = format
        self.outcomes: Counter[str] = Counter()
        self.seconds = 0.0
        self.growth = 0
        self.children = 0
        self.largest = 0

    def add(self, verdict: Verdict) -> None:
        self.outcomes[verdict.outcome] += 1
        self.seconds = max(self.seconds, verdict.seconds)
        self.growth = max(self.growth, verdict.growth)
        self.largest = max(self.largest, verdict.size)

    def row(self) -> dict[str, Any]:
        wrong = {key: n for key, n in self.outcomes.items() if key not in GOOD}
        if self.growth + self.children > SPARE:
            wrong["memory with children"] = 1
        return {
            "format": self.format, "files": self.outcomes.total(), "read": self.outcomes["read"],
            "refused": self.outcomes["refused"], "worst_s": self.seconds,
            "worst_growth_mib": self.growth / 2**20, "worst_child_mib": self.children / 2**20,
            "largest_file": self.largest, "wrong": wrong,
        }  # fmt: skip


def run(format: str, count: int, seed: int, keep: Path, told: Callable[[int], None]) -> Tally:
    """All files of a format."""
    tally, at = Tally(format), 0
    with tempfile.TemporaryDirectory() as name:
        while at < count:
            last = min(at + PART, count)
            command = [sys.executable, __file__, "--work", format, str(at), str(last), str(seed), name]
            for verdict in follow(command, at, Path(name) / "log"):
                if isinstance(verdict, int):
                    tally.children = max(tally.children, verdict)
                    continue
                tally.add(verdict)
                at = verdict.index + 1
                told(at)
                if verdict.outcome not in GOOD:
                    _keep(verdict, format, Path(name), keep)
    return tally


def _keep(verdict: Verdict, format: str, folder: Path, keep: Path) -> None:
    """The file of a failure, for replay, and what was wrong."""
    keep.mkdir(parents=True, exist_ok=True)
    for held in folder.glob(f"{format}-*" if verdict.entry else "current-*"):  # where the worker still lives
        target = keep / held.name.replace("current", f"{format}-{verdict.index:06d}")
        shutil.move(held, target)
        print(f"{target}: {verdict.outcome}: {verdict.said[:200]}", file=sys.stderr, flush=True)


def replay(path: Path) -> int:
    """One kept file again, in this process."""
    name = path.stem.split("-")[-1]
    with tempfile.TemporaryDirectory() as folder:
        verdict = judge(0, name, entries(Path(folder))[name][1], path)
    print(verdict)
    return int(verdict.outcome not in GOOD)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=100_000, help="files in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=FORMATS, default=FORMATS)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder for failures")
    parser.add_argument("--replay", type=Path, help="a file of that folder")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        format, first, last, seed, folder = options.work
        work(format, int(first), int(last), int(seed), Path(folder))
        return 0
    if options.replay:
        return replay(options.replay)
    rows, begin = [], time.monotonic()
    print(f"seed {options.seed}", file=sys.stderr)
    for i, format in enumerate(options.only):
        share = options.count // len(options.only) + (i < options.count % len(options.only))
        last = [time.monotonic()]

        def told(done: int, format: str = format, share: int = share, last: list[float] = last) -> None:
            if time.monotonic() - last[0] > 10:
                last[0] = time.monotonic()
                print(f"{format}: {done} of {share}", file=sys.stderr, flush=True)

        rows.append(run(format, share, options.seed, options.keep, told).row())
    return report(rows, time.monotonic() - begin, options.seed, options.json)


def report(rows: list[dict[str, Any]], seconds: float, seed: int, as_json: bool) -> int:
    """Print the counts; 1 if anything went wrong."""
    wrong = sum(sum(row["wrong"].values()) for row in rows)
    files = sum(row["files"] for row in rows)
    if as_json:
        print(json.dumps({"seed": seed, "files": files, "wrong": wrong, "seconds": seconds, "formats": rows}))
        return int(wrong > 0)
    print("| format | files | read | refused | wrong | longest | most memory, caller | forked reader |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        child = f"{row['worst_child_mib']:.0f} MiB" if row["format"] == "mat" else ""
        print(
            f"| .{row['format']} | {row['files']} | {row['read']} | {row['refused']} | "
            f"{sum(row['wrong'].values())} | {row['worst_s']:.2f} s | {row['worst_growth_mib']:.0f} MiB "
            f"| {child} |"
        )
    print(f"{files} files, {wrong} wrong, seed {seed}, {seconds / 60:.1f} minutes")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
