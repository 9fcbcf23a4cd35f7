"""What the radar sees of designs on the published channels: R, τ, RCRB, SCNR, P_D and PSLR at 12 dB.

    OMP_NUM_THREADS=1 python benchmarks/sensing.py ../shared/reference [--count 20]

The targets are those of the published Ψ, −60, 0 and 60 degrees, each at −35 dB before both array gains, 64
snapshots, P_FA = 1e-6, the receive array that of the transmitter. RCRB, SCNR and P_D are those of the worst
target of every channel; RCRB is the geometric mean over the channels, the others are means. Designs for
another sensing objective than τ are shown at several ω, fully digital and hybrid.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from published import published_channels, published_model, published_radar

from beamfold.defaults import WEIGHT
from beamfold.measures import measure_named
from beamfold.radar.detection import scnr
from beamfold.registry import design
from beamfold.result import Design
from beamfold.scenario import Scenario, make_scenario, sensed_by

SNR_DB = 12
WEIGHTS = {"crb": (1.0, 3.0, 10.0), "scnr": (1.0, 3.0, 10.0)}


def scenario(folder: Path, count: int, sensing: str = "tau", weight: float = WEIGHT) -> Scenario:
    H, radar = published_channels(folder)[:count], published_radar(folder, SNR_DB)
    return make_scenario(H, radar, snr_db=SNR_DB, weight=weight, sensing=sensing)


def rows(folder: Path, count: int, starts: int) -> Iterator[tuple[str, Callable[[], Design]]]:
    """(name, design) of every row."""
    s = scenario(folder, count)
    yield "digital ZF", lambda: design(s, "zf-digital")
    yield "SCA-ManOpt", lambda: design(s, "sca-manopt")
    yield "unfolded J = 20", lambda: design(s, "unfolded", model=published_model(folder, 20))
    yield "fast (tau)", lambda: design(s, "fast")
    yield "digital (tau)", lambda: design(s, "digital")
    for sensing, weights in WEIGHTS.items():
        for weight in weights:
            at = scenario(folder, count, sensing, weight)
            yield f"digital ({sensing}), w = {weight:g}", lambda at=at: design(at, "digital")  # type: ignore[misc]
            yield (
                f"best ({sensing}), w = {weight:g}",
                lambda at=at: design(at, "best", starts=starts, polish=600),  # type: ignore[misc]
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("reference", type=Path, help="folder of the published data")
    parser.add_argument("--count", type=int, default=20, help="channels")
    parser.add_argument("--starts", type=int, default=1, help="of best")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| design | R | tau | RCRB [deg] | SCNR [dB] | P_D | PSLR [dB] | s/channel |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, run in rows(options.reference, options.count, options.starts):
        begin = time.process_time()
        d = run()
        seconds = (time.process_time() - begin) / options.count
        plain = replace(d, scenario=replace(d.scenario, goal=None))
        rcrb = measure_named("rcrb").function(plain)
        worst = scnr(d.X, sensed_by(plain.scenario), d.scenario.power).amin(-1)
        figures = [
            float(d.rate.mean()), float(d.tau.mean()), float(rcrb.log().mean().exp()),
            10 * math.log10(float(worst.mean())), float(measure_named("detection").function(plain).mean()),
            float(measure_named("pslr").function(plain).mean()),
        ]  # fmt: skip
        digits = (2, 1, 3, 1, 3, 1)
        told = " | ".join(f"{x:.{n}f}" for x, n in zip(figures, digits, strict=True))
        print(f"| {name} | {told} | {seconds:.2g} |", flush=True)


if __name__ == "__main__":
    main()
