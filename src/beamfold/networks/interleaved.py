"""Interleaved sub-arrays: each chain feeds every M-th antenna."""

from __future__ import annotations

import torch

from beamfold.networks.base import Kind, Network
from beamfold.networks.subarrays import check_division


def interleaved(antennas: int, chains: int, bits: int | None = None) -> Network:
    """B_nm = 1 where n mod M = m: Fᴴ F = (N/M) I, on an array as long as the whole.

    Raises:
        InputError: N is not a multiple of M; give a mask of your own then.
    """
    check_division(antennas, chains)
    turn = torch.arange(antennas)[:, None] % chains
    return Network(turn == torch.arange(chains), bits, name="interleaved")


KIND = Kind("interleaved", interleaved, "each chain on every M-th antenna")
