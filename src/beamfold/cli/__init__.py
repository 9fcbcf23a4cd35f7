"""The command line. Heavy imports wait until a command runs, so that help comes at once."""

from __future__ import annotations

import sys

import typer

from beamfold.cli import bench, data, designs, experiments, models, verify
from beamfold.cli.common import say

app = typer.Typer(
    name="beamfold",
    help="Hybrid precoders for joint communications and sensing.",
    epilog="First steps: beamfold generate -o channels.mat && beamfold compare channels.mat -o results",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for module in (data, designs, models, experiments, bench, verify):
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
        say(f"failed: {_line(error) or type(error).__name__}")
        sys.exit(1)


def spread(arguments: list[str]) -> list[str]:
    """`--targets-deg -60 0 60` as `--targets-deg=-60 --targets-deg=0 …`; likewise `--snr-db`."""
    spelled: list[str] = []
    option = ""
    for argument in arguments:
        if option and _is_number(argument):
            if spelled[-1] == option:
                spelled.pop()
            spelled.append(f"{option}={argument}")
        else:
            option = argument if argument in ("--targets-deg", "--snr-db") else ""
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
