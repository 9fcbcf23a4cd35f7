"""The child of `matlab.py`, run as a script: it imports nothing of this package, so that it starts fast."""

from __future__ import annotations

import io
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np

SPARE = 1 << 30  # bytes of address space that Python and NumPy may take beside the data


def _limit(size: int, seconds: int) -> None:
    """Address space in proportion to the file, and a bound on processor time."""
    allowed = SPARE + 16 * size
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def _read_v5(path: Path) -> dict[str, Any]:
    import scipy.io

    loaded = scipy.io.loadmat(str(path))
    return {name: value for name, value in loaded.items() if not name.startswith("__")}


def _read_v73(path: Path) -> dict[str, Any]:
    """HDF5 stores MATLAB's columns as rows: the axes come out reversed and are turned back."""
    import h5py

    found: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        for name, item in file.items():
            if not isinstance(item, h5py.Dataset) or name.startswith("#"):
                continue
            if item.size and item.nbytes > 1100 * max(item.id.get_storage_size(), 1):
                raise ValueError(
                    f"{name} declares {item.nbytes} bytes and stores {item.id.get_storage_size()}"
                )
            value = item[()]
            if getattr(value, "dtype", np.dtype("O")).names == ("real", "imag"):
                value = value["real"] + 1j * value["imag"]
            found[name] = np.asarray(value).T
    return found


def main() -> None:
    """The child: read the file named on the command line, write an .npz to standard output."""
    path = Path(sys.argv[1])
    size = path.stat().st_size
    with path.open("rb") as stream:
        header = stream.read(128)
    hdf5 = header.startswith(b"\x89HDF\r\n\x1a\n") or b"MATLAB 7.3" in header[:116]
    _limit(size, int(sys.argv[2]))
    try:
        arrays = _read_v73(path) if hdf5 else _read_v5(path)
        numbers = {n: v for n, v in arrays.items() if isinstance(v, np.ndarray) and v.dtype.kind in "biufc"}
        buffer = io.BytesIO()
        np.savez(buffer, **dict[str, Any](numbers))
    except Exception as error:  # whatever a damaged file makes the readers raise
        text = " ".join(str(error).split()) or type(error).__name__
        sys.stderr.write(f"{text}\n")
        sys.exit(2)
    sys.stdout.buffer.write(buffer.getvalue())


if __name__ == "__main__":
    main()
