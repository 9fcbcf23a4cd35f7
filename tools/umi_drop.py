"""Channels of Sionna's UMi model (3GPP TR 38.901): the drop of users of docs/measured/real-channels.md.

    python tools/umi_drop.py umi.npz [antennas]

`h` (40, 4, 1, 1, N, 1, 1) complex64 as `cir_to_ofdm_channel` returns it, (batch, rx, rx_ant, tx, tx_ant,
time, freq), path loss and shadowing included: in each of 40 sectors Sionna drops 4 users by its defaults,
most of them indoors. N is 64. `tests/test_sionna.py` makes its channels with the same functions.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from sionna.phy import config
from sionna.phy.channel import cir_to_ofdm_channel, gen_single_sector_topology
from sionna.phy.channel.tr38901 import PanelArray, UMi

CARRIER, SPACING = 28e9, 120e3  # Hz
SECTORS, USERS = 40, 4
METRES = 40.0  # between the base station and a user of `placed`


def panel(columns: int, rows: int = 1) -> PanelArray:
    """Single polarisation, half a wavelength apart."""
    options = {"polarization": "single", "polarization_type": "V", "antenna_pattern": "omni"}
    return PanelArray(rows, columns, carrier_frequency=CARRIER, precision="double", **options)


def umi(array: PanelArray, *topology: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Gains (batch, users, 1, 1, antennas, paths, 1) and delays of the paths, as UMi draws them."""
    model = UMi(CARRIER, "low", panel(1), array, "downlink", precision="double")
    model.set_topology(*topology)
    return model(1, SPACING)


def placed(azimuths: np.ndarray, up: float = 0.0) -> tuple[Any, ...]:
    """The topology of users in line of sight at azimuths (batch, users) in degrees, `up` metres higher."""
    place = torch.tensor(np.deg2rad(azimuths))
    at = torch.stack([METRES * place.cos(), METRES * place.sin(), torch.full_like(place, 10.0 + up)], dim=-1)
    base, still = torch.zeros(len(place), 1, 3).double(), torch.zeros_like(at)
    outside = torch.zeros(place.shape, dtype=torch.bool)
    return at, base + torch.tensor([0.0, 0.0, 10.0]), still, base, still, outside, True


def dropped(sectors: int, antennas: int, frequencies: torch.Tensor) -> torch.Tensor:
    """h (sectors, 4, 1, 1, antennas, 1, subcarriers) of users whom Sionna drops."""
    topology = gen_single_sector_topology(sectors, USERS, "umi", precision="double")
    return cir_to_ofdm_channel(frequencies, *umi(panel(antennas), *topology))


def main() -> None:
    """Write the file."""
    config.seed = 1
    h = dropped(SECTORS, int(sys.argv[2]) if len(sys.argv) > 2 else 64, torch.zeros(1).double())
    np.savez_compressed(sys.argv[1], h=h.numpy().astype(np.complex64))
    gain = 10 * h.abs().square().mean(4).flatten().log10()
    print(tuple(h.shape), f"path gain {float(gain.min()):.0f} to {float(gain.max()):.0f} dB")


if __name__ == "__main__":
    main()
