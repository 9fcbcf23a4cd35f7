"""The public names: what a type checker reads is what Python loads, and former names warn."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import beamfold as bf

PROGRAM = """
import beamfold as bf

H = bf.saleh_valenzuela(64, 4, 10, seed=0)
radar = bf.solve_covariance(64)
s = bf.make_scenario(H, radar, snr_db=12)
d = bf.design(s)
reveal_type(d)
reveal_type(d.rate)
reveal_type(bf.fast(s))
reveal_type(bf.unfolded(s, inner=10))
reveal_type(bf.prepare_fast(radar, users=4, snr_db=12))
reveal_type(bf.beampattern(d.X, radar.angles))
reveal_type(d.statuses)
for progress in bf.train(bf.Recipe(), H, radar):
    reveal_type(progress.model)
bf.write_channels("channels.mat", H)
"""
EXPECTED = [
    "beamfold.result.Design", "Tensor", "beamfold.result.Design", "beamfold.result.Design",
    "beamfold.kernels.fast.Prepared", "Tensor", "list[", "beamfold.unfolded_model.UnfoldedPGA",
]  # fmt: skip


def declared() -> dict[str, str]:
    """Name → module of the imports that a type checker reads."""
    assert bf.__file__
    tree = ast.parse(Path(bf.__file__).read_text())
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("beamfold."):
            found |= {alias.name: node.module.removeprefix("beamfold.") for alias in node.names}
    return found


def test_both_lists_of_names_are_one():
    assert declared() == bf._HOME
    assert set(bf.__all__) == {"__version__", *bf._HOME}
    for name in bf.__all__:
        assert getattr(bf, name) is not None
    assert set(dir(bf)) == set(bf.__all__)


def test_no_public_function_is_hidden_by_a_module():
    """`import beamfold.x` puts the module x in the place of a name x of the package."""
    assert bf.__file__
    modules = {path.stem for path in Path(bf.__file__).parent.iterdir()}
    assert not modules & set(bf.__all__)


def test_former_names_warn_once_each():
    with pytest.warns(FutureWarning, match="now called Sensing"):
        assert bf.Benchmark is bf.Sensing
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bf.nothing


def test_a_type_checker_sees_the_right_types(tmp_path):
    """mypy on a user's file: none of what it reveals is Any."""
    (tmp_path / "user.py").write_text(PROGRAM)
    config = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    command = [sys.executable, "-m", "mypy", *config, "user.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    revealed = [line.split("Revealed type is")[1] for line in done.stdout.splitlines() if "Revealed" in line]
    assert len(revealed) == len(EXPECTED)
    for shown, expected in zip(revealed, EXPECTED, strict=True):
        assert expected in shown, f"{shown}, expected {expected}"
