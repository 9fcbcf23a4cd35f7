"""A step of many small operations, repeated: on a GPU it is recorded once and replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

State = TypeVar("State")
EAGER = 2
"""Steps before the recording, which make the libraries ready for the sizes at hand."""


def repeated(step: Callable[[State], State], state: State, times: int) -> State:
    """The state after `times` calls of state ← step(state).

    On a GPU a step of some hundred small operations takes as long as the processor needs to start them. From
    the third on it is a CUDA graph, which starts them all at once.

    Args:
        step: computes with tensors on one device alone: it copies nothing from or to the processor and
            decides nothing by a tensor's value. It may change a tensor of its state in place if it returns
            that tensor.
        state: nested named tuples of tensors, whose shapes `step` keeps.
        times: how many steps.
    """
    on_gpu = next(_tensors(state)).device.type == "cuda"
    begin = min(times, EAGER) if on_gpu else times
    for _ in range(begin):
        state = step(state)
    return _replayed(step, state, times - begin) if times > begin else state


def _replayed(step: Callable[[State], State], state: State, times: int) -> State:
    held = [tensor.clone() for tensor in _tensors(state)]
    mine = _filled(state, iter(held))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for into, new in zip(held, list(_tensors(step(mine))), strict=True):
            if new is not into:
                into.copy_(new)
    for _ in range(times):
        graph.replay()
    return mine


def _tensors(state: Any) -> Iterator[Tensor]:
    """The tensors of nested tuples, in their order."""
    if isinstance(state, Tensor):
        yield state
    else:
        for part in state:
            yield from _tensors(part)


def _filled(like: Any, tensors: Iterator[Tensor]) -> Any:
    """Nested named tuples as `like`, with these tensors."""
    if isinstance(like, Tensor):
        return next(tensors)
    return type(like)(*(_filled(part, tensors) for part in like))
