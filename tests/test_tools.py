"""Channels of simulators: their axes and, above all, their angles.

A line-of-sight user at +40 degrees and targets at −50 and +20 degrees of the tool's own world: the beams that
are designed go there, in the tool's own response. The hand-made arrays have the axes and signs of each tool.
"""

from __future__ import annotations

import json
import re
import shlex
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from conftest import ROOT
from test_cli import run  # noqa: F401

import beamfold as bf
from beamfold.files.axes import DROPPED, KNOWN, RI, SUMMED
from beamfold.files.entries import ScenarioSpec
from beamfold.files.reader import read_set
from beamfold.files.tools import TOOLS

N = 32
USER, TARGETS = 40.0, (-50.0, 20.0)
GRID = np.arange(-90, 90.01, 0.05)


def response(tool: str, degrees) -> np.ndarray:
    """(…, N): what a user in this direction receives from each antenna, as the tool states it.

    NYUSIM's direction is the azimuth of departure from the line, 90 degrees across it.
    """
    n = np.arange(N)
    angle = np.deg2rad(np.asarray(degrees, dtype=float))[..., None]
    if tool == "nyusim":
        return np.exp(-1j * np.pi * n * np.cos(angle))
    return np.exp(1j * np.pi * n * np.sin(angle))


def theirs(degrees: float, tool: str) -> float:
    """A direction of ours as the tool states it: NYUSIM's departure is 90 degrees minus our azimuth."""
    return 90 - degrees if tool == "nyusim" else degrees


def made(tool: str):
    """One user in line of sight, as the tool returns it, and the arguments that choose."""
    h = response(tool, theirs(USER, tool))
    one, paths = h[None, None], np.stack([0.25 * h, 0.75 * h], -1)[None]
    dense = np.stack([0.5 * one, 0.5 * one], -1).reshape(1, N, 1, 2)
    values = {
        "sionna": h[None, None, None, None, :, None, None].astype(np.complex64),
        "deepmimo": SimpleNamespace(channel=one[..., None].astype(np.complex64)),
        "quadriga": SimpleNamespace(coeff_re=[paths.real], coeff_im=[paths.imag]),
        "matlab5g": np.broadcast_to(one, (12, 1, 1, N)).copy(),
        "phased": h[:, None],
        "nyusim": h[None],
        "hermes": SimpleNamespace(dense_state=lambda: dense),
    }
    return values[tool], {"subcarrier": 5} if tool == "matlab5g" else {}


def peaks(power: np.ndarray, near: float) -> float:
    """Where the pattern is highest within 4 degrees."""
    window = np.abs(GRID - near) <= 4
    return float(GRID[window][power[window].argmax()])


@pytest.mark.parametrize("tool", TOOLS)
def test_beams_go_where_the_tool_has_the_user_and_the_targets(tool):
    value, options = made(tool)
    found = getattr(bf, f"from_{tool}")(value, **options)
    assert found.H.shape == (1, 1, N) and f"--from {tool}" in found.told
    radar = bf.solve_covariance(found.array, list(TARGETS))
    d = bf.design(bf.make_scenario(found.H, radar, snr_db=12, chains=4, weight=0.03), "fast")
    rows = response(tool, [theirs(angle, tool) for angle in GRID])
    designed = np.square(np.abs(rows @ d.X[0].numpy())).sum(-1)
    sensed = np.einsum("tn,nm,tm->t", rows, radar.Psi.numpy(), rows.conj()).real
    assert abs(peaks(designed, USER) - USER) <= 0.5
    assert designed[np.abs(GRID - USER).argmin()] > 5 * designed[np.abs(GRID + USER).argmin()]
    mean = sensed.mean()
    for target in TARGETS:
        assert abs(peaks(sensed, target) - target) <= 0.5
        assert sensed[np.abs(GRID - target).argmin()] > 3 * mean > 3 * sensed[np.abs(GRID + target).argmin()]
    shown = d.beampattern(torch.from_numpy(np.deg2rad(GRID)))[0].numpy()
    assert np.allclose(shown / shown.max(), designed / designed.max(), rtol=1e-9)


def test_what_is_designed_is_ready_to_multiply_in_the_tool():
    """R of the design is that of the tool's own y = H x, with F's rows in its order of antennas."""
    generator = np.random.default_rng(3)
    h = generator.standard_normal((6, 4, 1, 1, N, 1, 1)) + 1j * generator.standard_normal(
        (6, 4, 1, 1, N, 1, 1)
    )
    found = bf.from_sionna(torch.tensor(h, requires_grad=True))
    d = bf.design(bf.make_scenario(found.H, bf.solve_covariance(found.array, [-50, 20]), snr_db=12), "fast")
    y = np.abs(h[:, :, 0, 0, :, 0, 0] @ (d.F @ d.W).numpy()) ** 2
    signal = np.diagonal(y, axis1=1, axis2=2)
    R = np.log2(1 + signal / (1 + y.sum(-1) - signal)).sum(-1)
    assert np.allclose(R, d.rate, rtol=1e-12)


