"""Threads that share the work on one design, without the interpreter between two pieces of it.

A leader publishes a task of so many groups. Whoever is free claims a group by an atomic exchange: the
helpers, and the leader itself, which goes on once all groups are done. Each thread begins with its own share
of the groups, whose data its processor still holds from the task before, and goes on with the others'. A
helper that has lost its processor, or has not started yet, so keeps nobody waiting. What a group computes
does not depend on who computes it, so that the number of threads changes no result.

The state of a team is an array of integers: the ticket (the number of the task and how many groups it has),
how many groups are done, the task with its argument, how many threads help, and for each group the number of
the last task for which it was claimed.
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
TICKET, DONE, TASK, STEPS, HELPERS, CLAIMS, SIZE = 0, 8, 16, 17, 18, 24, 40
"""Places in the array; ticket, count and claims lie on cache lines of their own. There is a place for the
claims of 16 groups, so a task has no more of them, and a team no more threads."""
BITS = 20
"""Bits of a ticket for the number of groups; those above are the number of the task."""
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


@intrinsic
def exchange(typing: Any, array: Any, index: Any, old: Any, new: Any) -> Any:
    """Whether array[index] was `old`, and is `new` now, at once."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _address(context, builder, array, args[0], args[1])
        found = builder.cmpxchg(place, args[2], args[3], "seq_cst", "seq_cst")
        return builder.extract_value(found, 1)

    return types.boolean(array, types.intp, types.int64, types.int64), code


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
    number = read(team, TICKET) >> BITS
    team[TASK], team[STEPS] = task, steps
    write(team, DONE, 0)
    write(team, TICKET, ((number + 1) << BITS) + groups)


@kernel
def claim(team: Team, me: int) -> tuple[int, int]:
    """The number of the task, and a group of it for thread `me`, the leader being 0; −1 where none is left.

    The thread's own share upwards, then the others' from the last group downwards: whoever they belong to
    comes to those last. A group that is claimed for a task belongs to that task: the leader publishes the
    next one when all are done, and so after all were claimed.
    """
    ticket = read(team, TICKET)
    number, groups, threads = ticket >> BITS, ticket & ((1 << BITS) - 1), team[HELPERS] + 1
    first, last = me * groups // threads, (me + 1) * groups // threads
    for i in range(groups):
        own = first + i
        group = own if own < last else groups - 1 - (i - (last - first))
        if own >= last and group < last:
            group -= last - first
        before = read(team, CLAIMS + group)
        if before < number and exchange(team, CLAIMS + group, before, number):
            return number, group
    return number, -1


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
    while read(team, TICKET) >> BITS == number:
        looks += 1
        if looks > PATIENCE:
            let_others_run()
