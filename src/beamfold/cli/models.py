"""Commands on models: train one, show one, import the published step sizes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beamfold.cli.common import print_json, progress, say
from beamfold.cli.data import AsJson, Force, Output
from beamfold.cli.scenario_options import with_scenario
from beamfold.defaults import NETWORK, TARGETS_DEG, WEIGHT
from beamfold.errors import InputError
from beamfold.files.covariance_of import radar_of, sensing_of
from beamfold.files.entries import ScenarioSpec
from beamfold.files.scenarios import sizes_of

if TYPE_CHECKING:
    from beamfold.training import Progress, Recipe


Epochs = Annotated[
    int | None, typer.Option(help="Passes over the channels. (default: 100 if J = 1, else 30)")
]
Clip = Annotated[float | None, typer.Option(help="Largest gradient norm of an update. (default: none)")]
Initial = Annotated[float, typer.Option(help="All step sizes before training.")]
InitialLam = Annotated[float | None, typer.Option(help="The same of W. (default: as --initial)")]
RateLam = Annotated[
    float | None, typer.Option(help="Learning rate of the step sizes of W. (default: as --rate)")
]
Start = Annotated[str, typer.Option(help="Where the layers begin: proposed (26) or mean_covariance.")]
Loss = Annotated[
    str, typer.Option(help="What is judged: the last layer (25), or the mean over every one, to stop early.")
]
Even = Annotated[bool, typer.Option(help="Divide what is judged by the power, or the highest powers decide.")]
LamEach = Annotated[
    bool,
    typer.Option(help="On a band, learn a step size of W for every subcarrier; the model serves that S."),
]
Eta = Annotated[float | None, typer.Option(help="Weight of tau's gradient in W, eta of (24). (default: 1/N)")]
Digital = Annotated[str, typer.Option(help="Gradient of R in W: signal (published) or exact (14).")]


@with_scenario()
def train(
    spec: ScenarioSpec,
    output: Output,
    inner: Annotated[int, typer.Option(help="J, updates of F per layer.")] = 20,
    layers: Annotated[int, typer.Option(help="I, layers.")] = 120,
    epochs: Epochs = None,
    count: Annotated[int, typer.Option(help="Training channels, drawn as `generate` does.")] = 1000,
    batch: Annotated[int, typer.Option(help="Channels per update.")] = 10,
    rate: Annotated[float, typer.Option(help="Adam's learning rate at first.")] = 1e-3,
    rate_lam: RateLam = None,
    decay: Annotated[float, typer.Option(help="Factor on the learning rate after every epoch.")] = 0.97,
    clip: Clip = None,
    snr_min_db: Annotated[float, typer.Option(help="P_t is drawn uniformly in dB from here ...")] = 0.0,
    snr_max_db: Annotated[float, typer.Option(help="... to here, for every sample.")] = 12.0,
    digital: Digital = "signal",
    eta: Eta = None,
    initial: Initial = 0.01,
    initial_lam: InitialLam = None,
    start: Start = "proposed",
    loss: Loss = "last",
    even: Even = False,
    lam_each: LamEach = False,
    seed: Annotated[int, typer.Option(help="Seed of the channels, their order and the powers.")] = 1,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Learn the step sizes (25). Interrupted, the same command continues where it was.

    On several processes: torchrun --nproc-per-node 2 -m beamfold train ... (gloo).

    Example: beamfold train --antennas 64 --users 4 --inner 10 --layers 120 -o model.safetensors
    """
    from beamfold.checks import check_sizes
    from beamfold.files.atomic import check_target
    from beamfold.networks import named_network
    from beamfold.training import Recipe

    check_target(output, force=force, suffixes=(".safetensors",))
    if digital not in ("signal", "exact"):
        raise InputError(f"--digital is signal or exact, got {digital!r}")
    weight = WEIGHT if spec.weight is None else spec.weight
    recipe = Recipe(
        layers=layers, inner=inner, epochs=epochs or (100 if inner == 1 else 30), batch=batch, rate=rate,
        decay=decay, snr_db=(snr_min_db, snr_max_db), weight=weight, digital=digital,  # type: ignore[arg-type]
        seed=seed, clip=clip or float("inf"), eta=eta, initial=initial, initial_lam=initial_lam,
        network=spec.network or NETWORK, start=start, rate_lam=rate_lam, loss=loss,  # type: ignore[arg-type]
        even=even, lam_each=lam_each,
        sensing=spec.sensing or "tau",
    )  # fmt: skip
    antennas, users, chains = sizes_of(spec)
    check_sizes(users, chains, antennas)
    named_network(recipe.network, antennas, chains)
    data = {
        "antennas": antennas, "users": users, "chains": chains, "count": count,
        "targets_deg": spec.targets_deg or list(TARGETS_DEG), "width_deg": spec.width_deg,
        "angles": spec.angles, "psi_rank": spec.psi_rank, "psi": str(spec.psi) if spec.psi else None,
        **_of_band(spec),
    }  # fmt: skip
    checkpoint = output.with_suffix(".checkpoint.safetensors")
    with _processes() as leading:
        at = _train_from(checkpoint, recipe, data, spec, leading)
        if leading:
            _keep(output, recipe, data, at)
            checkpoint.unlink(missing_ok=True)
            _tell(output, recipe, at, as_json)


