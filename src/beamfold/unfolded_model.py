"""The unfolded model: Algorithm 1 whose step sizes μ, λ are the parameters of a network of I layers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from beamfold.defaults import NETWORK, WEIGHT
from beamfold.errors import InputError
from beamfold.networks import Network, named_network
from beamfold.objective import DigitalGradient
from beamfold.optim.layers import Engine, run_layers, runs_compiled
from beamfold.radar.goal import SENSING
from beamfold.scenario import Scenario
from beamfold.start import STARTS, Point, check_start


@dataclass(frozen=True)
class ModelInfo:
    """What a model was made for; stored with the step sizes in the model's file.

    These fields, their types and the checks below are all that a model file's metadata may say.

    Attributes:
        antennas: N.
        users: K.
        chains: M.
        eta: η in (24), usually 1/N.
        digital: which ∇_W R the step sizes belong to, see `objective.signal_gradient`.
        weight: ω of the training loss (25).
        snr_db: range of the training SNRs, dB.
        seed: seed of the training channels and of their order.
        note: how it was trained, for people.
        curve: mean R − ω τ over the training batches, one value per epoch.
        extra: further facts, e.g. the training set's size.
        network: name of the analog network, see `networks.NAMES`.
        start: where the layers begin, a name of `start.STARTS`.
        subcarriers: S of the training channels, 1 for flat ones. A model of a band serves any S above 1.
        sensing: what its loss has beside R, see `radar.goal.SENSING`.

    Raises:
        InputError: sizes other than 1 <= K <= M <= N, a value out of its range, or a network that there is
            not for these sizes; names it.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"strict": True, "extra": "forbid"}

    antennas: int
    users: int
    chains: int
    eta: float
    digital: DigitalGradient = "signal"
    weight: float = WEIGHT
    snr_db: tuple[float, float] = (0.0, 12.0)
    seed: int = 0
    note: str = ""
    curve: tuple[float, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    network: str = NETWORK
    start: str = "proposed"
    subcarriers: int = 1
    sensing: str = SENSING[0]

    def __post_init__(self) -> None:
        """Refuse what no model can be made for."""
        sizes = self.users, self.chains, self.antennas
        if not 1 <= self.users <= self.chains <= self.antennas <= 1 << 20:
            raise InputError(f"sizes K <= M <= N expected, each at least 1, found {sizes}")
        if not 0 < self.eta <= 1:
            raise InputError(f"eta must be above 0 and at most 1, got {self.eta}")
        if not 0 <= self.weight < math.inf:
            raise InputError(f"weight must be finite and at least 0, got {self.weight}")
        if not all(map(math.isfinite, self.snr_db)):
            raise InputError(f"snr_db must be finite, got {self.snr_db}")
        if not 0 <= self.seed < 1 << 63:
            raise InputError(f"seed must be from 0 to 2**63 - 1, got {self.seed}")
        if len(self.note) > 10_000:
            raise InputError(f"note must be at most 10,000 characters, got {len(self.note)}")
        if self.subcarriers < 1:
            raise InputError(f"subcarriers must be at least 1, got {self.subcarriers}")
        if self.sensing not in SENSING:
            raise InputError(f"sensing must be {', '.join(SENSING)}, got {self.sensing[:50]!r}")
        check_start(self.start)
        if self.network != NETWORK:
            _ = self.made_for

    @cached_property
    def made_for(self) -> Network:
        """The analog network of `network`."""
        return named_network(self.network, self.antennas, self.chains)


class UnfoldedPGA(nn.Module):
    """{F, W} = layer_I ∘ … ∘ layer_1 (start), each layer one `layers.step`, Algorithm 1.

    Parameters:
        mu: (I, J) float64, step sizes μ_(i,j) of F (23b).
        lam: (I,) float64, step sizes λ_(i) of W (24); of a model of a band also (I, S), one for every
            subcarrier, and the model then serves that S alone.

    With all of them 0.01 it is PGA.
    """

    mu: nn.Parameter
    lam: nn.Parameter

    def __init__(
        self,
        info: ModelInfo,
        layers: int = 120,
        inner: int = 20,
        initial: float = 0.01,
        *,
        each: bool = False,
    ) -> None:
        """All step sizes start at `initial`, the paper's 0.01; `each`: λ of every subcarrier."""
        super().__init__()
        self.info = info
        self.mu = nn.Parameter(torch.full((layers, inner), initial, dtype=torch.float64))
        shape = (layers, info.subcarriers) if each else (layers,)
        self.lam = nn.Parameter(torch.full(shape, initial, dtype=torch.float64))

    @classmethod
    def from_steps(cls, mu: Tensor, lam: Tensor, info: ModelInfo) -> UnfoldedPGA:
        """A model of given step sizes mu (I, J), lam (I,) or, on a band, (I, S).

        Raises:
            InputError: shapes that do not fit, or values that are not finite.
        """
        each = lam.ndim == 2 and info.subcarriers > 1
        if mu.ndim != 2 or lam.shape != (*mu.shape[:1], *([info.subcarriers] if each else [])):
            other = f" or (I, {info.subcarriers})" if info.subcarriers > 1 else ""
            raise InputError(
                f"expected mu (I, J) and lam (I,){other}, found {tuple(mu.shape)} and {tuple(lam.shape)}"
            )
        if not (torch.isfinite(mu).all() and torch.isfinite(lam).all()):
            raise InputError("the step sizes hold NaN or Inf")
        model = cls(info, *mu.shape, each=each)
        with torch.no_grad():
            model.mu.copy_(mu)
            model.lam.copy_(lam)
        return model

    @property
    def layers(self) -> int:
        """I, layers."""
        return self.mu.shape[0]

    @property
    def inner(self) -> int:
        """J."""
        return self.mu.shape[1]

    def forward(self, s: Scenario, start: Point | None = None, *, engine: Engine = "auto") -> Point:
        """The point after all layers, differentiable with respect to mu and lam on either engine."""
        begin = STARTS[self.info.start](s) if start is None else start
        if not runs_compiled(s, begin, engine):
            return run_layers(
                s, begin, self.mu, self.lam, self.info.eta, self.info.digital, engine="torch"
            ).point
        from beamfold.kernels.unfolded import differentiable

        return differentiable(s, begin, self.mu, self.lam, self.info.eta, self.info.digital)

    def after_layers(self, s: Scenario) -> Tensor:
        """R − ω τ after each layer, (I, …), differentiable with respect to mu and lam; in torch."""
        begin = STARTS[self.info.start](s)
        kept = run_layers(
            s, begin, self.mu, self.lam, self.info.eta, self.info.digital, engine="torch", record=True
        ).trace
        assert kept is not None
        return kept.rate[1:] - s.weight * kept.tau[1:]

    def check_subcarriers(self, s: Scenario) -> None:
        """Raise InputError where each subcarrier has its step sizes and the scenario has another S."""
        if self.lam.ndim == 2 and s.subcarriers != self.info.subcarriers:
            raise InputError(
                f"the model has a step size of W for each of {self.info.subcarriers} subcarriers, the "
                f"scenario has {s.subcarriers}; take a model with one for all of them"
            )

    def check(self, s: Scenario) -> None:
        """Raise InputError unless the scenario has the sizes and the network of the training."""
        ours = (self.info.antennas, self.info.users, self.info.chains)
        theirs = (s.antennas, s.columns, s.chains)
        if ours != theirs:
            raise InputError(
                "the model was trained for (N, K, M) = ({}, {}, {}), the channels have ({}, {}, {})".format(
                    *ours, *theirs
                )
            )
        if (self.info.subcarriers > 1) != (s.band is not None):
            names = {True: "bands", False: "flat channels"}
            raise InputError(
                f"the model was trained for {names[self.info.subcarriers > 1]}, these are "
                f"{names[s.band is not None]}; take another model, or allow it with any_size (--any-size)"
            )
        if not self.info.made_for.same_as(s.network.continuous):
            raise InputError(
                f"the model was trained for the network {self.info.network}, the scenario has "
                f"{s.network.name}; take another model, or train one with `beamfold train --network`"
            )
