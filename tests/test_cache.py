"""The user's cache folder: solved Ψ and compiled kernels come from it, and nothing depends on it."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT

from beamfold import cache
from beamfold.covariance import solve_covariance
from beamfold.files import covariances
from beamfold.files.arrays import read_arrays
from beamfold.files.covariances import cached_covariance
from beamfold.kernels.code_cache import SOURCES


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setattr(covariances, "FOLDER", str(tmp_path / "kept"))
    cache._SAID.clear()
    return tmp_path / "kept"


def solved(monkeypatch) -> list[int]:
    """The antennas of every problem that is solved from now on."""
    asked: list[int] = []

    def solve(antennas, *args, **options):
        asked.append(antennas)
        return solve_covariance(antennas, *args, **options)

    solve.__signature__ = covariances.inspect.signature(solve_covariance)
    monkeypatch.setattr(covariances, "solve_covariance", solve)
    return asked


def same(a, b) -> bool:
    tensors = all(torch.equal(getattr(a, n), getattr(b, n)) for n in ("Psi", "angles", "desired"))
    plain = ("targets", "scale", "objective", "gap", "solver")
    return tensors and all(getattr(a, n) == getattr(b, n) for n in plain)


def test_the_second_request_is_read_and_equals_the_first_in_every_bit(folder, monkeypatch):
    asked = solved(monkeypatch)
    first = cached_covariance(8, (-20.0, 30.0))
    assert same(first, cached_covariance(8, (-20, 30)))
    assert same(first, cached_covariance(antennas=8, targets_deg=np.array([-20, 30])))
    assert asked == [8]
    assert same(first, solve_covariance(8, (-20, 30)))


def test_every_part_of_the_request_counts(folder, monkeypatch):
    asked = solved(monkeypatch)
    requests = [
        {}, {"antennas": 9}, {"targets_deg": (30.0, -20.0)}, {"width_deg": 6.0}, {"angles": 241},
        {"rank": 3}, {"tolerance": 1e-5}, {"solver": "scs"},
    ]  # fmt: skip
    for request in requests:
        cached_covariance(**{"antennas": 8, "targets_deg": (-20.0, 30.0)} | request)
    assert len(asked) == len(requests) == len(list(folder.iterdir()))
    with monkeypatch.context() as patch:
        patch.setattr(cache, "fingerprint", lambda *names: "other sources")
        cached_covariance(8, (-20, 30))
    assert len(asked) == len(requests) + 1


def damages():
    def cut(path):
        path.write_bytes(path.read_bytes()[:-300])

    def flip(path):
        held = bytearray(path.read_bytes())
        held[len(held) // 3] ^= 1
        path.write_bytes(held)

    def change(**new):
        return lambda path: np.savez(path, **(read_arrays(path) | new))

    skewed = np.eye(8, dtype=complex) / 8
    skewed[0, 1] = 0.01
    return {
        "cut": cut, "flip": flip, "empty": lambda path: path.write_bytes(b""),
        "text": lambda path: path.write_text("nothing"),
        "other N": change(Psi=np.eye(7, dtype=complex) / 7), "trace": change(Psi=np.eye(8, dtype=complex)),
        "not Hermitian": change(Psi=skewed), "NaN": change(figures=np.full(3, np.nan)),
        "real": change(Psi=np.eye(8) / 8), "no grid": change(angles=np.zeros(0)),
    }  # fmt: skip


@pytest.mark.parametrize("damage", damages().values(), ids=damages())
def test_a_damaged_file_is_said_once_solved_for_and_replaced(folder, monkeypatch, caplog, damage):
    first = cached_covariance(8)
    (path,) = folder.iterdir()
    damage(path)
    asked = solved(monkeypatch)
    assert same(first, cached_covariance(8))
    assert same(first, cached_covariance(8))
    assert asked == [8]
    assert len(caplog.messages) == 1
    assert "Psi is solved again" in caplog.messages[0]
    assert "\n" not in caplog.messages[0]


def test_without_a_folder_everything_is_solved_and_that_is_said_once(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setattr(cache, "root", lambda: tmp_path / "file" / "beamfold")
    monkeypatch.setattr(covariances, "FOLDER", "covariances")
    cache._SAID.clear()
    asked = solved(monkeypatch)
    for N in (8, 8, 9):
        cached_covariance(N)
    assert asked == [8, 8, 9]
    assert len(caplog.messages) == 1
    assert "can't be used" in caplog.messages[0]


def test_a_folder_that_refuses_a_file_is_no_error(folder, monkeypatch, caplog):
    def refuse(path, save):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(covariances, "write", refuse)
    assert cached_covariance(8).antennas == cached_covariance(8).antennas == 8
    assert len(caplog.messages) == 1


def test_a_user_without_a_home_gets_no_folder_in_the_working_one(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cache, "root", lambda: Path("~/.cache/beamfold"))
    cache._SAID.clear()
    assert cache.folder("kernels") is None
    assert not list(tmp_path.iterdir())
    assert len(caplog.messages) == 1


def test_only_what_nobody_used_for_long_is_removed(tmp_path):
    month = 31 * 86400
    for name in ("old.npz", "used.npz", "new.npz"):
        (tmp_path / name).touch()
    for name in ("old", "used"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "code.nbc").touch()
    for name in ("old.npz", "used.npz", "old", "used"):
        os.utime(tmp_path / name, (time.time() - month,) * 2)
    for name in ("used.npz", "used"):
        cache.mark_used(tmp_path / name)
    cache.remove_unused([*tmp_path.iterdir(), tmp_path / "gone"])
    assert {path.name for path in tmp_path.iterdir()} == {"used.npz", "new.npz", "used"}


def test_constants_of_other_modules_that_compiled_code_holds_are_in_its_hash():
    """Upper-case names that a file of kernels imports are frozen into its code; so their files must count."""
    for path in (ROOT / "src" / "beamfold" / "kernels").glob("*.py"):
        tree = ast.parse(path.read_text())
        kernels = [
            node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
            and any(isinstance(d, ast.Name) and d.id in ("kernel", "leaf") for d in node.decorator_list)
        ]  # fmt: skip
        used = {name.id for node in kernels for name in ast.walk(node) if isinstance(name, ast.Name)}
        for node in tree.body:
            ours = isinstance(node, ast.ImportFrom) and (node.module or "").startswith("beamfold.")
            if ours and used & {alias.asname or alias.name for alias in node.names}:
                assert node.module.startswith("beamfold.kernels.") or node.module in SOURCES, path.name


PROGRAM = """
import json, sys
from pathlib import Path
from beamfold import cache
cache.root = lambda: Path(sys.argv[1])
import numpy as np
from beamfold.kernels.code_cache import code_folder
from beamfold.kernels.compiled import is_compiled
from beamfold.kernels.linalg import scale
before = is_compiled(scale), is_compiled(scale, "float64")
x = np.ones((2, 1, 16), np.float32)
scale(x, np.float32(3))
count = lambda found: sum(found.values())
print(json.dumps({
    "right": bool((x == 3).all()), "before": before, "after": is_compiled(scale),
    "folder": str(code_folder()), "loaded": count(scale.stats.cache_hits),
    "compiled": count(scale.stats.cache_misses),
}))
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the package, so that its sources can be edited."""
    copy = tmp_path / "src" / "beamfold"
    shutil.copytree(ROOT / "src" / "beamfold", copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def run(package: Path, place: Path, **environment: str) -> tuple[dict[str, object], list[str]]:
    """What a new process of that package finds and says, with a kernel's code kept in `place`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CACHE")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(place)], capture_output=True, text=True, check=True, timeout=300,
        env=inherited | {"PYTHONPATH": str(package.parent)} | environment,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found.pop("right")
    return found, done.stderr.splitlines()


