"""One default each: the code's, the help's and the documents' are the same."""

from __future__ import annotations

import inspect
import re
import sys

import pytest
from conftest import ROOT

import beamfold as bf
from beamfold import defaults
from beamfold.cli import main
from beamfold.covariance.problem import default_width
from beamfold.experiments.grid import Grid
from beamfold.registry import METHODS

TARGETS = " ".join(f"{angle:g}" for angle in defaults.TARGETS_DEG)


def default(function, name):
    return inspect.signature(function).parameters[name].default


def test_the_code_has_one_default_each():
    assert default(bf.design, "method") == defaults.METHOD
    assert default(bf.solve_covariance, "targets_deg") == defaults.TARGETS_DEG
    for function in (bf.make_scenario, bf.prepare, bf.prepare_fast):
        assert default(function, "weight") == defaults.WEIGHT
    assert default(bf.solve_covariance, "width_deg") is None
    assert default_width(bf.line_array(64)) == defaults.WIDTH_DEG
    assert default(bf.read_channels, "rows") == defaults.ROWS
    assert bf.Recipe().weight == bf.ModelInfo(8, 2, 2, 1 / 8).weight == defaults.WEIGHT
    grid = Grid(methods=["fast"])
    assert [tuple(t) for t in grid.targets_deg] == [defaults.TARGETS_DEG]
    assert grid.snr_db == [defaults.SNR_DB]


@pytest.mark.parametrize(
    ("command", "texts"),
    [
        (
            "design",
            [f"(default: {TARGETS})", f"(default: {defaults.SNR_DB:g})", f"(default: {defaults.METHOD})"],
        ),
        ("train", [f"(default: {TARGETS})", f"(default: {defaults.WEIGHT:g})"]),
        ("compare", [f"(default: {TARGETS})", f"(default: {defaults.SNR_DB:g})"]),
    ],
)
def test_the_help_says_so(command, texts, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["beamfold", command, "--help"])
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        main()
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    for text in texts:
        assert text in shown


def test_the_readme_says_so():
    """The targets, the weight and the SNR of its tables, and the default method."""
    readme = (ROOT / "README.md").read_text()
    spoken = ", ".join(f"{angle:g}°".replace("-", "−") for angle in defaults.TARGETS_DEG[:-1])
    assert f"{spoken} and {defaults.TARGETS_DEG[-1]:g}°" in readme
    assert f"ω = {defaults.WEIGHT:g}" in readme
    assert f"{defaults.SNR_DB:g} dB" in readme
    assert f"The default method is `{defaults.METHOD}`" in readme
    for name in re.findall(r"--method ([a-z-]+)", readme):
        assert name in METHODS
