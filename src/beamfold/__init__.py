"""Hybrid precoders for joint communications and sensing; README.md has a first example.

The names below are loaded when they are first used, so that the command line starts at once. A type checker
reads the imports under TYPE_CHECKING and `__all__`, Python the table `_HOME`; a test compares them.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beamfold.arrays import Array, line_array, planar_array, steering
    from beamfold.channel import band_frequencies, saleh_valenzuela
    from beamfold.covariance import solve_band, solve_covariance
    from beamfold.errors import InputError
    from beamfold.files import (
        Channels,
        from_deepmimo,
        from_hermes,
        from_matlab5g,
        from_nyusim,
        from_phased,
        from_quadriga,
        from_sionna,
        load_model,
        read_band_sensing,
        read_channels,
        read_scenario,
        read_sensing,
        save_model,
        write_band_sensing,
        write_channels,
        write_design,
        write_designs,
        write_sensing,
    )
    from beamfold.methods.altmin import altmin
    from beamfold.methods.best import best
    from beamfold.methods.constrained import constrained
    from beamfold.methods.conventional_pga import conventional_pga
    from beamfold.methods.digital import digital
    from beamfold.methods.digital_jcas import digital_jcas
    from beamfold.methods.fast import fast, prepare_fast
    from beamfold.methods.manopt import manopt
    from beamfold.methods.omp import omp
    from beamfold.methods.pga import pga
    from beamfold.methods.phased_zf import phased_zf
    from beamfold.methods.sca import sca
    from beamfold.methods.sca_manopt import sca_manopt
    from beamfold.methods.sic import sic
    from beamfold.methods.unfolded import prepare, unfolded
    from beamfold.methods.wmmse import wmmse
    from beamfold.methods.zf_digital import zf_digital
    from beamfold.metrics import beampattern
    from beamfold.networks import Network, dynamic, fully_connected, interleaved, subarrays
    from beamfold.registry import METHODS, design
    from beamfold.result import Design, Fault, Status
    from beamfold.scenario import Scenario, make_scenario
    from beamfold.sensing import Sensing, angle_grid
    from beamfold.training import Recipe, train
    from beamfold.unfolded_model import ModelInfo, UnfoldedPGA
    from beamfold.verifier import verify

__version__ = "0.1.0"

_HOME = {
    "Array": "arrays",
    "Channels": "files",
    "Design": "result",
    "Fault": "result",
    "InputError": "errors",
    "METHODS": "registry",
    "Network": "networks",
    "ModelInfo": "unfolded_model",
    "Recipe": "training",
    "Scenario": "scenario",
    "Sensing": "sensing",
    "Status": "result",
    "UnfoldedPGA": "unfolded_model",
    "altmin": "methods.altmin",
    "band_frequencies": "channel",
    "angle_grid": "sensing",
    "beampattern": "metrics",
    "best": "methods.best",
    "constrained": "methods.constrained",
    "conventional_pga": "methods.conventional_pga",
    "design": "registry",
    "digital": "methods.digital",
    "digital_jcas": "methods.digital_jcas",
    "dynamic": "networks",
    "fast": "methods.fast",
    "from_deepmimo": "files",
    "from_hermes": "files",
    "from_matlab5g": "files",
    "from_nyusim": "files",
    "from_phased": "files",
    "from_quadriga": "files",
    "from_sionna": "files",
    "fully_connected": "networks",
    "interleaved": "networks",
    "line_array": "arrays",
    "load_model": "files",
    "make_scenario": "scenario",
    "manopt": "methods.manopt",
    "omp": "methods.omp",
    "pga": "methods.pga",
    "phased_zf": "methods.phased_zf",
    "planar_array": "arrays",
    "prepare": "methods.unfolded",
    "prepare_fast": "methods.fast",
    "read_band_sensing": "files",
    "read_channels": "files",
    "read_scenario": "files",
    "read_sensing": "files",
    "saleh_valenzuela": "channel",
    "save_model": "files",
    "sca": "methods.sca",
    "sca_manopt": "methods.sca_manopt",
    "sic": "methods.sic",
    "solve_band": "covariance",
    "solve_covariance": "covariance",
    "steering": "arrays",
    "subarrays": "networks",
    "train": "training",
    "unfolded": "methods.unfolded",
    "verify": "verifier",
    "wmmse": "methods.wmmse",
    "write_band_sensing": "files",
    "write_channels": "files",
    "write_design": "files",
    "write_designs": "files",
    "write_sensing": "files",
    "zf_digital": "methods.zf_digital",
}
_FORMER = {"Benchmark": "Sensing", "read_benchmark": "read_sensing", "write_benchmark": "write_sensing"}
"""Names of version 0.1.0, which are accepted with a warning."""
__all__ = [
    "METHODS",
    "Array",
    "Channels",
    "Design",
    "Fault",
    "InputError",
    "ModelInfo",
    "Network",
    "Recipe",
    "Scenario",
    "Sensing",
    "Status",
    "UnfoldedPGA",
    "__version__",
    "altmin",
    "angle_grid",
    "band_frequencies",
    "beampattern",
    "best",
    "constrained",
    "conventional_pga",
    "design",
    "digital",
    "digital_jcas",
    "dynamic",
    "fast",
    "from_deepmimo",
    "from_hermes",
    "from_matlab5g",
    "from_nyusim",
    "from_phased",
    "from_quadriga",
    "from_sionna",
    "fully_connected",
    "interleaved",
    "line_array",
    "load_model",
    "make_scenario",
    "manopt",
    "omp",
    "pga",
    "phased_zf",
    "planar_array",
    "prepare",
    "prepare_fast",
    "read_band_sensing",
    "read_channels",
    "read_scenario",
    "read_sensing",
    "saleh_valenzuela",
    "save_model",
    "sca",
    "sca_manopt",
    "sic",
    "solve_band",
    "solve_covariance",
    "steering",
    "subarrays",
    "train",
    "unfolded",
    "verify",
    "wmmse",
    "write_band_sensing",
    "write_channels",
    "write_design",
    "write_designs",
    "write_sensing",
    "zf_digital",
]


def __getattr__(name: str) -> Any:
    if name in _FORMER:
        warnings.warn(f"beamfold.{name} is now called {_FORMER[name]}", FutureWarning, stacklevel=2)
        name = _FORMER[name]
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
