"""The covariance solvers: optimality, feasibility, gradients, determinism, rank, errors, published data."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.io
import torch
from threadpoolctl import threadpool_limits

import beamfold.covariance
from beamfold.arrays import line_array
from beamfold.covariance import solve_covariance
from beamfold.covariance.centro import to_complex, to_real
from beamfold.covariance.certificate import Dual, certify, dual_bound, fit
from beamfold.covariance.fast import fast_covariance
from beamfold.covariance.interior import Form, newton_matrix, square_root
from beamfold.covariance.lowrank import _value_and_gradient
from beamfold.covariance.problem import check_problem, desired_pattern
from beamfold.covariance.reference import reference_covariance
from beamfold.sensing import Sensing, default_angles

TARGETS = [[0], [-60, 0, 60], [-85, 85], [2.5, 7.6], [-50, -12, 20, 33, 71], [-85, -40, -11, 6.5, 30, 65]]


def random_hermitian(N, seed, centro=False):
    rng = np.random.default_rng(seed)
    H = rng.standard_normal((N, N)) + 1j * rng.standard_normal((N, N))
    H = H @ H.conj().T
    return (H + H[::-1, ::-1].conj()) / 2 if centro else H


def random_feasible(N, seed):
    H = random_hermitian(N, seed)
    scale = 1 / np.sqrt(np.diag(H).real * N)
    return H * scale[:, None] * scale


@pytest.mark.parametrize("N", [2, 3, 8, 9])
def test_real_form_round_trip_and_spectrum(N):
    H = random_hermitian(N, 2, centro=True)
    assert np.allclose(to_complex(to_real(H)), H)
    assert np.allclose(np.linalg.eigvalsh(to_real(H)), np.linalg.eigvalsh(H))


def test_fft_newton_matrix_equals_the_dense_traces():
    N = 5
    X, Y = random_hermitian(N, 3, centro=True), random_hermitian(N, 4, centro=True)
    problem = check_problem(*desired_pattern([0], 41), N)
    lags = [problem.lags.adjoint(unit) for unit in np.eye(2 * N - 1)]
    diagonals = [-np.diag((np.eye(N)[n] + np.eye(N)[N - 1 - n]) / (1 + (n == N // 2))) for n in range(3)]
    basis = [2 * B for B in lags] + diagonals
    dense = np.array([[np.trace(X @ B @ Y @ C).real for C in basis] for B in basis])
    dense[np.arange(2 * N - 1), np.arange(2 * N - 1)] += 2
    assert np.allclose(newton_matrix(Form(np.eye(2 * N - 1), problem), X, Y), dense)


def test_low_rank_gradient_against_central_differences():
    N, r = 7, 3
    _, grid = desired_pattern([-20, 30], 61)
    lags = line_array(N).lags
    R = square_root(lags.basis(check_problem(np.ones(61), grid, N).cosines))
    u = np.random.default_rng(5).standard_normal(2 * N * r)
    _, gradient = _value_and_gradient(u, R.T @ R, lags, r)
    for i in range(0, u.size, 5):
        h = np.eye(u.size)[i] * 1e-6
        above, below = (_value_and_gradient(v, R.T @ R, lags, r)[0] for v in (u + h, u - h))
        assert gradient[i] == pytest.approx((above - below) / 2e-6, rel=1e-6, abs=1e-6)


def test_dual_bound_is_below_every_feasible_objective():
    N = 6
    pattern, grid = desired_pattern([-30, 10], 61)
    rng = np.random.default_rng(6)
    problem = check_problem(pattern, grid, N)
    best = fast_covariance(problem, tolerance=1e-7)
    for seed in range(20):
        Psi = random_feasible(N, seed)
        assert fit(problem, Psi)[2] >= best.lower_bound
        bound, _ = dual_bound(problem, Dual(rng.standard_normal(61), rng.standard_normal(N)))
        assert bound <= best.objective
        q, nu = best.dual
        near = Dual(q + 0.1 * rng.standard_normal(61), nu + 0.1 * rng.standard_normal(N))
        assert dual_bound(problem, near)[0] <= best.objective


EPS = np.finfo(float).eps


def gap_rounding(result, T):
    """By how much two computations of gap = (f − bound) / max(f, 10⁻³ T) may differ.

    A value āᴴ Ψ ā of the pattern takes two sums of N products, and the moduli of all N² terms sum to N at
    most, because |Ψ_mn| ≤ 1/N. Its error is below 1.5 N² ε in complex arithmetic, so two computations differ
    by less than 3 N² ε, and f = ‖r‖² by 2 ‖r‖₁ ≤ 2 √(T f) times as much. In bound = b²/(4 ‖q‖²) the error of
    b is that of an eigenvalue, N ε ‖G − Diag ν‖ with ‖G‖ ≤ 2 N ‖q‖₁; the bound's is √bound/‖q‖ times it.
    """
    N, (q, nu) = len(result.Psi), result.dual
    slack = 2 * N * np.abs(q).sum() + np.abs(nu).max()
    on_f = 2 * math.sqrt(T * result.objective) * 3 * N**2 * EPS
    on_bound = math.sqrt(result.lower_bound) / np.linalg.norm(q) * N * EPS * slack
    return (on_f + on_bound) / max(result.objective, 1e-3 * T)


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("N, T", [(8, 91), (15, 181), (64, 181), (33, 1801)])
def test_certified_optimal_and_feasible(targets, N, T):
    pattern, grid = desired_pattern(targets, T)
    problem = check_problem(pattern, grid, N)
    result = fast_covariance(problem)
    proof = certify(problem, result.Psi, result.dual)
    assert result.gap <= 1e-4
    assert proof.gap == pytest.approx(result.gap, rel=0, abs=gap_rounding(result, T))
    assert proof.least_eigenvalue >= -N * EPS * np.linalg.norm(result.Psi)  # an eigenvalue's backward error
    assert proof.diagonal_error <= 1e-12
    assert np.array_equal(result.Psi, result.Psi.conj().T)
    # Psi's own dual (closed form, nothing from the solver) proves almost as much
    assert certify(problem, result.Psi).gap <= 1e-2


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
@pytest.mark.parametrize("formulation", ["hermitian", "centro"])
@pytest.mark.parametrize("N, targets", [(6, [-60, 0, 60]), (9, [-35, 15])])
def test_agrees_with_the_literal_problem(solver, formulation, N, targets):
    pattern, grid = desired_pattern(targets, 91)
    problem = check_problem(pattern, grid, N)
    reference = reference_covariance(problem, solver, formulation)
    result = fast_covariance(problem, tolerance=1e-6)
    assert result.objective == pytest.approx(reference.objective, rel=1e-4)
    assert result.lower_bound <= reference.objective
    assert np.linalg.eigvalsh(reference.Psi)[0] >= -1e-9
    assert result.alpha == pytest.approx(reference.alpha, rel=1e-2)


@pytest.mark.parametrize(
    "solver, option", [("SCS", {"max_iters": 5}), ("SCS", {"max_iters": 60}), ("CLARABEL", {"max_iter": 4})]
)
def test_reference_refuses_an_early_stop(solver, option):
    pattern, grid = desired_pattern([-60, 0, 60], 91)
    with pytest.raises(RuntimeError, match=r"stopped with status '[a-z_]+' .*(diagonal off|no Psi)"):
        reference_covariance(check_problem(pattern, grid, 12), solver, "hermitian", **option)


def test_same_bits_every_time_also_in_another_process_whatever_its_threads():
    code = (
        "from beamfold.covariance import solve_covariance\n"
        "import sys\n"
        "for rank in (None, 4):\n"
        "    sys.stdout.buffer.write(solve_covariance(32, rank=rank).Psi.numpy().tobytes())\n"
    )
    settings = os.environ | {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=settings).stdout
    with threadpool_limits(1, user_api="blas"):
        for _ in range(2):
            here = [solve_covariance(32, rank=rank).Psi.numpy().tobytes() for rank in (None, 4)]
            assert b"".join(here) == other


def test_rank_one_reports_its_loss():
    pattern, grid = desired_pattern([-60, 0, 60])
    result = fast_covariance(check_problem(pattern, grid, 16), rank=1)
    assert result.gap > 1e-3
    assert result.objective * (1 - result.gap) == pytest.approx(result.lower_bound, rel=1e-9)


def test_exact_pattern_has_zero_objective():
    result = fast_covariance(check_problem(np.ones(91), np.deg2rad(np.linspace(-90, 90, 91)), 8))
    assert result.objective < 1e-12 and result.gap == pytest.approx(0, abs=1e-10)


def test_problem_errors():
    pattern, grid = desired_pattern([0], 91)
    with pytest.raises(ValueError, match="empty"):
        check_problem(np.zeros(91), grid, 8)
    with pytest.raises(ValueError, match=r"too coarse for N = 64.*T >= 102"):
        check_problem(pattern, grid, 64)
    fine, fine_grid = desired_pattern([0], 102)
    check_problem(fine, fine_grid, 64)
    with pytest.raises(ValueError, match=r"N = 8\.5 antennas"):
        check_problem(pattern, grid, 8.5)
    with pytest.raises(ValueError, match="increase"):
        check_problem(pattern, grid[::-1], 8)
    with pytest.raises(ValueError, match="90 grid angles"):
        check_problem(pattern, grid[1:], 8)
    with pytest.raises(ValueError, match="negative"):
        check_problem(-pattern, grid, 8)
    with pytest.raises(ValueError, match="finite"):
        check_problem(pattern * np.nan, grid, 8)
    with pytest.raises(ValueError, match="'MOSEK'"):
        reference_covariance(check_problem(pattern, grid, 8), "MOSEK")
    with pytest.raises(ValueError, match="'real'"):
        reference_covariance(check_problem(pattern, grid, 8), formulation="real")


@pytest.mark.parametrize("solver", ["fast", "scs", "clarabel"])
@pytest.mark.parametrize("targets", [(-60.0, 0.0, 60.0), (41.5, -33.0)])
def test_benchmark_says_what_was_solved(solver, targets):
    radar = solve_covariance(32, targets, angles=121, solver=solver)
    eigenvalues = torch.linalg.eigvalsh(radar.Psi)
    assert radar.Psi.dtype == torch.complex128 and radar.antennas == 32
    assert torch.equal(radar.Psi, radar.Psi.mH)
    assert (radar.Psi.diagonal() - 1 / 32).abs().max() <= 1e-12
    assert eigenvalues[0] >= -1e-9
    assert radar.targets == tuple(math.radians(t) for t in targets)
    assert radar.solver == solver and radar.angles.shape == radar.desired.shape == (121,)
    for angle, wanted in zip(radar.angles.tolist(), radar.desired.tolist(), strict=True):
        near = any(abs(angle - target) <= math.radians(2.5) + 1e-9 for target in radar.targets)
        assert wanted == near
    # (6a) from its definition, with α as the Sensing has it
    phase = math.pi * torch.outer(torch.arange(32, dtype=torch.float64), radar.angles.sin())
    steering = torch.exp(1j * phase)
    pattern = (steering.conj() * (radar.Psi @ steering)).sum(0).real
    error = (radar.scale * radar.desired - pattern).square().sum()
    assert float(error) == pytest.approx(radar.objective, rel=1e-9)
    assert float(((radar.scale + 1e-3) * radar.desired - pattern).square().sum()) > float(error)
    assert 0 <= radar.gap <= (1e-7 if solver == "fast" else 1e-4)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_tolerance_is_kept_and_no_looser_than_asked(tolerance):
    radar = solve_covariance(32, (10.0,), tolerance=tolerance)
    assert radar.gap <= tolerance
    assert radar.objective >= solve_covariance(32, (10.0,)).objective * (1 - 1e-7)


def test_default_accepts_what_rounding_allows_but_a_tolerance_is_a_demand():
    # two neighbouring mainlobes on a grid near the coarsest allowed: nearly met, the dual nearly vanishes
    assert 1e-7 < solve_covariance(64, (-50, 10, 40), angles=121).gap <= 1e-4
    with pytest.raises(RuntimeError, match=r"stopped at a certified gap of .*, above 1\.0e-07"):
        solve_covariance(64, (-50, 10, 40), angles=121, tolerance=1e-7)


@pytest.mark.parametrize("rank", [2, 4])
def test_rank_of_a_benchmark(rank):
    radar = solve_covariance(64, rank=rank)
    full = solve_covariance(64)
    eigenvalues = torch.linalg.eigvalsh(radar.Psi)
    assert eigenvalues[: 64 - rank].abs().max() < 1e-14
    assert (radar.Psi.diagonal() - 1 / 64).abs().max() <= 1e-12
    assert full.objective * (1 - 1e-7) <= radar.objective <= full.objective * (1 + radar.gap + 1e-7)
    assert radar.gap <= 1e-4


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            {"targets_deg": ()},
            "targets must be a non-empty list of finite angles in degrees, or of pairs of them",
        ),
        (
            {"targets_deg": (0.0, math.nan)},
            "targets must be a non-empty list of finite angles in degrees, or of pairs of them",
        ),
        ({"targets_deg": (0.0, -90.5)}, "target at -90.5 degrees: outside [-90, 90]"),
        ({"targets_deg": (20.0, 16.0)}, "targets 4 degrees apart overlap: mainlobes are 5 wide"),
        ({"targets_deg": (7.0, 7.0)}, "targets 0 degrees apart overlap: mainlobes are 5 wide"),
        ({"width_deg": 0.0}, "width of 0.0 degrees: must be positive"),
        ({"angles": 1}, "T = 1 angles: must be an integer of at least 2"),
        (
            {"targets_deg": (0.5,), "width_deg": 0.5},
            "no angle of the 181-angle grid lies in the mainlobe of the target at 0.5",
        ),
        ({"antennas": 0}, "N = 0 antennas: must be an integer of at least 1"),
        (
            {"antennas": 128, "angles": 181},
            "grid too coarse for N = 128: a step of 0.0175 in sin(theta) hides a whole beam "
            "(2/N = 0.0156); a uniform grid needs T >= 203",
        ),
        ({"rank": 0}, "rank 0: must be an integer from 1 to N = 16"),
        ({"rank": 17}, "rank 17: must be an integer from 1 to N = 16"),
        ({"tolerance": 0.5}, "tolerance 0.5: must lie in [1e-8, 0.1]"),
        ({"solver": "scs", "rank": 4}, "rank is for the fast solver, not for 'scs'"),
        ({"solver": "clarabel", "tolerance": 1e-6}, "tolerance is for the fast solver, not for 'clarabel'"),
        ({"solver": "mosek"}, "solver 'mosek': must be one of fast, clarabel, scs"),
    ],
)
def test_every_refusal_is_one_plain_line(arguments, message):
    with pytest.raises(ValueError) as error:
        solve_covariance(**{"antennas": 16, **arguments})
    assert str(error.value) == message


def test_a_solver_that_stops_early_is_an_error_with_its_status(monkeypatch):
    real = beamfold.covariance.reference.reference_covariance

    def hurried(*arguments, **options):
        return real(*arguments, **options, max_iters=5)

    monkeypatch.setattr(beamfold.covariance.reference, "reference_covariance", hurried)
    with pytest.raises(RuntimeError, match=r"SCS stopped with status '\w+' \(primal residual .*, dual .*\)"):
        solve_covariance(16, solver="scs")


@pytest.mark.reference
def test_no_worse_than_the_published_covariance(reference):
    data = scipy.io.loadmat(reference / "radar_data.mat")
    pattern, grid = data["Pd_theta"].ravel().astype(float), data["theta"].ravel().astype(float)
    problem = check_problem(pattern, grid, 64)
    ours = fast_covariance(problem, tolerance=1e-7)
    assert ours.gap <= 1e-7
    for index in range(data["J"].shape[-1]):
        published = data["J"][:, :, 0, index]
        published = published / np.trace(published).real
        theirs = certify(problem, published, ours.dual)
        assert ours.objective <= theirs.objective * (1 + 1e-4)
        assert theirs.gap <= 1e-6  # and theirs is optimal by our multipliers
        # f = ‖w‖² of a linear w, so ‖w − w*‖² <= f − f* for every feasible point: both are near the best
        p = [problem.rejected(fit(problem, Psi)[1]) for Psi in (ours.Psi, published)]
        above = [max(0.0, f - ours.lower_bound) for f in (ours.objective, theirs.objective)]
        rounding = 1e-9 * math.sqrt(ours.objective)
        assert np.linalg.norm(p[0] - p[1]) <= math.sqrt(above[0]) + math.sqrt(above[1]) + rounding
        # and of the optimal set, which is more than one point, theirs and ours lie in one place
        assert np.linalg.norm(ours.Psi - published) ** 2 <= 1e-3 * np.linalg.norm(published) ** 2


def test_agrees_with_clarabel_and_scs_at_full_size():
    ours = solve_covariance(64)
    for solver in ("clarabel", "scs"):
        theirs = solve_covariance(64, solver=solver)
        assert ours.objective <= theirs.objective * (1 + 1e-4)
        assert ours.objective == pytest.approx(theirs.objective, rel=1e-4)
        assert ours.scale == pytest.approx(theirs.scale, rel=1e-3)


def test_the_default_grid_is_the_papers_or_fine_enough_and_holds_the_papers():
    """T = 181 exactly where problem (6) accepts it, else the least 180 m + 1 that is no less than 2πN."""
    paper = np.linspace(-90, 90, 181)
    for N in range(1, 1200):
        T = default_angles(N)
        assert (T == 181) == (1 + math.pi * N / 2 < 181)
        assert T == 181 or T >= 2 * math.pi * N > T - 180
        assert np.allclose(np.linspace(-90, 90, T)[:: (T - 1) // 180], paper)
    for N in (1, 2, 114, 115, 128, 1024):
        check_problem(*desired_pattern((-60, 0, 60), default_angles(N)), N)
    with pytest.raises(ValueError, match="grid too coarse"):
        check_problem(*desired_pattern((-60, 0, 60), 181), 115)


@pytest.mark.parametrize("solver", ["fast", "clarabel", "scs"])
def test_one_antenna_has_one_feasible_point(solver):
    """N = 1: Ψ = 1 is all that is feasible, its pattern is 1, α = 1, and f counts the angles of P_d = 0."""
    radar = solve_covariance(1, (-60, 0, 60), solver=solver)
    assert radar.Psi.tolist() == [[1]]
    assert radar.scale == pytest.approx(1, rel=1e-12)
    assert radar.objective == pytest.approx(float((radar.desired == 0).sum()), rel=1e-12)
    assert radar.gap <= 1e-7


def test_the_grid_follows_the_antennas_unless_it_is_given():
    assert len(solve_covariance(16).angles) == 181
    radar = solve_covariance(120, (-30, 30))
    assert len(radar.angles) == len(radar.desired) == default_angles(120) == 901
    assert radar.gap <= 1e-7
    assert len(solve_covariance(16, angles=241).angles) == 241
    assert len(Sensing(radar.Psi).angles) == 901  # a bare Ψ of the user's
    assert len(Sensing(radar.Psi, angles=torch.zeros(3)).angles) == 3
