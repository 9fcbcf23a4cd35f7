"""Headless Chromium by its debugging pipe: real pointer events on a page, without another library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MOVE = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3]]
for end, place in zip(ends, (3, 4)):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """A page in a browser. Chromium reads commands from its descriptor 3 and answers on 4."""

    def __init__(self, to: int, answers: Any) -> None:
        self.to, self.answers, self.session, self.number = to, answers, "", 0
        self.held = bytearray()  # what has come of messages that nobody has waited for yet
        self.errors: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Runtime.enable")
        self.ask("Page.enable")

    def _messages(self) -> Iterator[dict[str, Any]]:
        while True:
            while (end := self.held.find(0)) >= 0:
                message = json.loads(self.held[:end])
                del self.held[: end + 1]
                if message.get("method") == "Runtime.exceptionThrown":
                    self.errors.append(message["params"]["exceptionDetails"]["exception"]["description"])
                yield message
            piece = self.answers.read1(1 << 16)
            assert piece, "the browser went away"
            self.held += piece

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        answer = next(m for m in self._messages() if m.get("id") == self.number)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, place: Path | str, *, scheme: str = "light", width: int = 1200, height: int = 900) -> None:
        """Load a file or an address, in a colour scheme and a window's size."""
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                 mobile=width < 600)  # fmt: skip
        self.ask("Page.navigate", url=place if isinstance(place, str) else place.as_uri())
        while self.run("document.readyState") != "complete" or self.run("location.href") == "about:blank":
            pass

    def run(self, code: str) -> Any:
        """The value of an expression in the page."""
        found = self.ask("Runtime.evaluate", expression=code, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """mouseMoved, mousePressed or mouseReleased, where a user's pointer would be."""
        if kind != "mouseMoved":
            more = {"button": "left", "clickCount": 1, **more}
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A page of a browser with its profile in `folder`, which is new and empty.

    CI runs as root, for whom Chromium's sandbox does not start. The only pages opened are those of the tests.
    """
    assert CHROMIUM is not None
    (theirs, to), (answers, back) = os.pipe(), os.pipe()
    command = (CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
               "--disable-quic", "--disable-background-networking", "--disable-component-update",
               "--disable-sync", "--remote-debugging-pipe", f"--user-data-dir={folder}",
               "about:blank")  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", MOVE, str(theirs), str(back), *command],
        pass_fds=(theirs, back),
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs), os.close(back)
    try:
        with open(answers, "rb") as stream:  # noqa: PTH123
            yield Page(to, stream)
    finally:
        os.close(to)
        process.kill()
        process.wait()
