"""Docstrings as they are written, for Sphinx: plain text with formulas, not reStructuredText.

`name` is shown as code, an indented block before the first section ("Args:") as it stands, and characters
that mean something in reStructuredText, as in |h|, F* or x_, are text.
"""

from __future__ import annotations

import re
from typing import Any

SECTION = re.compile(r"(Args|Attributes|Parameters|Returns|Yields|Raises):$")
EQUATION = "Eq.\u2060\u00a0("
"""The point ends no sentence, which a summary would otherwise stop at."""
BULLET = re.compile(r"\s*[*-] ")


def escaped(line: str) -> str:
    """One line: code stays code, all else is text."""
    parts = line.split("`")
    if len(parts) % 2 == 0:  # an odd backtick opens nothing
        return re.sub(r"([\\*|`]|_(?!\w))", r"\\\1", line)
    for i, part in enumerate(parts):
        parts[i] = f"``{part}``" if i % 2 else re.sub(r"([\\*|]|_(?!\w))", r"\\\1", part)
    return "".join(parts)


def plain(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText that shows them as they are."""
    found: list[str] = []
    literal = sections = False
    for line in lines:
        sections = sections or bool(SECTION.match(line))
        indented = line.startswith("    ") and not sections
        if indented and not literal and (not found or not found[-1].strip()):
            found += ["::", ""]
            literal = True
        elif line.strip() and not indented:
            literal = False
        if literal:
            found.append(line)
        elif bullet := BULLET.match(line):
            found.append(bullet[0] + escaped(line.removeprefix(bullet[0])))
        else:
            found.append(escaped(line))
    return found


def _process(_app: Any, _what: str, _name: str, _thing: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = plain([line.replace("Eq. (", EQUATION) for line in lines])


def setup(app: Any) -> dict[str, bool]:
    """Before napoleon, which reads the sections and is called at 500."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True}
