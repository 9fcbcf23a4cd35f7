r"""The Newton matrix of the interior-point method for (6), on any array.

A step needs tr(Ψ B_i S⁻¹ B_j) for the matrices B that the multipliers weigh: those of the lags,
B = Σ_d R_kd (E_d + E_dᴴ)/2 or its imaginary twin with E_d one where p_n − p_m = Δ_d, and those of the
diagonal.

* On a uniform grid of elements E_d is a shift, so all of it is one cross-correlation of Ψ and S⁻¹ over the
  two indices of an element along each axis: O(N² log N) by FFT instead of O(N⁴).
* On other arrays the few matrices G_k = Σ_d R_kd B_d are formed, and the traces are products of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft

from beamfold.arrays.lags import Lags, Real
from beamfold.covariance.problem import Complex


class GridTraces:
    """R H Rᵀ and cross Rᵀ of a uniform grid of elements, by Fourier transforms."""

    def __init__(self, R: Real, lags: Lags, shape: tuple[int, ...]) -> None:
        """R (k, 2D − 1) as `interior.square_root` gives it; `shape` of the array's lattice."""
        assert lags.on_grid is not None
        self.R, self.RT, self.count = R, np.ascontiguousarray(R.T), lags.count
        self.shape, self.doubled = shape, tuple(2 * n for n in shape)
        self.ahead, self.back = (
            np.ravel_multi_index(tuple((sign * lags.on_grid % self.doubled).T), self.doubled)
            for sign in (1, -1)
        )

    def __call__(self, Psi: Complex, Y: Complex, fold: Callable[[Real], Real]) -> tuple[Real, Real]:
        """(k, k) tr(Ψ G_i Y G_j) and (N, k) tr(Ψ G_i Y e_n e_nᵀ), real parts; rows n go through `fold`."""
        D, N, axes = self.count, len(Psi), len(self.shape)
        rows, columns = tuple(range(axes)), tuple(range(axes, 2 * axes))
        fPsi, fY = (scipy.fft.fftn(Z.reshape(*self.shape, N), self.doubled, axes=rows) for Z in (Psi, Y))
        # E_d has ones at (m, m+d).  single[d, n] = tr(Psi E_d Y e_n e_n^T)
        single = scipy.fft.ifftn(fY * fPsi.conj(), axes=rows).reshape(-1, N)
        # pairs[d, e] = tr(Psi E_d Y E_{-e})
        fPsi, fY = (
            scipy.fft.fftn(Z.reshape(*self.doubled, *self.shape), self.doubled, axes=columns)
            for Z in (fPsi, fY)
        )
        size = len(single)
        pairs = scipy.fft.ifftn(fY * fPsi.conj()).reshape(size, size)
        pp, mm = pairs[np.ix_(self.ahead, self.ahead)], pairs[np.ix_(self.back, self.back)]
        pm, mp = pairs[np.ix_(self.ahead, self.back)], pairs[np.ix_(self.back, self.ahead)]
        # the lag basis is C_d = (E_d + E_{-d})/2 and S_d = j (E_d - E_{-d})/2
        H = np.empty((2 * D - 1, 2 * D - 1))
        H[:D, :D] = (pp + mm + pm + mp).real / 4
        H[D:, D:] = (pp + mm - pm - mp).real[1:, 1:] / 4
        H[:D, D:] = (pp + mp - pm - mm).imag[:, 1:] / 4
        H[D:, :D] = H[:D, D:].T
        ahead, back = single[self.ahead], single[self.back]
        cross = np.vstack([(ahead + back).real / 2, (back - ahead).imag[1:] / 2])
        return self.R @ (H @ self.RT), fold(cross.T) @ self.RT


class DenseTraces:
    """The same for any array, from the matrices G_k themselves: O(k N³ + k² N²)."""

    def __init__(self, R: Real, lags: Lags) -> None:
        """R (k, 2D − 1) as `interior.square_root` gives it."""
        self.G = np.stack([lags.adjoint(row) for row in R])

    def __call__(self, Psi: Complex, Y: Complex, fold: Callable[[Real], Real]) -> tuple[Real, Real]:
        """As `GridTraces` returns them."""
        Z = Psi @ self.G @ Y
        k = len(Z)
        # tr(Z_i G_j) = sum_mn Z_i[m, n] G_j[n, m], and G_j is Hermitian
        H = (Z.reshape(k, -1) @ self.G.reshape(k, -1).conj().T).real
        return (H + H.T) / 2, fold(np.einsum("knn->nk", Z).real)
