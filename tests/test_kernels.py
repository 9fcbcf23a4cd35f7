"""The compiled layers and their adjoint: the same numbers as the readable path, at another speed."""

from __future__ import annotations

import ctypes
import math
import sys

import numpy as np
import pytest
import torch
from conftest import relative, script, small, ulps

from beamfold import ModelInfo, UnfoldedPGA, pga, prepare
from beamfold.constraints import modulus_error, power_error, total_power
from beamfold.kernels.fast_workspace import sizes
from beamfold.kernels.packed import DROPPED
from beamfold.kernels.phases import unit
from beamfold.kernels.proposed import PIVOTS, start_layout, start_point
from beamfold.kernels.unfolded import differentiable, run_kernel
from beamfold.kernels.workspace import Buffers, buffer_for
from beamfold.optim.layers import run_layers
from beamfold.result import Status
from beamfold.scenario import make_scenario
from beamfold.start import Point, proposed, random

accuracy = script("kernel_accuracy")
PRECISIONS = [np.float32, np.float64]


def finishing(s):
    """By how many ulps a channel's point may differ between two batches.

    The compiled function gives a channel the same bits in any batch. Then torch puts the point back on (7b)
    and (7c), and how it rounds depends on the shape of the batch: F/|F| within 2 ulps, W √P_t/‖F W‖ within
    one for each of the M + N K terms of that norm and 4 further operations. Two results differ by twice that.
    """
    return 2 * (s.chains + s.antennas * s.users + 4)


def random_steps(layers, inner, seed=0, size=0.01):
    rng = np.random.default_rng(seed)
    return (
        torch.from_numpy(size * rng.uniform(0.2, 1.5, (layers, inner))),
        torch.from_numpy(size * rng.uniform(0.2, 1.5, layers)),
    )


def stable(s, start, layers, inner, seed=0):
    """Step sizes in the regime of benchmarks/kernel_accuracy.py, where precision is all that differs."""
    return accuracy.steps(s, start, layers, inner, np.random.default_rng(seed))


@pytest.mark.parametrize("index", range(40))
def test_random_scenarios(index):
    """R and τ after I = 20, J = 20: 1e-3 in float32, 1e-9 in float64."""
    case = accuracy.random_case(index)
    truth = run_layers(*case, engine="torch").point
    before, after = (accuracy.figures(case.s, point) for point in (case.start, truth))
    assert relative(after, before) > 1e-4  # something happened
    for dtype, limit in accuracy.LIMITS.items():
        on_R, on_tau = accuracy.errors(case, dtype, truth)
        assert on_R < limit, (dtype, accuracy.describe(case))
        assert on_tau < limit, (dtype, accuracy.describe(case))


@pytest.mark.parametrize("index", [196, 409, 528])
def test_float32_where_F_W_cancels(index):
    """The scenarios of 1000 that float32 misses: F almost rank deficient, so W is huge and F W small."""
    assert max(accuracy.errors(accuracy.random_case(index), np.float32)) < accuracy.LIMITS[np.float32]


def test_the_papers_step_sizes():
    """Step 0.01 at N = 64, 12 dB, as the paper has it: 20 layers of J = 20 on 5 channels."""
    s = small(64, 4, count=5, snr_db=12)
    ours, reference = (pga(s, layers=20, engine=engine) for engine in ("kernel", "torch"))
    assert torch.allclose(ours.rate, reference.rate, rtol=1e-3, atol=0)
    assert torch.allclose(ours.tau, reference.tau, rtol=1e-3, atol=0)


