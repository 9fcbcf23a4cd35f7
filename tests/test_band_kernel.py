"""The fast design of bands: its pieces against autograd, its promises on equal and other subcarriers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from conftest import script

from beamfold.constraints import modulus_error
from beamfold.kernels.band import BandSetting, plan_of_band, run_band
from beamfold.kernels.band_basis import set_basis
from beamfold.kernels.band_choice import choose, needed
from beamfold.kernels.band_design import by_band, load_F
from beamfold.kernels.band_finish import put_columns
from beamfold.kernels.band_work import ASCEND, LOAD, set_thread_arrays, together
from beamfold.kernels.band_workspace import Task, band_layout, band_of, thread_arrays, thread_layout
from beamfold.kernels.fast import run_fast
from beamfold.kernels.fast_setting import CONSTANTS, Plan, plan_for
from beamfold.kernels.linalg import kernel
from beamfold.kernels.team import SIZE, plain
from beamfold.kernels.workspace import buffer_for
from beamfold.methods.fast import fast, prepare_band
from beamfold.networks import fully_connected, named_network
from beamfold.objective import beam_error, rate
from beamfold.optim.band_search import search
from beamfold.scenario import make_scenario
from beamfold.sensing import Sensing
from beamfold.threads import cores

NOISE = 1.0


def band_channels(count=2, subcarriers=6, users=3, antennas=16, bandwidth=1.0, seed=0, paths=4):
    """H (count, S, K, N) of paths with delays up to 20 ns; the bandwidth in GHz."""
    g = np.random.default_rng(seed)
    gains = g.standard_normal((2, count, users, paths)) / np.sqrt(2 * paths)
    delay, u = g.uniform(0, 20, (count, users, paths)), g.uniform(-1, 1, (count, users, paths))
    f = bandwidth * (np.arange(subcarriers) - (subcarriers - 1) / 2) / subcarriers
    turn = np.exp(-2j * np.pi * f[:, None, None, None] * delay)
    array = np.exp(1j * np.pi * np.arange(antennas) * u[..., None])
    H = np.einsum("scka,ckan->cskn", (gains[0] + 1j * gains[1]) * turn, array)
    return np.ascontiguousarray(H.conj())


def sensing(antennas=16, rank=3, count=1, seed=0):
    """U (count, N, r) with tr U Uᴴ = 1, and ‖U Uᴴ‖²."""
    g = np.random.default_rng([seed, rank])
    U = g.standard_normal((count, antennas, rank)) + 1j * g.standard_normal((count, antennas, rank))
    U /= np.linalg.norm(U, axis=(1, 2), keepdims=True)
    return U, np.linalg.norm(U @ U.conj().mT, axis=(1, 2)) ** 2


def objective(H, X, U, power, weight):
    """R − ω τ (…, S) of X (…, S, N, K), from the package's equations."""
    Psi = torch.from_numpy(U @ U.conj().mT)
    return rate(H, X, NOISE) - weight * beam_error(X, power * Psi)


def design(
    H, U, square, *, chains=4, power=10.0, weight=0.3, net=None, dtype=np.float64, plan=None, **options
):
    net = net or fully_connected(H.shape[-1], chains)
    plan = plan or plan_for(H.shape[2], net, U.shape[2], steps=15)
    count = len(H)
    return run_band(
        H, U, square, [power] * count, [weight] * count, noise=NOISE, network=net, plan=plan, dtype=dtype,
    **options )  # fmt: skip


def value(H, U, d, power=10.0, weight=0.3):
    """The mean of R − ω τ over the subcarriers of designs, from the package's equations."""
    X = torch.from_numpy(d.F)[:, None] @ torch.from_numpy(d.W)
    return objective(torch.from_numpy(H), X, U, power, weight).mean(-1).numpy()


@kernel
def gradient_of(task, free, problem, constants, plan, team, shared, mine, rows, steps):
    """f and, in row 0, df/d∠F at the {F, W} of a task after so many steps of W."""
    set_thread_arrays(mine, task)
    band, there = band_of(shared, task), thread_arrays(mine, task).one.antennas.free
    there[:] = free
    if task.U.shape[0] == 2:
        put_columns(band.U, task.H.shape[1], task.U, 0, task.U.shape[1])
    load_F(band.F, there, task)
    set_basis(task, shared, constants.rounding)
    together(plain(LOAD), plain(0), team, task, shared, mine, problem, constants, plan)
    return by_band(
        plain(ASCEND), steps, rows, plain(0), team, task, shared, mine, problem, constants, plan
    )  # fmt: skip


