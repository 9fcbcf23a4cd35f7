"""The options that describe a scenario, for all commands: --scenario and the entries of `ScenarioSpec`.

Typer makes the options of a command from the parameters of its function and knows no group of them. So a
command has one parameter `spec: ScenarioSpec`, and `with_scenario` shows Typer, in that parameter's place,
the entries of `ScenarioSpec` that list the command. To add an option to any number of commands, add one field
to `files.entries.ScenarioSpec`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from beamfold.errors import InputError
from beamfold.files.directions import Angle, Directions, direction
from beamfold.files.entries import SOLVED, ScenarioSpec, entries, key_of
from beamfold.files.spec_files import read_spec

REPLACES = {
    "channels": ("antennas", "users"),
    "psi": (*SOLVED, "psi_variable"),
    "targets_deg": ("psi", "psi_variable"),
}
"""Entry → entries of a file that an option of its name puts aside, as they describe another thing."""
Command = Callable[..., None]
PANEL = "Scenario"
"""Heading of these options in the help."""
FILE = Annotated[
    Path | None,
    typer.Option(
        help="File with any of these, .toml; or a result, for the scenario that it records. Options and the "
        "argument override it.",
        rich_help_panel=PANEL,
    ),
]


def with_scenario(*, one_snr: bool = False) -> Callable[[Command], Command]:
    """Give a command the options of a scenario in the place of its parameter of type `ScenarioSpec`.

    Args:
        one_snr: `--snr-db` takes one number, and a file with several is refused.
    """

    def spliced(command: Command) -> Command:
        hints = get_type_hints(command, include_extras=True)
        [place] = [name for name, hint in hints.items() if hint is ScenarioSpec]
        options = _parameters(key_of(command.__name__), one_snr)
        shown: list[Parameter] = []
        for name, own in inspect.signature(command).parameters.items():
            plain = own.replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[name])
            shown += options if name == place else [plain]

        @functools.wraps(command)
        def run(scenario: Path | None = None, **given: Any) -> None:
            mine = {p.name: given.pop(p.name, None) for p in options if p.name != "scenario"}
            command(**given, **{place: _spec(scenario, mine, one_snr)})

        run.__signature__ = Signature(shown)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in shown}
        return run

    return spliced


def _parameters(command: str, one_snr: bool) -> list[Parameter]:
    """The parameters that a command gets: its entries of `ScenarioSpec`, and the file."""
    found = [_parameter("scenario", FILE)]
    for name, (kind, key) in entries().items():
        if command not in key.commands.split():
            continue
        taken = (
            get_args(kind)[0] if name == "snr_db" and one_snr else list[Angle] if kind == Directions else kind
        )
        several = "Several are allowed." if get_origin(taken) is list else ""
        default = f"(default: {key.usual})" if key.usual else ""
        text = " ".join(filter(None, (key.about, several, default)))
        if name == "channels":
            found.append(_parameter(name, Annotated[taken | None, typer.Argument(help=text)]))
        else:
            parser = direction if kind == Directions else None
            spelled = "--" + key_of(name).replace("_", "-")
            about = typer.Option(spelled, help=text, rich_help_panel=PANEL, parser=parser)
            found.append(_parameter(name, Annotated[taken | None, about]))
    return found


def _parameter(name: str, hint: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=hint)


def _spec(file: Path | None, options: dict[str, Any], one_snr: bool) -> ScenarioSpec:
    """What the file says, with the options over it."""
    if one_snr and options.get("snr_db") is not None:
        options["snr_db"] = [options["snr_db"]]
    spec = _merged(ScenarioSpec() if file is None else read_spec(file), options)
    if one_snr and len(spec.snr_db or ()) > 1:
        raise InputError(f"{file} has several SNRs, this command takes one; choose it with --snr-db")
    return spec


def _merged(held: ScenarioSpec, options: Mapping[str, Any]) -> ScenarioSpec:
    """The entries of a file with the options that are given (neither None nor empty) in their place."""
    given = {name: value for name, value in options.items() if value is not None and value != []}
    aside = {other for name in given for other in REPLACES.get(name, ())}
    return replace(held, **{**dict.fromkeys(aside), **given})
