"""One self-contained HTML page from a folder of datasets: figures to zoom into, tables, claims, origins.

It loads nothing: style, program and data are inside, so it works from a file and offline.
"""

from __future__ import annotations

import html
import itertools
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from beamfold.experiments.store import parameters
from beamfold.figures import decibel
from beamfold.files.atomic import FileError, write
from beamfold.pages import document
from beamfold.reproduction import EXPERIMENTS, View, datasets_of
from beamfold.styles import COLOURS, START_LINES, STYLES, label

DASHES = {"-": "", "--": "6 3", "-.": "6 3 1 3", ":": "2 2"}


def panels(ds: xr.Dataset) -> Iterator[dict[str, Any]]:
    """The panels of a dataset, as plain values for the page's program."""
    for view in EXPERIMENTS[ds.attrs["experiment"]].views:
        places = ds[view.split].values.tolist() if view.split else [None]
        for place in places:
            part = ds if place is None else ds.sel({view.split: place})
            yield _panel(part, view, "" if place is None else _say(view.split, place))


def _panel(ds: xr.Dataset, view: View, place: str) -> dict[str, Any]:
    name = f"{view.variable}_mean" if f"{view.variable}_mean" in ds else view.variable
    about, axis = ds[name].attrs, ds[view.axis].attrs
    unit = "dB" if view.db else about["units"]
    along = "" if axis.get("units", "1") == "1" else f" [{axis['units']}]"
    curves = [_curve(ds, view, at, i) for i, at in enumerate(_places(ds[name], view.axis))]
    if view.variable == "pattern":
        mean = _plain(decibel(ds["benchmark"]))
        plain = {"name": "benchmark Ψ", "colour": COLOURS[3], "dash": "", "low": None, "high": None}
        curves.append({**plain, "mean": mean})
    return {
        "title": _greek(", ".join(text for text in (about["long_name"], place) if text)),
        "x": ds[view.axis].values.tolist(),
        "xlabel": _greek(axis.get("long_name", view.axis) + along),
        "ylabel": _greek(f"{about['long_name']} [{unit}]"),
        "unit": unit,
        "logx": view.logx,
        "logy": view.logy,
        "floor": view.floor,
        "curves": [c for c in curves if any(v is not None for v in c["mean"])],
    }


def _places(array: xr.DataArray, axis: str) -> list[dict[str, Any]]:
    dims = [str(d) for d in array.dims if d != axis]
    return [
        dict(zip(dims, at, strict=True))
        for at in itertools.product(*(array[d].values.tolist() for d in dims))
    ]


def _curve(ds: xr.Dataset, view: View, at: dict[str, Any], number: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in ("mean", "low", "high"):
        key = f"{view.variable}_{part}"
        values = ds[key].sel(at) if key in ds else (ds[view.variable].sel(at) if part == "mean" else None)
        found[part] = None if values is None else _plain(decibel(values) if view.db else values.values)
    style = STYLES.get(str(at.get("method")), {"color": COLOURS[number % len(COLOURS)], "ls": "-"})
    line = START_LINES.get(str(at.get("start")), style["ls"])
    told = [label(v) if k in ("method", "start") else _say(k, v) for k, v in at.items()]
    colour = "currentColor" if style["color"] == "black" else style["color"]
    return {"name": _greek(", ".join(told)), "colour": colour, "dash": DASHES[line], **found}


LETTERS = {"antennas": "N", "inner": "J"}
GREEK = {"omega": "ω", "tau": "τ", "theta": "θ", "eta": "η", "Psi": "Ψ", "alpha": "α", " - ": " − "}


def _say(axis: str, value: Any) -> str:
    """An axis and its value in the paper's letters; 1/N as such."""
    if not isinstance(value, (int, float)):
        return str(value)
    part = 0 < value < 1 and (1 / value).is_integer()
    return f"{LETTERS.get(axis, axis)} = " + (f"1/{1 / value:.0f}" if part else f"{value:.4g}")


def _greek(text: str) -> str:
    """Names of letters as letters."""
    return re.sub(r"\b(?:omega|tau|theta|eta|Psi|alpha)\b| - ", lambda found: GREEK[found[0]], text)


def _plain(values: Any) -> list[float | None]:
    return [None if not math.isfinite(v) else float(f"{v:.6g}") for v in np.asarray(values, float).tolist()]


def page(datasets: dict[str, xr.Dataset]) -> str:
    """The HTML page."""
    held: list[dict[str, Any]] = []
    parts = [_claims(datasets)]
    for name, ds in datasets.items():
        figures = []
        for panel in panels(ds):
            caption = f"<figcaption>{html.escape(panel['title'])}</figcaption>"
            figures.append(f'<figure data-panel="{len(held)}">{caption}</figure>')
            held.append(panel)
        parts.append(
            f'<h2 id="{name}">{html.escape(ds.attrs["title"])}</h2>'
            f'<div class="panels">{"".join(figures)}</div>{_origin(ds)}'
        )
    links = "".join(f'<a href="#{name}">{name}</a>' for name in datasets)
    body = (
        "<h1>Results</h1><p>Curves are means over the channels, bands their 95 % intervals. Point at a panel "
        "for values, drag to zoom, double-click for the whole, click a name to hide its curve.</p>"
        f"<nav>{links}</nav>{''.join(parts)}"
    )
    styles, scripts = ("charts.css", "report.css"), ("charts.js", "report.js")
    return document("beamfold: results", body, held, styles=styles, scripts=scripts)


def _claims(datasets: dict[str, xr.Dataset]) -> str:
    rows = [row for name, ds in datasets.items() for row in EXPERIMENTS[name].rows(ds)]
    if not rows:
        return ""
    names = ("claim", "paper", "ours", "where they differ")
    head = "".join(f"<th>{name}</th>" for name in names)
    cells = (
        (f'<td data-of="{name}">{html.escape(cell)}</td>' for name, cell in zip(names, row, strict=True))
        for row in rows
    )
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in cells)
    table = f"<table><tr>{head}</tr>{body}</table>"
    return f'<h2 id="claims">The paper\'s claims and ours</h2>{table}'


def _origin(ds: xr.Dataset) -> str:
    facts = [f"{key}: {ds.attrs[key]}" for key in ("command", "version", "revision", "machine", "seed")]
    facts += [f"{v.name}: {v.attrs['source']}" for v in ds.data_vars.values() if "source" in v.attrs]
    text = "\n".join(facts) + "\n" + json.dumps(parameters(ds), indent=1, ensure_ascii=False)
    return f"<details><summary>How it was made</summary><pre>{html.escape(text)}</pre></details>"


def write_report(folder: Path, target: Path) -> int:
    """The page of a folder's datasets; how many there are.

    Raises:
        FileError: no dataset of `reproduce` in the folder.
    """
    if not folder.is_dir():
        raise FileError(f"no such folder: {folder}")
    datasets = datasets_of(folder)
    if not datasets:
        raise FileError(f"{folder} holds no dataset of `beamfold reproduce`")
    text = page(datasets)
    write(target, lambda path: path.write_text(text, encoding="utf-8"))
    return len(datasets)
