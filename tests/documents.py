"""The code blocks of a page in Markdown, and how a reader would run them: in one folder, from top to bottom.

A fence says what becomes of its block: `python` and `{code-cell}` are executed in one namespace, `sh` one
command after another; `toml` is saved under the name that the text before it has. `console` is for what takes
minutes, other people's data or another machine: its commands are only held against the command line. `text`
and `matlab` are not run.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer
from conftest import ROOT

from beamfold import cli

FENCE = re.compile(r"^(`{3,})(\S*)[^\n]*\n(.*?)^\1$", re.DOTALL | re.MULTILINE)
KINDS = {"python", "{code-cell}", "sh", "console", "toml", "text", "matlab"}
DIRECTIVES = {"{toctree}", "{eval-rst}", "{include}", "{raw}"}
SAVED = re.compile(r"`([\w/.-]+\.toml)`")


class Block(NamedTuple):
    """A fenced block: what its fence says, its lines, and the text before it."""

    kind: str
    code: str
    before: str


def pages() -> list[Path]:
    """README, and every page of the documentation that is written by hand."""
    written = ("", "tutorials", "how-to", "explanations", "reference", "measured")
    return [ROOT / "README.md", *(p for name in written for p in sorted((ROOT / "docs" / name).glob("*.md")))]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page in order, directives of the site left out."""
    text = page.read_text(encoding="utf-8")
    found = [Block(m[2], m[3], text[: m.start()]) for m in FENCE.finditer(text)]
    return [block for block in found if block.kind not in DIRECTIVES]


def commands(code: str) -> list[list[str]]:
    """The command lines of a block, comments left out."""
    return [words for line in code.splitlines() if (words := shlex.split(line, comments=True))]


def run_page(page: Path, folder: Path) -> int:
    """Execute a page's blocks in a folder; how many commands and blocks of Python there were."""
    space: dict[str, Any] = {"__name__": "page"}
    count = 0
    with contextlib.chdir(folder), _examples(folder):
        for number, block in enumerate(blocks(page)):
            if block.kind in ("python", "{code-cell}"):
                code = re.sub(r"\A(:[^\n]*\n)+", "", block.code)
                exec(compile(code, f"{page.name}, block {number}", "exec"), space)
                count += 1
            elif block.kind == "sh":
                for words in commands(block.code):
                    _run(words)
                    count += 1
            elif block.kind == "toml":
                Path(SAVED.findall(block.before)[-1].rsplit("/", 1)[-1]).write_text(
                    block.code, encoding="utf-8"
                )
    return count


@contextlib.contextmanager
def _examples(folder: Path) -> Iterator[None]:
    """`examples/` as it is in a checkout, where the page's commands find it."""
    (folder / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    yield


def _run(words: list[str]) -> None:
    """One command line: beamfold in this process, which spares its start, all else as it stands."""
    if words[0] != "beamfold":
        subprocess.run(
            [sys.executable, *words[1:]] if words[0] == "python" else words, check=True, timeout=60
        )
        return
    before, show = sys.argv, warnings.showwarning
    sys.argv = words
    try:
        cli.main()
    except SystemExit as stop:
        assert not stop.code, f"{shlex.join(words)} ended with {stop.code}"
    finally:
        sys.argv, warnings.showwarning = before, show


def unknown(words: list[str]) -> list[str]:
    """What the command line of beamfold does not know of a command: its name, or options."""
    group: Any = typer.main.get_command(cli.app)
    if len(words) < 2 or words[1].startswith("-") or words[1].isupper():
        return []
    command = group.commands.get(words[1])
    if command is None:
        return [words[1]]
    known = {"--json", "--debug", "--help"} | {
        name for p in command.params for name in (*p.opts, *p.secondary_opts)
    }
    given = [word.split("=")[0] for word in words[2:] if re.match(r"--?[A-Za-z]", word)]
    return [name for name in given if name not in known]
