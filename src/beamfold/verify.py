"""An independent check of designs: every figure again from the raw arrays, in plain NumPy.

Nothing here comes from `objective`, `metrics`, `constraints` or the kernels, on purpose: this is the one
place besides the tests' oracle where the equations stand a second time, so that an error in one shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Residuals:
    """Recomputed figures per channel, and how far the stated ones and the constraints are off.

    Attributes:
        rate: R of (4).
        tau: τ of (5).
        mse: T⁻¹ Σ_t |ā(θ_t)ᴴ (X Xᴴ/P_t − Ψ) ā(θ_t)|² on a 1° grid.
        modulus: max | |[F]_nm| − 1 |, 0 for a fully digital design.
        power: | ‖F W‖²/P_t − 1 |.
        rate_error: relative difference of the stated R.
        tau_error: relative difference of the stated τ.
    """

    rate: Array
    tau: Array
    mse: Array
    modulus: Array
    power: Array
    rate_error: Array
    tau_error: Array

    def worst(self) -> dict[str, float]:
        """The largest of each residual; NaN counts as infinite."""
        names = ("modulus", "power", "rate_error", "tau_error")
        return {name: float(np.nan_to_num(getattr(self, name), nan=np.inf).max()) for name in names}


def verify(
    H: Array, F: Array | None, W: Array, Psi: Array, power: Array, noise: float, stated: dict[str, Array]
) -> Residuals:
    """Recompute the figures of designs (B, …) one channel after another.

    Args:
        H: (B, K, N), rows h_kᴴ.
        F: (B, N, M), or None for a fully digital design.
        W: (B, M, K), or X (B, N, K).
        Psi: (N, N) at unit power.
        power: (B,), P_t.
        noise: σ_n².
        stated: "rate" and "tau" (B,) as the program stated them.

    Returns:
        `Residuals`, each (B,).
    """
    count, users, antennas = H.shape
    sines = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 181))
    steering = np.exp(1j * np.pi * np.outer(np.arange(antennas), sines))
    found = np.empty((5, count))
    for b in range(count):
        X = W[b] if F is None else F[b] @ W[b]
        total = 0.0
        for k in range(users):
            gains = [abs(sum(H[b, k, n] * X[n, j] for n in range(antennas))) ** 2 for j in range(users)]
            interference = sum(g for j, g in enumerate(gains) if j != k)
            total += np.log1p(gains[k] / (interference + noise)) / np.log(2)
        covariance = X @ X.conj().T
        difference = covariance / power[b] - Psi
        pattern = np.sum(steering.conj() * (difference @ steering), axis=0).real
        found[0, b] = total
        found[1, b] = np.sum(np.abs(covariance - power[b] * Psi) ** 2)
        found[2, b] = np.mean(pattern**2)
        found[3, b] = 0.0 if F is None else np.max(np.abs(np.abs(F[b]) - 1))
        found[4, b] = abs(np.sum(np.abs(X) ** 2) / power[b] - 1)
    rate, tau, mse, modulus, over = found
    return Residuals(
        rate, tau, mse, modulus, over,
        _relative(stated["rate"], rate), _relative(stated["tau"], tau),
    )  # fmt: skip


def _relative(stated: Array, true: Array) -> Array:
    return np.abs(stated - true) / np.maximum(np.abs(true), 1e-12)
