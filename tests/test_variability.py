"""Irregularity, Fano factors and correlations of pairs: by hand, of known processes, and by Elephant."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import hpcspike
from hpcspike.analysis import spike_statistics
from hpcspike.engine.simulation import Spikes
from hpcspike.errors import DataError, SpecError
from hpcspike.figures import figures_for, raster, spike_variability
from hpcspike.measures import fano_factor, irregularity, pair_correlations
from tests.drawn import heading_of, title_of
from tests.small_networks import experiment

WINDOW = {"step_ms": 0.5, "duration_ms": 10.0}


def spikes(*pairs: tuple[int, int]) -> Spikes:
    step, neuron = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    return Spikes(step, neuron)


TRIALS = [
    spikes((-3, 5), (0, 5), (2, 6), (4, 5), (8, 5), (9, 7), (10, 5), (19, 5), (20, 5)),
    spikes((1, 5), (3, 5), (5, 6), (9, 6)),
]


def random_trials(rate: float, *, n: int = 8, trials: int = 40, steps: int = 2000, seed: int = 1) -> list[Spikes]:
    """Bernoulli spikes: nearly Poisson."""
    random = np.random.default_rng(seed)
    return [Spikes(*(part.astype(np.int32) for part in np.nonzero(random.random((steps, n)) < rate)))
            for _ in range(trials)]  # fmt: skip


def test_intervals_are_those_within_a_trial_and_the_window() -> None:
    found = irregularity(TRIALS, range(5, 8), **WINDOW)
    np.testing.assert_array_equal(found.n_intervals, [5, 1, 0])
    intervals = np.array([4, 4, 2, 9, 2])
    np.testing.assert_allclose(found.cv, [intervals.std() / intervals.mean(), np.nan, np.nan])
    np.testing.assert_allclose(found.cv2, [np.mean([0, 2 * 2 / 6, 2 * 7 / 11]), np.nan, np.nan])
    few = irregularity(TRIALS, range(5, 8), **WINDOW, least_intervals=6)
    assert np.isnan(few.cv).all()


def test_fano_factors_are_of_counts_over_trials() -> None:
    found = fano_factor(TRIALS, range(5, 8), **WINDOW)
    np.testing.assert_allclose(found[:, 0], [np.var([5, 2]) / 3.5, np.var([1, 2]) / 1.5, np.var([1, 0]) / 0.5])
    halves = fano_factor(TRIALS, range(5, 8), **WINDOW, bin_ms=5.0)
    assert halves.shape == (3, 2)
    np.testing.assert_allclose(halves[0], [np.var([3, 2]) / 2.5, np.var([2, 0]) / 1.0])
    assert np.isnan(halves[2, 1])


def test_a_clock_has_no_variation_and_a_poisson_process_has_one() -> None:
    clock = [spikes(*((step, 0) for step in range(k, 2000, 7))) for k in (0, 0, 0)]
    window = {"step_ms": 1.0, "duration_ms": 2000.0}
    regular = irregularity(clock, range(1), **window)
    assert (regular.cv[0], regular.cv2[0], fano_factor(clock, range(1), **window)[0, 0]) == (0.0, 0.0, 0.0)
    trials = random_trials(0.02)
    found = irregularity(trials, range(8), **window)
    np.testing.assert_allclose(found.cv, 0.99, atol=0.06)
    np.testing.assert_allclose(found.cv2, 0.99, atol=0.06)
    assert fano_factor(trials, range(8), **window).mean() == pytest.approx(0.98, abs=0.25)
    pairs = pair_correlations(trials, range(8), **window)
    assert np.abs(pairs[np.triu_indices(8, 1)]).max() < 0.1


def test_noise_correlations_leave_out_what_all_trials_share() -> None:
    shared = random_trials(0.02, n=2, trials=1, steps=2000)[0]
    window = {"step_ms": 1.0, "duration_ms": 2000.0}
    both = np.unique(shared.step)
    alike = Spikes(np.repeat(both, 2).astype(np.int32), np.tile(np.array([0, 1], np.int32), len(both)))
    trials = [Spikes(*(np.concatenate(part) for part in zip(alike, own, strict=True)))
              for own in random_trials(0.02, n=2, trials=30, seed=5)]  # fmt: skip
    total = pair_correlations(trials, range(2), **window, kind="total")[0, 1]
    noise = pair_correlations(trials, range(2), **window, kind="noise")[0, 1]
    assert total > 0.4
    assert abs(noise) < 0.06


def test_a_block_of_neurons_has_the_numbers_of_the_whole() -> None:
    trials, window = random_trials(0.01, trials=3), {"step_ms": 1.0, "duration_ms": 2000.0}
    whole, part = (irregularity(trials, who, **window) for who in (range(8), range(3, 6)))
    np.testing.assert_array_equal(part.cv, whole.cv[3:6])
    np.testing.assert_array_equal(part.cv2, whole.cv2[3:6])
    np.testing.assert_array_equal(
        fano_factor(trials, range(3, 6), **window), fano_factor(trials, range(8), **window)[3:6]
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fano_factor(TRIALS[:1], range(8), **WINDOW), "what varies over trials needs two at least"),
        (lambda: fano_factor(TRIALS, range(8), **WINDOW, bin_ms=3.0), "must be a multiple of the step of 0.5 ms"),
        (lambda: pair_correlations(TRIALS, range(8), **WINDOW, bin_ms=5.0, kind="signal"), "kind = 'signal'"),
        (lambda: irregularity(TRIALS, range(8), **WINDOW, least_intervals=1), "least_intervals = 1"),
        (lambda: irregularity(TRIALS, range(8), step_ms=0.0, duration_ms=10.0), "step_ms = 0"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(call: object, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        call()  # type: ignore[operator]


# ---- of a network's Dataset ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network() -> xr.Dataset:
    return hpcspike.run(
        experiment(
            neuron={"model": "theta", "bias": 0.6},
            targets={"kind": "sine", "duration_ms": 220.0, "n_sets": 2},
            measures={"n_test_trials": 4},
        )  # fmt: skip
    )


@pytest.mark.filterwarnings("ignore:The 'copy' argument in Quantity")  # Elephant 1.2 with quantities 0.16
@pytest.mark.filterwarnings("ignore:the matrix subclass")  # its sums of sparse rows
def test_statistics_of_a_network_are_those_of_elephant(network: xr.Dataset) -> None:
    pytest.importorskip("elephant")
    quantities, neo = pytest.importorskip("quantities"), pytest.importorskip("neo")
    from elephant.conversion import BinnedSpikeTrain
    from elephant.spike_train_correlation import correlation_coefficient
    from elephant.statistics import cv, cv2, fanofactor, isi

    from hpcspike.exchange import to_neo

    found = spike_statistics(network, bin_ms=20.0, least_intervals=2)
    ms = quantities.ms
    segments = to_neo(network).segments
    checked = 0
    for target_set in range(2):
        of_set = segments[4 * target_set : 4 * target_set + 4]
        # spikes are at the ends of their steps, so that the window is (0, T] and a bin (a, b]: half a step earlier
        trains = [[neo.SpikeTrain(np.sort(t.rescale("ms").magnitude[t.rescale("ms").magnitude > 0.5]) - 0.5, units="ms",
                                  t_start=0 * ms, t_stop=220 * ms) for t in segment.spiketrains]
                  for segment in of_set]  # fmt: skip
        for neuron in range(20):
            every = [train[neuron] for train in trains]
            intervals = np.concatenate([isi(one).magnitude for one in every])
            ours = found.isel(target_set=target_set, neuron=neuron)
            assert ours["n_intervals"] == len(intervals)
            np.testing.assert_allclose(ours["fano_factor"], fanofactor(every), equal_nan=True)
            if len(intervals) >= 2:
                np.testing.assert_allclose(ours["cv_isi"], cv(intervals))
                checked += 1
            if sum(len(one) > 2 for one in every) == 1:
                one = next(one for one in every if len(one) > 2)
                np.testing.assert_allclose(ours["cv2_isi"], cv2(isi(one)))
        joined = [
            np.concatenate([train[neuron].magnitude + 220.0 * k for k, train in enumerate(trains)])
            for neuron in range(20)
        ]
        binned = BinnedSpikeTrain(
            [neo.SpikeTrain(times, units="ms", t_start=0 * ms, t_stop=880 * ms) for times in joined], bin_size=20 * ms
        )
        theirs = correlation_coefficient(binned, fast=False)[np.triu_indices(20, 1)]
        np.testing.assert_allclose(found["pair_correlation_total"][target_set], theirs, atol=1e-12)
    assert checked > 20


def test_statistics_name_what_they_are_over(network: xr.Dataset) -> None:
    found = spike_statistics(network, n_neurons=5)
    assert found.attrs == {"bin_ms": 50.0, "window_ms": 220.0, "n_trials": 4}
    assert found.sizes == {"target_set": 2, "neuron": 20, "pair": 10}
    assert all({"units", "long_name"} <= set(array.attrs) for array in found.data_vars.values())
    np.testing.assert_array_equal(np.unique(found["pair_second"]), [5, 10, 14, 19])
    np.testing.assert_allclose(found["spike_rate"].mean(), network["neuron_rate"].mean(), rtol=1e-12)
    one = spike_statistics(network.isel(trial=slice(1)).assign_coords(trial=[0]))
    assert bool(one["fano_factor"].isnull().all())
    assert bool(one["pair_correlation_noise"].isnull().all())
    assert bool(one["pair_correlation_total"].notnull().any())


def test_without_spikes_or_with_a_bin_too_long_it_is_said(network: xr.Dataset) -> None:
    with pytest.raises(DataError, match="holds no spikes \\(it has no 'spike_time'\\)"):
        spike_statistics(network.drop_vars("spike_time"))
    with pytest.raises(DataError, match="bin_ms = 300 ms is longer than the window of 220 ms"):
        spike_statistics(network, bin_ms=300.0)


# ---- figures ---------------------------------------------------------------------------------------------------------


def test_the_figure_says_over_what_it_is_and_how_many_are_left_out(network: xr.Dataset) -> None:
    figure = figures_for(network)["variability"]()
    intervals, counts, pairs = figure.axes
    assert heading_of(figure) == "all neurons, 4 test trials in each of 2 target sets, plasticity off"
    found = spike_statistics(network)
    n_known = int(found["cv_isi"].notnull().sum())
    assert f"{n_known} of 40 with enough intervals" in title_of(intervals)
    assert len(counts.lines[0].get_xdata()) == int(found["fano_factor"].notnull().sum())
    words = [text.get_text() for text in pairs.get_legend().get_texts()]
    assert words[1] == f"noise, mean {float(found['pair_correlation_noise'].mean()):+.3f}"
    one = spike_variability(network.isel(trial=slice(1)))
    assert "needs repetitions: two test trials of a target set" in title_of(one.axes[1])


def test_a_raster_by_peak_is_in_the_order_of_peaks() -> None:
    spikes = {"spike_time": [90.0, 95.0, 20.0, 30.0], "spike_neuron": [0, 0, 2, 2], "spike_trial": [0] * 4}
    trained = xr.Dataset(
        {name: ("spike", np.array(values)) for name, values in {**spikes, "spike_set": [0] * 4}.items()},
        coords={"time": np.arange(1.0, 101.0), "neuron": np.arange(3), "trial": [0], "target_set": [0]},
    )
    drawn = raster(trained, order="peak").axes[0].lines[0]
    np.testing.assert_array_equal(drawn.get_ydata(), [1, 1, 0, 0])
    with pytest.raises(SpecError, match="order = 'rate': must be one of number, peak"):
        raster(trained, order="rate")


def test_figures_say_in_a_line_what_they_show(network: xr.Dataset) -> None:
    found = figures_for(network)
    assert found.lines["raster"].startswith("Spikes of evenly spread neurons in test trials")
    assert all(line.endswith((".", ").")) for line in found.lines.values())
    assert repr(found).splitlines()[0].startswith("samples      Target and evoked response")
    assert len(repr(found).splitlines()) == len(found) >= 5
