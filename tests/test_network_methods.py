"""The field's baselines on partially connected networks: X ≈ F W in three ways, and SIC."""

from __future__ import annotations

import itertools
import math
from importlib import import_module

import numpy as np
import pytest
import torch
from conftest import relative, small

import beamfold as bf
from beamfold.constraints import full_power, power_error
from beamfold.methods.omp import dictionary
from beamfold.networks import Network, dynamic, fully_connected, interleaved, subarrays
from beamfold.networks.fit import analog_step, digital_step
from beamfold.optim import riemannian as R
from beamfold.optim.factorisation import connections, nearest_digital, start_phases
from beamfold.optim.matrices import least_squares

# Modules: the package re-exports a function under each module's name.
A, M, S = (import_module(f"beamfold.methods.{name}") for name in ("altmin", "manopt", "sic"))

METHODS = ("altmin", "manopt", "sca-manopt", "omp", "sic")


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def overlapping(antennas=16, chains=4, seed=3):
    """A mask in which antennas hang on one to M chains."""
    mask = torch.rand(antennas, chains, generator=torch.Generator().manual_seed(seed)) < 0.5
    mask[torch.arange(antennas), torch.arange(antennas) % chains] = True
    return Network(mask)


NETWORKS = {
    "subarrays": subarrays(16, 4),
    "interleaved": interleaved(16, 4),
    "unequal": Network(torch.eye(4, dtype=torch.bool)[[0] * 3 + [1] * 7 + [2] * 2 + [3] * 4]),
    "dynamic": dynamic(16, 4),
    "overlapping": overlapping(),
    "switched": Network(overlapping().mask, dynamic=True),
}
ONE_EACH = [name for name, network in NETWORKS.items() if network.one_chain_each]
FIXED = [name for name, network in NETWORKS.items() if not network.dynamic]


def on(network, count=3, users=3, snr_db=6.0):
    plain = small(network.antennas, users, network.chains, count=count)
    return bf.make_scenario(plain.H, plain.radar, snr_db=snr_db, weight=0.3, network=network)


def problem(name, seed=4):
    """X (3, 16, 3) of power 4, a start F on the network, and P_t."""
    network, power = NETWORKS[name], torch.full((3,), 4.0, dtype=torch.float64)
    mask = interleaved(16, 4).mask if network.dynamic else network.mask
    X = full_power(draw(3, 16, 3, seed=seed), power)
    return X, torch.where(mask, torch.sgn(draw(3, 16, 4, seed=seed + 1)), 0), power


def misfit(X, F, W):
    return torch.linalg.matrix_norm(X - F @ W).square()


# ---- every method on every network ----


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", METHODS)
def test_designs_are_feasible_and_a_batch_is_its_channels(method, name):
    s = on(NETWORKS[name])
    d = bf.design(s, method)
    assert bool(d.usable.all()) and d.W.shape == (3, 4, 3)
    assert float(s.network.violation(d.F).max()) < 1e-12
    assert float(power_error(d.X, s.power).max()) < 1e-12
    if s.network.dynamic:
        assert bool((d.F != 0).sum(-1).eq(1).all())
    else:
        assert bool(((d.F != 0) == s.network.mask).all())
    alone = bf.design(s[1:2], method)
    assert relative(alone.X[0], d.X[1]) < 1e-8


