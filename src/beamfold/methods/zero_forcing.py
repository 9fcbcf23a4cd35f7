"""Two designs without iterations: digital zero forcing, and the proposed start by itself."""

from __future__ import annotations

from beamfold.constraints import full_power
from beamfold.result import Design, Status, finish
from beamfold.scenario import Scenario
from beamfold.start import proposed, zero_forcing


def zf_digital(s: Scenario) -> Design:
    """X = √P_t H^† / ‖H^†‖_F: fully digital, communications only, no interference between users.

    It meets (7c) and has no F; Section IV's "ZF (digital, comm. only)".
    """
    X = full_power(zero_forcing(s.H), s.power)
    return finish(s, "zf-digital", None, X, status=Status.CLOSED_FORM)


def phased_zf(s: Scenario) -> Design:
    """The start (26) by itself; for M = K the phased-ZF hybrid precoder of [68]."""
    F, W = proposed(s)
    return finish(s, "phased-zf", F, W, status=Status.CLOSED_FORM)