def test_sionna_files(tmp_path, run):  # noqa: F811
    """cfr of 12 users, 2 receive antennas, 8 subcarriers: a file, an import of it, and a design of both."""
    generator = np.random.default_rng(4)
    h = (
        generator.standard_normal((12, 2, 1, N, 1, 8)) + 1j * generator.standard_normal((12, 2, 1, N, 1, 8))
    ).astype(np.complex64)
    np.save(tmp_path / "cfr.npy", h)
    options = ("--users", 4, "--receive", "first", "--subcarrier", 3, "--targets-deg", -50, 20)
    code, out, err = run("design", "cfr.npy", "--from", "sionna", *options, "-o", "d.npz", "--json")
    assert code == 0, err
    told = json.loads(out)["understood"]
    assert told.startswith("array of cfr.npy: 3 channels × 4 users × 32 antennas, complex")
    for words in (
        "subcarriers 3 of 8",
        "the first of 2 receive antennas",
        "12 users in groups of 4, by order",
    ):
        assert words in told
    assert f"note: {told}" in err
    held = np.load("d.npz")
    assert str(held["understood"]) == told
    assert np.allclose(held["positions"][:, 1], -0.5 * np.arange(N))
    assert run("verify", "d.npz", "--scenario", "d.npz")[0] == 0
    converting = ("--users", 4, "--receive", "first", "--subcarrier", 3)
    assert run("import", "sionna", "cfr.npy", *converting, "-o", "c.mat")[0] == 0
    assert torch.equal(
        bf.read_channels("c.mat"), torch.from_numpy(h[:, 0, 0, :, 0, 3].reshape(3, 4, N).astype(complex))
    )
    assert run("design", "c.mat", "--targets-deg", -50, 20, "-o", "e.npz")[0] == 0
    for name in ("F", "W", "rate", "Psi", "positions"):
        assert np.array_equal(held[name], np.load("e.npz")[name]), name
    for wrong, words in (
        (("--from", "sionna", "--subcarrier", 0), "users of 2 receive antennas"),
        (("--from", "sionna", "--receive", "first", "--users", 4), "8 subcarriers"),
        (("--from", "deepmimo"), "--from deepmimo expects (users, receive"),
        ((), "--from sionna"),
    ):
        code, _, err = run("design", "cfr.npy", *wrong, "-o", "no.npz")
        assert code == 2 and words in err, err


def test_a_planar_array_of_sionna_has_its_order():
    """Columns one after another, each from the top down, and the sign of its rows."""
    columns, rows = 4, 3
    j, i = np.divmod(np.arange(columns * rows), rows)
    az, el = np.deg2rad(30), np.deg2rad(-10)
    r = np.array([np.cos(az) * np.cos(el), np.sin(az) * np.cos(el), np.sin(el)])
    p = np.stack([0 * j, j / 2, -i / 2], -1)
    h = np.exp(2j * np.pi * p @ r)
    found = bf.from_sionna(h[None, None, None, :, None, None], array=f"planar:{columns}x{rows}")
    a = found.array.steering(torch.tensor([[az, el]], dtype=torch.float64))
    assert abs(abs(complex((found.H[0, 0] @ a[0]).item())) - np.sqrt(columns * rows)) < 1e-12
    given = bf.from_deepmimo(h[None, None, :, None], array=bf.Array(p))
    assert found.array.same_as(given.array)
    with pytest.raises(bf.InputError, match="order of elements in a planar array of deepmimo is not known"):
        bf.from_deepmimo(h[None, None, :, None], array="planar:4x3")
    with pytest.raises(bf.InputError, match="has 6 antennas, the channels have 12"):
        bf.from_sionna(h[None, None, None, :, None, None], array="planar:3x2")


