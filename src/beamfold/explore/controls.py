"""Which controls a page has, what they can say, and where they begin."""

from __future__ import annotations

from typing import Any, NamedTuple

from beamfold.defaults import NETWORK, SNR_DB, TARGETS_DEG, WEIGHT
from beamfold.errors import InputError
from beamfold.explore.designs import Designs
from beamfold.explore.state import State, checked, levels_around, weights_around
from beamfold.files.directions import directions
from beamfold.files.entries import ScenarioSpec
from beamfold.networks import NAMES, named_network
from beamfold.radar.goal import SENSING
from beamfold.radar.scene import SNR_DB as TARGET_SNR_DB

CHAINS = 16
"""M at most on the slider, unless more are stated."""
SAID = {
    "tau": "match Ψ: R − ωτ",
    "crb": "know the angles: R + ω log₂ det J",
    "scnr": "see the targets: R + ω Σ log₂ SCNR",
}


class Control(NamedTuple):
    """A control of the page: a slider over values or a choice among words."""

    name: str
    """The entry of the state."""
    label: str
    kind: str
    """"slider" or "choice"."""
    values: list[Any]
    texts: list[str]
    """What each value is called; empty for a slider, whose values are numbers."""
    unit: str = ""
    size: int = 0
    """Of a slider over 0, 1, …, size − 1, in the place of values."""


def controls(held: Designs, start: State) -> list[Control]:
    """The controls that make sense for a file."""
    band, several = held.channels.first.band, held.channels.count
    found = (
        []
        if several == 1
        else [Control("channel", f"channel, 0 to {several - 1}", "slider", [], [], size=several)]
    )
    found += [
        Control("snr_db", "SNR, Pₜ/σ²", "slider", levels_around(start.snr_db), [], "dB"),
        Control("weight", "weight ω of sensing", "slider", weights_around(start.weight), []),
    ]
    if start.network is not None:
        values = chain_numbers(held, start)
        found.append(Control("network", "network", "choice", list(values), [_network(n) for n in values]))
        numbers = sorted({M for each in values.values() for M in each})
        found.append(Control("chains", "RF chains M", "slider", numbers, []))
        if band is None and start.sensing == "tau" and held.spec.streams is None:
            bits = [None, 6, 5, 4, 3, 2, 1]
            texts = ["continuous", *(f"{b} bit{'s' * (b != 1)}" for b in bits if b)]
            found.append(Control("bits", "phase shifters", "choice", bits, texts))
    if band is not None and held.spec.psi is None:
        texts = ["one for each subcarrier", "that of the carrier"]
        found.append(Control("common", "Ψ of the band", "choice", [False, True], texts))
    if held.spec.streams is None and start.targets_deg is not None and start.bits is None:
        words = list(SENSING)
        found.append(Control("sensing", "sensing is to", "choice", words, [SAID[w] for w in words]))
        levels = sorted({float(v) for v in range(-60, 1)} | {start.target_snr_db or TARGET_SNR_DB})
        found.append(Control("target_snr_db", "SNR of a target", "slider", levels, [], "dB"))
    return found


def _network(name: str) -> str:
    return "fully connected" if name == NETWORK else name


def chain_numbers(held: Designs, start: State) -> dict[str, list[int]]:
    """Network → the numbers of chains that it can have for N antennas, up to `CHAINS`."""
    N = held.channels.first.H.shape[-1]
    found: dict[str, list[int]] = {}
    for name in NAMES:
        for M in range(held.columns, min(N, max(CHAINS, held.columns, start.chains)) + 1):
            try:
                named_network(name, N, M)
            except InputError:
                continue
            found.setdefault(name, []).append(M)
    return found


def start_of(spec: ScenarioSpec, columns: int) -> State:
    """The state that a scenario states, with the defaults where it states nothing.

    Raises:
        InputError: an entry that is out of range, or directions that make no sense.
    """
    levels = spec.snr_db or [SNR_DB]
    named = spec.network is None or spec.network in NAMES
    targets: Any = None
    if spec.psi is None:
        targets = tuple(directions(spec.targets_deg or list(TARGETS_DEG)))
    return checked(
        {
            "channel": 0,
            "snr_db": float(levels[0]),
            "weight": WEIGHT if spec.weight is None else float(spec.weight),
            "targets_deg": targets,
            "chains": columns if spec.chains is None else spec.chains,
            "network": (spec.network or NETWORK) if named else None,
            "bits": spec.bits if named else None,
            "common": bool(spec.common),
            "sensing": spec.sensing or SENSING[0],
            "target_snr_db": float((spec.target_snr_db or [TARGET_SNR_DB])[0]),
        }
    )
