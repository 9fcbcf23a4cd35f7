"""Users with several antennas and streams: the rate core, its gradient, and the methods that can do them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_cli import run  # noqa: F401

import beamfold as bf
from beamfold.constraints import full_power
from beamfold.files.designs import read_designs, streams_in
from beamfold.objective import Users, rate, rate_gradient, signal_gradient
from beamfold.objective.rate import LN2, log_det, rate_core
from beamfold.optim.few_bits import rounded
from beamfold.registry import METHODS
from beamfold.start import Point, block_diagonal, proposed
from beamfold.testing import three_beams
from beamfold.verifier import verify

CASES = [(3, 2, 2, 10), (2, 3, 1, 8), (4, 1, 1, 6), (2, 2, 2, 3), (1, 4, 3, 5)]


def draw(K, R, d, N, seed=0, count=4):
    generator = torch.Generator().manual_seed(seed)
    make = lambda *shape: torch.randn(*shape, dtype=torch.complex128, generator=generator)  # noqa: E731
    return make(count, K * R, N), make(count, N, K * d), Users(R, d)


def several(K=3, R=2, d=2, N=16, count=3, snr_db=10.0, weight=0.3, chains=None, seed=0):
    H = bf.saleh_valenzuela(N, K, count, receive=R, seed=seed)
    return bf.make_scenario(H, three_beams(N), snr_db=snr_db, weight=weight, chains=chains, streams=d)


def literal_rate(A, noise, R, d):
    """Σ_k log₂ det T_k − log₂ det Q_k from the definition, for one channel."""
    total = 0.0
    for k in range(len(A) // R):
        rows = A[k * R : (k + 1) * R]
        own = rows[:, k * d : (k + 1) * d]
        T = noise * np.eye(R) + rows @ rows.conj().T
        total += (np.linalg.slogdet(T)[1] - np.linalg.slogdet(T - own @ own.conj().T)[1]) / LN2
    return total


@pytest.mark.parametrize("K, R, d, N", CASES)
def test_the_rate_is_that_of_the_definition(K, R, d, N):
    H, X, users = draw(K, R, d, N)
    literal = [literal_rate(A, 0.7, R, d) for A in (H @ X).numpy()]
    assert np.allclose(rate(H, X, 0.7, users), literal, rtol=1e-12, atol=0)


@pytest.mark.parametrize("K, R, d, N", CASES)
def test_the_gradient_against_autograd(K, R, d, N):
    H, X, users = draw(K, R, d, N)
    X = X.requires_grad_()
    (full,) = torch.autograd.grad(log_det(H @ X, 0.7, users).sum() / LN2, X)
    with torch.no_grad():
        ours = H.mH @ (rate_core(H @ X, 0.7, users) / LN2)
    assert float((ours - full / 2).abs().max()) <= 1e-12 * float(full.abs().max())


def test_one_row_and_column_each_is_equation_4():
    """The core of matrices against the formulas of numbers, R and both gradients."""
    H, X, users = draw(4, 1, 1, 6)
    pairs = (
        (log_det(H @ X, 0.7, users).sum(-1) / LN2, rate(H, X, 0.7)),
        (H.mH @ (rate_core(H @ X, 0.7, users) / LN2), rate_gradient(H, X, 0.7)),
        (H.mH @ (rate_core(H @ X, 0.7, users, signal_only=True) / LN2), signal_gradient(H, X, 0.7)),
    )
    for ours, theirs in pairs:
        assert float((ours - theirs).abs().max()) <= 1e-14 * float(theirs.abs().max())


def test_a_unitary_at_a_user_and_one_on_its_streams_change_nothing():
    K, R, d, N = 3, 2, 2, 8
    H, X, users = draw(K, R, d, N)
    turn = torch.linalg.qr(draw(1, K * 2, 2, 2, seed=5)[0][0].reshape(K, 2, 2)).Q
    blocks = torch.block_diag(*turn)
    for A, B in ((blocks @ H, X), (H, X @ blocks)):
        assert np.allclose(rate(A, B, 0.7, users), rate(H, X, 0.7, users), rtol=1e-12)


def test_block_diagonalisation_leaves_no_interference():
    H, _, users = draw(3, 2, 2, 8)
    A = (H @ block_diagonal(H, users)).abs()
    own = torch.block_diag(*[torch.ones(2, 2)] * 3).bool()
    assert float(A[:, ~own].max()) < 1e-12 * float(A.max())
    # too few antennas for that: none where the users listen, along their leading left singular vectors
    H, _, users = draw(3, 3, 1, 5)
    U = torch.linalg.svd(H.reshape(4, 3, 3, 5), full_matrices=False).U[..., :1]
    heard = (U.mH @ (H @ block_diagonal(H, users)).reshape(4, 3, 3, 3)).squeeze(-2).abs()
    assert float((heard - torch.diag_embed(heard.diagonal(dim1=-2, dim2=-1))).max()) < 1e-10 * float(
        heard.max()
    )


def ascend(s, X, steps=4000):
    """Projected gradient ascent on ‖X‖² = P_t with a step that grows and is halved where R would fall."""
    value, t = s.rate(X), torch.full(s.batch, 0.1, dtype=torch.float64)
    for _ in range(steps):
        G = rate_gradient(s.H, X, s.noise, s.per_user)
        new = full_power(X + t[..., None, None] * G, s.power)
        risen = s.rate(new)
        better = risen >= value
        X = torch.where(better[..., None, None], new, X)
        value = torch.where(better, risen, value)
        t = torch.where(better, 1.3 * t, t / 2)
    return value


def test_wmmse_and_projected_gradient_ascent_end_together():
    """Two independent ascents of R over fully digital X: within one per cent on the mean of 50 channels."""
    s = several(K=3, R=2, d=2, N=12, count=50)
    found = bf.wmmse(s)
    climbed = ascend(s, full_power(block_diagonal(s.H, s.per_user), s.power))
    assert abs(float(climbed.mean()) / float(found.rate.mean()) - 1) < 0.01
    assert bool((found.rate >= s.rate(full_power(block_diagonal(s.H, s.per_user), s.power))).all())


def test_wmmse_ends_where_the_gradient_is_along_x():
    s = several(count=4, snr_db=5.0)
    X = bf.wmmse(s, tolerance=1e-12, iterations=20000).X
    G = rate_gradient(s.H, X, s.noise, s.per_user)
    along = (X.conj() * G).sum((-2, -1)).real / s.power
    across = G - along[..., None, None] * X
    assert float((torch.linalg.matrix_norm(across) / torch.linalg.matrix_norm(G)).max()) < 1e-4


ABLE = [name for name, method in METHODS.items() if method.supports.rows]


def test_which_methods_can_do_users_with_several_antennas():
    assert set(ABLE) == {"pga", "conventional-pga", "unfolded", "zf-digital", "phased-zf", "wmmse", "digital"}
    s = several()
    for name in set(METHODS) - set(ABLE):
        with pytest.raises(
            ValueError, match=r"is for users of one antenna, these have 2.*; use one of .*wmmse"
        ):
            bf.design(s, name)


@pytest.mark.parametrize("name", [name for name in ABLE if name != "unfolded"])
@pytest.mark.parametrize("K, R, d, chains", [(3, 2, 2, 6), (2, 3, 1, 4)])
def test_designs_are_feasible_and_as_the_verifier_finds_them(name, K, R, d, chains):
    s = several(K, R, d, chains=chains)
    options = {"layers": 10} if "pga" in name else {}
    found = bf.design(s, name, **options)
    assert bool(found.usable.all()) and found.X.shape == (3, 16, K * d)
    F = None if found.F is None else found.F.numpy()
    stated = {"rate": found.rate.numpy(), "tau": found.tau.numpy(), "mse": found.mse.numpy()}
    checked = verify(
        s.H.numpy(), F, found.W.numpy(), s.Psi.numpy(), s.power.numpy(), 1.0, stated,
        angles=s.radar.angles.numpy(), receive=R,
    )  # fmt: skip
    assert max(checked.worst().values()) < 1e-9


def test_a_model_runs_on_users_with_several_antennas():
    """Constant step sizes are plain PGA, here as for one antenna each."""
    s = several(2, 2, 2, N=8, chains=4)
    model = bf.UnfoldedPGA(bf.ModelInfo(antennas=8, users=4, chains=4, eta=1 / 8), layers=5, inner=2)
    a = bf.unfolded(s, model)
    b = bf.pga(s, layers=5, inner=2, mu=0.01, lam=0.01)
    assert float((a.X - b.X).abs().max()) < 1e-10
    with pytest.raises(ValueError, match="engine='kernel' is for flat channels and users of one antenna"):
        bf.pga(s, engine="kernel")


def test_the_digital_ceiling_is_no_lower_than_a_hybrid_design():
    s = several(2, 2, 1, chains=4)
    hybrid = bf.pga(s, layers=60, inner=5)
    assert bool(
        (bf.digital(s, starts=("rate", "radar", hybrid.X)).objective >= hybrid.objective - 1e-6).all()
    )


def test_the_start_points_at_the_users():
    s = several(2, 3, 2, chains=5)
    F, W = proposed(s)
    assert F.shape == (3, 16, 5) and W.shape == (3, 5, 4)
    H = s.H.reshape(3, 2, 3, 16)
    leading = torch.linalg.svd(H, full_matrices=False).Vh.mH[..., :2].movedim(-3, -2).flatten(-2)
    # each column of F has the phases of a leading direction, whose own phase is free
    turned = (F[..., :4].conj() * leading).sum(-2).abs() / leading.abs().sum(-2)
    assert np.allclose(turned, 1, atol=1e-12)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"streams": 3}, "a user of 2 antennas can have 1 to 2 streams, got 3"),
        ({"streams": 0}, "a user of 2 antennas can have 1 to 2 streams, got 0"),
        ({"streams": 2, "chains": 5}, "found 3 users of 2 streams, 5 RF chains and 16 antennas; take fewer"),
    ],
)
def test_refusals(change, message):
    H = bf.saleh_valenzuela(16, 3, 2, receive=2)
    with pytest.raises(ValueError) as error:
        bf.make_scenario(H, three_beams(16), snr_db=0, **change)
    assert message in str(error.value)
    with pytest.raises(ValueError, match="users with streams have channels"):
        bf.make_scenario(H[0, 0], three_beams(16), snr_db=0, streams=1)


def test_channels_of_users_with_several_antennas():
    """E‖H_k‖² = N R, and one antenna each is the channel of before up to the gain of its one element."""
    H = bf.saleh_valenzuela(8, 2, 2000, receive=3)
    power = H.abs().square().sum((-2, -1))
    assert H.shape == (2000, 2, 3, 8)
    assert abs(float(power.mean()) / 24 - 1) < 4 * float(power.std()) / 24 / math.sqrt(power.numel())
    one = bf.saleh_valenzuela(8, 2, 5, receive=1)[:, :, 0]
    assert float((one - bf.saleh_valenzuela(8, 2, 5)).abs().max()) < 1e-13


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_files_and_the_command_line(tmp_path, suffix, run):  # noqa: F811
    channels, designs = tmp_path / f"c{suffix}", tmp_path / f"d{suffix}"
    run("generate", "-o", channels, "--antennas", 16, "--users", 2, "--count", 3, "--receive", 2)
    H = bf.read_channels(channels, several=True)
    assert torch.equal(H, bf.saleh_valenzuela(16, 2, 3, receive=2))
    run("design", channels, "--streams", 2, "--method", "wmmse", "-o", designs)
    assert streams_in(designs) == 2
    held = read_designs(designs, 3, 4, 16)["design"]
    assert held.W.shape == (3, 16, 4)
    run("verify", designs, channels)
    with pytest.raises(ValueError, match="give --streams"):
        bf.read_channels(channels)


@pytest.mark.parametrize("bits", [1, 3])
def test_few_bits_for_users_with_several_antennas(bits):
    """F on the levels, W better than the rounded point's and at a maximum: no W near it does better."""
    plain = several(snr_db=6.0, chains=8)
    s = bf.make_scenario(
        plain.H.unflatten(-2, (3, 2)),
        plain.radar,
        snr_db=6.0,
        streams=2,
        network=bf.subarrays(16, 8, bits=bits),
    )
    found = bf.design(s, "pga", inner=2, layers=20)
    assert bool(found.usable.all()) and float(s.network.violation(found.F).max()) < 1e-12
    start = bf.design(bf.make_scenario(plain.H.unflatten(-2, (3, 2)), plain.radar, snr_db=6.0, streams=2,
                                       network=bf.subarrays(16, 8)), "pga", inner=2, layers=20)  # fmt: skip
    turned = rounded(Point(start.F, start.W), bits)
    naive = s.objective(full_power(turned.F @ turned.W, s.power))
    assert bool((found.objective > naive).all())
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        D = torch.randn(found.W.shape, dtype=torch.complex128, generator=generator)
        D = 1e-3 * D * (found.W.norm() / D.norm())
        value = s.objective(full_power(found.F @ (found.W + D), s.power))
        # A step d along a slope of at most 1e-3 / ‖Y‖ gains at most 1e-3 ‖d‖/‖W‖.
        assert bool((value <= found.objective + 1e-5).all())