@pytest.mark.parametrize("name", ["unequal", "overlapping", "switched"])
@pytest.mark.parametrize("method", METHODS)
def test_degenerate_channels_end_in_feasible_designs(method, name):
    """Weak and strong channels, equal users, a blocked user and nobody at all, at −30 and 40 dB."""
    s = on(NETWORKS[name], count=5)
    H = s.H.clone()
    H[0] *= 1e-6
    H[1] *= 1e4
    H[2, 1] = H[2, 0]
    H[3, 2] = 0
    H[4] = 0
    for snr_db in (-30.0, 40.0):
        hard = bf.make_scenario(H, s.radar, snr_db=snr_db, weight=5.0, network=NETWORKS[name])
        quick = {"target": bf.zf_digital(hard).X} if method in ("altmin", "manopt", "omp") else {}
        d = bf.design(hard, method, **quick)
        assert bool(torch.isfinite(torch.view_as_real(d.X)).all()) and bool(torch.isfinite(d.objective).all())
        assert float(power_error(d.X, d.scenario.power).max()) < 1e-9
        assert float(d.scenario.network.violation(d.F).max()) < 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_a_users_phase_changes_nothing_on_a_network(method):
    s = on(NETWORKS["overlapping"])
    turned = s.H * torch.exp(1j * torch.tensor([0.3, -2.0, 1.1], dtype=torch.float64))[:, None]
    other = bf.make_scenario(turned, s.radar, snr_db=6, weight=0.3, network=s.network)
    ours, theirs = bf.design(s, method), bf.design(other, method)
    assert relative(theirs.X.abs(), ours.X.abs()) < 1e-6


@pytest.mark.parametrize("chains", [3, 5])
@pytest.mark.parametrize("method", METHODS)
def test_a_mask_of_ones_gives_the_same_bits(method, chains):
    plain = small(16, 3, chains, count=2)
    masked = bf.make_scenario(
        plain.H, plain.radar, snr_db=6, weight=0.3, network=Network(np.ones((16, chains)))
    )
    ours, theirs = bf.design(masked, method), bf.design(plain, method)
    assert torch.equal(ours.F, theirs.F) and torch.equal(ours.W, theirs.W)


@pytest.mark.parametrize("method", METHODS)
def test_few_bits_are_refused(method):
    s = on(subarrays(16, 4, bits=2))
    with pytest.raises(bf.InputError, match=f"the method {method} is for continuous phases") as caught:
        bf.design(s, method)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["altmin", "manopt"])
def test_a_start_off_the_network_is_refused(method):
    s = on(subarrays(16, 4))
    with pytest.raises(bf.InputError, match="the start F is not on the network subarrays") as caught:
        bf.design(s, method, start=torch.sgn(draw(3, 16, 4)))
    assert "\n" not in str(caught.value)
    with pytest.raises(bf.InputError, match="expected"):
        bf.design(s, method, start=s.H)
    F = bf.design(s, "sic").F
    assert torch.equal(start_phases(s, s.H.mH, F) != 0, F != 0)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("start", ["target", "proposed", "random", "svd"])
def test_every_start_is_on_the_network(start, name):
    """Masked first: with iterations = 0 the design is feasible, W fitted to the masked F."""
    s = on(NETWORKS[name])
    for method in ("altmin", "manopt"):
        d = bf.design(s, method, start=start, iterations=0)
        assert bool(d.usable.all()) and float(s.network.violation(d.F).max()) < 1e-12


# ---- the steps ----


@pytest.mark.parametrize("name", NETWORKS)
def test_the_digital_step_against_a_general_solver(name):
    X, F, power = problem(name)
    free = torch.linalg.lstsq(F, X).solution
    W = nearest_digital(F, X, NETWORKS[name])
    assert relative(W, free) < 1e-12
    if NETWORKS[name].one_chain_each:
        scale = power.sqrt() / torch.linalg.matrix_norm(F @ free)
        assert relative(digital_step(F, X, power), scale[:, None, None] * free) < 1e-12


def test_the_circles_keep_zeros():
    """Tangents and retracted points are 0 where F is; the projection is one, and dR_F(0) = id."""
    _, F, _ = problem("overlapping")
    Z = draw(*F.shape, seed=8)
    D = R.circle_tangent(F, Z)
    moved = R.circle_retract(F, D)
    assert bool((D[F == 0] == 0).all()) and bool((moved[F == 0] == 0).all())
    assert float((moved[F != 0].abs() - 1).abs().max()) < 1e-15
    assert relative(R.circle_tangent(F, D), D) < 1e-14
    h = 1e-6
    slope = (R.circle_retract(F, h * D) - R.circle_retract(F, -h * D)) / (2 * h)
    assert relative(slope, D) < 1e-8


