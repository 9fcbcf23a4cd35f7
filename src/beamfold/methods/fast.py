"""The fast hybrid design: few steps, each worth many of the paper's.

docs/explanations/fast-design.md has the algorithm.

F's phases are the variable, W follows each F by a few quasi-Newton steps, the power is normalised inside the
objective, and the start is the fully digital optimum, factorised. No trained parameter: the same constants
serve every SNR, weight and size.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch

from beamfold.defaults import WEIGHT
from beamfold.errors import InputError
from beamfold.method import Method, Supports, check_supported
from beamfold.networks import Network, fully_connected
from beamfold.optim.band_search import conclude, factors, search
from beamfold.optim.layers import Engine
from beamfold.optim.local_maximum import conclude_search
from beamfold.radar.goal import Goal
from beamfold.result import Design
from beamfold.scenario import Scenario, check_on_cpu
from beamfold.sensing import Sensing
from beamfold.threads import check_threads, torch_threads

if TYPE_CHECKING:
    from beamfold.kernels.band import PreparedBand
    from beamfold.kernels.fast import Prepared
    from beamfold.kernels.fast_setting import Plan

DEPTHS: dict[str, dict[str, int]] = {
    "start": {"steps": 0},
    "shallow": {"alternations": 14, "first": 6, "steps": 19},
    "medium": {"steps": 30},
    "deep": {"steps": 60},
    "deeper": {"steps": 100},
    "raced": {
        "digital": 60, "alternations": 40, "first": 1, "starts": 2, "trial": 25, "further": 30, "steps": 65,
    },
    "deepest": {
        "digital": 40, "alternations": 40, "first": 3, "starts": 4, "trial": 15, "further": 30, "steps": 160,
    },
}  # fmt: skip
"""Named depths: what differs from `kernels.fast_setting.plan_for`. "raced" takes 1.3 times the time of
"deeper", for two starts of which the better goes on; "deepest" twice as long, for four."""
ON_A_NETWORK: dict[str, dict[str, int]] = {
    "deep": {"starts": 2, "trial": 10, "steps": 40},
    "deeper": {"starts": 3, "trial": 60, "steps": 60},
    "raced": {"starts": 3, "trial": 60, "steps": 60},
    "deepest": {"starts": 6, "trial": 60, "steps": 100},
}
"""What differs from `DEPTHS` where not every chain is on every antenna: there the start decides more."""
SEVERAL = ("starts", "trial", "further")
"""What a band leaves out: its kernel takes one start."""
ONE_START: dict[str, dict[str, int]] = {"deep": {"steps": 42}}
"""In the place of `ON_A_NETWORK` for M ≥ 2 K chains of fixed connections: a second start gains little."""


ON_A_BAND: dict[str, dict[str, int]] = {"raced": {"steps": 100}, "deepest": {"steps": 200}}
"""What differs from `DEPTHS` on a band, whose kernel takes one start. "deep" is the same, so that equal
subcarriers get the design of one of them."""


def _work(
    depth: str | None, steps: int | None, users: int, network: Network, *, band: bool = False
) -> dict[str, int]:
    """What differs from `kernels.fast_setting.plan_for` at a named depth, or with so many steps."""
    if depth is not None and depth not in DEPTHS:
        raise InputError(f"no depth {depth!r}; known: {', '.join(DEPTHS)}")
    if steps is not None and steps < 0:
        raise InputError(f"the fast design needs steps >= 0, got {steps}")
    given = dict((DEPTHS | ON_A_BAND if band else DEPTHS)[depth or "deep"])
    if not network.full:
        given = {"steps": given["steps"]}
        one_start = network.chains >= 2 * users and not network.dynamic
        several = ON_A_NETWORK | ONE_START if one_start else ON_A_NETWORK
        given |= {"alternations": 10} | several.get(depth or "deep", {})
    if steps is not None:
        given["steps"] = steps
    return {key: value for key, value in given.items() if not (band and key in SEVERAL)}


def work_plan(depth: str | None, steps: int | None, rank: int, users: int, network: Network) -> Plan:
    """The work of a design at a named depth, or with so many steps of F, for Ψ of rank r."""
    from beamfold.kernels.fast_setting import exact_plan, plan_for

    work = _work(depth, steps, users, network)
    if network.realises(users):
        return exact_plan(users, network, rank, work["steps"])
    plan = plan_for(users, network, rank, **work)
    if (
        users == network.chains == 1
    ):  # W is one number: the power sets its modulus, and f knows no phase of it
        return plan._replace(first=0, inner=0)
    return plan


def _check_torch(s: Scenario) -> None:
    """Raise InputError where the design in torch is not for a scenario."""
    needed = (
        (s.band is not None, "flat channels"),
        (s.network.bits is not None, "continuous phases"),
        (s.goal is not None, "tau as its sensing objective"),
    )
    for missing, what in needed:
        if missing:
            raise InputError(f"fast with engine='torch' is for {what}; compiled code does it on the CPU")


def fast(
    s: Scenario,
    *,
    steps: int | None = None,
    depth: str | None = None,
    precision: Literal["single", "double"] = "single",
    tolerance: float = 0.0,
    engine: Engine = "auto",
    threads: int | None = None,
) -> Design:
    """The fast design of every channel of a scenario; for R − ω τ, or R + ω c of another goal.

    Where M ≥ 2 K chains are on every antenna, F W can be any X. It is then the fully digital optimum, after
    three steps of X in the place of each step of F, and `iterations` is 0.

    Args:
        s: the scenario. On a band F is found from as many subcarriers as its channels need, W_s for all.
        steps: steps of F, default 60; on a network that is not fully connected those from the best start.
        depth: a name of `DEPTHS`; `steps` overrides its number of steps. On a network that is not fully
            connected "deeper" and "raced" take three starts a short way, "deep" two, or one where M ≥ 2 K and
            the connections are fixed. Default "deep", on such a network "deeper" unless steps are given.
        precision: arithmetic of the kernel; the design's figures are complex128 in any case.
        tolerance: stop a channel where its next step promises a gain below this.
        engine: "kernel" (compiled, on the CPU), "torch" (the same steps written in torch, for flat channels,
            tau and continuous phases, on any device) or "auto": compiled where the channels are on the CPU.
        threads: how many share the batch of a compiled design; default all cores.

    Returns:
        A `Design` that is nowhere worse than the paper's start (26). CONVERGED where its `residual` is at
        most `local_maximum.STATIONARY`, else ITERATION_LIMIT; the fault START_RETURNED where it is the start.

    Raises:
        InputError: an unknown depth or steps < 0, or what the engine is not for.
    """
    import numpy as np

    from beamfold.kernels.fast_setting import columns

    check_supported(METHOD, s)
    if engine not in ("auto", "kernel", "torch"):
        raise InputError(f"engine is auto, kernel or torch, got {engine!r}")
    if engine == "kernel":
        check_on_cpu(s, "fast with engine='kernel'")
    compiled = engine == "kernel" or (engine == "auto" and s.H.device.type == "cpu")
    if not compiled:
        _check_torch(s)
    dtype: Any = np.float64 if precision == "double" else np.float32
    if s.band is not None:
        work = _work(depth, steps, s.users, s.network, band=True)
        with torch_threads():
            point, _, done = search(s, dtype=dtype, tolerance=tolerance, threads=threads, **work)
            return conclude(s, "fast", point, done)
    usual = "deep" if s.network.full or steps is not None else "deeper"
    plan = work_plan(depth or usual, steps, columns(s.radar, s.goal, dtype).shape[1], s.users, s.network)
    if not compiled:
        from beamfold.optim.projected import run_projected

        run: Any = partial(run_projected, dtype=torch.float64 if precision == "double" else torch.float32)
    else:
        from beamfold.kernels.fast import run_fast

        run = partial(run_fast, dtype=dtype, threads=threads)
    with torch_threads() if compiled else nullcontext():
        point, _, done = run(s, plan, tolerance=tolerance)
        return conclude_search(s, "fast", point, threads=threads, iterations=done)


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
    network: Network | None = None,
    goal: Goal | None = None,
) -> Prepared:
    """The fast design made ready for one deployment: `prepare_fast(…)(H)` gives F, W and the steps it took.

    Like the batch's, the design is nowhere worse than the start (26).

    Everything that does not depend on the channel is done here; the call takes NumPy and gives NumPy.

    Args:
        radar: Ψ of the array's N.
        users: K.
        chains: M, default that of the network, else K.
        snr_db: P_t/σ² in dB.
        weight: ω.
        noise: σ².
        steps: steps of F.
        depth: a name of `DEPTHS`.
        budget_us: microseconds per design; how many steps of F fit is measured once, now, on this machine,
            and is the result's `steps`. A quarter is left free for the tail; 0 steps where even the start
            does not fit.
        precision: arithmetic of the kernel.
        network: the analog network, with continuous phases; default fully connected. A dynamic one makes the
            comparison with the start (26), which chooses its connections, take milliseconds.
        goal: another sensing objective than τ: R + ω c is designed for, as by a scenario with this `goal`.

    Raises:
        InputError: an unknown depth, steps < 0, a network for other sizes, or a goal of another array.
    """
    import numpy as np

    from beamfold.channel import saleh_valenzuela
    from beamfold.kernels.fast import Prepared, calibrate
    from beamfold.kernels.fast_guard import Guard
    from beamfold.kernels.fast_setting import columns, setting_for

    chains = (users if network is None else network.chains) if chains is None else chains
    network = fully_connected(radar.antennas, chains) if network is None else network
    if (network.antennas, network.chains) != (radar.antennas, chains):
        raise InputError(
            f"the network {network.label} is for {network.antennas} antennas and {network.chains} chains, "
            f"found {radar.antennas} and {chains}"
        )
    if goal is not None and not goal.scene.array.same_as(radar.array):
        raise InputError(
            f"the goal is for the array {goal.scene.array.name}, Psi for {radar.array.name}; take one array"
        )
    if network.bits is not None:
        raise InputError(f"a prepared design has continuous phases, the network has {network.bits} bits")
    dtype: Any = np.float64 if precision == "double" else np.float32
    plan = work_plan(depth, steps, columns(radar, goal, dtype).shape[1], users, network)
    setting = setting_for(radar, goal, users=users, network=network, noise=noise, plan=plan, dtype=dtype)
    power = noise * 10 ** (snr_db / 10)
    guard = Guard(radar, users=users, network=network, power=power, weight=weight, noise=noise, goal=goal)
    go = Prepared(setting, power, weight, guard)
    if budget_us is not None:
        channels = saleh_valenzuela(radar.antennas, users, 20, seed=0).numpy()
        go.steps = calibrate(go, channels, budget_us)
    return go


def prepare_band(
    radar: Sensing | Sequence[Sensing],
    *,
    users: int,
    chains: int,
    snr_db: float,
    weight: float = WEIGHT,
    noise: float = 1.0,
    steps: int | None = None,
    depth: str | None = None,
    precision: Literal["single", "double"] = "single",
    network: Network | None = None,
    threads: int = 1,
) -> PreparedBand:
    """The fast design of bands made ready: `prepare_band(…)(H)` gives F, W and the steps for H (S, K, N).

    Args:
        radar: Ψ of all subcarriers, or a sequence with one for each.
        users: K.
        chains: M.
        snr_db: P_t/σ² in dB, on every subcarrier.
        weight: ω.
        noise: σ².
        steps: steps of F.
        depth: a name of `DEPTHS`.
        precision: arithmetic of the kernel.
        network: the analog network, with continuous phases; default fully connected.
        threads: how many work on one band; the result does not depend on it.

    Raises:
        InputError: an unknown depth, steps < 0, or more threads than processors.
    """
    import numpy as np

    from beamfold.kernels.band import BandSetting, PreparedBand
    from beamfold.kernels.fast_setting import DROPPED, plan_for

    radars = (radar,) if isinstance(radar, Sensing) else tuple(radar)
    network = fully_connected(radars[0].antennas, chains) if network is None else network
    dtype: Any = np.float64 if precision == "double" else np.float32
    U, square = factors(radars, DROPPED[dtype])
    work = _work(depth, steps, users, network, band=True)
    plan = plan_for(users, network, U.shape[-1], **work)
    setting = BandSetting(U, square, users=users, network=network, noise=noise, plan=plan, dtype=dtype)
    return PreparedBand(setting, noise * 10 ** (snr_db / 10), weight, check_threads(threads))


METHOD = Method(
    "fast",
    fast,
    "R - omega tau, or with crb and scnr: phases of F with W following; any size, no training",
    supports=Supports(networks=True, bits=True, band=True, flat_goals=True, device=True),
)
