"""Offline reference: the best of many starts, against which losses of faster designs are reported."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from beamfold.errors import InputError
from beamfold.method import SLOW, Method, Supports, check_supported
from beamfold.optim.band_search import conclude, search
from beamfold.optim.goal_search import TOLERANCE, best_hybrid
from beamfold.optim.local_maximum import conclude_search
from beamfold.optim.matrices import flatten
from beamfold.result import Design, Status, finish
from beamfold.scenario import Scenario
from beamfold.start import Point
from beamfold.threads import torch_threads

KICKS = 16
"""Of `few_bits.on_levels`, where the phase shifters have few bits."""


def best(
    s: Scenario,
    *,
    starts: int | None = None,
    steps: int = 300,
    polish: int = 3000,
    threads: int | None = None,
) -> Design:
    """The best local maximum of R − ω τ over `starts` deterministic starts per channel, in float64.

    Start 0 is the fast design's own; the others take the phases of X Q for random unitary Q, on a
    network that is not fully connected without alternations. All run `steps`
    steps of F; the best one of each channel goes on to `polish` steps or until nothing is gained. Where
    M ≥ 2 K chains can send any X, it is also compared with the best fully digital one.

    For another sensing objective than τ, and with sensing streams, the steps are those of L-BFGS in torch
    over F and W together (`optim.goal_search`), from the phases of X Q of the best fully digital X.

    Args:
        s: the scenario, on the CPU.
        starts: how many; default 32, and 8 for another sensing objective and on bands.
        steps: steps of F for each start.
        polish: steps of F for the best of them.
        threads: how many share the batch; default all cores.

    Returns:
        A `Design`, CONVERGED only where its `residual` is at most `local_maximum.STATIONARY`.
    """
    from beamfold.kernels.fast import run_fast
    from beamfold.kernels.fast_setting import DROPPED, exact_plan, plan_for

    check_supported(METHOD, s)
    torch_path = s.goal is not None or s.per_user.sensing > 0
    starts = (8 if torch_path or s.band is not None else 32) if starts is None else starts
    if starts < 1:
        raise InputError(f"the reference needs at least one start, got {starts}")
    if torch_path:
        return _in_torch(s, starts, steps, polish, threads)
    if s.band is not None:
        return _on_band(s, starts, steps, polish, threads)
    rank = s.radar.factor(DROPPED[np.float64]).U.shape[1]
    plan = plan_for(s.users, s.network, rank, inner=4, steps=steps)
    run = partial(run_fast, dtype=np.float64, tolerance=1e-12, threads=threads)
    value = torch.full(s.batch, -torch.inf, dtype=torch.float64)
    winner = torch.zeros(s.batch, dtype=torch.int64)
    for which in range(starts):
        _, f, _ = run(s, plan, which=which)
        winner = torch.where(f > value, which, winner)
        value = torch.fmax(f, value)
    F = torch.empty((*s.batch, s.antennas, s.chains), dtype=torch.complex128)
    W = torch.empty((*s.batch, s.chains, s.users), dtype=torch.complex128)
    for which in sorted(set(winner.flatten().tolist())):
        part = winner == which  # the same path as before, taken further
        point, _, _ = run(s[part], plan._replace(steps=max(polish, steps)), which=which)
        F[part], W[part] = point
    if s.network.realises(s.users):  # then the best fully digital X can be sent as it is
        exact = exact_plan(s.users, s.network, rank, max(polish, steps))
        point, f, _ = run(s, exact)
        above = f > s.objective(F @ W)
        F[above], W[above] = point.F[above], point.W[above]
    return conclude_search(s, "best", Point(F, W), threads=threads, kicks=KICKS)


def _on_band(s: Scenario, starts: int, steps: int, polish: int, threads: int | None) -> Design:
    """The best of several starts on a band, taken further, with F found from all subcarriers."""
    run = partial(
        search, dtype=np.float64, tolerance=1e-12, threads=threads, inner=4, subset=s.subcarriers
    )  # fmt: skip
    found = [run(s, which=which, steps=steps)[1] for which in range(starts)]
    winner = torch.stack(found).argmax(0)
    F = torch.zeros((*s.batch, s.antennas, s.chains), dtype=torch.complex128)
    W = torch.zeros((*s.H.shape[:-2], s.chains, s.users), dtype=torch.complex128)
    for which in sorted(set(winner.flatten().tolist())):
        part = winner == which
        point, _, _ = run(s[part], which=which, steps=max(polish, steps))
        F[part], W[part] = point
    return conclude(s, "best", Point(F, W))


def _in_torch(s: Scenario, starts: int, steps: int, polish: int, threads: int | None) -> Design:
    """The best of several climbs on the scenario's objective."""
    with torch_threads(threads or 1):
        point, _, residual = best_hybrid(flatten(s), starts, steps, polish)
    assert isinstance(point, Point)
    F, W = (z.reshape(*s.batch, *z.shape[1:]) for z in point)
    status = torch.where(residual <= TOLERANCE, int(Status.CONVERGED), int(Status.ITERATION_LIMIT))
    return finish(s, "best", F, W, status=status.reshape(s.batch), residual=residual.reshape(s.batch))


METHOD = Method(
    "best",
    best,
    "R - omega tau: the best of many starts, offline",
    part=SLOW,
    supports=Supports(networks=True, bits=True, band=True, goals=True, sensing_streams=True),
)
