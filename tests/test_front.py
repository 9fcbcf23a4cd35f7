"""The R-τ front: what is in the file is what the methods give, and the command says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import small
from test_cli import run  # noqa: F401

from beamfold.experiments import front as module
from beamfold.experiments.front import front, summary
from beamfold.experiments.labelled import complex_of
from beamfold.experiments.store import load
from beamfold.figures import front as picture
from beamfold.figures import titled
from beamfold.registry import design
from beamfold.result import Fault
from beamfold.scenario import make_scenario

WEIGHTS = (0.01, 1.0)


@pytest.fixture(scope="module")
def held():
    s = small(16, 2, count=2, snr_db=12.0)
    methods = ("constrained", "fast", "sca-manopt")
    shares = []
    ds = front(
        s, methods=methods, weights=np.array(WEIGHTS), points=3, source="two",
        tick=lambda share, text: shares.append(share),
    )  # fmt: skip
    return s, ds, shares


def test_every_number_can_be_made_again_from_the_file(held):
    ds = held[1]
    facts = json.loads(ds.attrs["parameters"])
    again = make_scenario(
        complex_of(ds.H), complex_of(ds.Psi), snr_db=facts["snr_db"], chains=facts["chains"]
    )
    for i, weight in enumerate(WEIGHTS):
        d = design(make_scenario(again.H, again.radar, snr_db=12, weight=weight), "fast")
        np.testing.assert_allclose(ds.rate.sel({"method": "fast"})[i], d.rate, rtol=1e-6)
        np.testing.assert_allclose(ds.tau.sel({"method": "fast"})[i], d.tau, rtol=1e-6)
    rho = float(ds.value.sel({"method": "sca_manopt"})[1])
    d = design(again, "sca-manopt", rho=rho)
    np.testing.assert_allclose(ds.tau.sel({"method": "sca_manopt"})[1], d.tau, rtol=1e-6)
    at = make_scenario(again.H, again.radar, snr_db=12, weight=0.3)
    marked = design(at, "sca-manopt", norm="unit_columns")
    np.testing.assert_allclose(ds.mark_rate.sel(mark="sca_manopt_published"), marked.rate, rtol=1e-6)


def test_curves_are_of_their_lengths_and_axes(held):
    ds = held[1]
    assert ds.sizes == {**ds.sizes, "method": 3, "point": 3, "channel": 2, "mark": 2}
    assert ds["axis"].values.tolist() == ["tau_0", "omega", "rho"]
    fast = ds.sel({"method": "fast"})
    assert fast.value.values[:2].tolist() == list(WEIGHTS)
    assert np.isnan(fast.rate[2]).all() and np.isnan(fast.value[2])
    assert (fast.status[2] == -1).all()
    assert np.isfinite(ds.sel({"method": "constrained"}).rate_mean).all()
    assert np.isfinite(ds.sel({"method": "sca_manopt"}).rate_mean).all()


def test_the_limit_is_kept_and_every_curve_falls_with_tau(held):
    ds = held[1]
    exact = ds.sel({"method": "constrained"})
    assert (exact.tau <= exact.value * (1 + 1e-9)).all()
    assert (exact.rate_mean.diff("point") > 0).all()
    fast = ds.sel({"method": "fast"}).isel(point=slice(0, 2))
    assert (fast.rate_mean.diff("point") < 0).all()
    assert (fast.tau_mean.diff("point") < 0).all()


def test_mean_and_interval_are_over_the_channels(held):
    ds = held[1]
    R = ds.rate.sel({"method": "fast"})[0].values
    half = 12.706204736432095 * R.std(ddof=1) / np.sqrt(2)  # Student's t, one degree of freedom
    row = next(r for r in summary(ds) if r["method"] == "fast")
    assert (row["axis"], row["value"], row["infeasible"]) == ("omega", WEIGHTS[0], 0)
    assert row["rate"] == pytest.approx(R.mean())
    assert row["rate_high"] == pytest.approx(R.mean() + half)
    assert len(summary(ds)) == 3 + 2 + 3 + 2


def test_progress_comes_to_its_end_in_order(held):
    shares = held[2]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0.5 < shares[-1] <= 1


def test_a_point_that_a_channel_cannot_reach_has_no_mean(monkeypatch):
    s = small(16, 2, count=2, snr_db=12.0)
    monkeypatch.setattr(module, "_limits", lambda *_: np.array([1e-3, 90.0]))
    ds = front(s, methods=("constrained",), points=2)
    assert (ds.faults[0, 0] == Fault.TAU_ABOVE_LIMIT).all()
    assert np.isnan(ds.rate_mean[0, 0]) and np.isfinite(ds.rate[0, 0]).all()
    assert np.isfinite(ds.rate_mean[0, 1])
    assert summary(ds)[0]["infeasible"] == 2


def test_the_picture_shows_the_curves_of_the_file(held):
    ds = held[1]
    lines = {line.get_label(): line for line in titled(picture, ds).axes[0].lines}
    assert set(lines) == {
        "problem (7), over τ₀", "fast, over ω", "SCA-ManOpt, over ρ", "SCA-ManOpt, ρ = 0.8",
        "SCA-ManOpt, as published, ρ = 0.8",
    }  # fmt: skip
    x, y = lines["problem (7), over τ₀"].get_data()
    np.testing.assert_array_equal(x, ds.tau_mean.sel({"method": "constrained"}))
    np.testing.assert_array_equal(y, ds.rate_mean.sel({"method": "constrained"}))


def test_unfolded_at_its_own_weight_is_the_shipped_model(monkeypatch):
    """With factors of 1 the curve passes through the paper's point, which is the same design."""
    monkeypatch.setattr(module, "best_scales", lambda *_: (1.0, 1.0))
    s = small(64, 4, count=2, snr_db=12.0)
    ds = front(s, methods=("unfolded",), weights=np.array([0.3, 0.6]), inner=10)
    assert ds["mark"].values.tolist()[:3] == ["unfolded_j1", "unfolded_j10", "unfolded_j20"]
    np.testing.assert_array_equal(
        ds.rate.sel({"method": "unfolded_j10"})[0], ds.mark_rate.sel(mark="unfolded_j10")
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ("start",)}, "no front of the method 'start'; known: constrained"),
        ({"methods": ()}, "no front of the method ''"),
        ({"methods": ("fast", "fast")}, "named twice"),
        ({"weights": np.array([0.1])}, "two weights"),
        ({"weights": np.array([0.1, -1.0])}, "above 0"),
        ({"points": 1}, "at least 2 points"),
    ],
)
def test_bad_requests_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        front(small(), **options)
    with pytest.raises(ValueError, match="one SNR"):
        front(small(snr_db=[0.0, 6.0]), **options)


