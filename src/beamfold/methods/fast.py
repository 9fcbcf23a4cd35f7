"""The fast hybrid design: few steps, each worth many of the paper's; docs/fast-design.md has the algorithm.

F's phases are the variable, W follows each F by a few quasi-Newton steps, the power is normalised inside the
objective, and the start is the fully digital optimum, factorised. No trained parameter: the same constants
serve every SNR, weight and size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from beamfold.defaults import WEIGHT
from beamfold.errors import InputError
from beamfold.objective import Measured
from beamfold.result import Design, Fault, Status, finish
from beamfold.scenario import Scenario, check_on_cpu
from beamfold.sensing import Sensing
from beamfold.start import Point, least_norm, proposed
from beamfold.threads import torch_threads

if TYPE_CHECKING:
    from beamfold.kernels.fast import Plan, Prepared

DEPTHS: dict[str, dict[str, int]] = {
    "start": {"steps": 0},
    "shallow": {"alternations": 10, "steps": 12},
    "medium": {"steps": 30},
    "deep": {"steps": 60},
    "deeper": {"steps": 100},
}
"""Named depths: what differs from `kernels.fast.plan_for`."""
ROUNDING = 1e-9
"""Relative difference of R − ω τ up to which a point and the start (26) count as equally good."""
STATIONARY = 1e-4
"""The `residual` at which a design counts as converged."""


def _plan(depth: str | None, steps: int | None, radar: Sensing, users: int, chains: int, dtype: Any) -> Plan:
    from beamfold.kernels.fast import DROPPED, plan_for

    if depth is not None and depth not in DEPTHS:
        raise InputError(f"no depth {depth!r}; known: {', '.join(DEPTHS)}")
    if steps is not None and steps < 0:
        raise InputError(f"the fast design needs steps >= 0, got {steps}")
    given = DEPTHS[depth or "deep"] | ({} if steps is None else {"steps": steps})
    return plan_for(users, chains, radar.factor(DROPPED[dtype]).U.shape[1], **given)


def residual(s: Scenario, F: Tensor, W: Tensor) -> Tensor:
    """‖[∂f/∂∠F, ‖W‖ · 2 ∂f/∂W*]‖ / (1 + |f|) (…), f = (R − ω τ) of F W at power P_t whatever W's scale.

    Zero where and only where {F, W} is stationary for (8).
    """
    X = F @ W
    return _residual(s, Point(F, W), X, s.measure(X))


def _residual(s: Scenario, point: Point, X: Tensor, measured: Measured) -> Tensor:
    """`residual` from the figures of X = F W that are at hand."""
    F, W = point
    G = measured.gradient
    along = (X.real * G.real + X.imag * G.imag).sum((-2, -1)) / s.power
    G = G - along[..., None, None] * X
    on_F = 2 * (F.conj() * (G @ W.mH)).imag
    on_W = 2 * torch.linalg.matrix_norm(F.mH @ G) * torch.linalg.matrix_norm(W)
    value = measured.rate - s.weight * measured.tau
    return torch.hypot(torch.linalg.matrix_norm(on_F), on_W) / (1 + value.abs())


def start_where_better(s: Scenario, point: Point, threads: int | None = None) -> tuple[Point, Tensor]:
    """Per channel the point, or the paper's start (26) where that has the higher R − ω τ.

    A compiled comparison settles nearly every channel in a few microseconds; the others, such as users with
    equal channels, are compared by the pseudo-inverses of (26).

    Returns:
        The point and, (…) bool, where it is the start.
    """
    from beamfold.kernels.fast_guard import known_above_start

    open_still = ~known_above_start(s, point, threads)
    taken = torch.zeros(s.batch, dtype=torch.bool)
    if not open_still.any():
        return point, taken
    part, (F, W) = s[open_still], point
    start = proposed(part)
    ours, theirs = part.objective(F[open_still] @ W[open_still]), part.objective(start.F @ start.W)
    lost = ~(ours >= theirs - ROUNDING * (1 + theirs.abs()))  # also where the point is not finite
    taken[open_still] = lost
    F, W = F.clone(), W.clone()
    F[taken], W[taken] = start.F[lost], start.W[lost]
    return Point(F, W), taken


def conclude_fast(
    s: Scenario, method: str, point: Point, *, threads: int | None = None, iterations: Tensor | None = None
) -> Design:
    """The design of a point, or of the paper's start (26) where that is better; CONVERGED if stationary."""
    (F, W), start = start_where_better(s, least_norm(point, s.power), threads)
    X = F @ W
    measured = s.measure(X)
    left = _residual(s, Point(F, W), X, measured)
    status = torch.where(left <= STATIONARY, int(Status.CONVERGED), int(Status.ITERATION_LIMIT))
    faults = torch.where(start, int(Fault.START_RETURNED), 0)
    return finish(
        s, method, F, W, status=status, faults=faults, measured=measured, residual=left, iterations=iterations
    )


