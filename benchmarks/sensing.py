"""What the radar sees of designs at 12 dB: R, τ, RCRB, SCNR, P_D and PSLR, flat, on sub-arrays and on bands.

    OMP_NUM_THREADS=1 python benchmarks/sensing.py ../shared/reference [--on flat|subarrays|band] [--count 20]

The targets are those of the published Ψ, −60, 0 and 60 degrees, each at −35 dB before both array gains, 64
snapshots, P_FA = 1e-6, the receive array that of the transmitter. RCRB, SCNR and P_D are those of the worst
target of every channel; RCRB is the geometric mean over the channels, the others are means. Designs for
another sensing objective than τ are shown at several ω, fully digital and hybrid.

`flat` and `subarrays` (M = 8 contiguous) take the published channels, `band` the 16 subcarriers over 1 GHz of
`draws_28ghz.npz`, M = 4, where every target is 12 dB weaker, as 16 subcarriers listen. RCRB and SCNR of a
band are those of all subcarriers together; "each" is the RCRB where α is another number on each of them.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from band import drawn
from published import published_channels, published_model, published_radar

from beamfold.defaults import WEIGHT
from beamfold.measures import measure_named
from beamfold.networks import subarrays
from beamfold.radar.detection import scnr
from beamfold.radar.fisher import bound
from beamfold.radar.goal import Goal
from beamfold.radar.scene import SNR_DB as TARGET_SNR_DB
from beamfold.radar.scene import make_scene
from beamfold.registry import design
from beamfold.result import Design
from beamfold.scenario import Scenario, make_scenario, sensed_by

SNR_DB = 12
WEIGHTS = {"flat": (1.0, 3.0, 10.0), "subarrays": (1.0, 10.0), "band": (3.0,)}
Row = tuple[str, Callable[[], Design]]


def scenario(folder: Path, on: str, count: int, sensing: str = "tau", weight: float = WEIGHT) -> Scenario:
    """One of the three settings."""
    radar = published_radar(folder, SNR_DB)
    goal = {} if sensing == "tau" else {"sensing": sensing}
    if on != "band":
        network = subarrays(64, 8) if on == "subarrays" else None
        H = published_channels(folder)[:count]
        return make_scenario(H, radar, snr_db=SNR_DB, weight=weight, network=network, **goal)
    H, f = drawn(folder, "1GHz")
    s = make_scenario(
        H[:count], radar, snr_db=SNR_DB, weight=weight, frequencies=f, carrier_hz=28e9, chains=4, **goal
    )
    if s.goal is None:
        return s
    weaker = make_scene(
        radar.array, (-60, 0, 60), target_snr_db=TARGET_SNR_DB - 10 * math.log10(len(f)),
        ratios=s.goal.scene.ratios,
    )  # fmt: skip
    return replace(s, goal=replace(s.goal, scene=weaker))


def rows(folder: Path, on: str, count: int, starts: int) -> Iterator[Row]:
    """(name, design) of every row."""
    s = scenario(folder, on, count)
    yield "digital ZF", partial(design, s, "zf-digital")
    if on == "flat":
        yield "SCA-ManOpt", partial(design, s, "sca-manopt")
        yield "unfolded J = 20", lambda: design(s, "unfolded", model=published_model(folder, 20))
    yield "fast (tau)", partial(design, s, "fast")
    yield "digital (tau)", partial(design, s, "digital")
    for sensing in ("crb", "scnr"):
        for weight in WEIGHTS[on]:
            at, told = scenario(folder, on, count, sensing, weight), f"({sensing}), w = {weight:g}"
            yield f"digital {told}", partial(design, at, "digital")
            if on != "band":
                yield f"fast {told}", partial(design, at, "fast")
            yield f"best {told}", partial(design, at, "best", starts=starts, polish=600)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("reference", type=Path, help="folder of the published data")
    parser.add_argument("--on", choices=WEIGHTS, default="flat", help="the setting")
    parser.add_argument("--count", type=int, default=20, help="channels")
    parser.add_argument("--starts", type=int, default=1, help="of best")
    options = parser.parse_args()
    torch.set_num_threads(1)
    banded = options.on == "band"
    scene = sensed_by(scenario(options.reference, options.on, 1, "crb"))
    each = "each [deg] | " if banded else ""
    print(f"| design | R | tau | RCRB [deg] | {each}SCNR [dB] | P_D | PSLR [dB] | s/channel |")
    print("| --- " * (9 if banded else 8) + "|", flush=True)
    for name, run in rows(options.reference, options.on, options.count, options.starts):
        begin = time.process_time()
        d = run()
        seconds = (time.process_time() - begin) / len(d.rate)
        power = d.scenario.power
        seen = replace(d, scenario=replace(d.scenario, goal=Goal("crb", scene)))
        bounds = [bound(d.X, scene, power).rcrb.flatten(-2).amax(-1).rad2deg()]
        if banded:
            bounds.append(bound(d.X, replace(scene, band="each"), power).rcrb.flatten(-2).amax(-1).rad2deg())
        worst = scnr(d.X, scene, power).amin(-1)
        figures = [
            float(d.rate.mean()), float(d.tau.mean()), *(float(b.log().mean().exp()) for b in bounds),
            10 * math.log10(float(worst.mean())), float(measure_named("detection").function(seen).mean()),
            float(measure_named("pslr").function(seen).mean()),
        ]  # fmt: skip
        digits = (2, 1, *(3 for _ in bounds), 1, 3, 1)
        told = " | ".join(f"{x:.{n}f}" for x, n in zip(figures, digits, strict=True))
        print(f"| {name} | {told} | {seconds:.2g} |", flush=True)


if __name__ == "__main__":
    main()
