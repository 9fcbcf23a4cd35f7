"""`Scenario`, the input of every method: channels, Ψ, power, noise and weight, checked once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.arrays import Array
from beamfold.defaults import WEIGHT
from beamfold.errors import InputError
from beamfold.networks import Network, fully_connected
from beamfold.objective import SINGLE, Measured, Users, beam_error, measure, objective, rate
from beamfold.sensing import Sensing, at_unit_power
from beamfold.tensors import as_tensor

Numbers = Tensor | NDArray[np.generic]
_UNSET = fully_connected(1, 1)
"""In the place of a network that was not given."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """Channels, Ψ, power, noise and weight of problem (8). Make one with `make_scenario()`, which checks.

    Attributes:
        H: (…, K R, N) complex, rows h_kᴴ; R rows for each of K users.
        radar: Ψ at unit power with what is known of it; a method uses P_t Ψ.
        power: (…) real, P_t, linear.
        chains: M, RF chains of a hybrid design.
        weight: (…) real, ω ≥ 0.
        noise: σ_n² > 0, linear.
        per_user: R antennas and d streams of each user; one each in the paper.
        network: which antenna hangs on which chain, and with which phases; unless given, all on all.
    """

    H: Tensor
    radar: Sensing
    power: Tensor
    chains: int
    weight: Tensor
    noise: float = 1.0
    per_user: Users = SINGLE
    network: Network = _UNSET

    def __post_init__(self) -> None:
        """Put the fully connected network where none was given."""
        if self.network is _UNSET:
            object.__setattr__(self, "network", fully_connected(self.antennas, self.chains))

    @property
    def Psi(self) -> Tensor:
        """Ψ (N, N) at unit power."""
        return self.radar.Psi

    @property
    def array(self) -> Array:
        """The base station's antennas."""
        return self.radar.array

    @property
    def antennas(self) -> int:
        """N."""
        return self.H.shape[-1]

    @property
    def users(self) -> int:
        """K."""
        return self.H.shape[-2] // self.per_user.receive

    @property
    def columns(self) -> int:
        """K d, the columns of X and W."""
        return self.users * self.per_user.streams

    @property
    def batch(self) -> torch.Size:
        """The leading axes, () for one channel."""
        return self.H.shape[:-2]

    @property
    def omega(self) -> Tensor:
        """ω as (…, 1, 1), to multiply matrices."""
        return self.weight[..., None, None]

    def levels(self) -> list[tuple[float, Any]]:
        """The SNRs in dB, each with the index of its part of the batch.

        The first of several batch axes is one of SNRs where P_t changes along it and along no other; else all
        channels are at one SNR, whatever their axes.

        Raises:
            InputError: P_t changes in another way.
        """
        power = self.power.expand(self.batch)
        first = power.reshape(power.shape[0], -1)[:, 0] if power.ndim > 1 else power.reshape(-1)[:1]
        alone = power.ndim < 2 or (len(first) > 1 and bool((first == first[0]).all()))
        like = first[0] if alone else first.reshape(-1, *[1] * (power.ndim - 1))
        if not bool((power == like).all()):
            raise InputError("the power of the channels changes along another axis than the first")
        snr_db = (10 * torch.log10(first / self.noise)).tolist()
        return [(snr_db[0], ...)] if alone else list(zip(snr_db, range(len(first)), strict=True))

    def rate(self, X: Tensor) -> Tensor:
        """R of X (…, N, K d), Eq. (4), in bit/s/Hz; (…)."""
        return rate(self.H, X, self.noise, self.per_user)

    def tau(self, X: Tensor) -> Tensor:
        """τ = ‖X Xᴴ − P_t Ψ‖² of X (…, N, K), Eq. (5); (…). Ψ scales with the power."""
        return beam_error(X, self.Psi, self.power)

    def objective(self, X: Tensor) -> Tensor:
        """R − ω τ of X (…, N, K), Eq. (8a); (…)."""
        return objective(self.H, X, self.Psi, self.power, self.weight, self.noise, self.per_user)

    def measure(self, X: Tensor) -> Measured:
        """R, τ and ∇_X (R − ω τ) of X (…, N, K) together."""
        return measure(self.H, X, self.Psi, self.power, self.weight, self.noise, self.per_user)

    def __getitem__(self, index: Any) -> Scenario:
        """The scenario of a part of the leading axes; an index never reaches K and N."""
        power = self.power.expand(self.batch)[index]
        matrices = (*index, slice(None), slice(None)) if _ends_open(index) else index
        return replace(self, H=self.H[matrices], power=power, weight=self.weight.expand(self.batch)[index])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Scenario:
        """The same scenario elsewhere or in another precision; dtype is complex64 or complex128."""
        real = None if dtype is None else torch.empty(0, dtype=dtype).real.dtype
        return replace(
            self,
            H=self.H.to(device=device, dtype=dtype),
            radar=self.radar.to(device=device, dtype=dtype),
            power=self.power.to(device=device, dtype=real),
            weight=self.weight.to(device=device, dtype=real),
        )


