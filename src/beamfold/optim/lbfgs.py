"""Batched L-BFGS: the maximum of a function of matrices that does not depend on their scale."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from beamfold.optim.active import backtrack, run_active
from beamfold.optim.matrices import per_matrix

MEMORY = 20
"""Pairs of steps and gradient changes that are kept."""
HALVINGS = 30


class Objective(Protocol):
    """A batch of B functions with f(t Y) = f(Y) for every t > 0, to be maximised."""

    def value(self, Y: Tensor) -> Tensor:
        """f(Y) (B,)."""

    def gradient(self, Y: Tensor) -> Tensor:
        """∂f/∂Y*, as Y."""

    def part(self, index: Tensor) -> Objective:
        """The functions of some of the channels."""


def quasi_newton_direction(g: Tensor, S: Tensor, G: Tensor, r: Tensor, first: Tensor) -> Tensor:
    """L-BFGS's two loops: D ≈ −∇²(−f)⁻¹ g, from the steps S and the gradient changes G.

    Args:
        g: (B, n) real, the gradient of −f.
        S: (m, B, n), newest last.
        G: (m, B, n).
        r: (m, B), 1/⟨S, G⟩, or 0 where a pair is not used.
        first: (B,), the step along −g where the newest pair is not used.
    """
    D, alphas = -g, []
    for i in reversed(range(len(S))):
        alpha = r[i] * (S[i] * D).sum(-1)
        D = D - alpha[:, None] * G[i]
        alphas.append(alpha)
    scale = first
    if len(S):
        newton = 1 / (r[-1] * G[-1].square().sum(-1))
        scale = torch.where(r[-1] > 0, newton, first)
    D = scale[:, None] * D
    for i, alpha in zip(range(len(S)), reversed(alphas), strict=True):
        D = D + (alpha - r[i] * (G[i] * D).sum(-1))[:, None] * S[i]
    return D


class History(NamedTuple):
    """L-BFGS's memory, see `quasi_newton_direction`."""

    S: Tensor
    G: Tensor
    r: Tensor

    def part(self, index: Tensor) -> History:
        """Of some channels."""
        return History(self.S[:, index], self.G[:, index], self.r[:, index])

    def append(self, step: Tensor, change: Tensor, keep: Tensor) -> History:
        """With a new pair, out of use without positive curvature; nothing is used where `keep` is false."""
        product = (step * change).sum(-1)
        good = product > 1e-10 * step.norm(dim=-1) * change.norm(dim=-1)
        r = torch.where(good, 1 / product, 0.0)
        pairs = zip(self, (step, change, r), strict=True)
        S, G, r = (torch.cat([old, new[None]])[-MEMORY:] for old, new in pairs)
        return History(S, G, r * keep)


class _State(NamedTuple):
    """The functions, the point, f, the gradient of −f as real vectors, and the memory."""

    f: Objective
    Y: Tensor
    value: Tensor
    g: Tensor
    memory: History

    def part(self, index: Tensor) -> _State:
        """Of some channels."""
        f, Y, value, g, memory = self
        return _State(f.part(index), Y[index], value[index], g[index], memory.part(index))


def as_real(Z: Tensor) -> Tensor:
    """A complex (B, d, K) as real (B, 2 d K)."""
    return torch.view_as_real(Z.contiguous()).flatten(1)


def maximise(f: Objective, Y: Tensor, tolerance: float, iterations: int) -> tuple[Tensor, Tensor, Tensor]:
    """L-BFGS from Y (B, d, K), each channel until 2 ‖∂f/∂Y*‖ ‖Y‖ meets the tolerance.

    Returns:
        Y (B, d, K), its value never below the start's, value (B,) and that residual (B,).
    """
    Y, value, g = Y.clone(), f.value(Y), -2 * as_real(f.gradient(Y))
    residual = g.norm(dim=-1) * torch.linalg.matrix_norm(Y)

    def step(at: _State, which: Tensor) -> tuple[_State, Tensor]:
        f, here, before, g, memory = at
        first = 0.1 * torch.linalg.matrix_norm(here) / g.norm(dim=-1)
        D = quasi_newton_direction(g, *memory, first)
        downhill = (g * D).sum(-1) >= 0  # never with positive curvature; rounding can
        D = torch.where(downhill[:, None], -first[:, None] * g, D)
        new, risen, moved = _line_search(f, here, D, before, (g * D).sum(-1))
        after = -2 * as_real(f.gradient(new))
        # Line search failed: reset the memory; if it is already empty, stop at the limit of rounding.
        lost = ~moved & (memory.r == 0).all(0)
        memory = memory.append(as_real(new - here), after - g, keep=moved)
        Y[which], value[which] = new, risen
        residual[which] = left = after.norm(dim=-1) * torch.linalg.matrix_norm(new)
        going = (left > tolerance) & ~lost & torch.isfinite(risen)
        return _State(f, new, risen, after, memory), going

    empty = History(g[None][:0], g[None][:0], value[None][:0])
    run_active(step, _State(f, Y.clone(), value.clone(), g, empty), residual > tolerance, iterations)
    return Y, value, residual


def _line_search(
    f: Objective, Y: Tensor, D: Tensor, value: Tensor, slope: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Y + t D with t halved from 1 until f rises by a share of −slope t; its f; whether it rose."""
    step = torch.view_as_complex(D.reshape(*Y.shape, 2))

    def trial(t: Tensor) -> tuple[Tensor, Tensor]:
        new = Y + per_matrix(t) * step
        return new, -f.value(new)

    new, cost, _ = backtrack(trial, -value, slope, torch.ones_like(value), halvings=HALVINGS)
    risen = -cost
    moved = risen > value
    return torch.where(per_matrix(moved), new, Y), torch.where(moved, risen, value), moved
