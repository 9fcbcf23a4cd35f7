"""What a second worker brings: one sweep with one worker and with two, interleaved.

    python benchmarks/workers.py [--cells 48] [--count 1000] [--repeats 2]

Every run is the command `beamfold sweep … --workers n` on a fresh folder. Start-up included is the time of
the whole command, imports, trial runs and the start of the cluster with it; excluded is the time from the
end of the first round of cells (one per worker) to the end of the last cell, which is what hours of sweep
would see. The machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SWEEP = """methods = ["pga"]
snr_db = [{levels}]
antennas = [64]
users = [4]
inner = [20]
layers = [120]
targets_deg = [[-60, 0, 60]]
count = {count}
"""


def timed(config: Path, folder: Path, workers: int) -> tuple[float, float]:
    """Cells per second of one run, start-up included and excluded."""
    command = [sys.executable, "-m", "beamfold", "sweep", config, "-o", folder, "--workers", str(workers)]
    begin = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    lasted = time.monotonic() - begin
    ends = sorted(path.stat().st_mtime for path in (folder / "cells").glob("[!.]*.nc"))
    return len(ends) / lasted, (len(ends) - workers) / (ends[-1] - ends[workers - 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--cells", type=int, default=48)
    parser.add_argument("--count", type=int, default=1000, help="channels per cell")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    levels = ", ".join(f"{level:.4f}" for level in np.linspace(0, 12, options.cells))
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "sweep.toml"
        config.write_text(SWEEP.format(levels=levels, count=options.count))
        print(f"{options.cells} cells of {options.count} channels, {os.cpu_count()} processors")
        for repeat in range(options.repeats):
            for workers, rates in found.items():
                whole, steady = timed(config, Path(name) / f"run{repeat}-{workers}", workers)
                rates.append((whole, steady))
                print(
                    f"{workers} workers: {options.cells / whole:.1f} s, {whole:.3f} cells/s; "
                    f"without start-up {steady:.3f} cells/s",
                    flush=True,
                )
    one, two = (np.mean(found[workers], axis=0) for workers in (1, 2))
    print(f"two workers / one: {two[0] / one[0]:.2f} with start-up, {two[1] / one[1]:.2f} without")


if __name__ == "__main__":
    main()
