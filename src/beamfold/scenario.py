"""A scenario: what a method is given. A design: what it gives back."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.beampattern import Benchmark
from beamfold.constraints import modulus_error, power_error
from beamfold.metrics import beampattern, pattern_error
from beamfold.objective import beam_error, rate

Array = Tensor | NDArray[np.generic]
FEASIBLE = 1e-4  # relative violation of (7b), (7c) beyond which a design is called infeasible


@dataclass(frozen=True, eq=False)
class Scenario:
    """Channels, Ψ, power, noise and weight of problem (8). Make one with `make_scenario()`, which checks.

    Attributes:
        H: (…, K, N) complex, rows h_kᴴ.
        radar: Ψ at unit power with what is known of it; a method uses P_t Ψ.
        power: (…) real, P_t, linear.
        chains: M, RF chains of a hybrid design.
        weight: (…) real, ω ≥ 0.
        noise: σ_n² > 0, linear.
    """

    H: Tensor
    radar: Benchmark
    power: Tensor
    chains: int
    weight: Tensor
    noise: float = 1.0

    @property
    def Psi(self) -> Tensor:
        """Ψ (N, N) at unit power."""
        return self.radar.Psi

    @property
    def antennas(self) -> int:
        """N."""
        return self.H.shape[-1]

    @property
    def users(self) -> int:
        """K."""
        return self.H.shape[-2]

    @property
    def batch(self) -> torch.Size:
        """The leading axes, () for one channel."""
        return self.H.shape[:-2]

    @property
    def omega(self) -> Tensor:
        """ω as (…, 1, 1), to multiply matrices."""
        return self.weight[..., None, None]

    @cached_property
    def Psi_t(self) -> Tensor:
        """P_t Ψ (…, N, N): Ψ scales with the power, so (6) is solved once at unit power."""
        return self.power[..., None, None] * self.Psi

    def __getitem__(self, index: object) -> Scenario:
        """The scenario of a part of the leading axes; an index never reaches K and N."""
        count = math.prod(self.batch)
        which = torch.arange(count, device=self.H.device).reshape(self.batch)[index]  # type: ignore[index]

        def part(t: Tensor, *shape: int) -> Tensor:
            return t.expand((*self.batch, *shape)).reshape((count, *shape))[which]

        H = part(self.H, self.users, self.antennas)
        return replace(self, H=H, power=part(self.power), weight=part(self.weight))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Scenario:
        """The same scenario elsewhere or in another precision; dtype is complex64 or complex128."""
        real = None if dtype is None else torch.empty(0, dtype=dtype).real.dtype
        return replace(
            self,
            H=self.H.to(device=device, dtype=dtype),
            radar=replace(self.radar, Psi=self.Psi.to(device=device, dtype=dtype)),
            power=self.power.to(device=device, dtype=real),
            weight=self.weight.to(device=device, dtype=real),
        )


def _tensor(values: Array, dtype: torch.dtype) -> Tensor:
    if isinstance(values, Tensor):
        return values.to(dtype)
    return torch.from_numpy(np.ascontiguousarray(values)).to(dtype)


def _check_channels(H: Tensor, chains: int) -> None:
    if H.ndim < 2:
        raise ValueError(f"channels need axes (…, users, antennas), found shape {tuple(H.shape)}")
    users, antennas = H.shape[-2:]
    if not users <= chains <= antennas:
        raise ValueError(
            f"the paper needs K <= M <= N: found {users} users, {chains} RF chains and {antennas} antennas"
            + (" (are the axes (…, users, antennas)?)" if users > antennas else "")
        )
    finite = torch.isfinite(torch.view_as_real(H)).flatten(-3).all(-1).flatten()
    if not finite.all():
        bad = torch.nonzero(~finite).flatten().tolist()
        raise ValueError(f"channel {bad[0]} holds NaN or Inf ({len(bad)} of {finite.numel()} channels do)")


def _check_covariance(radar: Benchmark, antennas: int) -> None:
    Psi = radar.Psi
    if Psi.shape != (antennas, antennas):
        raise ValueError(
            f"Psi is {tuple(Psi.shape)}, expected ({antennas}, {antennas}) for {antennas} antennas"
        )
    if not torch.isfinite(torch.view_as_real(Psi)).all():
        raise ValueError("Psi holds NaN or Inf")
    if float((Psi - Psi.mH).abs().max()) > 1e-8 * max(float(Psi.abs().max()), 1e-300):
        raise ValueError("Psi is not Hermitian, so it is no covariance")
    top, least = float(radar.spectrum[0][0]), float(radar.spectrum[0][-1])
    if least < -1e-6 * max(top, 0.0) * antennas or top < 0:
        raise ValueError(f"Psi is not positive semidefinite: its least eigenvalue is {least:.2e}")


def make_scenario(
    channels: Array,
    radar: Benchmark | Array,
    *,
    snr_db: float | Sequence[float],
    chains: int | None = None,
    weight: float = 0.3,
    noise: float = 1.0,
) -> Scenario:
    """Check channels and Ψ once and make the scenario that every method takes.

    Args:
        channels: H (…, K, N), complex or real, rows h_kᴴ; NumPy or torch.
        radar: Ψ (N, N) at unit power, from `beamfold.solve_covariance`, or as a bare Hermitian array.
        snr_db: P_t/σ_n² in dB; several values put a leading SNR axis in front of the batch.
        chains: M, default K.
        weight: ω ≥ 0 of (8a).
        noise: σ_n² > 0, linear.

    Returns:
        A `Scenario` in complex128.

    Raises:
        ValueError: sizes that do not fit, NaN or Inf, ω < 0, σ_n² ≤ 0 or an SNR that is not finite; one
            line that says what was found. A zero h_k is a blocked user, of rate 0; Ψ = 0 makes τ ‖X Xᴴ‖².
    """
    H = _tensor(channels, torch.complex128)
    chains = H.shape[-2] if chains is None and H.ndim >= 2 else chains or 0
    _check_channels(H, chains)
    if not isinstance(radar, Benchmark):
        radar = Benchmark(_tensor(radar, torch.complex128))
    if radar.Psi.device != H.device:
        radar = replace(radar, Psi=radar.Psi.to(H.device))
    _check_covariance(radar, H.shape[-1])
    if not (math.isfinite(weight) and weight >= 0):
        raise ValueError(f"the weight ω must be finite and at least 0, got {weight}")
    if not (math.isfinite(noise) and noise > 0):
        raise ValueError(f"the noise power must be finite and above 0, got {noise}")
    levels = torch.as_tensor(snr_db, dtype=torch.float64)
    several = levels.ndim > 0
    levels = levels.reshape(-1)
    power = noise * 10 ** (levels.to(H.device) / 10)
    if levels.numel() == 0 or not (torch.isfinite(power).all() and (power > 0).all()):
        raise ValueError(f"the SNR must be finite, in dB; got {snr_db}")
    batch = H.shape[:-2]
    if several:
        H = H.expand(len(levels), *H.shape)
        power = power.reshape(-1, *[1] * len(batch)).expand(len(levels), *batch)
    else:
        power = power[0].expand(batch)
    return Scenario(H, radar, power, chains, torch.full_like(power, weight), noise)


class Status(enum.IntEnum):
    """How a method ended on one channel. Values below `INFEASIBLE` are good designs."""

    LAYERS_DONE = 0
    """All layers ran; nothing is claimed about optimality."""
    CONVERGED = 1
    """The method's own stopping rule was met."""
    CLOSED_FORM = 2
    """A formula without iterations."""
    WORSE_THAN_START = 3
    """All layers ran, but R − ω τ ended below the start's."""
    INFEASIBLE = 4
    """(7b) or (7c) is violated by more than 1e-4 relative."""
    NON_FINITE = 5
    """A NaN or Inf appeared; the last finite iterate is returned."""

    @property
    def label(self) -> str:
        """The name as files and tables show it."""
        return self.name.lower()


