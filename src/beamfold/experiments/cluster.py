"""The cells of a sweep on the workers of a Dask cluster: one of our own, or one that is running already.

The workers get a cell's parameters and Ψ and hand its figures back; they read and write no file. A worker
that vanishes takes no finished cell with it, and the one it was at runs again on another.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from beamfold.errors import InputError
from beamfold.experiments.cells import about, compute, compute_on_one_core
from beamfold.experiments.grid import Cell
from beamfold.sensing import Sensing

if TYPE_CHECKING:
    from distributed import Client, Future

Results = Generator[tuple[Cell, "dict[str, Any] | Exception"], None, None]
ANSWER = 5.0  # seconds in which a scheduler answers
BEAT = 2.0  # seconds between two looks at a scheduler from which nothing comes
AHEAD = 4  # cells queued per thread; each carries its own Ψ, so that more would fill the scheduler's memory
PRELOAD = """
import logging, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
logging.getLogger("distributed.worker.state_machine").setLevel(logging.ERROR)
"""
"""What our own workers run first: Ctrl-C is for the caller, who stops them, and needs no traceback."""
OURS = {
    "distributed.scheduler.allowed-failures": 20,  # workers that may die at one cell before it is to blame
    "distributed.worker.profile.enabled": False,  # samples every thread 100 times a second
}
"""Dask's settings in a cluster of our own."""


def check_scheduler(address: str) -> None:
    """Refuse an address where no scheduler is, before anything is computed.

    Raises:
        InputError: no address, or no Dask scheduler answers there in time; or Dask is not installed.
    """
    distributed = _distributed()
    try:
        distributed.comm.addressing.get_address_host_port(address, strict=True)
    except (ValueError, NotImplementedError) as error:
        raise InputError(f"--scheduler takes an address like tcp://host:8786, got {address!r}") from error

    async def identity() -> Any:
        secure = distributed.Security().get_connection_args("client")
        async with distributed.rpc(address, timeout=ANSWER, connection_args=secure) as remote:
            return await remote.identity()

    try:
        kind = asyncio.run(asyncio.wait_for(identity(), ANSWER))["type"]
    except Exception as error:  # whatever listens there may say anything
        raise InputError(
            f"no Dask scheduler answers at {address} within {ANSWER:g} s; start one with `dask scheduler`, "
            "or let --workers start a cluster here"
        ) from error
    if kind != "Scheduler":
        raise InputError(f"a Dask {kind} is at {address}, not a scheduler")


def on_cluster(
    cells: Sequence[Cell],
    radar: Callable[[Cell], Sensing],
    *,
    workers: int = 0,
    scheduler: str | None = None,
    waiting: Callable[[str], None],
) -> Results:
    """Cells and their figures, or the error they ended in, as the workers finish them.

    Args:
        cells: to be computed.
        radar: the Ψ of a cell.
        workers: processes of a cluster of our own, with one processor each.
        scheduler: address of a running one instead.
        waiting: told every other second that nothing came, and why.

    Raises:
        InputError: no scheduler answers, or a worker has no beamfold or another version.
        RuntimeError: the scheduler vanished.
    """
    work = compute if scheduler else compute_on_one_core
    with _joined(workers, scheduler) as client:
        try:
            yield from _as_finished(client, work, cells, radar, waiting)
        except (OSError, CancelledError) as error:
            raise RuntimeError(_vanished(client)) from error


def _distributed() -> Any:
    """Dask's scheduler, which is installed on demand."""
    try:
        import distributed.comm.addressing
    except ImportError as error:
        raise InputError("workers need Dask; install it: pip install 'beamfold[cluster]'") from error
    return distributed


