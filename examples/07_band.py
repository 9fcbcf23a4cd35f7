"""
A band of subcarriers
=====================

One F serves all subcarriers, each of which has its own W. The beams of phase shifters turn with the frequency
(beam squint); a design for the whole band takes that into account.
"""

import matplotlib.pyplot as plt
import torch

import beamfold as bf

carrier, bandwidth = 28e9, 2e9
H, frequencies = bf.saleh_valenzuela(
    antennas=32, users=2, count=3, seed=0, subcarriers=16, carrier_hz=carrier, bandwidth_hz=bandwidth
)
ratios = frequencies / carrier
radars = bf.solve_band(32, targets_deg=[-50, 20], ratios=ratios, slack=0.01)
s = bf.make_scenario(H, radars, snr_db=12, weight=0.3, chains=6, frequencies=frequencies, carrier_hz=carrier)
d = bf.design(s)
print(f"F {tuple(d.F.shape)}, W {tuple(d.W.shape)}, R = {d.rate.mean():.2f} bit/s/Hz, τ = {d.tau.mean():.2f}")

# %%
# The beampattern of each subcarrier, at its own frequency.

angles = bf.angle_grid(361)
power = torch.stack([bf.beampattern(d.X[:, i], angles, ratio=float(r)).mean(0) for i, r in enumerate(ratios)])
plt.imshow(
    10 * torch.log10(power).numpy(),
    aspect="auto",
    origin="lower",
    extent=(-90, 90, float(frequencies[0]) / 1e9, float(frequencies[-1]) / 1e9),
    vmin=-10,
)
plt.colorbar(label="power [dB]")
plt.xlabel("angle [degrees]")
plt.ylabel("frequency [GHz]")
plt.show()
