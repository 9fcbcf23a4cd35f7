"""How far the sidelobes are below the lobes of Ψ's targets."""

from __future__ import annotations

import torch
from torch import Tensor

from beamfold.measures import Measure
from beamfold.radar.pattern import lobes
from beamfold.result import Design
from beamfold.scenario import sensed_by


def pslr(d: Design) -> Tensor:
    """The highest sidelobe over the weakest wanted lobe (…), in dB; see `radar.pattern`."""
    s = d.scenario
    return 10 * torch.log10(lobes(d.X, sensed_by(s), s.power).pslr)


MEASURE = Measure("pslr", pslr, "PSLR [dB]", "highest sidelobe over the weakest target's lobe, in dB")
