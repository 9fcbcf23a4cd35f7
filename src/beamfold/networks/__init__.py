"""Analog networks. base has the model, fit the closed forms on them, the others a named network each."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

from beamfold.defaults import NETWORK
from beamfold.errors import InputError
from beamfold.networks.base import Kind, Network, quantised
from beamfold.networks.dynamic import dynamic
from beamfold.networks.full import fully_connected
from beamfold.networks.interleaved import interleaved
from beamfold.networks.subarrays import subarrays

__all__ = [
    "NAMES", "Kind", "Network", "dynamic", "fully_connected", "interleaved", "named_network", "quantised",
    "subarrays",
]  # fmt: skip

NAMES = (NETWORK, "subarrays", "interleaved", "dynamic")
"""Every network that has a name. Its file here has the same name and holds its record as `KIND`."""


def kind_named(name: str) -> Kind:
    """The record of a name.

    Raises:
        InputError: an unknown name.
    """
    if name not in NAMES:
        near = get_close_matches(name, NAMES, n=1)
        hint = f", did you mean {near[0]}?" if near else f"; known: {', '.join(NAMES)}, or a file with a mask"
        raise InputError(f"no network {name[:50]!r}{hint}")
    return import_module(f"beamfold.networks.{name}").KIND


def named_network(name: str, antennas: int, chains: int, bits: int | None = None) -> Network:
    """The network of a name for N antennas and M chains.

    Raises:
        InputError: an unknown name, or sizes that it cannot have.
    """
    return kind_named(name).make(antennas, chains).with_bits(bits)
