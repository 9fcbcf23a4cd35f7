"""Contiguous sub-arrays: each chain feeds N/M neighbours."""

from __future__ import annotations

import torch

from beamfold.errors import InputError
from beamfold.networks.base import Kind, Network


def subarrays(antennas: int, chains: int, bits: int | None = None) -> Network:
    """B_nm = 1 where n is in block m of N/M antennas: Fᴴ F = (N/M) I.

    Raises:
        InputError: N is not a multiple of M; give a mask of your own then.
    """
    check_division(antennas, chains)
    block = torch.arange(antennas)[:, None] // (antennas // chains)
    return Network(block == torch.arange(chains), bits, name="subarrays")


def check_division(antennas: int, chains: int) -> None:
    """Raise InputError unless M divides N."""
    if chains < 1 or antennas % chains:
        raise InputError(
            f"{antennas} antennas are not divisible by {chains} chains into sub-arrays of equal size; "
            "give another number of chains, or a mask of your own"
        )


KIND = Kind("subarrays", subarrays, "each chain on its own block of neighbouring antennas")
