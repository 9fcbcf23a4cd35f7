"""beamfold squint: designs over the bandwidth, true time delay in a design, and the command."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_cli import run  # noqa: F401

import beamfold as bf
from beamfold.arrays import line_array, planar_array
from beamfold.experiments.squint import Study, gains, squint, summary
from beamfold.experiments.store import load
from beamfold.optim.delay_lines import _Model, steering_delays, with_delay_lines
from beamfold.squint import delayed_beam, gain_over_band

STUDY = Study(
    line_array(8), users=2, count=2, subcarriers=3, targets_deg=(-30.0, 40.0), method="phased-zf", seed=3
)


def band(bandwidth_ghz=2.0, chains=2, count=2, each=True):
    """A small band scenario with the study's channels and Ψ."""
    H, f = bf.saleh_valenzuela(
        8, 2, count, seed=3, subcarriers=3, carrier_hz=28e9, bandwidth_hz=1e9 * bandwidth_ghz
    )
    ratios = (f / 28e9).tolist()
    radar = bf.solve_covariance(8, (-30, 40))
    radars = bf.solve_band(8, (-30, 40), ratios=ratios, slack=0.01) if each else radar
    s = bf.make_scenario(H, radars, snr_db=12, frequencies=f, carrier_hz=28e9, chains=chains)
    return s


@pytest.fixture(scope="module")
def studied():
    return squint(STUDY, bandwidths_ghz=(0.5, 2.0), chains=(2, 4), lines=(2,))


def test_every_figure_is_that_of_its_design(studied):
    """Designed anew, without the experiment's own code for the designs."""
    s = band(2.0)
    common = bf.phased_zf(s)
    blind = bf.phased_zf(band(2.0, each=False))
    each = torch.stack([bf.phased_zf(part).X for part in s.parts()], -3)
    sub = bf.phased_zf(replace(s, network=bf.subarrays(8, 2)))
    at = studied.sel(bandwidth_ghz=2.0, chains=2)
    for name, X in (("common", common.X), ("blind", blind.X), ("each", each), ("subarrays", sub.X)):
        held = at.sel(design=name)
        assert np.allclose(held["rate"], s.rate(X), rtol=1e-9)
        assert np.allclose(held["tau"], s.tau(X), rtol=1e-9)
        assert np.allclose(held["objective"], s.objective(X), rtol=1e-9)
    ceiling = bf.digital(s)
    held = studied.sel(bandwidth_ghz=2.0)
    assert np.allclose(held["digital_objective"], ceiling.objective, rtol=1e-6)
    assert not bool((studied["faults"] != 0).any())
    assert summary(studied)[-1]["design"] == "digital"


def test_the_gain_is_the_power_to_the_windows_at_their_own_frequencies(studied):
    s = band(2.0)
    d = bf.phased_zf(s)
    power = float(s.power[0])
    windows = []
    for i, r in enumerate(s.band.ratios):
        for target in (-30, 40):
            angles = np.deg2rad(np.arange(target - 2, target + 3))  # 5 degrees wide on the grid of 1
            a = np.exp(1j * math.pi * r * np.arange(8) * np.sin(angles)[:, None])
            windows.append((np.abs(a.conj() @ d.X[:, i].numpy()) ** 2).sum(-1).mean(-1) / power)
    mean, worst = gains(d)
    assert np.allclose(mean, np.mean(windows, 0), rtol=1e-9)
    assert np.allclose(worst, np.min(windows, 0), rtol=1e-9)
    held = studied.sel(bandwidth_ghz=2.0, chains=2, design="common")
    assert np.allclose(held["gain_worst"], worst, rtol=1e-9)


def test_the_conventional_picture_is_the_gain_of_beams_set_at_the_carrier(studied):
    """At a target the beam set for it has the gain N g(r)/P, and what the other target's beam adds."""
    array, ratios = line_array(8), band(1.0 if 1.0 in studied["bandwidth_ghz"] else 2.0).band.ratios
    angles = torch.deg2rad(torch.tensor(studied["angle_deg"].values))
    i = int(np.argmin(np.abs(studied["angle_deg"].values - 40)))
    other = delayed_beam(array, torch.deg2rad(torch.tensor(-30.0, dtype=torch.float64)), 1.0)
    for s, r in enumerate(ratios):
        expected = 8 * (
            float(gain_over_band(array, angles[i], [r])[0])
            + float((array.steering(angles[i], r).conj() @ other).abs().square())
        )
        held = studied["pattern"].sel(picture="conventional").isel(subcarrier=s, angle_deg=i)
        assert float(held) == pytest.approx(expected / 2, rel=1e-9)


