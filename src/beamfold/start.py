"""Starting points {F, W}, all feasible: the proposed (26), random [63], SVD-based [67] in two readings."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from beamfold.band import side_by_side
from beamfold.constraints import total_power
from beamfold.errors import InputError
from beamfold.networks.fit import fitted
from beamfold.objective import SINGLE, Users, by_user
from beamfold.scenario import Scenario
from beamfold.sensing import Sensing


class Point(NamedTuple):
    """An iterate: F (…, N, M) and W (…, M, K), on a band (…, S, M, K)."""

    F: Tensor
    W: Tensor


DEPENDENT = 1e-9
"""Singular values of H below this fraction of the largest are treated as zero."""
CANCELS = 1e6
"""κ of `condition` beyond which F W has lost ten digits to rounding and W is too large to be usable."""


def condition(point: Point) -> Tensor:
    """κ = ‖F‖_F ‖W‖_F / ‖F W‖_F (…): how much F W cancels. Gram coordinates lose κ² of their precision."""
    norm = torch.linalg.matrix_norm
    return norm(point.F) * norm(point.W) / norm(point.F @ point.W)


def least_norm(point: Point, power: Tensor) -> Point:
    """The same F W by the least W, where κ is beyond `CANCELS`.

    A direction of W that F all but maps to zero costs an objective in F W nothing: a search lets W grow along
    it. Singular values of F below 1/`CANCELS` of the largest are left out.

    Args:
        point: F (…, N, M), W (…, M, K).
        power: (…), P_t.
    """
    hard = condition(point) > CANCELS
    if not hard.any():
        return point
    F, W = point.F[hard], point.W.clone()
    least = torch.linalg.pinv(F, rtol=1 / CANCELS) @ (F @ W[hard])
    W[hard] = total_power(F, least, power.expand(hard.shape)[hard])
    return Point(point.F, W)


def anywhere(X: Tensor) -> Tensor:
    """X (…, a, b), or the first columns of I where all of X is zero: (7c) wants the power somewhere."""
    nowhere = (X == 0).all(-1).all(-1)[..., None, None]
    return torch.where(nowhere, torch.eye(*X.shape[-2:], dtype=X.dtype, device=X.device), X)


def zero_forcing(H: Tensor, users: Users = SINGLE) -> Tensor:
    """X_ZF = H^† (…, N, K), which leaves no interference between the users; not normalised.

    A user without a channel gets nothing; where nobody has one, user k gets antenna k. Users with several
    antennas or streams get `block_diagonal`.
    """
    return anywhere(torch.linalg.pinv(H, rtol=DEPENDENT) if users.single else block_diagonal(H, users))


def block_diagonal(H: Tensor, users: Users) -> Tensor:
    """X (…, N, K d) with H_l X_k = 0 for all l ≠ k: block diagonalisation; not normalised.

    With N_k an orthonormal basis of what no other user receives, X_k is N_k times the d leading right
    singular vectors of H_k N_k. That needs N − (K − 1) R ≥ d. Where there are fewer antennas, each user is
    taken to receive along the d leading left singular vectors of its channel alone, and X is the
    pseudo-inverse of those K d rows: no interference where the users listen.

    Args:
        H: (…, K R, N).
        users: R and d.
    """
    R, d = users.receive, users.streams
    each = by_user(H, users)
    count, antennas = each.shape[-3], each.shape[-1]
    if antennas - (count - 1) * R < d:
        U = torch.linalg.svd(each, full_matrices=False).U[..., :d]
        return torch.linalg.pinv((U.mH @ each).flatten(-3, -2), rtol=DEPENDENT)
    columns = []
    for k in range(count):
        others = torch.cat([each[..., :k, :, :], each[..., k + 1 :, :, :]], -3).flatten(-3, -2)
        # Right singular vectors beyond the others' rows span what none of them receives.
        free = torch.linalg.svd(others).Vh.mH[..., (count - 1) * R :]
        V = torch.linalg.svd(each[..., k, :, :] @ free, full_matrices=False).Vh.mH[..., :d]
        columns.append(free @ V)
    return torch.cat(columns, -1)


def pointing_columns(H: Tensor, users: Users = SINGLE) -> Tensor:
    """The K d columns (…, N, K d) that (26) takes the phases of: h_k, or each user's d leading directions.

    The directions of a user with several antennas are the right singular vectors of its channel.
    """
    if users.single:
        return H.mH
    V = torch.linalg.svd(by_user(H, users), full_matrices=False).Vh.mH[..., : users.streams]
    return V.movedim(-3, -2).flatten(-2)


def maximum_ratio(H: Tensor, users: Users = SINGLE) -> Tensor:
    """Hᴴ with columns of unit norm (…, N, K): each user's own channel, interference ignored.

    Of a user with several antennas the d leading right singular vectors of its channel. A user without a
    channel gets nothing; where nobody has one, user k gets antenna k.
    """
    columns = pointing_columns(H, users)
    norm = torch.linalg.vector_norm(columns, dim=-2, keepdim=True)
    return anywhere(columns / torch.where(norm > 0, norm, 1.0))


def extra_columns(radar: Sensing, missing: int) -> Tensor:
    """The M − K columns (N, missing) that (26) adds to the channels: steering vectors of the targets.

    Where fewer targets are known, the leading eigenvectors of Ψ stand in for the rest: they too point
    where Ψ wants power.
    """
    known = radar.target_angles[:missing]
    columns = radar.array.steering(known).mT
    if len(known) < missing:
        columns = torch.cat([columns, radar.spectrum[1][:, : missing - len(known)]], -1)
    return columns


def _with_extra(s: Scenario, columns: Tensor) -> Tensor:
    extra = extra_columns(s.radar, s.chains - columns.shape[-1]).to(columns.dtype)
    return torch.cat([columns, extra.expand(*s.batch, *extra.shape)], -1)


def proposed(s: Scenario) -> Point:
    """[F]_nm = e^{jϑ_nm}, W = F^† X_ZF scaled to (7c), Eq. (26); F's singular values below 1e-6 count as 0.

    ϑ are the phases of G = [h_1, …, h_K, a(θ_1), …, a(θ_{M−K})] and X_ZF = H^† is the users' alone,
    so that W has K columns for any M ≥ K. On a band `over_band` stands in the place of h_1, …, h_K.
    """
    if s.band is None:
        return _pointing(s, pointing_columns(s.H, s.per_user))
    return _pointing(s, over_band(s.H, s.per_user))


def over_band(H: Tensor, users: Users = SINGLE) -> Tensor:
    """One column (…, N, K d) for every stream over a band: where the user is strongest over all subcarriers.

    The d leading right singular vectors of the user's channels H_k,s (…, S R, N) one above the other, turned
    to the phase of the middle subcarrier's column, so that equal subcarriers give `pointing_columns`.
    """
    middle = pointing_columns(H[..., H.shape[-3] // 2, :, :], users)
    stacked = by_user(H, users).movedim(-4, -3).flatten(-3, -2)  # (…, K, S R, N)
    V = torch.linalg.svd(stacked, full_matrices=False).Vh.mH[..., : users.streams]
    columns = V.movedim(-3, -2).flatten(-2)
    turn = torch.sgn((columns.conj() * middle).sum(-2, keepdim=True))
    return columns * torch.where(turn == 0, torch.ones_like(turn), turn)


def random(s: Scenario, seed: int = 0) -> Point:
    """F of uniform random phases, W = X_ZF of the channels H F, scaled to (7c), as in [63].

    Channel b of the last batch axis draws its phases from a generator of its own, (seed, b), at every SNR.
    """
    count = s.batch[-1] if s.batch else 1
    shape = (s.antennas, s.chains)
    phases = np.stack([np.random.default_rng([seed, b]).uniform(0, 2 * math.pi, shape) for b in range(count)])
    angle = torch.from_numpy(phases if s.batch else phases[0]).to(s.H.device)
    F = _connected(s, torch.exp(1j * angle.expand(*s.batch, *shape)).to(s.H.dtype))
    W = zero_forcing(s.H @ s.on_band(F), s.per_user)
    return Point(F, s.to_power(s.transmitted(F, W), W))


def svd(s: Scenario) -> Point:
    """F of the phases of H's leading right singular vectors, W as in (26), as in [67].

    H has K of them; for M > K the columns of (26) follow. On a band H is that of all subcarriers one above
    the other.
    """
    return _pointing(s, _right(s))


def _right(s: Scenario) -> Tensor:
    """The K d leading right singular vectors of H as columns."""
    rows = s.H if s.band is None else s.H.flatten(-3, -2)
    return torch.linalg.svd(rows, full_matrices=False).Vh.mH[..., : s.columns]


def svd_conjugated(s: Scenario) -> Point:
    """`svd` with the singular vectors conjugated, those of Hᵀ: F does not point at the users.

    Fig. 5 says of PGA from its SVD start that it soon behaves as from the random one and ends below (26).
    That holds of this reading and not of `svd`, see docs/measured/findings.md.
    """
    return _pointing(s, _right(s).conj())


def _connected(s: Scenario, F: Tensor) -> Tensor:
    """F on the network: B ∘ F, and of a dynamic network the connections that come nearest to zero forcing.

    Those begin with antenna n on chain n mod M. On a band they are nearest to all subcarriers together.
    """
    network = s.network
    if not network.dynamic:
        return network.connected(F)
    turn = torch.arange(s.antennas, device=F.device)[:, None] % s.chains
    begin = F * (turn == torch.arange(s.chains, device=F.device))
    X = s.to_power(zero_forcing(s.H, s.per_user))
    power = s.subcarriers * s.power.expand(s.batch)
    return fitted(X if s.band is None else side_by_side(X), power, network, begin)


def pointing(s: Scenario, columns: Tensor) -> Tensor:
    """F (…, N, M) of the phases of the K columns (…, N, K) and the M − K further ones."""
    return _connected(s, torch.exp(1j * _with_extra(s, columns).angle()))


def _pointing(s: Scenario, columns: Tensor) -> Point:
    F = pointing(s, columns)
    # F can be column-rank deficient (users equal, or all but): pinv then takes the least-norm W.
    W = s.on_band(torch.linalg.pinv(F, rtol=1 / CANCELS)) @ served(s)
    return Point(F, s.to_power(s.transmitted(F, W), W))


def sensing_start(s: Scenario) -> Tensor:
    """U Q (…, N, K d): the best covariance of rank K d at P_t, turned by the unitary Q nearest to the users.

    U holds Ψ's K d leading eigenvectors times the root of their eigenvalues, and Q is the polar factor of
    Uᴴ X_MR of `maximum_ratio`: of all X with this covariance, the one with the most Σ_k Re h_kᴴ x_k/‖h_k‖.
    Sensing streams get all of these eigenvectors alike, with phases of a discrete Fourier transform. For flat
    channels.
    """
    values, vectors = torch.linalg.eigh(s.Psi)
    U, D = vectors * values.clamp_min(0).sqrt(), s.per_user.sensing
    own = U[:, -(s.columns - D) :]
    left, _, right = torch.linalg.svd(own.mH @ maximum_ratio(s.H, s.per_user))
    X = own @ (left @ right)
    if D:
        turns = torch.arange(s.columns, device=U.device)[:, None] * torch.arange(D, device=U.device)
        mixing = torch.exp(2j * math.pi * turns / s.columns).to(U.dtype) / math.sqrt(s.columns)
        X = torch.cat([X, (U[:, -s.columns :] @ mixing).expand(*X.shape[:-1], D)], -1)
    return s.to_power(X)


def padded(s: Scenario, X: Tensor) -> Tensor:
    """X with D columns of zeros for the sensing streams behind those of the users."""
    return torch.nn.functional.pad(X, (0, s.per_user.sensing))


SENSING_SHARE = 0.3
"""Of `sensing_start` in a start with sensing streams: a column of zeros would stay one."""


def served(s: Scenario) -> Tensor:
    """X_ZF, and with sensing streams (1 − b) X_ZF + b X_Ψ, whose last D columns are not 0."""
    X = zero_forcing(s.H, s.per_user)
    if not s.per_user.sensing:
        return X
    parts = [sensing_start(part) for part in s.parts()]
    sense = parts[0] if len(parts) == 1 else torch.stack(parts, -3)
    return (1 - SENSING_SHARE) * s.to_power(padded(s, X)) + SENSING_SHARE * sense


SHARES = (0.0, 0.3, 0.7)
"""Of `sensing_start` in the mixtures of `mixed`."""


def mixed(s: Scenario) -> Tensor:
    """X (…, N, K d): the best (1 − b) X_ZF + b X_Ψ for b of `SHARES`, scaled to (7c); flat channels only."""
    communicate, sense = s.to_power(padded(s, zero_forcing(s.H, s.per_user))), sensing_start(s)
    tried = [s.to_power((1 - b) * communicate + b * sense) for b in SHARES]
    best = torch.stack([s.objective(X) for X in tried]).nan_to_num(-math.inf).argmax(0)
    return torch.stack(tried, -3).take_along_dim(best[..., None, None, None], -3).squeeze(-3)


def mean_covariance(s: Scenario) -> Point:
    """F of the phases of the leading eigenvectors of Σ_s X_s X_sᴴ, W_s = F^† X_s scaled to (7c).

    X_s are digital precoders of a closed form, `mixed`, so that sensing has its part in the start.
    """
    parts = [mixed(part) for part in s.parts()]
    X = parts[0] if len(parts) == 1 else torch.stack(parts, -3)
    return from_digital(
        s, torch.linalg.svd(X if s.band is None else side_by_side(X), full_matrices=False).U, X
    )


def from_digital(s: Scenario, columns: Tensor, X: Tensor) -> Point:
    """F of the phases of the first M columns (…, N, n), W_s = F^† X_s scaled to (7c).

    Where they are fewer than M, those of (26) beyond K follow.
    """
    columns = columns[..., : s.chains]
    missing = s.chains - columns.shape[-1]
    if missing:
        extra = extra_columns(s.radar, missing).to(columns.dtype)
        columns = torch.cat([columns, extra.expand(*s.batch, *extra.shape)], -1)
    F = _connected(s, torch.exp(1j * columns.angle()))
    W = s.on_band(torch.linalg.pinv(F, rtol=1 / CANCELS)) @ X
    return Point(F, s.to_power(s.transmitted(F, W), W))


STARTS = {
    "proposed": proposed,
    "random": random,
    "svd": svd,
    "svd_conjugated": svd_conjugated,
    "mean_covariance": mean_covariance,
}


def check_start(name: str) -> None:
    """Raise InputError unless there is a start of this name."""
    if name not in STARTS:
        raise InputError(f"no start {name!r}; known: {', '.join(STARTS)}")
