"""Compile the kernels into the user's cache, two families at a time, before the tests need them.

    python tools/compile_kernels.py

Every worker of pytest would otherwise compile all of them for itself. A small design of each kind is made in
a process of its own. A file in the folder of the compiled code says that this was done for these sources.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

FAMILIES = ("band", "goal", "band double", "goal double", "fast", "fast double", "layers", "layers double")
"""The longest first."""
WORKERS = 2
DONE = "all-families"


def compile_family(name: str) -> float:
    """Seconds that the smallest designs of a family took."""
    import torch

    import beamfold as bf
    from beamfold.testing.scenarios import three_beams

    begin = time.perf_counter()
    torch.set_num_threads(1)
    family, *double = name.split()
    options = {"precision": "double"} if double else {}
    H, radar = bf.saleh_valenzuela(8, 2, 2, seed=0), three_beams(8)
    if family == "band":
        f = bf.band_frequencies(4, 28e9, 1e9)
        wide, _ = bf.saleh_valenzuela(8, 2, 1, seed=0, subcarriers=4, carrier_hz=28e9)
        s = bf.make_scenario(wide, radar, snr_db=6, chains=2, frequencies=f, carrier_hz=28e9)
    elif family == "goal":
        s = bf.make_scenario(H, radar, snr_db=6, sensing="crb")
    else:
        s = bf.make_scenario(H, radar, snr_db=6)
    if family == "layers":
        bf.design(s, "pga", inner=1, layers=2, **options)
        list(bf.train(bf.Recipe(layers=2, inner=1, epochs=1), H, radar))
    else:
        bf.design(s, "fast", **options)
    return time.perf_counter() - begin


def main() -> int:
    from beamfold.kernels.code_cache import code_folder

    folder, begin = code_folder(), time.perf_counter()
    if folder is None or (folder / DONE).exists():
        return 0
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for name, seconds in zip(FAMILIES, pool.map(compile_family, FAMILIES), strict=True):
            print(f"kernels: {name}: {seconds:.0f} s", flush=True)
    (folder / DONE).touch()
    print(f"kernels: all in {time.perf_counter() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
