"""Sweeps: checked before they run, resumed without loss, the same whoever computes them."""

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from test_cli import run  # noqa: F401

import beamfold as bf
from beamfold.channel import saleh_valenzuela
from beamfold.experiments import store
from beamfold.experiments import sweep as module
from beamfold.experiments.cells import compute
from beamfold.experiments.grid import Cell, benchmark, read_grid
from beamfold.experiments.labelled import complex_of
from beamfold.experiments.store import load
from beamfold.experiments.sweep import Folder, sweep
from beamfold.files.atomic import FileError
from beamfold.files.models import find_model
from beamfold.networks import Network, fully_connected, subarrays
from beamfold.registry import METHODS, design
from beamfold.scenario import make_scenario

SMALL = """
methods = ["pga", "zf-digital"]
snr_db = [0, 6, 12]
antennas = [16]
users = [2]
inner = [1, 3]
layers = [5]
targets_deg = [[-30, 30]]
count = 3
"""


@pytest.fixture
def grid(tmp_path):
    (tmp_path / "sweep.toml").write_text(SMALL)
    return read_grid(tmp_path / "sweep.toml")


def quiet(done, text):
    pass


def contents(folder):
    """Every finished cell's arrays."""
    return {
        path.name: {name: v.values for name, v in load(path).data_vars.items()}
        for path in sorted((folder / "cells").glob("[!.]*.nc"))
    }


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, arrays in ours.items():
        for key, values in arrays.items():
            assert np.array_equal(values, theirs[name][key]), (name, key)


def test_the_product_has_no_repetitions(grid):
    cells = grid.cells()
    assert len(cells) == 3 * 2 + 3  # zero forcing has neither J nor I
    assert {c.inner for c in cells if c.method == "zf-digital"} == {None}
    assert all(c.chains == 2 for c in cells)
    assert len({c.name for c in cells}) == len(cells)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("snr_db =", "snr_bd ="), "unknown key 'snr_bd'; did you mean 'snr_db'?"),
        (("inner =", "iner ="), "unknown key 'iner'; did you mean 'inner'?"),
        (('"pga"', '"pgaa"'), "no method 'pgaa'; did you mean 'pga'?"),
        (("count = 3", "count = 0"), "count"),
        (("count = 3", 'count = "many"'), "count"),
        (("users = [2]", "users = [20]"), "K <= M <= N"),
        (("users = [2]", "users = []"), "users"),
        (("[[-30, 30]]", "[[-30, 95]]"), "95"),
        (("snr_db = [0, 6, 12]", "snr_db = [nan]"), "snr_db"),
        (('"zf-digital"', '"unfolded"'), "no shipped model for N=16"),
        (('"zf-digital"', '"constrained"'), "the method constrained needs tau_max or tau_max_db"),
        (("methods = [", "methods = "), "not TOML"),
        (("count = 3", 'count = 3\nnetwork = ["subarays"]'), "did you mean subarrays?"),
        (("count = 3", 'count = 3\nnetwork = "subarrays"'), "network: Input should be a valid list"),
        (
            ("users = [2]", 'users = [3]\nnetwork = ["subarrays"]'),
            "16 antennas are not divisible by 3 chains",
        ),
        (("count = 3", "count = 3\nbits = [0]"), 'whole numbers from 1 to 10 or "continuous", got 0'),
        (("count = 3", "count = 3\nbits = [11]"), 'whole numbers from 1 to 10 or "continuous", got 11'),
        (('"zf-digital"', '"sic"]\nbits = [2'), "the method sic is for continuous phases, these have 2 bits"),
        (("count = 3", 'count = 3\nnetwork = ["none.npz"]'), "no such network or file"),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_runs(run, tmp_path, change, message):  # noqa: F811
    (tmp_path / "sweep.toml").write_text(SMALL.replace(*change))
    code, out, err = run("sweep", "sweep.toml", "-o", "res")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and message in err
    assert not (tmp_path / "res").exists()


