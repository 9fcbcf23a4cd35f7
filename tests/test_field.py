"""Channel files as people have them: each is read rightly, or refused with the option that reads it.

Every case is an input that was seen among users' files; H is what must come out.
"""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csc_matrix

import beamfold as bf
from beamfold.files.arrays import Held
from beamfold.files.entries import ScenarioSpec
from beamfold.files.orders import EVERY
from beamfold.files.reader import read_set, understood

H = bf.saleh_valenzuela(16, 4, 20, seed=1).numpy()
"""20 channels of 4 users and 16 antennas."""
LIST = bf.saleh_valenzuela(16, 1, 24, seed=2, receive=2)[:, 0].numpy()
"""24 users of 2 antennas."""


def saved(path: Path, **arrays) -> Path:
    if path.suffix == ".mat":
        scipy.io.savemat(str(path), arrays)
    elif path.suffix == ".npy":
        np.save(path, next(iter(arrays.values())))
    elif path.suffix in (".h5", ".hdf5"):
        with h5py.File(path, "w") as file:
            for name, value in arrays.items():
                file[name] = value
    else:
        np.savez(path, **arrays)
    return path


def read(path: Path, **options):
    return read_set(path, ScenarioSpec(**options))


NAMED = {"axes": "channels,users,antennas"}


def same(found, expected) -> bool:
    return np.array_equal(found.H.numpy(), expected)


def refused(path: Path, *texts: str, **options) -> None:
    """One line that names each of the texts."""
    with pytest.raises(bf.InputError) as error:
        read(path, **options)
    for text in texts:
        assert text in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


ORDERS = {
    "antennas,users,channels": (2, 1, 0),
    "users,antennas,channels": (1, 2, 0),
    "users,channels,antennas": (1, 0, 2),
    "channels,antennas,users": (0, 2, 1),
    "antennas,channels,users": (2, 0, 1),
}


@pytest.mark.parametrize("axes", ORDERS)
@pytest.mark.parametrize("suffix", [".mat", ".npz", ".h5"])
def test_other_orders_of_axes_are_named(tmp_path, axes, suffix):
    path = saved(tmp_path / f"c{suffix}", H=H.transpose(ORDERS[axes]))
    assert same(read(path, axes=axes), H)


@pytest.mark.parametrize(
    "axes", ["antennas,users,channels", "users,antennas,channels", "channels,antennas,users"]
)
def test_the_orders_of_matlab_are_refused_without_a_name(tmp_path, axes):
    """(16, 4, 20) is 20 channels of 16 antennas and not 16 channels of 20; 64 x 64 x 64 is anything."""
    refused(saved(tmp_path / "c.mat", H=H.transpose(ORDERS[axes])), "whose order", f"--axes {axes}")
    many = bf.saleh_valenzuela(64, 4, 200, seed=3).numpy()
    refused(saved(tmp_path / "d.mat", H=many.transpose(ORDERS[axes])), "--axes")
    refused(
        saved(tmp_path / "e.npz", H=np.ones((64, 64, 64), complex) * 1j), "--axes antennas,users,channels"
    )


def test_a_matrix_of_antennas_and_users(tmp_path):
    path = saved(tmp_path / "c.mat", H=H[0].T)
    refused(path, "whose order the shape does not tell", "--axes antennas,users")
    assert same(read(path, axes="antennas,users"), H[:1])
    refused(saved(tmp_path / "d.mat", H=H[0]), "--axes users,antennas or --axes antennas,users")
    assert same(read(tmp_path / "d.mat", axes="users,antennas"), H[:1])
    refused(
        saved(tmp_path / "e.npz", H=np.full((16, 16), 1j)), "--axes users,antennas or --axes antennas,users"
    )
    refused(saved(tmp_path / "f.npz", H=np.eye(16) + 0j), "a covariance; give it as --psi")


