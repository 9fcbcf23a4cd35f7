"""The contract suite of `beamfold.testing` on every method of the registry, and on variants of some."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from beamfold import ModelInfo, UnfoldedPGA, fast, pga, unfolded
from beamfold.registry import METHODS
from beamfold.testing import CHECKS, Contract, check_method
from beamfold.testing.method import feasible_finite_and_measured

LAYERS = 12
STEPS = {"layers": LAYERS, "mu": 0.003, "lam": 0.003}


def constant_model(s, **options):
    info = ModelInfo(s.antennas, s.users, s.chains, eta=1 / s.antennas)
    return unfolded(s, UnfoldedPGA(info, layers=LAYERS, inner=5, initial=0.003), **options)


OPTIONS = {
    "pga": {"inner": 10, **STEPS, "engine": "torch"},
    "conventional-pga": {"layers": LAYERS, "engine": "torch"},
    "best": {"starts": 2, "steps": 20, "polish": 40},
    "constrained": {"tau_max_db": 2.0, "starts": 1, "steps": 20, "polish": 10},
}
"""Options that make a method quick, or without which it can't run."""
FUNCTIONS = {"unfolded": partial(constant_model, engine="torch")}  # no model of these sizes is shipped

# 12 layers multiply float32's rounding a little, and the start (26), rounded differently in a batch, can
# become another float32 number. Conjugate gradients with a backtracking search stop where
# their own rule says, which rounding can move by a step. Quasi-Newton steps multiply rounding most of all,
# so the fast design brings equivalent problems to one form first, and its designs are then equal.
SINGLE = Contract(tolerance=2e-5, one_by_one=2e-5)
OTHER_AIM = Contract(ascends=False)
CONTRACTS = {
    "fast": Contract(columns=False),
    "best": Contract(columns=False),
    # L-BFGS of SciPy goes along the constraint from designs that differ in their last bits.
    "constrained": Contract(tolerance=1e-4, columns=False, ascends=False),
    "digital": Contract(tolerance=1e-4, one_by_one=1e-4),
    "manopt": Contract(tolerance=1e-3, one_by_one=1e-3, ascends=False),
    "sca-manopt": Contract(tolerance=1e-3, one_by_one=1e-3, ascends=False),
    "altmin": Contract(tolerance=1e-3, one_by_one=1e-3, ascends=False),
    "omp": Contract(columns=False, ascends=False),
    "sic": Contract(columns=False, ascends=False),
    "zf-digital": OTHER_AIM, "sca": OTHER_AIM, "wmmse": OTHER_AIM, "digital-jcas": OTHER_AIM,
}  # fmt: skip
"""What is known of a method beyond `Contract()`."""

CASES = {
    **{
        name: (FUNCTIONS.get(name, partial(method.function, **OPTIONS.get(name, {}))),
               CONTRACTS.get(name, Contract()))
        for name, method in METHODS.items()
    },
    "fast, double": (partial(fast, precision="double", steps=3), Contract(columns=False)),
    "fast, torch": (partial(fast, engine="torch", precision="double", steps=3), Contract(columns=False)),
    "fast, crb": (fast, Contract(columns=False, sensing="crb")),
    "fast, scnr": (partial(fast, steps=20), Contract(columns=False, sensing="scnr")),
    "pga, J = 1": (partial(pga, inner=1, **STEPS, engine="torch"), Contract()),
    "pga, exact": (partial(pga, inner=5, **STEPS, digital="exact", engine="torch"), Contract()),
    "pga, svd": (partial(pga, inner=5, **STEPS, start="svd", engine="torch"),
                 Contract(phases=False, ascends=False)),
    "pga, kernel": (partial(pga, inner=10, **STEPS, engine="kernel"), SINGLE),
    "pga, exact, kernel": (partial(pga, inner=5, **STEPS, digital="exact", engine="kernel"), SINGLE),
    "pga, svd, kernel": (partial(pga, inner=5, **STEPS, start="svd", engine="kernel"),
                         Contract(tolerance=2e-5, one_by_one=2e-5, phases=False, ascends=False)),
    "conventional-pga, kernel": (
        partial(METHODS["conventional-pga"].function, layers=LAYERS, engine="kernel"), SINGLE),
    "unfolded, kernel": (partial(constant_model, engine="kernel"), SINGLE),
}  # fmt: skip
"""Name → the method and its contract; every method of the registry is in it by construction."""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", CASES)
def test_contract(name, check):
    check(*CASES[name])


def test_a_method_that_breaks_the_contract_is_named():
    """The suite itself can fail: on a W that is 1 % too large."""

    def too_loud(s):
        d = METHODS["phased-zf"].function(s)
        object.__setattr__(d, "W", 1.01 * d.W)
        return d

    with pytest.raises(AssertionError, match=r"feasible_finite_and_measured: \(7c\) is violated"):
        check_method(too_loud)
    with pytest.raises(AssertionError, match=r"\(7c\)"):
        feasible_finite_and_measured(too_loud, Contract())


def test_a_name_finds_its_method_again():
    """`bf.design(s, d.method)` works for every method, and the former names with a warning."""
    import beamfold as bf
    from beamfold.testing import small

    s = small(8, 2, count=1)
    for name in ("fast", "zf-digital", "phased-zf", "conventional-pga"):
        d = bf.design(s, name)
        assert d.method == name
        assert torch.equal(bf.design(s, d.method).W, d.W)
    with pytest.warns(FutureWarning, match="now called zf-digital"):
        assert bf.design(s, "zf_digital").method == "zf-digital"
