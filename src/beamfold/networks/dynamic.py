"""Dynamic sub-arrays: each antenna is switched to the chain that suits the channel."""

from __future__ import annotations

import torch

from beamfold.networks.base import Kind, Network


def dynamic(antennas: int, chains: int, bits: int | None = None) -> Network:
    """Each antenna on one chain of the design's choice."""
    return Network(torch.ones(antennas, chains, dtype=torch.bool), bits, dynamic=True, name="dynamic")


KIND = Kind("dynamic", dynamic, "each antenna on one chain, chosen for every channel")
