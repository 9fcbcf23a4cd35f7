"""Algorithm 1 on the readable path: against the oracle's literal loop, its special cases, Fig. 3."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
import torch
from conftest import relative, small

from beamfold import ModelInfo, UnfoldedPGA, conventional_pga, pga, unfolded
from beamfold.constraints import modulus_error, power_error
from beamfold.optim.layers import run_layers, step
from beamfold.result import Fault, Status
from beamfold.start import STARTS, Point, proposed

SIZES = [(12, 3, 3), (9, 2, 4), (7, 1, 1), (6, 4, 6)]  # N, K, M


def random_steps(layers, inner, seed=0, size=0.01):
    rng = np.random.default_rng(seed)
    return (
        torch.from_numpy(size * rng.uniform(0.2, 1.5, (layers, inner))),
        torch.from_numpy(size * rng.uniform(0.2, 1.5, layers)),
    )


@pytest.mark.parametrize("digital", ["exact", "signal"])
@pytest.mark.parametrize("sizes", SIZES)
def test_torch_engine_is_the_oracles_algorithm_1(sizes, digital):
    """Every point of 6 layers with J = 4, three channels, within 1e-10."""
    N, K, M = sizes
    s = small(N, K, M, count=3, snr_db=5, seed=N, noise=0.5)
    mu, lam = random_steps(6, 4)
    start = proposed(s)
    eta = 1 / N
    points = [start]
    for i in range(6):
        points.append(step(s, points[-1], mu[i], lam[i], eta, digital))
    last = run_layers(s, start, mu, lam, eta, digital, engine="torch").point
    for b in range(3):
        truth = oracle.algorithm_1(
            s.H[b].numpy(), start.F[b].numpy(), start.W[b].numpy(), (s.power[b] * s.Psi).numpy(),
            float(s.power[b]), float(s.weight[b]), s.noise, mu.numpy(), lam.numpy(), eta, digital,
        )  # fmt: skip
        for ours, (F, W) in zip(points, truth, strict=True):
            assert relative(ours.F[b], F) < 1e-10
            assert relative(ours.W[b], W) < 1e-10
        assert relative(last.F[b] @ last.W[b], truth[-1][0] @ truth[-1][1]) < 1e-10
        assert relative(truth[-1][0], truth[0][0]) > 1e-3  # the test would see a loop that does nothing


def test_the_two_gradients_of_W_are_different_algorithms():
    s = small(12, 3)
    exact, signal = (pga(s, inner=2, layers=5, digital=d, engine="torch") for d in ("exact", "signal"))
    assert relative(exact.X, signal.X) > 1e-3


@pytest.mark.parametrize("engine", ["torch", "kernel"])
def test_constants_in_the_unfolded_model_are_pga(engine):
    """Bit for bit: the model is the same step with other numbers."""
    s = small(16, 3, 4)
    model = UnfoldedPGA(ModelInfo(16, 3, 4, eta=1 / 16), layers=8, inner=5, initial=0.01)
    ours = unfolded(s, model, engine=engine, record=True)
    plain = pga(s, inner=5, layers=8, engine=engine, record=True)
    assert torch.equal(ours.F, plain.F)
    assert torch.equal(ours.W, plain.W)
    assert torch.equal(ours.trace.rate, plain.trace.rate)
    assert torch.equal(ours.rate, plain.rate)
    with torch.no_grad():
        F, W = model(s, engine=engine)
    assert relative(F @ W, plain.X) < 1e-6


def test_stopping_early_is_running_a_shorter_model():
    s = small(16, 3)
    model = UnfoldedPGA(ModelInfo(16, 3, 3, eta=1 / 16), layers=8, inner=2)
    assert torch.equal(
        unfolded(s, model, layers=3, engine="torch").W, pga(s, inner=2, layers=3, engine="torch").W
    )


@pytest.mark.parametrize("engine", ["torch", "kernel"])
def test_conventional_pga_is_one_inner_step(engine):
    s = small(16, 3)
    ours = conventional_pga(s, layers=10, engine=engine)
    plain = pga(s, inner=1, layers=10, mu=0.01, lam=0.01, eta=1 / 16, engine=engine)
    assert ours.method == "conventional-pga"
    assert torch.equal(ours.F, plain.F)
    assert torch.equal(ours.W, plain.W)


def test_conventional_pga_by_hand():
    """(9)-(12), with the oracle's gradients: both at once, η = 1, one layer."""
    s = small(8, 2, count=1, snr_db=3)
    F, W = (Z[0].numpy() for Z in proposed(s))
    H, Psi, P = s.H[0].numpy(), (s.power[0] * s.Psi).numpy(), float(s.power[0])
    F1 = F + 0.01 * (oracle.rate_gradient_F(H, F, W) - 0.3 * oracle.tau_gradient_F(F, W, Psi))
    F1 = F1 / np.abs(F1)
    W1 = W + 0.01 * (oracle.published_gradient_W(H, F1, W) - 0.3 * oracle.tau_gradient_W(F1, W, Psi))
    W1 = np.sqrt(P) * W1 / np.linalg.norm(F1 @ W1)
    ours = conventional_pga(s, layers=1, eta=1.0, engine="torch")
    assert relative(ours.F[0], F1) < 1e-12
    assert relative(ours.W[0], W1) < 1e-12


