"""Shared by the tests: Hypothesis profiles, small scenarios, and the published data where it lies."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from browser import CHROMIUM, browser
from hypothesis import HealthCheck, settings

from beamfold.testing import relative, small, three_beams

__all__ = ["relative", "small", "three_beams"]

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT.parent / "shared" / "reference"

# pytest --hypothesis-profile=nightly looks at new examples, and at many more.
slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("ci", max_examples=25, deadline=None, derandomize=True, suppress_health_check=slow)
settings.register_profile("nightly", max_examples=1000, deadline=None, suppress_health_check=slow)
settings.load_profile("ci")


@pytest.fixture(autouse=True)
def same_processors():
    """A command may confine the process to some processors; the next test has them all again."""
    if not hasattr(os, "sched_getaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture(scope="session", autouse=True)
def _covariances_of_the_tests(tmp_path_factory):
    """Every Ψ of a test session is solved in it: nothing comes from the user's cache, nothing goes there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("beamfold.files.covariances.FOLDER", str(tmp_path_factory.mktemp("covariances")))
        yield


def script(name: str, folder: str = "benchmarks") -> ModuleType:
    """A script of the folder as a module, so that tests and scripts measure with the same code."""
    key = f"{folder}_{name}"
    if key not in sys.modules:
        spec = importlib.util.spec_from_file_location(key, ROOT / folder / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[key] = module
        spec.loader.exec_module(module)
    return sys.modules[key]


def ulps(ours, theirs) -> float:
    """max |ours − theirs| / (ε max |theirs|), ε = 2⁻⁵²: how far two ways of rounding lie apart.

    Two ways of computing one number (a batch and its channels one by one, another BLAS kernel, another
    compiled function) round differently, and by how much depends on the processor. Where one way is computed
    twice, the results are compared with `torch.equal`.
    """
    a, b = np.asarray(ours), np.asarray(theirs)
    return float(np.abs(a - b).max() / (np.finfo(np.float64).eps * np.abs(b).max()))


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


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of one browser for all tests of a file."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened
