"""Commands on the paper's experiments: reproduce them, export their numbers, sweep over other settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beamfold.cli.common import Tick, check_style, progress, say
from beamfold.cli.data import Force, Style
from beamfold.errors import InputError
from beamfold.files.entries import ScenarioSpec
from beamfold.reproduction import EXPERIMENTS

if TYPE_CHECKING:
    import xarray as xr

    from beamfold.experiments.setting import Setting

QUICK = 10  # channels of --quick
Folder = Annotated[Path, typer.Option("-o", "--output", help="Folder to write into; made where missing.")]


def reproduce(
    experiments: Annotated[list[str], typer.Argument(help=f"{', '.join(EXPERIMENTS)}, or all.")],
    output: Folder = Path("results"),
    channels: Annotated[
        Path | None, typer.Option(help="Channel file for the experiments with its N. (default: drawn)")
    ] = None,
    variable: Annotated[str | None, typer.Option(help="Which array of the channel file.")] = None,
    rows: Annotated[str, typer.Option(help="What row k of it is: h^H or h^T.")] = "h^H",
    count: Annotated[int, typer.Option(help="Channels to average over.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of drawn channels and random points.")] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help=f"At most {QUICK} channels; Fig. 9 with little training.")
    ] = False,
    style: Style = "screen",
    force: Force = False,
) -> None:
    """Compute the paper's figures and tables: a netCDF file, a PNG and a PDF each, and a page of claims.

    Results that stand there already, from the same parameters, are kept.

    Example: beamfold reproduce fig8 table2 --count 100 -o results
    """
    from beamfold.claims_page import write_claims
    from beamfold.experiments.setting import Setting

    chosen, paper = _chosen(experiments), check_style(style)
    _check_folder(output)
    H, source, count = _channels(channels, variable, rows, min(count, QUICK) if quick else count)
    Setting(count, seed, quick, H, source, "", output)  # refuses what cannot be run
    output.mkdir(exist_ok=True)
    total = sum(EXPERIMENTS[name].cost for name in chosen)
    before = 0.0
    with progress(1000, "reproduce") as tick:
        for name in chosen:
            cost = EXPERIMENTS[name].cost
            told = _part(tick, name, before, cost, total)
            setting = Setting(count, seed, quick, H, source, _asked(channels, variable, rows), output, told)
            done = _one(name, setting, output, force, paper)
            before += cost
            tick(round(1000 * before / total), name)
            say(f"{output / name}.nc, .png, .pdf: {done}")
    write_claims(output)
    say(f"{output / 'reproduction.md'}: the paper's claims beside ours")


def _chosen(experiments: list[str]) -> list[str]:
    unknown = [name for name in experiments if name not in (*EXPERIMENTS, "all")]
    if unknown:
        raise InputError(f"no experiment {unknown[0]!r}; known: {', '.join(EXPERIMENTS)}, all")
    return list(EXPERIMENTS) if "all" in experiments else list(dict.fromkeys(experiments))


def _check_folder(folder: Path) -> None:
    """Refuse an output folder that is a file, or whose parent does not exist."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; the output is a folder")
    if not folder.parent.is_dir():
        raise InputError(f"the folder {folder.parent} does not exist; make it first")


