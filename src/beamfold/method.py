"""`Method`, what the rest of the program knows of a method, and the refusal of what a method can't do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple

from beamfold.errors import InputError
from beamfold.networks import Network
from beamfold.result import Design
from beamfold.scenario import Scenario

SLOW = 10
"""Channels at once of a method of many milliseconds, so that progress can be shown."""


class Supports(NamedTuple):
    """What a method can do beyond a scenario of one antenna per user on the CPU."""

    digital: bool = False
    """Fully digital: it has no F, so every network is one to it."""
    rows: bool = False
    """Several antennas and streams per user."""
    networks: bool = False
    """Analog networks that are not fully connected."""
    bits: bool = False
    """Phase shifters of few bits, for flat channels."""
    band: bool = False
    """The subcarriers of a band."""
    goals: bool = False
    """Another sensing objective than τ, see `radar.goal`; with continuous phases."""
    flat_goals: bool = False
    """The same, for flat channels alone, and with few bits."""
    sensing_streams: bool = False
    """Columns of X that serve no user."""
    device: bool = False
    """Channels on any device: it is written in torch. Compiled methods need them on the CPU."""


class Method(NamedTuple):
    """The record of a method, which stands in the method's own file under the name `METHOD`."""

    name: str
    """The name that `beamfold.design` and the command line take: the file's, with hyphens."""
    function: Callable[..., Design]
    """(scenario, options) → `Design`."""
    about: str
    """What it maximises, in one line."""
    part: int | None = None
    """Channels at once; None for as many as the memory allows that the registry gives to a part."""
    supports: Supports = Supports()

    @property
    def options(self) -> tuple[str, ...]:
        """The names of its options, from its signature."""
        return _options(self.function)


@cache
def _options(function: Callable[..., Design]) -> tuple[str, ...]:
    """Once for each method: a signature takes a tenth of a millisecond to read."""
    return tuple(inspect.signature(function).parameters)[1:]


def check_supported(method: Method, s: Scenario, others: Iterable[Method] = ()) -> None:
    """Raise InputError unless a method can do a scenario; names those of the others that can."""
    missing = lacking(method.supports, s)
    if missing:
        able = [other.name for other in others if not lacking(other.supports, s)]
        hint = f"; use {'one of ' if len(able) > 1 else ''}{', '.join(able)}" if able else ""
        raise InputError(f"the method {method.name} {missing}{hint}")


def lacking(supports: Supports, s: Scenario) -> str:
    """What a method can't do of a scenario, as the end of a sentence; "" where it can do all."""
    return _of_channels(supports, s) or _of_goal(supports, s) or lacking_network(supports, s.network)


def _of_channels(supports: Supports, s: Scenario) -> str:
    """`lacking` of the device, the users and the band."""
    if s.H.device.type != "cpu" and not supports.device:
        return f'is compiled code for the CPU, the channels are on {s.H.device}; move them with s.to("cpu")'
    if not s.per_user.single and not supports.rows:
        return f"is for users of one antenna, these have {s.per_user.receive}; take one row of H for each"
    if s.band is not None and not supports.band:
        return f"is for flat channels, these have {s.subcarriers} subcarriers"
    if s.per_user.sensing > 0 and not supports.sensing_streams:
        return f"has a column for each user alone, the scenario asks for {s.per_user.sensing} sensing streams"
    return ""


def _of_goal(supports: Supports, s: Scenario) -> str:
    """`lacking` of the sensing objective, and of few bits beside it or on a band."""
    if s.goal is not None and not (supports.goals or (supports.flat_goals and s.band is None)):
        on_a_band = " on a band" if supports.flat_goals else ""
        return f"knows tau as its sensing objective{on_a_band}, the scenario has {s.goal.kind}"
    if s.network.bits is not None and not supports.digital:
        if s.goal is not None and not supports.flat_goals:
            return f"is for continuous phases with this sensing objective, these have {s.network.bits} bits"
        if s.band is not None:
            return f"is for continuous phases on a band, these have {s.network.bits} bits"
    return ""


def lacking_network(supports: Supports, network: Network) -> str:
    """`lacking` of an analog network alone."""
    if supports.digital:
        return ""
    if not network.full and not supports.networks:
        return f"is for the fully connected network, this one is {network.name}"
    if network.bits is not None and not supports.bits:
        return f"is for continuous phases, these have {network.bits} bits"
    return ""
