"""`State`: everything that the controls of the page say, checked."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from beamfold.defaults import NETWORK
from beamfold.errors import InputError
from beamfold.networks import NAMES
from beamfold.radar.goal import SENSING

TARGETS = 8
"""Targets at most: more mainlobes of 5 degrees are hardly told apart on a picture."""
Azimuth = Annotated[float, Field(ge=-90, le=90)]


class State(BaseModel):
    """One design: a channel of the file and what it is designed for.

    Attributes:
        channel: b, counted from 0.
        snr_db: P_t/σ² in dB.
        weight: ω.
        targets_deg: azimuths, or pairs of azimuth and elevation; None where Ψ comes from a file.
        chains: M.
        network: a name; None for a mask of a file, which stays.
        bits: of the phase shifters, None for continuous phases.
        common: whether a band has one Ψ.
        sensing: the sensing objective.
        target_snr_db: of crb and scnr.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    channel: int = Field(ge=0)
    snr_db: float = Field(ge=-60, le=80)
    weight: float = Field(ge=0, le=1e9)
    targets_deg: tuple[Azimuth | tuple[Azimuth, Azimuth], ...] | None = Field(
        min_length=1, max_length=TARGETS
    )
    chains: int = Field(ge=1, le=4096)
    network: str | None = NETWORK
    bits: int | None = Field(default=None, ge=1, le=12)
    common: bool = False
    sensing: str = SENSING[0]
    target_snr_db: float | None = Field(default=None, ge=-120, le=60)

    @field_validator("targets_deg", mode="before")
    @classmethod
    def _tuples(cls, value: Any) -> Any:
        """The lists of JSON as tuples."""
        if not isinstance(value, list):
            return value
        return tuple(tuple(each) if isinstance(each, list) else each for each in value)

    @field_validator("network")
    @classmethod
    def _named(cls, value: str | None) -> str | None:
        """A name, never a file of the client's."""
        if value is not None and value not in NAMES:
            raise ValueError(f"no network of this name; known: {', '.join(NAMES)}")
        return value

    @field_validator("sensing")
    @classmethod
    def _known(cls, value: str) -> str:
        """One of the objectives."""
        if value not in SENSING:
            raise ValueError(f"no sensing objective of this name; known: {', '.join(SENSING)}")
        return value

    @property
    def front(self) -> State:
        """The state without ω: what the front of a channel depends on."""
        return self.model_copy(update={"weight": 0.0})

    @property
    def setting(self) -> State:
        """The state without channel, SNR and ω, which a scenario takes on quickly."""
        return self.model_copy(update={"channel": 0, "snr_db": 0.0, "weight": 0.0})


def checked(raw: Any) -> State:
    """A state of these entries.

    Raises:
        InputError: an unknown entry, another type, or a value that is out of range; names the first.
    """
    try:
        return State.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][:2]) or "the state"
        raise InputError(f"{place[:60]}: {first['msg'][:200]}") from error


def state_of(raw: Any, channels: int) -> State:
    """The state that a page sends.

    Raises:
        InputError: as `checked`, or no such channel.
    """
    found = checked(raw)
    if found.channel >= channels:
        raise InputError(f"channel {found.channel} of {channels}: channels are counted from 0")
    return found


def weights_around(stated: float) -> list[float]:
    """ω of the slider: 40 a decade from 1e-4 to 100, to three digits, and the stated one."""
    usual = {float(f"{10 ** (i / 40):.3g}") for i in range(-160, 81)}
    return sorted({*usual, stated} if stated > 0 and math.isfinite(stated) else usual)


def levels_around(stated: float) -> list[float]:
    """SNR of the slider in dB: every half from -10 to 30, and the stated one."""
    return sorted({*(i / 2 for i in range(-20, 61)), stated})
