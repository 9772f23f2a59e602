"""Threads that work on one block of neurons side by side, and wait for each other inside compiled code.

Handing work to threads and waiting for its end takes longer than a step of a small network. So a whole interval, or
several, is handed over in one piece: every member of the team goes through the same steps on rows of its own and meets
the others at `meet`. What only one may do (the exchange of spikes, sums over all neurons) is done between two meetings
by member 0, the thread that handed it over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from hpcspike.accelerate import inline_kernel, kernel
from hpcspike.threads import at_once

COUNT_STRIDE = 8  # int64 numbers of a cache line, so that what one thread writes does not disturb the others' reading
_ARRIVED, _MEETINGS, _BROKEN, TOLD, COUNTS = (COUNT_STRIDE * k for k in range(5))
_SPINS = 1 << 19
"""Looks at a number that shall change, some ms, before the core is left to others: longer than an update of N = 500."""
_NAP = 50
"""Microseconds that it is left to them. Who yields it instead gives away a whole time slice of some ms in every meeting
where other processes want the core (N = 500 beside three of lower priority: 10.5 s a loop by yielding, 1.2 s by
sleeping, 1.3 s on one thread); who sleeps after a tenth of these looks is slow on a free machine (1.4 instead of 1.8
times one thread).
"""


def new_team(threads: int) -> np.ndarray:
    """What the members of a team of so many threads know of each other."""
    return np.zeros(COUNTS + COUNT_STRIDE * threads, dtype=np.int64)


def in_team(run: Callable[..., Any], team: np.ndarray, threads: int, *rest: Any) -> Any:
    """Call a kernel as every member of a team, with arguments (member, threads, team, *rest); what member 0 returns.

    A member that fails, in being compiled perhaps, leaves the others to go through their steps without waiting for it.
    """

    def release() -> None:
        team[[_BROKEN, TOLD]] = 1, -1

    team[[_ARRIVED, _BROKEN]] = 0
    return at_once(run, [(member, threads, team, *rest) for member in range(threads)], release)


def _operation(emit: Any, n_values: int) -> Any:
    # an intrinsic of an int64 array, an index and n_values int64 numbers
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return emit(builder, builder.gep(data, [arguments[1]]), *arguments[2:])

    i64 = types.int64
    if n_values == 0:

        @intrinsic
        def operation(typing_context: Any, array: Any, index: Any) -> Any:
            return i64(array, i64), generate

    else:

        @intrinsic
        def operation(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
            return i64(array, i64, i64), generate

    return operation


def _store(builder: Any, place: Any, value: Any) -> Any:
    builder.store_atomic(value, place, "seq_cst", 8)
    return value


_look = _operation(lambda builder, place: builder.load_atomic(place, "seq_cst", 8), 0)
_put = _operation(_store, 1)
_add = _operation(lambda builder, place, value: builder.atomic_rmw("add", place, value, "seq_cst"), 1)


@intrinsic
def _nap(typing_context: Any) -> Any:
    """Leave the core to other threads for a moment."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        i32 = ir.IntType(32)
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(i32, [i32]), "usleep")
        builder.call(function, [ir.Constant(i32, _NAP)])
        return context.get_dummy_value()

    return types.void(), generate


@inline_kernel
def meet(team, size):  # type: ignore[no-untyped-def]
    """Wait until all members have come here; what they wrote before is seen by all after it."""
    if size > 1:
        meeting = _look(team, _MEETINGS)
        if _add(team, _ARRIVED, 1) == size - 1:
            _put(team, _ARRIVED, 0)
            _put(team, _MEETINGS, meeting + 1)
        else:
            looks = 0
            while _look(team, _MEETINGS) == meeting and _look(team, _BROKEN) == 0:
                looks += 1
                if looks >= _SPINS:
                    _nap()


@kernel
def part_of(bounds, member, size):  # type: ignore[no-untyped-def]
    """Rows low:high and parts first:last of a member; bounds (parts + 1,). The only member has all of them."""
    if size == 1:
        return bounds[0], bounds[-1], 0, bounds.shape[0] - 1
    return bounds[member], bounds[member + 1], member, member + 1
