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

import torch
from torch import Tensor

from beamfold.constraints import full_power
from beamfold.digital_start import digital_start
from beamfold.method import SLOW, Method, Supports
from beamfold.objective import block_diagonal_of, received, receivers, weights
from beamfold.optim.active import check_limits
from beamfold.optim.by_subcarrier import by_subcarrier
from beamfold.optim.fixed_point import ascend_rate
from beamfold.optim.matrices import solve
from beamfold.result import Design, finish
from beamfold.scenario import Scenario


def step(s: Scenario, X: Tensor) -> Tensor:
    """One update of (u, w, X), scaled to (7c); never lowers R. X (…, N, K) of power P_t.

    Where no user has gain, R = 0 has no slope and X stays.
    """
    if not s.per_user.single:
        return _step_of_several(s, X)
    A, _, other, total = received(s.H, X, s.noise)
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


def _step_of_several(s: Scenario, X: Tensor) -> Tensor:
    """`step` for users with several antennas or streams: u_k and w_k become matrices.

    With V_k, S_k and M_k of `objective.rate`: U_k = T_k⁻¹ A_kk = V_k M_k and the weight of user k is M_k⁻¹,
    so V_k M_k V_kᴴ stands in the place of w_k |u_k|² and V_k in that of w_k u_k, each on the rows of its
    user.
    """
    _, V, S = receivers(s.H @ X, s.noise, s.per_user)
    on_rows = block_diagonal_of(V @ weights(S) @ V.mH)
    beta = s.noise / s.power * on_rows.diagonal(dim1=-2, dim2=-1).real.sum(-1)
    eye = torch.eye(on_rows.shape[-1], dtype=X.dtype, device=X.device)
    inner = on_rows @ (s.H @ s.H.mH) + beta[..., None, None] * eye
    new = full_power(s.H.mH @ torch.linalg.solve(inner, block_diagonal_of(V)), s.power)
    return torch.where((beta > 0)[..., None, None], new, X)


@by_subcarrier
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
    X, status, steps = ascend_rate(s, step, digital_start(s, start), tolerance, iterations)
    return finish(s, "wmmse", None, X, status=status, iterations=steps)


METHOD = Method(
    "wmmse",
    wmmse,
    "R alone, fully digital, weighted MMSE",
    part=SLOW,
    supports=Supports(digital=True, rows=True, band=True, device=True),
)
