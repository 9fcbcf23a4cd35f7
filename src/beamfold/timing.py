"""How long a design takes: what `beamfold bench` measures."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from beamfold.channel import saleh_valenzuela
from beamfold.methods.fast import prepare_band, prepare_fast
from beamfold.methods.unfolded import prepare
from beamfold.networks import NAMES, Network
from beamfold.registry import check_options, design, method_named
from beamfold.scenario import Scenario, make_scenario
from beamfold.sensing import Sensing
from beamfold.training import Recipe, train
from beamfold.unfolded_model import ModelInfo, UnfoldedPGA

DEADLINES_US = (1000, 500, 250, 125)
"""A slot of 5G NR at subcarrier spacings of 15, 30, 60 and 120 kHz."""
LAYERED = ("pga", "unfolded", "conventional-pga")
"""Methods of I layers with step sizes, which have a prepared form for one channel and two engines."""
NEEDED = {"inner": 20, "layers": 120, "tau_max_db": -4.0}
"""J, I and τ₀ for the methods that have them, where they are not given."""


def options_of(
    method: str,
    *,
    inner: int | None = None,
    layers: int | None = None,
    depth: str | None = None,
    tau_max_db: float | None = None,
) -> dict[str, Any]:
    """The options that a method is timed with: those given, and `NEEDED` for those that it has.

    Raises:
        InputError: an unknown method, or an option that it does not have.
    """
    asked = {"inner": inner, "layers": layers, "depth": depth, "tau_max_db": tau_max_db}
    given = {name: value for name, value in asked.items() if value is not None}
    check_options(method, given)
    known = method_named(method).options
    return {name: value for name, value in NEEDED.items() if name in known} | given


def latency(
    call: Callable[[int], object], count: int, tick: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Percentiles over `count` calls, one after another, each timed by itself; microseconds."""
    taken = np.empty(count)
    for i in range(count):
        begin = time.perf_counter_ns()
        call(i)
        taken[i] = (time.perf_counter_ns() - begin) / 1e3
        if i % 100 == 0:
            tick(i)
    p50, p99 = np.percentile(taken, [50, 99])
    return {
        "latency_us": {"p50": float(p50), "p99": float(p99), "max": float(taken.max())},
        "deadline_misses": {str(limit): int((taken > limit).sum()) for limit in DEADLINES_US},
    }


def prepared(
    method: str, options: dict[str, Any], radar: Sensing | Sequence[Sensing], s: Scenario
) -> Callable[[int], object]:
    """One design per call: the prepared form of the layered methods and of fast where it can do the network.

    `design` for the rest.

    Args:
        method: a name of `registry.METHODS`.
        options: from `options_of`; `model` of the unfolded method, else constant step sizes.
        radar: Ψ; of a band one for all subcarriers or one for each.
        s: the channels (B, K, N), of a band (B, S, K, N); call i designs for channel i mod B.
    """
    H = s.H.numpy()
    snr_db, weight = 10 * float(np.log10(float(s.power[0]) / s.noise)), float(s.weight[0])
    if method == "fast" and s.band is not None:
        band = prepare_band(
            radar, users=s.users, chains=s.chains, network=s.network, snr_db=snr_db, weight=weight,
            noise=s.noise, **options,
        )  # fmt: skip
        band(H[0])  # compiles, or loads what was compiled
        return lambda i: band(H[i % len(H)])
    if s.band is not None or not isinstance(radar, Sensing):
        return lambda i: design(s[i % len(H)], method, **options)
    if method in LAYERED and one_by_one(s.network):
        layers = options["layers"]
        model = options.get("model") or untrained(s, layers, options.get("inner", 1))
        go = prepare(model, radar, snr_db=snr_db, weight=weight, noise=s.noise, layers=layers)
        return lambda i: go(H[i % len(H)])
    if method == "fast" and s.network.bits is None:
        quick = prepare_fast(
            radar, users=s.users, network=s.network, snr_db=snr_db, weight=weight, noise=s.noise,
            goal=s.goal, **options,
        )  # fmt: skip
        return lambda i: quick(H[i % len(H)])
    return lambda i: design(s[i % len(H)], method, **options)


def throughput(s: Scenario, method: str, options: dict[str, Any], repeats: int = 3) -> float:
    """Designs per second of the whole batch at once, the best of a few runs."""
    design(s[:2], method, **options)
    rates = []
    for _ in range(repeats):
        begin = time.perf_counter()
        design(s, method, **options)
        rates.append(s.batch[0] / (time.perf_counter() - begin))
    return max(rates)


def one_by_one(network: Network) -> bool:
    """Whether the layers have a prepared form for one channel: named networks of fixed connections."""
    return network.bits is None and not network.dynamic and network.name in NAMES


def loss(s: Scenario, method: str, options: dict[str, Any]) -> float:
    """Mean R − ω τ that the kernel gives away against the readable path in complex128; 0 without a kernel."""
    if s.band is not None or not (s.network.full or s.network.one_chain_each):
        return 0.0
    fast = design(s, method, **options, engine="kernel")
    exact = design(s, method, **options, engine="torch")
    return float((exact.objective - fast.objective).mean())


def updates_per_second(recipe: Recipe, radar: Sensing, users: int, chains: int) -> float:
    """Training updates of one batch each, second epoch of a short training."""
    H = saleh_valenzuela(radar.antennas, users, 4 * recipe.batch, seed=1)
    steps = train(recipe, H, radar, chains=chains)
    next(steps)
    begin = time.perf_counter()
    next(steps)
    return 4 / (time.perf_counter() - begin)


def peak_memory_mib() -> float:
    """Largest resident size of this process so far; NaN where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return math.nan
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def untrained(s: Scenario, layers: int, inner: int) -> UnfoldedPGA:
    """Constant step sizes for a scenario's sizes and network: PGA as a model, where only time matters."""
    info = ModelInfo(
        s.antennas, s.users, s.chains, 1 / s.antennas, note="constant step sizes", network=s.network.name
    )
    return UnfoldedPGA(info, layers, inner)


def channels(
    users: int,
    network: Network,
    count: int,
    radar: Sensing | Sequence[Sensing],
    snr_db: float,
    band: Mapping[str, Any] | None = None,
) -> Scenario:
    """Fresh channels to measure on; of a band, with what `saleh_valenzuela` takes for one, at its carrier."""
    if band is None:
        H = saleh_valenzuela(network.antennas, users, count, seed=12345)
        return make_scenario(H, radar, snr_db=snr_db, network=network)
    H, f = saleh_valenzuela(network.antennas, users, count, seed=12345, **band)
    carrier = band["carrier_hz"]
    return make_scenario(H, radar, snr_db=snr_db, network=network, frequencies=f, carrier_hz=carrier)
