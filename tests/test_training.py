"""Training: it learns, it resumes bit for bit, and its gradient is the one of (25)."""

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch

import beamfold as bf
from beamfold.files.models import load_checkpoint, save_checkpoint
from beamfold.training import Recipe, begin, train

H = bf.saleh_valenzuela(16, 2, 24, seed=7)
RADAR = bf.solve_covariance(16, [-30, 30], tolerance=1e-5)
RECIPE = Recipe(layers=6, inner=3, epochs=4, batch=8, rate=2e-3, weight=0.3, seed=3)


def _equal(a, b) -> bool:
    same = torch.equal(a.model.mu, b.model.mu) and torch.equal(a.model.lam, b.model.lam)
    return same and a.curve == b.curve and all(torch.equal(a.moments[k], b.moments[k]) for k in a.moments)


def test_it_learns_on_held_out_channels():
    s = bf.make_scenario(bf.saleh_valenzuela(16, 2, 40, seed=8), RADAR, snr_db=9)
    untrained = begin(RECIPE, 16, 2, 2).model
    *_, last = train(RECIPE, H, RADAR)
    value = [bf.design(s, "unfolded", model=m).objective.mean() for m in (untrained, last.model)]
    assert value[1] > value[0] + 0.1
    assert last.curve[-1] > last.curve[0]


@pytest.mark.parametrize("sensing", ["crb", "scnr"])
def test_it_learns_another_sensing_objective(sensing, tmp_path):
    """R + ω c rises on held-out channels; the model and its checkpoint keep the objective's name."""
    s = bf.make_scenario(bf.saleh_valenzuela(16, 2, 40, seed=8), RADAR, snr_db=9, sensing=sensing, weight=0.3)
    recipe = replace(RECIPE, sensing=sensing)
    untrained, (*_, last) = begin(recipe, 16, 2, 2).model, train(recipe, H, RADAR)
    value = [float(bf.design(s, "unfolded", model=m).objective.mean()) for m in (untrained, last.model)]
    assert value[1] > value[0] + 0.1
    assert last.curve[-1] > last.curve[0] and last.model.info.sensing == sensing
    save_checkpoint(tmp_path / "c.safetensors", recipe, {"count": 24}, last)
    assert load_checkpoint(tmp_path / "c.safetensors").recipe == recipe


def test_resuming_from_a_file_gives_bit_for_bit_the_uninterrupted_run(tmp_path):
    *_, whole = train(RECIPE, H, RADAR)
    half = next(itertools.islice(train(RECIPE, H, RADAR), 1, None))
    save_checkpoint(tmp_path / "c.safetensors", RECIPE, {"count": 24}, half)
    held = load_checkpoint(tmp_path / "c.safetensors")
    assert held.progress.epoch == 2
    *_, resumed = train(RECIPE, H, RADAR, progress=held.progress)
    assert _equal(whole, resumed)


def test_both_engines_train_alike():
    recipe = Recipe(layers=3, inner=2, epochs=1, batch=8, seed=3)
    (a,) = train(recipe, H, RADAR, engine="torch")
    (b,) = train(recipe, H, RADAR, engine="kernel")
    assert a.curve == pytest.approx(b.curve, rel=1e-3)
    assert torch.allclose(a.model.lam, b.model.lam, atol=2e-4)


