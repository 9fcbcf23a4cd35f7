r"""Hybrid factorisation by alternating closed forms (PE-AltMin, SDR-AltMin): X ≈ F W.

min_{F,W} ‖X − F W‖²_F   s.t. ‖F W‖²_F = P_t, |F_nm| = 1 where antenna n is connected to chain m, else 0,

by Yu, Shen, Zhang and Letaief, IEEE J. Sel. Topics Signal Process. 10(3), 2016. The step in F is

    F_nm = e^{j∠(X Wᴴ)_nm}                                         where connected,

and a dynamic network takes for each antenna the best chain with it, see `networks.fit`. The step in W depends
on the network:

* One chain on each antenna (Section IV, SDR-AltMin): W = c D⁻¹ Fᴴ X with D = Fᴴ F and c so that the power is
  P_t. This is the exact minimum, for which the paper solves a semidefinite program. Both steps are exact, so
  the misfit ‖X − F W‖² never rises.
* Otherwise (Section III-C, PE-AltMin): W = α V with Vᴴ V = I, which makes the step in F a closed form of the
  upper bound ‖X‖² − 2α Re tr(V Xᴴ F) + α² ‖F‖² of the misfit, as ‖F V‖ ≤ ‖F‖. V is the unitary polar factor
  of Fᴴ X and α = Re tr(V Xᴴ F)/‖F‖², the best one: the bound never rises. At the end W = F^† X is scaled to
  (7c).
"""

from __future__ import annotations

import torch
from torch import Tensor

from beamfold.digital_start import digital_start
from beamfold.method import SLOW, Method, Supports
from beamfold.methods.digital_jcas import digital_jcas
from beamfold.networks import Network
from beamfold.networks.fit import analog_step, digital_step
from beamfold.objective import inner_product
from beamfold.optim.active import check_limits
from beamfold.optim.factorisation import as_one, nearest_digital, scaled, start_phases
from beamfold.optim.fixed_point import Ascent, Iterate, ascend
from beamfold.optim.matrices import per_matrix
from beamfold.result import Design, finish
from beamfold.scenario import Scenario


def exact_fit(F: Tensor, X: Tensor, power: Tensor) -> Iterate:
    """W of power P_t (B,) nearest to X (B, N, K) for F with one chain on each antenna, and −‖X − F W‖²."""
    W = digital_step(F, X, power)
    return Iterate((F, W), -torch.linalg.matrix_norm(X - F @ W).square())


def orthogonal_fit(F: Tensor, X: Tensor) -> Iterate:
    """W = α V with Vᴴ V = I (K, K) for any F (B, N, M), and −(‖X‖² − (Re tr V Xᴴ F)²/‖F‖²), the bound."""
    U, values, Vh = torch.linalg.svd(F.mH @ X, full_matrices=False)
    overlap, size = values.sum(-1), inner_product(F, F)
    return Iterate((F, per_matrix(overlap / size) * (U @ Vh)), overlap.square() / size - inner_product(X, X))


def alternate(
    X: Tensor, F: Tensor, power: Tensor, network: Network, tolerance: float, iterations: int
) -> Ascent:
    """F and W in turns until the misfit, or its bound, falls by no more than tolerance · ‖X‖².

    Args:
        X: (B, N, K).
        F: (B, N, M) on the network.
        power: (B,), P_t.
        network: with continuous phases.
        tolerance: relative to ‖X‖²_F.
        iterations: the most alternations.

    Returns:
        F (B, N, M) and W (B, M, K) with the status and the alternations taken.
    """

    def fit(F: Tensor, which: Tensor) -> Iterate:
        if network.one_chain_each:
            return exact_fit(F, X[which], power[which])
        return orthogonal_fit(F, X[which])

    def step(matrices: tuple[Tensor, ...], which: Tensor) -> Iterate:
        return fit(analog_step(X[which], matrices[1], network), which)

    begin = fit(F, torch.arange(len(F), device=F.device))
    return ascend(step, begin, tolerance * inner_product(X, X), iterations)


def altmin(
    s: Scenario,
    *,
    target: Tensor | None = None,
    rho: float = 0.8,
    start: str | Tensor = "target",
    tolerance: float = 1e-5,
    iterations: int = 1000,
) -> Design:
    """The hybrid design nearest to a digital one, SDR-AltMin on sub-arrays and PE-AltMin on other networks.

    Args:
        s: the scenario.
        target: X (…, N, K) to factorise; default `digital_jcas(s, rho=rho)`.
        rho: ρ of that default.
        start: F to start from: "target" (phases of X's columns), "proposed" (26), "random", "svd",
            "svd_conjugated", or F (…, N, M) itself; on a network its connected entries.
        tolerance: ε, stop once an alternation lowers the misfit by no more than ε ‖X‖².
        iterations: the most alternations.

    Returns:
        A hybrid `Design`, `CONVERGED` where the rule was met within `iterations`.

    Raises:
        InputError: an unknown start, a start off the network, a target of another shape, or a negative limit.
    """
    check_limits(tolerance, iterations)
    X = digital_start(s, digital_jcas(s, rho=rho).X if target is None else target)
    F, X = start_phases(s, X, start), as_one(s, X)
    power = s.subcarriers * s.power.expand(s.batch).reshape(-1)
    (F, _), status, steps = alternate(
        X.reshape(-1, *X.shape[-2:]), F.reshape(-1, *F.shape[-2:]), power, s.network, tolerance, iterations
    )
    F = F.reshape(*s.batch, *F.shape[-2:])
    W = scaled(s, F, nearest_digital(F, X, s.network))
    return finish(s, "altmin", F, W, status=status.reshape(s.batch), iterations=steps.reshape(s.batch))


METHOD = Method(
    "altmin",
    altmin,
    "F W nearest to a digital design, by alternating closed forms",
    part=SLOW,
    supports=Supports(networks=True, band=True, device=True),
)
