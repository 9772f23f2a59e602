"""Matrices P, symmetric to the bit, as packed lower triangles and back."""

from __future__ import annotations

from hpcspike.accelerate import kernel


@kernel
def pack_triangles(low, high, in_degree, place, width, matrices, packed):  # type: ignore[no-untyped-def]
    """packed: the lower triangles of rows low to high - 1 one after the other, row by row.

    Matrix i is (k, k) with k = in_degree[i]; its row a starts at matrices[place[i] + a * width[i]].
    """
    at = 0
    for i in range(low, high):
        for a in range(in_degree[i]):
            line = place[i] + a * width[i]
            for b in range(a + 1):
                packed[at + b] = matrices[line + b]
            at += a + 1


@kernel
def unpack_triangles(low, high, in_degree, place, width, packed, matrices):  # type: ignore[no-untyped-def]
    """The inverse of `pack_triangles`: both triangles of every matrix."""
    at = 0
    for i in range(low, high):
        for a in range(in_degree[i]):
            line = place[i] + a * width[i]
            for b in range(a + 1):
                matrices[line + b] = packed[at + b]
                matrices[place[i] + b * width[i] + a] = packed[at + b]
            at += a + 1
