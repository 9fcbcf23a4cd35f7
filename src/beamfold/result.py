"""`Design`, the output of every method: {F, W} with their figures, why the method stopped, what is wrong."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.metrics import beampattern, pattern_error
from beamfold.objective import Measured
from beamfold.scenario import Scenario

if TYPE_CHECKING:
    import xarray as xr

FEASIBLE = 1e-4
"""Relative violation of (7b), (7c) beyond which a design is called infeasible."""


class Status(enum.IntEnum):
    """Why a method stopped on one channel. `Fault` has what may be wrong with the design."""

    FIXED_DEPTH = 0
    CONVERGED = 1
    CLOSED_FORM = 2
    DIVERGED = 5
    ITERATION_LIMIT = 6

    @property
    def label(self) -> str:
        """The name as files and tables show it."""
        return self.name.lower()

    @property
    def advice(self) -> str:
        """What it means, and what a user can do."""
        return _WHY[self]


class Fault(enum.IntFlag):
    """What is wrong with the design of one channel; the numbers add up where several things are."""

    NONE = 0
    BELOW_START = 1
    INFEASIBLE = 2
    NOT_FINITE = 4
    START_RETURNED = 8
    TAU_ABOVE_LIMIT = 16
    SENSING_BEYOND_LIMIT = 32

    @property
    def label(self) -> str:
        """The names as files and tables show them, joined by "+"; "" for none."""
        return "+".join((fault.name or "").lower() for fault in Fault if fault & self)

    @property
    def advice(self) -> str:
        """What it means, and what a user can do."""
        return _WRONG[self]


# Two tables: as keys of one, members of different enumerations with the same number would be the same.
_WHY: dict[Status, str] = {
    Status.FIXED_DEPTH: "All layers ran; a method of fixed depth claims nothing about an optimum.",
    Status.CONVERGED: "The method's own stopping rule was met.",
    Status.CLOSED_FORM: "The design is a formula or a greedy choice; there was nothing to iterate.",
    Status.DIVERGED: "The next iterate was not finite; the last finite one is returned. Use shorter steps.",
    Status.ITERATION_LIMIT: "The stopping rule was not met within the allowed iterations; more may gain.",
}
_WRONG: dict[Fault, str] = {
    Fault.NONE: "Nothing is wrong with the design.",
    Fault.BELOW_START: "R - omega tau is below that of the method's start. Use shorter steps, or the start.",
    Fault.INFEASIBLE: "The analog network (7b) or total power (7c) is violated by over 1e-4. Do not use it.",
    Fault.NOT_FINITE: "R or tau is not a finite number. Do not use it; check the channel's scale.",
    Fault.START_RETURNED: "The method ended below the start (26), which is returned in its place.",
    Fault.TAU_ABOVE_LIMIT: "No design with tau <= tau_0 was found; the one of least tau is returned.",
    Fault.SENSING_BEYOND_LIMIT: "No design met the limit of RCRB or SCNR; the one nearest to it is returned.",
}

UNUSABLE = Fault.INFEASIBLE | Fault.NOT_FINITE | Fault.TAU_ABOVE_LIMIT | Fault.SENSING_BEYOND_LIMIT
"""Faults of a design that does not do what was asked for."""


STATUS_CODES = ", ".join(f"{status.value} {status.label}" for status in Status)
"""Every number of `status` in a file with its name."""
FAULT_CODES = ", ".join(f"{fault.value} {fault.label}" for fault in Fault)
"""Every number of `faults` in a file with its name; the numbers of several faults add up."""


def described(status: int, faults: int) -> str:
    """One name for how a channel ended, such as "converged" or "fixed_depth+below_start"."""
    return "+".join(part for part in (Status(status).label, Fault(faults).label) if part)


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
        method: the method's name, which `beamfold.design` takes.
        F: (…, N, M) unit-modulus entries, or None for a fully digital design.
        W: (…, M, K), or X itself (…, N, K) for a fully digital design; on a band with the axis of
            subcarriers, (…, S, M, K) or (…, S, N, K).
        status: (…) int8 of `Status`, why the method stopped.
        faults: (…) int8 of `Fault`, what is wrong with the design.
        rate: (…), R in bit/s/Hz.
        tau: (…), τ.
        trace: R and τ per layer where the method recorded them.
        iterations: (…) int64, steps taken, where the method counts them.
        residual: (…), how far from stationary, in the method's own measure, where it has one.
        multiplier: (…), the ω at which the design of problem (7) is stationary.
        options: the method's options that were given.
        seconds: wall time of the whole batch; NaN where it was not measured.
    """

    scenario: Scenario
    method: str
    F: Tensor | None
    W: Tensor
    status: Tensor
    faults: Tensor
    rate: Tensor
    tau: Tensor
    trace: Trace | None = None
    iterations: Tensor | None = None
    residual: Tensor | None = None
    multiplier: Tensor | None = None
    options: dict[str, Any] = field(default_factory=dict)
    seconds: float = float("nan")

    @cached_property
    def X(self) -> Tensor:
        """F W (…, N, K), on a band F W_s (…, S, N, K)."""
        return self.W if self.F is None else self.scenario.transmitted(self.F, self.W)

    @cached_property
    def objective(self) -> Tensor:
        """R − ω τ (…), or R + ω c of the scenario's goal."""
        if self.scenario.goal is not None:
            return self.scenario.objective(self.X)
        return self.rate - self.scenario.weight * self.tau

    @property
    def label(self) -> str:
        """The method's name in figures and files: with J where it has inner steps, and no hyphen."""
        name = self.method.replace("-", "_")
        return f"{name}_j{self.options['inner']}" if "inner" in self.options else name

    @property
    def usable(self) -> Tensor:
        """(…) bool: feasible, finite, and within τ₀ where one was given."""
        return (self.faults & int(UNUSABLE)) == 0

    @property
    def statuses(self) -> list[str]:
        """How each channel ended in one name, flattened; see `described`."""
        pairs = zip(self.status.flatten().tolist(), self.faults.flatten().tolist(), strict=True)
        return [described(*pair) for pair in pairs]

    def counts(self, part: Any = ...) -> dict[str, int]:
        """How many of the channels of a part of the batch ended in which way, the most frequent first."""
        pairs = zip(self.status[part].flatten().tolist(), self.faults[part].flatten().tolist(), strict=True)
        return {described(*pair): count for pair, count in Counter(pairs).most_common()}

    def numpy(self) -> dict[str, NDArray[Any]]:
        """F, W, X, H, rate, tau, objective, mse, status, faults and snr_db as NumPy arrays."""
        from beamfold.exports import as_numpy

        return as_numpy(self)

    def to_xarray(self) -> xr.Dataset:
        """The same as an xarray.Dataset with named axes, see `exports.as_xarray`."""
        from beamfold.exports import as_xarray

        return as_xarray(self)

    @cached_property
    def mse(self) -> Tensor:
        """Beampattern MSE against Ψ's pattern (…), linear, on the grid that Ψ was solved on."""
        return self.pattern_error(self.scenario.radar.angles)

    def beampattern(self, angles: Tensor) -> Tensor:
        """p(θ)/P_t (…, T) over directions in radians: (T,) for a line, (T, 2) for any other array.

        On a band (…, S, T), each at its own frequency.
        """
        s, X = self.scenario, self.X
        if s.band is None:
            return beampattern(X, angles, s.array) / s.power[..., None]
        each = enumerate(s.band.ratios)
        p = torch.stack([beampattern(X[..., i, :, :], angles, s.array, r) for i, r in each], -2)
        return p / s.power[..., None, None]

    def pattern_error(self, angles: Tensor) -> Tensor:
        """Beampattern MSE against Ψ's pattern (…), linear; see `metrics.pattern_error`.

        On a band the mean over the subcarriers, each at its own frequency.
        """
        s = self.scenario
        if s.band is None:
            return pattern_error(self.X, s.Psi, s.power, angles, s.array)
        radars = s.band.each or (s.radar,) * s.subcarriers
        found = [
            pattern_error(self.X[..., i, :, :], radar.Psi, s.power, angles, s.array, r)
            for i, (radar, r) in enumerate(zip(radars, s.band.ratios, strict=True))
        ]
        return torch.stack(found).mean(0)


