"""Threads that share the work on one design, without the interpreter between two pieces of it.

A leader publishes a task of so many groups. Whoever is free claims the next group by an atomic counter: the
helpers, and the leader itself, which goes on once all groups are done. A helper that has lost its processor,
or has not started yet, keeps nobody waiting: the others claim its share. What a group computes does not
depend on who computes it, so that the number of threads changes no result.

The state of a team is an array of integers: the ticket (the number of the task, how many groups it has, the
next one), how many groups are done, and the task with its argument.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numba import types as _types
from numba.core import cgutils
from numpy.typing import NDArray

from beamfold.kernels.linalg import kernel
from beamfold.kernels.simd import intrinsic

types: Any = _types  # its names are made when Numba is imported
Team = NDArray[np.int64]
TICKET, DONE, TASK, STEPS, SIZE = 0, 8, 16, 17, 24
"""Places in the array; ticket and count lie on cache lines of their own."""
BITS = 20
"""Bits of a ticket for the next group, and as many above them for how many groups there are."""
STOP = -1
"""The task that ends a helper."""
PATIENCE = 4000
"""Looks at the ticket before a thread lets others have its processor."""


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    struct = cgutils.create_struct_proxy(array_type)(context, builder, array)
    return builder.gep(struct.data, [index])


@intrinsic
def fetch_add(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """array[index] before `value` is added to it, at once."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _address(context, builder, array, args[0], args[1])
        return builder.atomic_rmw("add", place, args[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), code


@intrinsic
def read(typing: Any, array: Any, index: Any) -> Any:
    """array[index] as another thread left it, with all that the thread wrote before."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_address(context, builder, array, *args), "seq_cst", 8)

    return types.int64(array, types.intp), code


@intrinsic
def write(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """array[index] = value, seen by other threads after all that this thread wrote before."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _address(context, builder, array, args[0], args[1])
        builder.store_atomic(args[2], place, "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), code


if os.name == "posix":
    let_others_run: Any = types.ExternalFunction("sched_yield", types.int32())
else:  # the system takes the processor from a thread that waits

    @kernel
    def let_others_run() -> int:
        """Nothing."""
        return 0


@kernel
def plain(constant: int) -> int:
    """A constant as any other number: Numba would compile every kernel anew for each task that it is told."""
    return int(np.int64(constant))


@kernel
def publish(team: Team, task: int, groups: int, steps: int) -> None:
    """The next task; all groups of the one before must be done."""
    number = read(team, TICKET) >> 2 * BITS
    team[TASK], team[STEPS] = task, steps
    write(team, DONE, 0)
    write(team, TICKET, ((number + 1) << 2 * BITS) + (groups << BITS))


@kernel
def claim(team: Team) -> tuple[int, int]:
    """The number of the task, and its next group; −1 where none is left."""
    ticket = fetch_add(team, TICKET, 1)
    most = (1 << BITS) - 1
    group, groups = ticket & most, ticket >> BITS & most
    return ticket >> 2 * BITS, group if group < groups else -1


@kernel
def wait_for_all(team: Team, groups: int) -> None:
    """Until so many groups are done."""
    looks = 0
    while read(team, DONE) < groups:
        looks += 1
        if looks > PATIENCE:
            let_others_run()


@kernel
def wait_for_more(team: Team, number: int) -> None:
    """Until there is another task than `number`."""
    looks = 0
    while read(team, TICKET) >> 2 * BITS == number:
        looks += 1
        if looks > PATIENCE:
            let_others_run()