@pytest.mark.parametrize("method", METHODS)
def test_what_a_sweep_accepts_runs(tmp_path, method):
    """A configuration is refused as it is read, or each of its cells is computed."""
    names = f'"{method}"'
    sizes = "[32]\nusers = [4]\ninner = [1]\nlayers = [2]" if method == "unfolded" else "[8]\nusers = [2]"
    text = f"methods = [{names}]\nantennas = {sizes}\ntargets_deg = [[0]]\ncount = 1\n"
    (tmp_path / "sweep.toml").write_text(text)
    try:
        (cell,) = read_grid(tmp_path / "sweep.toml").cells()
    except ValueError as error:
        assert re.search(r"needs \w+ or \w+, which a sweep does not have", str(error))
        assert method == "constrained"
        return
    found = compute(cell.model_dump(), benchmark(cell.antennas, cell.targets_deg))
    assert np.isfinite(found["objective"]).all()


def test_bands_are_axes_of_a_sweep(tmp_path):
    """A cell of a band is the design of channels that are drawn as `generate` does, with the carrier's Ψ."""
    text = (
        'methods = ["phased-zf", "wmmse"]\nantennas = [8]\nusers = [2]\ncount = 2\nsnr_db = [6]\n'
        "subcarriers = [1, 3]\nbandwidth_ghz = [0.5, 2]\ndelay_ns = 5\ntargets_deg = [[-30, 30]]\n"
    )
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    cells = read_grid(path).cells()
    assert len(cells) == 2 * 3  # flat channels have no bandwidth
    radar = bf.solve_covariance(8, (-30, 30))
    for cell in cells:
        found = compute(cell.model_dump(), radar)
        given = {"seed": 0, "paths": 10}
        if cell.subcarriers == 1:
            H = bf.saleh_valenzuela(8, 2, 2, **given)
            s = bf.make_scenario(H, radar, snr_db=6)
        else:
            H, f = bf.saleh_valenzuela(
                8, 2, 2, **given, subcarriers=3, bandwidth_hz=1e9 * cell.bandwidth_ghz, delay_s=5e-9
            )
            s = bf.make_scenario(H, radar, snr_db=6, frequencies=f, carrier_hz=28e9)
        assert np.array_equal(found["rate"], bf.design(s, cell.method).rate.numpy())
    path.write_text(text.replace("wmmse", "conventional-pga"))
    with pytest.raises(bf.InputError, match="conventional-pga is for flat channels, the sweep has 3"):
        read_grid(path)
    path.write_text(text.replace("0.5, 2", "0.5, 60"))
    with pytest.raises(bf.InputError, match="a bandwidth of 60 GHz is above the carrier, 28 GHz"):
        read_grid(path)


def test_networks_and_bits_are_axes_of_a_sweep(tmp_path):
    """A cell's figures are those of the design for its network; a mask travels in the cell."""
    mask = np.kron(np.eye(2), np.ones((8, 1)))[[*range(0, 16, 3), *(n for n in range(16) if n % 3)]]
    (tmp_path / "masks").mkdir()
    np.savez(tmp_path / "masks" / "mine.npz", mask=mask)
    names = 'network = ["full", "subarrays", "masks/mine.npz"]\nbits = ["continuous", 2]\n'
    text = SMALL.replace("[0, 6, 12]", "[6]").replace("[1, 3]", "[1]") + names
    (tmp_path / "sweep.toml").write_text(text)
    grid = read_grid(tmp_path / "sweep.toml")
    assert len(grid.cells()) == 2 * 3 * 2
    (tmp_path / "masks" / "mine.npz").unlink()  # a worker on another machine does not have it either
    ds = sweep(grid, tmp_path / "res", tick=quiet)
    assert "mask" not in ds.coords and ds["bits"].attrs["note"] == "-1: continuous phases"
    H = saleh_valenzuela(16, 2, 3, seed=0)
    for network in (fully_connected(16, 2), subarrays(16, 2, bits=2), Network(mask, 2, name="mine.npz")):
        bits = network.bits or -1
        at = (ds["method"] == "pga") & (ds["network"] == network.name) & (ds["bits"] == bits)
        s = make_scenario(H, benchmark(16, (-30.0, 30.0)), snr_db=6, network=network)
        found = design(s, "pga", inner=1, layers=5, threads=1)
        assert np.array_equal(ds["rate"].values[at.values][0], found.rate)