def test_command(run):  # noqa: F811
    assert run("generate", "-o", "c.mat", "--antennas", 16, "--users", 2, "--count", 2)[0] == 0
    psi = ("--targets-deg", -30, 30)
    code, out, err = run(
        "front", "c.mat", *psi, "--method", "fast", "--method", "constrained", "--weights", 0.3, 0.01,
        "--points", 2, "-o", "f.nc", "--json",
    )  # fmt: skip
    assert code == 0, err
    got = json.loads(out)
    assert [p["value"] for p in got["points"] if p["method"] == "fast"] == [0.01, 0.3]
    assert [p["axis"] for p in got["points"] if p["method"] == "constrained"] == ["tau_0", "tau_0"]
    assert Path("f.png").read_bytes().startswith(b"\x89PNG")
    assert Path("f.pdf").read_bytes().startswith(b"%PDF")
    ds = load(Path("f.nc"))
    assert ds.attrs["command"].startswith("beamfold front c.mat --targets-deg -30 30 --method fast")
    assert float(ds.rate_mean[0, 1]) == pytest.approx(got["points"][1]["rate"])
    before = Path("f.nc").read_bytes()
    code, _, err = run("front", "c.mat", *psi, "--method", "fast", "--quick", "-o", "f.nc")
    assert (code, "--force" in err) == (2, True)
    assert Path("f.nc").read_bytes() == before
    code, _, err = run("front", "c.mat", *psi, "--method", "fast", "-o", "f.mat")
    assert (code, ".nc" in err) == (2, True)
    code, _, err = run("front", "c.mat", *psi, "--method", "quick", "-o", "g.nc")
    assert (code, "known: constrained" in err) == (2, True)
    assert not Path("g.nc").exists()


def test_command_in_short_and_without_a_model(run):  # noqa: F811
    run("generate", "-o", "c.mat", "--antennas", 16, "--users", 2, "--count", 11)
    quick = ("front", "c.mat", "--targets-deg", -30, 30, "--quick")
    got = json.loads(run(*quick, "--method", "fast", "-o", "q.nc", "--json")[1])
    assert got["count"] == 10
    assert len([p for p in got["points"] if p["method"] == "fast"]) == 6
    run("generate", "-o", "d.mat", "--antennas", 16, "--users", 2, "--count", 1)
    code, out, err = run("front", "d.mat", "--targets-deg", -30, 30, "--points", 2, "-o", "f.nc")
    assert code == 0, err
    assert "unfolded PGA is left out" in err
    assert "problem (7)" in out
    assert Path("f.png").exists()
