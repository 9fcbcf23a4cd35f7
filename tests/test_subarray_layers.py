"""The compiled layers on networks with one chain on each antenna, their adjoint, and models trained there."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import relative, script, small
from test_kernels import adjoint, autograd, dirty_memory, loss_of, stable

import beamfold as bf
from beamfold.cli import main
from beamfold.kernels import unfolded as compiled
from beamfold.kernels.unfolded import run_kernel
from beamfold.networks import Network, dynamic, fully_connected, interleaved, subarrays
from beamfold.optim.layers import run_layers
from beamfold.result import Status
from beamfold.start import Point, proposed, random
from beamfold.training import Recipe, train
from beamfold.unfolded_model import ModelInfo, UnfoldedPGA

model_script = script("subarray_model")


def unequal(antennas, sizes):
    """Antennas of chains of several sizes, in a shuffled order."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    assert len(owner) == antennas
    np.random.default_rng(5).shuffle(owner)
    return Network((owner[:, None] == np.arange(len(sizes))).astype(int), name="unequal")


CASES = [  # N, K, M, network
    pytest.param(16, 3, 4, subarrays(16, 4), id="contiguous"),
    pytest.param(16, 3, 4, interleaved(16, 4), id="interleaved"),
    pytest.param(17, 2, 3, unequal(17, [1, 6, 10]), id="unequal"),
    pytest.param(24, 4, 8, dynamic(24, 8), id="dynamic"),
    pytest.param(5, 2, 5, subarrays(5, 5), id="one antenna a chain"),
    pytest.param(33, 1, 3, subarrays(33, 3), id="one user"),
]


def on(N, K, M, network, count=3, snr_db=6):
    plain = small(N, K, M, count=count, snr_db=snr_db, seed=N)
    return replace(plain, network=network)


@pytest.mark.parametrize("digital", ["exact", "signal"])
@pytest.mark.parametrize(("N", "K", "M", "network"), CASES)
def test_layers_are_the_readable_ones(N, K, M, network, digital):
    """5 layers of J = 4, entry by entry: the bounds of the fully connected layers."""
    s = on(N, K, M, network)
    start = proposed(s)
    mu, lam = stable(s, start, 5, 4)
    truth = run_layers(s, start, mu, lam, 1 / N, digital, engine="torch").point
    assert relative(truth.F @ truth.W, start.F @ start.W) > 1e-3  # something happened
    for dtype, limit in ((np.float64, 1e-11), (np.float32, 1e-4)):
        point, status, _ = run_kernel(s, start, mu, lam, 1 / N, digital, dtype=dtype)
        assert relative(point.F, truth.F) < limit
        assert relative(point.F @ point.W, truth.F @ truth.W) < limit
        assert bool(((point.F == 0) == (start.F == 0)).all())
        assert status.tolist() == [Status.FIXED_DEPTH] * 3


@pytest.mark.parametrize("digital", ["exact", "signal"])
@pytest.mark.parametrize(("N", "K", "M", "network"), CASES)
def test_adjoint_is_autograd(N, K, M, network, digital):
    """1e-8 in float64, 1e-3 in float32, for every μ and λ of 6 layers of J = 4, η = 1 and 1/N."""
    s = on(N, K, M, network)
    start = proposed(s)
    mu, lam = stable(s, start, 6, 4)
    for eta in (1.0, 1 / N):
        value, on_mu, on_lam = autograd(s, start, mu, lam, eta, digital)
        for dtype, limit in ((np.float64, 1e-8), (np.float32, 1e-3)):
            ours, our_mu, our_lam = adjoint(s, start, mu, lam, eta, digital, dtype=dtype)
            assert ours == pytest.approx(value, rel=limit)
            assert relative(our_mu, on_mu) < limit
            assert relative(our_lam, on_lam) < limit


def test_adjoint_against_differences():
    """Central differences of the compiled forward sweep, along a random direction of all step sizes."""
    s = on(16, 3, 4, subarrays(16, 4))
    start = proposed(s)
    mu, lam = stable(s, start, 6, 4)
    _, on_mu, on_lam = adjoint(s, start, mu, lam, 1.0, "exact", dtype=np.float64)
    rng = np.random.default_rng(1)
    dmu, dlam = (torch.from_numpy(rng.standard_normal(step.shape)) * step for step in (mu, lam))

    def at(h):
        point, _, _ = run_kernel(s, start, mu + h * dmu, lam + h * dlam, 1.0, "exact", dtype=np.float64)
        return float(loss_of(s, point))

    h = 1e-5
    slope = (at(h) - at(-h)) / (2 * h)
    assert slope == pytest.approx(float((on_mu * dmu).sum() + (on_lam * dlam).sum()), rel=1e-7)


