"""
A measure of my own
===================

A measure is a function of a design with one value for each channel. This one is the rate of the user who
has least.
"""

import matplotlib.pyplot as plt
from torch import Tensor

import beamfold as bf
from beamfold.objective import user_rates


def worst_user(d: bf.Design) -> Tensor:
    """min_k R_k in bit/s/Hz."""
    s = d.scenario
    return user_rates(s.H, d.X, s.noise, s.per_user).amin(-1)


H = bf.saleh_valenzuela(antennas=64, users=4, count=60, seed=0)
s = bf.make_scenario(H, bf.solve_covariance(64), snr_db=12, weight=0.3)
methods = ["fast", "unfolded", "phased-zf", "zf-digital"]
found = {name: worst_user(bf.design(s, name)).sort().values for name in methods}

# %%
# The share of channels on which the worst user has at most so much.

for name, values in found.items():
    plt.step(values, [(i + 1) / len(values) for i in range(len(values))], where="post", label=name)
    print(f"{name:10} median {values.median():.2f} bit/s/Hz")
plt.xlabel("rate of the worst user [bit/s/Hz]")
plt.ylabel("share of channels")
plt.legend()
plt.grid(alpha=0.3)
plt.show()
