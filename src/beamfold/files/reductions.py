"""What is done to channels before the design: one receive antenna, groups of users, a scale."""

from __future__ import annotations

import torch
from torch import Tensor

from beamfold.errors import InputError
from beamfold.files.atomic import FileError

RECEIVE = ("first", "strongest", "combine")
NORMALISE = ("none", "set", "user")


def one_antenna(
    what: str, H: Tensor, receive: str | None, *, streams: int | None
) -> tuple[Tensor, list[str]]:
    """H (B, S, K, R, N) with R = 1, as `--receive` says; as it is where the users keep their antennas.

    first takes the first antenna of each user, strongest the one of largest ‖h‖² over the subcarriers,
    combine u^H H_k with the dominant left singular vector u of each user's matrix.

    Raises:
        InputError: an unknown word, or both `--receive` and `--streams`.
        FileError: several receive antennas and neither.
    """
    R = H.shape[3]
    if receive is None:
        if R > 1 and streams is None:
            raise FileError(
                f"{what} has users of {R} receive antennas; give --streams d for users with several, or "
                "reduce them to one with --receive first, strongest or combine"
            )
        return H, []
    if receive not in RECEIVE:
        raise InputError(f"--receive is {', '.join(RECEIVE)}, got {receive[:30]!r}")
    if streams is not None:
        raise InputError("--receive reduces users to one antenna, --streams is for several; give one of them")
    if R == 1:
        return H, []
    if receive == "first":
        H = H[:, :, :, :1]
    elif receive == "strongest":
        best = H.abs().square().sum((1, 4)).argmax(-1)  # (B, K)
        H = H.gather(3, best[:, None, :, None, None].expand(*H.shape[:3], 1, H.shape[4]))
    else:
        if not torch.isfinite(torch.view_as_real(H)).all():
            raise FileError(f"{what} holds NaN or Inf, of which no receive antennas can be combined")
        u = torch.linalg.svd(H, full_matrices=False).U[..., :1]
        H = u.mH @ H
    word = {"first": "the first", "strongest": "the strongest", "combine": "the best combination"}[receive]
    return H, [f"{word} of {R} receive antennas"]


def grouped(
    what: str, H: Tensor, users: int | None, group: str | None, *, listed: bool
) -> tuple[Tensor, list[str]]:
    """Channels of K users out of lists of more, in their order or by a seeded draw.

    Args:
        what: the file and the array, for messages.
        H: (B, S, U, R, N).
        users: K.
        group: "order" or "random:SEED"; None for order where the file is a list of users without channels.
        listed: the file has no axis of channels.

    Returns:
        (B U/K, S, K, R, N); of a draw ⌊U/K⌋ groups, the users that are left over are left out.

    Raises:
        InputError: no K, or one that the users don't fill.
    """
    U = H.shape[2]
    seed = _seed(group)
    if users is None or users == U or (group is None and not listed):
        if group is not None and users is None:
            raise InputError("--group makes channels of K users each; give --users K")
        return H, []
    if not 1 <= users <= U:
        raise InputError(f"{what} has {U} users, --users asks for {users}")
    count = U // users
    if U % users and seed is None:
        near = [k for k in range(1, U + 1) if U % k == 0]
        near = sorted(sorted(near, key=lambda k: abs(k - users))[:2])
        raise InputError(
            f"{what}: {U} users do not fill groups of {users}; take --users "
            f"{' or '.join(map(str, near))}, or "
            "--group random:0, which leaves the rest out"
        )
    order = torch.arange(U)
    if seed is not None:
        order = torch.randperm(U, generator=torch.Generator().manual_seed(seed))
    B, S, _, R, N = H.shape
    H = H[:, :, order[: count * users]].reshape(B, S, count, users, R, N).movedim(2, 1).flatten(0, 1)
    how = "by order" if seed is None else f"drawn with seed {seed}"
    left = f", {U - count * users} left out" if U % users else ""
    return H, [f"{U} users in groups of {users}, {how}{left}"]


def _seed(group: str | None) -> int | None:
    """The seed of random:SEED, None for "order"."""
    if group in (None, "order"):
        return None
    word, sign, seed = str(group).partition(":")
    if word != "random" or not sign or not seed.isdecimal() or len(seed) > 18:
        raise InputError(f"--group is order or random:SEED, such as random:0, got {str(group)[:30]!r}")
    return int(seed)


def normalised(H: Tensor, how: str | None) -> tuple[Tensor, list[str]]:
    """H (B, S, K, R, N) scaled so that mean ‖h‖² = N: over the set, or over each user's rows of a channel.

    Raises:
        InputError: an unknown word.
    """
    if how in (None, "none"):
        return H, []
    if how not in NORMALISE:
        raise InputError(f"--normalise is {', '.join(NORMALISE)}, got {str(how)[:30]!r}")
    top = H.abs().max()
    unit = H / top if top > 0 and torch.isfinite(top) else H  # squares of 1e-200 are 0
    power = unit.abs().square().sum(-1)
    mean = power.mean() if how == "set" else power.mean((1, 3))[:, None, :, None, None]
    scale = (H.shape[-1] / mean).sqrt()
    return unit * torch.where(mean > 0, scale, torch.zeros_like(scale)), [
        f"scaled to mean ‖h‖² = N over {'the set' if how == 'set' else 'each user'}"
    ]


def path_less(what: str, H: Tensor) -> list[str]:
    """How many users of H (B, S, K, R, N) have no path, in words.

    Raises:
        FileError: none has one.
    """
    dead = (H == 0).all(-1).all(3).all(1)
    count = int(dead.sum())
    if count == dead.numel():
        raise FileError(f"{what} is 0 everywhere: no user has a path")
    return [f"{count} of {dead.numel()} users without a path"] if count else []
