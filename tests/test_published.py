"""What the paper's authors published, reproduced; skipped where their data is not beside the checkout."""

from __future__ import annotations

import pytest
import torch
from conftest import relative, script

from beamfold import unfolded
from beamfold.scenario import make_scenario

published = script("published")
pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def methods(reference):
    return published.methods(reference)


@pytest.mark.parametrize("snr_db", published.SNRS)
@pytest.mark.parametrize("name", ["conventional PGA", "unfolded J=1", "unfolded J=20"])
def test_the_table(reference, methods, name, snr_db):
    """R and τ within 0.5 %, the MSE within 0.05 dB, as the mean over the 100 channels."""
    theirs = published.TABLE[name][published.SNRS.index(snr_db)]
    ours = published.measure(methods[name](published.published_scenario(reference, snr_db)))
    assert ours.rate == pytest.approx(theirs.rate, rel=5e-3)
    assert ours.tau == pytest.approx(theirs.tau, rel=5e-3)
    assert ours.mse == pytest.approx(theirs.mse, abs=0.05)


@pytest.mark.parametrize("snr_db", published.SNRS)
def test_zf_digital(reference, methods, snr_db):
    """The published benchmark curves are means over the first 10 channels: there ZF agrees."""
    theirs = published.TABLE["digital ZF"][published.SNRS.index(snr_db)]
    ours = published.measure(methods["digital ZF"](published.published_scenario(reference, snr_db, 10)))
    assert ours.rate == pytest.approx(theirs.rate, rel=5e-4)
    assert ours.tau == pytest.approx(theirs.tau, rel=5e-3)  # printed with three digits at 0 dB


def test_the_objective_layer_by_layer(reference):
    """R − 0.3 τ after 0, 10, 20, 40, 70, 120 layers, to the printed digits."""
    curve = published.objective_curve(reference)
    for layers, value in published.OBJECTIVE.items():
        assert float(curve[layers]) == pytest.approx(value, abs=0.06), layers


def test_the_readable_path_too(reference):
    """The first four channels at 12 dB through all 2400 steps: kernel and complex128 agree."""
    s = published.published_scenario(reference, 12, 4)
    model = published.published_model(reference, 20)
    fast, plain = (unfolded(s, model, engine=engine) for engine in ("kernel", "torch"))
    assert relative(fast.rate, plain.rate) < 1e-3
    assert relative(fast.tau, plain.tau) < 1e-3


def test_the_channels_have_the_power_that_we_draw_with(reference):
    """E‖h_k‖² = N, which is why (2) has √(N/Q) here."""
    H = published.published_channels(reference)
    assert H.shape == (100, 4, 64)
    assert float(H.abs().square().sum(-1).mean()) == pytest.approx(64, rel=0.1)


def test_psi_scales_with_the_power(reference):
    """Solved per P_t in the published data, and still one Ψ at unit power."""
    low, high = (published.published_radar(reference, snr_db).Psi for snr_db in (0, 12))
    assert relative(low, high) < 0.02
    assert float((torch.diagonal(high).real - 1 / 64).abs().max()) < 1e-4


def test_conjugated_rows_matter(reference):
    """Read as they lie in the file, the channels would be other users' channels."""
    s = published.published_scenario(reference, 12, 5)
    model = published.published_model(reference, 20)
    wrong = make_scenario(s.H.conj().resolve_conj(), s.radar, snr_db=12)
    right, other = unfolded(s, model), unfolded(wrong, model)
    assert relative(other.tau, right.tau) > 1e-3
