"""What a fast design is given besides its channel: the plan of its work, and all that a deployment shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beamfold.kernels.compiled import direct
from beamfold.kernels.fast_channel import GRID
from beamfold.kernels.fast_design import Shared, designs
from beamfold.kernels.fast_loud import deepen, value
from beamfold.kernels.fast_workspace import Constants, Problem, layout
from beamfold.kernels.goal_form import goal_form, problem_for
from beamfold.kernels.planes import to_planes, up
from beamfold.kernels.sensing_start import SensingStart
from beamfold.kernels.simd import LANES
from beamfold.kernels.workspace import Buffers
from beamfold.networks import Network
from beamfold.radar.goal import Goal
from beamfold.sensing import Sensing

Complex = NDArray[np.complex128]
Planes = NDArray[Any]
Real = NDArray[np.float64]
DROPPED = {np.float32: 1e-3, np.float64: 1e-7}
"""Eigenvalues of Ψ below this fraction of the largest are left out of U; ‖Ψ‖² is the whole of it."""


ROUNDING = {np.float32: 2e-6, np.float64: 1e-12}
"""The share of a column's energy below which what the others leave of it counts as rounding."""


STEPS_OF_X = 3
"""Steps of X that take the place of one of F where all are made for X; together they take less time."""


SENSING_STARTS, SENSING_STEPS, SENSING_POLISH = 16, 40, 600
"""Of `sensing_start`: how many starts, the steps of each, and those from the best."""


class Plan(NamedTuple):
    """How much work a design is, in the order in which it is done."""

    digital: int = 20
    """L-BFGS steps of the digital optimum in the small space."""
    alternations: int = 20
    """Alternations F = e^{j∠(X Wᴴ)}, W = F^† X of its factorisation; below 0 it is `two_chains_each`."""
    first: int = 10
    """BFGS steps of W before F moves."""
    inner: int = 3
    """BFGS steps of W per step of F."""
    steps: int = 60
    """L-BFGS steps of F's phases."""
    starts: int = 1
    """Starts of F, of which the best goes on."""
    trial: int = 0
    """Steps of F's phases from each of several starts."""
    further: int = 0
    """Alternations of every start but the first; on a network that is not fully connected they would bring
    all to one F."""


