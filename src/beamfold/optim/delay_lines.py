r"""True time delay: R − ω τ of a band over F, the delays of Q lines per chain, and W_s.

Line q of chain m, before the phase shifters of the block q of N/Q neighbouring antennas, delays by t_qm
periods of the carrier more than the phase shifters account for. On a subcarrier at r_s times the carrier's
frequency

    F_s = D_s ∘ F,   (D_s)_nm = e^{j2π (r_s − 1) t_{q(n),m}},   X_s = F_s W_s.

At the carrier D = 1. A common F is the case t = 0; t_qm = p̄_q · r̂(θ_m) steers chain m to θ_m at all
frequencies. With G_s = ∂(R − ω τ)/∂X_s* and E_s = (G_s W_sᴴ) ∘ F_s* the derivatives are 2 Σ_s Im E_s with
respect to the phases of F, and Σ_s 4π (r_s − 1) Im E_s, summed over the antennas of a line, with respect to
t.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.arrays import Array
from beamfold.errors import InputError
from beamfold.result import Design
from beamfold.scenario import Scenario
from beamfold.sensing import angle_grid

ITERATIONS = 200
"""Steps of L-BFGS for each channel and start."""
ANGLES = 361
"""Directions among which that of a chain is looked for."""
Real = NDArray[np.float64]


def with_delay_lines(
    s: Scenario, d: Design, lines: int, iterations: int = ITERATIONS
) -> tuple[Tensor, Tensor]:
    """X_s (…, S, N, K) and t (…, Q, M) of the better of two ascents from a design: t = 0, and t that steers.

    Args:
        s: a band on a line of antennas; ‖X_s‖² = P_t on each subcarrier, whatever its rule.
        d: a design for it with one F for the band; what comes back is not below it.
        lines: Q, a divisor of N.
        iterations: of each ascent.

    Raises:
        InputError: Q does not divide N, or the scenario has no band.
    """
    if s.band is None or d.F is None:
        raise InputError("delay lines are for a band and a design with one F")
    if lines < 1 or s.antennas % lines:
        raise InputError(f"{lines} delay lines do not divide {s.antennas} antennas")
    batch = s.batch
    each = [_best(s[index], d.F[index], d.W[index], lines, iterations) for index in np.ndindex(*batch)]
    X = torch.stack([x for x, _ in each]).reshape(*batch, *each[0][0].shape)
    t = torch.stack([t for _, t in each]).reshape(*batch, *each[0][1].shape)
    return X, t


def _best(s: Scenario, F: Tensor, W: Tensor, lines: int, iterations: int) -> tuple[Tensor, Tensor]:
    from scipy.optimize import minimize

    model = _Model(s, lines)
    found: list[Any] = []
    for t in (torch.zeros(lines, s.chains, dtype=torch.float64), steering_delays(s.array, F, lines)):
        start = model.packed(F, t, W)
        limits: Any = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 20}
        found.append(minimize(model.cost, start, jac=True, method="L-BFGS-B", options=limits))
    best = min(found, key=lambda result: float(result.fun))
    X, _, t, _ = model.point(best.x)
    return X, t


def steering_delays(array: Array, F: Tensor, lines: int) -> Tensor:
    """t (Q, M) = p̄_q · r̂(θ_m), θ_m the direction to which column m of F sends most; for a line."""
    angles = angle_grid(ANGLES)
    towards = angles[(array.steering(angles).conj() @ F).abs().argmax(0)]  # (M,)
    middle = array.positions.reshape(lines, -1, 3).mean(1)
    return middle @ array.cosines(towards).mT


class _Model:
    """R − ω τ of one channel as a function of real numbers: phases of F, t, and W_s."""

    def __init__(self, s: Scenario, lines: int) -> None:
        assert s.band is not None
        self.s, self.lines = s, lines
        self.block = s.antennas // lines
        self.offset = torch.tensor(s.band.ratios, dtype=torch.float64) - 1  # (S,)

    def packed(self, F: Tensor, t: Tensor, W: Tensor) -> Real:
        """The variables as one vector."""
        W = W / torch.linalg.matrix_norm(W)[..., None, None]
        parts = (F.angle(), t, torch.view_as_real(W.contiguous()))
        return np.concatenate([part.double().numpy().ravel() for part in parts])

    def point(self, x: Real) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """X_s at the power P_t, F_s (S, N, M), t (Q, M) and W_s before they are scaled."""
        s, v = self.s, torch.from_numpy(x)
        N, M, Q, S = s.antennas, s.chains, self.lines, s.subcarriers
        phases, t, rest = v[: N * M].reshape(N, M), v[N * M : (N + Q) * M].reshape(Q, M), v[(N + Q) * M :]
        W = torch.view_as_complex(rest.reshape(S, M, -1, 2).contiguous())
        turned = 2 * math.pi * self.offset[:, None, None] * t.repeat_interleave(self.block, 0)
        F = torch.exp(1j * (phases + turned))
        X = F @ W
        return X * (s.power.sqrt() / torch.linalg.matrix_norm(X))[..., None, None], F, t, W

    def cost(self, x: Real) -> tuple[float, Real]:
        """−(R − ω τ) and its gradient."""
        s = self.s
        X, F, _, W = self.point(x)
        value, G = self.measured(X)
        # X = c Y, c = √P/‖Y‖: of G only what is across X moves it
        scale = s.power.sqrt() / torch.linalg.matrix_norm(F @ W)
        inner = (X.conj() * G).sum((-2, -1)).real / s.power
        G = scale[..., None, None] * (G - inner[..., None, None] * X)
        E = (G @ W.mH * F.conj()).imag
        phases = 2 * E.sum(0)
        t = (4 * math.pi * self.offset[:, None, None] * E).sum(0).reshape(self.lines, self.block, -1).sum(1)
        gradient = (phases, t, torch.view_as_real((2 * F.mH @ G).contiguous()))
        return -value, -np.concatenate([part.numpy().ravel() for part in gradient])

    def measured(self, X: Tensor) -> tuple[float, Tensor]:
        """R − ω τ and ∂/∂X_s*."""
        R, tau, G = self.s.measure(X)
        return float(R - self.s.weight * tau), G