@pytest.mark.parametrize("lines", [1, 2, 8])
def test_delay_lines_are_never_below_the_design_they_begin_with(lines):
    s = band(4.0, chains=4)
    d = bf.phased_zf(s)
    X, t = with_delay_lines(s, d, lines, iterations=30)
    assert X.shape == d.X.shape and t.shape == (2, lines, 4)
    assert bool((s.objective(X) > d.objective).all())
    assert float(s.power_error(X).max()) < 1e-12


def test_the_gradient_of_delay_lines_against_differences():
    s = band(6.0, chains=4)
    d = bf.phased_zf(s)
    model = _Model(s[0], 2)
    x = model.packed(d.F[0], torch.full((2, 4), 0.3, dtype=torch.float64), d.W[0])
    x = x + 0.1 * np.random.default_rng(1).standard_normal(len(x))
    _, gradient = model.cost(x)
    for i in range(0, len(x), 3):
        h = np.zeros(len(x))
        h[i] = 1e-6
        expected = (model.cost(x + h)[0] - model.cost(x - h)[0]) / 2e-6
        assert gradient[i] == pytest.approx(expected, rel=1e-5, abs=1e-5 * np.abs(gradient).max())


def test_delays_that_steer_are_the_time_of_flight_to_each_block():
    """A column that is one beam, with its delays, is `delayed_beam`."""
    array, angle = line_array(8), torch.deg2rad(torch.tensor(41.5, dtype=torch.float64))
    F = (8**0.5 * array.steering(angle))[:, None]
    t = steering_delays(array, F, 4)
    for r in (0.95, 1.03):
        turned = torch.exp(2j * math.pi * (r - 1) * t.repeat_interleave(2, 0))
        w = delayed_beam(array, angle, r, 4)
        assert torch.allclose((F * turned)[:, 0] / 8**0.5, w, atol=1e-12)


def test_what_delay_lines_refuse():
    s = band()
    d = bf.phased_zf(s)
    with pytest.raises(bf.InputError, match="3 delay lines do not divide 8 antennas"):
        with_delay_lines(s, d, 3)
    flat = s.parts()[0]
    with pytest.raises(bf.InputError, match="for a band and a design with one F"):
        with_delay_lines(flat, bf.phased_zf(flat), 2)


def test_the_command(run, studied):  # noqa: F811
    sizes = ("--antennas", 8, "--users", 2, "--count", 2, "--seed", 3, "--subcarriers", 3)
    over = ("--over-bandwidth-ghz", 0.5, 2, "--over-chains", 2, 4, "--targets-deg", -30, 40)
    code, out, err = run("squint", "-o", "q.nc", *sizes, *over, "--method", "phased-zf", "--ttd", 2, "--json")
    assert code == 0, err
    told, ds = json.loads(out), load(Path("q.nc"))
    for name in ("rate", "tau", "gain_worst", "pattern"):
        assert np.array_equal(ds[name], studied[name])
    assert told["results"] == summary(studied)
    assert min(Path(f"q{suffix}").stat().st_size for suffix in (".png", ".pdf")) > 10_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--over-chains", 3], "3 chains do not divide 8 antennas"),
        (["--over-chains", 1], "1 chains are fewer than 2 users"),
        (["--ttd", 3], "3 delay lines do not divide 8 antennas"),
        (["--over-bandwidth-ghz", 30], "a bandwidth of 30 GHz is above the carrier, 28 GHz"),
        (["--array", "planar:4x2"], "for a line"),
        (["--targets-deg", "20/10"], "for a line"),
        (["--method", "constrained"], "constrained"),
    ],
)
def test_refusals(options, message, run):  # noqa: F811
    sizes = ("--antennas", 8, "--users", 2, "--count", 1, "--subcarriers", 2, "--method", "phased-zf")
    over = () if "--over-chains" in options else ("--over-chains", 2)
    code, out, err = run("squint", "-o", "q.nc", *sizes, *over, *options)
    assert (code, out) == (2, "") and message in err, err


def test_a_planar_array_is_refused_in_python():
    with pytest.raises(bf.InputError, match="for a line, whose pictures have one angle"):
        squint(replace(STUDY, array=planar_array(4, 2)))
