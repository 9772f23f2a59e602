"""Normal numbers that can be drawn at any place of a stream: SplitMix64 and the ziggurat.

Step t of a stream is the t-th word of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014) with a start and an odd increment
of its own. The ziggurat (Marsaglia & Tsang, J Stat Softw 5(8), 2000) makes a normal number of it: 256 layers of equal
area cover the density exp(-x^2 / 2), the low 8 bits choose one, the others x in it. One word is enough 99 times in 100;
where it is not, further words follow from the first, so that nothing but start, increment and t decides the number.
"""

from __future__ import annotations

import math

import numpy as np

from hpcspike.accelerate import inline_kernel, kernel

LAYERS = 256
TAIL_BEGINS = 3.6541528853610088
"""Where the tail begins with so many layers: so that the uppermost ends at the top of the density."""
GOLDEN = 0x9E3779B97F4A7C15
"""The increment of SplitMix64: 2^64 over the golden ratio, made odd."""


def _edges() -> np.ndarray:
    """Right edges of the layers, (257,), from the lowest on, which is as wide as its area with the tail; last 0."""
    density = math.exp(-0.5 * TAIL_BEGINS**2)
    area = TAIL_BEGINS * density + math.sqrt(math.pi / 2.0) * math.erfc(TAIL_BEGINS / math.sqrt(2.0))
    edges = [area / density, TAIL_BEGINS]
    while len(edges) < LAYERS:
        edges.append(math.sqrt(-2.0 * math.log(area / edges[-1] + math.exp(-0.5 * edges[-1] ** 2))))
    return np.array([*edges, 0.0])


_EDGES = _edges()
_WIDTH = _EDGES[:-1] * 2.0**-55
"""x of a word is its upper 56 bits, with their sign, times that of the layer."""
_INSIDE = (_EDGES[1:] / _EDGES[:-1] * 2.0**55).astype(np.int64)
"""Upper bits below that are under the density everywhere in their layer."""
_DENSITY = np.exp(-0.5 * _EDGES**2)


@inline_kernel
def mixed(word):  # type: ignore[no-untyped-def]
    """The output of SplitMix64 for a state."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@inline_kernel
def _following(word):  # type: ignore[no-untyped-def]
    return mixed(word + np.uint64(GOLDEN))


@inline_kernel
def _above_zero(word):  # type: ignore[no-untyped-def]
    """Uniform in (0, 1]."""
    return (np.float64(word >> np.uint64(11)) + 1.0) * 2.0**-53


@kernel
def _normal_at_edge(word):  # type: ignore[no-untyped-def]
    """`normal` of any word, and of those that follow it."""
    while True:
        layer, drawn = np.int64(word & np.uint64(LAYERS - 1)), np.int64(word) >> np.int64(8)
        x = drawn * _WIDTH[layer]
        if abs(drawn) < _INSIDE[layer]:
            return x
        word = _following(word)
        if layer > 0:
            height = _above_zero(word) * (_DENSITY[layer + 1] - _DENSITY[layer])
            if _DENSITY[layer] + height < math.exp(-0.5 * x * x):
                return x
        else:  # an exponential in place of the tail, accepted as often as the tail asks for
            while True:
                beyond = -math.log(_above_zero(word)) / TAIL_BEGINS
                word = _following(word)
                if -2.0 * math.log(_above_zero(word)) > beyond * beyond:
                    return math.copysign(TAIL_BEGINS + beyond, x)
                word = _following(word)
        word = _following(word)


@inline_kernel
def normal(word):  # type: ignore[no-untyped-def]
    """The normal number of a word of 64 random bits."""
    layer, drawn = np.int64(word & np.uint64(LAYERS - 1)), np.int64(word) >> np.int64(8)
    if abs(drawn) < _INSIDE[layer]:
        return drawn * _WIDTH[layer]
    return _normal_at_edge(word)


@kernel
def draw_normals(start, increment, size, first, found):  # type: ignore[no-untyped-def]
    """found (steps, n) = size (n,) times normal numbers, of the steps from ``first`` on of n streams.

    start, increment (n,) uint64: which streams.
    """
    for t in range(found.shape[0]):
        step = np.uint64(first + t + 1)
        for i in range(found.shape[1]):
            found[t, i] = size[i] * normal(mixed(start[i] + step * increment[i]))


@kernel
def own_streams(keys, first, start, increment):  # type: ignore[no-untyped-def]
    """start, increment (n,) of neurons from ``first`` on, of a trial that keys (2,) uint64 stand for."""
    for i in range(start.shape[0]):
        place = np.uint64(first + i + 1) * np.uint64(GOLDEN)
        start[i] = mixed(keys[0] + place)
        increment[i] = mixed(keys[1] + place) | np.uint64(1)
