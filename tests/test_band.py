"""Bands: means and power rules, gradients, methods on them, and what S = 1 and equal subcarriers give."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import beamfold as bf
from beamfold.band import Band, apart, side_by_side
from beamfold.channel import saleh_valenzuela
from beamfold.errors import InputError
from beamfold.objective import beam_error, rate
from beamfold.start import STARTS
from beamfold.testing.scenarios import relative, three_beams

N, K, S, B = 12, 2, 5, 3
F_HZ = np.linspace(27.6e9, 28.4e9, S)


def channels(seed: int = 0) -> torch.Tensor:
    """H (B, S, K, N) that changes from one subcarrier to the next."""
    parts = [saleh_valenzuela(N, K, B, seed=seed + i) for i in range(2)]
    turn = torch.linspace(0, 1.5, S, dtype=torch.float64)
    return torch.stack([parts[0] + torch.exp(4j * t) * t * parts[1] for t in turn], 1)


def on_band(chains: int = 3, rule: str = "subcarrier", each: bool = False, H=None, **options):
    """A band scenario with one Ψ, or with one that turns by a degree from each subcarrier to the next."""
    radar = three_beams(N)
    if each:
        radar = [three_beams(N, (-60 + i, i, 60 - i)) for i in range(S)]
    H = channels() if H is None else H
    return bf.make_scenario(
        H, radar, snr_db=6, chains=chains, frequencies=F_HZ[: H.shape[1]], carrier_hz=28e9,
        power_rule=rule, **options,
    )  # fmt: skip


def some_point(s, seed: int = 0):
    """A feasible F and W that no method gives."""
    g = torch.Generator().manual_seed(seed)
    F = torch.exp(2j * torch.pi * torch.rand(B, N, s.chains, generator=g, dtype=torch.float64))
    W = torch.randn(B, s.subcarriers, s.chains, K, generator=g, dtype=torch.complex128)
    return F, s.to_power(s.transmitted(F, W), W)


@pytest.mark.parametrize("each", [False, True])
def test_figures_are_means_of_the_narrowband_ones(each):
    s = on_band(each=each)
    F, W = some_point(s)
    R = torch.stack([rate(s.H[:, i], F @ W[:, i]) for i in range(S)]).mean(0)
    Psi = [s.Psi[i] if each else s.Psi for i in range(S)]
    tau = torch.stack([beam_error(F @ W[:, i], Psi[i], s.power) for i in range(S)]).mean(0)
    X = s.transmitted(F, W)
    assert relative(s.rate(X), R) < 1e-13
    assert relative(s.tau(X), tau) < 1e-13
    found = s.measure(X)
    assert relative(found.rate, R) < 1e-13
    assert relative(found.tau, tau) < 1e-13


@pytest.mark.parametrize("each", [False, True])
def test_gradients_are_half_of_autograds(each):
    """∇ is ∂/∂Z*, half of PyTorch's .grad; that of W_s is 1/S of the one that its step follows."""
    s = on_band(each=each)
    F, W = (Z.requires_grad_() for Z in some_point(s))
    s.objective(s.transmitted(F, W)).sum().backward()
    with torch.no_grad():
        X = s.transmitted(F, W)
        G = s.ascent(X)
        assert relative(s.on_F(G, W), F.grad / 2) < 1e-11
        assert relative(s.on_band(F).mH @ G / S, W.grad / 2) < 1e-11
        assert relative(s.measure(X).gradient, G / S) < 1e-11


@pytest.mark.parametrize("rule", ["subcarrier", "band"])
def test_the_power_rule_is_kept(rule):
    s = on_band(rule=rule)
    F, W = some_point(s)
    energy = torch.linalg.matrix_norm(s.transmitted(F, W)).square() / s.power[:, None]
    if rule == "subcarrier":
        assert torch.allclose(energy, torch.ones_like(energy), atol=1e-12)
    else:
        assert torch.allclose(energy.mean(-1), torch.ones(B, dtype=torch.float64), atol=1e-12)
        assert float((energy - 1).abs().max()) > 0.1  # the power of a subcarrier is free
    assert float(s.power_error(s.transmitted(F, W)).max()) < 1e-12
    assert torch.allclose(s.power_error(1.1 * s.transmitted(F, W)), torch.full_like(s.power, 0.21))


ABLE = [name for name, method in bf.METHODS.items() if method.supports.band and name != "unfolded"]


