"""Checks that every method must pass, for those who write one; CONTRIBUTING.md has a worked example."""

from beamfold.testing.method import CHECKS, Contract, check_method
from beamfold.testing.scenarios import relative, small, three_beams

__all__ = ["CHECKS", "Contract", "check_method", "relative", "small", "three_beams"]
