"""Analog networks: masks and phase levels, closed forms on them, designs on them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import beamfold as bf
from beamfold import networks
from beamfold.networks import Network, dynamic, fully_connected, interleaved, quantised, subarrays
from beamfold.networks.fit import assignment, digital_step, fitted, phases
from beamfold.objective import gradient_F
from beamfold.start import proposed
from beamfold.testing import three_beams


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def on(network, N=16, K=3, count=3, snr_db=6.0, weight=0.3, seed=0):
    H = bf.saleh_valenzuela(N, K, count, seed=seed)
    return bf.make_scenario(H, three_beams(N), snr_db=snr_db, weight=weight, network=network)


SUBS = {
    "subarrays": subarrays(16, 4),
    "interleaved": interleaved(16, 4),
    "dynamic": dynamic(16, 4),
    "unequal": Network(torch.eye(4, dtype=torch.bool)[[0] * 3 + [1] * 7 + [2] * 2 + [3] * 4]),
}
"""Networks with one chain on each antenna."""


def test_every_named_network_has_its_file():
    folder = Path(networks.__file__).parent
    assert {p.stem for p in folder.glob("*.py")} - {"__init__", "base", "fit"} == set(networks.NAMES)
    for name in networks.NAMES:
        kind = networks.kind_named(name)
        assert kind.name == name and kind.about
        made = networks.named_network(name, 8, 2, 3)
        assert made.name == name and (made.antennas, made.chains, made.bits) == (8, 2, 3)


@pytest.mark.parametrize("make", [subarrays, interleaved])
def test_equal_subarrays_have_orthogonal_columns(make):
    """Fᴴ F = (N/M) I and ‖F W‖² = (N/M) ‖W‖² for every F."""
    network = make(24, 6)
    F = network.connected(torch.polar(torch.ones(24, 6, dtype=torch.float64), 7 * draw(24, 6).real))
    W = draw(6, 3, seed=1)
    assert float((F.mH @ F - 4 * torch.eye(6)).abs().max()) < 1e-12
    assert float(torch.linalg.matrix_norm(F @ W) ** 2) == pytest.approx(
        4 * float(torch.linalg.matrix_norm(W) ** 2)
    )
    assert float(network.violation(F)) < 1e-15 and float(network.violation(0.9 * F)) == pytest.approx(0.1)


@pytest.mark.parametrize("name", SUBS)
def test_the_digital_step_is_the_least_squares_solution_on_the_sphere(name):
    """Against a general solver: the least squares, scaled; and no other W of this power is nearer."""
    network = SUBS[name]
    mask = network.mask if not network.dynamic else interleaved(16, 4).mask
    F = torch.sgn(draw(16, 4)) * mask
    X, power = draw(16, 3, seed=2), torch.tensor(2.5, dtype=torch.float64)
    W = digital_step(F, X, power)
    assert float(torch.linalg.matrix_norm(F @ W) ** 2) == pytest.approx(2.5)
    free = torch.linalg.lstsq(F, X).solution
    along = free * (power.sqrt() / torch.linalg.matrix_norm(F @ free))
    assert float((W - along).abs().max()) < 1e-12
    error = torch.linalg.matrix_norm(X - F @ W)
    for seed in range(50):  # no other W of this power is nearer
        other = W + 0.3 * draw(4, 3, seed=seed + 10)
        other = other * (power.sqrt() / torch.linalg.matrix_norm(F @ other))
        assert float(torch.linalg.matrix_norm(X - F @ other)) >= float(error) - 1e-12


def test_the_assignment_is_the_best_of_all():
    """N = 4 antennas on M = 3 chains, W fixed: all 81 connections with their best phases."""
    X, W = draw(4, 2), draw(3, 2, seed=3)
    best = min(
        float(torch.linalg.matrix_norm(X - phases(X, W, torch.eye(3, dtype=torch.bool)[list(c)]) @ W))
        for c in itertools.product(range(3), repeat=4)
    )
    mask = assignment(X, W, torch.ones(4, 3, dtype=torch.bool))
    assert float(torch.linalg.matrix_norm(X - phases(X, W, mask) @ W)) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("name", SUBS)
def test_alternating_never_leaves_the_network_and_comes_nearer(name):
    network, X = SUBS[name], draw(3, 16, 3, seed=4)
    power = torch.full((3,), 4.0, dtype=torch.float64)
    X = X * (2 / torch.linalg.matrix_norm(X))[:, None, None]
    mask = network.mask if not network.dynamic else interleaved(16, 4).mask
    begin = torch.sgn(draw(3, 16, 4, seed=5)) * mask
    F = fitted(X, power, network, begin)
    assert float(network.violation(F).max()) < 1e-12
    errors = [torch.linalg.matrix_norm(X - Z @ digital_step(Z, X, power)) for Z in (F, begin)]
    assert bool((errors[0] <= errors[1] + 1e-12).all())


def test_rounding_one_coherent_beam_loses_sinc_squared():
    """b bits lose sinc²(2^−b) of a beam's gain at 27° and 10°: 3.92, 0.91, 0.22, 0.056 dB for b = 1 … 4."""
    for degrees in (27.0, 10.0):
        a = bf.line_array(1024).steering(torch.deg2rad(torch.tensor([degrees], dtype=torch.float64))).mT
        f = torch.sgn(a)
        for bits, decibels in ((1, 3.92), (2, 0.91), (3, 0.224), (4, 0.056)):
            loss = -20 * torch.log10((a.mH @ quantised(f, bits)).abs() / (a.mH @ f).abs())
            assert float(loss) == pytest.approx(decibels, abs=0.05)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: subarrays(64, 6), "64 antennas are not divisible by 6 chains"),
        (lambda: interleaved(10, 4), "10 antennas are not divisible by 4 chains"),
        (lambda: Network([[1, 0], [0, 0]]), "antenna 1 of the network is connected to nothing"),
        (lambda: Network([[1, 0], [1, 0]]), "RF chain 1 of the network is connected to nothing"),
        (lambda: Network([[1, 0.5], [1, 0]]), "holds zeros and ones alone"),
        (lambda: Network(np.ones((2, 3))), "at most as many chains as antennas, got 3 and 2"),
        (lambda: Network(np.ones(3)), "the mask of a network has axes (antennas, chains), found (3,)"),
        (lambda: fully_connected(4, 2, bits=0), "phase shifters have 1 to 10 bits, got 0"),
        (lambda: fully_connected(4, 2, bits=11), "phase shifters have 1 to 10 bits, got 11"),
        (lambda: networks.named_network("subarays", 8, 2), "no network 'subarays', did you mean subarrays?"),
        (lambda: on(subarrays(8, 4)), "the network subarrays is for 8 antennas and 4 chains, found 16 and 4"),
    ],
)
def test_refusals_in_one_line(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_the_gradient_on_a_mask_against_autograd():
    """∇ over the phases of the connected entries: 2 Im(F* ∘ ∇_F) of B ∘ the full gradient."""
    mask = torch.rand(16, 4, generator=torch.Generator().manual_seed(1)) < 0.6
    mask[0] = True
    mask[:, 0] = True
    s = on(Network(mask), K=3)
    F, W = proposed(s)
    angle = F.angle().requires_grad_()
    full = torch.where(mask, torch.polar(torch.ones_like(angle), angle), torch.zeros_like(F))
    (theirs,) = torch.autograd.grad(s.objective(full @ W).sum(), angle)
    with torch.no_grad():
        G = gradient_F(s.H, F, W, s.Psi, s.power, s.omega, s.noise) * mask
        ours = 2 * (F.conj() * G).imag
    assert float((ours - theirs).abs().max()) <= 1e-12 * float(theirs.abs().max())


def test_a_mask_of_ones_changes_nothing():
    plain = on(None)
    other = on(fully_connected(16, 3))
    for name, options in (("pga", {"layers": 20, "engine": "torch"}), ("phased-zf", {}), ("zf-digital", {})):
        a, b = (bf.design(s, name, **options) for s in (plain, other))
        assert torch.equal(a.W, b.W) and (a.F is None or torch.equal(a.F, b.F))
    assert torch.equal(
        bf.pga(plain, layers=20, engine="torch").X,
        bf.pga(on(Network(np.ones((16, 3)))), layers=20, engine="torch").X,
    )


@pytest.mark.parametrize("name", SUBS)
@pytest.mark.parametrize("method", ["phased-zf", "pga"])
def test_designs_stay_on_the_network(name, method):
    s = on(SUBS[name])
    d = bf.design(s, method, **({"layers": 30, "inner": 5} if method == "pga" else {}))
    assert bool(d.usable.all()) and float(s.network.violation(d.F).max()) < 1e-12
    assert bool((d.F.abs() > 0).sum(-1).eq(1).all())
    assert d.W.shape == (3, 4, 3)


@pytest.mark.parametrize("name", ["subarrays", "interleaved", "unequal"])
def test_pga_rises_on_a_mask(name):
    s = on(SUBS[name])
    before = s.objective(proposed(s).F @ proposed(s).W)
    after = bf.pga(s, layers=100, inner=1, mu=1e-4, lam=1e-5, eta=1.0, digital="exact").objective
    assert bool((after > before).all())
