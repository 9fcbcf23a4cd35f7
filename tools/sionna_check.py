"""Channels of Sionna PHY against its own channel application, and a drop of its UMi model as a file.

    python tools/sionna_check.py [umi.npz]      # where sionna or sionna-no-rt is installed

1. R of a design, from Sionna's own y = H x for each stream, against R as stated: CDL-A and UMi. 2. Where the
row of a line-of-sight user at azimuth +40 degrees peaks, by the antennas of `from_sionna`. 3. With a file
name: 40 channels of a UMi drop.
"""

from __future__ import annotations

import math
import sys

import numpy as np
import torch
from sionna.phy import config
from sionna.phy.channel import ApplyOFDMChannel, cir_to_ofdm_channel, subcarrier_frequencies
from sionna.phy.channel.tr38901 import CDL, PanelArray, UMi

import beamfold as bf

CARRIER, N, USERS = 28e9, 64, 4
FREQUENCIES = subcarrier_frequencies(8, 120e3, precision="double")


def panel(columns: int, rows: int = 1) -> PanelArray:
    """Single polarisation, half a wavelength apart."""
    options = {"polarization": "single", "polarization_type": "V", "antenna_pattern": "omni"}
    return PanelArray(rows, columns, carrier_frequency=CARRIER, precision="double", **options)


def cdl(count: int) -> torch.Tensor:
    """CDL-A, each drawing a user of its own: (batch, 1, 1, 1, N, 1, 8)."""
    arrays = {"ut_array": panel(1), "bs_array": panel(N)}
    model = CDL("A", 100e-9, CARRIER, direction="downlink", precision="double", **arrays)
    a, tau = model(count, 1, 120e3)
    return cir_to_ofdm_channel(FREQUENCIES, a, tau)


def umi(
    azimuths: np.ndarray, los: bool | None, array: PanelArray | None = None, up: float = 0.0
) -> torch.Tensor:
    """UMi, users at azimuths (batch, K), 40 m away and `up` m higher: (batch, K, 1, 1, N, 1, 8)."""
    arrays = {"ut_array": panel(1), "bs_array": array or panel(N)}
    model = UMi(CARRIER, "low", direction="downlink", precision="double", **arrays)
    place = torch.tensor(np.deg2rad(azimuths))
    batch, K = place.shape
    at = torch.stack([40 * torch.cos(place), 40 * torch.sin(place), torch.full_like(place, 10.0 + up)], -1)
    bs, zero = torch.tensor([[[0.0, 0, 10]]]).double().expand(batch, 1, 3), torch.zeros(batch, K, 3).double()
    outside = torch.zeros(batch, K, dtype=torch.bool)
    model.set_topology(at, bs, zero, torch.zeros(batch, 1, 3).double(), zero, outside, los)
    a, tau = model(1, 120e3)
    return cir_to_ofdm_channel(FREQUENCIES, a, tau)


def apply(h: torch.Tensor, X: torch.Tensor, subcarrier: int) -> torch.Tensor:
    """|y|² (B, K, streams) of Sionna's y = H x, one stream sent after another."""
    sent = ApplyOFDMChannel(precision="double")
    heard = []
    for stream in X.unbind(-1):
        x = torch.zeros(len(X), 1, h.shape[4], 1, h.shape[-1], dtype=torch.complex128)
        x[:, 0, :, 0, subcarrier] = stream
        heard.append(sent(x, h)[:, :, 0, 0, subcarrier])
    return torch.stack(heard, -1).abs().square()


def rates(name: str, h: torch.Tensor, found: bf.Channels) -> None:
    """R as stated against R by Sionna's own channel application; h is (B, K, 1, 1, N, 1, 8)."""
    radar = bf.solve_covariance(found.array, [-50, 20])
    d = bf.design(bf.make_scenario(found.H, radar, snr_db=12), "fast")
    scale = (found.H.abs().square().sum() / h[..., 0, 3].abs().square().sum()).sqrt()
    y = apply(h * scale, d.X, 3)
    signal = y.diagonal(dim1=-2, dim2=-1)
    R = torch.log2(1 + signal / (1 + y.sum(-1) - signal)).sum(-1)
    print(f"{name}: {found.told}")
    print(f"    R {float(d.rate.mean()):.4f}, largest difference {float((R - d.rate).abs().max()):.1e}")


def main() -> None:
    """Print the figures; write the drop where a file is named."""
    config.seed = 1
    h = cdl(40)
    found = bf.from_sionna(
        h, axes="users,-,receive,-,antennas,symbols,subcarriers", users=USERS, subcarrier=3, normalise="set"
    )
    rates("CDL-A", h.reshape(10, USERS, 1, 1, N, 1, 8), found)
    azimuths = np.random.default_rng(0).uniform(-60, 60, (40, USERS))
    h = umi(azimuths, None)
    found = bf.from_sionna(h, subcarrier=3, normalise="user")
    scale = found.H.norm(dim=-1) / h[:, :, 0, 0, :, 0, 3].norm(dim=-1)
    rates("UMi", h * scale[:, :, None, None, None, None, None], found)
    one = bf.from_sionna(umi(np.full((1, 1), 40.0), True), subcarrier=3)
    grid = torch.deg2rad(torch.arange(-90, 90.01, 0.1, dtype=torch.float64))
    gain = (one.H[0, 0] @ one.array.steering(grid).mT).abs()
    print(f"user at +40 degrees: its row peaks at {math.degrees(float(grid[gain.argmax()])):.1f} degrees")
    h = umi(np.full((1, 1), 40.0), True, panel(16, 4), up=10.0)  # 14 degrees of elevation
    flat = bf.from_sionna(h, subcarrier=3, array="planar:16x4")
    axes = torch.deg2rad(torch.arange(-80, 80.1, 1, dtype=torch.float64))
    pairs = torch.cartesian_prod(axes, axes)
    gain = (flat.H[0, 0] @ flat.array.steering(pairs).mT).abs()
    print(
        "planar 16 x 4, elevation 14: at azimuth, elevation "
        f"{torch.rad2deg(pairs[gain.argmax()]).tolist()} degrees"
    )
    if len(sys.argv) > 1:
        bf.write_channels(sys.argv[1], found.H, {"rows": "h^H", "understood": found.told}, found.array)


if __name__ == "__main__":
    main()
