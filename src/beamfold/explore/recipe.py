"""How a design is made outside the page: a few lines of Python or one command make it to the last bit."""

from __future__ import annotations

import json
import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beamfold.arrays import line_array
from beamfold.defaults import METHOD, ROWS
from beamfold.explore.state import State
from beamfold.files.axes import CHANNELS, written
from beamfold.files.entries import READING, ScenarioSpec, key_of
from beamfold.files.scenarios import channel_file
from beamfold.files.spec_files import recorded

if TYPE_CHECKING:
    from beamfold.explore.designs import Base, Designs

TARGET = "design.mat"
PRINTED = "print(float(d.rate), float(d.tau))  # {F, W} are d.F and d.W"


def recipe(held: Designs, state: State) -> dict[str, str]:
    """The program and the command of a state."""
    spec, base = alone(held, held.spec_of(state), state), held.base(state)
    return {"python": program(held, state), "command": command(spec, base, TARGET)}


def alone(held: Designs, spec: ScenarioSpec, state: State) -> ScenarioSpec:
    """The scenario of one channel of the file, where the file has an axis of channels; else of all."""
    axes = held.channels.first.axes
    if CHANNELS not in axes or spec.from_ is not None or spec.group is not None:
        return spec
    if len(axes) != len(set(axes)) or held.channels.count == 1:
        return spec
    index = ",".join(filter(None, (spec.index, f"{CHANNELS}={state.channel}")))
    return replace(spec, axes=written(axes), index=index)


def command(spec: ScenarioSpec, base: Base, target: str) -> str:
    """`beamfold design` with every entry that is stated as an option."""
    words = ["beamfold", "design", str(channel_file(spec))]
    for field in fields(spec):
        value = getattr(spec, field.name)
        if value is None or value is False or field.name == "channels":
            continue
        words.append("--" + key_of(field.name).replace("_", "-"))
        if value is not True:
            words += [_word(each) for each in (value if isinstance(value, list) else [value])]
    if base.method != METHOD:
        words += ["--method", base.method]
        words += [word for name, value in base.options.items() for word in ("--set", f"{name}={value}")]
    return shlex.join([*words, "-o", target])


def _word(value: Any) -> str:
    """A value as an option takes it; a float in as many digits as it has."""
    if isinstance(value, (list, tuple)):
        return "/".join(_word(part) for part in value)
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def program(held: Designs, state: State) -> str:
    """The lines of Python: with every step where the scenario is of the simple kind, else from a file."""
    spec, s = held.spec_of(state), held.base(state).s
    simple = s.band is None and s.goal is None and s.per_user.single and state.network is not None
    array = _array(held) if simple and spec.psi is None and spec.from_ is None else None
    if array is None:
        return _from_file(held, state)
    hardware = f", chains={s.chains}" if s.chains != s.users else ""
    if not s.network.usual:
        hardware = f", network=bf.{_network(state, s.antennas)}"
    one, read = f"[{state.channel}:{state.channel + 1}]", spec
    if held.channels.apart:  # a large file, of which Python too reads one channel alone
        one, read = "", alone(held, spec, state)
    targets = ", ".join(_target(t) for t in state.targets_deg or ())
    solving = _options(width_deg=spec.width_deg, angles=spec.angles, rank=spec.psi_rank)
    point = f"snr_db={_word(state.snr_db)}, weight={_word(state.weight)}"
    return "\n".join(
        [
            "import beamfold as bf",
            f"H = bf.read_channels({str(channel_file(spec))!r}{_reading(read)}){one}",
            f"Psi = bf.solve_covariance({array}, [{targets}]{solving})",
            f"s = bf.make_scenario(H, Psi, {point}{hardware})",
            "d = bf.design(s)",
            PRINTED,
        ]
    )


def _options(**given: Any) -> str:
    """Further arguments of a call, those that are None left out."""
    return "".join(f", {name}={value!r}" for name, value in given.items() if value is not None)


def _reading(spec: ScenarioSpec) -> str:
    """How `bf.read_channels` is told to read the file."""
    stated = {name: getattr(spec, name) for name in READING}
    stated["rows"] = None if stated["rows"] == ROWS else stated["rows"]
    return _options(**stated, users=spec.users if spec.group else None)


def _target(target: float | tuple[float, float]) -> str:
    return f"({target[0]:g}, {target[1]:g})" if isinstance(target, tuple) else _word(target)


def _array(held: Designs) -> str | None:
    """The array as `solve_covariance` takes it, None for one that no short word makes."""
    from beamfold.arrays import planar_array
    from beamfold.files.scenarios import array_of

    N = held.channels.first.H.shape[-1]
    array = array_of(held.spec, N)
    if array is None or array.same_as(line_array(N)):
        return str(N)
    for across in range(1, N + 1):
        if N % across == 0 and array.same_as(planar_array(across, N // across)):
            return f"bf.planar_array({across}, {N // across})"
    return None


def _network(state: State, antennas: int) -> str:
    name = {"full": "fully_connected"}.get(state.network or "", state.network)
    bits = "" if state.bits is None else f", bits={state.bits}"
    return f"{name}({antennas}, {state.chains}{bits})"


def _from_file(held: Designs, state: State) -> str:
    """The lines for any scenario, which they write down as `bf.read_scenario` reads it."""
    base = held.base(state)
    spec = alone(held, held.spec_of(state), state)
    entries = json.dumps({"scenario": recorded(spec, base.s)}, ensure_ascii=False)
    one = "" if spec.index != held.spec.index else f"[{state.channel}:{state.channel + 1}]"
    options = _options(**base.options)
    named = "" if base.method == METHOD and not options else f", {base.method!r}{options}"
    return "\n".join(
        [
            "import pathlib, beamfold as bf",
            f"scenario = {entries!r}",
            'pathlib.Path("scenario.json").write_text(scenario)',
            f'd = bf.design(bf.read_scenario("scenario.json"){one}{named})',
            PRINTED,
        ]
    )


def record(held: Designs, state: State, folder: Path) -> dict[str, str]:
    """The scenario, the channels and the command of a design, for the file in which it is saved."""
    spec, base = alone(held, held.spec_of(state), state), held.base(state)
    facts = {"scenario": json.dumps(recorded(spec, base.s, folder)), "understood": held.channels.first.told}
    return facts | {"command": command(spec, base, TARGET)}
