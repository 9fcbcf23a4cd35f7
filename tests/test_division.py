"""The learnt division of a fast design's work: what it is at θ = 0, its file, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from conftest import small

import beamfold as bf
from beamfold.files.atomic import FileError
from beamfold.files.divisions import load_division, save_division, shipped_division
from beamfold.kernels.fast import CONSTANTS, Plan, plan_for
from beamfold.methods.fast import DEPTHS
from beamfold.networks import fully_connected, named_network
from beamfold.optim.division import NUMBERS, PARTS, Division, case_for, divided, inputs, microseconds
from beamfold.scenario import make_scenario

SIZES = {"antennas": 64, "users": 4, "chains": 4, "rank": 7}


def case(plan, **changed):
    return case_for(plan, Plan(), **{**SIZES, "snr_db": 12.0, "weight": 0.3, **changed})


@pytest.fixture
def shipped():
    return shipped_division()


def test_zero_is_the_plan_and_the_constants_of_today(shipped):
    theta = np.zeros_like(shipped.theta)
    for work in DEPTHS.values():
        plan = plan_for(4, fully_connected(64, 4), 7, **work)
        assert divided(theta, case(plan), plan, CONSTANTS) == (plan, CONSTANTS)


def test_the_work_stays_the_same(shipped):
    rng = np.random.default_rng(1)
    for _ in range(50):
        plan = Plan(steps=int(rng.integers(12, 150)))
        here = case(plan, snr_db=float(rng.uniform(-5, 25)))
        new, constants = divided(
            shipped.theta + 0.1 * rng.standard_normal(shipped.theta.shape), here, plan, CONSTANTS
        )
        (a, each), (b, step) = (microseconds(p, *here[:4]) for p in (plan, new))
        assert b + step * new.steps <= a + each * plan.steps + 1e-6 or new.steps == 0
        assert a + each * plan.steps < b + step * (new.steps + 1) + 1e-6
        assert all(0 <= share <= 1 for share in constants.shares)
        assert new.starts >= 1 and new.inner >= 1


def test_outside_of_its_range_the_constants_stay_and_it_is_said(shipped):
    assert shipped.outside(case(Plan())) == ""
    assert "snr_db = 40" in shipped.outside(case(Plan(), snr_db=40.0))
    s = small(12, 2, count=2)  # fewer antennas than it was trained on
    with pytest.warns(UserWarning, match="antennas = 12 is outside 16 to 128; the constants stay"):
        learned = bf.fast(s, learned=True, steps=3)
    assert torch.equal(learned.F, bf.fast(s, steps=3).F)


def test_channels_of_several_powers_have_each_their_own_plan():
    s = small(16, 2, count=2)
    both = make_scenario(s.H, s.radar, snr_db=torch.tensor([[0.0], [12.0]]))
    d = bf.fast(both, learned=True)
    for i, snr_db in enumerate((0.0, 12.0)):
        alone = bf.fast(make_scenario(s.H, s.radar, snr_db=snr_db), learned=True)
        assert torch.equal(d.F[i], alone.F)
        assert torch.equal(d.iterations[i], alone.iterations)


def test_one_channel_and_a_batch_take_the_same_plan():
    s = small(16, 2, count=2, snr_db=6.0)
    go = bf.prepare_fast(s.radar, users=2, snr_db=6.0, learned=True)
    assert go.steps == int(bf.fast(s, learned=True).iterations.max())


@pytest.mark.parametrize("name", ["subarrays", "interleaved"])
def test_other_networks_are_refused(name):
    s = small(16, 2, count=1)
    with pytest.raises(bf.InputError, match=f"fully connected network, this one is {name}"):
        bf.fast(make_scenario(s.H, s.radar, snr_db=6.0, network=named_network(name, 16, 4)), learned=True)


def test_the_file_holds_everything(tmp_path, shipped):
    path = tmp_path / "d.safetensors"
    save_division(path, shipped)
    again = load_division(path)
    assert np.array_equal(again.theta, shipped.theta)
    assert again.info == shipped.info
    assert set(again.info.ranges) == set(NUMBERS)
    assert len(again.info.curve) == again.info.generations


def test_a_model_of_another_layout_is_refused(tmp_path, shipped):
    from safetensors.torch import save_file

    columns = len(inputs(case(Plan())))
    with pytest.raises(bf.InputError, match=rf"\({len(PARTS)}, {columns}\), found \(2, 2\)"):
        Division(np.zeros((2, 2)), shipped.info)
    with pytest.raises(bf.InputError, match="theta"):
        Division(np.full_like(shipped.theta, math.nan), shipped.info)
    path = tmp_path / "d.safetensors"
    save_file({"theta": torch.zeros(2, 2)}, path, metadata={"format": "beamfold-unfolded-1"})
    with pytest.raises(FileError, match="its format is 'beamfold-unfolded-1'"):
        load_division(path)
    with pytest.raises(FileError, match="no such file"):
        load_division(tmp_path / "none.safetensors")
    with pytest.raises(FileError, match="written as"):
        save_division(tmp_path / "d.mat", shipped)
    path.write_bytes(b"nothing")
    with pytest.raises(FileError, match="not a safetensors file"):
        load_division(path)
