"""What the commands say about the channels they read, and the commands that look into files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from test_cli import run  # noqa: F401

import beamfold as bf
from beamfold.files.arrays import read_all

H = bf.saleh_valenzuela(8, 2, 3, seed=1).numpy()
LINE = "H of c.npz: 3 channels × 2 users × 8 antennas, complex, mean ‖h‖² = "


@pytest.fixture
def channels(run) -> Path:  # noqa: F811
    np.savez("c.npz", H=H, axes="channels,users,antennas")
    return Path("c.npz")


COMMANDS = {
    "design": ("--method", "phased-zf", "-o", "out.npz"),
    "front": ("--quick", "--points", "2", "--method", "fast", "-o", "out.nc"),
    "network": ("--over-chains", "2", "--over-bits", "2", "--method", "phased-zf", "-o", "out.nc"),
    "compare": ("-o", "out"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_understood(run, channels, command):  # noqa: F811
    """On standard error, in --json, and in what it writes; the designs are those of the named axes."""
    code, out, err = run(command, channels, *COMMANDS[command], "--json")
    assert code == 0, err
    told = json.loads(out)["understood"]
    assert told.startswith(LINE) and told.endswith("rows h^H")
    assert err.count(f"note: {told}\n") == 1
    if command == "design":
        held = str(read_all(Path("out.npz"))["understood"])
    elif command == "compare":
        held = str(read_all(Path("out/designs.mat"))["understood"][0])
    else:
        with xr.open_dataset("out.nc", engine="h5netcdf") as ds:
            held = ds.attrs["understood"]
    assert held == told


def test_the_options_of_reading_are_recorded_and_read_back(run):  # noqa: F811
    np.savez("m.npz", A=H.transpose(2, 1, 0), B=H)
    options = ("--variable", "A", "--axes", "antennas,users,channels", "--normalise", "set")
    assert run("design", "m.npz", *options, "--method", "phased-zf", "-o", "one.npz")[0] == 0
    assert run("design", "--scenario", "one.npz", "--method", "phased-zf", "-o", "two.npz")[0] == 0
    one, two = read_all(Path("one.npz")), read_all(Path("two.npz"))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    facts = json.loads(str(one["scenario"]))
    assert (facts["axes"], facts["normalise"]) == ("antennas,users,channels", "set")
    code, out, err = run("verify", "one.npz", "--scenario", "one.npz", "--json")
    assert code == 0, err
    assert json.loads(out)["understood"] == str(one["understood"])
    Path("s.toml").write_text('channels = "m.npz"\nfrom = "sionna"\nvariable = "A"\n')
    code, _, err = run("design", "--scenario", "s.toml", "-o", "no.npz")
    assert code == 2 and "--from sionna expects" in err


def test_verify_names_a_wrong_rows_as_the_cause(run, channels):  # noqa: F811
    assert run("design", channels, "--rows", "h^T", "--method", "phased-zf", "-o", "d.npz")[0] == 0
    assert run("verify", "d.npz", channels, "--rows", "h^T")[0] == 0
    code, _, err = run("verify", "d.npz", channels)
    assert code == 1
    assert "with --rows h^T they pass: the rows of the channels were taken the wrong way" in err
    held = read_all(Path("d.npz"))
    np.savez("bad.npz", **{**held, "rate": held["rate"] + 1})
    code, _, err = run("verify", "bad.npz", channels, "--rows", "h^T")
    assert code == 1 and "wrong way" not in err


def test_inspect_lists_every_array_with_its_readings(run):  # noqa: F811
    np.savez(
        "c.npz",
        H=H.transpose(2, 1, 0),
        G_real=H.real,
        G_imag=H.imag,
        note="UMi \x1b[2J",
        d=np.array({}, object),
    )
    code, out, err = run("inspect", "c.npz", "--json")
    assert code == 0, err
    rows = {row["name"]: row for row in json.loads(out)["arrays"]}
    assert rows["H"]["shape"] == [8, 2, 3] and rows["H"]["kind"] == "complex"
    assert any("--axes antennas,users,channels" in way for way in rows["H"]["readings"])
    assert "give --axes channels,users,antennas or" in rows["G"]["readings"][0]
    assert rows["G_real"]["readings"] == [] and rows["G_real"]["about"] == "part of a pair"
    assert rows["d"]["about"] == "Python objects, which would need code to load"
    assert rows["H"]["rms"] == pytest.approx(np.sqrt(np.mean(np.abs(H) ** 2)), rel=5e-3)
    code, out, err = run("inspect", "c.npz")
    assert code == 0 and "H: 8 x 2 x 3, complex, rms" in out and "\x1b" not in out
    code, out, err = run("inspect", "none.npz")
    assert (code, out) == (2, "") and "no such file" in err
    np.savez("named.npz", H=H, axes="channels,users,antennas", nothing=np.array([], "U1"))
    code, out, err = run("inspect", "named.npz", "--json")
    rows = {row["name"]: row for row in json.loads(out)["arrays"]}
    assert rows["H"]["readings"] == ["channels,users,antennas, as the file says, taken without an option"]
    assert rows["nothing"]["about"] == ""


def test_import_keeps_users_of_several_antennas_and_subcarriers_with_their_frequencies(run):  # noqa: F811
    several = bf.saleh_valenzuela(8, 2, 3, receive=2).numpy()
    np.save("r.npy", several)
    axes = ("--axes", "channels,users,receive,antennas")
    assert run("import", "file", "r.npy", *axes, "--array", "planar:4x2", "-o", "r.mat")[0] == 0
    assert np.array_equal(bf.read_channels("r.mat", several=True), several)
    assert bf.planar_array(4, 2).same_as(bf.Array(read_all(Path("r.mat"))["positions"]))
    code, _, err = run("design", "r.mat", "-o", "no.npz")
    assert code == 2 and "--streams" in err
    bands = bf.saleh_valenzuela(8, 2, 12).numpy().reshape(3, 4, 2, 8)
    np.savez("b.npz", H=bands, frequencies=28e9 + 1e6 * np.arange(4), carrier=28e9)
    named = ("--axes", "channels,subcarriers,users,antennas")
    assert run("import", "file", "b.npz", *named, "-o", "s.npz")[0] == 0
    held = read_all(Path("s.npz"))
    assert str(held["axes"]) == named[1] and np.array_equal(held["H"], bands)
    assert np.array_equal(bf.read_channels("s.npz", subcarrier=2), bands[:, 2])
    code, _, err = run("design", "s.npz", "--method", "zf-digital", "--common", "-o", "z.npz")
    assert code == 0 and "3 channels × 4 subcarriers × 2 users × 8 antennas" in err, err
    code, _, err = run("import", "matlab6g", "r.npy", "-o", "no.npz")
    assert code == 2 and "no tool 'matlab6g'" in err


def test_psi_for_the_antennas_of_a_tool(run):  # noqa: F811
    """A Ψ of the default line is refused for mirrored channels, by a name that says so."""
    np.save("h.npy", H.transpose(1, 2, 0)[:, None, None, :, None, :])
    reading = ("--from", "sionna", "--subcarrier", 0)
    assert run("covariance", "--antennas", 8, "-o", "line.npz")[0] == 0
    assert run("covariance", "--antennas", 8, "--from", "sionna", "-o", "psi.npz")[0] == 0
    code, _, err = run("design", "h.npy", *reading, "--psi", "line.npz", "-o", "d.npz")
    assert (
        code == 2
        and "Psi is for the array line of 8, the channels are of the array mirrored line of 8" in err
    )
    assert run("design", "h.npy", *reading, "--psi", "psi.npz", "-o", "d.npz")[0] == 0
    stacked = np.stack([np.eye(8), bf.read_sensing("psi.npz").Psi.numpy()], -1)
    np.savez("several.npz", J=stacked, x=np.ones((2, 2)))
    several = ("--psi", "several.npz", "--psi-variable", "J")
    code, _, err = run("design", "h.npy", *reading, *several, "-o", "e.npz")
    assert code == 2 and "--index snr=i" in err
    assert run("design", "h.npy", *reading, *several, "--index", "snr=1", "-o", "e.npz")[0] == 0
    d, e = read_all(Path("d.npz")), read_all(Path("e.npz"))
    assert np.allclose(d["Psi"], e["Psi"], atol=1e-15)
    assert run("design", "--scenario", "e.npz", "-o", "again.npz")[0] == 0
    assert np.array_equal(read_all(Path("again.npz"))["F"], e["F"])
