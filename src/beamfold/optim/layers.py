"""The layers of Algorithm 1: one of them, all of them in torch or compiled, and the design they end in.

The loop has a fixed depth and is differentiable with respect to the step sizes, which training needs: so it
computes every channel of the batch to the end, unlike `optim.active`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from beamfold.constraints import unit_modulus
from beamfold.errors import InputError
from beamfold.objective import DigitalGradient
from beamfold.optim.few_bits import on_levels
from beamfold.result import FEASIBLE, Design, Status, Trace, finish
from beamfold.scenario import Scenario, check_on_cpu
from beamfold.start import Point

Engine = Literal["auto", "kernel", "torch"]
Precision = Literal["single", "double"]
DTYPES = {"single": np.float32, "double": np.float64}


class Outcome(NamedTuple):
    """Where the loop ended: the last finite point, a `Status` per channel, the trace if recorded."""

    point: Point
    status: Tensor
    trace: Trace | None


def trace(s: Scenario, points: Iterable[Point]) -> Trace:
    """R and τ of every point, in the points' precision."""
    pairs = [(s.rate(X), s.tau(X)) for X in (s.transmitted(F, W) for F, W in points)]
    return Trace(torch.stack([R for R, _ in pairs]), torch.stack([tau for _, tau in pairs]))


def _sound(s: Scenario, point: Point) -> Tensor:
    """(7b) and (7c) hold (…), which nothing that is not finite meets."""
    with torch.no_grad():
        F, W = point
        return (s.network.continuous.violation(F) <= FEASIBLE) & (
            s.power_error(s.transmitted(F, W)) <= FEASIBLE
        )


def iterate(
    s: Scenario, start: Point, step: Callable[[Point, int], Point], layers: int, *, record: bool = False
) -> Outcome:
    """point ← step(point, i) for i = 0 … layers − 1, channel by channel for as long as it stays finite.

    A channel whose next iterate holds a NaN or Inf, or is not feasible because a norm overflowed, keeps
    its last finite one and gets `DIVERGED`; the other channels of the batch go on.
    """
    point = start
    alive = torch.ones(s.batch, dtype=torch.bool, device=s.H.device)
    points = [start]
    for i in range(layers):
        new = step(point, i)
        alive = alive & _sound(s, new)
        keep = alive[..., None, None]
        W = torch.where(s.on_band(keep), new.W, point.W)
        point = Point(torch.where(keep, new.F, point.F), W)
        if record:
            points.append(point)
    status = torch.where(alive, int(Status.FIXED_DEPTH), int(Status.DIVERGED)).to(torch.int8)
    return Outcome(point, status, trace(s, points) if record else None)


def step(s: Scenario, point: Point, mu: Tensor, lam: Tensor, eta: float, digital: DigitalGradient) -> Point:
    """One outer layer of Algorithm 1.

    F̂ ← F̂ + μ_j B ∘ (∇_F R − ω ∇_F τ), j = 0 … J − 1 (23), then the projection (10), once;
    W ← W + λ (∇_W R − ω η ∇_W τ) (24), then the projection (12).
    On a band F̂ follows the mean of the subcarriers and every W_s its own R_s − ω η τ_s, so that step sizes
    mean the same for any S.

    Args:
        s: the scenario.
        point: F (…, N, M), W (…, M, K); B has a one where F is not 0.
        mu: (J,) step sizes of the inner steps.
        lam: () step size of W, or on a band (S,), one for each subcarrier.
        eta: η, the weight on ∇_W τ.
        digital: "exact" for (14), "signal" for the published program's, see `signal_gradient`.

    Returns:
        The next point, feasible.
    """
    F = point.F
    for mu_j in mu.unbind():
        G = s.on_F(s.ascent(s.transmitted(F, point.W)), point.W)
        F = F + mu_j * (G if s.network.full else G.masked_fill(point.F == 0, 0))
    F = unit_modulus(F, point.F)
    on_W = s.on_band(F).mH @ s.ascent(s.transmitted(F, point.W), eta=eta, digital=digital)
    if lam.ndim:
        lam = lam[:, None, None].to(on_W.real.dtype)
    W = point.W + lam * on_W
    return Point(F, s.to_power(s.transmitted(F, W), W))


def runs_compiled(s: Scenario, start: Point, engine: Engine) -> bool:
    """Whether the compiled layers are to run.

    They are for flat channels of one-antenna users on the CPU, and networks with every chain, or one, on each
    antenna.

    Raises:
        InputError: `engine="kernel"` for channels elsewhere, users of several antennas, bands or masks.
    """
    if engine == "torch" or (engine == "auto" and s.H.device.type != "cpu"):
        return False
    check_on_cpu(s, "pga or unfolded with engine='kernel'")
    from beamfold.kernels.packed import compiled_for

    able = compiled_for(s, start.F)
    if engine == "kernel" and not able:
        raise InputError(
            "engine='kernel' is for flat channels and users of one antenna, on networks with every chain, or "
            "one, on each antenna; take engine='torch'"
        )
    return able


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
    """Algorithm 1 from `start` with step sizes mu (I, J) and lam (I,), or on a band (I, S).

    `engine="torch"` is the readable path above, in the scenario's precision, on its device and
    differentiable; `"kernel"` the compiled one in `beamfold.kernels`, the same steps on the CPU in float32
    or, with `precision="double"`, in float64, on `threads` threads; `"auto"` takes the kernel where
    `runs_compiled` says so.

    Raises:
        InputError: `engine="kernel"` where there is none.
    """
    if runs_compiled(s, start, engine):
        from beamfold.kernels.unfolded import run_kernel

        point, status, points = run_kernel(
            s, start, mu, lam, eta, digital, record=record, threads=threads, dtype=DTYPES[precision]
        )
        return Outcome(point, status, trace(s, points) if record else None)

    def layer(point: Point, i: int) -> Point:
        return step(s, point, mu[i], lam[i], eta, digital)

    return iterate(s, start, layer, len(lam), record=record)


def conclude(s: Scenario, method: str, start: Point, outcome: Outcome, **kept: Any) -> Design:
    """The design of an outcome, with the fault BELOW_START where it ended below its start."""
    before = s.objective(s.transmitted(*start))
    F, W = outcome.point if s.network.bits is None else on_levels(s, outcome.point)
    return finish(s, method, F, W, status=outcome.status, start_objective=before, trace=outcome.trace, **kept)
