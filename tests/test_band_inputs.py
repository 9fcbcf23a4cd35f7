"""Channels and Ψ of a band: draws, frequencies, problem (6) at other frequencies, files and commands."""

from __future__ import annotations

import cmath
import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from conftest import ulps
from test_cli import run  # noqa: F401

import beamfold as bf
from beamfold.arrays import line_array, planar_array
from beamfold.channel import band_frequencies, saleh_valenzuela
from beamfold.covariance import solve_band, solve_covariance
from beamfold.covariance.fast import fast_covariance
from beamfold.covariance.lowrank import _descend, _distance_and_gradient, _leading
from beamfold.covariance.problem import Problem, check_problem, desired_pattern, unseen
from beamfold.files.arrays import read_arrays, write_arrays
from beamfold.files.bands import read_frequencies
from beamfold.files.covariances import cached_band

TARGETS = (-59, 0, 60)


# frequencies and channels


def test_frequencies_are_centred_at_the_carrier(reference):
    f = band_frequencies(4, 28e9, 1e9)
    assert f.tolist() == [27.625e9, 27.875e9, 28.125e9, 28.375e9]
    assert band_frequencies(1, 28e9, 1e9).tolist() == [28e9]
    draws = np.load(reference / "wideband" / "draws_28ghz.npz")
    for name, bandwidth in (("1GHz", 1e9), ("100MHz", 1e8)):
        assert np.array_equal(band_frequencies(16, 28e9, bandwidth), draws[f"frequencies_hz_{name}"])


def test_a_channel_of_a_band_is_the_sum_of_its_paths():
    """The model by hand from the generator's own numbers: gains, delays and angles common to the band."""
    N, K, Q, S, seed, b = 6, 2, 3, 5, 5, 4
    carrier, bandwidth, delay = 28e9, 2e9, 30e-9
    H, f = saleh_valenzuela(
        N, K, 1, seed=seed, paths=Q, first=b,
        subcarriers=S, carrier_hz=carrier, bandwidth_hz=bandwidth, delay_s=delay,
    )  # fmt: skip
    assert H.shape == (1, S, K, N) and H.dtype == torch.complex128
    generator = np.random.default_rng([seed, b])
    re, im = generator.standard_normal((2, K, Q)) / math.sqrt(2)
    phi = generator.uniform(0, 2 * math.pi, (K, Q))
    tau = generator.uniform(0, delay, (K, Q))
    for s, k in np.ndindex(S, K):
        assert float(f[s]) == carrier + bandwidth * (s + 1 - (S + 1) / 2) / S
        offset, ratio = float(f[s]) - carrier, float(f[s]) / carrier
        h = np.zeros(N, complex)
        for q in range(Q):
            a = np.exp(1j * math.pi * ratio * np.arange(N) * math.sin(phi[k, q])) / math.sqrt(N)
            turn = cmath.exp(-2j * math.pi * offset * tau[k, q])
            h += math.sqrt(N / Q) * (re[k, q] + 1j * im[k, q]) * turn * a
        assert np.allclose(H[0, s, k], h.conj(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("array", [line_array(8), planar_array(3, 2)])
@pytest.mark.parametrize("receive", [None, 2])
def test_one_subcarrier_is_the_flat_channel_and_the_middle_one_its_draw(array, receive):
    flat = saleh_valenzuela(array, 3, 4, seed=2, receive=receive)
    one, f = saleh_valenzuela(array, 3, 4, seed=2, receive=receive, subcarriers=1)
    assert torch.equal(one[:, 0], flat) and f.tolist() == [28e9]
    several, _ = saleh_valenzuela(array, 3, 4, seed=2, receive=receive, subcarriers=3)
    assert torch.equal(several[:, 1], flat)
    assert not torch.isclose(several[:, 0], flat).any()


def test_the_band_loses_its_correlation_over_the_longest_delay():
    """E h_s^H h_{s'} = N (1 − e^{−jx})/(jx), x = 2π (f_s − f_{s'}) τ_max, with no squint to speak of."""
    S, delay, N = 8, 20e-9, 4
    H, f = saleh_valenzuela(
        N, 4, 3000, seed=3, subcarriers=S, carrier_hz=1e15, bandwidth_hz=2e8, delay_s=delay
    )
    found = (H[:, 0].conj() * H[:, -1]).sum(-1).mean() / N
    x = 2 * math.pi * float(f[-1] - f[0]) * delay
    expected = ((1 - cmath.exp(-1j * x)) / (1j * x)).conjugate()
    assert abs(complex(found) - expected) < 5 / math.sqrt(4 * 3000)
    power = H.abs().square().sum(-1).mean((0, 2)) / N
    assert float((power - 1).abs().max()) < 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subcarriers": 0}, "subcarriers must be at least 1, got 0"),
        ({"carrier_hz": math.nan}, "the carrier must be a positive number of Hz, got nan"),
        ({"bandwidth_hz": 0.0}, "the bandwidth must be a positive number of Hz, got 0"),
        (
            {"bandwidth_hz": 29e9},
            "a bandwidth of 29 GHz is above the carrier, 28 GHz; it must be at most that",
        ),
        ({"delay_s": -1e-9}, "the largest delay must be at least 0 s, got -1e-09"),
        ({"count": 10**6}, "1000000 channels of 8 subcarriers take 3.8 GiB, more than the 2 GiB"),
    ],
)
def test_bad_bands_are_refused_in_one_line(change, message):
    with pytest.raises(bf.InputError, match=message):
        saleh_valenzuela(**({"antennas": 16, "users": 2, "count": 1, "subcarriers": 8} | change))


