"""The loops by themselves, on problems whose answers are eigenvectors or known on paper."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from beamfold.errors import InputError
from beamfold.optim.active import ARMIJO, backtrack, check_limits, run_active
from beamfold.optim.fixed_point import Iterate, ascend
from beamfold.optim.lbfgs import maximise
from beamfold.optim.riemannian import SPHERE, conjugate_gradient
from beamfold.result import Status

DOUBLE = torch.float64


def hermitian(count: int, size: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    A = torch.randn(count, size, size, dtype=torch.complex128, generator=g)
    return A + A.mH


def begin(count: int, size: int, seed: int = 1) -> Tensor:
    return torch.randn(count, size, 1, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


class Quotient(NamedTuple):
    """xᴴ A x / xᴴ x, whose greatest value is A's greatest eigenvalue; as a cost on the sphere, too."""

    A: Tensor

    def value(self, Y: Tensor) -> Tensor:
        return (Y.mH @ self.A @ Y).real[:, 0, 0] / (Y.mH @ Y).real[:, 0, 0]

    def gradient(self, Y: Tensor) -> Tensor:
        return (self.A @ Y - self.value(Y)[:, None, None] * Y) / (Y.mH @ Y).real

    def cost(self, X: Tensor) -> Tensor:
        return self.value(X)

    def part(self, index: Tensor) -> Quotient:
        return Quotient(self.A[index])


def test_lbfgs_finds_the_greatest_eigenvalue():
    A = hermitian(7, 6)
    Y, value, residual = maximise(Quotient(A), begin(7, 6), 1e-6, 300)
    assert float(residual.max()) <= 1e-6
    torch.testing.assert_close(value, torch.linalg.eigvalsh(A)[:, -1], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(Quotient(A).value(Y), value, rtol=1e-12, atol=0)


def test_conjugate_gradients_find_the_least_eigenvalue_on_the_sphere():
    A, X = hermitian(7, 6), begin(7, 6)
    limit, length = torch.full((7,), 1e-6, dtype=DOUBLE), torch.full((7,), 0.1, dtype=DOUBLE)
    found, status = conjugate_gradient(Quotient(A), SPHERE, X, limit, length, 500)
    assert set(status.tolist()) == {Status.CONVERGED}
    torch.testing.assert_close(Quotient(A).cost(found), torch.linalg.eigvalsh(A)[:, 0], rtol=1e-9, atol=1e-12)
    norm = torch.linalg.matrix_norm
    torch.testing.assert_close(norm(found), norm(X), rtol=1e-10, atol=0)


@pytest.mark.parametrize("search", ["lbfgs", "conjugate gradients"])
def test_a_channel_does_not_depend_on_its_neighbours(search):
    A, X = hermitian(5, 4), begin(5, 4)
    limit = torch.full((1,), 1e-6, dtype=DOUBLE)

    def run(part: slice) -> Tensor:
        if search == "lbfgs":
            return maximise(Quotient(A[part]), X[part], 1e-6, 100)[0]
        count = len(X[part])
        return conjugate_gradient(
            Quotient(A[part]), SPHERE, X[part], limit.expand(count), 0.1 + 0 * limit.expand(count), 100
        )[0]

    whole = run(slice(None))
    for b in range(5):
        torch.testing.assert_close(run(slice(b, b + 1)), whole[b : b + 1], rtol=1e-6, atol=1e-6)


class Count(NamedTuple):
    left: Tensor

    def part(self, index: Tensor) -> Count:
        return Count(self.left[index])


def test_only_channels_that_are_not_done_are_computed():
    seen: list[list[int]] = []

    def step(at: Count, which: Tensor) -> tuple[Count, Tensor]:
        seen.append(which.tolist())
        return Count(at.left - 1), at.left > 1

    left = torch.tensor([2, 0, 3, 1])
    run_active(step, Count(left), left > 0, 10)
    assert seen == [[0, 2, 3], [0, 2], [2]]
    seen.clear()
    run_active(step, Count(left), left > 0, 2)
    assert seen == [[0, 2, 3], [0, 2]]


def test_an_ascent_ends_for_the_reason_that_it_gives():
    """x ← x/2 of value −x²: to its tolerance, to its limit, or to the last finite point before a NaN."""
    x = torch.tensor([[1.0], [1.0], [8.0]], dtype=DOUBLE)

    def step(matrices: tuple[Tensor, ...], which: Tensor) -> Iterate:
        new = matrices[0] / 2
        new = torch.where((which == 2)[:, None] & (new < 2), torch.nan, new)
        return Iterate((new,), -new[:, 0].square())

    tolerance = torch.tensor([1e-2, 0.0, 0.0], dtype=DOUBLE)
    (found,), status, steps = ascend(step, Iterate((x,), -x[:, 0].square()), tolerance, 6)
    assert status.tolist() == [Status.CONVERGED, Status.ITERATION_LIMIT, Status.DIVERGED]
    # Step k gains 3/4^k, which first falls below the tolerance at k = 5.
    assert found[:, 0].tolist() == [2.0**-5, 2.0**-6, 2.0]
    assert steps.tolist() == [5, 6, 3]
    assert x[:, 0].tolist() == [1.0, 1.0, 8.0]


def test_backtracking_keeps_armijos_rule_and_no_shorter_step_than_needed():
    """f(t) = −t + c t²: the rule holds up to t = (1 − share)/c."""
    c = torch.tensor([0.1, 3.0, 50.0], dtype=DOUBLE)
    zero, one = torch.zeros(3, dtype=DOUBLE), torch.ones(3, dtype=DOUBLE)
    t, value, _ = backtrack(lambda t: (t, -t + c * t**2), zero, -one, one)
    assert (value <= -ARMIJO * t).all()
    limit = (1 - ARMIJO) / c
    expected = [2.0 ** -max(0, math.ceil(-math.log2(x))) for x in limit.tolist()]
    assert t.tolist() == expected


@pytest.mark.parametrize("limits", [(-1.0, 1), (1.0, -1), (math.nan, 1)])
def test_limits_below_zero_are_refused(limits):
    with pytest.raises(InputError, match="can't be below 0"):
        check_limits(*limits)
