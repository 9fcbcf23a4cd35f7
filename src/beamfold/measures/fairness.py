"""How evenly the users are served: Jain's index of their rates."""

from __future__ import annotations

import torch
from torch import Tensor

from beamfold.measures import Measure
from beamfold.objective import user_rates
from beamfold.result import Design


def fairness(d: Design) -> Tensor:
    """(Σ_k R_k)² / (K Σ_k R_k²) (…): 1 where all users have the same rate, 1/K where one has all of it.

    Jain, Chiu and Hawe, DEC Research Report TR-301, 1984. 1 where nobody has any rate.
    """
    s = d.scenario
    R = user_rates(s.H, d.X, s.noise, s.per_user)
    square = s.users * R.square().sum(-1)
    return torch.where(square > 0, R.sum(-1).square() / square, 1.0)


MEASURE = Measure("fairness", fairness, "fairness", "Jain's index of the users' rates, from 1/K to 1")