def code(place: Path) -> set[Path]:
    return set(place.rglob("*.nbc"))


def test_a_second_process_loads_and_an_edit_of_any_kernel_file_compiles_anew(package, tmp_path):
    place = tmp_path / "cache"
    first, said = run(package, place)
    assert (first["before"], first["after"], first["loaded"], first["compiled"]) == ([False] * 2, True, 0, 1)
    held = code(place)
    second, more = run(package, place)
    assert (second["before"], second["loaded"], second["compiled"]) == ([True, False], 1, 0)
    assert code(place) == held
    assert Path(str(first["folder"])).is_relative_to(place)
    with (package / "kernels" / "adjoint.py").open("a") as source:
        source.write("# a comment\n")
    third, last = run(package, place)
    assert (third["loaded"], third["compiled"]) == (0, 1)
    assert third["folder"] != first["folder"]
    assert said == more == last == []
    assert not [*package.rglob("*.nbi"), *package.rglob("*.nbc")]


CALLED = """
from beamfold.kernels.linalg import kernel


@kernel
def inner(x):
    return 2 * x + 1


@kernel
def outer(x):
    return inner(x) * inner(x + 1)
"""
CALLS = """
import sys
from pathlib import Path
from beamfold import cache
cache.root = lambda: Path(sys.argv[1])
from beamfold.kernels import of_the_test
for name in sys.argv[2:]:
    kernel = getattr(of_the_test, name)
    print(kernel(3.0), sum(kernel.stats.cache_hits.values()))
"""


