"""The command line as a user types it: results, and one clear line for bad input."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from beamfold import ModelInfo, UnfoldedPGA
from beamfold.cli import main, spread
from beamfold.cli.common import say_if_compiling
from beamfold.experiments.grid import benchmark
from beamfold.files.arrays import read_arrays
from beamfold.files.models import load_model, save_model
from beamfold.method import lacking_network
from beamfold.networks import subarrays
from beamfold.registry import METHODS


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run `beamfold …` in a temporary folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["beamfold", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def channels(run) -> Path:
    assert run("generate", "-o", "c.mat", "--antennas", 16, "--users", 2, "--count", 3)[0] == 0
    return Path("c.mat")


def _json(result):
    code, out, err = result
    assert code == 0, err
    return json.loads(out)


def test_generate_covariance_design_end_to_end(run, channels):
    psi = _json(run("covariance", "--antennas", 16, "--targets-deg", -30, 30, "-o", "psi.npz", "--json"))
    assert psi["certified_gap"] <= 1e-6
    got = _json(
        run("design", channels, "--psi", "psi.npz", "--method", "pga", "--inner", 5, "--layers", 10,
            "--snr-db", 0, 12, "-o", "d.npz", "--json")
    )  # fmt: skip
    assert [row["snr_db"] for row in got["results"]] == [0, 12]
    held = read_arrays(Path("d.npz"))
    assert held["F"].shape == (2, 3, 16, 2)
    assert np.allclose(abs(held["F"]), 1)
    assert held["rate"].mean(-1) == pytest.approx([row["rate"] for row in got["results"]])


def test_compare_writes_table_picture_and_designs(run, channels):
    code, out, err = run("compare", channels, "--targets-deg", -30, 30, "-o", "res")
    assert code == 0, err
    assert "SNR [dB]" in out
    assert "conventional PGA" in out
    assert Path("res/beampattern.png").read_bytes().startswith(b"\x89PNG")
    held = read_arrays(Path("res/designs.mat"))
    assert held["pga_j20_F"].shape == (3, 16, 2)
    assert "no shipped model" in err


@pytest.mark.parametrize("bits", [None, 2])
def test_compare_on_a_network_runs_all_methods_that_can_and_names_the_others_in_one_line(run, channels, bits):
    given = ("--network", "subarrays", "--chains", 4, *(("--bits", bits) if bits else ()))
    code, out, err = run("compare", channels, "--targets-deg", -30, 30, *given, "-o", "res", "--json")
    assert code == 0, err
    [line] = [line for line in err.splitlines() if line.startswith("note: left out:")]
    shown = {row["method"] for row in json.loads(out)["results"]}
    for name, method in METHODS.items():
        left = re.search(rf"[ ,]{name},", line) is not None
        here = name.replace("-", "_")
        there = here in shown or f"{here}_j20" in shown
        if name == "unfolded":
            assert not there and not left  # a line of its own says that there is no model
            continue
        assert left != there, name
        assert left == (
            name == "constrained" or lacking_network(method.supports, subarrays(16, 4, bits=bits)) != ""
        ), name
    assert {"fast", "best", "pga_j20", "digital"} <= shown
    assert ({"altmin", "sic"} <= shown) == (bits is None)
    worst = _json(run("verify", "res/designs.mat", channels, "--json"))["worst"]
    assert set(worst) == shown


def test_verify_confirms_a_design_and_catches_a_tampered_one(run, channels):
    from beamfold.files.arrays import write_arrays

    psi = ("--targets-deg", -30, 30)
    run("design", channels, *psi, "--method", "pga", "--layers", 5, "--snr-db", 0, 9, "-o", "d.npz")
    worst = _json(run("verify", "d.npz", channels, "--json"))["worst"]["design"]
    assert max(worst.values()) < 1e-9
    run("compare", channels, *psi, "-o", "res")
    names = _json(run("verify", "res/designs.mat", channels, "--json"))["worst"]
    assert {"zf_digital", "phased_zf", "pga_j20", "sca_manopt", "digital", "fast"} <= set(names)
    for name, change in (
        ("W", 1.01), ("F", 1.01), ("rate", 1.01), ("tau", 1.01), ("objective", 1.01), ("mse", 1.01),
        ("angles_deg", 0.99), ("weight", 1.01),
    ):  # fmt: skip
        held = read_arrays(Path("d.npz"))
        write_arrays(Path("bad.npz"), {**held, name: held[name] * change})
        code, _, err = run("verify", "bad.npz", channels)
        assert code == 1, name
        assert "residuals above" in err
    run("generate", "-o", "other.mat", "--antennas", 8, "--users", 2, "--count", 3)
    code, _, err = run("verify", "d.npz", "other.mat")
    assert code == 2
    assert "(2, 16)" in err


def test_verify_says_what_an_older_file_does_not_state(run):
    """Version 0.1.0 stated no MSE; its R − ω τ is compared all the same."""
    from beamfold.channel import saleh_valenzuela
    from beamfold.files.arrays import write_arrays

    old = Path(__file__).with_name("data") / "design-0.1.npz"
    write_arrays(Path("c.npz"), {"H": saleh_valenzuela(8, 2, 3, seed=5).numpy(), "rows": "hermitian"})
    code, out, err = run("verify", old, "c.npz", "--json")
    found = json.loads(out)
    assert (code, found["passed"], found["not_checked"]) == (0, True, ["mse", "faults"])
    assert set(found["worst"]["design"]) == {"modulus", "power", "rate_error", "tau_error", "objective_error"}
    assert "does not state mse and faults" in err
    held = read_arrays(old)
    write_arrays(Path("bad.npz"), {**held, "objective": held["objective"] + 0.01})
    assert run("verify", "bad.npz", "c.npz")[0] == 1


def test_train_info_and_a_model_of_other_sizes(run, channels):
    options = ("--antennas", 16, "--users", 2, "--inner", 2, "--layers", 3, "--count", 20, "--epochs", 2)
    code, _, err = run("train", *options, "-o", "m.safetensors")
    assert code == 0, err
    assert not Path("m.checkpoint.safetensors").exists()
    info = _json(run("info", "m.safetensors", "--json"))
    assert (info["antennas"], info["layers"], info["inner"], len(info["curve"])) == (16, 3, 2, 2)
    assert run("design", channels, "--model", "m.safetensors", "-o", "d.mat")[0] == 0
    run("generate", "-o", "other.mat", "--antennas", 8, "--users", 2, "--count", 1)
    code, _, err = run("design", "other.mat", "--model", "m.safetensors", "--targets-deg", 0, "-o", "e.mat")
    assert code == 2
    assert "(16, 2, 2)" in err and "(8, 2, 2)" in err
    assert not Path("e.mat").exists()
    code, _, err = run(
        "design", "other.mat", "--model", "m.safetensors", "--any-size", "--targets-deg", 0, "-o", "e.mat"
    )
    assert code == 0, err


def test_training_goes_on_only_with_the_same_recipe(run):
    from beamfold.files.models import save_checkpoint
    from beamfold.training import Recipe, begin

    save_checkpoint(Path("m.checkpoint.safetensors"), Recipe(), {}, begin(Recipe(), 64, 4, 4))
    code, _, err = run("train", "--inner", 2, "-o", "m.safetensors")
    assert code == 2
    assert "inner 20 -> 2" in err


def _bad_files(folder: Path) -> None:
    H = np.ones((2, 2, 16), complex)
    H[:, 1, :8] = 2j
    np.savez(folder / "good.npz", H=H, axes="channels,users,antennas")
    nan = H.copy()
    nan[1, 0, 3] = np.nan
    np.savez(folder / "nan.npz", H=nan, axes="channels,users,antennas")
    np.savez(folder / "two.npz", A=H, B=H)
    (folder / "text.mat").write_text("no matrix")
    save_model(
        folder / "j3.safetensors",
        UnfoldedPGA(ModelInfo(16, 2, 2, 1 / 16), layers=4, inner=3),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("design none.mat -o o.mat", "no such file"),
        ("design text.mat -o o.mat", "can't be read"),
        ("design two.npz -o o.mat", "several arrays"),
        ("design nan.npz -o o.mat", "channel 1 holds NaN"),
        ("design good.npz --chains 1 -o o.mat", "K <= M <= N"),
        ("design good.npz --chains 17 -o o.mat", "K <= M <= N"),
        ("design good.npz --weight -0.1 -o o.mat", "at least 0"),
        ("design good.npz --snr-db inf -o o.mat", "SNR must be finite"),
        (
            "design good.npz --model j3.safetensors --inner 5 -o o.mat",
            "J = 3 inner steps, --inner asks for 5",
        ),
        ("design good.npz --model j3.safetensors --layers 9 -o o.mat", "4 layers, asked for 9"),
        ("design good.npz --method magic -o o.mat", "no method 'magic'; known"),
        ("design good.npz --method phased-zf --inner 3 -o o.mat", "does not take inner"),
        ("design good.npz --rows sideways -o o.mat", "h^H or h^T"),
        ("design good.npz -o nowhere/o.mat", "nowhere does not exist"),
        ("design good.npz --method phased-zf -o good.npz", "--force"),
        ("design good.npz --method phased-zf -o o.txt", ".mat or .npz"),
        ("design good.npz --method unfolded -o o.mat", "the method fast needs none"),
        ("design good.npz --method phased-zf --set rho=2 -o o.mat", "does not take rho; it takes no options"),
        ("design good.npz --method best --set starts=few -o o.mat", "a whole number, got 'few'"),
        ("design good.npz --method sca --engine kernel -o o.mat", "fast or cvxpy, got 'kernel'"),
        ("design good.npz --threads 0 -o o.mat", "threads must be from 1 to"),
        ("compare good.npz --snr-db 0 6 12 -o o", "takes one number, got a second: 6"),
        ("front good.npz --snr-db 0 6 -o o.nc", "takes one number, got a second: 6"),
        ("design good.npz --set rho -o o.mat", "--set takes name=value"),
        ("covariance --targets-deg 0 95 -o o.npz", "95"),
        ("covariance --targets-deg 0 3 -o o.npz", "overlap"),
        ("covariance --antennas 64 --angles 91 -o o.npz", "grid too coarse"),
        ("import-steps text.mat -o o.safetensors", "refused"),
        ("info good.npz", "not a safetensors file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, tmp_path, arguments, message):
    _bad_files(tmp_path)
    before = sorted(p.name for p in tmp_path.iterdir())
    code, out, err = run(*arguments.split())
    assert (code, out) == (2, "")
    said = [line for line in err.splitlines() if not line.startswith("note: ")]
    assert len(said) == 1
    assert said[0].startswith("error: ")
    assert message in said[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_several_numbers_may_follow_an_option():
    assert spread(["design", "--targets-deg", "-60", "0", "60", "-o", "f"]) == [
        "design", "--targets-deg=-60", "--targets-deg=0", "--targets-deg=60", "-o", "f",
    ]  # fmt: skip
    assert spread(["design", "--snr-db", "12", "--rows", "h^T"]) == ["design", "--snr-db=12", "--rows", "h^T"]
    assert spread(["--snr-db"]) == ["--snr-db"]


@pytest.mark.parametrize("command", ["", "design", "train"])
def test_help_loads_nothing_heavy(command):
    code = (
        f"import sys; sys.argv = ['beamfold', *'{command}'.split(), '--help']\n"
        "from beamfold.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numba', 'numpy', 'scipy', 'matplotlib', 'cvxpy', 'h5py'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_imported_steps_say_what_they_belong_to(run, tmp_path):
    torch.save({"step_size": torch.rand(4, 6, 2)}, tmp_path / "s.pth")
    assert run("import-steps", "s.pth", "-o", "m.safetensors", "--antennas", 16, "--users", 2)[0] == 0
    model = load_model(Path("m.safetensors"))
    assert (model.layers, model.inner, model.info.digital) == (6, 4, "signal")


@pytest.mark.parametrize("antennas", [1, 2, 3, 16, 128])
def test_any_number_of_antennas_needs_no_option(run, antennas):
    assert run("generate", "-o", "c.mat", "--antennas", antennas, "--count", 2)[0] == 0
    held = _json(run("design", "c.mat", "--method", "fast", "-o", "d.npz", "--json"))
    assert held["users"] == min(4, antennas)
    F, W = (read_arrays(Path("d.npz"))[name] for name in "FW")
    assert np.allclose(abs(F), 1)
    assert np.square(np.abs(F @ W)).sum((-2, -1)) == pytest.approx(10**1.2)
    error = held["results"][0]["mse_db"]  # 0 but for rounding: null
    assert (error is None or error < -250) if antennas == 1 else np.isfinite(error)


def test_more_users_than_antennas_are_refused_by_name(run):
    code, _, err = run("generate", "-o", "c.mat", "--antennas", 2, "--users", 4)
    assert (code, err) == (2, "error: --users is 4 for 2 antennas; it must be at most --antennas\n")
    assert not Path("c.mat").exists()


def test_the_grid_of_a_sweep_and_of_the_covariance_command_follow_the_antennas(run):
    assert _json(run("covariance", "--antennas", 120, "-o", "p.npz", "--json"))["certified_gap"] <= 1e-6
    assert len(read_arrays(Path("p.npz"))["angles_deg"]) == 901
    assert benchmark(120, (-60.0, 0.0, 60.0)).angles.shape == (901,)


def test_a_design_loads_only_what_it_needs(channels):
    """Ψ comes from the cache, the method has no kernel: neither solvers nor plots nor Numba are imported."""
    code = (
        "import sys\n"
        "from beamfold.cli import main\n"
        "def go(*given):\n"
        "    sys.argv = ['beamfold', *given]\n"
        "    try: main()\n"
        "    except SystemExit as stop: assert not stop.code, stop.code\n"
        "go('design', 'c.mat', '--method', 'zf-digital', '-o', 'd.npz')\n"
        "heavy = {'scipy.optimize', 'scipy.stats', 'matplotlib', 'cvxpy', 'h5py', 'xarray', 'numba',"
        " 'scipy.linalg'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    arguments = ["-m", "beamfold", "design", "c.mat", "--method", "zf-digital", "-o", "first.npz"]
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, timeout=120)
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)


def test_a_refused_target_needs_no_torch():
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from beamfold.files.atomic import FileError, check_target\n"
        "try: check_target(Path('.'), force=False)\n"
        "except FileError: pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("ready", [True, False])
def test_compiling_is_announced_only_where_something_is_compiled(capsys, monkeypatch, ready):
    asked = []
    monkeypatch.setattr(
        "beamfold.kernels.compiled.is_compiled", lambda kernel, scalar, goal: asked.append(scalar) or ready
    )
    say_if_compiling("fast", "double")
    say_if_compiling("unfolded")
    say_if_compiling("omp")
    assert asked == (["float64", "float64", "float32"] if ready else ["float64", "float32"])
    said = capsys.readouterr().err.splitlines()
    assert len(said) == (0 if ready else 2)
    assert all(
        line.startswith("note: compiling the kernels for this machine, once per installation")
        for line in said
    )
