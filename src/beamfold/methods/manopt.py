r"""Hybrid factorisation by manifold optimisation (MO-AltMin) [62]: X ≈ F W.

min_{F,W} ‖X − F W‖²_F   s.t. |F_nm| = 1,

by alternating W = F^† X with Riemannian conjugate gradients in F on the complex circle manifold, Yu,
Shen, Zhang and Letaief, IEEE J. Sel. Topics Signal Process. 10(3), 2016, Algorithms 1 and 2:

    grad f = ∇f − Re(∇f ∘ F*) ∘ F,   ∇f = (F W − X) Wᴴ                  (∂/∂F*, half of theirs)
    retraction: (F + D) / |F + D|,   transport: D − Re(D ∘ F₊*) ∘ F₊,

Polak-Ribière directions, Armijo steps. At the end W = F^† X is scaled to (7c).

`conjugate_gradient` is the loop for any manifold given by its projection and its retraction;
`digital_jcas` runs it on the sphere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from beamfold.constraints import total_power, unit_modulus
from beamfold.errors import InputError
from beamfold.methods.sca import sca
from beamfold.methods.wmmse import check_limits, digital_start
from beamfold.result import Design, Status, finish
from beamfold.scenario import Scenario
from beamfold.start import STARTS

ARMIJO = 1e-4  # the share of the predicted decrease that a step has to reach
HALVINGS = 40


class Problem(Protocol):
    """A batch of B cost functions on matrices."""

    def cost(self, X: Tensor) -> Tensor:
        """f(X) (B,)."""

    def gradient(self, X: Tensor) -> Tensor:
        """∂f/∂X*, as X."""

    def part(self, index: Tensor) -> Problem:
        """The problem of some of the channels."""


class Manifold(NamedTuple):
    """A set of matrices, by two maps; the projection is also the transport from a nearby point."""

    tangent: Callable[[Tensor, Tensor], Tensor]
    """(X, Z) ↦ the tangent at X nearest to Z."""
    retract: Callable[[Tensor, Tensor], Tensor]
    """(X, D) ↦ a point of the set, X + D to first order."""


class Move(NamedTuple):
    """A line search's result: the point, its cost (B,) and the step length (B,) to try next."""

    X: Tensor
    cost: Tensor
    length: Tensor


Search = Callable[[Problem, Manifold, Tensor, Tensor, Tensor, Tensor, Tensor], Move]


def inner(A: Tensor, B: Tensor) -> Tensor:
    """⟨A, B⟩ = Re tr(Aᴴ B), the real inner product of matrices; (…)."""
    return (A.conj() * B).real.sum((-2, -1))


def spread(t: Tensor) -> Tensor:
    """(…) as (…, 1, 1), to multiply matrices."""
    return t[..., None, None]


def armijo(
    problem: Problem, manifold: Manifold, X: Tensor, D: Tensor, f: Tensor, slope: Tensor, length: Tensor
) -> Move:
    """Halve the step from `length` until f falls by ARMIJO of what the slope ⟨∂f/∂X*, D⟩ predicts."""
    for _ in range(HALVINGS):
        new = manifold.retract(X, spread(length) * D)
        value = problem.cost(new)
        long = ~(value <= f + 2 * ARMIJO * length * slope)
        if not long.any():
            break
        length = torch.where(long, length / 2, length)
    return Move(new, value, 2 * length)


def conjugate_gradient(
    problem: Problem,
    manifold: Manifold,
    X: Tensor,
    limit: Tensor,
    length: Tensor,
    steps: int,
    search: Search = armijo,
) -> tuple[Tensor, Tensor]:
    """Polak-Ribière conjugate gradients on a manifold, each channel until ‖grad f‖ ≤ limit.

    Args:
        problem: f.
        manifold: where X stays.
        X: (B, n, k) to start from.
        limit: (B,), on the norm of ∂f/∂X* projected to the tangent space.
        length: (B,), the first step length.
        steps: the most steps.
        search: the line search, `armijo` or one that knows f.

    Returns:
        X, its cost never above the start's, and the status (B,): `CONVERGED` where the limit was met.
    """
    X = X.clone()
    status = torch.full(X.shape[:1], int(Status.ITERATION_LIMIT), dtype=torch.int8, device=X.device)
    active = torch.arange(len(X), device=X.device)
    f, g = problem.cost(X), manifold.tangent(X, problem.gradient(X))
    D = -g
    for step in range(steps + 1):
        norm = inner(g, g)
        status[active[norm.sqrt() <= limit[active]]] = int(Status.CONVERGED)
        keep = (norm.sqrt() > limit[active]) & torch.isfinite(norm)
        if not keep.all():
            kept = torch.nonzero(keep)[:, 0]
            problem, active = problem.part(kept), active[keep]
            f, g, D, length, norm = f[keep], g[keep], D[keep], length[keep], norm[keep]
        if not len(active) or step == steps:
            break
        here = X[active]
        downhill = inner(g, D) < 0
        D = torch.where(spread(downhill), D, -g)
        new, value, length = search(problem, manifold, here, D, f, inner(g, D), length)
        better = value < f
        stuck = ~better & ~downhill  # steepest descent finds nothing lower: rounding decides from here
        new = torch.where(spread(better), new, here)
        after = manifold.tangent(new, problem.gradient(new))
        beta = (inner(after, after - manifold.tangent(new, g)) / norm).clamp_min(0)
        D = torch.where(spread(better), -after + spread(beta) * manifold.tangent(new, D), -after)
        X[active], f, g = new, torch.minimum(value, f), torch.where(spread(stuck), torch.nan, after)
    return X, status


