r"""The fast design of a batch of channels in torch, on any device: the readable form of
`kernels.fast_design`.

Variable projection: f's variable are the phases of F; at each trial F a few BFGS steps bring W near its
best, so that df/dF* = V P Wᴴ + F W P_X Wᴴ there is the gradient of max_W f. A trial that does not raise f
(Armijo) goes back to F and W before it. The same start, steps and refusals as the compiled design, channel by
channel; no step of one channel waits for another's decision, so nothing but the start of dependent users and
the end of the search is looked at outside the device.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from beamfold.kernels.fast_channel import GRID
from beamfold.kernels.fast_design import SENSING_TRIAL
from beamfold.kernels.fast_loud import deepen
from beamfold.kernels.fast_setting import CONSTANTS, DROPPED, ROUNDING, Plan, mixing, sensing_start_of
from beamfold.kernels.fast_workspace import Constants
from beamfold.networks import Network
from beamfold.optim.limited_memory import pick
from beamfold.optim.matrices import flatten, per_matrix
from beamfold.optim.projected_objective import Inverse, Numbers, ascend_chains, by_chains, no_curvature
from beamfold.optim.projected_start import Search, canonical, digital_optimum, factorise, turned_to_users
from beamfold.optim.repeated import repeated
from beamfold.scenario import Scenario
from beamfold.start import Point


class Found(NamedTuple):
    """F (B, N, M), W (B, M, K) for users in canonical order, f (B,) and the steps of F made (B,)."""

    F: Tensor
    W: Tensor
    f: Tensor
    done: Tensor


class Begin(NamedTuple):
    """F (B, N, M), W (B, M, K) to begin at, and the mask (B, N, M) of F's connections."""

    F: Tensor
    W: Tensor
    mask: Tensor


class _Ascent(NamedTuple):
    found: Found
    inverse: Inverse
    search: Search


def _by_phases(
    V: Tensor,
    F: Tensor,
    W: Tensor,
    mask: Tensor,
    inverse: Inverse,
    numbers: Numbers,
    reach: float,
    steps: int,
) -> tuple[Tensor, Tensor, Tensor, Inverse]:
    """f at F with W near its best for it, df/d∠F = 2 Im(F* ∘ df/dF*) as rows, W, and what was learnt."""
    W, here, inverse = ascend_chains(V.mH @ F, F.mH @ F, W, inverse, numbers, reach, steps)
    G = V @ (here.P @ W.mH) + F @ (W @ here.PX @ W.mH)
    return here.f, (2 * mask * (F.conj() * G).imag).flatten(1), W, inverse


def turned(F: Tensor, angle: Tensor) -> Tensor:
    """F (1 + ja)/(1 − ja), a = angle / 2: the modulus stays, the angle is right to third order."""
    a = angle.reshape(F.shape) / 2
    return F * torch.complex(1 - a * a, 2 * a) / (1 + a * a)


def ascend_phases(
    V: Tensor,
    F: Tensor,
    W: Tensor,
    mask: Tensor,
    numbers: Numbers,
    constants: Constants,
    plan: Plan,
    steps: int,
    spent: Tensor | None = None,
) -> Found:
    """W for F, then up to `steps` L-BFGS steps on ∠F, less those `spent` (B,) before; f never falls."""
    reach = constants.chains
    W, here, inverse = ascend_chains(V.mH @ F, F.mH @ F, W, no_curvature(W), numbers, reach, plan.first)
    f = here.f
    done = torch.zeros(len(F), dtype=torch.int64, device=F.device) if spent is None else spent
    if steps <= 0:
        return Found(F, W, f, done)
    f, g, W, inverse = _by_phases(V, F, W, mask, inverse, numbers, reach, plan.inner)
    search = Search.begin(g, constants.phases * mask.sum((1, 2)).sqrt())

    def step(state: _Ascent) -> _Ascent:
        (F, W, f, done), inverse, search = state
        going = (search.along > constants.tolerance) & (done < steps)
        trial = turned(F, search.t[:, None] * search.d)
        after, g, follows, inverse = _by_phases(V, trial, W, mask, inverse, numbers, reach, plan.inner)
        kept = going & (after >= f + 1e-4 * search.t * search.along)
        search = search.after(g, after - f, kept)
        F, W, f = pick(kept, trial, F), pick(kept, follows, W), torch.where(kept, after, f)
        return _Ascent(Found(F, W, f, done + going), inverse, search)

    return repeated(step, _Ascent(Found(F, W, f, done), inverse, search), steps).found


