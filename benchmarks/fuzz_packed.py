"""Injuries for `fuzz_files.py`: to bytes, and to archives, NumPy and MATLAB files behind their packing."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from fuzz_seeds import DTYPES

Rng = np.random.Generator
EXTREMES = (0, 1, 2, 7, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1)


def _flip(raw: bytearray, at: int, other: int, span: int, rng: Rng) -> None:
    for place in rng.integers(0, max(len(raw), 1), rng.integers(1, 9)):
        if place < len(raw):
            raw[place] ^= 1 << int(rng.integers(8))


def _overwrite(raw: bytearray, at: int, other: int, span: int, rng: Rng) -> None:
    raw[at : at + span] = rng.bytes(span) if rng.random() < 0.7 else bytes(span)


def _cut(raw: bytearray, at: int, other: int, span: int, rng: Rng) -> None:
    del raw[at : at + span if rng.random() < 0.5 else len(raw)]


def _insert(raw: bytearray, at: int, other: int, span: int, rng: Rng) -> None:
    raw[at:at] = rng.bytes(int(rng.choice([1, 7, 8, 64, 5000])))


def _double(raw: bytearray, at: int, other: int, span: int, rng: Rng) -> None:
    raw[other:other] = raw[at : at + 8 * span]


def _swap(raw: bytearray, at: int, other: int, span: int, rng: Rng) -> None:
    raw[at : at + span], raw[other : other + span] = raw[other : other + span], raw[at : at + span]


def _extreme(raw: bytearray, at: int, other: int, span: int, rng: Rng) -> None:
    width = int(rng.choice([1, 2, 4, 8]))
    at -= at % width if rng.random() < 0.7 else 0
    raw[at : at + width] = _number(rng, width)[:: int(rng.choice([1, -1]))]


def _number(rng: Rng, width: int, *more: int) -> bytes:
    """One of the numbers that readers trip over, little-endian."""
    known = (*EXTREMES, *more)
    return (known[int(rng.integers(len(known)))] % (1 << (8 * width))).to_bytes(width, "little")


INJURIES = (_flip, _overwrite, _cut, _insert, _double, _swap, _extreme, _extreme)


def damage(data: bytes, rng: Rng) -> bytes:
    """One injury to bytes: flipped, overwritten, cut, inserted, doubled, swapped, or an extreme number."""
    raw = bytearray(data)
    at, other = (int(n) for n in rng.integers(0, max(len(raw), 1), 2))
    INJURIES[int(rng.integers(len(INJURIES)))](raw, at, other, int(rng.integers(1, 64)), rng)
    return bytes(raw)


FIELDS = {
    b"PK\x01\x02": (8, 10, 16, 20, 24, 28, 30, 32, 42),
    b"PK\x05\x06": (8, 10, 12, 16, 20),
    b"PK\x03\x04": (6, 8, 14, 18, 22, 26, 28),
}
RECORDS = tuple(FIELDS)
"""The archive's records by their signatures, and where their fields begin."""


def rezipped(data: bytes, rng: Rng, inside: Callable[[str, bytes, Rng], bytes]) -> bytes:
    """An archive whose entries were changed and packed again with checksums that fit, then its directory."""
    if not data.startswith(b"PK"):
        return damage(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        held = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    which = int(rng.integers(len(held)))
    held[which] = (held[which][0], inside(*held[which], rng))
    match int(rng.integers(0, 8)):
        case 0:
            held.append(held[which])
        case 1:
            held.reverse()
        case 2:
            held[which] = (
                str(rng.choice(["../../x", "a\x00b", "", "/", "x" * 3000, "H.npy"])),
                held[which][1],
            )
        case 3:
            del held[which]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", int(rng.choice([0, 8, 12, 14], p=(0.45, 0.45, 0.05, 0.05)))) as archive:
        for name, content in held:
            archive.NameToInfo.clear()  # names may come twice
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=archive.compression)
    raw = bytearray(stream.getvalue())
    if rng.random() < 0.5:
        _lie(raw, rng)
    return bytes(raw)


def _lie(raw: bytearray, rng: Rng) -> None:
    """A field of the archive's directory, of its end record or of a local header says something else."""
    kind = RECORDS[int(rng.integers(len(RECORDS)))]
    fields = FIELDS[kind]
    places = [i for i in range(len(raw) - 3) if raw[i : i + 4] == kind]
    if places:
        at = places[int(rng.integers(len(places)))] + int(rng.choice(fields))
        width = int(rng.choice([2, 4]))
        raw[at : at + width] = _number(rng, width, 1000, len(raw), 440_000)


SHAPES = (
    *("(1000000, 1000, 64)", "(-1, 8)", "(0, 2, 8)", "()", "(2.0, 8)", "((3, 2), 8)", f"({2**62}, 4)", "3"),
    *("(3, 2, 8, 0)", "(True, 2, 8)", f"({10**25},)", "(None,)", "(" * 120 + ")" * 120, "[3, 2, 8]"),
)
TYPES = (
    *(f"'{t}'" for t in DTYPES),
    *("'|O'", "'<U0'", "'<U1000000000'", "'|V0'", "[('a', '<f8')]", "'<f3'", "'<c1000'", "('<f8', (3,))"),
    *("('<f8', (100000, 100000))", "{}", "1", "'x' * 9", "None"),
)


