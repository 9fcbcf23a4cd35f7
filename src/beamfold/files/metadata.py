"""What the metadata of a model's file may say: every field with its type and range, no other field.

The texts come from a file, so Pydantic reads them, strictly: no "8" for 8, no 1 for true, and a wrong or
unknown field is named.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from beamfold.files.atomic import FileError

Size = Annotated[int, Field(ge=1, le=1 << 20)]
Count = Annotated[int, Field(ge=0, le=(1 << 63) - 1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Digital = Literal["signal", "exact"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Info(_Strict):
    """The fields of `methods.ModelInfo`."""

    antennas: Size
    users: Size
    chains: Size
    eta: float = Field(gt=0, le=1)
    digital: Digital = "signal"
    weight: Finite = Field(default=0.3, ge=0)
    snr_db: tuple[Finite, Finite] = (0.0, 12.0)
    seed: Count = 0
    note: str = Field(default="", max_length=10_000)
    curve: tuple[float, ...] = ()  # of a training that went astray, NaN too
    extra: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _sizes(self) -> Info:
        if not self.users <= self.chains <= self.antennas:
            raise ValueError(
                f"sizes K <= M <= N expected, found {self.users}, {self.chains}, {self.antennas}"
            )
        return self


class Learned(_Strict):
    """The fields of `training.Recipe`, which checks how they go together."""

    layers: Size
    inner: Size
    epochs: Size
    batch: Size
    rate: Finite
    decay: Finite
    snr_db: tuple[Finite, Finite]
    weight: Finite = Field(ge=0)
    digital: Digital
    initial: Finite
    clip: float  # inf: never
    seed: Count


class Data(_Strict):
    """The training set, as far as it is stated; the command `train` states all of it."""

    antennas: Size | None = None
    users: Size | None = None
    chains: Size | None = None
    count: Size | None = None
    targets_deg: list[Finite] | None = None
    psi: str | None = None


class At(_Strict):
    """Where a training stands."""

    epoch: Annotated[int, Field(ge=0, le=1 << 20)]
    curve: tuple[float, ...]
    skipped: Count


Kind = TypeVar("Kind", bound=_Strict)


def parse(kind: type[Kind], text: str, path: Path, name: str) -> Kind:
    """A field of a file's metadata, which is JSON.

    Raises:
        FileError: names every unknown, missing or wrong part.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        told = [_told(name, dict(e)) for e in error.errors(include_url=False)[:5]]
        raise FileError(f"{path}: bad metadata: {'; '.join(told)}") from error


def _told(name: str, error: dict[str, Any]) -> str:
    place = ".".join((name, *map(str, error["loc"])))
    if error["type"] == "extra_forbidden":
        return f"unknown {place}, it may come from a newer version"
    if error["type"] == "missing":
        return f"{place} is missing"
    found = repr(error["input"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" + (f", found {found}" if len(found) < 60 and error["loc"] else "")