def test_several_receive_antennas(tmp_path):
    """(users, receive, antennas) and (channels, users, receive, antennas), kept or reduced to one."""
    path = saved(tmp_path / "c.npz", H=LIST)
    named = {"axes": "users,receive,antennas", "users": 4}
    whole = LIST.reshape(6, 4, 2, 16)
    refused(
        path, "users of 2 receive antennas", "--streams", "--receive first, strongest or combine", **named
    )
    assert same(read(path, streams=1, **named), whole)
    assert same(read(path, receive="first", **named), whole[:, :, 0])
    strongest = read(path, receive="strongest", **named).H.abs().square().sum(-1).numpy()
    assert np.allclose(strongest, np.square(np.abs(whole)).sum(-1).max(-1), rtol=1e-13)
    combined = read(path, receive="combine", **named)
    top = np.linalg.svd(whole, compute_uv=False)[..., 0]
    assert np.allclose(np.linalg.norm(combined.H.numpy(), axis=-1), top, rtol=1e-12)
    assert "the best combination of 2 receive antennas" in combined.told
    four = saved(tmp_path / "d.npz", H=whole)
    refused(four, "--axes channels,users,receive,antennas or --axes channels,subcarriers")
    refused(four, "--axes channels,users,receive,antennas or", streams=2)
    several = {"axes": "channels,users,receive,antennas"}
    assert same(read(four, streams=2, **several), whole)
    assert same(read(four, receive="first", **several), whole[:, :, 0])
    refused(four, "first, strongest, combine, got 'all'", receive="all", **several)
    refused(four, "give one of them", receive="first", streams=1, **several)


def test_subcarriers(tmp_path):
    """(users, antennas, subcarriers): one, each a channel, or kept with the frequencies of the file."""
    bands = bf.saleh_valenzuela(16, 4, 5, seed=4).numpy()
    path = saved(tmp_path / "c.npz", H=bands.transpose(1, 2, 0))
    refused(path, "--axes users,antennas,channels")
    named = {"axes": "users,antennas,subcarriers"}
    refused(path, "5 subcarriers", "--subcarrier i", "--subcarrier all", **named)
    one = read(path, subcarrier="3", **named)
    assert same(one, bands[3:4]) and "subcarriers 3 of 5" in one.told
    assert same(read(path, subcarrier="all", **named), bands)
    refused(path, "positions 0 to 4", subcarrier="5", **named)
    refused(path, "counted from 0, or all", subcarrier="last", **named)
    refused(path, "no axis 'subcarriers'", subcarrier="0", axes="users,antennas,channels")
    f = 28e9 + 1e6 * np.arange(5)
    H = bands.transpose(1, 2, 0)
    kept = read(saved(tmp_path / "d.npz", H=H, frequencies=f, carrier=28e9), **named)
    assert same(kept, bands[None]) and np.array_equal(kept.band.frequencies, f)
    assert "5 subcarriers" in kept.told
    assert np.array_equal(bf.read_channels(tmp_path / "d.npz", **named), bands[None])
    refused(saved(tmp_path / "e.npz", H=H, frequencies=f[1:], carrier=28e9), "4 values for 5", **named)
    refused(saved(tmp_path / "g.npz", H=H, frequencies=f), "has frequencies and needs carrier", **named)


def test_axes_of_deepmimo_and_sionna_are_never_guessed(tmp_path):
    users = LIST[:, :1, :, None]
    refused(saved(tmp_path / "a.npz", H=users), "--from deepmimo")
    refused(saved(tmp_path / "b.npz", H=np.ones((50, 1, 8, 64)) * 1j), "--from deepmimo")
    refused(saved(tmp_path / "c.npz", H=np.ones((100, 1, 64)) * 1j), "--axes users,antennas")
    seven, six = np.ones((10, 4, 1, 1, 16, 1, 1)) * 1j, np.ones((4, 1, 1, 16, 14, 64)) * 1j
    refused(saved(tmp_path / "d.npz", h=seven), "--from sionna")
    refused(saved(tmp_path / "e.npz", h=six), "--from sionna")


def test_paths_and_delays_of_a_ray_tracer_are_no_channels(tmp_path):
    a = np.ones((4, 1, 1, 16, 30)) * 1j
    for arrays in (
        {"a": a, "tau": np.ones((4, 8, 30))},
        {"a": a[:, 0, 0], "tau": np.ones((4, 8, 30)) * 1e-8},
    ):
        refused(saved(tmp_path / "c.npz", **arrays), "")
    refused(saved(tmp_path / "d.npz", a=np.ones((4, 4, 16)) * 1j, tau=np.ones((4, 4, 16))), "single paths")
    refused(saved(tmp_path / "e.npz", tau=np.full((4, 4, 16), 1e-8)), "nowhere negative", "--variable tau")
    alone = saved(tmp_path / "f.npz", H=H, tau=np.ones((20, 4, 16)))
    assert same(read(alone, **NAMED), H)


