r"""Problem (7) as it is stated: max R subject to τ ≤ τ₀, (7b), (7c).

R(ω) and τ(ω) of the maximisers of R − ω τ trace the R-τ front; both fall as ω grows. So ω is the multiplier
of τ ≤ τ₀: a coarse sweep of ω brackets it, then bisection closes in, each time from the best design so far.
The maximisers are local ones, so that the front has steps: what is returned is the best design met that keeps
τ ≤ τ₀, not the one at the last ω.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from beamfold.objective import beam_error, rate
from beamfold.scenario import Design, Scenario, Status, finish
from beamfold.start import Point

DECADES = torch.linspace(-1.5, 4.5, 25, dtype=torch.float64)
"""log₁₀ of ω P_t² in the first sweep: τ is of the order of P_t², R of some bits."""
RATIO = 10**0.25
"""Between neighbours of the sweep."""
NEAR = (-2, -1, 0, 1, 2)
"""Where the other starts look, in powers of `RATIO` around the ω found so far."""


class _Record:
    """Per channel the best design with τ ≤ τ₀ and its ω, or the least τ where there is none yet."""

    def __init__(self, s: Scenario, limit: Tensor) -> None:
        self.s, self.limit = s, limit
        self.F = torch.zeros((*s.batch, s.antennas, s.chains), dtype=torch.complex128)
        self.W = torch.zeros((*s.batch, s.chains, s.users), dtype=torch.complex128)
        self.rate = torch.full(s.batch, -torch.inf, dtype=torch.float64)
        self.tau = torch.full(s.batch, torch.inf, dtype=torch.float64)
        self.weight = torch.zeros(s.batch, dtype=torch.float64)

    @property
    def reached(self) -> Tensor:
        """τ ≤ τ₀ (…)."""
        return self.tau <= self.limit

    def take(self, point: Point, weight: Tensor) -> Tensor:
        """Keep what is better; whether τ ≤ τ₀ at this point (…)."""
        X = point.F @ point.W
        R, tau = rate(self.s.H, X, self.s.noise), beam_error(X, self.s.Psi_t)
        meets = tau <= self.limit
        better = torch.where(self.reached, meets & (self.rate < R), meets | (tau < self.tau))
        for ours, theirs in ((self.F, point.F), (self.W, point.W)):
            ours[better] = theirs[better]
        for ours, theirs in ((self.rate, R), (self.tau, tau), (self.weight, weight.expand(R.shape))):
            ours[better] = theirs[better]
        return meets


def _from_start(
    s: Scenario, limit: Tensor, which: int, sweep: list[Tensor], steps: int, rounds: int, threads: int | None
) -> _Record:
    """A sweep of ω from one start, and the bisection from what it found."""
    from beamfold.kernels.fast import Plan, run_fast

    record = _Record(s, limit)

    def run(weight: Tensor, work: int = steps, warm: bool = True) -> Tensor:
        at = replace(s, weight=weight.expand(s.batch))
        start = Point(record.F, record.W) if warm else None
        point, _, _ = run_fast(
            at, Plan(steps=work), start=start, which=which, dtype=np.float64, threads=threads
        )
        return record.take(point, weight)

    for weight in sweep:
        run(weight, warm=False)
    if not record.reached.all():  # where even a large ω did not reach τ₀: τ alone, as far as it goes
        run(10**7 / s.power**2, 10 * steps)
    low, high = record.weight / RATIO, record.weight.clone()
    for _ in range(rounds):
        middle = (low * high).sqrt()
        meets = run(middle)
        low, high = torch.where(meets, low, middle), torch.where(meets, middle, high)
    run(high, 2 * steps)
    return record


def constrained(
    s: Scenario,
    tau_max: float | Tensor | None = None,
    *,
    tau_max_db: float | None = None,
    starts: int = 8,
    steps: int = 60,
    rounds: int = 14,
    threads: int | None = None,
) -> Design:
    """max R subject to τ ≤ τ₀, Eq. (7); the scenario's ω plays no part.

    Args:
        s: the scenario, on the CPU.
        tau_max: τ₀, one for all or (…), in the units of τ (5).
        tau_max_db: or τ₀ in dB relative to ‖P_t Ψ‖²_F, so that one value serves every SNR.
        starts: how many, see `best`; the first sweeps all ω, the others those near what was found.
        steps: steps of F for each ω, see `fast`.
        rounds: halvings of the interval of log ω.
        threads: how many share the batch; default all cores.

    Returns:
        A `Design`. Where no design with τ ≤ τ₀ was found its status is `INFEASIBLE` and its `tau` is the
        least that was found.

    Raises:
        ValueError: τ₀ missing, below 0 or not finite.
    """
    if (tau_max is None) == (tau_max_db is None):
        raise ValueError("problem (7) needs τ₀: either tau_max or tau_max_db")
    if tau_max_db is not None:
        tau_max = 10 ** (tau_max_db / 10) * s.power**2 * float(torch.linalg.matrix_norm(s.Psi)) ** 2
    limit = torch.as_tensor(tau_max, dtype=torch.float64).expand(s.batch)
    if not (torch.isfinite(limit).all() and (limit >= 0).all()):
        raise ValueError(f"τ₀ must be finite and at least 0, got {tau_max}")
    record = _Record(s, limit)
    sweep = [torch.zeros(s.batch, dtype=torch.float64)]
    sweep += [10**decade / s.power**2 for decade in DECADES.tolist()]
    for which in range(starts):
        one = _from_start(s, limit, which, sweep, steps, rounds, threads)
        record.take(Point(one.F, one.W), one.weight)
        sweep = [record.weight * RATIO**i for i in NEAR]
    design = finish(s, "constrained", record.F, record.W)
    status = design.status.clone()
    status[~record.reached & (status < Status.INFEASIBLE)] = Status.INFEASIBLE
    return replace(design, status=status)
