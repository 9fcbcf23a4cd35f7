"""Channels: random draws of the extended Saleh-Valenzuela model, Eq. (2)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from beamfold.arrays import Array, line_array
from beamfold.errors import InputError


def saleh_valenzuela(
    antennas: int | Array,
    users: int,
    count: int,
    *,
    seed: int = 0,
    paths: int = 10,
    first: int = 0,
    receive: int | None = None,
) -> Tensor:
    r"""h_k = √(N/Q) Σ_q α_qk a(φ_qk), α ~ CN(0, 1), φ ~ U(0, 2π), Eq. (2).

    For an array that sees elevation the path's sine of elevation is uniform in (−1, 1) as well, so that paths
    come from the whole sphere with equal density.

    The factor √(N/Q), which Eq. (2) leaves out, gives E‖h_k‖² = N, as the published channels have.
    Channel b of a seed is drawn from a generator of its own, (seed, b): it is the same whatever
    count, order or machine it is drawn with.

    Args:
        antennas: N ≥ 1 of a half-wavelength line, or any `Array`.
        users: K ≥ 1.
        count: B ≥ 1, the number of channel matrices.
        seed: any integer ≥ 0.
        paths: Q ≥ 1 propagation paths per user.
        first: number of the first channel, to draw a part of a set.
        receive: R, antennas of a half-wavelength line at each user. The path q then arrives from an angle of
            its own, ψ ~ U(0, 2π), and the user's channel is √(N R/Q) Σ_q α_q* a_R(ψ_q) a(φ_q)ᴴ.

    Returns:
        H (B, K, N) complex128; row k is h_kᴴ, so that H @ F @ W is what the users receive. With `receive`
        (B, K, R, N), and E‖H_k‖² = N R.

    Raises:
        InputError: a size below 1 or a negative seed.
    """
    given = antennas.antennas if isinstance(antennas, Array) else antennas
    for name, value, least in (
        ("antennas", given, 1), ("users", users, 1), ("count", count, 1), ("paths", paths, 1),
        ("seed", seed, 0), ("first", first, 0), ("receive", 1 if receive is None else receive, 1),
    ):  # fmt: skip
        if value < least:
            raise InputError(f"{name} must be at least {least}, got {value}")
    array = antennas if isinstance(antennas, Array) else line_array(antennas)
    alpha = np.empty((count, users, paths), dtype=np.complex128)
    phi = np.empty((count, users, paths))
    height = np.empty((count, users, paths))
    psi = np.empty((count, users, paths))
    for b in range(count):
        generator = np.random.default_rng([seed, first + b])
        re, im = generator.standard_normal((2, users, paths)) / math.sqrt(2)
        alpha[b] = re + 1j * im
        phi[b] = generator.uniform(0, 2 * math.pi, (users, paths))
        if not array.is_line:
            height[b] = np.arcsin(generator.uniform(-1, 1, (users, paths)))
        if receive is not None:
            psi[b] = generator.uniform(0, 2 * math.pi, (users, paths))
    angles = torch.from_numpy(phi if array.is_line else np.stack([phi, height], -1))
    a = array.steering(angles)  # (B, K, Q, N)
    gain = math.sqrt(array.antennas / paths) * torch.from_numpy(alpha.conj())
    if receive is not None:
        arriving = math.sqrt(receive) * line_array(receive).steering(torch.from_numpy(psi))
        return torch.einsum("bkq,bkqr,bkqn->bkrn", gain, arriving, a.conj())
    h = torch.einsum("bkq,bkqn->bkn", torch.from_numpy(alpha), a)
    return (math.sqrt(array.antennas / paths) * h).conj().resolve_conj()
