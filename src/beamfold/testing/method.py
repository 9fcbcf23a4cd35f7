"""What every method must satisfy: a suite of checks on a function (scenario) → `Design`.

    from beamfold.testing import Contract, check_method
    check_method(my_method, Contract(tolerance=1e-6))

Each check is a function (method, contract) that raises AssertionError with what was found. They assert
truths that hold for every method: feasible, finite and correctly measured designs; equivalent problems
(renumbered users, turned phases, scaled channels and noise) get equivalent designs; a batch is its channels
one by one; degenerate channels end in finite designs.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from beamfold.constraints import power_error
from beamfold.objective import beam_error, rate
from beamfold.result import Design, Fault
from beamfold.scenario import Scenario, make_scenario
from beamfold.start import proposed
from beamfold.testing.scenarios import relative, small
from beamfold.verifier import verify

Method = Callable[[Scenario], Design]
SIZES = ((16, 3, 3), (16, 2, 4), (6, 1, 1))
"""N, K, M: as many chains as users, more chains, one user."""


class Contract(NamedTuple):
    """What is known of a method beyond what every method must satisfy.

    Attributes:
        tolerance: relative difference of R and τ between equivalent problems: rounding, and what the method
            makes of it. X may differ by ten times, W by a hundred times as much.
        one_by_one: the same between a batch and its channels alone.
        columns: column k of F belongs to user k, so that F's columns follow a renumbering of the users;
            where False only F W does.
        phases: X is determined up to a phase for each user; False where an SVD leaves more open.
        ascends: the method maximises R − ω τ from the start (26), and says where it ended below it.
        sensing: the objective, as `make_scenario` has it: "tau", "crb" or "scnr".
    """

    tolerance: float = 1e-8
    one_by_one: float = 1e-10
    columns: bool = True
    phases: bool = True
    ascends: bool = True
    sensing: str = "tau"


def _scenarios(contract: Contract) -> list[Scenario]:
    return [small(N, K, M, count=3, snr_db=6, seed=1, sensing=contract.sensing) for N, K, M in SIZES]


def _turned(X: Tensor, like: Tensor) -> Tensor:
    """X with each column's phase, which nothing depends on, taken from `like`."""
    return X * torch.sgn((X.conj() * like).sum(-2, keepdim=True))


def _with_channels(s: Scenario, H: Tensor, **change: Any) -> Scenario:
    snr_db = 10 * math.log10(float(s.power.flatten()[0]) / change.get("noise", s.noise))
    other = make_scenario(H, s.radar, snr_db=snr_db, chains=s.chains, weight=0.3, **change)
    return replace(other, goal=s.goal)


def _close(name: str, ours: Any, theirs: Any, limit: float) -> None:
    found = relative(ours, theirs)
    assert found < limit, f"{name} differ by {found:.1e}, allowed are {limit:.1e}"


def _same_figures(a: Design, b: Design, limit: float) -> None:
    _close("the rates", a.rate, b.rate, limit)
    _close("the errors tau", a.tau, b.tau, limit)


def feasible_finite_and_measured(method: Method, contract: Contract) -> None:
    """(7b) and (7c) hold to 1e-9, shapes and types are as promised, R, τ are those of the arrays."""
    for s in _scenarios(contract):
        d = method(s)
        assert d.scenario is s, "the design does not hold its scenario"
        assert d.method, "the design has no method's name"
        assert d.X.shape == (3, s.antennas, s.users), f"X has shape {tuple(d.X.shape)}"
        assert bool(torch.isfinite(torch.view_as_real(d.X)).all()), "X is not finite"
        assert float(power_error(d.X, s.power).max()) < 1e-9, "(7c) is violated"
        if d.F is not None:
            assert d.F.shape == (3, s.antennas, s.chains), f"F has shape {tuple(d.F.shape)}"
            assert d.W.shape == (3, s.chains, s.users), f"W has shape {tuple(d.W.shape)}"
            assert float(d.scenario.network.violation(d.F).max()) < 1e-9, "(7b) is violated"
            assert d.F.dtype == torch.complex128, "F is not complex128"
        assert d.W.dtype == torch.complex128, "W is not complex128"
        _close("the stated and the true rates", d.rate, rate(s.H, d.X, s.noise), 1e-12)
        _close("the stated and the true tau", d.tau, beam_error(d.X, s.Psi, s.power), 1e-12)
        true = d.rate - 0.3 * d.tau if s.goal is None else s.objective(d.X)
        _close("the stated and the true objectives", d.objective, true, 1e-12)
        assert d.status.shape == d.faults.shape == (3,), "status or faults have another shape"
        assert d.status.dtype == d.faults.dtype == torch.int8, "status or faults are not int8"
        assert bool(d.usable.all()), f"not usable: {d.statuses}"


