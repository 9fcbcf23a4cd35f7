"""Hybrid precoders for joint communications and sensing; README.md has a first example.

The names below are loaded when they are first used, so that the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Benchmark": "beampattern",
    "Design": "result",
    "METHODS": "catalogue",
    "Scenario": "scenario",
    "Status": "result",
    "UnfoldedPGA": "methods",
    "angle_grid": "beampattern",
    "design": "catalogue",
    "load_model": "files",
    "read_benchmark": "files",
    "read_channels": "files",
    "saleh_valenzuela": "channel",
    "make_scenario": "scenario",
    "solve_covariance": "covariance",
    "write_design": "files",
}
__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