# Ψ of every subcarrier


def share_unseen(Psi, ratio):
    """The part of the power on r < |u| ≤ 1, where a half-wavelength line sends to no angle."""
    u = torch.arange(20000, dtype=torch.float64) / 10000 - 1
    a = line_array(len(Psi)).response(torch.stack([0 * u, u, 0 * u], -1))
    p = ((a.conj() @ Psi) * a).sum(-1).real
    return float(p[u.abs() > ratio].sum() / p.sum())


def test_the_ratio_one_is_the_problem_as_it_was():
    """Ψ at the carrier has the same bits with and without a ratio, and no samples beside the angles."""
    assert torch.equal(solve_covariance(16, TARGETS).Psi, solve_band(16, TARGETS, ratios=[1.0])[0].Psi)
    assert len(unseen(line_array(64), 181, 1.0)) == 0


@pytest.mark.parametrize("ratio", [0.95, 0.9625, 0.975, 0.982, 0.985, 0.99, 0.995, 0.999, 1.001, 1.01, 1.02])
def test_psi_of_a_subcarrier_is_certified_and_hides_no_power(ratio):
    radar = solve_covariance(64, (-60, 0, 60), ratio=ratio)
    assert radar.gap <= 1e-6
    assert radar.ratio == ratio
    assert share_unseen(radar.Psi, ratio) <= 0.015
    assert 6.55 < radar.scale < 6.75


@pytest.mark.parametrize("ratio, alpha, share", [(0.982, 6.64, 0.004), (0.95, 6.71, 0.012)])
def test_the_figures_of_the_cure_of_the_invisible_region(ratio, alpha, share):
    """Computed independently of this program, with samples of a density of its own."""
    radar = solve_covariance(64, (-60, 0, 60), ratio=ratio)
    assert radar.scale == pytest.approx(alpha, abs=0.01)
    assert share_unseen(radar.Psi, ratio) == pytest.approx(share, abs=0.001)


@pytest.mark.parametrize("ratio, least", [(0.982, 0.04), (0.95, 0.8)])
def test_without_samples_of_no_angle_power_hides_there(ratio, least):
    pattern, grid = desired_pattern((-60, 0, 60))
    cosines = np.stack([0 * grid, ratio * np.sin(grid), 0 * grid], -1)
    found = fast_covariance(Problem(line_array(64), pattern, cosines), tolerance=1e-6)
    assert share_unseen(torch.from_numpy(found.Psi), ratio) > least


def test_optimal_values_of_the_published_band(reference):
    """(6a) of the authors' two subcarriers, 28 GHz ± 250 MHz, 8 antennas, at unit power; their samples."""
    held = scipy.io.loadmat(reference / "wideband" / "data_sens_8x2x2.mat")
    pattern, theta = held["Pd_theta"].ravel().astype(float), held["theta"].ravel()
    published = {0: (123.95975, 1.3710), 1: (120.41587, 1.3665)}
    for s, (objective, alpha) in published.items():
        ratio = float(band_frequencies(2, 28e9, 1e9)[s]) / 28e9
        cosines = np.stack([0 * theta, ratio * np.sin(theta), 0 * theta], -1)
        problem = Problem(line_array(8), pattern, cosines)
        steering = held["a"][:, :, s]  # its elements count from 1, which multiplies a column by a phase
        assert np.allclose(steering / steering[0], problem.steering, atol=1e-9)
        found = fast_covariance(problem, tolerance=1e-7)
        assert found.objective == pytest.approx(objective, rel=1e-6)
        assert found.alpha == pytest.approx(alpha, abs=1e-4)


