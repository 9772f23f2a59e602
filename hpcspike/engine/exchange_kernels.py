"""Spike exchange between ranks from inside the step loop, through one fixed-size buffer per rank."""

from __future__ import annotations

import time
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from hpcspike.accelerate import kernel


@intrinsic
def _allgather(
    typing_context: Any, address: Any, send: Any, n_send: Any, kind: Any, receive: Any, n_receive: Any, world: Any
) -> Any:
    """MPI_Allgather at a run-time address; handles are int64, which both ABIs (int and pointer) read rightly."""
    i64 = types.int64
    signature = types.int64(i64, send, i64, i64, receive, i64, i64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, send, n_send, kind, receive, n_receive, world = arguments
        integer, byte = ir.IntType(64), ir.IntType(8).as_pointer()
        pointers = [
            builder.bitcast(context.make_array(signature.args[place])(context, builder, array).data, byte)
            for place, array in ((1, send), (4, receive))
        ]
        function = ir.FunctionType(ir.IntType(32), [byte, integer, integer, byte, integer, integer, integer])
        call = builder.call(
            builder.inttoptr(address, function.as_pointer()),
            [pointers[0], n_send, kind, pointers[1], n_receive, kind, world],
        )
        return builder.sext(call, integer)

    return signature, generate


@intrinsic
def clock(typing_context: Any) -> Any:
    """Seconds of the monotonic clock; 0.05 us a call, for it needs no system call."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer, code, real = ir.IntType(64), ir.IntType(32), ir.DoubleType()
        kind = ir.FunctionType(code, [code, integer.as_pointer()])
        clock_gettime = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
        place = builder.bitcast(cgutils.alloca_once(builder, ir.ArrayType(integer, 2)), integer.as_pointer())
        builder.call(clock_gettime, [ir.Constant(code, time.CLOCK_MONOTONIC), place])
        seconds = builder.sitofp(builder.load(place), real)
        nanoseconds = builder.sitofp(builder.load(builder.gep(place, [ir.Constant(code, 1)])), real)
        return builder.fadd(seconds, builder.fmul(nanoseconds, ir.Constant(real, 1e-9)))

    return types.float64(), generate


@kernel
def exchange_spikes(  # type: ignore[no-untyped-def]
    first, spikes, count, everyone, address, kind, world, send, receive, seconds
):  # fmt: skip
    """Make the spikes of all blocks known to all: everyone (N,) int32, ascending; returns how many, or -1 on failure.

    spikes (n,): local indices of this block, whose first neuron is ``first``. send (1 + capacity,) and receive
    (ranks, 1 + capacity) int32 hold a count and that many neurons; blocks with more spikes than fit go round again.
    seconds (1,): grows by the time this took. address 0: there is one rank.
    """
    if address == 0:
        for s in range(count):
            everyone[s] = first + spikes[s]
        return count
    began = clock()
    ranks, width = receive.shape
    capacity = width - 1
    longest = count
    done = 0
    while done == 0 or done < longest:
        send[0] = count
        for s in range(done, min(count, done + capacity)):
            send[1 + s - done] = first + spikes[s]
        if _allgather(address, send, width, kind, receive, width, world) != 0:
            return -1
        if done == 0:
            longest = 0
            for rank in range(ranks):
                longest = max(longest, receive[rank, 0])
        begin = 0
        for rank in range(ranks):
            n = receive[rank, 0]
            for s in range(done, min(n, done + capacity)):
                everyone[begin + s] = receive[rank, 1 + s - done]
            begin += n
        done += capacity
    total = 0
    for rank in range(ranks):
        total += receive[rank, 0]
    seconds[0] += clock() - began
    return total
