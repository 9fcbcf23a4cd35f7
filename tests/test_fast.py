"""The fast design: its pieces against autograd, its promises on random and degenerate channels."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import relative, small

from beamfold import unfolded
from beamfold.arrays import line_array, planar_array
from beamfold.channel import saleh_valenzuela
from beamfold.constraints import modulus_error, power_error
from beamfold.covariance import solve_covariance
from beamfold.errors import InputError
from beamfold.files.models import find_model
from beamfold.kernels import fast_chains
from beamfold.kernels.cholesky import cholesky, solve, solve_adjoint
from beamfold.kernels.fast import run_fast
from beamfold.kernels.fast_design import by_phases
from beamfold.kernels.fast_memory import OLD
from beamfold.kernels.fast_objective import set_masks
from beamfold.kernels.fast_setting import Plan, Setting
from beamfold.kernels.fast_workspace import layout
from beamfold.kernels.goal_form import goal_form, problem_for
from beamfold.kernels.linalg import inner, kernel
from beamfold.kernels.phases import phases_of
from beamfold.kernels.planes import to_planes
from beamfold.kernels.workspace import buffer_for, carve, floats
from beamfold.methods.best import best
from beamfold.methods.fast import fast, prepare_fast
from beamfold.networks import fully_connected
from beamfold.objective import beam_error, rate
from beamfold.optim.local_maximum import STATIONARY, residual
from beamfold.radar import make_scene
from beamfold.radar.goal import Goal
from beamfold.result import Fault, Status
from beamfold.scenario import make_scenario
from beamfold.sensing import Sensing
from beamfold.start import proposed

SIZES = [
    {"antennas": 16, "users": 3},
    {"antennas": 10, "users": 1},
    {"antennas": 8, "users": 1, "chains": 2, "snr_db": 20.0},
    {"antennas": 24, "users": 3, "chains": 5, "snr_db": 12.0},
    {"antennas": 37, "users": 5, "chains": 7, "snr_db": 0.0, "noise": 3.0},
    {"antennas": 32, "users": 8, "snr_db": -5.0, "weight": 3.0},
    {"antennas": 32, "users": 8, "chains": 16, "snr_db": 20.0, "weight": 0.03},
    {"antennas": 130, "users": 2, "chains": 4, "snr_db": 12.0},
    {"antennas": 16, "users": 4, "weight": 0.0},
]


def normalised(s, F, W):
    """f = R − ω τ of F W at power P_t, whatever W's scale: what the kernel maximises."""
    X = F @ W
    X = X * (s.power.sqrt() / torch.linalg.matrix_norm(X))[..., None, None]
    return s.objective(X)


def arrays(shapes):
    """A layout's named tuple with arrays of zeros."""
    if hasattr(shapes, "_fields"):
        return type(shapes)(*map(arrays, shapes))
    return np.zeros(shapes)


def kernel_gradients(s, F, W):
    """f, df/d∠F (N, M) and df/dW* (M, K) of one channel as the compiled pieces give them, float64."""
    (K, N), M = s.H.shape, F.shape[1]
    form = None if s.goal is None else goal_form(s.goal)
    U = s.radar.factor(1e-14).U if form is None else torch.from_numpy(form.columns)
    r = U.shape[1]
    w = arrays(layout(N, K, M, r))
    V, T, rows = w.antennas.V, w.antennas.T, w.chains.rows
    o, lanes = T.shape[1], V.shape[2]
    gap = torch.zeros(N, o - M, dtype=F.dtype)
    Z = torch.cat([F, gap, s.H.mH * (s.power / s.noise) ** 0.5, U], 1)
    V[:, : o + K + r] = to_planes(Z.mT.resolve_conj().numpy(), lanes, np.float64)
    fast_chains.planes(rows, fast_chains.POINT, K, o)[:] = to_planes(W.mT.detach().numpy(), o, np.float64)
    set_masks(w.objective.masks, o, K, r)
    w.antennas.free[:, :M, :N] = 1
    square = float(torch.linalg.matrix_norm(s.Psi)) ** 2
    problem = problem_for(float(s.power), s.noise, float(s.weight), square, s.goal, o + K, np.float64)
    gradients = w.memory.rows[:, :, : w.antennas.base.shape[1] * lanes].copy()
    f, updates = by_phases(gradients, OLD, w.antennas, w.chains, w.objective, problem, 0.1, 0, 0)
    assert updates == 0
    f += 0 if form is None else float(s.weight) * form.constant
    g = fast_chains.planes(rows, fast_chains.NEW, K, o)
    return f, gradients[0, OLD].reshape(-1, lanes)[:M, :N].T, (g[0] + 1j * g[1])[:, :M].T


