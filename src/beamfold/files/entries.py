"""What a scenario file can say: `ScenarioSpec`, which declares every entry once.

A field is a key of the file, the command line's option of that name on the commands that it lists
(`cli/scenario_options.py` makes the options), and a line of what every result records. To add an entry, add
one field here, and use it where `scenarios.py` makes the channels, Ψ or the scenario. The type is int, float,
bool, str, Path, list[float] or `Directions`, each or None; a path in a file is relative to the file's folder.

The command line imports this module for its help, so it loads nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, ClassVar, NamedTuple, get_args, get_origin, get_type_hints

from beamfold.defaults import (
    ANTENNAS,
    BANDWIDTH_GHZ,
    CARRIER_GHZ,
    DELAY_NS,
    NETWORK,
    POWER_RULE,
    ROWS,
    SNR_DB,
    TARGETS_DEG,
    USERS,
    WEIGHT,
    WIDTH_DEG,
)
from beamfold.files.directions import Directions

DESIGN = "design compare front network explore"
"""The commands that design for the channels of a file."""
OF_NETWORK = "design compare front explore"
"""Those that design for the network that is stated."""
OF_FILE = f"{DESIGN} verify import"
"""Those that read such a file."""
OF_PSI = f"{DESIGN} train bench"
"""Those that need a Ψ."""


OF_GOAL = "design front explore"
"""Those that design for another sensing objective than τ."""
BAND = "generate covariance train squint bench"
"""Those that make something for a band."""


class Key(NamedTuple):
    """What an entry of a scenario is, and which commands have it as an option."""

    about: str
    """The description in the help."""
    usual: str
    """What is taken where it is not stated, in words; "" where nothing is."""
    commands: str
    """Names of commands, separated by blanks."""


def _angles() -> str:
    return " ".join(f"{angle:g}" for angle in TARGETS_DEG)


@dataclass(frozen=True, kw_only=True)
class ScenarioSpec:
    """A scenario as it is written down; None is an entry that is not stated, for which the default is taken.

    Angles are in degrees and powers in dB, as on the command line.
    """

    channels: Annotated[
        Path | None,
        Key(
            "Channel file: .mat, .npz, .npy or HDF5 with H (channels, users, antennas) and its axes.",
            "",
            OF_FILE,
        ),
    ] = None
    variable: Annotated[
        str | None, Key("Which array of the channel file; S.H is a field of a structure.", "", OF_FILE)
    ] = None
    imag: Annotated[
        str | None, Key("The array with the imaginary part of the one that --variable names.", "", OF_FILE)
    ] = None
    axes: Annotated[
        str | None,
        Key(
            "Its axes in order, such as antennas,users,channels: channels, subcarriers, symbols, users, "
            "receive, antennas, ri (real and imaginary part), paths or taps (summed), - (one of length 1).",
            "as the file names them",
            OF_FILE,
        ),
    ] = None
    index: Annotated[
        str | None, Key("Position, counted from 0, on an axis of another name: snr=6,tx=0.", "", OF_FILE)
    ] = None
    subcarrier: Annotated[
        str | None, Key("One subcarrier, counted from 0, or all, each a channel.", "", OF_FILE)
    ] = None
    receive: Annotated[
        str | None, Key("One of several receive antennas: first, strongest or combine.", "", OF_FILE)
    ] = None
    group: Annotated[
        str | None,
        Key("Channels of --users K out of a list of users: order, or random:SEED.", "", OF_FILE),
    ] = None
    normalise: Annotated[
        str | None,
        Key("Scale to mean |h|^2 = N: none, set or user.", "none", OF_FILE),
    ] = None
    rows: Annotated[str | None, Key("What row k of H is: h^H or h^T.", ROWS, OF_FILE)] = None
    from_: Annotated[
        str | None,
        Key(
            "The tool that made the channels: sionna, deepmimo, quadriga, matlab5g, phased, nyusim or "
            "hermes. Sets axes and array.",
            "",
            f"{DESIGN} verify covariance",
        ),
    ] = None
    array: Annotated[
        str | None,
        Key(
            "The antennas: line, planar:8x8, or a file with positions (antennas, 3) in wavelengths.",
            "as the files state, else line",
            f"{OF_PSI} generate covariance import squint",
        ),
    ] = None
    network: Annotated[
        str | None,
        Key(
            "Analog network: full, subarrays, interleaved, dynamic, or a file with a mask (N, M).",
            NETWORK,
            f"{OF_NETWORK} train bench",
        ),
    ] = None
    bits: Annotated[
        int | None, Key("Bits of the phase shifters.", "continuous phases", f"{OF_NETWORK} bench")
    ] = None
    streams: Annotated[
        int | None,
        Key(
            "Streams to each user of several antennas, H (channels, users, receive, antennas).",
            "",
            OF_NETWORK,
        ),
    ] = None
    antennas: Annotated[
        int | None,
        Key(
            "N, antennas.",
            f"as the scenario's channels, else {ANTENNAS}",
            "generate covariance train bench squint",
        ),
    ] = None
    users: Annotated[
        int | None,
        Key(
            "K, users.",
            f"as the scenario's channels, else {USERS}, at most N",
            f"{OF_FILE} generate train bench squint",
        ),
    ] = None
    subcarriers: Annotated[
        int | None, Key("S, subcarriers of a band; H is (channels, subcarriers, users, antennas).", "", BAND)
    ] = None
    carrier_ghz: Annotated[
        float | None, Key("The carrier's frequency in GHz, of a band.", f"{CARRIER_GHZ:g}", BAND)
    ] = None
    bandwidth_ghz: Annotated[
        float | None, Key("The bandwidth in GHz.", f"{BANDWIDTH_GHZ:g}", "generate covariance train")
    ] = None
    delay_ns: Annotated[
        float | None,
        Key("The longest delay of a path in ns, on a band.", f"{DELAY_NS:g}", "generate train squint bench"),
    ] = None
    power: Annotated[
        str | None,
        Key(
            "On a band, what has the power P_t: every subcarrier, or band (their mean).",
            POWER_RULE,
            OF_NETWORK,
        ),
    ] = None
    common: Annotated[
        bool | None,
        Key(
            "On a band, take one Psi, that of the carrier, for every subcarrier.",
            "one Psi for each",
            f"{OF_NETWORK} covariance train bench",
        ),
    ] = None
    chains: Annotated[int | None, Key("M, RF chains.", "as many as users, or streams", OF_PSI)] = None
    snr_db: Annotated[
        list[float] | None, Key("P_t/noise in dB.", f"{SNR_DB:g}", f"{DESIGN} bench squint")
    ] = None
    weight: Annotated[
        float | None,
        Key(
            "The weight omega of tau in R - omega tau.",
            f"{WEIGHT:g}",
            "design compare train network squint explore",
        ),
    ] = None
    sensing: Annotated[
        str | None,
        Key(
            "What sensing is for: tau (R - w tau), crb (R + w log2 det J) or scnr.", "tau", f"{OF_GOAL} train"
        ),
    ] = None
    target_snr_db: Annotated[
        list[float] | None,
        Key(
            "Of crb and scnr: |alpha|^2 P_t/noise in dB, one for all targets or one of each.", "-35", OF_GOAL
        ),
    ] = None
    snapshots: Annotated[int | None, Key("Of crb and scnr: L, snapshots.", "64", OF_GOAL)] = None
    clutter_deg: Annotated[
        Directions | None, Key("Of crb and scnr: the direction of a clutter patch.", "none", OF_GOAL)
    ] = None
    clutter_db: Annotated[
        list[float] | None, Key("Power of the clutter like that of targets.", "-20", OF_GOAL)
    ] = None
    receive_array: Annotated[
        str | None,
        Key("Of crb and scnr: receive antennas, written as --array.", "the transmit antennas", OF_GOAL),
    ] = None
    sensing_streams: Annotated[
        int | None, Key("D, further columns of X that serve no user.", "0", "design explore")
    ] = None
    known_to_users: Annotated[
        bool | None, Key("The users cancel the sensing streams.", "they are interference", "design explore")
    ] = None
    targets_deg: Annotated[
        Directions | None,
        Key(
            "Azimuth of a target, or azimuth/elevation, for which Psi is solved.",
            _angles(),
            f"{OF_PSI} covariance squint",
        ),
    ] = None
    width_deg: Annotated[
        float | None,
        Key("Full width of a mainlobe.", f"{WIDTH_DEG:g}, more for a planar array", f"{OF_PSI} covariance"),
    ] = None
    angles: Annotated[
        int | None,
        Key("T, angles of the grid over -90 to 90.", "181, more from N = 115 on", f"{OF_PSI} covariance"),
    ] = None
    psi_rank: Annotated[int | None, Key("A Psi of at most this rank.", "free", f"{OF_PSI} covariance")] = None
    psi: Annotated[
        Path | None,
        Key("File with Psi, from `beamfold covariance` or your own, instead of targets.", "", OF_PSI),
    ] = None
    psi_variable: Annotated[
        str | None, Key("Which array of the file of Psi.", "Psi, else the only square one", OF_PSI)
    ] = None

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}


OF_BAND = ("carrier_ghz", "bandwidth_ghz", "delay_ns")
"""Entries that describe a band, beside the number of its subcarriers."""


def key_of(name: str) -> str:
    """The key in a file of an entry; `from`, a word of Python, is the entry `from_`."""
    return name.rstrip("_")


READING = (
    "from_",
    "variable",
    "imag",
    "axes",
    "index",
    "subcarrier",
    "receive",
    "group",
    "normalise",
    "rows",
)
"""Entries that say how the channel file is read."""
SOLVED = ("targets_deg", "width_deg", "angles", "psi_rank")
"""Entries that describe the problem (6), for a Ψ that is not read from a file."""


def entries() -> dict[str, tuple[Any, Key]]:
    """Entry → its type, such as float or list[float], and what it is."""
    found = {}
    for name, hint in get_type_hints(ScenarioSpec, include_extras=True).items():
        if get_origin(hint) is Annotated:
            union, key = get_args(hint)
            [kind] = [part for part in get_args(union) if part is not NoneType]
            found[name] = (kind, key)
    return found
