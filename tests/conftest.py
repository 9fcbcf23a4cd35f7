"""Shared by the tests: Hypothesis profiles, small scenarios, and the published data where it lies."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

from beamfold.beampattern import Benchmark
from beamfold.channel import saleh_valenzuela
from beamfold.scenario import Scenario, make_scenario

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT.parent / "shared" / "reference"

# pytest --hypothesis-profile=nightly looks at new examples, and at many more.
slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("ci", max_examples=25, deadline=None, derandomize=True, suppress_health_check=slow)
settings.register_profile("nightly", max_examples=1000, deadline=None, suppress_health_check=slow)
settings.load_profile("ci")


@pytest.fixture(scope="session", autouse=True)
def _covariances_of_the_tests(tmp_path_factory):
    """Every Ψ of a test session is solved in it: nothing comes from the user's cache, nothing goes there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("beamfold.files.covariances.FOLDER", str(tmp_path_factory.mktemp("covariances")))
        yield


def script(name: str) -> ModuleType:
    """A script of benchmarks/ as a module, so that tests and scripts measure with the same code."""
    key = f"benchmark_{name}"
    if key not in sys.modules:
        spec = importlib.util.spec_from_file_location(key, ROOT / "benchmarks" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[key] = module
        spec.loader.exec_module(module)
    return sys.modules[key]


def three_beams(antennas: int, degrees=(-60.0, 0.0, 60.0), weights=None) -> Benchmark:
    """Ψ = Σ_l w_l a(θ_l) a(θ_l)ᴴ: rank 3, diagonal exactly 1/N, trace 1, without a convex program."""
    weights = np.full(len(degrees), 1 / len(degrees)) if weights is None else np.asarray(weights)
    phase = math.pi * np.sin(np.deg2rad(degrees))
    a = np.exp(1j * np.outer(np.arange(antennas), phase)) / math.sqrt(antennas)
    Psi = torch.from_numpy((a * weights) @ a.conj().T)
    return Benchmark(Psi, targets=tuple(math.radians(d) for d in degrees))


def small(
    antennas=16,
    users=3,
    chains=None,
    count=4,
    snr_db=6.0,
    weight=0.3,
    seed=0,
    noise=1.0,
    degrees=(-60.0, 0.0, 60.0),
) -> Scenario:
    """A scenario of `count` own channels and three beams."""
    H = saleh_valenzuela(antennas, users, count, seed=seed)
    radar = three_beams(antennas, degrees)
    return make_scenario(H, radar, snr_db=snr_db, chains=chains, weight=weight, noise=noise)


def relative(ours, theirs) -> float:
    """‖ours − theirs‖ / ‖theirs‖ over everything."""
    a, b = np.asarray(ours), np.asarray(theirs)
    return float(np.linalg.norm((a - b).ravel()) / max(np.linalg.norm(b.ravel()), 1e-300))


@pytest.fixture(scope="session")
def reference() -> Path:
    """The published data, beside the checkout; the test is skipped where it is absent."""
    if not REFERENCE.is_dir():
        pytest.skip(f"the published data is not at {REFERENCE}")
    return REFERENCE


@pytest.fixture(autouse=True)
def one_torch_thread():
    """The matrices are small: more threads only make the machine noisy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
