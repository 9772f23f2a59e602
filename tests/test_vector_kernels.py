"""The square that the blocked engine subtracts from P half by half, against NumPy and whichever way it is stored."""

from __future__ import annotations

import numpy as np
import pytest
from rls_harness import Harness

from hpcspike.accelerate import kernel
from hpcspike.rls import blocked
from hpcspike.rls.blocked import BlockedRls
from hpcspike.rls.capacity import VECTOR_BYTES, aligned_zeros
from hpcspike.rls.vector_kernels import finish_streaming, pack, subtract_square

BOTH = pytest.mark.parametrize("dtype", [np.dtype(np.float64), np.dtype(np.float32)], ids=str)


@kernel
def _flush(matrix, width, vectors, factor, n, lanes, packed, streaming):  # type: ignore[no-untyped-def]
    for s in range(n):
        pack(packed, s * lanes, n * lanes, width, vectors, s * width, factor)
    subtract_square(matrix, lanes, width, packed, 0, n, streaming)
    finish_streaming()


def subtracted(before: np.ndarray, vectors: np.ndarray, factor: float, *, streaming: bool) -> np.ndarray:
    """before (k, k) minus the square of factor * vectors (n, k); the padding must have stayed zero."""
    dtype, k, n = before.dtype, len(before), len(vectors)
    lanes = VECTOR_BYTES // dtype.itemsize
    width = -(-k // lanes) * lanes
    matrix, padded = aligned_zeros(lanes + width * width, dtype), aligned_zeros(n * width, dtype)
    square = matrix[lanes:].reshape(width, width)  # the kernel is told that it does not start at the front
    square[:k, :k] = before
    padded.reshape(n, width)[:, :k] = vectors
    _flush(matrix, width, padded, factor, n, lanes, aligned_zeros(n * width, dtype), streaming)
    assert not matrix[:lanes].any()
    assert not square[k:].any()
    assert not square[:, k:].any()
    return square[:k, :k].copy()


@BOTH
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(("k", "n"), [(1, 1), (7, 3), (8, 4), (24, 5), (33, 2), (47, 8)])
def test_subtracts_the_square_exactly_where_no_rounding_can_hide_an_error(
    dtype: np.dtype, streaming: bool, k: int, n: int
) -> None:
    rng = np.random.default_rng(k)
    vectors = rng.integers(-8, 9, (n, k)).astype(dtype)
    half = rng.integers(-99, 99, (k, k)).astype(dtype)
    before = half + half.T
    np.testing.assert_array_equal(
        subtracted(before, vectors, 0.5, streaming=streaming), before - 0.25 * (vectors.T @ vectors)
    )


@BOTH
def test_bits_do_not_depend_on_how_the_upper_half_is_stored_and_stay_symmetric(dtype: np.dtype) -> None:
    rng = np.random.default_rng(3)
    vectors, half = rng.standard_normal((6, 41)).astype(dtype), rng.standard_normal((41, 41)).astype(dtype)
    before = half + half.T
    plain, streamed = (subtracted(before, vectors, 0.7, streaming=streaming) for streaming in (False, True))
    np.testing.assert_array_equal(plain, streamed)
    np.testing.assert_array_equal(plain, plain.T)
    assert np.abs(plain - before).max() > 0.1


@BOTH
@pytest.mark.parametrize("threads", [1, 2])
def test_engine_learns_the_same_bits_whether_the_matrices_fit_the_last_cache_or_not(
    dtype: np.dtype, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for cache in (0, 2**40):
        monkeypatch.setattr(blocked, "last_cache_bytes", lambda cache=cache: cache)
        network = Harness([5, 16, 0, 30, 41], 50, seed=2, dtype=dtype)
        rows = network.rows
        engine = BlockedRls(rows.start, rows.presynaptic, ridge=0.5, dtype=dtype, threads=threads, capacity=4)
        for update in range(11):
            network.pass_time(0.9, 0.2, 0.4)
            engine.update(network.live, np.sin(update + np.arange(5.0)) - network.live.readout, np.ones(5))
        found.append([network.live.weight.copy(), *(engine.covariance(row) for row in range(5))])
    for streamed, plain in zip(*found, strict=True):
        np.testing.assert_array_equal(streamed, plain)
    assert np.abs(found[0][0] - rows.weight).max() > 0.01


@BOTH
@pytest.mark.parametrize("length", [1, 1000])
def test_zeros_begin_at_whole_vectors(dtype: np.dtype, length: int) -> None:
    zeros = aligned_zeros(length, dtype)
    assert zeros.shape == (length,)
    assert zeros.dtype == dtype
    assert zeros.ctypes.data % VECTOR_BYTES == 0
    assert not zeros.any()