@pytest.mark.parametrize("name", ABLE)
def test_one_subcarrier_is_the_flat_channel(name):
    """S = 1 at the carrier: F, W and the figures of the narrowband design."""
    H = channels()[:, :1]
    radar = three_beams(N)
    band = bf.make_scenario(H, radar, snr_db=6, chains=3, frequencies=[28e9])
    flat = bf.make_scenario(H[:, 0], radar, snr_db=6, chains=3)
    options = {
        "pga": {"layers": 20, "engine": "torch"},
        "best": {"starts": 8},  # the default of flat channels is another one
    }.get(name, {})
    a, b = (bf.design(s, name, **options) for s in (band, flat))
    assert relative(a.X[:, 0], b.X) < 1e-7
    assert relative(a.objective, b.objective) < 1e-7


EQUAL = {"pga": {"layers": 10, "engine": "torch"}, "phased-zf": {}, "fast": {"precision": "double"}}


@pytest.mark.parametrize("name", list(EQUAL))
def test_equal_subcarriers_are_the_flat_channel(name):
    H = channels()[:, 2]
    band = on_band(H=H[:, None].expand(B, S, K, N))
    flat = bf.make_scenario(H, three_beams(N), snr_db=6, chains=3)
    options = EQUAL[name]
    a, b = (bf.design(s, name, **options) for s in (band, flat))
    assert a.F is not None
    assert relative(a.F, b.F) < 1e-9
    # The fast design takes more steps of W than the narrowband one, all subcarriers the same.
    W = a.W[:, 0] if name == "fast" else b.W
    for i in range(S):
        assert relative(a.W[:, i], W) < 1e-9
    assert bool((a.objective >= b.objective - 1e-9).all())


@pytest.mark.parametrize("name", ABLE)
@pytest.mark.parametrize(("rule", "each"), [("subcarrier", False), ("band", True)])
def test_every_able_method_gives_a_feasible_design(name, rule, each):
    s = on_band(rule=rule, each=each)
    options = {"pga": {"layers": 5}, "best": {"starts": 2, "polish": 300}}.get(name, {})
    d = bf.design(s, name, **options)
    assert d.usable.all()
    assert d.X.shape == (B, S, N, K)
    assert d.W.shape[:2] == (B, S)
    assert d.rate.shape == d.tau.shape == d.status.shape == (B,)
    assert float(s.power_error(d.X).max()) < 1e-9
    if d.F is not None:
        assert d.F.shape == (B, N, 3)


@pytest.mark.parametrize("name", [n for n, m in bf.METHODS.items() if not m.supports.band])
def test_every_other_method_refuses(name):
    with pytest.raises(InputError, match=r"is for flat channels, these have 5 subcarriers; use one of"):
        bf.design(on_band(), name)


def test_digital_methods_are_narrowband_problems():
    s = on_band(each=True)
    d = bf.design(s, "wmmse")
    for i, part in enumerate(s.parts()):
        assert relative(d.X[:, i], bf.wmmse(part).X) < 1e-12


@pytest.mark.parametrize("start", list(STARTS))
def test_starts_are_feasible(start):
    s = on_band(chains=4)
    F, W = STARTS[start](s)
    assert float((F.abs() - 1).abs().max()) < 1e-12
    assert float(s.power_error(s.transmitted(F, W)).max()) < 1e-12


@pytest.mark.parametrize("network", ["subarrays", "interleaved", "dynamic"])
def test_networks_on_a_band(network):
    s = on_band(network=getattr(bf, network)(N, 3))
    for name in ("pga", "altmin", "manopt"):
        d = bf.design(s, name, **({"layers": 5} if name == "pga" else {}))
        assert d.F is not None
        assert d.usable.all()
        assert int((d.F[0] != 0).sum()) == N


def test_several_receive_antennas_on_a_band():
    H = torch.stack([channels(), channels(7)], 3)
    s = bf.make_scenario(H, three_beams(N), snr_db=6, chains=4, streams=2, frequencies=F_HZ)
    d = bf.design(s, "pga", layers=5)
    assert d.W.shape == (B, S, 4, 4)
    assert d.usable.all()


def test_power_moves_between_subcarriers_where_only_the_bands_is_kept():
    """By the rule of the band the fast design is nowhere below that of equal powers."""
    equal, free = (bf.design(on_band(rule=rule), "fast") for rule in ("subcarrier", "band"))
    energy = torch.linalg.matrix_norm(free.X).square() / free.scenario.power[:, None]
    assert torch.allclose(energy.mean(-1), torch.ones(B, dtype=torch.float64), atol=1e-9)
    assert float((energy - 1).abs().max()) > 1e-3
    assert bool((free.objective >= equal.objective - 1e-6).all())


def test_fast_is_above_its_start_and_below_the_digital_ceiling():
    s = on_band(chains=4)
    found = {name: bf.design(s, name).objective for name in ("phased-zf", "fast", "best", "digital")}
    assert bool((found["fast"] >= found["phased-zf"] - 1e-9).all())
    assert bool((found["best"] >= found["fast"] - 1e-3).all())
    assert bool((found["digital"] >= found["best"] - 1e-3).all())


