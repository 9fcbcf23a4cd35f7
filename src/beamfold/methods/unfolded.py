"""The paper's unfolded PGA: the design of a trained model, for a batch and prepared for one channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from beamfold.defaults import WEIGHT
from beamfold.errors import InputError
from beamfold.method import Method, Supports
from beamfold.optim.layers import Engine, Precision, conclude, run_layers
from beamfold.result import Design
from beamfold.scenario import Scenario
from beamfold.sensing import Sensing
from beamfold.start import STARTS, Point, extra_columns
from beamfold.threads import torch_threads
from beamfold.unfolded_model import UnfoldedPGA

if TYPE_CHECKING:
    from beamfold.kernels.single import Prepared


def unfolded(
    s: Scenario,
    model: UnfoldedPGA | None = None,
    *,
    inner: int | None = None,
    layers: int | None = None,
    start: Point | None = None,
    engine: Engine = "auto",
    record: bool = False,
    any_size: bool = False,
    threads: int | None = None,
    precision: Precision = "single",
) -> Design:
    """The design of a trained model, Algorithm 1; of a shipped one where none is given.

    Args:
        s: the scenario.
        model: step sizes, see `beamfold.load_model` and `beamfold.train`; default the shipped model of the
            scenario's sizes and J = `inner`.
        inner: J of the shipped model, default 20; must be the model's own where one is given.
        layers: stop after this many of the model's I layers.
        start: another start than (26).
        engine: see `optim.layers.run_layers`.
        record: keep R and τ after every layer.
        any_size: let a model run on sizes or a network it was not trained for; an η of 1/N follows N.
        threads: how many share the batch in the kernel; default one per processor.
        precision: arithmetic of the kernel; the design's figures are complex128 in any case.

    Raises:
        InputError: no shipped model of these sizes, another J than the model's, sizes other than the model's
            without `any_size`, or more layers than it has.
    """
    held = _held(s, model, inner)
    if not any_size:
        held.check(s)
    held.check_subcarriers(s)
    depth = held.layers if layers is None else layers
    if not 0 <= depth <= held.layers:
        raise InputError(f"the model has {held.layers} layers, asked for {depth}")
    usual = held.info.eta == 1 / held.info.antennas
    eta = 1 / s.antennas if any_size and usual else held.info.eta
    with torch.no_grad(), torch_threads():
        begin = STARTS[held.info.start](s) if start is None else start
        mu, lam = held.mu[:depth].to(s.H.device), held.lam[:depth].to(s.H.device)
        outcome = run_layers(
            s,
            begin,
            mu,
            lam,
            eta,
            held.info.digital,
            engine=engine,
            record=record,
            threads=threads,
            precision=precision,
        )
        return conclude(s, "unfolded", begin, outcome, options={"inner": held.inner})


def _held(s: Scenario, model: UnfoldedPGA | None, inner: int | None) -> UnfoldedPGA:
    """The model given, or the shipped one of the scenario's sizes."""
    if model is None:
        from beamfold.files.models import model_for

        model = model_for(s, inner or 20)
    if inner is not None and inner != model.inner:
        raise InputError(f"the model has J = {model.inner} inner steps, asked for {inner}")
    return model


def prepare(
    model: UnfoldedPGA,
    radar: Sensing,
    *,
    snr_db: float,
    weight: float = WEIGHT,
    noise: float = 1.0,
    layers: int | None = None,
    dtype: Any = None,
) -> Prepared:
    """Algorithm 1 made ready for one deployment: `prepare(…)(H)` gives F, W of one channel (K, N).

    Everything that does not depend on the channel is done here; the call takes NumPy and gives NumPy.

    Args:
        model: the step sizes.
        radar: Ψ of the model's N.
        snr_db: P_t/σ_n² in dB.
        weight: ω.
        noise: σ_n².
        layers: stop after this many.
        dtype: np.float32 (default) or np.float64.
    """
    import numpy as np

    from beamfold.kernels.packed import factor
    from beamfold.kernels.single import Prepared

    dtype = dtype or np.float32
    info = model.info
    network = info.made_for
    if network.dynamic:
        raise InputError(
            "prepare is for networks of fixed connections, the model is for dynamic ones, whose start alone "
            "takes milliseconds; take the method unfolded"
        )
    if info.subcarriers > 1 or info.start != "proposed":
        raise InputError(
            "prepare is for models of flat channels that start from (26); take the method unfolded"
        )
    if radar.antennas != info.antennas:
        raise InputError(f"the model was trained for N = {info.antennas}, Psi has N = {radar.antennas}")
    return Prepared(
        factor(radar, info.users + (info.chains if network.full else 0), dtype).numpy(),
        extra_columns(radar, info.chains - info.users).to(torch.complex128).numpy(),
        model.mu.detach()[:layers].numpy(),
        model.lam.detach()[:layers].numpy(),
        network=network,
        eta=info.eta,
        exact=info.digital == "exact",
        power=noise * 10 ** (snr_db / 10),
        weight=weight,
        noise=noise,
        users=info.users,
        dtype=dtype,
    )


METHOD = Method(
    "unfolded",
    unfolded,
    "R - omega tau: the paper's unfolded PGA, trained steps",
    supports=Supports(rows=True, networks=True, bits=True, band=True, goals=True, device=True),
)