PAIRS = [("H_real", "H_imag"), ("Re", "Im"), ("H_re", "H_im"), ("HReal", "HImag"), ("hr_real", "hr_imag")]


@pytest.mark.parametrize(("real", "imag"), PAIRS)
@pytest.mark.parametrize("suffix", [".npz", ".mat", ".h5"])
def test_real_and_imaginary_part_as_two_arrays(tmp_path, real, imag, suffix):
    path = saved(tmp_path / f"c{suffix}", **{real: H.real, imag: H.imag})
    refused(path, "whose order the shape does not tell", "--axes channels,users,antennas")
    found = read(path, **NAMED)
    assert same(found, H) and f"of {real} and {imag}" in found.told


def test_two_arrays_of_any_name_are_joined_by_options(tmp_path):
    path = saved(tmp_path / "c.npz", A=H.real, B=H.imag, C=H.imag[:3])
    found = read(path, variable="A", imag="B", **NAMED)
    assert same(found, H) and "with B as imaginary part" in found.told
    refused(path, "no real and imaginary part", variable="A", imag="C")
    refused(path, "no array 'D'; it holds A, B, C", variable="A", imag="D")
    refused(path, "give both", imag="B")


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_an_axis_of_real_and_imaginary_part(tmp_path, place):
    path = saved(tmp_path / "c.npz", H=np.stack([H.real, H.imag], place))
    names = ["channels", "users", "antennas"]
    axes = ",".join([*names[:place], "ri", *names[place:]])
    refused(path, "real", "--axes", "ri")
    found = read(path, axes=axes)
    assert same(found, H) and ", complex," in found.told
    refused(
        path, "of length 2", axes=axes.replace("ri", "x").replace("antennas", "ri").replace("x", "antennas")
    )


@pytest.mark.parametrize("fields", [("real", "imag"), ("re", "im"), ("r", "i"), ("Re", "Im")])
def test_fields_of_real_and_imaginary_part(tmp_path, fields):
    value = np.empty(H.shape, [(fields[0], "f8"), (fields[1], "f8")])
    value[fields[0]], value[fields[1]] = H.real, H.imag
    assert same(read(saved(tmp_path / "c.npy", H=value), **NAMED), H)
    assert same(read(saved(tmp_path / "c.h5", H=value), **NAMED), H)


def test_the_real_part_alone_is_taken_with_a_warning(tmp_path, caplog):
    found = read(saved(tmp_path / "c.npz", H=H.real), **NAMED)
    assert same(found, H.real) and ", real," in found.told
    assert "without an imaginary part" in caplog.text
    caplog.clear()
    refused(saved(tmp_path / "d.npz", H_real=H.real), "one part of complex channels", "--imag NAME")
    assert same(read(saved(tmp_path / "d.npz", H_real=H.real), variable="H_real", **NAMED), H.real)
    assert "without an imaginary part" in caplog.text


def cells(values: list) -> np.ndarray:
    held = np.empty((1, len(values)), object)
    held[0, :] = [None] * len(values)
    for i, value in enumerate(values):
        held[0, i] = value
    return held


def test_structures_cells_and_sparse_matrices_of_matlab(tmp_path):
    array = np.zeros((1, 20), [("H", object)])
    for i in range(20):
        array[0, i]["H"] = H[i]
    path = tmp_path / "c.mat"
    scipy.io.savemat(
        str(path),
        {
            "S": {"H": H, "name": "UMi"},
            "A": array,
            "C": cells(list(H)),
            "D": cells([H, H[:3]]),
            "P": csc_matrix(H[0]),
            "F": H.astype(np.complex64),
            "deep": {"er": {"H": H}},
        },
    )
    for name in ("S.H", "A.H", "C", "D{1}", "deep.er.H", "S/H"):
        assert same(read(path, variable=name, **NAMED), H), name
    assert same(read(path, variable="P", axes="users,antennas"), H[:1])
    assert same(read(path, variable="F", **NAMED), H.astype(np.complex64))
    refused(path, "several arrays", "S.H (20, 4, 16)", "--variable")
    scipy.io.savemat(str(path), {"S": {"H": H}, "fs": 1e6}, do_compression=True)
    assert same(read(path, **NAMED), H)


