"""The picture of docs/explanations/conventions.md: the direction of angles, and rows taken the wrong way.

    python tools/conventions.py [docs/images/conventions.png]

Prints the figures that the page quotes.
"""

from __future__ import annotations

import sys

import matplotlib as mpl
import numpy as np
import torch

import beamfold as bf

mpl.use("Agg")
import matplotlib.pyplot as plt

N, USERS, TARGETS = 64, 4, (-50.0, 20.0)
GRID = np.arange(-90, 90.01, 0.25)


def main() -> None:
    """Draw the three panels and print their figures."""
    path = sys.argv[1] if len(sys.argv) > 1 else "docs/images/conventions.png"
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    geometry(left)
    mirrored(middle)
    wrong_rows(right)
    figure.savefig(path, dpi=110)


def geometry(axes) -> None:
    """Elements on the y axis, broadside along x, azimuth towards the elements of higher index."""
    y = np.arange(-1.5, 2)
    axes.plot(0 * y, y, "ks")
    for n, at in enumerate(y):
        axes.text(-0.15, at, f"{n}", ha="right", va="center")
    angle = np.deg2rad(40)
    axes.annotate("", (3.2 * np.cos(angle), 3.2 * np.sin(angle)), (0, 0), arrowprops={"arrowstyle": "->"})
    axes.annotate("", (3.4, 0), (0, 0), arrowprops={"arrowstyle": "->", "linestyle": "--"})
    arc = np.linspace(0, angle)
    axes.plot(1.6 * np.cos(arc), 1.6 * np.sin(arc), "C0")
    axes.text(1.75, 0.55, "azimuth +40°", color="C0")
    axes.text(3.3, -0.35, "x, broadside", ha="right", va="top")
    axes.text(0.12, 2.2, "y")
    axes.annotate("", (0, 2.6), (0, -2.2), arrowprops={"arrowstyle": "->", "linestyle": "--"})
    axes.set(xlim=(-0.8, 3.7), ylim=(-2.3, 2.8), aspect="equal", title="row of H: exp(−jπ n sin az)")
    axes.axis("off")


def mirrored(axes) -> None:
    """Rows of a simulator, exp(+jπ n sin az), with the tool's array and with the default one."""
    seed = torch.Generator().manual_seed(0)
    angles = torch.rand(20, USERS, 3, generator=seed, dtype=torch.float64) * np.pi - np.pi / 2
    gains = torch.randn(20, USERS, 3, 2, generator=seed, dtype=torch.float64)
    steering = torch.exp(1j * np.pi * torch.sin(angles)[..., None] * torch.arange(N))
    h = (torch.view_as_complex(gains)[..., None] * steering).sum(-2) / np.sqrt(6)
    cfr = h.permute(1, 2, 0)[:, None, None, :, :, None]  # rx, rx_ant, tx, tx_ant, time, freq
    found = bf.from_sionna(cfr, index="symbols=all")
    for label, array in (("--from sionna", found.array), ("as they come", bf.line_array(N))):
        radar = bf.solve_covariance(array, list(TARGETS))
        d = bf.design(bf.make_scenario(found.H, radar, snr_db=12), "fast")
        tool = np.exp(1j * np.pi * np.arange(N) * np.sin(np.deg2rad(GRID))[:, None])
        power = np.square(np.abs(tool @ d.X.numpy())).sum(-1).mean(0)
        level = 10 * np.log10(power / power.mean())
        axes.plot(GRID, level, label=label)
        places = (*TARGETS, *(-target for target in TARGETS))
        said = {at: round(float(level[np.abs(GRID - at).argmin()]), 1) for at in places}
        figures = f"R {float(d.rate.mean()):.2f}, tau {float(d.tau.mean()):.2f}"
        print(f"{label}: {figures}, dB over the mean at {said}")
    for target in TARGETS:
        axes.axvline(target, color="k", lw=0.8, ls=":")
    axes.set(xlabel="azimuth in the simulator [degrees]", ylabel="power over its mean [dB]", ylim=(-13, 16))
    axes.set_title("targets at −50° and +20°")
    axes.legend(loc="upper right")


def wrong_rows(axes) -> None:
    """The rate that is stated and the one that users get, rows h^T taken for h^H."""
    H = bf.saleh_valenzuela(N, USERS, 20, seed=0)
    levels = [0.0, 6.0, 12.0]
    radar = bf.solve_covariance(N)
    for label, channels in (("rows as they are", H), ("rows conjugated", H.conj())):
        d = bf.design(bf.make_scenario(channels, radar, snr_db=levels), "fast")
        real = bf.make_scenario(H, radar, snr_db=levels)
        got = real.rate(d.X).mean(-1).numpy()
        axes.plot(levels, got, "o-", label=f"users get, {label}")
        print(f"{label}: stated {d.rate.mean(-1).numpy().round(2)}, users get {got.round(2)}")
        if channels is not H:
            axes.plot(levels, d.rate.mean(-1), "k--", label="stated in both cases")
    axes.set(xlabel="SNR [dB]", ylabel="R [bit/s/Hz]", title="h^H or h^T", xticks=levels, ylim=(0, None))
    axes.legend()


if __name__ == "__main__":
    main()
