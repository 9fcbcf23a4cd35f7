"""Sensing figures against definitions: differences of the mean, published formulas, draws, known patterns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from conftest import relative

import beamfold as bf
from beamfold.arrays import Array, line_array, planar_array
from beamfold.radar import Scene, make_scene
from beamfold.radar.criteria import crb, scnr_sum
from beamfold.radar.detection import detection, detection_swerling, receive_beams, scnr
from beamfold.radar.figures import sense
from beamfold.radar.fisher import AMBIGUOUS, NO_POWER, bound, fisher_matrix
from beamfold.radar.pattern import lobes
from beamfold.radar.trials import run_trials

POWER = 3.7


def drawn(antennas: int, columns: int = 3, count: int = 0, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    shape = (*([count] if count else []), antennas, columns)
    X = torch.from_numpy(rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
    return X * (math.sqrt(POWER) / torch.linalg.matrix_norm(X))[..., None, None]


SCENES = {
    "one": lambda: make_scene(line_array(8), [23.0], target_snr_db=-3),
    "three": lambda: make_scene(line_array(8), [-50, 5, 20], target_snr_db=(-3, -20, 4), phases=(0.3, 1, 2)),
    "receive": lambda: make_scene(line_array(8), [-50, 20], receive=line_array(5, 0.7), phases=(0, 2)),
    "clutter": lambda: make_scene(
        line_array(8), [-50, 20], receive=line_array(6), clutter_deg=(-20, 30), clutter_db=(3, -4)
    ),
    "planar": lambda: make_scene(
        planar_array(3, 3), [(20, -10), (-35, 25)], clutter_deg=[(0, 0)], phases=(0, 1), target_snr_db=-6
    ),
}
every_scene = pytest.mark.parametrize("scene", [make() for make in SCENES.values()], ids=list(SCENES))


def steer(array: Array, angle: np.ndarray) -> np.ndarray:
    """ā from the positions, without the package's own steering."""
    az, el = (angle.item(), 0.0) if angle.size == 1 else angle
    r = np.array([math.cos(az) * math.cos(el), math.sin(az) * math.cos(el), math.sin(el)])
    return np.exp(2j * math.pi * array.positions.numpy() @ r)


def noise_covariance(scene: Scene, R: np.ndarray) -> np.ndarray:
    C = np.eye(scene.receive.antennas, dtype=complex)
    for angle, level in zip(scene.clutter.numpy(), scene.cnr.numpy(), strict=True):
        a, b = steer(scene.array, np.atleast_1d(angle)), steer(scene.receive, np.atleast_1d(angle)).conj()
        C += level * (a.conj() @ R @ a).real * np.outer(b, b.conj())
    return C


