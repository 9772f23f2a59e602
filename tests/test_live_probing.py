"""Currents of a live network, maps of perturbations, names of conditions, and spikes that are added."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import hpcspike
from hpcspike import figures, live_network
from hpcspike.errors import DataError, SpecError
from hpcspike.live.engine_network import EngineNetwork
from hpcspike.measures.balance import record_currents
from tests.drawn import heading_of
from tests.small_networks import experiment
from tests.test_live_network import BALANCED, SPIKING


def opened(**sections: Any) -> EngineNetwork:
    found = live_network(hpcspike.run(experiment(**sections)))
    assert isinstance(found, EngineNetwork)
    return found


@pytest.fixture(scope="module")
def net() -> EngineNetwork:
    return opened(neuron=SPIKING)


def test_currents_are_those_of_the_measure_and_sum_to_the_total() -> None:
    balanced = opened(neuron={"model": "lif", "step_ms": 0.5}, connectivity=BALANCED)
    found = balanced.currents([3, 17], trials=2, first_trial=1)
    assert found["current"].dims == ("part", "trial", "neuron", "time")
    assert (found["trial"].values.tolist(), found["neuron"].values.tolist()) == ([1, 2], [3, 17])
    wanted = record_currents(balanced.trained, np.array([3, 17]), trial=2)
    np.testing.assert_array_equal(found["current"].sel(trial=2), wanted.value)
    np.testing.assert_array_equal(found["time"], wanted.time_ms)
    parts = found["current"].sel(part=["excitatory", "inhibitory", "plastic"]).sum("part")
    np.testing.assert_allclose(parts, found["current"].sel(part="total"), rtol=1e-12)
    drawn = figures.figures_for(found)
    assert list(drawn) == ["currents"]
    lines = drawn["currents"]().axes[0].get_lines()
    np.testing.assert_array_equal(lines[1].get_ydata(), found["current"].sel(part="inhibitory", trial=1, neuron=3))


def test_currents_of_a_network_without_populations_are_refused(net: EngineNetwork) -> None:
    with pytest.raises(SpecError, match="no excitatory and inhibitory neurons"):
        net.currents([0])
    with pytest.raises(DataError, match="has no 'current'"):
        figures.balance_of_currents(net.test(1))


@pytest.mark.parametrize("kind", ["add_spike", "delete_spike", "stimulate"])
def test_a_map_holds_what_each_perturbation_does_alone(net: EngineNetwork, kind: Any) -> None:
    found = net.perturbation_map(kind, neurons=[2, 5, 6], at_ms=50.0, strength=3.0, duration_ms=5.0, trial=1)
    usual = net.test(1, first_trial=1)
    assert found["deviation"].dims == ("neuron", "time")
    for neuron in (2, 5, 6):
        when = float(found["perturbed_ms"].sel(neuron=neuron))
        own = usual["spike_time"].values[usual["spike_neuron"].values == neuron]
        if kind == "delete_spike":
            if not (own > 50.0).any():
                assert np.isnan(when)
                continue
            assert when == own[own > 50.0].min()
            inside = np.sort(usual["spike_time"].values[usual["spike_time"].values > 0], kind="stable")
            same = np.flatnonzero(inside == when)
            order = usual["spike_neuron"].values[usual["spike_time"].values == when]
            number = int(same[order.tolist().index(neuron)])
            other = net.test(1, first_trial=1, delete_spike=number)
        elif kind == "add_spike":
            assert when > 50.0
            assert when not in own
            other = net.test(1, first_trial=1, add_spike=(neuron, when))
        else:
            assert when == 50.0
            steps = 20 + 200  # of cue and window
            stimulus = np.zeros((steps, 20))
            stimulus[20 + 50 : 20 + 55, neuron] = 3.0
            stimulus[:20] = usual["stimulus"].values[0]
            other = net.test(1, first_trial=1, stimulus=stimulus)
        difference = (other["drive"] - usual["drive"])[0, 0]
        np.testing.assert_allclose(
            found["deviation"].sel(neuron=neuron), np.sqrt((difference**2).mean("neuron")), rtol=1e-9, atol=1e-15
        )
        assert not found["deviation"].sel(neuron=neuron, time=slice(0, when - 1.0)).any()
        change = float(other["correlation"] - usual["correlation"])
        assert float(found["recall_change"].sel(neuron=neuron)) == pytest.approx(change, abs=1e-12)
    assert list(figures.figures_for(found)) == ["perturbation_map"]
    figure = figures.figures_for(found)["perturbation_map"]()
    assert "one neuron at a time" in heading_of(figure)


def test_a_neuron_without_a_spike_to_delete_is_left_out_and_counted() -> None:
    silent = opened(neuron={"model": "theta", "bias": -5.0}, training={"n_loops": 0})
    found = silent.perturbation_map("delete_spike", neurons=[0, 1])
    assert bool(found["deviation"].isnull().all())
    assert "0 neurons; 2 have no such spike" in heading_of(figures.perturbation_map(found))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "kick"}, "kind = 'kick'"),
        ({"at_ms": 0.3}, "at_ms = 0.3 ms: must be a multiple"),
        ({"at_ms": 200.0}, "less than the 200 ms"),
        ({"kind": "stimulate", "duration_ms": 0.0}, "duration_ms = 0 ms"),
        ({"neurons": [20]}, "neurons"),
    ],
)
def test_perturbations_that_cannot_be_are_refused(net: EngineNetwork, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        net.perturbation_map(**arguments)


def test_an_added_spike_at_an_own_one_counts_once(net: EngineNetwork) -> None:
    usual = net.test(1)
    inside = usual["spike_time"].values > 50.0
    who, when = int(usual["spike_neuron"].values[inside][0]), float(usual["spike_time"].values[inside][0])
    again = net.test(1, add_spike=(who, when))
    for name in ("drive", "spike_time", "spike_neuron"):
        np.testing.assert_array_equal(again[name], usual[name])


def test_names_of_recorded_conditions_stay_on_all_that_is_tested() -> None:
    targets = {
        "kind": "recorded", "path": "generated", "n_units": 8, "duration_ms": 200.0,
        "conditions": [{"name": "left"}, {"name": "right"}],
    }  # fmt: skip
    both = opened(network={}, targets=targets, training={"n_loops": 1, "variable": "rate"})
    names = {"condition": ["left", "right"]}
    for found in (both.test(1), both.dataset()):
        assert {"condition": found["condition"].values.tolist()} == names
        assert found["condition"].dims == ("target_set",)
    assert both.test(1, target_set=1)["condition"].values.tolist() == ["right"]
    beside = both.tests({"intact": {}, "silent": {"silence": 0.1}}, trials=1)
    assert beside["condition"].values.tolist() == ["intact", "silent"]
    assert beside["recorded_condition"].values.tolist() == names["condition"]
    more = both.learn(np.full((both.n_neurons, both.dataset().sizes["time"]), 10.0), loops=1, test_trials=1)
    assert more.test(1)["condition"].values.tolist() == ["left", "right", "added 1"]
    assert isinstance(live_network(more.dataset()), EngineNetwork)


def test_a_dataset_of_one_condition_has_no_such_coordinate(net: EngineNetwork) -> None:
    assert "condition" not in net.test(1).coords
    assert isinstance(net.test(1), xr.Dataset)