def kernel_gradient(H, U, F, W, power, weight, steps=0):
    """f and df/d∠F (N, M) of one band at {F, W} as the compiled pieces give them, float64."""
    (S, K, N), M, r, separate = H.shape, F.shape[1], U.shape[2], len(U) > 1
    square = np.linalg.norm(U @ U.conj().mT, axis=(1, 2)) ** 2
    plan = plan_for(K, fully_connected(N, M), r, steps=0)
    setting = BandSetting(
        U, square, users=K, network=fully_connected(N, M), noise=NOISE, plan=plan, dtype=np.float64
    )  # fmt: skip
    task = Task(
        H=H, U=setting.planes, square=square, chosen=np.arange(S), nearest=np.arange(S),
        share=np.full(S, 1 / S), order=np.zeros((S, K), np.int64), updates=np.zeros(S, np.int64), F=F.copy(),
        gram=np.zeros((M, M), np.complex128), W=W.copy(), f=np.zeros(S), loud=np.zeros(S, np.int64),
    )  # fmt: skip
    shared = buffer_for(band_layout(N, K, M, r, S, separate), np.float64)
    mine = buffer_for(thread_layout(N, K, M, r, separate), np.float64)
    free, rows = setting.one.mask, np.zeros((1, 1, setting.one.mask[0].size))
    f = gradient_of(
        task, free, setting.one.problem(power, weight), CONSTANTS._replace(rounding=1e-12),
        plan_of_band(plan)._replace(digital=-1), buffer_for((1, 1, SIZE), np.int64), shared, mine, rows,
        steps,
    )  # fmt: skip
    return f, rows[0, 0].reshape(free.shape[1:])[:M, :N].T


CASES = [
    {"users": 3, "antennas": 16, "chains": 4},
    {"users": 1, "antennas": 10, "chains": 3},
    {"users": 5, "antennas": 21, "chains": 7},
    {"users": 4, "antennas": 16, "chains": 4, "separate": True},
]


@pytest.mark.parametrize("case", CASES)
def test_gradient_against_autograd(case):
    """f is the mean of the narrowband ones; df/d∠F is its gradient without the part in F's span."""
    S, power, weight = 5, 7.0, 0.4
    H = band_channels(1, S, case["users"], case["antennas"])[0]
    U, _ = sensing(case["antennas"], count=S if case.get("separate") else 1)
    g = np.random.default_rng(3)
    F = np.exp(1j * g.uniform(0, 6, (case["antennas"], case["chains"])))
    W = g.standard_normal((2, S, case["chains"], case["users"])) @ np.eye(case["users"])
    W = W[0] + 1j * W[1]
    W *= np.sqrt(power) / np.linalg.norm(F @ W, axis=(1, 2))[:, None, None]
    f, ours = kernel_gradient(H, U, F, W, power, weight)
    X = torch.from_numpy(F @ W).requires_grad_()
    at_power = X * (math.sqrt(power) / torch.linalg.matrix_norm(X))[:, None, None]
    mean = objective(torch.from_numpy(H), at_power, U, power, weight).mean()
    mean.backward()
    assert f == pytest.approx(float(mean.detach()), rel=1e-9)
    by_F = np.einsum("snk,smk->nm", X.grad.numpy() / 2, W.conj())
    by_F -= F @ np.linalg.lstsq(F, by_F, rcond=None)[0]
    np.testing.assert_allclose(ours, 2 * (F.conj() * by_F).imag, rtol=1e-7, atol=1e-9)


