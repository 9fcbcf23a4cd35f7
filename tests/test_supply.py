"""What is installed: pinned, hashed, from no named host, and free of copyleft."""

import re
import subprocess
import sys
import tomllib

import pytest
from conftest import ROOT, script
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = {name: ROOT / f"constraints{name}.txt" for name in ("", "-cpu", "-cuda", "-docs")}
PINNED = re.compile(
    r"([a-z0-9][a-z0-9.-]*)==([^ ;\\]+)(?: ; ([^\\]+?))?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)"
)
licences = script("licences")


def _locked(name: str) -> dict[str, str]:
    """Package → version of a lock, every line of which is a comment or a hashed pin."""
    text = "".join(
        line for line in LOCKS[name].read_text().splitlines(keepends=True) if not line.startswith("#")
    )
    assert PINNED.sub("", text).strip() == ""
    pins = [match.group(1, 2) for match in PINNED.finditer(text)]
    assert len(pins) == len(dict(pins)), "a package stands twice"
    return dict(pins)


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_a_pin_with_hashes_and_names_no_host(name):
    assert _locked(name)
    assert not re.search(r"://|--(extra-)?index-url|--find-links", LOCKS[name].read_text())


def test_the_lock_serves_what_the_project_asks_for():
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = about["project"]
    wanted = [*project["dependencies"], *about["build-system"]["requires"]]
    extras = project["optional-dependencies"]
    wanted += extras["dev"]
    for torch in ("-cpu", "-cuda", "-docs"):
        held = {**_locked(""), **_locked(torch)}
        if torch == "-docs":
            wanted = [*extras["docs"], *extras["package"]]
        for line in wanted:
            needed = Requirement(line)
            version = held[canonicalize_name(needed.name)]
            assert needed.specifier.contains(version), (line, version)


def test_what_only_the_documentation_needs_is_in_a_file_of_its_own():
    assert not set(_locked("-docs")) & set(_locked(""))


def test_no_cuda_comes_with_torch_without_cuda():
    assert _locked("-cpu") == {"torch": "2.13.0+cpu"}
    assert "torch" not in _locked("")
    assert not [name for name in _locked("") if re.match(r"nvidia|cuda|triton", name)]
    assert _locked("-cuda")["torch"] == "2.13.0"


@pytest.mark.parametrize(
    ("said", "installed"),
    [("No matching distribution found for torch", True), ("HASHES DO NOT MATCH", False)],
)
def test_cuda_is_installed_only_where_there_is_no_other_build(tmp_path, said, installed):
    """Any other failure of the first installation ends make: gigabytes never come by accident."""
    rules = (ROOT / "Makefile").read_text()
    begin = rules.index("\t$(LOCKED) --requirement constraints-cpu.txt")
    recipe = rules[begin : rules.index("\t$(PIP) --no-build-isolation", begin)].strip()
    cpu, cuda = (f"$(LOCKED) --requirement constraints-{name}.txt" for name in ("cpu", "cuda"))
    assert recipe.count(cpu) == recipe.count(cuda) == 1
    shell = recipe.replace(cpu, f"{{ echo '{said}' >&2; false; }}").replace(cuda, "echo gigabytes")
    shell = shell.replace("$(VENV)/why", str(tmp_path / "why"))
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is installed
    assert ("gigabytes" in done.stdout) is installed
    assert (said in done.stderr) is not installed


def test_the_default_install_is_free_of_copyleft():
    command = [sys.executable, str(ROOT / "benchmarks" / "licences.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    listed = {line.split()[0] for line in done.stdout.splitlines()}
    assert {"numpy", "torch", "xarray", "jinja2"} <= listed  # direct ones and theirs
    assert "hypothesis" not in listed  # of the extra `dev`


@pytest.mark.parametrize(
    ("licence", "judged"),
    [
        ("MIT", "permissive"),
        ("Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSD-2-Clause", "permissive"),
        ("GPL-3.0-only", "copyleft"),
        ("GNU General Public License v3 (GPLv3)", "copyleft"),
        ("AGPL-3.0-or-later", "copyleft, over a network too"),
        ("GNU Lesser General Public License v2 (LGPLv2)", "copyleft, of the library"),
        ("Mozilla Public License 2.0 (MPL 2.0)", "copyleft, file by file"),
        ("MIT AND MPL-2.0", "copyleft, file by file"),
        ("GPL-2.0-only OR BSD-3-Clause", "permissive"),
        ("Proprietary", "unknown"),
    ],
)
def test_licences_are_judged(licence, judged):
    assert licences.judge(licence).startswith(judged)


def test_packages_of_nvidia_that_state_no_licence_are_under_its_own():
    judge = licences.judge_package
    assert judge("nvidia-cufft", "Other/Proprietary License") == judge("cuda-toolkit", "not stated")
    assert judge("nvidia-cufft", "not stated").startswith("proprietary")
    assert judge("another", "not stated") == "unknown"
    assert judge("nvidia-cufft", "GPL-3.0-only") == "copyleft"


def test_a_copyleft_dependency_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(licences, "licence_of", lambda package: "LGPL-3.0-only")
    monkeypatch.setattr(sys, "argv", ["licences.py"])
    assert licences.main() == 1
    assert "refused all the same" in capsys.readouterr().out