def plan_for(users: int, network: Network, rank: int, **given: int) -> Plan:
    """The plan with what is given, made to fit K, M and Ψ's rank r.

    The digital optimum has 2 K (K + r) unknowns and takes steps in proportion, 20 to 40. The M − K columns of
    F that begin as random combinations of the others need more alternations to find their place.
    """
    digital = min(max(users * (users + rank) // 3, Plan().digital), 40)
    alternations = Plan().alternations * (2 if network.chains > users and network.full else 1)
    return Plan(digital, alternations)._replace(**given)


def exact_plan(users: int, network: Network, rank: int, steps: int) -> Plan:
    """For M ≥ 2 K chains on every antenna, where F W can be any X: all steps are made for X."""
    plan = plan_for(users, network, rank)
    digital = plan.digital + STEPS_OF_X * steps
    return plan._replace(digital=digital, alternations=-1, first=0, inner=0, steps=0)


CONSTANTS = Constants()


@lru_cache(maxsize=256)
def mixing(chains: int, users: int, which: int = 0) -> Complex:
    """(M, K): F starts from the phases of X times its transpose. 0 is the identity, others random unitary.

    For M > K the rows beyond the identity are those of a random unitary matrix, too: deterministic.
    """
    size = max(chains, users)
    g = np.random.default_rng([17, which])
    Q = np.linalg.qr(g.standard_normal((size, size)) + 1j * g.standard_normal((size, size)))[0][
        :chains, :users
    ]
    if which == 0:
        Q[:users] = np.eye(users)
    Q = np.ascontiguousarray(Q)
    Q.flags.writeable = False  # the same array for every call
    return Q


class Setting:
    """What the kernel is given besides a channel: Ψ's factor, power, weight, noise, in its precision.

    Args:
        U: (N, r) complex, Ψ ≈ U Uᴴ at unit power.
        square: ‖Ψ‖² at unit power.
        network: the analog network, M chains.
        users: K.
        noise: σ².
        plan: the work per design.
        dtype: np.float32 or np.float64.
        tolerance: stop where the next step of F promises less than this.
        which: the start, see `mixing`.
        constants: first steps and candidates.
        goal: another goal than τ, whose columns U are.
        sense: F_0 (N, M) and W_0 (M, K) of `sensing_start`, as another start.
    """

    def __init__(
        self, U: Complex, square: float, *, users: int, network: Network, noise: float, plan: Plan,
        dtype: Any = np.float32, tolerance: float = 0.0, which: int = 0, constants: Constants = CONSTANTS,
        goal: Goal | None = None, sense: tuple[Complex, Complex] | None = None,
    ) -> None:  # fmt: skip
        (antennas, rank), chains = U.shape, network.chains
        self.sizes = antennas, users, chains, rank
        self.goal = goal
        self.dtype, self.square, self.noise = dtype, square, noise
        self._U = U
        self.U = to_planes(U.T, up(antennas, LANES), dtype)
        if which > 0 and not network.full and not network.dynamic:
            plan = plan._replace(alternations=0)  # they would bring all starts to one F
        several = [mixing(chains, users, which + i).T.conj() for i in range(plan.starts)]
        self.mixing = np.concatenate([to_planes(Q, up(chains, 4), dtype) for Q in several])
        self.dynamic, self.mask = network.dynamic, self.planes_of(network.mask.cpu().numpy())
        self.plan = plan
        self.constants = constants._replace(rounding=ROUNDING[dtype], tolerance=float(tolerance))
        self.buffers = Buffers(layout(*self.sizes), dtype)
        self._direct: Any = designs
        nothing = np.zeros((2, 0, 0), dtype)
        self.sense = SensingStart(nothing, nothing)
        if sense is not None:
            F, W = sense
            self.sense = SensingStart(
                to_planes(F.T, up(antennas, LANES), dtype), to_planes(W.T, up(chains, 4), dtype)
            )

    def planes_of(self, mask: NDArray[Any]) -> Planes:
        """(N, M) of zeros and ones as (1, M padded, N padded) in the kernel's precision."""
        N, _, M, _ = self.sizes
        out = np.zeros((1, up(M, 2), up(N, LANES)), self.dtype)
        out[0, :M, :N] = mask.T
        return out

    def problem(self, power: float, weight: float) -> Problem:
        """The numbers of (8), with ω P_t² on the grid of the channels against rounding.

        Those of another goal hold working space: one thread at a time may use them.
        """
        _, users, chains, _ = self.sizes
        first = up(chains, 4) + users
        problem = problem_for(power, self.noise, weight, self.square, self.goal, first, self.dtype)
        return problem if self.goal is not None else problem._replace(omega=_on_grid(weight * power * power))

    def inputs(self, power: Sequence[float], weight: Sequence[float]) -> tuple[Real, Shared]:
        """What `filled` takes for P_t and ω (B,): the numbers of each channel, and what they have in common.

        With another goal than τ all have one ω, and one thread at a time may use the result.
        """
        problem = self.problem(power[0], weight[0])
        pairs = zip(power, weight, strict=True)
        if self.goal is not None:
            numbers = [(p, math.sqrt(p / self.noise), 0.0) for p, _ in pairs]
        else:
            numbers = [(p, math.sqrt(p / self.noise), _on_grid(w * p * p)) for p, w in pairs]
        return np.array(numbers), Shared(
            self.U, self.mixing, self.dynamic, self.constants, self.plan, problem, self.sense
        )  # fmt: skip

    def filled(
        self, F: Complex, W: Complex, H: Complex, inputs: tuple[Real, Shared], buffer: Planes,
        free: Planes | None = None, *, ours: bool = False,
    ) -> Real:  # fmt: skip
        """Fill F (B, N, M) and W (B, M, K) for H (B, K, N): f and the steps of F made (B, 2).

        `free`, as of `planes_of`, is 1 where F may change; the whole network unless given. With `ours` the
        arrays are known to be contiguous and aligned, of complex128: see `compiled.direct`.
        """
        numbers, shared = inputs
        before = (F.copy(), W.copy()) if self.plan.digital < 0 else None
        found = np.empty((len(H), 3))
        arguments = (F, W, H, self.mask if free is None else free, numbers, shared, buffer, found)
        run = self._direct if ours else designs
        run(*arguments)
        if ours and run is designs:
            self._direct = direct(designs, *arguments)
        sensed = shared.problem.sensed
        if self.goal is not None and sensed is not None:
            found[:, 0] += sensed.weight * goal_form(self.goal).constant
        for b in found[:, 2].nonzero()[0].tolist():
            given = None if before is None else (before[0][b], before[1][b])
            power, gain, omega = numbers[b].tolist()
            problem = shared.problem._replace(power=power, gain=gain, omega=omega)
            found[b, 0] = self._loud(F[b], W[b], H[b], problem, given)
        return found[:, :2]

    def one(
        self, F: Complex, W: Complex, H: Complex, power: float, weight: float, buffer: Planes,
        free: Planes | None = None,
    ) -> tuple[float, int]:  # fmt: skip
        """`filled` for one channel: f and the steps of F made."""
        inputs = self.inputs([power], [weight])
        f, done = self.filled(F[None], W[None], H[None], inputs, buffer, free)[0]
        return float(f), int(done)

    def _loud(
        self, F: Complex, W: Complex, H: Complex, problem: Problem, before: tuple[Complex, Complex] | None
    ) -> float:
        """W as good as its F allows where a user was too loud for the kernel, and f; never below `before`."""
        points = [(F, W), (F, deepen(F, W, H, problem.power, problem.gain))] + ([before] if before else [])
        values = [value(F, W, H, self._U, problem, self.goal) for F, W in points]
        best = int(np.argmax(values))
        F[:], W[:] = points[best]
        return values[best]


def _on_grid(omega: float) -> float:
    """ω P_t² to `GRID` bits: equivalent problems then round alike."""
    mantissa, exponent = math.frexp(omega)
    return math.ldexp(round(math.ldexp(mantissa, GRID)), exponent - GRID)


def columns(radar: Sensing, goal: Goal | None, dtype: Any) -> Complex:
    """U (N, r): what sensing sees of X in Uᴴ X, Ψ ≈ U Uᴴ for τ."""
    U: Complex = radar.factor(DROPPED[dtype]).U.cpu().numpy() if goal is None else goal_form(goal).columns
    return U


@lru_cache(maxsize=16)
def sensing_start(radar: Sensing, network: Network, users: int, dtype: Any) -> tuple[Complex, Complex]:
    """F_0 (N, M), W_0 (M, K) of the least τ found; the columns of F_0 W_0 are orthogonal, strongest first.

    By the fast design of one channel that is as good as zero, from `SENSING_STARTS` starts, in the time of
    some twenty designs.
    """
    U = columns(radar, None, dtype)
    plan = plan_for(users, network, U.shape[1], steps=SENSING_STEPS)
    g = np.random.default_rng(19)
    H = (g.standard_normal((users, len(U), 2)) * 1e-9).view(np.complex128)[..., 0]
    F, W = np.empty((len(U), network.chains), np.complex128), np.empty((network.chains, users), np.complex128)
    best, found = -math.inf, (F, W)

    def run(plan: Plan, which: int = 0) -> float:
        setting = Setting(
            U, radar.square, users=users, network=network, noise=1.0, plan=plan, dtype=dtype, which=which
        )
        with setting.buffers.lent() as buffer:
            return setting.one(F, W, H, 1.0, 1.0, buffer)[0]

    for which in range(SENSING_STARTS):
        f = run(plan, which)
        if f > best:
            best, found = f, (F.copy(), W.copy())
    F[:], W[:] = found
    run(plan._replace(digital=-1, steps=SENSING_POLISH))
    _, _, V = np.linalg.svd(F @ W, full_matrices=False)
    return F, W @ V.conj().T


def sensing_start_of(
    radar: Sensing, network: Network, users: int, plan: Plan, dtype: Any, which: int = 0
) -> tuple[Complex, Complex] | None:
    """`sensing_start` where a design of τ has one: beside the usual start, on fixed connections."""
    if network.dynamic or which > 0 or plan.digital < 0 or plan.alternations < 0:
        return None
    return sensing_start(radar, network.continuous, users, dtype)


def setting_for(
    radar: Sensing, goal: Goal | None, *, network: Network, users: int, plan: Plan, dtype: Any,
    which: int = 0, **given: Any,
) -> Setting:  # fmt: skip
    """A `Setting` for Ψ, or for another goal than τ."""
    sense = sensing_start_of(radar, network, users, plan, dtype, which) if goal is None else None
    return Setting(
        columns(radar, goal, dtype), radar.square, network=network, users=users, plan=plan, dtype=dtype,
        which=which, goal=goal, sense=sense, **given,
    )  # fmt: skip
