r"""`Network`: which antenna is connected to which RF chain, and which phases are possible; (7b) in general.

With a mask B (N, M) of zeros and ones the analog precoder is F = B ∘ F, |F_nm| = 1 where B_nm = 1 and 0
elsewhere, and with b bits the phases are 2π i/2^b, i = 0 … 2^b − 1. A mask of ones and continuous phases is
the paper's (7b). What the optimisation needs of it:

* the gradient in F is B ∘ the full one, and the projection (10) acts on the connected entries;
* where F starts, the mask comes first and W = F^† X after it: masking F once W is computed breaks (7c);
* sub-arrays of equal size have Fᴴ F = (N/M) I, so ‖F W‖² = (N/M) ‖W‖² whatever the phases are.

A dynamic network connects each antenna to one chain, and which one is part of the design: its mask is that of
each channel's F, and stays what it was where F started.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.errors import InputError

MOST_BITS = 10


@dataclass(frozen=True, eq=False)
class Network:
    """An analog network. Make the usual ones with `fully_connected`, `subarrays`, `interleaved`, `dynamic`.

    Attributes:
        mask: B (N, M) of zeros and ones; NumPy or torch on the way in, bool inside.
        bits: b of the phase shifters, or None for continuous phases.
        dynamic: each antenna is connected to one chain of the design's choice among those that B allows.
        name: what a user calls it, for messages and files.

    Raises:
        InputError: another shape than (N, M), entries other than 0 and 1, an antenna or a chain that nothing
            is connected to, more chains than antennas, or bits outside 1 … 10.
    """

    mask: Tensor
    bits: int | None = None
    dynamic: bool = False
    name: str = "mask"

    def __post_init__(self) -> None:
        """Check the mask and keep it as bool."""
        given: Tensor | NDArray[np.generic] = self.mask
        B = given if isinstance(given, Tensor) else torch.from_numpy(np.array(given))
        if B.ndim != 2 or 0 in B.shape:
            raise InputError(f"the mask of a network has axes (antennas, chains), found {tuple(B.shape)}")
        if not bool(((B == 0) | (B == 1)).all()):
            raise InputError("the mask of a network holds zeros and ones alone; found other numbers")
        B = B.to(torch.bool)
        for axis, what in ((1, "antenna"), (0, "RF chain")):
            bare = torch.nonzero(~B.any(axis)).flatten().tolist()
            if bare:
                raise InputError(f"{what} {bare[0]} of the network is connected to nothing ({len(bare)} are)")
        if B.shape[1] > B.shape[0]:
            raise InputError(
                f"a network has at most as many chains as antennas, got {B.shape[1]} and {B.shape[0]}"
            )
        if self.bits is not None and not 1 <= self.bits <= MOST_BITS:
            raise InputError(f"phase shifters have 1 to {MOST_BITS} bits, got {self.bits}")
        object.__setattr__(self, "mask", B)

    @property
    def antennas(self) -> int:
        """N, antennas."""
        return self.mask.shape[0]

    @property
    def chains(self) -> int:
        """M, RF chains."""
        return self.mask.shape[1]

    @cached_property
    def full(self) -> bool:
        """Every chain on every antenna."""
        return bool(self.mask.all()) and not self.dynamic

    @property
    def usual(self) -> bool:
        """The paper's (7b): fully connected, continuous phases."""
        return self.full and self.bits is None

    def realises(self, columns: int) -> bool:
        """Whether F W can be any X of so many columns: two chains for each, on every antenna, without bits.

        See `kernels.fast_start.two_chains_each`.
        """
        return self.usual and self.chains >= 2 * columns

    @cached_property
    def one_chain_each(self) -> bool:
        """Every antenna is connected to one chain: sub-arrays."""
        return self.dynamic or bool((self.mask.sum(1) == 1).all())

    @cached_property
    def continuous(self) -> Network:
        """The same connections with continuous phases."""
        return self if self.bits is None else self.with_bits(None)

    @property
    def label(self) -> str:
        """The name with the bits."""
        return self.name if self.bits is None else f"{self.name}, {self.bits} bits"

    def connected(self, F: Tensor) -> Tensor:
        """B ∘ F for F (…, N, M). A dynamic network is connected by `fit.assigned`, not by this."""
        return F if self.full else F * self.mask.to(F.device)

    def violation(self, F: Tensor) -> Tensor:
        """How far F (…, N, M) is from the network (…): the largest distance of an entry from what is allowed.

        | |F_nm| − 1 | where connected and |F_nm| elsewhere; with b bits also the distance to the nearest
        level. In a dynamic network the strongest entry of each antenna is the connected one.
        """
        size = F.abs()
        if self.usual:
            return (size - 1).abs().amax((-2, -1))
        mask = self.mask.to(F.device)
        if self.dynamic:
            strongest = torch.where(mask, size, -1.0).argmax(-1, keepdim=True)
            mask = torch.zeros_like(size, dtype=torch.bool).scatter(-1, strongest, True)
        off = torch.where(mask, (size - 1).abs(), size)
        if self.bits is not None:
            off = torch.maximum(off, torch.where(mask, (F - quantised(F, self.bits)).abs(), off))
        return off.amax((-2, -1))

    def with_bits(self, bits: int | None) -> Network:
        """The same connections with other phase shifters."""
        return Network(self.mask, bits, self.dynamic, self.name)

    def same_as(self, other: Network) -> bool:
        """Whether both allow the same F."""
        mine, theirs = (n.mask.cpu() for n in (self, other))
        rest = (self.bits, self.dynamic) == (other.bits, other.dynamic)
        return rest and mine.shape == theirs.shape and bool((mine == theirs).all())


def quantised(F: Tensor, bits: int) -> Tensor:
    """Every entry by the nearest of the levels e^{j2πi/2^b}; an entry of exactly 0 stays."""
    step = 2 * math.pi / (1 << bits)
    nearest = torch.polar(torch.ones_like(F.real), torch.round(F.angle() / step) * step)
    return torch.where(F == 0, torch.zeros_like(F), nearest)


class Kind(NamedTuple):
    """A network that has a name: the record of a file of this package, under the name `KIND`."""

    name: str
    """What `--network` takes: the file's name."""
    make: Callable[[int, int], Network]
    """(N, M) → the network with continuous phases."""
    about: str
    """Which antenna is connected to which chain, in one line."""
