r"""The start of the fast design for a batch of channels in torch: digital optimum and factorisation.

The readable form of `kernels.fast_channel` and `kernels.fast_start`, with their letters: V = [h_1 … h_K, U]
in canonical form, L the Cholesky factor of Vᴴ V, X = Q Z with Vᴴ Q = L, then

    F = e^{j∠(X Wᴴ)},   W = (Fᴴ F + εN I)⁻¹ Fᴴ X   in turn.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from beamfold.kernels.fast_channel import GRID
from beamfold.kernels.fast_workspace import MEMORY, Constants
from beamfold.networks import Network
from beamfold.optim.lbfgs import as_real
from beamfold.optim.limited_memory import Pairs, dot, pick
from beamfold.optim.matrices import per_matrix
from beamfold.optim.projected_objective import TINY, Numbers, as_complex, value
from beamfold.optim.repeated import repeated

PATIENCE = 3
"""How many times the digital steps where users depend on others, as in `kernels.fast_design`."""


class Channels(NamedTuple):
    """A batch in canonical form: the users of each channel by their strength, their phases turned."""

    V: Tensor
    """(B, N, K + r)."""
    L: Tensor
    """(B, K + r, K + r)."""
    order: Tensor
    """(B, K): column k of V belongs to user order[k]."""
    deficient: Tensor
    """(B,), whether users depend on others."""
    loud: Tensor
    """(B,), whether one is above `Constants.loudest` and was scaled down to it."""


def cholesky(A: Tensor, least: float) -> Tensor:
    """A (B, n, n) = L Lᴴ; column j is zero where those before leave at most a share `least` of A_jj."""
    rest, columns = A, []
    for j in range(A.shape[-1]):
        pivot = rest[:, j, j].real
        there = pivot > least * A[:, j, j].real
        scale = pivot.masked_fill(~there, 1.0).rsqrt().masked_fill(~there, 0.0)
        column = rest[:, :, j] * scale[:, None]
        column = torch.cat([torch.zeros_like(column[:, :j]), column[:, j:]], 1)
        rest = rest - column[:, :, None] * column[:, None].conj()
        columns.append(column)
    return torch.stack(columns, -1)


def solve_adjoint(L: Tensor, Z: Tensor) -> Tensor:
    """L^(−H) Z, 0 in the rows where L has no column."""
    missing = L.diagonal(dim1=-2, dim2=-1).real == 0
    whole = L + torch.diag_embed(missing.to(L.dtype))
    return torch.linalg.solve_triangular(whole.mH, Z.masked_fill(missing[..., None], 0.0), upper=True)


def independent_first(G: Tensor, least: float) -> Tensor:
    """(B, K): the users in the order of a Cholesky factorisation of their Gram matrices with pivots."""
    B, K = G.shape[:2]
    order = torch.arange(K, device=G.device).expand(B, K)
    top, going = G.new_zeros(B).real, torch.ones(B, dtype=torch.bool, device=G.device)
    for j in range(K):
        left, most = G.diagonal(dim1=1, dim2=2).real[:, j:].max(1)
        top = torch.fmax(top, left)
        going = going & (left > least * top)
        swap = torch.arange(K, device=G.device).repeat(B, 1)
        swap[:, j] = torch.where(going, most + j, j)
        swap.scatter_(1, swap[:, j : j + 1].clone(), j)
        order = order.gather(1, swap)
        G = G.gather(1, swap[..., None].expand_as(G)).gather(2, swap[:, None].expand_as(G))
        taken = G[:, j + 1 :, j : j + 1] * G[:, j : j + 1, j + 1 :] / G[:, j, j, None, None]
        G = G.clone()
        G[:, j + 1 :, j + 1 :] -= taken.masked_fill(~per_matrix(going), 0.0)
    return order


def on_grid(h: Tensor) -> Tensor:
    """h (B, N, K) with each column on a grid of 2^-`GRID` of its largest entry."""
    parts = torch.view_as_real(h)
    _, exponent = torch.frexp(h.abs().amax(1, keepdim=True)[..., None])
    scale = GRID - exponent
    return torch.view_as_complex(torch.ldexp(torch.ldexp(parts, scale).round(), -scale).contiguous())


def canonical(H: Tensor, gain: Tensor, U: Tensor, constants: Constants) -> Channels:
    """`Channels` of H (B, K, N) with gain √P_t/σ (B,), in the precision of U (N, r)."""
    h, gain = H.mH, gain[:, None]
    size = h.abs().amax(1)
    scaled = h / torch.where(size > 0, size, 1.0)[:, None]
    norm = gain * size * scaled.abs().square().sum(1).sqrt()
    loud = norm.square() > constants.loudest
    h = scaled * (gain * size * torch.where(loud, math.sqrt(constants.loudest) / norm, 1.0))[:, None]
    largest = torch.gather(scaled, 1, scaled.abs().argmax(1, keepdim=True))
    h = on_grid(h * torch.where(largest == 0, 1.0, largest.conj() / largest.abs()))
    order = torch.sort(norm, dim=1, descending=True, stable=True).indices

    def whole(order: Tensor) -> tuple[Tensor, Tensor]:
        users = torch.gather(h, 2, order[:, None].expand_as(h)).to(U.dtype)
        V = torch.cat([users, U.expand(len(h), *U.shape)], 2)
        return V, cholesky(V.mH @ V, constants.rounding)

    V, L = whole(order)
    K = H.shape[1]
    deficient = (L.diagonal(dim1=-2, dim2=-1)[:, :K].real == 0).any(-1)
    if deficient.any():
        users = V[deficient][..., :K]
        first = independent_first(users.mH @ users, constants.rounding)
        order[deficient] = order[deficient].gather(1, first)
        V, L = whole(order)
    return Channels(V, L, order, deficient, loud.any(1))


def _unit(Z: Tensor, dim: tuple[int, ...]) -> Tensor:
    return Z / (Z.abs().square().sum(dim, keepdim=True) + TINY).sqrt()


def orthonormal_rows(T: Tensor) -> Tensor:
    """The rows of T (B, beams, K) made orthonormal, those that others leave nothing of given to users."""
    rows: list[Tensor] = []

    def orthogonal(row: Tensor) -> Tensor:
        for other in rows:
            row = row - (other.conj() * row).sum(-1, keepdim=True) * other
        return row

    for j in range(T.shape[1]):
        row = orthogonal(T[:, j])
        used = row.abs().square().sum(-1) > 1e-6 * T[:, j].abs().square().sum(-1)
        taken = sum((r.abs().square() for r in rows), torch.zeros_like(row.real))
        own = torch.nn.functional.one_hot(taken.argmin(-1), T.shape[2]).to(T.dtype)
        row = pick(used, row, orthogonal(own))
        rows.append(_unit(row, (-1,)))
    return torch.stack(rows, 1)


def digital_start(channels: Channels, numbers: Numbers, constants: Constants, users: int) -> Tensor:
    """Z (B, K + r, K): the best of the mixes of regularised zero forcing and Ψ's leading beams."""
    L, K = channels.L, users
    on_users = L[:, :K, :K]
    there = on_users.diagonal(dim1=-2, dim2=-1).real != 0
    serving = torch.where(there[..., None], on_users, 0.0)
    eye = torch.eye(K, dtype=L.dtype, device=L.device)
    Z = torch.linalg.solve(serving.mH @ serving + K * eye, on_users.mH)
    Z = _unit(torch.where(there[:, None], Z, 0.0), (1,))
    beams = min(L.shape[-1] - K, K)
    A = orthonormal_rows(L[:, K : K + beams, :K] @ Z) if beams else Z[:, :0]
    communicate = _unit(torch.cat([Z, Z.new_zeros(len(Z), L.shape[-1] - K, K)], 1), (1, 2))
    sense = _unit(L[:, K : K + beams].mH @ A, (1, 2))
    best, found = torch.full_like(numbers.omega, -math.inf), communicate
    for share in constants.shares:
        mixed = _unit((1 - share) * communicate + share * sense, (1, 2))
        f = value(L @ mixed, mixed.mH @ mixed, numbers).f
        found, best = pick(f > best, mixed, found), torch.fmax(best, f)
    return found


