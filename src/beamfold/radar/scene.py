r"""`Scene`: the targets, the clutter and the receiver, with the signal model that every figure belongs to.

A base station sends X s_t in snapshot t = 1 … L, with E s_t s_tᴴ = I, and receives

    y_t = Σ_i α_i b̄(θ_i) ā(θ_i)ᴴ X s_t + z_t,      C = E z_t z_tᴴ = σ² I + Σ_c γ_c (ā_cᴴ R ā_c) b̄_c b̄_cᴴ,

where R = X Xᴴ, ā is the steering vector of the transmit array with entries of modulus 1, and b̄ that of the
receive array conjugated: the row of H towards θ is ā(θ)ᴴ, and an echo comes back through the same channels,
transposed. α_i holds the path loss and the reflection of target i, and γ_c those of a clutter patch at θ_c,
which fluctuates from snapshot to snapshot. For one target it does not matter which of b̄ and its conjugate
comes back; the Fisher matrix of several depends on it.

Only ratios count. The SNR of a target is |α_i|² P_t/σ², that of a clutter patch γ_c P_t/σ²: what one receive
antenna would get in one snapshot from one transmit antenna that radiates all of P_t. Both arrays' gains come
on top of it: a beam of N antennas towards a target and N_r antennas that listen to it add 10 log₁₀(N N_r) dB.

Over S subcarriers X is (…, S, N, K), steering vectors are those of the frequency ratios (S,), and information
adds up. The amplitudes α_i are one number for the band ("common", a delay that is known) or a number of
each subcarrier ("each").
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from beamfold.arrays import Array
from beamfold.errors import InputError
from beamfold.sensing import Sensing

Directions = Sequence[float] | Sequence[tuple[float, float]]
"""In degrees: azimuths for a line, pairs of azimuth and elevation for any other array."""
Amplitudes = Literal["common", "each"]
Columns = Callable[[Array, Tensor, float], Tensor]
"""(array, directions, frequency ratio) → (N, n)."""

SNR_DB = -35.0
"""Default SNR of a target: with 64 antennas on both sides 1 dB after both array gains."""
CNR_DB = -20.0
"""Default power of a clutter patch."""
SNAPSHOTS = 64
FALSE_ALARM = 1e-6
SAME = 1e-9
"""Directions whose cosines agree up to this are one direction."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What is sensed and how. Make one with `make_scene`, which checks.

    Attributes:
        array: the transmit array, N antennas.
        targets: θ_i in rad, (T,) azimuths for a line, else (T, 2) azimuths and elevations.
        amplitudes: (T,) complex128, α_i √P_t/σ.
        receive: the receive array, N_r antennas.
        clutter: θ_c in rad, (C,) or (C, 2); C may be 0.
        cnr: (C,), γ_c P_t/σ².
        snapshots: L.
        false_alarm: P_FA.
        ratios: frequency over the carrier's of each subcarrier; None where there is one, the carrier.
        band: whether α_i is one number for all subcarriers, or one of each.
    """

    array: Array
    targets: Tensor
    amplitudes: Tensor
    receive: Array
    clutter: Tensor
    cnr: Tensor
    snapshots: int = SNAPSHOTS
    false_alarm: float = FALSE_ALARM
    ratios: tuple[float, ...] | None = None
    band: Amplitudes = field(default="common")

    @property
    def count(self) -> int:
        """T."""
        return len(self.targets)

    @property
    def dims(self) -> int:
        """Angles of a direction: 1 for a line, else 2."""
        return 1 if self.array.is_line else 2

    @property
    def snr(self) -> Tensor:
        """|α_i|² P_t/σ² (T,)."""
        return self.amplitudes.abs().square()

    @cached_property
    def transmit(self) -> Tensor:
        """V = [ā_1 … ā_T, ∂ā_1 … ∂ā_T] (N, T (1 + dims)), (S, …) with several ratios; derivatives per rad."""
        return self._over_band(_with_derivatives, self.array, self.targets)

    @cached_property
    def received(self) -> Tensor:
        """U, the same of the receive array: (N_r, T (1 + dims))."""
        U = self._over_band(_with_derivatives, self.receive, self.targets)
        return U.conj().resolve_conj()

    @cached_property
    def clutter_steering(self) -> tuple[Tensor, Tensor]:
        """ā_c (N, C) and b̄_c (N_r, C), (S, …) with several ratios."""
        sent, heard = (self._over_band(_steering, a, self.clutter) for a in (self.array, self.receive))
        return sent, heard.conj().resolve_conj()

    def _over_band(self, columns: Columns, array: Array, at: Tensor) -> Tensor:
        """Columns (N, n) of directions, or (S, N, n) at every frequency ratio."""
        if self.ratios is None:
            return columns(array, at, 1.0)
        return torch.stack([columns(array, at, ratio) for ratio in self.ratios])

    def unit(self, X: Tensor, power: Tensor | float) -> Tensor:
        """X/√P_t in complex128, for X (…, N, K) or (…, S, N, K) and power (…).

        Raises:
            InputError: X of another number of antennas or subcarriers.
        """
        banded = self.ratios is not None
        if X.shape[-2] != self.array.antennas or (banded and X.shape[-3] != len(self.ratios or ())):
            wanted = (self.array.antennas,) if not banded else (len(self.ratios or ()), self.array.antennas)
            raise InputError(
                f"the scene is for X (…, {', '.join(map(str, wanted))}, K), got {tuple(X.shape)}"
            )
        scale = torch.as_tensor(power, dtype=torch.float64, device=X.device).rsqrt()
        return X.to(torch.complex128) * scale.reshape(*scale.shape, *[1] * (3 if banded else 2))


def _steering(array: Array, at: Tensor, ratio: float) -> Tensor:
    return math.sqrt(array.antennas) * array.steering(at, ratio).mT


def _with_derivatives(array: Array, at: Tensor, ratio: float) -> Tensor:
    slopes = array.steering_derivative(at, ratio).reshape(-1, array.antennas)
    return torch.cat([_steering(array, at, ratio), math.sqrt(array.antennas) * slopes.mT], -1)


def make_scene(
    array: Array,
    targets_deg: Directions,
    *,
    target_snr_db: float | Sequence[float] = SNR_DB,
    receive: Array | None = None,
    clutter_deg: Directions = (),
    clutter_db: float | Sequence[float] = CNR_DB,
    snapshots: int = SNAPSHOTS,
    false_alarm: float = FALSE_ALARM,
    phases: Sequence[float] | None = None,
    ratios: Sequence[float] | None = None,
    band: Amplitudes = "common",
) -> Scene:
    """Check what is sensed, and make the scene that every figure takes.

    Args:
        array: the transmit array.
        targets_deg: directions of the targets in degrees.
        target_snr_db: 10 log₁₀ |α_i|² P_t/σ², before both array gains; one for all or one of each target.
        receive: the receive array; default the transmit one.
        clutter_deg: directions of clutter patches in degrees.
        clutter_db: 10 log₁₀ γ_c P_t/σ²; one for all or one of each patch.
        snapshots: L ≥ 1.
        false_alarm: P_FA, above 0 and below 1.
        phases: of α_i in rad, default 0: the bound of close targets depends on their differences.
        ratios: frequency ratios of the subcarriers; default the carrier alone.
        band: "common" or "each", see the module's docstring.

    Raises:
        InputError: no target, a target twice, clutter on a target, P_FA outside (0, 1), L < 1, powers that
            are not finite, or a receive array of another kind. Two targets closer than the arrays resolve
            get a warning.
    """
    receive = array if receive is None else receive
    if receive.is_line != array.is_line:
        raise InputError(
            f"the receive array {receive.name} and the transmit array {array.name} are of different kinds: "
            "one sees azimuth alone; take two lines along y, or two arrays that see both angles"
        )
    targets, clutter = _directions(array, targets_deg, "target"), _directions(array, clutter_deg, "clutter")
    if not len(targets):
        raise InputError("nothing to sense: no target is given; name at least one direction")
    _check_apart(array, receive, targets, clutter, targets_deg, clutter_deg)
    if snapshots < 1:
        raise InputError(f"sensing needs at least 1 snapshot, got {snapshots}")
    if not 0 < false_alarm < 1:
        raise InputError(f"the false-alarm probability is above 0 and below 1, got {false_alarm:g}")
    if ratios is not None and not (len(ratios) and all(math.isfinite(r) and r > 0 for r in ratios)):
        raise InputError(f"frequency ratios are finite and above 0, got {list(ratios)}")
    if phases is not None and len(phases) != len(targets):
        raise InputError(f"found {len(phases)} phases for {len(targets)} targets, expected one of each")
    turn = torch.tensor([0.0] * len(targets) if phases is None else list(phases), dtype=torch.float64)
    return Scene(
        array,
        targets,
        torch.polar(_linear(target_snr_db, len(targets), "target").sqrt(), turn),
        receive,
        clutter,
        _linear(clutter_db, len(clutter), "clutter"),
        snapshots,
        false_alarm,
        None if ratios is None else tuple(ratios),
        band,
    )


def scene_of(sensing: Sensing) -> Scene:
    """The targets of Ψ, sensed with the default SNR, snapshots and false alarms by the transmit array.

    Raises:
        InputError: Ψ states no targets.
    """
    if not len(sensing.targets):
        raise InputError(
            "Psi states no targets to sense; take a Psi that was solved for targets, or `beamfold sense` "
            "with --targets-deg on the designs"
        )
    degrees = torch.rad2deg(sensing.target_angles).tolist()
    return make_scene(sensing.array, degrees if sensing.array.is_line else [tuple(pair) for pair in degrees])


def _directions(array: Array, degrees: Directions, what: str) -> Tensor:
    """The directions in rad, (T,) or (T, 2)."""
    try:
        found = torch.tensor(list(degrees), dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"a direction of a {what} is an azimuth or a pair, in degrees: {degrees}") from error
    pairs = found.ndim == 2
    if found.numel() and pairs == array.is_line:
        kind = "an azimuth" if array.is_line else "a pair azimuth/elevation"
        raise InputError(f"a direction of the array {array.name} is {kind}; {what}s are given as {degrees}")
    if not torch.isfinite(found).all() or bool((found.abs() > 90).any()):
        raise InputError(f"directions of {what}s are from -90 to 90 degrees, got {degrees}")
    return torch.deg2rad(found if array.is_line else found.reshape(-1, 2))


def _linear(decibel: float | Sequence[float], count: int, what: str) -> Tensor:
    """Powers (count,) from dB, one for all or one of each."""
    given = torch.as_tensor(decibel, dtype=torch.float64).reshape(-1)
    if given.numel() not in (1, count):
        raise InputError(
            f"found {given.numel()} powers in dB for {count} {what} directions, expected 1 or {count}"
        )
    found = 10 ** (given / 10)
    if not (torch.isfinite(given).all() and torch.isfinite(found).all() and bool((found > 0).all())):
        raise InputError(f"the power of a {what} in dB must be finite, got {given.tolist()}")
    return found.expand(count) if given.numel() == 1 else found


def _check_apart(
    array: Array,
    receive: Array,
    targets: Tensor,
    clutter: Tensor,
    targets_deg: Directions,
    clutter_deg: Directions,
) -> None:
    """Refuse a target twice and clutter on a target; warn of targets that are hardly resolved."""
    r = array.cosines(targets)
    apart = (r[:, None] - r).abs().amax(-1)
    length = max(array.length, receive.length)
    resolved = 1 / length if length > 0 else math.inf
    for i in range(len(targets)):
        for j in range(i):
            if apart[i, j] <= SAME:
                raise InputError(f"the target at {targets_deg[i]} degrees is given twice; give each once")
            if apart[i, j] < resolved:
                warnings.warn(
                    f"the targets at {targets_deg[j]} and {targets_deg[i]} degrees are closer than the "
                    f"array resolves, {resolved:.3g} in direction cosines: their bounds are large",
                    stacklevel=3,
                )
    if len(clutter):
        near = (array.cosines(clutter)[:, None] - r).abs().amax(-1) <= SAME
        if near.any():
            c = int(torch.nonzero(near)[0, 0])
            raise InputError(f"the clutter at {clutter_deg[c]} degrees stands on a target; move or drop it")
