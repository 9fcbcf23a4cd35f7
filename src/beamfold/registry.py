"""Every method by its name, and the one runner that takes a batch through a method part by part."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from beamfold.defaults import METHOD
from beamfold.errors import InputError
from beamfold.method import Method, check_supported
from beamfold.result import Design, Trace
from beamfold.scenario import Scenario
from beamfold.threads import check_threads, cores, torch_threads

Progress = Callable[[int, int], None]
"""progress(done, total), in channels."""


NAMES = (
    "fast", "unfolded", "pga", "conventional-pga", "best", "constrained", "digital", "digital-jcas",
    "sca-manopt", "sca", "wmmse", "manopt", "altmin", "omp", "sic", "zf-digital", "phased-zf",
)  # fmt: skip
"""Every method, in the order in which lists show them. Its file in `beamfold.methods` has the same name, with
underscores, and holds its record as `METHOD`."""
NEEDS = {"constrained": "tau_max or tau_max_db"}
"""Methods that do not run without an option, and which."""
BYTES = 48 << 20
"""Working memory of a part of a batch on the CPU: what its caches and the progress bar like."""
GPU_BYTES = 16 << 30
"""The same on a GPU, where few channels take as long as many; never more than half of what is free."""


class Methods(Mapping[str, Method]):
    """Name → record. A method's file is imported when its record is asked for, and not before."""

    def __getitem__(self, name: str) -> Method:
        """The record of a method; KeyError for a name that is not in `NAMES`."""
        if name not in NAMES:
            raise KeyError(name)
        return import_module(f"beamfold.methods.{name.replace('-', '_')}").METHOD

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(NAMES)

    def __len__(self) -> int:
        """How many."""
        return len(NAMES)

    def __contains__(self, name: object) -> bool:
        """Whether there is a method of this name; imports nothing."""
        return name in NAMES


METHODS = Methods()
"""Name → record of every method."""

_FORMER = {
    "start": "phased-zf",
    "phased_zero_forcing": "phased-zf",
    "digital_zero_forcing": "zf-digital",
    **{name.replace("-", "_"): name for name in NAMES if "-" in name},
}
"""Names of earlier releases, which are accepted with a warning."""


def current_name(name: str) -> str:
    """Today's name of a method that an earlier release called `name`, with a warning; else `name` itself."""
    if name not in _FORMER:
        return name
    warnings.warn(f"the method {name} is now called {_FORMER[name]}", FutureWarning, stacklevel=4)
    return _FORMER[name]


