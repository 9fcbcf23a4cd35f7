"""Trained models in and out: step sizes as safetensors, their meaning in the metadata; no code inside."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from beamfold.defaults import NETWORK
from beamfold.errors import InputError
from beamfold.files.atomic import FileError, Pathlike, check_there, write
from beamfold.training import Position, Progress, Recipe, facts
from beamfold.unfolded_model import ModelInfo, UnfoldedPGA

if TYPE_CHECKING:
    from beamfold.scenario import Scenario

FORMAT = "beamfold-unfolded-1"
PROGRESS = ("recipe", "data", "at")
MOMENTS = tuple(f"{name}.{part}" for name in ("mu", "lam") for part in ("step", "exp_avg", "exp_avg_sq"))


@dataclass(frozen=True)
class Checkpoint:
    """Training that can go on: the recipe, what is stated of the training set, and where it stands."""

    recipe: Recipe
    data: dict[str, Any]
    progress: Progress


def save_model(path: Pathlike, model: UnfoldedPGA) -> None:
    """mu (I, J), lam (I,) in float64, `ModelInfo` as JSON in the metadata."""
    _save(Path(path), {"mu": model.mu.detach(), "lam": model.lam.detach()}, {"info": asdict(model.info)})


def _save(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    from safetensors.torch import save

    plain = {name: t.detach().to(torch.float64).contiguous() for name, t in tensors.items()}
    text = {"format": FORMAT, **{key: json.dumps(value) for key, value in meta.items()}}
    if path.suffix != ".safetensors":
        raise FileError(f"{path}: models are written as .safetensors")
    write(path, lambda target: target.write_bytes(save(plain, metadata=text)))


def _open(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors of real numbers and the texts of the metadata, all known by name."""
    check_there(path)
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # a damaged file can fail in any way inside the reader
        raise FileError(f"{path} is not a safetensors file: {error}") from error
    if meta.get("format") != FORMAT:
        stated = meta.get("format", "not stated")
        raise FileError(f"{path} is not a model of this program: its format is {stated!r}")
    unknown = sorted(set(meta) - {"format", "info", *PROGRESS})
    if unknown:
        raise FileError(f"{path}: unknown metadata {', '.join(unknown)}; it may come from a newer version")
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise FileError(f"{path}: {name} holds {tensor.dtype}, expected real numbers")
    return tensors, meta


def _model(path: Path, tensors: dict[str, Tensor], meta: dict[str, str]) -> UnfoldedPGA:
    from beamfold.files.metadata import parse

    if not {"mu", "lam"} <= set(tensors):
        raise FileError(f"{path} lacks the step sizes mu and lam")
    if "info" not in meta:
        raise FileError(f"{path}: the metadata lack the sizes that the model was trained for")
    info = parse(ModelInfo, meta["info"], path, "info")
    try:
        return UnfoldedPGA.from_steps(tensors["mu"], tensors["lam"], info)
    except ValueError as error:
        raise FileError(f"{path}: {error}") from error


def load_model(path: Pathlike) -> UnfoldedPGA:
    """A model from its file.

    Raises:
        FileError: not such a file, or metadata and shapes that contradict each other.
    """
    path = Path(path)
    tensors, meta = _open(path)
    unknown = sorted(set(tensors) - {"mu", "lam"} - (set(MOMENTS) if "recipe" in meta else set()))
    if unknown:
        raise FileError(f"{path}: unknown tensors {', '.join(unknown)}")
    return _model(path, tensors, meta)


def save_checkpoint(path: Path, recipe: Recipe, data: dict[str, Any], progress: Progress) -> None:
    """The model so far with Adam's state and the position: everything that resuming needs."""
    tensors = {"mu": progress.model.mu.detach(), "lam": progress.model.lam.detach(), **progress.moments}
    _save(
        path,
        tensors,
        {
            "info": asdict(progress.model.info),
            "recipe": facts(recipe),
            "data": data,
            "at": {field.name: getattr(progress, field.name) for field in fields(Position)},
        },
    )


def load_checkpoint(path: Path) -> Checkpoint:
    """What `save_checkpoint` wrote.

    Raises:
        FileError: not a checkpoint.
    """
    from beamfold.files.metadata import Data, parse

    tensors, meta = _open(path)
    if not set(PROGRESS) <= set(meta):
        raise FileError(f"{path} is not a training checkpoint")
    model = _model(path, tensors, meta)
    recipe = parse(Recipe, meta["recipe"], path, "recipe")
    data = parse(Data, meta["data"], path, "data").model_dump(exclude_unset=True)
    at = parse(Position, meta["at"], path, "at")
    moments = {name: t for name, t in tensors.items() if name not in ("mu", "lam")}
    progress = Progress(at.epoch, at.curve, at.skipped, model=model, moments=moments)
    _check_progress(path, progress, recipe, data)
    return Checkpoint(recipe, data, progress)


