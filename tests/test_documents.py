"""The documentation as a reader uses it: pages are found, what stands there runs, names and links hold."""

from __future__ import annotations

import re
from pathlib import Path

import documents
import pytest
from conftest import ROOT

import beamfold as bf

DOCS = ROOT / "docs"
PAGES = documents.pages()
TASKS = {
    "my own file": "how-to/own-file",
    "other targets": "how-to/other-targets",
    "problem (7)": "how-to/limit",
    "a new measure": "how-to/measure",
    "sub-arrays": "how-to/sub-arrays",
}
"""What a reader comes for, and the page that has the steps."""
HAS_CODE = [
    page
    for page in PAGES
    if {"python", "{code-cell}", "sh"} & {block.kind for block in documents.blocks(page)}
]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT)).removesuffix(".md")


def _next(page: str) -> set[str]:
    """The pages to which a page of docs/ leads: its links, cards and lists of contents."""
    text = (DOCS / f"{page}.md").read_text()
    linked = re.findall(r"\]\(([\w/.-]+)\.md(?:#[\w-]+)?\)", text)
    listed = re.findall(r"^(?::link: )?([\w/-]+)$", text, re.MULTILINE)
    there = (DOCS / page).parent
    targets = [(there / name).resolve().relative_to(DOCS) for name in (*linked, *listed)]
    return {str(target) for target in targets if (DOCS / f"{target}.md").is_file()}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_two_clicks_from_the_start_page(task):
    """From the index of the site, and from the page "Start" to which README leads."""
    for first in ("index", "start"):
        once = _next(first)
        assert TASKS[task] in once | {page for second in once for page in _next(second)}
    assert "docs/start.md" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", HAS_CODE, ids=_name)
def test_what_stands_on_a_page_runs(page, tmp_path):
    """Copied from top to bottom into one folder. The five tasks are among these pages."""
    assert documents.run_page(page, tmp_path) > 0


def test_every_page_is_in_the_contents():
    """The contents of the start page list each folder's pages; those beside it are found by `*`."""
    listed = set(re.findall(r"^[\w-]+/[\w-]+$", (DOCS / "index.md").read_text(), re.MULTILINE))
    there = {_name(page).removeprefix("docs/") for page in PAGES if page.parent.parent == DOCS}
    assert there <= listed, there - listed


def test_the_tasks_are_executed():
    assert {f"docs/{page}" for page in TASKS.values()} <= {_name(page) for page in HAS_CODE}


def test_every_block_says_what_becomes_of_it():
    for page in PAGES:
        kinds = {block.kind for block in documents.blocks(page)}
        assert kinds <= documents.KINDS, f"{_name(page)}: {kinds - documents.KINDS}"


def test_commands_that_take_long_are_known_to_the_command_line():
    """Those in `console` blocks: the command and its options exist, and so do the scripts."""
    count = 0
    for page in PAGES:
        for block in documents.blocks(page):
            for words in documents.commands(block.code) if block.kind == "console" else []:
                if words[0] == "beamfold":
                    assert not documents.unknown(words), f"{_name(page)}: {words}"
                    count += 1
                elif words[0] == "python" and words[1].endswith(".py"):
                    assert (ROOT / words[1]).is_file(), f"{_name(page)}: {words}"
    assert count > 15


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_between_files_hold(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in link:
            assert (page.parent / link).exists(), f"{_name(page)}: {link}"


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "tools", "."])
def test_files_that_name_a_page_name_one_that_is_there(folder):
    files = ROOT.glob("*.md") if folder == "." else (ROOT / folder).rglob("*.py")
    for file in files:
        for name in re.findall(r"docs/[\w/-]+\.(?:md|png)", file.read_text()):
            assert (ROOT / name).is_file(), f"{file.relative_to(ROOT)}: {name}"


def test_the_reference_lists_every_public_name_once():
    listed = re.findall(r"^   (\w+)$", (DOCS / "reference" / "python.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(set(bf.__all__) - {"__version__"})
