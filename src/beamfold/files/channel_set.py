"""`ChannelSet`: the channels of a file one at a time, of a large file only those that are asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from beamfold.errors import InputError
from beamfold.files.arrays import Held, read_file
from beamfold.files.atomic import FileError
from beamfold.files.axes import CHANNELS, parsed_index
from beamfold.files.entries import ScenarioSpec
from beamfold.files.parts import is_large, stays_in_file
from beamfold.files.reader import Channels, read_set, understood
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
    _source: Tensor | tuple[Path, Held, ScenarioSpec]

    @property
    def apart(self) -> bool:
        """Whether the channels stay in the file until they are asked for."""
        return isinstance(self._source, tuple)

    def channel(self, b: int) -> Tensor:
        """H (K, N) of channel b, with the further axes of `Channels`.

        Raises:
            FileError: the channel holds NaN or Inf, or a large file can't be read any more.
        """
        held = self._source
        H = held[b] if isinstance(held, Tensor) else understood(*held, channel=b).H[0]
        if not bool(H.isfinite().all()):
            raise FileError(f"channel {b} of the file holds NaN or Inf; choose another one")
        return H


def open_set(spec: ScenarioSpec) -> ChannelSet:
    """The channels of the file that a scenario names.

    Raises:
        InputError: as `read_set` says.
    """
    path = channel_file(spec)
    if is_large(path) and CHANNELS not in parsed_index(spec.index):
        held = read_file(path, apart=True)
        if any(stays_in_file(value) for value in held.arrays.values()):
            if spec.normalise == "set":
                raise InputError(f"{path} is read one channel at a time; --normalise set needs all of them")
            first = understood(path, held, spec, channel=0)
            return ChannelSet(first, first.count, (path, held, spec))
    read = read_set(path, spec)
    return ChannelSet(replace(read, H=read.H[:1]), len(read.H), read.H)