def opaque(name: bytes, kind: bytes) -> bytes:
    """A variable of a v5 file that is an object of MATLAB, as `table` and `string` are."""

    def element(number: int, data: bytes) -> bytes:
        return np.array([number, len(data)], "<u4").tobytes() + data + bytes(-len(data) % 8)

    body = element(6, np.array([17, 0], "<u4").tobytes())
    body += element(1, name) + element(1, b"MCOS") + element(1, kind)
    inner = element(6, np.array([13, 0], "<u4").tobytes()) + element(5, np.array([6, 1], "<i4").tobytes())
    inner += element(1, b"") + element(6, np.arange(6, dtype="<u4").tobytes())
    return element(14, body + element(14, inner))


def test_an_object_beside_h_leaves_it_readable(tmp_path):
    path = saved(tmp_path / "c.mat", H=H)
    path.write_bytes(path.read_bytes() + opaque(b"T", b"table"))
    assert same(read(path, **NAMED), H)
    refused(path, "T is a table of MATLAB", variable="T")
    refused(path, "no array 'X'; it holds H; T is a table", variable="X")


def test_octave_text_and_version_4(tmp_path):
    (tmp_path / "c.mat").write_text("# Created by Octave 7.3.0\n# name: H\n# type: complex matrix\n")
    refused(tmp_path / "c.mat", "Octave's text format", "save -v7")
    scipy.io.savemat(str(tmp_path / "d.mat"), {"H": H[0]}, format="4")
    assert same(read(tmp_path / "d.mat", axes="users,antennas"), H[:1])


@pytest.mark.parametrize("shape", [(20, 4, 16, 1), (20, 1, 4, 1, 16), (1, 20, 4, 16), (1, 1, 20, 4, 16)])
def test_axes_of_length_1_are_dropped(tmp_path, shape):
    path = saved(tmp_path / "c.npz", H=H.reshape(shape))
    refused(path, "whose order the shape does not tell", "--axes channels,users,antennas")
    assert same(read(path, **NAMED), H)


def test_covariances_of_several_snrs(tmp_path):
    """J (64, 64, 1, 7), one for each SNR, beside a scalar of the same file."""
    A = np.random.default_rng(0).standard_normal((7, 8, 12))
    J = (A @ A.transpose(0, 2, 1)).transpose(1, 2, 0)[:, :, None]
    path = saved(tmp_path / "j.mat", J=J, theta=np.ones((1, 1)), steering=np.ones((8, 181)))
    with pytest.raises(bf.InputError, match=r"7 matrices; choose one with --index snr=i"):
        bf.read_sensing(path)
    found = bf.read_sensing(path, index="snr=6")
    assert np.allclose(found.Psi, J[:, :, 0, 6] / np.trace(J[:, :, 0, 6]), atol=1e-15)
    with pytest.raises(bf.InputError, match="i from 0 to 6"):
        bf.read_sensing(path, index="snr=7")
    two = saved(tmp_path / "k.npz", A=np.eye(8), B=2 * np.eye(8))
    with pytest.raises(
        bf.InputError, match="several square arrays \\(A, B\\); choose one with --psi-variable"
    ):
        bf.read_sensing(two)
    assert np.allclose(bf.read_sensing(two, variable="B").Psi, np.eye(8) / 8)


def test_a_covariance_in_single_precision_is_made_hermitian(tmp_path):
    A = np.random.default_rng(1).standard_normal((16, 16)) + 1j * np.random.default_rng(2).standard_normal(
        (16, 16)
    )
    Psi = (A @ A.conj().T).astype(np.complex64)
    Psi[0, 1] += np.float32(3e-6) * Psi[0, 0].real
    found = bf.read_sensing(saved(tmp_path / "p.npz", Psi=Psi))
    assert torch.equal(found.Psi, found.Psi.mH)
    with pytest.raises(bf.InputError, match="not Hermitian"):
        bf.read_sensing(saved(tmp_path / "q.npz", Psi=Psi.astype(complex)))


