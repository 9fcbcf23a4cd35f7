"""
Other targets
=============

Ψ of problem (6) for three sets of targets, and the beampattern of designs for it.
"""

import matplotlib.pyplot as plt
import torch

import beamfold as bf

H = bf.saleh_valenzuela(antennas=64, users=4, count=20, seed=0)
figure, axes = plt.subplots(3, 1, sharex=True, figsize=(7, 7), layout="constrained")
for axis, targets in zip(axes, ([0], [-40, 25], [-60, -20, 20, 60]), strict=True):
    radar = bf.solve_covariance(64, targets_deg=targets)
    d = bf.design(bf.make_scenario(H, radar, snr_db=12, weight=0.3))
    pattern = bf.beampattern(d.X, radar.angles).mean(0)
    axis.plot(torch.rad2deg(radar.angles), 10 * torch.log10(pattern))
    for target in targets:
        axis.axvline(target, color="tab:red", linestyle=":")
    axis.set(ylabel="power [dB]", ylim=(-10, 30), title=f"R = {d.rate.mean():.1f}, τ = {d.tau.mean():.1f}")
axes[-1].set_xlabel("angle [degrees]")
plt.show()
