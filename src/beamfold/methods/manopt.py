r"""Hybrid factorisation by manifold optimisation (MO-AltMin) [62]: X ≈ F W.

min_{F,W} ‖X − F W‖²_F   s.t. |F_nm| = 1 where antenna n is connected to chain m, F_nm = 0 elsewhere,

by alternating W = F^† X with Riemannian conjugate gradients in F on the complex circle manifold, Yu,
Shen, Zhang and Letaief, IEEE J. Sel. Topics Signal Process. 10(3), 2016, Algorithms 1 and 2:

    grad f = ∇f − Re(∇f ∘ F*) ∘ F,   ∇f = (F W − X) Wᴴ                  (∂/∂F*, half of theirs)
    retraction: (F + D) / |F + D|,   transport: D − Re(D ∘ F₊*) ∘ F₊,

Polak-Ribière directions, Armijo steps. At the end W = F^† X is scaled to (7c).

On a partially connected network the manifold is the product of the circles of the connected entries: ∇f is
masked and the retraction keeps zeros. Where each antenna is connected to one chain F^† X is D⁻¹ Fᴴ X. In a
dynamic network the step in F is the exact minimum over phases and connections together, see `networks.fit`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from beamfold.digital_start import digital_start
from beamfold.method import SLOW, Method, Supports
from beamfold.methods.sca import sca
from beamfold.networks import Network
from beamfold.networks.fit import analog_step
from beamfold.objective import inner_product
from beamfold.optim.active import check_limits
from beamfold.optim.factorisation import as_one, nearest_digital, scaled, start_phases
from beamfold.optim.fixed_point import Iterate, ascend
from beamfold.optim.riemannian import CIRCLES, conjugate_gradient
from beamfold.result import Design, finish
from beamfold.scenario import Scenario


class Misfit(NamedTuple):
    """f(F) = ‖X − F W‖²_F − ‖X‖²_F = ⟨F, F Q⟩ − 2 ⟨F, C⟩ with Q = W Wᴴ and C = B ∘ X Wᴴ."""

    Q: Tensor
    C: Tensor

    @staticmethod
    def of(F: Tensor, W: Tensor, X: Tensor) -> Misfit:
        """For W (B, M, K) and X (B, N, K); the connections B are those of F (B, N, M)."""
        C = X @ W.mH
        return Misfit(W @ W.mH, torch.where(F == 0, torch.zeros_like(C), C))

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
    X: Tensor,
    F: Tensor,
    network: Network,
    *,
    tolerance: float = 1e-3,
    iterations: int = 100,
    inner_steps: int = 50,
) -> tuple[Tensor, Tensor, Tensor]:
    """X ≈ F W from F, alternating until ‖X − F W‖² falls by no more than tolerance · ‖X‖².

    Args:
        X: (B, N, K).
        F: (B, N, M) on the network.
        network: which entries of F are connected.
        tolerance: relative to ‖X‖²_F.
        iterations: the most alternations.
        inner_steps: the most conjugate-gradient steps in F per alternation.

    Returns:
        F (B, N, M), W = F^† X (B, M, K) not scaled, and the status (B,).
    """
    scale = tolerance * inner_product(X, X)

    def alternate(matrices: tuple[Tensor, ...], which: Tensor) -> Iterate:
        (F, W), target = matrices, X[which]
        if network.dynamic:
            return fit(analog_step(target, W, network), target)
        f = Misfit.of(F, W, target)
        first = 1 / torch.linalg.matrix_norm(f.Q, 2).clamp_min(1e-300)  # safe: ∇f is λ_max(Q)-Lipschitz
        limit = 0.1 * tolerance * torch.linalg.matrix_norm(f.C)
        F, _ = conjugate_gradient(f, CIRCLES, F, limit, first, inner_steps)
        return fit(F, target)

    def fit(F: Tensor, target: Tensor) -> Iterate:
        W = nearest_digital(F, target, network)
        return Iterate((F, W), -torch.linalg.matrix_norm(target - F @ W).square())

    (F, W), status, _ = ascend(alternate, fit(F, X), scale, iterations)
    return F, W, status


def manopt(
    s: Scenario,
    *,
    target: Tensor | None = None,
    start: str | Tensor = "target",
    tolerance: float = 1e-3,
    iterations: int = 100,
    inner_steps: int = 50,
) -> Design:
    """The hybrid design nearest to a digital one, MO-AltMin [62], on any network of continuous phases.

    Args:
        s: the scenario.
        target: X (…, N, K) to factorise; default `sca(s)`: communications only.
        start: F to start from: "target" (phases of X's columns), "proposed" (26), "random", "svd",
            "svd_conjugated", or F (…, N, M) itself; on a network its connected entries.
        tolerance: ε, stop once an alternation lowers ‖X − F W‖² by no more than ε ‖X‖².
        iterations: the most alternations.
        inner_steps: the most conjugate-gradient steps per alternation.

    Returns:
        A hybrid `Design`, `CONVERGED` where the rule was met within `iterations`.

    Raises:
        InputError: an unknown start, a start off the network, a target of another shape, or a negative limit.
    """
    check_limits(tolerance, iterations)
    X = digital_start(s, sca(s).X if target is None else target)
    F, X = start_phases(s, X, start), as_one(s, X)
    F, W, status = factorise(
        X.reshape(-1, *X.shape[-2:]),
        F.reshape(-1, *F.shape[-2:]),
        s.network,
        tolerance=tolerance,
        iterations=iterations,
        inner_steps=inner_steps,
    )
    F, W = F.reshape(*s.batch, *F.shape[-2:]), W.reshape(*s.batch, *W.shape[-2:])
    return finish(s, "manopt", F, scaled(s, F, W), status=status.reshape(s.batch))


METHOD = Method(
    "manopt",
    manopt,
    "F W nearest to a digital design, on a manifold",
    part=SLOW,
    supports=Supports(networks=True, band=True, device=True),
)