def fisher_by_differences(scene: Scene, X: torch.Tensor) -> np.ndarray:
    """2 L Re ∂μᴴ ∂μ, μ = C^(-1/2) Σ α b̄ āᴴ Y, by differences of sixth order."""
    Y = X.numpy() / math.sqrt(POWER)
    C = noise_covariance(scene, Y @ Y.conj().T)
    whiten = np.linalg.inv(np.linalg.cholesky(C))
    T, D = scene.count, scene.dims

    def mean(eta: np.ndarray) -> np.ndarray:
        angles, alpha = eta[: T * D].reshape(T, D), eta[T * D : T * D + T] + 1j * eta[T * D + T :]
        M = sum(
            a * np.outer(steer(scene.receive, at).conj(), steer(scene.array, at).conj())
            for a, at in zip(alpha, angles, strict=True)
        )
        return (whiten @ M @ Y).ravel()

    alpha = scene.amplitudes.numpy()
    eta = np.concatenate([scene.targets.numpy().ravel(), alpha.real, alpha.imag])
    h, weights = 2e-3, {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    rows = []
    for i in range(len(eta)):
        e = np.zeros(len(eta))
        e[i] = h
        rows.append(sum(w * (mean(eta + k * e) - mean(eta - k * e)) for k, w in weights.items()) / h)
    slopes = np.stack(rows)
    return 2 * scene.snapshots * (slopes.conj() @ slopes.T).real


@every_scene
def test_the_fisher_matrix_and_the_bound_by_differences(scene):
    X = drawn(scene.array.antennas)
    by_differences = fisher_by_differences(scene, X)
    assert relative(fisher_matrix(X, scene, POWER), by_differences) < 1e-8
    expected = np.sqrt(np.diag(np.linalg.inv(by_differences)))[: scene.count * scene.dims]
    found = bound(X, scene, POWER).rcrb.numpy().ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_one_target_is_the_closed_form():
    """σ²/(2|α|²L (t1 − |t2|²/t3)); without the second term it is several times too optimistic."""
    scene = make_scene(line_array(64), [10.0], target_snr_db=-3)
    a = steer(scene.array, scene.targets.numpy())
    slope = 1j * math.pi * np.arange(64) * math.cos(float(scene.targets)) * a
    A = np.outer(a.conj(), a.conj())
    dA = np.outer(slope.conj(), a.conj()) + np.outer(a.conj(), slope.conj())
    for X, ratio in ((drawn(64), None), (math.sqrt(POWER / 64) * torch.eye(64, dtype=torch.complex128), 6.8)):
        R = (X @ X.mH / POWER).numpy()
        t1, t2, t3 = (np.trace(P @ R @ Q.conj().T) for P, Q in ((dA, dA), (A, dA), (A, A)))
        J = 2 * 10**-0.3 * 64 * (t1 - abs(t2) ** 2 / t3).real
        assert float(bound(X, scene, POWER).rcrb) == pytest.approx(J**-0.5, rel=1e-11)
        if ratio is not None:
            assert t1.real / (t1 - abs(t2) ** 2 / t3).real == pytest.approx(ratio, abs=0.05)


@pytest.mark.parametrize("name", ["three", "receive", "clutter"])
def test_several_targets_are_the_published_matrix(name):
    """Li, Xu, Stoica, Forsythe and Bliss 2008: F11, F12 and F22 with C⁻¹ in every receive product."""
    scene = SCENES[name]()
    X = drawn(8)
    Y = X.numpy() / math.sqrt(POWER)
    R, L = Y @ Y.conj().T, scene.snapshots
    Ci = np.linalg.inv(noise_covariance(scene, R))
    T = scene.count
    V, dV = scene.transmit[:, :T].numpy(), scene.transmit[:, T:].numpy()
    A, dA = scene.received[:, :T].numpy(), scene.received[:, T:].numpy()
    D = np.diag(scene.amplitudes.numpy())
    H = lambda Z: Z.conj().T  # noqa: E731
    inner = lambda P, Q: (H(P) @ R @ Q).conj()  # noqa: E731
    F11 = (H(dA) @ Ci @ dA) * (H(D) @ inner(V, V) @ D) + (H(dA) @ Ci @ A) * (H(D) @ inner(V, dV) @ D)
    F11 += (H(A) @ Ci @ dA) * (H(D) @ inner(dV, V) @ D) + (H(A) @ Ci @ A) * (H(D) @ inner(dV, dV) @ D)
    F12 = (H(dA) @ Ci @ A) * (H(D) @ inner(V, V)) + (H(A) @ Ci @ A) * (H(D) @ inner(dV, V))
    F22 = (H(A) @ Ci @ A) * inner(V, V)
    F = [
        [F11.real, F12.real, -F12.imag],
        [F12.real.T, F22.real, -F22.imag],
        [-F12.imag.T, -F22.imag.T, F22.real],
    ]
    assert relative(fisher_matrix(X, scene, POWER), 2 * L * np.block(F)) < 1e-12


@every_scene
def test_the_bound_does_not_depend_on_the_phase_reference(scene):
    """Moving both arrays as a whole changes the phase of every α, which is unknown, and nothing else."""
    X = drawn(scene.array.antennas)
    moves = torch.tensor([[1.0, 7.3, -4.0], [2.0, -2.2, 0.5]], dtype=torch.float64)
    if scene.dims == 1:
        moves = moves * torch.tensor([0.0, 1.0, 0.0])
    array, receive = (
        Array(old.positions + move) for old, move in zip((scene.array, scene.receive), moves, strict=True)
    )
    # The amplitudes are those at the new reference, so that the echoes stay what they were.
    turn = [
        steer(Array(move[None]), np.atleast_1d(at)).item() for move in moves for at in scene.targets.numpy()
    ]
    count = scene.count
    alpha = scene.amplitudes * torch.tensor(
        [turn[i] * turn[count + i] for i in range(count)], dtype=torch.complex128
    )
    moved = Scene(
        array, scene.targets, alpha, receive, scene.clutter, scene.cnr, scene.snapshots, scene.false_alarm
    )
    F, moved_F = fisher_matrix(X, scene, POWER), fisher_matrix(X, moved, POWER)
    assert relative(moved_F, F) > 0.1
    assert relative(bound(X, moved, POWER).rcrb, bound(X, scene, POWER).rcrb) < 1e-9


def test_a_bound_is_infinite_where_the_angle_is_not_seen():
    """Three real unknowns from one complex number; two columns more make the angle known."""
    scene = make_scene(line_array(8), [20.0], receive=line_array(1))
    blind, seen = drawn(8, 1), drawn(8, 3)
    assert bound(blind, scene, POWER).rcrb.tolist() == [[math.inf]]
    assert bound(blind, scene, POWER).reason.tolist() == [[AMBIGUOUS]]
    assert torch.isfinite(bound(seen, scene, POWER).rcrb).all()
    assert crb(blind, scene, POWER).value < crb(seen, scene, POWER).value - 30


def test_a_dark_target_has_no_bound_and_the_others_keep_theirs():
    scene, one = make_scene(line_array(8), [-50.0, 20.0]), make_scene(line_array(8), [-50.0])
    a = scene.transmit[:, 1:2]
    X = drawn(8)
    X = X - a @ (a.mH @ X) / 8
    found = bound(X, scene, POWER)
    assert found.reason.tolist() == [[0], [NO_POWER]]
    assert found.rcrb[1, 0] == math.inf
    # The dark target still costs nothing: its echo is zero whatever its amplitude.
    assert found.rcrb[0, 0] >= bound(X, one, POWER).rcrb[0, 0] * (1 - 1e-12)
    assert torch.isfinite(found.rcrb[0, 0])


@every_scene
def test_the_scnr_is_that_of_the_best_receive_beam(scene):
    X, rng = drawn(scene.array.antennas), np.random.default_rng(1)
    Y = X.numpy() / math.sqrt(POWER)
    R = Y @ Y.conj().T
    C = noise_covariance(scene, R)
    found, beams = scnr(X, scene, POWER), receive_beams(X, scene, POWER).numpy()
    for i, at in enumerate(scene.targets.numpy().reshape(scene.count, -1)):
        a, b = steer(scene.array, at), steer(scene.receive, at).conj()
        signal = float(scene.snr[i]) * (a.conj() @ R @ a).real

        def ratio(u, signal=signal, b=b):
            return signal * abs(u.conj() @ b) ** 2 / (u.conj() @ C @ u).real

        assert ratio(beams[:, i]) == pytest.approx(float(found[i]), rel=1e-10)
        for u in rng.standard_normal((500, 2, len(b))):
            assert ratio(u[0] + 1j * u[1]) <= float(found[i]) * (1 + 1e-12)
            assert ratio(beams[:, i] + 0.02 * (u[0] + 1j * u[1])) <= float(found[i]) * (1 + 1e-12)


@pytest.mark.parametrize(("rho", "false_alarm"), [(4.0, 1e-2), (9.0, 1e-4), (0.0, 0.05)])
def test_detection_against_draws(rho, false_alarm):
    """200,000 outputs of the matched filter; four standard deviations."""
    count, rng = 200_000, np.random.default_rng(3)

    def unit(n):
        return (rng.standard_normal(n) + 1j * rng.standard_normal(n)) / math.sqrt(2)

    for fluctuates, formula in ((False, detection), (True, detection_swerling)):
        amplitude = math.sqrt(rho) * (unit(count) if fluctuates else 1)
        share = float(np.mean(np.abs(amplitude + unit(count)) ** 2 > -math.log(false_alarm)))
        expected = float(formula(torch.tensor(rho, dtype=torch.float64), false_alarm))
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / count)
    assert float(detection(torch.tensor(0.0), false_alarm)) == pytest.approx(false_alarm)


