"""`beamfold bench` and what it measures: every method runs, and what is timed is what `design` computes.

No test looks at how long anything took, only that the figures are finite and positive.
"""

import json
import math
import os
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import small
from test_cli import run  # noqa: F401

from beamfold import timing
from beamfold.networks import named_network
from beamfold.registry import METHODS, design

SIZES = ("--antennas", 16, "--users", 2, "--count", 3)
QUICK = {"unfolded": ("--inner", 2, "--layers", 3), "pga": ("--inner", 2, "--layers", 3),
         "conventional-pga": ("--layers", 3)}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_timed(run, method):  # noqa: F811
    code, out, err = run("bench", "--method", method, *SIZES, *QUICK.get(method, ()), "--json")
    assert code == 0, err
    found = json.loads(out)
    clocks = [found["designs_per_second"], *found["latency_us"].values()]
    clocks += [found["training_updates_per_second"]] if method == "unfolded" else []
    assert all(math.isfinite(value) and value > 0 for value in clocks)
    assert found["latency_us"]["p50"] <= found["latency_us"]["p99"] <= found["latency_us"]["max"]
    assert all(0 <= missed <= 3 for missed in found["deadline_misses"].values())
    assert found["peak_memory_mib"] > 0
    assert (found["method"], found["count"], found["trained"]) == (method, 3, False)
    expected = {"unfolded": (2, 3), "pga": (2, 3), "conventional-pga": (None, 3)}
    assert (found["inner"], found["layers"]) == expected.get(method, (None, None))


def test_a_shipped_model_is_timed_with_the_layers_asked_for(run):  # noqa: F811
    sizes = ("--antennas", 32, "--users", 4, "--inner", 1, "--layers", 4, "--count", 3, "--json")
    code, out, err = run("bench", *sizes)
    assert code == 0, err
    found = json.loads(out)
    assert (found["trained"], found["inner"], found["layers"]) == (True, 1, 4)


@pytest.mark.parametrize(
    ("network", "bits"), [("subarrays", None), ("dynamic", None), ("mask.npz", None), ("full", 2)]
)
@pytest.mark.parametrize("method", ["unfolded", "pga", "fast", "sic"])
def test_a_network_is_timed_or_refused_in_one_line(run, tmp_path, method, network, bits):  # noqa: F811
    mask = np.ones((16, 4))
    mask[3, 1] = 0
    np.savez(tmp_path / "mask.npz", mask=mask)
    given = ("--network", network, *(("--bits", bits) if bits else ("--chains", 4)))
    code, out, err = run("bench", "--method", method, *SIZES, *QUICK.get(method, ()), *given, "--json")
    refused = {("unfolded", "mask.npz"): "a model is for a named network, mask.npz is none",
               ("sic", "full"): "the method sic is for continuous phases"}.get((method, network))  # fmt: skip
    if refused:
        assert (code, out) == (2, "") and refused in err.splitlines()[-1]
        return
    assert code == 0, err
    found = json.loads(out)
    assert (found["network"], found["bits"]) == (network, bits)
    assert found["latency_us"]["p50"] > 0 and found["designs_per_second"] > 0


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("conventional-pga", {"layers": 30}),
        ("pga", {"inner": 3, "layers": 10}),
        ("fast", {}),
        ("constrained", {}),
        ("zf-digital", {}),
    ],
)
@pytest.mark.parametrize("network", ["full", "subarrays"])
def test_what_is_timed_one_by_one_is_what_the_batch_computes(method, options, network):
    """Conventional PGA was timed with J = 20 though it has J = 1: twenty times the work, another design.

    Both run in single precision over at most 30 layers of step size 0.01, where rounding grows little: the
    values of R − ω τ agree to 1e-3 of its size, and J = 20 instead of J = 1 would change it by far more.
    """
    s = replace(small(antennas=16, users=2, count=3), network=named_network(network, 16, 2))
    if network != "full" and method == "fast":
        options = {"depth": "deep"}  # the batch's own choice there is deeper than a deadline allows
    options = timing.options_of(method, **options)
    call = timing.prepared(method, options, s.radar, s)
    whole = design(s, method, **options)
    for i in range(3):
        found = call(i)
        if isinstance(found, tuple):
            X = torch.from_numpy(found[0] @ found[1])
            assert torch.linalg.norm(X) == pytest.approx(math.sqrt(float(s.power[i])), rel=1e-5)
        else:
            X = found.X
        value = s[i].objective(X)
        size = float(whole.rate[i] + s.weight[i] * whole.tau[i])
        assert float(value) == pytest.approx(float(whole.objective[i]), abs=1e-3 * size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "pgaa"), "no method 'pgaa', did you mean pga?"),
        (
            ("--method", "conventional-pga", "--inner", 20),
            "conventional-pga does not take inner; it takes layers",
        ),
        (("--method", "fast", "--layers", 3), "fast does not take layers; it takes"),
        (("--method", "omp", "--inner", 3), "omp does not take inner; it takes"),
        (("--method", "pga", "--tau-max-db", -4), "pga does not take tau_max_db; it takes inner, layers"),
        (("--method", "fast", "--depth", "abyss"), "no depth 'abyss'"),
        (("--count", 0), "--count must be at least 1, got 0"),
        (("--threads", 0), "--threads must be between 1 and"),
    ],
)
def test_what_cannot_be_timed_is_one_line(run, options, message):  # noqa: F811
    code, out, err = run("bench", *SIZES, *options)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]


def test_threads_confine_the_process_and_where_that_is_impossible_they_are_refused(run, monkeypatch):  # noqa: F811
    before = os.sched_getaffinity(0)
    try:
        code, _, err = run("bench", "--method", "phased-zf", *SIZES, "--threads", 1)
        assert code == 0, err
        assert len(os.sched_getaffinity(0)) == 1
    finally:
        os.sched_setaffinity(0, before)
    monkeypatch.delattr(os, "sched_setaffinity")
    code, _, err = run("bench", "--method", "phased-zf", *SIZES, "--threads", 1)
    assert code == 2
    assert "which this system does not offer" in err


def test_latency_counts_what_is_late():
    ticks = []
    found = timing.latency(lambda i: None, 101, ticks.append)
    assert ticks == [0, 100]
    assert list(found["deadline_misses"]) == ["1000", "500", "250", "125"]


def test_memory_is_known_where_the_system_tells(monkeypatch):
    import resource

    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert timing.peak_memory_mib() == pytest.approx(whole / 1024, rel=0.1)
    monkeypatch.setattr(sys, "platform", "darwin")  # there ru_maxrss is in bytes
    assert timing.peak_memory_mib() == pytest.approx(whole / 1024**2, rel=0.1)
    monkeypatch.setitem(sys.modules, "resource", None)
    assert np.isnan(timing.peak_memory_mib())