@pytest.mark.parametrize("digital", ["exact", "signal"])
@pytest.mark.parametrize("antennas", [1, 3, 5, 15, 16, 17, 33])
def test_padding_is_harmless(antennas, digital):
    """N need not fill the registers: the same points, entry by entry."""
    s = small(antennas, min(antennas, 2), min(antennas, 3), count=3)
    start = proposed(s)
    mu, lam = stable(s, start, 5, 4)
    truth = run_layers(s, start, mu, lam, 1 / antennas, digital, engine="torch").point
    for dtype, limit in ((np.float64, 1e-11), (np.float32, 1e-4)):
        point, status, _ = run_kernel(s, start, mu, lam, 1 / antennas, digital, dtype=dtype)
        assert relative(point.F, truth.F) < limit
        assert relative(point.F @ point.W, truth.F @ truth.W) < limit
        assert status.tolist() == [Status.FIXED_DEPTH] * 3


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_every_point_is_recorded(dtype):
    s = small(12, 2, 3, count=3)
    start = proposed(s)
    mu, lam = stable(s, start, 4, 3)
    last, _, points = run_kernel(s, start, mu, lam, 1 / 12, "signal", dtype=dtype, record=True)
    assert len(points) == 5
    assert torch.equal(points[-1].F, last.F)
    for i, point in enumerate(points):
        part, _, none = run_kernel(s, start, mu[:i], lam[:i], 1 / 12, "signal", dtype=dtype)
        assert none == []
        assert torch.equal(point.F, part.F)
        assert torch.equal(point.W, part.W)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_an_entry_without_size_keeps_its_phase(dtype):
    """(10) where |A|² is below the smallest normal number, where the quotient by its root is not finite."""
    least = float(np.finfo(dtype).smallest_normal)
    A, old, size = np.zeros((2, 1, 16), dtype), np.zeros((2, 1, 16), dtype), np.ones((1, 1, 16), dtype)
    A[0, 0, :4] = 0.0, 0.5 * math.sqrt(least), 2 * math.sqrt(least), -3.0
    old[1] = 1
    out = np.zeros_like(A)
    unit(out, size, A, old)
    close = {"rtol": 4 * np.finfo(dtype).eps}
    np.testing.assert_allclose(out[0, 0, :4], [0, 0, 1, -1], **close)
    np.testing.assert_allclose(out[1, 0, :4], [1, 1, 0, 0], **close)
    np.testing.assert_allclose(size[0, 0, :4], abs(A[0, 0, :4]) * [0, 0, 1, 1], **close)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_points_are_feasible_to_complex128(dtype):
    s = small(17, 3, 5, count=4, snr_db=25)
    point, _, _ = run_kernel(s, random(s), *stable(s, random(s), 5, 5), 1 / 17, "exact", dtype=dtype)
    assert point.F.dtype == point.W.dtype == torch.complex128
    assert float(modulus_error(point.F).max()) < 1e-12
    assert float(power_error(point.F @ point.W, s.power).max()) < 1e-12


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_threads_and_order_do_not_matter(dtype):
    """A channel's design is the same on any number of threads, bit for bit, and in any batch and order."""
    s = small(20, 3, 4, count=7)
    start = proposed(s)
    mu, lam = random_steps(6, 4, size=0.003)

    def run(part, begin, threads):
        point, _, _ = run_kernel(part, begin, mu, lam, 1 / 20, "signal", dtype=dtype, threads=threads)
        return point

    one = run(s, start, 1)
    for threads in (2, 3, 50):
        again = run(s, start, threads)
        assert torch.equal(one.F, again.F)
        assert torch.equal(one.W, again.W)
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    mixed = run(s[order], Point(start.F[order], start.W[order]), 2)
    assert ulps(mixed.F, one.F[order]) <= finishing(s)
    assert ulps(mixed.W, one.W[order]) <= finishing(s)
    alone = run(s[2:3], Point(start.F[2:3], start.W[2:3]), 1)
    assert ulps(alone.W, one.W[2:3]) <= finishing(s)


def test_leading_axes():
    """Several SNRs in front: as each by itself."""
    s = make_scenario(small(12, 2).H, small(12, 2).radar, snr_db=[0.0, 10.0])
    start = proposed(s)
    mu, lam = random_steps(4, 3, size=0.003)
    whole, status, _ = run_kernel(s, start, mu, lam, 1 / 12, "signal")
    assert whole.F.shape == (2, 4, 12, 2)
    assert status.shape == (2, 4)
    for i in range(2):
        part, _, _ = run_kernel(s[i], Point(start.F[i], start.W[i]), mu, lam, 1 / 12, "signal")
        assert ulps(part.W, whole.W[i]) <= finishing(s)


