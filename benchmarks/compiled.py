"""Does a process that compiles the kernels give the same bits as one that loads them from Numba's cache?

    python benchmarks/compiled.py

A kernel that calls another one which was not inlined holds a weak copy of it. A process that loads the kernel
runs that copy; the one that compiles it runs the part that was compiled first, on its own. With sums that
may be reordered (fastmath) the two can round differently. The first run on an empty cache compiles.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from typing import Any

import torch

import beamfold as bf
from beamfold.registry import design
from beamfold.training import Recipe, train


def digest(*tensors: torch.Tensor) -> str:
    return hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in tensors)).hexdigest()[:8]


def bits() -> dict[str, str]:
    """The designs of the compiled methods, and a short training, as hashes."""
    H = bf.saleh_valenzuela(antennas=32, users=4, count=30, seed=0)
    radar = bf.solve_covariance(32, targets_deg=[-30, 30])
    s = bf.make_scenario(H, radar, snr_db=4, weight=0.3)
    options: dict[str, dict[str, Any]] = {"pga": {"inner": 10}, "unfolded": {"inner": 10}, "fast": {}}
    found = {}
    for method, given in options.items():
        made = design(s, method, **given)
        assert made.F is not None
        found[method] = digest(made.F, made.W)
    *_, last = train(Recipe(layers=10, inner=3, epochs=2), H, radar)
    return {**found, "training": digest(last.model.mu, last.model.lam)}


def main() -> None:
    if sys.argv[1:] == ["bits"]:
        torch.set_num_threads(1)
        print(*(f"{name}={value}" for name, value in bits().items()))
        return
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "bits"]
        compiled, loaded = (
            subprocess.run(
                command, env=environment, check=True, capture_output=True, text=True
            ).stdout.split()
            for _ in range(2)
        )
    for one, other in zip(compiled, loaded, strict=True):
        name = one.partition("=")[0]
        print(f"{name}: {'the same bits' if one == other else f'differ ({one}, {other})'}")


if __name__ == "__main__":
    main()
