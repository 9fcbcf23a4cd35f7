"""Fig. 9: R and beampattern MSE over ω, with step sizes learned for each ω."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from beamfold.channel import saleh_valenzuela
from beamfold.defaults import SNR_DB, WEIGHT
from beamfold.experiments.figures_6_to_8 import figures
from beamfold.experiments.labelled import (
    about_curves,
    conclude,
    digest,
    inputs,
    steps_of,
    variable,
    with_intervals,
)
from beamfold.experiments.setting import (
    LAYERS,
    SCA_MANOPT,
    USERS,
    ZERO_FORCING,
    Curve,
    Setting,
    Steps,
    available,
    constant_curve,
    learned_curve,
    published_pattern,
)
from beamfold.files.models import load_model, save_model, with_note
from beamfold.methods.unfolded import unfolded
from beamfold.result import Design
from beamfold.scenario import make_scenario
from beamfold.sensing import Sensing
from beamfold.training import Progress, Recipe, facts, train
from beamfold.unfolded_model import UnfoldedPGA

ANTENNAS = 64
OMEGAS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
QUICK_OMEGAS = (0.03, 0.3, 3.0)
SCALES = ((1.0, 0.7, 0.5, 0.3, 0.2, 0.1), (1.0, 0.5, 0.25, 0.1))
Told = Callable[[float], None]
TRAINING_SEED = 1  # the shipped models' training channels; the test channels have seed 0


@dataclass(frozen=True)
class Tuning:
    """How the step sizes of one ω are taken to the next: epochs over `count` training channels.

    `rate` is Adam's, as a part of the mean |μ|: step sizes for a large ω are small.
    """

    epochs: int = 5
    count: int = 300
    rate: float = 0.01
    decay: float = 0.8


def rescaled(model: UnfoldedPGA, factors: tuple[float, float], weight: float) -> UnfoldedPGA:
    """Step sizes of F and of W times a factor each, for another ω."""
    info = replace(model.info, weight=weight, curve=())
    mu, lam = factors[0] * model.mu.detach(), factors[1] * model.lam.detach()
    return UnfoldedPGA.from_steps(mu, lam, info)


def best_scales(model: UnfoldedPGA, weight: float, H: torch.Tensor, radar: Sensing) -> tuple[float, float]:
    """The factors on a neighbour's μ and λ with the highest mean R − ω τ at this ω.

    The gradient of (8a) grows with ω, so a larger ω wants shorter steps before any training.
    """
    s = make_scenario(H, radar, snr_db=[0.0, 6.0, 12.0], weight=weight)
    pairs = list(itertools.product(*SCALES))
    values = [float(unfolded(s, rescaled(model, pair, weight)).objective.mean()) for pair in pairs]
    return pairs[int(np.nanargmax(values))]


def conditioned(
    start: UnfoldedPGA, weight: float, radar: Sensing, tuning: Tuning, told: Told = lambda share: None
) -> UnfoldedPGA:
    """Step sizes for ω from those of a neighbouring ω: the best factors, then training (25).

    The model of the epoch with the best mean objective on 50 held-out training channels is taken, the
    untrained rescaled one among them, so that training never makes it worse there. `told` hears the share
    that is done.
    """
    H = saleh_valenzuela(start.info.antennas, start.info.users, tuning.count, seed=TRAINING_SEED)
    held = saleh_valenzuela(start.info.antennas, start.info.users, 50, seed=TRAINING_SEED, first=100_000)
    factors = best_scales(start, weight, H[:20], radar)
    first = rescaled(start, factors, weight)
    rate = tuning.rate * float(first.mu.detach().abs().mean())
    recipe = Recipe(
        layers=start.layers, inner=start.inner, epochs=tuning.epochs, rate=rate,
        decay=tuning.decay, weight=weight, digital=start.info.digital, seed=TRAINING_SEED, clip=1e3,
    )  # fmt: skip
    models = [first]
    for at in train(recipe, H, radar, progress=Progress(0, (), model=first, moments={})):
        models.append(at.model)
        told(len(models) / (tuning.epochs + 1))
    s = make_scenario(held, radar, snr_db=[0.0, 6.0, 12.0], weight=weight)
    values = [float(unfolded(s, model).objective.mean()) for model in models]
    best = int(np.nanargmax(values))
    origin = f"step sizes of omega = {start.info.weight:g} times {factors[0]:g} (mu), {factors[1]:g} (lam)"
    note = f"{origin}, then {best} of {tuning.epochs} epochs on {tuning.count} channels at omega = {weight:g}"
    return with_note(models[best], note, {"recipe": facts(recipe), "held_out_objective": values})


def _kept(
    path: Path | None, start: UnfoldedPGA, weight: float, radar: Sensing, tuning: Tuning, told: Told
) -> UnfoldedPGA:
    """The conditioned model from its file, or made and kept there."""
    if path is not None and path.is_file():
        return load_model(path)
    model = conditioned(start, weight, radar, tuning, told)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_model(path, model)
    return model


def _neighbours(omegas: Sequence[float]) -> list[tuple[float, float]]:
    """(ω, the ω whose step sizes it starts from), outwards from the shipped models' 0.3."""
    above = [WEIGHT, *sorted(w for w in omegas if w > WEIGHT)]
    below = [WEIGHT, *sorted((w for w in omegas if w < WEIGHT), reverse=True)]
    return [*zip(above[1:], above[:-1], strict=True), *zip(below[1:], below[:-1], strict=True)]


