"""Sensing streams: X = F [W_c, W_r] with columns that serve no user, as interference or cancelled."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from conftest import relative
from test_cli import run  # noqa: F401

import beamfold as bf
from beamfold.objective import rate, rate_gradient, signal_gradient, user_rates
from beamfold.start import proposed
from beamfold.testing import small, three_beams


def scenario(streams: int = 2, known: bool = False, chains: int = 4, **options) -> bf.Scenario:
    H = bf.saleh_valenzuela(12, 3, 3, seed=1)
    return bf.make_scenario(
        H, three_beams(12), snr_db=10, chains=chains, sensing_streams=streams, known_to_users=known, **options
    )


def drawn(s: bf.Scenario) -> torch.Tensor:
    rng = np.random.default_rng(0)
    shape = (*s.batch, s.antennas, s.columns)
    return s.to_power(torch.from_numpy(rng.standard_normal(shape) + 1j * rng.standard_normal(shape)))


@pytest.mark.parametrize("known", [False, True])
def test_the_rate_is_that_of_the_definition(known):
    """Unknown streams are interference of every user, known ones leave R as it is without them."""
    s = scenario(known=known)
    X = drawn(s)
    A = (s.H @ X).numpy()
    for b in range(3):
        R = 0.0
        for k in range(3):
            heard = [j for j in range(3 if known else 5) if j != k]
            R += math.log2(1 + abs(A[b, k, k]) ** 2 / (sum(abs(A[b, k, j]) ** 2 for j in heard) + 1))
        assert float(s.rate(X)[b]) == pytest.approx(R, rel=1e-12)
    assert relative(user_rates(s.H, X, 1.0, s.per_user).sum(-1), s.rate(X)) < 1e-12
    if known:
        assert relative(s.rate(X), rate(s.H, X[..., :3])) < 1e-12


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("sensing", ["tau", "crb"])
def test_gradients_against_autograd(known, sensing):
    s = scenario(known=known, sensing=sensing)
    X = drawn(s).requires_grad_()
    (by_torch,) = torch.autograd.grad(s.objective(X).sum(), X)
    assert relative(s.measure(X).gradient.detach(), by_torch / 2) < 1e-10
    (by_torch,) = torch.autograd.grad(s.rate(X).sum(), X)
    assert relative(rate_gradient(s.H, X, 1.0, s.per_user).detach(), by_torch / 2) < 1e-10
    own = signal_gradient(s.H, X, 1.0, s.per_user).detach()
    assert own.shape == X.shape and (own[..., 3:] == 0).all()


def test_a_start_uses_its_sensing_streams():
    """A column of zeros would stay one: its gradient of τ and of R is 0."""
    for chains in (3, 4, 6):
        s = scenario(streams=2, chains=chains)
        X = s.transmitted(*proposed(s))
        assert X.shape[-1] == 5 and (X[..., 3:].abs().amax((-2, -1)) > 1e-3).all()
        assert float(s.power_error(X).max()) < 1e-12


def test_more_streams_lower_tau_and_never_hurt():
    """digital: rank lifts the limit on τ; what the users know costs them nothing."""
    weight = 2.0
    plain = bf.digital(scenario(0, weight=weight))
    unknown = bf.digital(scenario(3, weight=weight))
    known = bf.digital(scenario(3, known=True, weight=weight))
    assert (unknown.objective >= plain.objective - 1e-3).all()
    assert (known.objective >= unknown.objective - 1e-3).all()
    assert float(known.objective.mean()) > float(plain.objective.mean()) + 0.01


@pytest.mark.parametrize("method", ["pga", "best"])
def test_hybrid_designs_are_feasible_and_above_their_start(method):
    s = scenario(2, weight=0.1)
    options = {"layers": 40} if method == "pga" else {"starts": 2, "steps": 100, "polish": 100}
    d = bf.design(s, method, **options)
    assert d.W.shape == (3, 4, 5) and (d.faults == 0).all()
    begin = s.objective(s.transmitted(*proposed(s)))
    assert (d.objective > begin).all()


def test_bands_and_networks():
    H = torch.stack([bf.saleh_valenzuela(12, 2, 2, seed=s) for s in (1, 2)], -3)
    band = bf.make_scenario(
        H, three_beams(12), snr_db=10, frequencies=(27e9, 29e9), chains=3, sensing_streams=1, weight=0.1
    )
    for s in (band, scenario(2, network=bf.subarrays(12, 4), weight=0.1)):
        d = bf.design(s, "pga", layers=20)
        assert d.W.shape[-1] == s.columns and (d.faults & 6 == 0).all()


def test_the_verifier_agrees(run, tmp_path):  # noqa: F811
    bf.write_channels(tmp_path / "c.npz", small(8, 2).H)
    for more in ((), ("--known-to-users",)):
        code, out, err = run(
            "design", "c.npz", "--method", "pga", "--layers", 5, "--sensing-streams", 2, *more,
            "--targets-deg", -40, 20, "-o", "d.npz", "--force", "--json",
        )  # fmt: skip
        assert code == 0, err
        assert json.loads(out)["scenario"]["sensing_streams"] == 2
        code, out, err = run("verify", "d.npz", "c.npz", "--json")
        assert code == 0, err
        assert json.loads(out)["passed"] and json.loads(out)["not_checked"] == []
        code, out, err = run("sense", "d.npz", "-o", "s.nc", "--force", "--json")
        assert code == 0 and json.loads(out)["columns"] == 4, err


def test_what_is_refused():
    with pytest.raises(bf.InputError, match=r"has a column for each user alone.*use one of"):
        bf.design(scenario(1), "fast")
    for options, words in (
        ({"streams": -1}, "0 to N - K = 9"),
        ({"streams": 10}, "0 to N - K = 9"),
        ({"streams": 0, "known": True}, "no sensing streams"),
    ):
        with pytest.raises(bf.InputError, match=words):
            scenario(**options)
    H = bf.saleh_valenzuela(12, 2, 1, seed=0, receive=2)
    with pytest.raises(bf.InputError, match="for users of one antenna"):
        bf.make_scenario(H, three_beams(12), snr_db=0, streams=2, sensing_streams=1)