def test_every_layer_is_judged_where_the_loss_says_so():
    s = bf.make_scenario(H[:4], RADAR, snr_db=6)
    model = begin(RECIPE, 16, 2, 2).model
    after = model.after_layers(s)
    assert after.shape == (6, 4)
    for layer in (1, 3, 6):
        stopped = bf.design(s, "unfolded", model=model, layers=layer, engine="torch")
        torch.testing.assert_close(after[layer - 1], stopped.objective, rtol=1e-9, atol=1e-9)
    after.mean().backward()
    step, slope = 1e-6, float(model.lam.grad[2])  # λ of layer 3 changes f from there on, and only there
    moved = []
    for sign in (1, -1):
        lam = model.lam.detach().clone()
        lam[2] += sign * step
        moved.append(type(model).from_steps(model.mu.detach(), lam, model.info).after_layers(s).detach())
    assert torch.equal(moved[0][:2], moved[1][:2])
    assert float((moved[0] - moved[1]).mean()) / (2 * step) == pytest.approx(slope, rel=1e-4, abs=1e-6)
    (last,) = train(Recipe(layers=6, inner=3, epochs=1, batch=8, seed=3), H, RADAR)
    (every,) = train(Recipe(layers=6, inner=3, epochs=1, batch=8, seed=3, loss="every"), H, RADAR)
    assert every.curve != last.curve
    assert not torch.equal(every.model.mu, last.model.mu)


def test_an_even_loss_is_that_of_each_sample_over_its_power():
    """With one power for all samples it is the same loss but for a factor, to which Adam is blind."""
    same = {"layers": 3, "inner": 2, "epochs": 1, "batch": 8, "snr_db": (9.0, 9.0), "seed": 3}
    (a,) = train(Recipe(**same), H, RADAR)
    (b,) = train(Recipe(**same, even=True), H, RADAR)
    assert torch.allclose(a.model.lam, b.model.lam, atol=1e-6) and a.curve[0] == pytest.approx(b.curve[0])
    ratio = b.moments["lam.exp_avg"] / a.moments["lam.exp_avg"]
    assert torch.allclose(ratio, torch.full_like(ratio, 10**-0.9), rtol=1e-3)
    several = {**same, "snr_db": (0.0, 12.0)}
    (c,), (d,) = train(Recipe(**several), H, RADAR), train(Recipe(**several, even=True), H, RADAR)
    assert not torch.allclose(c.model.lam, d.model.lam, atol=1e-6)


def test_the_model_is_an_ordinary_module():
    model = begin(RECIPE, 16, 2, 2).model
    names = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert names == {"mu": (6, 3), "lam": (6,)}
    s = bf.make_scenario(H[:4], RADAR, snr_db=6)
    F, W = model(s)
    s.objective(F @ W).mean().backward()
    assert model.mu.grad is not None and model.mu.grad.abs().sum() > 0


def test_a_gradient_that_is_not_finite_skips_the_update(monkeypatch):
    recipe = Recipe(layers=3, inner=2, epochs=1, batch=8, initial=1e6, seed=3)
    (done,) = train(recipe, H, RADAR)
    assert torch.isfinite(done.model.mu).all()
    assert torch.isfinite(done.model.lam).all()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"inner": 0}, "inner"),
        ({"epochs": 0}, "epochs"),
        ({"decay": 1.5}, "decay"),
        ({"loss": "first"}, "loss must be last or every"),
        ({"sensing": "mse"}, "sensing must be tau, crb, scnr"),
        ({"sensing": "crb", "loss": "every"}, "judges R - w tau"),
        ({"snr_db": (3, 1)}, "SNR range"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(option, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**option)


def test_two_processes_train_what_one_does(tmp_path):
    """torchrun with gloo: the same parameters within 1e-6, written once."""
    options = ["train", "--antennas", "8", "--users", "2", "--inner", "2", "--layers", "4", "--count", "30",
               "--epochs", "2", "--targets-deg", "0"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = partial(subprocess.run, check=True, capture_output=True, timeout=180, env=environment, cwd=tmp_path)
    run([sys.executable, "-m", "beamfold", *options, "-o", "one.safetensors"])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    run([*torchrun, "-m", "beamfold", *options, "-o", "two.safetensors"])
    one, two = (bf.load_model(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert float((one.mu - two.mu).detach().abs().max()) < 1e-6
    assert float((one.lam - two.lam).detach().abs().max()) < 1e-6
    assert one.info.curve == pytest.approx(two.info.curve, rel=1e-9)
    assert not torch.equal(one.mu, torch.full_like(one.mu, 0.01))