def _of_band(spec: ScenarioSpec) -> dict[str, Any]:
    """What describes the band of a training; nothing for flat channels."""
    from beamfold.files.bands import drawn_band

    band = drawn_band(spec)
    return {} if band is None else {**band, "common": bool(spec.common)}


def _keep(output: Path, recipe: Recipe, data: dict[str, Any], at: Progress) -> None:
    """The model with a note on how it was trained."""
    from beamfold.files.models import save_model, with_note

    clip = None if recipe.clip == float("inf") else recipe.clip
    usual = (recipe.rate, recipe.decay, clip) == (1e-3, 0.97, None)
    changed = "" if usual else f", but rate {recipe.rate:g}, decay {recipe.decay:g}, clip {clip}"
    if recipe.network != NETWORK:
        changed += f"; network {recipe.network}"
    if recipe.loss == "every" or recipe.even:
        judged = "every layer" if recipe.loss == "every" else "the last layer"
        changed += f"; judged after {judged}{', over the power' if recipe.even else ''}"
    how = f"{recipe.epochs} epochs on {data['count']} channels as in Section IV{changed}"
    note = f"{how}; {recipe.digital} gradient in W"
    if recipe.sensing != "tau":
        note += f"; for {_judged(recipe)}"
    save_model(
        output, with_note(at.model, note, {"recipe": _facts(recipe), "data": data, "skipped": at.skipped})
    )


def _tell(output: Path, recipe: Recipe, at: Progress, as_json: bool) -> None:
    """What came out."""
    last = at.curve[-1]
    if as_json:
        facts = {"output": str(output), "epochs": at.epoch, "objective": last, "skipped_updates": at.skipped}
        print_json({**facts, "curve": list(at.curve)})
    else:
        sizes = f"J = {recipe.inner}, I = {recipe.layers}"
        say(f"{output}: {sizes}; mean {_judged(recipe)} over the last epoch {last:.3f}")


def _judged(recipe: Recipe) -> str:
    """The objective of (25) in words."""
    from beamfold.radar.goal import LABELS

    return LABELS.get(recipe.sensing, "R - w tau")


@contextmanager
def _processes() -> Iterator[bool]:
    """Join the other processes of torchrun, if it started this one; True in the one that writes."""
    import torch

    if not torch.distributed.is_torchelastic_launched():
        yield True
        return
    torch.distributed.init_process_group("gloo")
    try:
        yield torch.distributed.get_rank() == 0
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()