@pytest.mark.parametrize("engine", ["torch", "kernel"])
@pytest.mark.parametrize("start", [*STARTS, "given"])
def test_no_layers_return_the_start(start, engine):
    s = small(12, 3, 4, snr_db=20)
    begin = STARTS["random"](s, seed=9) if start == "given" else STARTS[start](s)
    design = pga(s, layers=0, start=begin if start == "given" else start, engine=engine, record=True)
    tolerance = 1e-6 if engine == "kernel" else 1e-15
    assert relative(design.F, begin.F) < tolerance
    assert relative(design.X, begin.F @ begin.W) < tolerance
    assert set(design.statuses) == {"fixed_depth"}
    assert design.trace.rate.shape == (1, 4)


@pytest.mark.parametrize("engine", ["torch", "kernel"])
def test_the_trace_holds_every_layer(engine):
    s = small(12, 3)
    design = pga(s, inner=2, layers=6, engine=engine, record=True)
    assert design.trace.rate.shape == design.trace.tau.shape == (7, 4)
    for i in (0, 2, 6):
        part = pga(s, inner=2, layers=i, engine=engine)
        assert torch.allclose(design.trace.rate[i], part.rate, rtol=1e-5, atol=0)
        assert torch.allclose(design.trace.tau[i], part.tau, rtol=1e-5, atol=0)
    assert torch.allclose(design.trace.rate[-1], design.rate, rtol=1e-12)
    assert pga(s, layers=1, engine=engine).trace is None


def test_figure_3():
    """Step 0.01, N = 32, 12 dB: of six settings only J > 1 with η = 1/N rises smoothly.

    Smooth: the mean objective over 20 channels ends far above its start, and all its falls together, those
    of the first few layers included, are under a quarter of its rises (measured: 0.06 for J = 20 and 0.17
    for J = 10; above 0.9 for all others).
    """
    s = small(32, 4, count=20, snr_db=12, seed=3)
    smooth, final = {}, {}
    for inner in (1, 10, 20):
        for eta in (1.0, 1 / 32):
            trace = pga(s, inner=inner, layers=120, eta=eta, record=True).trace
            value = (trace.rate - 0.3 * trace.tau).mean(-1)
            change = value.diff()
            rise, fall = float(change.clamp_min(0).sum()), float((-change).clamp_min(0).sum())
            final[inner, eta] = float(value[-1])
            smooth[inner, eta] = fall < 0.25 * rise and final[inner, eta] > float(value[0]) + 10
    good = {(10, 1 / 32), (20, 1 / 32)}
    assert {key for key, value in smooth.items() if value} == good, (smooth, final)
    # "still far worse than": the best of the others ends far below the worse of the two.
    assert min(final[key] for key in good) > max(v for key, v in final.items() if key not in good) + 3, final


@pytest.mark.parametrize("engine", ["torch", "kernel"])
@pytest.mark.parametrize("size", [1e6, 1e12])
@pytest.mark.parametrize("inner", [1, 10])
def test_steps_far_too_long_end_honestly(engine, size, inner):
    """Never a NaN in a design, and never a good status."""
    s = small(16, 3, snr_db=12)
    design = pga(s, inner=inner, layers=20, mu=size, lam=size, engine=engine, record=True)
    assert set(design.statuses) <= {"diverged", "diverged+below_start", "fixed_depth+below_start"}
    for Z in (design.F, design.W):
        assert bool(torch.isfinite(torch.view_as_real(Z)).all())
    assert bool(torch.isfinite(design.trace.rate).all())
    assert bool(torch.isfinite(design.objective).all())
    assert float(modulus_error(design.F).max()) < 1e-9
    assert float(power_error(design.X, s.power).max()) < 1e-9
    if inner == 10:
        assert bool((design.status == Status.DIVERGED).any())