def test_adjoint_of_any_function_of_the_point():
    """Cotangents of F and W that do not fit together, also off the connected entries, where F is constant."""
    s = on(17, 2, 3, unequal(17, [1, 6, 10]))
    start = proposed(s)
    mu, lam = stable(s, start, 4, 3)
    rng = np.random.default_rng(0)
    A, B = (torch.from_numpy(rng.standard_normal(Z.shape) + 1j * rng.standard_normal(Z.shape)) for Z in start)

    def loss(s, point):
        return (A.conj() * point.F).real.sum() + (B.conj() * point.W).imag.sum() * 3

    _, on_mu, on_lam = autograd(s, start, mu, lam, 0.1, "exact", loss)
    _, our_mu, our_lam = adjoint(s, start, mu, lam, 0.1, "exact", loss, dtype=np.float64)
    assert relative(our_mu, on_mu) < 1e-8
    assert relative(our_lam, on_lam) < 1e-8


def test_checkpointing_changes_nothing():
    """bound = 1 byte keeps every √I-th point only and runs the rest again: the same to rounding."""
    s = on(12, 2, 3, subarrays(12, 3))
    start = proposed(s)
    mu, lam = stable(s, start, 7, 3)
    whole = adjoint(s, start, mu, lam, 1.0, "exact", dtype=np.float64)
    parts = adjoint(s, start, mu, lam, 1.0, "exact", dtype=np.float64, bound=1)
    assert relative(parts[1], whole[1]) < 1e-13
    assert relative(parts[2], whole[2]) < 1e-13


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_working_space_may_hold_anything(dtype):
    s = on(16, 3, 4, interleaved(16, 4))
    start = proposed(s)
    mu, lam = stable(s, start, 4, 3)
    clean = adjoint(s, start, mu, lam, 1.0, "signal", dtype=dtype, threads=1)
    dirty_memory()
    again = adjoint(s, start, mu, lam, 1.0, "signal", dtype=dtype, threads=1)
    assert torch.equal(clean[1], again[1])
    assert torch.equal(clean[2], again[2])


def test_a_channel_that_breaks_stops_alone():
    """One channel at a power that overflows keeps its last finite point; the others are not touched by it."""
    s = on(16, 3, 4, subarrays(16, 4))
    start = proposed(s)
    mu, lam = stable(s, start, 4, 3)
    alone, _, _ = run_kernel(s, start, mu, lam, 1.0, "exact")
    power = s.power.clone()
    power[1] = 1e30
    loud = replace(s, power=power)
    begin = Point(start.F, start.W * (power / s.power).sqrt()[:, None, None])
    point, status, _ = run_kernel(loud, begin, mu, lam, 1.0, "exact")
    assert status.tolist() == [Status.FIXED_DEPTH, Status.DIVERGED, Status.FIXED_DEPTH]
    assert torch.isfinite(torch.view_as_real(point.F)).all()
    assert torch.equal(point.F[[0, 2]], alone.F[[0, 2]])


def test_both_engines_record_the_same_trace():
    s = on(16, 3, 4, subarrays(16, 4))
    options = {"inner": 3, "layers": 6, "mu": 1e-3, "lam": 1e-3, "record": True, "precision": "double"}
    ours, truth = (bf.pga(s, engine=engine, **options) for engine in ("kernel", "torch"))
    assert relative(ours.trace.tau, truth.trace.tau) < 1e-10
    assert relative(ours.trace.rate, truth.trace.rate) < 1e-10
    assert bool(ours.usable.all())


def test_which_networks_are_compiled():
    """engine='kernel' is refused where two chains meet on an antenna; 'auto' is the readable path there."""
    mask = np.ones((8, 2))
    mask[0, 1] = 0
    s = on(8, 2, 2, Network(mask))
    with pytest.raises(ValueError, match="every chain, or one, on each antenna"):
        bf.pga(s, layers=1, engine="kernel")
    auto, readable = (bf.pga(s, layers=3, inner=2, mu=1e-3, engine=engine) for engine in ("auto", "torch"))
    assert torch.equal(auto.X, readable.X)
    bf.pga(on(8, 2, 2, dynamic(8, 2)), layers=1, engine="kernel", start="random")
    assert random(s).F.shape == (3, 8, 2)


# Models and training


def model_on(network, **changes):
    facts = {"antennas": 16, "users": 3, "chains": 4, "eta": 1 / 16, "network": network, **changes}
    return UnfoldedPGA(ModelInfo(**facts), layers=3, inner=2, initial=1e-3)


def test_a_model_knows_its_network(tmp_path):
    s = on(16, 3, 4, subarrays(16, 4))
    model = model_on("subarrays")
    assert bool(bf.unfolded(s, model).usable.all())
    unnamed = replace(s, network=Network(s.network.mask.numpy()))  # the same mask by another name
    assert torch.equal(bf.unfolded(unnamed, model).X, bf.unfolded(s, model).X)
    bf.save_model(tmp_path / "m.safetensors", model)
    assert bf.load_model(tmp_path / "m.safetensors").info.network == "subarrays"
    for other in (replace(s, network=interleaved(16, 4)), replace(s, network=fully_connected(16, 4))):
        with pytest.raises(ValueError, match=f"network subarrays, the scenario has {other.network.name}"):
            bf.unfolded(other, model)
    with pytest.raises(ValueError, match="trained for the network full, the scenario has subarrays"):
        bf.unfolded(s, model_on("full"))
    with pytest.raises(ValueError, match="prepare is for networks of fixed connections") as caught:
        bf.prepare(model_on("dynamic"), s.radar, snr_db=6)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("name", ["subarrays", "interleaved"])
