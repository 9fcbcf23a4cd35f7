"""Valid files as users and simulators write them, for `fuzz_seeds.py`."""

from __future__ import annotations

import io

import h5py
import numpy as np
import scipy.io
from scipy.sparse import csc_matrix

Rng = np.random.Generator


def draw(rng: Rng, *shape: int) -> np.ndarray:
    """Complex numbers, now and then of single precision."""
    value = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return value.astype(np.complex64) if rng.random() < 0.3 else value


def shapes(rng: Rng) -> np.ndarray:
    """An array in the axes of some tool or of MATLAB, with axes of length 1 here and there."""
    known = ((3, 2, 1, 1, 8, 1, 4), (6, 2, 1, 8, 1, 4), (6, 1, 8, 4), (2, 8, 5), (4, 3, 1, 8), (8, 2, 3),
             (8, 2),
             (2, 8, 4, 3), (3, 1, 2, 1, 8), (3, 2, 8, 1), (8, 8, 3))  # fmt: skip
    return draw(rng, *known[int(rng.integers(len(known)))])


def pair(rng: Rng) -> dict[str, np.ndarray]:
    """Real and imaginary part in two arrays."""
    value = draw(rng, 3, 2, 8)
    names = (("H_real", "H_imag"), ("Re", "Im"), ("A", "B"), ("Hre", "Him"))
    real, imag = names[int(rng.integers(len(names)))]
    return {real: value.real, imag: value.imag[:2] if rng.random() < 0.2 else value.imag}


def npz(rng: Rng) -> bytes:
    """An archive with a pair, paths and delays, an object beside H, or a tool's array."""
    held: dict[str, object] = {"H": shapes(rng)}
    match int(rng.integers(0, 4)):
        case 0:
            held = dict(pair(rng))
        case 1:
            held = {"a": draw(rng, 4, 1, 1, 8, 5), "tau": np.ones((4, 1, 5))}
        case 2:
            held["about"] = np.array({"a": 1}, object)
    stream = io.BytesIO()
    np.savez(stream, **held)
    return stream.getvalue()


def npy(rng: Rng) -> bytes:
    """A tool's array, or complex numbers as two fields."""
    value = shapes(rng)
    if rng.random() < 0.5:
        fields = np.empty(value.shape, [("real", "f8"), ("imag", "f4")])
        fields["real"], fields["imag"] = value.real, value.imag
        value = fields
    stream = io.BytesIO()
    np.save(stream, value)
    return stream.getvalue()


def matlab(rng: Rng) -> bytes:
    """Structures, structure arrays, cells, sparse matrices, NYUSIM's structures, pairs."""
    array = np.zeros((1, 3), [("H", object)])
    cell = np.empty((1, 3), object)
    for i in range(3):
        array[0, i]["H"] = draw(rng, 2, 8)
        cell[0, i] = draw(rng, 2, 8 if rng.random() < 0.9 else 7)
    nyusim = {f"CIR_MIMO_{i}": {"H_ensemble": draw(rng, 2, 8)} for i in (1, 2)}
    kinds = ({"S": {"H": draw(rng, 3, 2, 8), "t": "x"}}, {"A": array}, {"C": cell}, dict(pair(rng)),
             {"P": csc_matrix(draw(rng, 2, 8))}, {"CIR_MIMO_Struct": nyusim}, {"H": shapes(rng)})  # fmt: skip
    stream = io.BytesIO()
    held = kinds[int(rng.integers(len(kinds)))] | ({"more": {"a": {"b": 1}}} if rng.random() < 0.3 else {})
    scipy.io.savemat(stream, held, do_compression=bool(rng.random() < 0.5))
    return stream.getvalue()


def hdf5(rng: Rng) -> bytes:
    """h5py's own, MATLAB's cells and sparse matrices, quadriga-lib's links, named axes; some are packed."""
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver="earliest" if rng.random() < 0.7 else "latest") as file:
        packed = {"compression": "gzip"} if rng.random() < 0.3 else {}
        match int(rng.integers(0, 6)):
            case 0:
                file.create_dataset("H", data=shapes(rng), **packed)
            case 1:
                for name, value in pair(rng).items():
                    file.create_dataset(name, data=value, **packed)
            case 2:
                for n in (1, 2, 3):
                    value = draw(rng, 5, 8, 2)
                    group = file.create_group(f"channel_{n}")
                    group["coeff_re"], group["coeff_im"], group["delay"] = value.real, value.imag, value.real
            case 3:
                references = [file.create_dataset(f"#refs#/r{i}", data=draw(rng, 8, 2)).ref for i in range(3)]
                file["C"] = np.array([references], dtype=h5py.ref_dtype).T
                file["C"].attrs["MATLAB_class"] = np.bytes_("cell")
            case 4:
                sparse = file.create_group("P")
                sparse.attrs["MATLAB_class"], sparse.attrs["MATLAB_sparse"] = (
                    np.bytes_("double"),
                    np.uint64(2),
                )
                sparse["data"], sparse["ir"] = draw(rng, 8), np.zeros(8, "u8")
                sparse["jc"] = np.arange(9, dtype="u8")
            case _:
                file.create_dataset("S/H", data=draw(rng, 3, 2, 8), **packed)
                _label(file["S/H"], rng)
        if rng.random() < 0.2:
            file["away"], file["loop"] = h5py.ExternalLink("/etc/hostname", "/x"), h5py.SoftLink("/loop")
            file["again"] = file["/"]
    return stream.getvalue()


def _label(item: h5py.Dataset, rng: Rng) -> None:
    """Names for some axes."""
    for axis, label in zip(item.dims, ("channel", "user", "antenna"), strict=True):
        if rng.random() < 0.3:
            axis.label = label


KINDS = {"mat": matlab, "npz": npz, "npy": npy, "h5": hdf5}
