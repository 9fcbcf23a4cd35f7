"""The proposed start by itself, without iterations."""

from __future__ import annotations

from beamfold.method import Method, Supports
from beamfold.optim.few_bits import on_levels
from beamfold.result import Design, Status, finish
from beamfold.scenario import Scenario
from beamfold.start import proposed


def phased_zf(s: Scenario) -> Design:
    """The start (26) by itself; for M = K the phased-ZF hybrid precoder of [68]."""
    F, W = proposed(s) if s.network.bits is None else on_levels(s, proposed(s), passes=0)
    return finish(s, "phased-zf", F, W, status=Status.CLOSED_FORM)


METHOD = Method(
    "phased-zf",
    phased_zf,
    "the paper's start (26) by itself",
    supports=Supports(rows=True, networks=True, bits=True, band=True, device=True),
)
