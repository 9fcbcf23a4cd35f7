r"""Hybrid factorisation by manifold optimisation (MO-AltMin) [62]: X ≈ F W.

min_{F,W} ‖X − F W‖²_F   s.t. |F_nm| = 1,

by alternating W = F^† X with Riemannian conjugate gradients in F on the complex circle manifold, Yu,
Shen, Zhang and Letaief, IEEE J. Sel. Topics Signal Process. 10(3), 2016, Algorithms 1 and 2:

    grad f = ∇f − Re(∇f ∘ F*) ∘ F,   ∇f = (F W − X) Wᴴ                  (∂/∂F*, half of theirs)
    retraction: (F + D) / |F + D|,   transport: D − Re(D ∘ F₊*) ∘ F₊,

Polak-Ribière directions, Armijo steps. At the end W = F^† X is scaled to (7c).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from beamfold.constraints import total_power
from beamfold.digital_start import digital_start
from beamfold.errors import InputError
from beamfold.method import SLOW, Method, Supports
from beamfold.methods.sca import sca
from beamfold.optim.active import check_limits
from beamfold.optim.fixed_point import Iterate, ascend
from beamfold.optim.matrices import inner_product, least_squares
from beamfold.optim.riemannian import CIRCLES, conjugate_gradient
from beamfold.result import Design, finish
from beamfold.scenario import Scenario
from beamfold.start import STARTS


class Misfit(NamedTuple):
    """f(F) = ‖X − F W‖²_F − ‖X‖²_F = ⟨F, F Q⟩ − 2 ⟨F, C⟩ with Q = W Wᴴ and C = X Wᴴ."""

    Q: Tensor
    C: Tensor

    def cost(self, X: Tensor) -> Tensor:
        """f (B,) at F = X (B, N, M)."""
        return inner_product(X, X @ self.Q - 2 * self.C)

    def gradient(self, X: Tensor) -> Tensor:
        """F Q − C."""
        return X @ self.Q - self.C

    def part(self, index: Tensor) -> Misfit:
        """Of some channels."""
        return Misfit(self.Q[index], self.C[index])


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
    scale = tolerance * inner_product(X, X)

    def alternate(matrices: tuple[Tensor, ...], which: Tensor) -> Iterate:
        (F, W), target = matrices, X[which]
        f = Misfit(W @ W.mH, target @ W.mH)
        first = 1 / torch.linalg.matrix_norm(f.Q, 2).clamp_min(1e-300)  # safe: ∇f is λ_max(Q)-Lipschitz
        limit = 0.1 * tolerance * torch.linalg.matrix_norm(f.C)
        F, _ = conjugate_gradient(f, CIRCLES, F, limit, first, inner_steps)
        return _fitted(F, target)

    (F, W), status, _ = ascend(alternate, _fitted(F, X), scale, iterations)
    return F, W, status


def _fitted(F: Tensor, X: Tensor) -> Iterate:
    """(F, W) with W = F^† X, and −‖X − F W‖²."""
    W = least_squares(F, X)
    return Iterate((F, W), -torch.linalg.matrix_norm(X - F @ W).square())


def start_phases(s: Scenario, X: Tensor, start: str | Tensor) -> Tensor:
    """F (…, N, M) to start from; "target": the phases of X's columns, then (26)'s columns beyond K."""
    if isinstance(start, Tensor):
        expected = (*s.batch, s.antennas, s.chains)
        if start.shape != expected:
            raise InputError(f"the start F is {tuple(start.shape)}, expected {expected}")
        return torch.sgn(start.to(X.dtype))
    if start == "target":
        columns = torch.cat([X, STARTS["proposed"](s).F[..., s.columns :]], -1)
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


METHOD = Method(
    "manopt",
    manopt,
    "F W nearest to a digital design, on a manifold",
    part=SLOW,
    supports=Supports(device=True),
)
