"""Analog networks: masks and phase levels, closed forms on them, designs on them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_cli import run  # noqa: F401

import beamfold as bf
from beamfold import networks
from beamfold.constraints import total_power
from beamfold.files.designs import read_designs
from beamfold.kernels import levels
from beamfold.networks import Network, dynamic, fully_connected, interleaved, quantised, subarrays
from beamfold.networks.fit import assignment, digital_step, fitted, phases
from beamfold.optim.few_bits import on_levels, rounded
from beamfold.start import proposed
from beamfold.testing import check_network, three_beams


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


@pytest.mark.parametrize("bits", [None, 1, 3])
@pytest.mark.parametrize("name", networks.NAMES)
def test_every_network_keeps_the_contract(name, bits):
    check_network(networks.named_network(name, 12, 4, bits))


def test_a_mask_of_the_users_keeps_the_contract():
    check_network(SUBS["unequal"])
    check_network(Network(torch.rand(9, 3, generator=torch.Generator().manual_seed(0)) < 0.8))


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
        G = s.on_F(s.ascent(F @ W), W) * mask
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


BITS = [(bits, name) for bits in (1, 2, 3) for name in ("full", "subarrays", "dynamic")]


@pytest.mark.parametrize(("bits", "name"), BITS)
def test_few_bits_stay_on_the_levels_and_every_step_gains(bits, name):
    """Rounded < W refitted <= designed, on each channel, and the figures are those of the objective."""
    network = networks.named_network(name, 16, 4, bits)
    s = on(network)
    start = proposed(replace(s, network=network.continuous))
    turned = rounded(start, bits)
    naive = s.objective(turned.F @ total_power(turned.F, turned.W, s.power))
    fitted_W, full = (on_levels(s, start, passes=passes) for passes in (0, 12))
    values = [s.objective(p.F @ p.W) for p in (fitted_W, full)]
    assert bool((values[0] >= naive - 1e-9).all()) and bool((values[1] >= values[0] - 1e-9).all())
    assert float(values[1].mean()) > float(naive.mean())
    for point in (fitted_W, full):
        assert float(network.violation(point.F).max()) < 1e-12
        assert float((torch.linalg.matrix_norm(point.F @ point.W).square() / s.power - 1).abs().max()) < 1e-12


def test_the_offset_of_a_column_costs_nothing():
    """Rotating columns of F and rows of W together changes nothing, and the rounding is at least as near."""
    s = on(fully_connected(16, 4, bits=2), K=3)
    start = proposed(replace(s, network=s.network.continuous))
    turned = rounded(start, 2)
    plain = quantised(start.F, 2)
    phase = turned.W / start.W
    assert float((phase.abs() - 1).abs().max()) < 1e-9
    errors = [
        (near - whole).abs().square().sum((-2, -1))
        for near, whole in ((turned.F, start.F * phase[..., 0].conj()[..., None, :]), (plain, start.F))
    ]
    assert bool((errors[0] <= errors[1] + 1e-12).all())


def test_the_gradient_in_w_of_the_few_bit_search():
    """f and ∂f/∂W* of kernels.levels against the objective and autograd."""
    s = on(fully_connected(16, 4, bits=3), K=3, count=1)
    F, W = (Z[0] for z in [proposed(s)] for Z in z)
    square = float(s.Psi.abs().square().sum())
    seen = levels.Seen(*(np.ascontiguousarray(Z.numpy()) for Z in (s.H[0] @ F, F.mH @ F, F.mH @ s.Psi @ F)))
    terms = levels.Terms(float(s.power[0]), float(s.weight[0]), 1.0, square)
    V = (W * 1.7).clone().requires_grad_()
    X = F @ V
    theirs = s[0].objective(X * (s.power[0].sqrt() / torch.linalg.matrix_norm(X)))
    (g,) = torch.autograd.grad(theirs, V)
    ours = np.empty_like(W.numpy())
    value = levels.gradient(np.ascontiguousarray(V.detach().numpy()), seen, terms, ours)
    assert value == pytest.approx(float(theirs.detach()), rel=1e-12)
    assert np.abs(ours - g.numpy() / 2).max() <= 1e-11 * np.abs(ours).max()


def test_a_changed_entry_is_seen_as_if_computed_anew():
    s = on(fully_connected(16, 4, bits=3), K=3, count=1)
    F = proposed(s).F[0].numpy()
    H, Psi = s.H[0].numpy(), s.Psi.numpy()

    def see(F):
        return levels.Seen(H @ F, F.conj().T @ F, F.conj().T @ Psi @ F)

    n, m, delta = 5, 2, 0.3 - 0.8j
    at = levels.Entry(F[n], (Psi @ F)[n], np.ascontiguousarray(H[:, n]), float(Psi[n, n].real), m)
    out = levels.Seen(*(np.empty_like(Z) for Z in see(F)))
    levels.change(see(F), out, at, delta)
    G = F.copy()
    G[n, m] += delta
    for ours, theirs in zip(out, see(G), strict=True):
        assert np.abs(ours - theirs).max() <= 1e-13 * np.abs(theirs).max()


def test_the_search_finds_the_best_of_all_small_networks():
    """N = 3, M = 1, 2 bits: none of all 64 settings is better than the one that is found."""
    s = on(fully_connected(3, 1, bits=2), N=3, K=1, count=5)
    found = on_levels(s, proposed(replace(s, network=s.network.continuous)), kicks=20)
    values = s.objective(found.F @ found.W)
    best = torch.full_like(values, -torch.inf)
    for turns in itertools.product(range(4), repeat=3):
        F = torch.exp(0.5j * torch.pi * torch.tensor(turns, dtype=torch.float64))[:, None].expand(5, 3, 1)
        W = total_power(F, torch.ones(5, 1, 1, dtype=torch.complex128), s.power)
        best = torch.maximum(best, s.objective(F @ W))
    assert bool((values >= best - 1e-9 * best.abs()).all())


@pytest.mark.parametrize("name", ["full", "subarrays", "dynamic"])
@pytest.mark.parametrize("method", ["phased-zf", "pga"])
def test_few_bits_through_methods_files_and_the_verifier(name, method, run, tmp_path):  # noqa: F811
    bf.write_channels(tmp_path / "c.npz", bf.saleh_valenzuela(16, 3, 2))
    options = ("--layers", 20, "--inner", 2) if method == "pga" else ()
    code, _, err = run(
        "design",
        "c.npz",
        "--network",
        name,
        "--bits",
        2,
        "--chains",
        4,
        "--method",
        method,
        "-o",
        "d.mat",
        *options,
    )
    assert code == 0, err
    code, out, err = run("verify", "d.mat", "c.npz")
    assert code == 0, (out, err)
    held = read_designs(tmp_path / "d.mat", 2, 3, 16)["design"]
    mask, bits, free = held.network
    assert mask.shape == (16, 4) and bits == 2 and free == (name == "dynamic")
    s = bf.read_scenario(tmp_path / "d.mat")
    assert s.network.same_as(networks.named_network(name, 16, 4, 2))


def test_the_verifier_finds_an_entry_off_the_network(run, tmp_path):  # noqa: F811
    s = on(subarrays(16, 4))
    d = bf.phased_zf(s)
    bf.write_channels(tmp_path / "c.npz", s.H)
    d.F[0, 0, 3] = 0.01
    bf.write_design(tmp_path / "d.npz", d)
    code, out, _ = run("verify", "d.npz", "c.npz")
    assert code == 1 and "modulus 1.0e-02" in out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--network", "subarrays", "--chains", 6), "16 antennas are not divisible by 6 chains"),
        (("--network", "subaray"), "no network 'subaray', did you mean subarrays?"),
        (("--network", "missing.npz"), "no such network or file: missing.npz"),
        (("--network", "m.npz"), "m.npz: antenna 1 of the network is connected to nothing"),
        (("--network", "small.npz"), "is for 8 antennas and 4 chains, found 16 and 4"),
        (("--bits", 0), "phase shifters have 1 to 10 bits, got 0"),
        (("--bits", 11), "phase shifters have 1 to 10 bits, got 11"),
    ],
)
def test_bad_networks_on_the_command_line(arguments, message, run, tmp_path):  # noqa: F811
    bf.write_channels(tmp_path / "c.npz", bf.saleh_valenzuela(16, 3, 2))
    bare = np.ones((16, 4))
    bare[1] = 0
    np.savez(tmp_path / "m.npz", mask=bare)
    np.savez(tmp_path / "small.npz", mask=np.ones((8, 4)))
    code, _, err = run("design", "c.npz", "-o", "d.npz", "--method", "pga", *arguments)
    assert code == 2 and message in err and err.count("\n") == 1 and not (tmp_path / "d.npz").exists()
