"""Every method: a function of a `Scenario` that gives a `Design`."""

from beamfold.methods.pga import conventional_pga, pga
from beamfold.methods.unfolded import ModelInfo, UnfoldedPGA, prepare, unfolded
from beamfold.methods.zero_forcing import digital_zero_forcing, phased_zero_forcing

__all__ = [
    "ModelInfo",
    "UnfoldedPGA",
    "conventional_pga",
    "digital_zero_forcing",
    "pga",
    "phased_zero_forcing",
    "prepare",
    "unfolded",
]