def test_hdf5_of_any_name(tmp_path):
    """An h5py file keeps its order of axes, also where it is named .mat; MATLAB's own is turned back."""
    for suffix in (".h5", ".hdf5", ".mat", ".dat"):
        path = tmp_path / f"c{suffix}"
        with h5py.File(path, "w") as file:
            file["H"] = H
        assert same(read(path, **NAMED), H)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["H"] = H.T
        file["H"].attrs["MATLAB_class"] = np.bytes_("double")
        group = file.create_group("S")
        group["G"] = H.T
        group["G"].attrs["MATLAB_class"] = np.bytes_("double")
    assert same(read(tmp_path / "m.h5", **NAMED), H)
    assert same(read(tmp_path / "m.h5", variable="S.G", **NAMED), H)


def test_structures_of_matlab_73(tmp_path):
    """Structure arrays and cells are references there, sparse matrices groups."""
    path = tmp_path / "c.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        refs = file.create_group("#refs#")
        for i in range(20):
            refs[f"r{i}"] = H[i].T
        cell = np.array([[refs[f"r{i}"].ref for i in range(20)]], dtype=h5py.ref_dtype).T
        file["C"] = cell
        file["C"].attrs["MATLAB_class"] = np.bytes_("cell")
        file.create_group("S").attrs["MATLAB_class"] = np.bytes_("struct")
        file["S/H"] = cell
        rows = np.nonzero(H[0].T)[1]
        sparse = file.create_group("P")
        sparse.attrs["MATLAB_class"], sparse.attrs["MATLAB_sparse"] = np.bytes_("double"), np.uint64(4)
        sparse["data"], sparse["ir"] = H[0].T.ravel(), rows.astype("u8")
        sparse["jc"] = np.arange(17, dtype="u8") * 4
        file["T"] = np.arange(6, dtype="u4")
        file["T"].attrs["MATLAB_class"], file["T"].attrs["MATLAB_object_decode"] = (
            np.bytes_("string"),
            np.int32(3),
        )
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    assert same(read(path, variable="C", **NAMED), H)
    assert same(read(path, variable="S.H", **NAMED), H)
    assert same(read(path, variable="P", axes="users,antennas"), H[:1])
    refused(path, "T is a string of MATLAB", variable="T")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("c.pt", "tensors of torch; save them with numpy.savez"),
        ("c.csv", "text; save H with numpy.savez"),
        ("c.pkl", "need code to load"),
    ],
)
def test_what_is_not_read_is_told_how_to_save(tmp_path, name, told):
    (tmp_path / name).write_bytes(b"PK\x03\x04 whatever")
    refused(tmp_path / name, told)


def test_one_antenna(tmp_path):
    """N = 1, named."""
    one = np.full((3, 1, 1), 1j)
    path = saved(tmp_path / "c.npz", H=one)
    assert same(read(path, axes="channels,users,antennas"), one)
    s = bf.make_scenario(
        bf.read_channels(path, axes="channels,users,antennas"), bf.solve_covariance(1), snr_db=0
    )
    assert bool(bf.design(s, "fast").usable.all())


def test_the_name_h_does_not_hide_a_better_reading(tmp_path):
    """H (64, 4, 1, 50) beside H_test (1, 50, 4, 64): both are named."""
    path = saved(tmp_path / "c.mat", H=np.ones((64, 4, 1, 50)) * 1j, H_test=np.ones((1, 50, 4, 64)) * 1j)
    refused(path, "H (64, 4, 1, 50)", "H_test (1, 50, 4, 64)", "--variable")
    assert read(path, variable="H_test").H.shape == (50, 4, 64)


def test_other_entries_of_an_archive_are_left_alone(tmp_path):
    path = tmp_path / "c.npz"
    np.savez(path, H=H, about=np.array({"a": 1}, object), note="text")
    assert same(read(path, **NAMED), H) and same(read(path, variable="H", **NAMED), H)
    refused(path, "about is Python objects, which would need code to load", variable="about")


def test_rows_that_a_file_states_are_not_overlooked(tmp_path):
    path = saved(tmp_path / "c.npz", H=H, axes=NAMED["axes"], rows="h^T")
    refused(path, "says that its rows are h^T; give --rows h^T")
    assert same(read(path, rows="h^T"), H.conj()) and same(read(path, rows="h^H"), H)


