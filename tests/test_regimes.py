"""Two parts of the fast design: two chains for each column of X, and the start for τ alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import relative, small

import beamfold as bf
from beamfold.kernels.fast import run_fast
from beamfold.kernels.fast_setting import (
    Setting,
    columns,
    exact_plan,
    plan_for,
    sensing_start,
    sensing_start_of,
    setting_for,
)
from beamfold.networks import fully_connected, named_network
from beamfold.optim.projected import run_projected
from beamfold.optim.projected_start import turned_to_users, two_chains_each
from beamfold.scenario import make_scenario


def random_X(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("chains", [6, 7, 9])
def test_two_chains_for_each_column_send_any_X(chains):
    """Also a user who gets nothing, an antenna that sends nothing, and a column of constant modulus."""
    X = random_X(4, 10, 3)
    X[0, :, 1], X[1, 2], X[2, :, 0] = 0, 0, torch.exp(1j * torch.arange(10.0, dtype=torch.float64))
    F, W = two_chains_each(X, chains)
    assert relative(F @ W, X) < 1e-14
    assert relative(F.abs(), torch.ones_like(F.real)) < 1e-14
    assert (W[:, 6:] == 0).all()


@pytest.mark.parametrize(("users", "chains", "snr_db"), [(1, 2, 12.0), (3, 6, 6.0), (3, 8, 12.0)])
def test_with_two_chains_a_user_the_design_is_the_digital_optimum(users, chains, snr_db):
    """The best X bounds every hybrid design; the compiled exact plan and the readable one reach it."""
    s = small(16, users, chains, count=6, snr_db=snr_db)
    top = bf.design(s, "digital").objective
    d = bf.fast(s, depth="deepest", precision="double")
    assert ((top - d.objective) / (1 + top.abs())).max() < 1e-3
    plan = exact_plan(users, s.network, s.radar.factor(1e-7).U.shape[1], 0)._replace(digital=4)
    compiled, readable = (
        s.objective(p.F @ p.W)
        for p in (run_fast(s, plan, dtype=np.float64)[0], run_projected(s, plan, dtype=torch.float64)[0])
    )
    assert relative(readable, compiled) < 1e-6


def test_best_is_no_worse_where_any_X_can_be_sent():
    s = small(12, 2, 4, count=4, snr_db=12.0)
    top = bf.design(s, "best", starts=1, steps=5, polish=100).objective
    assert (top >= bf.fast(s, depth="deepest").objective - 1e-4 * top.abs()).all()


def test_steps_of_X_fill_a_budget_where_F_follows():
    s = small(16, 2, 4, count=3, snr_db=12.0)
    go = bf.prepare_fast(s.radar, users=2, chains=4, snr_db=12.0)
    go.steps = 5
    few = go(s.H[0].numpy())
    go.steps = 100
    many = go(s.H[0].numpy())
    f = [float(s[0].objective(torch.from_numpy(F @ W))) for F, W, _ in (few, many)]
    assert go.steps == 100 and f[1] > f[0]


@pytest.mark.parametrize("network", [fully_connected(16, 3), named_network("subarrays", 16, 4)])
def test_the_sensing_start_is_good_for_tau_and_orthogonal(network):
    """τ of many starts is no worse than that of one design of τ alone, which has no such start."""
    radar = small(16, 3).radar
    F, W = sensing_start(radar, network, 3, np.float64)
    X = torch.from_numpy(F @ W)
    gram = X.mH @ X
    off = gram - torch.diag(gram.diagonal())
    assert off.abs().max() < 1e-9 * gram.abs().max()
    assert (gram.diagonal().real.diff() <= 1e-12).all()
    assert float(network.violation(torch.from_numpy(F))) < 1e-12
    s = make_scenario(1e-9 * small(16, 3).H, radar, snr_db=0.0, weight=1.0, network=network)
    plan = plan_for(3, network, radar.factor(1e-7).U.shape[1])
    point, _, _ = run_fast(s, plan, dtype=np.float64, which=1)
    tau = s.tau(point.F @ point.W)
    assert s.tau(X / torch.linalg.matrix_norm(X)).max() <= tau.min() + 1e-9


@pytest.mark.parametrize(
    "options",
    [
        {"antennas": 16, "users": 3, "snr_db": 25.0, "weight": 1.0},
        {"antennas": 24, "users": 2, "snr_db": 20.0},
    ],
    ids=str,
)
def test_a_design_that_sensing_decides_is_no_worse_than_the_sensing_start(options):
    """The start turned to the users in the readable form; both forms of the design go on from the same."""
    s = small(**options, count=5, seed=2)
    rank = s.radar.factor(1e-7).U.shape[1]
    plan = plan_for(s.users, s.network, rank, steps=4, digital=3, alternations=2)  # rounding stays small
    sense = sensing_start_of(s.radar, s.network, s.users, plan, np.float64)
    assert sense is not None
    F, W = (torch.from_numpy(z) for z in sense)
    strongest = s.H.abs().square().sum(-1).argsort(dim=-1, descending=True)
    H = s.H.gather(1, strongest[..., None].expand_as(s.H))
    X = F @ W @ turned_to_users(F @ W, H.mH)
    there = s.objective(s.to_power(X.gather(2, strongest.argsort(-1)[:, None].expand_as(X))))
    compiled, _, done = run_fast(s, plan, dtype=np.float64)
    readable, _, also = run_projected(s, plan, dtype=torch.float64)
    f = s.objective(compiled.F @ compiled.W)
    assert (f >= there - 1e-9 * there.abs()).all()
    assert relative(s.objective(readable.F @ readable.W), f) < 1e-6
    assert torch.equal(done, torch.full((5,), 4)) and torch.equal(also, done)


def test_where_rate_decides_the_sensing_start_is_not_taken():
    """At 0 dB a design of τ's own start and one without are one computation."""
    s = small(16, 3, count=4, snr_db=0.0)
    U = columns(s.radar, None, np.float32)
    given = {
        "users": 3,
        "network": s.network,
        "noise": 1.0,
        "plan": plan_for(3, s.network, U.shape[1], steps=8),
    }
    settings = (
        setting_for(s.radar, None, dtype=np.float32, **given),
        Setting(U, s.radar.square, dtype=np.float32, **given),
    )
    assert settings[0].sense.F.size and not settings[1].sense.F.size
    points = []
    for setting in settings:
        F, W = np.empty((4, 16, 3), np.complex128), np.empty((4, 3, 3), np.complex128)
        numbers = (t.expand(4).tolist() for t in (s.power, s.weight))
        with setting.buffers.lent() as buffer:
            setting.filled(F, W, s.H.numpy(), setting.inputs(*numbers), buffer)
        points.append((F, W))
    (F, W), (other_F, other_W) = points
    assert (other_F == F).all() and (other_W == W).all()
