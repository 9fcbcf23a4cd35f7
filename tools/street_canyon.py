"""The fixture tests/data/street-canyon.npz: users in Sionna RT's own scene of a street canyon.

    python tools/street_canyon.py tests/data/street-canyon.npz [antennas]    # where sionna-rt and libLLVM 19
    are

`h` (24, 1, 1, 16, 1, 1) complex64 as `paths.cfr` returns it, (rx, rx_ant, tx, tx_ant, time, freq), path gains
included; `seen_deg` (24,) is the azimuth under which a line on the y axis sees each user, by the positions
alone, and `clear` (24,) whether the straight line to the user is free.
"""

from __future__ import annotations

import sys

import numpy as np
from sionna import rt

TRANSMITTER = np.array([-33.0, 0.0, 20.0])
USERS = 24


def main() -> None:
    """Solve the paths and write the file."""
    scene = rt.load_scene(rt.scene.simple_street_canyon, merge_shapes=False)
    scene.frequency = 28e9
    line = {"vertical_spacing": 0.5, "horizontal_spacing": 0.5, "pattern": "iso", "polarization": "V"}
    scene.tx_array = rt.PlanarArray(
        num_rows=1, num_cols=int(sys.argv[2]) if len(sys.argv) > 2 else 16, **line
    )
    scene.rx_array = rt.PlanarArray(num_rows=1, num_cols=1, **line)
    scene.add(rt.Transmitter("base", position=TRANSMITTER.tolist(), orientation=[0.0, 0.0, 0.0]))
    generator = np.random.default_rng(0)
    places = np.stack(
        [generator.uniform(-20, 45, USERS), generator.uniform(-14, 14, USERS), np.full(USERS, 1.5)], -1
    )
    for k, place in enumerate(places):
        scene.add(rt.Receiver(f"user{k}", position=place.tolist()))
    paths = rt.PathSolver()(scene, max_depth=3, synthetic_array=True, seed=1)
    h = paths.cfr(frequencies=np.zeros(1, np.float32), out_type="numpy")
    apart = places - TRANSMITTER
    seen = np.rad2deg(np.arcsin(apart[:, 1] / np.linalg.norm(apart, axis=-1)))
    kinds = np.asarray(paths.interactions.numpy())  # (depth, rx, tx, paths), 0 for none
    clear = ((kinds == 0).all(0) & np.asarray(paths.valid.numpy())).reshape(USERS, -1).any(-1)
    np.savez_compressed(sys.argv[1], h=h.astype(np.complex64), seen_deg=seen.round(3), clear=clear)
    print(h.shape, "in line of sight:", int(clear.sum()))


if __name__ == "__main__":
    main()
