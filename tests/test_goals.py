"""Other sensing objectives than τ: gradients, searches, limits of problem (7), and who refuses them."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from conftest import relative

import beamfold as bf
from beamfold.measures import measure_named
from beamfold.methods.fast import prepare_fast
from beamfold.objective import inner_product
from beamfold.optim.few_bits import on_levels
from beamfold.optim.free import Free, Weighted, climb, tangent
from beamfold.optim.goal_search import Lagrangian, digital_starts
from beamfold.radar import make_scene
from beamfold.radar.criteria import crb, log_bounds, log_scnr, scnr_sum
from beamfold.radar.detection import scnr
from beamfold.radar.fisher import bound
from beamfold.result import Fault, Status
from beamfold.scenario import Scenario, sensed_by
from beamfold.start import Point, proposed
from beamfold.testing import three_beams

SCENE = make_scene(bf.line_array(12), [-40.0, 10.0], target_snr_db=-20, clutter_deg=[35.0], phases=(0, 1))


def scenario(sensing: str = "crb", weight: float = 1.0, chains: int = 3, **options) -> Scenario:
    H = bf.saleh_valenzuela(12, 3, 3, seed=1)
    more = {} if sensing == "tau" else {"scene": SCENE}
    return bf.make_scenario(
        H, three_beams(12), snr_db=10, weight=weight, chains=chains, sensing=sensing, **more, **options
    )


def on_a_band(sensing: str, rule: str = "subcarrier") -> Scenario:
    H = torch.stack([bf.saleh_valenzuela(12, 2, 2, seed=s) for s in (1, 2)], -3)
    return bf.make_scenario(
        H, three_beams(12), snr_db=10, frequencies=(27e9, 29e9), carrier_hz=28e9, chains=3, sensing=sensing,
        power_rule=rule, scene=None if sensing == "tau" else SCENE,
    )  # fmt: skip


EVERY = [
    *(scenario(k) for k in ("tau", "crb", "scnr")),
    *(on_a_band(k, r) for k in ("tau", "crb", "scnr") for r in ("subcarrier", "band")),
]


@pytest.mark.parametrize("s", EVERY)
def test_the_objective_and_its_gradient(s):
    """measure and ascent against autograd; the value is R − ω τ, or R + ω c of the criterion itself."""
    X = s.transmitted(*proposed(s)).clone()
    if s.goal is not None:
        c = (crb if s.goal.kind == "crb" else scnr_sum)(X, s.goal.scene, s.power).value
        assert relative(s.objective(X), s.rate(X) + s.weight * c) < 1e-12
    X.requires_grad_()
    (by_torch,) = torch.autograd.grad(s.objective(X).sum(), X)
    assert relative(s.measure(X).gradient.detach(), by_torch / 2) < 1e-10
    assert relative(s.ascent(X).detach(), s.subcarriers * by_torch / 2) < 1e-10


@pytest.mark.parametrize("s", EVERY)
def test_the_problem_without_constraints(s):
    """Any scale of (Z, W) is one feasible point; the gradient is autograd's, and that of a digital X, too."""
    point = proposed(s)
    for start in (point, s.transmitted(*point)):
        free = Free(s, Weighted(), None if isinstance(start, torch.Tensor) else start.F != 0)
        Y = free.pack(start)
        assert relative(free.X(3 * Y), s.transmitted(*point)) < 1e-12
        Y = Y * (
            1 + 0.3 * torch.rand(Y.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        )
        assert s.power_error(free.X(Y)).max() < 1e-12
        Y.requires_grad_()
        (by_torch,) = torch.autograd.grad(free.value(Y).sum(), Y)
        assert relative(free.gradient(Y).detach(), by_torch / 2) < 1e-10


def test_connections_that_are_not_there_stay_away():
    s = scenario("crb", chains=3, network=bf.subarrays(12, 3))
    end = climb(s, proposed(s), Weighted(), 1e-3, 50)
    assert isinstance(end.point, Point)
    assert float(s.network.violation(end.point.F).max()) < 1e-12
    assert (end.value > s.objective(s.transmitted(*proposed(s)))).all()


def test_the_tangent_keeps_the_power():
    for s in EVERY:
        X = s.transmitted(*proposed(s))
        G = tangent(s, X, s.measure(X).gradient)
        along = inner_product(X, G)
        along = along.mean(-1) if s.band is not None and s.band.rule == "band" else along
        assert float(along.abs().max()) < 1e-9


@pytest.mark.parametrize("sensing", ["crb", "scnr"])
def test_the_limits_and_their_gradients(sensing):
    s = scenario(sensing)
    X = s.transmitted(*proposed(s)).clone().requires_grad_()
    each = (log_bounds if sensing == "crb" else log_scnr)(X, SCENE, s.power)
    if sensing == "crb":
        expected = 2 * bound(X.detach(), SCENE, s.power).rcrb[..., 0].log()
    else:
        expected = scnr(X.detach(), SCENE, s.power).log()
    assert relative(torch.stack([c.value for c in each], -1).detach(), expected) < 1e-10
    aim = Lagrangian(s.goal, 0.05, torch.tensor([[0.5, 2.0]] * 3), torch.full((3,), 4.0))
    for value, gradient in [*each, (aim.value(s, X), aim.gradient(s, X))]:
        (by_torch,) = torch.autograd.grad(value.sum(), X, retain_graph=True)
        assert relative(gradient.detach(), by_torch / 2) < 1e-10


@pytest.mark.parametrize("sensing", ["crb", "scnr"])
def test_digital_is_above_best_and_best_above_pga(sensing):
    """Each on the same objective; the digital optimum is stationary and no other start ends above it."""
    s = scenario(sensing)[:2]
    digital, pga = bf.design(s, "digital"), bf.design(s, "pga", layers=60)
    best = bf.design(s, "best", starts=2, steps=100, polish=200)
    assert (digital.objective >= best.objective - 1e-6).all()
    assert (best.objective >= pga.objective - 1e-6).all()
    assert set(digital.statuses) == {"converged"} and (best.faults == 0).all()
    again = bf.design(s, "digital", starts=[best.X])
    assert relative(again.objective, digital.objective) < 1e-6
    G = s.measure(digital.X).gradient
    assert float(torch.linalg.matrix_norm(tangent(s, digital.X, G)).max()) < 1e-3


@pytest.mark.parametrize("sensing", ["crb", "scnr"])
def test_the_fast_design_is_near_the_best_of_eight_starts(sensing):
    """For one target, and for two with clutter, also on sub-arrays; above the start (26)."""
    one = bf.make_scenario(
        bf.saleh_valenzuela(12, 3, 3, seed=1), three_beams(12), snr_db=10, sensing=sensing,
        scene=make_scene(bf.line_array(12), [10.0]),
    )  # fmt: skip
    for s in (one, scenario(sensing, weight=0.5), scenario(sensing, network=bf.subarrays(12, 3))):
        best = bf.design(s, "best", starts=8, polish=100)
        d = bf.design(s, "fast")
        assert (d.faults == 0).all() and (d.objective >= s.objective(s.transmitted(*proposed(s)))).all()
        assert ((best.objective - d.objective) / (1 + best.objective.abs())).max() < 0.03
    prepared = prepare_fast(s.radar, users=3, snr_db=10, weight=1.0, network=s.network, goal=s.goal)
    F, W, _ = prepared(s.H[0].numpy())
    steps = bf.design(s, "fast", depth="deep")
    assert relative(torch.from_numpy(F @ W), steps.X[0]) < 1e-9


def test_a_design_for_the_bound_has_a_lower_one():
    s = scenario("crb", weight=3.0)
    rcrb = measure_named("rcrb").function
    ours, theirs = bf.design(s, "digital"), bf.digital(scenario("tau", weight=0.01))
    assert (rcrb(ours) < rcrb(replace(theirs, scenario=s))).all()
    assert sensed_by(s) is SCENE
    weights = [bf.design(replace(s, weight=torch.full_like(s.power, w)), "digital") for w in (0.1, 1.0, 10.0)]
    assert all((a.rate >= b.rate - 1e-3).all() for a, b in pairwise(weights))


def test_the_best_is_the_digital_optimum_where_chains_suffice():
    """2 K chains realise any X, so best reaches the fully digital objective."""
    s = scenario("crb", chains=6)
    digital, best = bf.design(s, "digital"), bf.design(s, "best", starts=2, steps=600)
    assert relative(best.objective, digital.objective) < 1e-4


@pytest.mark.parametrize(
    ("sensing", "limit"), [("crb", {"rcrb_max_deg": 1.2}), ("scnr", {"scnr_min_db": -8.0})]
)
def test_problem_7_with_limits_of_sensing(sensing, limit):
    """Every limit is kept, and R is at least that of the fast designs for weights that keep it."""
    s = scenario(sensing)[:1]
    d = bf.design(s, "constrained", starts=2, steps=100, **limit)

    def kept(X):
        if sensing == "crb":
            return bound(X, SCENE, s.power).rcrb.rad2deg().flatten(1).amax(-1) <= 1.2
        return scnr(X, SCENE, s.power).amin(-1) >= 10**-0.8

    assert kept(d.X).all() and (d.faults == 0).all()
    weights = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    sweep = [bf.design(replace(s, weight=torch.full_like(s.power, w)), "fast") for w in weights]
    for other in sweep:
        assert (torch.where(kept(other.X), other.rate, 0) <= d.rate + 1e-3).all()
    assert len({bool(kept(other.X)) for other in sweep}) == 2  # the limit binds, and can be kept


def test_a_limit_out_of_reach_is_a_fault():
    d = bf.design(scenario("scnr")[:1], "constrained", scnr_min_db=40, starts=1, steps=50)
    assert int(d.faults) & Fault.SENSING_BEYOND_LIMIT and not bool(d.usable)
    assert int(d.status) == Status.ITERATION_LIMIT


@pytest.mark.parametrize("sensing", ["crb", "scnr"])
def test_bands(sensing):
    """One F for the band: above its start, feasible, and below the digital ceiling."""
    s = on_a_band(sensing)
    digital, pga = bf.design(s, "digital"), bf.design(s, "pga", layers=60)
    assert (digital.faults == 0).all()
    assert (digital.objective >= pga.objective).all()
    assert (pga.objective > s.objective(s.transmitted(*proposed(s)))).all()
    assert torch.isfinite(measure_named("rcrb").function(pga)).all()
    assert len(digital_starts(s)) == 3


def test_a_difference_beam_says_as_much_of_the_angle_as_a_sum_beam():
    """With equal arrays J is the same for power in ā and for power in ∂ā without its part along ā.

    A share of 1e-8 stays in ā, as the amplitude can't be estimated from a target that is dark.
    """
    scene = make_scene(bf.line_array(12), [10.0])
    a, slope = scene.transmit.split(1, -1)
    difference = slope - a @ (a.mH @ slope) / 12
    one, other = (X / torch.linalg.matrix_norm(X) for X in (a, difference))
    beams = [one, torch.cat([other, 1e-4 * one], -1)]
    J = [2 ** float(crb(X, scene).value) for X in beams]
    assert J[0] == pytest.approx(J[1], rel=1e-7)
    assert scnr(beams[1], scene) < 1.1e-8 * scnr(beams[0], scene)


@pytest.mark.parametrize("sensing", ["crb", "scnr"])
def test_few_bits(sensing):
    """On the levels, above rounding with a W that follows, and nearer to continuous phases with more bits."""
    s = scenario(sensing, chains=4)
    levels = [
        bf.design(scenario(sensing, chains=4, network=bf.fully_connected(12, 4, bits)), "fast").objective
        for bits in (2, 3, 4)
    ]
    for few, more in pairwise([*levels, bf.design(s, "fast").objective]):
        assert float(more.mean()) > float(few.mean())
    d = bf.design(s, "fast")
    coarse = scenario(sensing, chains=4, network=bf.fully_connected(12, 4, 2))
    F, W = on_levels(coarse, Point(d.F, d.W), passes=0)
    assert float(levels[0].mean()) > float(coarse.objective(F @ W).mean())


def test_what_is_refused():
    s = scenario("crb")
    with pytest.raises(bf.InputError, match=r"as its sensing objective on a band.*use one of"):
        bf.design(on_a_band("crb"), "fast")
    for name in ("sca-manopt", "digital-jcas", "zf-digital"):
        with pytest.raises(bf.InputError, match=r"knows tau as its sensing objective.*use one of"):
            bf.design(s, name)
    with pytest.raises(bf.InputError, match="is for continuous phases with this sensing objective"):
        bf.design(scenario("crb", network=bf.fully_connected(12, 3, 2)), "pga")
    for options, words in (
        ({}, "takes one of"),
        ({"tau_max": 1.0}, "its limit is"),
        ({"scnr_min_db": 1.0}, "is for the sensing objective scnr"),
        ({"rcrb_max_deg": 0.0}, "above 0"),
        ({"rcrb_max_deg": math.nan}, "finite"),
        ({"rcrb_max_deg": 1.0, "tau_max": 1.0}, "takes one of"),
    ):
        with pytest.raises(bf.InputError, match=words):
            bf.design(s, "constrained", **options)
    with pytest.raises(bf.InputError, match="this limit is for the sensing objective crb"):
        bf.design(scenario("tau"), "constrained", rcrb_max_deg=1.0)
    with pytest.raises(bf.InputError, match="are X, not names"):
        bf.design(s, "digital", starts=["rate"])
    with pytest.raises(bf.InputError, match="no sensing objective"):
        scenario("crlb")
    with pytest.raises(bf.InputError, match="tau knows Psi alone"):
        bf.make_scenario(bf.saleh_valenzuela(12, 3, 1, seed=0), three_beams(12), snr_db=0, scene=SCENE)
    with pytest.raises(bf.InputError, match="the scene is for the array"):
        bf.make_scenario(
            bf.saleh_valenzuela(8, 2, 1, seed=0), three_beams(8), snr_db=0, sensing="crb", scene=SCENE
        )
    with pytest.raises(bf.InputError, match="states no targets"):
        psi = bf.Sensing(three_beams(8).Psi)
        bf.make_scenario(bf.saleh_valenzuela(8, 2, 1, seed=0), psi, snr_db=0, sensing="crb")
