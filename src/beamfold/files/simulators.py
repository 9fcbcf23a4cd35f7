"""Channels of simulators in Python: arrays and objects as the tools return them, none of which is imported.

Each function returns `Channels`: H with rows h_kᴴ, the antennas of the tool's own world, and one line that
says what was understood.

    found = bf.from_sionna(h, users=4, group="order", subcarrier=0)
    s = bf.make_scenario(found.H, bf.solve_covariance(found.array, [-50, 20]), snr_db=12)

The options are those of `read_channels`, and `array`: "line" at half a wavelength unless it is stated, else a
name of `--array` or an `Array`, in the tool's world.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from beamfold.arrays import Array as AntennaArray
from beamfold.errors import InputError
from beamfold.files.arrays import Array, Held
from beamfold.files.entries import ScenarioSpec
from beamfold.files.reader import Channels, understood
from beamfold.files.tools import tool_array
from beamfold.tensors import as_tensor


def from_sionna(h: Any, *, array: str | AntennaArray | None = None, **options: Any) -> Channels:
    """Channels of Sionna: OFDM channels of PHY, frequency responses of RT.

    Args:
        h: (batch, rx, rx_ant, tx, tx_ant, time, freq), or without batch; tensor or array. rx are the users.
        array: the transmitter's antennas, "planar:8x4" for 8 columns of 4.
        options: see `read_channels`.

    Raises:
        InputError: other axes, or several transmitters, symbols or subcarriers of which none is chosen.
    """
    return _taken("sionna", _numbers(h), array, options)


def from_deepmimo(dataset: Any, *, array: str | AntennaArray | None = None, **options: Any) -> Channels:
    """Channels of DeepMIMO.

    Args:
        dataset: with an attribute or entry `channel` or `channels` (users, rx_ant, tx_ant, subcarriers), or
            that array itself.
        array: the base station's antennas.
        options: see `read_channels`.

    Raises:
        InputError: an object without channels, or as `from_sionna` does.
    """
    return _taken("deepmimo", _numbers(_part(dataset, "channel", "channels")), array, options)


def from_quadriga(channel: Any, *, array: str | AntennaArray | None = None, **options: Any) -> Channels:
    """Channels of QuaDRiGa and quadriga-lib; coefficients are summed over the paths, the channel at the
    carrier.

    Args:
        channel: (rx_ant, tx_ant, carriers, snapshots) of `fr`; or an object with `coeff_re` and `coeff_im`,
            each (rx_ant, tx_ant, paths) or one such array for each snapshot; or several of these as users.
        array: the base station's antennas.
        options: see `read_channels`.

    Raises:
        InputError: as `from_sionna` does.
    """
    links = list(channel) if isinstance(channel, (list, tuple)) else [channel]
    if not links or _find(links[0], "coeff_re") is None:
        return _taken("quadriga", _numbers(channel), array, options)
    stacked = []
    for link in links:
        real, imag = (_part(link, name) for name in ("coeff_re", "coeff_im"))
        several = isinstance(real, (list, tuple))
        snaps = zip(real, imag, strict=True) if several else [(real, imag)]
        stacked.append(np.stack([(_numbers(a) + 1j * _numbers(b)).sum(-1) for a, b in snaps]))
    value = _stack(stacked)
    return _taken("quadriga", value, array, {"axes": "users,channels,receive,antennas", **options})


def from_matlab5g(hest: Any, *, array: str | AntennaArray | None = None, **options: Any) -> Channels:
    """Channels of the 5G Toolbox's nrPerfectChannelEstimate: (subcarriers, symbols, Nr, Nt).

    Args:
        hest: that array of one user, or a list of such arrays.
        array: the base station's antennas.
        options: see `read_channels`.

    Raises:
        InputError: as `from_sionna` does.
    """
    return _taken("matlab5g", _users(hest), array, options)


def from_phased(chmat: Any, *, array: str | AntennaArray | None = None, **options: Any) -> Channels:
    """Channels of the Phased Array Toolbox's scatteringchanmtx: (Nt, Nr) with y = x chmat.

    Args:
        chmat: that matrix of one user, or a list of such matrices.
        array: the transmitter's antennas.
        options: see `read_channels`.

    Raises:
        InputError: as `from_sionna` does.
    """
    several = {"axes": "users,antennas,receive"} if isinstance(chmat, (list, tuple)) else {}
    return _taken("phased", _users(chmat), array, {**several, **options})


def from_nyusim(H: Any, *, array: str | AntennaArray | None = None, **options: Any) -> Channels:
    """Channels of NYUSIM: H_ensemble (Nr, Nt) = a_MS a_BSᴴ; azimuth here is 90° − AOD.

    Args:
        H: that matrix of one user, or a list of such matrices.
        array: the base station's antennas.
        options: see `read_channels`.

    Raises:
        InputError: as `from_sionna` does.
    """
    return _taken("nyusim", _users(H), array, options)


def from_hermes(state: Any, *, array: str | AntennaArray | None = None, **options: Any) -> Channels:
    """Channels of HermesPy: (rx, tx, samples, taps), summed over the taps, the channel at the carrier.

    Args:
        state: that array of one user, an object with `dense_state()` or `state`, or a list of such.
        array: the base station's antennas.
        options: see `read_channels`.

    Raises:
        InputError: as `from_sionna` does.
    """
    several = isinstance(state, (list, tuple))
    dense = [_dense(one) for one in (state if several else [state])]
    return _taken("hermes", _stack(dense) if several else dense[0], array, options)


def _dense(state: Any) -> Array:
    made = getattr(state, "dense_state", None)
    return _numbers(made() if callable(made) else _part(state, "state"))


def _find(held: Any, name: str) -> Any:
    return held.get(name) if isinstance(held, Mapping) else getattr(held, name, None)


def _part(held: Any, *names: str) -> Any:
    """An attribute or entry of an object by one of its names; an array is itself."""
    for name in names:
        found = _find(held, name)
        if found is not None:
            return found
    if hasattr(held, "shape") or isinstance(held, (list, tuple)):
        return held
    raise InputError(f"a {type(held).__name__} has neither {' nor '.join(names)}, and is no array")


def _numbers(value: Any) -> Array:
    """An array of numbers of any library."""
    if not hasattr(value, "shape") and not isinstance(value, (list, tuple)):
        raise InputError(f"expected an array of channels, got a {type(value).__name__}")
    if isinstance(value, (np.ndarray, np.generic, list, tuple)):
        found = np.asarray(value)
        if found.dtype.kind not in "biufc":
            raise InputError(f"expected an array of numbers, got one of {found.dtype}")
        return found
    return as_tensor(value).cpu().resolve_conj().numpy()


def _users(value: Any) -> Array:
    """The array of one user, or those of several with the users in front."""
    return _stack([_numbers(one) for one in value]) if isinstance(value, (list, tuple)) else _numbers(value)


def _stack(values: Sequence[Array]) -> Array:
    shapes = {value.shape for value in values}
    if len(shapes) != 1:
        raise InputError(f"the channels of the users have different axes: {sorted(shapes)}")
    return np.stack(values)


def _taken(tool: str, value: Array, array: str | AntennaArray | None, options: Mapping[str, Any]) -> Channels:
    """Channels of a tool out of an array of its."""
    given = dict(options)
    if given.pop("several", False):
        given["streams"] = 1
    if isinstance(given.get("subcarrier"), int):
        given["subcarrier"] = str(given["subcarrier"])
    frequencies = given.pop("frequencies", None)
    try:
        spec = ScenarioSpec(from_=tool, **given)
    except TypeError as error:
        raise InputError(f"from_{tool} takes the options of read_channels: {error}") from error
    arrays = {"H": value}
    if frequencies is not None:
        arrays["frequencies"] = _numbers(frequencies)
    found = understood(Path(f"from_{tool}"), Held(arrays, {}, {}), spec)
    return replace(found, array=tool_array(tool, array, found.H.shape[-1]))
