"""The explorer without a browser: its answers are those of `bf.design`, its server answers nobody else."""

import base64
import http.client
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import beamfold as bf
from beamfold.cli import app, main, spread
from beamfold.explore.controls import controls, start_of
from beamfold.explore.designs import Designs
from beamfold.explore.live import Live, serve
from beamfold.explore.offline import offline_page
from beamfold.explore.recipe import recipe
from beamfold.explore.server import LARGEST, Latest
from beamfold.explore.state import state_of
from beamfold.files.arrays import read_arrays
from beamfold.files.channel_set import open_set
from beamfold.files.entries import ScenarioSpec
from beamfold.measures import measure_named

EVERY = {
    "flat": ({}, {}),
    "hardware": ({}, {"network": "subarrays", "chains": 8, "channel": 2, "targets_deg": (-31.0, 12.5)}),
    "bits": ({"width_deg": 8.0}, {"bits": 2, "snr_db": -3.0, "weight": 0.0123}),
    "planar": ({"array": "planar:4x4"}, {"targets_deg": ((20.0, -10.0),), "chains": 3}),
    "band": ({"common": True}, {"channel": 1, "targets_deg": (-40.0,)}),
    "several": ({"streams": 2}, {"channel": 1, "targets_deg": (10.0,)}),
    "scnr": ({}, {"sensing": "scnr", "target_snr_db": -20.0, "weight": 1.5}),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three channels of a line, of a planar array, of a band, and of users of 2 antennas; N = 16, K = 2."""
    folder = tmp_path_factory.mktemp("channels")
    runner, made = CliRunner(), {"planar": ["--array", "planar:4x4"], "band": ["--subcarriers", "4"]}
    made["several"] = ["--receive", "2"]
    for name in ("line", *made):
        words = ["generate", "-o", str(folder / f"{name}.npz"), "--count", "3", "--users", "2"]
        words += [*made.get(name, []), *([] if name == "planar" else ["--antennas", "16"])]
        assert runner.invoke(app, words).exit_code == 0
    return folder


def held_of(files, kind="flat"):
    stated, changed = EVERY[kind]
    name = kind if kind in ("planar", "band", "several") else "line"
    spec = ScenarioSpec(channels=files / f"{name}.npz", **stated)
    held = Designs(spec, open_set(spec))
    start = start_of(spec, held.columns)
    return held, start.model_copy(update=changed)


@pytest.mark.parametrize("kind", EVERY)
def test_the_lines_of_python_and_the_command_make_the_very_design(files, kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    held, state = held_of(files, kind)
    found, text = held.answer(state), recipe(held, state)
    assert len(text["python"].splitlines()) <= 6
    names: dict = {}
    exec(text["python"], names)
    d = names["d"]
    shown = [float(part) for part in capsys.readouterr().out.split()]
    assert shown == [found["rate"], found["tau"]] == [float(d.rate), float(d.tau)]
    ours = held.design(state)
    assert torch.equal(ours.F, d.F) and torch.equal(ours.W, d.W)
    words = shlex.split(text["command"])[1:]
    monkeypatch.setattr("sys.argv", ["beamfold", *words])
    assert CliRunner().invoke(app, spread(words)).exit_code == 0
    written = read_arrays(tmp_path / "design.mat")
    assert (written["F"] == ours.F.numpy()).all() and (written["W"] == ours.W.numpy()).all()
    assert written["rate"] == found["rate"] and written["tau"] == found["tau"]


def decibels(text):
    return np.frombuffer(base64.b64decode(text), "<i2") / 100


def test_an_answer_holds_the_pattern_the_phases_and_the_users_of_the_design(files):
    held, state = held_of(files, "hardware")
    found, d = held.answer(state), held.design(state)
    angles = bf.angle_grid(721)
    expected = 10 * torch.log10(d.beampattern(angles)[0])
    assert np.abs(decibels(found["pattern"]) - expected.clamp(-60, 60).numpy()).max() <= 0.0051
    assert sum(found["users"]) == pytest.approx(found["rate"], rel=1e-12)
    rcrb = float(measure_named("rcrb").function(d))
    assert max(found["rcrb_deg"]) == pytest.approx(rcrb, rel=1e-9)
    byte = np.frombuffer(base64.b64decode(found["phases"]["values"]), np.uint8).reshape(8, 16).T
    F = d.F[0].numpy()
    assert ((byte == 0) == (F == 0)).all()
    turned = np.exp(1j * ((byte.astype(float) - 1) / 254 * 2 * np.pi - np.pi))
    assert np.abs(turned - F)[F != 0].max() <= np.pi / 254 * 1.001


def test_a_front_is_that_of_the_designs_at_its_weights(files):
    held, state = held_of(files)
    held.answer(state)
    front = held.front(state)
    middle = len(front["weight"]) // 2
    at = held.answer(state.model_copy(update={"weight": front["weight"][middle]}))
    assert front["rate"][middle] == pytest.approx(at["rate"], rel=1e-9)
    assert front["across"][middle] == pytest.approx(at["tau"], rel=1e-9)
    assert front["prepared"] > 0


def test_every_value_of_a_control_is_a_design_or_is_refused_in_one_line(files):
    held, state = held_of(files)
    for control in controls(held, state):
        for value in [*control.values[:: max(1, len(control.values) // 4)], *control.values[-1:]]:
            if control.name == "sensing" and value != "tau":
                continue  # a second each; `scnr` is above
            raw = json.loads(state.model_copy(update={control.name: value}).model_dump_json())
            try:
                assert held.answer(state_of(raw, 3))["rate"] > 0
            except bf.InputError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize(
    "part",
    [
        {"channel": 3}, {"channel": -1}, {"channel": 0.5}, {"snr_db": float("nan")}, {"snr_db": "12"},
        {"weight": -1.0}, {"targets_deg": []}, {"targets_deg": [91.0]}, {"targets_deg": [0.0] * 9},
        {"network": "/etc/passwd"}, {"network": "mask.npz"}, {"sensing": "rcrb"}, {"chains": 0}, {"psi": "a"},
        {"channels": "/etc/passwd"},
    ],
)  # fmt: skip
def test_a_state_out_of_range_or_with_a_path_is_refused(files, part):
    _, state = held_of(files)
    with pytest.raises(bf.InputError):
        state_of(json.loads(state.model_dump_json()) | part, 3)


@pytest.fixture(scope="module")
def served(files, tmp_path_factory):
    held, state = held_of(files)
    live = Live(held, tmp_path_factory.mktemp("saved"))
    server = serve(live, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    live._ready.wait(300)
    yield server, live, state
    server.shutdown()
    server.server_close()


def asked(server, path="/design", body=None, method="POST", **headers):
    """Status and text of a request with the headers of the page, or with others."""
    port = server.server_address[1]
    usual = {"Host": f"127.0.0.1:{port}", "Origin": f"http://127.0.0.1:{port}", "X-Beamfold-Key": server.key}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    usual |= {"Content-Length": str(len(data))} if method == "POST" else {}
    sent = {name: value for name, value in (usual | headers).items() if value is not None}
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    link.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in sent.items():
        link.putheader(name, value)
    link.endheaders(data if method == "POST" else None)
    answer = link.getresponse()
    text = answer.read().decode()
    link.close()
    return answer.status, text


def question(state, number=1, page="a"):
    return {"page": page, "number": number, "state": json.loads(state.model_dump_json())}


def test_the_page_and_its_questions_are_answered_to_the_page_alone(served):
    server, _, state = served
    body = question(state)
    assert asked(server, body=body)[0] == 200
    port = server.server_address[1]
    for headers in (
        {"Host": "evil.example"}, {"Host": None}, {"Host": "127.0.0.1"}, {"Host": f"evil.example:{port}"},
        {"Origin": "http://evil.example"}, {"Origin": None}, {"Origin": "null"},
        {"Origin": f"https://127.0.0.1:{port}"}, {"X-Beamfold-Key": None}, {"X-Beamfold-Key": "a"},
        {"X-Beamfold-Key": "ü"},
    ):  # fmt: skip
        status, text = asked(server, body=body, **headers)
        assert status == 403 and "rate" not in text, headers
    for path, headers in (("/", {}), ("/?key=a", {}), (f"/?key={server.key}", {"Host": "evil.example"})):
        status, text = asked(server, path, method="GET", **headers)
        assert status == 403 and server.key not in text
    status, text = asked(server, f"/?key={server.key}", method="GET", Origin=None)
    assert status == 200 and server.key in text
    assert not re.search(r'(src|href)="(?!#)|url\((?!#)|@import|https?://(?!www\.w3\.org/2000/svg)', text)


def test_questions_that_are_none_are_refused(served):
    server, _, state = served
    body = question(state)
    assert asked(server, "/../../etc/passwd", body=body)[0] == 404
    assert asked(server, "/src/beamfold", method="GET")[0] == 404
    assert asked(server, body=b"{")[0] == 400
    assert asked(server, body=[1])[0] == 400
    assert asked(server, body=b"[" * 5000)[0] == 400
    assert asked(server, body=body | {"state": {}})[0] == 422
    assert asked(server, body=b"", **{"Content-Length": str(LARGEST + 1)})[0] == 413
    assert asked(server, body=b"", **{"Content-Length": None})[0] == 411
    assert asked(server, body=b"", **{"Content-Length": "-1"})[0] == 411
    near = question(state.model_copy(update={"targets_deg": (0.0, 1.0)}))
    status, text = asked(server, body=near)
    assert status == 422 and "error" in json.loads(text)
    assert asked(server, body=body)[0] == 200


def test_a_port_in_use_is_left_to_who_has_it(served):
    server, live, _ = served
    port = server.server_address[1]
    other = serve(live, port)
    try:
        assert port < other.server_address[1] < port + 50
    finally:
        other.server_close()


def test_saved_designs_have_free_names_and_record_their_scenario(served, monkeypatch):
    server, live, state = served
    state = state.model_copy(update={"channel": 2, "weight": 0.05})
    names = [json.loads(asked(server, "/save", body=question(state, n))[1])["saved"] for n in (1, 2)]
    assert names == ["line-explored-1.mat", "line-explored-2.mat"]
    held = read_arrays(live.folder / names[0])
    ours = live.held.design(state)
    assert (held["F"] == ours.F.numpy()).all()
    s = bf.read_scenario(live.folder / names[0])
    assert s.batch == (1,) and torch.equal(s.H, ours.scenario.H)
    assert torch.equal(bf.design(s).rate, ours.rate)


@pytest.mark.parametrize("compiled", [True, False])
def test_the_command_prints_its_address_and_ends_when_it_is_stopped(files, tmp_path, compiled):
    """Also while its code is compiled in another thread, which Python can't end."""
    words = ["explore", str(files / "line.npz"), "--no-browser", "--port", "0"]
    # What a shell starts in the background, and its children, ignore Ctrl-C unless told otherwise.
    program = (
        "from signal import *; signal(SIGINT, default_int_handler); "
        "from beamfold.__main__ import program; program()"
    )
    elsewhere = {} if compiled else {"XDG_CACHE_HOME": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words], stderr=subprocess.PIPE, text=True, bufsize=1,
        env=os.environ | elsewhere,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        address = next(line for line in process.stderr if "http://127.0.0.1:" in line).split()[-1]
        place = urlsplit(address)
        link = http.client.HTTPConnection("127.0.0.1", place.port, timeout=60)
        link.request("GET", f"{place.path}?{place.query}")
        assert link.getresponse().status == 200
        link.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert "stopped" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--port", "70000"], "--port is from 0 to 65535"),
        (["--snr-db", "0", "6"], "the live page has a slider"),
        (["--weights", "0.3"], "for the table of a page"),
        (["-o", "page.txt"], "written as .html"),
        (["--targets-deg", "0", "1"], "overlap"),
        (["--sensing", "word"], "sensing"),
    ],
)
def test_bad_input_ends_before_anything_is_served(files, words, told, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["beamfold", "explore", str(files / "line.npz"), *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert told in capsys.readouterr().err


def test_of_waiting_questions_only_the_newest_is_worked_on():
    latest, begun, release = Latest(), threading.Event(), threading.Event()
    worked, answers = [], {}

    def work(number):
        worked.append(number)
        begun.set()
        if number == 1:
            assert release.wait(60)
        return {"number": number}

    def ask(number):
        answers[number] = latest.run("page", "design", number, lambda: work(number))

    threads = [threading.Thread(target=ask, args=(n,)) for n in (1, 2, 3)]
    threads[0].start()
    assert begun.wait(60)
    for thread in threads[1:]:
        thread.start()
    while latest._newest[("page", "design")] < 3:
        pass
    release.set()
    for thread in threads:
        thread.join(60)
    assert sorted(worked) == [1, 3]
    assert answers == {1: {"number": 1}, 2: {"overtaken": True}, 3: {"number": 3}}
    assert latest.run("another page", "design", 1, lambda: work(4)) == {"number": 4}


def test_the_page_of_a_table_holds_the_designs_and_loads_nothing(files):
    spec = ScenarioSpec(channels=files / "line.npz", snr_db=[0.0, 12.0], weight=0.2)
    held = Designs(spec, open_set(spec))
    shares = []
    text, told = offline_page(held, None, shares.append)
    assert shares == sorted(shares) and shares[-1] == 1
    assert "3 channels, 2 SNRs" in told
    assert not re.search(r'(src|href)="(?!#)|url\((?!#)|@import|https?://(?!www\.w3\.org/2000/svg)', text)
    table = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])["table"]
    axes = table["axes"]
    assert axes["snr_db"] == [0, 12] and 0.2 in axes["weight"] and len(axes["channel"]) == 3
    place = (2 * 2 + 1) * len(axes["weight"]) + axes["weight"].index(0.2)
    s = bf.make_scenario(
        bf.read_channels(files / "line.npz")[2:], bf.solve_covariance(16), snr_db=12, weight=0.2
    )
    assert table["answers"][place]["rate"] == float(bf.design(s).rate)
    assert Path(files / "line.npz").name in text


def test_a_channel_with_nan_is_named_by_its_place_in_the_file(tmp_path):
    H = bf.saleh_valenzuela(8, 2, 4, seed=0).numpy().copy()
    H[2, 1, 3] = np.nan
    np.savez(tmp_path / "nan.npz", H=H, axes="channels,users,antennas")
    held = open_set(ScenarioSpec(channels=tmp_path / "nan.npz"))
    assert torch.equal(held.channel(1), torch.from_numpy(H[1]))
    with pytest.raises(bf.InputError, match="channel 2 of the file holds NaN or Inf"):
        held.channel(2)
