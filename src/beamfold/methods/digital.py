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
from typing import NamedTuple

import torch
from torch import Tensor

from beamfold.methods.digital_jcas import digital_jcas, sphere_tangent, subspace
from beamfold.methods.manopt import inner, spread
from beamfold.methods.sca import sca
from beamfold.methods.wmmse import check_limits, digital_start, flatten, full_power, maximum_ratio
from beamfold.objective import beam_error, beam_gradient, rate, rate_gradient
from beamfold.scenario import Design, Scenario, Status, finish
from beamfold.start import proposed, zero_forcing

ARMIJO = 1e-4
HALVINGS = 30
MEMORY = 20


class Small(NamedTuple):
    """R − ω τ in the basis: L = H B (B, K, d), Psi = P_t Bᴴ Ψ B (B, d, d), P_t, ω, σ², τ's constant (B,)."""

    L: Tensor
    Psi: Tensor
    power: Tensor
    weight: Tensor
    noise: float
    rest: Tensor

    def part(self, index: Tensor) -> Small:
        """Of some channels."""
        L, Psi, power, weight, noise, rest = self
        return Small(L[index], Psi[index], power[index], weight[index], noise, rest[index])

    def value(self, Y: Tensor) -> Tensor:
        """R − ω τ (B,) at √P_t Y/‖Y‖."""
        X = full_power(Y, self.power)
        return rate(self.L, X, self.noise) - self.weight * (beam_error(X, self.Psi) + self.rest)

    def gradient(self, Y: Tensor) -> Tensor:
        """∂/∂Y* of `value`: what of ∇_X (R − ω τ) is tangent to the sphere, times √P_t/‖Y‖."""
        X = full_power(Y, self.power)
        ascent = rate_gradient(self.L, X, self.noise) - spread(self.weight) * beam_gradient(X, self.Psi)
        return sphere_tangent(X, ascent) * spread(self.power.sqrt() / torch.linalg.matrix_norm(Y))


def reduce(s: Scenario) -> tuple[Small, Tensor]:
    """The small problem of a scenario with one leading axis, and its basis B (B, N, d)."""
    B = subspace(s.H.mH, s.Psi)
    Psi = B.mH @ s.Psi @ B
    rest = s.power.square() * (inner(s.Psi, s.Psi) - inner(Psi, Psi)).clamp_min(0)
    return Small(s.H @ B, spread(s.power) * Psi, s.power, s.weight.expand(s.batch), s.noise, rest), B


def stationarity(s: Scenario, X: Tensor) -> Tensor:
    """2 ‖∇ − X ⟨X, ∇⟩/P_t‖_F √P_t, ∇ = ∇_X (R − ω τ): bit/s/Hz per relative change of X, to first order.

    Zero where the Lagrangian of (7c) is stationary, ∇ = μ X. X (…, N, K) of power P_t; returns (…).
    """
    ascent = rate_gradient(s.H, X, s.noise) - s.omega * beam_gradient(X, s.Psi_t)
    return 2 * torch.linalg.matrix_norm(sphere_tangent(X, ascent)) * s.power.sqrt()


def leaves_span(s: Scenario, X: Tensor) -> Tensor:
    """(…) true where power outside span{h_k, Ψ} would raise R − ω τ: μ + 2 ω λ_min(XᴴX) < 0."""
    ascent = rate_gradient(s.H, X, s.noise) - s.omega * beam_gradient(X, s.Psi_t)
    multiplier = inner(X, ascent) / inner(X, X)
    least = 2 * s.weight * torch.linalg.eigvalsh(X.mH @ X)[..., 0]
    return multiplier + least < -1e-9 * (multiplier.abs() + least)


