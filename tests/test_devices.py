"""What is written in torch, on every device of this machine, against the compiled code on the CPU."""

from __future__ import annotations

import pytest
import torch
from conftest import relative, small

import beamfold as bf
from beamfold.kernels.fast_guard import known_above_start as compiled_above
from beamfold.networks import named_network
from beamfold.optim.above_start import known_above_start, proposed_by_gram
from beamfold.optim.lbfgs import quasi_newton_direction
from beamfold.optim.limited_memory import Pairs, dot
from beamfold.optim.repeated import repeated
from beamfold.registry import METHODS, in_parts
from beamfold.scenario import make_scenario
from beamfold.start import Point, proposed

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
ON_ANY = [name for name, record in METHODS.items() if record.supports.device]
QUICK = {
    "pga": {"layers": 4},
    "conventional-pga": {"layers": 4},
    "unfolded": {"layers": 4},
    "fast": {"steps": 6},
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["fast", "pga", "wmmse", "zf-digital", "phased-zf", "altmin", "digital"])
def test_a_design_is_that_of_the_cpu(name, device):
    """R and τ are those of the CPU, for pga to the errors of its single precision there."""
    s = small(16, 3, count=3, snr_db=6.0)
    options = QUICK.get(name, {})
    options |= {"precision": "double"} if name == "fast" else {}
    here, there = bf.design(s, name, **options), bf.design(s.to(device), name, **options)
    assert there.W.device.type == there.rate.device.type == device
    assert relative(there.objective.cpu(), here.objective) < (1e-4 if name == "pga" else 1e-6)
    assert torch.equal(there.faults.cpu(), here.faults)


def test_every_method_for_any_device_is_written_in_torch():
    assert {"fast", "pga", "wmmse", "digital"} <= set(ON_ANY)


@pytest.mark.parametrize("device", DEVICES)
def test_fast_in_torch_on_a_network(device):
    network = named_network("subarrays", 16, 4)
    s = make_scenario(small(16, 2, count=4).H, small(16, 2).radar, snr_db=6.0, network=network)
    here = bf.fast(s, steps=6, precision="double")
    there = bf.fast(s.to(device), steps=6, precision="double", engine="torch")
    assert relative(there.objective.cpu(), here.objective) < 1e-6


class State(tuple):
    """(x, (count, table))."""

    def __new__(cls, *parts):
        """As a named tuple is made."""
        return super().__new__(cls, parts)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("times", [0, 1, 2, 3, 9])
def test_a_repeated_step_is_done_as_often_as_said(device, times):
    """One tensor is new at each step, one is changed in place, one stays."""

    def step(state):
        x, (count, table, fixed) = state
        table[:, 0] += count
        return State(x * 2 + fixed, State(count + 1, table, fixed))

    begin = torch.arange(3.0, device=device)
    rest = (torch.zeros(2, device=device), torch.zeros(2, 2, device=device), torch.ones(3, device=device))
    state = State(begin, State(*rest))
    x, (count, table, _) = repeated(step, state, times)
    assert torch.equal(x.cpu(), (torch.arange(3.0) + 1) * 2**times - 1)
    assert torch.equal(count.cpu(), torch.full((2,), float(times)))
    assert torch.equal(table[:, 0].cpu(), torch.full((2,), float(sum(range(times)))))


def test_the_compact_form_of_limited_memory_is_that_of_the_two_loops():
    """Seven pairs are added to a memory of four, some of them to some of the channels alone."""
    generator = torch.Generator().manual_seed(0)
    B, n, m = 3, 12, 4
    A = torch.randn(n, n, dtype=torch.float64, generator=generator)
    A = A @ A.mT + torch.eye(n, dtype=torch.float64)  # s and y = A s have positive curvature
    pairs = Pairs.none(torch.zeros(B, n, dtype=torch.float64), torch.full((B,), 0.1, dtype=torch.float64), m)
    kept: list[list[tuple]] = [[] for _ in range(B)]
    for i in range(7):
        s = torch.randn(B, n, dtype=torch.float64, generator=generator)
        where = torch.tensor([True, i != 2, i < 2])
        pairs = pairs.added(s, s @ A, where)
        for b in range(B):
            if where[b]:
                kept[b] = [*kept[b], (s[b], s[b] @ A)][-m:]
    g = torch.randn(B, n, dtype=torch.float64, generator=generator)
    found = pairs.times(g)
    for b in range(B):
        S, Y = (torch.stack(side)[:, None] for side in zip(*kept[b], strict=True))
        r = 1 / dot(S, Y)
        gamma = torch.tensor([0.1], dtype=torch.float64)
        assert relative(found[b], quasi_newton_direction(-g[b, None], S, Y, r, gamma)[0]) < 1e-12
    nothing = pairs.forgotten(torch.tensor([True] * B))
    assert relative(nothing.times(g), nothing.gamma[:, None] * g) < 1e-15


def test_the_start_by_gram_matrices_is_the_start():
    s = small(24, 4, chains=6, count=8)
    found, sure = proposed_by_gram(s)
    start = proposed(s)
    assert sure.all()
    assert torch.equal(found.F, start.F) and relative(found.W, start.W) < 1e-11


def test_a_start_of_equal_users_is_not_sure():
    s = small(16, 3, count=2)
    H = s.H.clone()
    H[1, 2] = H[1, 0] * (1 + 1e-7)
    s = make_scenario(H, s.radar, snr_db=6.0)
    assert proposed_by_gram(s)[1].tolist() == [True, False]


@pytest.mark.parametrize("name", ["full", "subarrays", "dynamic"])
def test_what_is_known_above_the_start_is(name):
    """The comparison in torch and the compiled one know nearly every good point, and no bad one."""
    network = named_network(name, 16, 4)
    s = make_scenario(small(16, 4, count=6).H, small(16, 4).radar, snr_db=6.0, network=network)
    d = bf.fast(s, steps=10)
    start = proposed(s)
    good, bad = Point(d.F, d.W), Point(start.F, start.W)
    for known in (known_above_start, compiled_above):
        assert known(s, good).all() == (name != "dynamic")
        assert not known(s, bad).any()


def test_a_batch_that_does_not_fit_is_named():
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    told = "3 channels of 2 users and 8 antennas do not fit into the free memory of cpu"
    with pytest.raises(bf.InputError, match=told):
        in_parts(full, small(8, 2, count=3), 10)
