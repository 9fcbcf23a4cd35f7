"""The fast design of bands: the reference's table, what left-out subcarriers cost, and the time per design.

    OMP_NUM_THREADS=1 python benchmarks/band.py ../shared/reference [--only table|radars|left-out|longer|time]

N = 64, K = 4, 28 GHz, ω = 0.3, 12 dB, the published Ψ on every subcarrier, ‖F W_s‖² = P_t on each. `table`:
mean R − 0.3 τ on the reference's channels (12 channels, S = 16) at 1 GHz and 100 MHz beside its README's.
`radars`: the same at 1 GHz with a Ψ_s for each subcarrier, and the design that ignores squint judged with
them. `left-out`: on fresh channels, how many subcarriers F is found from and what that loses against all of
them. `longer`: the default depth beside ten times its steps, from the same subcarriers and from all. `time`:
milliseconds of one call over S, on one and on two threads, median and least of --count calls, and the
exponent of the cost in S. On a shared machine the least is nearer to what the processor needs.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from published import published_radar

from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_band
from beamfold.kernels.band_choice import choose
from beamfold.methods.best import best
from beamfold.methods.fast import DEPTHS, fast, prepare_band
from beamfold.optim.band_search import search
from beamfold.scenario import Scenario, make_scenario
from beamfold.sensing import Sensing
from beamfold.threads import cores

README = {
    ("1GHz", 4): 9.41, ("1GHz", 8): 15.79, ("1GHz", 16): 18.53,
    ("100MHz", 4): 13.54, ("100MHz", 8): 18.07, ("100MHz", 16): 19.46,
}  # fmt: skip
"""R − 0.3 τ of the reference's README, a general optimiser of 1000 steps."""
CHAINS = (4, 8, 16)
WEIGHT, SNR_DB = 0.3, 12.0


