"""
The largest rate with τ below a limit
=====================================

Problem (7): for each channel the largest sum rate R with τ ≤ τ₀.
"""

import matplotlib.pyplot as plt

import beamfold as bf

H = bf.saleh_valenzuela(antennas=32, users=3, count=4, seed=0)
s = bf.make_scenario(H, bf.solve_covariance(32), snr_db=12)
limits = [16, 24, 40, 64]
designs = [bf.design(s, "constrained", tau_max=limit, starts=2) for limit in limits]
for limit, d in zip(limits, designs, strict=True):
    print(f"τ₀ = {limit}: largest τ = {d.tau.max():6.3f}, mean R = {d.rate.mean():.2f} bit/s/Hz")

# %%
# Each line is one channel. What a smaller limit costs differs between channels.

for rates in zip(*(d.rate.tolist() for d in designs), strict=True):
    plt.plot(limits, rates, "o-", color="tab:blue", alpha=0.5)
plt.xlabel("limit τ₀")
plt.ylabel("sum rate R [bit/s/Hz]")
plt.grid(alpha=0.3)
plt.show()
