"""The explorer's page without a server, made when the site is built: build/docs/extra/explorer.html."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import beamfold as bf

LEVELS = ("12", "0", "6", "18")  # the first is where the page begins
WEIGHTS = ("0.01", "0.03", "0.1", "0.2", "0.3", "0.5", "1", "2", "5", "10")


def write(app: Any) -> None:
    """One channel of 32 antennas and three users; the page is kept while the explorer's sources are older."""
    page = Path(app.srcdir).parent / "build" / "docs" / "extra" / "explorer.html"
    assert bf.__file__ is not None
    sources = Path(bf.__file__).parent / "explore"
    if page.is_file() and page.stat().st_mtime > max(file.stat().st_mtime for file in sources.iterdir()):
        return
    with TemporaryDirectory() as name:
        channels = Path(name) / "channels.npz"
        bf.write_channels(channels, bf.saleh_valenzuela(antennas=32, users=3, count=1, seed=0))
        command = ("explore", channels, "--snr-db", *LEVELS, "--weights", *WEIGHTS, "--force", "-o", page)
        subprocess.run([sys.executable, "-m", "beamfold", *command], check=True, capture_output=True)


def setup(app: Any) -> dict[str, bool]:
    """Before the files of the site are copied."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