def test_the_networks_of_the_command_line_take_the_place_of_those_of_the_file(run, tmp_path):  # noqa: F811
    text = SMALL.replace("[0, 6, 12]", "[6]").replace("[1, 3]", "[1]") + 'network = ["subarays"]\n'
    (tmp_path / "sweep.toml").write_text(text)
    code, _, err = run("sweep", "sweep.toml", "-o", "res", "--network", "interleaved", "--bits", 2, 3)
    assert code == 0, err
    ds = load(tmp_path / "res" / "sweep.nc")
    assert set(ds["network"].values) == {"interleaved"} and set(ds["bits"].values) == {2, 3}


def test_each_cell_and_each_file_is_looked_at_once(run, grid, tmp_path, monkeypatch):  # noqa: F811
    """A sweep of 100,000 cells took 37 s for each look at its folder, and it looked twice."""
    sweep(grid, tmp_path / "res", tick=quiet)
    made, opened = [], []
    monkeypatch.setattr("beamfold.experiments.grid.Cell", lambda **given: made.append(given) or Cell(**given))
    monkeypatch.setattr(module, "whole", lambda path: opened.append(path) or store.whole(path))
    code, _, err = run("sweep", "sweep.toml", "-o", "res")
    assert code == 0, err
    assert len(made) == 3 * 2 * 2  # the product, in which zero forcing repeats itself for every J
    assert len(opened) == len(grid.cells()) == len(set(opened))


def test_the_axes_of_a_method_without_them_say_so(grid, tmp_path):
    ds = sweep(grid, tmp_path / "res", tick=quiet)
    without = ds["method"] == "zf-digital"
    assert (ds["inner"].values == -1).tolist() == without.values.tolist()
    assert ds["inner"].attrs["note"] == ds["layers"].attrs["note"] == "-1: the method has no such number"
    assert (ds["chains"] == 2).all() and "note" not in ds["chains"].attrs


def test_a_sweep_is_one_labelled_dataset(grid, tmp_path):
    ds = sweep(grid, tmp_path / "res", tick=quiet)
    held = load(tmp_path / "res" / "sweep.nc")
    assert np.array_equal(held["rate"], ds["rate"])
    assert held["rate"].dims == ("cell", "channel")
    assert held["rate"].attrs["units"] == "bit/s/Hz"
    assert set(held["snr_db"].values) == {0, 6, 12}
    assert json.loads(held.attrs["parameters"])["count"] == 3
    one = grid.cells()[0]
    assert np.array_equal(
        held["rate"].sel(cell=one.name),
        compute(one.model_dump(), Folder(tmp_path / "res").radar(one))["rate"],
    )
    assert held["rate_mean"].sel(cell=one.name) == pytest.approx(
        float(held["rate"].sel(cell=one.name).mean())
    )


def test_the_same_call_goes_on_and_computes_no_finished_cell_again(grid, tmp_path, monkeypatch):
    whole = sweep(grid, tmp_path / "whole", tick=quiet)
    ran = []

    def counted(parameters, radar, stop_at=None):
        if len(ran) == stop_at:
            raise KeyboardInterrupt
        ran.append(Cell.model_validate(parameters).name)
        return compute(parameters, radar)

    monkeypatch.setattr(module, "compute", lambda p, radar: counted(p, radar, 4))
    with pytest.raises(KeyboardInterrupt):
        sweep(grid, tmp_path / "res", tick=quiet)
    assert len(contents(tmp_path / "res")) == 4
    monkeypatch.setattr(module, "compute", counted)
    again = sweep(grid, tmp_path / "res", tick=quiet)
    assert len(ran) == len(set(ran)) == len(grid.cells())
    assert np.array_equal(again["rate"], whole["rate"])
    assert_same(contents(tmp_path / "res"), contents(tmp_path / "whole"))


