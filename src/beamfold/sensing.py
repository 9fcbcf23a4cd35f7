"""`Sensing`: the covariance Ψ that a design is compared with, and the problem (6) that it solves."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from beamfold.arrays import Array, line_array
from beamfold.errors import InputError

Targets = tuple[float, ...] | tuple[tuple[float, float], ...]
"""Directions in radians: azimuths for a line, pairs of azimuth and elevation for any other array."""


_UNSET = Array(torch.zeros(1, 3))
"""In the place of an array that was not given."""


class Factor(NamedTuple):
    """Ψ ≈ U Uᴴ of numerical rank r."""

    U: Tensor
    """(N, r) complex128."""
    bound: float
    """‖Ψ − U Uᴴ‖₂, the largest eigenvalue left out; |∇_X τ| is off by at most 2 P_t bound ‖X‖."""


@dataclass(frozen=True, eq=False)
class Sensing:
    """Ψ at unit power, and the problem (6) that it solves where that is known.

    Attributes:
        Psi: (N, N) complex128 Hermitian, trace 1.
        targets: directions of the targets, rad: azimuths for a line, else (azimuth, elevation).
        angles: grid of (6), rad: (T,) azimuths for a line, else (T, 2); unless given, the array's default
        grid. desired: (T,) P_d of (27) on that grid.
        scale: α of (6a) at unit power.
        objective: value of (6a) at unit power.
        gap: proven bound on its relative distance to the optimum of (6); NaN where there is no proof.
        solver: what solved it: "fast", "clarabel", "scs", or "" for a matrix of the user's.
        array: the antennas; unless given, the paper's half-wavelength line of N.
        ratio: r, frequency over the carrier's at which Ψ solves (6): that of its subcarrier on a band.

    Raises:
        InputError: an array of another number of antennas than Ψ has.
    """

    Psi: Tensor
    targets: Targets = ()
    angles: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.float64))
    desired: Tensor | None = None
    scale: float = math.nan
    objective: float = math.nan
    gap: float = math.nan
    solver: str = ""
    array: Array = _UNSET
    ratio: float = 1.0

    def __post_init__(self) -> None:
        """Put the default array and its default grid where none were given."""
        if self.array is _UNSET:
            object.__setattr__(self, "array", line_array(self.antennas))
        if self.Psi.ndim == 2 and self.array.antennas != self.antennas:
            raise InputError(f"Psi is {tuple(self.Psi.shape)}, the array {self.array.name}")
        if len(self.angles) == 0:
            object.__setattr__(self, "angles", grid_of(self.array).to(self.Psi.device))

    @property
    def antennas(self) -> int:
        """N, antennas."""
        return self.Psi.shape[-1]

    @property
    def target_angles(self) -> Tensor:
        """`targets` as a tensor: (P,) azimuths for a line, else (P, 2); float64."""
        found = torch.tensor(self.targets, dtype=torch.float64, device=self.Psi.device)
        return found if self.array.is_line else found.reshape(-1, 2)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Sensing:
        """The same on another device, Ψ in another complex precision."""
        device = self.Psi.device if device is None else torch.device(device)
        if device == self.Psi.device and dtype in (None, self.Psi.dtype):
            return self
        desired = None if self.desired is None else self.desired.to(device)
        Psi = self.Psi.to(device=device, dtype=dtype)
        return replace(self, Psi=Psi, angles=self.angles.to(device), desired=desired)

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues of Ψ, largest first, and their eigenvectors."""
        values, vectors = torch.linalg.eigh(self.Psi.to(torch.complex128))
        return values.flip(-1), vectors.flip(-1)

    @cached_property
    def square(self) -> float:
        """‖Ψ‖²_F."""
        return float(torch.linalg.matrix_norm(self.Psi)) ** 2

    @cached_property
    def _factors(self) -> dict[float, Factor]:
        """What `factor` has found without `fill`, by tolerance: every design asks for it."""
        return {}

    def factor(self, tolerance: float = 1e-6, *, fill: Callable[[int], int] | None = None) -> Factor:
        """U = [√λ_1 u_1, …, √λ_r u_r] of the eigenvalues above `tolerance` · λ_1.

        `fill(r)` may return a larger rank, to use padding; further eigenvalues above 1e-9 λ_1 are then
        included.
        """
        if fill is None and tolerance in self._factors:
            return self._factors[tolerance]
        values, vectors = self.spectrum
        top = float(values[0])
        rank = max(1, int((values > tolerance * top).sum())) if top > 0 else 1
        if fill is not None and top > 0:
            rank = max(rank, min(fill(rank), int((values > 1e-9 * top).sum())))
        U = vectors[:, :rank] * values[:rank].clamp_min(0).sqrt()
        found = Factor(U, float(values[rank:].abs().max()) if rank < len(values) else 0.0)
        if fill is None:
            self._factors[tolerance] = found
        return found


UNIT = 1e-6
"""|tr Ψ − 1| up to which Ψ counts as being at unit power: rounding of a single-precision file."""


def at_unit_power(radar: Sensing) -> Sensing:
    """Ψ / tr Ψ: τ compares X Xᴴ with P_t Ψ, so only the shape of Ψ counts. Says where it was scaled.

    A matrix of trace 0 stays as it is.
    """
    trace = float(radar.Psi.diagonal().real.sum())
    if abs(trace - 1) <= UNIT or trace <= 0:
        return radar
    logging.getLogger("beamfold").warning(
        "Psi has trace %.6g: it is scaled to trace 1, since the SNR sets the power", trace
    )
    return replace(radar, Psi=radar.Psi / trace)


PAPER_ANGLES = 181
"""T of the paper: a grid of 1° from −90° to 90°."""
PLANAR_ANGLES = 91
"""Angles along each of azimuth and elevation where an array sees both: a grid of 2°."""


def default_angles(array: int | Array) -> int:
    """T of the default grid for an array, or for a half-wavelength line of so many antennas.

    181 while 181 > 1 + πL, L the array's length in wavelengths and N/2 for a line, else the least
    180 m + 1 ≥ 4πL. Up to N = 114 the paper's grid sees every beam (`covariance.problem.check_problem` has
    the rule). Beyond, T is twice what the sampling theorem asks for, 1 + π(N − 1), and the grid holds every
    angle of the paper's. Where an array sees elevation, T counts the angles along each axis and begins at 91.
    """
    if isinstance(array, int):
        length, least = array / 2, PAPER_ANGLES
    else:
        length, least = array.length, PAPER_ANGLES if array.is_line else PLANAR_ANGLES
    if 1 + math.pi * length < least:
        return least
    return 180 * math.ceil((4 * math.pi * length - 1) / 180) + 1


def angle_grid(count: int = PAPER_ANGLES) -> Tensor:
    """θ_t (T,) in radians: T angles from −90° to 90°; the default is the paper's 1° grid."""
    if count < 2:
        raise InputError(f"an angular grid needs at least 2 angles, got {count}")
    return torch.deg2rad(torch.linspace(-90, 90, count, dtype=torch.float64))


def grid_of(array: Array, count: int | None = None) -> Tensor:
    """Directions over ±90°, rad: `angle_grid` (T,) for a line, else (T², 2), T along each axis, elevation
    fastest.

    Args:
        array: the array.
        count: T; default `default_angles(array)`.
    """
    axis = angle_grid(default_angles(array) if count is None else count)
    return axis if array.is_line else torch.cartesian_prod(axis, axis)
