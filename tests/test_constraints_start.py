"""Projections (10), (12) and the three starts of Sections III-D and IV-A."""

from __future__ import annotations

import math

import numpy as np
import oracle
import pytest
import torch
from conftest import relative, small, three_beams, ulps
from hypothesis import given
from hypothesis import strategies as st

from beamfold.constraints import modulus_error, power_error, total_power, unit_modulus
from beamfold.scenario import make_scenario
from beamfold.start import STARTS, proposed, random, svd, svd_conjugated, zero_forcing


def gaussian(seed, *shape):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal(shape) + 1j * rng.standard_normal(shape))


def columns(s, b):
    """The M − K columns that follow the channels in G, straight from the targets and Ψ's eigenvectors."""
    missing = s.chains - s.users
    n = np.arange(s.antennas)
    known = [np.exp(1j * math.pi * n * math.sin(t)) for t in s.radar.targets[:missing]]
    _, vectors = np.linalg.eigh(s.Psi.numpy())
    rest = [vectors[:, -1 - i] for i in range(missing - len(known))]
    return np.stack(known + rest, -1) if missing else None


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 4), st.integers(-150, 150))
def test_unit_modulus_keeps_the_phase_and_is_idempotent(seed, N, M, exponent):
    Z = 10.0**exponent * gaussian(seed, N, M)
    F = unit_modulus(Z, torch.ones_like(Z))
    assert float(modulus_error(F)) < 1e-14
    assert float((F.angle() - Z.angle()).abs().max()) < 1e-12
    assert relative(unit_modulus(F, torch.ones_like(F)), F) < 1e-15


def test_a_zero_entry_keeps_its_previous_phase():
    previous = torch.exp(1j * gaussian(0, 3, 2).real).to(torch.complex128)
    Z = gaussian(1, 3, 2)
    Z[1, 0] = 0
    Z[2, 1] = complex(-0.0, -0.0)
    F = unit_modulus(Z, previous)
    assert torch.equal(F[1, 0], previous[1, 0])
    assert torch.equal(F[2, 1], previous[2, 1])
    assert np.allclose(F, oracle.project_modulus(Z.numpy(), previous.numpy()), rtol=0, atol=1e-15)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 4), st.floats(1e-3, 1e4))
def test_total_power_meets_7c_and_is_idempotent(seed, N, M, power):
    F, W = gaussian(seed, N, M), gaussian(seed + 1, M, M)
    P = torch.tensor(power, dtype=torch.float64)
    scaled = total_power(F, W, P)
    assert float(power_error(F @ scaled, P)) < 1e-12
    assert relative(total_power(F, scaled, P), scaled) < 1e-12
    assert relative(scaled, oracle.project_power(F.numpy(), W.numpy(), power)) < 1e-12
    # Only a positive factor changes.
    ratio = (scaled / W).flatten()
    assert float((ratio - ratio[0].real.abs()).abs().max()) < 1e-12 * float(ratio[0].abs())


def test_violations_are_measured():
    F = torch.ones(2, 3, 2, dtype=torch.complex128)
    F[1, 0, 1] = 1.5j
    assert modulus_error(F).tolist() == [0.0, 0.5]
    X = torch.full((1, 1), 3.0, dtype=torch.complex128)
    assert float(power_error(X, torch.tensor(6.0, dtype=torch.float64))) == pytest.approx(0.5)


def test_projections_work_channel_by_channel():
    F, W = gaussian(0, 2, 3, 6, 4), gaussian(1, 2, 3, 4, 2)
    power = torch.arange(1.0, 7.0, dtype=torch.float64).reshape(2, 3)
    scaled = total_power(F, W, power)
    for i, j in np.ndindex(2, 3):
        assert (
            relative(scaled[i, j], oracle.project_power(F[i, j].numpy(), W[i, j].numpy(), float(power[i, j])))
            < 1e-12
        )


SIZES = {
    "M = K": {"antennas": 12, "users": 3},
    "one user": {"antennas": 5, "users": 1},
    "M = N": {"antennas": 4, "users": 2, "chains": 4},
    "targets for all of M - K": {"antennas": 12, "users": 2, "chains": 4},
    "fewer targets than M - K": {"antennas": 12, "users": 3, "chains": 6, "degrees": (-60.0, 40.0)},
    "no target known": {"antennas": 12, "users": 2, "chains": 4, "degrees": (0.0,)},
}


