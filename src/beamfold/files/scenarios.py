"""The scenario that entries describe: its channels, Ψ, array and network read or made, and its sizes.

`entries.ScenarioSpec` says what can be stated, and `spec_files` reads it from files.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from beamfold.defaults import ANTENNAS, POWER_RULE, SNR_DB, USERS, WEIGHT
from beamfold.errors import InputError
from beamfold.files.atomic import Pathlike, check_there
from beamfold.files.entries import ScenarioSpec
from beamfold.files.spec_files import read_spec

if TYPE_CHECKING:
    from beamfold.arrays import Array
    from beamfold.files.bands import Frequencies
    from beamfold.files.reader import Channels
    from beamfold.networks import Network
    from beamfold.scenario import Scenario
    from beamfold.sensing import Sensing

Number = TypeVar("Number", int, float)


def read_scenario(path: Pathlike) -> Scenario:
    """The scenario of a file, checked by `make_scenario`; docs/reference/scenario-file.md lists the keys.

    Args:
        path: `.toml`, or a result that records its scenario: a design file `.mat` or `.npz`, a front `.nc`,
            or the saved output `.json` of a command with `--json`.

    Returns:
        The scenario of H (B, K, N) at one SNR, of (S, B, K, N) at several.

    Raises:
        FileError: no such file, no scenario in it, an unknown key or a value of another type.
        InputError: channels, Ψ or figures that make no scenario; one line.
    """
    return load_scenario(read_spec(path))


def load_scenario(spec: ScenarioSpec) -> Scenario:
    """The scenario of the channels that are named, see `scenario_of`.

    Raises:
        InputError: no channels are named, or as `scenario_of` says.
    """
    from beamfold.files.reader import read_set

    return scenario_of(spec, read_set(channel_file(spec), spec))


def scenario_of(
    spec: ScenarioSpec, read: Channels, radar: Sensing | tuple[Sensing, ...] | None = None
) -> Scenario:
    """Read or solve Ψ, unless it is given, and make the scenario of channels, with the usual defaults.

    Raises:
        InputError: the channels have other sizes than the file states, or `make_scenario` or `radar_of`
            refuses.
    """
    from beamfold.files.covariance_of import radar_of
    from beamfold.files.goals import of_goal
    from beamfold.scenario import make_scenario

    path, H, band = channel_file(spec), read.H, read.band
    users, antennas = H.shape[1 if band is None else 2], H.shape[-1]
    asked = (_or(spec.users, users), _or(spec.antennas, antennas))
    if asked != (users, antennas):
        grouped = (
            "; --group order makes groups of users" if spec.users is not None and spec.users < users else ""
        )
        raise InputError(
            f"{path} has {users} users and {antennas} antennas, the scenario says {asked[0]} and "
            f"{asked[1]}{grouped}"
        )
    levels = spec.snr_db or [SNR_DB]
    radar = radar_of(spec, antennas, band) if radar is None else radar
    return make_scenario(
        H,
        radar,
        snr_db=levels if len(levels) > 1 else levels[0],
        chains=spec.chains,
        weight=_or(spec.weight, WEIGHT),
        array=array_of(spec, antennas),
        streams=spec.streams,
        network=network_of(spec, antennas, _or(spec.chains, users * (spec.streams or 1))),
        **_of_band(spec, band),
        sensing_streams=spec.sensing_streams or 0,
        known_to_users=bool(spec.known_to_users),
        **of_goal(spec, radar[0] if isinstance(radar, tuple) else radar),
    )


def _of_band(spec: ScenarioSpec, band: Frequencies | None) -> dict[str, Any]:
    """What `make_scenario` is told of a band; nothing for flat channels.

    Raises:
        InputError: a power rule for flat channels, which have no band.
    """
    if band is None:
        if spec.power is not None:
            raise InputError(f"{spec.channels} holds flat channels; --power is for a band")
        return {}
    rule = spec.power or POWER_RULE
    return {"frequencies": band.frequencies, "carrier_hz": band.carrier, "power_rule": rule}


def _or(value: Number | None, default: Number) -> Number:
    """What is stated, 0 included, else the default."""
    return default if value is None else value


def channel_file(spec: ScenarioSpec) -> Path:
    """The file of the channels; InputError where none is named, or where there is no such file.

    Asked before a command imports torch, so that a wrong name is told at once.
    """
    if spec.channels is None:
        raise InputError(
            "no channels: give the channel file as an argument, or name it "
            "as `channels` in the file of --scenario"
        )
    check_there(spec.channels)
    return spec.channels


def array_of(spec: ScenarioSpec, antennas: int) -> Array | None:
    """The array of the base station: as stated, else as the channel file states it; None where neither does.

    Raises:
        InputError: another array than that of the channel file, or one of another size than N.
    """
    from beamfold.files.antennas import array_called, read_antennas
    from beamfold.files.tools import tool_array

    if spec.from_ is not None:
        return tool_array(spec.from_, spec.array, antennas)
    held = read_antennas(spec.channels) if spec.channels is not None else None
    if spec.array is None:
        return held
    found = array_called(spec.array, antennas)
    if held is not None and not found.same_as(held):
        raise InputError(
            f"{spec.channels} states the array {held.name}, the scenario says {found.name}; leave it out"
        )
    if found.antennas != antennas:
        raise InputError(f"the array {found.name} has {found.antennas} antennas, expected {antennas}")
    return found


def network_of(spec: ScenarioSpec, antennas: int, chains: int) -> Network | None:
    """The analog network as stated, for N antennas and M chains; None for the paper's.

    Raises:
        InputError: no such network or file, or sizes that do not fit.
    """
    if spec.network is None and spec.bits is None:
        return None
    from beamfold.files.masks import network_called

    found = network_called(spec.network or "full", antennas, chains, spec.bits)
    if spec.chains is not None and found.chains != spec.chains:
        raise InputError(f"{spec.network} has {found.chains} chains, the scenario says {spec.chains}")
    return found


def sizes_of(spec: ScenarioSpec) -> tuple[int, int, int]:
    """(N, K, M) as stated, else N and K as the channels have them that are named, else the defaults."""
    antennas, users = spec.antennas, spec.users
    if spec.channels is not None and None in (antennas, users):
        from beamfold.files.reader import read_set

        H = read_set(spec.channels, replace(spec, users=None) if spec.group is None else spec).H
        antennas = _or(antennas, H.shape[-1])
        users = _or(users, H.shape[-2 if spec.streams is None else -3])
    if antennas is None and spec.array is not None:
        from beamfold.files.antennas import array_called

        antennas = array_called(spec.array, ANTENNAS).antennas
    antennas = _or(antennas, ANTENNAS)
    users = _or(users, min(USERS, antennas))
    return antennas, users, _or(spec.chains, users)
