"""SIGKILL at random moments: nothing finished is lost, nothing unreadable is left, resumed equals whole.

    python benchmarks/kill.py [--kills 50] [--seed 0]

Training: the command is killed after a random time and started again until it ends; the model must equal,
bit for bit, that of an undisturbed run, and every checkpoint seen on the way must be readable and never
go back. Design: the command is killed while a design file from an earlier run stands at the target; the
file must be readable and complete at every moment, the old one or the new one. Sweep, in-process and with
two workers: no finished cell may go, every one must be readable, and the result equal an undisturbed one.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr

from beamfold.files.arrays import read_arrays
from beamfold.files.models import load_checkpoint, load_model

BEAMFOLD = [sys.executable, "-c", "from beamfold.cli import main; main()"]


def command(*arguments: str) -> list[str]:
    return [*BEAMFOLD, *arguments]


def killed(arguments: list[str], after: float) -> bool:
    """Run a command, kill it after so many seconds; True if it had ended by itself."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    if process.returncode:
        raise RuntimeError(f"the command failed by itself: {' '.join(arguments[3:])}")
    return True


def seconds(arguments: list[str]) -> float:
    begin = time.monotonic()
    subprocess.run(arguments, check=True, capture_output=True)
    return time.monotonic() - begin


def contents(path: Path) -> tuple[bytes, bytes, object]:
    """Step sizes bit for bit, and the metadata, whose order in the file is safetensors' to choose."""
    model = load_model(path)
    return model.mu.detach().numpy().tobytes(), model.lam.detach().numpy().tobytes(), model.info


def compare(model: Path, truth: object) -> None:
    """The model must be the undisturbed run's; it makes room for the next."""
    if contents(model) != truth:
        raise SystemExit("FAILED: the resumed model differs from the undisturbed one")
    model.unlink()


def training(folder: Path, kills: int, rng: random.Random) -> None:
    options = ("--antennas", "16", "--users", "2", "--inner", "3", "--layers", "12", "--count", "200",
               "--epochs", "40", "--targets-deg", "0")  # fmt: skip
    whole, model = folder / "whole.safetensors", folder / "model.safetensors"
    lasts = seconds(command("train", *options, "-o", str(whole)))
    truth = contents(whole)
    checkpoint = model.with_suffix(".checkpoint.safetensors")
    done, epoch, finished = 0, 0, 0
    while done < kills:
        # Restarts cost seconds of imports each, so most kills fall between two epochs or in a write.
        if killed(command("train", *options, "-o", str(model)), rng.uniform(0.3, 1.0) * lasts):
            compare(model, truth)
            finished += 1
            epoch = 0
            continue
        done += 1
        if model.exists():  # killed between the model's rename and the end of the process
            compare(model, truth)
            checkpoint.unlink(missing_ok=True)
            finished += 1
            epoch = 0
        elif checkpoint.exists():
            now = load_checkpoint(checkpoint).progress.epoch
            if now < epoch:
                raise SystemExit(f"FAILED: epoch {now} after {epoch}: finished work was lost")
            epoch = now
        leftovers(folder)
    print(f"training: {done} kills, {finished} models finished in between, all equal to the undisturbed one")


def designing(folder: Path, kills: int, rng: random.Random) -> None:
    channels, target = folder / "c.npz", folder / "d.npz"
    subprocess.run(command("generate", "-o", str(channels), "--antennas", "32", "--count", "20"), check=True,
                   capture_output=True)  # fmt: skip
    arguments = command("design", str(channels), "--method", "pga", "-o", str(target), "--force")
    lasts = seconds(arguments)
    for _ in range(kills):
        killed(arguments, rng.uniform(0.2, 1.1) * lasts)
        if read_arrays(target)["F"].shape != (20, 32, 4):
            raise SystemExit("FAILED: the design file is not whole")
        leftovers(folder)
    print(f"design: {kills} kills, the file was whole after every one")


SWEEP = """methods = ["pga", "start", "fast"]
snr_db = [0, 3, 6, 9, 12]
weight = [0.1, 0.3]
antennas = [32]
users = [4]
inner = [10]
layers = [120]
targets_deg = [[-30, 30]]
count = 40
"""


def sweeping(folder: Path, kills: int, workers: int, rng: random.Random) -> None:
    config, whole, run = folder / "sweep.toml", folder / f"whole{workers}", folder / f"run{workers}"
    config.write_text(SWEEP)
    extra = ["--workers", str(workers)] if workers else []
    lasts = seconds(command("sweep", str(config), "-o", str(whole)))
    done = finished = 0
    cells: set[str] = set()
    while done < kills:
        ended = killed(command("sweep", str(config), "-o", str(run), *extra), rng.uniform(0.4, 1.2) * lasts)
        now = {path.name for path in (run / "cells").glob("[!.]*.nc")}
        if not cells <= now:
            raise SystemExit(f"FAILED: {len(cells - now)} finished cells were lost")
        for name in now - cells:
            xr.load_dataset(run / "cells" / name, engine="h5netcdf")
        cells = now
        done += not ended
        if ended:
            if not same(whole / "sweep.nc", run / "sweep.nc"):
                raise SystemExit("FAILED: the resumed sweep differs from the undisturbed one")
            finished, cells = finished + 1, set()
            shutil.rmtree(run)
    print(
        f"sweep, {workers or 'no'} workers: {done} kills, {finished} sweeps finished in between, all equal",
        flush=True,
    )


def same(one: Path, other: Path) -> bool:
    """All numbers of two datasets, bit for bit."""
    with xr.open_dataset(one, engine="h5netcdf") as a, xr.open_dataset(other, engine="h5netcdf") as b:
        numbers = [
            name for name, value in a.data_vars.items() if value.dtype.kind == "f" and name != "seconds"
        ]
        return bool(numbers) and all(
            np.array_equal(a[n].values, b[n].values, equal_nan=True) for n in numbers
        )


def leftovers(folder: Path) -> None:
    """Temporary files of killed writers are hidden and never mistaken for results; tidy them here."""
    for path in folder.glob(".*"):
        path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=50, help="for each of the commands")
    parser.add_argument("--only", nargs="*", help="train, design, sweep, workers")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        jobs = {
            "train": lambda: training(Path(name), options.kills, rng),
            "design": lambda: designing(Path(name), options.kills, rng),
            "sweep": lambda: sweeping(Path(name), options.kills, 0, rng),
            "workers": lambda: sweeping(Path(name), options.kills, 2, rng),
        }
        for job in options.only or jobs:
            jobs[job]()


if __name__ == "__main__":
    main()