def npy_header(name: str, data: bytes, rng: Rng) -> bytes:
    """An .npy stream with another header: shape, type, order, version or length."""
    if not data.startswith(b"\x93NUMPY") or rng.random() < 0.3:
        return damage(data, rng)
    length = struct.unpack("<H", data[8:10])[0]
    header, body = data[10 : 10 + length].decode("latin1").strip(), data[10 + length :]
    match int(rng.integers(0, 5)):
        case 0:
            head, _, _ = header.partition("'shape'")
            header = f"{head}'shape': {rng.choice(SHAPES)}, }}"
        case 1:
            _, _, tail = header.partition("'fortran_order'")
            header = f"{{'descr': {rng.choice(TYPES)}, 'fortran_order'{tail}"
        case 2:
            header = header.replace("False", str(rng.choice(["True", "7", "[]"])))
        case 3:
            header = damage(header.encode("latin1"), rng).decode("latin1")
        case 4:
            header = str(
                rng.choice(["", "{}", "[" * 200, "{" * 200, "__import__('os')", "{'descr': 1}", "1" * 6000])
            )
    text = header.encode("latin1") + b" " * int(rng.integers(0, 16)) + b"\n"
    version = rng.choice([1, 1, 1, 2, 3, 9])
    packed = struct.pack("<H" if version == 1 else "<I", len(text) % 65536)
    return data[:6] + bytes([version, 0]) + packed + text + body


PICKLES = (
    b"cos\nsystem\n(X\x04\x00\x00\x00exit\x85R.",
    b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
    b"(" * 5000 + b"t" * 5000 + b".",
    b")" + b"\x85" * 50000 + b".",
    b"]q\x00h\x00a.",
    b"N2" * 5000 + b".",
    b"L" + b"9" * 6000 + b"L\n.",
    b"\x8b\xff\xff\xff\x7f",
    b"\x8d" + b"\xff" * 8,
)
"""A call, towers of brackets, a knot, numbers and texts of impossible lengths."""


def pickle_inside(name: str, data: bytes, rng: Rng) -> bytes:
    """An entry of a .pth: its pickle with other numbers or names, or another pickle; else its bytes."""
    if not name.endswith("data.pkl"):
        return damage(data, rng)
    match int(rng.integers(0, 6)):
        case 0:  # a size or stride
            at = data.find(b"QK") + 1
            raw = bytearray(data)
            places = [i for i in range(at, len(raw) - 1) if raw[i] == 0x4B]
            if places:
                raw[places[int(rng.integers(len(places)))] + 1] = int(rng.choice([0, 1, 3, 5, 200, 255]))
            return bytes(raw)
        case 1:
            old = (
                b"ctorch\nFloatStorage\n",
                b"ccollections\nOrderedDict\n",
                b"_rebuild_tensor_v2",
                b"step_size",
            )
            new = (
                b"cos\nsystem\n",
                b"ctorch\nLongStorage\n",
                b"cbuiltins\neval\n",
                b"_rebuild_parameter",
                b"x",
            )
            return data.replace(old[int(rng.integers(4))], new[int(rng.integers(5))])
        case 2:
            return b"\x80\x02" + PICKLES[int(rng.integers(len(PICKLES)))]
        case _:
            return damage(data, rng)


def matlab(data: bytes, rng: Rng) -> bytes:
    """A v5 file whose elements were unpacked, injured, moved or doubled, and packed again."""
    if data[:10] != b"MATLAB 5.0":
        return damage(data, rng)
    elements, at = [], 128
    while at + 8 <= len(data):
        kind, length = struct.unpack("<II", data[at : at + 8])
        elements.append([kind, data[at + 8 : at + 8 + length]])
        at += 8 + length
    which = elements[int(rng.integers(len(elements)))] if elements else [14, b""]
    packed = which[0] == 15
    body = zlib.decompress(which[1]) if packed else struct.pack("<II", which[0], len(which[1])) + which[1]
    match int(rng.integers(0, 6)):
        case 0:
            elements.append(list(which))
        case 1:
            elements.reverse()
        case 2:  # a word among tag, flags, class, axes, name
            raw = bytearray(body)
            place = 4 * int(rng.integers(0, 16))
            raw[place : place + 4] = _number(rng, 4)
            body = bytes(raw)
        case 3:  # cells in cells
            for _ in range(int(rng.choice([10, 300, 3000]))):
                inner = struct.pack("<IIIIIIIIII", 6, 8, 1, 0, 5, 8, 1, 1, 1, 0) + body
                body = struct.pack("<II", 14, len(inner)) + inner
        case _:
            body = damage(body, rng)
    which[1] = zlib.compress(body) if packed else body[8:]
    return data[:128] + b"".join(struct.pack("<II", kind, len(text)) + text for kind, text in elements)