@dataclass(frozen=True, eq=False)
class Trace:
    """R and τ after 0, 1, …, I layers: each (I + 1, …) real."""

    rate: Tensor
    tau: Tensor


@dataclass(frozen=True, eq=False)
class Design:
    """A precoder for every channel of a scenario, with its figures in complex128.

    Attributes:
        scenario: what it was designed for.
        method: the method's name.
        F: (…, N, M) unit-modulus entries, or None for a fully digital design.
        W: (…, M, K), or X itself (…, N, K) for a fully digital design.
        status: (…) int8 of `Status`.
        rate: (…), R in bit/s/Hz.
        tau: (…), τ.
        trace: R and τ per layer where the method recorded them.
    """

    scenario: Scenario
    method: str
    F: Tensor | None
    W: Tensor
    status: Tensor
    rate: Tensor
    tau: Tensor
    trace: Trace | None = None

    @cached_property
    def X(self) -> Tensor:
        """F W (…, N, K)."""
        return self.W if self.F is None else self.F @ self.W

    @cached_property
    def objective(self) -> Tensor:
        """R − ω τ (…)."""
        return self.rate - self.scenario.weight * self.tau

    @property
    def statuses(self) -> list[str]:
        """The labels of `status`, flattened."""
        return [Status(s).label for s in self.status.flatten().tolist()]

    def beampattern(self, angles: Tensor) -> Tensor:
        """p(θ)/P_t (…, T) over angles (T,) in radians."""
        return beampattern(self.X, angles) / self.scenario.power[..., None]

    def pattern_error(self, angles: Tensor) -> Tensor:
        """Beampattern MSE against Ψ's pattern (…), linear; see `metrics.pattern_error`."""
        return pattern_error(self.X, self.scenario.Psi, self.scenario.power, angles)


def finish(
    s: Scenario,
    method: str,
    F: Tensor | None,
    W: Tensor,
    *,
    status: Status | Tensor = Status.LAYERS_DONE,
    start_objective: Tensor | None = None,
    trace: Trace | None = None,
) -> Design:
    """The one place where a method's result becomes a `Design`: measured, checked, given its status.

    Metrics are those of the returned arrays in complex128, whatever precision they were found in. A good
    status is withdrawn where the design is not feasible, not finite, or worse than its start.
    """
    F = None if F is None else F.to(torch.complex128)
    W = W.to(torch.complex128)
    X = W if F is None else F @ W
    R, tau = rate(s.H, X, s.noise), beam_error(X, s.Psi_t)
    value = R - s.weight * tau
    result = torch.as_tensor(
        int(status) if isinstance(status, Status) else status, dtype=torch.int8, device=X.device
    )
    result = result.expand(value.shape).clone()
    if start_objective is not None:
        slack = 1e-6 * (1 + start_objective.abs())
        result[(value < start_objective - slack) & (result < Status.INFEASIBLE)] = Status.WORSE_THAN_START
    broken = power_error(X, s.power) > FEASIBLE
    if F is not None:
        broken |= modulus_error(F) > FEASIBLE
    result[broken & (result < Status.INFEASIBLE)] = Status.INFEASIBLE
    result[~torch.isfinite(value)] = Status.NON_FINITE
    return Design(s, method, F, W, result, R, tau, trace)
