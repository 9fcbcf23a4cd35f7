"""
Phase shifters of few bits
==========================

With b bits a phase shifter has 2^b phases. Rounding a design of continuous phases loses much; a design for
these phases loses less.
"""

import math

import matplotlib.pyplot as plt
import torch

import beamfold as bf
from beamfold.result import Status, finish

H = bf.saleh_valenzuela(antennas=32, users=3, count=10, seed=0)
radar = bf.solve_covariance(32)


def scenario(bits: int | None) -> bf.Scenario:
    """The same channels for phase shifters of so many bits, or continuous ones."""
    return bf.make_scenario(H, radar, snr_db=12, weight=0.3, network=bf.fully_connected(32, 3, bits=bits))


def rounded(d: bf.Design, s: bf.Scenario, bits: int) -> bf.Design:
    """The phases of a design rounded to the nearest possible ones, W scaled to the power."""
    step = 2 * math.pi / 2**bits
    phases = step * (d.F.angle() / step).round()
    F = torch.polar(torch.ones_like(phases), phases)
    power = torch.linalg.matrix_norm(F @ d.W) ** 2
    return finish(s, "rounded", F, d.W * (s.power / power).sqrt()[:, None, None], status=Status.CLOSED_FORM)


continuous = bf.design(scenario(None))
found = []
for bits in (1, 2, 3, 4):
    s = scenario(bits)
    pair = bf.design(s).objective.mean(), rounded(continuous, s, bits).objective.mean()
    found.append([float(value) for value in pair])
    print(f"{bits} bits: designed {found[-1][0]:6.2f}, rounded {found[-1][1]:6.2f}")

# %%

designed, plain = zip(*found, strict=True)
plt.plot((1, 2, 3, 4), designed, "o-", label="designed for the bits")
plt.plot((1, 2, 3, 4), plain, "s--", label="rounded")
plt.axhline(float(continuous.objective.mean()), color="black", linestyle=":", label="continuous phases")
plt.xticks((1, 2, 3, 4))
plt.xlabel("bits of a phase shifter")
plt.ylabel("R - 0.3 τ")
plt.legend()
plt.grid(alpha=0.3)
plt.show()
