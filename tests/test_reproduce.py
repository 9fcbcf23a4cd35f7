"""`reproduce all --quick` once, as a user types it, and everything that it leaves."""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from test_cli import run  # noqa: F401

from beamfold import ModelInfo, UnfoldedPGA, pga, unfolded
from beamfold.channel import saleh_valenzuela
from beamfold.experiments.labelled import complex_of
from beamfold.experiments.store import load, parameters
from beamfold.reproduction import EXPERIMENTS
from beamfold.scenario import make_scenario
from beamfold.sensing import Sensing

COUNT = 10  # channels of --quick


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The folder of `reproduce all --quick`; parallel runs of the tests share one."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "quick"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "said").exists():
            command = (sys.executable, "-m", "beamfold", "reproduce", "all", "--quick", "-o", "results")
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            (folder / "said").write_text(done.stderr)
    return folder


@pytest.fixture(scope="module")
def datasets(quick):
    return {name: load(quick / "results" / f"{name}.nc") for name in EXPERIMENTS}


def test_every_experiment_leaves_a_dataset_a_picture_and_a_print(quick, datasets):
    said = (quick / "said").read_text()
    for name, ds in datasets.items():
        assert f"results/{name}.nc, .png, .pdf: written\n" in said, name  # and nothing left out
        assert ds.attrs["experiment"] == name and ds.attrs["command"].startswith(
            f"beamfold reproduce {name} "
        )
        assert all(ds.attrs[key] for key in ("title", "version", "machine", "paper"))
        assert parameters(ds)["count"] == COUNT and ds.sizes.get("channel", COUNT) == COUNT
        for key, v in ds.data_vars.items():
            assert "units" in v.attrs and ("equation" in v.attrs or "long_name" in v.attrs), (name, key)
        picture = imread(quick / "results" / f"{name}.png")[..., :3]
        assert min(picture.shape[:2]) > 300 and picture.std() > 0.02
        pdf = (quick / "results" / f"{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF") and pdf.rstrip().endswith(b"%%EOF")
    page = (quick / "results" / "reproduction.md").read_text()
    for claim in ("Fig. 2", "Fig. 3", "Fig. 5", "Fig. 7", "Fig. 8", "Fig. 9", "Table I", "Table II"):
        assert f"({claim})" in page, claim
    assert "nan" not in page


def test_curves_are_finite_and_their_means_lie_in_their_intervals(datasets):
    for name, ds in datasets.items():
        for key in (k.removesuffix("_low") for k in ds.data_vars if k.endswith("_low")):
            middle = ds[f"{key}_mean" if f"{key}_mean" in ds else key].values
            low, high = ds[f"{key}_low"].values, ds[f"{key}_high"].values
            held = ~np.isnan(middle)
            assert held.mean() > 0.5, (name, key)
            assert (low[held] <= middle[held]).all() and (middle[held] <= high[held]).all(), (name, key)


def hashes(value):
    """Every `sha256` in the parameters, however deep."""
    if isinstance(value, dict):
        return {value["sha256"]} if "sha256" in value else set().union(*map(hashes, value.values()))
    return set()


def test_the_files_hold_the_step_sizes_the_psi_and_the_channels_of_their_curves(datasets):
    for name, ds in datasets.items():
        steps = [str(key).removeprefix("mu_") for key in ds.data_vars if str(key).startswith("mu_")]
        told = hashes(parameters(ds))
        data = (ds[f"mu_{s}"].values.tobytes() + ds[f"lam_{s}"].values.tobytes() for s in steps)
        assert {hashlib.sha256(d).hexdigest()[:16] for d in data} == told, name
        assert bool(told) == (name in ("fig5", "fig6", "fig7", "fig8", "fig9", "table2"))
        sizes = [int(str(key).removeprefix("H_n")) for key in ds.data_vars if str(key).startswith("H_n")]
        assert bool(sizes) == (name != "table1")  # which counts multiplications
        if "antennas" in ds.dims and sizes:
            assert sizes == ds["antennas"].values.tolist()
        for N in sizes:
            H, Psi = complex_of(ds[f"H_n{N}"]), complex_of(ds[f"Psi_n{N}"])
            assert np.array_equal(H, saleh_valenzuela(N, 4, COUNT, seed=0).numpy())
            assert "seed 0" in ds[f"H_n{N}"].source
            assert np.allclose(Psi, Psi.conj().T) and np.allclose(Psi.diagonal(), 1 / N)
            assert ds[f"Psi_n{N}"].attrs["targets_deg"] == pytest.approx([-59, 0, 60])


def scenario(ds, N, **options):
    """The scenario of a dataset, from its own arrays."""
    radar = Sensing(torch.from_numpy(complex_of(ds[f"Psi_n{N}"])))
    return make_scenario(torch.from_numpy(complex_of(ds[f"H_n{N}"])), radar, **options)


def test_a_curve_can_be_computed_again_from_its_file_alone(datasets):
    ds = datasets["fig8"]
    held = parameters(ds)
    s = scenario(ds, 64, snr_db=ds["snr_db"].values.tolist(), weight=held["weight"])
    for J in (1, 10, 20):
        about = held["methods"][f"unfolded_j{J}"]
        info = ModelInfo(64, 4, 4, about["eta"], digital=about["digital"])
        steps = (torch.from_numpy(ds[f"{key}_unfolded_j{J}"].values) for key in ("mu", "lam"))
        again = unfolded(s, UnfoldedPGA.from_steps(*steps, info))
        for key, values in (("rate", again.rate), ("tau", again.tau)):
            assert np.allclose(values, ds[key].sel({"method": f"unfolded_j{J}"}), rtol=1e-9), (J, key)
    ds = datasets["fig3"]
    held = parameters(ds)
    s = scenario(ds, 32, snr_db=held["snr_db"], weight=held["weight"])
    for eta in ds["eta"].values.tolist():
        again = pga(
            s, inner=10, mu=held["mu"], lam=held["lam"], eta=eta, digital=held["digital"], record=True
        )
        assert np.allclose(again.trace.rate, ds["rate"].sel(inner=10, eta=eta), rtol=1e-9), eta


def test_the_report_and_the_exports_take_all_of_it(run, quick, tmp_path):  # noqa: F811
    code, _, err = run("report", quick / "results", "-o", "report.html")
    assert code == 0 and "9 experiments" in err
    page = Path("report.html").read_text()
    assert all(f'<h2 id="{name}">' in page for name in EXPERIMENTS)
    for name in EXPERIMENTS:
        code, _, err = run("export", quick / "results" / f"{name}.nc", f"{name}.npz")
        assert code == 0, err
        with np.load(f"{name}.npz") as archive:
            assert json.loads(str(archive["about"]))["experiment"] == name
