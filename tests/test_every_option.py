"""Every command with every option that it lists, one at a time: it runs, or it refuses in one line.

The list is made from the commands' signatures, so that a new option is in it. A refusal has exit code 2, one
line on standard error beside notes, nothing on standard output, and has written nothing.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from beamfold.cli import app, main
from beamfold.files.directions import Angle

SWEEP = """
methods = ["phased-zf"]
antennas = [8]
users = [2]
count = 2
snr_db = [6.0]
"""
SMALL = ["--antennas", "8", "--users", "2"]
BASE: dict[str, list[str]] = {
    "generate": ["-o", "out.npz", *SMALL, "--count", "2"],
    "covariance": ["-o", "out.npz", "--antennas", "8"],
    "import": ["file", "c.npz", "-o", "out.npz"],
    "inspect": ["c.npz"],
    "methods": [],
    "design": ["c.npz", "-o", "out.npz"],
    "compare": ["c.npz", "-o", "out"],
    "explore": ["c.npz", "-o", "out.html", "--weights", "0.3", "--snr-db", "6"],
    "sense": ["d.npz", "-o", "out.nc"],
    "detect": ["d.npz", "--trials", "2"],
    "front": ["c.npz", "-o", "out.nc", "--quick", "--points", "2", "--method", "fast"],
    "network": ["c.npz", "-o", "out.nc", "--over-chains", "2", "--over-bits", "2", "--method", "phased-zf"],
    "squint": [
        *("-o", "out.nc", *SMALL, "--count", "1", "--subcarriers", "2", "--method", "phased-zf"),
        *("--over-bandwidth-ghz", "1", "--over-chains", "2"),
    ],
    "train": [
        "-o",
        "out.safetensors",
        *SMALL,
        "--inner",
        "1",
        "--layers",
        "2",
        "--count",
        "4",
        "--epochs",
        "1",
    ],
    "info": ["m.safetensors"],
    "import-steps": ["missing.pth", "-o", "out.safetensors"],
    "reproduce": ["table1", "-o", "out", "--quick", "--count", "2"],
    "export": ["c.npz", "out.npz"],
    "sweep": ["s.toml", "-o", "out"],
    "report": ["results", "-o", "out.html"],
    "bench": ["--method", "phased-zf", "--count", "2", *SMALL],
    "verify": ["d.npz", "c.npz"],
}
"""Arguments with which each command runs, or refuses in one line, within a second or two."""
SAMPLES: dict[Any, str] = {int: "1", float: "0.5", str: "word", Path: "missing.npz", Angle: "20/-10"}
SPECIAL = {("sweep", "--scheduler"): "tcp://127.0.0.1:9", ("sweep", "--workers"): "-1"}
"""Values that end at once where a usual one would start a cluster."""


def options() -> list[tuple[str, str, str | None]]:
    """(command, option, value or None for a switch) of everything that --help lists."""
    found: list[tuple[str, str, str | None]] = []
    for registered in app.registered_commands:
        function = registered.callback
        assert function is not None
        name = registered.name or function.__name__.replace("_", "-")
        hints = get_type_hints(function, include_extras=True)
        for parameter in inspect.signature(function).parameters:
            hint = hints[parameter]
            about = next(
                (m for m in getattr(hint, "__metadata__", ()) if type(m).__name__ == "OptionInfo"), None
            )
            if about is None and getattr(hint, "__metadata__", ()):
                continue  # a positional argument
            words = [getattr(about, "default", None), *(getattr(about, "param_decls", None) or ())]
            spelled = [word for word in words if isinstance(word, str) and word.startswith("--")]
            option = spelled[0] if spelled else "--" + parameter.replace("_", "-")
            kinds = {get_type_hints(function)[parameter], *get_args(get_type_hints(function)[parameter])}
            kinds |= {part for kind in list(kinds) for part in get_args(kind)}
            kind = next((k for k in (bool, int, float, Path, Angle, str) if k in kinds), None)
            assert kind is not None, (name, parameter, kinds)
            value = None if kind is bool else SPECIAL.get((name, option), SAMPLES.get(kind))
            value = "scenario.toml" if option == "--scenario" else value
            found.append((name, option, value))
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Channels, a design, a model and a dataset that the commands read."""
    import beamfold as bf
    from beamfold.testing import small

    folder = tmp_path_factory.mktemp("files")
    s = small(8, 2, count=2)
    bf.write_channels(folder / "c.npz", s.H)
    bf.write_design(folder / "d.npz", bf.phased_zf(s))
    bf.save_model(folder / "m.safetensors", bf.UnfoldedPGA(bf.ModelInfo(8, 2, 2, 1 / 8), layers=2, inner=1))
    (folder / "s.toml").write_text(SWEEP)
    (folder / "scenario.toml").write_text('channels = "c.npz"\nweight = 0.1\nwidth_deg = 10\n')
    return folder


@pytest.mark.parametrize(("command", "option", "value"), options())
def test_it_runs_or_refuses_in_one_line(command, option, value, files, tmp_path, monkeypatch, capsys):
    for file in files.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    base = BASE[command]
    given = (
        []
        if option in base or (option == "--output" and "-o" in base)
        else [option, *([value] if value else [])]
    )
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(sys, "argv", ["beamfold", command, *base, *given])
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    if code == 0:
        return
    assert code == 2, err
    lines = [line for line in err.splitlines() if not line.startswith(("note: ", "no shipped model"))]
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_every_command_has_its_arguments_here():
    assert {command for command, _, _ in options()} <= set(BASE)
    assert len(options()) > 100
    takes = {command for command, option, _ in options() if option == "--scenario"}
    assert takes == {
        "generate",
        "covariance",
        "design",
        "compare",
        "explore",
        "front",
        "import",
        "network",
        "squint",
        "train",
        "bench",
        "verify",
    }
