"""Learning the step sizes: Section III-C, loss (25), without labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from beamfold.band import Band
from beamfold.defaults import NETWORK, WEIGHT
from beamfold.errors import InputError
from beamfold.networks import kind_named
from beamfold.objective import DigitalGradient
from beamfold.optim.layers import Engine
from beamfold.radar.goal import SENSING, Goal, goal_named
from beamfold.scenario import Scenario
from beamfold.sensing import Sensing
from beamfold.start import check_start
from beamfold.unfolded_model import ModelInfo, UnfoldedPGA

Loss = Literal["last", "every"]


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; the defaults are Section IV's for J = 20.

    These fields, their types and the checks below are all that a checkpoint may say of its recipe; a field
    that it lacks has its default, so that a checkpoint outlives an option that is added later.

    Attributes:
        layers: I.
        inner: J.
        epochs: passes over the channels; the paper has 100 for J = 1 and 30 for J = 10, 20.
        batch: channels per update, 10 in the published program.
        rate: Adam's learning rate in the first epoch.
        decay: its factor per epoch.
        snr_db: P_t is drawn for every sample, uniformly in dB over this range.
        weight: ω.
        digital: which ∇_W R, see `objective.signal_gradient`.
        initial: all step sizes before training.
        initial_lam: those of W, where they are to begin elsewhere.
        network: name of the analog network, see `networks.NAMES`.
        eta: η in (24); default 1/N, the paper's.
        start: where the layers begin, a name of `start.STARTS`.
        rate_lam: Adam's rate for the step sizes of W in the first epoch, where it is another one than `rate`.
        clip: largest norm of an update's gradient; inf, as in the paper, never clips.
        loss: "last" for (25), which judges the last layer; "every" for its mean over all layers, so that the
            model can be stopped early. "every" runs in torch.
        even: divide what is judged by P_t/σ_n², since τ grows with P_t², so that high powers decide alone.
        lam_each: on a band, a step size of W for every subcarrier in place of one for all.
        seed: of the order of the channels and of the powers.
        sensing: "tau", or "crb" and "scnr" for R + ω c in (25), c for the targets of Ψ as `scene_of` has
            them. These run in torch.

    Raises:
        InputError: a value that no training can have; names it.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"strict": True, "extra": "forbid"}

    layers: int = 120
    inner: int = 20
    epochs: int = 30
    batch: int = 10
    rate: float = 1e-3
    decay: float = 0.97
    snr_db: tuple[float, float] = (0.0, 12.0)
    weight: float = WEIGHT
    digital: DigitalGradient = "signal"
    initial: float = 0.01
    clip: float = math.inf
    seed: int = 0
    network: str = NETWORK
    eta: float | None = None
    initial_lam: float | None = None
    start: str = "proposed"
    rate_lam: float | None = None
    loss: Loss = "last"
    even: bool = False
    lam_each: bool = False
    sensing: str = SENSING[0]

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        for name in ("layers", "inner", "epochs", "batch"):
            if not 1 <= getattr(self, name) <= 1 << 20:
                raise InputError(f"{name} must be at least 1 and at most 2**20, got {getattr(self, name)}")
        rates = [self.rate] if self.rate_lam is None else [self.rate, self.rate_lam]
        if not (all(0 < rate < math.inf for rate in rates) and 0 < self.decay <= 1 and self.clip > 0):
            raise InputError(
                "training needs a finite rate > 0, 0 < decay <= 1, clip > 0; "
                f"got {', '.join(map(str, rates))}, {self.decay}, {self.clip}"
            )
        if not -math.inf < self.snr_db[0] <= self.snr_db[1] < math.inf:
            raise InputError(f"the SNR range snr_db must be finite and rise, got {self.snr_db}")
        if not 0 <= self.weight < math.inf:
            raise InputError(f"weight must be finite and at least 0, got {self.weight}")
        for initial in (self.initial, self.initial_lam):
            if initial is not None and not math.isfinite(initial):
                raise InputError(f"the initial step size must be finite, got {initial}")
        if not 0 <= self.seed < 1 << 63:
            raise InputError(f"seed must be from 0 to 2**63 - 1, got {self.seed}")
        if self.eta is not None and not 0 < self.eta <= 1:
            raise InputError(f"eta must be above 0 and at most 1, got {self.eta}")
        self._check_names()

    def _check_names(self) -> None:
        """Refuse a network, a start or a loss that there is not."""
        kind_named(self.network)
        check_start(self.start)
        if self.loss not in get_args(Loss):
            raise InputError(f"loss must be {' or '.join(get_args(Loss))}, got {self.loss!r}")
        if self.sensing not in SENSING:
            raise InputError(f"sensing must be {', '.join(SENSING)}, got {self.sensing[:50]!r}")
        if self.sensing != SENSING[0] and self.loss == "every":
            raise InputError(f"the loss every judges R - w tau, the sensing objective is {self.sensing}")


@dataclass(frozen=True)
class Position:
    """Where training stands after an epoch, in plain numbers, as a checkpoint states it.

    Attributes:
        epoch: epochs done.
        curve: mean R − ω τ, or R + ω c, over the samples of each epoch, before their updates.
        skipped: updates left out because their gradient was not finite.

    Raises:
        InputError: numbers below 0, or not one value of the curve per epoch.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"strict": True, "extra": "forbid"}

    epoch: int
    curve: tuple[float, ...]
    skipped: int = 0

    def __post_init__(self) -> None:
        """Refuse a place where no training can be."""
        if self.epoch < 0 or self.skipped < 0:
            raise InputError(f"epoch and skipped must be at least 0, got {self.epoch} and {self.skipped}")
        if len(self.curve) != self.epoch:
            raise InputError(f"at epoch {self.epoch} with {len(self.curve)} values of R - w tau in the curve")


