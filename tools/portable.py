"""Run the numerical tests under other BLAS kernels, another Numba target and other thread counts.

    python tools/portable.py                              # every setting, then a table: `make test-portable`
    python tools/portable.py --settings Haswell+generic   # some settings only

The last bits of a floating-point result depend on the processor: OpenBLAS takes the kernels that suit the
machine, and Numba compiles for it. These settings make one machine compute as others would. Each setting runs
in a process of its own, without any variable of the caller that chooses kernels or counts threads.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
NUMERICAL = (
    "arrays", "band", "band_kernel", "benchmark_methods", "constrained", "constraints_start", "contract",
    "covariance", "degenerate", "fast", "fast_networks", "geometry_channel", "goals", "invariants", "kernels",
    "network_methods", "networks", "objective", "optim", "pga", "projected", "published", "radar", "regimes",
    "scenario", "sensing_streams", "squint", "subarray_layers", "training", "users",
)  # fmt: skip
"""Test files of what BLAS, the compiled kernels and torch compute. Others test files, commands and plots."""

SETTINGS: dict[str, dict[str, str]] = {
    "unset": {},
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "Zen": {"OPENBLAS_CORETYPE": "Zen"},
    "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
    "Sandybridge": {"OPENBLAS_CORETYPE": "Sandybridge"},
    "generic": {"NUMBA_CPU_NAME": "generic"},
    "one-thread": {"OMP_NUM_THREADS": "1"},
    "two-threads": {"OMP_NUM_THREADS": "2"},
    "Haswell+generic": {"OPENBLAS_CORETYPE": "Haswell", "NUMBA_CPU_NAME": "generic"},
}
"""The variables of each setting. "unset" is the machine's own: BLAS kernels, Numba target, all cores."""

CHOOSING = ("OPENBLAS_", "OMP_", "GOTO_", "MKL_", "NUMBA_CPU_", "NUMBA_NUM_THREADS", "ATEN_CPU_CAPABILITY")
"""Beginnings of the variables that choose kernels or count threads; a setting starts without them."""

NEEDED = {
    "Haswell": {"avx2", "fma"},
    "Zen": {"avx2", "fma"},
    "SkylakeX": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    "Sandybridge": {"avx"},
}
"""Instructions that the kernels of each OPENBLAS_CORETYPE use, by their names in /proc/cpuinfo."""

PROBE = """
import numpy, scipy.linalg, threadpoolctl
A = numpy.random.default_rng(0).standard_normal((200, 200))
numpy.linalg.svd(A @ A), scipy.linalg.eigh(A @ A.T)
used = {m["architecture"] for m in threadpoolctl.threadpool_info() if m["internal_api"] == "openblas"}
print("/".join(sorted(used)))
"""
"""Uses both copies of OpenBLAS, NumPy's and SciPy's, and names the kernels that they took."""


class Row(NamedTuple):
    """What became of a setting: the BLAS kernels it got, the tests by outcome, seconds, and a remark."""

    setting: str
    kernels: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    remark: str = ""


def environment(setting: str, cache: str) -> dict[str, str]:
    """The caller's variables without those that choose or count, and the setting's own.

    Numba compiles for NUMBA_CPU_NAME with the features in NUMBA_CPU_FEATURES: for "generic" there are none.
    What it compiles goes to a folder of this run, so that the cache of the machine's own code stays as it is.
    """
    own = SETTINGS[setting]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(CHOOSING)}
    if "NUMBA_CPU_NAME" in own:
        kept |= {"NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": cache, "XDG_CACHE_HOME": cache}
    return kept | own


def missing(setting: str) -> set[str]:
    """Instructions of the setting's BLAS kernels that this processor lacks; none without /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    flags = next((set(line.split(":")[1].split()) for line in lines if line.startswith("flags")), None)
    needed = NEEDED.get(SETTINGS[setting].get("OPENBLAS_CORETYPE", ""), set())
    return set() if flags is None else needed - flags


def probe(variables: dict[str, str]) -> tuple[str, str]:
    """The BLAS kernels that a process with these variables takes, and why it can't run, if so."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE], env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode == -signal.SIGILL:
        return "", "this processor cannot run it: illegal instruction"
    if done.returncode:
        raise SystemExit(f"NumPy and SciPy do not start (exit code {done.returncode}):\n{done.stderr}")
    return done.stdout.strip(), ""


def run(setting: str, tests: list[str], workers: int, cache: str) -> Row:
    """The tests of these names in `NUMERICAL` under one setting."""
    lacking = missing(setting)
    if lacking:
        remark = f"this processor cannot run it: no {', '.join(sorted(lacking))}"
        return Row(setting, "", 0, 0, 0, 0.0, remark)
    variables = environment(setting, cache)
    kernels, remark = probe(variables)
    if remark:
        return Row(setting, kernels, 0, 0, 0, 0.0, remark)
    files = [f"tests/test_{name}.py" for name in tests]
    with tempfile.TemporaryDirectory() as folder:
        outcome = Path(folder) / "outcome.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"-n{workers}", "--dist=worksteal",
                   "-p", "no:cacheprovider", f"--junitxml={outcome}", *files]  # fmt: skip
        begin = time.monotonic()
        code = subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode
        seconds = time.monotonic() - begin
        if code not in (0, 1) or not outcome.exists():
            return Row(setting, kernels, 0, 1, 0, seconds, f"pytest ended with exit code {code}")
        counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
        for suite in ET.parse(outcome).iter("testsuite"):
            for key in counts:
                counts[key] += int(suite.get(key, 0))
    failed = counts["failures"] + counts["errors"]
    return Row(
        setting, kernels, counts["tests"] - failed - counts["skipped"], failed, counts["skipped"], seconds
    )


def table(rows: list[Row]) -> str:
    """The rows as Markdown, which is what docs/measured/reliability.md holds."""
    lines = ["| setting | variables | BLAS kernels | passed | failed | skipped | seconds |",
             "| --- | --- | --- | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for r in rows:
        variables = " ".join(f"{name}={value}" for name, value in SETTINGS[r.setting].items()) or "none"
        ran = r.passed + r.failed + r.skipped > 0
        counts = f"{r.passed} | {r.failed} | {r.skipped} | {r.seconds:.0f}" if ran else "| | |"
        lines.append(f"| {r.setting} | {variables} | {r.remark or r.kernels} | {counts} |")
    return "\n".join(lines)


def main() -> int:
    """Run the chosen settings one after another; 1 where a test failed or no setting could run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="SETTING",
                        help=f"some of: {', '.join(SETTINGS)}; all unless given")  # fmt: skip
    parser.add_argument("--without", nargs="+", choices=NUMERICAL, default=[], metavar="TESTS",
                        help=f"leave out some of: {', '.join(NUMERICAL)}")  # fmt: skip
    parser.add_argument("--workers", type=int, default=2, help="processes that share the tests (2)")
    given = parser.parse_args()
    tests = [name for name in NUMERICAL if name not in given.without]
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for setting in given.settings:
            print(f"\n{setting}: {SETTINGS[setting] or 'no variables'}", flush=True)
            rows.append(run(setting, tests, given.workers, cache))
            print(table(rows[-1:]), flush=True)
    print("\n" + table(rows))
    return int(any(r.failed for r in rows) or not any(r.passed for r in rows))


if __name__ == "__main__":
    sys.exit(main())