def test_one_channel_without_a_batch_axis():
    """The start (26) is rounded differently in a batch, which can change the kernel's input by a float32 ulp.

    That is 1.2e-7. `test_padding_is_harmless` bounds what float32 rounding makes of F W in 5 layers by 1e-4.
    """
    s = small(12, 2)
    alone = pga(s[1], inner=2, layers=3, engine="kernel")
    assert alone.F.shape == (12, 2)
    assert relative(alone.X, pga(s, inner=2, layers=3, engine="kernel").X[1]) < 1e-4


def test_the_factor_of_psi_says_what_it_leaves_out():
    """‖Ψ − U Uᴴ‖₂ is the bound, and at most the tolerance that `DROPPED` states."""
    for index in range(20):
        radar = accuracy.random_case(index).s.radar
        top = float(torch.linalg.matrix_norm(radar.Psi, 2))
        for tolerance in DROPPED.values():
            U, bound = radar.factor(tolerance)
            left = float(torch.linalg.matrix_norm(radar.Psi - U @ U.mH, 2))
            assert left == pytest.approx(bound, rel=1e-6, abs=1e-14)
            assert bound <= tolerance * top
            assert U.shape[1] <= radar.antennas


def test_the_start_without_a_pseudo_inverse():
    """(26) by Cholesky's factorisation is the definition where it is trusted, and says where it is not."""
    s = small(16, 3, 5, count=6)
    N, K, M = s.antennas, s.users, s.chains
    buffer = buffer_for(start_layout(sizes(N, K, M, 0), K), np.float64)
    truth = proposed(s)
    extra = np.ascontiguousarray(truth.F[0, :, K:].resolve_conj().numpy())

    def found(H):
        F, W = np.empty((N, M), np.complex128), np.empty((M, K), np.complex128)
        everywhere = np.ones((N, M))
        trust = start_point(F, W, np.ascontiguousarray(H.resolve_conj().numpy()), extra, everywhere, buffer)
        return trust, Point(torch.from_numpy(F), torch.from_numpy(W))

    for H, F, W, power in zip(s.H, *truth, s.power, strict=True):
        trust, point = found(H)
        assert trust > PIVOTS
        assert relative(point.F, F) < 1e-12
        assert relative(total_power(point.F, point.W, power), W) < 1e-9
    equal = s.H[0].clone()
    equal[1] = equal[0]
    assert not found(equal)[0] > PIVOTS


@pytest.mark.parametrize("equal", [False, True])
def test_a_prepared_channel_is_that_of_the_batch(equal):
    """Also with two equal users, where (26) takes pseudo-inverses."""
    s = small(16, 3, 4, count=2, snr_db=6)
    if equal:
        H = s.H.clone()
        H[:, 1] = H[:, 0]
        s = make_scenario(H, s.radar, chains=4, snr_db=6)
    start = proposed(s)
    mu, lam = stable(s, start, 5, 4)
    model = UnfoldedPGA.from_steps(mu, lam, ModelInfo(16, 3, 4, 1 / 16))
    go = prepare(model, s.radar, snr_db=6, dtype=np.float64)
    truth = run_layers(s, start, mu, lam, 1 / 16, "signal", engine="torch").point
    for H, X in zip(s.H, truth.F @ truth.W, strict=True):
        F, W, done = go(H.resolve_conj().numpy())
        assert done == 5
        assert relative(F @ W, X.numpy()) < 1e-9


# The adjoint


def loss_of(s, point):
    """(25) for a batch."""
    return -s.objective(point.F @ point.W).mean()


def adjoint(s, start, mu, lam, eta, digital, loss=loss_of, **options):
    mu, lam = (step.detach().clone().requires_grad_() for step in (mu, lam))
    value = loss(s, differentiable(s, start, mu, lam, eta, digital, **options))
    value.backward()
    return float(value.detach()), mu.grad, lam.grad


