"""Channels H (B, K, N) in files: read as the user says, written with their axes and array."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from beamfold.arrays import Array as AntennaArray
from beamfold.files.arrays import write_arrays
from beamfold.files.atomic import Pathlike
from beamfold.files.axes import written
from beamfold.files.bands import Frequencies, band_entries
from beamfold.files.entries import ScenarioSpec
from beamfold.files.named_axes import documented
from beamfold.files.rows import rows_named
from beamfold.tensors import as_tensor


def read_channels(
    path: Pathlike,
    *,
    variable: str | None = None,
    rows: str = "h^H",
    several: bool = False,
    from_: str | None = None,
    imag: str | None = None,
    axes: str | None = None,
    index: str | None = None,
    subcarrier: int | str | None = None,
    receive: str | None = None,
    users: int | None = None,
    group: str | None = None,
    normalise: str | None = None,
) -> Tensor:
    """H (B, K, N) complex128 from a channel file, or (B, K, R, N) of users with several antennas.

    A file of a band, which has `frequencies`, has an axis S after B; `files.bands.read_frequencies` reads
    them. What was understood is logged under the name "beamfold". docs/explanations/conventions.md says what
    each option is for; `read_set` returns the antennas of a tool beside H.

    Args:
        path: `.mat`, `.npz`, `.npy` or HDF5.
        variable: which array, where the file holds several that could be channels; S.H of a structure.
        rows: "h^H" where row k is h_kᴴ, so that H F W is what the users receive; "h^T" where row k is h_kᵀ,
            as in the published data: H is then conjugated.
        several: the users have several antennas each, axes (channels, users, receive, antennas).
        from_: the tool that made the file, which sets its axes.
        imag: the array of the imaginary part.
        axes: the names of the axes in order, such as "antennas,users,channels".
        index: positions on axes of other names, "snr=6,tx=0".
        subcarrier: one of several, counted from 0, or "all", each a channel.
        receive: "first", "strongest" or "combine" reduces several receive antennas to one.
        users: K of the channels that a list of users is divided into.
        group: "order" or "random:SEED", how it is divided.
        normalise: "none", "set" or "user", see `normalised`.

    Raises:
        InputError: what was found in the file and what is expected.
    """
    from beamfold.files.reader import read_set

    text = None if subcarrier is None else str(subcarrier)
    found = read_set(
        path,
        ScenarioSpec(
            variable=variable, rows=rows_named(rows), streams=1 if several else None, from_=from_, imag=imag,
            axes=axes, index=index, subcarrier=text, receive=receive, users=users, group=group,
            normalise=normalise,
        ),
    )  # fmt: skip
    logging.getLogger("beamfold").info("%s", found.told)
    return found.H


def write_channels(
    path: Pathlike,
    H: Tensor,
    facts: Mapping[str, Any] | None = None,
    array: AntennaArray | None = None,
    band: Frequencies | None = None,
) -> None:
    """H with rows h_kᴴ, how it was made, and its array where one is given, as `.mat` or `.npz`.

    Args:
        path: `.mat` or `.npz`.
        H: (B, K, N), or (B, K, R, N) of users with several antennas; on a band an axis S behind B.
        facts: further arrays and texts.
        array: the antennas.
        band: the frequencies of the subcarriers and the carrier's.
    """
    placed = {} if array is None else {"positions": array.positions.numpy()}
    H = as_tensor(H)
    bands = {} if band is None else band_entries(*band)
    named = documented(H.ndim, band is not None)
    axes = {} if named is None else {"axes": written(named)}
    write_arrays(Path(path), {"H": H.resolve_conj().numpy(), **axes, **bands, **placed, **(facts or {})})