def test_quadriga_files(tmp_path):
    """HDF5 of quadriga-lib: a group for each link, axes (paths, tx, rx) on the disk, single precision."""
    generator = np.random.default_rng(5)
    links = [
        generator.standard_normal((2, N, 5)) + 1j * generator.standard_normal((2, N, 5)) for _ in range(11)
    ]
    path = tmp_path / "q.hdf5"
    with h5py.File(path, "w") as file:
        for n, coeff in enumerate(links, 1):
            group = file.create_group(f"channel_{n}")
            group["coeff_re"], group["coeff_im"] = coeff.T.real.astype("f4"), coeff.T.imag.astype("f4")
            group["delay"] = np.full((5, 1, 1), 1e-7, "f4")
    found = read_set(path, ScenarioSpec(from_="quadriga", receive="first"))
    right = np.stack([c.astype(np.complex64).sum(-1)[0] for c in links])
    assert np.allclose(found.H[0].numpy(), right, atol=1e-5)
    assert "11 links as users, sum over the paths" in found.told
    with pytest.raises(bf.InputError, match="--from quadriga sums those"):
        read_set(path, ScenarioSpec())
    fr = np.stack([c[:1].sum(-1) for c in links], -1)[:, :, None]
    scipy.io.savemat(str(tmp_path / "fr.mat"), {"fr": fr})
    found = read_set(tmp_path / "fr.mat", ScenarioSpec(from_="quadriga"))
    assert found.H.shape == (11, 1, N) and np.allclose(found.H[:, 0].numpy(), fr[0, :, 0].T)
    again = bf.from_quadriga(
        [SimpleNamespace(coeff_re=c.real, coeff_im=c.imag) for c in links], receive="first"
    )
    assert np.allclose(again.H[0], [c.sum(-1)[0] for c in links])


def test_nyusim_files(tmp_path):
    struct = {
        f"CIR_MIMO_{i}": {"H_ensemble": np.full((2, N), i + 1j), "delays": np.ones((1, 3))}
        for i in range(1, 12)
    }
    scipy.io.savemat(str(tmp_path / "n.mat"), {"CIR_MIMO_Struct": struct})
    found = read_set(tmp_path / "n.mat", ScenarioSpec(from_="nyusim", receive="first"))
    assert found.H[0, :, 0].real.tolist() == list(range(1, 12))
    assert "azimuth is 90 - AOD degrees" in found.told
    assert found.array.same_as(bf.line_array(N))


def test_matlab_and_hermes_arrays(tmp_path):
    generator = np.random.default_rng(6)
    hest = generator.standard_normal((12, 14, 2, N)) + 1j
    scipy.io.savemat(str(tmp_path / "h.mat"), {"hest": hest})
    spec = ScenarioSpec(from_="matlab5g", subcarrier="7", index="symbols=3", receive="first")
    found = read_set(tmp_path / "h.mat", spec)
    assert np.array_equal(found.H[0, 0], hest[7, 3, 0])
    every = bf.from_matlab5g([hest, 2 * hest], subcarrier=7, index="symbols=all", receive="first")
    assert np.array_equal(every.H, np.stack([hest[7, :, 0], 2 * hest[7, :, 0]], 1))
    matrices = [generator.standard_normal((N, 1)) + 0j for _ in range(3)]
    assert np.array_equal(bf.from_phased(matrices).H[0], np.stack(matrices)[:, :, 0])
    state = generator.standard_normal((1, N, 4, 3)) + 0j
    assert np.allclose(bf.from_hermes([state, state], index="symbols=1").H[0, 0], state[0, :, 1].sum(-1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bf.from_sionna(1j * np.ones((2, 4, 16))),
            r"axes \(2, 4, 16\), --from sionna expects \(channels, users",
        ),
        (lambda: bf.from_sionna("cfr.npy"), "expected an array of channels, got a str"),
        (
            lambda: bf.from_sionna(1j * np.ones((1, 1, 2, 16, 1, 1))),
            "'tx' is 2 long; choose one with --index tx=i",
        ),
        (
            lambda: bf.from_deepmimo(SimpleNamespace(power=1)),
            "a SimpleNamespace has neither channel nor channels",
        ),
        (lambda: bf.from_hermes(SimpleNamespace(a=1)), "a SimpleNamespace has neither state"),
        (lambda: bf.from_phased([np.ones((16, 1)), np.ones((8, 1))]), "different axes"),
        (lambda: bf.from_nyusim(np.array([["a", "b"]])), "expected an array of numbers"),
        (
            lambda: bf.from_sionna(np.ones((1, 1, 1, 16, 1, 1)), antennas_up=3),
            "takes the options of read_channels",
        ),
    ],
)
def test_what_is_no_array_of_the_tool_is_refused(call, message):
    with pytest.raises(bf.InputError, match=message):
        call()