def sensing_too(
    V: Tensor, begin: Begin, sense: Point, numbers: Numbers, constants: Constants, plan: Plan
) -> tuple[Begin, Tensor]:  # fmt: skip
    """For channels where that is better the sensing start F_0 (N, M), W_0 (M, K), after a trial of both.

    Returns:
        Where to begin, and the steps of F that were made to find out (B,); see `kernels.fast_design`.
    """
    F, W, mask = begin
    K, spent = W.shape[-1], torch.zeros(len(F), dtype=torch.int64, device=F.device)
    F_0 = sense.F.expand_as(F)
    W_0 = sense.W @ turned_to_users(sense.F @ sense.W, V[..., :K])
    here, there = (by_chains(V.mH @ a, a.mH @ a, b, numbers)[0].f for a, b in ((F, W), (F_0, W_0)))
    some = torch.nonzero(there > here)[:, 0]
    if not len(some):
        return begin, spent
    trial = min(plan.steps // 4, SENSING_TRIAL)
    own = Numbers(numbers.omega[some], numbers.square)
    usual, other = (
        ascend_phases(V[some], a[some], b[some], mask[some], own, constants, plan, trial)
        for a, b in ((F, W), (F_0, W_0))
    )
    better = other.f > usual.f
    F, W = F.clone(), W.clone()
    F[some], W[some] = pick(better, other.F, usual.F), pick(better, other.W, usual.W)
    spent[some] = trial
    return Begin(F, W, mask), spent


def best_start(
    V: Tensor, X: Tensor, network: Network, which: int, numbers: Numbers, constants: Constants, plan: Plan
) -> Begin:
    """The best of `plan.starts` factorisations of X, after `plan.trial` steps each."""
    fixed = not network.full and not network.dynamic
    best: Found | None = None
    mask = torch.empty(0)
    for i in range(plan.starts):
        Q = torch.from_numpy(mixing(network.chains, X.shape[-1], which + i).copy()).to(X)
        turns = plan.alternations if i == 0 or network.dynamic else plan.further
        F, W, connected = factorise(X, Q, network, 0 if which > 0 and fixed else turns, constants.ridge)
        if plan.starts == 1:
            return Begin(F, W, connected)
        found = ascend_phases(V, F, W, connected, numbers, constants, plan, plan.trial)
        if best is None:
            best, mask = found, connected
        else:
            better = found.f > best.f
            mask = pick(better, connected, mask)
            best = Found(*(pick(better, new, old) for new, old in zip(found, best, strict=True)))
    assert best is not None
    return Begin(best.F, best.W, mask)


def run_projected(
    s: Scenario, plan: Plan, *, dtype: torch.dtype = torch.float32, tolerance: float = 0.0, which: int = 0,
    constants: Constants = CONSTANTS,
) -> tuple[Point, Tensor, Tensor]:  # fmt: skip
    """The fast design of every channel of a scenario, on the scenario's device.

    Returns:
        F (…, N, M), W (…, M, K) in complex128, f (…) and the steps of F (…), as `kernels.fast.run_fast`.
    """
    precision = np.float32 if dtype == torch.float32 else np.float64
    device, kind = s.H.device, torch.complex64 if dtype == torch.float32 else torch.complex128
    constants = constants._replace(rounding=ROUNDING[precision], tolerance=tolerance)
    H = s.H.reshape(-1, s.users, s.antennas)
    power, weight = (t.expand(s.batch).reshape(-1).to(torch.float64) for t in (s.power, s.weight))
    U = s.radar.factor(DROPPED[precision]).U.to(device, kind)
    channels = canonical(H, (power / s.noise).sqrt(), U, constants)
    mantissa, exponent = torch.frexp(weight * power * power)  # on the grid of the channels, against rounding
    omega = torch.ldexp((mantissa * 2**GRID).round(), exponent - GRID)
    numbers = Numbers(omega.to(dtype), s.radar.square)
    X = digital_optimum(channels, numbers, constants, s.users, plan.digital)
    begin, spent = best_start(channels.V, X, s.network, which, numbers, constants, plan), None
    sense = sensing_start_of(s.radar, s.network, s.users, plan, precision, which)
    if sense is not None:
        there = Point(*(torch.from_numpy(z).to(device, kind) for z in sense))
        begin, spent = sensing_too(channels.V, begin, there, numbers, constants, plan)
    found = ascend_phases(channels.V, *begin, numbers, constants, plan, plan.steps, spent)
    point, f = _stored(found, channels.order, power), found.f.to(torch.float64)
    if channels.loud.any():
        point, f = _at_true_noise(s, point, f, channels.loud)
    F, W = (z.reshape(*s.batch, *z.shape[1:]) for z in point)
    return Point(F, W), f.reshape(s.batch), found.done.reshape(s.batch)


def _stored(found: Found, order: Tensor, power: Tensor) -> Point:
    """F on the unit circle, W (B, M, K) for the users as they were given with ‖F W‖² = P_t, in complex128."""
    F, W = found.F.to(torch.complex128), found.W.to(torch.complex128)
    F = F / torch.where(F == 0, 1.0, F.abs())
    back = order.argsort(1)
    W = torch.gather(W, 2, back[:, None].expand_as(W))
    return Point(F, W * per_matrix(power.sqrt() / torch.linalg.matrix_norm(F @ W)))


def _at_true_noise(s: Scenario, point: Point, f: Tensor, loud: Tensor) -> tuple[Point, Tensor]:
    """W as good as its F allows where a user was too loud for the steps above, see `kernels.fast_loud`."""
    part, W, f = flatten(s)[loud], point.W.clone(), f.clone()
    mine = Point(point.F[loud], point.W[loud])
    deeper = []
    for F, w, h, power in zip(*mine, part.H, part.power, strict=True):
        f_n, w_n, h_n = (z.resolve_conj().cpu().numpy() for z in (F, w, h))
        deeper.append(deepen(f_n, w_n, h_n, float(power), math.sqrt(float(power) / s.noise)))
    other = torch.from_numpy(np.stack(deeper)).to(W)
    before, after = (part.objective(mine.F @ w) for w in (mine.W, other))
    W[loud], f[loud] = pick(after > before, other, mine.W), torch.fmax(before, after)
    return Point(point.F, W), f
