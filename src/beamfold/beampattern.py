"""The sensing benchmark: desired pattern (27), covariance Ψ of (6), and what is known of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Real = NDArray[np.float64]


class Factor(NamedTuple):
    """Ψ ≈ U Uᴴ of numerical rank r."""

    U: Tensor
    """(N, r) complex128."""
    bound: float
    """‖Ψ − U Uᴴ‖₂, the largest eigenvalue left out; |∇_X τ| is off by at most 2 P_t bound ‖X‖."""


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Ψ at unit power, and the problem (6) that it solves where that is known.

    Attributes:
        Psi: (N, N) complex128 Hermitian, trace 1.
        targets: angles of the targets, rad.
        angles: (T,) grid of (6), rad.
        desired: (T,) P_d of (27) on that grid.
        scale: α of (6a) at unit power.
        objective: value of (6a) at unit power.
        solver: what solved it, e.g. "clarabel".
    """

    Psi: Tensor
    targets: tuple[float, ...] = ()
    angles: Tensor = field(default_factory=lambda: angle_grid())
    desired: Tensor | None = None
    scale: float = math.nan
    objective: float = math.nan
    solver: str = ""

    @property
    def antennas(self) -> int:
        """N."""
        return self.Psi.shape[-1]

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues of Ψ, largest first, and their eigenvectors."""
        values, vectors = torch.linalg.eigh(self.Psi.to(torch.complex128))
        return values.flip(-1), vectors.flip(-1)

    def factor(self, tolerance: float = 1e-6) -> Factor:
        """U = [√λ_1 u_1, …, √λ_r u_r] of the eigenvalues above `tolerance` · λ_1."""
        values, vectors = self.spectrum
        top = float(values[0])
        rank = max(1, int((values > tolerance * top).sum())) if top > 0 else 1
        U = vectors[:, :rank] * values[:rank].clamp_min(0).sqrt()
        return Factor(U, float(values[rank:].abs().max()) if rank < len(values) else 0.0)


def angle_grid(count: int = 181) -> Tensor:
    """θ_t (T,) in radians: T angles from −90° to 90°; the default is the paper's 1° grid."""
    if count < 2:
        raise ValueError(f"an angular grid needs at least 2 angles, got {count}")
    return torch.deg2rad(torch.linspace(-90, 90, count, dtype=torch.float64))


def desired_pattern(angles: Tensor, targets: Sequence[float], width: float) -> Tensor:
    """P_d(θ) = 1 where |θ − θ_dl| ≤ width/2 for a target l, else 0, Eq. (27).

    Args:
        angles: (T,) rad.
        targets: L angles, rad, each within ±π/2.
        width: full width of a mainlobe, rad. The published figures use 5° in full; the text's "half
            the mainlobe" is twice that.

    Returns:
        (T,) float64.

    Raises:
        ValueError: no target, a target outside ±90°, mainlobes that overlap, or one that the grid misses.
    """
    degrees = [math.degrees(t) for t in targets]
    if not targets:
        raise ValueError("the desired pattern needs at least one target")
    if width <= 0:
        raise ValueError(f"the mainlobe's width must be above 0, got {math.degrees(width):g} degrees")
    for t in degrees:
        if not abs(t) <= 90 + 1e-9:
            raise ValueError(f"a target at {t:g} degrees is outside -90 to 90")
    for left, right in zip(sorted(degrees), sorted(degrees)[1:], strict=False):
        if right - left < math.degrees(width) - 1e-9:
            raise ValueError(
                f"the mainlobes of the targets at {left:g} and {right:g} degrees overlap: "
                f"they are closer than the width {math.degrees(width):g}"
            )
    lobes = (angles - torch.tensor(targets, dtype=torch.float64)[:, None]).abs() <= width / 2 + 1e-9
    if not lobes.any(-1).all():
        missed = degrees[int(torch.nonzero(~lobes.any(-1))[0])]
        raise ValueError(f"no angle of the grid lies within the mainlobe of the target at {missed:g} degrees")
    return lobes.any(0).to(torch.float64)
