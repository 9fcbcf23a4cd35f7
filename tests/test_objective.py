"""(4), (5), (8) and their gradients (13)-(18): against the literal oracle, autograd and differences."""

from __future__ import annotations

import math

import numpy as np
import oracle
import pytest
import torch
from conftest import relative, three_beams
from hypothesis import given
from hypothesis import strategies as st

from beamfold.metrics import (
    beampattern,
    covariance_pattern,
    desired_error,
    pattern_error,
)
from beamfold.objective import (
    ascent,
    beam_error,
    beam_gradient,
    objective,
    rate,
    rate_gradient,
    signal_gradient,
)


@st.composite
def problems(draw):
    """(H, F, W, Psi, weight, noise): any sizes, F off the unit circle as in the inner steps."""
    N = draw(st.integers(1, 24))
    M = draw(st.integers(1, min(N, 8)))
    K = draw(st.integers(1, M))
    snr_db = draw(st.floats(-10, 30))
    weight = draw(st.floats(0.0, 3.0))
    noise = draw(st.sampled_from([1.0, 0.01, 7.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    power = noise * 10 ** (snr_db / 10)

    def gaussian(*shape):
        return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)

    H, F, W, G = gaussian(K, N), gaussian(N, M), gaussian(M, K), gaussian(N, N)
    W *= math.sqrt(power) / np.linalg.norm(F @ W)
    Psi = G @ G.conj().T
    Psi *= power / np.trace(Psi).real
    return H, F, W, Psi, weight, noise


def tensors(*arrays):
    return [torch.from_numpy(a) for a in arrays]


@given(problems())
def test_rate_and_tau_are_the_papers(problem):
    H, F, W, Psi, weight, noise = problem
    tH, tX, tPsi = tensors(H, F @ W, Psi)
    R, tau = oracle.rate(H, F, W, noise), oracle.tau(F, W, Psi)
    assert float(rate(tH, tX, noise)) == pytest.approx(R, rel=1e-11)
    assert float(beam_error(tX, tPsi)) == pytest.approx(tau, rel=1e-11)
    value = float(objective(tH, tX, tPsi, 1.0, weight, noise))
    assert value == pytest.approx(R - weight * tau, abs=1e-11 * (R + weight * tau))


@given(problems())
def test_gradients_are_the_papers(problem):
    """(13), (14), (17), (18) and the published program's variant of (14), within 1e-10."""
    H, F, W, Psi, _, noise = problem
    tH, tF, tW, tPsi = tensors(H, F, W, Psi)
    X = tF @ tW
    assert relative(rate_gradient(tH, X, noise) @ tW.mH, oracle.rate_gradient_F(H, F, W, noise)) < 1e-10
    assert relative(tF.mH @ rate_gradient(tH, X, noise), oracle.rate_gradient_W(H, F, W, noise)) < 1e-10
    assert (
        relative(tF.mH @ signal_gradient(tH, X, noise), oracle.published_gradient_W(H, F, W, noise)) < 1e-10
    )
    # The two parts of (17) and (18) may cancel: the error is measured against their size.
    size = 2 * np.linalg.norm(Psi @ F @ W)
    on_F = (beam_gradient(X, tPsi) @ tW.mH).numpy() - oracle.tau_gradient_F(F, W, Psi)
    on_W = (tF.mH @ beam_gradient(X, tPsi)).numpy() - oracle.tau_gradient_W(F, W, Psi)
    assert np.linalg.norm(on_F) < 1e-10 * size * np.linalg.norm(W)
    assert np.linalg.norm(on_W) < 1e-10 * size * np.linalg.norm(F)


@given(problems())
def test_gradients_are_half_of_autograds(problem):
    """∇ is ∂/∂Z* (34); PyTorch's .grad is twice that."""
    H, F, W, Psi, weight, noise = problem
    tH, tF, tW, tPsi = tensors(H, F, W, Psi)
    tF.requires_grad_()
    tW.requires_grad_()
    objective(tH, tF @ tW, tPsi, 1.0, weight, noise).backward()
    with torch.no_grad():
        G = ascent(tH, tF @ tW, tPsi, 1.0, weight, noise)
        on_F, on_W = G @ tW.mH, tF.mH @ G
        # Both sides subtract ω ∇τ from ∇R: compare against the parts, not against what is left.
        X = tF @ tW
        R, tau = rate_gradient(tH, X, noise), weight * beam_gradient(X, tPsi)
        part_F = float(torch.linalg.norm(R @ tW.mH) + torch.linalg.norm(tau @ tW.mH))
        part_W = float(torch.linalg.norm(tF.mH @ R) + torch.linalg.norm(tF.mH @ tau))
        assert float(torch.linalg.norm(on_F - tF.grad / 2)) <= 1e-10 * part_F
        assert float(torch.linalg.norm(on_W - tW.grad / 2)) <= 1e-10 * part_W


@given(problems(), st.integers(0, 2**32 - 1))
def test_gradients_are_slopes(problem, seed):
    """d/dt f(Z + t D) = 2 Re tr(∇ᴴ D), by differences of fourth order, within 1e-5."""
    H, F, W, Psi, weight, noise = problem
    rng = np.random.default_rng(seed)
    tH, tF, tW, tPsi = tensors(H, F, W, Psi)
    G = ascent(tH, tF @ tW, tPsi, 1.0, weight, noise)
    on_F, on_W = (G @ tW.mH).numpy(), (tF.mH @ G).numpy()

    def value(F, W):
        return oracle.rate(H, F, W, noise) - weight * oracle.tau(F, W, Psi)

    for Z, gradient, f in ((F, on_F, lambda Z: value(Z, W)), (W, on_W, lambda Z: value(F, Z))):
        D = rng.standard_normal(Z.shape) + 1j * rng.standard_normal(Z.shape)
        D *= np.linalg.norm(Z) / np.linalg.norm(D)
        t = 1e-4
        slope = (8 * (f(Z + t * D) - f(Z - t * D)) - (f(Z + 2 * t * D) - f(Z - 2 * t * D))) / (12 * t)
        size = 2 * np.linalg.norm(gradient) * np.linalg.norm(D)
        # Rounding of f itself bounds what a difference can see.
        noise_floor = 1e-15 * (oracle.rate(H, F, W, noise) + weight * np.linalg.norm(Psi) ** 2) / t
        assert abs(slope - 2 * np.vdot(gradient, D).real) <= 1e-5 * size + 10 * noise_floor


def test_gradients_broadcast_over_leading_axes():
    rng = np.random.default_rng(0)
    H, X = (
        torch.from_numpy(rng.standard_normal((2, 3, *shape)) + 1j * rng.standard_normal((2, 3, *shape)))
        for shape in ((2, 6), (6, 2))
    )
    Psi, omega = three_beams(6).Psi, torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], dtype=torch.float64)
    for digital in ("exact", "signal"):
        whole = ascent(H, X, Psi, 1.0, omega, 1.0, digital=digital)
        for i, j in np.ndindex(2, 3):
            part = ascent(H[i, j], X[i, j], Psi, 1.0, omega[i, j], 1.0, digital=digital)
            assert relative(whole[i, j], part) < 1e-13


