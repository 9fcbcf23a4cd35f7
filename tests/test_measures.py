"""Measures: values known on paper, their records, and the command line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from test_cli import run  # noqa: F401

import beamfold as bf
from beamfold import measures
from beamfold.measures import NAMES, measure_named
from beamfold.result import Status, finish
from beamfold.testing import small, three_beams


def test_every_file_holds_a_record():
    assert measures.__file__
    stems = {p.stem for p in Path(measures.__file__).parent.glob("*.py")} - {"__init__"}
    assert stems == {name.replace("-", "_") for name in NAMES}
    for name in NAMES:
        record = measure_named(name)
        assert record.name == name and record.heading and record.about
        assert record.function(bf.zf_digital(small(8, 2))).shape == (4,)


def test_fairness_of_known_rates():
    """Two users on antennas of their own: all power to one is 1/2, equal shares are 1, no power is 1."""
    H = torch.eye(2, 4, dtype=torch.complex128)
    s = bf.make_scenario(H, three_beams(4), snr_db=0)
    fairness = measure_named("fairness").function
    one = torch.zeros(4, 2, dtype=torch.complex128)
    one[0, 0] = 1
    both = torch.eye(4, 2, dtype=torch.complex128) / math.sqrt(2)
    away = torch.zeros(4, 2, dtype=torch.complex128)
    away[3, 0] = 1
    for X, value in ((one, 0.5), (both, 1.0), (away, 1.0)):
        assert float(fairness(finish(s, "made", None, X, status=Status.CLOSED_FORM))) == pytest.approx(value)


def test_the_peak_of_an_antenna():
    """Constant modulus needs no back-off; all power on one of N antennas is 10 log10 N."""
    s = bf.make_scenario(torch.ones(1, 8, dtype=torch.complex128), three_beams(8), snr_db=0)
    peak = measure_named("antenna-peak").function
    flat = bf.line_array(8).steering(torch.tensor([0.4], dtype=torch.float64)).mT
    one = torch.zeros(8, 1, dtype=torch.complex128)
    one[5] = 1
    for X, value in ((flat, 0.0), (one, 10 * math.log10(8))):
        found = float(peak(finish(s, "made", None, X, status=Status.CLOSED_FORM)))
        assert found == pytest.approx(value, abs=1e-12)


def test_the_command_line_shows_them(run, tmp_path):  # noqa: F811
    bf.write_channels(tmp_path / "c.npz", small(8, 2).H)
    arguments = (
        "design",
        "c.npz",
        "--method",
        "phased-zf",
        *(word for name in NAMES for word in ("--measure", name)),
    )
    code, out, err = run(*arguments, "-o", "d.npz", "--json")
    assert code == 0, err
    row = json.loads(out)["results"][0]
    s = bf.read_scenario(tmp_path / "d.npz")
    for name in NAMES:
        value = float(measure_named(name).function(bf.phased_zf(s)).mean())
        assert row[name] == pytest.approx(value, rel=1e-9)
    code, out, err = run(*arguments, "-o", "e.npz")
    assert code == 0 and "peak [dB]" in out
    code, out, err = run("design", "c.npz", "--measure", "fairnes", "-o", "f.npz")
    assert code == 2 and "did you mean fairness?" in err and not (tmp_path / "f.npz").exists()