def test_a_planar_array_below_and_above_the_carrier():
    array = planar_array(4, 3)
    for ratio in (0.96, 1.04):
        radar = solve_covariance(array, [(10, 5)], ratio=ratio, angles=31)
        assert radar.gap <= 1e-5
        outside = np.linalg.norm(unseen(array, 31 * 31, ratio), axis=1)
        assert outside.min() > ratio


def test_what_a_ratio_must_be():
    for ratio in (0.4, 1.6, math.nan):
        with pytest.raises(bf.InputError, match="must be 0\\.5 to 1\\.5 times"):
            solve_covariance(8, ratio=ratio)
    pattern, grid = desired_pattern((0,), 102)
    check_problem(pattern, grid, 64)
    with pytest.raises(bf.InputError, match="grid too coarse"):
        check_problem(pattern, grid, 64, 1.03)


def test_the_cache_keeps_a_psi_for_each_ratio(tmp_path, monkeypatch):
    monkeypatch.setattr("beamfold.files.covariances.FOLDER", str(tmp_path))
    ratios = (0.98, 1.0, 1.02)
    solved = cached_band(8, (-30, 20), ratios=ratios)
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr("beamfold.files.covariances._keep", None)  # nothing is solved again
    for ours, again in zip(solved, cached_band(8, (-30, 20), ratios=ratios), strict=True):
        assert torch.equal(ours.Psi, again.Psi) and ours.ratio == again.ratio and ours.gap == again.gap


def distances(radars):
    """The mean over the subcarriers of ‖Ψ_s − their mean‖²."""
    Psi = torch.stack([radar.Psi for radar in radars])
    return float((Psi - Psi.mean(0)).abs().square().sum((-2, -1)).mean())


def test_slack_finds_covariances_that_lie_close_to_the_carriers():
    """Within 1 % of their optima, proven, fifty times closer to each other than those solved one by one."""
    ratios = (band_frequencies(5, 28e9, 0.1e9) / 28e9).tolist()
    assert ratios[2] == 1.0
    alone, close = solve_band(64, ratios=ratios), solve_band(64, ratios=ratios, slack=0.01)
    assert torch.equal(close[2].Psi, alone[2].Psi) and torch.equal(close[2].Psi, solve_covariance(64).Psi)
    assert max(radar.gap for radar in close) <= 0.01
    rank = close[2].factor(1e-3).U.shape[-1]
    for ours, best in zip(close, alone, strict=True):
        assert best.objective * (1 - 1e-6) <= ours.objective <= 1.01 * best.objective
        assert ours is close[2] or int((ours.spectrum[0] > 1e-12).sum()) <= rank
        assert share_unseen(ours.Psi, ours.ratio) <= 0.015
    assert distances(close) < distances(alone) / 50


def test_the_gradient_of_the_distance_against_central_differences():
    N, r = 7, 3
    near = solve_covariance(N, (-20, 30)).Psi.numpy()
    u = np.random.default_rng(5).standard_normal(2 * N * r)
    _, gradient = _distance_and_gradient(u, near, r)
    for i in range(0, u.size, 5):
        h = np.eye(u.size)[i] * 1e-6
        above, below = (_distance_and_gradient(v, near, r)[0] for v in (u + h, u - h))
        assert gradient[i] == pytest.approx((above - below) / 2e-6, rel=1e-6, abs=1e-8)


def test_near_is_nearer_than_the_first_point_of_a_descent_from_there():
    """At r = 0.99 and 1 %: less than two thirds of the squared distance to the carrier's Ψ."""
    centre = solve_covariance(64)
    near = solve_covariance(64, ratio=0.99, rank=7, tolerance=0.01, near=centre)
    assert near.gap <= 0.01
    pattern, grid = desired_pattern(TARGETS)
    problem = check_problem(pattern, grid, 64, 0.99)
    QA = problem.rejected(problem.lags.basis(problem.cosines))
    start = _leading(centre.Psi.numpy(), 7)
    value, V = _descend((QA.T @ QA), problem.lags, start, near.objective, 4000)
    assert value <= near.objective
    first, second = (np.linalg.norm(P - centre.Psi.numpy()) ** 2 for P in (near.Psi.numpy(), V @ V.conj().T))
    assert first < 2 * second / 3


