"""The operations that the kernels build on, and replaceable parts of compiled kernels."""

from __future__ import annotations

from fractions import Fraction

import numba
import numpy as np
import pytest

from hpcspike.accelerate import fma, inline_kernel, kernel, respecialised


@numba.njit
def fused(a, b, c):  # type: ignore[no-untyped-def]
    result = np.empty_like(a)
    for i in range(len(a)):
        result[i] = fma(a[i], b[i], c[i])
    return result


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_fma_rounds_once(dtype: type) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 500)).astype(dtype)
    c = (-(a * b) * (1 + rng.integers(-3, 4, 500) * np.finfo(dtype).eps)).astype(dtype)  # nearly cancels the product
    found = fused(a, b, c)
    assert found.dtype == dtype
    exact = [Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)) for x, y, z in zip(a, b, c, strict=True)]
    expected = np.array([float(value) for value in exact])
    np.testing.assert_array_equal(found, expected.astype(dtype))
    assert (found != a * b + c).any()


@inline_kernel
def grow(x):  # type: ignore[no-untyped-def]
    return x + 1.0


def shrink(x):  # type: ignore[no-untyped-def]
    return x - 1.0


@kernel
def three_times(x):  # type: ignore[no-untyped-def]
    for _ in range(3):
        x = grow(x)
    return x


def test_a_kernel_can_be_compiled_again_with_another_part() -> None:
    assert three_times(1.0) == 4.0
    other = respecialised(three_times, grow=numba.njit(shrink))
    assert other(1.0) == -2.0
    assert three_times(1.0) == 4.0
