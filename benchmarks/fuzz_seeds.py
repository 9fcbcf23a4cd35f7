"""Valid input files of every kind, for `fuzz_files.py` to be mutated; some hold degenerate contents."""

from __future__ import annotations

import io
import json
import tempfile
from functools import cache
from pathlib import Path

import fuzz_kinds
import h5py
import numpy as np
import scipy.io
import torch

import beamfold as bf
from beamfold import ModelInfo, UnfoldedPGA, phased_zf
from beamfold.files.designs import write_designs
from beamfold.files.models import save_checkpoint, save_model
from beamfold.files.psi import write_sensing
from beamfold.training import Progress, Recipe

Rng = np.random.Generator
FORMATS = ("mat", "npz", "npy", "h5", "safetensors", "pth", "toml")
MATLAB = (
    "float64",
    "float32",
    "complex128",
    "complex64",
    *(f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32)),
)
DTYPES = (
    "<f2",
    "<f4",
    ">f8",
    "<f8",
    "<f16",
    "<c8",
    ">c16",
    "<c16",
    "|b1",
    "|i1",
    "<i4",
    ">u8",
    "<m8[s]",
    "|S3",
)
TOML = """methods = ["pga", "phased-zf", "unfolded"]
snr_db = [0, 6.5, 12]
weight = [0.1, 0.3]
antennas = [32, 64]
users = [4]
inner = [10]
layers = [60, 120]
targets_deg = [[-60, 0, 60], [-30, 30]]
count = 10
seed = 3
"""


def array_of(rng: Rng, kind: str) -> np.ndarray:
    """Channels (B, K, N) or Ψ (N, N); now and then empty, flat, huge, with NaN, or of another type."""
    shape = (3, 2, 8) if kind == "channels" else (8, 8)
    if rng.random() < 0.15:
        shape = tuple(int(n) for n in rng.integers(0, 6, rng.integers(0, 5)))
    value = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    if kind == "psi" and len(shape) == 2 and shape[0] == shape[1]:
        value = value @ value.conj().T
    chance = rng.random()
    if chance < 0.1 and value.size:
        value.flat[int(rng.integers(value.size))] = rng.choice([np.nan, np.inf, 1e308, 1e-320])
    elif chance < 0.15:
        value = value * rng.choice([0.0, 1e-300, 1e200])
    if rng.random() < 0.25:
        with np.errstate(all="ignore"):
            real = value.real if np.dtype(wanted := str(rng.choice(DTYPES))).kind != "c" else value
            value = (
                np.nan_to_num(real).astype(wanted)
                if np.dtype(wanted).kind in "biumS"
                else real.astype(wanted)
            )
    return np.asarray(value)


@cache
def written() -> dict[str, tuple[bytes, ...]]:
    """What this program writes itself: Ψ, designs, models, checkpoints; and step sizes as published."""
    radar = bf.solve_covariance(8, [0], tolerance=1e-4)
    H = bf.saleh_valenzuela(8, 2, 3, seed=0)
    designs = [phased_zf(bf.make_scenario(H, radar, snr_db=snr)) for snr in (0, [3, 12])]
    info = ModelInfo(8, 2, 2, 1 / 8, note="seed", curve=(1.0, 2.0), extra={"a": [1]})
    steps = torch.linspace(0.01, 0.05, 6, dtype=torch.float64).reshape(3, 2)
    model = UnfoldedPGA.from_steps(steps, steps[:, 0].clone(), info)
    parts = {"step": torch.tensor(4.0), "exp_avg": 1 * steps, "exp_avg_sq": steps**2}
    moments = {f"mu.{k}": v for k, v in parts.items()}
    moments |= {f"lam.{k}": v if v.ndim == 0 else v[:, 0].clone() for k, v in parts.items()}
    data = {"antennas": 8, "users": 2, "chains": 2, "count": 20, "targets_deg": [0.0], "psi": None}
    found: dict[str, list[bytes]] = {name: [] for name in FORMATS}
    with tempfile.TemporaryDirectory() as name:
        for suffix in ("mat", "npz"):
            path = Path(name) / f"x.{suffix}"
            write_sensing(path, radar)
            found[suffix].append(path.read_bytes())
            for design in designs:
                write_designs(path, [design])
                found[suffix].append(path.read_bytes())
        path = Path(name) / "x.safetensors"
        save_model(path, model)
        found["safetensors"].append(_in_order(path.read_bytes()))
        progress = Progress(2, (1.0, 2.0), model=model, moments=moments)
        save_checkpoint(path, Recipe(layers=3, inner=2, epochs=9), data, progress)
        found["safetensors"].append(_in_order(path.read_bytes()))
    held = {"step_size": torch.rand(3, 5, 2)}
    state = torch.nn.ParameterDict({"step_size": torch.rand(5, 2)}).state_dict()
    for value in (
        held,
        state,
        {"step_size": torch.nn.Parameter(torch.rand(5, 2))},
        torch.rand(4, 2),
        [1, "a"],
    ):
        for new in (True, True, False):
            stream = io.BytesIO()
            torch.save(value, stream, _use_new_zipfile_serialization=new)
            found["pth"].append(stream.getvalue())
    return {key: tuple(value) for key, value in found.items()}


