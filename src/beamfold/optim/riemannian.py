"""Conjugate gradients on a manifold given by its projection and its retraction, for a batch of problems.

    grad f = the tangent at X nearest to ∂f/∂X*,   X ← retract(X, t D),   D ← −grad f + β D,

Polak-Ribière directions with the projection as transport, and Armijo steps or a line search of one's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from beamfold.constraints import unit_modulus
from beamfold.objective import inner_product
from beamfold.optim.active import backtrack, not_done, run_active
from beamfold.optim.matrices import per_matrix
from beamfold.result import Status


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


def circle_tangent(F: Tensor, Z: Tensor) -> Tensor:
    """Z − Re(Z ∘ F*) ∘ F: what of Z turns the entries of F and does not lengthen them; 0 where F is 0."""
    return torch.where(F == 0, torch.zeros_like(Z), Z - (Z * F.conj()).real * F)


def circle_retract(F: Tensor, D: Tensor) -> Tensor:
    """(F + D) / |F + D| entry by entry; F stays where it is zero or the sum is."""
    return unit_modulus(F + D, F)


def sphere_tangent(X: Tensor, Z: Tensor) -> Tensor:
    """Z − X ⟨X, Z⟩ / ‖X‖²."""
    return Z - X * per_matrix(inner_product(X, Z) / inner_product(X, X))


def sphere_retract(X: Tensor, D: Tensor) -> Tensor:
    """(X + D) ‖X‖ / ‖X + D‖."""
    return (X + D) * per_matrix(torch.linalg.matrix_norm(X) / torch.linalg.matrix_norm(X + D))


def columns_tangent(X: Tensor, Z: Tensor) -> Tensor:
    """z_k − x_k Re(x_kᴴ z_k) / ‖x_k‖², column by column."""
    share = (X.conj() * Z).real.sum(-2, keepdim=True) / X.abs().square().sum(-2, keepdim=True)
    return Z - X * share


def columns_retract(X: Tensor, D: Tensor) -> Tensor:
    """(x_k + d_k) ‖x_k‖ / ‖x_k + d_k‖, column by column."""
    norm = torch.linalg.vector_norm(X, dim=-2, keepdim=True)
    return (X + D) * norm / torch.linalg.vector_norm(X + D, dim=-2, keepdim=True)


CIRCLES = Manifold(circle_tangent, circle_retract)
"""Matrices of unit-modulus entries, (7b), and zeros where an antenna is not connected to a chain."""
SPHERE = Manifold(sphere_tangent, sphere_retract)
"""Matrices of the norm that X has, (7c)."""
UNIT_COLUMNS = Manifold(columns_tangent, columns_retract)
"""Matrices whose columns have the norms that X's have."""
Norm = Literal["power", "unit_columns"]
NORMS: dict[Norm, Manifold] = {"power": SPHERE, "unit_columns": UNIT_COLUMNS}
"""What a fully digital precoder is held to on the way: its power, or that of every column."""


class Move(NamedTuple):
    """A line search's result: the point, its cost (B,) and the step length (B,) to try next."""

    X: Tensor
    cost: Tensor
    length: Tensor


Search = Callable[[Problem, Manifold, Tensor, Tensor, Tensor, Tensor, Tensor], Move]


def armijo(
    problem: Problem, manifold: Manifold, X: Tensor, D: Tensor, f: Tensor, slope: Tensor, length: Tensor
) -> Move:
    """Halve the step from `length` until f falls by a share of what ⟨∂f/∂X*, D⟩, half the slope, predicts."""

    def trial(t: Tensor) -> tuple[Tensor, Tensor]:
        new = manifold.retract(X, per_matrix(t) * D)
        return new, problem.cost(new)

    new, value, length = backtrack(trial, f, 2 * slope, length)
    return Move(new, value, 2 * length)


class _State(NamedTuple):
    """A channel's cost, gradient and its ‖·‖², direction, step length, and limit on the gradient's norm."""

    problem: Problem
    f: Tensor
    g: Tensor
    square: Tensor
    D: Tensor
    length: Tensor
    limit: Tensor

    def part(self, index: Tensor) -> _State:
        """Of some channels."""
        return _State(self.problem.part(index), *(t[index] for t in self[1:]))


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
    X, status = X.clone(), not_done(len(X), X)

    def going(g: Tensor, limit: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        square = inner_product(g, g)
        status[which[square.sqrt() <= limit]] = int(Status.CONVERGED)
        return square, (square.sqrt() > limit) & torch.isfinite(square)

    def step(at: _State, which: Tensor) -> tuple[_State, Tensor]:
        problem, f, g, square, D, length, limit = at
        here = X[which]
        downhill = inner_product(g, D) < 0
        D = torch.where(per_matrix(downhill), D, -g)
        new, value, length = search(problem, manifold, here, D, f, inner_product(g, D), length)
        better = value < f
        stuck = ~better & ~downhill  # steepest descent finds nothing lower: rounding decides from here
        new = torch.where(per_matrix(better), new, here)
        after = manifold.tangent(new, problem.gradient(new))
        beta = (inner_product(after, after - manifold.tangent(new, g)) / square).clamp_min(0)
        D = torch.where(per_matrix(better), -after + per_matrix(beta) * manifold.tangent(new, D), -after)
        X[which], f = new, torch.minimum(value, f)
        g = torch.where(per_matrix(stuck), torch.nan, after)
        square, open_still = going(g, limit, which)
        return _State(problem, f, g, square, D, length, limit), open_still

    g = manifold.tangent(X, problem.gradient(X))
    square, open_still = going(g, limit, torch.arange(len(X), device=X.device))
    run_active(step, _State(problem, problem.cost(X), g, square, -g, length, limit), open_still, steps)
    return X, status
