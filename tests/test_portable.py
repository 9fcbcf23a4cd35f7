"""tools/portable.py: what a setting is run with, and that one which cannot run is named and is no success."""

import importlib.util
import sys

import pytest
from conftest import ROOT


@pytest.fixture
def portable(monkeypatch):
    spec = importlib.util.spec_from_file_location("portable", ROOT / "tools" / "portable.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "portable", module)
    spec.loader.exec_module(module)
    return module


def test_a_setting_has_its_own_variables_and_none_of_the_callers(portable, monkeypatch):
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_CPU_FEATURES"):
        monkeypatch.setenv(name, "caller")
    monkeypatch.setenv("BEAMFOLD_TEST", "stays")
    for setting, own in portable.SETTINGS.items():
        given = portable.environment(setting, "cache")
        assert given["BEAMFOLD_TEST"] == "stays"
        assert own.items() <= given.items()
        assert "caller" not in given.values()
        generic = own.get("NUMBA_CPU_NAME") == "generic"
        assert (given.get("NUMBA_CACHE_DIR") == "cache") == generic


def test_a_setting_that_the_processor_cannot_run_is_named_and_is_no_success(portable, monkeypatch, capsys):
    monkeypatch.setattr(portable, "missing", lambda setting: {"avx2"})
    monkeypatch.setattr(sys, "argv", ["portable.py", "--settings", "Haswell"])
    assert portable.main() == 1
    row = "| Haswell | OPENBLAS_CORETYPE=Haswell | this processor cannot run it: no avx2 | | | | |\n"
    assert row in capsys.readouterr().out


def test_the_numerical_tests_exist(portable):
    assert all((ROOT / "tests" / f"test_{name}.py").is_file() for name in portable.NUMERICAL)
