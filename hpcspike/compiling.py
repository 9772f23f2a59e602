"""What the compiler of the kernels takes, kept apart from the work that is timed.

Kernels are compiled when they are first called, which is in the first loop of a training: seconds to a minute where the
cache of numba does not have them yet, about a second to load them where it has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from numba.core import event


class _Clock(event.Listener):  # type: ignore[misc]
    """Adds up wall seconds in which numba compiles kernels or loads them, each moment once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth, self._began = 0, 0.0

    def on_start(self, event: event.Event) -> None:
        if self._depth == 0:
            self._began = time.perf_counter()
        self._depth += 1

    def on_end(self, event: event.Event) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._began


class _Teller(event.Listener):  # type: ignore[misc]
    """Calls a function when numba begins to compile, once; loading from its cache is no compiling."""

    def __init__(self, say: Callable[[], object]) -> None:
        self._say, self._said = say, False

    def on_start(self, event: event.Event) -> None:
        if not self._said:
            self._said = True
            self._say()

    def on_end(self, event: event.Event) -> None:
        pass


_CLOCK = _Clock()
event.register("numba:compiler_lock", _CLOCK)


def compile_seconds() -> float:
    """Wall seconds that this process has spent on compiling and loading kernels so far."""
    return _CLOCK.seconds


def working_seconds() -> float:
    """A clock in seconds like `time.perf_counter`, which stands still while kernels are compiled or loaded."""
    return time.perf_counter() - _CLOCK.seconds


@contextmanager
def telling(say: Callable[[], object]) -> Iterator[None]:
    """Call ``say`` the first time that a kernel is compiled in the block."""
    with event.install_listener("numba:compile", _Teller(say)):
        yield
