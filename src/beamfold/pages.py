"""One HTML page in one file: style, program and data are inside, so that nothing is loaded from elsewhere."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any


def document(
    title: str,
    body: str,
    data: Any,
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    policy: str = "",
    nonce: str = "",
) -> str:
    """The page.

    Args:
        title: of the window.
        body: HTML.
        data: what the programs find in the element `data`, as JSON.
        styles: names of files of this package, one after another.
        scripts: the same for programs; they share one scope.
        policy: the content security policy that the page states of itself, "" for none.
        nonce: of the style and the program, for a policy that a server states.
    """
    # "<" would let a text of the data end the element.
    plain = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    stated = f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">' if policy else ""
    once = f' nonce="{nonce}"' if nonce else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{stated}'
        f"<title>{html.escape(title)}</title><style{once}>{_joined(styles)}</style></head><body>{body}"
        f'<script type="application/json" id="data">{plain}</script>'
        f"<script{once}>{_joined(scripts)}</script></body></html>\n"
    )


def _joined(names: Sequence[str]) -> str:
    return "".join((resources.files("beamfold") / name).read_text(encoding="utf-8") for name in names)
