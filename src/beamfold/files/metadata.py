"""The metadata of a model's file, read as what they describe: `ModelInfo`, `Recipe`, `Position`, `Data`.

The texts come from a file, so Pydantic reads them, strictly: no "8" for 8, no 1 for true, and a wrong or
unknown field is named. The classes state the fields and their ranges; there is no second list of them here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from beamfold.files.atomic import FileError

Size = Annotated[int, Field(ge=1, le=1 << 20)]
Degrees = Annotated[float, Field(allow_inf_nan=False)]
Kind = TypeVar("Kind")


class Data(BaseModel):
    """The training set, as far as it is stated; the command `train` states all of it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    antennas: Size | None = None
    users: Size | None = None
    chains: Size | None = None
    count: Size | None = None
    targets_deg: list[Degrees] | None = None
    width_deg: Degrees | None = None
    angles: Size | None = None
    psi_rank: Size | None = None
    psi: str | None = None


def parse(kind: type[Kind], text: str, path: Path, name: str) -> Kind:
    """A field of a file's metadata, which is JSON, as what it describes.

    Raises:
        FileError: names every unknown, missing or wrong part.
    """
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        told = [_told(name, dict(e)) for e in error.errors(include_url=False)[:5]]
        raise FileError(f"{path}: bad metadata: {'; '.join(told)}") from error


def _told(name: str, error: dict[str, Any]) -> str:
    place = ".".join((name, *map(str, error["loc"])))
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown {place}, it may come from a newer version"
    if error["type"] == "missing":
        return f"{place} is missing"
    found = repr(error["input"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" + (f", found {found}" if len(found) < 60 and error["loc"] else "")
