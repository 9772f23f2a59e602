"""In which order a training goes through its target sets."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from hpcspike.model.random_streams import stream


def set_of_loop(loop: int, *, n_sets: int, order: Literal["alternating", "random"], seed: int, replicate: int) -> int:
    """The target set of a training loop, counted from 0: every set comes once in each round of ``n_sets`` loops.

    Alternating: loop mod n_sets. Random: a new permutation in every round, keyed by seed and round, so that a resumed
    training, and any rank, goes on in the same order.
    """
    round_, place = divmod(loop, n_sets)
    return place if order == "alternating" or n_sets == 1 else _permutation(n_sets, seed, replicate, round_)[place]


@lru_cache(maxsize=64)
def _permutation(n_sets: int, seed: int, replicate: int, round_: int) -> tuple[int, ...]:
    return tuple(stream(seed, replicate, "set_order", round_).permutation(n_sets).tolist())
