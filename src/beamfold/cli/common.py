"""What the commands share: messages, progress, tables, JSON."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from beamfold.errors import InputError


def say(text: str) -> None:
    """A line for people, on standard error, so that standard output stays for results."""
    print(text, file=sys.stderr)  # noqa: T201


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on standard output; NaN and Inf, which JSON lacks, become null."""
    print(json.dumps(_plain(value), indent=2))  # noqa: T201


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


STYLES = ("screen", "paper")


def check_style(style: str) -> bool:
    """Whether pictures are made for a paper as well.

    Raises:
        InputError: another word than those of `STYLES`.
    """
    if style not in STYLES:
        raise InputError(f"--style is {' or '.join(STYLES)}, got {style[:30]!r}")
    return style == "paper"


Tick = Callable[[int, str], None]


@contextmanager
def progress(total: int, text: str) -> Iterator[Tick]:
    """Progress on standard error: tick(done, text) shows what is done, what remains and how long.

    A bar on a terminal; elsewhere a line every ten seconds, so that a log stays readable.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(text, total=total)
        yield lambda done, text: bar.update(task, completed=done, description=text)


def _lines(total: int) -> Tick:
    start = last = time.monotonic()
    first: list[int] = []

    def tick(done: int, text: str) -> None:
        nonlocal last
        now = time.monotonic()
        first.append(done)
        if now - last >= 10 and done < total:
            new = done - first[0]
            rest = f", about {(now - start) * (total - done) / new:.0f} s to go" if new else ""
            say(f"{text}: {done} of {total}{rest}")
            last = now

    return tick


def table(rows: Iterable[dict[str, Any]], names: dict[str, str], title: str = "") -> None:
    """Figures as a table on standard output: the keys of `names` with their headings."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    grid = Table(title=title or None, title_justify="left")
    for i, (key, heading) in enumerate(names.items()):
        # Figures are never cut; how channels ended goes on in a second line where the terminal is narrow.
        grid.add_column(escape(heading), justify="left" if i == 0 else "right", no_wrap=key != "status")
    for row in rows:
        grid.add_row(*(_cell(row[key]) for key in names))
    wide = None if sys.stdout.isatty() else 160
    Console(width=wide).print(grid)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" if len(value) > 1 else str(name) for name, count in value.items())
    return str(value)


_FAST = (45, (("fast_design", "designs", ""), ("fast_guard", "gains_over_start", "float64")))
_LAYERS = (15, (("layers", "forward", ""),))
OF_BANDS = ("fast", "best")
_BAND = (60, (("band_design", "design_band", ""),))
COMPILED: dict[str, tuple[int, tuple[tuple[str, str, str], ...]]] = {
    "fast": _FAST, "best": _FAST, "constrained": _FAST,
    "pga": _LAYERS, "conventional-pga": _LAYERS, "unfolded": _LAYERS,
}  # fmt: skip
"""Method → seconds of compiling, and module, name and precision ("" for the one asked for) of its kernels."""


def say_if_compiling(
    method: str, precision: str = "single", *, band: bool = False, goal: bool = False
) -> None:
    """Announce, before a method runs, that its kernel is compiled first; nothing where it is compiled.

    Args:
        method: a name of `registry.METHODS`.
        precision: "single" or "double".
        band: the channels are those of a band, for which fast and best have kernels of their own.
        goal: for another sensing goal than tau, for which fast is compiled separately.
    """
    seconds = compile_seconds(method, precision, band=band, goal=goal)
    if seconds:
        say(f"note: compiling the kernels for this machine, once per installation: about {seconds} s")


def compile_seconds(method: str, precision: str = "single", *, band: bool = False, goal: bool = False) -> int:
    """Seconds that compiling the kernel of a method takes, 0 where it is compiled; see `say_if_compiling`."""
    if method not in COMPILED or (band and method not in OF_BANDS):
        return 0
    from beamfold.kernels.compiled import is_compiled

    asked = {"single": "float32", "double": "float64"}[precision]
    seconds, names = _BAND if band else COMPILED[method]
    kernels = [
        (getattr(import_module(f"beamfold.kernels.{module}"), name), scalar or asked)
        for module, name, scalar in names
    ]
    return 0 if all(is_compiled(*kernel, goal=goal) for kernel in kernels) else seconds
