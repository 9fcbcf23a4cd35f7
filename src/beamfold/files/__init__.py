"""The doors: the only modules that know a file format."""

from beamfold.files.atomic import FileError
from beamfold.files.channels import read_benchmark, read_channels, write_benchmark, write_channels
from beamfold.files.covariances import cached_covariance
from beamfold.files.designs import design_arrays, summary, write_design, write_designs
from beamfold.files.models import find_model, load_model, save_model

__all__ = [
    "FileError",
    "cached_covariance",
    "design_arrays",
    "find_model",
    "load_model",
    "read_benchmark",
    "read_channels",
    "save_model",
    "summary",
    "write_benchmark",
    "write_channels",
    "write_design",
    "write_designs",
]