def models_over_weight(
    curve: Curve, omegas: Sequence[float], tuning: Tuning, folder: Path | None, steps: Steps
) -> dict[float, UnfoldedPGA]:
    """A model for every ω; 0.3 is the shipped one. Kept in `folder`, named by what they came from."""
    assert curve.model is not None
    radar = published_pattern(ANTENNAS)
    origin = hashlib.sha256(f"{digest(curve)} {tuning} {SCALES} {sorted(omegas)}".encode()).hexdigest()[:8]
    found = {WEIGHT: curve.model}
    for weight, neighbour in _neighbours(omegas):
        path = folder and folder / f"{curve.name}-n{ANTENNAS}-w{weight:g}-{origin}.safetensors"
        text = f"{curve.name}, omega = {weight:g}"
        told = partial(steps.within, text=f"{text}: training")
        found[weight] = _kept(path, found[neighbour], weight, radar, tuning, told)
        steps.step(f"{text}: trained")
    return found


def fig9(setting: Setting) -> xr.Dataset:
    """R and MSE over ω at 12 dB; SCA-ManOpt and digital ZF do not know ω and are horizontals."""
    omegas = QUICK_OMEGAS if setting.quick else OMEGAS
    tuning = Tuning(epochs=1, count=20) if setting.quick else Tuning()
    learned, skipped = available(ANTENNAS, (10,) if setting.quick else (1, 10, 20))
    fixed = [ZERO_FORCING, *SCA_MANOPT]
    steps = Steps(setting.tick, len(fixed) + 2 * len(omegas) * len(learned))
    level = [curve.run(setting.scenario(ANTENNAS), steps=steps) for curve in fixed]
    folder = setting.folder and setting.folder / "models"
    models = {c.name: models_over_weight(c, omegas, tuning, folder, steps) for c in learned}
    columns, about = [], {}
    for weight in omegas:
        s = setting.scenario(ANTENNAS, weight=weight)
        designs: list[Design] = [replace(d, scenario=s) for d in level]
        designs.append(constant_curve(1).run(s))
        trained = [learned_curve(name, of[weight]) for name, of in models.items()]
        designs += [curve.run(s, steps=steps) for curve in trained]
        columns.append(figures(designs, s.radar) | {"objective": torch.stack([d.objective for d in designs])})
        about[f"{weight:g}"] = about_curves(trained)
    names = [*(c.name for c in fixed), "conventional_pga", *models]
    dims = ("method", "omega", "channel")
    ds = xr.Dataset(
        {key: variable(key, dims, torch.stack([c[key] for c in columns], 1)) for key in columns[0]},
        coords={"method": names, "omega": list(omegas)},
    )
    ds = with_intervals(ds, ["rate", "tau", "objective", "mse", "mse_desired"])
    ds = ds.assign(inputs(setting, ANTENNAS, published_pattern(ANTENNAS)) | _steps(models, omegas))
    parameters: dict[str, Any] = {
        "antennas": ANTENNAS, "snr_db": SNR_DB, "layers": LAYERS, "users": USERS, "skipped": skipped,
        "methods": about_curves([*fixed, constant_curve(1)]), "models over omega": about,
        "tuning": f"{tuning}, channels of seed {TRAINING_SEED}, outwards from omega = {WEIGHT}",
    }  # fmt: skip
    title = "Fig. 9: R and beampattern MSE over omega, N = 64, 12 dB"
    return conclude(ds, "fig9", title, setting, parameters)


def _steps(models: dict[str, dict[float, UnfoldedPGA]], omegas: Sequence[float]) -> dict[str, xr.Variable]:
    """The step sizes of every ω."""
    found: dict[str, xr.Variable] = {}
    for name, of in models.items():
        for weight in omegas:
            found |= steps_of([learned_curve(name, of[weight])], f"_w{weight:g}".replace(".", "p"))
    return found
