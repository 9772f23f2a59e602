"""Lesions and shuffles: exactly the named synapses change, the original does not, and survivors are measured."""

from __future__ import annotations

import numpy as np
import pytest

from hpcspike import build_problem, train
from hpcspike.engine.trained import Trained
from hpcspike.errors import DataError, SpecError
from hpcspike.measures import measure_lesions, measure_performance, measure_shuffles, with_weights, without_neurons
from hpcspike.measures.altered import untrained
from hpcspike.measures.lesion import lost_neurons
from hpcspike.measures.shuffle import shuffled, synapses_among
from hpcspike.model.transfer import rate_of_noisy_input
from hpcspike.spec.experiment import Training
from hpcspike.spec.load import validate_experiment
from tests.small_networks import problem


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(problem(fixed=0.3), Training(n_loops=3))


@pytest.fixture(scope="module")
def rate_trained() -> Trained:
    recipe = problem(duration_ms=200)
    recipe.targets = np.abs(recipe.targets) * 0.2
    return train(recipe, Training(variable="rate", n_loops=3, ridge=0.1))


# ---- other weights ---------------------------------------------------------------------------------------------------


def test_the_same_weights_give_the_same_response_and_others_another(trained: Trained) -> None:
    before = trained.evoke(0, 1).drive
    weight, static = trained.simulation.weight.copy(), trained.problem.static.weight.copy()
    same = with_weights(trained, weight.copy(), static=static.copy())
    np.testing.assert_array_equal(same.evoke(0, 1).drive, before)
    for other in (with_weights(trained, 0.5 * weight), with_weights(trained, weight, static=0.5 * static)):
        assert not np.array_equal(other.evoke(0, 1).drive, before)
    np.testing.assert_array_equal(trained.simulation.weight, weight)
    np.testing.assert_array_equal(trained.problem.static.weight, static)
    np.testing.assert_array_equal(trained.evoke(0, 1).drive, before)


@pytest.mark.parametrize("neuron", [{"model": "theta"}, {"model": "tanh"}], ids=lambda neuron: neuron["model"])
def test_a_changed_network_is_of_the_same_units_and_untrained_it_is_the_initial_one(neuron: dict[str, str]) -> None:
    document = {
        "neuron": neuron,
        "network": {"n_neurons": 20},
        "connectivity": {"kind": "gaussian", "sigma": 2.0},
        "targets": {"kind": "sine", "duration_ms": 60.0},
        "protocol": {"free_run_ms": 20.0, "test_free_run_ms": 20.0},
    }
    start = build_problem(validate_experiment(document))
    trained = train(start, Training(n_loops=2))
    same = with_weights(trained, trained.simulation.weight)
    np.testing.assert_array_equal(same.evoke(0, 1).drive, trained.evoke(0, 1).drive)
    never = train(start, Training(n_loops=0))
    np.testing.assert_array_equal(untrained(trained).evoke(0, 1).drive, never.evoke(0, 1).drive)
    assert not np.array_equal(never.evoke(0, 1).drive, trained.evoke(0, 1).drive)
    assert len(untrained(trained).curve["correlation"]) == 0


def test_there_must_be_one_weight_per_synapse(trained: Trained) -> None:
    with pytest.raises(DataError, match="plastic has shape"):
        with_weights(trained, np.zeros(3))
    with pytest.raises(DataError, match="static has shape"):
        with_weights(trained, trained.simulation.weight, static=np.zeros(3))


# ---- performance -----------------------------------------------------------------------------------------------------


