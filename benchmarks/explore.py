"""Updates per second that the explorer draws while ω is dragged, in headless Chromium.

    python benchmarks/explore.py [channels.mat] [--seconds 10] [--option=--network --option=subarrays]

The explorer runs as a process of its own, as a user starts it. A pointer takes hold of the slider of ω and
moves to and fro over it, a step for every frame, as a hand would. Counted are the answers that the page has
drawn, in whole seconds: the median, the least and the most. Beside them stand the milliseconds of one
question on this machine, from the page's fetch to its answer, and of its design.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from browser import Page, browser

ROOT = Path(__file__).resolve().parents[1]

SETTLED = "document.documentElement.dataset.settled === 'true'"
TIMED = """(async () => {
  const taken = [];
  for (let i = 0; i < 100; i++) {
    const begin = performance.now();
    await source.design({ ...state, weight: 0.1 + 0.003 * i }, ++run.sent);
    taken.push(performance.now() - begin);
  }
  window.taken = taken;
})()"""


def until(page: Page, code: str, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not page.run(code):
        assert time.monotonic() < end, page.run("document.getElementById('state').textContent")
        time.sleep(0.01)


def dragged(page: Page, seconds: float) -> list[int]:
    """Drawn updates in each whole second of a drag."""
    sides = ("left", "top", "width", "height")
    box = "document.querySelector('input[name=weight]').getBoundingClientRect()"
    left, top, width, height = (page.run(f"{box}.{side}") for side in sides)
    y = top + height / 2
    place = float(page.run("Number(sliders.weight.input.value) / Number(sliders.weight.input.max)"))
    page.mouse("mousePressed", left + place * width, y)
    begin, counts = time.monotonic(), []
    before = int(page.run("run.drawn"))
    while (now := time.monotonic() - begin) < seconds:
        across = 0.5 + 0.4 * np.sin(2 * np.pi * now / 4)
        page.mouse("mouseMoved", left + across * width, y, button="left", buttons=1)
        if now >= len(counts) + 1:
            drawn = int(page.run("run.drawn"))
            counts.append(drawn - before)
            before = drawn
        time.sleep(max(0.0, 1 / 60 - (time.monotonic() - begin - now)))
    page.mouse("mouseReleased", left + width / 2, y)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("channels", nargs="?", type=Path, default=ROOT / "examples" / "channels.mat")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--option", action="append", default=[], help="Of `beamfold explore`; repeat.")
    given = parser.parse_args()
    command = [
        sys.executable,
        "-m",
        "beamfold",
        "explore",
        str(given.channels),
        "--no-browser",
        "--port",
        "0",
    ]
    server = subprocess.Popen([*command, *given.option], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    address = next(line.split()[-1] for line in server.stderr if "http://" in line)
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    try:
        with folder, browser(Path(folder.name)) as page:
            page.open(address)
            until(page, SETTLED)
            until(page, "run.curve !== undefined")
            counts = dragged(page, given.seconds + 1)[1:]
            until(page, SETTLED)
            page.run(TIMED)
            until(page, "window.taken !== undefined")
            taken = np.array(page.run("window.taken"))
            work = page.run("run.answer.seconds") * 1e3
            print(
                f"drawn updates per second while ω is dragged: median {np.median(counts):.0f}, least "
                f"{min(counts)}, most {max(counts)} of {len(counts)} s"
            )
            median, late = np.percentile(taken, [50, 95])
            print(f"one question: median {median:.1f} ms, 95 % below {late:.1f} ms; its design {work:.1f} ms")
            print(f"errors in the page: {page.errors or 'none'}")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
