"""Antenna arrays: positions and steering vectors. base has the model, line and planar the usual ones."""

from beamfold.arrays.base import Array, Lattice
from beamfold.arrays.line import line_array, steering
from beamfold.arrays.planar import planar_array

__all__ = ["Array", "Lattice", "line_array", "planar_array", "steering"]
