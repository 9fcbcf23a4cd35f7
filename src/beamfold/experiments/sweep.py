"""Running a sweep so that an interruption loses nothing: one file per finished cell; the same call continues.

    folder/sweep.json       the configuration, and which version and models computed the cells
    folder/psi/<N>-….npz    one Ψ for all cells of the same N and targets
    folder/cells/<name>.nc  one finished cell each, renamed into place when it is whole
    folder/sweep.nc         all cells, written at the end

A cell's figures depend on its parameters and on Ψ alone, and Ψ is solved once: its bits are kept, not
solved again by every worker. Whoever computes it hands the numbers to this process,
which writes them: a killed worker loses nothing but the cell it was at, which runs again.
"""

from __future__ import annotations

import hashlib
import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from filelock import FileLock, Timeout

from beamfold.experiments.cells import about, compute, dataset, join
from beamfold.experiments.cluster import Results, on_cluster
from beamfold.experiments.grid import Cell, Grid, benchmark
from beamfold.experiments.labelled import planes, steps_of, with_intervals
from beamfold.experiments.setting import learned_curve
from beamfold.experiments.store import load, save, whole
from beamfold.files.atomic import FileError, write
from beamfold.files.models import find_model, model_name
from beamfold.files.psi import read_sensing, write_sensing
from beamfold.sensing import Sensing

Tick = Callable[[int, str], None]


