"""What holds for every problem, by Hypothesis: feasible, blind to order, phase and scale, never down again.

    pytest --hypothesis-profile=nightly tests/test_invariants.py     # 1000 new examples of each

Step sizes are in the regime of `benchmarks/kernel_accuracy.py`, in which a gradient step is a contraction:
beyond it two runs that differ by rounding part like any two of a chaotic system, and nothing is invariant.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import relative, script
from hypothesis import given
from hypothesis import strategies as st

from beamfold import ModelInfo, UnfoldedPGA, fast, phased_zf, sca, unfolded, wmmse
from beamfold.channel import saleh_valenzuela
from beamfold.constraints import modulus_error, power_error
from beamfold.kernels.fast import run_fast
from beamfold.kernels.fast_setting import Plan
from beamfold.kernels.unfolded import run_kernel
from beamfold.objective import DigitalGradient
from beamfold.optim.layers import Outcome, conclude, run_layers, trace
from beamfold.optim.local_maximum import conclude_search
from beamfold.result import Design, Fault
from beamfold.scenario import Scenario, make_scenario
from beamfold.start import Point, proposed

accuracy = script("kernel_accuracy")
LAYERS, INNER = 4, 3


class Problem(NamedTuple):
    """A scenario of two channels with step sizes that suit it, and a generator for what is done to it."""

    s: Scenario
    mu: torch.Tensor
    lam: torch.Tensor
    gradient: DigitalGradient
    rng: np.random.Generator


@st.composite
def problems(draw) -> Problem:
    """Any sizes K <= M <= N up to 24, −10 to 30 dB, ω = 0 or 1e-3 to 10, σ² of 1e-3 to 1e3."""
    N = draw(st.integers(1, 24))
    K = draw(st.integers(1, min(4, N)))
    M = draw(st.integers(K, min(K + 2, N)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    s = make_scenario(
        saleh_valenzuela(N, K, 2, seed=int(rng.integers(2**31))),
        accuracy.random_radar(N, rng),
        snr_db=draw(st.floats(-10, 30)),
        chains=M,
        weight=draw(st.one_of(st.just(0.0), st.floats(-3, 1).map(lambda x: 10**x))),
        noise=10 ** draw(st.floats(-3, 3)),
    )
    mu, lam = accuracy.steps(s, proposed(s), LAYERS, INNER, rng)
    return Problem(s, mu, lam, draw(st.sampled_from(["signal", "exact"])), rng)


def layers(p: Problem, engine) -> Design:
    """PGA by the readable path or by the kernel in a precision."""
    begin, steps = proposed(p.s), (p.mu, p.lam, 1 / p.s.antennas, p.gradient)
    if engine == "torch":
        return conclude(p.s, "pga", begin, run_layers(p.s, begin, *steps, engine="torch", record=True))
    point, status, points = run_kernel(p.s, begin, *steps, record=True, dtype=engine)
    return conclude(p.s, "pga", begin, Outcome(point, status, trace(p.s, points)))


def model(p: Problem) -> Design:
    info = ModelInfo(p.s.antennas, p.s.users, p.s.chains, eta=1 / p.s.antennas, digital=p.gradient)
    return unfolded(p.s, UnfoldedPGA.from_steps(p.mu, p.lam, info), record=True)


WAYS = {
    "pga-torch": lambda p: layers(p, "torch"),
    "pga-double": lambda p: layers(p, np.float64),
    "pga-single": lambda p: layers(p, np.float32),
    "unfolded": model,
    "fast-double": lambda p: fast(p.s, steps=4, precision="double"),
    "fast-single": lambda p: fast(p.s, steps=4),
}
LIMIT = {
    "pga-torch": 1e-7,
    "pga-double": 1e-7,
    "pga-single": 1e-3,
    "unfolded": 1e-3,
    "fast-double": 1e-6,
    "fast-single": 1e-6,
}
"""Of R, τ and |X|, relative: what rounding may do. `fast` brings equal problems to one form first."""


def value_of(s: Scenario, point: Point) -> torch.Tensor:
    """R − ω τ of a point."""
    return s.objective(point.F @ point.W)


@pytest.fixture(params=WAYS, scope="module")
def way(request) -> str:
    return request.param


def the_same(ours: Design, theirs: Design, way: str, columns=slice(None)) -> None:
    """R, τ and |X|; `columns` of X of theirs."""
    size = theirs.tau.abs() + theirs.scenario.power.square()  # τ is a difference of terms of this size
    assert float(((ours.rate - theirs.rate).abs() / (1 + theirs.rate)).max()) < LIMIT[way]
    assert float(((ours.tau - theirs.tau).abs() / size).max()) < LIMIT[way]
    assert relative(ours.X.abs(), theirs.X[..., columns].abs()) < 10 * LIMIT[way]


@given(problems())
def test_power_and_modulus(way, p):
    """(7b) and (7c), to double precision whatever the kernel's."""
    design = WAYS[way](p)
    assert float(power_error(design.X, p.s.power).max()) < 1e-9
    assert design.F is not None
    assert float(modulus_error(design.F).max()) < 1e-9
    assert design.usable.all()