BANDS = [
    make_scene(line_array(8), [-50, 20], ratios=(0.9, 1.0, 1.1), band=band, clutter_deg=clutter)
    for band in ("common", "each")
    for clutter in ((), (-10.0,))
]


@pytest.mark.parametrize("scene", [*(make() for make in SCENES.values()), *BANDS])
@pytest.mark.parametrize("criterion", [crb, scnr_sum])
def test_gradients_against_autograd(scene, criterion):
    """The paper's ∂/∂X* is half of PyTorch's gradient."""
    bands = 1 if scene.ratios is None else len(scene.ratios)
    X = torch.stack([drawn(scene.array.antennas, count=bands, seed=seed) for seed in (1, 2)])
    X = X[:, 0] if scene.ratios is None else X
    power = torch.tensor([POWER, 2 * POWER], dtype=torch.float64)
    X.requires_grad_()
    found = criterion(X, scene, power)
    (by_torch,) = torch.autograd.grad(found.value.sum(), X)
    assert found.value.shape == (2,)
    assert relative(found.gradient.detach(), by_torch / 2) < 1e-10


def test_a_band_adds_its_information():
    """Twice the carrier is twice the information, and amplitudes of each subcarrier cost information."""
    line, X = line_array(8), drawn(8, count=2)
    one = make_scene(line, [-50, 20])
    twice = make_scene(line, [-50, 20], ratios=(1.0, 1.0))
    assert (
        relative(
            bound(X[:1].expand(2, -1, -1), twice, POWER).rcrb, bound(X[0], one, POWER).rcrb / math.sqrt(2)
        )
        < 1e-12
    )
    common, each = (make_scene(line, [-50, 20], ratios=(0.9, 1.1), band=band) for band in ("common", "each"))
    assert (bound(X, each, POWER).rcrb >= bound(X, common, POWER).rcrb * (1 - 1e-12)).all()
    figures = sense(X, common, POWER)
    assert torch.isfinite(figures.rcrb).all() and figures.pslr.shape == ()


