"""From the options of the command line to those of a method, checked against the method's signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, Literal, get_args, get_origin, get_type_hints

from beamfold.errors import InputError
from beamfold.registry import METHODS, check_options, method_named

OFTEN = (
    "inner",
    "layers",
    "engine",
    "depth",
    "precision",
    "tau_max",
    "tau_max_db",
    "rcrb_max_deg",
    "scnr_min_db",
    "any_size",
    "model",
)
"""Options that have one of their own in `beamfold design`; all others are given by --set."""


def options_for(method: str, given: Mapping[str, Any], settings: Sequence[str] = ()) -> dict[str, Any]:
    """What was asked for, as the method takes it.

    Args:
        method: a name of `registry.METHODS`.
        given: options that are not None, by their names in Python.
        settings: further ones as "name=value".

    Raises:
        InputError: an option that the method does not take, one given twice, or a value of another type;
            one line that says what is taken.
    """
    texts = dict(_pair(text) for text in settings)
    if len(texts) < len(settings) or set(texts) & set(given):
        raise InputError("an option is given twice; give each once")
    check_options(method, {**given, **texts})
    hints = _hints(method_named(method).function)
    for name, value in given.items():
        allowed = choices(hints[name])
        if allowed and value not in allowed:
            raise InputError(f"{name} of the method {method} is {' or '.join(allowed)}, got {value!r}")
    return {**given, **{name: _value(method, name, text, hints[name]) for name, text in texts.items()}}


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise InputError(f"--set takes name=value, got {text!r}")
    return name.strip().replace("-", "_"), value.strip()


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The types of the options; names that only a type checker imports are imported here."""
    from torch import Tensor

    from beamfold.optim.layers import Engine, Precision
    from beamfold.start import Point
    from beamfold.unfolded_model import UnfoldedPGA

    names = {
        "Tensor": Tensor,
        "Engine": Engine,
        "Precision": Precision,
        "UnfoldedPGA": UnfoldedPGA,
        "Point": Point,
    }
    return get_type_hints(function, localns=names)


def choices(hint: Any) -> tuple[str, ...]:
    """The words that a type allows, () for a type that is no list of words."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(word for part in get_args(hint) for word in choices(part))


def written(hint: Any) -> list[Any]:
    """The parts of a type that can be written on a command line."""
    parts = [part for part in get_args(hint) or (hint,) if part is not type(None)]
    if get_origin(hint) is Literal:
        return [hint]
    return [part for part in parts if part in (int, float, bool, str) or get_origin(part) is Literal]


def _value(method: str, name: str, text: str, hint: Any) -> Any:
    """A text as a value of an option's type."""
    from pydantic import TypeAdapter, ValidationError

    kinds = written(hint)
    if not kinds:
        raise InputError(f"{name} of the method {method} can be given in Python only")
    for kind in kinds:
        try:
            return TypeAdapter(kind).validate_strings(text)
        except ValidationError:
            continue
    raise InputError(f"{name} of the method {method} is {_kinds(kinds)}, got {text!r}")


def _kinds(kinds: Sequence[Any]) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
    return " or ".join(names.get(kind) or " or ".join(choices(kind)) for kind in kinds)


def described(method: str) -> list[dict[str, Any]]:
    """The options of a method: name, what can be written for it, default; for the command `methods`."""
    function = METHODS[method].function
    hints = _hints(function)
    rows = []
    for name, parameter in list(signature(function).parameters.items())[1:]:
        kinds = written(hints[name])
        default = None if parameter.default is Parameter.empty else parameter.default
        rows.append({"name": name, "takes": _kinds(kinds) if kinds else "Python only", "default": default})
    return rows
