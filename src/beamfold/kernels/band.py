"""Python entry point of the fast design of bands: one F for all subcarriers of a channel, W of each."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from beamfold.kernels.band_design import design_band
from beamfold.kernels.band_work import help_out
from beamfold.kernels.band_workspace import BandPlan, Complex, Real, Task, Whole, band_layout, desk_layout
from beamfold.kernels.fast import CONSTANTS, GRID, ROUNDING, Plan, mixing
from beamfold.kernels.fast_workspace import Problem
from beamfold.kernels.planes import to_planes, up
from beamfold.kernels.simd import LANES
from beamfold.kernels.team import SIZE
from beamfold.kernels.workspace import buffer_for
from beamfold.networks import Network
from beamfold.threads import check_threads, parallel_for


def omega_of(weight: float, power: float) -> float:
    """ω P_t² on the grid of the channels against rounding."""
    mantissa, exponent = math.frexp(weight * power * power)
    return math.ldexp(round(math.ldexp(mantissa, GRID)), exponent - GRID)


def choose(S: int, n: int) -> tuple[Whole, Whole, Real]:
    chosen = np.floor((np.arange(n) + 0.5) * S / n).astype(np.int64)
    nearest = np.abs(np.arange(S)[:, None] - chosen).argmin(1)
    return chosen, nearest, np.bincount(nearest, minlength=n) / S


def run_band(H, U, square, power, weight, *, noise, network, plan, dtype=np.float32, which=0, start=None, threads=None, n=None, tolerance=0.0):
    count, S, K, N = H.shape
    M, r = network.chains, U.shape[2]
    n = S if n is None else n
    chosen, nearest, share = choose(S, n)
    p = sizes_of = up(N, LANES)
    UU = to_planes(np.swapaxes(U, 1, 2), up(N, LANES), dtype).reshape(2 * len(U), r, up(N, LANES))
    columns = min(M, n * K)
    Q = to_planes(mixing(M, columns, which).T.conj(), up(M, 4), dtype)
    mask = np.zeros((1, up(M, 2), up(N, LANES)), dtype)
    mask[0, :M, :N] = network.mask.cpu().numpy().T
    constants = CONSTANTS._replace(rounding=ROUNDING[dtype], tolerance=tolerance)
    workers = check_threads(threads)
    helpers = workers - 1 if count < workers else 0
    if start is None:
        F, W = np.zeros((count, N, M), np.complex128), np.zeros((count, S, M, K), np.complex128)
    else:
        plan = plan._replace(digital=-1)
        F, W = (np.array(z, np.complex128) for z in start)
    f, done = np.empty(count), np.empty(count, np.int64)
    def one(b, shared, desks, pool):
        task = Task(H[b], UU, square, chosen, nearest, share, np.zeros((n, K), np.int64), np.zeros(n, np.int64), F[b], np.zeros((M, M), np.complex128), W[b], np.zeros(S), np.zeros(S, np.int64))
        problem = Problem(power[b], math.sqrt(power[b] / noise), omega_of(weight[b], power[b]), 0.0)
        team = buffer_for((1, 1, SIZE), np.int64)
        shared[:] = 0
        helping = [pool.submit(help_out, team, task, shared, desk, problem, constants, plan) for desk in desks[1:]]
        done[b] = design_band(task, Q, mask, problem, constants, plan, team, len(helping), shared, desks[0])
        for h in helping:
            h.result()
        f[b] = task.f.mean()
    layouts = band_layout(N, K, M, r, n, len(U) > 1), desk_layout(N, K, M, r, len(U) > 1)
    def work(first, last):
        shared = buffer_for(layouts[0], dtype)
        desks = [buffer_for(layouts[1], dtype) for _ in range(helpers + 1)]
        with ThreadPoolExecutor(max(helpers, 1)) as pool:
            for b in range(first, last):
                one(b, shared, desks, pool)
    parallel_for(work, count, 1 if helpers else workers)
    return F, W, f, done