def test_near_needs_a_rank_and_its_antennas():
    with pytest.raises(bf.InputError, match="near needs a rank, and a Psi of 8 antennas"):
        solve_covariance(8, near=solve_covariance(8))
    with pytest.raises(bf.InputError, match="near needs a rank, and a Psi of 8 antennas"):
        solve_covariance(8, rank=2, near=solve_covariance(7))


def test_the_cache_tells_what_a_psi_is_near_to(tmp_path, monkeypatch):
    monkeypatch.setattr("beamfold.files.covariances.FOLDER", str(tmp_path))
    first = cached_band(8, (-30, 20), ratios=(0.99,), slack=0.01)
    assert torch.equal(first[0].Psi, solve_band(8, (-30, 20), ratios=(0.99,), slack=0.01)[0].Psi)
    cached_band(8, (-30, 20), ratios=(0.99,), slack=0.02)
    assert len(list(tmp_path.iterdir())) == 3  # the carrier's and two more
    monkeypatch.setattr("beamfold.files.covariances._keep", None)
    again = cached_band(8, (-30, 20), ratios=(0.99,), slack=0.01)
    assert torch.equal(again[0].Psi, first[0].Psi)


# files and commands


@pytest.mark.parametrize("suffix", ["npz", "mat"])
def test_channels_of_a_band_in_a_file(run, suffix):  # noqa: F811
    name = f"b.{suffix}"
    sizes = ("--antennas", 8, "--users", 2, "--count", 3, "--seed", 4)
    band = ("--subcarriers", 4, "--carrier-ghz", 30, "--bandwidth-ghz", 2, "--delay-ns", 10)
    code, out, err = run("generate", "-o", name, *sizes, *band, "--json")
    assert code == 0, err
    assert json.loads(out)["shape"] == [3, 4, 2, 8]
    H, f = saleh_valenzuela(
        8, 2, 3, seed=4, subcarriers=4, carrier_hz=30e9, bandwidth_hz=2e9, delay_s=1e-9 * 10
    )
    assert torch.equal(bf.read_channels(name), H)
    held = read_frequencies(name)
    assert held is not None and torch.equal(held.frequencies, f) and held.carrier == 30e9
    assert json.loads(out)["frequencies"] == f.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bandwidth-ghz", 1], "bandwidth_ghz describes a band; give subcarriers (--subcarriers) as well"),
        (["--subcarriers", 4, "--bandwidth-ghz", 29], "a bandwidth of 29 GHz is above the carrier, 28 GHz"),
        (["--subcarriers", 0], "subcarriers must be at least 1, got 0"),
        (["--subcarriers", 4, "--delay-ns", -1], "the largest delay must be at least 0 s"),
        (["--subcarriers", 4096, "--count", 1000], "GiB, more than the 2 GiB that are drawn at once"),
    ],
)
def test_generate_refuses_in_one_line(run, options, message):  # noqa: F811
    code, out, err = run("generate", "-o", "b.npz", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


BAND_AXES = "channels,subcarriers,users,antennas"


def band_file(path, **changes):
    held = {"H": np.ones((2, 3, 2, 4), complex), "frequencies": np.array([1e9, 2e9, 3e9]), "carrier": 2e9}
    write_arrays(path, {name: value for name, value in (held | changes).items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"frequencies": None},
            "order the shape does not tell; give .*--axes channels,subcarriers,users,antennas",
        ),
        ({"frequencies": None, "axes": BAND_AXES}, "has 3 subcarriers and the file no frequencies"),
        (
            {"H": np.ones((3, 3, 2, 4), complex)},
            "does not tell; give --axes channels,subcarriers,users,antennas",
        ),
        ({"frequencies": np.array([1e9, 1e9, 2e9])}, "finite positive real numbers in Hz that increase"),
        ({"frequencies": np.array([1e9, math.nan, 2e9])}, "finite positive real numbers in Hz that increase"),
        ({"frequencies": np.array([1e9, 2e9]), "axes": BAND_AXES}, "2 values for 3 subcarriers"),
        ({"carrier": None}, "has frequencies and needs carrier"),
        ({"H": np.ones((2, 3, 5, 4), complex), "axes": BAND_AXES}, "5 users and 4 antennas"),
    ],
)
def test_a_file_that_is_no_band_is_refused(tmp_path, changes, message):
    with pytest.raises(bf.InputError, match=message):
        bf.read_channels(band_file(tmp_path / "b.npz", **changes))