def autograd(s, start, mu, lam, eta, digital, loss=loss_of):
    mu, lam = (step.detach().clone().requires_grad_() for step in (mu, lam))
    value = loss(s, run_layers(s, start, mu, lam, eta, digital, engine="torch").point)
    value.backward()
    return float(value.detach()), mu.grad, lam.grad


TRAINING = [  # N, K, M, eta
    (16, 3, 3, 1 / 16),
    (17, 2, 4, 1 / 17),
    (9, 1, 1, 1.0),
    (5, 1, 3, 0.2),
    (24, 4, 8, 1 / 24),
]


@pytest.mark.parametrize("digital", ["exact", "signal"])
@pytest.mark.parametrize("sizes", TRAINING)
def test_adjoint_is_autograd(sizes, digital):
    """1e-8 in float64, 1e-3 in float32, for every μ and λ of 6 layers of J = 4."""
    N, K, M, eta = sizes
    s = small(N, K, M, count=3, snr_db=6, seed=N)
    start = proposed(s)
    mu, lam = stable(s, start, 6, 4)
    value, on_mu, on_lam = autograd(s, start, mu, lam, eta, digital)
    for dtype, limit in ((np.float64, 1e-8), (np.float32, 1e-3)):
        ours, our_mu, our_lam = adjoint(s, start, mu, lam, eta, digital, dtype=dtype)
        assert ours == pytest.approx(value, rel=limit)
        assert relative(our_mu, on_mu) < limit
        if M == 1:  # one number W is scaled to P_t: λ changes its phase at most, and nothing here sees that
            assert float(our_lam.abs().max()) < limit * float(our_mu.norm())
        else:
            assert relative(our_lam, on_lam) < limit


@pytest.mark.parametrize("digital", ["exact", "signal"])
def test_adjoint_at_the_papers_step_sizes(digital):
    s = small(32, 4, count=3, snr_db=6)
    mu, lam = random_steps(5, 5)
    start = proposed(s)
    _, on_mu, on_lam = autograd(s, start, mu, lam, 1 / 32, digital)
    for dtype, limit in ((np.float64, 1e-8), (np.float32, 1e-3)):
        _, our_mu, our_lam = adjoint(s, start, mu, lam, 1 / 32, digital, dtype=dtype)
        assert relative(our_mu, on_mu) < limit
        assert relative(our_lam, on_lam) < limit


def test_adjoint_of_any_function_of_the_point():
    """Not only of X, and not only of real parts: cotangents of F and W that do not fit together."""
    s = small(11, 2, 3, count=2)
    start = proposed(s)
    mu, lam = stable(s, start, 4, 3)
    rng = np.random.default_rng(0)
    A, B = (torch.from_numpy(rng.standard_normal(Z.shape) + 1j * rng.standard_normal(Z.shape)) for Z in start)

    def loss(s, point):
        return (A.conj() * point.F).real.sum() + (B.conj() * point.W).imag.sum() * 3

    _, on_mu, on_lam = autograd(s, start, mu, lam, 0.1, "exact", loss)
    _, our_mu, our_lam = adjoint(s, start, mu, lam, 0.1, "exact", loss, dtype=np.float64)
    assert relative(our_mu, on_mu) < 1e-8
    assert relative(our_lam, on_lam) < 1e-8


@pytest.mark.parametrize("digital", ["exact", "signal"])
@pytest.mark.parametrize("layers", [1, 2, 7, 9])
def test_checkpointing_changes_nothing(layers, digital):
    """bound = 1 byte keeps every √I-th point only and runs the rest again: the same to rounding.

    A segment begins with a Gram matrix of its own. The compiler may add its N products in another order than
    those of the layers: an error of N ε in each of at most 3 segments, 8e-15, which stable steps do not
    amplify. The loss sums R and ω τ of both signs, which costs another digit.
    """
    s = small(12, 2, 3, count=3)
    start = proposed(s)
    mu, lam = stable(s, start, layers, 3)
    whole = adjoint(s, start, mu, lam, 1 / 12, digital, dtype=np.float64)
    parts = adjoint(s, start, mu, lam, 1 / 12, digital, dtype=np.float64, bound=1)
    assert parts[0] == pytest.approx(whole[0], rel=1e-13)
    assert relative(parts[1], whole[1]) < 1e-13
    assert relative(parts[2], whole[2]) < 1e-13