def test_damaged_texts_are_named_and_left_alone(tmp_path):
    """Numbers that are no characters, which Python fails to read."""
    codes = np.array([65, 0x110000], "u4")
    path = saved(tmp_path / "c.npz", H=H, axes=NAMED["axes"], solver=codes.view("U2"))
    assert same(read(path), H)
    refused(path, "solver is an array of <U2", variable="solver")
    psi = saved(tmp_path / "p.npz", Psi=np.eye(4), solver=codes.astype(">u4").view(">U2"))
    assert bf.read_sensing(psi).Psi.shape == (4, 4)


def test_what_was_understood_names_the_rows_and_the_scale(tmp_path):
    path = saved(tmp_path / "c.npz", H=1e-6 * H, axes=NAMED["axes"])
    told = read(path, rows="h^T").told
    assert told.startswith("H of c.npz: 20 channels × 4 users × 16 antennas, complex, mean ‖h‖² = ")
    assert "rows h^T" in told and "--normalise set makes the mean 16" in told
    mean = float(np.square(np.abs(H)).sum(-1).mean())
    assert f"mean ‖h‖² = {1e-12 * mean:.3g}" in told
    whole = read(path, normalise="set").H
    assert float(whole.abs().square().sum(-1).mean()) == pytest.approx(16, rel=1e-12)
    each = read(path, normalise="user").H.abs().square().sum(-1)
    assert np.allclose(each, 16, rtol=1e-12)
    assert same(read(path, normalise="none"), 1e-6 * H)
    refused(path, "none, set, user, got 'all'", normalise="all")


def test_groups_of_users(tmp_path):
    path = saved(tmp_path / "c.npz", H=LIST[:, 0])
    named = {"axes": "users,antennas"}
    refused(path, "24 users and 16 antennas", "give --users K", **named)
    assert same(read(path, users=4, **named), LIST[:, 0].reshape(6, 4, 16))
    refused(path, "24 users do not fill groups of 5", "--users 4 or 6", "--group random:0", users=5, **named)
    drawn = read(path, users=5, group="random:7", **named)
    assert drawn.H.shape == (4, 5, 16) and "drawn with seed 7, 4 left out" in drawn.told
    again = read(path, users=5, group="random:7", **named).H
    assert torch.equal(drawn.H, again)
    assert not torch.equal(drawn.H, read(path, users=5, group="random:8", **named).H)
    rows = {row.tobytes() for row in drawn.H.reshape(-1, 16).numpy()}
    assert len(rows) == 20 and rows <= {row.tobytes() for row in LIST[:, 0].astype(complex)}
    refused(path, "has 24 users, --users asks for 30", users=30, **named)
    refused(path, "give --users K", group="order", **named)
    for bad in ("random", "random:x", "nearest"):
        refused(path, "order or random:SEED", users=4, group=bad, **named)


def test_users_without_a_path_are_counted(tmp_path):
    some = H.copy()
    some[3, 1] = 0
    assert "1 of 80 users without a path" in read(saved(tmp_path / "c.npz", H=some), **NAMED).told
    refused(saved(tmp_path / "d.npz", H=0 * H), "no user has a path", **NAMED)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axes": "channels,users,antenas"}, "unknown axis 'antenas'; known: channels"),
        ({"axes": "channels,channels,antennas"}, "names the axis channels 2 times"),
        ({"axes": "channels,users"}, "names no antennas"),
        ({"axes": "channels,users,receive,antennas"}, "has 3 axes (20, 4, 16), 4 are named"),
        ({"axes": "users,antennas"}, "has 3 axes (20, 4, 16), 2 are named"),
        ({"axes": "-,users,antennas"}, "'-' is 20 long; name it"),
        ({"axes": "snr,users,antennas", "index": "snr=20"}, "--index snr=20, the axis has positions 0 to 19"),
        ({"axes": "snr,users,antennas"}, "unknown axis 'snr'"),
        ({"axes": "channels,users,antennas", "index": "snr=1"}, "no axis 'snr'"),
        ({"index": "snr=1"}, "whose order the shape does not tell"),
        ({"index": "snr"}, "--index takes an axis and a position"),
        ({"index": "snr=-1"}, "--index takes an axis and a position"),
        ({"index": "a=1,a=2"}, "gives the axis a twice"),
        ({"axes": "symbols,users,antennas"}, "20 symbols; choose one with --index symbols=i"),
        (
            {"axes": "antennas,users,channels", "index": "antennas=all"},
            "--index takes all of antennas anyway",
        ),
        ({"from_": "sionna"}, "has axes (20, 4, 16), --from sionna expects (channels, users, receive, tx"),
        ({"from_": "matlab5g"}, "--from matlab5g expects (subcarriers, symbols, receive, antennas)"),
        ({"from_": "matlab6g"}, "no tool 'matlab6g'; known: sionna"),
        ({"from_": "deepmimo", "rows": "h^T", "axes": "channels,users,antennas"}, "leave --rows out"),
    ],
)
def test_bad_requests(tmp_path, options, message):
    refused(saved(tmp_path / "c.npz", H=H), message, **options)