def test_a_changed_configuration_beside_old_results_is_refused(run, grid, tmp_path):  # noqa: F811
    sweep(grid, tmp_path / "res", tick=quiet)
    before = contents(tmp_path / "res")
    (tmp_path / "sweep.toml").write_text(SMALL.replace("count = 3", "count = 4"))
    code, _, err = run("sweep", "sweep.toml", "-o", "res")
    assert code == 2
    assert "count: 3 -> 4" in err
    assert_same(contents(tmp_path / "res"), before)


def test_two_sweeps_do_not_share_a_folder(grid, tmp_path):
    with Folder(tmp_path / "res").opened(grid), pytest.raises(ValueError, match="another sweep is at work"):
        sweep(grid, tmp_path / "res", tick=quiet)


def test_half_a_cell_of_a_killed_run_is_swept_away(grid, tmp_path):
    (tmp_path / "res" / "cells").mkdir(parents=True)
    half = tmp_path / "res" / "cells" / ".abc-123.nc"
    half.write_bytes(b"\x89HDF")
    sweep(grid, tmp_path / "res", tick=quiet)
    assert not half.exists()


def test_a_cell_that_was_cut_short_outside_is_computed_again(grid, tmp_path):
    sweep(grid, tmp_path / "res", tick=quiet)
    before = contents(tmp_path / "res")
    first, second = (tmp_path / "res" / "cells" / name for name in list(before)[:2])
    first.write_bytes(first.read_bytes()[:-100])
    second.write_bytes(b"")
    heard = []
    sweep(grid, tmp_path / "res", tick=lambda done, text: heard.append(done))
    assert heard == [len(before) - 2, len(before) - 1, len(before)]
    assert_same(contents(tmp_path / "res"), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda held: {**held, "version": "0.0.1"}, "version: 0.0.1 -> "),
        (lambda held: {**held, "seed": 1}, "seed: 1 -> 0"),
        (lambda held: [1], "sweep.json is damaged"),
    ],
)
def test_results_of_another_version_or_a_damaged_configuration_are_refused(grid, tmp_path, change, message):
    folder = tmp_path / "res"
    sweep(grid, folder, tick=quiet)
    held = json.loads((folder / "sweep.json").read_text())
    (folder / "sweep.json").write_text(json.dumps(change(held)))
    with pytest.raises(FileError, match=re.escape(message)):
        sweep(grid, folder, tick=quiet)


def test_a_cell_that_fails_keeps_no_other_from_being_computed(run, grid, tmp_path, monkeypatch):  # noqa: F811
    bad = grid.cells()[1]

    def failing(parameters, radar):
        if Cell.model_validate(parameters) == bad:
            raise ZeroDivisionError("nothing there")
        return compute(parameters, radar)

    monkeypatch.setattr(module, "estimate", lambda cells, tick: 0.0)
    monkeypatch.setattr(module, "compute", failing)
    code, _, err = run("sweep", "sweep.toml", "-o", "res")
    assert code == 1
    assert f"the cell of pga at {bad.snr_db:g} dB, N = 16, K = 2, M = 2 failed: ZeroDivisionError" in err
    assert "8 of 9 cells are finished and kept" in err
    assert len(contents(tmp_path / "res")) == 8 and not (tmp_path / "res" / "sweep.nc").exists()
    monkeypatch.setattr(module, "compute", compute)
    code, _, err = run("sweep", "sweep.toml", "-o", "res")
    assert code == 0 and "9 cells, 1 of them computed now" in err


