"""What `make_scenario()` checks, what a `Scenario` can do, and how `finish` gives a status."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from conftest import relative, small, three_beams

from beamfold.objective import beam_error, rate
from beamfold.result import Status, finish
from beamfold.scenario import Scenario, make_scenario
from beamfold.sensing import angle_grid
from beamfold.start import proposed

N = 6
H = small(N, 2, count=3).H
RADAR = three_beams(N)


def spoiled(value, where=(1, 0, 2), array=H):
    out = array.clone()
    out[where] = value
    return out


def not_hermitian():
    Psi = RADAR.Psi.clone()
    Psi[0, 1] += 0.01
    return Psi


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": H[0, 0]}, r"channels need axes \(…, users, antennas\), found shape \(6,\)"),
        ({"chains": 1}, "K <= M <= N: found 2 users, 1 RF chains and 6 antennas$"),
        ({"chains": 7}, "K <= M <= N: found 2 users, 7 RF chains and 6 antennas$"),
        ({"chains": 0}, "K <= M <= N: found 2 users, 0 RF chains"),
        (
            {"channels": H.mT},
            r"found 6 users, 6 RF chains and 2 antennas \(are the axes \(…, users, antennas\)\?\)",
        ),
        ({"channels": spoiled(math.nan)}, r"channel 1 holds NaN or Inf \(1 of 3 channels do\)"),
        ({"channels": spoiled(complex(0, math.inf))}, r"channel 1 holds NaN or Inf \(1 of 3 channels do\)"),
        ({"channels": spoiled(math.nan, (slice(1, 3), 0, 0))}, r"channel 1 holds NaN or Inf \(2 of 3"),
        ({"radar": three_beams(5).Psi}, r"Psi is \(5, 5\), expected \(6, 6\) for 6 antennas"),
        ({"radar": three_beams(5)}, r"Psi is \(5, 5\), expected \(6, 6\) for 6 antennas"),
        ({"radar": RADAR.Psi[0]}, r"Psi is \(6,\), expected \(6, 6\)"),
        ({"radar": spoiled(math.nan, (0, 0), RADAR.Psi)}, "Psi holds NaN or Inf"),
        ({"radar": not_hermitian()}, "Psi is not Hermitian, so it is no covariance"),
        ({"weight": -0.1}, "the weight ω must be finite and at least 0, got -0.1"),
        ({"weight": math.nan}, "the weight ω must be finite and at least 0, got nan"),
        ({"weight": math.inf}, "the weight ω must be finite and at least 0, got inf"),
        ({"noise": 0.0}, "the noise power must be finite and above 0, got 0"),
        ({"noise": -1.0}, "the noise power must be finite and above 0, got -1"),
        ({"noise": math.nan}, "the noise power must be finite and above 0, got nan"),
        ({"snr_db": math.inf}, "the SNR must be finite, in dB; got inf"),
        ({"snr_db": math.nan}, "the SNR must be finite, in dB; got nan"),
        ({"snr_db": [0.0, math.nan]}, r"the SNR must be finite, in dB; got \[0.0, nan\]"),
        ({"snr_db": []}, r"the SNR must be finite, in dB; got \[\]"),
    ],
)
def test_bad_input_is_said_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        make_scenario(**({"channels": H, "radar": RADAR, "snr_db": 6.0} | change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("one", [np.int64(6), np.float32(6), np.array(6.0), torch.tensor(6.0)])
def test_one_snr_may_be_any_number(one):
    assert make_scenario(H, RADAR, snr_db=one).batch == (3,)


def test_the_snr_of_numpys_default_float():
    s = make_scenario(H, RADAR, snr_db=np.float64(6))
    assert s.batch == (3,)
    assert make_scenario(H, RADAR, snr_db=np.array([0.0, 6.0])).batch == (2, 3)


def test_a_power_that_overflows_is_refused():
    with pytest.raises(ValueError, match="SNR"):
        make_scenario(H, RADAR, snr_db=4000.0)


def test_a_blocked_user_and_no_sensing_are_legal():
    """A zero h_k is a user in a shadow; Ψ = 0 makes τ = ‖X Xᴴ‖²."""
    s = make_scenario(spoiled(0, (2, 1)), torch.zeros(N, N), snr_db=6)
    X = proposed(s).F @ proposed(s).W
    assert torch.allclose(beam_error(X, s.Psi, s.power), torch.linalg.matrix_norm(X @ X.mH).square())
    assert float(rate(s.H[2], X[2])) == pytest.approx(float(rate(H[2, :1], X[2, :, :1])))


def test_an_indefinite_psi_is_no_covariance():
    with pytest.raises(ValueError, match="Psi"):
        make_scenario(H, torch.diag(torch.tensor([1.0, -1, 1, -1, 1, -1], dtype=torch.complex128)), snr_db=0)


def test_an_index_never_reaches_the_matrices():
    s = make_scenario(H, RADAR, snr_db=0)
    assert torch.equal(s[..., 1].H, H[1])


def test_real_numpy_and_single_precision_are_accepted():
    real = make_scenario(H.real.numpy(), RADAR.Psi.numpy(), snr_db=3)
    assert real.H.dtype == real.Psi.dtype == torch.complex128
    assert float(real.H.imag.abs().max()) == 0
    single = make_scenario(H.to(torch.complex64), RADAR, snr_db=3)
    assert single.H.dtype == torch.complex128
    reversed_axes = make_scenario(H.numpy()[:, ::-1], RADAR, snr_db=3)  # negative strides
    assert torch.equal(reversed_axes.H, H.flip(-2))


def test_what_a_scenario_knows():
    s = make_scenario(H, RADAR, snr_db=10, chains=4, weight=0.7, noise=0.5)
    assert (s.antennas, s.users, s.chains, s.batch, s.noise) == (N, 2, 4, (3,), 0.5)
    assert s.power.tolist() == pytest.approx([5.0] * 3)  # P_t = SNR σ²
    assert s.weight.tolist() == pytest.approx([0.7] * 3)
    assert s.radar.targets == RADAR.targets
    assert make_scenario(H, RADAR, snr_db=0).chains == 2  # M = K unless said
    assert make_scenario(H[0], RADAR, snr_db=0).batch == ()


def test_several_snrs_are_a_leading_axis():
    s = make_scenario(H, RADAR, snr_db=[0, 10, 20], noise=2.0)
    assert s.batch == (3, 3)
    assert s.H.shape == (3, 3, 2, N)
    assert s.power[:, 0].tolist() == pytest.approx([2.0, 20.0, 200.0])
    assert s.power[1].tolist() == pytest.approx([20.0] * 3)
    one = make_scenario(H, RADAR, snr_db=[6.0])
    assert one.batch == (1, 3)
    alone = make_scenario(H[0], RADAR, snr_db=[0, 10])
    assert alone.batch == (2,)
    deep = make_scenario(H.reshape(3, 1, 2, N), RADAR, snr_db=[0, 10])
    assert deep.batch == (2, 3, 1)
    assert deep.power.shape == (2, 3, 1)


def test_a_part_of_a_scenario():
    s = make_scenario(H, RADAR, snr_db=[0, 10])
    part = s[1, :2]
    assert part.batch == (2,)
    assert torch.equal(part.H, H[:2])
    assert part.power.tolist() == pytest.approx([10.0, 10.0])
    assert part.radar is s.radar
    chosen = s[:, [2, 0]]
    assert torch.equal(chosen.H[1], H[[2, 0]])


def test_another_precision():
    s = make_scenario(H, RADAR, snr_db=3).to(dtype=torch.complex64)
    assert s.H.dtype == s.Psi.dtype == torch.complex64
    assert s.power.dtype == s.weight.dtype == torch.float32
    assert s.Psi.dtype == torch.complex64
    same = s.to("cpu")
    assert torch.equal(same.H, s.H)


def finished(s: Scenario, change_F=None, change_W=None, **options):
    F, W = proposed(s)
    F, W = F.clone(), W.clone()
    if change_F is not None:
        F[1, 0, 0] = change_F(F[1, 0, 0])
    if change_W is not None:
        W[1] = change_W(W[1])
    return finish(s, "test", F, W, **({"status": Status.FIXED_DEPTH} | options))


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({"change_F": lambda f: 1.01 * f}, "fixed_depth+infeasible"),
        ({"change_W": lambda W: 1.01 * W}, "fixed_depth+infeasible"),
        ({"change_F": lambda f: f * math.nan}, "fixed_depth+infeasible+not_finite"),
        ({"change_W": lambda W: W * math.inf}, "fixed_depth+infeasible+not_finite"),
        ({"change_W": lambda W: (1 + 1e-6) * W}, "fixed_depth"),
    ],
)
def test_a_design_that_is_not_feasible_or_finite_says_so(options, label):
    """Of the one channel that is spoiled, and of no other."""
    design = finished(make_scenario(H, RADAR, snr_db=6), **options)
    assert design.statuses == ["fixed_depth", label, "fixed_depth"]
    assert design.usable.tolist() == [True, label == "fixed_depth", True]


def test_below_start_is_of_each_channel():
    s = make_scenario(H, RADAR, snr_db=6)
    value = finished(s).objective
    design = finished(s, start_objective=value + torch.tensor([0.0, 0.1, -0.1], dtype=torch.float64))
    assert design.statuses == ["fixed_depth", "fixed_depth+below_start", "fixed_depth"]
    rounding = finished(s, start_objective=value + 1e-7)
    assert set(rounding.statuses) == {"fixed_depth"}


def test_why_it_stopped_is_kept_beside_what_is_wrong():
    s = make_scenario(H, RADAR, snr_db=6)
    given = torch.tensor([Status.CONVERGED, Status.DIVERGED, Status.CLOSED_FORM], dtype=torch.int8)
    assert finished(s, status=given).statuses == ["converged", "diverged", "closed_form"]
    worse = finished(s, status=given, start_objective=torch.full((3,), 1e9, dtype=torch.float64))
    assert worse.statuses == [f"{x}+below_start" for x in ("converged", "diverged", "closed_form")]
    broken = finished(s, change_W=lambda W: 2 * W, status=given)
    assert broken.statuses == ["converged", "diverged+infeasible", "closed_form"]
    assert finished(s, status=Status.CONVERGED).statuses == ["converged"] * 3


def test_what_a_design_knows():
    s = make_scenario(H, RADAR, snr_db=[0, 10], weight=0.5)
    F, W = proposed(s)
    design = finish(s, "test", F.to(torch.complex64), W.to(torch.complex64), status=Status.CLOSED_FORM)
    assert design.F.dtype == design.W.dtype == torch.complex128
    assert relative(design.X, F @ W) < 1e-6
    assert torch.allclose(design.rate, rate(s.H, design.X, s.noise))
    assert torch.allclose(design.tau, beam_error(design.X, s.Psi, s.power))
    assert torch.allclose(design.objective, design.rate - 0.5 * design.tau)
    assert design.status.shape == (2, 3)
    assert len(design.statuses) == 6
    pattern = design.beampattern(angle_grid())
    assert pattern.shape == (2, 3, 181)
    broadside = design.X[1, 2].sum(0).abs().square().sum() / 10  # ā(0) is all ones
    assert float(pattern[1, 2, 90]) == pytest.approx(float(broadside), rel=1e-9)
    assert design.pattern_error(angle_grid()).shape == (2, 3)


def test_a_fully_digital_design_has_no_F():
    s = make_scenario(H, RADAR, snr_db=6)
    F, W = proposed(s)
    design = finish(s, "digital", None, F @ W, status=Status.CLOSED_FORM)
    assert design.F is None
    assert design.X is design.W
    assert set(design.statuses) == {"closed_form"}


def test_a_perfect_match_has_no_pattern_error():
    F, W = proposed(make_scenario(H, RADAR, snr_db=0))
    X = (F @ W)[0]
    s = make_scenario(H[0], X @ X.mH, snr_db=0)
    design = finish(s, "test", F[0], W[0], status=Status.CLOSED_FORM)
    assert float(design.tau) < 1e-25
    assert float(design.pattern_error(angle_grid())) < 1e-20
