"""Files: what is read is right or refused in one line; what is written is read back the same."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

import beamfold as bf
from beamfold import ModelInfo, UnfoldedPGA, phased_zf
from beamfold.files.arrays import read_arrays, write_arrays
from beamfold.files.atomic import FileError, check_target, replacing
from beamfold.files.channels import read_channels
from beamfold.files.designs import design_arrays, read_designs, write_design
from beamfold.files.models import import_steps, load_model, save_model
from beamfold.files.psi import read_sensing, write_sensing
from beamfold.result import Status

H = bf.saleh_valenzuela(8, 2, 3, seed=5)
DATA = Path(__file__).with_name("data")


def _save(path: Path, **arrays) -> Path:
    match path.suffix:
        case ".npz":
            np.savez(path, **arrays)
        case ".npy":
            np.save(path, next(iter(arrays.values())))
        case ".mat":
            scipy.io.savemat(str(path), arrays)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".mat"])
def test_channels_come_back_from_every_format(tmp_path, suffix):
    path = _save(tmp_path / f"c{suffix}", H=H.numpy()[None])
    assert torch.equal(read_channels(path, axes="channels,users,antennas"), H)


def test_rows_transpose_conjugates(tmp_path):
    path = _save(tmp_path / "c.npz", H=H.conj().resolve_conj().numpy())
    assert torch.equal(read_channels(path, rows="h^T", axes="channels,users,antennas"), H)


def test_real_channels_are_accepted(tmp_path):
    path = _save(tmp_path / "c.npz", H=H.real.numpy())
    assert torch.equal(read_channels(path, axes="channels,users,antennas").real, H.real)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"A": np.ones((2, 2, 4)), "B": np.ones((2, 2, 4))}, r"several arrays.*A \(2, 2, 4\), B"),
        ({"x": np.ones(3)}, r"holds no channels.*x \(3,\)"),
        (
            {"H": np.ones((2, 2, 2, 4))},
            "ri,channels,users,antennas, else give --axes channels,users,receive,antennas or",
        ),
        ({"H": np.ones((2, 8, 4)), "axes": "channels,users,antennas"}, "8 users and 4 antennas"),
        ({"H": 1j * np.ones((2, 8, 4))}, "give --axes users,antennas,channels or"),
    ],
)
def test_wrong_contents_are_named(tmp_path, arrays, message):
    with pytest.raises(FileError, match=message):
        read_channels(_save(tmp_path / "c.npz", **arrays))


def test_variable_chooses_and_a_wrong_one_lists_what_is_there(tmp_path):
    path = _save(tmp_path / "c.npz", A=H.numpy(), B=2 * H.numpy())
    assert torch.equal(read_channels(path, variable="B", axes="channels,users,antennas"), 2 * H)
    with pytest.raises(FileError, match="no array 'C'; it holds A, B"):
        read_channels(path, variable="C")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.mat", None, "no such file"),
        ("text.txt", b"hello", "not a file of arrays"),
        ("text.mat", b"hello", "can't be read"),
        ("text.npz", b"hello", "can't be read"),
        ("text.npy", b"hello", "can't be read"),
    ],
)
def test_what_is_no_channel_file_is_refused(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=message):
        read_channels(path)


def test_pickled_arrays_are_refused(tmp_path):
    path = tmp_path / "c.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FileError, match="need code to load"):
        read_arrays(path)


@pytest.mark.parametrize("shape", [(10**6, 10**3, 64), (100, 4, 64)])
def test_a_shape_that_the_file_does_not_hold_is_refused_before_it_is_allocated(tmp_path, shape):
    path = tmp_path / "c.npy"
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "<c16", "fortran_order": False, "shape": shape}
        )
    with pytest.raises(FileError, match="declares"):
        read_arrays(path)


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_a_design_file_holds_what_the_design_held(tmp_path, suffix):
    radar = bf.solve_covariance(8, [0], tolerance=1e-4)
    d = phased_zf(bf.make_scenario(H, radar, snr_db=[0, 10], weight=0.5))
    path = tmp_path / f"d{suffix}"
    write_design(path, d)
    held = read_arrays(path)
    assert held["F"].shape == (2, 3, 8, 2)
    assert held["W"].shape == (2, 3, 2, 2)
    assert np.array_equal(held["F"], d.F.numpy())
    assert np.array_equal(held["rate"].reshape(2, 3), d.rate.numpy())
    assert np.allclose(held["snr_db"].ravel(), [0, 10])
    assert float(held["weight"].ravel()[0]) == 0.5


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_psi_comes_back_with_its_problem(tmp_path, suffix):
    radar = bf.solve_covariance(8, [-20, 30], tolerance=1e-4)
    path = tmp_path / f"psi{suffix}"
    write_sensing(path, radar)
    back = read_sensing(path)
    assert torch.allclose(back.Psi, radar.Psi, atol=1e-15)
    assert back.targets == pytest.approx(radar.targets)
    assert back.scale == pytest.approx(radar.scale)
    assert torch.allclose(back.desired, radar.desired)
    assert back.solver == "fast"


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_the_psi_of_a_design_file_is_read_with_its_grid(tmp_path, suffix):
    """The file's `objective` is R − ω τ of the designs, not the value of (6a)."""
    radar = bf.solve_covariance(8, [-20, 30], angles=91, tolerance=1e-4)
    path = tmp_path / f"d{suffix}"
    write_design(path, phased_zf(bf.make_scenario(H, radar, snr_db=[0, 10])))
    back = read_sensing(path)
    assert torch.allclose(back.Psi, radar.Psi, atol=1e-15)
    assert torch.allclose(back.angles, radar.angles)
    assert back.targets == pytest.approx(radar.targets)
    assert (back.solver, back.desired) == ("fast", None)
    assert np.isnan([back.scale, back.objective, back.gap]).all()


