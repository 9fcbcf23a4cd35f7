"""Bands against published wideband data: rates of its precoders, and digital optima beside them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.io import loadmat

import beamfold as bf
from beamfold.objective import rate

FREQUENCIES = (27.75e9, 28.25e9)


@pytest.fixture(scope="module")
def stored(reference):
    """H (channels, subcarriers, users, antennas) with rows h^H; precoders X and rates over SNR −2 … 12 dB."""
    held = loadmat(reference / "wideband" / "data_comm_8x2x2.mat")
    H = torch.from_numpy(np.transpose(held["H"], (3, 2, 1, 0)).conj().copy())
    X = torch.from_numpy(np.transpose(held["Q0_all"], (4, 3, 2, 0, 1)).copy())
    R = torch.from_numpy(np.transpose(held["R_all"], (2, 1, 0)).copy())
    return H, X, R


def test_the_rates_of_the_stored_precoders(stored):
    H, X, R = stored
    assert X.shape == (8, 5, 2, 8, 2)
    assert float((rate(H, X, 1.0) - R).abs().max()) < 5e-4


@pytest.mark.parametrize("at", [0, 4, 7])
def test_the_digital_optimum_is_not_below_them(stored, at):
    H, _, R = stored
    s = bf.make_scenario(
        H, np.eye(8) / 8, snr_db=-2 + 2 * at, weight=0.0, frequencies=FREQUENCIES, carrier_hz=28e9
    )
    assert float(bf.design(s, "digital").rate.mean()) >= float(R[at].mean()) - 1e-3
