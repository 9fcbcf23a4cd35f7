"""Python entry point of the fast design of bands: one F for all subcarriers of a channel, W of each.

What a channel is designed from is in `band_choice`, how in `band_design`. Where one subcarrier stands for all
F is that of the narrowband kernel; a band of one subcarrier is a narrowband channel, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.band_choice import Choice, choose, radar_angles
from beamfold.kernels.band_design import design_band
from beamfold.kernels.band_work import help_out
from beamfold.kernels.band_workspace import GROUPS, BandPlan, Complex, Real, Task, band_layout, thread_layout
from beamfold.kernels.fast_loud import deepen, value
from beamfold.kernels.fast_setting import CONSTANTS, ROUNDING, Plan, Setting, mixing
from beamfold.kernels.fast_workspace import Constants, Problem
from beamfold.kernels.linalg import Planes
from beamfold.kernels.planes import to_planes, up
from beamfold.kernels.simd import LANES
from beamfold.kernels.team import SIZE, STOP, publish
from beamfold.kernels.workspace import buffer_for, floats
from beamfold.networks import Network
from beamfold.threads import cores, parallel_for

TURNS, ALTERNATIONS, LAST = 4, 10, 30
"""Subspace iterations and alternations of a band, and BFGS steps of all W at the end."""
DIGITAL, ROUGH = 16, 8
"""Digital optima in full, and the steps of each where many share one F: F is begun from all of them together,
and an error of one matters the less the more they are."""


def plan_of_band(plan: Plan) -> BandPlan:
    """The work on a band in the terms of the narrowband plan."""
    alternations = min(ALTERNATIONS, plan.alternations)
    return BandPlan(plan.digital, TURNS, alternations, plan.first, plan.inner, plan.steps, LAST)


class BandSetting:
    """What the kernel is given besides the channels of a band.

    Args:
        U: (1, N, r) or (S, N, r) complex, Ψ_s ≈ U_s U_sᴴ at unit power.
        square: (1,) or (S,), ‖Ψ_s‖² at unit power.
        users: K.
        network: the analog network, M chains.
        noise: σ².
        plan: the work per design.
        dtype: np.float32 or np.float64.
        tolerance: stop where the next step of F promises less than this.
        which: the start, see `fast.mixing`.
        subset: how many subcarriers F is found from; None for as many as the channels need.
        constants: first steps and candidates.
    """

    def __init__(
        self, U: Complex, square: Real, *, users: int, network: Network, noise: float, plan: Plan,
        dtype: Any = np.float32, tolerance: float = 0.0, which: int = 0, subset: int | None = None,
        constants: Constants = CONSTANTS,
    ) -> None:  # fmt: skip
        (count, antennas, rank), chains = U.shape, network.chains
        self.sizes = antennas, users, chains, rank
        self.one = Setting(
            U[0], float(square[0]), users=users, network=network, noise=noise, plan=plan, dtype=dtype,
            tolerance=tolerance, which=which, constants=constants,
        )  # fmt: skip
        self.dtype, self.which, self.subset, self.separate = dtype, which, subset, count > 1
        self.U, self.square = U, np.asarray(square, np.float64)
        planes = to_planes(np.swapaxes(U, -1, -2), up(antennas, LANES), dtype)
        self.planes = planes.reshape(2 * count, rank, -1)
        self.radar = radar_angles(U) if count > 1 else np.zeros(1)
        self._mixing: dict[int, Planes] = {}
        self.plan = plan_of_band(plan)

    def choice(self, H: Complex) -> Choice:
        """The subcarriers from which F is found for H (S, K, N)."""
        return choose(H, self.radar, self.subset)

    def mixing(self, chosen: int) -> Planes:
        """The combinations of the eigenvectors whose phases F starts from."""
        _, K, M, _ = self.sizes
        columns = min(M, chosen * K)
        if columns not in self._mixing:
            self._mixing[columns] = to_planes(mixing(M, columns, self.which).T.conj(), up(M, 4), self.dtype)
        return self._mixing[columns]


class Space:
    """Working space for one channel at a time, and the threads that help with it."""

    def __init__(self, setting: BandSetting, helpers: int, pool: ThreadPoolExecutor | None) -> None:
        layout = thread_layout(*setting.sizes, setting.separate)
        self.buffers = [buffer_for(layout, setting.dtype) for _ in range(helpers + 1)]
        self.pool, self.shared = pool, np.zeros(0, setting.dtype)
        self._setting = setting

    def for_band(self, chosen: int) -> Planes:
        """Zeros for the arrays of a band of so many chosen subcarriers."""
        layout = band_layout(*self._setting.sizes, chosen, self._setting.separate)
        if floats(layout) > len(self.shared):
            self.shared = buffer_for(layout, self._setting.dtype)
        else:
            self.shared[: floats(layout)] = 0
        return self.shared[: floats(layout)]


def design_one(
    F: Complex, W: Complex, H: Complex, setting: BandSetting, power: float, weight: float, space: Space, *,
    given: bool = False, free: Planes | None = None,
) -> tuple[float, int]:  # fmt: skip
    """Fill F (N, M) and W (S, M, K) for H (S, K, N); f and the steps of F made.

    Args:
        F: see above.
        W: see above.
        H: the channels of one band.
        setting: all that does not depend on the channel.
        power: P_t.
        weight: ω.
        space: working space and threads.
        given: F and W hold the start.
        free: as of `Setting.planes_of`, 1 where F may change.
    """
    problem = setting.one.problem(power, weight)
    if len(H) == 1:
        one = setting.one if not given else _from_start(setting.one)
        with one.buffers.lent() as buffer:
            return one.one(F, W[0], H[0], power, weight, buffer, free)
    choice = choose(H, setting.radar, len(H)) if given else setting.choice(H)
    plan, done = setting.plan, 0
    shared = max(ROUGH, DIGITAL * plan.digital // len(choice.chosen))
    plan = plan._replace(digital=min(plan.digital, shared))
    if len(choice.chosen) == 1 and not setting.separate:
        s = int(choice.chosen[0])
        with setting.one.buffers.lent() as buffer:
            _, done = setting.one.one(F, W[s], H[s], power, weight, buffer, free)
        plan, given = plan._replace(steps=0), True
    if given:
        plan = plan._replace(digital=-1)
    task = _task(F, W, H, setting, choice)
    made = _run(task, setting, problem, plan, space, setting.one.mask if free is None else free)
    for s in np.flatnonzero(task.loud).tolist():
        task.f[s] = _deepened(F, W[s], H[s], setting, s, problem)
    return float(task.f.mean()), max(made, done)


def _from_start(one: Setting) -> Setting:
    """The narrowband setting that starts from what the arrays hold."""
    import copy

    other = copy.copy(one)
    other.plan = one.plan._replace(digital=-1)
    return other


def _task(F: Complex, W: Complex, H: Complex, setting: BandSetting, choice: Choice) -> Task:
    (S, K, _), n, M = H.shape, len(choice.chosen), F.shape[1]
    return Task(
        H=H, U=setting.planes, square=setting.square, chosen=choice.chosen, nearest=choice.nearest,
        share=choice.share, order=np.zeros((n, K), np.int64), updates=np.zeros(n, np.int64), F=F,
        gram=np.zeros((M, M), np.complex128), W=W, f=np.zeros(S), loud=np.zeros(S, np.int64),
    )  # fmt: skip


def _run(
    task: Task, setting: BandSetting, problem: Problem, plan: BandPlan, space: Space, free: Planes
) -> int:
    """The design of one band, by this thread and those that help it."""
    n, one = len(task.chosen), setting.one
    shared, team = space.for_band(n), buffer_for((1, 1, SIZE), np.int64)
    helping = []
    if space.pool is not None and n > 1:
        for me, own in enumerate(space.buffers[1:], 1):
            numbers = problem, one.constants, plan
            helping += [space.pool.submit(help_out, me, team, task, shared, own, *numbers)]
    try:
        done = design_band(
            task, setting.mixing(n), free, one.dynamic, problem, one.constants, plan, team, len(helping),
            shared, space.buffers[0],
        )  # fmt: skip
    except BaseException:  # the helpers would wait for ever
        publish(team, STOP, len(helping), 0)
        raise
    for each in helping:
        each.result()
    return done


def _deepened(F: Complex, W: Complex, H: Complex, setting: BandSetting, s: int, problem: Problem) -> float:
    """W (M, K) of subcarrier s as good as F allows where a user was too loud for the kernel, and its f."""
    U = setting.U[s if setting.separate else 0]
    numbers = problem._replace(square=float(setting.square[s if setting.separate else 0]))
    deep = deepen(F, W, H, problem.power, problem.gain)
    values = [value(F, each, H, U, numbers) for each in (W, deep)]
    if values[1] > values[0]:
        W[:] = deep
    return max(values)


@contextmanager
def helpers_of(count: int) -> Iterator[ThreadPoolExecutor | None]:
    """Threads that wait for work, or None for none."""
    if count == 0:
        yield None
        return
    with ThreadPoolExecutor(count) as pool:
        yield pool


class PreparedBand:
    """The fast design of the bands of one deployment: call it with H (S, K, N), get F, all W_s and the steps.

    Everything that does not depend on the channel is ready. One caller at a time: the working space and the
    helping threads are the object's. The design is not compared with the start (26), which would take longer.
    """

    def __init__(self, setting: BandSetting, power: float, weight: float, threads: int) -> None:
        threads = min(threads, GROUPS)
        pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None
        self._setting, self._numbers = setting, (power, weight)
        self._space = Space(setting, threads - 1, pool)

    def __call__(self, H: Complex) -> tuple[Complex, Complex, int]:
        """F (N, M), W (S, M, K) for H (S, K, N) with rows h_kᴴ, and the steps of F that were made."""
        N, K, M, _ = self._setting.sizes
        F, W = np.zeros((N, M), np.complex128), np.zeros((len(H), M, K), np.complex128)
        H = np.ascontiguousarray(H, np.complex128)
        _, done = design_one(F, W, H, self._setting, *self._numbers, self._space)
        return F, W, done


class BandResult(NamedTuple):
    """Designs of bands."""

    F: Complex
    """(count, N, M)."""
    W: Complex
    """(count, S, M, K)."""
    f: Real
    """(count,), the mean over the subcarriers."""
    done: NDArray[np.int64]
    """(count,), steps of F."""


def run_band(
    H: Complex, U: Complex, square: Real, power: list[float], weight: list[float], *, noise: float,
    network: Network, plan: Plan, dtype: Any = np.float32, tolerance: float = 0.0, which: int = 0,
    start: tuple[Complex, Complex] | None = None, subset: int | None = None, free: Planes | None = None,
    threads: int | None = None, constants: Constants = CONSTANTS,
) -> BandResult:  # fmt: skip
    """The fast design of several bands, each subcarrier at power P_t, from its own start or a given one.

    Threads take a channel each; where there are fewer channels than threads, all work on one channel.

    Args:
        H: (count, S, K, N) with rows h_kᴴ.
        U: (1, N, r) or (S, N, r), Ψ_s ≈ U_s U_sᴴ at unit power.
        square: (1,) or (S,), ‖Ψ_s‖².
        power: P_t of each channel.
        weight: ω of each channel.
        noise: σ².
        network: the analog network, M chains.
        plan: the work per design.
        dtype: np.float32 or np.float64.
        tolerance: stop where the next step of F promises less than this.
        which: the start, see `fast.mixing`.
        start: F (count, N, M) and W (count, S, M, K); then F is found from all subcarriers.
        subset: how many subcarriers F is found from; None for as many as the channels need.
        free: (count, N, M) of zeros and ones, 1 where F of a given start may change.
        threads: how many work; default all cores.
        constants: first steps and candidates.
    """
    (count, S, K, N), M = H.shape, network.chains
    H = np.ascontiguousarray(H, np.complex128)
    setting = BandSetting(
        U, square, users=K, network=network, noise=noise, plan=plan, dtype=dtype, tolerance=tolerance,
        which=which, subset=subset, constants=constants._replace(rounding=ROUNDING[dtype]),
    )  # fmt: skip
    if start is None:
        F, W = np.zeros((count, N, M), np.complex128), np.zeros((count, S, M, K), np.complex128)
    else:
        F, W = (np.array(z, np.complex128) for z in start)
    f, done = np.empty(count), np.empty(count, np.int64)
    workers = threads or cores()
    helpers = min(workers, GROUPS) - 1 if count < workers else 0

    def work(first: int, last: int) -> None:
        with helpers_of(helpers) as pool:
            space = Space(setting, helpers, pool)
            for b in range(first, last):
                f[b], done[b] = design_one(
                    F[b], W[b], H[b], setting, power[b], weight[b], space, given=start is not None,
                    free=None if free is None else setting.one.planes_of(free[b]),
                )  # fmt: skip

    parallel_for(work, count, 1 if helpers else workers)
    return BandResult(F, W, f, done)
