"""Default values of the options: the paper's setting, each value named once.

The targets are −59, 0 and 60 degrees, not the text's −60, 0 and 60: with mainlobes of 5° on the 1° grid they
give the pattern that the paper published and on which the shipped models were trained. Its Ψ has rank 7
where the kernels look at it; that of −60, 0 and 60 degrees has rank 44, with which a design takes twice as
long.
"""

TARGETS_DEG = (-59.0, 0.0, 60.0)
"""Angles of the targets in degrees."""
WEIGHT = 0.3
"""ω of R − ω τ."""
SNR_DB = 12.0
"""P_t/σ_n² in dB."""
ANTENNAS = 64
"""N, where nothing is drawn from a file."""
USERS = 4
"""K, where nothing is drawn from a file and N is not smaller."""
WIDTH_DEG = 5.0
"""Full width of a mainlobe of the desired pattern in degrees."""
NETWORK = "full"
"""The analog network's name: every chain on every antenna."""
ROWS = "h^H"
"""What row k of a channel file's H is."""
METHOD = "fast"
"""The method that needs no training and works for every size."""
CARRIER_GHZ, BANDWIDTH_GHZ, DELAY_NS = 28.0, 1.0, 20.0
"""f_c, B and τ_max of a band."""
SLACK = 0.01
"""How far (6a) may be from its optimum for a Ψ_s near the carrier's, see `covariance.solve_band`."""
SAME_RATIO = 1e-9
"""Frequency ratios that agree up to this are the same."""
POWER_RULE = "subcarrier"
"""Which power of a band is P_t, see `beamfold.band`."""