def circle_tangent(F: Tensor, Z: Tensor) -> Tensor:
    """Z − Re(Z ∘ F*) ∘ F: what of Z turns the entries of F and does not lengthen them."""
    return Z - (Z * F.conj()).real * F


def circle_retract(F: Tensor, D: Tensor) -> Tensor:
    """(F + D) / |F + D| entry by entry; a zero entry keeps its phase."""
    return unit_modulus(F + D, F)


CIRCLES = Manifold(circle_tangent, circle_retract)


class Misfit(NamedTuple):
    """f(F) = ‖X − F W‖²_F − ‖X‖²_F = ⟨F, F Q⟩ − 2 ⟨F, C⟩ with Q = W Wᴴ and C = X Wᴴ."""

    Q: Tensor
    C: Tensor

    def cost(self, X: Tensor) -> Tensor:
        """f (B,) at F = X (B, N, M)."""
        return inner(X, X @ self.Q - 2 * self.C)

    def gradient(self, X: Tensor) -> Tensor:
        """F Q − C."""
        return X @ self.Q - self.C

    def part(self, index: Tensor) -> Misfit:
        """Of some channels."""
        return Misfit(self.Q[index], self.C[index])


def least_squares(F: Tensor, X: Tensor) -> Tensor:
    """W = F^† X (…, M, K), of least norm where F's columns are dependent to 1e-6.

    Two users that are nearly equal give two such columns; W would be huge and F W rounding.
    """
    return torch.linalg.pinv(F, rtol=1e-6) @ X


def factorise(
    X: Tensor, F: Tensor, *, tolerance: float = 1e-3, iterations: int = 100, inner_steps: int = 50
) -> tuple[Tensor, Tensor, Tensor]:
    """X ≈ F W from F, alternating until ‖X − F W‖² falls by no more than tolerance · ‖X‖².

    Args:
        X: (B, N, K).
        F: (B, N, M) of unit modulus.
        tolerance: relative to ‖X‖²_F.
        iterations: the most alternations.
        inner_steps: the most conjugate-gradient steps in F per alternation.

    Returns:
        F (B, N, M), W = F^† X (B, M, K) not scaled, and the status (B,).
    """
    F, W = F.clone(), least_squares(F, X)
    value, scale = torch.linalg.matrix_norm(X - F @ W).square(), tolerance * inner(X, X)
    status = torch.full(value.shape, int(Status.ITERATION_LIMIT), dtype=torch.int8, device=X.device)
    active = torch.arange(len(X), device=X.device)
    for _ in range(iterations):
        if not len(active):
            break
        target, weights = X[active], W[active]
        f = Misfit(weights @ weights.mH, target @ weights.mH)
        first = 1 / torch.linalg.matrix_norm(f.Q, 2).clamp_min(1e-300)  # safe: ∇f is λ_max(Q)-Lipschitz
        limit = 0.1 * tolerance * torch.linalg.matrix_norm(f.C)
        new, _ = conjugate_gradient(f, CIRCLES, F[active], limit, first, inner_steps)
        weights = least_squares(new, target)
        found = torch.linalg.matrix_norm(target - new @ weights).square()
        better = found < value[active]
        status[active[value[active] - found <= scale[active]]] = int(Status.CONVERGED)
        F[active[better]], W[active[better]] = new[better], weights[better]
        value[active[better]] = found[better]
        active = active[(status[active] == int(Status.ITERATION_LIMIT)) & torch.isfinite(found)]
    return F, W, status


def start_phases(s: Scenario, X: Tensor, start: str | Tensor) -> Tensor:
    """F (…, N, M) to start from; "target": the phases of X's columns, then (26)'s columns beyond K."""
    if isinstance(start, Tensor):
        expected = (*s.batch, s.antennas, s.chains)
        if start.shape != expected:
            raise InputError(f"the start F is {tuple(start.shape)}, expected {expected}")
        return torch.sgn(start.to(X.dtype))
    if start == "target":
        columns = torch.cat([X, STARTS["proposed"](s).F[..., s.users :]], -1)
        return torch.exp(1j * columns.angle())
    if start not in STARTS:
        raise InputError(f"no start {start!r}; known: target, {', '.join(STARTS)}")
    return STARTS[start](s).F


def manopt(
    s: Scenario,
    *,
    target: Tensor | None = None,
    start: str | Tensor = "target",
    tolerance: float = 1e-3,
    iterations: int = 100,
    inner_steps: int = 50,
) -> Design:
    """The hybrid design nearest to a digital one, MO-AltMin [62].

    Args:
        s: the scenario.
        target: X (…, N, K) to factorise; default `sca(s)`: communications only.
        start: F to start from: "target" (phases of X's columns), "proposed" (26), "random", "svd",
            "svd_conjugated", or F (…, N, M) itself.
        tolerance: ε, stop once an alternation lowers ‖X − F W‖² by no more than ε ‖X‖².
        iterations: the most alternations.
        inner_steps: the most conjugate-gradient steps per alternation.

    Returns:
        A hybrid `Design`, `CONVERGED` where the rule was met within `iterations`.

    Raises:
        InputError: an unknown start, a target of another shape, or a negative limit.
    """
    check_limits(tolerance, iterations)
    X = digital_start(s, sca(s).X if target is None else target)
    F = start_phases(s, X, start)
    F, W, status = factorise(
        X.reshape(-1, *X.shape[-2:]),
        F.reshape(-1, *F.shape[-2:]),
        tolerance=tolerance,
        iterations=iterations,
        inner_steps=inner_steps,
    )
    F, W = F.reshape(*s.batch, *F.shape[-2:]), W.reshape(*s.batch, *W.shape[-2:])
    return finish(s, "manopt", F, total_power(F, W, s.power), status=status.reshape(s.batch))
