"""What every method owes: one suite over all of them. A new method is one line in `METHODS`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from conftest import relative, small

from beamfold.constraints import modulus_error, power_error
from beamfold.methods import (
    ModelInfo,
    UnfoldedPGA,
    conventional_pga,
    digital,
    digital_jcas,
    digital_zero_forcing,
    fast,
    manopt,
    omp,
    pga,
    phased_zero_forcing,
    sca,
    sca_manopt,
    unfolded,
    wmmse,
)
from beamfold.objective import beam_error, rate
from beamfold.scenario import Scenario, Status, make_scenario
from beamfold.verify import verify

LAYERS = 12


def constant_model(s, engine):
    info = ModelInfo(s.antennas, s.users, s.chains, eta=1 / s.antennas)
    return unfolded(s, UnfoldedPGA(info, layers=LAYERS, inner=5, initial=0.003), engine=engine)


def plain(inner, engine, **options):
    return lambda s: pga(s, inner=inner, layers=LAYERS, mu=0.003, lam=0.003, engine=engine, **options)


METHODS = {
    "digital_zero_forcing": digital_zero_forcing,
    "phased_zero_forcing": phased_zero_forcing,
    "sca": sca,
    "wmmse": wmmse,
    "digital_jcas": digital_jcas,
    "digital": digital,
    "manopt": manopt,
    "sca_manopt": sca_manopt,
    "omp": omp,
    "fast": lambda s: fast(s, precision="double", steps=3),
    "fast_single": fast,
    **{
        f"{name}-{engine}": method
        for engine in ("torch", "kernel")
        for name, method in {
            "pga_j1": plain(1, engine),
            "pga_j10": plain(10, engine),
            "pga_exact": plain(5, engine, digital="exact"),
            "pga_svd": plain(5, engine, start="svd"),
            "conventional": lambda s, engine=engine: conventional_pga(s, layers=LAYERS, engine=engine),
            "unfolded": lambda s, engine=engine: constant_model(s, engine),
        }.items()
    },
}
"""Name → a function of a `Scenario` that gives a `Design`."""

SIZES = {"M = K": (16, 3, 3), "M > K": (16, 2, 4), "one user": (6, 1, 1)}  # N, K, M


FREE_CHAINS = {"omp", "fast", "fast_single"}
"""Methods whose F has no column that belongs to a user: only F W follows a renumbering."""
OTHER_AIM = {"sca", "wmmse", "digital_jcas", "manopt", "sca_manopt", "omp"}
"""Methods that maximise something else than R − ω τ and may well end below the start (26) in it."""


def tolerance(name):
    """Of R, τ and |X|: rounding, and what the method makes of it.

    12 layers multiply float32's a little; conjugate gradients with a backtracking search stop where their
    own rule says, which rounding can move by a step. Quasi-Newton steps multiply rounding most of all, so the
    fast design brings equivalent problems to one form first, and its designs are then equal.
    """
    if name.endswith("kernel"):
        return 2e-5
    loose = {"manopt": 1e-3, "sca_manopt": 1e-3, "digital": 1e-4}
    return loose.get(name, 1e-8)


def turned(X, like):
    """X with each column's phase, which nothing depends on, taken from `like`."""
    return X * torch.sgn((X.conj() * like).sum(-2, keepdim=True))


@pytest.fixture(params=METHODS)
def name(request):
    return request.param


@pytest.fixture(params=SIZES)
def s(request) -> Scenario:
    N, K, M = SIZES[request.param]
    return small(N, K, M, count=3, snr_db=6, seed=1)


def with_channels(s, H, **change):
    snr_db = 10 * math.log10(float(s.power.flatten()[0]) / change.get("noise", s.noise))
    return make_scenario(H, s.radar, snr_db=snr_db, chains=s.chains, weight=0.3, **change)


def same_figures(a, b, name):
    assert relative(a.rate, b.rate) < tolerance(name)
    assert relative(a.tau, b.tau) < tolerance(name)


def test_feasible_finite_and_measured(name, s):
    design = METHODS[name](s)
    X = design.X
    assert design.scenario is s
    assert design.method
    assert X.shape == (3, s.antennas, s.users)
    assert bool(torch.isfinite(torch.view_as_real(X)).all())
    assert float(power_error(X, s.power).max()) < 1e-9
    if design.F is not None:
        assert design.F.shape == (3, s.antennas, s.chains)
        assert design.W.shape == (3, s.chains, s.users)
        assert float(modulus_error(design.F).max()) < 1e-9
        assert design.F.dtype == torch.complex128
    assert design.W.dtype == torch.complex128
    assert torch.allclose(design.rate, rate(s.H, X, s.noise), rtol=1e-12)
    assert torch.allclose(design.tau, beam_error(X, s.Psi_t), rtol=1e-12)
    assert torch.allclose(design.objective, design.rate - 0.3 * design.tau, rtol=1e-12)
    assert design.status.shape == (3,)
    assert design.status.dtype == torch.int8
    assert all(Status(v) < Status.INFEASIBLE for v in design.status.tolist())


def test_the_independent_verifier_agrees(name, s):
    design = METHODS[name](s)
    F = None if design.F is None else design.F.numpy()
    stated = {"rate": design.rate.numpy(), "tau": design.tau.numpy()}
    found = verify(s.H.numpy(), F, design.W.numpy(), s.Psi.numpy(), s.power.numpy(), s.noise, stated)
    assert max(found.worst().values()) < 1e-9
    assert found.mse == pytest.approx(design.pattern_error(s.radar.angles).numpy(), rel=1e-9)


