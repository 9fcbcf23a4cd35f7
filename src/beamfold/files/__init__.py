"""Reading and writing files. No other module handles file formats.

The names below are loaded when they are first used: the refusal of a target needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beamfold.files.antennas import array_called, read_antennas
    from beamfold.files.atomic import FileError
    from beamfold.files.band_sensing import read_band_sensing, write_band_sensing
    from beamfold.files.channels import read_channels, write_channels
    from beamfold.files.covariances import cached_covariance
    from beamfold.files.designs import design_arrays, summary, write_design, write_designs
    from beamfold.files.models import find_model, load_model, save_model
    from beamfold.files.psi import read_sensing, write_sensing
    from beamfold.files.reader import Channels
    from beamfold.files.scenarios import read_scenario
    from beamfold.files.simulators import (
        from_deepmimo,
        from_hermes,
        from_matlab5g,
        from_nyusim,
        from_phased,
        from_quadriga,
        from_sionna,
    )

_HOME = {
    "FileError": "atomic",
    "cached_covariance": "covariances",
    "design_arrays": "designs",
    "find_model": "models",
    "load_model": "models",
    "Channels": "reader",
    "from_deepmimo": "simulators",
    "from_hermes": "simulators",
    "from_matlab5g": "simulators",
    "from_nyusim": "simulators",
    "from_phased": "simulators",
    "from_quadriga": "simulators",
    "from_sionna": "simulators",
    "array_called": "antennas",
    "read_antennas": "antennas",
    "read_band_sensing": "band_sensing",
    "read_sensing": "psi",
    "read_channels": "channels",
    "read_scenario": "scenarios",
    "save_model": "models",
    "summary": "designs",
    "write_band_sensing": "band_sensing",
    "write_sensing": "psi",
    "write_channels": "channels",
    "write_design": "designs",
    "write_designs": "designs",
}
__all__ = [
    "Channels",
    "FileError",
    "array_called",
    "cached_covariance",
    "design_arrays",
    "find_model",
    "from_deepmimo",
    "from_hermes",
    "from_matlab5g",
    "from_nyusim",
    "from_phased",
    "from_quadriga",
    "from_sionna",
    "load_model",
    "read_antennas",
    "read_band_sensing",
    "read_channels",
    "read_scenario",
    "read_sensing",
    "save_model",
    "summary",
    "write_band_sensing",
    "write_channels",
    "write_design",
    "write_designs",
    "write_sensing",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