def test_arrays_of_other_libraries():
    """DLPack, gradients, any order of bytes: from_sionna, make_scenario and write_channels take them."""

    class Foreign:
        def __init__(self, value):
            self.value = value
            self.shape = value.shape

        def __dlpack__(self, **options):
            return self.value.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.value.__dlpack_device__()

    H = bf.saleh_valenzuela(8, 2, 3, seed=1)
    forms = [
        H.numpy().astype(">c16"),
        H.clone().requires_grad_(),
        Foreign(H),
        H.numpy(),
        H.conj().resolve_conj().conj(),
    ]
    expected = bf.make_scenario(H, bf.solve_covariance(8), snr_db=6)
    for form in forms:
        s = bf.make_scenario(form, bf.solve_covariance(8), snr_db=6)
        assert torch.equal(s.H, H) and torch.equal(bf.phased_zf(s).W, bf.phased_zf(expected).W)
        wide = form[:, :, None, None, :, None, None] if not isinstance(form, Foreign) else form
        if not isinstance(form, Foreign):
            assert torch.equal(bf.from_sionna(wide).H, H)


@pytest.mark.parametrize("form", ["big", "grad", "str"])
def test_files_are_written_from_any_array(tmp_path, form):
    H = bf.saleh_valenzuela(8, 2, 3, seed=1)
    given = {"big": H.numpy().astype(">c16"), "grad": H.clone().requires_grad_(), "str": H}[form]
    bf.write_channels(str(tmp_path / "c.npz"), given)
    assert torch.equal(bf.read_channels(str(tmp_path / "c.npz")), H)
    assert str(np.load(tmp_path / "c.npz")["axes"]) == "channels,users,antennas"


def test_the_page_on_conventions_runs_as_it_stands(run, capsys):  # noqa: F811
    """Its Python prints what it says, its commands run on arrays of the tools, its table lists every tool."""
    page = (ROOT / "docs" / "explanations" / "conventions.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "conventions.md", "exec"), {})
    said = capsys.readouterr().out
    assert "2 channels × 4 users × 32 antennas" in said and "(2, 32, 4)" in said and "('channel',)" in said
    generator = np.random.default_rng(7)
    h = generator.standard_normal((8, 2, 1, 16, 1, 3)) + 1j
    np.save("cfr.npy", h[:, :1])
    scipy.io.savemat("channels.mat", {"channel": h[:, :, 0, :, 0]})
    (block,) = re.findall(r"```console\n(beamfold design cfr.*?)```", page, re.DOTALL)
    for line in block.splitlines():
        code, _, err = run(*shlex.split(line)[1:])
        assert code == 0, err
    assert all(f"| `{tool}` |" in page for tool in TOOLS)
    assert all(f"`{name}`" in page for name in (*KNOWN, RI, *SUMMED, DROPPED))


def test_the_street_canyon_of_sionna_rt_is_seen_from_the_right_side():
    """24 users in Sionna RT's own scene (tools/street_canyon.py): each row points where its user stands."""
    with np.load(ROOT / "tests" / "data" / "street-canyon.npz") as held:
        h, seen, clear = held["h"], held["seen_deg"], held["clear"]
    with pytest.raises(bf.InputError, match="24 users and 16 antennas"):
        bf.from_sionna(h)
    found = bf.from_sionna(h, users=4)
    assert found.H.shape == (6, 4, 16) and "--normalise set makes the mean 16" in found.told
    grid = torch.from_numpy(np.deg2rad(np.arange(-90, 90.01, 0.1)))
    gain = (found.H.reshape(-1, 16) @ found.array.steering(grid).mT).abs()
    peak = np.rad2deg(grid[gain.argmax(-1)].numpy())
    assert np.median(np.abs(peak - seen)[clear]) < 0.5
    aside = clear & (np.abs(seen) > 10)
    assert aside.sum() >= 4 and np.abs(peak - seen)[aside].max() < 2
    even = bf.from_sionna(h, users=4, normalise="user")
    for target in TARGETS:
        radar = bf.solve_covariance(even.array, list(TARGETS))
        d = bf.design(bf.make_scenario(even.H, radar, snr_db=12), "fast")
        level = d.beampattern(torch.deg2rad(torch.tensor([target, -target], dtype=torch.float64))).mean(0)
        assert float(level[0]) > 3 * float(level[1])


def test_a_file_of_another_tool_is_told_what_is_missing(tmp_path):
    np.savez(tmp_path / "c.npz", H=np.ones((3, 4, 5, 6)) * 1j, x=1)
    for tool, words in (
        ("nyusim", "or structures with H_ensemble"),
        ("phased", r"expects \(antennas, receive\)"),
    ):
        with pytest.raises(bf.InputError, match=words):
            read_set(tmp_path / "c.npz", ScenarioSpec(from_=tool))
    with h5py.File(tmp_path / "q.h5", "w") as file:
        file["channel_1/coeff_re"] = np.ones((5, 8, 2))
    with pytest.raises(bf.InputError, match=r"is real; --from quadriga expects .* or coeff_re and coeff_im"):
        read_set(tmp_path / "q.h5", ScenarioSpec(from_="quadriga", variable="channel_1.coeff_re"))