def finish(
    s: Scenario,
    method: str,
    F: Tensor | None,
    W: Tensor,
    *,
    status: Status | Tensor,
    faults: Tensor | None = None,
    start_objective: Tensor | None = None,
    X: Tensor | None = None,
    measured: Measured | None = None,
    **kept: Any,
) -> Design:
    """The one place where a method's result becomes a `Design`: measured, checked, its faults named.

    Figures are those of the returned arrays in complex128, whatever precision they were found in.

    Args:
        s: the scenario.
        method: the method's name.
        F: (…, N, M), or None for a fully digital design.
        W: (…, M, K), or X (…, N, K).
        status: why the method stopped, one for all or (…).
        faults: (…) of `Fault`, what the method itself knows to be wrong.
        start_objective: (…), R − ω τ of the method's start; below it the design gets `BELOW_START`.
        X: this very F W in complex128, so as not to form it again.
        measured: what `s.measure` returned for it.
        kept: further fields of `Design`.
    """
    F = None if F is None else F.to(torch.complex128)
    W = W.to(torch.complex128)
    if X is None:
        X = W if F is None else s.transmitted(F, W)
    R, tau = (s.rate(X), s.tau(X)) if measured is None else (measured.rate, measured.tau)
    value = R - s.weight * tau if s.goal is None else s.objective(X)
    stopped = torch.as_tensor(status, dtype=torch.int8, device=X.device).expand(value.shape).clone()
    wrong = torch.zeros_like(stopped) if faults is None else faults.to(torch.int8).expand(value.shape)
    if start_objective is not None:
        wrong = wrong | where_fault(
            value < start_objective - 1e-6 * (1 + start_objective.abs()), Fault.BELOW_START
        )
    sound = s.power_error(X) <= FEASIBLE  # NaN is infeasible, too
    if F is not None:
        sound &= s.network.violation(F) <= FEASIBLE
    finite = value * 0 == 0
    if not (sound & finite).all():
        wrong = wrong | where_fault(~sound, Fault.INFEASIBLE) | where_fault(~finite, Fault.NOT_FINITE)
    return Design(s, method, F, W, stopped, wrong, R, tau, **kept)


def where_fault(condition: Tensor, fault: Fault) -> Tensor:
    """The fault where the condition (…) holds, else 0: a product takes a fifth of the time of an index."""
    return condition.to(torch.int8) * int(fault)
