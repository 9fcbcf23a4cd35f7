"""What channels and Ψ have to be: the checks of `make_scenario`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamfold.arrays import Array
from beamfold.band import Band, PowerRule
from beamfold.errors import InputError
from beamfold.objective import SINGLE, Users
from beamfold.sensing import Sensing, at_unit_power
from beamfold.tensors import as_tensor

Numbers = Tensor | NDArray[np.generic]


def tensor_of(values: Numbers, dtype: torch.dtype) -> Tensor:
    """Numbers of NumPy, torch or anything with DLPack as a tensor."""
    return as_tensor(values).to(dtype)


def check_sizes(users: int, chains: int, antennas: int, streams: int = 1) -> None:
    """Raise InputError unless K d ≤ M ≤ N, with d = 1 stream a user in the paper."""
    if users * streams <= chains <= antennas:
        return
    if streams > 1:
        raise InputError(
            f"a stream needs an RF chain, a chain an antenna: found {users} users of {streams} streams, "
            f"{chains} RF chains and {antennas} antennas; take fewer streams or more chains"
        )
    raise InputError(
        f"the paper needs K <= M <= N: found {users} users, {chains} RF chains and {antennas} antennas"
        + (" (are the axes (…, users, antennas)?)" if users > antennas else "")
    )


def shared(H: Tensor, streams: int | None) -> tuple[Tensor, Users]:
    """H (…, K R, N) and what belongs to each user, of H (…, K, N), or of (…, K, R, N) with streams."""
    if streams is None:
        return H, SINGLE
    if H.ndim < 3:
        raise InputError(
            f"users with streams have channels (…, users, receive, antennas), found {tuple(H.shape)}; "
            "leave streams out for users of one antenna"
        )
    receive = H.shape[-2]
    if not 1 <= streams <= receive:
        raise InputError(f"a user of {receive} antennas can have 1 to {receive} streams, got {streams}")
    return H.flatten(-3, -2), Users(receive, streams)


def with_sensing(per_user: Users, H: Tensor, count: int, known: bool) -> Users:
    """The users with D sensing streams beside theirs.

    Raises:
        InputError: D below 0 or more than N − K, streams that are known but are not there, or users of
            several antennas.
    """
    most = H.shape[-1] - H.shape[-2]
    if not 0 <= count <= most:
        raise InputError(f"sensing streams are 0 to N - K = {most}, got {count}")
    if known and not count:
        raise InputError("no sensing streams that the users could know; give sensing_streams")
    if count and not per_user.single:
        raise InputError(
            f"sensing streams are for users of one antenna, these have {per_user.receive}; leave them out"
        )
    return per_user._replace(sensing=count, known=known)


def check_channels(H: Tensor, chains: int, per_user: Users, *, band: bool = False) -> None:
    """Raise InputError unless H (…, K R, N) is finite and of sizes that fit."""
    if H.ndim < 2:
        raise InputError(f"channels need axes (…, users, antennas), found shape {tuple(H.shape)}")
    rows, antennas = H.shape[-2:]
    check_sizes(rows // per_user.receive, chains, antennas, per_user.streams)
    finite = (
        torch.isfinite(torch.view_as_real(H)).flatten(-4 if band and H.ndim > 2 else -3).all(-1).flatten()
    )
    if not finite.all():
        bad = torch.nonzero(~finite).flatten().tolist()
        raise InputError(f"channel {bad[0]} holds NaN or Inf ({len(bad)} of {finite.numel()} channels do)")


def check_covariance(radar: Sensing, antennas: int) -> None:
    """Raise InputError unless Ψ is a covariance of N antennas."""
    Psi = radar.Psi
    if Psi.shape != (antennas, antennas):
        raise InputError(
            f"Psi is {tuple(Psi.shape)}, expected ({antennas}, {antennas}) for {antennas} antennas"
        )
    if not torch.isfinite(torch.view_as_real(Psi)).all():
        raise InputError("Psi holds NaN or Inf")
    if float((Psi - Psi.mH).abs().max()) > 1e-8 * max(float(Psi.abs().max()), 1e-300):
        raise InputError("Psi is not Hermitian, so it is no covariance")
    top, least = float(radar.spectrum[0][0]), float(radar.spectrum[0][-1])
    if least < -1e-6 * max(top, 0.0) * antennas or top < 0:
        raise InputError(f"Psi is not positive semidefinite: its least eigenvalue is {least:.2e}")


def sensing_given(
    radar: Sensing | Numbers | Sequence[Sensing], array: Array | None, antennas: int, device: torch.device
) -> tuple[Sensing, tuple[Sensing, ...] | None]:
    """Ψ as given, checked and at unit power: one, and those of the subcarriers where each has its own.

    The one that stands for the band is that of the middle subcarrier.

    Raises:
        InputError: no covariance, another size than N, or another array than that of the channels.
    """
    given: list[Sensing | Numbers]
    if isinstance(radar, Sensing):
        given, several = [radar], False
    elif isinstance(radar, (Tensor, np.ndarray)):
        several = radar.ndim == 3
        given = [*radar] if several else [radar]
    else:
        given, several = [*radar], True
    if not given:
        raise InputError("no covariance Psi was given; give one, or one for each subcarrier")
    found = tuple(_checked(one, array, antennas, device) for one in given)
    return found[len(found) // 2], found if several else None


def _checked(radar: Sensing | Numbers, array: Array | None, antennas: int, device: torch.device) -> Sensing:
    if not isinstance(radar, Sensing):
        Psi = tensor_of(radar, torch.complex128)
        radar = Sensing(Psi) if array is None else Sensing(Psi, array=array)
    elif array is not None and not array.same_as(radar.array):
        raise InputError(
            f"Psi is for the array {radar.array.name}, the channels are of the array {array.name}"
        )
    radar = radar.to(device=device)
    check_covariance(radar, antennas)
    return at_unit_power(radar)


def band_given(
    H: Tensor,
    each: tuple[Sensing, ...] | None,
    frequencies: Numbers | Sequence[float] | None,
    carrier_hz: float | None,
    rule: PowerRule,
) -> Band | None:
    """The band of channels H (…, S, K R, N), or None where no frequencies are given."""
    if frequencies is None:
        if each is not None:
            raise InputError(
                f"{len(each)} covariances Psi are for the subcarriers of a band; give their frequencies in Hz"
            )
        if carrier_hz is not None:
            raise InputError("a carrier is for a band; give the frequencies of its subcarriers in Hz")
        return None
    f = torch.as_tensor(frequencies, dtype=torch.float64).cpu()
    if H.ndim < 3 or f.ndim != 1 or H.shape[-3] != len(f):
        raise InputError(
            f"{f.numel()} frequencies do not fit channels {tuple(H.shape)}: on a band their axes are "
            "(…, subcarriers, users, antennas)"
        )
    return Band(f, float(f.mean()) if carrier_hz is None else carrier_hz, rule, each)


def power_levels(snr_db: float | Sequence[float], weight: float, noise: float) -> Tensor:
    """P_t = σ² 10^(SNR/10), () or one for each of several SNRs in dB, once ω and σ² are found to be sound.

    Raises:
        InputError: a weight below 0, a noise power that is not above 0, or a number that is not finite.
    """
    if not (math.isfinite(weight) and weight >= 0):
        raise InputError(f"the weight ω must be finite and at least 0, got {weight}")
    if not (math.isfinite(noise) and noise > 0):
        raise InputError(f"the noise power must be finite and above 0, got {noise}")
    levels = torch.as_tensor(snr_db, dtype=torch.float64)
    power = noise * 10 ** ((levels if levels.ndim == 0 else levels.reshape(-1)) / 10)
    if power.numel() == 0 or not (torch.isfinite(power).all() and (power > 0).all()):
        raise InputError(f"the SNR must be finite, in dB; got {snr_db}")
    return power
