"""Normal numbers drawn at any place: the published words, the normal law to its tails, and no relation between streams.

The batteries of tests for generators (BigCrush) are no part of this: SplitMix64 is published with them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

from hpcspike.model.normal_kernels import (
    _DENSITY,
    _EDGES,
    GOLDEN,
    TAIL_BEGINS,
    draw_normals,
    own_streams,
)
from hpcspike.model.trial_noise import NoisePath
from hpcspike.spec.experiment import LifNeuron, TrialNoise

WHITE = TrialNoise(standard_deviation=1.0, tau_corr_ms=0.0, generator="splitmix")
WORDS = 2**64


def numbers(
    n: int = 200, steps: int = 5000, *, trial: int = 7, seed: int = 1, purpose: str = "training_noise", first: int = 0
) -> np.ndarray:
    """Noise (steps, n) of neurons from ``first`` on; a million numbers."""
    neurons = range(first, first + n)
    return NoisePath(WHITE, LifNeuron(model="lif"), neurons, (seed, 0), purpose, trial).rows(0, steps)


@pytest.fixture(scope="module")
def million() -> np.ndarray:
    """Noise of 200 neurons in 5000 steps."""
    return numbers()


def mixed(word: int) -> int:
    """The output of SplitMix64 for a state, as it was published."""
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % WORDS
    word = (word ^ word >> 27) * 0x94D049BB133111EB % WORDS
    return word ^ word >> 31


def words_from(word: int) -> Iterator[int]:
    """A word and those that follow from it."""
    while True:
        yield word
        word = mixed((word + GOLDEN) % WORDS)


def by_hand(first: int) -> float:
    """The ziggurat in plain Python, with the layers of the kernel."""
    words = words_from(first)

    def uniform() -> float:
        return ((next(words) >> 11) + 1) * 2.0**-53

    while True:
        word = next(words)
        layer, upper = word % 256, word >> 8
        x = (upper - 2**56 if upper >= 2**55 else upper) * (_EDGES[layer] * 2.0**-55)
        if abs(x) < _EDGES[layer + 1]:
            return float(x)
        if layer == 0:
            while True:
                beyond, other = -math.log(uniform()) / TAIL_BEGINS, -math.log(uniform())
                if 2.0 * other > beyond * beyond:
                    return math.copysign(TAIL_BEGINS + beyond, x)
        if _DENSITY[layer] + uniform() * (_DENSITY[layer + 1] - _DENSITY[layer]) < math.exp(-0.5 * x * x):
            return float(x)


def test_words_are_those_of_splitmix64() -> None:
    """The first ones of the seed 1234567, as programs of others print them."""
    words = [mixed((1234567 + step * GOLDEN) % WORDS) for step in range(1, 6)]
    assert words == [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ]  # fmt: skip


def test_numbers_are_those_of_the_ziggurat_step_by_step() -> None:
    steps, keys = 20_000, np.array([WORDS - 5, 123456789], dtype=np.uint64)
    start, increment = np.empty((2, 2), dtype=np.uint64)
    own_streams(keys, 40, start, increment)
    found = np.empty((steps, 2))
    draw_normals(start, increment, np.array([1.0, 0.5]), 17, found)
    for column, neuron in enumerate((40, 41)):
        own_start, own_increment = (mixed((int(key) + (neuron + 1) * GOLDEN) % WORDS) for key in keys)
        words = [mixed((own_start + (18 + t) * (own_increment | 1)) % WORDS) for t in range(steps)]
        expected = np.array([1.0, 0.5])[column] * np.array([by_hand(word) for word in words])
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-14)
    assert np.abs(found[:, 0]).max() > TAIL_BEGINS  # every branch was taken


def test_all_layers_have_the_same_area_and_end_at_the_top() -> None:
    areas = _EDGES[1:-1] * np.diff(_DENSITY)[1:]
    tail = math.sqrt(math.pi / 2.0) * math.erfc(TAIL_BEGINS / math.sqrt(2.0))
    np.testing.assert_allclose(areas, TAIL_BEGINS * _DENSITY[1] + tail, rtol=1e-11)
    assert (_DENSITY[-1], len(areas)) == (1.0, 255)


def test_moments_are_those_of_the_normal_law(million: np.ndarray) -> None:
    for power, moment, variance in ((1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)):
        assert abs((million**power).mean() - moment) < 4.0 * math.sqrt(variance / million.size)


def test_the_distribution_is_normal_in_the_whole_and_in_narrow_bins(million: np.ndarray) -> None:
    assert stats.kstest(million.ravel(), "norm").pvalue > 1e-4
    probabilities = stats.norm.cdf(million.ravel())
    assert stats.chisquare(np.histogram(probabilities, bins=4000, range=(0.0, 1.0))[0]).pvalue > 1e-4


def test_tails_are_normal_far_out() -> None:
    """Of 8 million numbers 3725 lie beyond 3.5, and 2063 where the ziggurat has no layers."""
    x = numbers(400, 20_000).ravel()
    for beyond in (3.5, TAIL_BEGINS, 4.5):
        for side in (x, -x):
            expected = x.size * stats.norm.sf(beyond)
            assert abs((side > beyond).sum() - expected) < 4.0 * math.sqrt(expected)
    far = np.abs(x)[np.abs(x) > TAIL_BEGINS]
    assert stats.kstest(stats.norm.sf(far) / stats.norm.sf(TAIL_BEGINS), "uniform").pvalue > 1e-4
    assert far.max() > 5.0


def test_neighbours_in_neuron_step_trial_seed_and_purpose_are_independent(million: np.ndarray) -> None:
    others = [numbers(trial=8), numbers(seed=2), numbers(purpose="test_noise"), numbers(first=1 << 16)]
    pairs = [(million[:, 1:], million[:, :-1]), *((million[lag:], million[:-lag]) for lag in (1, 2, 3, 256))]
    pairs += [(million, other) for other in others]
    pairs += [(million[1:, 1:], million[:-1, :-1]), (million[:-1], others[0][1:])]
    for one, other in pairs:
        for function in (np.asarray, np.abs, np.sign):
            assert abs(np.corrcoef(function(one).ravel(), function(other).ravel())[0, 1]) < 4.5e-3


def test_sums_over_neurons_and_over_steps_spread_as_independent_numbers_do(million: np.ndarray) -> None:
    """What a correlation too small to be seen in pairs would add up to."""
    for axis in (0, 1):
        sums = million.sum(axis=axis) / math.sqrt(million.shape[axis])
        assert stats.kstest(sums, "norm").pvalue > 1e-4


def test_any_part_on_any_number_of_threads_has_the_same_bits(million: np.ndarray) -> None:
    for first, length, low, high in ((4999, 1, 0, 200), (0, 7, 3, 5), (1234, 60, 199, 200), (2, 3, 0, 0)):
        part = NoisePath(WHITE, LifNeuron(model="lif"), range(low, high), (1, 0), "training_noise", 7)
        np.testing.assert_array_equal(part.rows(first, length), million[first : first + length, low:high])
        on_two = NoisePath(WHITE, LifNeuron(model="lif"), range(low, high), (1, 0), "training_noise", 7, threads=2)
        np.testing.assert_array_equal(on_two.rows(first, length), million[first : first + length, low:high])
