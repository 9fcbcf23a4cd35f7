"""Large files of channels: only the channel that is shown is read, whatever the format allows it."""

import os

import h5py
import numpy as np
import pytest
import torch

import beamfold as bf
from beamfold.explore.controls import start_of
from beamfold.explore.designs import Designs
from beamfold.explore.recipe import recipe
from beamfold.files import parts
from beamfold.files.channel_set import open_set
from beamfold.files.entries import ScenarioSpec

SHAPE = (40, 3, 16)
AXES = "channels,users,antennas"


@pytest.fixture
def small(monkeypatch):
    """Files count as large from a few bytes on."""
    monkeypatch.setattr(parts, "WHOLE", 1000)
    for module in ("parts", "arrays"):
        monkeypatch.setattr(f"beamfold.files.{module}.SMALL", 1000)


@pytest.fixture(scope="module")
def H():
    rng = np.random.default_rng(3)
    return rng.standard_normal(SHAPE) + 1j * rng.standard_normal(SHAPE)


def npy(path, H):
    np.save(path.with_suffix(".npy"), H)


def npz(path, H):
    np.savez(path.with_suffix(".npz"), H=H, rows="h^H")


def packed(path, H):
    np.savez_compressed(path.with_suffix(".npz"), H=H)


def pair(path, H):
    np.savez(path.with_suffix(".npz"), H_real=H.real, H_imag=H.imag)


def hdf5(path, H):
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["H"] = H


def chunks(path, H):
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file.create_dataset("H", data=H, chunks=(1, 3, 16), compression="gzip")


def matlab(path, H):
    """As MATLAB v7.3 has it: axes reversed, complex numbers as two fields."""
    with h5py.File(path.with_suffix(".mat"), "w", userblock_size=512) as file:
        both = np.zeros(H.T.shape, [("real", "f8"), ("imag", "f8")])
        both["real"], both["imag"] = H.T.real, H.T.imag
        file["H"] = both
        file["H"].attrs["MATLAB_class"] = np.bytes_("double")
    with path.with_suffix(".mat").open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file")


@pytest.mark.parametrize("write", [npy, npz, packed, pair, hdf5, chunks, matlab])
def test_a_channel_of_a_large_file_is_that_of_the_file_read_whole(tmp_path, H, write, small):
    write(tmp_path / "channels", H)
    [path] = tmp_path.iterdir()
    held = open_set(ScenarioSpec(channels=path, axes=AXES))
    assert held.apart == (write is not packed) and held.count == len(H)
    for b in (0, 17, len(H) - 1):
        assert torch.equal(held.channel(b), torch.from_numpy(H[b]))
    alone = bf.read_channels(path, axes=AXES, index="channels=17")
    assert torch.equal(alone, torch.from_numpy(H[17:18]))
    with pytest.raises(bf.InputError, match="channel 40 of 40"):
        bf.read_channels(path, axes=AXES, index="channels=40")


def test_the_recipe_of_a_large_file_reads_its_channel_alone(tmp_path, H, small, monkeypatch):
    npy(tmp_path / "channels", H)
    spec = ScenarioSpec(channels=tmp_path / "channels.npy", axes=AXES)
    held = Designs(spec, open_set(spec))
    state = start_of(spec, 3).model_copy(update={"channel": 23})
    text, names = recipe(held, state)["python"], {}
    assert "channels=23" in text
    exec(text, names)
    assert float(names["d"].rate) == held.answer(state)["rate"]


def sparse(path, count):
    """A file of many gigabytes that occupies little space on the disk: zeros but for its ends."""
    shape = (count, 4, 64)
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "<c16", "fortran_order": False, "shape": shape}
        )
        begin = stream.tell()
        each = 16 * 4 * 64
        stream.truncate(begin + count * each)
        for b in (0, count - 1):
            stream.seek(begin + b * each)
            stream.write(np.full(shape[1:], b + 1 + 2j).tobytes())


def test_ten_gigabytes_take_the_memory_of_a_channel(tmp_path):
    path = tmp_path / "large.npy"
    sparse(path, 10 * (1 << 30) // (16 * 4 * 64) + 1)
    assert path.stat().st_size > 10 << 30
    if os.stat(path).st_blocks * 512 > 1 << 30:  # noqa: PTH116
        pytest.skip("the disk has no sparse files")
    held = open_set(ScenarioSpec(channels=path, axes=AXES))
    assert held.count == 10 * (1 << 30) // (16 * 4 * 64) + 1
    for b in (0, held.count - 1):
        assert bool((held.channel(b) == b + 1 + 2j).all())


def test_damaged_large_files_are_refused_in_one_line(tmp_path, H, small):
    npy(tmp_path / "channels", H)
    whole = (tmp_path / "channels.npy").read_bytes()
    cut = tmp_path / "cut.npy"
    cut.write_bytes(whole[:-100])
    with pytest.raises(bf.InputError, match="declares"):
        open_set(ScenarioSpec(channels=cut))
    npz(tmp_path / "pack", H)
    data = (tmp_path / "pack.npz").read_bytes()
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"XX" + data[2:])
    with pytest.raises(bf.InputError) as refused:
        open_set(ScenarioSpec(channels=broken))
    assert "\n" not in str(refused.value)
    with pytest.raises(bf.InputError, match="normalise"):
        open_set(ScenarioSpec(channels=tmp_path / "channels.npy", normalise="set"))
