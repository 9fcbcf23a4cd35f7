"""What a fast design works with: the numbers of its problem, and the arrays in which it computes.

The letters are those of the package's table (`beamfold.kernels`). All arrays are planes (2, columns, lanes)
unless said, padded with zeros.
"""

from __future__ import annotations

from typing import NamedTuple

from beamfold.kernels.linalg import Planes, kernel
from beamfold.kernels.planes import up
from beamfold.kernels.simd import LANES
from beamfold.kernels.workspace import shape

MEMORY = 8
"""Pairs of the limited-memory BFGS of Z and of the phases of F."""
PAIRS = 16
"""Pairs that stand for the inverse Hessian of W where the dense one, (2KM)² numbers, would be too large."""
DENSE = 300
"""Real unknowns of W up to which its inverse Hessian is a dense matrix."""


class Sensed(NamedTuple):
    """ω and what is sensed where the objective is R + ω c of another goal than τ, see `fast_goal`.

    With None in its place kernels are compiled without a trace of it.
    """

    weight: float
    """ω of R + ω c."""
    targets: int
    """T."""
    angles: int
    """n; 0 for SCNR."""
    clutter: int
    """C."""
    first: int
    """The coordinate of ā_1."""
    products: Planes
    """(2, C + T + 2 n, C + T + 2 n) by rows, the Gram matrix of [b̄_c, u_t]; constant."""
    W: Planes
    """The same with clutter: E is above W once the first C rows are swept. Without, `products` itself."""
    g: Planes
    """(2, T + n + C, T + n + C)."""
    F: Planes
    """(2, T + n, T + n), then Ω."""
    kappa: Planes
    """(2, T + n + C, T + n + C)."""


class Problem(NamedTuple):
    """The numbers of (8) for one channel."""

    power: float
    """P_t."""
    gain: float
    """√P_t/σ: h_k in units of σ/√P_t is this times h_k."""
    omega: float
    """ω P_t²: ω in units of 1/P_t²; 0 for another goal than τ."""
    square: float
    """‖Ψ‖² at unit power."""
    sensed: Sensed | None
    """Another goal than τ."""


class Constants(NamedTuple):
    """The numbers of the fast design, the same for every SNR, weight and size."""

    digital: float = 0.1
    """First step of Z, in units of √P_t."""
    chains: float = 0.05
    """First step of W, in units of ‖W‖."""
    phases: float = 0.1
    """First step of ∠F in radians per entry (root mean square)."""
    shares: tuple[float, ...] = (0.0, 0.3, 0.7)
    """Shares of the sensing beams in the candidates for Z."""
    ridge: float = 0.03
    """ε of the factorisation, see `fast_start`."""
    rounding: float = 2e-6
    """The share of a column's energy below which what the others leave of it counts as rounding."""
    loudest: float = 3e4
    """The largest P_t ‖h_k‖²/σ² that the kernel works with, see `fast_loud`."""
    tolerance: float = 0.0
    """Stop where the next step of F promises less than this."""


class Objective(NamedTuple):
    """f at X and its gradient V P + X P_X in X, in coordinates; see `fast_objective`."""

    Y: Planes
    """(2, K, D), Vᴴ X."""
    C: Planes
    """(2, K, K), Xᴴ X."""
    P: Planes
    """(2, K, D)."""
    PX: Planes
    """(2, K, K)."""
    masks: Planes
    """(3, K, D), see `fast_objective.set_masks`."""


class Antennas(NamedTuple):
    """All that is as long as the array, and what f needs of F."""

    V: Planes
    """(2, D, N), [F, h_1 … h_K, U]."""
    base: Planes
    """(2, M, N), the F to which a step that is refused goes back."""
    free: Planes
    """(1, M, N), 1 where an antenna is connected to a chain and the phase may change, else 0."""
    kept: Planes
    """(2, M, N), F of the best start."""
    X: Planes
    """(2, K, N), the digital optimum."""
    T: Planes
    """(2, M, D), Vᴴ F."""
    PW: Planes
    """(2, M, D), P Wᴴ: df/dF* = V (P Wᴴ)."""


class Digital(NamedTuple):
    """The digital optimum X = Q Z, see `fast_start`."""

    L: Planes
    """(2, K + r, D), the Cholesky factor of the Gram matrix of [h_1 … h_K, U]."""
    Z: Planes
    """(2, K, K + r)."""
    base: Planes
    """(2, K, K + r), regularised zero forcing; then the Z to which a step that is refused goes back."""
    sense: Planes
    """(2, K, K + r), Ψ's leading eigenvectors, assigned to the users."""
    through_V: Planes
    """(2, K, K + r), Lᴴ P: the gradient in Z through Y."""
    through_X: Planes
    """(2, K, K + r), Z P_X: the gradient in Z through X itself."""
    A: Planes
    """(2, max(K, M), max(K, M)), Gram matrices to be factorised."""
    on_V: Planes
    """(2, K, D), L^(−H) Z: X in coordinates of V."""


