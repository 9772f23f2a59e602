"""The ranks of a run: one interface for MPI and for its serial stand-in."""

from __future__ import annotations

import functools
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hpcspike.engine.phases import Phases
from hpcspike.errors import HpcspikeError, ResourceError
from hpcspike.launcher import ALONE, WAIT_SECONDS, launched_rank, launched_ranks, leftover, own_cores, seconds_to_wait

SPIKE_BUFFER = 63
"""Spikes per rank and step that travel in the first message (256 bytes with their count)."""
_LARGEST_BUFFER = 1023  # of several steps: 4 KiB with their count, which MPIs still send without asking first


class Exchange(NamedTuple):
    """What `hpcspike.engine.exchange_kernels.exchange_spikes` needs to reach the other ranks."""

    address: int
    kind: int
    world: int
    send: np.ndarray
    receive: np.ndarray
    seconds: np.ndarray


class World:
    """One rank alone: the serial stand-in, and the base of `MpiWorld`.

    Attributes
    ----------
    rank, size
        Which rank this is, and of how many.
    local_size
        How many of them share this machine.
    library
        Name and version of the MPI library; empty where none is used.
    phases
        Where this rank's time goes.
    cores_per_rank
        How many cores a rank has at least, of those that are left to the ranks of its machine; the same on all ranks.
    """

    rank = 0
    size = 1
    local_size = 1
    library = ""

    def __init__(self) -> None:
        self.phases = Phases()
        self.cores_per_rank = len(own_cores())

    def has_room_for(self, threads: int) -> bool:
        """Whether so many threads of every rank have a core each; the same on all ranks.

        Threads that meet in every step would else wait for the turns that the system gives them.
        """
        return threads <= self.cores_per_rank

    def exchange(self, steps: int = 1) -> Exchange:
        """Buffers and handles for the spike exchange inside the step loop, of the spikes of so many steps at once."""
        return Exchange(0, 0, 0, np.zeros(1, np.int32), np.zeros((1, 1), np.int32), self.phases.exchanging)

    def concatenate(self, part: np.ndarray) -> np.ndarray:
        """The parts (n_r, ...) of all ranks joined along the first axis in order of rank, on every rank."""
        return part

    def collect(self, part: np.ndarray, owner: int) -> np.ndarray | None:
        """As `concatenate`, but only rank ``owner`` receives the whole; the others get None."""
        return part

    def any(self, flag: bool) -> bool:
        """Whether any rank says so; the same answer everywhere."""
        return flag

    def barrier(self) -> None:
        """Wait for all ranks."""

    def share(self, thing: Any) -> Any:
        """Rank 0's thing, on every rank."""
        return thing

    def agree(self, work: Callable[[], Any]) -> Any:
        """Run ``work`` on every rank; if it fails on one, every rank raises that error."""
        return work()

    def arrive(self, seconds: float) -> bool:
        """Whether all ranks call this within ``seconds``; possible whatever else the others are doing."""
        return True

    def meet(self, seconds: float) -> bool:
        """Whether all ranks come to work together within ``seconds``; apart from `arrive`, where failures meet."""
        return True

    def gather(self, thing: Any) -> list[Any]:
        """The things of all ranks, in their order, on every rank."""
        return [thing]

    def abort(self, code: int) -> None:
        """End all ranks at once."""
        raise SystemExit(code)


