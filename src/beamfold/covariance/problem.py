"""The sensing covariance problem (6): its samples, its lag form, and what is refused.

Model. For an array with unit-modulus steering vectors ā(c), c the direction in cosines (`arrays.base`), and
samples c_1 … c_T with the desired pattern P_d, problem (6) at P_t = 1 is

    minimise over α, Ψ   Σ_t | α P_d(c_t) − ā(c_t)ᴴ Ψ ā(c_t) |²
    subject to           diag Ψ = 1/N,  Ψ Hermitian, Ψ ⪰ 0.

Lag form. āᴴ Ψ ā = A x with the sums x of Ψ over equal differences of positions (`arrays.lags`); 2N − 1 reals
for a line. The best α is P_dᵀ p / P_dᵀ P_d, which leaves f(Ψ) = ‖Q A x‖² with the projector
Q = I − P_d P_dᵀ / (P_dᵀ P_d).

Samples where no angle is. On a uniform grid of elements ā(c) repeats with the period 1/d_i along an axis of
spacing d_i. Where a period holds cosines that are those of no angle (the corners of a planar array at half a
wavelength; |c| > 1 of a line at less), (6) on angles alone hides power there: it is not scale invariant, and
a pattern that is small everywhere fits a small α. `unseen` adds samples with P_d = 0 on that part, as dense
as the angles are on average.

Other frequencies. At r times the carrier's frequency (6) depends on a direction through r c. Below the
carrier the part |c| > r of the period is that of no angle and gets samples; above it the part of the period
near its ends is seen from two angles, both of which are samples.

Angles are radians unless a name says degrees; Ψ scales with P_t, and f with P_t².
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from beamfold.arrays import Array, line_array
from beamfold.arrays.lags import Lags
from beamfold.defaults import WIDTH_DEG
from beamfold.errors import InputError

Real: TypeAlias = NDArray[np.float64]
Complex: TypeAlias = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Problem:
    """(6) for an array: P_d on samples of the direction.

    Attributes:
        array: the array.
        pattern: P_d (T,) ≥ 0, not all zero.
        cosines: c_t (T, 3), r times the directions as unit vectors, or longer ones where no angle is.
    """

    array: Array
    pattern: Real
    cosines: Real

    @property
    def antennas(self) -> int:
        """N, antennas."""
        return self.array.antennas

    @property
    def samples(self) -> int:
        """T."""
        return len(self.pattern)

    @property
    def lags(self) -> Lags:
        """The lags of the array."""
        return self.array.lags

    @cached_property
    def steering(self) -> Complex:
        """[ā(c_1) … ā(c_T)], (N, T): unit-modulus entries, √N times the steering vectors of (3)."""
        return self.array.response(torch.from_numpy(self.cosines)).numpy().T

    def rejected(self, p: Real) -> Real:
        """Q p (T, …): what of p along the first axis no α P_d explains."""
        P = self.pattern
        return p - np.multiply.outer(P, P @ p) / (P @ P)


def target_pairs(targets_deg: Sequence[float] | Sequence[Sequence[float]] | Real, array: Array) -> Real:
    """Targets (P, 2) as azimuth and elevation in degrees, sorted; an azimuth alone has elevation 0.

    Raises:
        InputError: no target, one that is neither a number nor a pair, outside ±90°, or with an elevation
            that a line cannot see.
    """
    try:
        given = np.asarray(targets_deg, dtype=float)
    except ValueError as error:
        raise InputError(
            "targets are azimuths, or pairs of azimuth and elevation, in degrees; not both"
        ) from error
    pairs = np.atleast_1d(given) if given.ndim < 2 else given
    if pairs.ndim == 1:
        pairs = np.stack([pairs, np.zeros_like(pairs)], -1)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs) or not np.all(np.isfinite(pairs)):
        raise InputError("targets must be a non-empty list of finite angles in degrees, or of pairs of them")
    worst = pairs.ravel()[np.abs(pairs).argmax()]
    if abs(worst) > 90:
        raise InputError(f"target at {worst:g} degrees: outside [-90, 90]")
    if array.is_line and pairs[:, 1].any():
        raised = pairs[pairs[:, 1] != 0][0]
        raise InputError(
            f"target at azimuth {raised[0]:g}, elevation {raised[1]:g} degrees: a line cannot see "
            "elevation; give azimuths alone, or another array"
        )
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def desired_pattern(
    targets_deg: Sequence[float] | Sequence[Sequence[float]] | Real,
    T: int = 181,
    width_deg: float | None = None,
    array: Array | None = None,
) -> tuple[Real, Real]:
    """P_d = 1 where the angle to a target is at most width/2, else 0, Eq. (27), on a uniform grid over ±90°.

    For a line that is |θ_t − θ̂_p| ≤ width/2; for any other array the angle between the directions.

    Args:
        targets_deg: θ̂_p in degrees in any order: azimuths, or pairs of azimuth and elevation.
        T: angles of the uniform grid, both ends included; for an array that sees elevation along each axis.
        width_deg: full width of a mainlobe in degrees; default `default_width(array)`.
        array: default a line, for which only the grid's angles count.

    Returns:
        P_d and the grid in radians: (T,) and (T,) for a line, else (T²,) and (T², 2), elevation fastest.

    Raises:
        InputError: no target, a target outside ±90°, an elevation for a line, two targets nearer than the
            width (their mainlobes would overlap), or a grid so coarse that a mainlobe holds no angle.
    """
    array = array or line_array(1)
    targets = target_pairs(targets_deg, array)
    width_deg = default_width(array) if width_deg is None else width_deg
    if not (np.isfinite(width_deg) and width_deg > 0):
        raise InputError(f"width of {width_deg} degrees: must be positive")
    if not np.isfinite(T) or int(T) != T or T < 2:
        raise InputError(f"T = {T} angles: must be an integer of at least 2")
    unit = _unit_vectors(np.deg2rad(targets))
    apart = _angles_between(unit, unit)[np.triu_indices(len(unit), 1)]
    closest = apart.min() if apart.size else np.inf
    if closest < width_deg - 1e-9:
        raise InputError(f"targets {closest:.6g} degrees apart overlap: mainlobes are {width_deg:g} wide")
    axis = np.linspace(-90.0, 90.0, int(T))
    if array.is_line:
        grid, pairs = np.deg2rad(axis), np.stack([axis, np.zeros_like(axis)], -1)
    else:
        pairs = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
        grid = np.deg2rad(pairs)
    # 1e-9 degrees: an angle on the edge of a mainlobe counts as inside whatever its rounding
    inside = _angles_between(_unit_vectors(np.deg2rad(pairs)), unit) <= width_deg / 2 + 1e-9
    if not inside.any(axis=0).all():
        missed = targets[~inside.any(axis=0)][0]
        at = f"{missed[0]:g}" if array.is_line else f"{missed[0]:g}/{missed[1]:g}"
        raise InputError(f"no angle of the {T}-angle grid lies in the mainlobe of the target at {at}")
    return inside.any(axis=1).astype(float), grid


def default_width(array: Array) -> float:
    """5° for a line; for other arrays 60° over the length in wavelengths where that is more.

    The half-power beam of n elements at half a wavelength is 102°/n wide. A planar array of the usual size
    has far wider beams than a line of as many elements: asked for 5°, the least squares of (6) prefer no
    beam.
    """
    return WIDTH_DEG if array.is_line else max(WIDTH_DEG, 60 / array.length)


def _unit_vectors(pairs: Real) -> Real:
    """r̂ (P, 3) of azimuths and elevations (P, 2) in radians, as `Array.cosines` has them."""
    az, el = pairs.T
    return np.stack([np.cos(az) * np.cos(el), np.sin(az) * np.cos(el), np.sin(el)], -1)


def _angles_between(u: Real, v: Real) -> Real:
    """Angles (P, R) in degrees between unit vectors u (P, 3) and v (R, 3), accurate where they are small."""
    chord = np.linalg.norm(u[:, None] - v[None], axis=-1)
    return np.rad2deg(2 * np.arcsin(np.minimum(chord / 2, 1.0)))


DENSER = 1.5
"""How much denser than the angles the samples of no angle are at another frequency than the carrier's.