def test_a_psi_of_a_file_without_a_solver_has_none(tmp_path):
    right = {"Psi": np.eye(2), "angles_deg": np.array([0.0, 10]), "scale": 1.0}
    assert read_sensing(_save(tmp_path / "a.npz", **right)).solver == ""
    assert read_sensing(_save(tmp_path / "b.npz", **right, solver=np.array(["x", "y"]))).solver == ""
    assert read_sensing(_save(tmp_path / "c.npz", **right, solver="a\x1b[31m" + "b" * 999)).solver == (
        "a[31m" + "b" * 94
    )


def test_a_psi_of_version_0_1_is_read():
    back = read_sensing(DATA / "psi-0.1.npz")
    assert (back.solver, back.targets, len(back.angles)) == ("fast", (0.0,), 181)


@pytest.mark.parametrize(
    ("Psi", "message"),
    [
        (np.ones((2, 3)), "square"),
        (np.array([[1, 2], [0, 1]]), "not Hermitian"),
        (np.diag([1.0, -1.0]), "not positive semidefinite.*-1"),
        (np.full((2, 2), np.nan), "NaN"),
    ],
)
def test_a_bad_psi_is_refused(tmp_path, Psi, message):
    with pytest.raises(FileError, match=message):
        read_sensing(_save(tmp_path / "psi.npz", Psi=Psi))


def _model() -> UnfoldedPGA:
    mu = torch.linspace(0.01, 0.05, 6, dtype=torch.float64).reshape(3, 2)
    info = ModelInfo(8, 2, 2, 1 / 8, note="test", curve=(1.0, 2.0), extra={"a": [1]})
    return UnfoldedPGA.from_steps(mu, torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64), info)


def test_a_model_comes_back_bit_for_bit(tmp_path):
    model = _model()
    save_model(tmp_path / "m.safetensors", model)
    back = load_model(tmp_path / "m.safetensors")
    assert torch.equal(back.mu, model.mu)
    assert torch.equal(back.lam, model.lam)
    assert back.info == model.info


def test_a_foreign_safetensors_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"mu": torch.ones(2, 2)}, tmp_path / "m.safetensors")
    with pytest.raises(FileError, match="not a model of this program"):
        load_model(tmp_path / "m.safetensors")
    (tmp_path / "m.safetensors").write_bytes(b"nothing")
    with pytest.raises(FileError, match="not a safetensors file"):
        load_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize(("shape", "J"), [((5, 2), 1), ((3, 5, 2), 3)])
def test_published_step_sizes_are_read_as_documented(tmp_path, shape, J):
    steps = torch.rand(shape)
    torch.save({"step_size": steps}, tmp_path / "s.pth")
    model = import_steps(tmp_path / "s.pth", antennas=8, users=2, chains=2)
    assert model.mu.shape == (5, J)
    for i in range(5):
        for j in range(J):
            assert model.mu[i, j] == (steps[i, 0] if J == 1 else steps[j, i, 0])
        assert model.lam[i] == (steps[i, 1] if J == 1 else steps[0, i, 1])


class _Trap:
    def __reduce__(self):
        return (Path.touch, (Path("trapped"),))


def test_a_pth_that_needs_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"step_size": _Trap()}, tmp_path / "s.pth")
    with pytest.raises(FileError, match="need code"):
        import_steps(tmp_path / "s.pth", antennas=8, users=2, chains=2)
    assert not Path("trapped").exists()