def test_status_tells_whether_it_got_worse(name, s):
    """A good status is never below the start (26); iterative methods from that start only."""
    design = METHODS[name](s)
    if Status.CLOSED_FORM in design.status.tolist() or "svd" in name or name in OTHER_AIM:
        return
    before = phased_zero_forcing(s).objective
    for status, value, first in zip(design.status.tolist(), design.objective, before, strict=True):
        if status < Status.WORSE_THAN_START:
            assert value >= first - 1e-5 * (1 + abs(first))


def test_users_can_be_renumbered(name, s):
    """The columns of X go with the users; R and τ stay."""
    order = torch.randperm(s.users, generator=torch.Generator().manual_seed(2))
    ours, renumbered = METHODS[name](s), METHODS[name](with_channels(s, s.H[:, order]))
    same_figures(renumbered, ours, name)
    if "svd" not in name:  # equal up to the phases that an SVD leaves open
        assert relative(turned(renumbered.X, ours.X[..., order]), ours.X[..., order]) < 10 * tolerance(name)
    if ours.F is None:
        assert relative(renumbered.W, ours.W[..., order]) < tolerance(name)
    elif "svd" not in name and name not in FREE_CHAINS:
        rows = torch.cat([order, torch.arange(s.users, s.chains)])  # F's columns follow the users too
        assert relative(renumbered.W, ours.W[:, rows][..., order]) < 100 * tolerance(name)


def test_a_common_phase_changes_nothing(name, s):
    """h_k e^{jφ_k} is the same user: only the phase of x_k follows."""
    phase = torch.exp(1j * torch.tensor([0.3, -2.0, 1.1], dtype=torch.float64))[: s.users]
    ours, turned = METHODS[name](s), METHODS[name](with_channels(s, s.H * phase[:, None]))
    same_figures(turned, ours, name)
    assert relative(turned.X.abs(), ours.X.abs()) < 10 * tolerance(name)


@pytest.mark.parametrize("factor", [1e-3, 40.0])
def test_channels_and_noise_scale_together(name, s, factor):
    """H c with σ² c² is the same problem, at the same P_t."""
    ours, scaled = METHODS[name](s), METHODS[name](with_channels(s, factor * s.H, noise=factor**2))
    assert relative(scaled.scenario.power, s.power) < 1e-12
    same_figures(scaled, ours, name)
    assert relative(turned(scaled.X, ours.X), ours.X) < 10 * tolerance(name)


def test_a_batch_is_its_channels_one_by_one(name, s):
    """Also behind an SNR axis.

    The start (26) is rounded differently in a batch. The layers' kernel rounds it to float32, which can make
    that an ulp of float32, and the methods with a rule to stop can take a step more.
    """
    several = make_scenario(s.H, s.radar, snr_db=[0.0, 6.0], chains=s.chains)
    whole = METHODS[name](several)
    assert whole.rate.shape == whole.status.shape == (2, 3)
    for i, b in np.ndindex(2, 3):
        alone = METHODS[name](several[i, b : b + 1])
        coarse = name.endswith("kernel") or name in {"manopt", "sca_manopt", "digital"}
        limit = tolerance(name) if coarse else 1e-10
        assert relative(alone.X[0], whole.X[i, b]) < 10 * limit  # X follows the figures less closely
        assert float(alone.rate[0]) == pytest.approx(float(whole.rate[i, b]), rel=limit)
        assert alone.status.tolist() == [int(whole.status[i, b])]


def test_two_runs_are_equal(name, s):
    ours, again = METHODS[name](s), METHODS[name](s)
    assert torch.equal(ours.W, again.W)


def test_the_scenario_is_left_alone(name, s):
    before = s.H.clone(), s.Psi.clone(), s.power.clone()
    METHODS[name](s)
    assert torch.equal(s.H, before[0])
    assert torch.equal(s.Psi, before[1])
    assert torch.equal(s.power, before[2])


@pytest.mark.parametrize("snr_db", [-30.0, 40.0])
@pytest.mark.parametrize("gain", [1e-6, 1.0, 1e4])
def test_never_a_nan(name, gain, snr_db):
    """Extreme scenarios may end in any status, but in finite, feasible designs with finite figures."""
    H = small(8, 2).H * gain
    design = METHODS[name](make_scenario(H, small(8, 2).radar, snr_db=snr_db, weight=5.0))
    assert bool(torch.isfinite(design.objective).all())
    assert bool(torch.isfinite(torch.view_as_real(design.X)).all())
    assert float(power_error(design.X, design.scenario.power).max()) < 1e-9
    if design.F is not None:
        assert float(modulus_error(design.F).max()) < 1e-9


def test_equal_users_are_served(name):
    """Rank-deficient H: no zero forcing is possible, and still every figure is finite."""
    H = small(8, 2).H.clone()
    H[:, 1] = H[:, 0]
    design = METHODS[name](make_scenario(H, small(8, 2).radar, snr_db=6))
    assert bool(torch.isfinite(design.objective).all())
    assert float(power_error(design.X, design.scenario.power).max()) < 1e-9


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 2, 2), (3, 1, 3)])
def test_the_smallest_sizes(name, size):
    N, K, M = size
    design = METHODS[name](small(N, K, M, count=2))
    assert design.X.shape == (2, N, K)
    assert bool(torch.isfinite(design.objective).all())