def test_the_pattern_of_one_uniform_beam():
    """N = 64 towards 0 degrees: gain N, PSLR −13.26 dB, and 90.28 % of the power between the first nulls."""
    line = line_array(64)
    X = math.sqrt(POWER) * line.steering(torch.tensor([0.0])).mT
    found = lobes(X, make_scene(line, [0.0]), POWER)
    assert float(found.gain) == pytest.approx(64)
    assert 10 * math.log10(float(found.pslr)) == pytest.approx(-13.26, abs=0.03)
    assert float(found.islr) == pytest.approx(0.0972 / 0.9028, rel=0.01)
    # With the first sidelobe wanted, too, the same sidelobe on the other side is as high as that lobe.
    two = make_scene(line, [0.0, math.degrees(math.asin(3 / 64))])
    assert float(lobes(X, two, POWER).pslr) == pytest.approx(1, abs=1e-9)


def test_the_measures_of_islr_differ_by_the_cosine():
    """Power to endfire weighs more over angles than over direction cosines."""
    line = line_array(16)
    X = math.sqrt(POWER / 2) * line.steering(torch.deg2rad(torch.tensor([0.0, 75.0]))).mT
    by = {m: float(lobes(X, make_scene(line, [0.0]), POWER, m).islr) for m in ("u", "angle")}
    assert by["u"] < by["angle"]