def test_targets_are_checked_early(tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        check_target(tmp_path / "no" / "x.mat", force=False)
    (tmp_path / "x.mat").write_text("old")
    with pytest.raises(FileError, match="--force"):
        check_target(tmp_path / "x.mat", force=False)
    check_target(tmp_path / "x.mat", force=True)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.npz"
    write_arrays(path, {"a": 1})
    before = path.read_bytes()
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_only_mat_and_npz_are_written(tmp_path):
    with pytest.raises(FileError, match=r"\.mat or \.npz"):
        write_arrays(tmp_path / "x.csv", {"a": 1})


def test_a_zip_that_expands_too_far_is_refused(tmp_path):
    """The directory of the archive lies about the size of an entry."""
    path = tmp_path / "c.npz"
    np.savez_compressed(path, H=np.zeros((4, 2, 8)))
    raw = bytearray(path.read_bytes())
    at = raw.rfind(b"PK\x01\x02")
    raw[at + 24 : at + 28] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(FileError, match="declares"):
        read_arrays(path)


def _directory(path: Path, offset: int, number: int, width: int = 4) -> None:
    """A field of the archive's last directory entry says something else."""
    raw = bytearray(path.read_bytes())
    at = raw.rfind(b"PK\x01\x02") + offset
    raw[at : at + width] = number.to_bytes(width, "little")
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("offset", "number", "width", "message"),
    [
        (20, 1 << 30, 4, "its directory declares"),  # packed size, beyond the file
        (24, 1 << 20, 4, "declares"),  # unpacked size, beyond what deflate can
        (10, 14, 2, "packed in a way that is not read"),
    ],
)
def test_an_archive_whose_directory_lies_is_refused(tmp_path, offset, number, width, message):
    path = tmp_path / "c.npz"
    np.savez_compressed(path, H=H.numpy())
    _directory(path, offset, number, width)
    with pytest.raises(FileError, match=message):
        read_arrays(path)


def test_entries_that_overlap_are_refused(tmp_path):
    """Many directory entries that share one stream would unpack it again and again."""
    path = tmp_path / "c.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("H.npy", bytes(50_000))
        archive.filelist.extend(archive.filelist * 99)
    assert path.stat().st_size < 10_000
    with pytest.raises(FileError, match="its directory declares"):
        read_arrays(path)


@pytest.mark.parametrize("shape", [(-1, 4), (-3, -4)])
def test_negative_axes_are_refused(tmp_path, shape):
    path = tmp_path / "c.npy"
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "<c16", "fortran_order": False, "shape": shape}
        )
        stream.write(bytes(1000))
    with pytest.raises(FileError, match="declares axes"):
        read_arrays(path)


@pytest.mark.parametrize("kind", ["<f2", ">f8", "<f16", ">c16", "<c8", "|i1", "<u8", "|b1"])
def test_channels_of_every_type_of_number_are_read(tmp_path, kind):
    value = (np.arange(2 * 2 * 4).reshape(2, 2, 4) % 2).astype(kind)
    path = _save(tmp_path / "c.npy", H=value)
    found = read_channels(path, axes="channels,users,antennas")
    assert torch.equal(found, torch.from_numpy(value.astype(np.complex128)))


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1.0, 1e300])
def test_psi_of_any_scale_gets_trace_one_or_zero(tmp_path, scale):
    Psi = read_sensing(_save(tmp_path / "psi.npz", Psi=scale * np.diag([1.0, 3.0]))).Psi
    expected = [0.25, 0.75] if scale > 1e-300 else [0.0, 0.0]
    assert np.allclose(Psi.diagonal().real.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"angles_deg": np.zeros(0)}, "angles_deg needs angles"),
        ({"angles_deg": np.array([0.0, 91])}, "angles_deg needs angles"),
        ({"angles_deg": np.array([1j, 0])}, "angles_deg holds values that are not finite real"),
        ({"desired": np.array([0, np.nan])}, "desired holds values that are not finite real"),
        ({"desired": np.ones(3)}, "desired has 3 values for 2 angles_deg"),
        ({"targets_deg": np.array([np.inf])}, "targets_deg holds"),
        ({"scale": np.zeros(0)}, "scale has 0 float64 values, expected one"),
        ({"gap": np.array(1j)}, "gap has 1 complex128"),
        ({"Psi": np.zeros((0, 0))}, "expected a square"),
    ],
)
def test_a_wrong_fact_about_psi_is_named(tmp_path, change, message):
    right = {"Psi": np.eye(2), "angles_deg": np.array([0.0, 10]), "desired": np.ones(2), "scale": 1.0}
    assert read_sensing(_save(tmp_path / "psi.npz", **right)).scale == 1
    with pytest.raises(FileError, match=message):
        read_sensing(_save(tmp_path / "psi.npz", **{**right, **change}))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("W", None, "lacks W"),
        ("Psi", None, "lacks W, Psi"),
        ("rate", None, "rate has 0 float64 values, expected 6"),
        ("tau", lambda v: v[:1], "tau has 3 float64 values, expected 6"),
        ("mse", lambda v: v[:1], "mse has 3 float64 values, expected 6"),
        ("objective", lambda v: v + 1j, "objective has 6 complex128"),
        ("weight", lambda v: np.ones(2), "weight has 2"),
        ("rate", lambda v: v + 1j, "expected 6 real ones"),
        ("F", lambda v: v[..., :1], "W .* does not fit"),
        ("F", lambda v: v.ravel(), "F .* does not fit"),
        ("W", lambda v: v[:, :2], "W .* does not fit 6 designs"),
        ("snr_db", lambda v: v[:0], "0 snr_db and 1 noise"),
        ("noise", lambda v: np.ones(2), "2 snr_db and 2 noise"),
        ("Psi", lambda v: v[:4, :4], r"designs for \(K, N\) = \(2, 4\), the channels have \(2, 8\)"),
    ],
)
def test_a_design_file_that_does_not_fit_is_named(tmp_path, name, change, message):
    radar = bf.solve_covariance(8, [0], tolerance=1e-4)
    d = phased_zf(bf.make_scenario(H, radar, snr_db=[0, 10], weight=0.5))
    held = design_arrays(d)
    path = _save(tmp_path / "d.npz", **held)
    read = read_designs(path, 3, 2, 8)["design"]
    assert np.array_equal(read.W.reshape(2, 3, 2, 2), held["W"])
    assert np.allclose(read.power, [1, 1, 1, 10, 10, 10])
    rest = {key: value for key, value in held.items() if key != name}
    changed = rest if change is None else {**rest, name: change(np.asarray(held[name]))}
    with pytest.raises(FileError, match=message):
        read_designs(_save(path, **changed), 3, 2, 8)