def test_further_axes_are_chosen_or_become_channels(tmp_path):
    value = bf.saleh_valenzuela(16, 4, 30, seed=6).numpy().reshape(5, 2, 3, 4, 16)
    path = saved(tmp_path / "c.npz", H=value)
    axes = "channels,snr,symbols,users,antennas"
    assert same(read(path, axes=axes, index="snr=1,symbols=2"), value[:, 1, 2])
    assert same(read(path, axes=axes, index="snr=1,symbols=all"), value[:, 1].reshape(15, 4, 16))
    paths = read(path, axes="channels,snr,paths,users,antennas", index="snr=0")
    assert np.allclose(paths.H, value[:, 0].sum(1), atol=1e-14) and "sum over 3 paths" in paths.told


AXES = ("channels", "users", "receive", "antennas")


@st.composite
def arrangements(draw):
    """Channels with random lengths, in a random order of axes, with axes of length 1 put anywhere."""
    N = draw(st.integers(1, 12))
    sizes = {"channels": draw(st.integers(1, 6)), "users": draw(st.integers(1, N)), "antennas": N}
    if draw(st.booleans()):
        sizes["receive"] = draw(st.integers(2, 3))
    names = list(draw(st.permutations(list(sizes))))
    for _ in range(draw(st.integers(0, 2))):
        names.insert(draw(st.integers(0, len(names))), "-")
    return sizes, names


@given(arrangements(), st.booleans())
def test_named_axes_are_read_rightly_in_every_order(arrangement, silent_ones):
    """With axes of length 1 named "-", and without them where one way to drop them remains."""
    sizes, names = arrangement
    shape = [sizes.get(name, 1) for name in AXES]
    right = np.arange(1, np.prod(shape) + 1).reshape(shape) * (1 + 2j)
    order = [name for name in names if name != "-"]
    full = [*order, *(name for name in AXES if name not in order)]
    value = right.transpose([AXES.index(name) for name in full]).reshape([sizes.get(n, 1) for n in names])
    several = "receive" in sizes
    spec = ScenarioSpec(axes=",".join(order if silent_ones else names), streams=1 if several else None)
    try:
        found = understood(Path("c.npz"), Held({"H": value}, {}, {}), spec)
    except bf.InputError as error:
        assert silent_ones and "say with - which axis" in str(error)
        return
    assert np.array_equal(found.H, right if several else right[:, :, 0])


@given(arrangements(), st.booleans(), st.sampled_from([None, 1, "first"]))
def test_without_names_nothing_is_guessed(arrangement, single, receive):
    """Axes in any order and of any length, axes of length 1 anywhere: refused with the right `--axes` among
    the commands, where that order is a usual one; only a single row of antennas is read, and rightly.
    """
    sizes, names = arrangement
    shape = [1 if single and name != "antennas" else sizes.get(name, 1) for name in names]
    value = np.arange(1, np.prod(shape) + 1).reshape(shape) * (1 - 1j)
    streams, first = (1, None) if receive == 1 else (None, receive)
    spec = ScenarioSpec(streams=streams, receive=first)
    try:
        found = understood(Path("c.npz"), Held({"H": value}, {}, {}), spec)
    except bf.InputError as error:
        order = [name for name, n in zip(names, shape, strict=True) if n > 1]
        usual = tuple(order) in EVERY.get(len(order), ()) and sizes.get("receive", 1) <= sizes["antennas"]
        assert not usual or f"--axes {','.join(order)}" in str(error)
        return
    assert sum(n > 1 for n in shape) <= 1, "a shape decided between several readings"
    assert found.H.shape[-1] == value.size
    assert np.array_equal(found.H.reshape(-1).numpy(), value.reshape(-1))


