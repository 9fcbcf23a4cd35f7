"""Channels: random draws of the extended Saleh-Valenzuela model, Eq. (2), flat or over a band.

Over a band (orthogonal frequency-division multiplexing) user k has on subcarrier s, of frequency f_s, the
channel

    h_{s,k} = √(N/Q) Σ_q α_qk e^{−j2π(f_s − f_c) τ_qk} a(φ_qk, f_s),   τ_qk ~ U(0, τ_max).

The gains, delays and angles are those of the paths, common to all subcarriers. a(φ, f_s) are the steering
vectors of the array at f_s: its positions are wavelengths of the carrier f_c, so that a direction turns with
the frequency (beam squint).
"""

from __future__ import annotations

import math
from typing import NamedTuple, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.arrays import Array, line_array
from beamfold.defaults import BANDWIDTH_GHZ, CARRIER_GHZ, DELAY_NS
from beamfold.errors import InputError

LARGEST = 2 << 30
"""Bytes of the channels of a band that are drawn at once."""


def band_frequencies(
    subcarriers: int, carrier_hz: float = CARRIER_GHZ * 1e9, bandwidth_hz: float = BANDWIDTH_GHZ * 1e9
) -> Tensor:
    """f_s = f_c + B (s − (S + 1)/2)/S for s = 1 … S: S subcarriers B/S apart, centred at the carrier.

    Args:
        subcarriers: S ≥ 1; one subcarrier is the carrier itself.
        carrier_hz: f_c in Hz.
        bandwidth_hz: B in Hz, at most f_c.

    Returns:
        (S,) float64, increasing, in Hz; the frequency ratios are r_s = f_s/f_c.

    Raises:
        InputError: a size that makes no band.
    """
    if subcarriers < 1:
        raise InputError(f"subcarriers must be at least 1, got {subcarriers}")
    for name, value in (("carrier", carrier_hz), ("bandwidth", bandwidth_hz)):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"the {name} must be a positive number of Hz, got {value:g}")
    if bandwidth_hz > carrier_hz:
        raise InputError(
            f"a bandwidth of {bandwidth_hz / 1e9:g} GHz is above the carrier, {carrier_hz / 1e9:g} GHz; "
            "it must be at most that"
        )
    s = torch.arange(1, subcarriers + 1, dtype=torch.float64)
    return carrier_hz + bandwidth_hz * (s - (subcarriers + 1) / 2) / subcarriers


@overload
def saleh_valenzuela(
    antennas: int | Array,
    users: int,
    count: int,
    *,
    seed: int = 0,
    paths: int = 10,
    first: int = 0,
    receive: int | None = None,
) -> Tensor: ...


@overload
def saleh_valenzuela(
    antennas: int | Array,
    users: int,
    count: int,
    *,
    seed: int = 0,
    paths: int = 10,
    first: int = 0,
    receive: int | None = None,
    subcarriers: int,
    carrier_hz: float = ...,
    bandwidth_hz: float = ...,
    delay_s: float = ...,
) -> tuple[Tensor, Tensor]: ...


def saleh_valenzuela(
    antennas: int | Array,
    users: int,
    count: int,
    *,
    seed: int = 0,
    paths: int = 10,
    first: int = 0,
    receive: int | None = None,
    subcarriers: int | None = None,
    carrier_hz: float = CARRIER_GHZ * 1e9,
    bandwidth_hz: float = BANDWIDTH_GHZ * 1e9,
    delay_s: float = DELAY_NS * 1e-9,
) -> Tensor | tuple[Tensor, Tensor]:
    r"""h_k = √(N/Q) Σ_q α_qk a(φ_qk), α ~ CN(0, 1), φ ~ U(0, 2π), Eq. (2).

    For an array that sees elevation the path's sine of elevation is uniform in (−1, 1) as well, so that paths
    come from the whole sphere with equal density. With `subcarriers` the channels of a band, see the module's
    docstring; one subcarrier gives the flat channels.

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
        subcarriers: S, for the channels of a band; the three that follow are for it alone.
        carrier_hz: f_c in Hz.
        bandwidth_hz: B in Hz, at most f_c.
        delay_s: τ_max ≥ 0 in seconds.

    Returns:
        H (B, K, N) complex128; row k is h_kᴴ, so that H @ F @ W is what the users receive. With `receive`
        (B, K, R, N), and E‖H_k‖² = N R. With `subcarriers` H (B, S, K, N) or (B, S, K, R, N), and the
        frequencies (S,) float64 in Hz.

    Raises:
        InputError: a size below 1, a negative seed or delay, no band (`band_frequencies`), or more than 2 GiB
            of channels of a band at once.
    """
    given = antennas.antennas if isinstance(antennas, Array) else antennas
    for name, value, least in (
        ("antennas", given, 1), ("users", users, 1), ("count", count, 1), ("paths", paths, 1),
        ("seed", seed, 0), ("first", first, 0), ("receive", 1 if receive is None else receive, 1),
    ):  # fmt: skip
        if value < least:
            raise InputError(f"{name} must be at least {least}, got {value}")
    array = antennas if isinstance(antennas, Array) else line_array(antennas)
    if subcarriers is None:
        return _channels(array, _draw(array, users, count, seed, paths, first, receive, 0.0))
    frequencies = band_frequencies(subcarriers, carrier_hz, bandwidth_hz)
    if not (math.isfinite(delay_s) and delay_s >= 0):
        raise InputError(f"the largest delay must be at least 0 s, got {delay_s:g}")
    _check_size(count, subcarriers, users, receive or 1, given)
    drawn = _draw(array, users, count, seed, paths, first, receive, delay_s)
    H = torch.stack([_channels(array, drawn, float(f), carrier_hz) for f in frequencies], 1)
    return H, frequencies


