"""Trained models in and out: step sizes as safetensors, their meaning in the metadata; no code inside."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from beamfold.files.atomic import FileError, write
from beamfold.methods.unfolded import ModelInfo, UnfoldedPGA
from beamfold.training import Progress, Recipe, facts

FORMAT = "beamfold-unfolded-1"


@dataclass(frozen=True)
class Checkpoint:
    """Training that can go on: the recipe, the training set's facts and where it stands."""

    recipe: dict[str, Any]
    data: dict[str, Any]
    progress: Progress


def save_model(path: Path, model: UnfoldedPGA) -> None:
    """mu (I, J), lam (I,) in float64, `ModelInfo` as JSON in the metadata."""
    _save(path, {"mu": model.mu.detach(), "lam": model.lam.detach()}, {"info": asdict(model.info)})


def _save(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    plain = {name: t.detach().to(torch.float64).contiguous() for name, t in tensors.items()}
    text = {"format": FORMAT, **{key: json.dumps(value) for key, value in meta.items()}}
    if path.suffix != ".safetensors":
        raise FileError(f"{path}: models are written as .safetensors")
    write(path, lambda target: save_file(plain, target, metadata=text))


def _open(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise FileError(f"no such file: {path}")
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise FileError(f"{path} is not a safetensors file: {error}") from error
    if meta.get("format") != FORMAT:
        raise FileError(
            f"{path} is not a model of this program: its format is {meta.get('format', 'not stated')!r}"
        )
    try:
        return tensors, {key: json.loads(value) for key, value in meta.items() if key != "format"}
    except json.JSONDecodeError as error:
        raise FileError(f"{path}: the metadata is not valid JSON: {error}") from error


def _info(path: Path, raw: Any) -> ModelInfo:
    known = set(ModelInfo.__dataclass_fields__)
    if not isinstance(raw, dict) or not {"antennas", "users", "chains", "eta"} <= set(raw):
        raise FileError(f"{path}: the metadata lack the sizes that the model was trained for")
    unknown = sorted(set(raw) - known)
    if unknown:
        raise FileError(f"{path}: unknown metadata {', '.join(unknown)}; it may come from a newer version")
    try:
        info = ModelInfo(**{**raw, "snr_db": tuple(raw["snr_db"]), "curve": tuple(raw["curve"])})
        sizes = (int(info.users), int(info.chains), int(info.antennas))
        if not (0 < sizes[0] <= sizes[1] <= sizes[2] and 0 < float(info.eta) <= 1):
            raise FileError(f"{path}: sizes K <= M <= N and 0 < eta <= 1 expected, found {sizes}, {info.eta}")
    except (TypeError, KeyError, ValueError) as error:
        raise (
            error if isinstance(error, FileError) else FileError(f"{path}: bad metadata: {error}")
        ) from error
    return info


def load_model(path: Path) -> UnfoldedPGA:
    """A model from its file.

    Raises:
        FileError: not such a file, or metadata and shapes that contradict each other.
    """
    tensors, meta = _open(path)
    if set(tensors) - {"mu", "lam"} and "recipe" not in meta:
        raise FileError(f"{path}: unknown tensors {', '.join(sorted(set(tensors) - {'mu', 'lam'}))}")
    if not {"mu", "lam"} <= set(tensors):
        raise FileError(f"{path} lacks the step sizes mu and lam")
    try:
        return UnfoldedPGA.from_steps(tensors["mu"], tensors["lam"], _info(path, meta.get("info")))
    except FileError:
        raise
    except ValueError as error:
        raise FileError(f"{path}: {error}") from error


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
            "at": {"epoch": progress.epoch, "curve": progress.curve, "skipped": progress.skipped},
        },
    )


def load_checkpoint(path: Path) -> Checkpoint:
    """What `save_checkpoint` wrote.

    Raises:
        FileError: not a checkpoint.
    """
    tensors, meta = _open(path)
    if not {"recipe", "data", "at"} <= set(meta):
        raise FileError(f"{path} is not a training checkpoint")
    model = load_model(path)
    moments = {name: t for name, t in tensors.items() if name not in ("mu", "lam")}
    at = meta["at"]
    progress = Progress(at["epoch"], model, moments, tuple(at["curve"]), at["skipped"])
    return Checkpoint(meta["recipe"], meta["data"], progress)


def shipped_models() -> dict[str, Path]:
    """Models that come with the package, name → file."""
    folder = resources.files("beamfold") / "models"
    return {
        p.name.removesuffix(".safetensors"): Path(str(p))
        for p in folder.iterdir()
        if p.name.endswith(".safetensors")
    }


def find_model(antennas: int, users: int, chains: int, inner: int) -> UnfoldedPGA:
    """The shipped model for these sizes.

    Raises:
        FileError: there is none; says which there are.
    """
    name = model_name(antennas, users, chains, inner)
    shipped = shipped_models()
    if name not in shipped:
        raise FileError(
            f"no shipped model for N={antennas}, K={users}, M={chains}, J={inner}; there are "
            f"{', '.join(sorted(shipped)) or 'none'}; train one with `beamfold train` and pass it as --model"
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


def model_name(antennas: int, users: int, chains: int, inner: int) -> str:
    """The file name of a shipped model, without its suffix."""
    return f"unfolded-n{antennas}-k{users}-m{chains}-j{inner}"


def import_steps(path: Path, *, antennas: int, users: int, chains: int) -> UnfoldedPGA:
    """A model from the step sizes of the published program's `.pth` files.

    `step_size` is (I, 2) for J = 1, else (J, I, 2): [..., 0] is μ, [..., 1] at inner index 0 is λ. The
    published figures belong to `digital="signal"`, which is what the model gets.

    Raises:
        FileError: no such file, one that needs code to load, or other contents.
    """
    if not path.is_file():
        raise FileError(f"no such file: {path}")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileError(f"{path} is refused: it is damaged or would need code to load ({reason})") from error
    steps = held.get("step_size") if isinstance(held, dict) else held
    if not isinstance(steps, Tensor) or steps.ndim not in (2, 3) or steps.shape[-1] != 2:
        raise FileError(f"{path} holds no step sizes: expected a tensor `step_size` (I, 2) or (J, I, 2)")
    steps = steps.detach().to(torch.float64)
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
