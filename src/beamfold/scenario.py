"""`Scenario`, the input of every method: channels, Ψ, power, noise and weight, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from beamfold.arrays import Array
from beamfold.band import Band, PowerRule
from beamfold.checks import (
    Numbers,
    band_given,
    check_channels,
    power_levels,
    sensing_given,
    shared,
    tensor_of,
    with_sensing,
)
from beamfold.constraints import power_error
from beamfold.defaults import WEIGHT
from beamfold.errors import InputError
from beamfold.networks import Network, fully_connected
from beamfold.objective import (
    SINGLE,
    DigitalGradient,
    Measured,
    Users,
    ascent,
    beam_error,
    measure,
    rate,
    rate_gradient,
    signal_gradient,
)
from beamfold.radar.goal import Goal, goal_named
from beamfold.radar.scene import Scene, scene_of
from beamfold.sensing import Sensing

_UNSET = fully_connected(1, 1)
"""In the place of a network that was not given."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """Channels, Ψ, power, noise and weight of problem (8). Make one with `make_scenario()`, which checks.

    Attributes:
        H: (…, K R, N) complex, rows h_kᴴ; R rows for each of K users. On a band (…, S, K R, N).
        radar: Ψ at unit power with what is known of it; a method uses P_t Ψ.
        power: (…) real, P_t, linear.
        chains: M, RF chains of a hybrid design.
        weight: (…) real, ω ≥ 0.
        noise: σ_n² > 0, linear.
        per_user: R antennas and d streams of each user, one each in the paper, and D sensing streams.
        network: the connections of antennas and chains, and the phases; unless given, fully connected.
        band: the subcarriers of a wideband scenario, whose F serves all of them; None for a flat channel.
        goal: what sensing is for where it is not τ: the objective is then R + ω c(X), see `radar.goal`.
    """

    H: Tensor
    radar: Sensing
    power: Tensor
    chains: int
    weight: Tensor
    noise: float = 1.0
    per_user: Users = SINGLE
    network: Network = _UNSET
    band: Band | None = None
    goal: Goal | None = None

    def __post_init__(self) -> None:
        """Put the fully connected network where none was given."""
        if self.network is _UNSET:
            object.__setattr__(self, "network", fully_connected(self.antennas, self.chains))

    @property
    def Psi(self) -> Tensor:
        """Ψ (N, N) at unit power, or (S, N, N) where every subcarrier has its own."""
        each = None if self.band is None else self.band.Psi
        return self.radar.Psi if each is None else each

    @property
    def array(self) -> Array:
        """The base station's antennas."""
        return self.radar.array

    @property
    def antennas(self) -> int:
        """N, antennas."""
        return self.H.shape[-1]

    @property
    def users(self) -> int:
        """K, users."""
        return self.H.shape[-2] // self.per_user.receive

    @property
    def columns(self) -> int:
        """K d + D, the columns of X and W."""
        return self.users * self.per_user.streams + self.per_user.sensing

    @property
    def batch(self) -> torch.Size:
        """The leading axes, () for one channel; without that of the subcarriers."""
        return self.H.shape[: -2 if self.band is None else -3]

    @property
    def subcarriers(self) -> int:
        """S, 1 for a flat channel."""
        return 1 if self.band is None else self.band.subcarriers

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

    def on_band(self, F: Tensor) -> Tensor:
        """F (…, N, M) as it multiplies W: (…, 1, N, M) on a band."""
        return F if self.band is None else F.unsqueeze(-3)

    def transmitted(self, F: Tensor, W: Tensor) -> Tensor:
        """X = F W (…, N, K), on a band X_s = F W_s (…, S, N, K)."""
        return self.on_band(F) @ W

    def to_power(self, X: Tensor, W: Tensor | None = None) -> Tensor:
        """W, or X itself, scaled as X has to be so as to meet (7c), on a band by its rule: Eq. (12).

        Args:
            X: (…, N, K), on a band (…, S, N, K).
            W: of X = F W, (…, M, K) or (…, S, M, K).
        """
        if self.band is None:
            gain = self.power.sqrt() / torch.linalg.matrix_norm(X)
        else:
            gain = self.band.gain(X, self.power)
        return gain[..., None, None] * (X if W is None else W)

    def power_error(self, X: Tensor) -> Tensor:
        """The relative violation of (7c) by X (…), on a band of its rule."""
        return power_error(X, self.power) if self.band is None else self.band.power_error(X, self.power)

    def rate(self, X: Tensor) -> Tensor:
        """R of X (…, N, K d), Eq. (4), in bit/s/Hz; (…). On a band the mean over X (…, S, N, K d)."""
        return self._mean(rate(self.H, X, self.noise, self.per_user))

    def tau(self, X: Tensor) -> Tensor:
        """τ = ‖X Xᴴ − P_t Ψ‖² of X (…, N, K), Eq. (5); (…). Ψ scales with the power."""
        return self._mean(beam_error(X, self.Psi, self._on_each(self.power)))

    def objective(self, X: Tensor) -> Tensor:
        """R − ω τ of X (…, N, K), Eq. (8a), or R + ω c of another goal; (…)."""
        if self.goal is not None:
            return self.rate(X) + self.weight * self.goal.measure(X, self.power).value
        return self.rate(X) - self.weight * self.tau(X)

    def measure(self, X: Tensor) -> Measured:
        """R, τ and ∇_X (R − ω τ), or ∇_X (R + ω c) of another goal, of X (…, N, K) together."""
        if self.goal is not None:
            return Measured(self.rate(X), self.tau(X), self.ascent(X) / self.subcarriers)
        power, weight = self._on_each(self.power), self._on_each(self.weight)
        square = self.radar.square if self.band is None else None
        R, tau, G = measure(self.H, X, self.Psi, power, weight, self.noise, self.per_user, square)
        return Measured(self._mean(R), self._mean(tau), G if self.band is None else G / self.subcarriers)

    def ascent(self, X: Tensor, *, eta: float = 1.0, digital: DigitalGradient = "exact") -> Tensor:
        """G_s = ∇_X (R_s − ω η τ_s) of every subcarrier for itself, as X; S times that of the mean.

        Of another goal ∇_X (R_s + S ω η c), c that of all subcarriers together.

        Fᴴ G_s is then the step of W_s, which does not shrink with S; `on_F` has the step of F.
        """
        if self.goal is not None:
            on_R = rate_gradient if digital == "exact" else signal_gradient
            c = self.goal.measure(X, self.power).gradient  # of all subcarriers together
            omega = eta * self.subcarriers * self._on_each(self.weight)
            return on_R(self.H, X, self.noise, self.per_user) + omega[..., None, None] * c
        power, weight = self._on_each(self.power), self._on_each(self.weight)
        return ascent(self.H, X, self.Psi, power, eta * weight, self.noise, self.per_user, digital)

    def on_F(self, G: Tensor, W: Tensor) -> Tensor:
        """∇_F = G Wᴴ (…, N, M) for the G of `ascent`, on a band the mean of G_s W_sᴴ."""
        each = G @ W.mH
        return each if self.band is None else each.mean(-3)

    def parts(self) -> list[Scenario]:
        """The subcarriers as flat channels, each with the power P_t, in as few scenarios as there are Ψ.

        With one Ψ a single scenario of batch (…, S); else S scenarios of batch (…). A flat scenario is its
        own only part.
        """
        if self.band is None:
            return [self]
        if self.band.each is not None:
            radars = enumerate(self.band.each)
            return [replace(self, H=self.H[..., i, :, :], radar=r, band=None) for i, r in radars]
        power, weight = (
            self._on_each(t.expand(self.batch)).expand(*self.batch, self.subcarriers)
            for t in (self.power, self.weight)
        )
        return [replace(self, power=power, weight=weight, band=None)]

    def _on_each(self, values: Tensor) -> Tensor:
        """Numbers (…) of the channels as those of their subcarriers, (…, 1) on a band."""
        return values if self.band is None else values[..., None]

    def _mean(self, values: Tensor) -> Tensor:
        """(…) of the figures of a flat channel, or the mean of those of the subcarriers (…, S)."""
        return values if self.band is None else values.mean(-1)

    def __getitem__(self, index: Any) -> Scenario:
        """The scenario of a part of the leading axes; an index never reaches K and N."""
        power = self.power.expand(self.batch)[index]
        whole = (slice(None),) * (self.H.ndim - len(self.batch))
        matrices = (*index, *whole) if _ends_open(index) else index
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
            band=None if self.band is None else self.band.to(device, dtype),
        )


