"""What every array has to hold, whatever its positions: `check_array`."""

from __future__ import annotations

import math

import numpy as np
import torch

from beamfold.arrays import Array
from beamfold.metrics import beampattern, lag_sums


def check_array(array: Array, seed: int = 0) -> None:
    """Check an array against the model of `arrays.base` at random directions.

    * ā_n = exp(j 2π r p_n · r̂) entry by entry, of unit modulus, ‖a‖ = 1;
    * the derivative of a against central differences;
    * the beampattern of a random X from its lags, p = A x, against ‖Xᴴ ā‖²;
    * ⟨G(y), Ψ⟩ = yᵀ x(Ψ) of the lags' adjoint.

    Args:
        array: the array.
        seed: of the random directions and matrices.

    Raises:
        AssertionError: what does not hold.
    """
    rng = np.random.default_rng(seed)
    angles = _directions(array, rng, 7)
    _check_steering(array, angles)
    _check_derivative(array, angles)
    _check_lags(array, angles, rng)


def _directions(array: Array, rng: np.random.Generator, count: int) -> torch.Tensor:
    shape = (count,) if array.is_line else (count, 2)
    return torch.from_numpy(rng.uniform(-1.4, 1.4, shape))


def _check_steering(array: Array, angles: torch.Tensor) -> None:
    p = array.positions.numpy()
    for ratio in (1.0, 0.95):
        a = array.steering(angles, ratio).numpy()
        assert a.shape == (len(angles), array.antennas), "a has axes (…, N)"
        assert np.allclose(np.linalg.norm(a, axis=-1), 1, atol=1e-12), "a has unit norm"
        for t, direction in enumerate(angles.tolist()):
            az, el = (direction, 0.0) if array.is_line else direction
            r = np.array([math.cos(az) * math.cos(el), math.sin(az) * math.cos(el), math.sin(el)])
            phase = 2 * math.pi * ratio * (p @ r)
            literal = np.exp(1j * phase) / math.sqrt(array.antennas)
            bound = 1e-15 * (10 + 4 * np.abs(phase).max())  # rounding of the phase
            assert np.abs(a[t] - literal).max() <= bound, "a_n is not exp(j 2π r p_n · r̂) / √N"


def _check_derivative(array: Array, angles: torch.Tensor) -> None:
    h = 1e-5
    found = array.steering_derivative(angles)
    axes = 1 if array.is_line else 2
    for axis in range(axes):
        step = torch.full_like(angles, h)
        if axes == 2:
            step = torch.zeros_like(angles)
            step[:, axis] = h
        difference = (array.steering(angles + step) - array.steering(angles - step)) / (2 * h)
        mine = found if axes == 1 else found[:, axis]
        size = (2 * math.pi * (1 + float(array.positions.abs().max()))) ** 3
        bound = size * h**2 + 1e-15 * size / h  # of the third derivative, and of rounding
        assert float((mine - difference).abs().max()) <= bound, (
            "the derivative is not that of the steering vector"
        )


def _check_lags(array: Array, angles: torch.Tensor, rng: np.random.Generator) -> None:
    N = array.antennas
    Z = rng.standard_normal((2, N, 3))
    X = torch.from_numpy(Z[0] + 1j * Z[1])
    R = (X @ X.mH).numpy()
    lags = array.lags
    wanted = beampattern(X, angles, array).numpy()
    A = lags.basis(array.cosines(angles).numpy())
    bound = 1e-12 * N * np.abs(R).sum()
    assert np.abs(A @ lags.sums(R) - wanted).max() <= bound, "the pattern is not A x"
    if array.lattice is not None:
        assert np.abs(lag_sums(X, array).numpy() - lags.sums(R)).max() <= bound, (
            "lags by Fourier transform differ"
        )
    y = rng.standard_normal(2 * lags.count - 1)
    assert abs(np.vdot(lags.adjoint(y), R).real - y @ lags.sums(R)) <= bound, "G is not the adjoint of x"
