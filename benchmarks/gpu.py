"""The fast design in torch on a GPU: designs per second over batch size, and what bounds them.

    python benchmarks/gpu.py [--device cuda] [--depth deep] [--batches 1 100 1000 10000 100000] [--parts]

N = 64, K = M = 4, 12 dB, ω = 0.3, float32. `design` is all of `beamfold.design`, with the comparison with the
start (26) and the figures in complex128; `search` is the design alone, `one by one` the same without CUDA
graphs. The bytes are those that the operations of the search read and write as they stand, counted on the
CPU; their rate is compared with that of a copy on the device. Medians of some runs, by the clock of the
processor after a synchronisation. `--parts` times the parts of the search.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import beamfold as bf
from beamfold.channel import saleh_valenzuela
from beamfold.covariance import solve_covariance
from beamfold.kernels.fast_setting import CONSTANTS, DROPPED, ROUNDING, plan_for
from beamfold.methods.fast import DEPTHS
from beamfold.optim import projected, projected_start, repeated
from beamfold.optim.local_maximum import conclude_search
from beamfold.optim.projected import ascend_phases, run_projected
from beamfold.optim.projected_objective import Numbers
from beamfold.optim.projected_start import canonical, digital_optimum, factorise
from beamfold.scenario import Scenario, make_scenario

VIEWS = {"view", "expand", "permute", "transpose", "slice", "select", "unsqueeze", "squeeze", "alias", "t",
         "detach", "_conj", "view_as_real", "view_as_complex", "diagonal", "_unsafe_view", "split", "unbind",
         "as_strided", "real", "imag", "split_with_sizes", "resolve_conj"}  # fmt: skip


class Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write, each tensor once for an operation."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.calls = 0, 0

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Of one operation."""
        found = function(*args, **(kwargs or {}))
        if function.overloadpacket.__name__ not in VIEWS:
            tensors = [t for t in tree_leaves((args, kwargs, found)) if isinstance(t, Tensor)]
            self.bytes += sum(_own(t) for t in {id(t): t for t in tensors}.values())
            self.calls += 1
        return found


def _own(t: Tensor) -> int:
    """Bytes that a tensor holds, repeated ones once."""
    shape = [n for n, stride in zip(t.shape, t.stride(), strict=True) if stride]
    return int(np.prod(shape, dtype=np.int64)) * t.element_size()


def scenario(batch: int, device: str) -> Scenario:
    """Channels of the paper's size."""
    H = saleh_valenzuela(64, 4, min(batch, 2000), seed=3)
    H = H.repeat(-(-batch // len(H)), 1, 1)[:batch]
    return make_scenario(H, solve_covariance(64, (-59, 0, 60)), snr_db=12, weight=0.3).to(device)


def seconds(run: Callable[[], object], device: str, count: int) -> float:
    """The median wall time of a run, after one that is not counted."""
    taken = []
    for i in range(count + 1):
        begin = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        if i:
            taken.append(time.perf_counter() - begin)
    return float(np.median(taken))


def one_by_one(run: Callable[[], object]) -> Callable[[], object]:
    """A run without CUDA graphs."""

    def plainly(step: Any, state: Any, times: int) -> Any:
        for _ in range(times):
            state = step(state)
        return state

    def without() -> None:
        for module in (projected, projected_start):
            module.repeated = plainly  # type: ignore[attr-defined]
        try:
            run()
        finally:
            for module in (projected, projected_start):
                module.repeated = repeated.repeated  # type: ignore[attr-defined]

    return without


def copied(device: str) -> float:
    """Bytes per second of a copy on the device, read and written."""
    a = torch.empty(1 << 28, dtype=torch.float32, device=device).uniform_()
    b = torch.empty_like(a)
    return 2 * a.numel() * 4 / seconds(lambda: b.copy_(a), device, 10)


def table(device: str, depth: str, batches: list[int]) -> None:
    """Designs per second over batch size."""
    with Traffic() as traffic:
        s = scenario(20, "cpu")
        plan = plan_for(4, s.network, s.radar.factor(1e-3).U.shape[1], **DEPTHS[depth])
        run_projected(s, plan)
    each, bound = traffic.bytes / 20, copied(device)
    print(f"{depth}: {traffic.calls} operations, {each / 1e6:.1f} MB a channel")
    print(f"A copy moves {bound / 1e12:.2f} TB/s.")
    print("| batch | design, 1/s | search, 1/s | one by one, 1/s | bytes/s of a copy's | peak MiB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for batch in batches:
        s = scenario(batch, device)
        count = 5 if batch <= 10000 else 3
        torch.cuda.reset_peak_memory_stats()
        whole = batch / seconds(lambda s=s: bf.design(s, "fast", depth=depth), device, count)  # type: ignore[misc]
        peak = torch.cuda.max_memory_allocated() / 2**20
        rates = []
        if batch <= 50000:
            run = lambda s=s: run_projected(s, plan)  # noqa: E731
            rates = [batch / seconds(r, device, count) for r in (run, one_by_one(run))]
        cells = [f"{r:.0f}" for r in rates] + ["", ""][len(rates) :]
        share = f"{rates[0] * each / bound:.0%}" if rates else ""
        print(f"| {batch} | {whole:.0f} | {cells[0]} | {cells[1]} | {share} | {peak:.0f} |", flush=True)


def parts(device: str, depth: str, batch: int) -> None:
    """Seconds of the parts of a design, each after the one before."""
    s = scenario(batch, device)
    U = s.radar.factor(DROPPED[np.float32]).U.to(torch.complex64)
    plan = plan_for(4, s.network, U.shape[1], **DEPTHS[depth])
    constants = CONSTANTS._replace(rounding=ROUNDING[np.float32])
    gain = (s.power / s.noise).sqrt().expand(batch)
    numbers = Numbers((s.weight * s.power**2).expand(batch).to(torch.float32), s.radar.square)
    channels = canonical(s.H, gain, U, constants)
    X = digital_optimum(channels, numbers, constants, 4, plan.digital)
    mixing = torch.eye(4, dtype=X.dtype, device=device)
    F, W, mask = factorise(X, mixing, s.network, plan.alternations, constants.ridge)
    found = ascend_phases(channels.V, F, W, mask, numbers, constants, plan, plan.steps)
    point, _, _ = run_projected(s, plan)
    for name, run in {
        "canonical form": lambda: canonical(s.H, gain, U, constants),
        "digital optimum": lambda: digital_optimum(channels, numbers, constants, 4, plan.digital),
        "factorisation": lambda: factorise(X, mixing, s.network, plan.alternations, constants.ridge),
        "steps of F": lambda: ascend_phases(channels.V, F, W, mask, numbers, constants, plan, plan.steps),
        "comparison with (26) and figures": lambda: conclude_search(s, "fast", point, iterations=found.done),
    }.items():
        print(f"{name}: {1e3 * seconds(run, device, 3):.1f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--depth", default="deep", choices=DEPTHS)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 100, 1000, 10000, 100000])
    parser.add_argument("--parts", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.parts:
        parts(options.device, options.depth, options.batches[-1])
    else:
        table(options.device, options.depth, options.batches)


if __name__ == "__main__":
    main()
