"""The sensing covariance problem (6): the fast solver against CVXPY, its sizes, its breadth, its minimisers.

    python benchmarks/covariance.py            all of it, some 5 minutes
    python benchmarks/covariance.py --quick    N ≤ 128, no CVXPY on the Hermitian form, a minute

Prints four tables, all times wall seconds of one whole call with the certificate included:

1. N = 64, T = 181: `fast_covariance` against CVXPY with SCS at default accuracy on the program as a user
   would write it (a Hermitian variable, the pattern by steering vectors). The two take turns; medians,
   their ratio, and how far the fast objective lies above SCS's and Clarabel's, each after its Ψ was made
   feasible (SCS's own value belongs to a Ψ outside the cone and may lie below the optimum).
2. N = 64 … 512 at the default of `covariance` and at a tolerance of 1e-4: median time, certified gap, least
   eigenvalues of Ψ and of the dual slack.
3. Target sets and grids at N = 56: the largest certified gap and time over the grids of 91 … 1801 angles.
4. The floor of τ at rank K = 4, Σ_{i>4} λ_i(Ψ)², for different minimisers Ψ of the same problem.

Run with OMP_NUM_THREADS=1 on a quiet machine; the fast solver holds BLAS to one thread by itself.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cvxpy as cp
import numpy as np
import scipy.io

from beamfold.covariance.certificate import certify, fit
from beamfold.covariance.fast import fast_covariance
from beamfold.covariance.problem import Complex, Real, check_problem, desired_pattern
from beamfold.covariance.reference import reference_covariance

T = TypeVar("T")
PUBLISHED = Path(__file__).resolve().parents[2] / "shared" / "reference" / "radar_data.mat"
SIZES = ((64, 181), (128, 361), (256, 721), (512, 1801))
TARGETS = (
    (0,),
    (-85, 85),
    (2.5, 7.6),
    (-60, 0, 60),
    (-50, 10, 40),
    (-33.3, 0.3, 11.1, 44.4),
    (-50, -12, 20, 33, 71),
    (-85, -40, -11, 6.5, 30, 65),
)
GRIDS = (91, 121, 181, 361, 721, 1801)


def timed(call: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.3f} [{min(seconds):.3f}, {max(seconds):.3f}]"


def as_written(pattern: Real, grid: Real, N: int, solver: str) -> tuple[Complex, float]:
    """(6) in CVXPY to its letter: Ψ made feasible (eigenvalues clipped, diagonal scaled), raw value."""
    steering = np.exp(1j * np.pi * np.outer(np.arange(N), np.sin(grid)))
    Psi, alpha = cp.Variable((N, N), hermitian=True), cp.Variable()
    beampattern = cp.real(cp.sum(cp.multiply(steering.conj(), Psi @ steering), axis=0))
    problem = cp.Problem(
        cp.Minimize(cp.sum_squares(alpha * pattern - beampattern)),
        [cp.real(cp.diag(Psi)) == 1 / N, Psi >> 0],
    )
    problem.solve(solver=solver)
    eigenvalues, vectors = np.linalg.eigh((Psi.value + Psi.value.conj().T) / 2)
    clipped = (vectors * np.maximum(eigenvalues, 0)) @ vectors.conj().T
    scale = 1 / np.sqrt(np.diag(clipped).real * N)
    return clipped * scale[:, None] * scale, float(problem.value)


def against_cvxpy(turns: int, quick: bool) -> None:
    pattern, grid = desired_pattern((-60, 0, 60))
    tolerances = (1e-4, 1e-7)
    ours = {t: fast_covariance(check_problem(pattern, grid, 64), tolerance=t) for t in tolerances}
    fast: dict[float, list[float]] = {t: [] for t in tolerances}
    slow: list[float] = []
    others: list[tuple[str, str, Complex, float | None]] = []
    for _ in range(turns):
        for tolerance in tolerances:
            for _ in range(5):
                used, _ = timed(
                    lambda t=tolerance: fast_covariance(check_problem(pattern, grid, 64), tolerance=t)
                )
                fast[tolerance].append(used)
        if not quick:
            used, (Psi, raw) = timed(lambda: as_written(pattern, grid, 64, "SCS"))
            slow.append(used)
            others = [("CVXPY, SCS, as written", spread(slow), Psi, raw)]
    for solver in ("SCS", "CLARABEL"):
        used, other = timed(
            lambda s=solver: reference_covariance(check_problem(pattern, grid, 64), s, "centro")
        )
        others.append((f"CVXPY, {solver}, centro form", f"{used:.2f}", other.Psi, None))
    print(f"\n1. N = 64, T = 181, targets -60, 0, 60; {turns} turns, 5 fast runs each\n")
    print("| solver | s, median [min, max] | SCS as written / it | objective | gap | fast 1e-4 above it |")
    print("| --- | --- | --- | --- | --- | --- |")
    for tolerance, found in ours.items():
        ratio = f"{statistics.median(slow) / statistics.median(fast[tolerance]):.0f}" if slow else ""
        cells = f"{spread(fast[tolerance])} | {ratio} | {found.objective:.6f} | {found.gap:.1e}"
        print(f"| fast, {tolerance:.0e} | {cells} | |")
    for name, used, Psi, raw in others:
        proof = certify(check_problem(pattern, grid, 64), Psi, ours[1e-7].dual)
        above = ours[1e-4].objective / proof.objective - 1
        print(f"| {name} | {used} | | {proof.objective:.6f} | {proof.gap:.1e} | {above:+.1e} |")
        if raw is not None:
            print(
                f"| its own value, Ψ not feasible | | | {raw:.6f} | | {ours[1e-4].objective / raw - 1:+.1e} |"
            )


def sizes(quick: bool) -> None:
    print("\n2. Sizes, targets -60, 0, 60\n")
    print("| N | T | setting | s, median [min, max] | steps | certified gap | λ_min(Ψ) | λ_min(slack) |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for N, angles in SIZES[:2] if quick else SIZES:
        pattern, grid = desired_pattern((-60, 0, 60), angles)
        for setting in ({"tolerance": 1e-4}, {"tolerance": 1e-7}, {"tolerance": 1e-4, "rank": 4}):
            seconds = []
            for _ in range(11 if N <= 128 else 3):
                used, found = timed(
                    lambda p=pattern, g=grid, n=N, s=setting: fast_covariance(check_problem(p, g, n), **s)
                )
                seconds.append(used)
            proof = certify(check_problem(pattern, grid, N), found.Psi, found.dual)
            name = f"{setting['tolerance']:.0e}" + (", rank 4" if "rank" in setting else "")
            print(
                f"| {N} | {angles} | {name} | {spread(seconds)} | {found.iterations} | {proof.gap:.1e} "
                f"| {proof.least_eigenvalue:.1e} | {proof.least_slack_eigenvalue:.1e} |",
                flush=True,
            )


def breadth(quick: bool) -> None:
    print(f"\n3. N = 56, grids of {', '.join(map(str, GRIDS))} angles: the largest over the grids\n")
    print("| targets, degrees | gap at 1e-4 | s | gap at the default | s |")
    print("| --- | --- | --- | --- | --- |")
    for targets in TARGETS[:3] if quick else TARGETS:
        cells = []
        for setting in ({"tolerance": 1e-4}, {"tolerance": 1e-7, "accept": 1e-4}):
            gaps, seconds = [], []
            for angles in GRIDS:
                pattern, grid = desired_pattern(targets, angles)
                used, found = timed(
                    lambda p=pattern, g=grid, s=setting: fast_covariance(check_problem(p, g, 56), **s)
                )
                gaps.append(found.gap)
                seconds.append(used)
            cells += [f"{max(gaps):.1e}", f"{max(seconds):.3f}"]
        print(f"| {', '.join(map(str, targets))} | {' | '.join(cells)} |", flush=True)


def minimisers() -> None:
    print("\n4. N = 64: the floor of τ at rank 4 (P_t = 1), by choice of Ψ\n")
    print("| pattern | Ψ | objective | gap | floor of τ | leading eigenvalues |")
    print("| --- | --- | --- | --- | --- | --- |")
    cases = {"own": (*desired_pattern((-60, 0, 60)), None)}
    if PUBLISHED.exists():
        data = scipy.io.loadmat(PUBLISHED)
        published = data["J"][:, :, 0, 0] / np.trace(data["J"][:, :, 0, 0]).real
        cases["published"] = (data["Pd_theta"].ravel().astype(float), data["theta"].ravel(), published)
    for name, (pattern, grid, published) in cases.items():
        best = fast_covariance(check_problem(pattern, grid, 64), tolerance=1e-7)
        found = {"fast, 1e-7 (default)": best.Psi}
        found["fast, 1e-4"] = fast_covariance(check_problem(pattern, grid, 64)).Psi
        for rank in (2, 3, 4):
            found[f"fast, rank {rank}"] = fast_covariance(
                check_problem(pattern, grid, 64), rank=rank, tolerance=1e-7
            ).Psi
        for solver in ("SCS", "CLARABEL"):
            found[f"{solver}, centro form"] = reference_covariance(
                check_problem(pattern, grid, 64), solver, "centro"
            ).Psi
        if published is not None:
            found["published"] = published
        for choice, Psi in found.items():
            eigenvalues = np.linalg.eigvalsh(Psi)[::-1]
            leading = " ".join(f"{value:.3f}" for value in eigenvalues[:7])
            objective = fit(check_problem(pattern, grid, 64), Psi)[2]
            gap, floor = (
                certify(check_problem(pattern, grid, 64), Psi, best.dual).gap,
                float(np.sum(eigenvalues[4:] ** 2)),
            )
            print(
                f"| {name} | {choice} | {objective:.6f} | {gap:.1e} | {floor:.1e} | {leading} |", flush=True
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="N ≤ 128, without the slow runs of CVXPY")
    parser.add_argument("--turns", type=int, default=5, help="turns of table 1 (default 5)")
    options = parser.parse_args()
    against_cvxpy(1 if options.quick else options.turns, options.quick)
    sizes(options.quick)
    breadth(options.quick)
    minimisers()


if __name__ == "__main__":
    main()
