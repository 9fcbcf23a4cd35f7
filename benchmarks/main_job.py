"""How long a user waits for the main job, from the shell to the file, on a quiet and on a busy machine.

    python benchmarks/main_job.py [--count 10000] [--repeats 3] [--json FILE]

Rows: `beamfold design` of many channels (N = 64, K = M = 4, 12 dB, the default Ψ) by the fast method and by
the unfolded model (J = 20) beside the compiled code's own time for them on two threads; one call of
`beamfold.design`; a hundred channels; `--help`. Everything is run once for warming and then in turns, quiet
and busy one after the other; busy means two further processes that compute without end. Medians, with the
least and the greatest in brackets; the peak memory is the largest single process of a command.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SPIN = "while True: pass"
KERNEL = """
import sys, time, numpy as np
from beamfold.registry import METHODS
from beamfold.threads import torch_threads
from beamfold.files.entries import ScenarioSpec
from beamfold.files.scenarios import load_scenario
from pathlib import Path
s = load_scenario(ScenarioSpec(channels=Path(sys.argv[1])))
if sys.argv[2] == "fast":
    from beamfold.kernels.fast import run_fast
    from beamfold.kernels.fast_setting import columns, plan_for
    plan = plan_for(s.users, s.network, columns(s.radar, None, np.float32).shape[1])
    run = lambda part: run_fast(part, plan)
else:
    import torch
    from beamfold.files.models import find_model
    from beamfold.kernels.unfolded import run_kernel
    from beamfold.start import proposed
    m = find_model(s.antennas, s.users, s.chains, 20)
    with torch_threads():
        begin = proposed(s)
    run = lambda part: run_kernel(part, begin, m.mu, m.lam, m.info.eta, m.info.digital)
if sys.argv[2] == "fast":
    run(s[:10])
else:
    from beamfold.start import Point
    whole, begin = begin, Point(begin.F[:10], begin.W[:10])
    run(s[:10])
    begin = whole
t = time.perf_counter()
run(s)
print(time.perf_counter() - t)
"""
CALL = """
import time, beamfold as bf
from beamfold.kernels.fast import run_fast
from beamfold.kernels.fast_setting import columns, plan_for
import numpy as np
radar = bf.solve_covariance(64)
s = bf.make_scenario(bf.saleh_valenzuela(64, 4, 1000, seed=3), radar, snr_db=12)
plan = plan_for(4, s.network, columns(radar, None, np.float32).shape[1])
bf.design(s[:10], "fast"), bf.design(s[0], "fast")
batch, kernel, one = [], [], []
for i in range(5):
    t = time.perf_counter(); run_fast(s, plan); kernel.append(time.perf_counter() - t)
    t = time.perf_counter(); bf.design(s, "fast"); batch.append(time.perf_counter() - t)
    for b in range(20):
        part = s[b]
        t = time.perf_counter(); bf.design(part, "fast"); one.append(time.perf_counter() - t)
m = lambda x: sorted(x)[len(x) // 2]
print(m(batch), m(kernel), m(one))
"""


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Other work on the machine's processors."""
    running = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def timed(arguments: list[str]) -> tuple[float, float]:
    """Seconds and MiB of the largest process of a command that must succeed."""
    begin = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(arguments[:4])}: {said.decode()[-400:]}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024


def printed(code: str, *arguments: str) -> list[float]:
    """The numbers that a program prints."""
    run = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    return [float(x) for x in done.stdout.split()]


def shown(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--spinning", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    program = [sys.executable, "-m", "beamfold"]
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    with tempfile.TemporaryDirectory() as folder:
        many, few, out = (str(Path(folder) / name) for name in ("many.mat", "few.mat", "out.mat"))
        timed([*program, "generate", "-o", many, "--count", str(options.count)])
        timed([*program, "generate", "-o", few, "--count", "100"])
        tail = ["-o", out, "--force"]
        jobs: dict[str, Callable[[], tuple[float, float]]] = {
            "fast, whole command": lambda: timed([*program, "design", many, "--method", "fast", *tail]),
            "unfolded, whole command": lambda: timed(
                [*program, "design", many, "--method", "unfolded", "--inner", "20", *tail]
            ),
            "fast, compiled code alone": lambda: (printed(KERNEL, many, "fast")[0], 0.0),
            "unfolded, compiled code alone": lambda: (printed(KERNEL, many, "unfolded")[0], 0.0),
            "fast, 100 channels": lambda: timed([*program, "design", few, "--method", "fast", *tail]),
            "--help": lambda: timed([*program, "--help"]),
        }
        timed([*program, "design", few, "--method", "fast", *tail])
        timed([*program, "design", few, "--method", "unfolded", *tail])
        for repeat in range(options.repeats):
            for name, job in jobs.items():
                for state, processes in (("quiet", 0), ("busy", options.spinning)):
                    with busy(processes):
                        seconds, memory = job()
                    note(f"{name}, {state} [s]", seconds)
                    if memory > 200 and "whole" in name:
                        note(f"{name}, peak [MiB]", memory)
                    print(f"{repeat + 1}: {name}, {state}: {seconds:.2f} s", file=sys.stderr, flush=True)
            batch, kernel, one = printed(CALL)
            note("one call, 1000 channels, over the compiled code", batch / kernel)
            note("one call, 1 channel [ms]", 1e3 * one)
    print(
        f"{options.count} channels, N = 64, K = M = 4, 12 dB; median (least to greatest) of {options.repeats}"
    )
    for name, values in found.items():
        print(f"| {name} | {shown(values)} |")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
