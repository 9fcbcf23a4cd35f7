"""Steering vectors (3) and Saleh-Valenzuela channels (2)."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
import torch
from conftest import ulps

from beamfold.arrays import steering
from beamfold.channel import saleh_valenzuela


def test_steering_is_equation_3():
    """N = 4 at 30°: sin = 1/2, so the phase turns by π/2 from element to element."""
    a = steering(torch.tensor(math.pi / 6), 4)
    assert a.dtype == torch.complex128
    assert np.allclose(a, np.array([1, 1j, -1, -1j]) / 2, atol=1e-7)  # a float32 angle
    angle = -0.7
    hand = [cmath.exp(1j * math.pi * n * math.sin(angle)) / math.sqrt(5) for n in range(5)]
    assert np.allclose(steering(torch.tensor(angle, dtype=torch.float64), 5), hand, rtol=0, atol=1e-14)


@pytest.mark.parametrize("antennas", [1, 2, 17, 256])
def test_steering_has_unit_norm_and_constant_modulus(antennas):
    a = steering(torch.linspace(-math.pi, math.pi, 24, dtype=torch.float64).reshape(4, 6), antennas)
    assert a.shape == (4, 6, antennas)
    assert float((torch.linalg.vector_norm(a, dim=-1) - 1).abs().max()) < 1e-14
    assert float((a.abs() - 1 / math.sqrt(antennas)).abs().max()) < 1e-14


def test_steering_is_orthogonal_on_its_grid():
    """sin θ = 2 n / N makes the columns of a DFT matrix."""
    N = 8
    angles = torch.asin(torch.arange(-N // 2, N // 2, dtype=torch.float64) * 2 / N)
    A = steering(angles, N)
    assert float((A.conj() @ A.mT - torch.eye(N)).abs().max()) < 1e-13


def test_no_antennas():
    with pytest.raises(ValueError, match="at least 1 antenna, got 0"):
        steering(torch.zeros(1), 0)


def test_channel_is_the_sum_of_its_paths():
    """Equation (2) by hand from the generator's own numbers, and rows are h_kᴴ."""
    N, K, Q, seed, b = 6, 2, 3, 5, 4
    H = saleh_valenzuela(N, K, 1, seed=seed, paths=Q, first=b)[0].numpy()
    generator = np.random.default_rng([seed, b])
    re, im = generator.standard_normal((2, K, Q)) / math.sqrt(2)
    phi = generator.uniform(0, 2 * math.pi, (K, Q))
    for k in range(K):
        h = np.zeros(N, complex)
        for q in range(Q):
            a = np.exp(1j * math.pi * np.arange(N) * math.sin(phi[k, q])) / math.sqrt(N)
            h += math.sqrt(N / Q) * (re[k, q] + 1j * im[k, q]) * a
        assert np.allclose(H[k], h.conj(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("paths", [1, 10])
def test_mean_power_is_the_number_of_antennas(paths):
    """E‖h_k‖² = N: the mean of 8000 vectors within five standard errors."""
    N = 8
    power = saleh_valenzuela(N, 4, 2000, seed=1, paths=paths).abs().square().sum(-1).flatten()
    error = float(power.std()) / math.sqrt(power.numel())
    assert abs(float(power.mean()) - N) < 5 * error
    assert error < 0.2


def test_mean_channel_is_zero_and_users_are_independent():
    H = saleh_valenzuela(8, 2, 4000, seed=2)
    assert float(H.mean(0).abs().max()) < 6 / math.sqrt(4000)
    correlation = (H[:, 0] * H[:, 1].conj()).sum(-1).mean() / 8
    assert float(correlation.abs()) < 6 / math.sqrt(4000)


def test_channel_b_is_the_same_whatever_is_drawn_around_it():
    """The same random numbers, but a larger batch may round their sum over the paths differently.

    The error of a phase π n sin φ, n < N, is below π N ε, and that of a sum of Q products below (Q + 4) ε of
    its terms' moduli together. Two computations differ by twice these at most, and the moduli of the terms of
    an entry of these channels sum to less than 3 max |h|.
    """
    many = saleh_valenzuela(7, 3, 9, seed=11)
    limit = 6 * (math.pi * 7 + 10 + 4)
    assert many.shape == (9, 3, 7)
    assert many.dtype == torch.complex128
    assert ulps(saleh_valenzuela(7, 3, 2, seed=11, first=5), many[5:7]) < limit
    assert ulps(saleh_valenzuela(7, 3, 4, seed=11), many[:4]) < limit


def test_seeds_repeat_and_differ():
    assert torch.equal(saleh_valenzuela(4, 2, 3, seed=7), saleh_valenzuela(4, 2, 3, seed=7))
    assert not torch.isclose(saleh_valenzuela(4, 2, 3, seed=7), saleh_valenzuela(4, 2, 3, seed=8)).any()
    assert not torch.isclose(*saleh_valenzuela(4, 2, 2, seed=7)).any()


def test_the_draw_touches_no_global_generator():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    saleh_valenzuela(4, 2, 3, seed=7)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"antennas": 0}, "antennas must be at least 1, got 0"),
        ({"users": 0}, "users must be at least 1, got 0"),
        ({"count": -1}, "count must be at least 1, got -1"),
        ({"paths": 0}, "paths must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"first": -2}, "first must be at least 0, got -2"),
    ],
)
def test_bad_sizes(change, message):
    with pytest.raises(ValueError, match=message):
        saleh_valenzuela(**({"antennas": 4, "users": 2, "count": 3} | change))
