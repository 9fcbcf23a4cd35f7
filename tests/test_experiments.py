"""The experiments: truths of the paper's figures, labelled files, a page of claims, counted steps."""

import csv
import json
import math
from importlib import import_module

import numpy as np
import pytest
import scipy.io
import torch
import xarray as xr
from conftest import relative, small
from test_cli import run  # noqa: F401

from beamfold import ModelInfo, UnfoldedPGA, figures
from beamfold.claims_page import markdown
from beamfold.experiments import claims
from beamfold.experiments.complexity import dense_cost, kernel_cost
from beamfold.experiments.convergence import crossing_interval, fig3, first_crossing, table2
from beamfold.experiments.figures_6_to_8 import over_layers
from beamfold.experiments.gradients import fig2
from beamfold.experiments.labelled import complex_of, interval
from beamfold.experiments.setting import Setting, published_pattern
from beamfold.experiments.store import export, load, parameters, save
from beamfold.experiments.tradeoff import Tuning, _neighbours, conditioned
from beamfold.files.atomic import FileError
from beamfold.optim.layers import step
from beamfold.reproduction import EXPERIMENTS
from beamfold.scenario import Scenario
from beamfold.sensing import Sensing
from beamfold.start import Point, proposed

ATTRIBUTES = ("title", "experiment", "seed", "version", "revision", "machine", "parameters", "command")


@pytest.fixture(scope="module")
def second():
    return fig2(Setting(count=10))


def test_the_published_pattern_is_the_psi_of_the_figures():
    radar = published_pattern(64)
    degrees = torch.rad2deg(radar.angles)[radar.desired > 0].round().tolist()
    assert degrees == [-61, -60, -59, -58, -57, -2, -1, 0, 1, 2, 58, 59, 60, 61, 62]
    assert radar.factor(1e-3).U.shape[1] == 7


def test_fig2_gradients_in_W_grow_and_in_F_fall_with_N(second):
    n = np.log(second.antennas.values)
    for statistic in second.statistic.values:
        for term in second.term.values:
            mean = second.gradient_mean.sel(term=term, statistic=statistic)
            slope = np.polyfit(n, np.log(mean), 1)[0]
            assert (slope > 0.1) if "_W" in term else (slope < -0.1), (term, statistic, slope)


def test_fig3_only_eta_1_over_N_with_J_above_1_rises_and_reaches_0():
    ds = fig3(Setting(count=6))
    mean = ds.objective_mean
    for inner in (10, 20):
        good = mean.sel(inner=inner, eta=1 / 32)
        assert (good.isel(layer=slice(20, None)).diff("layer") > -1e-3).all()
        assert good[-1] > 0 > mean.sel(inner=inner, eta=1.0)[-1]
    assert mean.sel(inner=1)[..., -1].max() < 0
    assert np.allclose(ds.objective, ds.rate - 0.3 * ds.tau)


def test_table2_more_inner_steps_cross_earlier():
    ds = table2(Setting(count=6))
    crossing = ds.crossing.sel(antennas=32)
    assert crossing.sel({"method": "pga_j20"}) < crossing.sel({"method": "pga_j10"})
    assert ds.n_F.sel({"method": "pga_j20", "antennas": 32}) == 20 * crossing.sel({"method": "pga_j20"})
    low, high = (
        ds[f"crossing_{side}"].sel({"method": "pga_j20", "antennas": 32}) for side in ("low", "high")
    )
    assert low <= crossing.sel({"method": "pga_j20"}) <= high


def test_first_crossing_is_of_the_mean_and_nan_where_there_is_none():
    curves = np.array([[-2.0, -2.0], [1.0, -2.0], [2.0, -1.0], [3.0, 3.0]])
    assert first_crossing(curves) == 2
    assert math.isnan(first_crossing(curves - 10))
    assert crossing_interval(curves - 10, 0) == (math.inf, math.inf)


def test_interval_is_students():
    values = np.random.default_rng(0).standard_normal((3, 8)) + 5
    mean, low, high = interval(values, 1)
    half = 2.3646 * values.std(1, ddof=1) / math.sqrt(8)  # t for 7 degrees of freedom
    assert np.allclose([low, high], [mean - half, mean + half], rtol=1e-4)
    _, low, high = interval(values, 1, positive=True)
    assert np.allclose(low * high, mean**2)
    assert np.isnan(interval(values[:, :1], 1)[1]).all()


