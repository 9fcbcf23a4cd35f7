"""beamfold sense and detect, and the sensing columns of compare: figures of the designs, and bad input."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import relative
from test_cli import run  # noqa: F401

import beamfold as bf
from beamfold.arrays import line_array, planar_array
from beamfold.experiments.store import load
from beamfold.measures import measure_named
from beamfold.radar import make_scene
from beamfold.radar.detection import detection, scnr
from beamfold.radar.figures import sense
from beamfold.radar.fisher import bound
from beamfold.radar.pattern import lobes
from beamfold.radar.scene import scene_of
from beamfold.testing import small, three_beams

GIVEN = ("--targets-deg", -50, 20, "--target-snr-db", -25, "--snapshots", 32, "--false-alarm", 1e-4)


@pytest.fixture
def design(tmp_path):
    """Two SNRs of three channels."""
    s = small(16, 2, count=3, snr_db=(0, 12))
    found = bf.phased_zf(s)
    bf.write_design(tmp_path / "d.npz", found)
    return found


def test_the_file_holds_the_figures_of_every_channel(run, design):  # noqa: F811
    code, out, err = run("sense", "d.npz", *GIVEN, "--clutter-deg", 0, "-o", "s.nc", "--json")
    assert code == 0, err
    told, ds = json.loads(out), load(Path("s.nc"))
    scene = make_scene(
        line_array(16), [-50, 20], target_snr_db=-25, snapshots=32, false_alarm=1e-4, clutter_deg=[0]
    )
    expected = sense(design.X, scene, design.scenario.power)
    at = ds.sel({"method": "phased-zf"})
    assert relative(np.deg2rad(at["rcrb_deg"]), expected.rcrb) < 1e-12
    for name in ("scnr", "detected", "swerling", "gain", "pslr", "islr"):
        assert relative(at[name], getattr(expected, name)) < 1e-12
    assert len(told["results"]) == 4 and told["snapshots"] == 32
    row = told["results"][3]
    assert (row["snr_db"], row["target"]) == (12, "20")
    assert row["detected"] == pytest.approx(float(expected.detected[1, :, 1].mean()))
    assert row["rcrb_deg_low"] < row["rcrb_deg"] < row["rcrb_deg_high"]
    for suffix in (".png", ".pdf"):
        assert (Path("s").with_suffix(suffix)).stat().st_size > 5_000


def test_the_curves_over_the_snr_are_those_of_other_scenes(run, design):  # noqa: F811
    """RCRB goes with the root of the SNR and ρ with the SNR itself, also in clutter."""
    assert run("sense", "d.npz", *GIVEN, "--clutter-deg", 0, "-o", "s.nc")[0] == 0
    ds = load(Path("s.nc"))
    snr_db = float(ds["target_snr_db"][40])
    scene = make_scene(
        line_array(16), [-50, 20], target_snr_db=snr_db, snapshots=32, false_alarm=1e-4, clutter_deg=[0]
    )
    expected = sense(design.X, scene, design.scenario.power)
    at = ds.sel({"method": "phased-zf"}).isel(target_snr_db=40)
    assert relative(np.deg2rad(at["rcrb_over_snr"]), expected.rcrb[..., 0]) < 1e-12
    assert relative(at["detected_over_snr"], expected.detected) < 1e-9


def test_the_targets_are_those_of_psi_and_a_planar_array_has_two_angles(run, tmp_path):  # noqa: F811
    array = planar_array(4, 4)
    H = bf.saleh_valenzuela(array, 2, 2, seed=0)
    a = array.steering(torch.deg2rad(torch.tensor([[20.0, -10.0]], dtype=torch.float64)))[0]
    radar = bf.Sensing(
        torch.outer(a, a.conj()), targets=((math.radians(20), math.radians(-10)),), array=array
    )
    bf.write_design(tmp_path / "p.npz", bf.zf_digital(bf.make_scenario(H, radar, snr_db=6)))
    code, out, err = run("sense", "p.npz", "-o", "p.nc", "--receive-array", "planar:3x3", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["targets_deg"] == ["20/-10"] and told["receive"] == "planar 3 x 3"
    assert told["results"][0]["rcrb_elevation_deg"] > 0
    code, out, err = run("sense", "p.npz", "-o", "q.nc")
    assert code == 0 and "elevation" in out, err
    code, out, err = run("sense", "p.npz", "-o", "r.nc", "--receive-array", "line:16")
    assert code == 2 and "different kinds" in err


def test_a_dark_target_is_told(run, tmp_path):  # noqa: F811
    """Both users' beams avoid 0 degrees: infinite, with the reason; a file of any method says so."""
    line = line_array(8)
    a = line.steering(torch.tensor([0.0], dtype=torch.float64)).mT
    s = small(8, 2, count=2)
    X = bf.zf_digital(s).X
    X = X - a @ (a.mH @ X)
    X = X * (s.power.sqrt() / torch.linalg.matrix_norm(X))[..., None, None]
    from beamfold.result import Status, finish

    bf.write_design(tmp_path / "d.npz", finish(s, "made", None, X, status=Status.CLOSED_FORM))
    code, out, err = run("sense", "d.npz", "--targets-deg", 0, 40, "-o", "s.nc", "--json")
    assert code == 0, err
    rows = json.loads(out)["results"]
    assert rows[0]["rcrb_deg"] is None and "no power" in rows[0]["infinite"]
    assert rows[1]["rcrb_deg"] > 0 and rows[1]["infinite"] == ""
    code, out, err = run("sense", "d.npz", "--targets-deg", 0, "-o", "t.nc")
    assert code == 0 and "a bound is infinite: no power reaches the target" in err and "inf" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--targets-deg", 20, 20), "twice"),
        (("--targets-deg", "20/10"), "an azimuth"),
        (("--false-alarm", 0), "above 0 and below 1"),
        (("--false-alarm", 1), "above 0 and below 1"),
        (("--snapshots", 0), "at least 1 snapshot"),
        (("--clutter-deg", 0), "stands on a target"),
        (("--receive-array", "planar:4x4"), "different kinds"),
        (("--target-snr-db", 1, 2), "expected 1 or 3"),
    ],
)
@pytest.mark.parametrize("command", ["sense", "detect"])
def test_bad_input_is_one_line(run, design, command, arguments, words):  # noqa: F811
    output = ("-o", "s.nc") if command == "sense" else ("--trials", 2)
    code, out, err = run(command, "d.npz", *output, *arguments)
    if command == "detect" and "--target-snr-db" in arguments:
        assert code == 0
        return
    assert code == 2 and words in err and len(err.splitlines()) == 1 and out == ""