class Folder:
    """A sweep's folder: what is finished, and where the next finished cell goes."""

    def __init__(self, path: Path) -> None:
        """Name the folder; `opened` makes it."""
        self.path = path
        self.cells = path / "cells"
        self.config = path / "sweep.json"
        self._radars: dict[Path, Sensing] = {}
        self._finished: set[Cell] = set()

    @contextmanager
    def opened(self, grid: Grid) -> Iterator[Folder]:
        """Hold the folder for this sweep and for no other process.

        Raises:
            FileError: results of another configuration are there, or another process is at work there.
        """
        self.cells.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(self.path / ".lock", timeout=0).acquire()
        except Timeout as error:
            raise FileError(f"{self.path}: another sweep is at work there") from error
        with lock:
            self.agree(grid)
            text = json.dumps(_identity(grid), indent=2) + "\n"
            write(self.config, lambda path: path.write_text(text, encoding="utf-8"))
            for pattern in ("cells/.*.nc", "psi/.*.npz", ".sweep-*"):
                for left in self.path.glob(pattern):
                    left.unlink()  # half a file of a killed run
            yield self

    def agree(self, grid: Grid) -> None:
        """Refuse a folder whose results belong to another configuration, and say which."""
        ours = _identity(grid)
        if self.config.is_file():
            try:
                theirs = json.loads(self.config.read_text(encoding="utf-8"))
                differ = [f"{k}: {theirs.get(k)} -> {v}" for k, v in ours.items() if theirs.get(k) != v]
            except (ValueError, AttributeError) as error:
                raise FileError(f"{self.config} is damaged; remove it to go on with the cells") from error
            if differ:
                raise FileError(
                    f"{self.path} holds a sweep of another configuration ({'; '.join(differ)}); "
                    "choose another folder or remove it"
                )

    def file(self, cell: Cell) -> Path:
        """Where a cell's figures are."""
        return self.cells / f"{cell.name}.nc"

    def rest(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells that are not finished; one whose file was cut short outside is not.

        A file that was found whole is not opened again.
        """
        self._finished.update(c for c in cells if c not in self._finished and whole(self.file(c)))
        return [cell for cell in cells if cell not in self._finished]

    def radar(self, cell: Cell) -> Sensing:
        """The Ψ of a cell, from its file; the first cell that needs it solves it."""
        key = hashlib.sha256(json.dumps(cell.targets_deg).encode()).hexdigest()[:8]
        path = self.path / "psi" / f"{cell.antennas}-{key}.npz"
        if path not in self._radars:
            if not path.is_file():
                path.parent.mkdir(exist_ok=True)
                write_sensing(path, benchmark(cell.antennas, cell.targets_deg))
            self._radars[path] = read_sensing(path)
        return self._radars[path]

    def finish(self, cell: Cell, found: dict[str, Any]) -> None:
        """Write a cell, whole or not at all."""
        save(self.file(cell), dataset(cell, found))


def _identity(grid: Grid) -> dict[str, Any]:
    """What all cells of a folder share: the configuration, the version, the models where they are used."""
    who = about()
    if "unfolded" not in grid.methods:
        del who["models"]
    return {**grid.model_dump(mode="json"), **who}


def estimate(cells: Sequence[Cell], tick: Tick) -> float:
    """Seconds on one core: a trial of every method with two channels at its median size, scaled.

    The trials run in a process of their own, which leaves compiled code behind: one that compiles a kernel
    may call other copies of its parts than one that loads it, and the two round differently.
    """
    total = 0.0
    deaf = (signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller
    with ProcessPoolExecutor(1, get_context("spawn"), signal.signal, deaf) as pool:
        for i, method in enumerate(dict.fromkeys(cell.method for cell in cells)):
            tick(i, f"trial of {method}")
            same = sorted((cell for cell in cells if cell.method == method), key=lambda cell: cell.work)
            with suppress(ValueError, RuntimeError, ArithmeticError):  # it will say so where it counts
                total += pool.submit(_trial, same).result()
    return total


def _trial(cells: Sequence[Cell]) -> float:
    """Seconds for cells of one method, from two channels of the middle one."""
    trial = cells[len(cells) // 2].model_copy(update={"count": 2})
    radar = benchmark(trial.antennas, trial.targets_deg)
    compute(trial.model_dump(), radar)  # compiles
    start = time.perf_counter()
    compute(trial.model_dump(), radar)
    return (time.perf_counter() - start) * sum(cell.work for cell in cells) / trial.work


def here(cells: Sequence[Cell], radar: Callable[[Cell], Sensing]) -> Results:
    """Cells one after another in this process, with their figures or the error they ended in."""
    for cell in cells:
        try:
            found: dict[str, Any] | Exception = compute(cell.model_dump(), radar(cell))
        except Exception as error:
            found = error
        yield cell, found


def sweep(
    grid: Grid, folder: Path | Folder, *, workers: int = 0, scheduler: str | None = None, tick: Tick
) -> xr.Dataset:
    """Every cell that is not finished, then all of them as one dataset, written to `sweep.nc`.

    A cell that fails does not keep the others from being computed.

    Args:
        grid: from `read_grid`.
        folder: of the results, or a `Folder` that has looked at them already; those of the same
            configuration are taken as they are.
        workers: processes of a local Dask cluster; 0 runs in this process.
        scheduler: address of a running Dask scheduler instead.
        tick: told how many cells are finished, and which came last.

    Raises:
        FileError: the folder holds another configuration's results.
        InputError: no scheduler answers, or a worker has no beamfold or another version.
        RuntimeError: the scheduler vanished, or cells failed; finished cells are kept.
    """
    cells = grid.cells()
    target = folder if isinstance(folder, Folder) else Folder(folder)
    with target.opened(grid) as held:
        left = held.rest(cells)
        done = len(cells) - len(left)
        tick(done, "sweep")

        def waiting(text: str) -> None:
            tick(done, text)

        if left and (workers or scheduler):
            run = on_cluster(left, held.radar, workers=workers, scheduler=scheduler, waiting=waiting)
        else:
            run = here(left, held.radar)
        failed: list[str] = []
        with closing(run):
            for cell, found in run:
                if isinstance(found, Exception):
                    failed.append(_failure(cell, found))
                    continue
                held.finish(cell, found)
                done += 1
                tick(done, f"sweep: {cell.method}, {cell.snr_db:g} dB")
        if failed:
            more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            raise RuntimeError(f"{failed[0]}{more}; {done} of {len(cells)} cells are finished and kept")
        ds = _whole(grid, cells, held)
        save(held.path / "sweep.nc", ds)
    return ds


def _failure(cell: Cell, error: Exception) -> str:
    sizes = f"N = {cell.antennas}, K = {cell.users}, M = {cell.chains}"
    where = sizes if cell.analog.usual else f"{sizes}, network {cell.analog.label}"
    return f"the cell of {cell.method} at {cell.snr_db:g} dB, {where} failed: {type(error).__name__}: {error}"


def _whole(grid: Grid, cells: list[Cell], held: Folder) -> xr.Dataset:
    """All cells along one axis, with the Ψ and the step sizes that made them."""
    each = [load(held.file(cell)) for cell in cells]
    ds = with_intervals(join(cells, each), ["rate", "tau", "objective", "mse"])
    ds = ds.assign(_benchmarks(grid, cells, held)).assign(_steps(cells))
    origin = {key: _united(ds.attrs[key] for ds in each) for key in ("version", "revision", "machine")}
    return ds.assign_attrs(
        title="Sweep", experiment="sweep", seed=grid.seed, **origin,
        parameters=json.dumps(grid.model_dump(mode="json")),
        channels=f"drawn: Eq. (2), Q = {grid.paths} paths, seed {grid.seed}, 0 to {grid.count - 1}",
        steps="unfolded: the variables mu and lam of its sizes; pga and conventional-pga: constant, "
        "mu = lam = 0.01, eta = 1/N",
        note="inner and layers are -1 for methods without them, bits is -1 for continuous phases",
    )  # fmt: skip


def _united(values: Iterator[str]) -> str:
    return "; ".join(dict.fromkeys(values))


def _benchmarks(grid: Grid, cells: Sequence[Cell], held: Folder) -> dict[str, xr.Variable]:
    """Every Ψ as `Psi_n<N>_t<place in targets_deg>`, with its targets."""
    places = [tuple(targets) for targets in grid.targets_deg]
    found: dict[str, xr.Variable] = {}
    for cell in cells:
        name, axis = f"Psi_n{cell.antennas}_t{places.index(cell.targets_deg)}", f"antenna_{cell.antennas}"
        if name not in found:
            radar = held.radar(cell)
            found[name] = planes(
                (axis, f"{axis}_column"), radar.Psi, long_name="Psi at unit power; a method uses P_t Psi",
                equation="(6)", units="1", targets_deg=np.array(cell.targets_deg), solver=radar.solver,
                objective_6a=radar.objective, proven_gap=radar.gap,
            )  # fmt: skip
    return found


def _steps(cells: Sequence[Cell]) -> dict[str, xr.Variable]:
    """The step sizes of every unfolded model, as `mu_unfolded_n…` and `lam_unfolded_n…`."""
    used = {
        ((c.antennas, c.users, c.chains, c.inner or 0, c.network), c.band is not None)
        for c in cells
        if c.method == "unfolded"
    }
    return steps_of(
        learned_curve(model_name(*sizes, band=band).replace("-", "_"), find_model(*sizes, band=band))
        for sizes, band in sorted(used)
    )
