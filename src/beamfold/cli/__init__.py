"""The command line. Heavy imports wait until a command runs, so that help comes at once."""

from __future__ import annotations

import errno
import sys
import traceback
import warnings
from typing import Any, get_args, get_type_hints

import typer

from beamfold.cli import (
    bench,
    compare,
    data,
    designs,
    experiments,
    explore,
    front,
    models,
    network,
    reading,
    sense,
    squint,
    verify,
)
from beamfold.cli.common import say
from beamfold.errors import InputError
from beamfold.files.directions import Angle, direction

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
for module in (
    data,
    reading,
    designs,
    compare,
    explore,
    sense,
    front,
    network,
    squint,
    models,
    experiments,
    bench,
    verify,
):
    module.register(app)
STOPPED = 130
"""Exit code after Ctrl-C, which the library for commands turns into an exit by itself."""
COMMANDS = tuple(app.registered_commands)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    if version:
        from beamfold import __version__

        typer.echo(f"beamfold {__version__}")
        raise typer.Exit


def main() -> None:
    """Run a command; one line and exit code 2 for bad input, 1 for a failure of ours, 130 for Ctrl-C."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments  # accepted at any place, so that it can be added at the end
    arguments = [a for a in arguments if a != "--debug"]
    warnings.showwarning = _show_warning
    try:
        app(args=spread(renamed(arguments)), standalone_mode=True)
    except SystemExit as stop:
        if stop.code == STOPPED:
            say("stopped")
        raise
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(STOPPED)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        if debug:
            traceback.print_exc()
        text, code = _told(error)
        say(text)
        sys.exit(code)


def _told(error: Exception) -> tuple[str, int]:
    """The line and the exit code of an error."""
    if isinstance(error, InputError):
        return f"error: {_line(error)}", 2
    if isinstance(error, OSError) and error.errno in REFUSED:
        return f"error: could not write {error.filename}: {error.strerror}", 2
    name = "" if isinstance(error, (RuntimeError, OSError)) and str(error) else f"{type(error).__name__}: "
    return f"failed: {name}{_line(error)} (--debug shows where)", 1


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """A warning as one line for people."""
    say(f"note: {_line(message)}")


def spread(arguments: list[str]) -> list[str]:
    """`--snr-db 0 6` as `--snr-db=0 --snr-db=6`, for every option of the command that takes several numbers.

    Raises:
        InputError: several numbers for an option of the command that takes one.
    """
    options = _number_options(arguments[0] if arguments else "")
    spelled: list[str] = []
    option = ""
    for argument in arguments:
        if option and _is_number(argument):
            if spelled[-1] == option:
                spelled.pop()
            elif not options[option]:
                command = arguments[0]
                raise InputError(
                    f"{option} of `beamfold {command}` takes one number, got a second: {argument}"
                )
            spelled.append(f"{option}={argument}")
        else:
            option = argument if argument in options else ""
            spelled.append(argument)
    return spelled


FORMER = {"--rank": "--psi-rank"}
"""Options of version 0.1.0, which are accepted with a warning."""


def renamed(arguments: list[str]) -> list[str]:
    """The arguments with today's names of options."""
    found = []
    for argument in arguments:
        name, sign, value = argument.partition("=")
        if name in FORMER:
            say(f"note: {name} is now called {FORMER[name]}")
            name = FORMER[name]
        found.append(name + sign + value)
    return found


def _number_options(name: str) -> dict[str, bool]:
    """The options of a command that take numbers, and whether they take several."""
    found = {}
    for command in COMMANDS:
        function = command.callback
        if function is None or name not in (command.name, function.__name__.replace("_", "-")):
            continue
        for parameter, hint in get_type_hints(function).items():
            kinds = {hint, *get_args(hint)}
            if kinds & {int, float, list[int], list[float], list[Angle]}:
                found["--" + parameter.replace("_", "-")] = bool(
                    kinds & {list[int], list[float], list[Angle]}
                )
    return found


def _is_number(text: str) -> bool:
    """Whether it is a number, or a pair of them such as 20/-10."""
    try:
        direction(text)
    except ValueError:
        return False
    return True


def _line(error: object) -> str:
    return " ".join(str(error).split())
