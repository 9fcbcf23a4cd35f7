"""Every chain on every antenna, the paper's network."""

from __future__ import annotations

from functools import lru_cache

import torch

from beamfold.networks.base import Kind, Network


@lru_cache(maxsize=64)
def fully_connected(antennas: int, chains: int, bits: int | None = None) -> Network:
    """B of ones (N, M)."""
    return Network(torch.ones(antennas, chains, dtype=torch.bool), bits, name="full")


KIND = Kind("full", fully_connected, "every chain on every antenna")
