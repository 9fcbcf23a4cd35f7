"""The sensing objective on the command line and in scenario files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_cli import run  # noqa: F401

import beamfold as bf
from beamfold.experiments.store import load
from beamfold.files.arrays import read_all
from beamfold.files.bands import Frequencies
from beamfold.radar import make_scene
from beamfold.radar.fisher import bound
from beamfold.testing import small, three_beams


@pytest.fixture
def channels(tmp_path):
    bf.write_channels(tmp_path / "c.npz", small(8, 2, count=2).H)


SCENE = ("--target-snr-db", -10, "--snapshots", 32, "--clutter-deg", 20, "--receive-array", "line:6")


def test_design_for_the_bound(run, channels, tmp_path):  # noqa: F811
    """The file names the objective, records the scene, and is verified in all that it states."""
    arguments = (
        "design",
        "c.npz",
        "--sensing",
        "crb",
        "--method",
        "pga",
        "--layers",
        30,
        "--weight",
        1,
        *SCENE,
    )
    code, out, err = run(*arguments, "--targets-deg", -40, 0, "-o", "d.npz", "--json")
    assert code == 0, err
    told = json.loads(out)
    held = read_all(tmp_path / "d.npz")
    assert str(held["sensing"]) == "crb" and "objective" not in held
    s = bf.read_scenario(tmp_path / "d.npz")
    assert s.goal is not None and s.goal.scene.snapshots == 32 and s.goal.scene.receive.antennas == 6
    X = torch.from_numpy(held["F"] @ held["W"])
    assert float(s.objective(X).mean()) == pytest.approx(told["results"][0]["objective"], rel=1e-9)
    worst = bound(X, s.goal.scene, s.power).rcrb.rad2deg().flatten(1).amax(-1)
    assert told["results"][0]["rcrb"] == pytest.approx(float(worst.mean()), rel=1e-9)
    code, out, err = run("verify", "d.npz", "c.npz")
    assert code == 0 and "objective_error" in out and "objective" not in err
    code, out, err = run(*arguments, "--targets-deg", -40, 0, "-o", "e.npz")
    assert code == 0 and "R + w log2 det J" in out


LINE, PLANE = bf.line_array(8), bf.planar_array(2, 4)


@pytest.mark.parametrize("kind", ["crb", "scnr"])
@pytest.mark.parametrize(
    ("scene", "ratios"),
    [
        (make_scene(LINE, [-40, 10], phases=(0, 1), clutter_deg=[30, -5], receive=bf.line_array(6)), None),
        (make_scene(LINE, [-40, 10], phases=(0, 1), clutter_deg=[30]), (0.98, 1.02)),
        (make_scene(LINE, [-40, 10], phases=(0, 1), band="each"), (0.98, 1.02)),
        (make_scene(PLANE, [(10, 5), (-30, 20)], receive=bf.planar_array(3, 2)), None),
    ],
)
def test_the_verifier_knows_the_goal(run, tmp_path, kind, scene, ratios):  # noqa: F811
    """R + ω c by another route, for clutter, bands with either kind of amplitudes and two angles; and it
    fails where the stated value is off."""
    H = bf.saleh_valenzuela(8, 3, 4, seed=3)
    band = {} if ratios is None else {"frequencies": [28e9 * r for r in ratios], "carrier_hz": 28e9}
    s = bf.make_scenario(
        H if ratios is None else H.reshape(2, 2, 3, 8), bf.Sensing(three_beams(8).Psi, array=scene.array),
        snr_db=6, sensing=kind, scene=scene, weight=2.0, **band,
    )  # fmt: skip
    held = (
        None if ratios is None else Frequencies(torch.tensor(band["frequencies"], dtype=torch.float64), 28e9)
    )
    bf.write_channels(tmp_path / "c.npz", s.H, band=held)
    d = bf.design(s, "pga", layers=2)
    bf.write_design(tmp_path / "d.npz", d)
    code, out, err = run("verify", "d.npz", "c.npz", "--tolerance", 1e-9)
    assert code == 0 and "objective_error" in out and "not checked" not in err, out + err
    held = dict(read_all(tmp_path / "d.npz"))
    np.savez(tmp_path / "e.npz", **{**held, "sensing_objective": held["sensing_objective"] + 1e-3})
    assert run("verify", "e.npz", "c.npz")[0] == 1


def test_a_limit_brings_its_objective(run, channels, tmp_path):  # noqa: F811
    code, out, err = run(
        "design", "c.npz", "--scnr-min-db", -10, "--target-snr-db", -20, "--targets-deg", -40, 0, "--set",
        "starts=1", "--set", "steps=30", "-o", "d.npz", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["scenario"]["sensing"] == "scnr"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sensing", "radar"), "sensing is tau, crb, scnr"),
        (("--snapshots", 4), "snapshots is for the sensing objectives crb and scnr"),
        (("--sensing", "crb", "--snapshots", 0), "at least 1 snapshot"),
        (("--sensing", "crb", "--clutter-deg", 0), "stands on a target"),
        (("--sensing", "crb", "--receive-array", "planar:2x2"), "different kinds"),
        (("--sensing", "crb", "--method", "sca-manopt"), "use one of"),
        (("--sensing", "tau", "--rcrb-max-deg", 1), "for the sensing objective crb"),
        (("--rcrb-max-deg", 1, "--tau-max", 1), "takes one of"),
    ],
)
def test_bad_input_is_one_line(run, channels, arguments, words):  # noqa: F811
    code, out, err = run("design", "c.npz", *arguments, "-o", "d.npz")
    lines = [line for line in err.splitlines() if not line.startswith(("note: ", "compiling "))]
    assert code == 2 and out == "" and len(lines) == 1 and words in lines[0]


@pytest.mark.parametrize("sensing", ["crb", "scnr"])
def test_the_front_holds_the_figures_of_its_designs(run, channels, tmp_path, sensing):  # noqa: F811
    arguments = ("front", "c.npz", "--sensing", sensing, "--method", "digital", "--weights", 0.3, 3)
    code, out, err = run(*arguments, "--targets-deg", -40, 0, "-o", "f.nc", "--json")
    assert code == 0, err
    ds, points = load(tmp_path / "f.nc"), json.loads(out)["points"]
    s = bf.read_scenario(tmp_path / "f.nc")
    assert s.goal is not None and s.goal.kind == sensing
    for i, weight in enumerate((0.3, 3.0)):
        d = bf.digital(replace(s, weight=torch.full_like(s.power, weight)))
        at = ds.sel({"method": f"digital ({sensing})"}).isel(point=i)
        assert np.allclose(at["rate"], d.rate, rtol=1e-6)
        worst = bound(d.X, s.goal.scene, s.power).rcrb.flatten(1).amax(-1).rad2deg()
        assert np.allclose(at["rcrb_deg"], worst, rtol=1e-6)
    ours = [p for p in points if p["method"] == f"digital ({sensing})"]
    assert [p["value"] for p in ours] == [0.3, 3.0] and ours[0]["rate"] > ours[1]["rate"]
    assert {p["method"] for p in points} >= {"fast (tau)", "sca_manopt"}
    assert (tmp_path / "f.png").stat().st_size > 10_000
