"""The programs of examples/, which are the gallery of the site, run and draw."""

from __future__ import annotations

import runpy

import matplotlib.pyplot as plt
import pytest
from conftest import ROOT

PROGRAMS = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_an_example_runs_and_draws(program, monkeypatch):
    """Headless, from its own folder, and every axis of its picture holds something."""
    plt.switch_backend("agg")
    monkeypatch.chdir(program.parent)
    before = {path.name for path in program.parent.iterdir()}
    runpy.run_path(str(program))
    axes = [axis for number in plt.get_fignums() for axis in plt.figure(number).axes]
    plt.close("all")
    assert axes and all(axis.has_data() for axis in axes)
    assert before == {path.name for path in program.parent.iterdir()}, "an example leaves a file behind"


def test_there_are_ten():
    assert len(PROGRAMS) == 10