def _channels(path: Path | None, variable: str | None, rows: str, count: int) -> tuple[Any, str, int]:
    if path is None:
        if variable is not None:
            raise InputError("--variable names an array of --channels, which is not given")
        return None, "", count
    import hashlib

    from beamfold.files.reader import read_set
    from beamfold.files.rows import rows_named

    rows = rows_named(rows)
    read = read_set(path, ScenarioSpec(variable=variable, rows=rows))
    H = read.H
    say(f"note: {read.told}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    if len(H) < count:
        say(f"{path} holds {len(H)} channels: all are taken")
    return H, f"{path.name} (sha256 {digest}, rows {rows}, N = {H.shape[-1]})", min(count, len(H))


def _asked(channels: Path | None, variable: str | None, rows: str) -> str:
    """The options of the channel file, as they were typed."""
    if channels is None:
        return ""
    named = f" --variable {variable}" if variable else ""
    return f" --channels {channels.name}{named}" + (f" --rows {rows}" if rows != "h^H" else "")


def _part(tick: Tick, name: str, before: float, cost: float, total: float) -> Callable[[float, str], None]:
    """An experiment's progress as its share of all of them, in thousandths."""
    return lambda share, text: tick(round(1000 * (before + share * cost) / total), f"{name}: {text}")


def _one(name: str, setting: Setting, output: Path, force: bool, paper: bool) -> str:
    """Compute and draw one experiment, or keep what stands there; says which."""
    from beamfold.experiments.store import load, save

    target = output / f"{name}.nc"
    if target.exists() and not force:
        held = load(target)
        _refuse_other(target, held, setting)
        EXPERIMENTS[name].write_figure(held, output, paper=paper)
        return "kept, drawn again"
    ds = EXPERIMENTS[name].compute(setting)
    save(target, ds)
    EXPERIMENTS[name].write_figure(ds, output, paper=paper)
    skipped = _parameters(ds).get("skipped")
    return "written" + (f"; left out: {'; '.join(skipped)}" if skipped else "")


def _parameters(ds: xr.Dataset) -> dict[str, Any]:
    from beamfold.experiments.store import parameters

    return parameters(ds)


def _refuse_other(target: Path, held: xr.Dataset, setting: Setting) -> None:
    """Results of other parameters or another version stay unless --force says otherwise."""
    from beamfold.experiments.labelled import chosen

    theirs = _parameters(held)
    differ = [f"{k} {theirs.get(k)} -> {v}" for k, v in chosen(setting).items() if theirs.get(k) != v]
    if differ:
        raise InputError(f"{target} holds other results ({', '.join(differ)}); --force replaces them")


def export(
    source: Annotated[Path, typer.Argument(help="A dataset of `reproduce` or `sweep`, .nc.")],
    target: Annotated[Path, typer.Argument(help="File to write: .mat, .npz or .csv.")],
    force: Force = False,
) -> None:
    """Take a dataset to MATLAB, NumPy or a spreadsheet.

    Example: beamfold export results/fig8.nc fig8.mat
    """
    from beamfold.experiments.store import export as convert
    from beamfold.files.atomic import check_target

    check_target(target, force=force, suffixes=(".mat", ".npz", ".csv"))
    convert(source, target)
    say(f"{target}: from {source}")


def sweep(
    config: Annotated[Path, typer.Argument(help="What to sweep, TOML; see docs/how-to/experiments.md.")],
    output: Folder = Path("results/sweep"),
    workers: Annotated[int, typer.Option(help="Processes of a local Dask cluster; 0: this one.")] = 0,
    scheduler: Annotated[
        str | None, typer.Option(help="A running Dask scheduler's address, tcp://...")
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(help="Analog networks in the place of the file's; see `design`. Repeat."),
    ] = None,
    bits: Annotated[
        list[int] | None, typer.Option(help="Bits of the phase shifters in the place of the file's. Repeat.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, estimate the time and stop.")] = False,
) -> None:
    """Run any product of methods, SNR, weights, sizes, networks and targets. A repeated call continues.

    Example: beamfold sweep sweep.toml -o results/run1 --workers 2
    """
    from beamfold.experiments.cluster import check_scheduler
    from beamfold.experiments.grid import read_grid
    from beamfold.experiments.sweep import Folder as Held
    from beamfold.experiments.sweep import estimate
    from beamfold.experiments.sweep import sweep as run

    if workers < 0:
        raise InputError(f"--workers must be at least 0, got {workers}")
    if workers and scheduler:
        raise InputError("--workers starts a cluster, --scheduler joins one; give one of them")
    if scheduler:
        check_scheduler(scheduler)
    grid = read_grid(config, **{key: v for key, v in (("network", network), ("bits", bits)) if v})
    cells = grid.cells()
    _check_folder(output)
    output.mkdir(exist_ok=True)
    held = Held(output)
    held.agree(grid)
    left = held.rest(cells)
    if left:
        with progress(len(grid.methods), "trial runs") as tick:
            seconds = estimate(left, tick)
        say(f"{len(cells)} cells, {len(left)} to go: about {_time(seconds)} on one core")
    if dry_run:
        return
    try:
        with progress(len(cells), "sweep") as tick:
            run(grid, held, workers=workers, scheduler=scheduler, tick=tick)
    except KeyboardInterrupt:
        say("stopped; finished cells are kept, the same command continues")
        raise
    say(f"{output / 'sweep.nc'}: {len(cells)} cells, {len(left)} of them computed now")


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def report(
    results: Annotated[Path, typer.Argument(help="Folder that `reproduce` wrote.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write.")] = Path("report.html"),
    force: Force = False,
) -> None:
    """One page with the figures, the claims and how each was made; works offline.

    Example: beamfold report results -o report.html
    """
    from beamfold.files.atomic import check_target
    from beamfold.report import write_report

    check_target(output, force=force, suffixes=(".html",))
    count = write_report(results, output)
    say(f"{output}: {count} experiments of {results}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(report)
    app.command()(reproduce)
    app.command()(sweep)
    app.command()(export)
