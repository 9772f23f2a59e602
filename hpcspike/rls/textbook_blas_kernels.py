"""The textbook update through BLAS: symv and syr on one triangle of P, the scheme of the published CPU programs.

It exists to be compared with; `hpcspike bench` runs it beside the blocked engine. BLAS comes from SciPy and must be
limited to one thread by the caller.
"""

from __future__ import annotations

import numpy as np
from llvmlite import binding
from numba.core import types
from numba.extending import get_cython_function_address

from hpcspike.accelerate import kernel


def _external(name: str, n_arguments: int) -> types.ExternalFunction:
    # a registered symbol, unlike a ctypes pointer, lets numba cache the kernels that call it
    symbol = f"hpcspike_{name}"
    binding.add_symbol(symbol, get_cython_function_address("scipy.linalg.cython_blas", name))
    return types.ExternalFunction(symbol, types.void(*[types.voidptr] * n_arguments))


_dsymv, _ssymv = _external("dsymv", 10), _external("ssymv", 10)
_dsyr, _ssyr = _external("dsyr", 7), _external("ssyr", 7)


@kernel
def update_rows(  # type: ignore[no-untyped-def]
    start, presynaptic, weight, block_start, covariance, filtered, error, gain, drive, work, prior, numbers, sizes,
    triangle,
):  # fmt: skip
    """One update of all rows, arguments as `hpcspike.rls.textbook_kernels`.

    numbers (4,) of the dtype of P and sizes (2,) int32 pass scalars by pointer, triangle (1,) uint8 the letter L.
    """
    single = covariance.itemsize == 4
    for i in range(start.shape[0] - 1):
        first = start[i]
        k = start[i + 1] - first
        c = gain[i]
        if k == 0 or c == 0.0:
            continue
        q, h = work[0, :k], work[1, :k]
        for a in range(k):
            q[a] = filtered[presynaptic[first + a]]
        p = covariance[block_start[i] :]
        sizes[0], sizes[1] = k, 1
        numbers[0], numbers[1] = 1.0, 0.0
        n, one = sizes[0:].ctypes, sizes[1:].ctypes
        alpha, beta, uplo = numbers[0:].ctypes, numbers[1:].ctypes, triangle.ctypes
        if single:
            _ssymv(uplo, n, alpha, p.ctypes, n, q.ctypes, one, beta, h.ctypes, one)
        else:
            _dsymv(uplo, n, alpha, p.ctypes, n, q.ctypes, one, beta, h.ctypes, one)
        product = 0.0
        for a in range(k):
            product += h[a] * q[a]
        change = error[i] * c if prior else error[i] * c / (1.0 + c * c * product)
        numbers[2] = -c * c / (1.0 + c * c * product)  # Eq 16: c r in place of r
        scale = numbers[2:].ctypes
        if single:
            _ssyr(uplo, n, scale, h.ctypes, one, p.ctypes, n)  # Eq 11, Eq 18
        else:
            _dsyr(uplo, n, scale, h.ctypes, one, p.ctypes, n)  # Eq 11, Eq 18
        for a in range(k):
            weight[first + a] += change * h[a]  # Eq 12, Eq 19
        drive[i] += change * product  # Eq 8: u = w.r of the new w


def scalar_arguments(dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The arrays through which `update_rows` hands scalars to BLAS."""
    return np.zeros(4, dtype), np.zeros(2, np.int32), np.array([ord("L")], np.uint8)
