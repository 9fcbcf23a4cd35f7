"""A full disk, a read-only folder: one line, what is finished stays, and nothing half-written is left."""

import errno
import os
import resource
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import beamfold as bf
from beamfold import ModelInfo, UnfoldedPGA, cli, phased_zf
from beamfold.experiments.store import export, save
from beamfold.files import matlab
from beamfold.files.arrays import read_arrays, write_arrays
from beamfold.files.atomic import DiskError, FileError, replacing, write
from beamfold.files.channels import write_channels
from beamfold.files.designs import write_design
from beamfold.files.models import load_model, save_checkpoint, save_model
from beamfold.files.psi import write_sensing
from beamfold.plots import beampatterns
from beamfold.plots import save as save_picture
from beamfold.training import Progress, Recipe


@contextmanager
def full(size: int = 2048):
    """No file grows beyond `size` bytes: to a writer it is as if the disk were full.

    A child process that could write in the place of this one has limits of its own, so there is none.
    """
    matlab._child.stop()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _design():
    H = bf.saleh_valenzuela(8, 2, 40, seed=0)
    radar = bf.solve_covariance(8, [0], tolerance=1e-4)
    return phased_zf(bf.make_scenario(H, radar, snr_db=10))


def _model():
    info = ModelInfo(8, 2, 2, 1 / 8)
    return UnfoldedPGA(info, layers=60, inner=20)


DATA = {"antennas": 8, "users": 2, "chains": 2, "count": 20, "targets_deg": [0.0], "psi": None}
TABLE = xr.Dataset({"rate": (("channel",), np.random.default_rng(0).standard_normal(5000))})
WRITERS = {
    "channels.npz": lambda path: write_channels(path, bf.saleh_valenzuela(8, 2, 40, seed=0), {}),
    "channels.mat": lambda path: write_channels(path, bf.saleh_valenzuela(8, 2, 40, seed=0), {}),
    "psi.npz": lambda path: write_sensing(path, bf.solve_covariance(16, [0], tolerance=1e-4)),
    "design.npz": lambda path: write_design(path, _design()),
    "design.mat": lambda path: write_design(path, _design()),
    "model.safetensors": lambda path: save_model(path, _model()),
    "checkpoint.safetensors": lambda path: save_checkpoint(
        path, Recipe(layers=60, inner=20), DATA, Progress(0, (), model=_model(), moments={})
    ),
    "cell.nc": lambda path: save(path, TABLE),
    "picture.png": lambda path: write(
        path, lambda target: save_picture(beampatterns([_design()], _design().scenario.radar), target)
    ),
    "report.html": lambda path: write(path, lambda target: target.write_text("x" * 5000)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"old")
    with full(), pytest.raises(DiskError, match=f"could not write .*{name}: File too large"):
        WRITERS[name](path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    WRITERS[name](path)  # and the writer is whole: with room it writes
    assert path.stat().st_size > 2048


@pytest.mark.parametrize("suffix", [".mat", ".npz", ".csv"])
def test_an_export_to_a_full_disk_leaves_nothing(tmp_path, suffix):
    (tmp_path / "to").mkdir()
    save(tmp_path / "table.nc", TABLE.rename(channel="layer"))
    with full(), pytest.raises(DiskError, match="could not write"):
        export(tmp_path / "table.nc", tmp_path / "to" / f"table{suffix}")
    assert list((tmp_path / "to").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, DiskError), (errno.EDQUOT, DiskError), (errno.EIO, DiskError), (errno.EROFS, FileError),
     (errno.EACCES, FileError)],
)  # fmt: skip
@pytest.mark.parametrize("call", ["fsync", "replace", "mkstemp"])
def test_whose_fault_it_is_decides_the_kind(tmp_path, monkeypatch, number, kind, call):
    """The disk's: exit code 1. The folder that was asked for: exit code 2."""

    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number))

    where = {"fsync": "os.fsync", "replace": "pathlib.Path.replace", "mkstemp": "tempfile.mkstemp"}[call]
    write_arrays(tmp_path / "a.npz", {"x": 1})
    with monkeypatch.context() as patch:
        patch.setattr(where, fail)
        with pytest.raises(kind, match=f"could not write .*a.npz: {os.strerror(number)}"):
            write_arrays(tmp_path / "a.npz", {"x": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    assert read_arrays(tmp_path / "a.npz")["x"] == 1


def test_a_folder_that_is_a_file_is_the_users(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="could not write"), replacing(tmp_path / "file" / "x.npz"):
        pass


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DiskError("could not write d.mat: No space left on device"), 1, "failed: could not write d.mat"),
        (FileError("the output folder is read-only"), 2, "error: the output folder is read-only"),
        (OSError(errno.EROFS, "Read-only file system", "out"), 2, "error: could not write out: Read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "out"), 2, "error: could not write out: Permiss"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "failed: [Errno 28] No space left on device"),
    ],
)
def test_exit_codes_tell_the_user_from_the_disk(monkeypatch, capsys, error, code, line):
    def fail(**options):
        raise error

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(sys, "argv", ["beamfold"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == code
    err = capsys.readouterr().err
    assert err.startswith(line) and err.count("\n") == 1


def test_training_on_a_disk_that_fills_up_keeps_the_last_checkpoint(tmp_path, monkeypatch, capsys):
    """Epochs that are written stay; with room again the same command goes on and ends as if undisturbed."""
    monkeypatch.chdir(tmp_path)
    options = ["--antennas", "8", "--users", "2", "--inner", "2", "--layers", "3", "--count", "10",
               "--epochs", "4", "--targets-deg", "0"]  # fmt: skip

    def run(name: str) -> int:
        monkeypatch.setattr(sys, "argv", ["beamfold", "train", *options, "-o", name])
        try:
            cli.main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    assert run("whole.safetensors") == 0
    count = 0

    def fill(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count == 5:  # file and folder of two checkpoints, then the third
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fill)
        assert run("model.safetensors") == 1
    assert "failed: could not write model.checkpoint.safetensors: No space left" in capsys.readouterr().err
    assert [p.name for p in sorted(tmp_path.iterdir())] == [
        "model.checkpoint.safetensors",
        "whole.safetensors",
    ]
    assert run("model.safetensors") == 0
    assert "2 of 4 epochs done" in capsys.readouterr().err
    whole, resumed = (load_model(Path(f"{name}.safetensors")) for name in ("whole", "model"))
    assert torch.equal(whole.mu, resumed.mu) and torch.equal(whole.lam, resumed.lam)
