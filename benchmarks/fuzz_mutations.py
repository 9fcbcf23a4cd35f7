"""What can become of an input file: (seed, format, index) → bytes, for `fuzz_files.py`.

Some damage is done to the bytes, some to the structure behind a checksum or a packing (archive directories,
headers, opcodes, compressed elements), so that it reaches the code that lies deeper.
"""

from __future__ import annotations

import json
import struct
import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np
from fuzz_packed import damage, matlab, npy_header, pickle_inside, rezipped
from fuzz_seeds import seed_file

Rng = np.random.Generator
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "8"),
    *("x" * 5000, "\x00", [], [[]], {}, {"a": {"b": [1]}}, [1, [2, [3]]], [None] * 50, "\u202e\ud7ff"),
)


def odd(rng: Rng) -> Any:
    """A value where another is expected; one in ten of them nested hundreds deep."""
    if rng.random() < 0.1:
        value: Any = 1
        for _ in range(int(rng.choice([50, 150]))):
            value = [value] if rng.random() < 0.5 else {"a": value}
        return value
    return ODD[int(rng.integers(len(ODD)))]


def upset(value: Any, rng: Rng) -> Any:
    """A tree of dicts and lists with one node replaced, removed, renamed, doubled or moved."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.75:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = keys[int(rng.integers(len(keys)))]
        changed = dict(value) if isinstance(value, dict) else list(value)
        match int(rng.integers(0, 8)):
            case 0:
                del changed[key]
            case 1 if isinstance(changed, dict):
                changed[f"{key}_"] = odd(rng)
            case 1:
                changed.insert(key, odd(rng))
            case 2 if isinstance(changed, list):
                changed = changed * int(rng.choice([2, 100]))
            case _:
                changed[key] = upset(changed[key], rng)
        return changed
    if isinstance(value, (int, float)) and rng.random() < 0.4:
        number: Any = rng.choice(np.array([-1, 0, 3, 1e3, 1e9, 2.5, float(value) * 2], object))
        return number
    return odd(rng)


def safetensors(data: bytes, rng: Rng) -> bytes:
    """A header whose tree was upset, in the tensors' part or inside the metadata's own JSON."""
    length = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    meta = header.get("__metadata__", {})
    held = [key for key in meta if key != "format"]
    if held and rng.random() < 0.75:
        key = held[int(rng.integers(len(held)))]
        value = json.loads(meta[key])
        for _ in range(int(rng.choice([1, 1, 2]))):
            value = upset(value, rng)
        meta[key] = json.dumps(value)
        if rng.random() < 0.1:
            meta[key] = str(rng.choice(["[" * 100_000, "9" * 6000, "NaN", "", "{", '"\\ud800"']))
    else:
        header = upset(header, rng)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


LINES = (
    *(
        "x = " + "[" * 3000,
        "seed = " + "9" * 6000,
        "count = 1979-05-27",
        "[count]",
        "seed = 3",
        'methods = """',
    ),
    *("a" + ".a" * 3000 + " = 1", "count = 0x" + "f" * 5000, "weight = [inf, nan]", "snr_db = [1e999]"),
    *("antennas = [" + "64, " * 20_000 + "]", "\xff\xfe", "methods = ['fst']"),
)


def toml(data: bytes, rng: Rng) -> bytes:
    """A configuration, with values of other types and sizes, or with a line that is none."""
    if rng.random() < 0.25:
        drop = data.decode().splitlines()
        del drop[int(rng.integers(len(drop)))]
        return "\n".join([*drop, LINES[int(rng.integers(len(LINES)))]]).encode("latin1")
    tree: Any = tomllib.loads(data.decode())
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        tree = upset(tree, rng)
    held = tree if isinstance(tree, dict) else {"count": tree}
    return "\n".join(f"{json.dumps(str(key))} = {_literal(value)}" for key, value in held.items()).encode(
        errors="replace"
    )


def _literal(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float() | int():
            return repr(value)
        case list():
            return f"[{', '.join(map(_literal, value))}]"
        case dict():
            return "{" + ", ".join(f"{json.dumps(str(k))} = {_literal(v)}" for k, v in value.items()) + "}"
    return json.dumps(value) if isinstance(value, str) else "nan"


STRUCTURED: dict[str, Callable[[bytes, Rng], bytes]] = {
    "mat": matlab,
    "npz": lambda data, rng: rezipped(data, rng, npy_header),
    "npy": lambda data, rng: npy_header("", data, rng),
    "h5": damage,  # files of the earliest version have no checksums
    "safetensors": safetensors,
    "pth": lambda data, rng: rezipped(data, rng, pickle_inside),
    "toml": toml,
}


def mutated(seed: int, format: str, index: int) -> bytes:
    """The file (seed, format, index): a valid one with one to three injuries; one in ten stays whole."""
    rng = np.random.default_rng([seed, *format.encode(), index])
    data = seed_file(format, rng)
    chance = rng.random()
    if chance < 0.1:
        return data
    if chance < 0.7:
        data = STRUCTURED[format](data, rng)
    if chance > 0.6:
        for _ in range(int(rng.choice([1, 1, 2, 3]))):
            data = damage(data, rng)
    return data
