r"""Whether a point is above the start (26), in torch on any device; `kernels.fast_guard` does it compiled.

(26) is computed from Gram matrices, W = (Fᴴ F)⁻¹ (Fᴴ Hᴴ) (H Hᴴ)⁻¹, good to 1e-16 times the conditions of
both. A pseudo-inverse, `start.proposed`, holds for every channel, but takes far longer on a GPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

from beamfold.kernels.fast_guard import STRONGEST
from beamfold.kernels.proposed import PIVOTS
from beamfold.scenario import Scenario
from beamfold.start import CANCELS, Point, condition, pointing

MARGIN = 1e-9
"""How far above (26), relative to 1 + |R − ω τ|, a point has to be: a thousand times the errors of both."""


def solved(A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """A⁻¹ B for Gram matrices A (…, n, n), and (…) bool: where that is good to some 1e-12.

    No pivot of A's Cholesky factor may then be below `PIVOTS` of the largest or of its diagonal entry.
    """
    L, failed = torch.linalg.cholesky_ex(A)
    pivots = L.diagonal(dim1=-2, dim2=-1).real.square()
    share = (pivots / A.diagonal(dim1=-2, dim2=-1).real).amin(-1)
    sure = (failed == 0) & (torch.minimum(pivots.amin(-1) / pivots.amax(-1), share) > PIVOTS)
    half = torch.linalg.solve_triangular(L, B, upper=False)
    return torch.linalg.solve_triangular(L.mH, half, upper=True), sure


def proposed_by_gram(s: Scenario) -> tuple[Point, Tensor]:
    """(26) for flat channels, users of one antenna and fixed connections; and (…) bool, where it is sure."""
    H, F = s.H, pointing(s, s.H.mH)
    A, independent = solved(H @ H.mH, H @ F)
    W, apart = solved(F.mH @ F, A.mH)
    return Point(F, s.to_power(F @ W, W)), independent & apart


def known_above_start(s: Scenario, point: Point) -> Tensor:
    """(…) bool: where a point of each channel of a scenario is above the start (26) for certain."""
    if s.band is not None or not s.per_user.single or s.network.dynamic:
        return torch.zeros(s.batch, dtype=torch.bool, device=s.H.device)
    start, sure = proposed_by_gram(s)
    ours, theirs = (s.objective(p.F @ p.W) for p in (point, start))
    strongest = s.power / s.noise * s.H.abs().square().sum(-1).amax(-1)
    above = ours > theirs + MARGIN * (1 + theirs.abs())
    return sure & above & (strongest < STRONGEST) & (condition(point) < CANCELS)
