"""Networks that other learners than rls trained run again from their Datasets, and training goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hpcspike
from hpcspike import live_network
from hpcspike.errors import SpecError
from tests.test_live_network import same
from tests.test_one_road import LEARNERS as TO_MEMORY
from tests.test_one_road import asked, needs_jax

LEARNERS = {
    **{name: settings for name, settings in TO_MEMORY.items() if name != "rls"},
    "eprop": {"kind": "eprop", "passes": 3, "batch": 2, "steps_per_pass": 1, "n_readouts": 5},
    "lstm": {"kind": "lstm", "passes": 3, "batch": 2, "steps_per_pass": 1, "n_readouts": 5},
}
"""Every learner but rls and users' own."""


def test_these_are_all_learners() -> None:
    from hpcspike.spec.learners import LEARNERS as SECTIONS

    assert {str(settings["kind"]) for settings in LEARNERS.values()} | {"rls", "user"} == set(SECTIONS)


@needs_jax
@pytest.mark.parametrize("name", ["eprop", "lstm"])
def test_trials_of_learners_like_lsnn_are_the_stored_ones(name: str) -> None:
    network = hpcspike.run(asked("rls", learner=LEARNERS[name]))
    live = live_network(network)
    same(live.test(2), network)
    with pytest.raises(SpecError, match="clamp, add_spike: a network that learner"):
        live.test(1, clamp={0: 1.0}, add_spike=(0, 50.0))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=needs_jax if name in ("lsnn", "huh") else ()) for name in TO_MEMORY if name != "rls"],
)
def test_a_network_of_another_learner_runs_again_and_goes_on_as_if_it_had_not_ended(name: str, tmp_path: Path) -> None:
    experiment = asked(name)
    network = hpcspike.run(experiment)
    live = live_network(network)
    found = live.test(2)
    same(found, network)
    assert found["initial_state"].dims == ("trial", "state_variable", "neuron")
    on = live.train(2)
    on.save(tmp_path / "on.nc")
    same(live_network(tmp_path / "on.nc").test(2), on.test(2))
    assert on.changes == ("trained for 2 more passes, from the state of its rule",)
    if name != "alemi":  # whose feedback depends on how many passes there will be
        whole = hpcspike.run(asked(name, learner={**LEARNERS[name], "passes": LEARNERS[name]["passes"] + 2}))
        for key in (key for key in whole.data_vars if str(key).startswith(("state_", "weights_"))):
            np.testing.assert_array_equal(on.dataset()[key].values, whole[key].values, err_msg=str(key))
    silent = live.test(1, silence=[0, 1])
    assert not np.isin(silent["spike_neuron"], [0, 1]).any()
    with pytest.raises(SpecError, match="cannot be tested so"):
        live.test(1, clamp={0: 1.0})
    if name in ("alemi", "bourdoukan"):
        with pytest.raises(SpecError, match="has no other input"):
            live.test(1, stimulus=np.zeros((3, 1)))
    else:
        usual = live.learner.task.sample("test", 0).stimulus  # type: ignore[attr-defined]
        whole_input = np.concatenate([usual.cue, usual.input])
        np.testing.assert_array_equal(live.test(1, stimulus=whole_input)["response"], live.test(1)["response"])
        assert not np.array_equal(live.test(1, stimulus=50.0 + whole_input)["response"], live.test(1)["response"])