def radar_start(s: Scenario) -> Tensor:
    """U Q: the best covariance of rank K at P_t, turned by the unitary Q nearest to matched filters.

    U holds Ψ's K leading eigenvectors times the root of their eigenvalues, and Q is the polar factor of
    Uᴴ Hᴴ: of all X with this covariance, the one with the most Σ_k Re h_kᴴ x_k.
    """
    values, vectors = torch.linalg.eigh(s.Psi)
    U = (vectors * values.clamp_min(0).sqrt())[:, -s.users :]
    left, _, right = torch.linalg.svd(U.mH @ maximum_ratio(s.H))
    return full_power(U @ (left @ right), s.power)


def jcas_start(rho: float) -> Callable[[Scenario], Tensor]:
    """`digital_jcas` at ρ, roughly."""
    return lambda s: digital_jcas(s, rho=rho, tolerance=1e-2, iterations=100).X


STARTS: dict[str, Callable[[Scenario], Tensor]] = {
    "rate": lambda s: sca(s).X,
    "zero_forcing": lambda s: full_power(zero_forcing(s.H), s.power),
    "proposed": lambda s: torch.matmul(*proposed(s)),
    "radar": radar_start,
    "jcas_0.9": jcas_start(0.9),
    "jcas_0.8": jcas_start(0.8),
    "jcas_0.5": jcas_start(0.5),
}


def ascent_direction(g: Tensor, S: Tensor, G: Tensor, r: Tensor) -> Tensor:
    """L-BFGS's two loops: D ≈ −(∇²f)⁻¹ g of −f, from the steps S and gradient changes G (m, B, n).

    Args:
        g: (B, n) real, the gradient of −f.
        S: (m, B, n), newest last.
        G: (m, B, n).
        r: (m, B), 1/⟨S, G⟩, or 0 where a pair is not used.
    """
    D, alphas = -g, []
    for i in reversed(range(len(S))):
        alpha = r[i] * (S[i] * D).sum(-1)
        D = D - alpha[:, None] * G[i]
        alphas.append(alpha)
    if len(S):
        scale = (S[-1] * G[-1]).sum(-1) / G[-1].square().sum(-1).clamp_min(1e-300)
        D = torch.where(r[-1] > 0, scale, 1.0)[:, None] * D
    for i, alpha in zip(range(len(S)), reversed(alphas), strict=True):
        D = D + (alpha - r[i] * (G[i] * D).sum(-1))[:, None] * S[i]
    return D


class History(NamedTuple):
    """L-BFGS's memory, see `ascent_direction`."""

    S: Tensor
    G: Tensor
    r: Tensor

    def part(self, keep: Tensor) -> History:
        """Of some channels."""
        return History(*(t[:, keep] for t in self))

    def append(self, step: Tensor, change: Tensor) -> History:
        """With a new pair; one without positive curvature is kept out of use."""
        product = (step * change).sum(-1)
        good = product > 1e-10 * step.norm(dim=-1) * change.norm(dim=-1)
        r = torch.where(good, 1 / product, 0.0)
        pairs = zip(self, (step, change, r), strict=True)
        return History(*(torch.cat([old, new[None]])[-MEMORY:] for old, new in pairs))


def real(Z: Tensor) -> Tensor:
    """A complex (B, d, K) as real (B, 2 d K)."""
    return torch.view_as_real(Z.contiguous()).flatten(1)