def test_a_kernel_that_was_loaded_can_be_called_by_one_that_is_compiled(package, tmp_path):
    """Its code for LLVM is read from the file then, and what was compiled with it stands by itself."""
    (package / "kernels" / "of_the_test.py").write_text(CALLED)

    def called(*names: str) -> list[str]:
        arguments = [sys.executable, "-c", CALLS, str(tmp_path / "cache"), *names]
        environment = os.environ | {"PYTHONPATH": str(package.parent)}
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment)
        return done.stdout.splitlines()

    assert called("inner") == ["7.0 0"]
    assert called("inner", "outer") == ["7.0 1", "63.0 0"]
    assert called("outer") == ["63.0 1"]


def test_numbas_own_setting_of_the_place_is_kept(package, tmp_path):
    place, chosen = tmp_path / "cache", tmp_path / "chosen"
    assert run(package, place, NUMBA_CACHE_DIR=str(chosen))[0]["compiled"] == 1
    assert run(package, place, NUMBA_CACHE_DIR=str(chosen))[0]["loaded"] == 1
    assert code(chosen)
    assert not place.exists()


def test_without_a_folder_kernels_are_compiled_in_memory_and_that_is_said_once(package, tmp_path):
    (tmp_path / "file").touch()
    found, said = run(package, tmp_path / "file" / "beamfold")
    assert (found["compiled"], found["after"]) == (1, True)
    assert len(said) == 1
    assert "can't be used" in said[0]


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("text", [b"", b"\x80\x04not a pickle", None], ids=["empty", "text", "half"])
def test_damaged_code_is_said_once_compiled_and_replaced(package, tmp_path, suffix, text):
    place = tmp_path / "cache"
    run(package, place)
    for path in place.rglob(f"*.{suffix}"):
        held = path.read_bytes()
        path.write_bytes(held[: len(held) // 2] if text is None else text)
    found, said = run(package, place)
    assert (found["loaded"], found["compiled"], found["after"]) == (0, 1, True)
    assert len(said) == 1, said
    found, said = run(package, place)
    assert (found["loaded"], said) == (1, [])


def test_code_that_cannot_be_written_is_said_once(package, tmp_path):
    """A file stands where the folder of the code should be: as on a read-only disk, nothing can be kept."""
    place = tmp_path / "chosen"
    first = run(package, tmp_path / "cache", NUMBA_CACHE_DIR=str(place))[0]
    shutil.rmtree(place)
    place.mkdir()
    Path(str(first["folder"])).touch()
    found, said = run(package, tmp_path / "cache", NUMBA_CACHE_DIR=str(place))
    assert found["after"]
    assert len(said) == 1, said
