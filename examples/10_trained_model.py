"""
Learned step sizes
==================

The unfolded method runs a fixed number of layers with step sizes that were learned. Constant step sizes, here
0.01, need many more layers.
"""

import matplotlib.pyplot as plt

import beamfold as bf

H = bf.saleh_valenzuela(antennas=64, users=4, count=30, seed=5)
s = bf.make_scenario(H, bf.solve_covariance(64), snr_db=12, weight=0.3)
layers = [1, 2, 5, 10, 20, 40, 80, 120]
runs = {
    "learned, J = 20": ("unfolded", 20),
    "learned, J = 10": ("unfolded", 10),
    "constant, J = 20": ("pga", 20),
    "constant, J = 10": ("pga", 10),
}
for label, (method, inner) in runs.items():
    values = [float(bf.design(s, method, inner=inner, layers=n).objective.mean()) for n in layers]
    plt.plot(layers, values, "o-", label=label)
    print(f"{label:17} after {layers[-1]} layers: R - 0.3 τ = {values[-1]:.2f}")
plt.axhline(float(bf.design(s).objective.mean()), color="black", linestyle=":", label="fast")
plt.xlabel("layers")
plt.ylabel("R - 0.3 τ")
plt.ylim(-50, 20)
plt.legend()
plt.grid(alpha=0.3)
plt.show()