@pytest.mark.parametrize("name", ["subarrays", "interleaved", "unequal"])
def test_conjugate_gradients_find_the_closed_form_phases(name):
    """With one chain on each antenna and W fixed the minimum is e^{j∠(X Wᴴ)}, wherever the search starts."""
    X, F, _ = problem(name)
    W = draw(3, 4, 3, seed=9)
    f = M.Misfit.of(F, W, X)
    length = torch.linalg.matrix_norm(f.Q, 2).reciprocal()
    found, status = R.conjugate_gradient(f, R.CIRCLES, F, torch.full((3,), 1e-6).double(), length, 5000)
    assert status.tolist() == [1, 1, 1]
    # An entry that is off by an angle δ has a gradient of |C_nm| sin δ, at most the limit on all of it.
    wanted = analog_step(X, W, NETWORKS[name])
    least = f.C.abs().masked_fill(F == 0, math.inf).amin((-2, -1))
    assert bool(((found - wanted).abs().amax((-2, -1)) < 1.01e-6 / least).all())


def test_the_masked_misfit_against_autograd():
    """Its cost is ‖X − F W‖² − ‖X‖² on the network and its tangent gradient that of the phases."""
    X, F, _ = problem("overlapping")
    W, mask = draw(3, 4, 3, seed=9), NETWORKS["overlapping"].mask
    f = M.Misfit.of(F, W, X)
    assert relative(f.cost(F), misfit(X, F, W) - torch.linalg.matrix_norm(X).square()) < 1e-12
    angle = F.angle().requires_grad_()
    (theirs,) = torch.autograd.grad(
        misfit(X, torch.where(mask, torch.polar(torch.ones_like(angle), angle), 0), W).sum(), angle
    )
    ours = 2 * (F.conj() * R.circle_tangent(F, f.gradient(F))).imag
    assert relative(ours, theirs) < 1e-12


def test_the_orthogonal_step_is_the_best_and_bounds_the_misfit():
    """Vᴴ V = I, no other such V overlaps more, α is the best one, and the misfit is at most the bound."""
    X, F, _ = problem("overlapping")
    (_, W), value = A.orthogonal_fit(F, X)
    alpha = torch.linalg.matrix_norm(W) / math.sqrt(3)
    V = W / alpha[:, None, None]
    assert float((V.mH @ V - torch.eye(3)).abs().max()) < 1e-12
    assert bool((misfit(X, F, W) <= -value + 1e-12).all())
    overlap = lambda V: (V @ X.mH @ F).diagonal(dim1=-2, dim2=-1).sum(-1).real  # noqa: E731
    size = F.abs().square().sum((-2, -1))
    assert relative(alpha, overlap(V) / size) < 1e-12
    for seed in range(50):
        other = torch.linalg.qr(V + 0.3 * draw(3, 4, 3, seed=seed + 20)).Q
        phase = torch.linalg.svd(other.mH @ V)
        other = other @ (phase.U @ phase.Vh)  # the nearest to V of its span
        assert bool((overlap(other) <= overlap(V) + 1e-12).all())


# ---- the alternations ----


@pytest.mark.parametrize("name", NETWORKS)
def test_manopt_never_gets_worse_and_ends_stationary(name):
    X, F0, _ = problem(name)
    network = NETWORKS[name]
    ends = [M.factorise(X, F0, network, tolerance=0, iterations=i)[:2] for i in (0, 1, 4, 200)]
    values = torch.stack([misfit(X, F, W) for F, W in ends])
    assert bool((values.diff(dim=0) <= 1e-12).all())
    assert bool((values[-1] < 0.9 * values[0]).all())
    F, W = ends[-1]
    assert float((F.mH @ (F @ W - X)).abs().max()) < 1e-12
    left = torch.linalg.matrix_norm(R.circle_tangent(F, (F @ W - X) @ W.mH))
    assert float((left / torch.linalg.matrix_norm(X @ W.mH)).max()) < 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_altmin_never_gets_worse_and_ends_in_a_fixed_point(name):
    X, F0, power = problem(name)
    network = NETWORKS[name]
    run = lambda i: A.alternate(X, F0, power, network, 0.0, i).matrices  # noqa: E731
    ends = [run(i) for i in (0, 1, 2, 5, 20, 5000)]
    if network.one_chain_each:  # the misfit itself falls, at full power all the way
        values = torch.stack([misfit(X, F, W) for F, W in ends])
        assert all(float(power_error(F @ W, power).max()) < 1e-12 for F, W in ends)
    else:  # its bound does, and the end's misfit is below that
        values = torch.stack([-A.orthogonal_fit(F, X).value for F, _ in ends])
        assert bool((misfit(X, *ends[-1]) <= values[-1] + 1e-12).all())
    assert bool((values.diff(dim=0) <= 1e-12).all())
    assert bool((values[-1] < 0.95 * values[0]).all())
    F, W = ends[-1]
    assert float((analog_step(X, W, network) - F).abs().max()) < 1e-4


