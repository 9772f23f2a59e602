"""The numba policy: how kernels are compiled, and the few machine operations numba does not offer.

No kernel uses fastmath: a result must not depend on how the compiler likes to order a sum. Fused multiply-adds are
written out with `fma`, so that every rounding is stated in the source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.dispatcher import Dispatcher
from numba.extending import intrinsic

from hpcspike.errors import ResourceError
from hpcspike.kernel_cache import cache_of, generation

if numba.config.DISABLE_JIT:
    raise ResourceError(
        "NUMBA_DISABLE_JIT is set: kernels cannot run uncompiled, since they use machine operations that Python does "
        "not have; unset it"
    )

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def _compiled(
    function: Callable[..., Any], suffix: str = "", replacements: dict[str, Any] | None = None, **options: Any
) -> Any:
    """Compile under a name that numba's cache on disk cannot confuse with another kernel or an older generation.

    The suffix must tell apart what differs in its ``replacements``, global names that the function uses.
    """
    names = {**function.__globals__, **replacements} if replacements else function.__globals__
    copy = FunctionType(function.__code__, names, f"{function.__name__}{suffix}", function.__defaults__)
    copy.__qualname__ = f"{function.__name__}{suffix}_{generation(Path(function.__code__.co_filename))}"
    copy.__doc__, copy.__module__ = function.__doc__, function.__module__
    compiled = numba.njit(**_OPTIONS, **options)(copy)
    compiled._cache = cache_of(copy)  # what cache=True does, with a cache that can be damaged or absent
    return compiled


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a kernel on first call and keep it in numba's cache."""
    return _compiled(function)


def inline_kernel(function: Callable[..., Any]) -> Any:
    """A small kernel that is inlined by LLVM into its callers."""
    return _compiled(function, forceinline=True)


def chained(function: Callable[..., Any], kernels: Sequence[Any], last: Any) -> Any:
    """A kernel that finds one of several kernels by its place: a chain of copies of ``function``, one for each.

    Copy k has PLACE = k, CHOSEN = kernel k, and OTHERWISE = the next copy, at the end ``last``. They are globals, which
    the compiler takes as constants, and not closures, so that kernels which call the chain are kept on disk: what the
    kernels are made of must be reached by imports from the file of ``function`` (`hpcspike.kernel_cache.reached`).
    """
    chain = last
    for place in reversed(range(len(kernels))):
        chain = _compiled(function, f"_{place}", {"PLACE": place, "CHOSEN": kernels[place], "OTHERWISE": chain})
    return chain


def respecialised(compiled: Any, **replacements: Any) -> Any:
    """A copy of a compiled kernel in which some of the functions it calls are replaced (not cached on disk).

    This is how a user's own neuron model gets into the step loop: numba cannot cache a kernel that closes over
    another one, so the built-in models are plain globals and only strangers pay for a compilation per process.
    """
    source = compiled.py_func
    copy = FunctionType(source.__code__, {**source.__globals__, **replacements}, source.__name__, source.__defaults__)
    return numba.njit(**_OPTIONS)(copy)


def compiled_stranger(function: Callable[..., Any]) -> Any:
    """A user's function compiled as kernels are, but not cached on disk; as it is if numba has compiled it already."""
    if isinstance(function, Dispatcher):
        return function
    return numba.njit(**_OPTIONS)(function)


@intrinsic
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c with one rounding; float32 only if all three are."""
    result = types.float32 if a == b == c == types.float32 else types.float64
    signature = result(result, result, result)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        name = "llvm.fma.f64" if isinstance(kind, ir.DoubleType) else "llvm.fma.f32"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return builder.call(function, arguments)

    return signature, generate


def _prefetch(locality: int) -> Any:
    @intrinsic
    def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
        """Ask for the cache line of ``array[index]``, which may lie beyond the array, without waiting for it."""
        signature = types.void(array, types.int64)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
            builder.call(function, [place, ir.Constant(flag, 0), ir.Constant(flag, locality), ir.Constant(flag, 1)])
            return context.get_dummy_value()

        return signature, generate

    return prefetch


prefetch, prefetch_l2 = _prefetch(3), _prefetch(2)  # into all caches, and into all but the first
