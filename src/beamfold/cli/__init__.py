"""The command line. Heavy imports wait until a command runs, so that help comes at once."""

from __future__ import annotations

import errno
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from beamfold.cli import bench, data, designs, experiments, front, models, verify
from beamfold.cli.common import say

SEVERAL = ("--targets-deg", "--snr-db", "--weights")
"""Options that take several numbers."""

REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)  # a place that the user has to choose anew

app = typer.Typer(
    name="beamfold",
    help="Hybrid precoders for joint communications and sensing.",
    epilog="First steps: beamfold generate -o channels.mat && beamfold compare channels.mat -o results",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for module in (data, designs, front, models, experiments, bench, verify):
    module.register(app)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True),
) -> None:
    if version:
        from beamfold import __version__

        typer.echo(f"beamfold {__version__}")
        raise typer.Exit


def main() -> None:
    """Run a command; one line and exit code 2 for bad input, 1 for a failure of ours, 130 for Ctrl-C."""
    try:
        with _few_collections():
            app(args=spread(sys.argv[1:]), standalone_mode=True)
    except ValueError as error:
        say(f"error: {_line(error)}")
        sys.exit(2)
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except (RuntimeError, OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno in REFUSED:
            say(f"error: could not write {error.filename}: {error.strerror}")
            sys.exit(2)
        say(f"failed: {_line(error) or type(error).__name__}")
        sys.exit(1)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Python looks for garbage less often: at its usual rate, a tenth of the time of imports goes there."""
    usual = gc.get_threshold()
    gc.set_threshold(50_000, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def spread(arguments: list[str]) -> list[str]:
    """`--targets-deg -60 0 60` as `--targets-deg=-60 --targets-deg=0 …`; likewise the others of `SEVERAL`."""
    spelled: list[str] = []
    option = ""
    for argument in arguments:
        if option and _is_number(argument):
            if spelled[-1] == option:
                spelled.pop()
            spelled.append(f"{option}={argument}")
        else:
            option = argument if argument in SEVERAL else ""
            spelled.append(argument)
    return spelled


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