def climb(p: Small, Y: Tensor, tolerance: float, iterations: int) -> tuple[Tensor, Tensor, Tensor]:
    """L-BFGS from Y (B, d, K), each channel until its stationarity residual meets the tolerance.

    Returns:
        Y (B, d, K), its value never below the start's, value (B,) and residual (B,), see `stationarity`.
    """
    Y = full_power(Y, p.power)
    value, residual = p.value(Y), torch.full_like(p.power, math.inf)
    whole, active = p, torch.arange(len(Y), device=Y.device)
    g = -2 * real(p.gradient(Y))
    memory = History(g[None][:0], g[None][:0], p.power[None][:0])
    for _ in range(iterations + 1):
        residual[active] = g.norm(dim=-1) * torch.linalg.matrix_norm(Y[active])
        keep = (residual[active] > tolerance) & torch.isfinite(value[active])
        if not keep.all():
            active, g, memory = active[keep], g[keep], memory.part(keep)
            p = whole.part(active)
        if not len(active):
            break
        D = ascent_direction(g, *memory)
        uphill = (g * D).sum(-1) < 0
        D = torch.where(uphill[:, None], D, -g)
        if not len(memory.S):
            D = D / residual[active][:, None]  # no curvature known yet
        new, risen, moved = _line_search(p, Y[active], D, value[active], (g * D).sum(-1))
        after = -2 * real(p.gradient(new))
        memory = memory.append(real(new - Y[active]), after - g)
        # Where no step rises any more rounding has the last word: the channel stops as it is.
        Y[active], value[active] = new, risen
        g = torch.where(moved[:, None], after, 0.0)
        if not moved.all():
            stuck = active[~moved]
            left = residual[stuck]
            active, g, memory = active[moved], g[moved], memory.part(moved)
            p = whole.part(active)
            residual[stuck] = left
    return Y, value, residual


def _line_search(p: Small, Y: Tensor, D: Tensor, f: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Y + t D with t halved from 1 until f rises by ARMIJO of −slope t; value; whether it rose."""
    step = torch.view_as_complex(D.reshape(*Y.shape, 2))
    t = torch.ones_like(f)
    for _ in range(HALVINGS):
        new = Y + spread(t) * step
        risen = p.value(new)
        long = ~(risen >= f - ARMIJO * t * slope)
        if not long.any():
            break
        t = torch.where(long, t / 2, t)
    moved = risen > f
    return torch.where(spread(moved), new, Y), torch.where(moved, risen, f), moved


def digital(
    s: Scenario,
    *,
    starts: Sequence[str | Tensor] = ("rate", "jcas_0.8", "radar"),
    tolerance: float = 1e-3,
    iterations: int = 500,
) -> Design:
    """The best fully digital precoder for R − ω τ, which every hybrid design is measured against.

    Args:
        s: the scenario.
        starts: names of `STARTS` or X (…, N, K), e.g. a hybrid design's X, which it then can't fall below.
        tolerance: on `stationarity`, bit/s/Hz; the objective is then within about its square of the peak.
        iterations: the most L-BFGS steps from each start.

    Returns:
        A fully digital `Design`, `CONVERGED` where the best end is stationary within the tolerance.

    Raises:
        ValueError: no start, an unknown one, one of another shape, or a negative limit.
    """
    check_limits(tolerance, iterations)
    unknown = [x for x in starts if isinstance(x, str) and x not in STARTS]
    if unknown or not len(starts):
        raise ValueError(f"no start {(unknown or ['at all'])[0]!r}; known: {', '.join(STARTS)}")
    ends = [climb_from(s, STARTS[x](s) if isinstance(x, str) else x, tolerance, iterations) for x in starts]
    X, value, status = (torch.stack(t) for t in zip(*ends, strict=True))
    best = value.nan_to_num(-math.inf).argmax(0, keepdim=True)
    X = X.gather(0, best[..., None, None].expand(1, *X.shape[1:]))[0]
    return finish(s, "digital", None, full_power(X, s.power), status=status.gather(0, best)[0])


def climb_from(
    s: Scenario, start: Tensor, tolerance: float, iterations: int
) -> tuple[Tensor, Tensor, Tensor]:
    """X (…, N, K), R − ω τ (…) and status (…) reached from one start."""
    begin = digital_start(s, start)
    p, B = reduce(flatten(s))
    # A start that leaves the span would lose a part of itself: the basis grows by it.
    Y, value, residual = climb(p, B.mH @ begin.reshape(-1, *begin.shape[-2:]), tolerance, iterations)
    status = torch.where(residual <= tolerance, int(Status.CONVERGED), int(Status.LAYERS_DONE)).to(torch.int8)
    return (B @ Y).reshape(begin.shape), value.reshape(s.batch), status.reshape(s.batch)