@kernel
def filled(buffer, N, K, M, r):
    """Every array of a design's working space filled with its own number, then their sums."""
    w = carve(buffer, layout(N, K, M, r))
    w.antennas.V[:] = 1.0
    w.antennas.PW[:] = 2.0
    w.objective.masks[:] = 3.0
    w.digital.on_V[:] = 4.0
    w.memory.small[:] = 5.0
    w.chains.B[:] = 6.0
    return (
        w.antennas.V.sum(), w.antennas.PW.sum(), w.objective.masks.sum(), w.digital.on_V.sum(),
        w.memory.small.sum(), w.chains.B.sum(),
    )  # fmt: skip


@pytest.mark.parametrize("sizes", [(64, 4, 4, 7), (5, 1, 3, 2), (17, 9, 9, 11)])
def test_arrays_of_a_buffer_do_not_overlap(sizes):
    """Each has its shape, none writes into another or behind the buffer, and each begins on a cache line."""
    shapes = layout(*sizes)
    buffer = buffer_for(shapes, np.float32)
    assert len(buffer) == floats(shapes)
    assert buffer.ctypes.data % 64 == 0
    behind = np.full(floats(shapes) + 64, 7.0, np.float32)
    counts = [
        math.prod(shape) for shape in (
            shapes.antennas.V, shapes.antennas.PW, shapes.objective.masks, shapes.digital.on_V,
            shapes.memory.small, shapes.chains.B,
        )
    ]  # fmt: skip
    sums = filled(behind, *sizes)
    assert sums == tuple(number * count for number, count in zip(range(1, 7), counts, strict=True))
    assert (behind[floats(shapes) :] == 7).all()
    assert [int((behind[: floats(shapes)] == number).sum()) for number in range(1, 7)] == counts


LINE, PLANE = line_array(16), planar_array(4, 4)
SCENES = [
    make_scene(LINE, [10.0]),
    make_scene(LINE, [-40.0, 10.0], phases=(0.5, -1.0), target_snr_db=[-10, -30], receive=line_array(9)),
    make_scene(LINE, [-40.0, 10.0, 50.0], phases=(0, 1, 2), clutter_deg=[30.0, -5.0], clutter_db=[-10, -20]),
    make_scene(PLANE, [(10.0, 5.0), (-30.0, 20.0)], clutter_deg=[(40.0, 0.0)], receive=planar_array(2, 3)),
]


def for_goal(kind, scene, **options):
    """A scenario of one channel whose goal is `kind`."""
    s = small(count=1, **options)[0]
    return replace(s, radar=Sensing(s.Psi, array=scene.array), goal=Goal(kind, scene))


OF_GOALS = [for_goal(kind, scene, weight=2.0) for kind in ("crb", "scnr") for scene in SCENES]


