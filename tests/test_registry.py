"""The registry: a record in every method's file, loaded when it is used; no method borrows a helper."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import beamfold as bf
from beamfold import methods
from beamfold.registry import METHODS, NAMES
from beamfold.testing import small

assert methods.__file__
FILES = sorted(p for p in Path(methods.__file__).parent.glob("*.py") if p.stem != "__init__")


def test_every_file_holds_the_record_of_its_method():
    assert {p.stem.replace("_", "-") for p in FILES} == set(NAMES) == set(METHODS)
    for name, method in METHODS.items():
        assert method.name == name
        assert method.function.__name__ == name.replace("-", "_")
        assert method.function.__module__ == f"beamfold.methods.{method.function.__name__}"
        assert method.about
        assert getattr(bf, method.function.__name__) is method.function


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_method_takes_of_another_one_only_its_designs(path):
    """A helper that two methods need stands below both; what is left are methods made of methods."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("beamfold.methods") for alias in node.names)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("beamfold.methods"):
            assert node.module
            assert [alias.name for alias in node.names] == [node.module.rpartition(".")[2]]


def loaded(program: str) -> set[str]:
    """The modules that a program has loaded at its end."""
    program += "\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_method_is_loaded_when_it_is_used():
    found = loaded("from beamfold.registry import METHODS; 'sca' in METHODS, list(METHODS), METHODS['fast']")
    assert {name for name in found if name.startswith("beamfold.methods.")} == {"beamfold.methods.fast"}


def test_the_help_loads_neither_torch_nor_the_datasets():
    found = loaded(
        "import sys; sys.argv = ['beamfold', 'reproduce', '--help']\n"
        "from beamfold.cli import main\ntry: main()\nexcept SystemExit: pass"
    )
    assert "beamfold.cli.experiments" in found
    assert not found & {"torch", "xarray", "matplotlib", "scipy"}


def test_a_method_that_cannot_do_the_scenario_names_those_that_can():
    """The device "meta" has no data; it stands for any accelerator."""
    s = small(8, 2).to("meta")
    for name, options in (("best", {}), ("constrained", {"tau_max": 1.0})):
        with pytest.raises(bf.InputError, match=f"the method {name} is compiled code for the CPU") as caught:
            bf.design(s, name, **options)
        text = str(caught.value)
        assert "; use one of fast, unfolded, pga" in text
        assert "\n" not in text and "constrained" not in text.removeprefix(f"the method {name}")
        with pytest.raises(bf.InputError, match="compiled code"):
            METHODS[name].function(s, **options)
