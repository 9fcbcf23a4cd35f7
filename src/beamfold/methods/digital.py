r"""The ceiling: max_X R(X) − ω τ(X) over fully digital X with ‖X‖²_F = P_t, Eq. (8) without (7b).

A small problem at any N. With B an orthonormal basis of span{h_k, range of Ψ} (d ≤ K + r) and X = B Y,
H X = (H B) Y and τ(X) = ‖Y Yᴴ − Bᴴ P_t Ψ B‖² + the constant P_t² (‖Ψ‖² − ‖Bᴴ Ψ B‖²), so `objective`
and its gradients apply as they are to a d × K unknown. Power leaves the span only where that raises the
objective to second order, and `leaves_span` tells: μ + 2 ω λ_min(XᴴX) < 0, μ the multiplier of (7c).

The power is normalised inside, X = √P_t Y/‖Y‖, and the unconstrained problem is solved by batched
L-BFGS from several deterministic starts; the best end of each channel is returned. R − ω τ is not
concave: the result is the best stationary point found, which no hybrid design was seen to exceed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from beamfold.constraints import full_power
from beamfold.digital_start import digital_start
from beamfold.errors import InputError
from beamfold.method import SLOW, Method, Supports
from beamfold.methods.digital_jcas import digital_jcas
from beamfold.methods.sca import sca
from beamfold.methods.wmmse import wmmse
from beamfold.objective import inner_product
from beamfold.optim.active import check_limits
from beamfold.optim.by_subcarrier import by_subcarrier
from beamfold.optim.goal_search import TOLERANCE, best_digital, digital_starts
from beamfold.optim.in_span import Small, in_basis
from beamfold.optim.lbfgs import maximise
from beamfold.optim.matrices import flatten, subspace
from beamfold.optim.riemannian import sphere_tangent
from beamfold.result import Design, Status, finish
from beamfold.scenario import Scenario
from beamfold.start import sensing_start, zero_forcing

COARSE, FINE = 1e-3, 1e-8  # eigenvalues of Ψ over the largest: of the climb from every start, of the last one


def reduce(s: Scenario, columns: Tensor, cut: float) -> tuple[Small, Tensor]:
    """The small problem in the basis B (B, N, d) of span{columns, Ψ's eigenvectors above cut · λ_1}, and B.

    Within the basis it is exact, whatever the cut; s has one leading axis.
    """
    B = subspace(columns, s.Psi, cut)
    return in_basis(s, B), B


def stationarity(s: Scenario, X: Tensor) -> Tensor:
    """2 ‖∇ − X ⟨X, ∇⟩/P_t‖_F √P_t, ∇ = ∇_X (R − ω τ): bit/s/Hz per relative change of X, to first order.

    Zero where the Lagrangian of (7c) is stationary, ∇ = μ X. X (…, N, K) of power P_t; returns (…).
    """
    ascent = s.measure(X).gradient
    return 2 * torch.linalg.matrix_norm(sphere_tangent(X, ascent)) * s.power.sqrt()


def leaves_span(s: Scenario, X: Tensor) -> Tensor:
    """(…) true where power outside span{h_k, Ψ} would raise R − ω τ: μ + 2 ω λ_min(XᴴX) < 0."""
    ascent = s.measure(X).gradient
    multiplier = inner_product(X, ascent) / inner_product(X, X)
    least = 2 * s.weight * torch.linalg.eigvalsh(X.mH @ X)[..., 0]
    return multiplier + least < -1e-9 * (multiplier.abs() + least)


def repeat(s: Scenario, count: int) -> Scenario:
    """The scenario with a leading axis of `count` equal parts."""
    batch = (count, *s.batch)
    return replace(
        s, H=s.H.expand(*batch, *s.H.shape[-2:]), power=s.power.expand(batch), weight=s.weight.expand(batch)
    )


def jcas_start(rho: float) -> Callable[[Scenario], Tensor]:
    """`digital_jcas` at ρ, roughly."""
    return lambda s: digital_jcas(s, rho=rho, tolerance=1e-2, iterations=100).X


STARTS: dict[str, Callable[[Scenario], Tensor]] = {
    "rate": lambda s: (sca(s) if s.per_user.single else wmmse(s)).X,
    "zero_forcing": lambda s: full_power(zero_forcing(s.H, s.per_user), s.power),
    "radar": sensing_start,
    "jcas_0.9": jcas_start(0.9),
    "jcas_0.8": jcas_start(0.8),
    "jcas_0.5": jcas_start(0.5),
}


USUAL = ("rate", "jcas_0.8", "radar")
OF_SEVERAL = ("rate", "zero_forcing", "radar")
"""Starts where users have several antennas, for which there is no `digital_jcas`."""


def digital(
    s: Scenario,
    *,
    starts: Sequence[str | Tensor] | None = None,
    tolerance: float = 1e-3,
    iterations: int = 500,
) -> Design:
    """The best fully digital precoder for R − ω τ, which every hybrid design is measured against.

    Args:
        s: the scenario.
        starts: names of `STARTS` or X (…, N, K), e.g. a hybrid design's X, which it then can't fall below;
            default `USUAL`, and for users with several antennas `OF_SEVERAL`. For another sensing objective
            X only, beside mixtures of zero forcing and beams to the targets.
        tolerance: on `stationarity`, bit/s/Hz; the objective is then within about its square of the peak.
        iterations: the most L-BFGS steps from each start.

    Returns:
        A fully digital `Design`, `CONVERGED` where the best end is stationary within the tolerance.

    Raises:
        InputError: no start, an unknown one, one of another shape, or a negative limit.
    """
    check_limits(tolerance, iterations)
    if s.goal is not None or s.per_user.sensing:
        return _together(s, starts, iterations)
    return _for_tau(s, starts=starts, tolerance=tolerance, iterations=iterations)


def _together(s: Scenario, starts: Sequence[str | Tensor] | None, iterations: int) -> Design:
    """The best X of the scenario's objective, from the starts of `goal_search` and from those given."""
    flat = flatten(s)
    begin = digital_starts(flat)
    for x in starts or ():
        if isinstance(x, str):
            raise InputError(
                "with another sensing objective than tau, or sensing streams, starts are X, not names"
            )
        begin.append(digital_start(s, x).reshape(begin[0].shape))
    X, _, residual = best_digital(flat, begin, iterations)
    assert isinstance(X, Tensor)
    status = torch.where(residual <= TOLERANCE, int(Status.CONVERGED), int(Status.ITERATION_LIMIT))
    X = X.reshape(*s.batch, *X.shape[1:])
    return finish(s, "digital", None, X, status=status.reshape(s.batch), residual=residual.reshape(s.batch))


@by_subcarrier
def _for_tau(
    s: Scenario, *, starts: Sequence[str | Tensor] | None, tolerance: float, iterations: int
) -> Design:
    """The best X for R − ω τ, on a band subcarrier by subcarrier."""
    if starts is None:
        starts = USUAL if s.per_user.single else OF_SEVERAL
    unknown = [x for x in starts if isinstance(x, str) and x not in STARTS]
    if unknown or not len(starts):
        raise InputError(f"no start {(unknown or ['at all'])[0]!r}; known: {', '.join(STARTS)}")
    begin = torch.stack([digital_start(s, STARTS[x](s) if isinstance(x, str) else x) for x in starts])
    # The named starts lie in the span; another one brings its own columns, so as to lose nothing.
    given = [b for b, x in zip(begin, starts, strict=True) if not isinstance(x, str)]
    columns = torch.cat([s.H.mH, *given], -1)
    every = columns.expand(len(begin), *columns.shape).flatten(0, -3)
    p, B = reduce(flatten(repeat(s, len(begin))), every, COARSE)
    Y, value, _ = maximise(p, full_power(B.mH @ begin.flatten(0, -3), p.power), 10 * tolerance, iterations)
    best = value.reshape(len(begin), -1).nan_to_num(-math.inf).argmax(0)
    X = (B @ Y).reshape(len(begin), -1, *begin.shape[-2:])[best, torch.arange(len(best), device=Y.device)]
    p, B = reduce(flatten(s), torch.cat([columns.flatten(0, -3) if s.batch else columns[None], X], -1), FINE)
    Y, _, residual = maximise(p, full_power(B.mH @ X, p.power), tolerance, iterations)
    status = torch.where(residual <= tolerance, int(Status.CONVERGED), int(Status.ITERATION_LIMIT))
    X = full_power(B @ Y, p.power).reshape(begin.shape[1:])
    return finish(s, "digital", None, X, status=status.reshape(s.batch), residual=residual.reshape(s.batch))


METHOD = Method(
    "digital",
    digital,
    "R - omega tau without (7b): fully digital ceiling",
    part=SLOW,
    supports=Supports(digital=True, rows=True, band=True, goals=True, sensing_streams=True, device=True),
)