def method_named(name: str) -> Method:
    """The method of a name.

    Raises:
        InputError: an unknown name; names the nearest and all.
    """
    name = current_name(name)
    if name not in NAMES:
        near = get_close_matches(name, NAMES, n=1)
        hint = f", did you mean {near[0]}?" if near else ";"
        raise InputError(f"no method {name[:50]!r}{hint} known: {', '.join(NAMES)}")
    return METHODS[name]


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise InputError unless the method takes all these options; names those that it takes."""
    takes = method_named(name).options
    unknown = sorted(set(options) - set(takes))
    if unknown:
        known = ", ".join(takes) or "no options"
        raise InputError(f"the method {name} does not take {', '.join(unknown)}; it takes {known}")


def design(
    s: Scenario,
    method: str = METHOD,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Design:
    """{F, W} for a scenario by a method's name, a part of the batch after another.

    Args:
        s: from `beamfold.make_scenario`.
        method: one of `NAMES`; a design's own `method` is such a name.
        threads: how many work on the batch; default one per processor for compiled methods. torch takes one
            thread unless more are asked for here: see `beamfold.threads`.
        progress: called with (channels done, channels in all) before each part and at the end.
        options: the method's own, see its docstring. An option that is a tensor whose leading axes are the
            batch's has a value for each channel.

    Returns:
        A `Design` with the wall time of the whole batch and the options given.

    Raises:
        InputError: an unknown method, an option that it does not take, a scenario that it can't do (names the
            methods that can), or a wrong number of threads.
    """
    chosen = method_named(method)
    check_options(method, options)
    check_supported(chosen, s, METHODS.values())
    check_threads(threads)
    size, workers, torches = chosen.part or part_size(s), 1, threads or 1
    run = chosen.function
    if "threads" in chosen.options and s.H.device.type == "cpu":
        torches = 1
        if chosen.part is None:  # parts side by side, each on one thread
            workers = threads or cores()
        alone = workers == 1 or count_of(s) <= size
        run = _with(run, {"threads": threads if alone else 1})
    begin = time.perf_counter()
    with torch_threads(torches):
        found = in_parts(run, s, size, progress, options, workers)
    taken = time.perf_counter() - begin
    return replace(found, seconds=taken, options={**found.options, **options})


def _with(function: Callable[..., Design], more: dict[str, Any]) -> Callable[..., Design]:
    return lambda s, **options: function(s, **more, **options)


def part_size(s: Scenario) -> int:
    """Channels that take `BYTES` of working memory: about 24 complex arrays of N (M + S K) numbers each."""
    each = s.chains + s.columns * s.subcarriers
    memory = BYTES
    if s.H.device.type == "cuda":
        memory = min(GPU_BYTES, torch.cuda.mem_get_info(s.H.device)[0] // 2)
    return max(1, memory // (24 * 16 * s.antennas * each))


def in_parts(
    run: Callable[..., Design],
    s: Scenario,
    size: int,
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
    workers: int = 1,
) -> Design:
    """run(part, **options) for parts of at most `size` channels along the last batch axis, joined.

    With several `workers` so many parts are worked on side by side, each in a thread of its own. What a part
    holds does not depend on their number, so neither do the results.
    """
    options, count = options or {}, count_of(s)
    parts = list(_parts(s, _even(count, size), options)) if count > size else [(s, options)]
    found, done = [], 0
    if progress is not None:
        progress(0, count)
    for end in _ends(run, parts, workers):
        found.append(end)
        done += count_of(end.scenario)
        if progress is not None:
            progress(done, count)
    return found[0] if len(found) == 1 else join(s, found)


def _ends(
    run: Callable[..., Design], parts: Sequence[tuple[Scenario, Mapping[str, Any]]], workers: int
) -> Iterator[Design]:
    """The designs of the parts in their order, as they are ready."""
    if workers == 1 or len(parts) == 1:
        yield from (_fitting(run, part, mine) for part, mine in parts)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        for future in [pool.submit(run, part, **mine) for part, mine in parts]:
            yield future.result()
    finally:  # also where a part failed or the user has stopped the program: the rest is not begun
        pool.shutdown(cancel_futures=True)


def _fitting(run: Callable[..., Design], part: Scenario, options: Mapping[str, Any]) -> Design:
    try:
        return run(part, **options)
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"{math.prod(part.batch)} channels of {part.users} users and {part.antennas} antennas do not fit "
            f"into the free memory of {part.H.device}; give it fewer at a time"
        ) from error


def count_of(s: Scenario) -> int:
    """Channels along the last batch axis."""
    return s.batch[-1] if s.batch else 1


def _even(count: int, size: int) -> int:
    """Channels of a part, at most `size`, so that a multiple of four parts has nearly equal ones."""
    parts = 4 * math.ceil(count / size / 4)
    return math.ceil(count / parts)


def _parts(s: Scenario, size: int, options: Mapping[str, Any]) -> Iterator[tuple[Scenario, dict[str, Any]]]:
    lead = (slice(None),) * (len(s.batch) - 1)
    for first in range(0, s.batch[-1], size):
        here = (*lead, slice(first, min(first + size, s.batch[-1])))
        yield s[here], {name: _part_of(value, s, here) for name, value in options.items()}


def _part_of(value: Any, s: Scenario, here: tuple[slice, ...]) -> Any:
    """Of an option with a value for each channel the part's values, of another one itself."""
    each = isinstance(value, Tensor) and value.shape[: len(s.batch)] == s.batch
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a point {F, W}
        return type(value)(*(_part_of(item, s, here) for item in value))
    return value[here] if each else value


def join(s: Scenario, parts: list[Design]) -> Design:
    """The designs of the parts of `s` as the design of `s`."""
    axis, first = len(s.batch) - 1, parts[0]

    def cat(name: str) -> Any:
        pieces = [getattr(p, name) for p in parts]
        return None if pieces[0] is None else torch.cat(pieces, axis)

    names = ("F", "W", "status", "faults", "rate", "tau", "iterations", "residual", "multiplier")
    trace = None
    if first.trace is not None:
        pairs = [(p.trace.rate, p.trace.tau) for p in parts if p.trace is not None]
        trace = Trace(*(torch.cat(side, axis + 1) for side in zip(*pairs, strict=True)))
    return replace(first, scenario=s, trace=trace, **{name: cat(name) for name in names})
