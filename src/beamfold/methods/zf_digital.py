"""Digital zero forcing, without iterations."""

from __future__ import annotations

from beamfold.constraints import full_power
from beamfold.method import Method, Supports
from beamfold.result import Design, Status, finish
from beamfold.scenario import Scenario
from beamfold.start import zero_forcing


def zf_digital(s: Scenario) -> Design:
    """X = √P_t H^† / ‖H^†‖_F: fully digital, communications only, no interference between users.

    Users with several antennas or streams are separated by block diagonalisation. It meets (7c) and has no F;
    Section IV's "ZF (digital, comm. only)".
    """
    X = full_power(zero_forcing(s.H, s.per_user), s.power)
    return finish(s, "zf-digital", None, X, status=Status.CLOSED_FORM)


METHOD = Method(
    "zf-digital",
    zf_digital,
    "no interference: fully digital zero forcing",
    supports=Supports(rows=True, networks=True, bits=True, device=True),
)
