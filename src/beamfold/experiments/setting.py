"""What every experiment of Section IV shares: channels, Ψ, sizes, methods, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from beamfold.channel import saleh_valenzuela
from beamfold.defaults import SNR_DB, TARGETS_DEG, WEIGHT
from beamfold.errors import InputError
from beamfold.files.covariances import cached_covariance
from beamfold.files.models import find_model, model_name, shipped_models
from beamfold.registry import METHODS, design
from beamfold.result import Design
from beamfold.scenario import Scenario, make_scenario
from beamfold.sensing import Sensing
from beamfold.unfolded_model import UnfoldedPGA

USERS = 4
LAYERS = 120
STEP = 0.01

Tick = Callable[[float, str], None]


@lru_cache(maxsize=8)
def published_pattern(antennas: int) -> Sensing:
    """Ψ of the published P_d for N antennas."""
    return cached_covariance(antennas, TARGETS_DEG)


@dataclass(frozen=True)
class Setting:
    """What the user chose.

    Attributes:
        count: channels to average over.
        seed: of channels, of random starts and of Fig. 2's points.
        quick: fewer points and hardly any training, where an experiment has a choice.
        channels: H (B, 4, N) of the user's; experiments with another N draw their own.
        source: what `channels` is, in words.
        asked: the options of the command line that brought them.
        folder: where models that an experiment trains are kept; None trains anew.
        tick: told the share of the experiment that is done, and what is being done.
    """

    count: int = 100
    seed: int = 0
    quick: bool = False
    channels: Tensor | None = None
    source: str = ""
    asked: str = ""
    folder: Path | None = None
    tick: Tick = field(default=lambda share, text: None, compare=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if self.count < 1 or self.seed < 0:
            raise InputError(f"count must be at least 1 and seed at least 0, got {self.count}, {self.seed}")
        if self.channels is not None and self.channels.shape[-2] != USERS:
            raise InputError(
                f"the paper's experiments have K = {USERS} users, the channels {self.channels.shape[-2]}"
            )

    def draw(self, antennas: int) -> tuple[Tensor, str]:
        """H (B, 4, N) and where it comes from, in words."""
        if self.channels is not None and self.channels.shape[-1] == antennas:
            H = self.channels[: self.count]
            return H, f"{self.source}, the first {len(H)} of {len(self.channels)}"
        H = saleh_valenzuela(antennas, USERS, self.count, seed=self.seed)
        return H, f"drawn: Eq. (2) with Q = 10 paths, seed {self.seed}, channels 0 to {self.count - 1}"

    def scenario(
        self, antennas: int, *, snr_db: float | Sequence[float] = SNR_DB, weight: float = WEIGHT
    ) -> Scenario:
        """The channels of N antennas with the published pattern's Ψ."""
        return make_scenario(
            self.draw(antennas)[0], published_pattern(antennas), snr_db=snr_db, weight=weight
        )


@dataclass
class Steps:
    """Counts the parts of an experiment for its progress; a part may be longer than another."""

    tick: Tick
    total: float
    done: float = 0.0

    def within(self, share: float, text: str, cost: float = 1.0) -> None:
        """A share of the next part is done."""
        self.tick(min((self.done + share * cost) / self.total, 1.0), text)

    def step(self, text: str, cost: float = 1.0) -> None:
        """One more part is done; `text` says which comes next, or what was done."""
        self.done += cost
        self.tick(min(self.done / self.total, 1.0), text)

    def design(self, s: Scenario, method: str, text: str, *, cost: float = 1.0, **options: Any) -> Design:
        """The design of a method, `registry.design`, as the next part."""

        def progress(done: int, count: int) -> None:
            self.within(done / count, text, cost)

        found = design(s, method, progress=progress, **options)
        self.step(text, cost)
        return found


@dataclass(frozen=True)
class Curve:
    """A method of a figure: its name in the dataset and how to run it.

    Attributes:
        name: as in the coordinate `method`.
        method: its name in the registry.
        options: the method's.
        about: its parameters, in words or plain values.
    """

    name: str
    method: str
    options: dict[str, Any]
    about: dict[str, Any]

    @property
    def model(self) -> UnfoldedPGA | None:
        """The step sizes of an unfolded method."""
        return self.options.get("model")

    def run(self, s: Scenario, *, steps: Steps | None = None, record: bool = False, **more: Any) -> Design:
        """The design, with R and τ after every layer where they are asked for and the method has layers."""
        layered = "record" in METHODS[self.method].options
        options = {**self.options, **more, **({"record": True} if record and layered else {})}
        if steps is None:
            return design(s, self.method, **options)
        return steps.design(s, self.method, self.name, **options)


def constant_curve(inner: int, eta: float | None = None) -> Curve:
    """PGA with constant step sizes 0.01; η = 1/N unless given."""
    shown = "1/N" if eta is None else f"{eta:g}"
    about = {"step sizes": f"constant, mu = lam = {STEP}", "eta": shown, "digital": "signal", "J": inner}
    if inner == 1 and eta is None:
        return Curve("conventional_pga", "conventional-pga", {"layers": LAYERS}, about)
    return Curve(f"pga_j{inner}", "pga", {"inner": inner, "layers": LAYERS, "eta": eta}, about)


def learned_curve(name: str, model: UnfoldedPGA) -> Curve:
    """The unfolded method with the step sizes of a model."""
    return Curve(name, "unfolded", {"model": model}, model_facts(model))


def model_facts(model: UnfoldedPGA) -> dict[str, Any]:
    """What a reader needs to know of learned step sizes, besides the step sizes themselves."""
    info = model.info
    return {
        "step sizes": f"learned: {info.note or 'no note in the model'}",
        "eta": info.eta,
        "digital": info.digital,
        "J": model.inner,
        "I": model.layers,
        "trained weight": info.weight,
        "trained snr_db": list(info.snr_db),
        "training": info.extra,
    }


ZERO_FORCING = Curve("zf_digital", "zf-digital", {}, {"about": "fully digital, communications only"})
SCA_MANOPT = (
    Curve("sca_manopt", "sca-manopt", {}, {"rho": 0.8, "norm": "power", "about": "(7c) in all three steps"}),
    Curve(
        "sca_manopt_published",
        "sca-manopt",
        {"norm": "unit_columns"},
        {"rho": 0.8, "norm": "unit_columns", "about": "the reading that gives the published curve"},
    ),
)


def available(antennas: int, inners: Sequence[int]) -> tuple[list[Curve], list[str]]:
    """The unfolded curves whose models are there, and one sentence for each that is not."""
    found, missing = [], []
    for inner in inners:
        if model_name(antennas, USERS, USERS, inner) in shipped_models():
            found.append(learned_curve(f"unfolded_j{inner}", find_model(antennas, USERS, USERS, inner)))
        else:
            missing.append(f"unfolded PGA, J = {inner}, N = {antennas}: no trained model is shipped")
    return found, missing
