r"""The lags of an array: a beampattern depends on a covariance through sums over equal differences of
positions.

p(c) = āᴴ Ψ ā = Σ_{m,n} Ψ_mn exp(j 2π (p_n − p_m) · c), so with ρ_d = Σ Ψ_mn over all pairs whose difference
p_n − p_m is Δ_d the pattern is p = A x with the real vector x = (ρ_0, Re ρ_1 …, Im ρ_1 …). One of Δ and −Δ is
kept, for ρ of −Δ is the conjugate. A line of N has N lags, a planar grid of n by m (2 n − 1)(2 m − 1)/2 +
1/2, and an array without equal differences N (N − 1)/2 + 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from beamfold.arrays.base import NEAR, Array, Lattice

Real = NDArray[np.float64]
Integers = NDArray[np.int64]
Complex = NDArray[np.complex128]


class Lags:
    """The differences of an array's positions, each once.

    Attributes:
        differences: Δ_d (D, 3) in wavelengths, Δ_0 = 0.
        which: (N, N), d where p_n − p_m = Δ_d, and −1 where it is −Δ_d.
        on_grid: (D, axes), the differences in steps of the array's lattice; None where it has none.
    """

    def __init__(self, array: Array) -> None:
        """Of this array."""
        lattice = array.lattice
        positions = array.positions.cpu().numpy()
        self.which, first = _by_steps(lattice) if lattice else _by_distance(positions)
        m, n = np.divmod(first, array.antennas)
        self.differences: Real = positions[n] - positions[m]
        self.on_grid: Integers | None = None
        if lattice is not None:
            places = np.stack(np.unravel_index(np.arange(array.antennas), lattice.shape), -1)
            self.on_grid = places[n] - places[m]
        self._kept = np.flatnonzero(self.which.ravel() >= 0)

    @property
    def count(self) -> int:
        """D; x has 2 D − 1 entries."""
        return len(self.differences)

    def basis(self, cosines: Real) -> Real:
        """A (T, 2D − 1) with p = A x: 1, 2 cos(2π Δ_d · c), −2 sin(2π Δ_d · c) for c (T, 3)."""
        phase = np.zeros((len(cosines), self.count - 1))
        for axis in range(3):
            if np.any(self.differences[:, axis]):
                phase += (2 * np.pi * cosines[:, axis])[:, None] * self.differences[1:, axis]
        return np.hstack([np.ones((len(cosines), 1)), 2 * np.cos(phase), -2 * np.sin(phase)])

    def sums(self, Psi: Complex) -> Real:
        """x (2D − 1,) of a Hermitian Ψ (N, N)."""
        entries, d = Psi.ravel()[self._kept], self.which.ravel()[self._kept]
        real = np.bincount(d, entries.real, self.count)
        imag = np.bincount(d, entries.imag, self.count)
        return np.concatenate([real, imag[1:]])

    def adjoint(self, y: Real) -> Complex:
        """The Hermitian G (N, N), constant over each lag, with ⟨G, Ψ⟩ = yᵀ x(Ψ) for every Hermitian Ψ."""
        value = np.empty(self.count, dtype=np.complex128)
        value[0] = y[0]
        value[1:] = (y[1 : self.count] + 1j * y[self.count :]) / 2
        return np.where(self.which >= 0, value[self.which], value[self.which.T].conj())


def _by_steps(lattice: Lattice) -> tuple[Integers, Integers]:
    """`which` and the flat index of the first pair of each lag, for elements on a grid.

    The key of a difference is its number in a grid of 2 n − 1 places along each axis, counted from the
    middle: differences are equal where their keys are, and −Δ has the negative key.
    """
    shape = np.array(lattice.shape)
    weights = np.append(np.cumprod((2 * shape[:0:-1]) - 1)[::-1], 1)
    places = np.stack(np.unravel_index(np.arange(shape.prod()), lattice.shape), -1) @ weights
    return _grouped(places[None, :] - places[:, None])


def _by_distance(positions: Real) -> tuple[Integers, Integers]:
    """The same for any positions: differences that agree up to rounding are one."""
    steps = np.round((positions[None] - positions[:, None]) / NEAR).astype(np.int64)
    _, inverse = np.unique(steps.reshape(-1, 3), axis=0, return_inverse=True)
    number = inverse.reshape(len(positions), len(positions))
    return _grouped(number - number[0, 0])  # in the order of rows, −Δ is as far below 0 as Δ is above it


def _grouped(key: Integers) -> tuple[Integers, Integers]:
    """Lags numbered by their keys ≥ 0 in ascending order, and the first pair of each."""
    values, first, number = np.unique(key, return_index=True, return_inverse=True)
    zero = int(np.searchsorted(values, 0))
    which = number.reshape(key.shape) - zero
    return np.where(which >= 0, which, -1), first[zero:]
