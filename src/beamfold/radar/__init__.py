"""What the radar sees: how well angles are known, how often targets are found, how far sidelobes are down.

`scene` has the signal model and all that is sensed, `fisher` the Fisher matrix and the Cramér-Rao bound,
`detection` SCNR and P_D, `pattern` gains and sidelobes, `criteria` values with gradients that a design can be
optimised for, `figures` all of them for one X, `trials` a Monte Carlo of the received snapshots.
"""

from beamfold.radar.scene import Scene, make_scene

__all__ = ["Scene", "make_scene"]
