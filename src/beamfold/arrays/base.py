r"""`Array`: the positions of a base station's antennas, and their steering vectors, Eq. (3) in general.

Element n stands at p_n, in wavelengths of the carrier. A plane wave from azimuth az and elevation el comes
along the unit vector

    r̂(az, el) = (cos az cos el, sin az cos el, sin el),

and at r times the carrier's frequency the steering vector is a_n = N^{-1/2} exp(j 2π r p_n · r̂), the paper's
ā without N^{-1/2}. The array looks along x: azimuth 0 and elevation 0 are broadside of an array in the plane
of y and z. Rows of H are what multiplies the transmitted vector, so the row of a user at az, el with one
path is proportional to a(az, el)ᴴ.

A direction is one angle, the azimuth, for an array on the y axis, which cannot see elevation: angles (…).
For every other array it is a pair (azimuth, elevation): angles (…, 2). All angles are in radians.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from beamfold.errors import InputError

if TYPE_CHECKING:
    from beamfold.arrays.lags import Lags

NEAR = 1e-9
"""Positions that agree up to this many wavelengths are the same."""


class Lattice(NamedTuple):
    """Elements on a uniform grid: (i_1, i_2, …) is at p_0 + Σ_c i_c step_c, the last index fastest."""

    shape: tuple[int, ...]
    """Elements along each axis of the grid."""
    steps: Tensor
    """(axes, 3), from one element to the next along each axis, in wavelengths."""


@dataclass(frozen=True, eq=False)
class Array:
    """Antennas at any positions. Make the usual ones with `line_array` and `planar_array`.

    Attributes:
        positions: p_n (N, 3) = (x, y, z) in wavelengths of the carrier, float64; NumPy or torch when given.

    Raises:
        InputError: not (N, 3), no antenna, a position that is not finite, or two in one place.
    """

    positions: Tensor

    def __post_init__(self) -> None:
        """Check the positions and keep them in float64."""
        given: ArrayLike | Tensor = self.positions
        p = given if isinstance(given, Tensor) else torch.from_numpy(np.array(given, dtype=np.float64))
        p = p.to(torch.float64)
        if p.ndim != 2 or p.shape[-1] != 3 or len(p) == 0:
            raise InputError(f"positions of an array have axes (antennas, 3), found {tuple(p.shape)}")
        if not torch.isfinite(p).all():
            bad = int(torch.nonzero(~torch.isfinite(p).all(-1))[0, 0])
            raise InputError(f"the position of antenna {bad} is not finite: {p[bad].tolist()}")
        pair = _coincident(p.cpu().numpy())
        if pair is not None:
            raise InputError(f"antennas {pair[0]} and {pair[1]} stand in one place: {p[pair[0]].tolist()}")
        object.__setattr__(self, "positions", p)

    @property
    def antennas(self) -> int:
        """N, antennas."""
        return len(self.positions)

    @cached_property
    def is_line(self) -> bool:
        """Whether every element is on the y axis, so that a direction is an azimuth alone."""
        return bool((self.positions[:, (0, 2)] == 0).all())

    @cached_property
    def _axes(self) -> list[int]:
        """The coordinates that are not 0 everywhere."""
        return torch.nonzero((self.positions.cpu() != 0).any(0)).flatten().tolist()

    @cached_property
    def lattice(self) -> Lattice | None:
        """The uniform grid on which the elements stand in order, or None."""
        return _lattice(self.positions.cpu())

    @cached_property
    def length(self) -> float:
        """The longest side in wavelengths, N d for N elements at a spacing d; the extent of other arrays.

        A beam is 2 over this wide between its nulls, in direction cosines.
        """
        if self.lattice is not None:
            sides = zip(self.lattice.shape, self.lattice.steps, strict=True)
            return max(n * float(step.abs().max()) for n, step in sides)
        p = self.positions
        return float((p.amax(0) - p.amin(0)).max())

    @cached_property
    def lags(self) -> Lags:
        """The differences of the positions, on which a beampattern depends."""
        from beamfold.arrays.lags import Lags

        return Lags(self)

    @property
    def name(self) -> str:
        """What a user calls it: "line of 64", "planar 8 x 8" or "16 positions".

        Where y falls with the index, as for the channels of most simulators, it is mirrored.
        """
        if self.lattice is None:
            return f"{self.antennas} positions"
        mirrored = "mirrored " if bool((self.lattice.steps[:, 1] < 0).any()) else ""
        if self.is_line:
            return f"{mirrored}line of {self.antennas}"
        return f"{mirrored}planar " + " x ".join(str(n) for n in self.lattice.shape)

    def same_as(self, other: Array) -> bool:
        """Whether both have the same antennas in the same places, up to `NEAR` and a shift of all."""
        if self.antennas != other.antennas:
            return False
        mine, theirs = (a.positions.cpu() - a.positions[0].cpu() for a in (self, other))
        return bool((mine - theirs).abs().max() <= NEAR)

    def cosines(self, angles: Tensor) -> Tensor:
        """r̂ (…, 3) of directions: (…) azimuths for a line, (…, 2) azimuths and elevations else; radians.

        Raises:
            InputError: another last axis than 2 for an array that sees both angles.
        """
        angles = angles.to(torch.float64)
        if self.is_line:
            zero = torch.zeros_like(angles)
            return torch.stack([torch.cos(angles), torch.sin(angles), zero], -1)
        if angles.ndim == 0 or angles.shape[-1] != 2:
            raise InputError(
                "a direction of this array is an azimuth and an elevation, axes (…, 2); "
                f"found {tuple(angles.shape)}"
            )
        az, el = angles.unbind(-1)
        return torch.stack([torch.cos(az) * torch.cos(el), torch.sin(az) * torch.cos(el), torch.sin(el)], -1)

    def response(self, cosines: Tensor) -> Tensor:
        """ā (…, N) with ā_n = exp(j 2π p_n · c), unit modulus, for any c (…, 3).

        c = r r̂ is a plane wave at r times the carrier; c may also be longer than that, where no angle is.
        """
        p = self.positions.to(cosines.device)
        phase = torch.zeros((), dtype=torch.float64, device=cosines.device)
        for axis in self._axes:
            phase = phase + (2 * math.pi * cosines[..., axis, None]) * p[:, axis]
        phase = phase.expand(*cosines.shape[:-1], self.antennas)
        return torch.exp(1j * phase)

    def steering(self, angles: Tensor, ratio: float = 1.0) -> Tensor:
        """a_n = N^{-1/2} exp(j 2π r p_n · r̂), Eq. (3) for the default array at r = 1.

        Args:
            angles: (…) azimuths for a line, (…, 2) azimuths and elevations for any other array; radians.
            ratio: r, frequency over the carrier's.

        Returns:
            (…, N) complex128 of unit norm.
        """
        cosines = self.cosines(angles)
        return self.response(cosines if ratio == 1.0 else ratio * cosines) / math.sqrt(self.antennas)

    def steering_derivative(self, angles: Tensor, ratio: float = 1.0) -> Tensor:
        """∂a/∂angle = j 2π r (p_n · ∂r̂/∂angle) a_n, per radian.

        Args:
            angles: as for `steering`.
            ratio: r.

        Returns:
            (…, N) for a line; (…, 2, N) with ∂/∂az and ∂/∂el for any other array.
        """
        a = self.steering(angles, ratio)
        p = self.positions.to(a.device)
        if self.is_line:
            slope = torch.cos(angles.to(torch.float64))[..., None] * p[:, 1]
            return 2j * math.pi * ratio * slope * a
        az, el = angles.to(torch.float64).unbind(-1)
        zero = torch.zeros_like(az)
        by_az = torch.stack([-torch.sin(az) * torch.cos(el), torch.cos(az) * torch.cos(el), zero], -1)
        by_el = torch.stack(
            [-torch.cos(az) * torch.sin(el), -torch.sin(az) * torch.sin(el), torch.cos(el)], -1
        )
        slope = torch.stack([by_az, by_el], -2) @ p.mT
        return 2j * math.pi * ratio * slope * a[..., None, :]


class Kind(NamedTuple):
    """An array that has a name: the record of a file of this package, under the name `KIND`."""

    name: str
    """What `--array` takes: the file's name."""
    written: str
    """An example of the whole, such as planar:8x8."""
    make: Callable[[str, int], Array]
    """(what follows the colon, N where it does not say) → the array; ValueError for another text."""


