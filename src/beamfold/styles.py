"""What methods and starts are called and how they are drawn, in every figure, table and report."""

from __future__ import annotations

from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#F0E442")
"""Colours that a colour-blind reader can tell apart (Okabe and Ito)."""
LABELS = {
    "zf_digital": "digital ZF",
    "phased_zf": "start (26)",
    "conventional_pga": "conventional PGA",
    "sca_manopt": "SCA-ManOpt",
    "sca_manopt_published": "SCA-ManOpt, as published",
    "altmin": "AltMin",
    "manopt": "MO-AltMin",
    "omp": "OMP",
    "sic": "SIC",
    "sca": "SCA",
    "wmmse": "WMMSE",
    "constrained": "problem (7)",
    "digital": "digital ceiling",
    "digital_jcas": "fully digital JCAS",
    "best": "best of many starts",
    "svd": "SVD",
    "svd_conjugated": "conjugated SVD",
}
STYLES: dict[str, dict[str, Any]] = {
    "zf_digital": {"color": "black", "ls": "--"},
    "sca_manopt": {"color": COLOURS[6], "ls": "-."},
    "sca_manopt_published": {"color": COLOURS[6], "ls": ":"},
    "conventional_pga": {"color": COLOURS[4], "ls": "-", "marker": "v"},
    "pga_j10": {"color": COLOURS[5], "ls": "-", "marker": "^"},
    "pga_j20": {"color": COLOURS[3], "ls": "-", "marker": "D"},
    "unfolded_j1": {"color": COLOURS[2], "ls": "-", "marker": "s"},
    "unfolded_j10": {"color": COLOURS[0], "ls": "-", "marker": "o"},
    "unfolded_j20": {"color": COLOURS[1], "ls": "-", "marker": "x"},
    "constrained": {"color": "black", "ls": "-"},
    "fast": {"color": COLOURS[5], "ls": "-", "marker": "^"},
    "best": {"color": COLOURS[3], "ls": "-", "marker": "D"},
    "digital": {"color": COLOURS[4], "ls": ":", "marker": "*"},
    "digital_jcas": {"color": COLOURS[6], "ls": ":", "marker": "v"},
}
START_LINES = {"proposed": "-", "svd": "--", "svd_conjugated": "-.", "random": ":"}


def label(name: str) -> str:
    """A method's or a start's name as figures and tables show it."""
    for kind, text in (("pga_j", "PGA"), ("unfolded_j", "unfolded PGA")):
        if name.startswith(kind):
            return f"{text}, J = {name.removeprefix(kind)}"
    return LABELS.get(name, name)
