"""The command that opens the explorer: a live page on this machine, or a page with a table for a talk."""

from __future__ import annotations

import atexit
import os
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beamfold.cli.common import compile_seconds, progress, say
from beamfold.cli.data import Force
from beamfold.cli.scenario_options import with_scenario
from beamfold.errors import InputError
from beamfold.files.entries import ScenarioSpec

if TYPE_CHECKING:
    from beamfold.explore.designs import Designs

PORT = 8477
LARGEST = 1e9
"""omega at most."""


@with_scenario()
def explore(
    spec: ScenarioSpec,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Write the page with a table of designs, .html, instead of serving it."
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="First port that is tried; 0: any.")] = PORT,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address and open nothing.")
    ] = False,
    weights: Annotated[
        list[float] | None,
        typer.Option(help="The weights omega of the table. (default: 25 over four decades around --weight)"),
    ] = None,
    force: Force = False,
) -> None:
    """Drag omega, SNR, channel and targets on a page and watch the design follow; the page stays on this
    machine.

    Example: beamfold explore channels.mat

    Example: beamfold explore channels.mat -o page.html
    """
    from beamfold.files.atomic import check_target

    if not 0 <= port < 1 << 16:
        raise InputError(f"--port is from 0 to 65535, got {port}")
    if output is None and len(spec.snr_db or ()) > 1:
        raise InputError(
            "several --snr-db are for the table of a page, -o page.html; the live page has a slider"
        )
    if weights is not None and (output is None or not all(0 <= w <= LARGEST for w in weights)):
        raise InputError(
            f"--weights is for the table of a page, -o page.html: numbers from 0 to {LARGEST:g}; the live "
            "page has a slider"
        )
    if output is not None:
        check_target(output, force=force, suffixes=(".html",))
    from beamfold.explore.designs import Designs
    from beamfold.files.channel_set import open_set

    held = Designs(spec, open_set(spec))
    say(f"note: {held.channels.first.told}")
    if output is None:
        _serve(held, port, no_browser)
    else:
        _write(held, output, weights)


def _serve(held: Designs, port: int, no_browser: bool) -> None:
    """Run the live page until the user stops it."""
    from beamfold.explore.live import Live, serve

    live = Live(held, Path.cwd())
    live.compiling = compile_seconds(held.base(live.start).method, band=held.channels.first.band is not None)
    with serve(live, port) as server:
        taken = server.server_address[1]
        if port not in (0, taken):
            say(f"note: port {port} is in use; taking {taken}")
        say(f"the explorer is at {server.address}\nIt answers on this machine only; Ctrl-C stops it.")
        if not no_browser and not _opened(server.address):
            say("note: no browser was found; open the address above in one")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("the explorer has stopped")
            if live.warming is not None and live.warming.is_alive():
                # The interpreter can't end a thread that compiles: it would abort.
                atexit.register(os._exit, 0)


def _opened(address: str) -> bool:
    """Whether a browser with windows opened the address; one inside this terminal is not started."""
    windows = sys.platform in ("darwin", "win32") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ))
    try:
        return windows and webbrowser.open(address)
    except webbrowser.Error:
        return False


def _write(held: Designs, output: Path, weights: list[float] | None) -> None:
    """The page with its table."""
    from beamfold.explore.offline import offline_page
    from beamfold.files.atomic import write

    with progress(1000, "designs") as tick:
        text, told = offline_page(held, weights, lambda share: tick(round(1000 * share), "designs"))
    write(output, lambda path: path.write_text(text, encoding="utf-8"))
    say(f"{output}: {told}, {len(text.encode()) / 1e6:.1f} MB")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explore)
