"""MATLAB files, parsed in a child process: their readers are not hardened against crafted input.

SciPy documents that `loadmat` may crash on a malicious file, and HDF5 is C code too. So a child with
limits on memory and processor time reads the file and hands plain arrays over a pipe in NumPy's own
format, which cannot hold code. If the child dies, the caller gets one line.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beamfold.files.atomic import FileError

SECONDS = 60
CHILD = Path(__file__).with_name("matlab_child.py")


def read_matlab(path: Path) -> dict[str, NDArray[Any]]:
    """All numeric arrays of a `.mat` file, v5 or v7.3, with MATLAB's axes.

    Raises:
        FileError: the file is damaged, too large when unpacked, or made its reader crash.
    """
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(CHILD), str(path), str(SECONDS)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False, env=environment)
    except subprocess.TimeoutExpired as error:
        raise FileError(f"{path}: reading it took over {SECONDS} s; is it a channel file?") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if done.returncode == 2 and lines else f"its reader ended with {done.returncode}"
        raise FileError(f"{path} can't be read as .mat: {reason}")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as held:
        return {name: held[name] for name in held.files}
