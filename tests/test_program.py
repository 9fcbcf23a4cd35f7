"""The process `beamfold`: its output is whole, its exit code is the command's."""

import subprocess
import sys
from pathlib import Path

import pytest

REGISTERED = """
import atexit, sys
atexit.register(print, "registered for the end")
sys.argv = ["beamfold", *{arguments}]
from beamfold.__main__ import program
{before}
program()
"""


def _run(arguments: list[str], before: str = "") -> subprocess.CompletedProcess[str]:
    code = REGISTERED.format(arguments=arguments, before=before)
    return subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    "before",
    [
        "",
        "import threading, time; threading.Thread(target=time.sleep, args=(1,)).start()",
        "sys.setprofile(lambda *_: None)",
    ],
    ids=["alone", "with a thread", "while it is profiled"],
)
@pytest.mark.parametrize(
    ("arguments", "code"), [(["methods"], 0), (["design", "missing.mat", "-o", "d.mat"], 2)]
)
def test_the_end_of_the_program(tmp_path, monkeypatch, arguments, code, before):
    monkeypatch.chdir(tmp_path)
    done = _run(arguments, before)
    assert done.returncode == code
    assert done.stdout.endswith("registered for the end\n")
    if code == 0:
        assert "unfolded" in done.stdout
    else:
        assert done.stderr == "error: no such file: missing.mat\n"


def test_output_that_cannot_be_written_is_an_error():
    """The last of the output goes out when the program ends: a full disk must not pass for success."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "beamfold", "methods"],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode != 0
    assert "No space left" in done.stderr
