"""
Channels from a file
====================

Read channels, design a precoder for each, and write F and W. ``channels.mat`` lies beside this program; in
its place put a file of your own with H (channels, users, antennas).
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt

import beamfold as bf

H = bf.read_channels("channels.mat")
radar = bf.solve_covariance(H.shape[-1])
s = bf.make_scenario(H, radar, snr_db=12, weight=0.3)
fast, paper = bf.design(s), bf.design(s, "unfolded", inner=20)
print(f"{len(H)} channels: R = {fast.rate.mean():.2f} bit/s/Hz, τ = {fast.tau.mean():.2f}")

with TemporaryDirectory() as folder:
    bf.write_design(Path(folder) / "designs.mat", fast)

# %%
# Each point is one channel: to the right is a larger sum rate, downwards is better sensing.

for design in (fast, paper):
    plt.scatter(design.rate, design.tau, s=14, label=design.method)
plt.xlabel("sum rate R [bit/s/Hz]")
plt.ylabel("sensing error τ")
plt.title(f"{len(H)} channels, N = 64, K = M = 4, 12 dB, ω = 0.3")
plt.legend()
plt.show()
