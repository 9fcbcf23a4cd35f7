"""An independent check of designs: R, τ, R − ω τ, MSE, (7b) and (7c) from the raw arrays, in plain NumPy.

Nothing here comes from `objective`, `metrics`, `constraints` or the kernels, on purpose: this is the one
place besides the tests' oracle where the equations stand a second time, so that an error in one shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beamfold.verifier_scene import HeldScene, goal_value, steering

Array = NDArray[Any]
FEASIBLE = 1e-4
"""Violation of (7b), (7c) beyond which a design is infeasible."""
INFEASIBLE, NOT_FINITE = 2, 4
"""The numbers of these faults in a file, see its `fault_codes`."""


@dataclass(frozen=True)
class Residuals:
    """Recomputed figures per channel, and how far the stated ones and the constraints are off.

    Attributes:
        rate: R of (4).
        tau: τ of (5).
        mse: T⁻¹ Σ_t |ā(θ_t)ᴴ (X Xᴴ/P_t − Ψ) ā(θ_t)|².
        modulus: the largest distance of an entry of F from what the network allows: | |[F]_nm| − 1 | where an
            antenna is connected, |[F]_nm| where not, and with few bits that to the nearest level; 0 for a
            fully digital design.
        power: | ‖F W‖²/P_t − 1 |.
        rate_error: relative difference of the stated R.
        tau_error: relative difference of the stated τ.
        objective_error: difference of the stated R − ω τ over R + ω τ, or of R + ω c over R + ω |c|; None
            where none is stated.
        mse_error: relative difference of the stated MSE; None where none is stated.
        fault_error: 1 where the stated faults say another thing than these arrays about (7b), (7c) or about R
            and τ being finite, else 0; None where none are stated. Whether a design is below its start, or is
            it, cannot be told from a file.
    """

    rate: Array
    tau: Array
    mse: Array
    modulus: Array
    power: Array
    rate_error: Array
    tau_error: Array
    objective_error: Array | None = None
    mse_error: Array | None = None
    fault_error: Array | None = None

    def worst(self) -> dict[str, float]:
        """The largest of each residual that there is; NaN counts as infinite."""
        names = ("modulus", "power", "rate_error", "tau_error", "objective_error", "mse_error", "fault_error")
        held = {name: getattr(self, name) for name in names}
        return {name: float(np.nan_to_num(v, nan=np.inf).max()) for name, v in held.items() if v is not None}


def verify(
    H: Array,
    F: Array | None,
    W: Array,
    Psi: Array,
    power: Array,
    noise: float,
    stated: dict[str, Array],
    weight: float = np.nan,
    angles: Array | None = None,
    positions: Array | None = None,
    receive: int = 1,
    network: tuple[Array, int, bool] | None = None,
    ratios: Array | None = None,
    power_rule: str = "subcarrier",
    sensing: int = 0,
    known: bool = False,
    scene: HeldScene | None = None,
) -> Residuals:
    """Recompute the figures of designs (B, …) one channel, and one subcarrier, after another.

    Args:
        H: (B, K, N), rows h_kᴴ; on a band (B, S, K, N).
        F: (B, N, M), or None for a fully digital design.
        W: (B, M, K), or X (B, N, K); on a band (B, S, M, K) or (B, S, N, K).
        Psi: (N, N) at unit power, or (S, N, N) where every subcarrier has its own.
        power: (B,), P_t.
        noise: σ_n².
        stated: "rate", "tau" and, where they are known, "objective", "mse" and "faults" (B,) as the program
            stated them.
        weight: ω, for the objective.
        angles: rad, the grid of the MSE: (T,) azimuths; (T, 2) azimuths and elevations where the array is no
            line; default 181 azimuths from −90° to 90°.
        receive: R, antennas of each user: H has R rows for each, X as many columns for each as there are.
        network: mask (N, M), bits of the phase shifters (0 for continuous phases) and whether each antenna
            may choose its chain; default every chain on every antenna with continuous phases.
        positions: (N, 3) of the antennas in wavelengths of the carrier; default n/2 along y.
        ratios: (S,) of a band, the subcarriers' frequencies over the carrier's: R, τ and the MSE are means
            over them. Default a flat channel.
        sensing: D, so many last columns serve no user.
        known: whether the users cancel them; else they are interference.
        scene: of another sensing goal than τ, whose R + ω c is then the objective.
        power_rule: of a band, "subcarrier" where ‖F W_s‖² = P_t on each, "band" where their mean is P_t.

    Returns:
        `Residuals`, each (B,).
    """
    if ratios is None:
        H, W, ratios = H[:, None], W[:, None], np.ones(1)
    count, bands, _, antennas = H.shape
    grids = [_steering(antennas, angles, positions, ratio) for ratio in ratios]
    each = np.broadcast_to(Psi, (bands, antennas, antennas))
    found, sensed = np.empty((6, count)), np.zeros(count)
    for b in range(count):
        X = [W[b, i] if F is None else F[b] @ W[b, i] for i in range(bands)]
        parts = np.array(
            [
                _figures(H[b, i], X[i], each[i], power[b], noise, receive, grids[i], sensing, known)
                for i in range(bands)
            ]
        )
        found[:4, b] = parts[:, :4].mean(0)
        share = parts[:, 4] if power_rule == "subcarrier" else parts[:, 4].mean()
        found[4, b] = np.max(np.abs(share - 1))
        if scene is not None:
            sensed[b] = goal_value(X, _elements(antennas, positions), ratios, power[b], scene)
        found[5, b] = 0.0 if F is None else _off_network(F[b], network)
    rate, tau, mse, benchmark, over, modulus = found
    objective_error = mse_error = None
    if "objective" in stated:
        worth = -tau if scene is None else sensed
        objective_error = _relative(stated["objective"], rate + weight * worth, rate + weight * np.abs(worth))
    if "mse" in stated:  # where both patterns agree to nine digits, rounding is all that their MSE holds
        mse_error = _relative(stated["mse"], mse, np.maximum(mse, 1e-12 * benchmark))
    fault_error = None
    if "faults" in stated:
        faults = stated["faults"].astype(int)
        infeasible = ~((modulus <= FEASIBLE) & (over <= FEASIBLE))
        infinite = ~(np.isfinite(rate) & np.isfinite(tau))
        fault_error = (
            ((faults & INFEASIBLE != 0) != infeasible) | ((faults & NOT_FINITE != 0) != infinite)
        ) * 1.0
    return Residuals(
        rate, tau, mse, modulus, over,
        _relative(stated["rate"], rate, rate), _relative(stated["tau"], tau, tau),
        objective_error, mse_error, fault_error,
    )  # fmt: skip


def _figures(
    H: Array,
    X: Array,
    Psi: Array,
    power: float,
    noise: float,
    receive: int,
    steering: Array,
    sensing: int,
    known: bool,
) -> tuple[float, float, float, float, float]:
    """R, τ, the MSE, the mean square of Ψ's own pattern, and ‖X‖²/P_t, for one channel at one frequency."""
    users = len(H) // receive
    heard = X[:, : X.shape[1] - sensing] if known else X
    single = X.shape[1] - sensing == len(H) == users
    total = _single_rate(H, heard, noise) if single else _rate(H, X, noise, receive)
    covariance = X @ X.conj().T
    pattern = np.sum(steering.conj() * ((covariance / power - Psi) @ steering), axis=0).real
    wanted = np.sum(steering.conj() * (Psi @ steering), axis=0).real
    tau = float(np.sum(np.abs(covariance - power * Psi) ** 2))
    share = float(np.sum(np.abs(X) ** 2)) / power
    return total, tau, float(np.mean(pattern**2)), float(np.mean(wanted**2)), share