@pytest.mark.parametrize(
    ("method", "expected"), [("pga_j20", Status.FIXED_DEPTH), ("fast", Status.ITERATION_LIMIT)]
)
def test_what_0_meant_in_version_0_1_depends_on_the_method_that_the_file_names(tmp_path, method, expected):
    radar = bf.solve_covariance(8, [0], tolerance=1e-4)
    held = design_arrays(phased_zf(bf.make_scenario(H, radar, snr_db=10)))
    held = {k: v for k, v in held.items() if k != "faults"} | {"status": np.zeros(3, np.int8)}
    path = tmp_path / "d.mat"
    write_arrays(path, {**held, "method": method})
    assert read_designs(path, 3, 2, 8)["design"].status.tolist() == [expected] * 3


def test_an_error_is_one_line_whatever_the_file_says():
    text = str(FileError("two\nlines, \x1b[31mred\x1b[0m, " + "long " * 1000))
    assert text.startswith("two lines, ?[31mred?[0m, long")
    assert len(text) < 510


def test_a_design_file_of_version_0_1_opens_with_its_statuses_right():
    """There 0 was the limit of iterations, or a fixed depth, and a fault took the place of the reason."""
    from pathlib import Path

    from beamfold.files.arrays import read_arrays
    from beamfold.files.designs import FORMER, read_designs
    from beamfold.result import Fault, Status

    path = Path(__file__).with_name("data") / "design-0.1.npz"
    written = read_arrays(path)["status"].ravel().tolist()
    held = read_designs(path, 3, 2, 8)["design"]
    assert held.status is not None and held.faults is not None
    expected = [FORMER[code] for code in written]
    layered = {Status.FIXED_DEPTH, Status.ITERATION_LIMIT}
    for (status, fault), ours, faults in zip(expected, held.status, held.faults, strict=True):
        assert Status(ours) == status or {Status(ours), status} == layered
        assert Fault(faults) == fault
    assert FORMER[3] == (Status.ITERATION_LIMIT, Fault.BELOW_START)


def test_a_new_design_file_says_what_its_numbers_mean(tmp_path):
    from beamfold.files.arrays import read_all, text
    from beamfold.result import FAULT_CODES, STATUS_CODES
    from beamfold.testing import small

    bf.write_design(tmp_path / "d.mat", phased_zf(small(8, 2)))
    held = read_all(tmp_path / "d.mat")
    assert text(held, "status_codes") == STATUS_CODES
    assert "2 closed_form" in STATUS_CODES and "6 iteration_limit" in STATUS_CODES
    assert str(held["fault_codes"].reshape(-1)[0]) == FAULT_CODES