def turned_to_users(X: Tensor, h: Tensor) -> Tensor:
    """Q (B, K, K), unitary, for X Q near to the users h (B, N, K), see `kernels.sensing_start`; X (N, K)."""
    return orthonormal_rows(X.mH @ _unit(h, (1,)))


def shorter(t: Tensor, along: Tensor, gain: Tensor) -> Tensor:
    """The maximiser of the parabola through f, its slope and the gain at t, clipped to [0.1 t, 0.5 t]."""
    least, most = 0.1 * t, 0.5 * t
    top = most * along * t / (along * t - gain)
    return torch.where(top > least, torch.minimum(top, most), least)


class Search(NamedTuple):
    """Where an ascent by limited memory is: the gradient, the direction, its slope and the length to try."""

    pairs: Pairs
    g: Tensor
    d: Tensor
    along: Tensor
    t: Tensor

    @classmethod
    def begin(cls, g: Tensor, reach: Tensor | float) -> Search:
        """The first step is `reach` long, along the gradient g (B, n)."""
        gamma = reach / (dot(g, g) + TINY).sqrt()
        d = gamma[:, None] * g
        return cls(Pairs.none(g, gamma, MEMORY), g, d, dot(g, d), torch.ones_like(gamma))

    def after(self, new: Tensor, gain: Tensor, kept: Tensor) -> Search:
        """After a trial with gradient `new`, kept or not: the next direction, or a shorter step."""
        s, y = self.t[:, None] * self.d, self.g - new
        curved = dot(s, y) > 1e-12 * dot(y, y)
        pairs = self.pairs.added(s, y, kept & curved).forgotten(kept & ~curved)
        g = pick(kept, new, self.g)
        d = pairs.times(g)
        lost = ~(dot(g, d) > 0)  # round-off
        pairs = pairs.forgotten(kept & lost)
        d = pick(kept, pick(lost, pairs.gamma[:, None] * g, d), self.d)
        t = shorter(self.t, self.along, gain).masked_fill(kept, 1.0)
        return Search(pairs, g, d, dot(g, d), t)


