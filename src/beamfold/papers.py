"""Any figure of this program for a two-column paper: 3.5 or 7.16 inches wide, 8 pt, and its curves as CSV.

A figure is changed after it was drawn, so that every picture has one function whatever it is for.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beamfold.files.atomic import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN, PAGE = 3.5, 7.16
"""Inches of one column and of a page of a journal of the IEEE."""
POINTS = 8.0
FONT = "STIXGeneral"
"""A serif font with Greek letters that comes with matplotlib and looks like that of the journals."""
RC: Any = {"pdf.fonttype": 42, "mathtext.fontset": "stix", "svg.fonttype": "none"}
"""TrueType fonts in the file, as journals ask for."""
THIN = {"line": 0.9, "marker": 3.0, "point": 5.5, "frame": 0.6}
ROW = 0.16
"""Inches of a row of a legend."""


def for_paper(figure: Figure) -> Figure:
    """The figure itself, as wide as a column where it has one panel across and as a page where it has more.

    What stands above it, which a caption says, is left out.
    """
    from matplotlib.text import Text

    across = max((_columns(axes) for axes in figure.axes), default=1)
    wide, tall = figure.get_size_inches()
    width = COLUMN if across == 1 else PAGE
    figure.set_size_inches(width, max(width * tall / wide, 0.72 * width / across))
    if figure.get_suptitle():
        figure.suptitle("")
    for axes in figure.axes:
        axes.tick_params(labelsize=POINTS, width=THIN["frame"], length=2.5)
        for spine in axes.spines.values():
            spine.set_linewidth(THIN["frame"])
        for line in axes.get_lines():
            alone = line.get_linestyle() in ("None", "", " ")
            line.set_linewidth(min(line.get_linewidth(), THIN["line"]))
            line.set_markersize(min(line.get_markersize(), THIN["point" if alone else "marker"]))
            line.set_markeredgewidth(min(line.get_markeredgewidth(), THIN["frame"]))
    if across == 1:
        _legend_below(figure)
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_fontsize(POINTS)
        text.set_fontfamily(FONT)
    return figure


def _legend_below(figure: Figure) -> None:
    """The legend of the one panel below it, where it hides nothing, in a figure that is taller by it."""
    for axes in figure.axes:
        legend = axes.get_legend()
        if legend is None:
            continue
        handles, names = axes.get_legend_handles_labels()
        legend.remove()
        across = 1 if max(map(len, names)) > LONG else 2
        wide, tall = figure.get_size_inches()
        figure.set_size_inches(wide, tall + ROW * (-(-len(names) // across)))
        figure.legend(
            handles, names, loc="outside lower center", ncols=across, frameon=False, fontsize=POINTS
        )


LONG = 26
"""Letters of a name beside which no other fits into a column."""


def _columns(axes: Axes) -> int:
    """Panels beside each other in the grid of a panel."""
    place = axes.get_subplotspec()
    return 1 if place is None else int(place.get_gridspec().ncols)


def curves(figure: Figure) -> list[str]:
    """The curves of every panel as CSV: a row for each point, for each curve a column of x and one of y.

    Where all curves of a panel share their x there is one column of x. Bands are left out.
    """
    return [_table(axes) for axes in figure.axes if _named(axes)]


def _named(axes: Axes) -> list[tuple[str, Any, Any]]:
    """Name, x and y of each curve that the legend can name."""
    found: list[tuple[str, Any, Any]] = []
    for line in axes.get_lines():
        name = str(line.get_label())
        x, y = (np.asarray(v, dtype=float).ravel() for v in line.get_data())
        if not name.startswith("_") and len(x):
            name = _plain(name)
            twice = sum(other == name or other.startswith(f"{name}_") for other, _, _ in found)
            found.append((f"{name}_{twice + 1}" if twice else name, x, y))
    return found


WORDS = {"ω": "omega", "τ": "tau", "η": "eta", "ρ": "rho", "Ψ": "Psi", "θ": "theta", "−": "-", "₀": "0"}


def _plain(text: str) -> str:
    """A name in letters that a table of LaTeX takes: no mathematics, Greek letter, blank, comma or brace."""
    text = re.sub(r"\\math\w+|[$\\{}]", "", text)
    for letter, word in WORDS.items():
        text = text.replace(letter, word)
    text = re.sub(r"\s*=\s*", "=", text)
    return re.sub(r"[^A-Za-z0-9=./-]+", "_", text).strip("_") or "curve"


def _table(axes: Axes) -> str:
    held = _named(axes)
    first = held[0][1]
    shared = all(len(x) == len(first) and np.array_equal(x, first) for _, x, _ in held)
    heads, columns = (["x"], [first]) if shared else ([], [])
    for name, x, y in held:
        heads += [name] if shared else [f"x_{name}", name]
        columns += [y] if shared else [x, y]
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(heads)
    for row in range(max(map(len, columns))):
        table.writerow([_number(column, row) for column in columns])
    return stream.getvalue()


def _number(column: Any, row: int) -> str:
    """A value in six digits, nan where a curve has fewer points, as pgfplots leaves it out."""
    return f"{column[row]:.6g}" if row < len(column) else "nan"


def write_for_paper(figure: Figure, stem: Path) -> list[Path]:
    """`<stem>-paper.pdf` and the curves of its panels as `<stem>-paper-1.csv`, …"""
    import matplotlib

    tables = curves(figure)
    target = stem.with_name(f"{stem.name}-paper.pdf")
    with matplotlib.rc_context(RC):
        for_paper(figure)
        write(target, figure.savefig)
    paths = [target]
    for number, table in enumerate(tables, 1):
        path = stem.with_name(f"{stem.name}-paper-{number}.csv")
        write(path, lambda place, text=table: place.write_text(text, encoding="utf-8"))  # type: ignore[misc]
        paths.append(path)
    return paths