@dataclass(frozen=True)
class Progress(Position):
    """All that is needed to go on with a training from its `Position`.

    Attributes:
        model: step sizes so far.
        moments: Adam's state, name → tensor.
    """

    model: UnfoldedPGA = field(kw_only=True)
    moments: dict[str, Tensor] = field(kw_only=True)


def _optimiser(model: UnfoldedPGA, recipe: Recipe, moments: dict[str, Tensor]) -> torch.optim.Adam:
    # Two groups of one parameter each: their rates may differ.
    optimiser = torch.optim.Adam([{"params": [model.mu]}, {"params": [model.lam]}], lr=recipe.rate)
    if moments:
        state = {
            i: {key: moments[f"{name}.{key}"] for key in ("step", "exp_avg", "exp_avg_sq")}
            for i, name in enumerate(("mu", "lam"))
        }
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    return optimiser


def _moments(model: UnfoldedPGA, optimiser: torch.optim.Adam) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": torch.as_tensor(value).clone()
        for name, parameter in (("mu", model.mu), ("lam", model.lam))
        for key, value in optimiser.state[parameter].items()
    }


def begin(recipe: Recipe, antennas: int, users: int, chains: int, subcarriers: int = 1) -> Progress:
    """The untrained model, for flat channels or for a band of so many subcarriers."""
    eta = 1 / antennas if recipe.eta is None else recipe.eta
    info = ModelInfo(
        antennas, users, chains, eta, recipe.digital, recipe.weight, recipe.snr_db, recipe.seed,
        network=recipe.network, start=recipe.start, subcarriers=subcarriers, sensing=recipe.sensing,
    )  # fmt: skip
    if recipe.lam_each and subcarriers == 1:
        raise InputError("lam_each (--lam-each) is for bands, the training channels are flat")
    model = UnfoldedPGA(info, recipe.layers, recipe.inner, recipe.initial, each=recipe.lam_each)
    if recipe.initial_lam is not None:
        torch.nn.init.constant_(model.lam, recipe.initial_lam)
    return Progress(0, (), model=model, moments={})


