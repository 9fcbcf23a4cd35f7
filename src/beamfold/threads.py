"""How many threads work: the only module that decides it, for the compiled kernels and for torch.

The kernels take one channel per call and release the interpreter's lock, so a batch is divided over
Python threads (`parallel_for`). torch would divide every single operation instead. On the small matrices
of this package that never pays: its threads wait for one another at the end of each operation, and where
other programs use the same processors that wait is a hundred times longer than the work. So torch works
on one thread while a design is made (`torch_threads`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from beamfold.errors import InputError


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_threads(threads: int | None) -> int:
    """The number of threads to use: `threads`, or one per processor where it is None.

    Raises:
        InputError: below 1, or more than this process has processors.
    """
    most = cores()
    if threads is not None and not 1 <= threads <= most:
        raise InputError(f"threads must be from 1 to {most}, the processors here; got {threads}")
    return threads or most


def parallel_for(work: Callable[[int, int], None], count: int, threads: int | None = None) -> None:
    """work(first, last) for ranges that make up 0 … `count`, on `threads` threads at once.

    There are more ranges than threads, so that a thread that lost its processor to another program for a
    while does not keep the others waiting at the end.

    Args:
        work: called with first < last; must release the interpreter's lock to gain anything.
        count: how many items.
        threads: see `check_threads`; None also for work that is to use every processor.
    """
    workers = min(threads or cores(), count)
    if workers <= 1:
        if count:
            work(0, count)
        return
    ranges = min(count, 8 * workers)
    edges = [round(i * count / ranges) for i in range(ranges + 1)]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))


@contextmanager
def torch_threads(count: int = 1) -> Iterator[None]:
    """torch on so many threads within the block; afterwards on as many as before."""
    import torch

    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
