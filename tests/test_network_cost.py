"""beamfold network: what a cheaper front end costs, as data and picture."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_cli import run  # noqa: F401

import beamfold as bf
from beamfold.experiments.network import STAGES
from beamfold.experiments.store import load
from beamfold.networks import NAMES, named_network
from beamfold.testing import small


@pytest.fixture
def found(run, tmp_path):  # noqa: F811
    bf.write_channels(tmp_path / "c.npz", small(8, 2, count=3).H)
    code, out, err = run(
        "network",
        "c.npz",
        "-o",
        "n.nc",
        "--over-chains",
        2,
        4,
        "--over-bits",
        1,
        3,
        "--method",
        "phased-zf",
        "--json",
    )
    assert code == 0, err
    return tmp_path, load(tmp_path / "n.nc"), json.loads(out)


def test_the_numbers_are_those_of_the_designs(found):
    folder, ds, told = found
    s = bf.read_scenario(folder / "n.nc")
    for name in NAMES:
        for M in (2, 4):
            on = replace(s, chains=M, network=named_network(name, 8, M))
            d = bf.phased_zf(on)
            held = ds.sel(network=name, chains=M)
            assert np.allclose(held["rate"], d.rate, rtol=1e-12) and np.allclose(
                held["tau"], d.tau, rtol=1e-9
            )
            row = next(r for r in told["results"] if (r["network"], r["chains"]) == (name, M))
            assert row["objective"] == pytest.approx(float(d.objective.mean()), rel=1e-9)
    assert (folder / "n.png").stat().st_size > 10_000 and (folder / "n.pdf").exists()


def test_every_stage_is_at_least_as_good_as_the_one_before(found):
    """Rounded, W refitted and designed, channel by channel; all figures are feasible ones."""
    _, ds, _ = found
    values = [torch.from_numpy(ds["bits_objective"].sel(stage=stage).values) for stage in STAGES]
    assert bool((values[1] >= values[0] - 1e-9).all())
    assert float(values[2].mean()) >= float(values[1].mean())
    assert not bool((ds["bits_faults"] != 0).any()) and not bool((ds["faults"] != 0).any())


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--over-chains", 3), "3 chains do not divide 8 antennas"),
        (("--over-chains", 1), "or are fewer than 2 users"),
        (("--over-bits", 11), "phase shifters have 1 to 10 bits, got 11"),
        (("--kicks", -1), "--kicks must be at least 0, got -1"),
        (("--method", "constrained"), "tau"),
    ],
)
def test_refusals(arguments, message, run, tmp_path):  # noqa: F811
    bf.write_channels(tmp_path / "c.npz", small(8, 2, count=2).H)
    code, _, err = run("network", "c.npz", "-o", "n.nc", "--over-chains", 2, *arguments)
    assert code == 2 and message in err and not (tmp_path / "n.nc").exists()