class Chains(NamedTuple):
    """The BFGS ascent of W, see `fast_chains`."""

    rows: Planes
    """(1, 9, 2KM): W, g and what the updates need; `fast_chains` names the rows."""
    B: Planes
    """(1, 2KM, 2KM), −(∇²f)⁻¹; or (1, 2 PAIRS + 1, 2KM), the last pairs s and y, then their 1/sᵀy and the
    scale sᵀy/yᵀy."""


class Memory(NamedTuple):
    """The limited-memory BFGS of Z and, later, of the phases of F, see `fast_memory`."""

    rows: Planes
    """(1, 2 MEMORY + 3, n): the pairs s and y, two gradients and the direction."""
    tables: Planes
    """(2, MEMORY, MEMORY), s_iᵀ y_j and y_iᵀ y_j."""
    small: Planes
    """(1, 4, 2 MEMORY), numbers of each pair; `fast_memory` names the rows."""


class Workspace(NamedTuple):
    """All of it."""

    antennas: Antennas
    objective: Objective
    digital: Digital
    memory: Memory
    chains: Chains


class Sizes(NamedTuple):
    """Padded sizes."""

    N: int
    K: int
    M: int
    D: int
    """Coordinates: the columns of V, M first."""
    columns: int
    """Columns that V is stored with."""
    moving: int
    """M in whole pairs of columns, as the gradient by the phases takes them."""
    digital: int
    """Columns of L, K + r."""
    Z: int
    """Lanes of a column of Z."""
    W: int
    """Lanes of a row of W's unknowns."""
    B: int
    """Rows of B."""


@kernel
def sizes(N: int, K: int, M: int, r: int) -> Sizes:
    """`Sizes` for N antennas, K users, M RF chains and a Ψ of rank r."""
    Kq, Mq, n = up(K, 4), up(M, 4), up(K + r, 4)
    unknowns = 2 * K * Mq
    return Sizes(
        N=up(N, LANES),
        K=Kq,
        M=Mq,
        D=up(Mq + K + r, LANES),
        columns=up(Mq + K + r, 4),
        moving=up(M, 2),
        digital=n,
        Z=up(n, LANES),
        W=up(unknowns, LANES),
        B=unknowns if unknowns <= DENSE else 2 * PAIRS + 1,
    )


@kernel
def objective_layout(p: Sizes, K: int) -> Objective:
    """The shapes of an `Objective`."""
    wide = shape(2, p.K, p.D)
    return Objective(Y=wide, C=shape(2, p.K, p.K), P=wide, PX=shape(2, K, p.K), masks=shape(3, K, p.D))


@kernel
def layout(N: int, K: int, M: int, r: int) -> Workspace:
    """The shapes of a `Workspace`; the rows of `Memory` serve Z and the phases, whichever are more."""
    p = sizes(N, K, M, r)
    square = max(p.K, p.M)
    Z = shape(2, p.K, p.Z)
    return Workspace(
        antennas=Antennas(
            V=shape(2, p.columns, p.N),
            base=shape(2, p.moving, p.N),
            free=shape(1, p.moving, p.N),
            kept=shape(2, p.moving, p.N),
            X=shape(2, p.K, p.N),
            T=shape(2, p.M, p.D),
            PW=shape(2, p.M, p.D),
        ),
        objective=objective_layout(p, K),
        digital=Digital(
            L=shape(2, p.digital, p.D),
            Z=Z,
            base=Z,
            sense=Z,
            through_V=Z,
            through_X=Z,
            A=shape(2, square, square),
            on_V=shape(2, K, p.D),
        ),
        memory=Memory(
            rows=shape(1, 2 * MEMORY + 3, max(p.moving * p.N, 2 * p.K * p.Z)),
            tables=shape(2, MEMORY, MEMORY),
            small=shape(1, 4, 2 * MEMORY),
        ),
        chains=Chains(rows=shape(1, 9, p.W), B=shape(1, p.B, p.W)),
    )


@kernel
def rows_of(memory: Memory, length: int) -> Memory:
    """The same memory for a problem of `length` unknowns."""
    rows = memory.rows.shape[1]
    flat = memory.rows.reshape(memory.rows.size)
    return Memory(flat[: rows * length].reshape((1, rows, length)), memory.tables, memory.small)
