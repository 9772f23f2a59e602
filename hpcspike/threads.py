"""Threads over the neurons of a process: Python's own, since compiled kernels let go of the interpreter while they run.

A kernel is compiled once for any number of them (a parallel loop of numba compiles all that it calls once more), the
first part of the work is done by the thread that asks for it, and no library of threads has to be there.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from hpcspike.launcher import own_cores

logger = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS = 0.01


def allowed_threads(threads: int) -> int:
    """How many of so many threads are used: one for each core of this process at most. That there are fewer is said."""
    cores = len(own_cores())
    if threads > cores:
        logger.warning(
            "%d threads were asked for, but this process may use %d %s: the numbers are the same, the time is that of "
            "fewer threads",
            threads, cores, "core" if cores == 1 else "cores",
        )  # fmt: skip
    return min(threads, cores)


class _Helpers(threading.local):
    # each calling thread has helpers of its own, so that callers never wait for each other's; a forked process has none
    process, count, pool = 0, 0, None

    def of(self, count: int) -> ThreadPoolExecutor:
        if self.pool is None or self.process != os.getpid() or self.count < count:
            self.process, self.count, self.pool = os.getpid(), count, ThreadPoolExecutor(count, "hpcspike")
        return self.pool


_helpers = _Helpers()


def at_once(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], release: Callable[[], None] | None = None
) -> Any:
    """Call a function with several tuples of arguments at the same time; returns what the first call does.

    The first call is made by the thread that asks, and all have ended when this returns. ``release``: called as long as
    one has failed and others run, where those would wait for it.
    """
    if len(calls) == 1:
        return function(*calls[0])
    pool = _helpers.of(len(calls) - 1)
    others: list[Future[Any]] = [pool.submit(function, *call) for call in calls[1:]]
    if release is not None:
        for other in others:
            other.add_done_callback(lambda done: release() if done.exception() else None)
    try:
        found = function(*calls[0])
    except BaseException:
        while wait(others, _LOOK_AGAIN_SECONDS).not_done:
            if release is not None:
                release()
        raise
    for other in others:
        other.result()
    return found
