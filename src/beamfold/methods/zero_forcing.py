"""Two designs without iterations: digital zero forcing, and the proposed start by itself."""

from __future__ import annotations

import torch

from beamfold.scenario import Design, Scenario, Status, finish
from beamfold.start import proposed, zero_forcing


def digital_zero_forcing(s: Scenario) -> Design:
    """X = √P_t H^† / ‖H^†‖_F: fully digital, communications only, no interference between users.

    It meets (7c) and has no F; Section IV's "ZF (digital, comm. only)".
    """
    X = zero_forcing(s.H)
    X = (s.power.sqrt() / torch.linalg.matrix_norm(X))[..., None, None] * X
    return finish(s, "zf_digital", None, X, status=Status.CLOSED_FORM)


def phased_zero_forcing(s: Scenario) -> Design:
    """The start (26) by itself; for M = K the phased-ZF hybrid precoder of [68]."""
    F, W = proposed(s)
    return finish(s, "start", F, W, status=Status.CLOSED_FORM)
