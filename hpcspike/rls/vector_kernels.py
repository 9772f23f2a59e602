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
from numba.core import cgutils, types
from numba.extending import intrinsic

from hpcspike.rls.capacity import TILE_ROWS, VECTOR_BYTES

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


@intrinsic
def subtract_outer(
    typing_context: Any, matrix: Any, at: Any, stride: Any, columns: Any, left: Any, row: Any, right: Any, first: Any,
    step: Any, n: Any
) -> Any:  # fmt: skip
    """One strip of TILE_ROWS rows: matrix[r, c] -= sum_s left[s, row + r] * right[s, c] for c < columns.

    matrix row r starts at ``at + r * stride``; left[s] at ``s * step``, right[s] at ``first + s * step``;
    columns a multiple of the vector length; n vectors, taken in turn. Tiles of TILE_ROWS x 2 vectors stay in registers.
    """
    i64 = types.int64
    signature = types.void(matrix, i64, i64, i64, left, i64, right, i64, i64, i64)
    dtype = _element(matrix)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, dtype)
        base = emit.at(emit.data(signature.args[0], arguments[0]), arguments[1])
        stride, columns, row, first, step, n = (arguments[k] for k in (2, 3, 5, 7, 8, 9))
        lefts = emit.at(emit.data(signature.args[4], arguments[4]), row)
        rights = emit.at(emit.data(signature.args[6], arguments[6]), first)
        lanes = emit.lanes
        total = builder.mul(n, step)

        def tiles(width: int, begin: Any, stop: Any) -> None:
            def tile(group: Any, _: list[Any]) -> list[Any]:
                column = builder.add(begin, group)
                cells = []
                for r in range(TILE_ROWS):
                    line = emit.at(base, builder.add(builder.mul(stride, ir.Constant(_INT, r)), column))
                    cells += [emit.at(line, ir.Constant(_INT, lanes * w)) for w in range(width)]

                def one_vector(offset: Any, sums: list[Any]) -> list[Any]:
                    here = emit.at(rights, builder.add(offset, column))
                    vectors = [emit.load(emit.at(here, ir.Constant(_INT, lanes * w))) for w in range(width)]
                    scalars = emit.at(lefts, offset)
                    results = []
                    for r in range(TILE_ROWS):
                        scale = emit.splat(builder.fneg(builder.load(emit.at(scalars, ir.Constant(_INT, r)))))
                        results += [emit.fma(scale, vectors[w], sums[r * width + w]) for w in range(width)]
                    return results

                # P of the next strip is on its way while this one is computed
                for r in range(TILE_ROWS):
                    ahead = builder.mul(stride, ir.Constant(_INT, TILE_ROWS + r))
                    for w in range(width):
                        place = builder.add(ahead, builder.add(column, ir.Constant(_INT, lanes * w)))
                        emit.prefetch(emit.at(base, place), write=True)
                sums = emit.loop(total, step, [emit.load(cell) for cell in cells], one_vector)
                for value, cell in zip(sums, cells, strict=True):
                    emit.store(value, cell)
                return []

            emit.loop(builder.sub(stop, begin), width * lanes, [], tile)

        pairs = builder.and_(columns, ir.Constant(_INT, -2 * lanes))
        tiles(2, ir.Constant(_INT, 0), pairs)
        tiles(1, pairs, columns)
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
