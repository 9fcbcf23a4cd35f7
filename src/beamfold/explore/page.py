"""The page: its skeleton, its programs, and what they are told of the file."""

from __future__ import annotations

from typing import Any

import beamfold
from beamfold.explore.controls import chain_numbers, controls
from beamfold.explore.designs import Designs
from beamfold.explore.state import State
from beamfold.pages import document

STYLES = ("charts.css", "explore/explore.css")
SCRIPTS = (
    "charts.js",
    "explore/pictures.js",
    "explore/controls.js",
    "explore/targets.js",
    "explore/source.js",
    "explore/explore.js",
    "explore/view.js",
    "explore/start.js",
)
ALONE = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
"""The policy of a page without a server: it can load nothing and ask nobody."""
BODY = """
<header><div><h1>Beamfold explorer</h1><p id="about"></p></div>
<p id="state" role="status">starting</p></header>
<p id="trouble" role="alert" hidden></p>
<main>
<dl id="figures"></dl>
<figure id="pattern"><figcaption>Beampattern <span id="wanted"></span></figcaption></figure>
<form id="controls" aria-label="What is designed for"></form>
<div id="rest">
<figure id="front"><figcaption>R against sensing: this channel's designs over ω</figcaption></figure>
<div><figure id="users"><figcaption>Rate of each user [bit/s/Hz]</figcaption><div class="bars"></div></figure>
<figure id="phases"><figcaption>Phases of the analog precoder F</figcaption></figure></div>
<figure id="map" hidden><figcaption></figcaption></figure>
</div>
</main>
<footer><div><button type="button" id="show">Python and command</button>
<button type="button" id="save">Save this design</button> <span id="saved" role="status"></span></div>
<div id="recipe" hidden><h2>This very design in Python</h2><pre></pre>
<h2>and on the command line</h2><pre></pre></div>
<p id="help"></p></footer>
"""


def facts_of(held: Designs, start: State) -> dict[str, Any]:
    """What the programs of the page are told of a file, whoever asks for the page."""
    first, view = held.channels.first, held.base(start).view
    return {
        "told": first.told,
        "line": view.line,
        "band": None if first.band is None else (first.band.frequencies / 1e9).tolist(),
        "drawn": view.drawn,
        "version": beamfold.__version__,
        "state": start.model_dump(),
        "controls": [each._asdict() for each in controls(held, start)],
        "chains": {} if start.network is None else chain_numbers(held, start),
    }


def page_of(facts: dict[str, Any], *, nonce: str = "", policy: str = "") -> str:
    """The page for `facts_of` and what else its programs are told.

    Args:
        facts: see above, with `live` and what goes with it.
        nonce: of a page that a server sends.
        policy: of a page without one.
    """
    return document(
        "Beamfold explorer", BODY, facts, styles=STYLES, scripts=SCRIPTS, policy=policy, nonce=nonce
    )