@given(problems())
def test_permutation(way, p):
    """Users renumbered: the columns of X go with them."""
    order = torch.from_numpy(p.rng.permutation(p.s.users))
    ours, moved = WAYS[way](p), WAYS[way](p._replace(s=replace(p.s, H=p.s.H[:, order])))
    the_same(moved, ours, way, order)


@given(problems())
def test_phase(way, p):
    """h_k e^{jφ_k} is the same user."""
    turn = torch.from_numpy(np.exp(1j * p.rng.uniform(0, 2 * math.pi, p.s.users)))
    ours, turned = WAYS[way](p), WAYS[way](p._replace(s=replace(p.s, H=p.s.H * turn[:, None])))
    the_same(turned, ours, way)


@given(problems())
def test_scale(way, p):
    """H c with σ² c², at the same P_t."""
    c = 10 ** p.rng.uniform(-6, 6)
    ours, scaled = WAYS[way](p), WAYS[way](p._replace(s=replace(p.s, H=p.s.H * c, noise=p.s.noise * c * c)))
    the_same(scaled, ours, way)


LAYERED = [name for name in WAYS if not name.startswith("fast")]


@pytest.mark.parametrize("layered", LAYERED)
@given(problems())
def test_monotone_over_layers(layered, p):
    """i layers give the i-th iterate of I: the best so far of a longer run is no worse; a fall is said."""
    whole = WAYS[layered](p).trace
    assert whole is not None
    start = phased_zf(p.s).objective
    for depth in range(LAYERS + 1):
        design = WAYS[layered](p._replace(mu=p.mu[:depth], lam=p.lam[:depth]))
        assert torch.allclose(design.rate, whole.rate[depth], rtol=1e-12, atol=1e-15)
        assert torch.allclose(design.tau, whole.tau[depth], rtol=1e-12, atol=1e-15)
        fall = (start - design.objective) / (1 + start.abs())
        clear = (fall - 1e-6).abs() > 1e-12  # the start is measured twice, in two ways
        fell = design.faults == int(Fault.BELOW_START)
        assert torch.equal(fell[clear], (fall > 1e-6)[clear])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(problems())
def test_monotone_over_steps(dtype, p):
    """More steps of the fast kernel never lower its f, and no design is below the start (26)."""
    runs = [run_fast(p.s, Plan(steps=n), dtype=dtype) for n in (0, 2, 6)]
    for (_, before, _), (_, after, _) in pairwise(runs):
        assert (after >= before).all()
    start = phased_zf(p.s).objective
    for point, _, _ in runs:
        design = conclude_search(p.s, "fast", point)
        assert (design.objective >= start - 1e-9 * (1 + start.abs())).all()
    if dtype is np.float64:  # what float32 makes of R can fall where F W cancels
        values = [value_of(p.s, point) for point, _, _ in runs]
        size = 1 + p.s.weight * p.s.power.square()  # 1e-7 of Ψ is left out of the kernel's
        assert all((b >= a - 1e-6 * size).all() for a, b in pairwise(values))


@pytest.mark.parametrize("method", [sca, wmmse])
@given(problems())
def test_monotone_over_iterations(method, p):
    """R of the two sum-rate methods never falls."""
    rates = torch.stack([method(p.s, tolerance=0.0, iterations=n).rate for n in (0, 1, 2, 5)])
    assert (rates.diff(dim=0) >= -1e-9 * (1 + rates[1:])).all()
