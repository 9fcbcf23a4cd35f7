"""`Designs`: scenario and design of a state. What does not change while a control is dragged is made once.

Every design is that of `beamfold.design`, so that the page shows what the program would write.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from beamfold.checks import check_channels, shared
from beamfold.defaults import METHOD, NETWORK
from beamfold.errors import InputError
from beamfold.explore.answers import View, answer, plain
from beamfold.explore.state import State
from beamfold.files.channel_set import ChannelSet
from beamfold.files.covariance_of import radar_of
from beamfold.files.entries import ScenarioSpec
from beamfold.files.scenarios import scenario_of
from beamfold.method import lacking
from beamfold.methods.fast import prepare_fast
from beamfold.radar.fisher import bound
from beamfold.radar.scene import Scene
from beamfold.registry import METHODS, design
from beamfold.result import Design
from beamfold.scenario import Scenario, sensed_by
from beamfold.sensing import Sensing
from beamfold.threads import torch_threads

Made = TypeVar("Made")
OTHERS: dict[str, dict[str, Any]] = {"best": {"starts": 1, "polish": 300}, "pga": {}}
"""Methods for what the fast design can't do, with options that keep them to a few seconds."""
POINTS, FEW = 25, 9
"""Points of a front, and of one whose designs take long."""
SLOW = 0.02
"""Seconds of a design from which a front has few points."""
REPEATS = 15
"""Designs of which the time of a prepared one is the median."""