def check_on_cpu(s: Scenario, method: str) -> None:
    """Raise InputError unless the scenario is on the CPU, where the compiled methods run."""
    if s.H.device.type != "cpu":
        raise InputError(
            f"the method {method} is compiled code for the CPU, the channels are on {s.H.device}; "
            'move them with s.to("cpu"), or use pga or unfolded with engine="torch"'
        )


def _ends_open(index: Any) -> bool:
    """Whether an index holds an ellipsis, which would let its last entries reach the axes K and N."""
    return isinstance(index, tuple) and any(entry is Ellipsis for entry in index)


def _tensor(values: Numbers, dtype: torch.dtype) -> Tensor:
    return as_tensor(values).to(dtype)


def check_sizes(users: int, chains: int, antennas: int, streams: int = 1) -> None:
    """Raise InputError unless K d ≤ M ≤ N, with d = 1 stream a user in the paper."""
    if users * streams <= chains <= antennas:
        return
    if streams > 1:
        raise InputError(
            f"a stream needs an RF chain, a chain an antenna: found {users} users of {streams} streams, "
            f"{chains} RF chains and {antennas} antennas; take fewer streams or more chains"
        )
    raise InputError(
        f"the paper needs K <= M <= N: found {users} users, {chains} RF chains and {antennas} antennas"
        + (" (are the axes (…, users, antennas)?)" if users > antennas else "")
    )


def _shared(H: Tensor, streams: int | None) -> tuple[Tensor, Users]:
    """H (…, K R, N) and what belongs to each user, of H (…, K, N), or of (…, K, R, N) with streams."""
    if streams is None:
        return H, SINGLE
    if H.ndim < 3:
        raise InputError(
            f"users with streams have channels (…, users, receive, antennas), found {tuple(H.shape)}; "
            "leave streams out for users of one antenna"
        )
    receive = H.shape[-2]
    if not 1 <= streams <= receive:
        raise InputError(f"a user of {receive} antennas can have 1 to {receive} streams, got {streams}")
    return H.flatten(-3, -2), Users(receive, streams)


