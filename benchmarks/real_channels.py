"""A table of each method's figures on channels of simulators: means with their standard errors.

    beamfold compare umi.npz --from sionna --normalise user --targets-deg -50 20 -o umi
    python benchmarks/real_channels.py umi [canyon ...]     # folders of beamfold compare

The channels are those of tools/umi_drop.py and tools/street_canyon.py. docs/measured/real-channels.md has the
table.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from beamfold.files.arrays import read_all
from beamfold.styles import label

FIGURES = ("rate", "tau", "objective", "mse")


def spread(values: np.ndarray) -> str:
    """Mean ± standard error over the channels."""
    error = values.std(ddof=1) / np.sqrt(values.size) if values.size > 1 else np.nan
    return f"{values.mean():.2f} ± {error:.2f}"


def main() -> None:
    for name in sys.argv[1:]:
        held = read_all(Path(name) / "designs.mat")
        print(f"{held['understood'].item()}\n")
        print("| method | R | τ | R − ω τ | MSE [dB] |\n| --- | --- | --- | --- | --- |")
        for method in [key.removesuffix("_rate") for key in held if key.endswith("_rate")]:
            columns = [spread(held[f"{method}_{figure}"].ravel()) for figure in FIGURES[:3]]
            mse = 10 * np.log10(held[f"{method}_mse"].mean())
            print(f"| {label(method)} | {' | '.join(columns)} | {mse:.2f} |")
        print()


if __name__ == "__main__":
    main()