@contextmanager
def _joined(workers: int, scheduler: str | None) -> Iterator[Client]:
    """A client; what Dask logs of a lost connection is held back, for the error says it in one line."""
    import dask

    distributed = _distributed()
    log, sending, nanny = (
        logging.getLogger(f"distributed.{name}") for name in ("client", "batched", "nanny")
    )
    with ExitStack() as stack:
        stack.callback(log.setLevel, log.level)
        stack.callback(nanny.setLevel, nanny.level)
        log.setLevel(logging.CRITICAL)
        stack.callback(sending.setLevel, sending.level)
        sending.setLevel(logging.CRITICAL)  # what was on its way when the scheduler vanished
        where: Any = scheduler
        if scheduler is None:
            stack.enter_context(dask.config.set(OURS))
            local = distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None, preload=[PRELOAD]
            )
            where = stack.enter_context(local)
            stack.callback(nanny.setLevel, logging.ERROR)  # at the end all is here: slow workers are no news
        else:
            check_scheduler(scheduler)
        # As the default client it would have every netCDF file here written under a lock of the cluster's.
        yield stack.enter_context(distributed.Client(where, set_as_default=False))


def _as_finished(
    client: Client,
    work: Callable[..., dict[str, Any]],
    cells: Sequence[Cell],
    radar: Callable[[Cell], Sensing],
    waiting: Callable[[str], None],
) -> Results:
    """A few cells per thread are out at a time; the next follow as results come in."""
    rest, out = iter(cells), dict[Any, Cell]()
    run = uuid4().hex[:8]  # the same cell of another client of the scheduler may have another Ψ
    checked: set[str] = set()
    while True:
        threads = client.nthreads()  # type: ignore[no-untyped-call]
        _check_workers(client, set(threads) - checked)
        checked |= set(threads)
        for cell in islice(rest, max(AHEAD * sum(threads.values()) - len(out), 0)):
            # Dask learns from a key's first word how long cells last, and shares them out by that.
            key = f"{cell.method}-{run}-{cell.name}"
            future = client.submit(work, cell.model_dump(), radar(cell), key=key)
            out[future] = cell
        if threads and not out:
            return
        done = _finished(client, list(out))
        if not done:
            waiting("sweep" if threads else "waiting for a worker")
        for future in done:
            yield out.pop(future), _found(future)


def _finished(client: Client, futures: list[Future[Any]]) -> set[Future[Any]]:
    """Those of the futures that are done; none when nothing comes for a while."""
    from distributed import wait

    if client.status != "running":
        raise RuntimeError(_vanished(client))
    if not futures:
        time.sleep(BEAT)
        return set()
    try:
        with client.as_current():
            return set(wait(futures, timeout=BEAT, return_when="FIRST_COMPLETED").done)  # type: ignore[no-untyped-call]
    except TimeoutError:
        if client.status != "running":
            raise RuntimeError(_vanished(client)) from None
        return set()


def _found(future: Future[Any]) -> dict[str, Any] | Exception:
    """The figures of a finished cell, or what went wrong there."""
    error = future.exception()  # type: ignore[no-untyped-call]
    return future.result() if error is None else error


def _check_workers(client: Client, new: set[str]) -> None:
    """Every worker must have this version and these models: cells of two versions are no one dataset."""

    def introduced() -> dict[str, str] | str:  # a local function travels by value: it needs no beamfold there
        try:
            from beamfold.experiments.cells import about
        except ImportError as error:
            return str(error)
        return about()

    if not new:
        return
    ours = about()
    told = client.run(introduced, workers=list(new), on_error="ignore")
    for worker, theirs in told.items():
        if isinstance(theirs, str):
            raise InputError(f"the worker {worker} cannot import beamfold ({theirs}); install it there")
        if theirs != ours:
            raise InputError(
                f"the worker {worker} has beamfold {theirs['version']} with models {theirs['models']}, "
                f"here are {ours['version']} and {ours['models']}; install the same there"
            )


def _vanished(client: Client) -> str:
    address = getattr(client.scheduler, "address", "")
    return f"the Dask scheduler {address} vanished; finished cells are kept, the same command continues"
