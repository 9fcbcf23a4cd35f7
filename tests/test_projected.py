"""The fast design in torch against the compiled one: the same steps in another language."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import relative, small

import beamfold as bf
from beamfold.kernels.fast import run_fast
from beamfold.kernels.fast_setting import CONSTANTS, Plan, plan_for
from beamfold.networks import named_network
from beamfold.optim.lbfgs import as_real
from beamfold.optim.projected import run_projected
from beamfold.optim.projected_objective import Numbers, ascend_chains, by_chains, no_curvature
from beamfold.optim.projected_start import (
    canonical,
    cholesky,
    digital_start,
    independent_first,
    least_squares,
)
from beamfold.scenario import make_scenario
from beamfold.start import proposed

SIZES = [
    {"antennas": 16, "users": 3},
    {"antennas": 10, "users": 1, "snr_db": 20.0},
    {"antennas": 24, "users": 3, "chains": 5, "snr_db": 12.0},
    {"antennas": 37, "users": 5, "chains": 7, "snr_db": 0.0, "noise": 3.0},
    {"antennas": 32, "users": 8, "chains": 20, "snr_db": -5.0, "weight": 3.0},  # B as its last pairs
    {"antennas": 16, "users": 4, "weight": 0.0},
]


def differences(s, plan, **options):
    """|R − ω τ| of both paths apart, relative to 1 + |R − ω τ|; in float64."""
    points = (
        run_fast(s, plan, dtype=np.float64, **options)[0],
        run_projected(s, plan, dtype=torch.float64, **options)[0],
    )
    compiled, readable = (s.objective(p.F @ p.W) for p in points)
    return (compiled - readable).abs() / (1 + compiled.abs())


def on(network, users):
    """A small scenario on a network."""
    s = small(network.antennas, users, count=3, seed=1)
    return make_scenario(s.H, s.radar, snr_db=6.0, network=network)


def rank_of(s):
    return s.radar.factor(1e-7).U.shape[1]


@pytest.mark.parametrize("options", SIZES, ids=str)
def test_both_paths_end_at_the_same_objective(options):
    """1e-3 is the promise. The compiled design rounds channels to 2^-30, which alternations multiply."""
    s = small(**options, count=4, seed=3)
    plan = plan_for(s.users, s.network, rank_of(s), steps=25)
    assert differences(s, plan).max() < 1e-3
    assert differences(s, plan._replace(steps=2, alternations=5)).max() < 1e-6


def test_both_paths_take_the_same_starts():
    s = small(24, 3, count=4, seed=5, snr_db=12.0)
    plan = Plan(digital=8, alternations=6, first=2, steps=4, starts=3, trial=2, further=4)
    assert differences(s, plan).max() < 1e-6
    assert differences(s, plan, which=2).max() < 1e-6
    only_first = run_projected(s, plan._replace(starts=1, trial=0), dtype=torch.float64)[0]
    several = run_projected(s, plan, dtype=torch.float64)[0]
    assert relative(several.F, only_first.F) > 1e-3


@pytest.mark.parametrize("name", ["subarrays", "interleaved", "dynamic"])
def test_both_paths_on_networks(name):
    s = on(named_network(name, 16, 4), users=2)
    plan = plan_for(2, s.network, rank_of(s), alternations=5, starts=2, trial=3, steps=8)
    assert differences(s, plan).max() < 1e-5
    F = run_projected(s, plan, dtype=torch.float64)[0].F
    assert ((F != 0).sum(-1) == 1).all()


def test_both_paths_where_users_depend_on_others_or_are_loud():
    g = torch.Generator().manual_seed(2)
    A, B = (torch.randn(3, *n, dtype=torch.complex128, generator=g) for n in ((4, 2), (2, 16)))
    radar = small(16, 4).radar
    assert differences(make_scenario(A @ B, radar, snr_db=10), Plan(steps=6)).max() < 1e-4
    loud = make_scenario(1e4 * small(16, 4).H, radar, snr_db=10)
    assert differences(loud, Plan(digital=8, alternations=4, first=2, steps=2)).max() < 1e-4


def test_a_chain_that_no_antenna_hangs_on_sends_nothing():
    F = torch.ones(1, 5, 3, dtype=torch.complex128)
    F[..., 2] = 0
    W = least_squares(F, torch.ones(1, 5, 2, dtype=torch.complex128), 0.03)
    assert torch.isfinite(W).all()
    assert (W[:, 2] == 0).all() and (W[:, :2] != 0).all()


def test_zeros_stay_finite():
    """A user without a channel, and a channel where nobody has one."""
    s = small(12, 3, count=2)
    H = s.H.clone()
    H[0, 1], H[1] = 0, 0
    point, f, _ = run_projected(make_scenario(H, s.radar, snr_db=10), Plan(steps=5), dtype=torch.float64)
    assert torch.isfinite(f).all() and torch.isfinite(point.F).all() and torch.isfinite(point.W).all()


def test_the_gradient_by_W_is_that_of_autograd():
    g = torch.Generator().manual_seed(0)
    V, F, W = (torch.randn(2, *n, dtype=torch.complex128, generator=g) for n in ((9, 5), (9, 4), (4, 3)))
    numbers = Numbers(torch.tensor([0.3, 2.0], dtype=torch.float64), 0.7)
    W.requires_grad_(True)
    found, gradient = by_chains(V.mH @ F, F.mH @ F, W, numbers)
    (by_autograd,) = torch.autograd.grad(found.f.sum(), W)
    assert relative(2 * gradient.detach(), as_real(by_autograd)) < 1e-12


def test_the_ascent_of_W_never_falls():
    g = torch.Generator().manual_seed(1)
    V, F, W = (torch.randn(3, *n, dtype=torch.complex128, generator=g) for n in ((9, 4), (9, 3), (3, 2)))
    numbers = Numbers(torch.full((3,), 0.05, dtype=torch.float64), 0.7)
    T, FF = V.mH @ F, F.mH @ F
    ends = [ascend_chains(T, FF, W, no_curvature(W), numbers, 0.05, n) for n in (0, 1, 5, 80)]
    values = torch.stack([here.f for _, here, _ in ends])
    assert (values.diff(dim=0) >= 0).all()
    assert (values[-1] > values[0]).all()
    again = torch.stack([by_chains(T, FF, end, numbers)[0].f for end, _, _ in ends])
    assert torch.allclose(again, values, rtol=1e-12, atol=1e-12)


def test_cholesky_leaves_out_what_depends_on_earlier_columns():
    g = torch.Generator().manual_seed(4)
    V = torch.randn(2, 9, 3, dtype=torch.complex128, generator=g)
    V = torch.cat([V, V[..., :1] + V[..., 1:2]], -1)
    G = V.mH @ V
    L = cholesky(G, 1e-12)
    assert relative(L @ L.mH, G) < 1e-12
    assert (L[..., 3] == 0).all()
    V = torch.cat([V[..., :1], 3 * V[..., :1], V[..., 1:]], -1)
    first = independent_first(V.mH @ V, 1e-12)
    assert torch.equal(first.sort().values, torch.arange(5).expand(2, 5))
    chosen = V.gather(2, first[:, None, :3].expand(2, 9, 3))
    assert torch.equal(torch.linalg.matrix_rank(chosen), torch.tensor([3, 3]))


def test_the_canonical_form_of_equal_problems_is_equal():
    s = small(8, 3, count=2, seed=6)
    U, gain = s.radar.factor(1e-7).U, torch.tensor([2.0, 3.0], dtype=torch.float64)
    turned = s.H[:, [2, 0, 1]] * torch.exp(1j * torch.tensor([0.3, 1.0, -2.0], dtype=torch.float64))[:, None]
    one, other = canonical(s.H, gain, U, CONSTANTS), canonical(turned, gain, U, CONSTANTS)
    assert relative(one.V, other.V) < 1e-12
    numbers = Numbers(torch.ones(2, dtype=torch.float64), s.radar.square)
    assert torch.isfinite(digital_start(one, numbers, CONSTANTS, 3).abs()).all()


def test_single_precision_is_as_good():
    s = small(16, 3, count=8, seed=7, snr_db=6.0)
    single, double = (
        s.objective(p.F @ p.W).mean()
        for p in (run_projected(s, Plan(steps=20), dtype=d)[0] for d in (torch.float32, torch.float64))
    )
    assert abs(single - double) < 0.02 * abs(double)


def test_the_method_takes_the_torch_path():
    s = small(12, 2, count=3)
    d = bf.fast(s, engine="torch", steps=4)
    start = proposed(s)
    assert (d.objective >= s.objective(start.F @ start.W) - 1e-9).all()
    assert torch.equal(d.iterations, torch.full((3,), 4))


@pytest.mark.parametrize(
    ("options", "told"),
    [({"engine": "gpu"}, "auto, kernel or torch"), ({"bits": 2}, "continuous phases")],
)
def test_what_the_torch_path_is_not_for_is_said(options, told):
    bits = options.pop("bits", None)
    s = on(named_network("full", 8, 2, bits=bits), users=2)
    with pytest.raises(bf.InputError, match=told):
        bf.fast(s, **{"engine": "torch", **options})


def test_channels_elsewhere_go_to_torch():
    """The device "meta" has no data; it stands for any accelerator."""
    s = small(8, 2).to("meta")
    with pytest.raises(bf.InputError, match="fast with engine='kernel' is compiled code for the CPU"):
        bf.fast(s, engine="kernel")


@pytest.mark.parametrize("device", ["cuda:99", "nowhere"])
def test_a_device_that_is_not_there_is_named(device):
    from beamfold.cli.designs import _moved

    with pytest.raises(bf.InputError, match=f"--device {device}: ") as caught:
        _moved(small(8, 2), device)
    assert "\n" not in str(caught.value)
