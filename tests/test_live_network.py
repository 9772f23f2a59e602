"""A stored network runs again from its file alone: the same bits, and everything that can be asked of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import hpcspike
from hpcspike import live_network
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.training_tests import TrainingTests
from hpcspike.errors import DataError, SpecError, StoreError
from hpcspike.live.engine_network import EngineNetwork
from hpcspike.measures.verdict import remarks_of
from hpcspike.runs.point import fit_and_evaluate
from hpcspike.runs.run import train_to_store
from hpcspike.spec.experiment import Experiment
from tests.small_networks import experiment
from tests.test_feed_forward import fed

TRIALS = ("response", "drive", "initial_state", "spike_time", "spike_neuron", "spike_trial", "spike_set", "target")
SPIKING = {"model": "theta", "bias": 0.3}
BALANCED = {
    "kind": "balanced", "static_in_degree": 3, "plastic_in_degree": 4, "static_ee": 0.3, "static_ei": -0.4,
    "static_ie": 0.3, "static_ii": -0.4, "input_excitatory": 2.0, "input_inhibitory": 2.0,
}  # fmt: skip
NETWORKS: dict[str, dict[str, Any]] = {
    "theta": {"neuron": SPIKING},
    "theta rates": {"neuron": SPIKING, "training": {"n_loops": 2, "update_interval_ms": 2.0, "variable": "rate"}},
    "lif balanced float32": {
        "neuron": {"model": "lif", "step_ms": 0.5}, "connectivity": BALANCED,
        "training": {"n_loops": 2, "update_interval_ms": 2.0, "dtype": "float32"},
    },
    "lif with delays": {
        "neuron": {"model": "lif", "step_ms": 0.5, "bias": 1.2}, "synapse": {"tau_syn_ms": 20.0, "delay_ms": 1.5},
    },
    "glif": {
        "neuron": {
            "model": "glif", "level": 4, "bias": 1.5, "spike_threshold_jump": 0.1, "spike_threshold_decay": 0.05,
            "current_tau_ms": [20.0], "current_factors": [1.0], "current_jumps": [-0.1],
        },
    },
    "izhikevich": {"neuron": {"model": "izhikevich", "bias": 10.0}},
    "tanh": {"neuron": {"model": "tanh"}},
    "noise and two sets": {
        "neuron": SPIKING, "targets": {"kind": "sine", "duration_ms": 100.0, "n_sets": 2},
        "trial_noise": {"standard_deviation": 0.2}, "frozen_noise": {"standard_deviation": 0.2},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def stored() -> xr.Dataset:
    return hpcspike.run(experiment(**NETWORKS["theta"]))


@pytest.fixture(scope="module")
def net(stored: xr.Dataset) -> EngineNetwork:
    found = live_network(stored)
    assert isinstance(found, EngineNetwork)
    return found


def same(found: xr.Dataset, other: xr.Dataset, names: tuple[str, ...] = TRIALS) -> None:
    for name in names:
        if name in other:
            assert found[name].dims == other[name].dims, name
            np.testing.assert_array_equal(found[name].values, other[name].values, err_msg=name)
            assert found[name].attrs == other[name].attrs, name


# ---- from the file alone ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
def test_test_trials_have_the_bits_of_the_stored_ones(kind: str, tmp_path: Path) -> None:
    asked = experiment(**NETWORKS[kind])
    train_to_store(asked, tmp_path / "net.zarr")
    network = hpcspike.open_network(tmp_path / "net.zarr")
    live = live_network(tmp_path / "net.zarr")
    found = live.test(asked.measures.n_test_trials)
    same(found, network)
    assert len(found["spike_time"]) > 20 or kind == "tanh"
    np.testing.assert_allclose(found["correlation"], network["correlation"], rtol=1e-12)
    np.testing.assert_allclose(found["neuron_rate"], network["neuron_rate"], rtol=1e-12)
    same(live.dataset(), network, tuple(str(name) for name in network.data_vars if name != "curve_seconds"))


def test_a_feed_forward_population_comes_with_its_weights() -> None:
    network = hpcspike.run(fed())
    live = live_network(network)
    same(live.test(2), network, ("response", "drive", "spike_time", "spike_neuron"))
    quiet = live.test(1, silence=[1, 2])
    assert not np.isin(quiet["spike_neuron"], [1, 2]).any()
    assert live.weights.shape == (60, 60)  # type: ignore[attr-defined]
    assert live.train(1).changes[0].startswith("trained for 1 more loops")
    with pytest.raises(SpecError, match="feed-forward population"):
        live.without_synapses(of=[1])  # type: ignore[attr-defined]


def test_a_user_s_neurons_run_only_when_asked(stored: xr.Dataset) -> None:
    asked = experiment(
        neuron={"model": "user", "source": "tests.adaptive_neurons:adaptive", "bias": 1.0, "step_ms": 0.5}
    )
    network = hpcspike.run(asked)
    with pytest.raises(StoreError, match="needs code that its store names"):
        live_network(network)
    same(live_network(network, run_user_code=True).test(2), network)


def test_a_recorded_network_needs_no_recording_any_more(tmp_path: Path) -> None:
    rates = 20.0 + 10.0 * np.sin(np.arange(5)[:, None] + np.arange(21) / 3.0)
    rate = xr.DataArray(rates, dims=("unit", "time"), attrs={"units": "Hz"})
    rate = rate.assign_coords(time=("time", 10.0 * np.arange(21), {"units": "ms"}), unit=list("abcde"))
    rate.to_dataset(name="rate").to_netcdf(tmp_path / "rates.nc", engine="h5netcdf")
    asked = experiment(
        network={}, targets={"kind": "recorded", "path": str(tmp_path / "rates.nc"), "holds": "rate"},
        training={"n_loops": 2, "update_interval_ms": 2.0, "variable": "rate"},
    )  # fmt: skip
    network = hpcspike.run(asked)
    (tmp_path / "rates.nc").unlink()
    live = live_network(network)
    found = live.test(2, silence=["b"], clamp={"recorded": 0.1})
    assert list(found["silenced"].values[:3]) == [False, True, False]
    assert list(found["unit_name"].values[:5]) == list("abcde")
    same(live.test(2), network, TRIALS[:-1])
    np.testing.assert_allclose(live.test(1)["target"], network["target"], rtol=1e-15)
    again = live.dataset()
    for name in ("correlation_recorded", "rate_recorded", "n_recorded"):
        np.testing.assert_allclose(again[name], network[name], rtol=1e-12)
    assert again["recording_time"].equals(network["recording_time"])


def test_a_network_of_two_recorded_conditions_is_described_again() -> None:
    targets = {"kind": "recorded", "path": "generated", "n_units": 8, "conditions": [{"name": "a"}, {"name": "b"}]}
    network = hpcspike.run(
        experiment(network={}, targets=targets | {"duration_ms": 500.0}, training={"n_loops": 1, "variable": "rate"})
    )
    again = live_network(network).dataset()
    for name in ("neuron_correlation_100ms", "neuron_rate"):
        assert again[name].sizes["target_set"] == 2
        np.testing.assert_allclose(again[name], network[name], rtol=1e-12)


def test_what_is_no_network_is_refused(stored: xr.Dataset) -> None:
    with pytest.raises(DataError, match="has no 'weight'"):
        live_network(stored.drop_vars("weight"))
    with pytest.raises(DataError, match="does not carry its experiment"):
        live_network(stored.assign_attrs(experiment="{}"))
    with pytest.raises(DataError, match="no dimension 'neuron'"):
        live_network(xr.Dataset())


# ---- test trials under conditions ------------------------------------------------------------------------------------


def test_more_trials_later_ones_and_other_seeds(net: EngineNetwork) -> None:
    many = net.test(4)
    late = net.test(2, first_trial=2)
    assert list(late["trial"].values) == [2, 3]
    np.testing.assert_array_equal(late["response"].values, many["response"].values[:, 2:])
    kept = many["spike_trial"].values >= 2
    np.testing.assert_array_equal(late["spike_time"].values, many["spike_time"].values[kept])
    other = net.test(1, seed=99)
    assert not np.array_equal(other["initial_state"], net.test(1)["initial_state"])
    assert other.attrs["conditions"] == '{"trials": 1, "seed": 99}'


def test_beyond_the_window_the_trial_goes_on(net: EngineNetwork) -> None:
    longer, usual = net.test(1, beyond_ms=50.0), net.test(1)
    assert longer.sizes["time"] == usual.sizes["time"] + 50
    np.testing.assert_array_equal(longer["response"].values[..., :200], usual["response"].values)
    assert np.isnan(longer["target"].values[..., 200:]).all()
    assert float(longer["correlation"]) == float(usual["correlation"])
    assert float(longer["population_rate"]) == float(usual["population_rate"])
    assert longer["spike_time"].max() > 200.0


def test_a_stimulus_of_one_s_own_takes_the_place_of_the_cue(net: EngineNetwork) -> None:
    problem = net.trained.problem
    usual = net.test(1)
    np.testing.assert_array_equal(net.test(1, stimulus=problem.stimuli[0])["drive"], usual["drive"])
    # the same as (time, neuron): cue of 20 ms and window of 200 ms, in rows of 20 ms
    rows = np.zeros((11, 20))
    rows[0] = problem.stimuli[0]
    np.testing.assert_allclose(net.test(1, stimulus=rows)["drive"], usual["drive"], rtol=1e-9, atol=1e-12)
    timed = xr.DataArray(rows[:2], dims=("time", "neuron"), coords={"time": [-20.0, 0.0]})
    np.testing.assert_array_equal(net.test(1, stimulus=timed)["drive"], net.test(1, stimulus=rows)["drive"])
    none = net.test(1, stimulus=0.0)
    assert not np.array_equal(none["drive"], usual["drive"])
    for wrong in (np.zeros(3), np.zeros((7, 20)), np.full(20, np.nan), "loud"):
        with pytest.raises(DataError, match="stimulus"):
            net.test(1, stimulus=wrong)


def test_silent_neurons_are_not_heard_and_the_others_hear_as_after_a_lesion(net: EngineNetwork) -> None:
    found = net.test(2, silence=[3, 7])
    assert not np.isin(found["spike_neuron"], [3, 7]).any()
    assert list(np.flatnonzero(found["silenced"])) == [3, 7]
    lesioned = net.without_synapses(of=[3, 7]).test(2)
    np.testing.assert_array_equal(found["drive"], lesioned["drive"])
    assert np.isin(lesioned["spike_neuron"], [3, 7]).any()
    assert found["correlation"].attrs["over"].startswith("18 of 20 neurons")
    share = net.test(1, silence=0.1)
    assert share["silenced"].sum() == 2
    assert set(np.flatnonzero(share["silenced"])) <= set(np.flatnonzero(net.test(1, silence=0.5)["silenced"]))
    for wrong in ([20], "inhibitory", 1.5, {"depth": 3}, np.zeros(3, bool)):
        with pytest.raises(SpecError, match="silence"):
            net.test(1, silence=wrong)


def test_groups_of_a_balanced_network_have_names() -> None:
    network = live_network(hpcspike.run(experiment(**NETWORKS["lif balanced float32"])))
    assert list(network.chosen("inhibitory")) == list(range(10, 20))
    found = network.test(1, silence="inhibitory")
    assert (found["spike_neuron"] < 10).all()


def test_held_drives_move_the_neuron_and_nobody_else(net: EngineNetwork) -> None:
    usual = net.test(1)
    held = net.test(1, clamp={5: 30.0})
    assert (held["spike_neuron"] == 5).sum() > (usual["spike_neuron"] == 5).sum() + 5
    assert list(np.flatnonzero(held["clamped"])) == [5]
    timed = net.test(1, clamp={5: [-5.0, 30.0]})  # 100 ms each
    late = timed["spike_time"].values[timed["spike_neuron"].values == 5]
    assert (late > 100.0).mean() > 0.8
    taught = net.test(1, clamp={"all": "target"})
    assert set(taught["clamped"].values) == {True}
    assert np.isnan(float(taught["correlation"]))  # over nobody
    with pytest.raises(SpecError, match="clamp"):
        net.test(1, clamp={5: "loud"})
    with pytest.raises(DataError, match="clamp has shape"):
        net.test(1, clamp={5: np.zeros(7)})


def test_a_clamp_at_what_a_neuron_without_inputs_receives_changes_no_bit(net: EngineNetwork) -> None:
    alone = net.without_synapses(onto=[4])
    np.testing.assert_array_equal(alone.test(1, clamp={4: 0.0})["drive"], alone.test(1)["drive"])
    np.testing.assert_array_equal(alone.test(1, clamp={4: 0.0})["spike_time"], alone.test(1)["spike_time"])


def test_a_deleted_spike_is_that_of_the_measure(net: EngineNetwork) -> None:
    usual, without = net.test(1), net.test(1, delete_spike=0)
    inside = np.flatnonzero(usual["spike_time"].values > 0)
    time, who = usual["spike_time"].values[inside[0]], int(usual["spike_neuron"].values[inside[0]])
    gone = (without["spike_time"].values == time) & (without["spike_neuron"].values == who)
    assert not gone.any()
    change = np.abs(without["drive"] - usual["drive"])[0, 0]
    assert float(change.sel(time=slice(None, time - 1)).max()) == 0.0
    receives = net.weights.values[:, who] != 0
    np.testing.assert_array_equal(change.sel(time=time).values != 0, receives)
    # added again it is there as if nothing had been, up to rounding
    with pytest.raises(SpecError, match="delete_spike = 100000"):
        net.test(1, delete_spike=100_000)


def test_an_added_spike_adds_its_weights(net: EngineNetwork) -> None:
    usual, more = net.test(1), net.test(1, add_spike=(6, 50.0))
    change = (more["drive"] - usual["drive"])[0, 0].sel(time=50.0).values
    np.testing.assert_allclose(change, 10.0 / 20.0 * net.weights.values[:, 6], rtol=1e-9, atol=1e-12)
    assert len(more["spike_time"]) >= 1
    assert ((more["spike_time"] == 50.0) & (more["spike_neuron"] == 6)).any()
    for wrong in ((6, 50.5), (6, 500.0), (6,), (99, 50.0)):
        with pytest.raises(SpecError, match="add_spike"):
            net.test(1, add_spike=wrong)  # type: ignore[arg-type]


def test_noise_is_new_in_every_trial_and_the_same_when_asked_again(net: EngineNetwork) -> None:
    noisy = net.test(2, noise=0.5)
    same(net.test(2, noise={"standard_deviation": 0.5, "tau_corr_ms": 0.0}), noisy)
    assert not np.array_equal(noisy["drive"], net.test(2)["drive"])
    with pytest.raises(SpecError, match="noise"):
        net.test(1, noise={"standard_deviation": -1.0})


def test_conditions_side_by_side(net: EngineNetwork) -> None:
    found = net.tests({"intact": {}, "silent": {"silence": 0.5}}, trials=2)
    assert list(found["condition"].values) == ["intact", "silent"]
    assert found["neuron_correlation"].dims == ("condition", "target_set", "neuron")
    assert float(found["correlation"].sel(condition="intact")) == float(net.test(2)["correlation"])


# ---- other synapses and settings -------------------------------------------------------------------------------------


def test_weights_go_out_and_come_back(net: EngineNetwork) -> None:
    np.testing.assert_array_equal(net.with_weights(net.weights).test(1)["drive"], net.test(1)["drive"])
    live = net.trained.simulation.weight
    np.testing.assert_array_equal(net.with_weights(live).test(1)["drive"], net.test(1)["drive"])
    changed = net.weights.copy()
    changed.loc[{"postsynaptic": 2}] = 0.5
    other = net.with_weights(changed)
    np.testing.assert_array_equal(other.weights.values[2], 0.5)
    np.testing.assert_array_equal(other.weights.values[3:], net.weights.values[3:])
    assert "synapses added" in other.changes[0]
    for wrong in (np.zeros((3, 3)), net.weights * np.nan, "none"):
        with pytest.raises(DataError, match="weights"):
            net.with_weights(wrong)


def test_synapses_are_deleted_and_added(net: EngineNetwork) -> None:
    cut = net.without_synapses(onto=[1, 2], of="all")
    assert not cut.weights.values[[1, 2]].any()
    np.testing.assert_array_equal(cut.weights.values[3:], net.weights.values[3:])
    more = cut.with_synapses([(1, 5, 0.7), (1, 6, -0.2)])
    assert more.weights.values[1, [5, 6]].tolist() == [0.7, -0.2]
    fixed = net.with_synapses([(0, 5, 0.7)], kind="fixed")
    assert fixed.fixed_weights.values[0, 5] == 0.7
    np.testing.assert_array_equal(fixed.weights, net.weights)
    again = live_network(fixed.dataset())
    np.testing.assert_array_equal(again.test(1)["drive"], fixed.test(1)["drive"])
    assert again.changes == ("1 fixed synapses added, 0 changed",)
    for wrong in ([(0, 99, 1.0)], [(0, 1)], [(0, 1, 0.5), (0, 1, 0.6)]):
        with pytest.raises(SpecError, match="pairs"):
            net.with_synapses(wrong)  # type: ignore[arg-type]


def test_another_decay_time_at_test(net: EngineNetwork) -> None:
    slow = net.with_settings({"synapse.tau_syn_ms": 40.0})
    assert slow.experiment.synapse.tau_syn_ms == 40.0
    assert not np.array_equal(slow.test(1)["drive"], net.test(1)["drive"])
    np.testing.assert_array_equal(
        slow.with_settings({"synapse.tau_syn_ms": 20.0}).test(1)["drive"], net.test(1)["drive"]
    )
    for key, value in {"network.n_neurons": 3, "seed": 4, "synapse.tau": 3.0, "synapse.tau_syn_ms": -1}.items():
        with pytest.raises(SpecError, match=key.split(".")[-1]):
            net.with_settings({key: value})


def test_keys_that_stand_at_their_default_can_be_set() -> None:
    net = live_network(hpcspike.run(experiment(**NETWORKS["lif balanced float32"])))
    other = net.with_settings({"neuron.by_neuron.threshold": [1.5] * 20, "trial_noise.standard_deviation": 0.1})
    assert other.experiment.neuron.by_neuron.threshold == (1.5,) * 20  # type: ignore[union-attr]
    assert other.experiment.trial_noise.standard_deviation == 0.1
    assert not np.array_equal(other.test(1)["drive"], net.test(1)["drive"])
    for key in ("training.nonsense.x", "neuron.tau_ms.x", "training.subset", "training.subset.match"):
        with pytest.raises(SpecError, match=key.rpartition(".")[0]):
            net.with_settings({key: "order"})


# ---- further training ------------------------------------------------------------------------------------------------


def test_training_goes_on_and_says_with_which_p(net: EngineNetwork, tmp_path: Path) -> None:
    once = net.train(2)
    assert once.changes == ("trained for 2 more loops per target set, P begun anew",)
    assert len(once.trained.curve["correlation"]) == 4
    np.testing.assert_array_equal(once.trained.curve["correlation"][:2], net.trained.curve["correlation"])
    twice = once.train(1)
    assert twice.changes[1] == "trained for 1 more loops per target set, P of before"
    assert once.train(1, settings={"training.ridge": 5.0}).changes[-1].endswith("P begun anew")
    for key, value, default in (("row_sum_penalty", 800.0, 0.0), ("forgetting", 0.9, 1.0)):
        changed = once.train(1, settings={f"training.{key}": value})
        assert changed.changes[-1].endswith("P begun anew"), key
        assert changed.train(1, settings={f"training.{key}": default}).changes[-1].endswith("P begun anew")
        assert not np.array_equal(changed.weights, twice.weights)
    assert once.with_synapses([(0, 5, 0.5)]).train(1).changes[-1].endswith("P begun anew")
    twice.save(tmp_path / "on.zarr")
    again = live_network(tmp_path / "on.zarr")
    same(again.test(2), hpcspike.open_network(tmp_path / "on.zarr"))
    assert again.changes == twice.changes
    assert again.dataset().attrs["experiment_hash"] == twice.dataset().attrs["experiment_hash"]
    with pytest.raises(StoreError, match="exists"):
        twice.save(tmp_path / "on.zarr")


def test_training_that_goes_on_is_judged_by_new_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    def scripted(*results: float) -> None:
        left = iter(results)

        def result(_: TrainingTests) -> tuple[float, list[float]]:
            found = next(left)
            return found, [found]

        monkeypatch.setattr(TrainingTests, "_mean_correlation", result)

    training = {"n_loops": 6, "update_interval_ms": 2.0, "keep": "best", "patience": 1}
    asked = experiment(neuron=SPIKING, training=training, measures={"test_every_loops": 1})
    scripted(0.9, 0.4)
    stored = hpcspike.run(asked)
    assert remarks_of(stored)[:2] == [
        "training ended after 2 of 6 loops: the last 1 of the tests while training were no better than the best "
        "(training.patience)",
        "the weights are those after 1 loop of 2, which did best in the tests while training, over all neurons with "
        "targets (training.keep = best)",
    ]
    begun = live_network(stored)
    assert isinstance(begun, EngineNetwork)
    scripted(0.3, 0.2)  # the weights as they are, then those of one more loop
    worse = begun.train(3)
    assert worse.changes[-1] == "trained for 1 of 3 more loops (training.patience = 1 ended it), P begun anew"
    np.testing.assert_array_equal(worse.weights, begun.weights)
    scripted(0.3, 0.4, 0.6, 0.5)
    better = begun.train(3)
    assert better.changes[-1] == "trained for 3 more loops per target set, P begun anew"
    assert better.trained.curve["test_correlation"].tolist() == [0.9, 0.4, 0.4, 0.6, 0.5]
    assert "those after 4 loops of 5" in better.dataset().attrs["training_ended"]
    scripted(0.3, 0.4, 0.6)
    np.testing.assert_array_equal(better.weights, begun.train(2).weights)


def test_with_a_saved_state_training_goes_on_as_if_it_had_not_ended(tmp_path: Path) -> None:
    def asked(n_loops: int) -> Experiment:
        return experiment(neuron=SPIKING, training={"n_loops": n_loops, "update_interval_ms": 2.0})

    with pytest.raises(StoreError, match="no saved state there"):
        live_network(hpcspike.run(asked(2))).train(2, states=tmp_path / "none")
    train_to_store(asked(2), tmp_path / "net.nc", checkpoints=Checkpoints(tmp_path / "states"))
    on = live_network(tmp_path / "net.nc").train(2, states=tmp_path / "states")
    assert on.changes[-1].endswith("P of the saved state")
    whole, _ = fit_and_evaluate(asked(4))
    assert whole.trained is not None
    np.testing.assert_array_equal(on.weights, EngineNetwork(asked(4), whole.trained, {}, {}).weights)
    with pytest.raises(SpecError, match="states"):
        on.train(1, states=tmp_path / "states")


def test_a_second_target_set_is_learned_and_the_first_watched() -> None:
    time = np.arange(1, 101)
    targets = np.sin(2 * np.pi * time / 100.0 + np.arange(20)[:, None])
    net = live_network(hpcspike.run(experiment(neuron=SPIKING, targets={"kind": "sine", "duration_ms": 100.0})))
    assert isinstance(net, EngineNetwork)
    both = net.learn(targets, 2, test_trials=2)
    found = both.dataset()
    assert found["curve_set_correlation"].dims == ("tested_loop", "target_set")
    assert found["curve_set_correlation"].shape == (3, 2)
    before, after = found["curve_set_correlation"].values[[0, -1]]
    assert after[1] > before[1] + 0.2
    assert after[0] < before[0] - 0.1
    np.testing.assert_array_equal(found["target"].values[1], targets)
    again = live_network(found)
    same(again.test(2), found)
    np.testing.assert_array_equal(again.test(1, target_set=0)["stimulus"], net.test(1)["stimulus"])
    with pytest.raises(DataError, match="targets has shape"):
        net.learn(targets[:, :5], 1)
