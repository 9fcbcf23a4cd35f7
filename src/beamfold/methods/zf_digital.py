"""Digital zero forcing, without iterations."""

from __future__ import annotations

from beamfold.method import Method, Supports
from beamfold.optim.by_subcarrier import by_subcarrier
from beamfold.result import Design, Status, finish
from beamfold.scenario import Scenario
from beamfold.start import zero_forcing


@by_subcarrier
def zf_digital(s: Scenario) -> Design:
    """X = √P_t H^† / ‖H^†‖_F: fully digital, communications only, no interference between users.

    Users with several antennas or streams are separated by block diagonalisation. It meets (7c) and has no F;
    Section IV's "ZF (digital, comm. only)".
    """
    X = s.to_power(zero_forcing(s.H, s.per_user))
    return finish(s, "zf-digital", None, X, status=Status.CLOSED_FORM)


METHOD = Method(
    "zf-digital",
    zf_digital,
    "no interference: fully digital zero forcing",
    supports=Supports(digital=True, rows=True, band=True, device=True),
)
