"""Checks that every method, array and network must pass; CONTRIBUTING.md has worked examples."""

from beamfold.testing.array import check_array
from beamfold.testing.method import CHECKS, Contract, check_method
from beamfold.testing.network import check_network
from beamfold.testing.scenarios import relative, small, three_beams

__all__ = [
    "CHECKS",
    "Contract",
    "check_array",
    "check_method",
    "check_network",
    "relative",
    "small",
    "three_beams",
]