def test_rate_does_not_cancel_at_high_snr():
    """Perfect zero forcing at 200 dB: signal/noise is 1e20, the interference zero; log₂(1 + 1e20) each."""
    H = torch.eye(2, dtype=torch.complex128)
    X = 1e10 * H
    assert float(rate(H, X)) == pytest.approx(2 * math.log2(1e20), rel=1e-14)


def test_rate_does_not_cancel_at_low_snr():
    """At −200 dB the rate is signal/ln 2, which log₂(1 + 1e-20) would round to zero."""
    H = torch.eye(1, dtype=torch.complex128)
    assert float(rate(H, 1e-10 * H)) == pytest.approx(1e-20 / math.log(2), rel=1e-14)


@pytest.mark.parametrize("snr_db", [-100, 0, 30, 150])
def test_rate_gradient_does_not_cancel(snr_db):
    """One user: ∇_X R = h (hᴴx) / ((|hᴴx|² + σ²) ln 2), whatever the SNR."""
    rng = np.random.default_rng(1)
    h, x = rng.standard_normal((2, 5, 1)) + 1j * rng.standard_normal((2, 5, 1))
    x *= 10 ** (snr_db / 20)
    a = (h.conj().T @ x).item()
    truth = h * a / ((abs(a) ** 2 + 1) * math.log(2))
    assert relative(rate_gradient(torch.from_numpy(h.conj().T), torch.from_numpy(x)), truth) < 1e-10