class _Ascent(NamedTuple):
    Z: Tensor
    f: Tensor
    search: Search


def digital_optimum(
    channels: Channels, numbers: Numbers, constants: Constants, users: int, steps: int
) -> Tensor:
    """X (B, N, K) by `steps` L-BFGS steps on Z, `PATIENCE` times as many where users depend on others."""
    L, Z = channels.L, digital_start(channels, numbers, constants, users)

    def at(Z: Tensor) -> tuple[Tensor, Tensor]:
        found = value(L @ Z, Z.mH @ Z, numbers)
        return found.f, as_real(2 * (L.mH @ found.P + Z @ found.PX))

    def step(state: _Ascent, which: Tensor) -> _Ascent:
        Z, f, search = state
        going = which & (search.along > 0) & (search.along < math.inf)
        trial = Z + as_complex(search.t[:, None] * search.d, Z)
        after, new = at(trial)
        kept = going & (after >= f + 1e-4 * search.t * search.along)
        search = search.after(new, after - f, kept)
        return _Ascent(pick(kept, trial, Z), torch.where(kept, after, f), search)

    f, g = at(Z)
    state, patient = _Ascent(Z, f, Search.begin(g, constants.digital)), channels.deficient
    state = repeated(partial(step, which=torch.ones_like(patient)), state, steps)
    if bool(patient.any()):
        state = repeated(partial(step, which=patient), state, (PATIENCE - 1) * steps)
    return channels.V @ solve_adjoint(L, state.Z)


