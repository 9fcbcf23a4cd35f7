"""Problem (7) as it is stated: max R subject to τ ≤ τ₀, (7b), (7c), or to a limit of RCRB or SCNR.

The search below a limit of τ is `optim.tau_limit`, that of other sensing objectives `optim.goal_search`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from beamfold.errors import InputError
from beamfold.method import SLOW, Method, Supports, check_supported
from beamfold.optim.goal_search import TOLERANCE, limited
from beamfold.optim.local_maximum import STATIONARY, residual
from beamfold.optim.matrices import flatten
from beamfold.optim.tau_limit import SLACK, best_within, multiplier
from beamfold.result import Design, Fault, Status, finish
from beamfold.scenario import Scenario
from beamfold.threads import parallel_for, torch_threads


def constrained(
    s: Scenario,
    tau_max: float | Tensor | None = None,
    *,
    tau_max_db: float | None = None,
    rcrb_max_deg: float | None = None,
    scnr_min_db: float | None = None,
    starts: int | None = None,
    steps: int = 200,
    polish: int = 40,
    threads: int | None = None,
) -> Design:
    """max R subject to τ ≤ τ₀, Eq. (7), or to another limit of sensing; the scenario's ω plays no part.

    With `rcrb_max_deg` or `scnr_min_db` the limit holds for every angle or target of a scenario that was made
    with sensing="crb" or "scnr", and the search is that of `optim.goal_search.limited`, in torch.

    Args:
        s: the scenario, on the CPU.
        tau_max: τ₀, one for all or (…), in the units of τ (5).
        tau_max_db: or τ₀ in dB relative to ‖P_t Ψ‖²_F, so that one value serves every SNR.
        rcrb_max_deg: the largest √CRB of any angle, in degrees.
        scnr_min_db: the least SCNR of any target, in dB, of one snapshot.
        starts: how many, see `best`; the first sweeps all ω, the others start at the multiplier it finds.
            Default 48, and 4 for a limit of RCRB or SCNR.
        steps: steps of F from each of these.
        polish: L-BFGS steps in each of the rounds along the constraint.
        threads: how many share the batch; default all cores.

    Returns:
        A `Design`, CONVERGED where `residual` for its `multiplier` is at most `local_maximum.STATIONARY` and
        τ is τ₀ or the multiplier 0, else ITERATION_LIMIT. Where no design with τ ≤ τ₀ was found it has the
        fault TAU_ABOVE_LIMIT, and `tau` is the least that was found. With a limit of RCRB or SCNR the fault
        is SENSING_BEYOND_LIMIT, and `multiplier` the largest of those of the angles or targets, in bit/s/Hz
        per neper.

    Raises:
        InputError: no limit or several, one that is not finite or of another sensing objective than the
            scenario's, or no start.
    """
    check_supported(METHOD, s)
    starts = (48 if s.goal is None else 4) if starts is None else starts
    if starts < 1:
        raise InputError(f"problem (7) needs at least one start, got {starts}")
    if rcrb_max_deg is not None or scnr_min_db is not None or s.goal is not None:
        given = (tau_max, tau_max_db, rcrb_max_deg, scnr_min_db)
        if sum(value is not None for value in given) != 1:
            raise InputError("problem (7) takes one of tau_max, tau_max_db, rcrb_max_deg and scnr_min_db")
        return _of_goal(s, _goal_limit(s, rcrb_max_deg, scnr_min_db), starts, steps, threads)
    limit = _limit(s, tau_max, tau_max_db)
    F = torch.empty((*s.batch, s.antennas, s.chains), dtype=torch.complex128)
    W = torch.empty((*s.batch, s.chains, s.users), dtype=torch.complex128)
    places = list(np.ndindex(*s.batch))

    def work(first: int, last: int) -> None:
        for at in places[first:last]:
            F[at], W[at] = best_within(s[at], float(limit[at]), starts, steps, polish)

    parallel_for(work, len(places), threads)
    tau = s.tau(F @ W)
    omega, left = torch.empty(s.batch, dtype=torch.float64), torch.empty(s.batch, dtype=torch.float64)
    for at in places:
        omega[at] = multiplier(s[at], F[at], W[at])
        left[at] = residual(replace(s[at], weight=omega[at]), F[at], W[at])
    tight = (omega == 0) | (tau >= (1 - 3 * SLACK) * limit)
    done = tight & (left <= STATIONARY) & (tau <= limit)
    status = torch.where(done, int(Status.CONVERGED), int(Status.ITERATION_LIMIT))
    faults = torch.where(tau > limit, int(Fault.TAU_ABOVE_LIMIT), 0)
    return finish(s, "constrained", F, W, status=status, faults=faults, residual=left, multiplier=omega)


def _limit(s: Scenario, tau_max: float | Tensor | None, tau_max_db: float | None) -> Tensor:
    """τ₀ (…) in the units of τ."""
    if (tau_max is None) == (tau_max_db is None):
        raise InputError("problem (7) needs τ₀: either tau_max or tau_max_db")
    if tau_max_db is not None:
        tau_max = 10 ** (tau_max_db / 10) * s.power**2 * float(torch.linalg.matrix_norm(s.Psi)) ** 2
    limit = torch.as_tensor(tau_max, dtype=torch.float64).expand(s.batch)
    if not (torch.isfinite(limit).all() and (limit >= 0).all()):
        raise InputError(f"τ₀ must be finite and at least 0, got {tau_max}")
    return limit


def _goal_limit(s: Scenario, rcrb_max_deg: float | None, scnr_min_db: float | None) -> float:
    """The limit as `Goal.excess` takes it."""
    kind, value = ("crb", rcrb_max_deg) if rcrb_max_deg is not None else ("scnr", scnr_min_db)
    if value is None:
        raise InputError(
            f"the scenario's sensing objective is {s.goal.kind if s.goal else ''}, "
            "its limit is rcrb_max_deg or scnr_min_db"
        )
    if s.goal is None or s.goal.kind != kind:
        found = "tau" if s.goal is None else s.goal.kind
        raise InputError(f"this limit is for the sensing objective {kind}, the scenario has {found}")
    if not math.isfinite(value) or (kind == "crb" and value <= 0):
        raise InputError(f"a limit of sensing is finite, and above 0 for the RCRB; got {value:g}")
    return math.radians(value) if kind == "crb" else 10 ** (value / 10)


def _of_goal(s: Scenario, limit: float, starts: int, steps: int, threads: int | None) -> Design:
    """The design for a limit of RCRB or SCNR."""
    with torch_threads(threads or 1):
        found = limited(flatten(s), limit, starts, steps)
    F, W = (z.reshape(*s.batch, *z.shape[1:]) for z in found.point)
    over, left, lam = (z.reshape(s.batch) for z in (found.excess, found.residual, found.multipliers.amax(-1)))
    done = (over <= 0) & (left <= TOLERANCE)
    status = torch.where(done, int(Status.CONVERGED), int(Status.ITERATION_LIMIT))
    faults = torch.where(over <= 0, 0, int(Fault.SENSING_BEYOND_LIMIT))
    return finish(s, "constrained", F, W, status=status, faults=faults, residual=left, multiplier=lam)


METHOD = Method(
    "constrained",
    constrained,
    "problem (7): R with tau at most tau_0, or with limits of RCRB or SCNR; needs one of them",
    part=SLOW,
    supports=Supports(networks=True, goals=True),
)
