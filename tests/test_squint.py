"""Beam squint: the loss of a beam set at the carrier, true time delay, and the dimensions of a band."""

from __future__ import annotations

import math

import pytest
import torch

import beamfold as bf
from beamfold.arrays import line_array, planar_array
from beamfold.channel import band_frequencies
from beamfold.squint import delayed_beam, energy, gain_over_band

THETA = math.radians(60)


def ratios(carrier_ghz, bandwidth_ghz, subcarriers=64):
    return (
        band_frequencies(subcarriers, 1e9 * carrier_ghz, 1e9 * bandwidth_ghz) / (1e9 * carrier_ghz)
    ).tolist()


def decibel(values):
    return 10 * torch.log10(values)


@pytest.mark.parametrize(
    ("antennas", "carrier", "bandwidth", "edge", "mean"),
    [
        (16, 28, 1, -0.21, -0.07),
        (64, 28, 0.4, -0.55, -0.18),
        (64, 28, 1, -3.70, -1.09),
        (64, 28, 2, None, -3.41),
        (64, 300, 30, None, -4.79),
        (256, 300, 30, None, -10.5),
    ],
)
def test_the_loss_of_a_beam_that_is_set_at_the_carrier(antennas, carrier, bandwidth, edge, mean):
    """At 60° and 64 subcarriers, against figures computed independently of this program."""
    g = gain_over_band(line_array(antennas), THETA, ratios(carrier, bandwidth))
    assert float(decibel(g.mean())) == pytest.approx(mean, abs=0.05 if mean == -10.5 else 0.02)
    if edge is not None:
        assert decibel(g[[0, -1]]).tolist() == pytest.approx([edge, edge], abs=0.02)
    if (carrier, bandwidth) == (28, 2):
        assert float(decibel(g[[0, -1]]).max()) < -25  # a null


def test_no_squint_at_broadside_and_none_at_the_carrier():
    assert float((gain_over_band(line_array(64), 0.0, ratios(28, 2)) - 1).abs().max()) < 1e-14
    assert float(gain_over_band(planar_array(8, 4), torch.tensor([0.5, -0.3]), [1.0])) == pytest.approx(1)


def test_a_beam_points_to_the_sine_over_the_ratio():
    array, ratio = line_array(64), 1.02
    w = delayed_beam(array, torch.tensor(THETA, dtype=torch.float64), ratio)
    angles = torch.linspace(math.radians(50), math.radians(70), 20001, dtype=torch.float64)
    power = (array.steering(angles, ratio).conj() @ w).abs().square()
    assert math.sin(float(angles[power.argmax()])) == pytest.approx(math.sin(THETA) / ratio, abs=1e-4)


@pytest.mark.parametrize(
    ("carrier", "bandwidth", "lines", "mean"),
    [(28, 1, 4, -0.07), (28, 1, 8, -0.02), (300, 30, 4, -0.55), (300, 30, 8, -0.14)],
)
def test_true_time_delay(carrier, bandwidth, lines, mean):
    """Q lines behave as an array of N/Q."""
    over = ratios(carrier, bandwidth)
    g = gain_over_band(line_array(64), THETA, over, lines)
    assert float(decibel(g.mean())) == pytest.approx(mean, abs=0.01)
    smaller = gain_over_band(line_array(64 // lines), THETA, over)
    assert float((g - smaller).abs().max()) < 1e-12
    assert float((gain_over_band(line_array(64), THETA, over, 64) - 1).abs().max()) < 1e-12


def test_true_time_delay_of_a_planar_array_is_that_of_its_blocks():
    """Q = 8 columns of 4 elements: what is left is the squint of one column."""
    angle, over = torch.tensor([0.7, 0.4]), ratios(28, 2)
    g = gain_over_band(planar_array(8, 4), angle, over, 8)
    assert float((g - gain_over_band(planar_array(1, 4), angle, over)).abs().max()) < 1e-12


@pytest.mark.parametrize(
    ("carrier", "bandwidth", "shares"), [(28, 1, (0.787, 0.989, 1.000)), (300, 30, (0.360, 0.702, 0.993))]
)
def test_the_dimensions_of_a_band(carrier, bandwidth, shares):
    found = energy(line_array(64), THETA, ratios(carrier, bandwidth))
    assert found[[0, 1, 3]].tolist() == pytest.approx(shares, abs=5e-4)
    assert float(found[-1]) == pytest.approx(1)


def test_lines_that_do_not_divide_the_antennas():
    with pytest.raises(bf.InputError, match="5 delay lines do not divide 64 antennas"):
        gain_over_band(line_array(64), THETA, [1.0], 5)