@pytest.mark.parametrize("s", [*(small(count=1, **options)[0] for options in SIZES), *OF_GOALS])
def test_gradients_against_autograd(s):
    """f, its gradient by the phases and by W, from the reduced coordinates and from autograd through (8)."""
    g = torch.Generator().manual_seed(1)
    angle = torch.rand(s.antennas, s.chains, generator=g, dtype=torch.float64).mul(6).requires_grad_()
    W = torch.randn(s.chains, s.users, generator=g, dtype=torch.complex128).requires_grad_()
    value = normalised(s, torch.polar(torch.ones_like(angle), angle), W)
    value.backward()
    with torch.no_grad():
        ours, on_F, on_W = kernel_gradients(s, torch.polar(torch.ones_like(angle), angle), W)
    assert ours == pytest.approx(float(value.detach()), rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(on_F, angle.grad, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(2 * on_W, W.grad, rtol=1e-8, atol=1e-9)


def test_residual_is_the_gradient():
    """∂f/∂∠F and ‖W‖ 2 ∂f/∂W* of autograd, relative to 1 + |f|."""
    s = small(count=1)[0]
    start = proposed(s)
    angle, W = start.F.angle().requires_grad_(), start.W.clone().requires_grad_()
    value = normalised(s, torch.polar(torch.ones_like(angle), angle), W)
    value.backward()
    size = torch.hypot(angle.grad.norm(), W.grad.abs().square().sum().sqrt() * start.W.norm())
    assert float(residual(s, *start)) == pytest.approx(float(size / (1 + value.detach().abs())), rel=1e-9)


def test_joint_inner_products():
    g = np.random.default_rng(0)
    A, B = g.standard_normal((2, 8, 32)), g.standard_normal((2, 3, 32))
    out = np.zeros((2, 2, 8))
    inner(out, A, 8, B, 1, 2)
    expected = (B[0] + 1j * B[1])[1:] @ (A[0] + 1j * A[1]).conj().T
    assert relative(out[0] + 1j * out[1], expected) < 1e-14


@pytest.mark.parametrize(("n", "offset"), [(1, 0), (5, 0), (11, 4), (7, 8)])
def test_cholesky(n, offset):
    g = np.random.default_rng(n)
    Z = g.standard_normal((n + 2, n)) + 1j * g.standard_normal((n + 2, n))
    G = Z.conj().T @ Z
    A = np.full((2, 12, 32), 7.0)
    A[0, :n, offset : offset + n], A[1, :n, offset : offset + n] = G.T.real, G.T.imag
    cholesky(A, n, offset, 0.0)
    L = (A[0] + 1j * A[1])[:n, offset : offset + n].T
    assert relative(L, np.linalg.cholesky(G)) < 1e-12
    b = g.standard_normal((2, 1, 12))
    x = b.copy()
    solve(A, n, offset, x, 1)
    solve_adjoint(A, n, offset, x, 1)
    assert relative(G @ (x[0] + 1j * x[1])[0, :n], (b[0] + 1j * b[1])[0, :n]) < 1e-9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_entry_without_size_keeps_its_phase(dtype):
    """The entry Σ_k X_k W*_km has none where its square is below the smallest normal number.

    The quotient by that square's root is infinite or NaN, because the compiler estimates the root.
    """
    least = float(np.finfo(dtype).smallest_normal)
    X, W, V = np.zeros((2, 4, 16), dtype), np.zeros((2, 4, 4), dtype), np.zeros((2, 4, 16), dtype)
    X[0, 0, :4] = 0.0, 0.5 * math.sqrt(least), 2 * math.sqrt(least), -3.0
    W[0, 0, 0] = 1
    V[1] = 1
    phases_of(V, X, W, 1, np.ones((1, 2, 16), dtype))
    np.testing.assert_allclose(V[0, 0, :4], [0, 0, 1, -1], rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(V[1, 0, :4], [1, 1, 0, 0], rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("least", [1e-6, 1e-12])
def test_cholesky_of_dependent_columns(least):
    """Column 2 is the sum of columns 0 and 1: no column of L, and L Lᴴ is the matrix all the same."""
    g = np.random.default_rng(3)
    Z = g.standard_normal((9, 5)) + 1j * g.standard_normal((9, 5))
    Z[:, 2] = Z[:, 0] + Z[:, 1]
    G = Z.conj().T @ Z
    A = np.zeros((2, 8, 16))
    A[0, :5, :5], A[1, :5, :5] = G.T.real, G.T.imag
    cholesky(A, 5, 0, least)
    L = (A[0] + 1j * A[1])[:5, :5].T
    assert (L[:, 2] == 0).all()
    assert relative(L @ L.conj().T, G) < 1e-12


def low_rank(users, rank, count, seed=0):
    """H = A B (count, K, 64) with complex normal A (K, r) and B (r, 64)."""
    g = np.random.default_rng([seed, users, rank])
    A, B = g.standard_normal((2, count, users, rank)), g.standard_normal((2, count, rank, 64))
    return torch.from_numpy((A[0] + 1j * A[1]) @ (B[0] + 1j * B[1]) / 2)


@pytest.mark.parametrize(("users", "rank", "count"), [(4, 2, 100), (24, 5, 40)])
def test_channels_of_low_rank(users, rank, count):
    """None is left at (26), and single precision is as good as double on the mean."""
    s = make_scenario(low_rank(users, rank, count), solve_covariance(64, (-60, 0, 60)), snr_db=10)
    single, double = fast(s), fast(s, precision="double")
    start = proposed(s).F
    for d in (single, double):
        assert not (start == d.F).flatten(1).all(-1).any()
    assert float(single.objective.mean()) > (1 - 5e-3) * float(double.objective.mean())
    F, _, _ = prepare_fast(s.radar, users=users, snr_db=10)(s.H[0].numpy())
    assert not np.array_equal(F, start[0].numpy())


@pytest.mark.parametrize("precision", ["single", "double"])
def test_far_above_the_noise_the_rate_grows_by_the_logarithm(precision):
    """Ten times the channel is 2 log₂ 10 more for each of four users, at the same τ."""
    H = saleh_valenzuela(64, 4, 20, seed=5)
    radar = solve_covariance(64, (-60, 0, 60))
    values = [
        fast(make_scenario(H * 10.0**e, radar, snr_db=10), precision=precision).objective.mean()
        for e in (3, 4, 6)
    ]
    for before, after, decades in zip(values, values[1:], (1, 2), strict=False):
        assert float(after - before) == pytest.approx(8 * math.log2(10) * decades, rel=1e-2)


def test_many_users_with_the_last_pairs_in_the_place_of_a_dense_matrix():
    """W of 2 K M > 300 unknowns: f is that of the design, and more steps of F are never worse."""
    s = small(32, 16, count=3, snr_db=10.0)
    few, many = (run_fast(s, Plan(steps=i), dtype=np.float64) for i in (5, 40))
    for point, f, _ in (few, many):
        truth = s.objective(point.F @ point.W)
        assert relative(f, truth) < 1e-6
    assert (many[1] >= few[1] - 1e-12).all()


@pytest.mark.parametrize("options", SIZES)
@pytest.mark.parametrize("precision", ["single", "double"])
def test_promises(options, precision):
    """Feasible, figures as objective.py's, nowhere worse than (26) or than fewer steps, permitted status."""
    s = small(**options)
    d = fast(s, steps=40, precision=precision)
    assert modulus_error(d.F).max() < 1e-9
    assert power_error(d.X, s.power).max() < 1e-9
    assert relative(d.rate, rate(s.H, d.F @ d.W, s.noise)) < 1e-12
    assert relative(d.tau, beam_error(d.F @ d.W, s.Psi, s.power)) < 1e-12
    before = proposed(s)
    worst = s.objective(before.F @ before.W)
    own = fast(s, steps=0, precision=precision).objective
    slack = (1e-4 if precision == "single" else 1e-9) * (1 + own.abs())
    assert (d.objective >= worst - 1e-9).all()
    assert (d.objective >= own - slack).all()
    assert set(d.status.tolist()) <= {int(Status.ITERATION_LIMIT), int(Status.CONVERGED)}
    stationary = residual(s, d.F, d.W) <= STATIONARY
    assert (stationary == (d.status == Status.CONVERGED)).all()


@pytest.mark.parametrize("options", SIZES)
def test_value_of_the_kernel(options):
    """The f that the kernel reports is that of the design it returns."""
    s = small(**options)
    for dtype, limit in ((np.float32, 1e-3), (np.float64, 1e-6)):
        point, f, done = run_fast(s, Plan(steps=20), dtype=dtype)
        truth = s.objective(point.F @ point.W)
        assert relative(f, truth) < limit
        assert (done <= 20).all()


def test_monotone_in_steps():
    s = small(32, 4, snr_db=12.0)
    values = [run_fast(s, Plan(steps=i), dtype=np.float64)[1] for i in (0, 1, 2, 5, 10, 30, 31, 100)]
    for before, after in pairwise(values):
        assert (after >= before - 1e-12).all()


def test_users_order_and_phase_do_not_matter():
    """R, τ follow a permutation of the users and ignore phases of their channels. Paths diverge slowly."""
    s = small(32, 4, count=6, snr_db=6.0)
    order = torch.tensor([2, 0, 3, 1])
    turn = torch.exp(1j * torch.tensor([0.3, 1.2, -2.0, 2.5], dtype=torch.float64))[:, None]
    turned = make_scenario(s.H * turn, s.radar, snr_db=6.0)
    for steps, limit in ((0, 1e-6), (10, 1e-5)):
        one = fast(s, steps=steps, precision="double")
        assert relative(fast(turned, steps=steps, precision="double").rate, one.rate) < limit
    permuted = make_scenario(s.H[:, order], s.radar, snr_db=6.0)
    a, b = fast(s, steps=300), fast(permuted, steps=300)
    assert abs(float((a.objective - b.objective).mean())) < 0.05


@pytest.mark.parametrize("precision", ["single", "double"])
def test_equal_and_dependent_users(precision):
    """Rank-deficient channels end finite and feasible."""
    s = small(16, 3, snr_db=12.0)
    H = s.H.clone()
    H[:2, 1] = H[:2, 0]
    H[1, 2] = H[1, 0]
    H[2, 2] = H[2, 0] + H[2, 1]
    H[3] *= 1e-8
    d = fast(make_scenario(H, s.radar, snr_db=12.0), steps=40, precision=precision)
    assert torch.isfinite(d.objective).all()
    assert d.usable.all()
    assert (d.faults & int(Fault.BELOW_START) == 0).all()


@pytest.mark.parametrize(
    "options",
    [
        {"antennas": 5, "users": 1, "weight": 0.0015, "snr_db": 0.0, "noise": 0.003},
        {"antennas": 6, "users": 1, "chains": 3, "weight": 0.1, "snr_db": 0.0, "noise": 0.002},
        {"antennas": 2, "users": 2, "weight": 0.0, "snr_db": -10.0},
    ],
)
def test_an_optimum_found_to_rounding(options):
    """Sensing of next to no weight: the digital ascent is at its top before its steps are used up.

    Pairs without curvature made its last trial NaN, and the chain of a user switched off had no phases.
    """
    s = small(count=1000, **options)
    for steps in (0, 6):
        point, f, _ = run_fast(s, Plan(steps=steps))
        assert float(modulus_error(point.F).max()) < 1e-12
        assert torch.isfinite(torch.stack([f, normalised(s, *point)])).all()


def test_prepared_is_the_batch():
    """One compiled function on one input: the same bits. 10 dB is a power of 10 that no library rounds."""
    s = small(24, 3, chains=4, snr_db=10.0, noise=2.0)
    go = prepare_fast(s.radar, users=3, chains=4, snr_db=10.0, noise=2.0, steps=25)
    F, W, steps = go(s.H[1].numpy())
    d = fast(s[1], steps=25)
    assert steps == 25
    np.testing.assert_array_equal(F, d.F.numpy())
    np.testing.assert_array_equal(W, d.W.numpy())
    X = F @ W
    assert np.linalg.norm(X) ** 2 == pytest.approx(20, rel=1e-12)


def test_budget_takes_the_depth_that_fits():
    s = small(64, 4)
    depths = [
        prepare_fast(s.radar, users=4, snr_db=6, budget_us=b)(s.H[0].numpy())[2] for b in (0.0, 3e3, 3e4)
    ]
    assert depths[0] == 0
    assert 0 < depths[1] < depths[2]


def test_against_the_unfolded_model():
    """Better than the shipped J = 20 model on ≥ 99 % of fresh channels, the published pattern, 12 dB."""
    H = saleh_valenzuela(64, 4, 50, seed=123)
    s = make_scenario(H, solve_covariance(64, (-59, 0, 60)), snr_db=12)
    ours, theirs = fast(s), unfolded(s, find_model(64, 4, 4, 20))
    assert (ours.objective > theirs.objective).double().mean() >= 0.99
    assert ours.objective.mean() > theirs.objective.mean() + 1


def test_best():
    """More starts are never worse, CONVERGED is earned, and the fast design is close."""
    s = small(32, 3, count=3, snr_db=12.0)
    one, four = best(s, starts=1, steps=100), best(s, starts=4, steps=100)
    assert (four.objective >= one.objective - 1e-3).all()
    stationary = residual(s, four.F, four.W) < STATIONARY
    assert torch.equal(four.status == Status.CONVERGED, stationary)
    assert stationary.sum() >= 2
    close = fast(s).objective / four.objective
    assert (close > 0.9).all()
    assert (close < 1 + 1e-3).all()


def test_options_are_checked():
    s = small()
    with pytest.raises(ValueError, match="no depth 'abyss'"):
        fast(s, depth="abyss")
    with pytest.raises(ValueError, match="steps >= 0"):
        fast(s, steps=-1)
    with pytest.raises(ValueError, match="at least one start"):
        best(s, starts=0)


def test_setting_is_deterministic():
    radar = small().radar
    U, square = radar.factor(1e-3).U.numpy(), float(torch.linalg.matrix_norm(radar.Psi)) ** 2
    options = {"users": 2, "network": fully_connected(16, 5), "noise": 1.0, "plan": Plan(), "which": 3}
    a, b = (Setting(U, square, **options) for _ in range(2))
    np.testing.assert_array_equal(a.mixing, b.mixing)
    assert math.isclose(float(np.linalg.norm(a.mixing)), math.sqrt(2), rel_tol=1e-6)


def test_warm_start_goes_on():
    """From its own result the kernel does not fall, and from a given start it is monotone."""
    s = small(32, 4, snr_db=12.0)
    first, f, _ = run_fast(s, Plan(steps=10), dtype=np.float64)
    _, g, _ = run_fast(s, Plan(steps=10), start=first, dtype=np.float64)
    assert (g >= f - 1e-9).all()
    begin = proposed(s)
    before = s.objective(begin.F @ begin.W)
    assert (run_fast(s, Plan(steps=0), start=begin, dtype=np.float64)[1] >= before - 1e-6).all()


def test_a_prepared_design_takes_H_in_any_memory_and_no_other_shape():
    """It calls compiled code without a look at types: what it is given is brought to one form before."""
    s = small(12, 2, count=1)
    go = prepare_fast(s.radar, users=2, snr_db=6)
    H = s.H[0].numpy()
    raw = np.zeros(H.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(np.complex128).reshape(2, 12)
    unaligned[:] = H
    fixed = H.copy()
    fixed.flags.writeable = False
    F, W, steps = go(H)
    for other in (np.asfortranarray(H), np.repeat(H, 2, 1)[:, ::2], unaligned, fixed, H.tolist()):
        again = go(other)
        assert (again[0] == F).all() and (again[1] == W).all() and again[2] == steps
    for wrong in (H[0], H[:1], H[:, :11], H[None]):
        with pytest.raises(InputError, match=r"prepared for H \(2, 12\), users and antennas; found"):
            go(wrong)


def test_the_sizes_that_the_compiler_knows_and_others_take_the_same_steps():
    """K = 4 with 16 or 32 coordinates has code of its own; with columns of zeros in U that of any size runs.

    The columns add zeros to sums alone, so that both differ by the order of the sums; eight steps of F from
    one point multiply that by no more than 1e6.
    """
    radar = solve_covariance(64, (-59, 0, 60))
    U = radar.factor(1e-3).U.numpy()
    H = saleh_valenzuela(64, 4, 1, seed=5)[0].numpy()
    found = []
    for further in (0, 10, 30):
        columns = np.concatenate([U, np.zeros((64, further))], 1)
        setting = Setting(
            columns, radar.square, users=4, network=fully_connected(64, 4), noise=1.0,
            plan=Plan(digital=-1, steps=8), dtype=np.float64,
        )  # fmt: skip
        F = np.exp(1j * np.random.default_rng(6).uniform(0, 2 * np.pi, (64, 4)))
        W = np.random.default_rng(7).standard_normal((4, 8)).view(np.complex128)
        with setting.buffers.lent() as buffer:
            f, done = setting.one(F, W, H, 10.0, 0.3, buffer)
        found.append((f, done, F))
    f, done, F = found[-1]
    for other, steps, G in found[:2]:
        assert done == steps == 8
        assert f == pytest.approx(other, rel=1e-9)
        assert np.abs(F - G).max() < 1e-9