@given(problems(), st.integers(0, 2**32 - 1))
def test_invariances(problem, seed):
    """τ sees X Xᴴ alone, R neither the users' order nor a common phase of a user's channel or signal."""
    H, F, W, Psi, _, noise = problem
    rng = np.random.default_rng(seed)
    X, K = F @ W, W.shape[1]
    Q, _ = np.linalg.qr(rng.standard_normal((K, K)) + 1j * rng.standard_normal((K, K)))
    order = rng.permutation(K)
    phase = np.exp(1j * rng.uniform(0, 2 * np.pi, K))
    tH, tX, tPsi, tQ = tensors(H, X, Psi, Q)
    R, tau = float(rate(tH, tX, noise)), float(beam_error(tX, tPsi))
    assert tau >= 0
    assert R >= 0
    assert float(beam_error(tX @ tQ, tPsi)) == pytest.approx(tau, rel=1e-9)
    assert float(rate(tH[order], tX[:, order], noise)) == pytest.approx(R, rel=1e-10)
    rotated, signals = tensors(phase[:, None] * H, X * phase.conj())
    assert float(rate(rotated, tX, noise)) == pytest.approx(R, rel=1e-10)
    assert float(rate(tH, signals, noise)) == pytest.approx(R, rel=1e-10)
    # Hybrid ambiguity: F Q', Q'ᴴ W is the same X.
    M = F.shape[1]
    B, _ = np.linalg.qr(rng.standard_normal((M, M)) + 1j * rng.standard_normal((M, M)))
    (again,) = tensors((F @ B) @ (B.conj().T @ W))
    assert float(rate(tH, again, noise)) == pytest.approx(R, rel=1e-9)


def test_tau_is_zero_at_the_benchmark():
    """Two sums X Xᴴ of K products each lie apart by 2 (K + 2) ε at most, entry by entry, of |X| |X|ᴴ."""
    rng = np.random.default_rng(2)
    X = torch.from_numpy(rng.standard_normal((6, 2)) + 1j * rng.standard_normal((6, 2)))
    size = float(torch.linalg.matrix_norm(X.abs() @ X.abs().mT))
    assert float(beam_error(X, X @ X.mH)) <= (2 * (2 + 2) * np.finfo(float).eps * size) ** 2
    assert float(torch.linalg.norm(beam_gradient(X, X @ X.mH))) < 1e-12


def test_scaling_channel_and_noise_leaves_the_rate():
    rng = np.random.default_rng(3)
    H = torch.from_numpy(rng.standard_normal((3, 7)) + 1j * rng.standard_normal((3, 7)))
    X = torch.from_numpy(rng.standard_normal((7, 3)) + 1j * rng.standard_normal((7, 3)))
    assert float(rate(3 * H, X, 9 * 0.5)) == pytest.approx(float(rate(H, X, 0.5)), rel=1e-12)


def test_patterns_are_quadratic_forms():
    """p(θ) = āᴴ X Xᴴ ā by hand, and Ψ's pattern the same form; a MSE of zero where they agree."""
    rng = np.random.default_rng(4)
    N, angles = 5, torch.tensor([-1.0, 0.2, 0.9], dtype=torch.float64)
    X = rng.standard_normal((N, 2)) + 1j * rng.standard_normal((N, 2))
    (tX,) = tensors(X)
    hand = []
    for theta in angles.tolist():
        a = np.exp(1j * math.pi * np.arange(N) * math.sin(theta))
        hand.append((a.conj() @ X @ X.conj().T @ a).real)
    assert beampattern(tX, angles).tolist() == pytest.approx(hand, rel=1e-12)
    assert covariance_pattern(tX @ tX.mH, angles).tolist() == pytest.approx(hand, rel=1e-12)
    power = torch.linalg.matrix_norm(tX).square()
    assert float(pattern_error(tX, tX @ tX.mH / power, power, angles)) < 1e-25
    worse = pattern_error(tX, three_beams(N).Psi, power, angles)
    form = covariance_pattern(three_beams(N).Psi, angles).numpy()
    assert float(worse) == pytest.approx(np.mean((np.array(hand) / float(power) - form) ** 2), rel=1e-12)
    desired = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    expected = np.mean((np.array(hand) / float(power) - 2.5 * desired.numpy()) ** 2)
    assert float(desired_error(tX, desired, 2.5, power, angles)) == pytest.approx(expected, rel=1e-12)


def test_pattern_holds_the_power():
    """The mean of p over a uniform sin θ is ‖X‖²."""
    rng = np.random.default_rng(5)
    X = torch.from_numpy(rng.standard_normal((8, 3)) + 1j * rng.standard_normal((8, 3)))
    sines = torch.arange(-1, 1, 1 / 32, dtype=torch.float64)  # a period of all that p(θ) contains
    mean = float(beampattern(X, torch.asin(sines)).mean())
    assert mean == pytest.approx(float(torch.linalg.matrix_norm(X).square()), rel=1e-12)