def _train_from(
    checkpoint: Path, recipe: Recipe, data: dict[str, Any], spec: ScenarioSpec, leading: bool
) -> Progress:
    """All remaining epochs, a checkpoint after each."""
    import torch

    from beamfold.band import Band
    from beamfold.channel import saleh_valenzuela
    from beamfold.files.bands import Frequencies
    from beamfold.files.models import save_checkpoint
    from beamfold.training import train as learn

    at = _resume(checkpoint, recipe, data)
    drawn = data["antennas"], data["users"], data["count"]
    band: Band | None = None
    if "subcarriers" in data:
        names = ("subcarriers", "carrier_hz", "bandwidth_hz", "delay_s")
        H, f = saleh_valenzuela(*drawn, seed=recipe.seed, **{name: data[name] for name in names})
        found = radar_of(spec, data["antennas"], Frequencies(f, data["carrier_hz"]))
        each = found if isinstance(found, tuple) else None
        radar = found[len(found) // 2] if isinstance(found, tuple) else found
        band = Band(f, data["carrier_hz"], each=each)
    else:
        radar = sensing_of(spec, data["antennas"])
        H = saleh_valenzuela(*drawn, seed=recipe.seed)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # all have read the checkpoint before one writes the next
    name = f"training N={data['antennas']} J={recipe.inner}"
    with progress(recipe.epochs, name) as tick:
        tick(at.epoch if at else 0, name)
        for at in learn(recipe, H, radar, progress=at, chains=data["chains"], band=band):  # noqa: B020
            if leading:
                save_checkpoint(checkpoint, recipe, data, at)
                tick(at.epoch, f"{name}: {_judged(recipe)} = {at.curve[-1]:.3f}")
    if at is None:
        raise RuntimeError("training made no step")
    return at


def _facts(recipe: Recipe) -> dict[str, Any]:
    from beamfold.training import facts

    return {key: value for key, value in facts(recipe).items() if value != float("inf")}


def _resume(checkpoint: Path, recipe: Recipe, data: dict[str, Any]) -> Progress | None:
    """Where an interrupted training of the same recipe stopped; another recipe's is refused."""
    if not checkpoint.exists():
        return None
    from beamfold.files.models import load_checkpoint
    from beamfold.training import facts

    held = load_checkpoint(checkpoint)
    ours, theirs = {**facts(recipe), **data}, {**facts(held.recipe), **held.data}
    differ = [
        f"{key} {theirs.get(key)} -> {value}" for key, value in ours.items() if theirs.get(key) != value
    ]
    if differ:
        raise InputError(
            f"{checkpoint} belongs to another training ({', '.join(differ)}); remove it to start anew"
        )
    say(f"going on from {checkpoint}, {held.progress.epoch} of {recipe.epochs} epochs done")
    return held.progress


def info(
    model: Annotated[str, typer.Argument(help="A model file, or the name of a shipped one.")],
    as_json: AsJson = False,
) -> None:
    """Show what a model was trained for and how.

    Example: beamfold info model.safetensors
    """
    from beamfold.files.models import named_model

    held = named_model(model)
    facts: dict[str, Any] = {field.name: getattr(held.info, field.name) for field in fields(held.info)}
    curve = facts.pop("curve")
    facts = {"layers": held.layers, "inner": held.inner, **facts}
    mu, lam = held.mu.detach(), held.lam.detach()
    facts |= {
        "mu_range": [float(mu.min()), float(mu.max())],
        "lam_range": [float(lam.min()), float(lam.max())],
    }
    if as_json:
        print_json({**facts, "curve": list(curve)})
        return
    for name, value in facts.items():
        typer.echo(f"{name:10s} {value}")
    if curve:
        typer.echo(f"{'curve':10s} {curve[0]:.3f} -> {curve[-1]:.3f} over {len(curve)} epochs")


def import_steps(
    steps: Annotated[Path, typer.Argument(help="A .pth of the published program.")],
    output: Output,
    antennas: Annotated[int, typer.Option(help="N, antennas.")] = 64,
    users: Annotated[int, typer.Option(help="K, users.")] = 4,
    chains: Annotated[int | None, typer.Option(help="M, RF chains. (default: as many as users)")] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Bring the published program's step sizes into a model file.

    Example: beamfold import-steps UPGA_J20.pth -o model.safetensors
    """
    from beamfold.files import save_model
    from beamfold.files.atomic import check_target
    from beamfold.files.models import import_steps as bring

    check_target(output, force=force, suffixes=(".safetensors",))
    model = bring(steps, antennas=antennas, users=users, chains=chains or users)
    save_model(output, model)
    if as_json:
        print_json({"output": str(output), "layers": model.layers, "inner": model.inner})
    else:
        say(f"{output}: I = {model.layers}, J = {model.inner}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(train)
    app.command()(info)
    app.command("import-steps")(import_steps)