def _check_progress(path: Path, at: Progress, recipe: Recipe, data: dict[str, Any]) -> None:
    """Refuse a checkpoint whose parts contradict each other."""
    model, moments, info = at.model, at.moments, at.model.info
    shapes = {"mu": model.mu.shape, "lam": model.lam.shape}
    if tuple(shapes["mu"]) != (recipe.layers, recipe.inner):
        raise FileError(f"{path}: mu is {tuple(shapes['mu'])}, its recipe says {recipe.layers, recipe.inner}")
    sizes = (info.antennas, info.users, info.chains)
    stated = tuple(data.get(name) for name in ("antennas", "users", "chains"))
    if any(theirs not in (None, ours) for ours, theirs in zip(sizes, stated, strict=True)):
        raise FileError(f"{path}: the model is for (N, K, M) = {sizes}, its training set for {stated}")
    if at.epoch > recipe.epochs:
        raise FileError(f"{path}: it is at epoch {at.epoch} of {recipe.epochs}")
    if set(moments) != (set(MOMENTS) if at.epoch else set()):
        found = ", ".join(sorted(moments)) or "missing"
        raise FileError(f"{path}: Adam's state is {found}, expected {', '.join(MOMENTS)}")
    for name, moment in moments.items():
        expected = () if name.endswith(".step") else shapes[name.split(".")[0]]
        if moment.shape != expected or not torch.isfinite(moment).all():
            raise FileError(f"{path}: {name} is {tuple(moment.shape)}, expected {tuple(expected)} and finite")


def shipped_models() -> dict[str, Path]:
    """Models that come with the package, name → file."""
    folder = resources.files("beamfold") / "models"
    return {
        p.name.removesuffix(".safetensors"): Path(str(p))
        for p in folder.iterdir()
        if p.name.endswith(".safetensors")
    }


def model_for(s: Scenario, inner: int) -> UnfoldedPGA:
    """The shipped model of J inner steps for a scenario; InputError where there is none."""
    band = s.band is not None
    return find_model(s.antennas, s.users, s.chains, inner, s.network.name, band=band)


def has_model(s: Scenario, inner: int) -> bool:
    """Whether a model of J inner steps for a scenario is shipped."""
    band = s.band is not None
    return model_name(s.antennas, s.users, s.chains, inner, s.network.name, band=band) in shipped_models()


def find_model(
    antennas: int, users: int, chains: int, inner: int, network: str = NETWORK, *, band: bool = False
) -> UnfoldedPGA:
    """The shipped model for these sizes and this network, for flat channels or for bands.

    Raises:
        InputError: there is none; says which there are, and what needs none.
    """
    name = model_name(antennas, users, chains, inner, network, band=band)
    shipped = shipped_models()
    if name not in shipped:
        on = "" if network == NETWORK else f" on the network {network}"
        on += " for bands" if band else ""
        raise InputError(
            f"no shipped model for N={antennas}, K={users}, M={chains}, J={inner}{on}; there are "
            f"{', '.join(sorted(shipped)) or 'none'}; the method fast needs none, or train one with "
            "`beamfold train` and pass it as --model"
        )
    return load_model(shipped[name])


def named_model(name: str) -> UnfoldedPGA:
    """A model from a file, or a shipped one by its name.

    Raises:
        FileError: neither; says what is shipped.
    """
    shipped = shipped_models()
    if name in shipped:
        return load_model(shipped[name])
    if not Path(name).is_file():
        raise FileError(f"no such file: {name}; shipped models are {', '.join(sorted(shipped)) or 'none'}")
    return load_model(Path(name))


def model_name(
    antennas: int, users: int, chains: int, inner: int, network: str = NETWORK, *, band: bool = False
) -> str:
    """The file name of a shipped model, without its suffix."""
    sizes = f"unfolded-n{antennas}-k{users}-m{chains}-j{inner}"
    return "-".join([sizes, *([] if network == NETWORK else [network]), *(["band"] if band else [])])


def import_steps(path: Path, *, antennas: int, users: int, chains: int) -> UnfoldedPGA:
    """A model from the step sizes of the published program's `.pth` files.

    `step_size` is (I, 2) for J = 1, else (J, I, 2): [..., 0] is μ, [..., 1] at inner index 0 is λ. The
    published figures belong to `digital="signal"`, which is what the model gets.

    Raises:
        FileError: no such file, one that needs code to load, or other contents.
    """
    check_there(path)
    from beamfold.files.steps import read_steps

    steps = read_steps(path)
    if steps.ndim not in (2, 3) or steps.shape[-1] != 2:
        raise FileError(f"{path}: step_size has axes {tuple(steps.shape)}, expected (I, 2) or (J, I, 2)")
    mu, lam = (steps[:, :1], steps[:, 1]) if steps.ndim == 2 else (steps[..., 0].mT, steps[0, :, 1])
    info = ModelInfo(antennas, users, chains, 1 / antennas, note=f"imported from {path.name}")
    try:
        return UnfoldedPGA.from_steps(mu.contiguous(), lam.contiguous(), info)
    except ValueError as error:
        raise FileError(f"{path}: {error}") from error


def with_note(model: UnfoldedPGA, note: str, extra: dict[str, Any]) -> UnfoldedPGA:
    """The same step sizes with a note and further facts in the metadata."""
    info = replace(model.info, note=note, extra={**model.info.extra, **extra})
    return UnfoldedPGA.from_steps(model.mu.detach(), model.lam.detach(), info)