def test_where_W_is_at_its_best_the_gradient_is_that_of_f():
    """After many steps of W nothing of the gradient lies in F's span: differences of max_W f agree."""
    H, (U, _) = band_channels(1, 3)[0], sensing()
    g = np.random.default_rng(5)
    F = np.exp(1j * g.uniform(0, 6, (16, 4)))
    W = np.einsum("nm,snk->smk", np.linalg.pinv(F).T, np.broadcast_to(H.conj().swapaxes(1, 2), (3, 16, 3)))
    _, gradient = kernel_gradient(H, U, F, W, 10.0, 0.3, steps=400)
    turn = g.standard_normal(F.shape)
    step = 1e-5
    ahead, _ = kernel_gradient(H, U, F * np.exp(1j * step * turn), W, 10.0, 0.3, steps=400)
    behind, _ = kernel_gradient(H, U, F * np.exp(-1j * step * turn), W, 10.0, 0.3, steps=400)
    assert (ahead - behind) / (2 * step) == pytest.approx(float((gradient * turn).sum()), rel=1e-4)


@pytest.mark.parametrize(("dtype", "close"), [(np.float64, 1e-9), (np.float32, 2e-4)])
@pytest.mark.parametrize("rank", [1, 3])
def test_f_power_and_modulus(dtype, close, rank):
    """f is what the equations say of the design; |F| = 1 and ‖F W_s‖² = P_t on every subcarrier."""
    H, (U, square) = band_channels(), sensing(rank=rank)
    d = design(H, U, square, dtype=dtype)
    np.testing.assert_allclose(d.f, value(H, U, d), rtol=close)
    assert float(modulus_error(torch.from_numpy(d.F)).max()) < 1e-12
    power = np.linalg.norm(d.F[:, None] @ d.W, axis=(2, 3)) ** 2
    np.testing.assert_allclose(power, 10.0, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_subcarrier_is_the_narrowband_design_bit_for_bit(dtype):
    H, (U, square) = band_channels(3, 1), sensing()
    s = make_scenario(
        torch.from_numpy(H[:, 0]), Sensing(torch.from_numpy(U[0] @ U[0].conj().T)), snr_db=10, chains=5
    )
    plan = plan_for(3, s.network, 3, steps=15)
    point, f, done = run_fast(s, plan, dtype=dtype)
    factor = s.radar.factor({np.float32: 1e-3, np.float64: 1e-7}[dtype]).U.numpy()
    square = np.array([float(torch.linalg.matrix_norm(s.Psi)) ** 2])
    d = design(H, factor[None], square, power=float(s.power[0]), net=s.network, dtype=dtype, plan=plan)
    assert np.array_equal(d.F, point.F.numpy())
    assert np.array_equal(d.W[:, 0], point.W.numpy())
    assert np.array_equal(d.f, f.numpy())
    assert np.array_equal(d.done, done.numpy())


def test_equal_subcarriers_give_the_narrowband_F_and_equal_W():
    one, (U, square) = band_channels(2, 1), sensing()
    H = np.repeat(one, 7, axis=1)
    d, narrow = design(H, U, square), design(one, U, square)
    np.testing.assert_allclose(d.F, narrow.F, rtol=0, atol=1e-9)
    np.testing.assert_allclose(d.W, d.W[:, :1].repeat(7, 1), rtol=0, atol=1e-9)
    assert (d.f >= narrow.f - 1e-9).all()


def test_the_number_of_threads_changes_nothing():
    """The sums are made in the same groups, whoever makes them."""
    H, (U, square) = band_channels(1, 20), sensing()
    several = [design(H, U, square, threads=t) for t in (1, 2, 3)]
    for d in several[1:]:
        assert np.array_equal(d.F, several[0].F)
        assert np.array_equal(d.W, several[0].W)
    assert np.array_equal(design(H.repeat(3, 0), U, square, threads=2).F[2], several[0].F[0])


def test_never_below_a_given_start():
    H, (U, square) = band_channels(2, 12), sensing()
    d = design(H, U, square, plan=plan_for(3, fully_connected(16, 4), 3, steps=3))
    before = value(H, U, d)
    for steps in (0, 1, 20):
        plan = plan_for(3, fully_connected(16, 4), 3, steps=steps)
        further = design(H, U, square, plan=plan, start=(d.F, d.W))
        after = value(H, U, further)
        assert (after >= before - 1e-12).all()
        assert steps < 20 or (after > before).all()


def test_each_subcarrier_with_its_own_radar():
    """Equal Ψ_s give the design of the common one; other Ψ_s the f that the equations say."""
    H, (U, square) = band_channels(2, 6), sensing()
    plan = Plan(20, 10, 10, 3, 3)
    common = design(H, U, square, plan=plan, subset=6)
    each = design(H, U.repeat(6, 0), square.repeat(6), plan=plan, subset=6)
    np.testing.assert_allclose(each.F, common.F, rtol=0, atol=1e-7)
    U, square = sensing(count=6)
    d = design(H, U, square)
    np.testing.assert_allclose(d.f, value(H, U, d), rtol=1e-9)
    assert (d.f > value(H, U, common)).all()


@pytest.mark.parametrize("name", ["subarrays", "interleaved"])
def test_networks_keep_their_zeros(name):
    net = named_network(name, 16, 4)
    H, (U, square) = band_channels(2, 6), sensing()
    start = design(H, U, square, net=net, plan=plan_for(3, net, 3, steps=0))
    d = design(H, U, square, net=net, plan=plan_for(3, net, 3, steps=20))
    assert np.array_equal(d.F != 0, np.broadcast_to(net.mask.numpy() != 0, d.F.shape))
    assert (d.f > start.f).all()
    np.testing.assert_allclose(d.f, value(H, U, d), rtol=0, atol=1e-8)  # channels are on a grid of 2⁻³⁰


def test_a_dynamic_network_hangs_each_antenna_on_one_chain():
    net = named_network("dynamic", 16, 4)
    H, (U, square) = band_channels(2, 6), sensing()
    d = design(H, U, square, net=net)
    assert ((d.F != 0).sum(-1) == 1).all()
    fixed = design(H, U, square, net=named_network("subarrays", 16, 4))
    assert d.f.mean() > fixed.f.mean()


def test_what_is_frozen_stays():
    H, (U, square) = band_channels(1, 6), sensing()
    d = design(H, U, square, plan=plan_for(3, fully_connected(16, 4), 3, steps=0))
    free = np.ones((1, 16, 4))
    free[0, ::2] = 0
    further = design(H, U, square, start=(d.F, d.W), free=free)
    assert np.array_equal(further.F[0, ::2], d.F[0, ::2])
    assert not np.array_equal(further.F[0, 1::2], d.F[0, 1::2])
    assert further.f > d.f


def test_users_in_another_order_and_scaled_channels():
    """The same design with its users in that order; channels and noise scaled together change nothing."""
    H, (U, square) = band_channels(1, 6, users=4), sensing()
    plan, turn = Plan(20, 10, 10, 3, 5), [2, 0, 3, 1]
    d = design(H, U, square, plan=plan)
    other = design(H[:, :, turn] * np.exp(1j * np.arange(4))[:, None], U, square, plan=plan)
    np.testing.assert_allclose(other.F, d.F, rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.abs(other.W), np.abs(d.W[..., turn]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-4, 1e5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weak_and_loud_users(scale, dtype):
    """f is what the equations say; far above the noise the interference is taken out at the true noise."""
    H, (U, square) = scale * band_channels(2, 6), sensing()
    d = design(H, U, square, dtype=dtype)
    np.testing.assert_allclose(d.f, value(H, U, d), rtol=1e-3 if dtype is np.float32 else 1e-6)
    assert scale < 1 or (d.f > 3 * 2 * math.log2(scale)).all()


def test_users_that_depend_on_others_or_have_no_channel():
    H, (U, square) = band_channels(1, 6, users=4), sensing()
    for change in (H[:, :, [0, 0, 1, 1]], H * np.array([1, 0, 1, 1])[:, None], np.zeros_like(H)):
        for dtype in (np.float32, np.float64):
            d = design(np.ascontiguousarray(change), U, square, dtype=dtype)
            assert np.isfinite(d.F).all()
            assert np.isfinite(d.W).all()
            np.testing.assert_allclose(d.f, value(change, U, d), rtol=2e-4)


def test_many_users_take_the_limited_memory():
    """Above `DENSE` unknowns of W the last pairs stand for its inverse Hessian."""
    H, (U, square) = band_channels(1, 3, users=14, antennas=32), sensing(32)
    start = design(H, U, square, chains=14, plan=Plan(20, 10, 0, 3, 0))
    d = design(H, U, square, chains=14, plan=Plan(20, 10, 10, 3, 15))
    assert d.f > start.f + 0.1
    np.testing.assert_allclose(d.f, value(H, U, d), rtol=1e-9)


class TestChoice:
    def test_all_are_counted_once(self):
        H = band_channels(1, 64, bandwidth=0.3)[0]
        for count in (None, 1, 5, 63, 64, 100):
            c = choose(H, np.zeros(1), count)
            assert c.share.sum() == pytest.approx(1)
            assert (c.chosen[c.nearest[c.chosen]] == c.chosen).all()
            assert (np.diff(c.chosen) > 0).all()
        assert len(c.chosen) == 64

    def test_as_many_as_the_channels_change(self):
        """More over more bandwidth, as many of twice the subcarriers, one of equal ones."""
        counts = [
            len(choose(band_channels(1, 64, bandwidth=b)[0], np.zeros(1)).chosen) for b in (0.01, 0.1, 0.4, 1)
        ]
        assert counts == sorted(counts)
        assert 1 < counts[0] < counts[-1] < 64
        twice = [len(choose(band_channels(1, S, bandwidth=0.4)[0], np.zeros(1)).chosen) for S in (64, 128)]
        assert abs(twice[0] - twice[1]) <= 1
        equal = band_channels(1, 1)[0].repeat(9, 0) * np.exp(1j * np.arange(9.0))[:, None, None]
        assert len(choose(equal, np.zeros(1)).chosen) == 1
        assert len(choose(0 * equal, np.zeros(1)).chosen) == 1

    def test_the_rule(self):
        assert needed(0.0) == needed(float("nan")) == 1
        assert needed(3.6) < needed(14.5) < needed(36.0)


def test_what_is_left_out_costs_little():
    """F from the subcarriers that the rule chooses is within half a percent of F from all, in the mean.

    The two end in different local maxima of a channel, which differ by several percent: the mean over the
    channels is known to its standard error.
    """
    H, (U, square) = band_channels(96, 48, bandwidth=0.3), sensing()
    some, every = design(H, U, square), design(H, U, square, subset=48)
    assert len(choose(H[0], np.zeros(1)).chosen) < 24
    lost = (every.f - some.f) / abs(every.f.mean())
    error = lost.std(ddof=1) / math.sqrt(len(lost))
    assert error < 5e-3
    assert lost.mean() < 5e-3 + 2 * error
    far = design(H, U, square, subset=4)
    assert ((every.f - far.f) / abs(every.f.mean())).mean() > 5e-3 + 2 * error  # too few are seen


@pytest.mark.parametrize("threads", [1, 2])
def test_prepared_for_a_deployment_is_the_design_of_the_batch(threads):
    H, (U, _) = band_channels(2, 8), sensing()
    radar = Sensing(torch.from_numpy(U[0] @ U[0].conj().T))
    s = make_scenario(
        torch.from_numpy(H), radar, snr_db=10, chains=4, frequencies=torch.arange(1.0, 9.0)
    )  # fmt: skip
    point, _, done = search(s, steps=15)
    go = prepare_band(radar, users=3, chains=4, snr_db=10, steps=15, threads=min(threads, cores()))
    for b in range(2):
        F, W, steps = go(H[b])
        assert np.array_equal(F, point.F[b].numpy())
        assert np.array_equal(W, point.W[b].numpy())
        assert steps == done[b]


@pytest.mark.reference
@pytest.mark.parametrize(
    ("name", "chains"), [("1GHz", 4), ("1GHz", 8), ("1GHz", 16), ("100MHz", 4), ("100MHz", 8)]
)
def test_the_table_of_the_reference(reference, name, chains):
    """At least the general optimiser's R − 0.3 τ, on the mean of the reference's channels."""
    band = script("band")
    s = band.scenario(band.drawn(reference, name), band.published_radar(reference, 12), chains)
    assert float(fast(s).objective.mean()) > band.README[name, chains]


def test_dependent_columns_of_F_in_single_precision():
    """M = N: F's columns span all, some nearly depend on others, and f still is what the equations say."""
    H, (U, square) = band_channels(3, 6, antennas=12), sensing(12)
    d = design(H, U, square, chains=12, dtype=np.float32)
    np.testing.assert_allclose(d.f, value(H, U, d), rtol=2e-3)