def _single_rate(H: Array, X: Array, noise: float) -> float:
    """R of (4), one user after another."""
    total, users = 0.0, len(H)
    for k in range(users):
        gains = [abs(np.sum(H[k] * X[:, j])) ** 2 for j in range(X.shape[1])]
        interference = sum(g for j, g in enumerate(gains) if j != k)
        total += np.log1p(gains[k] / (interference + noise)) / np.log(2)
    return total


def _rate(H: Array, X: Array, noise: float, receive: int) -> float:
    """R = Σ_k log₂ det T_k − log₂ det Q_k of users with several antennas or streams, from the definition."""
    users = len(H) // receive
    streams = X.shape[1] // users
    total = 0.0
    for k in range(users):
        A = H[k * receive : (k + 1) * receive] @ X
        own = A[:, k * streams : (k + 1) * streams]
        rest = np.delete(A, np.s_[k * streams : (k + 1) * streams], axis=1)
        Q = noise * np.eye(receive) + rest @ rest.conj().T
        T = Q + own @ own.conj().T
        total += (np.linalg.slogdet(T)[1] - np.linalg.slogdet(Q)[1]) / np.log(2)
    return total


def _off_network(F: Array, network: tuple[Array, int, bool] | None) -> float:
    """How far F (N, M) is from its network, entry by entry."""
    if network is None:
        return float(np.max(np.abs(np.abs(F) - 1)))
    mask, bits, dynamic = network
    worst = 0.0
    levels = np.exp(2j * np.pi * np.arange(2**bits) / 2**bits)
    for row, allowed in zip(F, np.asarray(mask) != 0, strict=True):
        ones = np.flatnonzero(allowed)
        if dynamic:  # the strongest of the allowed entries is the connected one
            ones = ones[[np.argmax(np.abs(row[ones]))]]
        for m, entry in enumerate(row):
            connected = m in ones
            if not connected:
                off = abs(entry)
            elif bits:
                off = np.min(np.abs(entry - levels))
            else:
                off = abs(abs(entry) - 1)
            worst = max(worst, float(off))
    return worst


def _steering(antennas: int, angles: Array | None, positions: Array | None, ratio: float) -> Array:
    """ā (N, T) over the grid of the MSE."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, 181) if angles is None else np.asarray(angles)
    return steering(_elements(antennas, positions), angles, ratio)


def _elements(antennas: int, positions: Array | None) -> Array:
    """The antennas (N, 3) in wavelengths."""
    return np.outer(np.arange(antennas) / 2, (0, 1, 0)) if positions is None else positions


def _relative(stated: Array, true: Array, size: Array) -> Array:
    return np.abs(stated - true) / np.maximum(np.abs(size), 1e-12)
