"""Projected gradient ascent: Algorithm 1 with constant step sizes, Section III-B."""

from __future__ import annotations

from functools import partial

import torch

from beamfold.errors import InputError
from beamfold.method import Method, Supports
from beamfold.objective import DigitalGradient
from beamfold.optim.layers import Engine, Precision, conclude, run_layers
from beamfold.result import Design
from beamfold.scenario import Scenario
from beamfold.start import STARTS, Point, check_start
from beamfold.threads import torch_threads


def pga(
    s: Scenario,
    *,
    inner: int = 20,
    layers: int = 120,
    mu: float = 0.01,
    lam: float = 0.01,
    eta: float | None = None,
    digital: DigitalGradient = "signal",
    start: str | Point = "proposed",
    engine: Engine = "auto",
    record: bool = False,
    threads: int | None = None,
    precision: Precision = "single",
) -> Design:
    """Projected gradient ascent with constant step sizes, Section III-B.

    Args:
        s: the scenario.
        inner: J ≥ 1 updates of F per update of W.
        layers: I ≥ 0 outer iterations.
        mu: step size of F.
        lam: step size of W.
        eta: weight on ∇_W τ in (24), or on that of another sensing objective; default 1/N.
        digital: "signal", what the published figures used for ∇_W R, or "exact", Eq. (14).
        start: "proposed" (26), "random", "svd", "svd_conjugated", or a `Point`.
        engine: "kernel" (compiled, float32), "torch" (readable, complex128) or "auto".
        record: keep R and τ after every layer in `trace`.
        threads: how many share the batch in the kernel; default one per processor.
        precision: arithmetic of the kernel; the design's figures are complex128 in any case.

    Returns:
        A `Design`; `BELOW_START` where the step sizes were too long, as (J, η) = (1, 1) is known for.

    Raises:
        InputError: inner < 1 or layers < 0, or an unknown start.
    """
    if inner < 1 or layers < 0:
        raise InputError(f"PGA needs inner >= 1 and layers >= 0, got {inner} and {layers}")
    eta = 1 / s.antennas if eta is None else eta
    full = partial(torch.full, dtype=torch.float64, device=s.H.device)
    steps = full((layers, inner), mu), full((layers,), lam)
    with torch_threads():
        begin = starting_point(s, start)
        outcome = run_layers(
            s, begin, *steps, eta, digital, engine=engine, record=record, threads=threads, precision=precision
        )
        return conclude(s, "pga", begin, outcome, options={"inner": inner})


def starting_point(s: Scenario, start: str | Point) -> Point:
    """A named start of `beamfold.start.STARTS`, or the given point itself."""
    if isinstance(start, Point):
        return start
    check_start(start)
    return STARTS[start](s)


METHOD = Method(
    "pga",
    pga,
    "R - omega tau: projected gradient ascent, J steps of F per layer",
    supports=Supports(
        rows=True, networks=True, bits=True, band=True, goals=True, sensing_streams=True, device=True
    ),
)