class MpiWorld(World):
    """The ranks of MPI.COMM_WORLD; buffers travel, never pickles, except for errors and small settings."""

    def __init__(self) -> None:
        super().__init__()
        try:
            MPI = _initialised()
        except (ImportError, RuntimeError) as error:  # RuntimeError: mpi4py without an MPI library
            raise ResourceError(
                f"several ranks were started, but MPI cannot be used ({' '.join(str(error).split())}); "
                "install one MPI with pip install 'hpcspike[mpi]'"
            ) from None
        self._mpi = MPI
        self._world = MPI.COMM_WORLD
        self.rank, self.size = self._world.Get_rank(), self._world.Get_size()
        self.library = " ".join(MPI.Get_library_version().splitlines()[0].split(",")[0].split())
        neighbours = self._world.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_size = neighbours.Get_size()
        cores = len(set().union(*neighbours.allgather(own_cores())))
        neighbours.Free()
        self.cores_per_rank = self._world.allreduce(cores // self.local_size, op=MPI.MIN)
        # for `arrive` and `meet`: what happens there cannot be taken for a part of anything else
        self._aside, self._door = self._world.Dup(), self._world.Dup()

    def exchange(self, steps: int = 1) -> Exchange:
        import ctypes

        library = ctypes.CDLL(self._mpi.__file__)
        address = ctypes.cast(library.MPI_Allgather, ctypes.c_void_p).value
        assert address is not None
        width = 1 + min(steps * SPIKE_BUFFER, _LARGEST_BUFFER)
        return Exchange(
            address, self._handle(self._mpi.INT32_T), self._handle(self._world),
            np.zeros(width, np.int32), np.zeros((self.size, width), np.int32), self.phases.exchanging,
        )  # fmt: skip

    def _handle(self, thing: Any) -> int:
        import ctypes

        width = ctypes.c_int32 if self._mpi._sizeof(type(thing)) == 4 else ctypes.c_int64
        return int(width.from_address(self._mpi._addressof(thing)).value)

    def concatenate(self, part: np.ndarray) -> np.ndarray:
        part = np.ascontiguousarray(part)
        lengths = np.zeros(self.size, dtype=np.int64)
        self._world.Allgather(np.array([len(part)], dtype=np.int64), lengths)
        whole = np.empty((int(lengths.sum()), *part.shape[1:]), dtype=part.dtype)
        row = self._row_type(part)
        self._world.Allgatherv([part, len(part), row], [whole, (lengths, _offsets(lengths)), row])
        row.Free()
        return whole

    def collect(self, part: np.ndarray, owner: int) -> np.ndarray | None:
        part = np.ascontiguousarray(part)
        lengths = np.zeros(self.size, dtype=np.int64)
        self._world.Allgather(np.array([len(part)], dtype=np.int64), lengths)
        mine = self.rank == owner
        whole = np.empty((int(lengths.sum()), *part.shape[1:]), dtype=part.dtype) if mine else None
        row = self._row_type(part)
        receiver = [whole, (lengths, _offsets(lengths)), row] if mine else None
        self._world.Gatherv([part, len(part), row], receiver, root=owner)
        row.Free()
        return whole

    def _row_type(self, part: np.ndarray) -> Any:
        # counts are in rows, so that parts beyond 2^31 bytes can travel
        row_bytes = int(np.prod(part.shape[1:], dtype=np.int64)) * part.itemsize
        return self._mpi.BYTE.Create_contiguous(row_bytes).Commit()

    def any(self, flag: bool) -> bool:
        total = np.zeros(1, dtype=np.int32)
        self._world.Allreduce(np.array([int(flag)], dtype=np.int32), total, op=self._mpi.MAX)
        return bool(total[0])

    def barrier(self) -> None:
        self._world.Barrier()

    def share(self, thing: Any) -> Any:
        return self._world.bcast(thing, root=0)

    def agree(self, work: Callable[[], Any]) -> Any:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:  # handed to every rank, whichever it happened on
            failure = _that_can_travel(error)
        failures = {rank: error for rank, error in enumerate(self._world.allgather(failure)) if error is not None}
        if failures:
            raise _of_ranks(failures, self.size)
        return result

    def arrive(self, seconds: float) -> bool:
        return _all_came(self._aside, seconds)

    def meet(self, seconds: float) -> bool:
        return _all_came(self._door, seconds)

    def gather(self, thing: Any) -> list[Any]:
        return list(self._world.allgather(thing))

    def abort(self, code: int) -> None:
        self._world.Abort(code)
        os._exit(code)  # MPICH may come back before its launcher has ended this rank, too


def _initialised() -> Any:
    """MPI, started; if the other ranks never start it, this process says so and ends.

    The library waits for all ranks of the launcher there, also for those that have ended, and cannot be told how long.
    """
    import ctypes

    import mpi4py

    mpi4py.rc.initialize, mpi4py.rc.finalize = False, True  # as it does by itself, but with a limit of time
    from mpi4py import MPI

    if MPI.Is_initialized():
        return MPI
    seconds = seconds_to_wait()
    watchdog = threading.Timer(min(seconds, threading.TIMEOUT_MAX), _give_up, [seconds])
    watchdog.daemon = True
    watchdog.start()
    library = ctypes.CDLL(MPI.__file__)  # whose calls, unlike mpi4py's, let the watchdog run
    code = library.MPI_Init_thread(None, None, MPI.THREAD_MULTIPLE, ctypes.byref(ctypes.c_int()))
    watchdog.cancel()
    if code != MPI.SUCCESS:
        raise RuntimeError(f"MPI_Init_thread gave the code {code}")
    for communicator in (MPI.COMM_WORLD, MPI.COMM_SELF):
        communicator.Set_errhandler(MPI.ERRORS_RETURN)  # errors become exceptions
    return MPI


def _give_up(seconds: float) -> None:
    text = (
        f"rank {launched_rank()}: hpcspike: error: waited {seconds:g} s for the other ranks to start, and not all "
        f"have: one has ended, failed or runs something else; give all {launched_ranks()} the same command. If one "
        f"only takes longer, set {WAIT_SECONDS} to more seconds (0: wait for ever)"
    )
    print(text, file=sys.stderr, flush=True)
    os._exit(ResourceError.exit_code)


def _all_came(communicator: Any, seconds: float) -> bool:
    request, end = communicator.Ibarrier(), time.monotonic() + seconds
    while not request.Test():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def _of_ranks(failures: dict[int, Exception], size: int) -> Exception:
    """What all ranks raise: the first error, with the rank it happened on if others had none."""
    rank, error = next(iter(failures.items()))
    if len(failures) == size or not isinstance(error, HpcspikeError) or len(error.args) != 1:
        return error
    return type(error)(f"{error} (so on rank {rank}, not on all {size} ranks)")


def _that_can_travel(error: Exception) -> Exception:
    """The error, or its words where it cannot be taken apart and put together again, as between ranks it must be."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class does then
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)[:-1]])


_mpi_world = functools.cache(MpiWorld)  # communicators are few, and a program may run many experiments


def connect() -> World:
    """The world this process was started in.

    MPI is touched only if a launcher started several ranks, so serial use needs none.

    Raises
    ------
    ResourceError
        If MPI cannot be loaded, or sees another number of ranks than the launcher started: the launcher and the
        library then belong to different MPIs, and every rank would do the whole work alone.
    """
    launched = launched_ranks()
    if launched == 1:
        return World()
    stale = leftover()
    if stale is not None:
        raise ResourceError(stale)
    world = _mpi_world()
    if world.size != launched:
        raise ResourceError(
            f"the launcher started {launched} ranks, but MPI sees {world.size}: launcher and library belong to "
            "different MPIs; use the mpiexec that lies beside this Python (python -m site tells where), "
            f"or srun --mpi=pmi2; {ALONE}=1 lets every process work alone"
        )
    return world