def the_independent_verifier_agrees(method: Method, contract: Contract) -> None:
    """R, τ and MSE again by `beamfold.verifier`, which shares no code with what it checks."""
    for s in _scenarios(contract):
        d = method(s)
        F = None if d.F is None else d.F.numpy()
        stated = {"rate": d.rate.numpy(), "tau": d.tau.numpy()}
        found = verify(s.H.numpy(), F, d.W.numpy(), s.Psi.numpy(), s.power.numpy(), s.noise, stated)
        worst = max(found.worst().values())
        assert worst < 1e-9, f"the verifier finds a residual of {worst:.1e}"
        _close("the beampattern errors", d.pattern_error(s.radar.angles).numpy(), found.mse, 1e-9)


def a_fall_below_the_start_is_named(method: Method, contract: Contract) -> None:
    """Without the fault BELOW_START no design is below the start (26)."""
    if not contract.ascends:
        return
    for s in _scenarios(contract):
        d, begin = method(s), proposed(s)
        before = s.objective(begin.F @ begin.W)
        for fault, value, first in zip(d.faults.tolist(), d.objective, before, strict=True):
            fallen = bool(value < first - 1e-5 * (1 + abs(first)))
            assert fault & Fault.BELOW_START or not fallen, f"{float(value)} is below {float(first)}"


def users_can_be_renumbered(method: Method, contract: Contract) -> None:
    """The columns of X go with the users; R and τ stay."""
    for s in _scenarios(contract):
        order = torch.randperm(s.users, generator=torch.Generator().manual_seed(2))
        ours, other = method(s), method(_with_channels(s, s.H[:, order]))
        _same_figures(other, ours, contract.tolerance)
        if contract.phases:
            X = ours.X[..., order]
            _close("the precoders", _turned(other.X, X), X, 10 * contract.tolerance)
        if ours.F is None:
            _close("the precoders", other.W, ours.W[..., order], 10 * contract.tolerance)
        elif contract.columns and contract.phases:
            rows = torch.cat([order, torch.arange(s.users, s.chains)])
            _close("W", other.W, ours.W[:, rows][..., order], 100 * contract.tolerance)


def a_common_phase_changes_nothing(method: Method, contract: Contract) -> None:
    """h_k e^{jφ_k} is the same user: only the phase of x_k follows."""
    for s in _scenarios(contract):
        phase = torch.exp(1j * torch.tensor([0.3, -2.0, 1.1], dtype=torch.float64))[: s.users]
        ours, other = method(s), method(_with_channels(s, s.H * phase[:, None]))
        _same_figures(other, ours, contract.tolerance)
        _close("|X|", other.X.abs(), ours.X.abs(), 10 * contract.tolerance)


def channels_and_noise_scale_together(method: Method, contract: Contract) -> None:
    """H c with σ² c² is the same problem, at the same P_t."""
    for s in _scenarios(contract):
        for factor in (1e-3, 40.0):
            ours, other = method(s), method(_with_channels(s, factor * s.H, noise=factor**2))
            _close("the powers", other.scenario.power, s.power, 1e-12)
            _same_figures(other, ours, contract.tolerance)
            _close("the precoders", _turned(other.X, ours.X), ours.X, 10 * contract.tolerance)