class Base(NamedTuple):
    """A scenario with all but its channel, SNR and ω."""

    s: Scenario
    scene: Scene | None
    view: View
    method: str
    options: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Kept:
    """The last results of a function by a key, so many of them."""

    count: int
    held: OrderedDict[Hashable, Any]

    def get(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """The result of the key, made where it is not held."""
        if key not in self.held:
            self.held[key] = make()
            while len(self.held) > self.count:
                self.held.popitem(last=False)
        self.held.move_to_end(key)
        found: Made = self.held[key]
        return found


class Designs:
    """The designs of the channels of a file. One caller at a time.

    Args:
        spec: the scenario as it was stated.
        channels: the channels of its file.
    """

    def __init__(self, spec: ScenarioSpec, channels: ChannelSet) -> None:
        self.spec, self.channels = spec, channels
        self._radars = Kept(64, OrderedDict())
        self._bases = Kept(16, OrderedDict())
        self._stated = (spec.targets_deg, bool(spec.common))
        self.seconds = 0.0  # of the last design

    @property
    def columns(self) -> int:
        """K d, the least number of chains."""
        first = self.channels.first
        return first.H.shape[1 if first.band is None else 2] * (self.spec.streams or 1)

    def spec_of(self, state: State) -> ScenarioSpec:
        """The scenario of a state as it is written down, for all channels of the file."""
        changed: dict[str, Any] = {"snr_db": [state.snr_db], "weight": state.weight}
        if state.targets_deg is not None:
            changed["targets_deg"] = [list(t) if isinstance(t, tuple) else t for t in state.targets_deg]
        if state.network is not None:
            full = self.spec.network is None and state.network == NETWORK
            usual = self.spec.chains is None and state.chains == self.columns
            changed |= {"network": None if full else state.network, "bits": state.bits}
            changed["chains"] = None if usual else state.chains
        if self.channels.first.band is not None:
            changed["common"] = state.common or None
        if state.sensing != "tau" or self.spec.sensing is not None:
            changed["sensing"] = state.sensing
        if state.sensing != "tau" and state.target_snr_db is not None:
            changed["target_snr_db"] = [state.target_snr_db]
        elif state.sensing == "tau":
            changed |= dict.fromkeys(
                ("target_snr_db", "snapshots", "clutter_deg", "clutter_db", "receive_array")
            )
        return replace(self.spec, **changed)

    def radar(self, state: State) -> Sensing | tuple[Sensing, ...]:
        """Ψ of a state. Only the stated one is kept on the disk: a drag would leave hundreds there."""
        spec, first = self.spec_of(state), self.channels.first
        stated = (spec.targets_deg, bool(spec.common)) == self._stated
        key = (state.targets_deg, state.common)
        return self._radars.get(key, lambda: radar_of(spec, first.H.shape[-1], first.band, kept=stated))

    def solved(self, state: State) -> bool:
        """Whether Ψ of a state is at hand."""
        return (state.targets_deg, state.common) in self._radars.held

    def base(self, state: State) -> Base:
        """All that does not depend on channel, SNR and ω.

        Raises:
            InputError: what `scenario_of` refuses, or a scenario for which there is no method.
        """
        return self._bases.get(state.setting, lambda: self._base(state))

    def _base(self, state: State) -> Base:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            s = scenario_of(self.spec_of(state), self.channels.first, self.radar(state))
            scene = sensed_by(s) if s.goal is not None or s.radar.targets else None
        method, options = method_for(s)
        notes = tuple(dict.fromkeys(str(each.message) for each in told))
        return Base(s, scene, View(s), method, options, notes)

    def scenario(self, state: State) -> Scenario:
        """The scenario of one channel, a batch of one as the command and the lines of Python have it.

        Raises:
            InputError: as `base`, or a channel that is not finite.
        """
        s = self.base(state).s
        power = s.noise * 10 ** (torch.tensor([state.snr_db], dtype=torch.float64) / 10)
        H, _ = shared(self.channels.channel(state.channel)[None], self.spec.streams)
        check_channels(H, s.chains, s.per_user, band=s.band is not None)
        return replace(s, H=H, power=power, weight=torch.full_like(power, state.weight))

    def design(self, state: State) -> Design:
        """The design of a state."""
        base, s = self.base(state), self.scenario(state)
        found = design(s, base.method, threads=1, **base.options)
        self.seconds = found.seconds
        return found

    @torch_threads()
    def answer(self, state: State) -> dict[str, Any]:
        """What the page shows of the design of a state."""
        base = self.base(state)
        return {"state": state.model_dump(), "notes": base.notes} | answer(
            self.design(state), base.view, base.scene
        )

    @torch_threads()
    def front(self, state: State) -> dict[str, Any]:
        """R and τ, or R and the RCRB of another goal, over ω of this channel, and the time of a design."""
        base, s = self.base(state), self.scenario(state)
        points = POINTS if self.seconds < SLOW else FEW
        several = replace(
            s,
            H=s.H.expand(points, *s.H.shape[1:]),
            power=s.power.expand(points),
            weight=torch.from_numpy(weights_of(s, points)),
        )
        d = design(several, base.method, threads=1, **base.options)
        across = d.tau
        if s.goal is not None and base.scene is not None:
            across = bound(d.X, base.scene, several.power).rcrb.flatten(-2).amax(-1).rad2deg()
        return {
            "weight": several.weight.tolist(),
            "rate": [plain(v) for v in d.rate.tolist()],
            "across": [plain(v) for v in across.tolist()],
            "prepared": self.prepared_seconds(state),
        }

    def prepared_seconds(self, state: State) -> float | None:
        """Seconds of one design of `prepare_fast`; None where there is no such design."""
        base, s = self.base(state), self.scenario(state)
        if base.method != METHOD or s.band is not None or s.network.bits is not None or s.network.dynamic:
            return None
        go = prepare_fast(
            s.radar,
            users=s.users,
            network=s.network,
            snr_db=state.snr_db,
            weight=float(s.weight),
            noise=s.noise,
            goal=s.goal,
        )
        H, taken = s.H[0].resolve_conj().numpy(), []
        for _ in range(REPEATS):
            begin = time.perf_counter()
            go(H)
            taken.append(time.perf_counter() - begin)
        return statistics.median(taken)


def method_for(s: Scenario) -> tuple[str, dict[str, Any]]:
    """The method of a scenario and its options: the fast design, else one that takes up to a few seconds.

    Raises:
        InputError: none of them can do it.
    """
    if not lacking(METHODS[METHOD].supports, s):
        return METHOD, {}
    for name, options in OTHERS.items():
        if not lacking(METHODS[name].supports, s):
            return name, options
    reason = lacking(METHODS["pga"].supports, s)
    raise InputError(f"the explorer has no method for this scenario: pga {reason}")


def weights_of(s: Scenario, points: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """ω of a front: those of `beamfold front`."""
    from beamfold.experiments.front import DECADES
    from beamfold.experiments.sense_front import DECADES as OF_GOALS

    if s.goal is not None:
        return np.logspace(*OF_GOALS, points)
    return np.logspace(*DECADES, points) / float(s.power) ** 2