def test_one_channel_of_a_band_needs_no_axis(tmp_path):
    one = {"H": np.ones((3, 2, 4), complex), "axes": "subcarriers,users,antennas"}
    assert bf.read_channels(band_file(tmp_path / "b.npz", **one)).shape == (1, 3, 2, 4)


@pytest.mark.parametrize("suffix", ["npz", "mat"])
def test_psi_of_a_band_in_a_file(run, suffix):  # noqa: F811
    name = f"psi.{suffix}"
    band = ("--subcarriers", 3, "--carrier-ghz", 28, "--bandwidth-ghz", 1.5)
    sizes = ("--antennas", 8, "--targets-deg", -30, 20)
    code, out, err = run("covariance", *sizes, *band, "-o", name, "--json")
    assert code == 0, err
    ratios = (band_frequencies(3, 28e9, 1.5e9) / 28e9).tolist()
    solved = solve_band(8, (-30, 20), ratios=ratios)
    found = bf.read_band_sensing(name)
    assert [radar.ratio for radar in found] == ratios
    for ours, theirs in zip(found, solved, strict=True):
        assert ulps(ours.Psi, theirs.Psi) <= 2  # the file's Ψ is brought to trace 1
        for figure in ("scale", "objective", "gap", "solver"):
            assert getattr(ours, figure) == getattr(theirs, figure)
        assert np.allclose(ours.targets, theirs.targets)
        assert torch.equal(ours.desired, theirs.desired)
    assert json.loads(out)["objective"] == [radar.objective for radar in solved]
    held = read_arrays(Path(name))
    assert held["Psi"].shape == (3, 8, 8) and held["gap"].size == 3
    with pytest.raises(bf.InputError, match="a covariance for each subcarrier of a band; expected one"):
        bf.read_sensing(name)


def test_one_common_psi_for_a_band(run):  # noqa: F811
    sizes = ("--antennas", 8, "--targets-deg", -30, 20)
    assert run("covariance", *sizes, "--subcarriers", 3, "--common", "-o", "one.npz")[0] == 0
    assert ulps(bf.read_sensing("one.npz").Psi, solve_covariance(8, (-30, 20)).Psi) <= 2
    for options, message in (
        (("--common",), "--common is of a band; give --subcarriers as well"),
        (("--slack", 0.01), "--slack is of a band; give --subcarriers as well"),
        (("--subcarriers", 3, "--common", "--slack", 0.01), "--common solves for one Psi; leave --slack out"),
    ):
        code, out, err = run("covariance", *sizes, *options, "-o", "two.npz")
        assert (code, out, err) == (2, "", f"error: {message}\n")
    assert run("covariance", *sizes, "--subcarriers", 3, "--slack", 0.01, "-o", "three.npz")[0] == 0
    found = bf.read_band_sensing("three.npz")
    close = solve_band(8, (-30, 20), ratios=[radar.ratio for radar in found], slack=0.01)
    assert ulps(found[0].Psi, close[0].Psi) <= 2
    with pytest.raises(bf.InputError, match="expected \\(subcarriers, antennas, antennas\\)"):
        bf.read_band_sensing("one.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frequencies": None}, "no frequencies for 2 subcarriers of Psi"),
        ({"frequencies": np.array([1e9, 2e9, 3e9])}, "3 frequencies for 2 subcarriers of Psi"),
        ({"gap": np.zeros(3)}, "gap has 3 values for 2 subcarriers"),
        ({"Psi": np.stack([np.eye(4), -np.eye(4)])}, "not positive semidefinite"),
    ],
)
def test_a_file_that_is_no_psi_of_a_band_is_refused(tmp_path, changes, message):
    held = {
        "Psi": np.stack([np.eye(4), np.eye(4)]) / 4,
        "frequencies": np.array([1e9, 2e9]),
        "carrier": 1.5e9,
    }
    path = tmp_path / "psi.npz"
    write_arrays(path, {name: value for name, value in (held | changes).items() if value is not None})
    with pytest.raises(bf.InputError, match=message):
        bf.read_band_sensing(path)
