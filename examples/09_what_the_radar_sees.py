"""
What the radar sees
===================

τ is a distance between matrices. A radar engineer asks how well the angle of a target is known and how often
the target is found. Both are measured here for designs of three methods.
"""

import matplotlib.pyplot as plt

import beamfold as bf
from beamfold.radar import make_scene
from beamfold.radar.detection import detection, scnr
from beamfold.radar.fisher import bound

H = bf.saleh_valenzuela(antennas=64, users=4, count=20, seed=0)
s = bf.make_scenario(H, bf.solve_covariance(64), snr_db=12, weight=0.3)
designs = {name: bf.design(s, name) for name in ("fast", "unfolded", "phased-zf")}
levels = list(range(-50, -19, 3))  # SNR of one antenna on each side, in dB

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for name, d in designs.items():
    angle, found = [], []
    for level in levels:
        scene = make_scene(
            bf.line_array(64), [-59, 0, 60], target_snr_db=level, snapshots=64, false_alarm=1e-6
        )
        worst = bound(d.X, scene, s.power).rcrb.flatten(-2).amax(-1).rad2deg()
        angle.append(float(worst.median()))
        rho = scene.snapshots * scnr(d.X, scene, s.power)
        found.append(float(detection(rho.amin(-1), scene.false_alarm).mean()))
    left.semilogy(levels, angle, "o-", label=name)
    right.plot(levels, found, "o-", label=name)
    print(f"{name:10} at -35 dB: root CRB {angle[levels.index(-35)]:.2f} degrees")
left.set(
    xlabel="SNR of a target [dB]", ylabel="root Cramér-Rao bound [degrees]", title="worst target, median"
)
right.set(xlabel="SNR of a target [dB]", ylabel="probability of detection", title="worst target, mean")
for axis in (left, right):
    axis.grid(alpha=0.3)
left.legend()
plt.show()
