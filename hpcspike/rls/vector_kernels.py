"""Vector operations of the blocked engine, written as LLVM vectors so that their speed and rounding are stated here.

numba's loops are vectorised with a scalar remainder of up to 31 elements, which at in-degrees around 150 costs as much
as the rest; explicit vectors over rows padded to `VECTOR_BYTES` have none. LLVM splits them where the machine has
narrower registers, and since every element sees the same fused multiply-adds in the same order, the bits are the
same on every instruction set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba.core import cgutils, types
from numba.extending import intrinsic

from hpcspike.rls.capacity import VECTOR_BYTES

_INT = ir.IntType(64)


def _lanes(dtype: Any) -> int:
    return VECTOR_BYTES // (dtype.bitwidth // 8)


class _Emitter:
    """Shorthand for the IR of one intrinsic over arrays of one float type."""

    def __init__(self, context: Any, builder: Any, dtype: Any) -> None:
        self.context, self.builder = context, builder
        self.scalar = context.get_value_type(dtype)
        self.lanes = _lanes(dtype)
        self.vector = ir.VectorType(self.scalar, self.lanes)
        suffix = f"v{self.lanes}f{dtype.bitwidth}"
        signature = ir.FunctionType(self.vector, [self.vector] * 3)
        self._fma = cgutils.get_or_insert_function(builder.module, signature, f"llvm.fma.{suffix}")

    def data(self, array_type: Any, array: Any) -> Any:
        return self.context.make_array(array_type)(self.context, self.builder, array).data

    def at(self, pointer: Any, offset: Any) -> Any:
        return self.builder.gep(pointer, [offset])

    def load(self, pointer: Any) -> Any:
        cast = self.builder.bitcast(pointer, self.vector.as_pointer())
        value = self.builder.load(cast)
        value.align = 4
        return value

    def store(self, value: Any, pointer: Any) -> None:
        cast = self.builder.bitcast(pointer, self.vector.as_pointer())
        self.builder.store(value, cast).align = 4

    def stream(self, value: Any, pointer: Any) -> None:
        # a streaming store that is not aligned ends the program
        cast = self.builder.bitcast(pointer, self.vector.as_pointer())
        store = self.builder.store(value, cast)
        store.align = VECTOR_BYTES
        store.set_metadata("nontemporal", self.builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))

    def transposed(self, rows: list[Any]) -> list[Any]:
        """The columns of a square of vectors, by log2(lanes) rounds in which blocks change places."""
        rows, n, size = list(rows), self.lanes, 1
        kind = ir.VectorType(ir.IntType(32), n)
        while size < n:
            first = ir.Constant(kind, [k if not k & size else n + k - size for k in range(n)])
            second = ir.Constant(kind, [k + size if not k & size else n + k for k in range(n)])
            for i in range(n):
                if not i & size:
                    upper, lower = rows[i], rows[i + size]
                    rows[i] = self.builder.shuffle_vector(upper, lower, first)
                    rows[i + size] = self.builder.shuffle_vector(upper, lower, second)
            size *= 2
        return rows

    def splat(self, value: Any) -> Any:
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, mask)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.call(self._fma, [a, b, c])

    def loop(self, stop: Any, step: Any, carried: list[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
        """``for i in range(0, stop, step): carried = body(i, carried)`` with the carried values in registers."""
        step = ir.Constant(_INT, step) if isinstance(step, int) else step
        builder = self.builder
        entry = builder.block
        head, inside, done = (builder.append_basic_block(name) for name in ("head", "inside", "done"))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(_INT)
        index.add_incoming(ir.Constant(_INT, 0), entry)
        values = []
        for value in carried:
            phi = builder.phi(value.type)
            phi.add_incoming(value, entry)
            values.append(phi)
        builder.cbranch(builder.icmp_signed("<", index, stop), inside, done)
        builder.position_at_end(inside)
        results = body(index, values)
        index.add_incoming(builder.add(index, step), builder.block)
        for phi, value in zip(values, results, strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(done)
        return values

    def prefetch(self, pointer: Any, *, write: bool) -> None:
        byte = ir.IntType(8).as_pointer()
        flag = ir.IntType(32)
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag]), "llvm.prefetch.p0"
        )
        arguments = [ir.Constant(flag, int(write)), ir.Constant(flag, 2), ir.Constant(flag, 1)]
        self.builder.call(function, [self.builder.bitcast(pointer, byte), *arguments])


def _element(array: Any) -> Any:
    return array.dtype


@intrinsic
def combine(
    typing_context: Any, result: Any, at: Any, length: Any, matrix: Any, offsets: Any, factors: Any, begin: Any, n: Any
) -> Any:
    """result[at : at + length] += sum_s factors[s] * matrix[offsets[s] : offsets[s] + length], s = begin .. in turn.

    n sources, of which the first is s = begin. All arrays one-dimensional; result, matrix and factors of one float
    type, offsets int64; length a multiple of the vector. Four sources are taken per pass over the result.
    """
    signature = types.void(result, types.int64, types.int64, matrix, offsets, factors, types.int64, types.int64)
    dtype = _element(result)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, dtype)
        target = emit.at(emit.data(signature.args[0], arguments[0]), arguments[1])
        source = emit.data(signature.args[3], arguments[3])
        offset, factor = (emit.at(emit.data(signature.args[k], arguments[k]), arguments[6]) for k in (4, 5))
        length, n = arguments[2], arguments[7]

        def passes(width: int, begin: Any, stop: Any) -> None:
            def one_pass(group: Any, _: list[Any]) -> list[Any]:
                first = builder.add(begin, group)
                rows, scales = [], []
                for s in range(width):
                    index = builder.add(first, ir.Constant(_INT, s))
                    rows.append(emit.at(source, builder.load(emit.at(offset, index))))
                    scales.append(emit.splat(builder.load(emit.at(factor, index))))

                def along(position: Any, _: list[Any]) -> list[Any]:
                    here = emit.at(target, position)
                    value = emit.load(here)
                    for row, scale in zip(rows, scales, strict=True):
                        value = emit.fma(scale, emit.load(emit.at(row, position)), value)
                    emit.store(value, here)
                    return []

                emit.loop(length, emit.lanes, [], along)
                return []

            emit.loop(builder.sub(stop, begin), width, [], one_pass)

        whole = builder.and_(n, ir.Constant(_INT, -4))
        passes(4, ir.Constant(_INT, 0), whole)
        passes(1, whole, n)
        return context.get_dummy_value()

    return signature, generate


def _tile(lanes: int) -> tuple[int, int]:
    """Blocks beside each other in a tile of `subtract_square`, and rows of it that are summed at a time.

    The sums stay in registers: 32 of a whole vector with AVX-512 hold all of a tile. Elsewhere they are 16 of half a
    vector; a tile at a time went through memory (AVX2, cold P: K = 128 in float32 15.4 us against 13.9, K = 152 in
    float64 30 us against 20, 16 vectors each).
    """
    if get_host_cpu_features().get("avx512f"):
        return max(1, 16 // lanes), lanes
    return max(1, 16 // lanes), max(2, lanes // 4)


@intrinsic
def subtract_square(
    typing_context: Any, matrix: Any, at: Any, width: Any, packed: Any, first: Any, n: Any, streaming: Any
) -> Any:
    """Subtract sum_s v[s] v[s]^T from a symmetric matrix, in lower tiles that are each stored twice.

    Entry (r, c) of the matrix is ``matrix[at + r * width + c]``; width is a multiple of the vector length L, and the
    matrix begins at a multiple of `VECTOR_BYTES`. packed: see `pack`, with blocks of n vectors from ``first`` on; they
    are taken in turn. Both halves get the same bits: (-a) b and (-b) a round alike.

    streaming: store the upper half past the caches. Where P does not fit the last cache that saves reading what is
    overwritten (K = 300, M = 32, float64: 78 us against 97), where it fits it costs a trip to memory. Call
    `finish_streaming` before another thread reads the matrix.
    """
    i64 = types.int64
    signature = types.void(matrix, i64, i64, packed, i64, i64, types.boolean)
    dtype = _element(matrix)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, dtype)
        lanes = emit.lanes
        base = emit.at(emit.data(signature.args[0], arguments[0]), arguments[1])
        vectors = emit.at(emit.data(signature.args[3], arguments[3]), arguments[4])
        width, n, streaming = arguments[2], arguments[5], arguments[6]
        block = ir.Constant(_INT, lanes)
        panel, strip_length = builder.mul(n, block), builder.mul(width, block)

        def lines(row: Any, column: Any) -> list[Any]:
            corner = emit.at(base, builder.add(builder.mul(row, strip_length), builder.mul(column, block)))
            return [emit.at(corner, builder.mul(width, ir.Constant(_INT, r))) for r in range(lanes)]

        def tile(row: Any, column: Any, n_wide: int) -> None:
            # row, column: of the first block; n_wide blocks beside each other stay in registers
            columns = [builder.add(column, ir.Constant(_INT, w)) for w in range(n_wide)]
            cells = [lines(row, one) for one in columns]
            mirrors = [lines(one, row) for one in columns]
            left = emit.at(vectors, builder.mul(row, panel))
            rights = [emit.at(vectors, builder.mul(one, panel)) for one in columns]
            # P of the next strip is on its way while this one is computed
            for cell in (cell for block_of_cells in cells for cell in block_of_cells):
                emit.prefetch(emit.at(cell, strip_length), write=True)

            def some_rows(rows: range) -> list[Any]:
                def one_vector(offset: Any, sums: list[Any]) -> list[Any]:
                    values = [emit.load(emit.at(right, offset)) for right in rights]
                    here = emit.at(left, offset)
                    results = []
                    for at, r in enumerate(rows):
                        factor = emit.splat(builder.fneg(builder.load(emit.at(here, ir.Constant(_INT, r)))))
                        results += [emit.fma(factor, values[w], sums[at * n_wide + w]) for w in range(n_wide)]
                    return results

                start = [emit.load(cells[w][r]) for r in rows for w in range(n_wide)]
                sums = emit.loop(panel, lanes, start, one_vector)
                for at, r in enumerate(rows):
                    for w in range(n_wide):
                        emit.store(sums[at * n_wide + w], cells[w][r])
                return sums

            sums = []
            for first_row in range(0, lanes, n_rows):
                sums += some_rows(range(first_row, min(first_row + n_rows, lanes)))
            if n_rows < lanes:  # the first of them have left the registers
                sums = [emit.load(cells[w][r]) for r in range(lanes) for w in range(n_wide)]
            turned = [emit.transposed([sums[r * n_wide + w] for r in range(lanes)]) for w in range(n_wide)]
            with builder.if_else(streaming) as (past_the_caches, into_the_caches):
                with past_the_caches:
                    for values, places in zip(turned, mirrors, strict=True):
                        for value, place in zip(values, places, strict=True):
                            emit.stream(value, place)
                with into_the_caches:
                    for values, places in zip(turned, mirrors, strict=True):
                        for value, place in zip(values, places, strict=True):
                            emit.store(value, place)
                            emit.prefetch(emit.at(place, block), write=True)

        n_wide, n_rows = _tile(lanes)

        def strip(row: Any, _: list[Any]) -> list[Any]:
            n_columns = builder.add(row, ir.Constant(_INT, 1))
            whole = builder.mul(builder.sdiv(n_columns, ir.Constant(_INT, n_wide)), ir.Constant(_INT, n_wide))

            def wide(column: Any, _: list[Any]) -> list[Any]:
                tile(row, column, n_wide)
                return []

            def narrow(column: Any, _: list[Any]) -> list[Any]:
                tile(row, builder.add(whole, column), 1)
                return []

            emit.loop(whole, n_wide, [], wide)
            if n_wide > 1:
                emit.loop(builder.sub(n_columns, whole), 1, [], narrow)
            return []

        emit.loop(builder.sdiv(width, block), 1, [], strip)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def finish_streaming(typing_context: Any) -> Any:
    """Make what this thread has stored past the caches visible to other threads."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def pack(
    typing_context: Any, result: Any, at: Any, step: Any, length: Any, source: Any, origin: Any, factor: Any
) -> Any:
    """factor * source[origin : origin + length] in blocks of one vector, block b from ``at + b * step`` on.

    With the vectors v[0], v[1], ... of a matrix at consecutive places of every block, `subtract_square` reads them in
    the order in which they lie.
    """
    i64 = types.int64
    signature = types.void(result, i64, i64, i64, source, i64, types.float64)
    dtype = _element(result)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, dtype)
        target = emit.at(emit.data(signature.args[0], arguments[0]), arguments[1])
        given = emit.at(emit.data(signature.args[4], arguments[4]), arguments[5])
        step, length = arguments[2], arguments[3]
        number = arguments[6] if dtype.bitwidth == 64 else builder.fptrunc(arguments[6], emit.scalar)
        factor = emit.splat(number)

        def along(position: Any, _: list[Any]) -> list[Any]:
            place = builder.mul(builder.sdiv(position, ir.Constant(_INT, emit.lanes)), step)
            emit.store(builder.fmul(factor, emit.load(emit.at(given, position))), emit.at(target, place))
            return []

        emit.loop(length, emit.lanes, [], along)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def scale(typing_context: Any, result: Any, at: Any, length: Any, source: Any, origin: Any, factor: Any) -> Any:
    """result[at : at + length] = factor * source[origin : origin + length]; length a multiple of the vector."""
    signature = types.void(result, types.int64, types.int64, source, types.int64, types.float64)
    dtype = _element(result)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, dtype)
        target = emit.at(emit.data(signature.args[0], arguments[0]), arguments[1])
        given = emit.at(emit.data(signature.args[3], arguments[3]), arguments[4])
        number = arguments[5] if dtype.bitwidth == 64 else builder.fptrunc(arguments[5], emit.scalar)
        factor = emit.splat(number)

        def along(position: Any, _: list[Any]) -> list[Any]:
            emit.store(builder.fmul(factor, emit.load(emit.at(given, position))), emit.at(target, position))
            return []

        emit.loop(arguments[2], emit.lanes, [], along)
        return context.get_dummy_value()

    return signature, generate