def test_a_part_of_the_batch_keeps_the_band():
    s = bf.make_scenario(channels(), three_beams(N), snr_db=[0, 6], chains=3, frequencies=F_HZ)
    assert s.batch == (2, B)
    assert s[0].batch == (B,)
    assert s[..., 1:].H.shape == (2, B - 1, S, K, N)
    assert [level for level, _ in s.levels()] == pytest.approx([0, 6])


def test_patterns_are_taken_at_their_own_frequencies():
    """A beam of the centre frequency at 60° has moved at the edges of the band, as sin θ/r says."""
    s = bf.make_scenario(channels(), three_beams(N), snr_db=6, chains=3, frequencies=F_HZ, carrier_hz=28e9)
    d = bf.design(s, "phased-zf")
    angles = torch.deg2rad(torch.tensor([-60.0, 10.0, 60.0], dtype=torch.float64))
    p = d.beampattern(angles)
    assert p.shape == (B, S, 3)
    for i, r in enumerate(F_HZ / 28e9):
        a = np.exp(1j * np.pi * r * np.outer(np.sin(angles.numpy()), np.arange(N)))
        power = np.abs(a.conj() @ d.X[:, i].numpy()) ** 2
        assert relative(p[:, i], power.sum(-1) / s.power[:, None].numpy()) < 1e-12
    each = [
        np.mean((p[:, i].numpy() - psi_pattern(s, r, angles)) ** 2, -1) for i, r in enumerate(F_HZ / 28e9)
    ]
    assert relative(d.pattern_error(angles), np.mean(each, 0)) < 1e-9


def psi_pattern(s, r, angles):
    """āᴴ Ψ ā at r times the carrier."""
    a = np.exp(1j * np.pi * r * np.outer(np.sin(angles.numpy()), np.arange(N)))
    return np.einsum("tn,nm,tm->t", a.conj(), s.Psi.numpy(), a).real


def test_side_by_side_and_apart():
    X = torch.randn(B, S, N, K, dtype=torch.complex128)
    assert torch.equal(side_by_side(X)[..., K : 2 * K], X[:, 1])
    assert torch.equal(apart(side_by_side(X), S), X)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frequencies": F_HZ[:3]}, "3 frequencies do not fit channels"),
        ({"frequencies": F_HZ[::-1].copy()}, "increase: subcarrier 1 has"),
        ({"frequencies": F_HZ, "carrier_hz": -1.0}, "positive frequency in Hz, got -1"),
        ({"frequencies": F_HZ, "power_rule": "total"}, "no power rule 'total'; known: subcarrier, band"),
        ({"carrier_hz": 28e9}, "a carrier is for a band"),
    ],
)
def test_wrong_bands_are_refused(options, said):
    H = channels() if "frequencies" in options else channels()[:, 0]
    with pytest.raises(InputError, match=said):
        bf.make_scenario(H, three_beams(N), snr_db=6, **options)


def test_covariances_have_to_fit_the_subcarriers():
    radars = [three_beams(N)] * 3
    with pytest.raises(InputError, match="3 covariances Psi for 5 subcarriers"):
        bf.make_scenario(channels(), radars, snr_db=6, frequencies=F_HZ)
    with pytest.raises(InputError, match="give their frequencies"):
        bf.make_scenario(channels()[:, 0], radars, snr_db=6)
    stacked = np.stack([three_beams(N).Psi.numpy()] * S)
    assert bf.make_scenario(channels(), stacked, snr_db=6, frequencies=F_HZ).Psi.shape == (S, N, N)
    with pytest.raises(InputError, match="positive finite numbers"):
        Band(torch.zeros(2), 28e9)


@pytest.mark.parametrize("name", ["pga", "wmmse"])
@pytest.mark.parametrize(("rule", "each"), [("subcarrier", True), ("band", False)])
def test_the_verifier_agrees(name, rule, each):
    """R, τ, R − ω τ, the MSE and the faults in plain NumPy, subcarrier by subcarrier."""
    s = on_band(rule=rule, each=each)
    d = bf.design(s, name, **({"layers": 5} if name == "pga" else {}))
    names = ("rate", "tau", "objective", "mse", "faults")
    stated = {key: getattr(d, key).numpy() for key in names}
    H, W = s.H.numpy(), d.W.numpy()
    F = None if d.F is None else d.F.numpy()
    found = bf.verify(
        H, F, W, s.Psi.numpy(), s.power.numpy(), s.noise, stated, 0.3,
        ratios=F_HZ / 28e9, power_rule=rule,
    )  # fmt: skip
    assert max(found.worst().values()) < 1e-9
    wrong = bf.verify(
        H, F, W, s.Psi.numpy(), s.power.numpy(), s.noise, stated, 0.3, ratios=F_HZ / 27e9, power_rule=rule
    ).worst()
    assert wrong["mse_error"] > 1e-3  # the pattern is another one at other frequencies
    spoilt = 1.01 * W
    assert bf.verify(
        H, F, spoilt, s.Psi.numpy(), s.power.numpy(), s.noise, stated, ratios=F_HZ / 28e9, power_rule=rule
    ).worst()["power"] == pytest.approx(0.0201)


