"""SCA-ManOpt, the paper's benchmark (ii) of Section IV-B: sum rate, then JCAS, then factorisation."""

from __future__ import annotations

from dataclasses import replace

import torch

from beamfold.method import SLOW, Method, Supports
from beamfold.methods.digital_jcas import digital_jcas
from beamfold.methods.manopt import manopt
from beamfold.methods.sca import sca
from beamfold.optim.riemannian import Norm
from beamfold.result import Design, Status
from beamfold.scenario import Scenario


def sca_manopt(
    s: Scenario,
    *,
    rho: float = 0.8,
    tolerance: float = 1e-3,
    norm: Norm = "power",
    start: str = "target",
    iterations: int = 100,
) -> Design:
    """X* by SCA [69]; X by ρ ‖X − X*‖² + (1 − ρ) ‖X Xᴴ − P_t Ψ‖² on ‖X‖² = P_t; X ≈ F W by ManOpt [62].

    Args:
        s: the scenario; ω plays no part, ρ sets the trade.
        rho: ρ in [0, 1]; 0.8 fits the published curve, the text prints 0.2.
        tolerance: ε of SCA and of the factorisation.
        norm: of the second step; "unit_columns" gives the published curve, see `digital_jcas`.
        start: of F in the factorisation.
        iterations: the most of SCA and of the factorisation.

    Returns:
        A hybrid `Design`, `CONVERGED` where all three steps are.

    Raises:
        InputError: as the three steps.
    """
    rate = sca(s, tolerance=tolerance, iterations=iterations)
    trade = digital_jcas(s, rho=rho, target=rate.X, norm=norm)
    design = manopt(s, target=trade.X, start=start, tolerance=tolerance, iterations=iterations)
    open_end = (rate.status == Status.ITERATION_LIMIT) | (trade.status == Status.ITERATION_LIMIT)
    converged = design.status == Status.CONVERGED
    status = torch.where(open_end & converged, int(Status.ITERATION_LIMIT), design.status.to(torch.int64))
    return replace(design, method="sca-manopt", status=status.to(torch.int8))


METHOD = Method(
    "sca-manopt",
    sca_manopt,
    "the paper's benchmark: SCA, then JCAS, then factorisation",
    part=SLOW,
    supports=Supports(networks=True, band=True, device=True),
)