def phases(A: Tensor, mask: Tensor, old: Tensor) -> Tensor:
    """e^{j∠A} where the mask is 1, 0 elsewhere; an entry that is 0 keeps `old`."""
    size = A.abs()
    small = size.square() < torch.finfo(size.dtype).tiny
    return torch.where(small, old, A / size.masked_fill(small, 1.0)) * mask


def least_squares(F: Tensor, X: Tensor, ridge: float) -> Tensor:
    """W = (Fᴴ F + ridge · N I)⁻¹ Fᴴ X."""
    FF = F.mH @ F
    diagonal = FF.diagonal(dim1=-2, dim2=-1)
    more = (ridge * diagonal).masked_fill(
        diagonal == 0, 1.0
    )  # a chain that no antenna hangs on sends nothing
    L = torch.linalg.cholesky_ex(FF + torch.diag_embed(more)).L
    half = torch.linalg.solve_triangular(L, F.mH @ X, upper=False)
    return torch.linalg.solve_triangular(L.mH, half, upper=True)


def _dealt(allowed: Tensor) -> Tensor:
    """Of the c chains that antenna n may hang on, the (n mod c)-th."""
    place = allowed.cumsum(-1) - 1
    n = torch.arange(len(allowed), device=allowed.device)[:, None]
    return allowed * (place == n % allowed.sum(-1, keepdim=True))


def _assigned(allowed: Tensor, X: Tensor, W: Tensor) -> Tensor:
    """The mask of the best allowed chain of each antenna: argmax_m 2 |(X Wᴴ)_nm| − ‖w_m‖²."""
    score = 2 * (X @ W.mH).abs() - W.abs().square().sum(-1)[:, None]
    best = torch.where(allowed > 0, score, -math.inf).argmax(-1)
    return torch.nn.functional.one_hot(best, allowed.shape[-1]).to(score.dtype)


def two_chains_each(X: Tensor, chains: int) -> tuple[Tensor, Tensor]:
    """F (B, N, M), W (B, M, K) with F W = X for M ≥ 2 K, see `kernels.fast_start.two_chains_each`."""
    K, size = X.shape[-1], X.abs()
    turn = torch.where(size > 0, X / size.masked_fill(size == 0, 1.0), torch.ones_like(X))
    top = size.amax(1, keepdim=True)
    c = torch.where(top > 0, size / top.masked_fill(top == 0, 1.0), 1.0)
    s = (1 - c * c).clamp_min(0).sqrt()
    pairs = torch.stack([turn * torch.complex(c, s), turn * torch.complex(c, -s)], -1).flatten(-2)
    others = [m % K for m in range(2 * K, chains)]
    W = torch.eye(K, dtype=X.dtype, device=X.device).repeat_interleave(2, 0) * (top / 2)
    return torch.cat([pairs, turn[..., others]], -1), torch.nn.functional.pad(W, (0, 0, 0, len(others)))


def factorise(
    X: Tensor, mixing: Tensor, network: Network, alternations: int, ridge: float
) -> tuple[Tensor, Tensor, Tensor]:
    """F (B, N, M), W (B, M, K) from the phases of X mixingᵀ, and the mask (B, N, M) of F's connections.

    With `alternations` below 0 by `two_chains_each`.
    """
    allowed = network.mask.to(X.real)
    if alternations < 0:
        return *two_chains_each(X, network.chains), allowed.expand(len(X), *allowed.shape)
    mask = (_dealt(allowed) if network.dynamic else allowed).expand(len(X), *allowed.shape)
    F = phases(X @ mixing.mT, mask, mask.to(X.dtype))
    W = least_squares(F, X, ridge)
    for _ in range(alternations):
        if network.dynamic:
            mask = _assigned(allowed, X, W)
            F = mask.to(X.dtype)
        F = phases(X @ W.mH, mask, F)
        W = least_squares(F, X, ridge)
    return F, W, mask
