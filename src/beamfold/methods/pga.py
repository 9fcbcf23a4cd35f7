"""Projected gradient ascent: Algorithm 1 with (23), (24) and, as its case J = 1, η = 1, (9)-(12)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from beamfold.constraints import total_power, unit_modulus
from beamfold.errors import InputError
from beamfold.methods.loop import Outcome, iterate, trace
from beamfold.objective import DigitalGradient, gradient_F, gradient_W
from beamfold.result import Design, finish
from beamfold.scenario import Scenario, check_on_cpu
from beamfold.start import STARTS, Point
from beamfold.threads import torch_threads

Engine = Literal["auto", "kernel", "torch"]
Precision = Literal["single", "double"]
DTYPES = {"single": np.float32, "double": np.float64}


def step(s: Scenario, point: Point, mu: Tensor, lam: Tensor, eta: float, digital: DigitalGradient) -> Point:
    """One outer layer of Algorithm 1.

    F̂ ← F̂ + μ_j (∇_F R − ω ∇_F τ), j = 0 … J − 1 (23), then the projection (10), once;
    W ← W + λ (∇_W R − ω η ∇_W τ) (24), then the projection (12).

    Args:
        s: the scenario.
        point: F (…, N, M), W (…, M, K).
        mu: (J,) step sizes of the inner steps.
        lam: () step size of W.
        eta: η, the weight on ∇_W τ.
        digital: "exact" for (14), "signal" for the published program's, see `signal_gradient`.

    Returns:
        The next point, feasible.
    """
    F = point.F
    for mu_j in mu.unbind():
        F = F + mu_j * gradient_F(s.H, F, point.W, s.Psi, s.power, s.omega, s.noise)
    F = unit_modulus(F, point.F)
    W = point.W + lam * gradient_W(s.H, F, point.W, s.Psi, s.power, eta * s.omega, s.noise, digital)
    return Point(F, total_power(F, W, s.power))


def run_layers(
    s: Scenario,
    start: Point,
    mu: Tensor,
    lam: Tensor,
    eta: float,
    digital: DigitalGradient,
    *,
    engine: Engine = "auto",
    record: bool = False,
    threads: int | None = None,
    precision: Precision = "single",
) -> Outcome:
    """Algorithm 1 from `start` with step sizes mu (I, J) and lam (I,).

    `engine="torch"` is the readable path above, in the scenario's precision, on its device and
    differentiable; `"kernel"` the compiled one in `beamfold.kernels`, the same steps on the CPU in float32
    or, with `precision="double"`, in float64, on `threads` threads; `"auto"` takes the kernel for channels
    on the CPU.
    """
    if engine == "kernel" or (engine == "auto" and s.H.device.type == "cpu"):
        from beamfold.kernels.unfolded import run_kernel

        check_on_cpu(s, "pga or unfolded with engine='kernel'")

        point, status, points = run_kernel(
            s, start, mu, lam, eta, digital, record=record, threads=threads, dtype=DTYPES[precision]
        )
        return Outcome(point, status, trace(s, points) if record else None)

    def layer(point: Point, i: int) -> Point:
        return step(s, point, mu[i], lam[i], eta, digital)

    return iterate(s, start, layer, len(lam), record=record)


def conclude(s: Scenario, method: str, start: Point, outcome: Outcome, **kept: Any) -> Design:
    """The design of an outcome, with the fault BELOW_START where it ended below its start."""
    before = s.objective(start.F @ start.W)
    F, W = outcome.point
    return finish(s, method, F, W, status=outcome.status, start_objective=before, trace=outcome.trace, **kept)


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
        eta: weight on ∇_W τ in (24); default 1/N.
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


def starting_point(s: Scenario, start: str | Point) -> Point:
    """A named start of `beamfold.start.STARTS`, or the given point itself."""
    if isinstance(start, Point):
        return start
    if start not in STARTS:
        raise InputError(f"no start {start!r}; known: {', '.join(STARTS)}")
    return STARTS[start](s)