def _in_order(data: bytes) -> bytes:
    """A safetensors file with its header's keys in order, which the library leaves to chance."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True).encode()
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def seed_file(format: str, rng: Rng) -> bytes:
    """A file of the format as a valid program writes it."""
    kind = str(rng.choice(["channels", "psi"]))
    stream = io.BytesIO()
    if format == "toml":
        return TOML.encode()
    if format in fuzz_kinds.KINDS and (format == "h5" or rng.random() < 0.3):
        return fuzz_kinds.KINDS[format](rng)
    if format == "npy":
        value = array_of(rng, kind)
        np.save(stream, np.asfortranarray(value) if rng.random() < 0.3 else value)
    elif format in ("safetensors", "pth") or rng.random() < 0.2:
        known = written()[format]
        return known[int(rng.integers(len(known)))]
    elif rng.random() < 0.4:
        return _altered(format, rng)
    elif format == "npz":
        save = np.savez if rng.random() < 0.5 else np.savez_compressed
        save(stream, **{("H", "Psi")[kind == "psi"]: array_of(rng, kind), "seed": 1})
    elif rng.random() < 0.3:
        return _hdf5(rng, kind)
    else:
        others = {"seed": 1, "text": "abc", "cell": np.array([1, "a"], object), "structure": {"a": 1}}
        held = {("H", "Psi")[kind == "psi"]: _storable(array_of(rng, kind)), **others}
        scipy.io.savemat(stream, held, do_compression=bool(rng.random() < 0.5))
    return stream.getvalue()


def _altered(format: str, rng: Rng) -> bytes:
    """A file of Ψ or of designs with one or two arrays left out, or others in their place."""
    known = written()["npz"]
    with np.load(io.BytesIO(known[int(rng.integers(len(known)))])) as file:
        arrays = {name: file[name] for name in file.files}
    for name in rng.choice(list(arrays), rng.integers(1, 3)):
        if rng.random() < 0.3:
            arrays.pop(name, None)
        elif rng.random() < 0.5:
            arrays[name] = array_of(rng, str(rng.choice(["channels", "psi"])))
        elif name in arrays:
            value = arrays[name]
            arrays[name] = [value.ravel(), value[None], value[..., None], value[:0] if value.ndim else value,
                            np.stack([value, value]), value.T][int(rng.integers(6))]  # fmt: skip
    stream = io.BytesIO()
    if format == "npz":
        np.savez(stream, **arrays)
    else:
        scipy.io.savemat(stream, {name: _storable(value) for name, value in arrays.items()})
    return stream.getvalue()


def _storable(value: np.ndarray) -> np.ndarray:
    """As a type that MATLAB files have."""
    if value.dtype.kind == "U" or (value.dtype.kind in "iufc" and value.dtype.name in MATLAB):
        return value
    return np.zeros(value.shape) if value.dtype.kind not in "fc" else value.astype(complex)


def _hdf5(rng: Rng, kind: str) -> bytes:
    value = _storable(array_of(rng, kind)).astype(complex)
    stored = np.empty(value.T.shape, [("real", "f8"), ("imag", "f8")])
    stored["real"], stored["imag"] = value.T.real, value.T.imag
    stream = io.BytesIO()
    with h5py.File(stream, "w", userblock_size=512) as file:
        packed = {"compression": "gzip"} if stored.ndim and rng.random() < 0.5 else {}
        file.create_dataset("H" if kind == "channels" else "Psi", data=stored, **packed)
        if rng.random() < 0.2:
            file["away"] = h5py.ExternalLink("/etc/hostname", "/x")
            file["loop"] = h5py.SoftLink("/loop")
    return b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + stream.getvalue()[128:]