@pytest.mark.parametrize("engine", ["torch", "kernel"])
def test_one_bad_channel_does_not_harm_the_others(engine):
    """The same steps: channel 1 starts far outside and blows up, the others go on as if alone."""
    s = small(12, 3, count=3)
    s.H[1] *= 1e14
    start = proposed(s)
    start.W[1] *= 1e12
    design = pga(s, inner=5, layers=10, start=start, engine=engine)
    assert design.status[1] == Status.DIVERGED
    for b in (0, 2):
        alone = pga(s[b : b + 1], inner=5, layers=10, engine=engine)
        assert relative(design.W[b], alone.W[0]) < 1e-12
        assert [design.statuses[b]] == alone.statuses


def test_below_start_is_said():
    """(J, η) = (1, 1) at 12 dB, the paper's unstable setting."""
    s = small(32, 4, count=5, snr_db=12)
    design = pga(s, inner=1, layers=120, mu=1.0, lam=1.0, eta=1.0, engine="torch")
    start = proposed(s)
    before = pga(s, layers=0, start=start, engine="torch").objective
    for fault, value, first in zip(design.faults.tolist(), design.objective, before, strict=True):
        assert (fault == Fault.BELOW_START) == bool(value < first)
    assert "fixed_depth+below_start" in design.statuses


def test_gradients_flow_through_the_torch_engine():
    """d objective/d mu by autograd is a slope."""
    s = small(8, 2, count=2)
    model = UnfoldedPGA(ModelInfo(8, 2, 2, eta=1 / 8), layers=3, inner=2)

    def value():
        F, W = model(s, engine="torch")
        X = F @ W
        return oracle.rate(s.H[0].numpy(), *(Z[0].detach().numpy() for Z in (F, W))), X

    from beamfold.objective import rate

    rate(s.H, value()[1])[0].backward()
    slope = float(model.mu.grad[1, 1])
    t = 1e-5
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            model.mu[1, 1] += sign * t
            ends.append(value()[0])
            model.mu[1, 1] -= sign * t
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * t), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inner": 0}, "inner >= 1 and layers >= 0, got 0 and 120"),
        ({"layers": -1}, "inner >= 1 and layers >= 0, got 20 and -1"),
        ({"start": "clever"}, "no start 'clever'; known: proposed, random, svd, svd_conjugated"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        pga(small(), **options)


def test_models_refuse_what_they_were_not_made_for():
    info = ModelInfo(16, 3, 3, eta=1 / 16)
    model = UnfoldedPGA(info, layers=4, inner=2)
    with pytest.raises(
        ValueError, match=r"trained for \(N, K, M\) = \(16, 3, 3\), the channels have \(12, 3, 3\)"
    ):
        unfolded(small(12, 3), model)
    with pytest.raises(ValueError, match="the model has 4 layers, asked for 5"):
        unfolded(small(16, 3), model, layers=5)
    with pytest.raises(ValueError, match=r"expected mu \(I, J\) and lam \(I,\), found \(4,\) and \(4,\)"):
        UnfoldedPGA.from_steps(torch.ones(4), torch.ones(4), info)
    with pytest.raises(ValueError, match="NaN or Inf"):
        UnfoldedPGA.from_steps(torch.full((4, 2), torch.nan), torch.ones(4), info)


def test_any_size_runs_with_the_scenarios_eta():
    model = UnfoldedPGA(ModelInfo(16, 3, 3, eta=1 / 16), layers=4, inner=2)
    s = small(12, 3)
    ours = unfolded(s, model, any_size=True, engine="torch")
    assert torch.equal(ours.W, pga(s, inner=2, layers=4, eta=1 / 12, engine="torch").W)


def test_a_point_is_a_start():
    """Two runs of 3 layers are one of 6."""
    s = small(12, 3)
    first = pga(s, inner=2, layers=3, engine="torch")
    both = pga(s, inner=2, layers=3, start=Point(first.F, first.W), engine="torch")
    assert relative(both.W, pga(s, inner=2, layers=6, engine="torch").W) < 1e-12
