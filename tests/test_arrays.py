"""Arrays of any positions: steering, lags, (6) with its certificate, patterns, files, refusals."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ulps

import beamfold as bf
from beamfold import arrays
from beamfold.arrays import Array, line_array, planar_array, steering
from beamfold.covariance import problem as problems
from beamfold.covariance.fast import fast_covariance
from beamfold.covariance.newton import DenseTraces, GridTraces
from beamfold.covariance.problem import default_width, desired_pattern, problem_of
from beamfold.covariance.reference import reference_covariance
from beamfold.files import FileError, cached_covariance, read_antennas
from beamfold.files.designs import read_designs
from beamfold.metrics import beampattern, pattern_error
from beamfold.testing import check_array
from beamfold.verifier import verify


def apart(count, size, least, seed=0):
    """Random positions in a square of y and z, none nearer to another than `least` wavelengths."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < count:
        new = rng.uniform(0, size, 2)
        if all(math.dist(new, old) >= least for old in found):
            found.append(new)
    return Array([[0, y, z] for y, z in found])


RANDOM = apart(16, 3.5, 0.5)
CIRCLE = Array([[0, math.cos(2 * math.pi * n / 9), math.sin(2 * math.pi * n / 9)] for n in range(9)])
ARRAYS = {
    "line": line_array(8),
    "one antenna": line_array(1),
    "line the other way": line_array(7, -0.5),
    "dense line": line_array(6, 0.4),
    "planar": planar_array(4, 3),
    "planar with two spacings": planar_array(2, 5, (0.5, 0.7)),
    "column": planar_array(1, 6),
    "circle": CIRCLE,
    "random": RANDOM,
    "in space": Array(np.random.default_rng(1).normal(size=(5, 3))),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_every_array_keeps_the_contract(name):
    check_array(ARRAYS[name])


def test_the_default_array_is_equation_3():
    angles = torch.linspace(-1.5, 1.5, 31, dtype=torch.float64)
    a = line_array(64).steering(angles)
    literal = np.exp(1j * np.pi * np.outer(np.sin(angles.numpy()), np.arange(64))) / 8
    assert np.abs(a.numpy() - literal).max() <= 64 * np.pi * 2e-16  # rounding of the phase
    assert torch.equal(a, steering(angles, 64))


def test_a_frequency_moves_the_beam_to_where_r_sin_is_the_same():
    """a(θ', r) = a(θ, 1) where r sin θ' = sin θ: the squint of a line."""
    array, ratio = line_array(32), 0.97
    theta = torch.tensor([0.3, -0.7], dtype=torch.float64)
    moved = torch.asin(torch.sin(theta) / ratio)
    assert float((array.steering(moved, ratio) - array.steering(theta)).abs().max()) < 1e-13


def test_a_grid_of_elements_is_recognised_and_others_are_not():
    assert planar_array(4, 3).lattice.shape == (4, 3)
    assert line_array(5, -0.5).lattice.steps.tolist() == [[0, -0.5, 0]]
    assert RANDOM.lattice is None and CIRCLE.lattice is None
    shuffled = planar_array(4, 3).positions[[1, 0, *range(2, 12)]]
    assert Array(shuffled).lattice is None  # the order of the elements is part of it
    upright = planar_array(4, 3).positions[:, [0, 2, 1]]
    assert Array(upright).lattice.shape == (4, 3)
    assert (planar_array(8, 8).name, line_array(64).name, RANDOM.name) == (
        "planar 8 x 8",
        "line of 64",
        "16 positions",
    )


def test_every_named_array_has_its_file():
    folder = Path(arrays.__file__).parent
    assert {p.stem for p in folder.glob("*.py")} - {"__init__", "base", "lags"} == set(arrays.NAMES)
    assert arrays.named_array("line", 7).same_as(line_array(7))
    assert arrays.named_array("line:5", 7).antennas == 5
    assert arrays.named_array("planar:4x3", 7).same_as(planar_array(4, 3))
    for text, message in (
        ("planar:4", "an array planar is written planar:8x8, got 'planar:4'"),
        ("planr:4x4", "no array 'planr:4x4', did you mean planar:8x8?"),
        ("planar:0x4", "a planar array has at least 1 x 1 elements, got 0 x 4"),
    ):
        with pytest.raises(ValueError) as error:
            arrays.named_array(text, 7)
        assert str(error.value) == message


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Array(np.zeros((2, 3))), "antennas 0 and 1 stand in one place: [0.0, 0.0, 0.0]"),
        (lambda: Array([[0, 0, 0], [0, math.nan, 0]]), "the position of antenna 1 is not finite"),
        (lambda: Array(np.zeros((0, 3))), "positions of an array have axes (antennas, 3), found (0, 3)"),
        (lambda: Array(np.zeros((4, 2))), "positions of an array have axes (antennas, 3), found (4, 2)"),
        (lambda: line_array(0), "an array has at least 1 antenna, got 0"),
        (lambda: line_array(3, 0.0), "antennas 0 and 1 stand in one place"),
        (lambda: planar_array(0, 3), "a planar array has at least 1 x 1 elements, got 0 x 3"),
        (
            lambda: bf.solve_covariance(8, [(20, -10)]),
            "target at azimuth 20, elevation -10 degrees: a line cannot see elevation; give azimuths alone",
        ),
        (lambda: bf.solve_covariance(planar_array(4, 4), [(20, -10, 3)]), "finite angles in degrees"),
        (lambda: bf.solve_covariance(planar_array(4, 4), [20, (3, 4)]), "not both"),
        (lambda: bf.solve_covariance(planar_array(4, 4), [(20, 100)]), "target at 100 degrees: outside"),
        (
            lambda: bf.solve_covariance(planar_array(4, 4), angles=5),
            "grid too coarse: 5 angles over 180 degrees step over whole beams of planar 4 x 4; it needs at "
            "least 7",
        ),
        (
            lambda: bf.Sensing(torch.eye(6, dtype=torch.complex128) / 6, array=planar_array(2, 2)),
            "Psi is (6, 6), the array planar 2 x 2",
        ),
    ],
)
def test_refusals_in_one_line(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_planar_psi_for_a_line_is_refused():
    radar = bf.solve_covariance(planar_array(4, 2), [(20, -10)])
    H = bf.saleh_valenzuela(8, 2, 1)
    with pytest.raises(
        ValueError, match="Psi is for the array planar 4 x 2, the channels are of the array line of 8"
    ):
        bf.make_scenario(H, radar, snr_db=0, array=line_array(8))
    assert bf.make_scenario(H, radar, snr_db=0, array=planar_array(4, 2)).array.name == "planar 4 x 2"


@pytest.mark.parametrize("array", [planar_array(3, 2), planar_array(2, 4, (0.5, 0.6)), line_array(5)])
def test_the_newton_matrix_by_fft_is_that_of_the_dense_traces(array):
    rng, N, L = np.random.default_rng(2), array.antennas, array.lags
    Psi, Y = (
        (Z := rng.standard_normal((N, N)) + 1j * rng.standard_normal((N, N))) @ Z.conj().T for _ in "ab"
    )
    R = rng.standard_normal((4, 2 * L.count - 1))
    for ours, theirs in zip(
        GridTraces(R, L, array.lattice.shape)(Psi, Y, lambda v: v),
        DenseTraces(R, L)(Psi, Y, lambda v: v),
        strict=True,
    ):
        assert np.allclose(ours, theirs, rtol=1e-11, atol=1e-11 * np.abs(theirs).max())


@pytest.mark.parametrize("array", [planar_array(3, 2), Array(RANDOM.positions[:6]), line_array(6, 0.4)])
def test_agrees_with_the_literal_program(array):
    targets = [(20, -10)] if not array.is_line else [20]
    pattern, grid = desired_pattern(targets, 31, 40.0, array)
    problem = problem_of(array, pattern, grid)
    ours = fast_covariance(problem, tolerance=1e-6)
    theirs = reference_covariance(problem, "CLARABEL")
    assert ours.gap <= 1e-6 and ours.lower_bound <= theirs.objective
    assert ours.objective == pytest.approx(theirs.objective, rel=1e-4)


def peak(radar):
    p = beampattern(torch.linalg.cholesky(radar.Psi), radar.angles, radar.array)
    return torch.rad2deg(radar.angles[p.argmax()]).tolist()


def test_a_planar_covariance_is_certified_and_peaks_at_its_target():
    radar = bf.solve_covariance(planar_array(8, 8), [(20, -10)])
    assert radar.gap <= 1e-4
    assert peak(radar) == pytest.approx([20, -10])
    assert float((radar.Psi.diagonal() - 1 / 64).abs().max()) < 1e-12


def test_random_positions_are_solved_and_designed_for():
    radar = bf.solve_covariance(RANDOM, [(20, -10)])
    assert radar.gap <= 1e-4
    s = bf.make_scenario(bf.saleh_valenzuela(RANDOM, 2, 3), radar, snr_db=10)
    assert bool(bf.design(s, "fast").usable.all())
    pattern = beampattern(torch.linalg.cholesky(radar.Psi), radar.angles, RANDOM)
    wanted = radar.desired == 1
    assert float(pattern[wanted].mean()) > 2 * float(pattern[~wanted].mean())


def test_power_hides_where_no_angle_is_unless_the_fit_looks_there(monkeypatch):
    """A planar array at half a wavelength: the corners |c| > 1 of its period are a fifth of it."""
    array = planar_array(6, 6)
    axis = (np.arange(100) + 0.5) / 50 - 1
    cosines = np.stack([np.zeros(10000), *(g.ravel() for g in np.meshgrid(axis, axis))], -1)
    a = array.response(torch.from_numpy(cosines))
    seen = torch.from_numpy((cosines**2).sum(1) <= 1)

    def visible():
        p = ((a.conj() @ bf.solve_covariance(array, [(20, -10)]).Psi) * a).sum(-1).real
        return float(p[seen].sum() / p.sum())

    assert visible() > math.pi / 4
    monkeypatch.setattr(problems, "unseen", lambda array, angles, ratio=1.0: np.zeros((0, 3)))
    assert visible() < 0.5


def test_samples_where_no_angle_is():
    assert len(problems.unseen(line_array(16), 181)) == 0  # the paper's array is seen from everywhere
    dense = problems.unseen(line_array(16, 0.4), 181)
    assert len(dense) and float(np.abs(dense[:, 1]).min()) > 1 and float(np.abs(dense).max()) <= 1.25
    assert len(problems.unseen(RANDOM, 181)) == 0


def test_a_mainlobe_of_an_array_that_sees_elevation_is_a_cone():
    pattern, grid = desired_pattern([(20, -10)], 91, 15.0, planar_array(2, 2))
    unit = planar_array(2, 2).cosines(torch.from_numpy(grid)).numpy()
    target = planar_array(2, 2).cosines(torch.deg2rad(torch.tensor([20.0, -10.0]))).numpy()
    angle = np.rad2deg(np.arccos(np.clip(unit @ target, -1, 1)))
    assert np.array_equal(pattern == 1, angle <= 7.5) and unit.shape == (91 * 91, 3)
    assert default_width(planar_array(8, 8)) == 15 and default_width(line_array(8)) == 5


@pytest.mark.parametrize("name", ["planar", "random", "line the other way"])
def test_the_beampattern_error_two_ways_and_by_the_verifier(name):
    array = ARRAYS[name]
    targets = [20] if array.is_line else [(20, -10)]
    radar = bf.solve_covariance(array, targets, width_deg=30, angles=31)
    s = bf.make_scenario(bf.saleh_valenzuela(array, 2, 3), radar, snr_db=6)
    d = bf.phased_zf(s)
    direct = d.beampattern(radar.angles) - beampattern(torch.linalg.cholesky(s.Psi), radar.angles, array)
    bound = 1e-10 * float(d.mse.max())  # both sum some 100 products of size 1
    assert float((direct.square().mean(-1) - d.mse).abs().max()) <= bound
    assert float((pattern_error(d.X, s.Psi, s.power, radar.angles, array) - d.mse).abs().max()) == 0
    stated = {"rate": d.rate.numpy(), "tau": d.tau.numpy(), "mse": d.mse.numpy()}
    found = verify(
        s.H.numpy(), d.F.numpy(), d.W.numpy(), s.Psi.numpy(), s.power.numpy(), 1.0, stated,
        angles=radar.angles.numpy(), positions=array.positions.numpy(),
    )  # fmt: skip
    assert max(found.worst().values()) < 1e-9


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_files_carry_their_array(tmp_path, suffix):
    array = planar_array(3, 2)
    radar = bf.solve_covariance(array, [(20, -10)], width_deg=40, angles=31)
    H = bf.saleh_valenzuela(array, 2, 4)
    bf.write_channels(tmp_path / f"c{suffix}", H, array=array)
    bf.write_sensing(tmp_path / f"p{suffix}", radar)
    assert read_antennas(tmp_path / f"c{suffix}").same_as(array)
    back = bf.read_sensing(tmp_path / f"p{suffix}")
    assert back.array.same_as(array) and back.angles.shape == radar.angles.shape
    assert float((back.target_angles - radar.target_angles).abs().max()) < 1e-15
    s = bf.make_scenario(bf.read_channels(tmp_path / f"c{suffix}"), back, snr_db=6)
    d = bf.phased_zf(s)
    bf.write_design(tmp_path / f"d{suffix}", d)
    held = read_designs(tmp_path / f"d{suffix}", 4, 2, 6)["design"]
    assert np.array_equal(held.positions, array.positions.numpy()) and held.angles.shape == (961, 2)
    np.savez(tmp_path / "bad.npz", Psi=np.eye(6) / 6, positions=np.zeros((6, 3)))
    with pytest.raises(FileError, match="stand in one place"):
        bf.read_sensing(tmp_path / "bad.npz")
    np.savez(tmp_path / "few.npz", Psi=np.eye(6) / 6, positions=planar_array(2, 2).positions.numpy())
    with pytest.raises(FileError, match="the array has 4 antennas"):
        bf.read_sensing(tmp_path / "few.npz")


def test_the_cache_tells_arrays_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = cached_covariance(planar_array(3, 2), [(20, -10)], width_deg=40, angles=31)
    again = cached_covariance(planar_array(3, 2), [(20, -10)], width_deg=40, angles=31)
    other = cached_covariance(planar_array(2, 3), [(20, -10)], width_deg=40, angles=31)
    assert torch.equal(first.Psi, again.Psi) and again.array.same_as(planar_array(3, 2))
    assert again.targets == first.targets and torch.equal(first.angles, again.angles)
    assert float((first.Psi - other.Psi).abs().max()) > 1e-3


def test_channels_of_a_planar_array_come_from_the_whole_sphere():
    """E[h hᴴ] of directions uniform on the sphere is sinc(2 |p_m − p_n|), and E‖h‖² = N."""
    array = planar_array(3, 2, 0.4)
    h = bf.saleh_valenzuela(array, 4, 3000, paths=4).reshape(-1, 6).conj()
    covariance = h.mT @ h.conj() / len(h)
    p = array.positions
    expected = torch.sinc(2 * torch.linalg.vector_norm(p[:, None] - p[None], dim=-1))
    assert float((covariance - expected).abs().max()) < 5 / math.sqrt(len(h))


def test_fast_on_a_planar_array_against_the_best_of_many_starts():
    array = planar_array(4, 4)
    radar = bf.solve_covariance(array, [(20, -10)])
    s = bf.make_scenario(bf.saleh_valenzuela(array, 3, 6), radar, snr_db=10)
    fast, best = (bf.design(s, m).objective for m in ("fast", "best"))
    assert bool((best >= fast - 1e-9 * best.abs()).all())
    assert float(fast.mean()) >= 0.95 * float(best.mean())


def test_renumbered_antennas_are_the_same_problem():
    """Elements in another order: R, τ and the pattern of zero forcing stay."""
    array, order = planar_array(3, 2), [4, 0, 5, 2, 1, 3]
    moved = Array(array.positions[order])
    radar = bf.solve_covariance(array, [(20, -10)], width_deg=40, angles=31)
    other = bf.Sensing(radar.Psi[order][:, order], radar.targets, radar.angles, radar.desired, array=moved)
    H = bf.saleh_valenzuela(array, 2, 2)
    a = bf.zf_digital(bf.make_scenario(H, radar, snr_db=6))
    b = bf.zf_digital(bf.make_scenario(H[..., order], other, snr_db=6))
    for ours, theirs in ((a.rate, b.rate), (a.tau, b.tau), (a.mse, b.mse)):
        assert ulps(ours, theirs) < 1e4
