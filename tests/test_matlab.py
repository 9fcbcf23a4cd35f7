"""MATLAB files: what they hold comes back, and what they do to their reader stays with its fork."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch

import beamfold as bf
from beamfold.files import matlab
from beamfold.files.arrays import read_all, read_arrays, text
from beamfold.files.atomic import FileError
from beamfold.files.channels import read_channels

H = bf.saleh_valenzuela(8, 2, 3, seed=5)


def _saved(path: Path) -> Path:
    scipy.io.savemat(str(path), {"H": H.numpy()})
    return path


def _save_v73(path: Path, name: str, value: np.ndarray) -> Path:
    with h5py.File(path, "w", userblock_size=512) as file:
        kind = np.dtype([("real", "f8"), ("imag", "f8")])
        stored = np.empty(value.T.shape, kind)
        stored["real"], stored["imag"] = value.T.real, value.T.imag
        file[name] = stored
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return path


def test_matlab_73_axes_are_turned_back(tmp_path):
    path = _save_v73(tmp_path / "c.mat", "H", H.numpy())
    assert torch.equal(read_channels(path, axes="channels,users,antennas"), H)


def test_large_arrays_come_back_from_matlab_bit_for_bit(tmp_path):
    """More than a pipe holds, in MATLAB's order of axes."""
    value = np.random.default_rng(0).standard_normal((40, 32, 64)) + 1j
    for compress in (False, True):
        scipy.io.savemat(str(tmp_path / "c.mat"), {"H": value, "x": "text"}, do_compression=compress)
        held = read_arrays(tmp_path / "c.mat")
        assert set(held) == {"H"}
        assert np.array_equal(held["H"], value)
        assert text(read_all(tmp_path / "c.mat"), "x") == "text"


def test_texts_of_matlab_73_are_texts(tmp_path):
    """MATLAB stores them as numbers of 16 bits and says so beside them."""
    path = _save_v73(tmp_path / "c.mat", "H", H.numpy())
    with h5py.File(path, "r+") as file:
        file["solver"] = np.frombuffer("fast".encode("utf-16-le"), "u2")[:, None]
        file["solver"].attrs["MATLAB_class"] = np.bytes_("char")
    assert set(read_arrays(path)) == {"H"}
    assert text(read_all(path), "solver") == "fast"


def test_links_out_of_an_hdf5_file_are_not_followed(tmp_path):
    path = _save_v73(tmp_path / "c.mat", "H", H.numpy())
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.ones(3)
    with h5py.File(path, "r+") as file:
        file["link"] = h5py.ExternalLink(str(other), "/secret")
        file["loop"] = h5py.SoftLink("/loop")
    assert set(read_arrays(path)) == {"H"}
    with h5py.File(path, "r+") as file:
        file.create_dataset("outside", (3,), "f8", external=[(str(other), 0, 24)])
    with pytest.raises(FileError, match="keeps its data in another file"):
        read_arrays(path)


CRASHING = """
import os, signal, sys
sys.path.insert(0, {folder!r})
import matlab_child
def read(path, size, limit):
    {fate}
matlab_child._read_v5 = read
matlab_child.main()
"""


@pytest.fixture
def fated(tmp_path, monkeypatch):
    """A child whose reader of v5 files meets a given fate; the ordinary child serves again afterwards."""

    def meet(fate: str) -> Path:
        script = tmp_path / "child.py"
        script.write_text(CRASHING.format(folder=str(matlab.CHILD.parent), fate=fate))
        monkeypatch.setattr(matlab, "CHILD", script)
        matlab._child.stop()
        return _saved(tmp_path / "c.mat")

    yield meet
    matlab._child.stop()


@pytest.mark.parametrize(
    ("fate", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "its reader ended with -11"),
        ("os.kill(os.getpid(), signal.SIGXCPU)", "took longer than a file of its size should"),
        ("bytearray(1 << 40)", "more memory than a file of its size should need"),
        ("os._exit(7)", "its reader ended with 7"),
        ("raise KeyError('x')", "can't be read as .mat: 'x'"),
    ],
)
def test_a_mat_file_that_crashes_its_reader_is_one_line(fated, fate, message):
    """The fork dies, the caller lives and says so, and the child serves the next file."""

    path = fated(fate)
    for _ in range(2):
        with pytest.raises(FileError, match=message):
            read_arrays(path)
        assert matlab._child.process is not None and matlab._child.process.poll() is None


def test_a_mat_file_whose_reader_sleeps_is_given_up(fated, monkeypatch):

    path = fated("import time; time.sleep(100)")
    monkeypatch.setattr(matlab, "SECONDS", 1)
    with pytest.raises(FileError, match="took over 1 s"):
        read_arrays(path)
    assert matlab._child.process is None


def test_a_child_that_was_killed_is_replaced(tmp_path):

    path = _saved(tmp_path / "c.mat")
    first = read_arrays(path)
    assert matlab._child.process is not None
    matlab._child.process.kill()
    assert np.array_equal(read_arrays(path)["H"], first["H"])


