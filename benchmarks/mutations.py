"""Break each gradient, projection and constraint in turn; the tests must catch every one.

    python benchmarks/mutations.py [--only fast]

Each mutation is one textual change in a copy of the sources; the tests of that part run against the copy.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EQUATIONS = ("tests/test_objective.py", "tests/test_constraints_start.py")
KERNELS = ("tests/test_kernels.py",)
FAST = ("tests/test_fast.py",)

MUTATIONS: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "∇_X R, factor": ("objective.py", "return H.mH @ (C / LN2)", "return H.mH @ (2 * C / LN2)", EQUATIONS),
    "∇_X R, sign of the interference": ("objective.py", "A * (-signal", "A * (signal", EQUATIONS),
    "∇_X τ, factor": ("objective.py", "return 2 * (X @ (X.mH", "return 1 * (X @ (X.mH", EQUATIONS),
    "∇_X τ, sign of Ψ": ("objective.py", "(X.mH @ X) - Psi @ X", "(X.mH @ X) + Psi @ X", EQUATIONS),
    "∇_F, sign of τ": (
        "objective.py",
        "noise) - weight * beam_gradient(X, Psi)) @ W.mH",
        "noise) + weight * beam_gradient(X, Psi)) @ W.mH",
        EQUATIONS,
    ),
    "∇_W, sign of τ": ("objective.py", "(ascent - weight * beam", "(ascent + weight * beam", EQUATIONS),
    "signal gradient, factor": (
        "objective.py",
        "/ total / LN2)",
        "/ total)",
        (*EQUATIONS, "tests/test_pga.py"),
    ),
    "R, factor": ("objective.py", ".sum(-1) / LN2", ".sum(-1)", EQUATIONS),
    "τ, sign": ("objective.py", "D = X @ X.mH - Psi", "D = X @ X.mH + Psi", EQUATIONS),
    "(10), zero entries": (
        "constraints.py",
        "torch.where(F == 0, previous, torch.sgn(F))",
        "torch.sgn(F)",
        EQUATIONS,
    ),
    "(10), not projected": ("constraints.py", "torch.where(F == 0, previous, torch.sgn(F))", "F", EQUATIONS),
    "(12), P_t for its root": ("constraints.py", "power.sqrt() / norm", "power / norm", EQUATIONS),
    "kernel, ∇_X τ": (
        "kernels/coordinates.py",
        "minus = splat(-kappa, LANES)",
        "minus = splat(kappa, LANES)",
        KERNELS,
    ),
    "kernel, ∇_X R": (
        "kernels/coordinates.py",
        "a = bits / (other + signal)\n        for m",
        "a = -bits / (other + signal)\n        for m",
        KERNELS,
    ),
    "kernel, (10)": (
        "kernels/phases.py",
        "where_zero(square, load(old, 1, m, n, LANES), divide(im, r))",
        "where_zero(square, load(old, 1, m, n, LANES), im)",
        KERNELS,
    ),
    "kernel, (12)": ("kernels/layers.py", "np.sqrt(power / norm2)", "power / norm2", KERNELS),
    "adjoint, λ": (
        "kernels/adjoint.py",
        "lam_bar = real_inner(Wbar, g)",
        "lam_bar = -real_inner(Wbar, g)",
        KERNELS,
    ),
    "adjoint, μ": ("kernels/adjoint.py", "mu_bar += re", "mu_bar -= re", KERNELS),
    "adjoint, norm": ("kernels/adjoint.py", "twice = -real_inner", "twice = real_inner", KERNELS),
    "fast, ∇_X R": (
        "kernels/fast_objective.py",
        "c = multiply(multiply(a, ratio), splat(like(Y, -1.0), LANES))",
        "c = multiply(a, ratio)",
        FAST,
    ),
    "fast, ∇_X τ": (
        "kernels/fast_objective.py",
        "c = fma(on_U, splat(q, LANES), c)",
        "c = fma(on_U, splat(-q, LANES), c)",
        FAST,
    ),
    "fast, ∇ of the power": ("kernels/fast_objective.py", "PX[0, k, k] -= mu", "PX[0, k, k] += mu", FAST),
    "fast, ∇_∠F": (
        "kernels/phases.py",
        "fnma(subtract(b0, b1), fi, multiply(add(b2, b3), fr))",
        "fma(subtract(b0, b1), fi, multiply(add(b2, b3), fr))",
        FAST,
    ),
    "fast, the mask": (
        "kernels/phases.py",
        "store_unit(V, V, m, n, multiply(there, re), multiply(there, im))",
        "store_unit(V, V, m, n, re, im)",
        ("tests/test_fast_networks.py",),
    ),
    "fast, (7b)": ("kernels/fast_channel.py", "complex(re * q, im * q)", "complex(re, im)", FAST),
    "fast, (7c)": (
        "kernels/fast_channel.py",
        "np.sqrt(problem.power / total)",
        "problem.power / total",
        FAST,
    ),
}


def caught(file: str, old: str, new: str, tests: tuple[str, ...]) -> bool:
    """True if the tests fail on the mutated copy."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "src", Path(folder) / "src", ignore=shutil.ignore_patterns("__pycache__"))
        target = Path(folder) / "src" / "beamfold" / file
        text = target.read_text()
        if text.count(old) < 1:
            raise SystemExit(f"the mutation of {file} no longer fits: {old!r}")
        target.write_text(text.replace(old, new))
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(folder) / "src"),
            "NUMBA_CACHE_DIR": str(Path(folder) / "compiled"),
        }
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
        if done.returncode not in (0, 1):
            raise SystemExit(done.stdout.decode()[-2000:])
        return done.returncode == 1


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--only", default="", help="mutations whose name begins so")
    chosen = {name: what for name, what in MUTATIONS.items() if name.startswith(parser.parse_args().only)}
    missed = []
    for name, (file, old, new, tests) in chosen.items():
        found = caught(file, old, new, tests)
        print(f"{'caught' if found else 'MISSED'}  {name}", flush=True)
        if not found:
            missed.append(name)
    print(f"{len(chosen) - len(missed)} of {len(chosen)} mutations caught")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
