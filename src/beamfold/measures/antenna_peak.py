"""How unevenly the antennas are loaded: the strongest one's power over the mean."""

from __future__ import annotations

import torch
from torch import Tensor

from beamfold.measures import Measure
from beamfold.result import Design


def antenna_peak(d: Design) -> Tensor:
    """10 log₁₀ (N max_n [X Xᴴ]_nn / ‖X‖²) (…) in dB: the back-off that the antennas' amplifiers need."""
    power = d.X.real.square().sum(-1) + d.X.imag.square().sum(-1)
    return 10 * torch.log10(power.shape[-1] * power.amax(-1) / power.sum(-1))


MEASURE = Measure("antenna-peak", antenna_peak, "peak [dB]", "strongest antenna's power over the mean, in dB")
