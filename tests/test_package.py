"""What a package page shows, and the check of the site's links."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text()


def tool(name: str) -> ModuleType:
    """A script of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", text)


def test_the_readme_is_short_and_begins_with_a_picture():
    assert len(README.splitlines()) < 80
    assert README.index("![") < README.index("## ")


def test_with_an_address_every_link_and_picture_of_the_page_leads_there():
    shown = tool("package").described(README, "https://host/owner/beamfold/{}/v0.1.0")
    assert "![Beampatterns" in shown
    assert "(https://host/owner/beamfold/raw/v0.1.0/docs/images/beampattern.png)" in shown
    assert "(https://host/owner/beamfold/blob/v0.1.0/docs/start.md)" in shown
    assert all(link.startswith("https://") for link in _links(shown))


def test_without_an_address_the_page_has_words_and_no_broken_link():
    shown = tool("package").described(README, None)
    assert not _links(shown)
    assert "*Picture in the repository: Beampatterns of six precoders" in shown
    assert "[Start]" not in shown and "- Start: a first design" in shown


def test_only_what_was_run_is_claimed():
    """A classifier for each version of Python that the tests ran on, see docs/measured/reliability.md."""
    about = (ROOT / "pyproject.toml").read_text()
    claimed = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', about)
    assert claimed == ["3.11", "3.12", "3.13"]
    tried = (ROOT / "docs" / "measured" / "reliability.md").read_text()
    assert all(f"| {version}" in tried for version in claimed)
    assert "CPython 3.11" in (ROOT / "constraints-cpu.txt").read_text()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('<a href="other.html#there">x</a>', []),
        ('<a href="https://elsewhere/">x</a>', []),
        ('<a href="missing.html">x</a>', ["page.html: no missing.html"]),
        ('<a href="other.html#nowhere">x</a>', ["page.html: no place other.html#nowhere"]),
        ('<script src="https://elsewhere/x.js"></script>', ["page.html: loads https://elsewhere/x.js"]),
        ('<img src="picture.png">', ["page.html: no picture.png"]),
    ],
)
def test_a_link_that_leads_nowhere_is_named(tmp_path, body, found):
    (tmp_path / "other.html").write_text('<h1 id="there">x</h1>')
    (tmp_path / "page.html").write_text(body)
    assert tool("links").faults(tmp_path) == found
