"""Scenario files: channels, Ψ, SNR, weight and RF chains of a scenario in one file, read and recorded.

`entries.ScenarioSpec` says what can stand in one; docs/reference/scenario-file.md is for users.
"""

from __future__ import annotations

import json
import os
import reprlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from beamfold.defaults import ANTENNAS, POWER_RULE, ROWS, SNR_DB, TARGETS_DEG, USERS, WEIGHT
from beamfold.errors import InputError
from beamfold.files.atomic import FileError, Pathlike
from beamfold.files.entries import Directions, ScenarioSpec, entries, key_of

if TYPE_CHECKING:
    from beamfold.arrays import Array
    from beamfold.files.bands import Frequencies
    from beamfold.files.reader import Channels
    from beamfold.networks import Network
    from beamfold.scenario import Scenario
    from beamfold.sensing import Sensing

LARGEST = 1 << 20  # bytes of a TOML file
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
    """The file of the channels; InputError where none is named."""
    if spec.channels is None:
        raise InputError(
            "no channels: give the channel file as an argument, or name it "
            "as `channels` in the file of --scenario"
        )
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


def recorded(spec: ScenarioSpec, s: Scenario, folder: Path | None = None) -> dict[str, Any]:
    """What a result says about its scenario: every entry that is known, as `read_spec` reads it back.

    Args:
        spec: what the scenario was made from.
        s: the scenario.
        folder: where the result is, to which paths are then relative; they are absolute where it is None.
    """
    from beamfold.covariance.problem import default_width

    held: dict[str, Any] = {
        "rows": ROWS, "snr_db": [SNR_DB], "weight": WEIGHT,
        **({} if spec.psi else {"targets_deg": list(TARGETS_DEG), "width_deg": default_width(s.array)}),
        **_stated(spec), "antennas": s.antennas, "users": s.users, "chains": s.chains,
    }  # fmt: skip
    return {
        key_of(name): _written(Path(value), folder) if _is_path(name, value) else value
        for name, value in _stated(ScenarioSpec(**held)).items()
    }


def _is_path(name: str, value: object) -> bool:
    """Whether an entry names a file: a Path does, and an array that is not one of the names."""
    from beamfold.files.antennas import is_named
    from beamfold.networks import NAMES

    named = {"array": is_named, "receive_array": is_named, "network": NAMES.__contains__}
    return isinstance(value, Path) or (name in named and not named[name](str(value)))


def _stated(spec: ScenarioSpec) -> dict[str, Any]:
    """The entries that are stated, in their order."""
    held = {field.name: getattr(spec, field.name) for field in fields(spec)}
    return {name: value for name, value in held.items() if value is not None}


def _written(path: Path, folder: Path | None) -> str:
    """A path as a result records it; links are followed, as the relative path may lead across one."""
    whole = path.resolve()
    return whole.as_posix() if folder is None else Path(os.path.relpath(whole, folder.resolve())).as_posix()


def read_spec(path: Pathlike) -> ScenarioSpec:
    """The entries of a scenario file or of a result; paths, which are relative to its folder, made whole.

    Raises:
        FileError: as `read_scenario` says.
    """
    path = Path(path)
    readers = {
        ".toml": read_toml,
        ".json": _from_json,
        ".mat": _from_arrays,
        ".npz": _from_arrays,
        ".nc": _from_front,
    }
    if not path.is_file():
        raise FileError(f"no such file: {path}")
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise FileError(f"{path} is no scenario: expected .toml, or a result in .mat, .npz, .nc or .json")
    spec = _checked(path, reader(path))
    whole: dict[str, Any] = {
        name: type(value)(path.parent / value)
        for name, value in _stated(spec).items()
        if _is_path(name, value)
    }
    return replace(spec, **whole)


def read_toml(path: Path) -> dict[str, Any]:
    """The entries of a TOML file.

    Raises:
        FileError: no such file, too large for a configuration, or no TOML; says the line and the reason.
    """
    if not path.is_file():
        raise FileError(f"no such file: {path}")
    if path.stat().st_size > LARGEST:
        raise FileError(f"{path} is larger than {LARGEST >> 20} MiB: a configuration is a few lines")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # also of numbers of thousands of digits
        raise FileError(f"{path} is not TOML: {error}") from error


def _from_json(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is not JSON: {error}") from error
    return _recorded_in(path, held.get("scenario") if isinstance(held, dict) else None)


def _from_arrays(path: Path) -> dict[str, Any]:
    from beamfold.files.arrays import read_all

    value = read_all(path).get("scenario")
    return _recorded_in(path, None if value is None or value.size != 1 else str(value.reshape(-1)[0]))


def _from_front(path: Path) -> dict[str, Any]:
    import h5py

    try:
        with h5py.File(path) as file:
            return _recorded_in(path, file.attrs.get("scenario"))
    except OSError as error:
        raise FileError(f"{path} is not a netCDF-4 file") from error


def _recorded_in(path: Path, value: object) -> dict[str, Any]:
    """The scenario of a result, as an object or as JSON text."""
    try:
        held = json.loads(value) if isinstance(value, (str, bytes)) else value
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: its scenario is not JSON: {error}") from error
    if not isinstance(held, dict):
        raise FileError(f"{path} records no scenario; results of version 0.1.0 did not")
    return held


def _checked(path: Path, raw: Mapping[str, Any]) -> ScenarioSpec:
    """The entries with their types checked; every unknown key and wrong type is named."""
    from pydantic import TypeAdapter, ValidationError

    known = {key_of(name): entry for name, entry in entries().items()}
    wrong = [f"unknown key {name[:50]!r}{nearest(name, known)}" for name in raw if name not in known]
    whole = {
        name: [value] if name in known and _is_one_of_several(known[name][0], value) else value
        for name, value in raw.items()
    }
    # Read as JSON, where a path is text; a date, which TOML has and JSON lacks, becomes what no entry takes.
    fields_of = {key_of(name): name for name in entries()}
    whole = {fields_of.get(name, name): value for name, value in whole.items()}
    text = json.dumps(whole, default=lambda date: {"date": str(date)})
    try:
        return TypeAdapter(ScenarioSpec).validate_json(text)
    except ValidationError as error:
        bad = dict.fromkeys(key_of(str(e["loc"][0])) for e in error.errors() if e["loc"])
        wrong += [
            f"{name} must be {KINDS[known[name][0]]}, found {reprlib.repr(raw[name])}"
            for name in bad
            if name in known
        ]
        raise FileError(f"{path}: {'; '.join(wrong) or 'it holds text that is no Unicode'}") from error


def _is_one_of_several(kind: Any, value: Any) -> bool:
    """Whether a number stands where several may stand."""
    several = kind == list[float] or (kind == Directions and isinstance(value, (int, float, str)))
    return several and isinstance(value, (int, float, str)) and not isinstance(value, bool)


KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    Path: "a path in quotes",
    list[float]: "a number or a list of numbers",
    Directions: "an angle, a list of angles, or of pairs [azimuth, elevation]",
}


def nearest(name: str, known: Iterable[str]) -> str:
    """ "; did you mean …?" with the nearest of the known names, or all of them."""
    names = list(known)
    close = get_close_matches(name, names, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"
