"""A sweep on a Dask scheduler that is running already: same bits, and every way in which it can go away."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest
from test_cli import run  # noqa: F401
from test_sweep import assert_same, contents, quiet

from beamfold.experiments import cluster
from beamfold.experiments.grid import read_grid
from beamfold.experiments.sweep import sweep

pytest.importorskip("distributed", reason="dask[distributed] is not installed")

CONFIG = """
methods = ["pga", "phased-zf"]
snr_db = [0, 2, 4, 6, 8, 10, 12]
weight = [0.1, 0.2, 0.3, 0.4]
antennas = [16]
users = [2]
inner = [5]
layers = [60]
targets_deg = [[-30, 30]]
count = 20
"""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
LACKING = """
import sys
sys.modules["beamfold"] = None
from distributed.cli.dask_worker import main
main()
"""


@contextmanager
def started(*arguments, **options):
    """A Python process that is gone at the end, whatever happens."""
    process = subprocess.Popen([sys.executable, *arguments], env=ENVIRONMENT, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(condition, process, what):
    """Wait for a condition as long as the process lives, and not forever."""
    end = time.monotonic() + 300
    while not condition():
        assert process.poll() is None and time.monotonic() < end, what
        time.sleep(0.01)


@contextmanager
def a_scheduler(tmp_path):
    file = tmp_path / "scheduler.json"
    arguments = ("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
                 "--no-dashboard", "--scheduler-file", str(file))  # fmt: skip
    with started(*arguments, stderr=subprocess.DEVNULL) as process:
        until(lambda: file.exists() and file.read_text().endswith("}"), process, "no scheduler came up")
        yield process, json.loads(file.read_text())["address"]


def a_worker(address, *program):
    options = ("--nthreads", "1", "--no-dashboard", "--no-nanny")
    return started(
        *(program or ("-m", "distributed.cli.dask_worker")), address, *options, stderr=subprocess.DEVNULL
    )


def a_sweep(tmp_path, address, folder):
    command = ("-m", "beamfold", "sweep", "sweep.toml", "-o", folder, "--scheduler", address)
    return started(*command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)


def cells(folder):
    return len(list((folder / "cells").glob("[!.]*.nc")))


def test_joined_workers_give_the_same_bits_and_may_die_as_may_the_scheduler(tmp_path):
    (tmp_path / "sweep.toml").write_text(CONFIG)
    grid = read_grid(tmp_path / "sweep.toml")
    sweep(grid, tmp_path / "whole", tick=quiet)
    whole, total = contents(tmp_path / "whole"), len(grid.cells())
    with ExitStack() as stack:
        scheduler, address = stack.enter_context(a_scheduler(tmp_path))
        lost, _ = [stack.enter_context(a_worker(address)) for _ in range(2)]

        with a_sweep(tmp_path, address, "one") as process:
            until(lambda: cells(tmp_path / "one"), process, "no cell came")
            lost.send_signal(signal.SIGKILL)
            held = cells(tmp_path / "one")
            _, err = process.communicate(timeout=300)
        assert held < total - 2 * cluster.AHEAD  # the dead worker had cells to do
        assert process.returncode == 0, err
        assert_same(contents(tmp_path / "one"), whole)

        with a_sweep(tmp_path, address, "two") as process:
            until(lambda: cells(tmp_path / "two"), process, "no cell came")
            scheduler.send_signal(signal.SIGKILL)
            _, err = process.communicate(timeout=300)
        assert process.returncode == 1, err
        assert f"failed: the Dask scheduler {address} vanished; finished cells are kept" in err
        assert "Traceback" not in err
    kept = contents(tmp_path / "two")
    assert 0 < len(kept) < total
    assert_same(kept, {name: whole[name] for name in kept})
    sweep(grid, tmp_path / "two", tick=quiet)
    assert_same(contents(tmp_path / "two"), whole)


def test_a_worker_that_lacks_the_package_is_named(tmp_path):
    (tmp_path / "sweep.toml").write_text(CONFIG)
    with (
        a_scheduler(tmp_path) as (_, address),
        a_sweep(tmp_path, address, "res") as process,
        a_worker(address, "-c", LACKING),  # joins while the sweep waits for a worker, or before
    ):
        _, err = process.communicate(timeout=300)
    assert process.returncode == 2, err
    last = err.splitlines()[-1]
    assert "error: the worker tcp://127.0.0.1:" in last and "cannot import beamfold" in last
    assert cells(tmp_path / "res") == 0


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("here", "takes an address like tcp://host:8786, got 'here'"),
        ("tcp://127.0.0.1:9", "no Dask scheduler answers at tcp://127.0.0.1:9 within"),
    ],
)
def test_no_scheduler_is_one_line(run, tmp_path, monkeypatch, address, message):  # noqa: F811
    monkeypatch.setattr(cluster, "ANSWER", 0.5)
    (tmp_path / "sweep.toml").write_text(CONFIG)
    code, out, err = run("sweep", "sweep.toml", "-o", "res", "--scheduler", address)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and message in err
    assert not (tmp_path / "res").exists()


def test_workers_of_another_version_are_refused():
    class Client:
        def run(self, function, **options):
            return {"tcp://a:1": {**function(), "version": "0.0.1"}}

    with pytest.raises(ValueError, match=r"tcp://a:1 has beamfold 0\.0\.1 .* install the same there"):
        cluster._check_workers(Client(), {"tcp://a:1"})
