"""log₂ det J and Σ_i log₂ SCNR_i of raw arrays, in plain NumPy: what `verifier` recomputes of a sensing goal.

The route is another one than that of `radar`: every ∂M/∂η is written out as an N_r × N matrix, whitened by a
Cholesky factor of C and multiplied by X, F = 2 L Re(Dᴴ D) of these columns D, and J its Schur complement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class HeldScene:
    """What a design file says is sensed; the letters are those of `radar.scene`.

    Attributes:
        kind: "crb" or "scnr".
        targets: (T,) azimuths of a line, else (T, 2) azimuths and elevations; rad.
        amplitudes: (T,), α_i √P_t/σ.
        clutter: like `targets`, may be empty.
        cnr: (C,), γ_c P_t/σ².
        receive: (N_r, 3), the receive antennas in wavelengths.
        snapshots: L.
        common: on a band α_i is one number; else one of each subcarrier.
    """

    kind: str
    targets: Array
    amplitudes: Array
    clutter: Array
    cnr: Array
    receive: Array
    snapshots: int
    common: bool = True


def steering(positions: Array, angles: Array, ratio: float) -> Array:
    """ā (N, T) with ā_n = exp(j 2π r p_n · r̂) for angles (T,) or (T, 2) in rad."""
    azimuth, elevation = (angles, np.zeros_like(angles)) if angles.ndim == 1 else angles.T
    phase = np.zeros((len(positions), len(azimuth)))
    phase += np.outer(positions[:, 0], np.cos(azimuth) * np.cos(elevation))
    phase += np.outer(positions[:, 1], np.sin(azimuth) * np.cos(elevation))
    phase += np.outer(positions[:, 2], np.sin(elevation))
    return np.exp(2j * np.pi * ratio * phase)


def _slopes(positions: Array, angles: Array, ratio: float) -> Array:
    """∂ā/∂angle (N, T, D): azimuths, and elevations where there are two angles."""
    azimuth, elevation = (angles, np.zeros_like(angles)) if angles.ndim == 1 else angles.T
    sa, ca, se, ce = np.sin(azimuth), np.cos(azimuth), np.sin(elevation), np.cos(elevation)
    by_azimuth = positions @ np.array([-sa * ce, ca * ce, 0 * sa])
    by_elevation = positions @ np.array([-ca * se, -sa * se, ce])
    both = np.stack([by_azimuth, by_elevation], -1)[..., : angles.ndim]
    return 2j * np.pi * ratio * both * steering(positions, angles, ratio)[..., None]


def goal_value(X: list[Array], positions: Array, ratios: Array, power: float, held: HeldScene) -> float:
    """log₂ det J or Σ_i log₂ SCNR_i of the X (N, K) of every subcarrier at power P_t."""
    each = [_parts(x / np.sqrt(power), positions, ratio, held) for x, ratio in zip(X, ratios, strict=True)]
    if held.kind == "scnr":
        return float(np.log2(sum(scnr for _, scnr in each)).sum())
    angles = held.targets.size
    J = _schur(sum(F for F, _ in each), angles) if held.common else sum(_schur(F, angles) for F, _ in each)
    sign, value = np.linalg.slogdet(J)
    return float(value) / np.log(2) if sign > 0 else -np.inf


def _schur(F: Any, angles: int) -> Array:
    across = F[:angles, angles:]
    found: Array = F[:angles, :angles] - across @ np.linalg.solve(F[angles:, angles:], across.T)
    return found


def _parts(X: Array, positions: Array, ratio: float, held: HeldScene) -> tuple[Array, Array]:
    """The Fisher matrix of (θ, Re α, Im α), and SCNR_i, at one frequency."""
    a, b = (steering(p, held.targets, ratio) for p in (positions, held.receive))
    da, db = (_slopes(p, held.targets, ratio) for p in (positions, held.receive))
    C = np.eye(len(held.receive), dtype=complex)
    if len(held.cnr):
        sent, heard = (steering(p, held.clutter, ratio) for p in (positions, held.receive))
        level = held.cnr * np.sum(np.abs(sent.conj().T @ X) ** 2, axis=1)
        C = C + (heard.conj() * level) @ heard.T
    changes = [
        alpha * (np.outer(db[:, i, d].conj(), a[:, i].conj()) + np.outer(b[:, i].conj(), da[:, i, d].conj()))
        for i, alpha in enumerate(held.amplitudes)
        for d in range(da.shape[2])
    ]
    echoes = [np.outer(b[:, i].conj(), a[:, i].conj()) for i in range(len(held.amplitudes))]
    changes += [unit * echo for unit in (1, 1j) for echo in echoes]
    whiten = np.linalg.cholesky(C)
    D = np.stack([np.linalg.solve(whiten, change @ X).ravel() for change in changes], 1)
    beams = np.sum(b * np.linalg.solve(C, b.conj()), axis=0).real
    sent_power = np.sum(np.abs(a.conj().T @ X) ** 2, axis=1)
    scnr = np.abs(held.amplitudes) ** 2 * sent_power * beams
    return 2 * held.snapshots * (D.conj().T @ D).real, scnr