def _check_size(count: int, subcarriers: int, users: int, receive: int, antennas: int) -> None:
    """Refuse channels of a band that are larger than `LARGEST`."""
    asked = 16 * count * subcarriers * users * receive * antennas
    if asked > LARGEST:
        raise InputError(
            f"{count} channels of {subcarriers} subcarriers take {asked / 2**30:.1f} GiB, more than the "
            f"{LARGEST >> 30} GiB that are drawn at once; draw fewer channels at a time, or fewer subcarriers"
        )


class _Paths(NamedTuple):
    """The propagation paths of a draw: α, ψ and τ (B, K, Q), φ (B, K, Q) or with elevations (B, K, Q, 2)."""

    alpha: NDArray[np.complex128]
    phi: Tensor
    psi: NDArray[np.float64] | None
    tau: NDArray[np.float64]
    receive: int


def _draw(
    array: Array,
    users: int,
    count: int,
    seed: int,
    paths: int,
    first: int,
    receive: int | None,
    delay_s: float,
) -> _Paths:
    """The paths of the channels `first` to `first + count − 1` of a seed."""
    alpha = np.empty((count, users, paths), dtype=np.complex128)
    phi, height, psi, tau = (np.empty((count, users, paths)) for _ in range(4))
    for b in range(count):
        generator = np.random.default_rng([seed, first + b])
        re, im = generator.standard_normal((2, users, paths)) / math.sqrt(2)
        alpha[b] = re + 1j * im
        phi[b] = generator.uniform(0, 2 * math.pi, (users, paths))
        if not array.is_line:
            height[b] = np.arcsin(generator.uniform(-1, 1, (users, paths)))
        if receive is not None:
            psi[b] = generator.uniform(0, 2 * math.pi, (users, paths))
        # The delays come last: the other numbers are those of the flat channels.
        tau[b] = generator.uniform(0, delay_s, (users, paths))
    angles = torch.from_numpy(phi if array.is_line else np.stack([phi, height], -1))
    return _Paths(alpha, angles, None if receive is None else psi, tau, receive or 1)


def _channels(array: Array, paths: _Paths, frequency: float = 1.0, carrier: float = 1.0) -> Tensor:
    """Rows hᴴ at one frequency, (B, K, N), or (B, K, R, N) for users with several antennas."""
    ratio, alpha = frequency / carrier, torch.from_numpy(paths.alpha)
    if frequency != carrier:
        alpha = alpha * torch.from_numpy(np.exp(-2j * math.pi * (frequency - carrier) * paths.tau))
    a = array.steering(paths.phi, ratio)  # (B, K, Q, N)
    scale = math.sqrt(array.antennas / alpha.shape[-1])
    if paths.psi is not None:
        R = paths.receive
        arriving = math.sqrt(R) * line_array(R).steering(torch.from_numpy(paths.psi), ratio)
        return torch.einsum("bkq,bkqr,bkqn->bkrn", scale * alpha.conj(), arriving, a.conj())
    h = torch.einsum("bkq,bkqn->bkn", alpha, a)
    return (scale * h).conj().resolve_conj()
