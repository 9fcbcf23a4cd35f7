"""Mutated files are read or refused in one line; and the check itself notices what is neither."""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from conftest import ROOT, script

sys.path.append(str(ROOT / "benchmarks"))  # where the script's own modules lie
fuzz = script("fuzz_files")


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    return fuzz.entries(tmp_path_factory.mktemp("entries"))


@pytest.mark.parametrize("format", fuzz.FORMATS)
def test_mutated_files_are_read_or_refused(tmp_path, entries, format):
    from fuzz_mutations import mutated

    own = [(name, entry) for name, (formats, entry) in entries.items() if format in formats.split()]
    outcomes = Counter()
    for index in range(80):
        name, entry = own[index % len(own)]
        path = tmp_path / f"file.{format}"
        path.write_bytes(mutated(5, format, index))
        verdict = fuzz.judge(index, name, entry, path)
        assert verdict.outcome in fuzz.GOOD, verdict
        outcomes[verdict.outcome] += 1
    assert len(outcomes) == 2, "neither all valid nor all hopeless"


def test_the_script_counts_every_file(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "fuzz_files.py"), "--count", "21", "--json"]
    command += ["--only", "npy", "--keep", str(tmp_path / "kept")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["files"], found["wrong"]) == (21, 0)
    assert found["formats"][0]["read"] + found["formats"][0]["refused"] == 21
    assert not (tmp_path / "kept").exists()


def test_a_mutated_file_is_a_function_of_seed_format_and_index():
    from fuzz_mutations import mutated

    for format in ("npy", "toml", "safetensors"):
        files = [mutated(3, format, index) for index in range(30)]
        assert files == [mutated(3, format, index) for index in range(30)]
        assert len(set(files)) > 20


def _raise(error: BaseException):
    raise error


@pytest.mark.parametrize(
    ("entry", "outcome"),
    [
        (lambda path: None, "read"),
        (lambda path: _raise(ValueError("one line")), "refused"),
        (lambda path: _raise(ValueError("")), "no line"),
        (lambda path: _raise(ValueError("x" * 2000)), "no line"),
        (lambda path: _raise(ValueError("clear \x1b[2J the screen")), "no line"),
        (lambda path: _raise(KeyError("rate")), "traceback"),
        (lambda path: _raise(RecursionError()), "traceback"),
        (lambda path: np.ones(320 << 17), "memory"),
    ],
)
def test_what_a_door_does_is_judged(tmp_path, entry, outcome):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    assert fuzz.judge(7, "name", entry, path).outcome == outcome


@pytest.mark.parametrize("limit", ["SECONDS", "WAITING"])
def test_a_slow_door_counts_as_a_hang(tmp_path, monkeypatch, limit):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    monkeypatch.setattr(fuzz, limit, -1.0)
    assert fuzz.judge(7, "name", lambda path: None, path).outcome == "hang"


@pytest.mark.parametrize(
    ("fate", "outcome"),
    [("import os; os.kill(os.getpid(), 11)", "crash"), ("import time; time.sleep(60)", "hang")],
)
def test_a_worker_that_dies_or_hangs_is_a_failure_of_its_file(tmp_path, monkeypatch, fate, outcome):
    monkeypatch.setattr(fuzz, "WAITING", -4.0)  # and 5 s of grace for a loaded machine
    told = json.dumps(fuzz.Verdict(4, "psi", "read", "", 0.0, 0, 1))
    command = [sys.executable, "-c", f"print({told!r}, flush=True); {fate}"]
    first, last = fuzz.follow(command, 4, tmp_path / "log")
    assert (first.index, first.outcome) == (4, "read")
    assert (last.index, last.outcome) == (5, outcome)


def test_a_failure_is_kept_and_replayed(tmp_path, capsys):
    held, keep = tmp_path / "held", tmp_path / "keep"
    held.mkdir()
    (held / "npz-000012-psi.npz").write_bytes(b"no archive")
    verdict = fuzz.Verdict(12, "psi", "traceback", "KeyError: 'x'", 0.0, 0, 1)
    fuzz._keep(verdict, "npz", held, keep)
    kept = keep / "npz-000012-psi.npz"
    assert kept.read_bytes() == b"no archive"
    assert "KeyError" in capsys.readouterr().err
    assert fuzz.replay(kept) == 0  # refused, as it should be
    assert "can't be read as .npz" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [{}, {"traceback": 2}])
def test_the_exit_code_says_whether_all_passed(wrong, capsys):
    tally = fuzz.Tally("npy")
    tally.outcomes.update({"read": 3, "refused": 4, **wrong})
    assert fuzz.report([tally.row()], 60.0, 0, False) == bool(wrong)
    assert "| .npy |" in capsys.readouterr().out


def test_children_beyond_the_limit_are_a_failure():
    tally = fuzz.Tally("mat")
    tally.children = fuzz.SPARE + 1
    assert fuzz.report([tally.row()], 0.0, 0, True) == 1


def test_every_format_has_a_door(entries):
    for format in fuzz.FORMATS:
        assert any(format in formats.split() for formats, _ in entries.values())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("antennas = [1000000]", "antennas.0: .*less than or equal to 4096"),
        ("antennas = [1]", "4 users, 4 RF chains and 1 antennas"),
        ("snr_db = [4000]", "snr_db.0: .*less than or equal to 300"),
        (f"weight = {[0.1] * 400}\nusers = {[4] * 400}", "multiply to 160000 cells, at most 100000"),
        ("count = " + "9" * 5000, "is not TOML: .*4300 digits"),
        ("x = " + "[" * 3000, "is not TOML"),
        ("seed = 9223372036854775808", "seed: "),
        ("targets_deg = [[0, 1]]", "targets 1 degrees apart overlap"),
        ('colour = "' + "x" * 5000 + '"', "unknown key 'colour'"),
        ("users = '" + "x" * 5000 + "'", "users: "),
        ("#" * (1 << 20), "larger than 1 MiB"),
    ],
)
def test_a_configuration_that_could_not_run_is_refused_at_once(tmp_path, monkeypatch, line, message):
    from beamfold.experiments import grid

    monkeypatch.setattr(grid, "cached_covariance", None)  # reading solves nothing
    path = tmp_path / "sweep.toml"
    path.write_text(f'methods = ["phased-zf"]\n{line}\n')
    with pytest.raises(ValueError, match=message) as refusal:
        grid.read_grid(path)
    assert len(str(refusal.value)) < fuzz.LINE