def test_performance_is_the_correlation_of_every_quantity_with_the_target(rate_trained: Trained) -> None:
    found = measure_performance(rate_trained, trials=3, bin_ms=50.0)
    evoked, target = rate_trained.evoke(0, 3), rate_trained.problem.targets[0]

    def correlation(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 else 0.0

    phi = rate_of_noisy_input(evoked.drive, 0.1)
    for i in range(0, 30, 7):
        expected = np.mean([correlation(evoked.filtered[k, i], target[i]) for k in range(3)])
        assert found.response[i] == pytest.approx(expected, abs=1e-10)
        assert found.trial_mean[i] == pytest.approx(correlation(evoked.filtered[:, i].mean(axis=0), target[i]))
        assert found.rate_of_drive[i] == pytest.approx(np.mean([correlation(phi[k, i], target[i]) for k in range(3)]))
        times = np.concatenate([s.step[(s.neuron == i) & (s.step >= 0)] for s in evoked.spikes])
        counts = np.histogram(times, bins=[0, 50, 100, 150, 200])[0]
        assert found.binned[i] == pytest.approx(correlation(counts, target[i].reshape(4, 50).mean(axis=1)))
        assert found.rate[i] == pytest.approx(len(times) / 3 / 0.2)
    assert found.rate.max() > 0


def test_after_drive_training_only_drives_are_held_against_targets(trained: Trained) -> None:
    found = measure_performance(trained, trials=2)
    drives, target = trained.evoke(0, 2).drive, trained.problem.targets[0]
    expected = np.mean([[np.corrcoef(d[i], target[i])[0, 1] for i in range(30)] for d in drives], axis=0)
    np.testing.assert_allclose(found.response, expected, rtol=1e-9)
    assert np.isnan(found.rate_of_drive).all()
    assert np.isnan(found.binned).all()


# ---- lesions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("removed", ["all", "outgoing"])
def test_a_lesion_removes_all_synapses_of_the_lost_and_no_others(trained: Trained, removed: str) -> None:
    lost = np.array([2, 7, 20])
    found = without_neurons(trained, lost, removed=removed).weights.toarray()  # type: ignore[arg-type]
    expected = trained.weights.toarray()
    expected[:, lost] = 0.0
    if removed == "all":
        expected[lost] = 0.0
    np.testing.assert_array_equal(found, expected)
    assert (trained.weights.toarray()[:, lost] != 0).any()


def test_survivors_do_not_notice_what_the_lost_receive(trained: Trained) -> None:
    lost = np.array([2, 7, 20])
    kept = np.setdiff1d(np.arange(30), lost)
    both = [without_neurons(trained, lost, removed=what).evoke(0, 1).drive[0] for what in ("all", "outgoing")]
    np.testing.assert_array_equal(both[0][kept], both[1][kept])
    assert not both[0][lost].any()
    assert both[1][lost].any()


def test_lesions_are_measured_on_the_survivors(trained: Trained) -> None:
    found = measure_lesions(trained, fractions=(0.0, 0.1, 0.5), draws=2, trials=1)
    np.testing.assert_array_equal(found.n_lost, [0, 3, 15])
    intact = measure_performance(trained, trials=1)
    np.testing.assert_array_equal(found.response[0], [intact.response.mean()] * 2)
    for draw in range(2):
        lost = lost_neurons(trained, 15, draw=draw)
        alone = measure_performance(without_neurons(trained, lost), trials=1)
        kept = np.setdiff1d(np.arange(30), lost)
        assert found.response[2, draw] == alone.response[kept].mean()
        assert found.rate[2, draw] == alone.rate[kept].mean()
        assert found.worst_decile[2, draw] == np.quantile(alone.response[kept], 0.1)
        assert found.share_followed[2, draw] == (alone.response[kept] >= 0.7).mean()
        assert set(lost_neurons(trained, 3, draw=draw)) <= set(lost)
    assert found.response[2].max() < found.response[0].min()
    assert list(lost_neurons(trained, 15, draw=0)) != list(lost_neurons(trained, 15, draw=1))


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.2])
def test_a_share_that_leaves_nobody_is_refused(trained: Trained, fraction: float) -> None:
    with pytest.raises(SpecError, match=f"fraction = {fraction:g} of neurons lost"):
        measure_lesions(trained, fractions=(fraction,))


# ---- shuffles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_a_shuffle_permutes_weights_of_the_chosen_share_among_recorded_neurons(
    trained: Trained, fraction: float
) -> None:
    among = synapses_among(trained, 12)
    before, after = trained.weights.toarray(), shuffled(trained, among, fraction, draw=0).weights.toarray()
    inside = np.zeros((30, 30), dtype=bool)
    inside[:12, :12] = True
    np.testing.assert_array_equal(after[~inside], before[~inside])
    np.testing.assert_array_equal(np.sort(after[inside]), np.sort(before[inside]))
    np.testing.assert_array_equal(after != 0, before != 0)
    moved = (after != before).sum()
    count = among.sum()
    assert count > 20
    assert moved <= round(fraction * count)
    assert moved >= 0.6 * fraction * count  # a random permutation leaves one in its place, on average


def test_draws_differ_and_larger_shares_contain_smaller_ones(trained: Trained) -> None:
    among = synapses_among(trained, 30)
    weight = trained.simulation.weight

    def moved(fraction: float, draw: int) -> np.ndarray:
        return shuffled(trained, among, fraction, draw=draw).simulation.weight != weight

    assert not np.array_equal(moved(0.5, 0), moved(0.5, 1))
    np.testing.assert_array_equal(moved(0.5, 0), moved(0.5, 0))
    assert (moved(1.0, 0) >= moved(0.3, 0)).mean() > 0.98


def test_shuffles_are_measured_on_the_recorded(rate_trained: Trained) -> None:
    found = measure_shuffles(rate_trained, n_recorded=20, fractions=(0.0, 1.0), draws=2, trials=2)
    intact = measure_performance(rate_trained, trials=2)
    for name in ("response", "trial_mean", "rate_of_drive", "binned", "rate"):
        np.testing.assert_array_equal(getattr(found, name)[0], [getattr(intact, name)[:20].mean()] * 2)
    assert found.n_synapses == synapses_among(rate_trained, 20).sum()
    assert found.rate_of_drive[1].max() < found.rate_of_drive[0, 0]
    assert found.rate_of_drive[1, 0] != found.rate_of_drive[1, 1]


def test_shuffles_that_are_none_are_refused(rate_trained: Trained) -> None:
    with pytest.raises(SpecError, match="fraction = 1.5 of synapses shuffled: must be 0 to 1"):
        measure_shuffles(rate_trained, n_recorded=10, fractions=(1.5,))
    with pytest.raises(SpecError, match="n_recorded = 31: must be a whole number, 1 to 30"):
        measure_shuffles(rate_trained, n_recorded=31)