def dirty_memory():
    """Leave NaN in the freed blocks that the next working space will be made of."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    for size in range(64, 6000, 16):
        blocks = [libc.malloc(size) for _ in range(4)]
        for block in blocks:
            ctypes.memset(block, 0xFF, size)  # all bits set is a NaN
        for block in blocks:
            libc.free(block)


@pytest.mark.skipif(sys.platform != "linux", reason="relies on the C library's malloc")
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_working_space_need_not_be_clean(dtype):
    """Nothing is read before it is written: the same bits whatever the memory held before."""
    s = small(16, 3, count=3)
    start = proposed(s)
    mu, lam = stable(s, start, 6, 4)
    options = {"dtype": dtype, "threads": 1}
    results = []
    for _ in range(5):
        dirty_memory()
        point, _, _ = run_kernel(s, start, mu, lam, 1 / 16, "signal", **options)
        dirty_memory()
        results.append((point.F, point.W, *adjoint(s, start, mu, lam, 1 / 16, "signal", **options)[1:]))
    for result in results:
        for ours, first in zip(result, results[0], strict=True):
            assert bool(torch.isfinite(ours.abs()).all())
            assert torch.equal(ours, first)


def test_adjoint_threads():
    s = small(12, 2, count=5)
    start = proposed(s)
    mu, lam = stable(s, start, 3, 3)
    one = adjoint(s, start, mu, lam, 1 / 12, "signal", threads=1)
    two = adjoint(s, start, mu, lam, 1 / 12, "signal", threads=2)
    assert torch.equal(one[1], two[1])
    assert torch.equal(one[2], two[2])


def test_adjoint_is_a_slope():
    """Differences of the float64 kernel itself, so that no automatic derivative is trusted."""
    s = small(10, 2, 3, count=2)
    start = proposed(s)
    mu, lam = stable(s, start, 4, 3)
    _, on_mu, on_lam = adjoint(s, start, mu, lam, 0.1, "exact", dtype=np.float64)

    def value(mu, lam):
        point, _, _ = run_kernel(s, start, mu, lam, 0.1, "exact", dtype=np.float64)
        return float(loss_of(s, point))

    rng = np.random.default_rng(1)
    D, d = (torch.from_numpy(rng.standard_normal(Z.shape)) * Z for Z in (mu, lam))
    t = 1e-4
    slope = (value(mu + t * D, lam + t * d) - value(mu - t * D, lam - t * d)) / (2 * t)
    assert slope == pytest.approx(float((on_mu * D).sum() + (on_lam * d).sum()), rel=1e-5)


def test_no_layers_have_no_derivative_but_a_point():
    s = small(8, 2)
    start = proposed(s)
    empty = torch.zeros(0, 3, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    point = differentiable(s, start, *empty, 0.1, "signal", dtype=np.float64)
    assert relative(point.F, start.F) < 1e-14
    assert relative(point.W, start.W) < 1e-14


# Input that must not break anything


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("which", ["H", "F", "W"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_channel_is_said_and_leaves_the_others(which, bad, dtype):
    s = small(9, 2, 3, count=3)
    start = proposed(s)
    mu, lam = random_steps(3, 2, size=0.003)
    clean, _, _ = run_kernel(s, start, mu, lam, 0.1, "signal", dtype=dtype)
    F, W = start.F.clone(), start.W.clone()
    {"H": s.H, "F": F, "W": W}[which][1, 0, 0] = bad
    point, status, _ = run_kernel(s, Point(F, W), mu, lam, 0.1, "signal", dtype=dtype)
    assert status.tolist() == [Status.FIXED_DEPTH, Status.DIVERGED, Status.FIXED_DEPTH]
    for b in (0, 2):
        assert torch.equal(point.W[b], clean.W[b])
    if which == "H":
        assert bool(torch.isfinite(torch.view_as_real(point.W)).all())  # the start itself


def test_nothing_to_climb_stays_where_it_is():
    """Ψ = 0 and ω = 0 leave the rate alone; steps of zero leave the point alone."""
    s = make_scenario(small(8, 2).H, torch.zeros(8, 8, dtype=torch.complex128), snr_db=0, weight=0.0)
    start = proposed(s)
    zero = torch.zeros(4, 2, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    point, status, _ = run_kernel(s, start, *zero, 0.1, "exact", dtype=np.float64)
    assert relative(point.F, start.F) < 1e-14
    assert relative(point.W, start.W) < 1e-14
    assert status.tolist() == [Status.FIXED_DEPTH] * 4
    mu, lam = stable(s, start, 4, 2)
    point, _, _ = run_kernel(s, start, mu, lam, 0.1, "exact", dtype=np.float64)
    truth = run_layers(s, start, mu, lam, 0.1, "exact", engine="torch").point
    assert relative(point.F @ point.W, truth.F @ truth.W) < 1e-11


def test_a_zero_W_is_non_finite_not_a_crash():
    """W = 0 has no direction to scale to P_t where its gradient is zero too."""
    s = small(8, 2, count=2)
    start = Point(proposed(s).F, torch.zeros(2, 2, 2, dtype=torch.complex128))
    mu, lam = random_steps(2, 2)
    for engine in ("torch", "kernel"):
        outcome = run_layers(s, start, mu, lam, 0.1, "signal", engine=engine)
        assert outcome.status.tolist() == [Status.DIVERGED] * 2


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_the_adjoint_of_a_channel_that_broke_is_finite(dtype):
    """Training goes on where one sample's steps were too long: its layers past the break count nothing."""
    s = small(9, 2, count=3)
    s.H[1] *= 1e30 if dtype is np.float64 else 1e12
    start = Point(proposed(s).F, proposed(s).W)
    start.W[1] *= 1e80 if dtype is np.float64 else 1e12
    mu, lam = random_steps(4, 4)
    point, status, _ = run_kernel(s, start, mu, lam, 0.1, "signal", dtype=dtype)
    assert status.tolist()[1] == Status.DIVERGED

    def loss(s, point):
        return loss_of(s[[0, 2]], Point(point.F[[0, 2]], point.W[[0, 2]]))

    _, on_mu, on_lam = adjoint(s, start, mu, lam, 0.1, "signal", loss, dtype=dtype)
    part = s[[0, 2]]
    _, mu_2, lam_2 = adjoint(
        part, Point(start.F[[0, 2]], start.W[[0, 2]]), mu, lam, 0.1, "signal", dtype=dtype
    )
    assert relative(on_mu, mu_2) < 1e-12
    assert relative(on_lam, lam_2) < 1e-12
    assert bool(torch.isfinite(point.F.abs()).all())


def test_checkpointing_stops_where_the_whole_sweep_stops():
    """A step that breaks a channel ends it there, whatever is stored."""
    s = small(9, 2, count=2)
    start = proposed(s)
    mu, lam = random_steps(9, 3, size=0.001)
    mu[1] = 1e200
    options = (s, start, mu, lam, 0.1, "signal")
    whole = differentiable(*options, dtype=np.float64)
    parts = differentiable(*options, dtype=np.float64, bound=1)
    assert relative(parts.W, whole.W) < 1e-12


def test_threads_that_work_at_the_same_time_have_buffers_of_their_own():
    buffers = Buffers(start_layout(sizes(16, 2, 2, 0), 2), np.float64)
    with buffers.lent() as one, buffers.lent() as other:
        assert not np.shares_memory(one, other)
    with buffers.lent() as again:
        assert np.shares_memory(again, one) or np.shares_memory(again, other)
