r"""Searches for sensing objectives other than τ: max R + ω c(X), and max R with a limit on what c is made of.

The climbs are those of `free`. An optimal fully digital X lies in the span of the users' channels and of the
steering vectors of targets and clutter with their derivatives: other power would serve nobody. It begins at
mixtures of zero forcing and of beams to the targets, a hybrid design at the phases of X Q of the best digital
X for unitary Q.

Problem (7) with limits g_i(X) ≤ 0, one of each angle or target (`Goal.excess`), is solved by the augmented
Lagrangian, all channels of a batch at once:

    max R − Σ_i (c_i² − λ_i²)/(2ρ),   c_i = max(0, λ_i + ρ g_i),   λ_i ← c_i.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from beamfold.band import side_by_side
from beamfold.objective import rate_gradient
from beamfold.optim.free import Aim, End, Free, Weighted, climb
from beamfold.radar.goal import Goal
from beamfold.radar.scene import Scene
from beamfold.scenario import Scenario
from beamfold.sensing import Sensing
from beamfold.start import Point, from_digital, padded, sensing_start, zero_forcing

SHARES = (0.1, 0.4, 0.8)
"""Of the beams to the targets in the digital starts."""
TOLERANCE = 1e-3
"""bit/s/Hz per relative change of X or {F, W}, as in `methods.digital`."""
STIFFNESS, ROUNDS = 10.0, 8
"""ρ at first, and rounds of the augmented Lagrangian at most."""
SLACK = 1e-6
"""How far inside its limit a design aims, in nepers."""


def target_beams(scene: Scene) -> Sensing:
    """Ψ = Σ_i ā_i ā_iᴴ/(T N), equal power to every target, at the carrier."""
    a = scene.array.steering(scene.targets)
    return Sensing(a.mT @ a.conj() / scene.count, array=scene.array)


def digital_starts(s: Scenario) -> list[Tensor]:
    """(1 − b) X_ZF + b X_targets for b of `SHARES`, as X; for τ with the beams of Ψ itself."""
    lit = s if s.goal is None else replace(s, radar=target_beams(s.goal.scene), goal=None)
    if s.goal is not None and lit.band is not None:
        lit = replace(lit, band=replace(lit.band, each=None))
    parts = lit.parts()
    pairs = [(sensing_start(p), p.to_power(padded(p, zero_forcing(p.H, p.per_user)))) for p in parts]
    sense, communicate = (z[0] if len(parts) == 1 else torch.stack(z, -3) for z in zip(*pairs, strict=True))
    return [s.to_power((1 - b) * communicate + b * sense) for b in SHARES]


def repeated(s: Scenario, count: int) -> Scenario:
    """A scenario (B,) as one of (count · B,), its channels in the same order `count` times."""
    return s[torch.arange(s.batch[0]).repeat(count)]


def climb_all(s: Scenario, starts: list[Point] | list[Tensor], aim: Aim, iterations: int) -> list[End]:
    """The ends from every start, worked on as one batch; s has one leading axis."""
    first = starts[0]
    if isinstance(first, Tensor):
        joined: Point | Tensor = torch.cat([x for x in starts if isinstance(x, Tensor)])
    else:
        points = [p for p in starts if not isinstance(p, Tensor)]
        joined = Point(torch.cat([p.F for p in points]), torch.cat([p.W for p in points]))
    whole = climb(repeated(s, len(starts)), joined, aim, 10 * TOLERANCE, iterations)
    return [_slice(whole, torch.arange(len(s.H)) + i * len(s.H)) for i in range(len(starts))]


def _slice(end: End, index: Tensor) -> End:
    point = end.point
    part = point[index] if isinstance(point, Tensor) else Point(point.F[index], point.W[index])
    return End(part, end.value[index], end.residual[index])


def _best(ends: list[End]) -> Point | Tensor:
    """Per channel the point of the highest value."""
    place = torch.stack([e.value for e in ends]).nan_to_num(-math.inf).argmax(0)
    every = torch.arange(len(place))

    def pick(parts: list[Tensor]) -> Tensor:
        return torch.stack(parts)[place, every]

    points = [e.point for e in ends]
    if isinstance(points[0], Tensor):
        return pick([p for p in points if isinstance(p, Tensor)])
    both = [p for p in points if not isinstance(p, Tensor)]
    return Point(pick([p.F for p in both]), pick([p.W for p in both]))


def best_digital(s: Scenario, starts: list[Tensor], iterations: int) -> End:
    """The best fully digital X for R + ω c; s has one leading axis."""
    X = _best(climb_all(s, starts, Weighted(), iterations))
    return climb(s, X, Weighted(), TOLERANCE, iterations)


def hybrid_starts(s: Scenario, X: Tensor, count: int) -> list[Point]:
    """{F, W} near X Q: start 0 with Q = I, the others with random unitary Q."""
    columns = X if s.band is None else side_by_side(X)
    found = [from_digital(s, columns, X)]
    for which in range(1, count):
        rng, K = np.random.default_rng(which), columns.shape[-1]
        Q, _ = np.linalg.qr(rng.standard_normal((K, K)) + 1j * rng.standard_normal((K, K)))
        found.append(from_digital(s, columns @ torch.from_numpy(Q), X))
    return found


def best_hybrid(s: Scenario, starts: int, steps: int, polish: int) -> End:
    """The best {F, W} for R + ω c, each start `steps` L-BFGS steps and the best `polish` more."""
    X = best_digital(s, digital_starts(s), steps).point
    assert isinstance(X, Tensor)
    point = _best(climb_all(s, hybrid_starts(s, X, starts), Weighted(), steps))
    return climb(s, point, Weighted(), TOLERANCE, polish)


class Lagrangian(NamedTuple):
    """φ of the augmented Lagrangian."""

    goal: Goal
    limit: float
    lam: Tensor
    """(B, n), the multipliers."""
    rho: Tensor
    """(B,)."""

    def part(self, index: Tensor) -> Lagrangian:
        """Of some channels."""
        return self._replace(lam=self.lam[index], rho=self.rho[index])

    def push(self, g: Tensor) -> Tensor:
        """c_i (B, n)."""
        return (self.lam + self.rho[:, None] * (g + SLACK)).clamp_min(0)

    def value(self, s: Scenario, X: Tensor) -> Tensor:
        """R − Σ_i (c_i² − λ_i²)/(2ρ)."""
        g = torch.stack([c.value for c in self.goal.excess(X, s.power, self.limit)], -1)
        return s.rate(X) - (self.push(g).square() - self.lam.square()).sum(-1) / (2 * self.rho)

    def gradient(self, s: Scenario, X: Tensor) -> Tensor:
        """Its gradient."""
        each = self.goal.excess(X, s.power, self.limit)
        push = self.push(torch.stack([c.value for c in each], -1))
        G = rate_gradient(s.H, X, s.noise, s.per_user) / s.subcarriers
        shape = (-1, *[1] * (X.ndim - 1))
        return G - sum(
            (push[:, i].reshape(shape) * c.gradient for i, c in enumerate(each)), torch.zeros_like(X)
        )


class Limited(NamedTuple):
    """A design of problem (7) with limits of sensing."""

    point: Point
    excess: Tensor
    """(B,), the largest g_i."""
    multipliers: Tensor
    """(B, n), of every g_i, bit/s/Hz per neper."""
    residual: Tensor
    """(B,), of the Lagrangian."""


class Nearest(NamedTuple):
    """φ = −max_i g_i, to come back within the limit."""

    goal: Goal
    limit: float

    def part(self, index: Tensor) -> Nearest:
        """The same: the limit is one for all."""
        return self

    def value(self, s: Scenario, X: Tensor) -> Tensor:
        """−max_i g_i (B,)."""
        return -torch.stack([c.value for c in self.goal.excess(X, s.power, self.limit)], -1).amax(-1)

    def gradient(self, s: Scenario, X: Tensor) -> Tensor:
        """Minus the gradient of the largest g_i."""
        each = self.goal.excess(X, s.power, self.limit)
        worst = torch.stack([c.value for c in each], -1).argmax(-1)
        G = torch.stack([c.gradient for c in each])
        return -G[worst, torch.arange(len(worst))]


def within(s: Scenario, point: Point, limit: float) -> Point:
    """From slightly beyond the limit to it, by Newton steps along the gradient of the largest g_i."""
    assert s.goal is not None
    free = Free(s, Nearest(s.goal, limit), point.F != 0)
    Y = free.pack(point)
    for _ in range(8):
        missing = (SLACK - free.value(Y)).clamp_min(0)
        if not bool((missing > SLACK).any()):
            break
        G = free.gradient(Y)
        size = 2 * torch.linalg.matrix_norm(G).square().clamp_min(1e-300)
        Y = Y + torch.where(missing > SLACK, missing / size, 0.0)[:, None, None] * G
    return free.point(Y)


NEAR = 1e-2
"""Nepers beyond the limit up to which `within` brings a design back."""


def limited(s: Scenario, limit: float, starts: int, steps: int) -> Limited:
    """max R with every g_i ≤ 0, from the best of several starts; s has one leading axis."""
    goal = s.goal
    assert goal is not None
    X = best_digital(replace(s, weight=torch.ones_like(s.power)), digital_starts(s), steps).point
    assert isinstance(X, Tensor)
    begin = hybrid_starts(s, X, starts)
    whole, count = repeated(s, starts), len(goal.excess(X, s.power, limit))
    point = Point(torch.cat([p.F for p in begin]), torch.cat([p.W for p in begin]))
    lam = torch.ones(len(whole.H), count, dtype=torch.float64)
    aim = Lagrangian(goal, limit, lam, torch.full((len(whole.H),), STIFFNESS, dtype=torch.float64))
    before = torch.full((len(whole.H),), torch.inf, dtype=torch.float64)
    for _ in range(ROUNDS):
        found, _, residual = climb(whole, point, aim, TOLERANCE, steps)
        assert not isinstance(found, Tensor)
        point = found
        g = torch.stack([c.value for c in goal.excess(whole.transmitted(*point), whole.power, limit)], -1)
        lam = aim.push(g)
        left = torch.where((lam == 0) & (g <= 0), 0.0, (g + SLACK).abs()).amax(-1)
        stiffer = torch.where(left > before / 4, 4 * aim.rho, aim.rho).clamp_max(1e6)
        aim, before = aim._replace(lam=lam, rho=stiffer), left
        if bool(((left <= SLACK) & (residual <= TOLERANCE)).all()):
            break
    near = (g.amax(-1) > 0) & (g.amax(-1) < NEAR)
    if near.any():
        back = within(whole[near], Point(point.F[near], point.W[near]), limit)
        point = Point(point.F.clone(), point.W.clone())
        point.F[near], point.W[near] = back
    g = torch.stack([c.value for c in goal.excess(whole.transmitted(*point), whole.power, limit)], -1)
    over = g.amax(-1)
    R = whole.rate(whole.transmitted(*point))
    # Designs that keep the limit come first, the highest R of them; else the one that is nearest to it.
    rank = torch.where(over <= 0, R, -1e6 - over).reshape(starts, -1).argmax(0)
    at = rank * len(s.H) + torch.arange(len(s.H))
    return Limited(Point(point.F[at], point.W[at]), over[at], lam[at], residual[at])