def test_a_prepared_channel_is_that_of_the_batch(name, equal):
    """Also with two equal users, where (26) takes pseudo-inverses; M > K: further columns take part."""
    s = on(16, 3, 4, {"subarrays": subarrays, "interleaved": interleaved}[name](16, 4))
    if equal:
        H = s.H.clone()
        H[:, 1] = H[:, 0]
        s = replace(s, H=H)
    model = model_on(name)
    with torch.no_grad():
        truth = run_layers(
            s, proposed(s), model.mu, model.lam, model.info.eta, model.info.digital, engine="torch"
        )
    snr_db = 10 * math.log10(float(s.power[0]))
    go = bf.prepare(model, s.radar, snr_db=snr_db, weight=float(s.weight[0]), dtype=np.float64)
    for H, F, X in zip(s.H, truth.point.F, truth.point.F @ truth.point.W, strict=True):
        mine, W, done = go(H.resolve_conj().numpy())
        assert done == model.layers
        assert np.array_equal(mine != 0, F.numpy() != 0)
        assert relative(mine @ W, X.numpy()) < 1e-9


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"network": "subarays"}, "did you mean subarrays"),
        ({"network": "subarrays", "antennas": 18}, "18 antennas are not divisible by 4 chains"),
    ],
)
def test_networks_that_no_model_can_have(facts, message):
    with pytest.raises(ValueError, match=message):
        model_on(**{"network": "subarrays", **facts})


def test_the_engines_train_alike():
    """One epoch of two updates, float32 against complex128: the step sizes move by the same amounts."""
    s = on(16, 3, 4, subarrays(16, 4), count=4)
    recipe = Recipe(
        layers=4, inner=3, epochs=1, batch=2, network="subarrays", eta=1.0, digital="exact", initial=2e-3,
        initial_lam=1e-3,
    )  # fmt: skip
    found = [next(iter(train(recipe, s.H, s.radar, chains=4, engine=e))) for e in ("auto", "torch")]
    ours, truth = (progress.model for progress in found)
    assert ours.info.network == "subarrays" and ours.info.eta == 1.0
    assert relative(ours.mu.detach() - 2e-3, truth.mu.detach() - 2e-3) < 1e-2
    assert relative(ours.lam.detach() - 1e-3, truth.lam.detach() - 1e-3) < 1e-2
    assert found[0].curve[0] == pytest.approx(found[1].curve[0], rel=1e-4)


def test_the_command_trains_on_a_network(tmp_path, capsys, monkeypatch):
    out = tmp_path / "m.safetensors"
    given = ["--antennas", "8", "--users", "2", "--chains", "4", "--inner", "2", "--layers", "2"]
    some = [*given, "--epochs", "1", "--count", "2", "-o", str(out), "--json"]
    steps = ["--network", "subarrays", "--eta", "1", "--initial-lam", "0.001"]
    monkeypatch.setattr(sys, "argv", ["beamfold", "train", *steps, *some])
    with contextlib.suppress(SystemExit):
        main()
    assert json.loads(capsys.readouterr().out)["epochs"] == 1
    info = bf.load_model(out).info
    assert (info.network, info.eta, info.chains) == ("subarrays", 1.0, 4)
    assert info.extra["recipe"]["network"] == "subarrays"


def test_the_shipped_model_is_ahead_of_pga():
    """R − 0.3 τ at 12 dB on fresh channels, layer for layer; the script's figures are of 1000."""
    compared = model_script.compare(40, 12.0, model_script.COMMON)
    assert compared.usable
    assert compared.difference - compared.half_width > 0


def test_a_channel_leaves_nothing_behind_for_the_next(monkeypatch):
    """Dynamic networks have other blocks in every channel; one thread takes all of them, in every order."""
    monkeypatch.setattr(compiled, "parallel_for", lambda work, count, threads: work(0, count))
    s = on(24, 4, 8, dynamic(24, 8))
    start = proposed(s)
    mu, lam = stable(s, start, 6, 4)
    value, on_mu, on_lam = autograd(s, start, mu, lam, 1.0, "exact")
    for order in itertools.permutations(range(len(s.H))):
        index = list(order)
        part = Point(start.F[index], start.W[index])
        ours, our_mu, our_lam = adjoint(s[index], part, mu, lam, 1.0, "exact", dtype=np.float64)
        assert ours == pytest.approx(value, rel=1e-10)
        assert relative(our_mu, on_mu) < 1e-8 and relative(our_lam, on_lam) < 1e-8
