"""Problem (7): the limit is kept, the design is stationary on it, and nothing depends on the batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import small

from beamfold.methods.best import best
from beamfold.methods.constrained import _limit, constrained
from beamfold.methods.fast import fast
from beamfold.objective import beam_error, rate
from beamfold.optim.local_maximum import STATIONARY, residual
from beamfold.optim.tau_limit import _along, _Met, _Seen, multiplier
from beamfold.result import Fault, Status
from beamfold.start import Point, proposed

QUICK = {"starts": 4, "steps": 60}
WEIGHTS = np.geomspace(1e-4, 1e2, 25)


def scenario(**options):
    return small(16, 2, **{"count": 3, "snr_db": 12.0, **options})


def weighed(s, weight):
    return replace(s, weight=torch.full(s.batch, weight, dtype=torch.float64))


@pytest.mark.parametrize("options", [{}, {"chains": 4}, {"snr_db": 0.0, "noise": 3.0}])
def test_the_limit_is_kept_and_no_sweep_does_better(options):
    s = scenario(**options)
    sweep = [fast(weighed(s, w / float(s.power[0]) ** 2 * 100)) for w in WEIGHTS]
    begin = proposed(s)
    most = beam_error(begin.F @ begin.W, s.Psi, s.power)
    least = torch.stack([d.tau for d in sweep]).min(0).values
    for part in (0.1, 0.5, 0.9):
        limit = least * (most / least) ** part
        d = constrained(s, limit, **QUICK)
        assert (d.tau <= limit * (1 + 1e-9)).all()
        assert (d.faults == 0).all()
        for point in sweep:
            assert (~(point.tau <= limit) | (d.rate >= point.rate - 1e-6)).all()


def test_stationary_on_the_limit():
    """∇R = ω ∇τ by autograd over (∠F, W) at power P_t, τ = τ₀: the conditions of a local optimum of (7)."""
    s = scenario()
    limit = 0.5 * fast(weighed(s, 0.0)).tau
    d = constrained(s, limit, starts=4, polish=100)
    np.testing.assert_allclose(d.tau, limit, rtol=1e-6)
    for b in range(3):
        one = s[b]
        angle, W = d.F[b].angle().requires_grad_(), d.W[b].clone().requires_grad_()
        X = torch.polar(torch.ones_like(angle), angle) @ W
        X = X * (one.power.sqrt() / torch.linalg.matrix_norm(X))
        gradients = []
        for value in (rate(one.H, X, one.noise), beam_error(X, one.Psi, one.power)):
            on_F, on_W = torch.autograd.grad(value, (angle, W), retain_graph=True)
            gradients.append(
                torch.cat([on_F.flatten(), torch.view_as_real(on_W).flatten() * W.detach().norm()])
            )
        on_R, on_tau = gradients
        omega = multiplier(one, d.F[b], d.W[b])
        assert omega > 0
        assert float((on_R - omega * on_tau).norm() / on_R.norm()) < 1e-3
    levels = torch.tensor([multiplier(s[b], d.F[b], d.W[b]) for b in range(3)], dtype=torch.float64)
    left = residual(replace(s, weight=levels), d.F, d.W)
    stationary = left <= STATIONARY
    assert stationary.any()
    # Here the batch is measured at once, in the method channel by channel. The terms of the two gradients are
    # below 1e4, so their rounding is below N ε 1e4 < 1e-10. Nearer to the threshold either status is right.
    clear = (left - STATIONARY).abs() > 1e-10
    assert torch.equal((d.status == Status.CONVERGED)[clear], stationary[clear])


def test_more_tau_is_more_rate():
    s = scenario()
    top = fast(weighed(s, 0.0)).tau
    rates = torch.stack([constrained(s, part * top, **QUICK).rate for part in (0.2, 0.3, 0.45, 0.7, 1.0)])
    assert (rates[1:] > rates[:-1]).all()


def test_without_a_limit_it_is_the_rate_alone():
    """A τ₀ that binds nobody: R of the best design for ω = 0, multiplier 0."""
    s = scenario()
    d = constrained(s, 1e6, starts=4)
    free = best(weighed(s, 0.0), starts=8)
    np.testing.assert_allclose(d.rate, free.rate, rtol=2e-3)
    assert all(multiplier(s[b], d.F[b], d.W[b]) < 1e-3 for b in range(3))


def test_out_of_reach_is_said_with_the_least_tau():
    s = scenario()
    out = constrained(s, 0.0, **QUICK)
    assert (out.faults == Fault.TAU_ABOVE_LIMIT).all()
    alone = best(weighed(s, 1e7 / float(s.power[0]) ** 2), starts=4, steps=120, polish=120)
    assert (out.tau <= alone.tau * (1 + 1e-4)).all()
    just = constrained(s, out.tau * (1 + 1e-9), **QUICK)
    assert just.usable.all()
    assert (just.rate >= out.rate - 1e-9).all()


def test_a_channel_does_not_know_its_neighbours():
    """Bit by bit the same alone and beside others, one of which has a τ₀ out of reach, on any threads."""
    s = scenario()
    limit = torch.tensor([70.0, 0.0, 90.0], dtype=torch.float64)
    together = constrained(s, limit, **QUICK, threads=2)
    assert together.statuses[1] == "iteration_limit+tau_above_limit"
    for b in range(3):
        alone = constrained(s[b], limit[b], **QUICK)
        assert torch.equal(alone.F, together.F[b])
        assert torch.equal(alone.W, together.W[b])
        assert alone.status == together.status[b]


def test_decibels_are_of_the_covariance_at_the_power():
    s = scenario(snr_db=[0.0, 12.0])
    expected = [0.1 * float(s.power[i, 0] * torch.linalg.matrix_norm(s.Psi)) ** 2 for i in range(2)]
    np.testing.assert_allclose(_limit(s, None, -10.0)[:, 0], expected, rtol=1e-12)


def met_of(s, rates, overs):
    met = _Met(s, 1.0)
    met.seen = [_Seen(None, R, over, i) for i, (R, over) in enumerate(zip(rates, overs, strict=True))]
    return met


def test_multiplier_is_the_least_of_the_dual():
    """Against the dual function on a fine grid of ω, for random designs met."""
    g = np.random.default_rng(0)
    s = scenario()[0]
    for _ in range(50):
        over = g.uniform(-1, 2, 12)
        over[0] = -0.5
        R = 5 * np.log1p(over + 1) + g.standard_normal(12)
        omega = met_of(s, R, over).multiplier()
        grid = np.linspace(0, 30, 30001)
        dual = (R[:, None] - grid * over[:, None]).max(0)
        assert (R - omega * over).max() <= dual.min() + 1e-9
        assert omega >= 0
    assert met_of(s, [1.0, 2.0], [0.5, -0.1]).multiplier() == 0


def test_leaders_come_from_different_starts():
    met = _Met(scenario()[0], 1.0)
    met.seen = [
        _Seen(i, *line) for i, line in enumerate([(1, 0, 0), (3, 0, 1), (2.9, 0, 1), (2, 0, 2), (9, 1, 3)])
    ]
    assert [d.point for d in met.leaders(1.0, 4)] == [4, 1, 3, 0]
    assert [d.point for d in met.leaders(100.0, 2)] == [1, 3]
    assert met.best == 1


@pytest.mark.parametrize("factor", [0.95, 1.05, 1.5])
def test_along_ends_on_the_limit(factor):
    """From above and from below; more τ is worth more R."""
    s = scenario(weight=0.1)[0]
    begin = fast(s, steps=100)
    limit = factor * float(begin.tau)
    F, W = _along(s, Point(begin.F, begin.W), limit, 0.1, 200)
    X = F @ W
    assert (1 - 1e-6) * limit <= float(beam_error(X, s.Psi, s.power)) <= limit
    assert float(torch.linalg.matrix_norm(X)) ** 2 == pytest.approx(float(s.power), rel=1e-12)
    assert (float(rate(s.H, X)) > float(begin.rate)) == (factor > 1)


def test_bad_limits_are_refused():
    s = scenario()
    for bad, message in ((-1.0, "at least 0"), (float("nan"), "finite"), (None, "needs τ₀")):
        with pytest.raises(ValueError, match=message):
            constrained(s, bad)
    with pytest.raises(ValueError, match="needs τ₀"):
        constrained(s, 1.0, tau_max_db=0.0)
    with pytest.raises(ValueError, match="one start"):
        constrained(s, 1.0, starts=0)
