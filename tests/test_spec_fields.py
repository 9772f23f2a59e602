"""Sections of an experiment: changed only to what is valid, and shown in a line."""

from __future__ import annotations

from typing import Any

import pytest

import hpcspike
from hpcspike.errors import SpecError
from hpcspike.identity import experiment_hash
from hpcspike.spec.experiment import Experiment, Network
from hpcspike.spec.sweep import Sweep
from tests.small_networks import experiment, problem


def test_dotted_keys_are_changed_and_the_rest_stays() -> None:
    first = experiment()
    found = first.changed({"training.n_loops": 5, "seed": 4}, replicate=2)
    assert (found.training.n_loops, found.seed, found.replicate) == (5, 4, 2)
    assert (first.training.n_loops, first.seed, first.replicate) == (2, 3, 0)
    assert found.changed({"training.n_loops": 2, "seed": 3, "replicate": 0}) == first
    assert experiment_hash(first.changed({})) == experiment_hash(first)


def test_sections_are_changed_whole_or_by_another_choice() -> None:
    first = experiment()
    assert first.changed(network=Network(n_neurons=30)).network.n_neurons == 30
    assert first.changed(network={"n_neurons": 31}).network.n_neurons == 31
    assert first.changed({"neuron.model": "lif"}).neuron.model == "lif"
    assert first.training.changed(ridge=0.5).ridge == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training.loops": 3}, "training.loops: unknown key; did you mean 'n_loops'?"),
        ({"training.n_loops": "many"}, "training.n_loops = 'many': must be a whole number"),
        ({"training.n_loops": -1}, "training.n_loops = -1: must be greater than or equal to 0"),
        ({"training": 3}, "training = 3: must be a section"),
        ({"training.n_loops.x": 1}, "training.n_loops.x: n_loops is not a section"),
        ({"neuron.step_ms": 30.0}, "neuron.step_ms = 30 ms is larger than synapse.tau_syn_ms"),
        ({"nonsense": 1}, "nonsense: unknown key"),
    ],
)
def test_nonsense_is_refused_by_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        experiment().changed(changes)
    assert message in str(caught.value)
    with pytest.raises(SpecError) as caught:
        experiment().model_copy(update=changes)
    assert message in str(caught.value)


def test_a_changed_sweep_leaves_the_original_alone() -> None:
    document = {"network": {"n_neurons": 12}, "targets": {"kind": "sine"}}
    sweep = Sweep.model_validate({"experiment": document, "replicates": 2})
    other = sweep.changed({"experiment.network.n_neurons": 20, "replicates": 3})
    assert [s.experiment["network"]["n_neurons"] for s in (sweep, other)] == [12, 20]
    assert [s.n_points for s in (sweep, other)] == [2, 3]
    with pytest.raises(SpecError, match="axes"):
        sweep.changed({"axes": {"seed": []}})


def test_what_is_not_at_its_default_is_shown_in_a_line() -> None:
    shown = repr(Experiment.model_validate({"network": {"n_neurons": 12}, "targets": {"kind": "sine"}}))
    assert shown == "Experiment(network=Network(n_neurons=12), targets=SineTargets(kind='sine'))"
    document = {"network": {"n_neurons": 12}, "targets": {"kind": "sine"}}
    sweep = Sweep.model_validate({"name": "s", "experiment": document, "axes": {"seed": [1, 2, 3]}, "replicates": 2})
    assert repr(sweep).startswith("Sweep(name='s', points=6 = 3 seed x 2 replicate, experiment=")


def test_every_object_of_a_session_is_shown_in_short_and_as_a_table() -> None:
    made = problem(12)
    trained = hpcspike.train(made, hpcspike.Training(n_loops=1))
    evoked = trained.evoke(trials=2)
    for thing in (experiment(), Sweep.model_validate({"experiment": experiment().model_dump()}), made, trained, evoked):
        assert "\n" not in repr(thing)
        assert len(repr(thing)) < 700
        assert type(thing).__name__ in repr(thing)
        html = thing._repr_html_()
        assert html.count("<tr>") >= 3
        assert len(html) < 4000
    assert repr(made) == (
        f"Problem(neurons: 12 theta, synapses: {len(made.plastic.weight)} plastic, 0 fixed, "
        "targets: 1 of 100 ms every 1 ms, cue: 20 ms)"
    )
    spikes = len(evoked.spikes[0].step)
    assert repr(evoked.spikes[0]) == f"Spikes(step=<{spikes} int32>, neuron=<{spikes} int32>)"


def test_whole_numbers_may_have_an_exponent_as_long_as_it_loses_no_digits() -> None:
    first = experiment()
    assert [first.changed(seed=value).seed for value in (100, 100.0, 1e2, 2.0**53)] == [100, 100, 100, 2**53]
    assert experiment_hash(first.changed(seed=1e2)) == experiment_hash(first.changed(seed=100))
    assert first.changed(seed=2**53 + 1).seed == 2**53 + 1
    with pytest.raises(SpecError, match=r"seed = 1e\+16: a whole number above 2\^53 with a point or an exponent loses"):
        first.changed(seed=1e16)
