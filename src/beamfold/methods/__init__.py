"""Every method: a function of a `Scenario` that gives a `Design`."""

from beamfold.methods.best import best
from beamfold.methods.constrained import constrained
from beamfold.methods.digital import digital
from beamfold.methods.digital_jcas import digital_jcas
from beamfold.methods.fast import fast, prepare_fast
from beamfold.methods.manopt import manopt
from beamfold.methods.omp import omp
from beamfold.methods.pga import conventional_pga, pga
from beamfold.methods.sca import sca
from beamfold.methods.sca_manopt import sca_manopt
from beamfold.methods.unfolded import ModelInfo, UnfoldedPGA, prepare, unfolded
from beamfold.methods.wmmse import wmmse
from beamfold.methods.zero_forcing import phased_zf, zf_digital

__all__ = [
    "ModelInfo",
    "UnfoldedPGA",
    "best",
    "constrained",
    "conventional_pga",
    "digital",
    "digital_jcas",
    "fast",
    "manopt",
    "omp",
    "pga",
    "phased_zf",
    "prepare",
    "prepare_fast",
    "sca",
    "sca_manopt",
    "unfolded",
    "wmmse",
    "zf_digital",
]
