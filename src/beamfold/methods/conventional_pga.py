"""Conventional projected gradient ascent, (9)-(12): `pga` with J = 1."""

from __future__ import annotations

from dataclasses import replace

from beamfold.method import Method, Supports
from beamfold.methods.pga import pga
from beamfold.optim.layers import Engine, Precision
from beamfold.result import Design
from beamfold.scenario import Scenario


def conventional_pga(
    s: Scenario,
    *,
    layers: int = 120,
    eta: float | None = None,
    engine: Engine = "auto",
    record: bool = False,
    threads: int | None = None,
    precision: Precision = "single",
) -> Design:
    """The baseline of Section IV-B: J = 1, step sizes 0.01, η = 1/N; η = 1 is (9)-(12) to the letter."""
    design = pga(
        s, inner=1, layers=layers, eta=eta, engine=engine, record=record, threads=threads, precision=precision
    )
    return replace(design, method="conventional-pga", options={})


METHOD = Method(
    "conventional-pga",
    conventional_pga,
    "R - omega tau: PGA with J = 1",
    supports=Supports(rows=True, networks=True, bits=True, device=True),
)