def sensed_by(s: Scenario) -> Scene:
    """What the scenario senses: the scene of its goal, else the targets of Ψ as `scene_of` has them."""
    if s.goal is not None:
        return s.goal.scene
    scene = scene_of(s.radar)
    return scene if s.band is None else replace(scene, ratios=s.band.ratios)


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


def make_scenario(
    channels: Numbers,
    radar: Sensing | Numbers | Sequence[Sensing],
    *,
    snr_db: float | Sequence[float],
    chains: int | None = None,
    weight: float = WEIGHT,
    noise: float = 1.0,
    array: Array | None = None,
    streams: int | None = None,
    network: Network | None = None,
    frequencies: Numbers | Sequence[float] | None = None,
    carrier_hz: float | None = None,
    power_rule: PowerRule = "subcarrier",
    sensing: str = "tau",
    scene: Scene | None = None,
    sensing_streams: int = 0,
    known_to_users: bool = False,
) -> Scenario:
    """Check channels and Ψ once and make the scenario that every method takes.

    Args:
        channels: H (…, K, N), complex or real, rows h_kᴴ; NumPy or torch. With `streams` (…, K, R, N): users
            with R antennas. With `frequencies` (…, S, K, N) or (…, S, K, R, N).
        radar: Ψ (N, N) from `beamfold.solve_covariance`, or as a bare Hermitian array. Of a bare array only
            the shape counts: it is scaled to unit power (trace 1), as a file's is, with a warning. On a band
            it serves every subcarrier; a sequence of S, or an array (S, N, N), has one for each.
        snr_db: P_t/σ_n² in dB; several values put a leading SNR axis in front of the batch.
        chains: M, default that of the network, else K d.
        weight: ω ≥ 0 of (8a).
        noise: σ_n² > 0, linear.
        array: the base station's antennas, where Ψ is a bare array; a `Sensing` brings its own. Default the
            half-wavelength line of N.
        streams: d ≤ R streams to each user, where the users have several antennas.
        network: the analog network; default fully connected with continuous phases.
        frequencies: f_s (S,) of the subcarriers of a band, Hz, increasing.
        carrier_hz: f_c, in whose wavelengths the array is; default the mean of the frequencies.
        power_rule: of a band, "subcarrier" (‖F W_s‖² = P_t on each) or "band" (Σ_s ‖F W_s‖² = S P_t).
        sensing: what the objective has beside R: "tau" (R − ω τ), "crb" (R + ω log₂ det J) or "scnr"
            (R + ω Σ_i log₂ SCNR_i), see `radar.criteria`.
        scene: what is sensed, for the last two; default the targets of Ψ, see `radar.scene.scene_of`.
        sensing_streams: D further columns of X that serve no user, X = F [W_c, W_r]; for one-antenna users.
        known_to_users: whether the users cancel them; else they are interference.

    Returns:
        A `Scenario` in complex128.

    Raises:
        InputError: another array than Ψ's, sizes that do not fit, frequencies that do not, NaN or Inf, ω < 0,
            σ_n² ≤ 0 or an SNR that is not finite; one line that says what was found. A zero h_k is a blocked
            user, of rate 0; Ψ = 0 makes τ ‖X Xᴴ‖².
    """
    H, per_user = shared(tensor_of(channels, torch.complex128), streams)
    chains = network.chains if chains is None and network is not None else chains
    chains = per_user.columns(H.shape[-2]) if chains is None and H.ndim >= 2 else chains or 0
    check_channels(H, chains, per_user, band=frequencies is not None)
    per_user = with_sensing(per_user, H, sensing_streams, known_to_users)
    if network is not None and (network.antennas, network.chains) != (H.shape[-1], chains):
        raise InputError(
            f"the network {network.label} is for {network.antennas} antennas and {network.chains} chains, "
            f"found {H.shape[-1]} and {chains}"
        )
    one, each = sensing_given(radar, array, H.shape[-1], H.device)
    band = band_given(H, each, frequencies, carrier_hz, power_rule)
    power = power_levels(snr_db, weight, noise).to(H.device)
    batch = H.shape[: -2 if band is None else -3]
    if power.ndim > 0:
        H = H.expand(len(power), *H.shape)
        power = power.reshape(-1, *[1] * len(batch)).expand(len(power), *batch)
    else:
        power = power.expand(batch)
    omega = torch.full_like(power, weight)
    goal = goal_named(sensing, scene, one, None if band is None else band.ratios)
    return Scenario(H, one, power, chains, omega, noise, per_user, network or _UNSET, band, goal)
