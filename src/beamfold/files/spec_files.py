"""The entries of a scenario in files: read from TOML or from a result that records them, and recorded.

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
from typing import TYPE_CHECKING, Any

from beamfold.defaults import ROWS, SNR_DB, TARGETS_DEG, WEIGHT
from beamfold.files.atomic import FileError, Pathlike, check_there
from beamfold.files.directions import Directions
from beamfold.files.entries import ScenarioSpec, entries, key_of

if TYPE_CHECKING:
    from beamfold.scenario import Scenario

LARGEST = 1 << 20  # bytes of a TOML file


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
        FileError: no such file, no scenario in it, an unknown key or a value of another type.
    """
    path = Path(path)
    readers = {
        ".toml": read_toml,
        ".json": _from_json,
        ".mat": _from_arrays,
        ".npz": _from_arrays,
        ".nc": _from_front,
    }
    check_there(path)
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
    check_there(path)
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
