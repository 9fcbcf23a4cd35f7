r"""Problem (7) as it is stated: max R subject to τ ≤ τ₀, (7b), (7c).

Every design met gives a line R − ω (τ − τ₀) over the multiplier ω ≥ 0. The highest of the lines at each ω is
the dual function as far as it is known, and where it is least is the multiplier: the slope at τ₀ of the hull
of the R-τ front. So cutting planes: maximise R − ω τ by the fast kernel, add the lines, find ω again; first
over a sweep of ω, then from many starts, then from the best of these.

The maximisers of R − ω τ leave gaps in the front, where it is not concave: bisection on ω gets stuck there.
The augmented Lagrangian does not. It takes the leading designs along the constraint to τ = τ₀:

    max R − (c² − λ²)/(2ρ),   c = max(0, λ + ρ (τ/τ₀ − 1)),   λ ← c,

by L-BFGS over ∠F and W with the power normalised inside, ω = λ/τ₀. Returned is the best design met that
keeps τ ≤ τ₀. Each channel is worked on alone: its design does not depend on the batch.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.objective import beam_gradient, rate_gradient
from beamfold.scenario import Scenario
from beamfold.start import Point, proposed

Vector = NDArray[np.float64]

DECADES = np.linspace(-0.5, 4.5, 41)
"""log₁₀ of ω P_t² in the sweep: τ is of the order of P_t², R of some bits."""
SWEEP_STEPS = 60
"""Steps of F in the sweep."""
FURTHER, LEADERS = 300, 4
"""Steps of F from the best designs of so many different starts, once the multiplier is known."""
ENDS = 2
"""How many of them go along the constraint."""
LEAST = 1e7
"""ω P_t² at which τ alone counts."""
STIFFNESS = 10.0
"""ρ over λ, or over one bit: a τ that is 10 % too large doubles the multiplier."""
ROUNDS = 4
"""Of the augmented Lagrangian, at most."""
CLOSE = 1e-6
"""|τ/τ₀ − 1| that ends it: λ has settled, too."""
SLACK = 3e-7
"""How far below τ₀, relatively, that step aims."""


class _Variables:
    """{F, W} of one channel as a real vector: ∠F, and W in units of ‖W‖/√(NM). The power is P_t for any.

    Where F is 0, it stays.
    """

    def __init__(self, s: Scenario, point: Point) -> None:
        self.s, self.shape, self.connected = s, (s.antennas, s.chains), point.F != 0
        self.unit = float(torch.linalg.matrix_norm(point.W)) / math.sqrt(s.antennas * s.chains)

    def pack(self, point: Point) -> Vector:
        """The vector of a point."""
        W = torch.view_as_real(point.W.resolve_conj()).reshape(-1) / self.unit
        return torch.cat([point.F.angle().reshape(-1), W]).numpy()

    def point(self, x: Vector) -> Point:
        """The point of a vector, at power P_t."""
        count = self.shape[0] * self.shape[1]
        angle = torch.from_numpy(x[:count]).reshape(self.shape)
        F = torch.polar(self.connected.to(angle.dtype), angle)
        # A copy: after an odd number of phases x is not aligned to complex numbers, which torch relies on.
        W = torch.view_as_complex(torch.from_numpy(x[count:].copy()).reshape(self.shape[1], -1, 2))
        return Point(F, W * (self.s.power.sqrt() / torch.linalg.matrix_norm(F @ W)))

    @torch.inference_mode()
    def figures(self, x: Vector) -> tuple[float, float, Vector, Vector]:
        """R, τ and their gradients."""
        s, (F, W) = self.s, self.point(x)
        X = F @ W
        scale = float(torch.linalg.matrix_norm(W)) / float(np.linalg.norm(x[F.numel() :]))  # of W over x

        def gradient(G: Tensor) -> Vector:
            G = G - ((X.conj() * G).real.sum() / s.power) * X
            on_F = 2 * (F.conj() * (G @ W.mH)).imag
            on_W = 2 * scale * torch.view_as_real(F.mH @ G)
            return torch.cat([on_F.reshape(-1), on_W.reshape(-1)]).numpy()

        on_R, on_tau = rate_gradient(s.H, X, s.noise), beam_gradient(X, s.Psi, s.power)
        return float(s.rate(X)), float(s.tau(X)), gradient(on_R), gradient(on_tau)


def multiplier(s: Scenario, F: Tensor, W: Tensor) -> float:
    """The ω ≥ 0 at which {F, W} of one channel is nearest to stationary for R − ω τ: ⟨∇R, ∇τ⟩/‖∇τ‖²."""
    v = _Variables(s, Point(F, W))
    _, _, on_R, on_tau = v.figures(v.pack(Point(F, W)))
    return max(0.0, float(on_R @ on_tau) / max(float(on_tau @ on_tau), 1e-300))


def _along(s: Scenario, point: Point, limit: float, omega: float, iterations: int) -> Point:
    """From a design to one that maximises R on τ ≤ τ₀ nearby: the augmented Lagrangian."""
    from scipy.optimize import minimize  # a quarter of the start-up time of commands that do without it

    v = _Variables(s, point)
    x, lam = v.pack(point), omega * limit
    rho, before = STIFFNESS * max(lam, 1.0), math.inf

    def lagrangian(x: Vector) -> tuple[float, Any]:
        R, tau, on_R, on_tau = v.figures(x)
        c = max(0.0, lam + rho * (tau / limit - 1))
        return (c * c - lam * lam) / (2 * rho) - R, c / limit * on_tau - on_R

    options: Any = {"maxiter": iterations, "maxcor": 20, "ftol": 1e-12, "gtol": 1e-8}
    for _ in range(ROUNDS):
        x = minimize(lagrangian, x, jac=True, method="L-BFGS-B", options=options).x
        over = v.figures(x)[1] / limit - 1
        lam = max(0.0, lam + rho * over)
        if abs(over) <= CLOSE or lam == 0:
            break
        if abs(over) > before / 4:
            rho *= 4
        before = abs(over)
    return v.point(_onto(v, x, limit, lam > 0))


def _onto(v: _Variables, x: Vector, limit: float, active: bool) -> Vector:
    """To τ = τ₀ by Newton steps along ∇τ; from below, too, where the constraint is active."""
    for _ in range(8):
        _, tau, _, on_tau = v.figures(x)
        if tau <= limit and (tau >= (1 - 3 * SLACK) * limit or not active):
            break
        x = x - (tau - (1 - SLACK) * limit) / (on_tau @ on_tau) * on_tau
    return x


class _Seen(NamedTuple):
    """A design met: R, τ − τ₀, and the start that it came from."""

    point: Point
    rate: float
    over: float
    origin: int


class _Met:
    """Every design met for one channel."""

    def __init__(self, s: Scenario, limit: float) -> None:
        self.s, self.limit = s, limit
        self.seen: list[_Seen] = []

    def add(self, point: Point, origin: int) -> None:
        """Measure a design, in complex128 and with the whole Ψ, and keep it if it is finite."""
        X = point.F @ point.W
        R, tau = float(self.s.rate(X)), float(self.s.tau(X))
        if math.isfinite(R) and math.isfinite(tau):
            self.seen.append(_Seen(point, R, tau - self.limit, origin))

    @property
    def figures(self) -> tuple[Vector, Vector]:
        """R and τ − τ₀ of all."""
        return np.array([d.rate for d in self.seen]), np.array([d.over for d in self.seen])

    def run(self, weights: list[float], steps: int, which: int = 0, *, exact: bool = False) -> None:
        """Maximise R − ω τ by the kernel from its start `which`, for each ω."""
        self._run(weights, steps, None, [which] * len(weights), exact)

    def go_on(self, omega: float, steps: int, designs: list[_Seen]) -> None:
        """Maximise R − ω τ from designs that were met."""
        start = Point(torch.stack([d.point.F for d in designs]), torch.stack([d.point.W for d in designs]))
        self._run([omega] * len(designs), steps, start, [d.origin for d in designs], False)

    def _run(
        self, weights: list[float], steps: int, start: Point | None, origins: list[int], exact: bool
    ) -> None:
        from beamfold.kernels.fast import run_fast
        from beamfold.kernels.fast_setting import Plan

        s, count = self.s, len(weights)
        weight = torch.tensor(weights, dtype=torch.float64)
        many = replace(s, H=s.H.expand(count, *s.H.shape), power=s.power.expand(count), weight=weight)
        found, _, _ = run_fast(
            many, Plan(steps=steps), start=start, which=origins[0], threads=1,
            dtype=np.float64 if exact else np.float32,
        )  # fmt: skip
        for F, W, origin in zip(*found, origins, strict=True):
            self.add(Point(F, W), origin)

    def multiplier(self) -> float:
        """argmin over ω ≥ 0 of max_i R_i − ω (τ_i − τ₀): along the hull from the highest R to τ ≤ τ₀."""
        R, over = self.figures
        at, omega = int(np.lexsort((over, -R))[0]), 0.0
        while over[at] > 0:
            left = np.flatnonzero(over < over[at])
            if not len(left):
                break
            slopes = (R[at] - R[left]) / (over[at] - over[left])
            nearest = int(np.argmin(slopes))
            at, omega = int(left[nearest]), float(slopes[nearest])
        return omega

    def leaders(self, omega: float, count: int) -> list[_Seen]:
        """The designs with the highest lines at ω, one of each start."""
        R, over = self.figures
        found: dict[int, _Seen] = {}
        for i in np.argsort(omega * over - R, kind="stable"):
            found.setdefault(self.seen[i].origin, self.seen[i])
        return list(found.values())[:count]

    @property
    def reached(self) -> bool:
        """Whether a design keeps τ ≤ τ₀."""
        return min(d.over for d in self.seen) <= 0

    @property
    def best(self) -> Point:
        """The design with the highest R of those with τ ≤ τ₀, or the one with the least τ."""
        R, over = self.figures
        return self.seen[
            int(np.argmax(np.where(over <= 0, R, -np.inf)) if self.reached else np.argmin(over))
        ].point


def best_within(s: Scenario, limit: float, starts: int, steps: int, polish: int) -> Point:
    """The design of one channel."""
    met, square = _Met(s, limit), float(s.power) ** 2
    met.add(proposed(s), 0)
    met.run([0.0, *(10**DECADES / square)], SWEEP_STEPS)
    if not met.reached:  # even by a large ω: τ alone, as far as it goes
        for which in range(starts):
            met.run([LEAST / square], 2 * steps, which, exact=True)
        if not met.reached:
            return met.best
    omega = met.multiplier()
    for which in range(1, starts):
        met.run([omega], steps, which)
    omega = met.multiplier()
    met.go_on(omega, FURTHER, met.leaders(omega, LEADERS))
    omega = met.multiplier()
    for seen in met.leaders(omega, ENDS):
        met.add(_along(s, seen.point, limit, omega, polish // 2), seen.origin)
    last = met.best
    met.add(_along(s, last, limit, multiplier(s, *last), polish), 0)
    return met.best
