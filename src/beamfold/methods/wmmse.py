r"""Weighted minimum mean square error (WMMSE): the sum rate under total power, fully digital.

max_X R(X) s.t. ‖X‖²_F = P_t, by Shi, Razaviyayn, Luo and He, IEEE Trans. Signal Process. 59(9), 2011.
More power never lowers the best rate, so the constraint is met with equality and the noise of a
design that is not scaled yet is σ² ‖X‖²/P_t: with it R does not depend on the scale of X, and the
multiplier of the power constraint has a closed form instead of a bisection,

    u_k = A_kk / (Σ_l |A_kl|² + c ‖X‖²),   c = σ²/P_t,   A = H X,
    w_k = 1 / (1 − u_k^* A_kk) = 1 + SINR_k,
    X   = (Σ_k w_k |u_k|² h_k h_kᴴ + β I)⁻¹ Hᴴ diag(w_k u_k),   β = c Σ_k w_k |u_k|².

X = Hᴴ Y, so a step is one K × K solve at any N.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from beamfold.constraints import full_power
from beamfold.errors import InputError
from beamfold.objective import rate, received
from beamfold.result import Design, Status, finish
from beamfold.scenario import Scenario
from beamfold.start import anywhere, zero_forcing


class Ascent(NamedTuple):
    """Where a fixed-point ascent ended: X (…, N, K), a `Status` (…) and the steps taken (…)."""

    X: Tensor
    status: Tensor
    steps: Tensor


def maximum_ratio(H: Tensor) -> Tensor:
    """Hᴴ with columns of unit norm (…, N, K): each user's own channel, interference ignored.

    A user without a channel gets nothing; where nobody has one, user k gets antenna k.
    """
    norm = torch.linalg.vector_norm(H.mH, dim=-2, keepdim=True)
    return anywhere(H.mH / torch.where(norm > 0, norm, 1.0))


def solve(A: Tensor, B: Tensor) -> Tensor:
    """A⁻¹ B for Hermitian A ⪰ 0, which rounding may have made singular; NaN where A = 0."""
    rounding = torch.finfo(A.dtype).eps * A.diagonal(dim1=-2, dim2=-1).sum(-1)
    eye = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    return torch.linalg.solve_ex(A + rounding[..., None, None] * eye, B).result


DIGITAL_STARTS: dict[str, Callable[[Tensor], Tensor]] = {
    "zero_forcing": zero_forcing,
    "maximum_ratio": maximum_ratio,
}


def digital_start(s: Scenario, start: str | Tensor) -> Tensor:
    """A named fully digital start, or the given X (…, N, K), scaled to (7c).

    Raises:
        InputError: an unknown name, or an X of another shape.
    """
    if isinstance(start, str):
        if start not in DIGITAL_STARTS:
            raise InputError(f"no digital start {start!r}; known: {', '.join(DIGITAL_STARTS)}")
        return full_power(DIGITAL_STARTS[start](s.H), s.power)
    expected = (*s.batch, s.antennas, s.users)
    if start.shape != expected:
        raise InputError(f"the start X is {tuple(start.shape)}, expected {expected}")
    return full_power(start.to(s.H.dtype), s.power)


def ascend(
    s: Scenario,
    step: Callable[[Scenario, Tensor], Tensor],
    start: Tensor,
    tolerance: float,
    iterations: int,
) -> Ascent:
    """X ← step(s, X) channel by channel until the rate rises by no more than `tolerance`.

    Only the channels still rising are computed, so a design does not depend on its neighbours.

    Args:
        s: the scenario.
        step: a map of (scenario, X) that does not lower R.
        start: X (…, N, K), feasible.
        tolerance: ≥ 0, bit/s/Hz.
        iterations: the most steps.
    """
    flat = flatten(s)
    X = start.reshape(-1, *start.shape[-2:]).clone()
    status = torch.full(X.shape[:1], int(Status.ITERATION_LIMIT), dtype=torch.int8, device=X.device)
    steps = torch.zeros(X.shape[:1], dtype=torch.int64, device=X.device)
    value = rate(flat.H, X, s.noise)
    active = torch.arange(len(X), device=X.device)
    for _ in range(iterations):
        if not len(active):
            break
        part = flat[active]
        new = step(part, X[active])
        risen = rate(part.H, new, s.noise)
        finite = torch.isfinite(risen)
        status[active[~finite]] = int(Status.DIVERGED)  # the last finite X stays
        status[active[risen - value[active] <= tolerance]] = int(Status.CONVERGED)
        better = finite & (risen >= value[active])
        X[active[better]], value[active[better]] = new[better], risen[better]
        steps[active] += 1
        active = active[status[active] == int(Status.ITERATION_LIMIT)]
    return Ascent(X.reshape(start.shape), status.reshape(s.batch), steps.reshape(s.batch))


def flatten(s: Scenario) -> Scenario:
    """The scenario with one leading axis, whatever its batch."""
    power, weight = s.power.expand(s.batch).reshape(-1), s.weight.expand(s.batch).reshape(-1)
    return replace(s, H=s.H.reshape(-1, *s.H.shape[-2:]), power=power, weight=weight)


def step(s: Scenario, X: Tensor) -> Tensor:
    """One update of (u, w, X), scaled to (7c); never lowers R. X (…, N, K) of power P_t.

    Where no user has gain, R = 0 has no slope and X stays.
    """
    A, total, other = received(s.H, X, s.noise)
    gain = A.diagonal(dim1=-2, dim2=-1)
    u = gain / total
    w = total / other
    weight = w * u.abs().square()
    beta = s.noise / s.power * weight.sum(-1)
    eye = torch.eye(s.users, dtype=A.dtype, device=A.device)
    # (Hᴴ D H + β I)⁻¹ Hᴴ = Hᴴ (D H Hᴴ + β I)⁻¹
    inner = weight[..., None] * (s.H @ s.H.mH) + beta[..., None, None] * eye
    new = full_power(s.H.mH @ solve(inner, torch.diag_embed(w * u)), s.power)
    return torch.where((beta > 0)[..., None, None], new, X)


def wmmse(
    s: Scenario, *, start: str | Tensor = "zero_forcing", tolerance: float = 1e-4, iterations: int = 1000
) -> Design:
    """The sum-rate precoder by WMMSE; τ is ignored.

    Args:
        s: the scenario.
        start: "zero_forcing", "maximum_ratio", or X (…, N, K). A user without gain in it stays without.
        tolerance: stop a channel once R rises by no more than this, bit/s/Hz. Steps are short: at
            1e-3 it can stop up to 1 % below SCA.
        iterations: the most steps.

    Returns:
        A fully digital `Design`, `CONVERGED` where the rule was met within `iterations`.

    Raises:
        InputError: an unknown start, or a negative tolerance or number of iterations.
    """
    check_limits(tolerance, iterations)
    X, status, steps = ascend(s, step, digital_start(s, start), tolerance, iterations)
    return finish(s, "wmmse", None, X, status=status, iterations=steps)


def check_limits(tolerance: float, iterations: int) -> None:
    """Raise InputError unless tolerance ≥ 0 and iterations ≥ 0."""
    if not (tolerance >= 0 and iterations >= 0):
        raise InputError(f"tolerance and iterations can't be below 0, got {tolerance} and {iterations}")
