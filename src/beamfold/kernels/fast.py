"""Python entry points of the fast design: a batch over threads, and a single-channel version.

The latter precomputes everything that does not depend on the channel.
"""

from __future__ import annotations

import math
import time
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.errors import InputError
from beamfold.kernels.fast_guard import Guard
from beamfold.kernels.fast_setting import CONSTANTS, Plan, Setting, setting_for
from beamfold.kernels.fast_workspace import Constants
from beamfold.kernels.planes import plain
from beamfold.scenario import Scenario
from beamfold.start import Point
from beamfold.threads import parallel_for

Complex = NDArray[np.complex128]


class Prepared:
    """The fast design of one deployment: call it with a channel estimate H (K, N), get F, W and the steps.

    Everything that does not depend on the channel is ready: Ψ's factor, working space, compiled code.
    The result is never below the start (26). Several threads may call it at once.
    """

    def __init__(self, setting: Setting, power: float, weight: float, guard: Guard) -> None:
        self._setting, self._guard = setting, guard
        self._numbers = [power], [weight]
        self._inputs = setting.inputs(*self._numbers)
        N, K, _, _ = setting.sizes
        self((np.eye(K, N) * math.sqrt(N) + 1e-3).astype(np.complex128))  # compiles, or loads

    @property
    def steps(self) -> int:
        """The most steps of F that a call takes; of X where F follows from X exactly, M ≥ 2 K."""
        plan = self._setting.plan
        return plan.digital if plan.alternations < 0 else plan.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        plan = self._setting.plan
        given = {"digital" if plan.alternations < 0 else "steps": steps}
        self._setting.plan = plan._replace(**given)
        self._inputs = self._setting.inputs(*self._numbers)

    def __call__(self, H: Complex) -> tuple[Complex, Complex, int]:
        """F (N, M), W (M, K) for H (K, N) with rows h_kᴴ, and the steps of F that were made.

        Raises:
            InputError: H of another shape, or with NaN or Inf.
        """
        N, K, M, _ = self._setting.sizes
        H = plain(H)
        if H.shape != (K, N):
            raise InputError(f"the design was prepared for H ({K}, {N}), users and antennas; found {H.shape}")
        F, W = np.empty((1, N, M), np.complex128), np.empty((1, M, K), np.complex128)
        with self._setting.buffers.lent() as buffer:
            own = self._setting.goal is not None  # working space in the inputs
            inputs = self._setting.inputs(*self._numbers) if own else self._inputs
            done = self._setting.filled(F, W, H[None], inputs, buffer, ours=True)[0, 1]
        self._guard(F[0], W[0], H)
        return F[0], W[0], int(done)


MARGIN = 1.25
"""p99 over p50 of a design on a quiet core: what `calibrate` leaves free of a budget."""


def calibrate(go: Prepared, channels: Complex, budget_us: float, repeats: int = 5) -> int:
    """The steps of F that fit into a budget on this machine, from the medians of 0 and of 40 steps.

    A step of F that is refused costs as much as one that is kept: the work hardly depends on the channel.
    """
    medians = []
    for steps in (0, 40):
        go.steps = steps
        taken = []
        for H in [*channels] * repeats:
            begin = time.perf_counter_ns()
            go(H)
            taken.append((time.perf_counter_ns() - begin) / 1e3)
        medians.append(float(np.median(taken)))
    each = max((medians[1] - medians[0]) / 40, 1e-3)
    return max(int((budget_us / MARGIN - medians[0]) / each), 0)


_setting = lru_cache(maxsize=8)(setting_for)
"""The same, kept for the next call: to make one takes half as long as a design."""


def run_fast(
    s: Scenario, plan: Plan, *, start: Point | None = None, dtype: Any = np.float32, tolerance: float = 0.0,
    which: int = 0, threads: int | None = None, constants: Constants = CONSTANTS, free: Tensor | None = None,
) -> tuple[Point, Tensor, Tensor]:  # fmt: skip
    """The fast design of every channel of a scenario on the CPU, from its own start or a given one.

    An entry of F that is 0 in a given start stays 0. `free` (…, N, M) of zeros and ones freezes the entries
    of a given start where it is 0: they come back as they were, while the others and W follow.

    Returns:
        F (…, N, M) and W (…, M, K) in complex128, f (…) in the kernel's precision, and the steps of F from
        the best start (…).
    """
    count, K, M, N = math.prod(s.batch), s.users, s.chains, s.antennas
    setting = _setting(
        s.radar, s.goal, users=K, network=s.network, noise=s.noise,
        plan=plan if start is None else plan._replace(digital=-1), dtype=dtype, tolerance=tolerance,
        which=which, constants=constants,
    )  # fmt: skip
    H = plain(s.H.resolve_conj().numpy().reshape(count, K, N))
    power, weight = (t.expand(s.batch).reshape(count).tolist() for t in (s.power, s.weight))
    if start is None:
        F, W = np.empty((count, N, M), np.complex128), np.empty((count, M, K), np.complex128)
    else:
        F = start.F.resolve_conj().numpy().reshape(count, N, M).astype(np.complex128, "C")
        W = start.W.resolve_conj().numpy().reshape(count, M, K).astype(np.complex128, "C")
    moving = None if free is None else free.expand(*s.batch, N, M).reshape(count, N, M).numpy()
    f, done = np.empty(count), np.empty(count, np.int64)

    def work(first: int, last: int) -> None:
        each = moving is not None or (s.goal is not None and weight != weight[:1] * count)
        with setting.buffers.lent() as buffer:
            for a, b in [(b, b + 1) for b in range(first, last)] if each else [(first, last)]:
                there = None if moving is None else setting.planes_of(moving[a])
                inputs = setting.inputs(power[a:b], weight[a:b])
                f[a:b], done[a:b] = setting.filled(F[a:b], W[a:b], H[a:b], inputs, buffer, there, ours=True).T

    parallel_for(work, count, threads)
    point = Point(torch.from_numpy(F.reshape(*s.batch, N, M)), torch.from_numpy(W.reshape(*s.batch, M, K)))
    return point, torch.from_numpy(f.reshape(s.batch)), torch.from_numpy(done.reshape(s.batch))
