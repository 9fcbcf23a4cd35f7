"""Every method by its name: one call for the command line, experiments and notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from beamfold.files.models import find_model
from beamfold.methods import (
    UnfoldedPGA,
    best,
    constrained,
    conventional_pga,
    digital,
    digital_jcas,
    digital_zero_forcing,
    fast,
    manopt,
    omp,
    pga,
    phased_zero_forcing,
    sca,
    sca_manopt,
    unfolded,
    wmmse,
)
from beamfold.scenario import Design, Scenario, Trace


def _unfolded(s: Scenario, *, model: UnfoldedPGA | None = None, inner: int = 20, **options: Any) -> Design:
    """`methods.unfolded` with the shipped model of J = `inner` where none is given."""
    chosen = model or find_model(s.antennas, s.users, s.chains, inner)
    if model is not None and "inner" in options and options["inner"] != model.inner:
        raise ValueError(f"the model has J = {model.inner} inner steps, asked for {options['inner']}")
    return unfolded(s, chosen, **options)


METHODS: dict[str, tuple[Callable[..., Design], tuple[str, ...]]] = {
    "zf-digital": (digital_zero_forcing, ()),
    "start": (phased_zero_forcing, ()),
    "conventional-pga": (conventional_pga, ("layers", "eta", "engine", "record")),
    "pga": (pga, ("inner", "layers", "mu", "lam", "eta", "digital", "start", "engine", "record")),
    "unfolded": (_unfolded, ("model", "inner", "layers", "start", "engine", "record", "any_size")),
    "fast": (fast, ("steps", "depth", "precision", "tolerance", "threads")),
    "best": (best, ("starts", "steps", "polish", "threads")),
    "constrained": (constrained, ("tau_max", "tau_max_db", "starts", "steps", "polish", "threads")),
    "sca-manopt": (sca_manopt, ("rho", "tolerance", "norm", "start", "iterations")),
    "sca": (sca, ("engine", "start", "tolerance", "iterations")),
    "wmmse": (wmmse, ("start", "tolerance", "iterations")),
    "digital-jcas": (digital_jcas, ("rho", "target", "start", "norm", "tolerance", "iterations")),
    "digital": (digital, ("starts", "tolerance", "iterations")),
    "manopt": (manopt, ("target", "start", "tolerance", "iterations", "inner_steps")),
    "omp": (omp, ("target", "rho", "atoms")),
}
"""Name → the method and the options that it takes."""


def design(s: Scenario, method: str = "unfolded", **options: Any) -> Design:
    """{F, W} for a scenario by a method's name.

    Args:
        s: from `beamfold.make_scenario`.
        method: one of `METHODS`.
        options: the method's own, see its docstring.

    Raises:
        ValueError: an unknown method, or an option that it does not take.
    """
    if method not in METHODS:
        raise ValueError(f"no method {method!r}; known: {', '.join(METHODS)}")
    function, known = METHODS[method]
    unknown = sorted(set(options) - set(known))
    if unknown:
        takes = ", ".join(known) or "no options"
        raise ValueError(f"the method {method} does not take {', '.join(unknown)}; it takes {takes}")
    return function(s, **options)


def in_parts(s: Scenario, size: int) -> Iterator[Scenario]:
    """The scenario in parts of `size` channels along the last batch axis, for progress and memory."""
    count = s.batch[-1]
    for first in range(0, count, size):
        part = slice(first, min(first + size, count))
        yield s[(slice(None),) * (len(s.batch) - 1) + (part,)]


def join(s: Scenario, parts: list[Design]) -> Design:
    """The designs of the parts of `s` as the design of `s`."""
    axis = len(s.batch) - 1

    def cat(pieces: list[torch.Tensor], at: int = axis) -> torch.Tensor:
        return torch.cat(pieces, at)

    first = parts[0]
    F = None if first.F is None else cat([p.F for p in parts if p.F is not None])
    traces = [p.trace for p in parts if p.trace is not None]
    trace = None
    if traces:
        trace = Trace(cat([t.rate for t in traces], axis + 1), cat([t.tau for t in traces], axis + 1))
    return Design(
        s,
        first.method,
        F,
        cat([p.W for p in parts]),
        cat([p.status for p in parts]),
        cat([p.rate for p in parts]),
        cat([p.tau for p in parts]),
        trace,
    )
