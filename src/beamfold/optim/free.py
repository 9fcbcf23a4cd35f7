r"""Any objective of X over {F, W} or over a fully digital X, as a function of matrices without constraints.

F = Z/|Z| entry by entry meets (7b) on a connected network for any Z, and scaling X = F W meets (7c), so that

    f(Z, W) = φ(t F W),   t by the rule of the power,

has no constraints and does not depend on the scale of (Z, W): `lbfgs.maximise` takes it as it is. With
G = ∂φ/∂X* made tangent to the power's sphere,

    ∂f/∂W* = t Fᴴ G,      ∂f/∂Z* = j F/|Z| ∘ Im(F* ∘ t G Wᴴ).

Every scenario is one to it: bands, networks, users with several antennas. It is written in torch, a batch at
a time; the compiled methods are faster where they can be used.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from beamfold.objective import inner_product
from beamfold.optim.lbfgs import maximise
from beamfold.scenario import Scenario
from beamfold.start import Point


class Aim(Protocol):
    """φ of a batch of channels, to be maximised."""

    def value(self, s: Scenario, X: Tensor) -> Tensor:
        """φ(X) (B,)."""

    def gradient(self, s: Scenario, X: Tensor) -> Tensor:
        """∂φ/∂X*, as X."""

    def part(self, index: Tensor) -> Self:
        """Of some channels."""


class Weighted(NamedTuple):
    """φ = the scenario's own objective, R − ω τ or R + ω c."""

    def value(self, s: Scenario, X: Tensor) -> Tensor:
        """R − ω τ or R + ω c (B,)."""
        return s.objective(X)

    def gradient(self, s: Scenario, X: Tensor) -> Tensor:
        """Its gradient."""
        return s.measure(X).gradient

    def part(self, index: Tensor) -> Weighted:
        """The same: the weights are the scenario's."""
        return self


class Free(NamedTuple):
    """f of a scenario with one leading axis; see the module's docstring."""

    s: Scenario
    aim: Aim
    connected: Tensor | None
    """(B, N, M) bool, or None for a fully digital X."""

    def part(self, index: Tensor) -> Free:
        """Of some channels."""
        connected = None if self.connected is None else self.connected[index]
        return Free(self.s[index], self.aim.part(index), connected)

    def pack(self, point: Point | Tensor) -> Tensor:
        """[Z; W_1ᵀ; …; W_Sᵀ] (B, N + S K, M) with Z = F and W in a unit that makes both of one size; or X."""
        if isinstance(point, Tensor):
            return point.reshape(len(point), -1, point.shape[-1])
        F, W = point
        rows = W.mT.reshape(len(W), -1, W.shape[-2])
        unit = torch.linalg.matrix_norm(rows) / torch.linalg.matrix_norm(F)
        return torch.cat([F, rows / unit[:, None, None]], -2)

    def _split(self, Y: Tensor) -> tuple[Tensor, Tensor]:
        """Z (B, N, M) and W (B, M, K), or (B, S, M, K)."""
        s, N = self.s, self.s.antennas
        W = Y[:, N:].reshape(*s.H.shape[:-2], -1, Y.shape[-1]).mT
        return Y[:, :N], W

    def _raw(self, Y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """F, W and F W before it is scaled; of a digital problem X in the place of F W."""
        if self.connected is None:
            X = Y.reshape(*self.s.H.shape[:-2], self.s.antennas, -1)
            return X, X, X
        Z, W = self._split(Y)
        F = torch.sgn(Z)
        return F, W, self.s.transmitted(F, W)

    def point(self, Y: Tensor) -> Point:
        """{F, W} at power P_t."""
        F, W, X = self._raw(Y)
        return Point(F, self.s.to_power(X, W))

    def X(self, Y: Tensor) -> Tensor:
        """X at power P_t."""
        return self.s.to_power(self._raw(Y)[2])

    def value(self, Y: Tensor) -> Tensor:
        """f(Y) (B,)."""
        return self.aim.value(self.s, self.X(Y))

    def gradient(self, Y: Tensor) -> Tensor:
        """∂f/∂Y*, as Y."""
        F, W, raw = self._raw(Y)
        X = self.s.to_power(raw)
        gain = torch.linalg.matrix_norm(X) / torch.linalg.matrix_norm(raw)
        G = gain[..., None, None] * tangent(self.s, X, self.aim.gradient(self.s, X))
        if self.connected is None:
            return G.reshape(Y.shape)
        on_W = self.s.on_band(F).mH @ G
        on_F = G @ W.mH
        on_F = on_F if self.s.band is None else on_F.sum(-3)
        size = Y[:, : self.s.antennas].abs()
        along = 1j * F * (F.conj() * on_F).imag
        on_Z = torch.where(self.connected & (size > 0), along / size.clamp_min(1e-300), 0)
        return torch.cat([on_Z, on_W.mT.reshape(len(Y), -1, Y.shape[-1])], -2)


def tangent(s: Scenario, X: Tensor, G: Tensor) -> Tensor:
    """What of G changes X without its power, by the rule of the scenario."""
    along, size = inner_product(X, G), inner_product(X, X)
    if s.band is not None and s.band.rule == "band":
        along, size = (t.sum(-1, keepdim=True) for t in (along, size))
    return G - (along / size)[..., None, None] * X


class End(NamedTuple):
    """Where a climb ended."""

    point: Point | Tensor
    value: Tensor
    """(B,)."""
    residual: Tensor
    """(B,), 2 ‖∂f/∂Y*‖ ‖Y‖."""


def climb(s: Scenario, start: Point | Tensor, aim: Aim, tolerance: float, iterations: int) -> End:
    """L-BFGS from {F, W}, or from a fully digital X, for a scenario with one leading axis."""
    connected = None if isinstance(start, Tensor) else start.F != 0
    free = Free(s, aim, connected)
    Y, value, residual = maximise(free, free.pack(start), tolerance, iterations)
    return End(free.X(Y) if connected is None else free.point(Y), value, residual)