There they begin next to directions that are seen. As dense as the angles, they leave up to 1.7 % of the power
where no angle is (64 antennas, r = 0.95); half as dense again, 1.1 %.
"""


def unseen(array: Array, angles: int, ratio: float = 1.0) -> Real:
    """Cosines (U, 3) in a period of the array's response that are those of no angle; see the module's
    docstring.

    Args:
        array: the array; one without a lattice has no period and gets none.
        angles: directions that the fit has; the samples are as dense as these are on average, or `DENSER`.
        ratio: r; the cosines are r times those of a direction.
    """
    if array.lattice is None or array.antennas == 1:
        return np.zeros((0, 3))
    steps = array.lattice.steps.numpy()
    spacing = np.abs(steps).max(axis=1)
    axes = np.abs(steps).argmax(axis=1)
    volume = {1: 2.0, 2: math.pi, 3: 4 * math.pi / 3}[len(axes)]
    density = (angles * (1.0 if ratio == 1.0 else DENSER) / volume) ** (1 / len(axes))
    each = []
    for d in spacing:
        count = max(2, math.ceil(density / d))
        each.append(((np.arange(count) + 0.5) / count - 0.5) / d)
    grid = np.stack(np.meshgrid(*each, indexing="ij"), -1).reshape(-1, len(axes))
    grid = grid[np.linalg.norm(grid, axis=1) > ratio + 1e-9]
    cosines = np.zeros((len(grid), 3))
    cosines[:, axes] = grid
    return cosines


def problem_of(array: Array, pattern: Real, angles: Real, ratio: float = 1.0) -> Problem:
    """(6) for P_d (T,) on angles (T,) or (T, 2), with samples of 0 where no angle is.

    Args:
        array: the array.
        pattern: P_d.
        angles: radians.
        ratio: r, the frequency over the carrier's.
    """
    seen = ratio * array.cosines(torch.from_numpy(angles)).numpy()
    hidden = unseen(array, len(pattern), ratio)
    return Problem(array, np.concatenate([pattern, np.zeros(len(hidden))]), np.concatenate([seen, hidden]))


def check_antennas(N: int) -> int:
    """N as an int.

    Raises:
        InputError: N is not an integer of at least 1.
    """
    if not np.isfinite(N) or int(N) != N or N < 1:
        raise InputError(f"N = {N} antennas: must be an integer of at least 1")
    return int(N)


def check_problem(pattern: ArrayLike, grid_rad: ArrayLike, N: int, ratio: float = 1.0) -> Problem:
    """(6) of a half-wavelength line, where neighbouring samples of u = r sin θ are less than 2/N apart.

    The grid must see every beam.

    A beam of N elements is 4/N wide between its nulls in u, so where neighbouring samples are 2/N
    or more apart in u (which has period 2) a beam between them vanishes at both: the fit is blind to it
    and its optimum means nothing. A uniform grid over 180° passes when T > 1 + πN/2 at r = 1. Below a step of
    1/(N−1), T > 1 + π(N−1), the samples fix the pattern everywhere; between the two the fit reads
    somewhat better on the grid than off it (docs/explanations/covariance.md has figures).

    Args:
        pattern: P_d (T,) ≥ 0, not all zero.
        grid_rad: (T,) radians, increasing within ±π/2.
        N: antennas.
        ratio: r, the frequency over the carrier's.

    Returns:
        The problem.

    Raises:
        InputError: in one line, what does not fit.
    """
    N = check_antennas(N)
    pattern = np.asarray(pattern, dtype=float).ravel()
    grid = np.asarray(grid_rad, dtype=float).ravel()
    if pattern.shape != grid.shape or grid.size < 2:
        raise InputError(f"pattern has {pattern.size} values for {grid.size} grid angles")
    if not (np.all(np.isfinite(pattern)) and np.all(np.isfinite(grid))):
        raise InputError("pattern and grid must be finite")
    if np.any(pattern < 0):
        raise InputError("pattern must not be negative")
    if not np.any(pattern > 0):
        raise InputError("pattern is empty: no grid angle is wanted")
    if np.abs(grid).max() > np.pi / 2 + 1e-9 or np.any(np.diff(grid) <= 0):
        raise InputError("grid must increase strictly within [-pi/2, pi/2] (radians)")
    problem = problem_of(line_array(N), pattern, grid, ratio)
    u = np.unique(np.round(problem.cosines[:, 1] % 2, 12))  # the samples around one period
    step = max(np.diff(u).max(initial=0), u[0] + 2 - u[-1])
    if step >= 2 / N:
        raise InputError(
            f"grid too coarse for N = {N}: a step of {step:.4f} in sin(theta) hides a whole beam "
            f"(2/N = {2 / N:.4f}); a uniform grid needs T >= {int(np.floor(1 + ratio * np.pi * N / 2)) + 1}"
        )
    return problem


def check_steps(array: Array, T: int, ratio: float = 1.0) -> None:
    """Raise InputError where T angles over ±90° along each axis are too coarse to see every beam of an array.

    As for a line (`check_problem`): the step in a direction cosine, largest at broadside, must be below half
    the width of a beam, which is narrower by r at r times the carrier's frequency.
    """
    length = ratio * array.length
    need = math.pi / math.asin(1 / length) + 1 if length > 1 else 2
    if need >= T:
        raise InputError(
            f"grid too coarse: {T} angles over 180 degrees step over whole beams of {array.name}; "
            f"it needs at least {math.floor(need) + 1} along each axis"
        )