def a_model(subcarriers: int) -> bf.UnfoldedPGA:
    """Two layers of two steps for the sizes above."""
    info = bf.ModelInfo(N, K, 3, 1.0, digital="exact", start="mean_covariance", subcarriers=subcarriers)
    mu, lam = torch.full((2, 2), 0.02, dtype=torch.float64), torch.full((2,), 0.001, dtype=torch.float64)
    return bf.UnfoldedPGA.from_steps(mu, lam, info)


@pytest.mark.parametrize(("trained_with", "found"), [(1, "bands"), (4, "flat channels")])
def test_a_model_of_the_other_kind_is_refused_without_any_size(trained_with, found):
    s = on_band() if found == "bands" else on_band().parts()[0][:, 0]
    with pytest.raises(
        InputError, match=rf"these are {found}; take another model, or allow it with any_size"
    ):
        bf.design(s, "unfolded", model=a_model(trained_with))
    assert bf.design(s, "unfolded", model=a_model(trained_with), any_size=True, engine="torch").usable.all()


def test_a_model_of_a_band_is_pga_with_its_steps_and_start():
    s = on_band()
    ours = bf.design(s, "unfolded", model=a_model(4))
    plain = bf.design(
        s, "pga", inner=2, layers=2, mu=0.02, lam=0.001, eta=1.0, digital="exact", start="mean_covariance"
    )
    assert torch.equal(ours.F, plain.F) and torch.equal(ours.W, plain.W)


def test_training_on_a_band_raises_its_objective():
    """The steps that come out are better on the training channels than those that went in."""
    H = channels()
    band = Band(torch.from_numpy(F_HZ), 28e9)
    recipe = bf.Recipe(
        layers=2, inner=2, epochs=6, batch=3, rate=5e-3, decay=1.0, snr_db=(6, 6), eta=1.0, digital="exact",
        initial=0.01, initial_lam=0.001, start="mean_covariance", rate_lam=1e-4,
    )  # fmt: skip
    steps = list(bf.train(recipe, H, three_beams(N), chains=3, band=band))
    model = steps[-1].model
    assert model.info.subcarriers == S
    s = on_band()
    before = bf.design(
        s, "pga", inner=2, layers=2, mu=0.01, lam=0.001, eta=1.0, digital="exact", start="mean_covariance"
    )
    after = bf.design(s, "unfolded", model=model)
    assert float(after.objective.mean()) > float(before.objective.mean())


def test_a_step_size_of_W_for_every_subcarrier(tmp_path):
    """Equal ones are the model with one for all; the gradient reaches each; the file keeps them."""
    info = bf.ModelInfo(N, K, 3, 1.0, "exact", start="mean_covariance", subcarriers=S)
    mu, lam = (
        torch.full((3, 2), 0.02, dtype=torch.float64),
        torch.tensor([1e-3, 2e-3, 5e-4], dtype=torch.float64),
    )
    one = bf.UnfoldedPGA.from_steps(mu, lam, info)
    each = bf.UnfoldedPGA.from_steps(mu, lam[:, None].expand(3, S).clone(), info)
    s = on_band()
    a, b = (bf.design(s, "unfolded", model=model) for model in (one, each))
    assert torch.equal(a.F, b.F) and torch.equal(a.W, b.W)
    one.after_layers(s).mean().backward()
    each.after_layers(s).mean().backward()
    torch.testing.assert_close(each.lam.grad.sum(1), one.lam.grad, rtol=1e-9, atol=1e-9)
    assert bool((each.lam.grad != 0).all())
    bf.save_model(tmp_path / "m.safetensors", each)
    assert torch.equal(bf.load_model(tmp_path / "m.safetensors").lam, each.lam)
    narrower = on_band(H=channels()[:, :3])
    with pytest.raises(InputError, match="for each of"):
        bf.design(narrower, "unfolded", model=each, any_size=True)
    with pytest.raises(InputError, match="lam_each"):
        list(
            bf.train(bf.Recipe(layers=1, inner=1, epochs=1, lam_each=True), channels()[:, 0], three_beams(N))
        )


def test_the_shipped_model_of_a_band():
    from beamfold.files.models import find_model

    model = find_model(64, 4, 8, 10, band=True)
    assert (model.layers, model.inner, model.info.subcarriers) == (30, 10, 16)
    assert len(model.info.curve) == 14
