"""
Fewer connections between chains and antennas
=============================================

Sub-arrays, interleaved and dynamic connections beside the fully connected network, for two numbers of RF
chains.
"""

import matplotlib.pyplot as plt

import beamfold as bf

H = bf.saleh_valenzuela(antennas=64, users=4, count=20, seed=0)
radar = bf.solve_covariance(64)
networks = {
    "fully connected": bf.fully_connected,
    "dynamic": bf.dynamic,
    "sub-arrays": bf.subarrays,
    "interleaved": bf.interleaved,
}
values = {}
for name, network in networks.items():
    for chains in (8, 16):
        s = bf.make_scenario(H, radar, snr_db=12, weight=0.3, network=network(64, chains))
        values[name, chains] = float(bf.design(s).objective.mean())
        print(f"{name:15} M = {chains:2}: R - 0.3 τ = {values[name, chains]:6.2f}")

# %%
# τ of sub-arrays has a floor, because the blocks of X Xᴴ have entries of one modulus.

places = range(len(networks))
for shift, chains in ((-0.2, 8), (0.2, 16)):
    plt.bar([x + shift for x in places], [values[n, chains] for n in networks], 0.38, label=f"M = {chains}")
plt.xticks(list(places), list(networks))
plt.axhline(0, color="black", linewidth=0.8)
plt.ylabel("R - 0.3 τ")
plt.legend()
plt.show()