def test_over_layers_holds_all_that_a_curve_was_made_from(tmp_path):
    setting = Setting(count=2, seed=3)
    ds = over_layers("fig7", 64, setting)
    save(tmp_path / "fig7.nc", ds)
    held = load(tmp_path / "fig7.nc")
    xr.testing.assert_equal(held, ds)
    H = complex_of(held["H_n64"])
    assert np.array_equal(H, setting.draw(64)[0].numpy())
    assert np.array_equal(complex_of(held["Psi_n64"]), published_pattern(64).Psi.numpy())
    assert "seed 3" in held["H_n64"].source
    methods = parameters(held)["methods"]
    assert methods["conventional_pga"]["eta"] == "1/N"
    for name in [m for m in held["method"].values if m.startswith("unfolded")]:
        assert held[f"mu_{name}"].shape == (120, int(name.removeprefix("unfolded_j")))
        assert len(methods[name]["sha256"]) == 16
    assert held["rate"].attrs["equation"] == "(4)" and held["rate"].attrs["units"] == "bit/s/Hz"
    X_last = held["rate"].isel(layer=-1).sel({"method": "zf_digital"})
    assert np.allclose(X_last, held["rate"].isel(layer=0).sel({"method": "zf_digital"}))
    EXPERIMENTS["fig7"].write_figure(held, tmp_path)
    assert (tmp_path / "fig7.pdf").read_bytes().startswith(b"%PDF")