def train(
    recipe: Recipe,
    channels: Tensor,
    radar: Sensing,
    *,
    progress: Progress | None = None,
    chains: int | None = None,
    engine: Engine = "auto",
    band: Band | None = None,
) -> Iterator[Progress]:
    """Minimise (25) = mean(ω τ − R) over {μ, λ}, after the last layer or after every one; yields each epoch.

    With another sensing objective of the recipe (25) is mean(−R − ω c), of the last layer.

    The order of the channels and the powers of epoch e come from the generator (seed, e), so that
    training that goes on from a `Progress` gives bit for bit what an uninterrupted run would.

    Args:
        recipe: how.
        channels: H (B, K, N), the training set; on a band (B, S, K, N).
        radar: Ψ.
        progress: where to go on; default the untrained model.
        chains: M of a new model, default K.
        engine: see `pga.run_layers`.
        band: the subcarriers of the channels, with Ψ of each where there are several.

    Yields:
        `Progress` after each remaining epoch; its model is a copy.
    """
    count, users, antennas = len(channels), *channels.shape[-2:]
    subcarriers = 1 if band is None else band.subcarriers
    at = progress or begin(recipe, antennas, users, chains or users, subcarriers)
    model = UnfoldedPGA.from_steps(at.model.mu.detach(), at.model.lam.detach(), at.model.info)
    optimiser = _optimiser(model, recipe, at.moments)
    curve, skipped = list(at.curve), at.skipped
    goal = goal_named(recipe.sensing, None, radar, None if band is None else band.ratios)
    for epoch in range(at.epoch, recipe.epochs):
        for group, rate in zip(optimiser.param_groups, (recipe.rate, recipe.rate_lam), strict=True):
            group["lr"] = (recipe.rate if rate is None else rate) * recipe.decay**epoch
        generator = np.random.default_rng([recipe.seed, epoch])
        order = generator.permutation(count)
        snr = torch.from_numpy(generator.uniform(*recipe.snr_db, count))
        total = 0.0
        for first in range(0, count, recipe.batch):
            some = torch.from_numpy(order[first : first + recipe.batch])
            scenario_of = partial(_batch, channels, radar, band, goal, 10 ** (snr / 10), model.info)
            total += _gradient(model, scenario_of, some, recipe, engine)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            if torch.isfinite(norm):
                optimiser.step()
            else:
                skipped += 1
        curve.append(total / count)
        done = UnfoldedPGA.from_steps(
            model.mu.detach(), model.lam.detach(), replace(model.info, curve=tuple(curve))
        )
        moments = _moments(model, optimiser)
        yield Progress(epoch + 1, tuple(curve), skipped, model=done, moments=moments)


def _gradient(
    model: UnfoldedPGA,
    scenario_of: Callable[[Tensor], Scenario],
    some: Tensor,
    recipe: Recipe,
    engine: Engine,
) -> float:
    """The gradient of (25) over the channels `some` into the parameters' `.grad`.

    Returns the sum of R − ω τ over the batch.

    What is judged of a channel, by the recipe's `loss` and `even`, is what the gradient is of.

    Under torch.distributed each process takes its share of the batch, and the gradients are summed.
    """
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    rank = torch.distributed.get_rank() if distributed else 0
    mine = some[rank :: torch.distributed.get_world_size()] if distributed else some
    model.mu.grad, model.lam.grad = torch.zeros_like(model.mu), torch.zeros_like(model.lam)
    total = torch.zeros((), dtype=torch.float64)
    if len(mine):
        s = scenario_of(mine)
        value = _judged(model, s, recipe.loss, engine)
        judged = value / s.power if recipe.even else value
        (-judged.sum() / len(some)).backward()  # type: ignore[no-untyped-call]
        total = value.detach().sum()
    if distributed:
        for part in (model.mu.grad, model.lam.grad, total):
            torch.distributed.all_reduce(part)
    return float(total)


def _judged(model: UnfoldedPGA, s: Scenario, loss: Loss, engine: Engine) -> Tensor:
    """R − ω τ of each channel that training raises, (B,)."""
    if loss == "last":
        return s.objective(s.transmitted(*model(s, engine=engine)))
    return model.after_layers(s).mean(0)


def _batch(
    H: Tensor,
    radar: Sensing,
    band: Band | None,
    goal: Goal | None,
    power: Tensor,
    info: ModelInfo,
    some: Tensor,
) -> Scenario:
    weight = torch.full_like(power[some], info.weight)
    s = Scenario(
        H[some], radar, power[some], info.chains, weight, network=info.made_for, band=band, goal=goal
    )
    # On a band the layers run in torch, twice as fast in single precision.
    return s if band is None else s.to(dtype=torch.complex64)


def facts(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, for a model's metadata and to compare two recipes."""
    return asdict(recipe)