def test_the_box_of_a_planar_lobe():
    array = planar_array(8, 8)
    X = math.sqrt(POWER) * array.steering(torch.zeros(1, 2)).mT
    found = lobes(X, make_scene(array, [(0.0, 0.0)]), POWER)
    assert float(found.gain) == pytest.approx(64)
    assert 10 * math.log10(float(found.pslr)) == pytest.approx(-12.8, abs=0.4)


@pytest.mark.parametrize("clutter", [(), (-30.0, 10.0)])
def test_trials_meet_the_formulas(clutter):
    """At high SNR the estimate meets the bound within 10 %; at a moderate one P_D is the formula's."""
    line, X = line_array(16), drawn(16)
    many = 1500
    high = make_scene(line, [20.0, -50.0], target_snr_db=0, clutter_deg=clutter, clutter_db=-3)
    found = run_trials(X, high, POWER, count=many)
    assert ((found.rmse / found.rcrb - 1).abs() < 0.1).all()
    medium = make_scene(line, [20.0], target_snr_db=-24, clutter_deg=clutter, clutter_db=-3, false_alarm=1e-2)
    found = run_trials(X, medium, POWER, count=many)
    p = float(found.formula)
    assert 0.1 < p < 0.99
    assert abs(float(found.detected) - p) < 4 * math.sqrt(p * (1 - p) / many)
    assert abs(float(found.false_alarms) - 1e-2) < 4 * math.sqrt(1e-2 / many)
    assert found.cells > 10 and found.found >= found.detected


def test_trials_over_two_angles():
    found = run_trials(
        drawn(16), make_scene(planar_array(4, 4), [(20.0, -10.0)], target_snr_db=5), POWER, count=400
    )
    assert ((found.rmse / found.rcrb - 1).abs() < 0.15).all()


@pytest.mark.parametrize(
    ("targets", "options", "words"),
    [
        ([], {}, "no target"),
        ([20, 20], {}, "twice"),
        ([math.nan], {}, "from -90 to 90"),
        ([100], {}, "from -90 to 90"),
        ([(20, 10)], {}, "an azimuth"),
        ([20], {"false_alarm": 0.0}, "above 0 and below 1"),
        ([20], {"false_alarm": 1.0}, "above 0 and below 1"),
        ([20], {"snapshots": 0}, "at least 1 snapshot"),
        ([20], {"clutter_deg": [20]}, "stands on a target"),
        ([20], {"receive": planar_array(2, 2)}, "different kinds"),
        ([20], {"target_snr_db": math.inf}, "finite"),
        ([20], {"target_snr_db": (1, 2)}, "expected 1 or 1"),
        ([20], {"phases": (1, 2)}, "expected one of each"),
        ([20], {"ratios": ()}, "above 0"),
    ],
)
def test_bad_input_is_refused_in_one_line(targets, options, words):
    with pytest.raises(bf.InputError, match=words) as caught:
        make_scene(line_array(8), targets, **options)
    assert "\n" not in str(caught.value)


def test_close_targets_are_warned_of():
    with pytest.warns(UserWarning, match="closer than the array resolves"):
        scene = make_scene(line_array(8), [20, 22])
    far = make_scene(line_array(8), [20, 60])
    X = drawn(8)
    assert (bound(X, scene, POWER).rcrb > 3 * bound(X, far, POWER).rcrb[0]).all()


def test_x_of_another_size_is_refused():
    with pytest.raises(bf.InputError, match="the scene is for X"):
        sense(drawn(9), make_scene(line_array(8), [20]), POWER)
