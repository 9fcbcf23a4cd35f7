"""`ChannelSet`: the channels of a file one at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from beamfold.files.entries import ScenarioSpec
from beamfold.files.reader import Channels, read_set
from beamfold.files.scenarios import channel_file


@dataclass(frozen=True, eq=False)
class ChannelSet:
    """The channels of a file.

    Attributes:
        first: the first channel, H (1, K, N), and what was understood of the file.
        count: B.
    """

    first: Channels
    count: int
    _H: Tensor

    def channel(self, b: int) -> Tensor:
        """H (K, N) of channel b, with the further axes of `Channels`."""
        return self._H[b]


def open_set(spec: ScenarioSpec) -> ChannelSet:
    """The channels of the file that a scenario names.

    Raises:
        InputError: as `read_set` says.
    """
    read = read_set(channel_file(spec), spec)
    return ChannelSet(replace(read, H=read.H[:1]), len(read.H), read.H)