def _check_channels(H: Tensor, chains: int, per_user: Users) -> None:
    if H.ndim < 2:
        raise InputError(f"channels need axes (…, users, antennas), found shape {tuple(H.shape)}")
    rows, antennas = H.shape[-2:]
    check_sizes(rows // per_user.receive, chains, antennas, per_user.streams)
    finite = torch.isfinite(torch.view_as_real(H)).flatten(-3).all(-1).flatten()
    if not finite.all():
        bad = torch.nonzero(~finite).flatten().tolist()
        raise InputError(f"channel {bad[0]} holds NaN or Inf ({len(bad)} of {finite.numel()} channels do)")


def _check_covariance(radar: Sensing, antennas: int) -> None:
    Psi = radar.Psi
    if Psi.shape != (antennas, antennas):
        raise InputError(
            f"Psi is {tuple(Psi.shape)}, expected ({antennas}, {antennas}) for {antennas} antennas"
        )
    if not torch.isfinite(torch.view_as_real(Psi)).all():
        raise InputError("Psi holds NaN or Inf")
    if float((Psi - Psi.mH).abs().max()) > 1e-8 * max(float(Psi.abs().max()), 1e-300):
        raise InputError("Psi is not Hermitian, so it is no covariance")
    top, least = float(radar.spectrum[0][0]), float(radar.spectrum[0][-1])
    if least < -1e-6 * max(top, 0.0) * antennas or top < 0:
        raise InputError(f"Psi is not positive semidefinite: its least eigenvalue is {least:.2e}")


def make_scenario(
    channels: Numbers,
    radar: Sensing | Numbers,
    *,
    snr_db: float | Sequence[float],
    chains: int | None = None,
    weight: float = WEIGHT,
    noise: float = 1.0,
    array: Array | None = None,
    streams: int | None = None,
    network: Network | None = None,
) -> Scenario:
    """Check channels and Ψ once and make the scenario that every method takes.

    Args:
        channels: H (…, K, N), complex or real, rows h_kᴴ; NumPy or torch. With `streams` (…, K, R, N): users
            with R antennas.
        radar: Ψ (N, N) from `beamfold.solve_covariance`, or as a bare Hermitian array. Of a bare array only
            the shape counts: it is scaled to unit power (trace 1), as a file's is, with a warning.
        snr_db: P_t/σ_n² in dB; several values put a leading SNR axis in front of the batch.
        chains: M, default that of the network, else K d.
        weight: ω ≥ 0 of (8a).
        noise: σ_n² > 0, linear.
        array: the base station's antennas, where Ψ is a bare array; a `Sensing` brings its own. Default the
            half-wavelength line of N.
        streams: d ≤ R streams to each user, where the users have several antennas.
        network: the analog network; default fully connected with continuous phases.

    Returns:
        A `Scenario` in complex128.

    Raises:
        InputError: another array than Ψ's, sizes that do not fit, NaN or Inf, ω < 0, σ_n² ≤ 0 or an SNR that
            is not finite; one line that says what was found. A zero h_k is a blocked user, of rate 0; Ψ = 0
            makes τ ‖X Xᴴ‖².
    """
    H, per_user = _shared(_tensor(channels, torch.complex128), streams)
    chains = network.chains if chains is None and network is not None else chains
    chains = per_user.columns(H.shape[-2]) if chains is None and H.ndim >= 2 else chains or 0
    _check_channels(H, chains, per_user)
    if network is not None and (network.antennas, network.chains) != (H.shape[-1], chains):
        raise InputError(
            f"the network {network.label} is for {network.antennas} antennas and {network.chains} chains, "
            f"found {H.shape[-1]} and {chains}"
        )
    if not isinstance(radar, Sensing):
        Psi = _tensor(radar, torch.complex128)
        radar = Sensing(Psi) if array is None else Sensing(Psi, array=array)
    elif array is not None and not array.same_as(radar.array):
        raise InputError(
            f"Psi is for the array {radar.array.name}, the channels are of the array {array.name}"
        )
    radar = radar.to(device=H.device)
    _check_covariance(radar, H.shape[-1])
    radar = at_unit_power(radar)
    if not (math.isfinite(weight) and weight >= 0):
        raise InputError(f"the weight ω must be finite and at least 0, got {weight}")
    if not (math.isfinite(noise) and noise > 0):
        raise InputError(f"the noise power must be finite and above 0, got {noise}")
    levels = torch.as_tensor(snr_db, dtype=torch.float64)
    several = levels.ndim > 0
    levels = levels.reshape(-1)
    power = noise * 10 ** (levels.to(H.device) / 10)
    if levels.numel() == 0 or not (torch.isfinite(power).all() and (power > 0).all()):
        raise InputError(f"the SNR must be finite, in dB; got {snr_db}")
    batch = H.shape[:-2]
    if several:
        H = H.expand(len(levels), *H.shape)
        power = power.reshape(-1, *[1] * len(batch)).expand(len(levels), *batch)
    else:
        power = power[0].expand(batch)
    return Scenario(
        H, radar, power, chains, torch.full_like(power, weight), noise, per_user, network or _UNSET
    )