FORKING = """
import os, sys
from pathlib import Path
from beamfold.files.matlab import _child, read_matlab
path = Path(sys.argv[1])
first = read_matlab(path)["H"]
mine = _child.process.pid
pid = os.fork()
assert (read_matlab(path)["H"] == first).all()
assert (_child.process.pid == mine) == (pid > 0)
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_fork_of_the_caller_has_a_child_of_its_own(tmp_path):
    """Two processes never share one child: the arrays of one file would go to the other."""
    path = _saved(tmp_path / "c.mat")
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKING, path], check=True, timeout=60)


ELSEWHERE = """
import os, sys
import filelock, numba, scipy.io, torch, xarray  # on Linux these need what is taken away
for name in ("fork", "register_at_fork", "killpg", "sched_getaffinity", "sched_setaffinity"):
    delattr(os, name)
sys.modules["fcntl"] = sys.modules["resource"] = None
import beamfold as bf
import beamfold.timing, beamfold.cli, beamfold.experiments.sweep
from beamfold.files.arrays import read_arrays
from beamfold.files.atomic import FileError
from beamfold.files.matlab import expect
from pathlib import Path
expect(Path(sys.argv[1]))
named = "channels,users,antennas"
H = bf.read_channels(Path(sys.argv[1]), axes=named)
assert (bf.read_channels(Path(sys.argv[2]), axes=named) == H).all()
design = bf.design(bf.make_scenario(H, bf.solve_covariance(8, [0]), snr_db=6), "fast")
assert design.rate.isfinite().all()
bf.write_design(Path(sys.argv[3]), design)
assert (read_arrays(Path(sys.argv[3]))["F"] == design.F.numpy()).all()
try:
    bf.read_channels(Path(sys.argv[4]))
except FileError as error:
    assert "declares" in str(error), error
else:
    raise AssertionError("a file that declares too much was read")
"""


def _declaring(path: Path, shape: tuple[int, int]) -> Path:
    """A v5 file whose only array declares `shape` and holds eight bytes."""

    def element(kind: int, data: bytes) -> bytes:
        return np.array([kind, len(data)], "<u4").tobytes() + data

    flags = element(6, np.array([6, 0], "<u4").tobytes())  # class double
    body = flags + element(5, np.array(shape, "<i4").tobytes()) + element(1, b"H".ljust(8, b"\0"))
    body += element(9, bytes(8))
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + element(14, body))
    return path


def test_without_fork_files_are_read_and_designs_made(tmp_path):
    """As on Windows: no fork, no fcntl, no resource, no processor affinity; warnings are errors."""
    files = [_saved(tmp_path / "c.mat"), _save_v73(tmp_path / "d.mat", "H", H.numpy())]
    files += [tmp_path / "out.mat", _declaring(tmp_path / "e.mat", (1 << 14, 1 << 14))]
    command = [sys.executable, "-W", "error", "-c", ELSEWHERE, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert "this system has no fork: .mat files are read in this process" in done.stderr


def test_the_reader_can_be_started_before_the_file_is_read(tmp_path):
    """The child that was started is the one that reads; another kind of file, or none, starts none."""
    matlab._child.stop()
    for path in (tmp_path / "c.npz", tmp_path / "gone.mat"):
        matlab.expect(path)
        assert matlab._child.process is None
    path = _saved(tmp_path / "c.mat")
    matlab.expect(path)
    started = matlab._child.process
    assert started is not None
    assert torch.equal(read_channels(path, axes="channels,users,antennas"), H)
    assert matlab._child.process is started


def _header_aside(path: Path) -> bytes:
    """A file's bytes without its first line, which holds the time."""
    return path.read_bytes()[128:]


WRITTEN = {
    "H": H.numpy(),
    "method": np.asarray("fast"),
    "codes": np.array(["a", "bc"]),
    "snr_db": np.array(3),
}


def test_the_child_writes_the_same_file(tmp_path):
    """A fork of the child that has read a file writes what the calling process would write."""
    read_arrays(_saved(tmp_path / "c.mat"))
    child, path = matlab._child, tmp_path / "by_child.mat"
    assert matlab._written_by_child(path, WRITTEN)
    scipy.io.savemat(str(tmp_path / "here.mat"), WRITTEN)
    assert _header_aside(path) == _header_aside(tmp_path / "here.mat")
    assert child.process is not None and child.process.poll() is None
    assert np.array_equal(read_arrays(path)["H"], H.numpy())


@pytest.mark.parametrize("fate", ["os._exit(7)", "raise OSError(28, 'No space left')", "os.kill(0, 9)"])
def test_what_the_child_cannot_write_is_written_here(fated, tmp_path, fate):
    """Its fork fails, or it is gone with its fork: the file is there all the same, and a next one is read."""
    script = CRASHING.replace("matlab_child._read_v5 = read", "matlab_child._write = read").replace(
        "def read(path, size, limit)", "def read(path, descriptor)"
    )
    path = fated("pass")
    matlab.CHILD.write_text(script.format(folder=str(Path(matlab.__file__).parent), fate=fate))
    read_arrays(path)
    matlab.write_matlab(tmp_path / "d.mat", WRITTEN)
    assert np.array_equal(read_arrays(tmp_path / "d.mat")["H"], H.numpy())


def test_a_large_file_is_not_written_through_a_pipe(tmp_path, monkeypatch):
    read_arrays(_saved(tmp_path / "c.mat"))
    monkeypatch.setattr(matlab, "SMALL", 100)
    monkeypatch.setattr(matlab, "_written_by_child", lambda *_: pytest.fail("asked the child"))
    matlab.write_matlab(tmp_path / "d.mat", WRITTEN)
    assert np.array_equal(read_arrays(tmp_path / "d.mat")["H"], H.numpy())
