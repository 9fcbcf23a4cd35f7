"""Where the time of a design from the shell goes before and after the design itself.

    OMP_NUM_THREADS=1 python benchmarks/start_up.py [--runs 5] [--antennas 1024]

Processor time of each stage of `beamfold design` on 100 channels (N = 64, K = 4, fast) in a process of its
own, Ψ and compiled code coming from the cache; medians. With --antennas also Ψ of that N: solved, then read.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STAGES = {
    "Python": "import os",
    "command line (typer)": "import beamfold.cli",
    "numpy": "import numpy",
    "torch": "import torch",
    "reader of MATLAB files started": "from beamfold.files import matlab; matlab.expect(Path('c.mat'))",
    "files": "import beamfold.files.channels, beamfold.files.designs",
    "methods": "import beamfold.methods",
    "channels read": "from beamfold.files import read_channels; H = read_channels(Path('c.mat'))",
    "Psi from the cache": "from beamfold.files import cached_covariance; Psi = cached_covariance(64)",
    "scenario": "from beamfold.scenario import make_scenario; s = make_scenario(H, Psi, snr_db=12)",
    "numba": "import numba",
    "kernels": "import beamfold.kernels.fast",
    "compiled code loaded, 1 design": "from beamfold import fast; fast(s[:1], threads=1)",
    "100 designs": "d = fast(s, threads=1)",
    "written as .mat": "from beamfold.files import write_design; write_design(Path('d.mat'), d)",
}
PROGRAM = """
import json, sys, time
from pathlib import Path
taken = []
for line in json.loads(sys.argv[1]):
    exec(line)
    taken.append(time.process_time())
print(json.dumps(taken))
"""


def stages(folder: str) -> list[float]:
    """Seconds of processor time of each stage in a new process."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(list(STAGES.values()))]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    ends = json.loads(done.stdout)
    return [end - begin for begin, end in zip([0.0, *ends], ends, strict=False)]


def shell(folder: str, *arguments: str) -> tuple[float, float]:
    """Seconds on the clock and of processor time, children included, of a `beamfold` command."""
    import resource

    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "beamfold", *arguments], cwd=folder, capture_output=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, used


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--antennas", type=int)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shell(folder, "generate", "-o", "c.mat")
        stages(folder)  # fills the caches
        found = [stages(folder) for _ in range(options.runs)]
        medians = [statistics.median(times) for times in zip(*found, strict=True)]
        print("| stage | s of processor time | share |\n| --- | --- | --- |")
        for name, seconds in zip(STAGES, medians, strict=True):
            print(f"| {name} | {seconds:.3f} | {seconds / sum(medians):.0%} |")
        print(f"| all | {sum(medians):.3f} | |")
        design = ("design", "c.mat", "--method", "fast", "-o", "d.mat", "--force")
        for title, command in (("--help", ("--help",)), ("design, 100 channels", design)):
            wall, used = (
                statistics.median(v)
                for v in zip(*(shell(folder, *command) for _ in range(options.runs)), strict=True)
            )
            print(f"beamfold {title}: {wall:.2f} s, {used:.2f} s of processor time")
        if options.antennas:
            _covariance(options.antennas, Path(folder))


def _covariance(antennas: int, folder: Path) -> None:
    from unittest.mock import patch

    from beamfold.files import cached_covariance

    with patch("beamfold.files.covariances.FOLDER", str(folder)):
        for what in ("solved", "read from the cache"):
            begin, before = time.perf_counter(), time.process_time()
            radar = cached_covariance(antennas)
            wall, used = time.perf_counter() - begin, time.process_time() - before
            size = f"N = {antennas}, T = {len(radar.angles)}"
            print(f"Psi of {size}, {what}: {wall:.2f} s, {used:.2f} s of processor time")


if __name__ == "__main__":
    main()