@pytest.mark.parametrize("name", ["subarrays", "interleaved", "unequal"])
def test_on_subarrays_both_alternations_find_the_same(name):
    """Their digital steps differ by a factor, on which the phases do not depend."""
    X, F0, power = problem(name)
    (F, W), _, _ = A.alternate(X, F0, power, NETWORKS[name], 0.0, 3000)
    G, V, _ = M.factorise(X, F0, NETWORKS[name], tolerance=1e-14, iterations=3000)
    along = V * (power.sqrt() / torch.linalg.matrix_norm(G @ V))[:, None, None]
    assert relative(misfit(X, G, along), misfit(X, F, W)) < 1e-6


def test_dynamic_against_exhaustive_search():
    """N = 5, M = 2: a few dynamic searches find the best of all 30 connections, each searched alone."""
    X, power = draw(5, 2, seed=6)[None], torch.ones(1, dtype=torch.float64)
    X = full_power(X, power)
    starts = [torch.sgn(draw(1, 5, 2, seed=seed)) for seed in range(12)]

    def best(network, masks):
        found = []
        for F0, mask in itertools.product(starts, masks):
            (F, W), _, _ = A.alternate(X, torch.where(mask, F0, 0), power, network, 0.0, 2000)
            found.append((float(misfit(X, F, W)), F, W))
        return min(found, key=lambda item: item[0])

    masks = [torch.eye(2, dtype=torch.bool)[list(c)] for c in itertools.product(range(2), repeat=5)]
    fixed = [best(Network(mask), [mask]) for mask in masks if bool(mask.any(0).all())]
    least, F, W = min(fixed, key=lambda item: item[0])
    found = best(dynamic(5, 2), masks[1:-1:6])
    assert found[0] == pytest.approx(least, rel=1e-9)
    again = analog_step(X, W, dynamic(5, 2))
    assert torch.equal(again != 0, F != 0)


def test_a_dynamic_network_comes_nearer_than_its_start_fixed():
    """The mean misfit from the same start, with connections that change and with those of the start."""
    s = on(dynamic(16, 4), count=20)
    X = bf.digital_jcas(s).X
    F0 = start_phases(s, X, "target")
    fixed = [
        A.alternate(X[i : i + 1], F0[i : i + 1], s.power[:1], Network(F0[i] != 0), 1e-9, 500)
        for i in range(20)
    ]
    free = A.alternate(X, F0, s.power, s.network, 1e-9, 500)
    before = torch.cat([misfit(X[i : i + 1], *end.matrices) for i, end in enumerate(fixed)])
    assert float((misfit(X, *free.matrices) / before).mean()) < 0.9


# ---- orthogonal matching pursuit ----


@pytest.mark.parametrize("name", ["subarrays", "unequal"])
def test_omp_finds_masked_steering_vectors(name):
    """X of one steering vector per chain, masked: each chain's block is found exactly."""
    s = on(NETWORKS[name], count=1)
    atoms = dictionary(s, 16)[:, [3, 11, 6, 14]]
    X = (torch.where(s.network.mask, atoms, 0) @ draw(4, 3))[None]
    d = bf.design(s, "omp", target=X, atoms=16)
    assert relative(d.X, full_power(X, s.power)) < 1e-10