def sized(name, **change):
    s = small(**(SIZES[name] | change))
    if name == "no target known":
        distinct = three_beams(12, weights=(0.5, 0.3, 0.2))  # eigenvectors that are not arbitrary
        s = make_scenario(s.H, distinct.Psi, snr_db=6, chains=4)
        assert s.radar.targets == ()
    return s


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("start", STARTS)
def test_starts_are_feasible(name, start):
    s = sized(name)
    F, W = STARTS[start](s)
    assert F.shape == (4, s.antennas, s.chains)
    assert W.shape == (4, s.chains, s.users)
    assert F.dtype == W.dtype == torch.complex128
    assert float(modulus_error(F).max()) < 1e-12
    assert float(power_error(F @ W, s.power).max()) < 1e-12


@pytest.mark.parametrize("name", SIZES)
def test_proposed_is_equation_26(name):
    s = sized(name)
    F, W = proposed(s)
    for b in range(4):
        F0, W0 = oracle.start(s.H[b].numpy(), float(s.power[b]), columns(s, b))
        # A column may turn as a whole, as the eigenvectors of Ψ do from one library to the next.
        turn = F[b].numpy()[0] / F0[0]
        assert np.allclose(turn[: s.users], 1, rtol=0, atol=1e-8)
        assert relative(F[b], F0 * turn) < 1e-8
        assert relative(F[b] @ W[b], F0 @ W0) < 1e-8


def test_proposed_is_phased_zero_forcing_for_as_many_chains_as_users():
    """[68]: F takes the phases of the channels, and W is the least-squares solution of F W = X_ZF."""
    s = small(antennas=16, users=4)
    F, W = proposed(s)
    assert relative(F, torch.exp(1j * s.H.mH.angle())) < 1e-14
    X = np.linalg.pinv(s.H[0].numpy())
    best, *_ = np.linalg.lstsq(F[0].numpy(), X, rcond=None)
    best *= math.sqrt(float(s.power[0])) / np.linalg.norm(F[0].numpy() @ best)
    assert relative(W[0], best) < 1e-10


def test_random_zero_forces_the_effective_channel():
    """[63]: W = (H F)^† leaves no interference."""
    s = sized("targets for all of M - K")
    F, W = random(s, seed=3)
    A = (s.H @ F @ W).numpy()
    off = A - A * np.eye(2)
    assert np.abs(off).max() < 1e-12 * np.abs(A).max()
    W0 = np.linalg.pinv(s.H[1].numpy() @ F[1].numpy())
    assert relative(W[1], oracle.project_power(F[1].numpy(), W0, float(s.power[1]))) < 1e-10


def test_random_is_repeatable_and_each_channel_has_its_own():
    s = small()
    assert torch.equal(random(s, seed=1).F, random(s, seed=1).F)
    assert not torch.isclose(random(s, seed=1).F, random(s, seed=2).F).all()
    assert not torch.isclose(random(s).F[0], random(s).F[1]).all()
    # the same phases; a vector register rounds e^{jϑ} within an ulp, its remainder of a batch within another
    assert ulps(random(s[:2]).F, random(s).F[:2]) <= 2


@pytest.mark.parametrize(("start", "sign"), [(svd, 1), (svd_conjugated, -1)])
def test_svd_takes_the_phases_of_singular_vectors(start, sign):
    """[67]: columns up to a common phase each, which an SVD leaves open."""
    s = small(antennas=10, users=3)
    F, W = start(s)
    for b in range(4):
        H = s.H[b].numpy() if sign > 0 else s.H[b].numpy().conj()
        V = np.linalg.svd(H)[2].conj().T[:, :3]
        ratio = F[b].numpy() / np.exp(1j * np.angle(V))
        assert np.abs(ratio - ratio[:1]).max() < 1e-8
        F0 = F[b].numpy()
        W0 = oracle.project_power(F0, np.linalg.pinv(F0) @ np.linalg.pinv(s.H[b].numpy()), float(s.power[b]))
        assert relative(W[b], W0) < 1e-8


def test_zero_forcing_leaves_no_interference():
    s = small(antennas=9, users=4)
    A = s.H @ zero_forcing(s.H)
    assert float((A - torch.eye(4)).abs().max()) < 1e-12


@pytest.mark.parametrize("start", STARTS)
def test_two_equal_users_still_have_a_start(start):
    """F is rank deficient, and so is H: the pseudo-inverse keeps everything finite and feasible."""
    s = small(antennas=8, users=2)
    H = s.H.clone()
    H[:, 1] = H[:, 0]
    s = make_scenario(H, s.radar, snr_db=6)
    F, W = STARTS[start](s)
    assert bool(torch.isfinite(torch.view_as_real(W)).all())
    assert float(modulus_error(F).max()) < 1e-12
    assert float(power_error(F @ W, s.power).max()) < 1e-9
