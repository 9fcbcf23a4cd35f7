"""A scenario in a file: the same as its options, overridden by them, recorded by results, or refused."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, small
from test_cli import run  # noqa: F401

import beamfold as bf
from beamfold.cli import app
from beamfold.files.arrays import read_all
from beamfold.files.entries import entries, key_of
from beamfold.files.spec_files import read_spec

DOCS = (ROOT / "docs" / "reference" / "scenario-file.md").read_text()
OPTIONS = (
    "--variable", "A", "--rows", "h^T", "--chains", "3", "--snr-db", "0", "9", "--weight", "0.05",
    "--targets-deg", "-30", "30", "--width-deg", "8", "--angles", "201", "--psi-rank", "3",
)  # fmt: skip
TOML = """
channels = "data/c.npz"
variable = "A"
rows = "h^T"
chains = 3
snr_db = [0, 9]
weight = 0.05
targets_deg = [-30, 30]
width_deg = 8
angles = 201
psi_rank = 3
"""


@pytest.fixture
def folder(run, tmp_path) -> Path:  # noqa: F811
    """Channels as A beside another array, and two scenario files: one of every key, one of the channels."""
    (tmp_path / "in" / "data").mkdir(parents=True)
    H = small(8, 2, count=3).H.numpy()
    np.savez(tmp_path / "in" / "data" / "c.npz", A=H, B=H, axes="channels,users,antennas")
    np.savez(tmp_path / "in" / "data" / "h.npz", H=H, axes="channels,users,antennas")
    (tmp_path / "in" / "s.toml").write_text(TOML)
    (tmp_path / "in" / "least.toml").write_text('channels = "data/h.npz"\nsnr_db = 3\n')
    return tmp_path


def design(run, *arguments, method="phased-zf"):  # noqa: F811
    """The arrays of what `beamfold design` writes."""
    code, _, err = run("design", *arguments, "--method", method, "-o", "d.npz", "--force")
    assert code == 0, err
    return read_all(Path("d.npz"))


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def test_the_file_its_options_and_the_record_give_the_same_design(run, folder):  # noqa: F811
    typed = design(run, "in/data/c.npz", *OPTIONS)
    assert same(design(run, "--scenario", "in/s.toml"), typed)
    assert typed["F"].shape == (2, 3, 8, 3) and len(typed["angles_deg"]) == 201
    for suffix in (".npz", ".mat"):
        first = f"first{suffix}"
        assert run("design", "--scenario", "in/s.toml", "--method", "phased-zf", "-o", first)[0] == 0
        again = design(run, "--scenario", first)
        assert same(again, typed)
    s, held = bf.read_scenario("in/s.toml"), bf.read_scenario("d.npz")
    assert torch.equal(s.H, held.H) and torch.equal(s.Psi, held.Psi) and torch.equal(s.power, held.power)
    assert (held.chains, float(held.weight[0, 0])) == (3, 0.05)
    assert np.array_equal(typed["W"], bf.phased_zf(s).W.numpy())


def test_a_record_moves_with_its_folder_and_says_all_that_was_used(run, folder, monkeypatch):  # noqa: F811
    first = design(run, "--scenario", "in/least.toml")
    facts = json.loads(str(first["scenario"]))
    assert facts == {
        "channels": "in/data/h.npz", "rows": "h^H", "antennas": 8, "users": 2, "chains": 2, "snr_db": [3.0],
        "weight": 0.3, "targets_deg": [-59.0, 0.0, 60.0], "width_deg": 5.0,
    }  # fmt: skip
    shutil.copytree(folder, folder.parent / "moved", dirs_exist_ok=True)
    shutil.rmtree(folder / "in")
    monkeypatch.chdir(folder.parent)
    assert same(design(run, "--scenario", "moved/d.npz") | {"scenario": first["scenario"]}, first)


def test_what_json_prints_is_read_back(run, folder):  # noqa: F811
    code, out, err = run(
        "design", "--scenario", "in/s.toml", "--method", "phased-zf", "-o", "d.npz", "--json"
    )
    assert code == 0, err
    (folder / "in" / "data" / "said.json").write_text(out)
    assert json.loads(out)["scenario"]["channels"] == str((folder / "in/data/c.npz").resolve())
    said, held = read_spec("in/data/said.json"), read_spec("d.npz")
    assert said == replace(held, channels=held.channels.resolve())


def test_a_psi_of_a_file_is_read_and_recorded(run, folder):  # noqa: F811
    assert run("covariance", "--scenario", "in/s.toml", "--antennas", "8", "-o", "in/psi.npz")[0] == 0
    (folder / "in" / "p.toml").write_text('channels = "data/h.npz"\npsi = "psi.npz"\n')
    typed = design(run, "in/data/h.npz", "--psi", "in/psi.npz")
    assert same(design(run, "--scenario", "in/p.toml"), typed)
    facts = json.loads(str(typed["scenario"]))
    assert facts["psi"] == "in/psi.npz" and not {"targets_deg", "width_deg"} & set(facts)
    assert same(design(run, "--scenario", "d.npz"), typed)


@pytest.mark.parametrize(
    ("option", "key", "value"),
    [
        (("--chains", "2"), "chains", 2),
        (("--snr-db", "5"), "snr_db", [5.0]),
        (("--weight", "0"), "weight", 0.0),
        (("--targets-deg", "0"), "targets_deg", [0.0]),
        (("--width-deg", "5"), "width_deg", 5.0),
        (("--angles", "181"), "angles", 181),
        (("--psi-rank", "2"), "psi_rank", 2),
        (("--variable", "B"), "variable", "B"),
        (("--rows", "h^H"), "rows", "h^H"),
    ],
)
def test_an_option_overrides_its_entry_alone(run, folder, option, key, value):  # noqa: F811
    as_written = json.loads(str(design(run, "--scenario", "in/s.toml")["scenario"]))
    assert as_written[key] != value
    found = design(run, "--scenario", "in/s.toml", *option)
    assert json.loads(str(found["scenario"])) == as_written | {key: value}
    assert same(design(run, "in/data/c.npz", *OPTIONS, *option), found) or key in ("snr_db", "targets_deg")


def test_an_option_puts_aside_what_it_replaces(run, folder):  # noqa: F811
    assert run("covariance", "--antennas", "8", "--targets-deg", "10", "-o", "psi.npz")[0] == 0
    facts = json.loads(str(design(run, "--scenario", "in/s.toml", "--psi", "psi.npz")["scenario"]))
    assert not {"targets_deg", "width_deg", "angles", "psi_rank"} & set(facts)
    shutil.copy("d.npz", "psi_design.npz")
    facts = json.loads(str(design(run, "--scenario", "psi_design.npz", "--targets-deg", "10")["scenario"]))
    assert "psi" not in facts and facts["targets_deg"] == [10.0]
    np.savez("other.npz", A=small(4, 1, count=2).H.numpy(), axes="channels,users,antennas")
    found = design(run, "other.npz", "--scenario", "psi_design.npz", "--targets-deg", "10", "--chains", "1")
    assert found["W"].shape == (2, 2, 1, 1)  # of other sizes than the record's channels


def test_every_command_takes_what_concerns_it(run, folder):  # noqa: F811
    """Sizes come from the channels that are named, unless an option states them."""
    least = ("--scenario", "in/least.toml")
    assert run("generate", *least, "--antennas", "6", "--users", "2", "--count", "2", "-o", "g.npz")[0] == 0
    assert bf.read_channels("g.npz").shape == (2, 2, 6)
    assert run("covariance", *least, "-o", "psi.npz")[0] == 0
    assert torch.equal(bf.read_sensing("psi.npz").Psi, bf.read_scenario("in/least.toml").Psi)
    code, out, err = run("bench", *least, "--method", "phased-zf", "--count", "2", "--json")
    assert code == 0, err
    assert {key: json.loads(out)[key] for key in ("antennas", "users", "chains")} == {
        "antennas": 8, "users": 2, "chains": 2,
    }  # fmt: skip
    trained = ("--inner", "1", "--layers", "2", "--count", "4", "--epochs", "1", "-o", "m.safetensors")
    assert run("train", "--scenario", "in/s.toml", *trained)[0] == 0
    info = bf.load_model("m.safetensors").info
    assert (info.antennas, info.users, info.chains, info.weight) == (8, 2, 3, 0.05)
    design(run, *least)
    assert run("verify", "d.npz", "--scenario", "d.npz")[0] == 0
    assert run("verify", "d.npz")[0] == 2


def test_a_comparison_and_a_front_record_their_scenario(run, folder):  # noqa: F811
    code, out, err = run("compare", "--scenario", "in/least.toml", "-o", "res", "--json")
    assert code == 0, err
    assert read_spec("res/designs.mat").snr_db == [3.0] == json.loads(out)["scenario"]["snr_db"]
    quick = ("--quick", "--points", "2", "--method", "fast", "-o", "f.nc")
    assert run("front", "--scenario", "in/s.toml", "--snr-db", "6", *quick)[0] == 0
    s, held = bf.read_scenario("f.nc"), bf.read_scenario("in/s.toml")
    assert torch.equal(s.H, held.H[0]) and torch.equal(s.Psi, held.Psi)
    assert float(s.power[0]) == pytest.approx(10**0.6)
    assert run("front", "--scenario", "f.nc", *quick, "--force")[0] == 0
    assert read_spec("f.nc").snr_db == [6.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weigth = 1", "unknown key 'weigth'; did you mean 'weight'?"),
        ("xyzzy = 1", "unknown key 'xyzzy'; known: channels, variable"),
        ("[psi]\nfile = 'x'", "psi must be a path in quotes, found {'file': 'x'}"),
        ("chains = 2.5", "chains must be a whole number, found 2.5"),
        ("chains = '2'", "chains must be a whole number, found '2'"),
        ("weight = true", "weight must be a number, found True"),
        ("snr_db = 'loud'", "snr_db must be a number or a list of numbers, found 'loud'"),
        ("snr_db = [1, 'x']", "snr_db must be a number or a list of numbers, found [1, 'x']"),
        ("rows = 1", "rows must be text in quotes, found 1"),
        ("variable = 2020-01-01", "variable must be text in quotes, found datetime.date(2020, 1, 1)"),
        ("channels = 3", "channels must be a path in quotes, found 3"),
        ("rows = 'sideways'\nchannels = 'data/h.npz'", "h^H or h^T"),
        ("weight = nan\nchannels = 'data/h.npz'", "the weight ω must be finite and at least 0, got nan"),
        ("weight = \nchains = 2", "bad.toml is not TOML: Invalid value (at line 1"),
        ("chains = 2\nweight = = 2", "(at line 2"),
        ("channels = 'none.npz'", "no such file: in/none.npz"),
        ("channels = 'data/h.npz'\npsi = 'none.npz'", "no such file: in/none.npz"),
        ("channels = 'data/h.npz'\nantennas = 16", "has 2 users and 8 antennas, the scenario says 2 and 16"),
        ("channels = 'data/h.npz'\npsi = 'p.npz'\nangles = 181", "leave angles out"),
        ("channels = 'data/h.npz'\nantennas = 0", "the scenario says 2 and 0"),
        ("weight = 1", "give the channel file as an argument, or name it as `channels`"),
    ],
)
def test_a_bad_file_is_one_line_and_nothing_is_written(run, folder, text, message):  # noqa: F811
    (folder / "in" / "bad.toml").write_text(text)
    refused(run, folder, message, "design", "--scenario", "in/bad.toml", "-o", "o.npz")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("design --scenario none.toml -o o.npz", "no such file: none.toml"),
        ("design --scenario in -o o.npz", "no such file: in"),
        ("design --scenario in/notes.txt -o o.npz", "notes.txt is no scenario: expected .toml"),
        ("design --scenario in/data/c.npz -o o.npz", "c.npz records no scenario"),
        ("design --scenario in/text.json -o o.npz", "is not JSON"),
        ("design --scenario in/list.json -o o.npz", "list.json records no scenario"),
        ("design --scenario in/text.nc -o o.npz", "text.nc is not a netCDF-4 file"),
        ("design --scenario in/bad.npz -o o.npz", "its scenario is not JSON"),
        ("design -o o.npz", "give the channel file as an argument, or name it as `channels`"),
        (
            "compare --scenario in/s.toml -o res",
            "several SNRs, this command takes one; choose it with --snr-db",
        ),
        ("front --scenario in/s.toml -o f.nc", "several SNRs"),
        ("covariance --scenario in/p.toml -o o.npz", "takes Psi from in/psi.npz; --targets-deg"),
        ("train --chains 0 -o m.safetensors", "found 4 users, 0 RF chains and 64 antennas"),
        ("covariance --antennas 0 -o o.npz", "an integer of at least 1"),
        ("design --scenario in/half.json -o o.npz", "it holds text that is no Unicode"),
        ("design in/data/h.npz --psi in/psi.npz --psi-rank 2 -o o.npz", "leave psi_rank out"),
    ],
)
def test_a_bad_request_is_one_line_and_nothing_is_written(run, folder, arguments, message):  # noqa: F811
    for name, text in (
        ("notes.txt", TOML), ("text.json", "x"), ("list.json", "[1]"), ("text.nc", "x"),
        ("half.json", '{"scenario": {"variable": "\\udcff"}}'),
        ("p.toml", 'psi = "psi.npz"'),
    ):  # fmt: skip
        (folder / "in" / name).write_text(text)
    np.savez(folder / "in" / "bad.npz", scenario=np.array("{"))
    refused(run, folder, message, *arguments.split())


def refused(run, folder, message, *arguments):  # noqa: F811
    before = sorted(folder.rglob("*"))
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("error: ") and message in err
    assert sorted(folder.rglob("*")) == before


def test_every_entry_is_an_option_and_stands_in_the_docs():
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    for name, (_, key) in entries().items():
        assert f"`{key_of(name)}`" in DOCS
        assert set(key.commands.split()) <= commands


def test_the_page_runs_as_it_stands(run, folder):  # noqa: F811
    """Its TOML is the example, and its commands run beside it, one after another."""
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    assert example == (ROOT / "examples" / "scenario.toml").read_text()
    assert tomllib.loads(example).keys() <= entries().keys()
    shutil.copytree(ROOT / "examples", folder / "examples")
    blocks = re.findall(r"```sh\n(beamfold .*?)```", DOCS, re.DOTALL)
    commands = [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]
    assert len(commands) == 5
    for command in commands:
        code, _, err = run(*command)
        assert code == 0, err
    assert same(read_all(Path("designs.npz")), read_all(Path("again.npz")))
    assert read_spec("other.npz").snr_db == [6.0]