def _coincident(p: np.ndarray) -> tuple[int, int] | None:
    """The first two positions that are the same, or None: neighbours in sorted order are compared."""
    places = np.round(p / NEAR)
    order = np.lexsort(places.T)
    same = np.flatnonzero((places[order][1:] == places[order][:-1]).all(1))
    if not same.size:
        return None
    first, second = sorted((int(order[same[0]]), int(order[same[0] + 1])))
    return first, second


def _lattice(p: Tensor) -> Lattice | None:
    """The grid of the elements in order, see `Lattice`, for grids along the axes of coordinates."""
    offset = (p - p[0]).numpy()
    steps: dict[int, float] = {}
    for axis in range(3):
        moved = offset[np.abs(offset[:, axis]) > NEAR, axis]
        if moved.size:
            steps[axis] = float(moved[0])
    if not steps:
        return Lattice((1,), torch.zeros(1, 3, dtype=torch.float64))
    places = {axis: np.round(offset[:, axis] / step).astype(int) for axis, step in steps.items()}
    off = max(float(np.abs(offset[:, axis] - places[axis] * steps[axis]).max()) for axis in steps)
    if off > NEAR:
        return None
    for order in itertools.permutations(steps):
        shape = tuple(int(places[axis].max()) + 1 for axis in order)
        if math.prod(shape) != len(p):
            return None
        if all((np.indices(shape)[i].ravel() == places[axis]).all() for i, axis in enumerate(order)):
            rows = torch.zeros(len(order), 3, dtype=torch.float64)
            for i, axis in enumerate(order):
                rows[i, axis] = steps[axis]
            return Lattice(shape, rows)
    return None