def drawn(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """H (12, 16, 4, 64) and the frequencies of the reference's draws."""
    with np.load(folder / "wideband" / "draws_28ghz.npz") as data:
        return data[f"H_{name}"].astype(np.complex128), data[f"frequencies_hz_{name}"]


def fresh(bandwidth: float, subcarriers: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """H (count, S, 4, 64) and frequencies of the reference's model, delays to 20 ns."""
    H, f = saleh_valenzuela(
        64, 4, count, seed=11, subcarriers=subcarriers, carrier_hz=28e9, bandwidth_hz=bandwidth, delay_s=20e-9
    )  # fmt: skip
    return H.numpy(), f.numpy()


def scenario(band: tuple[np.ndarray, np.ndarray], radar: Sensing, chains: int) -> Scenario:
    """A band with the carrier of the reference."""
    H, f = band
    return make_scenario(
        H, radar, snr_db=SNR_DB, weight=WEIGHT, chains=chains, frequencies=f, carrier_hz=28e9
    )  # fmt: skip


def found(s: Scenario, **options: Any) -> float:
    """Mean R − 0.3 τ of the kernel's designs."""
    point, _, _ = search(s, **options)
    return float(s.objective(s.transmitted(*point)).mean())


def table(folder: Path, radar: Sensing, starts: int) -> None:
    """The reference's table."""
    print(f"mean R - 0.3 tau (R / tau), {SNR_DB:.0f} dB, 12 channels of draws_28ghz.npz, S = 16")
    for name in ("1GHz", "100MHz"):
        for chains in CHAINS:
            s = scenario(drawn(folder, name), radar, chains)
            line = f"  {name:7s} M = {chains:2d}  README {README[name, chains]:6.2f}"
            for depth in DEPTHS:
                d = fast(s, depth=depth)
                line += f"  {depth} {float(d.objective.mean()):.3f}"
                if depth == "deep":
                    line += f" ({float(d.rate.mean()):.2f} / {float(d.tau.mean()):.2f})"
            if starts:
                line += f"  best of {starts} {float(best(s, starts=starts).objective.mean()):.3f}"
            print(line, flush=True)


def own_radars(folder: Path) -> None:
    """Ψ_s of each subcarrier, and what a design that ignores squint reaches with them."""
    print(
        "\nPsi_s solved for each subcarrier, 1 GHz: mean R - 0.3 tau (R / tau), deep; designed with Psi(f_c)"
    )
    H, f = drawn(folder, "1GHz")
    each = solve_band(64, (-59, 0, 60), ratios=f / 28e9)
    centre = solve_band(64, (-59, 0, 60), ratios=[1.0])[0]
    for chains in CHAINS:
        s = make_scenario(
            H, each, snr_db=SNR_DB, weight=WEIGHT, chains=chains, frequencies=f, carrier_hz=28e9
        )  # fmt: skip
        d, blind = fast(s), fast(scenario((H, f), centre, chains))
        judged = float(s.objective(s.transmitted(blind.F, blind.W)).mean())
        figures = f"{float(d.objective.mean()):.3f} ({float(d.rate.mean()):.2f} / {float(d.tau.mean()):.2f})"
        print(f"  M = {chains:2d}: {figures}; {judged:.3f}", flush=True)


def left_out(radar: Sensing, count: int) -> None:
    """What it costs to find F from some subcarriers."""
    print(f"\nF from the chosen subcarriers and from all, {count} fresh channels: mean R - 0.3 tau")
    for bandwidth in (1e9, 4e8, 1e8, 1e7):
        for S in (16, 64):
            band = fresh(bandwidth, S, count)
            n = [len(choose(H, np.zeros(1)).chosen) for H in band[0]]
            line = f"  B = {bandwidth / 1e6:4.0f} MHz, S = {S}: {min(n):2d} to {max(n):2d} chosen"
            for chains in CHAINS:
                s = scenario(band, radar, chains)
                some, every = found(s), found(s, subset=S)
                loss = 100 * (some / every - 1)
                line += f"   M = {chains}: {some:.3f} of {every:.3f} ({loss:+.2f} %)"
            print(line, flush=True)


def longer(radar: Sensing, count: int) -> None:
    """The default depth beside ten times its steps."""
    steps = DEPTHS["deep"]["steps"]
    print(f"\n{steps} steps of F beside {10 * steps}, S = 64, {count} fresh channels: mean R - 0.3 tau")
    for bandwidth in (1e9, 1e8):
        band = fresh(bandwidth, 64, count)
        for chains in CHAINS:
            s = scenario(band, radar, chains)
            plans = ({"steps": steps}, {"steps": 10 * steps}, {"steps": 10 * steps, "subset": 64})
            deep, own, every = (found(s, **plan) for plan in plans)
            line = f"  B = {bandwidth / 1e6:4.0f} MHz, M = {chains:2d}: {deep:.3f}; more from the same ones"
            line += f" {own:.3f} ({100 * (deep / own - 1):+.2f} %)"
            print(f"{line}, from all {every:.3f} ({100 * (deep / every - 1):+.2f} %)", flush=True)


def times(go: Any, H: np.ndarray, count: int) -> np.ndarray:
    """Milliseconds of `count` calls in a row: wall clock, processor time of the process."""
    for channel in H[:3]:
        go(channel)
    taken = np.empty((2, count))
    for i in range(count):
        cpu, begin = time.process_time_ns(), time.perf_counter_ns()
        go(H[i % len(H)])
        taken[:, i] = (time.perf_counter_ns() - begin) / 1e6, (time.process_time_ns() - cpu) / 1e6
    return taken


def time_table(radar: Sensing, count: int) -> None:
    """Time per design over S, on one and on two threads."""
    print(f"\nms per call, B = 1 GHz, deep: median (least) of {count}; processor time on one thread")
    sizes = (16, 32, 64, 128, 256)
    for chains in CHAINS:
        cost = []
        for S in sizes:
            H = fresh(1e9, S, 5)[0]
            line = f"  M = {chains:2d}, S = {S:3d}:"
            for threads in (1, 2)[: cores()]:
                go = prepare_band(radar, users=4, chains=chains, snr_db=SNR_DB, threads=threads)
                wall, cpu = times(go, H, count)
                line += f"  {threads} threads {np.median(wall):6.2f} ({wall.min():6.2f})"
                if threads == 1:
                    cost.append(np.median(cpu))
                    line += f" cpu {np.median(cpu):6.2f} ({cpu.min():6.2f})"
            print(line, flush=True)
        exponent = np.polyfit(np.log(sizes), np.log(cost), 1)[0]
        print(f"    exponent of the processor time in S: {exponent:.2f}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("reference", type=Path, help="folder of the published data")
    parser.add_argument("--only", choices=("table", "radars", "left-out", "longer", "time"))
    parser.add_argument("--fresh", type=int, default=12, help="fresh channels")
    parser.add_argument("--count", type=int, default=100, help="timed calls of a row")
    parser.add_argument(
        "--starts", type=int, default=0, help="starts of `best` in the table; 0 leaves it out"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    radar = published_radar(options.reference, int(SNR_DB))
    parts = {
        "table": lambda: table(options.reference, radar, options.starts),
        "radars": lambda: own_radars(options.reference),
        "left-out": lambda: left_out(radar, options.fresh),
        "longer": lambda: longer(radar, options.fresh),
        "time": lambda: time_table(radar, options.count),
    }
    for name, part in parts.items():
        if options.only in (None, name):
            part()
    return 0


if __name__ == "__main__":
    sys.exit(main())
