"""
Rate against sensing
====================

The weight ω moves a design between the two. One point per ω tells more than a comparison at a single one.
"""

import matplotlib.pyplot as plt

import beamfold as bf

H = bf.saleh_valenzuela(antennas=32, users=3, count=5, seed=0)
radar = bf.solve_covariance(32, targets_deg=[-40, 10])
weights = [0.03, 0.1, 0.3, 1, 3]
for name in ("fast", "digital"):
    designs = [bf.design(bf.make_scenario(H, radar, snr_db=12, weight=w), name) for w in weights]
    points = [(float(d.tau.mean()), float(d.rate.mean())) for d in designs]
    plt.plot(*zip(*points, strict=True), "o-", label=f"{name}, over ω")
    if name == "fast":
        for w, point in zip(weights, points, strict=True):
            plt.annotate(f"{w:g}", point, textcoords="offset points", xytext=(4, -11), fontsize=8)
for rho in (0.6, 0.8, 0.9):
    d = bf.design(bf.make_scenario(H, radar, snr_db=12), "sca-manopt", rho=rho)
    plt.plot(d.tau.mean(), d.rate.mean(), "kx", label="SCA-ManOpt, ρ = 0.6, 0.8, 0.9" if rho == 0.6 else None)
plt.xscale("log")
plt.xlabel("sensing error τ, smaller is better")
plt.ylabel("sum rate R [bit/s/Hz]")
plt.legend()
plt.grid(alpha=0.3)
plt.show()