@pytest.mark.parametrize("amplitudes", ["common", "each"])
def test_a_band(run, tmp_path, amplitudes):  # noqa: F811
    """The figures of `radar.figures.sense` over the subcarriers of the file; detect refuses a band."""
    f = {"frequencies": [27e9, 28e9, 29e9], "carrier_hz": 28e9}
    s = bf.make_scenario(
        bf.saleh_valenzuela(16, 2, 6, seed=2).reshape(2, 3, 2, 16), three_beams(16), snr_db=6, **f
    )
    d = bf.phased_zf(s)
    bf.write_design(tmp_path / "d.npz", d)
    code, out, err = run("sense", "d.npz", *GIVEN, "--amplitudes", amplitudes, "-o", "s.nc", "--json")
    assert code == 0, err
    scene = make_scene(
        line_array(16), [-50, 20], target_snr_db=-25, snapshots=32, false_alarm=1e-4,
        ratios=[x / 28e9 for x in f["frequencies"]], band=amplitudes,
    )  # fmt: skip
    expected, at = sense(d.X, scene, s.power), load(Path("s.nc")).isel(method=0, snr_db=0)
    assert relative(np.deg2rad(at["rcrb_deg"]), expected.rcrb) < 1e-12
    for name in ("scnr", "detected", "gain", "pslr", "islr"):
        assert relative(at[name], getattr(expected, name)) < 1e-12
    assert json.loads(out)["subcarriers"] == 3
    assert run("sense", "d.npz", *GIVEN, "--amplitudes", "two", "-o", "t.nc")[0] == 2
    code, _, err = run("detect", "d.npz", *GIVEN)
    assert code == 2 and "is of one frequency" in err


def test_close_targets_are_noted(run, design):  # noqa: F811
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, _, err = run("sense", "d.npz", "--targets-deg", 20, 21, "-o", "s.nc")
    assert code == 0 and "note: the targets at 20.0 and 21.0 degrees are closer" in err


def test_a_file_that_is_no_design(run, tmp_path):  # noqa: F811
    bf.write_channels(tmp_path / "c.npz", small(8, 2).H)
    code, _, err = run("sense", "c.npz", "-o", "s.nc")
    assert code == 2 and "not a design file" in err


def test_detect_meets_the_bound(run, design):  # noqa: F811
    arguments = ("--targets-deg", 20, "--target-snr-db", -5, "--trials", 800, "--channels", 1)
    code, out, err = run("detect", "d.npz", *arguments, "--snapshots", 16, "--json")
    assert code == 0, err
    rows = json.loads(out)["results"]
    assert [row["snr_db"] for row in rows] == [0, 12]
    for row in rows:
        assert abs(row["ratio"] - 1) < 0.1 and row["detected"] == pytest.approx(row["formula"], abs=0.02)
    assert run("detect", "d.npz", *arguments, "--snapshots", 1)[0] == 2
    assert run("detect", "d.npz", *arguments[:-1], 9)[0] == 2


def test_the_measures_are_those_of_the_worst_target():
    d = bf.zf_digital(small(16, 2))
    scene, power = scene_of(d.scenario.radar), d.scenario.power
    worst = bound(d.X, scene, power).rcrb.flatten(-2).amax(-1).rad2deg()
    assert torch.equal(measure_named("rcrb").function(d), worst)
    least = detection(64 * scnr(d.X, scene, power), 1e-6).amin(-1)
    assert relative(measure_named("detection").function(d), least) < 1e-12
    assert relative(measure_named("pslr").function(d), 10 * lobes(d.X, scene, power).pslr.log10()) < 1e-12


def test_compare_adds_the_columns(run, tmp_path):  # noqa: F811
    bf.write_channels(tmp_path / "c.npz", small(8, 2).H)
    code, out, err = run("compare", "c.npz", "--sense", "-o", "out", "--targets-deg", -30, 30, "--json")
    assert code == 0, err
    rows = json.loads(out)["results"]
    assert all({"rcrb", "detection", "pslr"} <= set(row) for row in rows)
    bf.write_sensing(tmp_path / "psi.npz", bf.Sensing(three_beams(8).Psi))
    code, out, err = run("compare", "c.npz", "--sense", "-o", "more", "--psi", "psi.npz")
    assert code == 2 and "states no targets" in err and not (tmp_path / "more").exists()