def a_batch_is_its_channels_one_by_one(method: Method, contract: Contract) -> None:
    """Also behind an axis of SNRs."""
    for s in _scenarios(contract):
        several = make_scenario(s.H, s.radar, snr_db=[0.0, 6.0], chains=s.chains, sensing=contract.sensing)
        whole = method(several)
        assert whole.rate.shape == whole.status.shape == (2, 3), f"R has shape {tuple(whole.rate.shape)}"
        for i, b in np.ndindex(2, 3):
            alone = method(several[i, b : b + 1])
            _close("the precoders", alone.X[0], whole.X[i, b], 10 * contract.one_by_one)
            _close("the rates", alone.rate[0], whole.rate[i, b], contract.one_by_one)
            assert alone.status.tolist() == [int(whole.status[i, b])], "alone it stops for another reason"


def two_runs_are_equal_and_leave_the_scenario_alone(method: Method, contract: Contract) -> None:
    """The same bits twice, and H, Ψ and P_t as before."""
    for s in _scenarios(contract):
        before = s.H.clone(), s.Psi.clone(), s.power.clone()
        ours, again = method(s), method(s)
        assert torch.equal(ours.W, again.W), "two runs differ"
        assert all(map(torch.equal, (s.H, s.Psi, s.power), before)), "the scenario was changed"


def _finite_and_feasible(d: Design) -> None:
    assert bool(torch.isfinite(d.objective).all()), "R or tau is not finite"
    assert bool(torch.isfinite(torch.view_as_real(d.X)).all()), "X is not finite"
    assert float(power_error(d.X, d.scenario.power).max()) < 1e-9, "(7c) is violated"
    if d.F is not None:
        assert float(d.scenario.network.violation(d.F).max()) < 1e-9, "(7b) is violated"


def never_a_nan(method: Method, contract: Contract) -> None:
    """Extreme scenarios may end for any reason, but in finite, feasible designs with finite figures."""
    s = small(8, 2)
    for gain in (1e-6, 1.0, 1e4):
        for snr_db in (-30.0, 40.0):
            other = make_scenario(s.H * gain, s.radar, snr_db=snr_db, weight=5.0, sensing=contract.sensing)
            _finite_and_feasible(method(other))


def equal_users_are_served(method: Method, contract: Contract) -> None:
    """H of deficient rank: no zero forcing is possible, and still every figure is finite."""
    s = small(8, 2)
    H = s.H.clone()
    H[:, 1] = H[:, 0]
    _finite_and_feasible(method(make_scenario(H, s.radar, snr_db=6, sensing=contract.sensing)))


def the_smallest_sizes(method: Method, contract: Contract) -> None:
    """One antenna and one user; two of each; more chains than users.

    So few antennas can't tell the angles of three targets: log₂ det J is −∞.
    """
    if contract.sensing == "crb":
        return
    for N, K, M in ((1, 1, 1), (2, 2, 2), (3, 1, 3)):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the targets at .* are closer than the array resolves")
            s = small(N, K, M, count=2, sensing=contract.sensing)
        d = method(s)
        assert d.X.shape == (2, N, K), f"X has shape {tuple(d.X.shape)}"
        _finite_and_feasible(d)


CHECKS: tuple[Callable[[Method, Contract], None], ...] = (
    feasible_finite_and_measured,
    the_independent_verifier_agrees,
    a_fall_below_the_start_is_named,
    users_can_be_renumbered,
    a_common_phase_changes_nothing,
    channels_and_noise_scale_together,
    a_batch_is_its_channels_one_by_one,
    two_runs_are_equal_and_leave_the_scenario_alone,
    never_a_nan,
    equal_users_are_served,
    the_smallest_sizes,
)
"""All checks, in the order in which they are worth reading."""


def check_method(method: Method, contract: Contract | None = None) -> None:
    """Run every check of `CHECKS` on a method.

    Args:
        method: a function of a `Scenario` that returns a `Design`; bind its options with `functools.partial`.
        contract: what is known of it; default what most methods can keep.

    Raises:
        AssertionError: the first check that fails, with its name and what was found.
    """
    for check in CHECKS:
        try:
            check(method, contract or Contract())
        except AssertionError as error:
            raise AssertionError(f"{check.__name__}: {error}") from error