def fast(
    s: Scenario,
    *,
    steps: int | None = None,
    depth: str | None = None,
    precision: Literal["single", "double"] = "single",
    tolerance: float = 0.0,
    threads: int | None = None,
) -> Design:
    """The fast design of every channel of a scenario, on the CPU.

    Args:
        s: the scenario.
        steps: steps of F, default 60.
        depth: a name of `DEPTHS`, default "deep"; `steps` overrides its number of steps.
        precision: arithmetic of the kernel; the design's figures are complex128 in any case.
        tolerance: stop a channel where its next step promises a gain below this.
        threads: how many share the batch; default all cores.

    Returns:
        A `Design` that is nowhere worse than the paper's start (26). CONVERGED where its `residual` is at
        most `STATIONARY`, else ITERATION_LIMIT; the fault START_RETURNED where it is that start.

    Raises:
        InputError: an unknown depth or steps < 0, or channels that are not on the CPU.
    """
    import numpy as np

    from beamfold.kernels.fast import run_fast

    check_on_cpu(s, "fast")
    dtype: Any = np.float64 if precision == "double" else np.float32
    plan = _plan(depth, steps, s.radar, s.users, s.chains, dtype)
    with torch_threads():
        point, _, done = run_fast(s, plan, dtype=dtype, tolerance=tolerance, threads=threads)
        return conclude_fast(s, "fast", point, threads=threads, iterations=done)


def prepare_fast(
    radar: Sensing,
    *,
    users: int,
    chains: int | None = None,
    snr_db: float,
    weight: float = WEIGHT,
    noise: float = 1.0,
    steps: int | None = None,
    depth: str | None = None,
    budget_us: float | None = None,
    precision: Literal["single", "double"] = "single",
) -> Prepared:
    """The fast design made ready for one deployment: `prepare_fast(…)(H)` gives F, W and the steps it took.

    Like the batch's, the design is nowhere worse than the start (26).

    Everything that does not depend on the channel is done here; the call takes NumPy and gives NumPy.

    Args:
        radar: Ψ of the array's N.
        users: K.
        chains: M, default K.
        snr_db: P_t/σ² in dB.
        weight: ω.
        noise: σ².
        steps: steps of F.
        depth: a name of `DEPTHS`.
        budget_us: microseconds per design; how many steps of F fit is measured once, now, on this machine,
            and is the result's `steps`. A quarter is left free for the tail; 0 steps where even the start
            does not fit.
        precision: arithmetic of the kernel.

    Raises:
        InputError: an unknown depth or steps < 0.
    """
    import numpy as np

    from beamfold.channel import saleh_valenzuela
    from beamfold.kernels.fast import DROPPED, Prepared, Setting, calibrate
    from beamfold.kernels.fast_guard import Guard

    chains = users if chains is None else chains
    dtype: Any = np.float64 if precision == "double" else np.float32
    setting = Setting(
        radar.factor(DROPPED[dtype]).U.numpy(),
        float(torch.linalg.matrix_norm(radar.Psi)) ** 2,
        users=users,
        chains=chains,
        noise=noise,
        plan=_plan(depth, steps, radar, users, chains, dtype),
        dtype=dtype,
    )
    power = noise * 10 ** (snr_db / 10)
    guard = Guard(radar, users=users, chains=chains, power=power, weight=weight, noise=noise)
    go = Prepared(setting, power, weight, guard)
    if budget_us is not None:
        channels = saleh_valenzuela(radar.antennas, users, 20, seed=0).numpy()
        go.steps = calibrate(go, channels, budget_us)
    return go
