"""Channels of Sionna's own models, sent through Sionna's own channel application and seen in its geometry.

CDL-A and UMi of Sionna PHY, made with the functions of tools/umi_drop.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import script
from sionna.phy import config
from sionna.phy.channel import ApplyOFDMChannel, cir_to_ofdm_channel, subcarrier_frequencies
from sionna.phy.channel.tr38901 import CDL

import beamfold as bf

drop = script("umi_drop", "tools")
N, K, SUBCARRIER = 32, 4, 3
FREQUENCIES = subcarrier_frequencies(8, drop.SPACING, precision="double")
USER, TARGETS = 40.0, (-50.0, 20.0)


@pytest.fixture(autouse=True)
def seed():
    """Sionna draws from a generator of its own."""
    config.seed = 1


def cdl() -> torch.Tensor:
    """CDL-A, each draw a user of its own: (batch, 1, 1, 1, N, 1, 8)."""
    model = CDL("A", 100e-9, drop.CARRIER, drop.panel(1), drop.panel(N), "downlink", precision="double")
    return cir_to_ofdm_channel(FREQUENCIES, *model(24, 1, drop.SPACING))


def received(h: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    """|y|² (batch, K, streams) of Sionna's y = H x, one stream sent after another."""
    channel, power = ApplyOFDMChannel(precision="double"), []
    for stream in X.unbind(-1):
        x = torch.zeros(len(X), 1, N, 1, len(FREQUENCIES), dtype=torch.complex128)
        x[:, 0, :, 0, SUBCARRIER] = stream
        power.append(channel(x, h)[:, :, 0, 0, SUBCARRIER].abs().square())
    return torch.stack(power, -1)


@pytest.mark.parametrize("model", ["CDL-A", "UMi"])
@pytest.mark.parametrize("method", ["fast", "pga"])
def test_the_rate_is_that_of_sionnas_own_channel_application(model, method):
    """R of F W as stated, and from the powers that Sionna's users receive of each stream."""
    if model == "CDL-A":
        h = cdl()
        found = bf.from_sionna(
            h, axes="users,-,receive,-,antennas,symbols,subcarriers", users=K, subcarrier=SUBCARRIER
        )
        h = h.reshape(-1, K, 1, 1, N, 1, len(FREQUENCIES))
    else:
        h = drop.dropped(6, N, FREQUENCIES)
        found = bf.from_sionna(h, subcarrier=SUBCARRIER, normalise="user")
        scale = found.H.norm(dim=-1) / h[:, :, 0, 0, :, 0, SUBCARRIER].norm(dim=-1)
        h = h * scale[:, :, None, None, None, None, None]
    assert found.H.shape == (6, K, N)
    s = bf.make_scenario(found.H, bf.solve_covariance(found.array, list(TARGETS)), snr_db=12)
    d = bf.design(s, method)
    power = received(h, d.F @ d.W)
    signal = power.diagonal(dim1=-2, dim2=-1)
    R = torch.log2(1 + signal / (1 + power.sum(-1) - signal)).sum(-1)
    assert torch.allclose(R, d.rate, rtol=1e-5, atol=0) and float(R.min()) > 5


def first_path(array, azimuths: np.ndarray, up: float = 0.0) -> torch.Tensor:
    """h (batch, users, 1, 1, N, 1, 1): the path in line of sight, with the cluster around it."""
    gains, _ = drop.umi(array, *drop.placed(azimuths, up))
    return gains[:, :, :, :, :, :1].sum(5)[..., None]


def test_rows_point_where_sionna_has_its_users():
    """A line and a planar panel: users 40 m away at angles that the test places."""
    places = np.array([[USER, *TARGETS, -35.0]])
    found = bf.from_sionna(first_path(drop.panel(N), places))
    grid = torch.arange(-90, 90.01, 0.05, dtype=torch.float64)
    gain = (found.H[0] @ found.array.steering(grid.deg2rad()).mT).abs()
    assert np.abs(grid[gain.argmax(-1)].numpy() - places[0]).max() <= 0.5
    flat = bf.from_sionna(first_path(drop.panel(16, 4), places[:, :1], up=10.0), array="planar:16x4")
    axis = torch.arange(-60, 60.1, 1, dtype=torch.float64)
    pairs = torch.cartesian_prod(axis, axis)
    peak = pairs[(flat.H[0, 0] @ flat.array.steering(pairs.deg2rad()).mT).abs().argmax()]
    elevation = np.rad2deg(np.arctan2(10.0, drop.METRES))  # 14 degrees
    assert abs(float(peak[0]) - USER) <= 1 and abs(float(peak[1]) - elevation) <= 1


def test_targets_are_lit_where_sionna_has_them():
    """The power of Ψ at receivers around each target and at its mirror image, a mean of 10 draws."""
    around, draws = np.arange(-2, 2.1, 0.5), 10
    near = np.array([[*(target + around), -target] for target in TARGETS])
    h = first_path(drop.panel(N), np.tile(near.ravel(), draws)[:, None])
    found = bf.from_sionna(h, normalise="user")
    radar = bf.solve_covariance(found.array, list(TARGETS))
    rows = found.H[:, 0]
    power = ((rows @ radar.Psi) * rows.conj()).sum(-1).real.reshape(draws, *near.shape).mean(0)
    at, mirrored = power[:, :-1], power[:, -1]
    assert np.abs(around[at.argmax(-1)]).max() <= 0.5
    assert float(at.amax(-1).min()) > 5 and float(mirrored.max()) < 1.5, "over the mean of all directions"
