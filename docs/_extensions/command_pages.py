"""A page of each command of `beamfold`, from what the command itself says: docs/reference/commands/."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer

from beamfold.cli import app as commands

KINDS = {
    "<path>": "file",
    "<str>": "text",
    "<list[str]>": "text",
    "<list[path]>": "files",
    "<int>": "whole number",
    "<list[int]>": "whole numbers",
    "<float>": "number",
    "<list[float]>": "numbers",
    "<list[Angle]>": "angles",
}
"""The placeholder of an option's value in the help, by the type of the value."""
MARKUP = re.compile(r"\[/?(?:bold|dim|italic|green|cyan|yellow|red)[^\]]*\]")


def text(value: str | None) -> str:
    """Help as Markdown: markup of the terminal and signs that Markdown would read are taken out."""
    plain = MARKUP.sub("", value or "").replace("\f", "").strip()
    parts = plain.split("`")
    return "".join(
        f"`{p}`" if i % 2 else re.sub(r"([\\*_|<>\[\]#^$])", r"\\\1", p) for i, p in enumerate(parts)
    )


def row(parameter: Any, context: Any) -> str:
    """A line of a table: the option, its type and what it does."""
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.param_type_name == "argument":
        names = f"`{parameter.name}`"
    stated = parameter.display_type(context)
    kind = "" if getattr(parameter, "is_flag", False) else KINDS.get(stated, stated.strip("<>"))
    needed = ", required" if parameter.required else ""
    several = ", several" if getattr(parameter, "multiple", False) or parameter.nargs == -1 else ""
    help_text = getattr(parameter, "help", "") or ""
    default = parameter.get_default(context)
    shown = ""
    if default not in (None, False, (), []) and not callable(default) and "default" not in help_text:
        shown = (
            f" (default: {' '.join(map(str, default)) if isinstance(default, (list, tuple)) else default})"
        )
    said = " ".join(text(help_text + shown).split())
    return f"| {names} | {kind}{needed}{several} | {said} |"


def page(name: str, command: Any) -> str:
    """The page of a command in Markdown."""
    context = command.context_class(command, info_name=f"beamfold {name}")
    usage = command.get_usage(context).removeprefix("Usage: ")
    lines = [f"# beamfold {name}", "", "```text", " ".join(usage.split()), "```", ""]
    for paragraph in (command.help or "").split("\n\n"):
        said = " ".join(MARKUP.sub("", paragraph).replace("\f", "").split())
        example = re.match(r"Examples?: (beamfold .*)", said)
        lines += ["```text", example[1], "```", ""] if example else [text(said), ""]
    panels: dict[str, list[Any]] = {"Arguments": [], "Options": []}
    for parameter in command.get_params(context):
        if getattr(parameter, "hidden", False):
            continue
        usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
        panels.setdefault(getattr(parameter, "rich_help_panel", None) or usual, []).append(parameter)
    for panel, parameters in filter(lambda item: item[1], panels.items()):
        lines += [f"## {panel}", "", "| name | type | meaning |", "| --- | --- | --- |"]
        lines += [*(row(p, context) for p in parameters), ""]
    return "\n".join(lines)


def write(app: Any) -> None:
    """All pages; a page that says what it said is left alone, so that Sphinx need not read it again."""
    folder = Path(app.srcdir) / "reference" / "commands"
    folder.mkdir(exist_ok=True)
    group: Any = typer.main.get_command(commands)
    pages = {
        f"{name}.md": page(name, command) for name, command in group.commands.items() if not command.hidden
    }
    table = "\n".join(
        f"| [{name}](commands/{name}.md) | {text((group.commands[name].help or '').split(chr(10))[0])} |"
        for name in sorted(group.commands) if not group.commands[name].hidden
    )  # fmt: skip
    pages["table.txt"] = f"| command | what it does |\n| --- | --- |\n{table}\n"
    for old in folder.iterdir():
        if old.name not in pages:
            old.unlink()
    for name, content in pages.items():
        file = folder / name
        if not file.is_file() or file.read_text(encoding="utf-8") != content:
            file.write_text(content, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Before Sphinx lists the files that it reads."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
