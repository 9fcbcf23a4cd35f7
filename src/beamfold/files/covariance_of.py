"""Ψ of a scenario: from the file that it names, or solved for its targets; on a band for every subcarrier."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beamfold import cache
from beamfold.defaults import SAME_RATIO, SLACK, TARGETS_DEG
from beamfold.errors import InputError
from beamfold.files.directions import directions
from beamfold.files.entries import SOLVED, ScenarioSpec
from beamfold.files.scenarios import array_of

if TYPE_CHECKING:
    from beamfold.files.bands import Frequencies
    from beamfold.sensing import Sensing

MANY = 16
"""Subcarriers from which solving (6) for each takes more than a second or two."""


def sensing_of(spec: ScenarioSpec, antennas: int, solver: str = "fast", *, kept: bool = True) -> Sensing:
    """Ψ from the file that is named, or solved for the targets and `kept` in the user's cache.

    Raises:
        InputError: both a file and a problem are stated, or either is refused.
    """
    from beamfold.covariance import solve_covariance
    from beamfold.files.covariances import cached_covariance
    from beamfold.files.psi import read_sensing

    if spec.psi is not None:
        both = [name for name in SOLVED if getattr(spec, name) is not None]
        if both:
            raise InputError(f"psi brings its own targets and rank; leave {', '.join(both)} out")
        return read_sensing(
            spec.psi, variable=spec.psi_variable, array=array_of(spec, antennas), index=spec.index
        )
    problem, options = _problem_of(spec, antennas, solver)
    return (cached_covariance if kept else solve_covariance)(*problem, **options)


def _problem_of(spec: ScenarioSpec, antennas: int, solver: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments and the options of `solve_covariance` for the problem (6) that is stated."""
    targets = directions(spec.targets_deg or list(TARGETS_DEG))
    options = {"width_deg": spec.width_deg, "angles": spec.angles, "rank": spec.psi_rank, "solver": solver}
    return (array_of(spec, antennas) or antennas, targets), options


def band_sensing_of(
    spec: ScenarioSpec,
    antennas: int,
    ratios: Sequence[float],
    solver: str = "fast",
    slack: float | None = None,
    *,
    kept: bool = True,
) -> tuple[Sensing, ...]:
    """Ψ_s of every subcarrier, solved for the targets as `solve_band` does; the ratios are r_s = f_s/f_c.

    They are `kept` in the user's cache unless told not to.

    Raises:
        InputError: it is refused.
    """
    from beamfold.covariance import solve_band
    from beamfold.files.covariances import cached_band

    problem, options = _problem_of(spec, antennas, solver)
    solve = cached_band if kept else solve_band
    return solve(*problem, ratios=ratios, slack=slack, **options)


def radar_of(
    spec: ScenarioSpec, antennas: int, band: Frequencies | None, *, kept: bool = True
) -> Sensing | tuple[Sensing, ...]:
    """Ψ as `make_scenario` takes it: of a flat channel one; of a band a common one, or one per subcarrier.

    Solved for each subcarrier alone they lie far apart, which one F cannot follow. So each is taken near the
    carrier's, with (6a) proven within `SLACK` of its optimum. What is solved is `kept` in the user's cache
    unless told not to.

    Raises:
        InputError: a file with one Ψ for a band without `common`, one for another band, or what `sensing_of`
            refuses.
    """
    if band is None:
        if spec.common:
            raise InputError(f"{spec.channels} holds flat channels; --common is for a band")
        return sensing_of(spec, antennas, kept=kept)
    if spec.common:
        return sensing_of(spec, antennas, kept=kept)
    if spec.psi is not None:
        return _from_file(spec, antennas, spec.psi, band)
    if len(band.ratios) >= MANY:
        cache.say_once(
            f"note: (6) is solved for {len(band.ratios)} subcarriers, once; --common takes one Psi"
        )
    return band_sensing_of(spec, antennas, band.ratios, slack=SLACK, kept=kept)


def _from_file(spec: ScenarioSpec, antennas: int, psi: Path, band: Frequencies) -> tuple[Sensing, ...]:
    """Ψ_s of a file, which has to be of the channels' band."""
    from beamfold.files.arrays import numbers, read_all
    from beamfold.files.band_sensing import read_band_sensing
    from beamfold.files.bands import frequencies_in

    arrays = numbers(read_all(psi))
    Psi = arrays.get("Psi")
    if Psi is None or Psi.ndim == 2:
        raise InputError(
            f"{psi} holds one Psi, {spec.channels} a band of {len(band.ratios)} subcarriers; give --common "
            "to take it for all of them, or make one for each with `beamfold covariance --subcarriers`"
        )
    held = frequencies_in(psi, arrays)
    if held is not None and (
        len(held.ratios) != len(band.ratios)
        or max(abs(a - b) for a, b in zip(held.ratios, band.ratios, strict=True)) > SAME_RATIO
    ):
        raise InputError(
            f"{psi} is for {len(held.ratios)} subcarriers from {held.ratios[0]:.6g} to {held.ratios[-1]:.6g} "
            f"times its carrier, the channels have {len(band.ratios)} from {band.ratios[0]:.6g} to "
            f"{band.ratios[-1]:.6g}; make one for their band"
        )
    return read_band_sensing(psi, array=array_of(spec, antennas))