def test_ctrl_c_says_that_the_same_command_goes_on(run, grid, tmp_path, monkeypatch):  # noqa: F811
    first, *_ = grid.cells()

    def interrupted(parameters, radar):
        if Cell.model_validate(parameters) != first:
            raise KeyboardInterrupt
        return compute(parameters, radar)

    monkeypatch.setattr(module, "estimate", lambda cells, tick: 0.0)
    monkeypatch.setattr(module, "compute", interrupted)
    code, _, err = run("sweep", "sweep.toml", "-o", "res")
    assert code == 130
    assert "stopped; finished cells are kept, the same command continues" in err
    assert list(contents(tmp_path / "res")) == [f"{first.name}.nc"]


def test_the_dataset_holds_the_psi_and_the_step_sizes_of_its_cells(tmp_path):
    config = SMALL.replace('"pga", "zf-digital"', '"unfolded"').replace("[16]", "[32]").replace("[2]", "[4]")
    config = config.replace("[1, 3]", "[10]").replace("[0, 6, 12]", "[12]")
    (tmp_path / "sweep.toml").write_text(config)
    grid = read_grid(tmp_path / "sweep.toml")
    ds = sweep(grid, tmp_path / "res", tick=quiet)
    model = find_model(32, 4, 4, 10)
    assert np.array_equal(ds["mu_unfolded_n32_k4_m4_j10"], model.mu.detach())
    assert np.array_equal(ds["lam_unfolded_n32_k4_m4_j10"], model.lam.detach())
    Psi = complex_of(ds["Psi_n32_t0"])
    assert np.array_equal(Psi, Folder(tmp_path / "res").radar(grid.cells()[0]).Psi)
    assert ds["Psi_n32_t0"].attrs["targets_deg"].tolist() == [-30, 30]
    assert "seed 0, 0 to 2" in ds.attrs["channels"]


def test_a_channel_has_the_same_figures_however_many_there_are(grid):
    """Up to what the kernel's float32 makes of an ulp of the start, 1e-4 in `test_padding_is_harmless`."""
    cell = grid.cells()[0]
    radar = benchmark(cell.antennas, cell.targets_deg)
    few, many = (compute(cell.model_copy(update={"count": n}).model_dump(), radar) for n in (2, 6))
    for key in ("rate", "tau", "objective", "mse"):
        assert np.allclose(few[key], many[key][:2], rtol=1e-4)


CODE = """
import sys
from pathlib import Path
from beamfold.experiments.grid import read_grid
from beamfold.experiments.sweep import sweep

if __name__ == "__main__":
    tick = lambda done, text: print(done, flush=True)
    sweep(read_grid(Path(sys.argv[1])), Path(sys.argv[2]), workers=int(sys.argv[3]), tick=tick)
"""


def started(tmp_path, workers):
    script = tmp_path / "script.py"
    script.write_text(CODE)
    command = [sys.executable, str(script), str(tmp_path / "sweep.toml"), str(tmp_path / "res"), str(workers)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )


def test_kill_9_loses_no_finished_cell(grid, tmp_path):
    whole = sweep(grid, tmp_path / "whole", tick=quiet)
    process = started(tmp_path, 0)
    for line in process.stdout:
        if int(line) >= 2:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "res" / "cells").glob("[!.]*.nc")}
    assert 2 <= len(kept) <= len(grid.cells())
    again = sweep(grid, tmp_path / "res", tick=quiet)
    now = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "res" / "cells").glob("*.nc")}
    assert {name: now[name] for name in kept} == kept
    assert np.array_equal(again["objective"], whole["objective"])
    assert_same(contents(tmp_path / "res"), contents(tmp_path / "whole"))


def test_two_workers_give_the_same_bits(grid, tmp_path):
    pytest.importorskip("distributed", reason="dask[distributed] is not installed")
    whole = sweep(grid, tmp_path / "whole", tick=quiet)
    process = started(tmp_path, 2)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert out.split()[-1] == str(len(grid.cells()))
    assert_same(contents(tmp_path / "res"), contents(tmp_path / "whole"))
    assert np.array_equal(load(tmp_path / "res" / "sweep.nc")["tau"], whole["tau"])