# ---- successive interference cancellation ----


@pytest.mark.parametrize("name", FIXED)
def test_sic_against_the_paper_step_by_step(name):
    """G and its blocks as printed, with inverses; and the gains of the chains add up to C."""
    s = on(NETWORKS[name], count=2)
    F = S.cancel_successively(s, connections(s))
    for b in range(2):
        H, mask = s.H[b].numpy(), s.network.mask.numpy()
        T, total = np.eye(3, dtype=complex), 0.0
        for m in range(4):
            p = float(s.power[b]) / (4 * mask[:, m].sum())
            G = H.conj().T @ np.linalg.inv(T) @ H
            block = np.where(np.outer(mask[:, m], mask[:, m]), G, 0)
            v = np.linalg.eigh(block)[1][:, -1]
            f = F[b, :, m].numpy()
            ours, theirs = f[mask[:, m]], np.exp(1j * np.angle(v[mask[:, m]]))
            assert abs(np.vdot(ours, theirs)) == pytest.approx(len(ours), rel=1e-10)  # up to a rotation
            total += np.log2(1 + p * np.vdot(f, G @ f).real)
            T = T + p * np.outer(H @ f, (H @ f).conj())
        assert np.log2(np.linalg.det(T).real) == pytest.approx(total, rel=1e-10)


def test_sic_is_the_optimum_for_one_user():
    """R = log₂(1 + P_t Σ_m ‖h_m‖₁² M/(N σ²)) with h_m of sub-array m: no F and W give more."""
    s = on(subarrays(16, 4), users=1)
    blocks = s.H.abs().reshape(3, 4, 4).sum(-1)
    most = torch.log2(1 + s.power * blocks.square().sum(-1) / 4)
    assert relative(bf.design(s, "sic").rate, most) < 1e-12


@pytest.mark.parametrize("name", NETWORKS)
def test_the_digital_step_of_sic_minimises_the_regularised_error(name):
    """X = F W of min ‖I − H X‖² + (K σ²/P_t) ‖X‖² over the range of F, by a general solver."""
    s = on(NETWORKS[name])
    F = S.cancel_successively(s, connections(s))
    root = (3 / s.power[:, None, None]).sqrt()
    system = torch.cat([s.H @ F, root * F], -2)
    right = torch.cat([torch.eye(3), torch.zeros(16, 3)]).to(system.dtype).expand(3, 19, 3)
    assert (
        relative(F @ S.regularised_zero_forcing(s, F), F @ torch.linalg.lstsq(system, right).solution) < 1e-10
    )


def test_sic_leaves_no_interference_at_high_snr():
    s = on(interleaved(16, 4), snr_db=120.0)
    received = s.H @ bf.design(s, "sic").X
    off = received - torch.diag_embed(received.diagonal(dim1=-2, dim2=-1))
    assert float(off.abs().max()) < 1e-9 * float(received.abs().max())


def test_sic_raises_the_capacity_above_that_of_random_phases():
    """What it maximises: log₂ det(I + Σ p_m H f_m f_mᴴ Hᴴ), against 200 draws on the same network."""
    s = on(subarrays(16, 4))

    def capacity(F):
        Y = s.H @ F * (s.power[:, None, None] / 16).sqrt()
        return torch.logdet(torch.eye(3) + Y @ Y.mH).real

    ours = capacity(S.cancel_successively(s, connections(s)))
    for seed in range(200):
        F = torch.where(s.network.mask, torch.sgn(draw(3, 16, 4, seed=seed)), 0)
        assert bool((capacity(F) < ours).all())


def test_nothing_on_the_full_network_needs_the_closed_form():
    """F^† X on it is the general least squares, also where M = 1 leaves one chain to every antenna."""
    F, X = torch.sgn(draw(2, 6, 1)), draw(2, 6, 1, seed=1)
    assert torch.equal(nearest_digital(F, X, fully_connected(6, 1)), least_squares(F, X))