def test_reproduce_writes_readable_labelled_files_and_keeps_them(run, tmp_path):  # noqa: F811
    command = ("reproduce", "fig2", "table2", "--quick", "--count", 3, "-o", "res")
    code, _, err = run(*command)
    assert code == 0, err
    for name in ("fig2", "table2"):
        ds = load(tmp_path / "res" / f"{name}.nc")
        assert all(ds.attrs[key] != "" or key == "revision" for key in ATTRIBUTES)
        assert ds.attrs["experiment"] == name
        assert json.loads(ds.attrs["parameters"])["count"] == 3
        for variable in ds.data_vars.values():
            assert "units" in variable.attrs, variable.name
        assert (tmp_path / "res" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / "res" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    page = (tmp_path / "res" / "reproduction.md").read_text()
    assert "Table II" in page and "beamfold reproduce fig2 --count 3" in page
    before = (tmp_path / "res" / "fig2.nc").read_bytes()
    code, _, err = run(*command)
    assert code == 0 and "kept" in err
    assert (tmp_path / "res" / "fig2.nc").read_bytes() == before
    code, _, err = run("reproduce", "fig2", "--count", 4, "-o", "res")
    assert code == 2 and "count 3 -> 4" in err and "--force" in err
    assert (tmp_path / "res" / "fig2.nc").read_bytes() == before


def test_the_users_channels_are_used_where_they_fit(run, tmp_path):  # noqa: F811
    assert run("generate", "-o", "c.npz", "--antennas", 32, "--count", 2, "--seed", 9)[0] == 0
    code, _, err = run("reproduce", "fig3", "--channels", "c.npz", "-o", "res")
    assert code == 0, err
    assert "holds 2 channels" in err
    ds = load(tmp_path / "res" / "fig3.nc")
    assert ds.sizes["channel"] == 2
    assert "c.npz (sha256" in ds["H_n32"].source
    drawn = fig3(Setting(count=2, seed=9))
    assert np.array_equal(ds["objective"], drawn["objective"])


def test_export_to_mat_npz_and_csv(tmp_path, second):
    save(tmp_path / "a.nc", second)
    export(tmp_path / "a.nc", tmp_path / "a.mat")
    held = scipy.io.loadmat(tmp_path / "a.mat")
    assert np.allclose(held["gradient"], second["gradient"])
    assert held["gradient_axes"][0] == "antennas, term, statistic, channel"
    export(tmp_path / "a.nc", tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as archive:
        assert np.array_equal(archive["antennas"], second["antennas"])
        assert json.loads(str(archive["about"]))["experiment"] == "fig2"
    export(tmp_path / "a.nc", tmp_path / "a.csv")
    with (tmp_path / "a.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["variable"] for row in rows} == {"gradient_mean", "gradient_low", "gradient_high"}
    row = next(r for r in rows if r["antennas"] == "64" and r["term"] == "grad_W R")
    assert float(row["value"]) == float(second.gradient_mean.sel(antennas=64, term="grad_W R")[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("reproduce fig4", "no experiment 'fig4'; known: fig2"),
        ("reproduce fig2 --count 0 -o res", "count must be at least 1"),
        ("reproduce fig2 --channels none.mat -o res", "no such file"),
        ("reproduce fig2 -o nowhere/res", "nowhere does not exist"),
        ("export none.nc a.mat", "no such file"),
        ("export text.nc a.mat", "not a netCDF file"),
        ("export text.nc a.xlsx", ".mat or .npz or .csv"),
        ("sweep none.toml -o res", "no such file"),
    ],
)
def test_bad_input_is_one_line(run, tmp_path, arguments, message):  # noqa: F811
    (tmp_path / "text.nc").write_text("nothing")
    code, out, err = run(*arguments.split())
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and message in err


def test_a_damaged_file_is_refused(tmp_path, second):
    save(tmp_path / "a.nc", second)
    whole = (tmp_path / "a.nc").read_bytes()
    (tmp_path / "a.nc").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="not a netCDF file"):
        load(tmp_path / "a.nc")


def test_every_experiment_has_a_figure_and_the_page_needs_no_dataset():
    for name, experiment in EXPERIMENTS.items():
        module, _, function = experiment.computed.partition(":")
        assert callable(getattr(import_module(f"beamfold.experiments.{module}"), function)), name
        assert callable(getattr(figures, experiment.drawn)), name
        assert callable(getattr(claims, experiment.claims or "gradients")), name
        assert experiment.views and experiment.cost > 0
    assert "| claim | paper | ours |" in markdown({})


def _fig3(shaky: set[tuple[int, float]]) -> xr.Dataset:
    """Mean curves that rise at every step, and for `shaky` (J, η) at every other one."""
    layers = np.arange(121)
    held = [
        [layers - (2.0 * (layers % 2) if (j, e) in shaky else 0) - 100 / j for e in (1.0, 1 / 32)]
        for j in (1, 10, 20)
    ]
    coords = {"inner": [1, 10, 20], "eta": [1.0, 1 / 32], "layer": layers}
    return xr.Dataset({"objective_mean": (("inner", "eta", "layer"), np.array(held))}, coords)


def test_the_note_on_smooth_curves_follows_the_data():
    (row,) = claims.smoothness(_fig3({(1, 1.0), (1, 1 / 32), (10, 1.0), (20, 1.0)}))
    assert row.paper == "only (10, 1/N) and (20, 1/N)"
    assert row.note == ""
    (row,) = claims.smoothness(_fig3({(1, 1.0), (10, 1.0), (10, 1 / 32)}))
    assert row.note == (
        "Smooth here, at least 90 % of these steps rising: (1, 1/N), (20, 1), (20, 1/N); "
        "(1, 1/N) ends 95.0 below the best."
    )
    (row,) = claims.smoothness(_fig3({(j, e) for j in (1, 10, 20) for e in (1.0, 1 / 32)}))
    assert row.note.endswith("rising: none.")


class Counted:
    """Matrix products that count their complex multiply-adds."""

    def __init__(self):
        self.total = 0

    def __call__(self, a, b):
        self.total += a.shape[0] * a.shape[1] * b.shape[1]
        return a @ b

    def times(self, factor, z):
        self.total += z.size
        return factor * z

    def take(self):
        total, self.total = self.total, 0
        return total


def _weights(A):
    """C of ∇_X R = Hᴴ C and its form in coordinates, as `objective.rate_gradient` and unit noise."""
    power = abs(A) ** 2
    total = power.sum(1) + 1
    other = total - power.diagonal()
    C = A * (1 / total - 1 / other)[:, None]
    C[np.arange(len(A)), np.arange(len(A))] = A.diagonal() / total
    return C / math.log(2)


def _signal(A):
    return np.diag(A.diagonal() / ((abs(A) ** 2).sum(1) + 1) / math.log(2))


def _in_coordinates(H, U, F, W, mu, lam, weight, eta, power, by):
    """A layer as `kernels.coordinates` has it, in NumPy; counts per inner and per outer step."""
    M, K = W.shape
    E = np.hstack([F, H.conj().T, U])
    D = E.shape[1]
    rows = slice(M, M + K)
    T = E.conj().T @ E
    by.take()

    def gradient(Sx, kappa, weights):
        Y = by(T, Sx)
        P = -by.times(kappa, by(Sx, by(Sx.conj().T, Y)))
        P[rows] += weights(Y[rows])
        by.total += K * K
        P[M + K :] += kappa * Y[M + K :]
        return P

    S = np.eye(D, M, dtype=complex)
    for step_size in mu:
        P = gradient(by(S, W), 2 * weight, _weights)
        S = S + step_size * by(P, W.conj().T)
    inner = by.take() // len(mu)
    new = by(E, S)
    F = by.times(1 / abs(new), new)
    E[:, :M] = F
    T[:, :M] = by(E.conj().T, F)
    T[:M] = T[:, :M].conj().T
    P = gradient(by(np.eye(D, M, dtype=complex), W), 2 * weight * eta, _signal)
    W = W + by.times(lam, by(T[:, :M].conj().T, P))
    norm2 = np.vdot(W, by(T[:M, :M], W)).real
    W = by.times(math.sqrt(power / norm2), W)
    return F, W, inner, by.take()


@pytest.mark.parametrize(("N", "K", "M", "rank"), [(16, 2, 3, 3), (24, 4, 4, 5)])
def test_counted_steps_are_those_of_the_code(N, K, M, rank):
    s = small(antennas=N, users=K, chains=M, count=1)
    generator = np.random.default_rng(0)
    z = generator.standard_normal((2, N, rank))
    U = (z[0] + 1j * z[1]) / math.sqrt(2 * N * rank)
    s = Scenario(s.H[0], Sensing(torch.from_numpy(U @ U.conj().T)), s.power[0], M, s.weight[0])
    F, W = proposed(s)
    mu, lam, eta = torch.tensor([0.01, 0.02, 0.005], dtype=torch.float64), 0.03, 1 / N
    power, weight = float(s.power), float(s.weight)
    by = Counted()
    ours = _in_coordinates(
        s.H.numpy(), math.sqrt(power) * U, F.numpy(), W.numpy(), mu.tolist(), lam, weight, eta, power, by
    )
    theirs = step(s, Point(F, W), mu, torch.tensor(lam, dtype=torch.float64), eta, "signal")
    assert relative(ours[0], theirs.F) < 1e-10 and relative(ours[1], theirs.W) < 1e-10
    cost = kernel_cost(N, M, K, rank)
    assert (ours[2], ours[3]) == (cost.inner, cost.outer)


def test_the_inner_step_does_not_know_N():
    assert kernel_cost(64, 4, 4, 7).inner == kernel_cost(1024, 4, 4, 7).inner
    assert dense_cost(1024, 4, 4).inner / dense_cost(512, 4, 4).inner == pytest.approx(4, rel=0.05)


def test_conditioning_goes_outwards_and_never_ends_below_its_start(monkeypatch):
    assert _neighbours([0.1, 0.3, 1, 3, 0.03]) == [(1, 0.3), (3, 1), (0.1, 0.3), (0.03, 0.1)]
    monkeypatch.setattr("beamfold.experiments.tradeoff.SCALES", ((1.0, 0.3), (1.0, 0.3)))
    start = UnfoldedPGA(ModelInfo(16, 2, 2, 1 / 16), layers=4, inner=2)
    radar = small(antennas=16, users=2).radar
    model = conditioned(start, 3.0, radar, Tuning(epochs=2, count=20))
    values = model.info.extra["held_out_objective"]
    assert len(values) == 3 and model.info.weight == 3.0
    assert f"then {int(np.argmax(values))} of 2 epochs" in model.info.note
