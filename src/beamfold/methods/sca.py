r"""Successive convex approximation (SCA) of the sum rate under total power, fully digital [69].

max_X Σ_k log(1 + γ_k) s.t. γ_k ≤ SINR_k(X), ‖X‖²_F ≤ P_t is not convex through √γ_k β_k ≤ Re h_kᴴ x_k,
where β_k² = σ² + Σ_{l≠k} |h_kᴴ x_l|². Tran, Hanif, Tölli and Juntti (IEEE Signal Process. Lett. 19(12),
2012) replace √γ β by its convex upper bound γ/(2φ) + φ β²/2, tight at φ = √γ/β of the iterate before:

    max Σ_k log(1 + γ_k)   s.t.   Re h_kᴴ x_k ≥ γ_k/(2 φ_k) + φ_k β_k²/2,   ‖X‖²_F ≤ P_t.

`engine="cvxpy"` is that program, one channel at a time. `engine="fast"` eliminates γ:

    γ_k = q_k(X) = 2 Re(φ_k^* h_kᴴ x_k) − |φ_k|² (Σ_{l≠k} |h_kᴴ x_l|² + σ² ‖X‖²/P_t),   φ_k = A_kk/β_k²,

the same surrogate, with the noise of a design that is not scaled yet (see `wmmse`) in place of the
power constraint, and a complex φ in place of the rotation that makes h_kᴴ x_k real. For any X, q_k is
at most the SINR of X scaled to P_t, with equality at the iterate before; so Σ log(1 + q_k), which is
concave and self-concordant, is a tight lower bound, its unconstrained maximum is at least that of the
program above, and R rises in every step. Newton finds it in about five batched steps: the Hessian is
one K × K block per user plus K rank-one terms.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.constraints import full_power
from beamfold.digital_start import digital_start
from beamfold.errors import InputError
from beamfold.method import SLOW, Method, Supports
from beamfold.objective import received
from beamfold.optim.active import backtrack, check_limits, run_active
from beamfold.optim.by_subcarrier import by_subcarrier
from beamfold.optim.fixed_point import ascend_rate
from beamfold.optim.matrices import per_matrix, solve
from beamfold.result import Design, finish
from beamfold.scenario import Scenario

Complex = NDArray[np.complex128]
NEWTON_STEPS = 50  # self-concordance bounds them; about 5 are taken
DECREMENT = 1e-12  # λ² at which Newton stops; the surrogate is within λ²/2 of its maximum


def bound(A: Tensor, norm: Tensor, phi: Tensor, c: Tensor) -> Tensor:
    """q_k of the module's docstring.

    Args:
        A: (…, K, K), H X.
        norm: (…), ‖X‖²_F.
        phi: (…, K) complex, φ.
        c: (…), σ²/P_t.

    Returns:
        (…, K) real.
    """
    gain = A.diagonal(dim1=-2, dim2=-1)
    off = A.abs().square().sum(-1) - gain.abs().square()
    return 2 * (phi.conj() * gain).real - phi.abs().square() * (off + (c * norm)[..., None])


def surrogate(L: Tensor, Y: Tensor, phi: Tensor, c: Tensor) -> Tensor:
    """Σ_k log(1 + q_k) in nat at X = B Y, with L = H B; −∞ outside the domain."""
    q = bound(L @ Y, Y.abs().square().sum((-2, -1)), phi, c)
    return torch.where(q > -1, torch.log1p(q.clamp_min(-1)), -torch.inf).sum(-1)


def newton_direction(L: Tensor, Y: Tensor, phi: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """D solving (M + 2 Σ_k ω_k² g_k ⟨g_k, ·⟩) D = Σ_k ω_k g_k, ω_k = 1/(1 + q_k), g_k = ∂q_k/∂Y*.

    M acts on column l of D as Σ_{k≠l} ω_k |φ_k|² h_k h_kᴴ + c Σ_k ω_k |φ_k|² I; the K rank-one terms,
    with ⟨a, b⟩ = Re tr(aᴴ b), come in by Woodbury's identity.

    Returns:
        D (…, K, K), and the squared Newton decrement λ² (…).
    """
    users = L.shape[-2]
    eye = torch.eye(users, dtype=L.dtype, device=L.device)
    A = L @ Y
    omega = 1 / (1 + bound(A, Y.abs().square().sum((-2, -1)), phi, c))
    power = phi.abs().square()
    inner = torch.diag_embed(phi) - power[..., None] * (A * (1 - eye))  # row k is what q_k sees of A
    g = (
        L.conj()[..., :, :, None] * inner[..., :, None, :]
        - (power * c[..., None])[..., None, None] * (Y[..., None, :, :])
    )  # (…, k, i, l)
    weight = (omega * power)[..., None, :] * (1 - eye.real)  # (…, l, k)
    M = L.mH[..., None, :, :] @ (weight[..., :, :, None] * L[..., None, :, :])
    M = M + (c * (omega * power).sum(-1))[..., None, None, None] * eye
    columns = g.movedim(-1, -3)  # (…, l, k, i): right-hand sides of block l
    solved = solve(M, columns.mT).movedim(-3, -1).movedim(-2, -3)  # (…, k, i, l)
    gram = torch.einsum("...jil,...kil->...jk", g.conj(), solved).real
    # d = M⁻¹ Σ_k (ω_k − 2 ω_k² t_k) g_k with t_j = ⟨g_j, d⟩
    mixed = eye.real + 2 * gram * omega.square()[..., None, :]
    t = torch.linalg.solve_ex(mixed, gram @ omega[..., None]).result[..., 0]
    D = ((omega - 2 * omega.square() * t)[..., None, None] * solved).sum(-3)
    return D, 2 * (omega * t).sum(-1)


class _State(NamedTuple):
    """A surrogate (L, φ, c) and the point Y that Newton has reached, with its value."""

    L: Tensor
    Y: Tensor
    phi: Tensor
    c: Tensor
    value: Tensor

    def part(self, index: Tensor) -> _State:
        """Of some channels."""
        return _State(*(t[index] for t in self))


def maximise_surrogate(L: Tensor, Y: Tensor, phi: Tensor, c: Tensor) -> Tensor:
    """arg max_Y Σ_k log(1 + q_k), from Y, by Newton with backtracking; (B, K, K)."""
    best = Y.clone()

    def step(at: _State, which: Tensor) -> tuple[_State, Tensor]:
        L, Y, phi, c, value = at
        D, decrement = newton_direction(L, Y, phi, c)

        def trial(t: Tensor) -> tuple[Tensor, Tensor]:
            new = Y + per_matrix(t) * D
            return new, -surrogate(L, new, phi, c)

        open_still = decrement > DECREMENT
        if not open_still.any():
            return at, open_still
        before = torch.where(open_still, -value, torch.inf)  # where Newton is done, any step will do
        new, cost, _ = backtrack(trial, before, -decrement, torch.ones_like(value), share=0.1)
        going = open_still & (-cost > value)
        best[which[going]] = new[going]
        return _State(L, new, phi, c, -cost), going

    begin = _State(L, Y, phi, c, surrogate(L, Y, phi, c))
    run_active(step, begin, torch.ones_like(c, dtype=torch.bool), NEWTON_STEPS)
    return best


def step(s: Scenario, X: Tensor) -> Tensor:
    """One approximation at X (…, N, K) and its maximum, scaled to (7c); never lowers R.

    The optimum lies in span{h_k}: the rest of X only costs power.
    """
    A, _, other, _ = received(s.H, X, s.noise)
    phi = A.diagonal(dim1=-2, dim2=-1) / other
    B = torch.linalg.qr(s.H.mH).Q
    Y = maximise_surrogate(s.H @ B, B.mH @ X, phi, s.noise / s.power)
    return full_power(B @ Y, s.power)


def program(
    H: NDArray[np.complex128], phi: NDArray[np.float64], power: float
) -> NDArray[np.complex128] | None:
    """[69]'s convex program of one channel at unit noise, in CVXPY with Clarabel.

    Args:
        H: (K, d), rows h_kᴴ.
        phi: (K,), φ > 0.
        power: P_t.

    Returns:
        X (d, K), or None where the solver gave up.
    """
    cp: Any = importlib.import_module("cvxpy")  # heavy, and untyped
    users, antennas = H.shape
    X, gamma = cp.Variable((antennas, users), complex=True), cp.Variable(users, nonneg=True)
    A = H @ X
    constraints = [cp.sum_squares(cp.abs(X)) <= power]
    for k in range(users):
        others = [A[k, j] for j in range(users) if j != k]
        beta_squared = 1 + sum(cp.square(cp.abs(a)) for a in others)
        constraints.append(cp.real(A[k, k]) >= gamma[k] / (2 * phi[k]) + phi[k] / 2 * beta_squared)
    try:
        cp.Problem(cp.Maximize(cp.sum(cp.log1p(gamma))), constraints).solve(solver=cp.CLARABEL)
    except cp.SolverError:
        return None
    return None if X.value is None else np.asarray(X.value)


def reference_step(s: Scenario, X: Tensor) -> Tensor:
    """One approximation of [69] by `program`, channel after channel, in the basis of span{h_k}; as `step`.

    A channel that the solver does not solve gets NaN, which the loop reports as `DIVERGED`.
    """
    B = torch.linalg.qr(s.H.mH).Q
    A, _, other, _ = received(s.H, X, s.noise)
    gain = A.diagonal(dim1=-2, dim2=-1).abs()
    phi = (gain * s.noise**0.5 / other).clamp_min(1e-9).numpy()
    L = (s.H @ B / s.noise**0.5).numpy()
    found = [program(L[b], phi[b], float(s.power[b])) for b in range(len(X))]
    Y = [np.full((L.shape[-1], s.users), np.nan + 0j) if y is None else y for y in found]
    return full_power(B @ torch.from_numpy(np.stack(Y)), s.power)


@by_subcarrier
def sca(
    s: Scenario,
    *,
    engine: Literal["fast", "cvxpy"] = "fast",
    start: str | Tensor = "zero_forcing",
    tolerance: float = 1e-3,
    iterations: int = 100,
) -> Design:
    """The sum-rate precoder by successive convex approximation [69]; τ is ignored.

    Args:
        s: the scenario.
        engine: "fast", batched Newton, or "cvxpy", the program of [69] as printed, hundreds of times
            slower, on the CPU.
        start: "zero_forcing", "maximum_ratio", or X (…, N, K). A user without gain in it stays without.
        tolerance: ε, stop a channel once R rises by no more than this, bit/s/Hz.
        iterations: the most approximations.

    Returns:
        A fully digital `Design`, `CONVERGED` where the rule was met within `iterations`.

    Raises:
        InputError: an unknown engine or start, or a negative tolerance or number of iterations.
    """
    check_limits(tolerance, iterations)
    if engine not in ("fast", "cvxpy"):
        raise InputError(f"no engine {engine!r}; known: fast, cvxpy")
    one = step if engine == "fast" else reference_step
    X, status, steps = ascend_rate(s, one, digital_start(s, start), tolerance, iterations)
    return finish(s, "sca", None, X, status=status, iterations=steps)


METHOD = Method(
    "sca",
    sca,
    "R alone, fully digital, successive convex approximation",
    part=SLOW,
    supports=Supports(digital=True, band=True, device=True),
)