@pytest.mark.parametrize("shape", [(4, 2, 16), (100, 4, 64), (20, 4, 64), (4, 64), (3, 8, 2, 16)])
def test_shapes_with_several_readings_are_refused_with_the_commands_that_choose(tmp_path, shape):
    """As channels × users × antennas, as users × receive antennas × antennas, in MATLAB's order, ..."""
    path = saved(tmp_path / "c.npz", H=np.ones(shape) * 1j)
    with pytest.raises(bf.InputError) as error:
        read(path)
    commands = re.findall(r"--axes ([a-z,]+)", str(error.value))
    assert len(commands) >= 2
    for axes in commands:
        N = shape[axes.split(",").index("antennas")]
        options = {"axes": axes, "receive": "first"}
        if "subcarriers" in axes:
            options["subcarrier"] = "0"
        if "channels" not in axes:
            options["users"] = 1
        assert read(path, **options).H.shape[-1] == N


def test_files_that_name_their_axes_need_no_option(tmp_path):
    """By an entry `axes`, by this program's earlier entry `rows`, or by the frequencies of a band."""
    assert same(read(saved(tmp_path / "a.npz", H=H.transpose(2, 1, 0), axes="antennas,users,channels")), H)
    assert same(read(saved(tmp_path / "b.mat", H=H, rows="hermitian")), H)
    assert same(read(saved(tmp_path / "c.npz", G=H, axes="channels,users,antennas")), H)
    refused(saved(tmp_path / "d.npz", H=H, rows="the first are near"), "whose order the shape does not tell")
    refused(
        saved(tmp_path / "e.npz", H=H, axes="channels,users"), "'channels,users' in the file, which does not"
    )
    refused(saved(tmp_path / "j.npz", H=H, axes="channels,users,elements"), "does not name each of the 3")
    words = np.array(["Channels", "Users", "Antennas"])
    assert same(read(saved(tmp_path / "k.npz", H=H, axes=words)), H)
    f = {"frequencies": 28e9 + 1e6 * np.arange(5), "carrier": 28e9}
    band = read(saved(tmp_path / "f.npz", H=H.reshape(4, 5, 4, 16), **f))
    assert same(band, H.reshape(4, 5, 4, 16)) and "by the number of frequencies" in band.told
    refused(
        saved(tmp_path / "g.npz", H=np.ones((5, 5, 4, 16)) * 1j, **f), "--axes channels,subcarriers,users"
    )
    row = read(saved(tmp_path / "h.npz", H=H[0, 0]), axes="antennas")
    assert same(row, H[:1, :1])
    assert "the only axis longer than 1" in read(saved(tmp_path / "i.npz", H=H[:1, :1])).told


def test_the_published_file_names_both_of_its_channels(tmp_path, reference):
    """Among some thirty steering vectors, gains, delays and settings."""
    refused(
        reference / "test_data_matlab.mat", "H_test (1, 100, 4, 64), H_train (1, 500, 4, 64)", "--variable"
    )
    found = read(reference / "test_data_matlab.mat", variable="H_test", rows="h^T")
    assert found.H.shape == (100, 4, 64) and "mean ‖h‖² = 63.2, rows h^T" in found.told
    several = reference / "wideband" / "data_comm_8x2x2.mat"
    axes = "antennas,users,subcarriers,channels"
    refused(several, "H (8, 2, 2, 5), Q0_all (8, 2, 2, 5, 8)", "--variable")
    refused(several, "H has axes (8, 2, 2, 5)", f"--axes {axes}", variable="H")
    assert read(several, axes=axes, subcarrier="all").H.shape == (10, 2, 8)
    with pytest.raises(bf.InputError, match="7 matrices; choose one with --index snr=i"):
        bf.read_sensing(reference / "radar_data.mat", variable="J")
    assert (
        abs(float(bf.read_sensing(reference / "radar_data.mat", index="snr=6").Psi.trace().real) - 1) < 1e-12
    )
