"""Running a sweep so that it survives: one file per finished cell, and the same call goes on.

    folder/sweep.json       the configuration
    folder/psi/<N>-….npz    one Ψ for all cells of the same N and targets
    folder/cells/<name>.nc  one finished cell each, renamed into place when it is whole
    folder/sweep.nc         all cells, written at the end

A cell's figures depend on its parameters and on Ψ alone, and Ψ is solved once: its bits are kept, not
solved again by every worker. Whoever computes it hands the numbers to this process,
which writes them: a killed worker loses nothing but the cell it was at, which runs again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import xarray as xr

from beamfold.beampattern import Benchmark
from beamfold.experiments.cells import compute, compute_on_one_core, dataset, join
from beamfold.experiments.grid import Cell, Grid, benchmark
from beamfold.experiments.labelled import machine, revision, with_intervals
from beamfold.experiments.store import load, save
from beamfold.files.atomic import FileError, write
from beamfold.files.channels import read_benchmark, write_benchmark

Tick = Callable[[int, str], None]
Results = Iterator[tuple[Cell, dict[str, Any]]]


class Folder:
    """A sweep's folder: what is finished, and where the next finished cell goes."""

    def __init__(self, path: Path) -> None:
        """Name the folder; `opened` makes it."""
        self.path = path
        self.cells = path / "cells"
        self.config = path / "sweep.json"
        self._radars: dict[Path, Benchmark] = {}

    @contextmanager
    def opened(self, grid: Grid) -> Iterator[Folder]:
        """Hold the folder for this sweep and for no other process.

        Raises:
            FileError: results of another configuration are there, or another process is at work there.
        """
        self.cells.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise FileError(f"{self.path}: another sweep is at work there") from error
            self.agree(grid)
            text = json.dumps(grid.model_dump(mode="json"), indent=2) + "\n"
            write(self.config, lambda path: path.write_text(text, encoding="utf-8"))
            for left in (*self.cells.glob(".*.nc"), *self.path.glob("psi/.*.npz")):
                left.unlink()  # half a file of a killed run
            yield self

    def agree(self, grid: Grid) -> None:
        """Refuse a folder whose results belong to another configuration, and say which."""
        ours = grid.model_dump(mode="json")
        if self.config.is_file():
            theirs = json.loads(self.config.read_text(encoding="utf-8"))
            differ = [f"{k}: {theirs.get(k)} -> {v}" for k, v in ours.items() if theirs.get(k) != v]
            if differ:
                raise FileError(
                    f"{self.path} holds a sweep of another configuration ({'; '.join(differ)}); "
                    "choose another folder or remove it"
                )

    def file(self, cell: Cell) -> Path:
        """Where a cell's figures are."""
        return self.cells / f"{cell.name}.nc"

    def rest(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells that are not finished."""
        return [cell for cell in cells if not self.file(cell).is_file()]

    def radar(self, cell: Cell) -> Benchmark:
        """The Ψ of a cell, from its file; the first cell that needs it solves it."""
        key = hashlib.sha256(json.dumps(cell.targets_deg).encode()).hexdigest()[:8]
        path = self.path / "psi" / f"{cell.antennas}-{key}.npz"
        if path not in self._radars:
            if not path.is_file():
                path.parent.mkdir(exist_ok=True)
                write_benchmark(path, benchmark(cell.antennas, cell.targets_deg))
            self._radars[path] = replace(read_benchmark(path), solver="fast")
        return self._radars[path]

    def finish(self, cell: Cell, found: dict[str, Any]) -> None:
        """Write a cell, whole or not at all."""
        save(self.file(cell), dataset(cell, found))


def estimate(cells: Sequence[Cell]) -> float:
    """Seconds on one core: a trial of every method with two channels at its median size, scaled."""
    total = 0.0
    for method in dict.fromkeys(cell.method for cell in cells):
        same = sorted((cell for cell in cells if cell.method == method), key=lambda cell: cell.work)
        trial = same[len(same) // 2].model_copy(update={"count": 2})
        radar = benchmark(trial.antennas, trial.targets_deg)
        compute(trial.model_dump(), radar)  # compiles
        start = time.perf_counter()
        compute(trial.model_dump(), radar)
        total += (time.perf_counter() - start) * sum(cell.work for cell in same) / trial.work
    return total


def here(cells: Sequence[Cell], held: Folder) -> Results:
    """Cells one after another in this process."""
    for cell in cells:
        yield cell, compute(cell.model_dump(), held.radar(cell))


def on_cluster(cells: Sequence[Cell], held: Folder, workers: int, scheduler: str | None) -> Results:
    """Cells in the order in which the workers of a Dask cluster finish them.

    A local cluster of `workers` processes with one processor each, or the one at `scheduler`. A cell
    whose worker is killed runs again on another.
    """
    import dask
    from distributed import Client, LocalCluster, as_completed

    dask.config.set({"distributed.scheduler.allowed-failures": 20})
    with ExitStack() as stack:
        if scheduler is None:
            local = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)  # type: ignore[no-untyped-call]
            client = stack.enter_context(Client(stack.enter_context(local)))  # type: ignore[no-untyped-call]
        else:
            client = stack.enter_context(Client(scheduler, timeout=30))  # type: ignore[no-untyped-call]
        work = compute if scheduler else compute_on_one_core
        waiting = {
            client.submit(work, cell.model_dump(), held.radar(cell), key=cell.name, pure=True): cell
            for cell in cells
        }
        for future, found in as_completed(waiting, with_results=True):  # type: ignore[no-untyped-call]
            yield waiting[future], found
            future.release()


def sweep(
    grid: Grid, folder: Path, *, workers: int = 0, scheduler: str | None = None, tick: Tick
) -> xr.Dataset:
    """Every cell that is not finished, then all of them as one dataset, written to `sweep.nc`.

    Args:
        grid: from `read_grid`.
        folder: of the results; those of the same configuration are taken as they are.
        workers: processes of a local Dask cluster; 0 runs in this process.
        scheduler: address of a running Dask scheduler instead.
        tick: told how many cells are finished, and which came last.

    Raises:
        FileError: the folder holds another configuration's results.
    """
    cells = grid.cells()
    with Folder(folder).opened(grid) as held:
        left = held.rest(cells)
        done = len(cells) - len(left)
        tick(done, "sweep")
        away = left and (workers or scheduler)
        run = on_cluster(left, held, workers, scheduler) if away else here(left, held)
        for cell, found in run:
            held.finish(cell, found)
            done += 1
            tick(done, f"sweep: {cell.method}, {cell.snr_db:g} dB")
        ds = _whole(grid, cells, [load(held.file(cell)) for cell in cells])
        save(folder / "sweep.nc", ds)
    return ds


def _whole(grid: Grid, cells: list[Cell], each: list[xr.Dataset]) -> xr.Dataset:
    from beamfold import __version__

    ds = with_intervals(join(cells, each), ["rate", "tau", "objective", "mse"])
    return ds.assign_attrs(
        title="Sweep", experiment="sweep", seed=grid.seed, version=__version__, revision=revision(),
        machine=machine(), parameters=json.dumps(grid.model_dump(mode="json")),
        channels=f"drawn: Eq. (2), Q = {grid.paths} paths, seed {grid.seed}, 0 to {grid.count - 1}",
        note="inner and layers are -1 for methods without them",
    )  # fmt: skip
