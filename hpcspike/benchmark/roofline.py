"""What this machine can do at best, measured on the spot: fused multiply-adds in registers, and streaming updates."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from hpcspike.accelerate import kernel

VECTOR_BYTES = 64


_SHORTEST_STREAM = 32 * 2**20


def _chains(n_chains: int) -> Any:
    @intrinsic
    def chains(typing_context: Any, values: Any, rounds: Any) -> Any:
        """``rounds`` times x = x * values[0] + values[1] in n_chains vectors x that depend on nothing else."""
        dtype = values.dtype

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            scalar = context.get_value_type(dtype)
            lanes = VECTOR_BYTES * 8 // dtype.bitwidth
            vector = ir.VectorType(scalar, lanes)
            name = f"llvm.fma.v{lanes}f{dtype.bitwidth}"
            fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data

            def place(k: int) -> Any:
                return builder.gep(data, [ir.Constant(ir.IntType(64), k)])

            def splat(value: Any) -> Any:
                undefined = ir.Constant(vector, ir.Undefined)
                first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
                return builder.shuffle_vector(
                    first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
                )

            factor, term = splat(builder.load(place(0))), splat(builder.load(place(1)))
            cells = [
                cgutils.alloca_once_value(builder, splat(builder.load(place(2 + chain)))) for chain in range(n_chains)
            ]
            with cgutils.for_range(builder, arguments[1]):
                for cell in cells:
                    builder.store(builder.call(fma, [builder.load(cell), factor, term]), cell)
            for chain, cell in enumerate(cells):  # used, so that the compiler keeps the work
                last = builder.extract_element(builder.load(cell), ir.Constant(ir.IntType(32), 0))
                builder.store(last, place(2 + chain))
            return context.get_dummy_value()

        return types.void(values, types.int64), generate

    return chains


_six, _ten, _sixteen = _chains(6), _chains(10), _chains(16)


@kernel
def _run_six(values, rounds):  # type: ignore[no-untyped-def]
    _six(values, rounds)


@kernel
def _run_ten(values, rounds):  # type: ignore[no-untyped-def]
    _ten(values, rounds)


@kernel
def _run_sixteen(values, rounds):  # type: ignore[no-untyped-def]
    _sixteen(values, rounds)


@kernel
def _update_stream(values, factor):  # type: ignore[no-untyped-def]
    for i in range(values.shape[0]):
        values[i] = factor * values[i]


def peak_fma_rate(dtype: np.dtype) -> float:
    """Most fused multiply-adds per second of one thread, in elements of ``dtype``.

    Kernels with 6, 10 and 16 independent vectors are tried: too few cannot hide the latency, too many do not fit into
    the registers of older processors.
    """
    rounds = 200_000
    lanes = VECTOR_BYTES // dtype.itemsize
    values = np.full(18, 0.5, dtype=dtype)
    rates = [
        n_chains * lanes * rounds / _shortest(lambda run=run: run(values, rounds), repeats=7)  # type: ignore[misc]
        for n_chains, run in ((6, _run_six), (10, _run_ten), (16, _run_sixteen))
    ]
    return max(rates)


def streaming_bandwidth(dtype: np.dtype, n_bytes: int) -> float:
    """Bytes per second that one thread moves when it updates an array of ``n_bytes`` in place: read plus written."""
    values = np.ones(max(n_bytes // dtype.itemsize, 1), dtype=dtype)
    passes = max(1, math.ceil(_SHORTEST_STREAM / values.nbytes))
    factor = dtype.type(1.0)

    def run() -> None:
        for _ in range(passes):
            _update_stream(values, factor)

    return 2.0 * passes * values.nbytes / _shortest(run, repeats=5)


def _shortest(run: Callable[[], object], *, repeats: int) -> float:
    run()  # compiles, and touches the memory
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
