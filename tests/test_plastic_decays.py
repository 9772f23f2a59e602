"""Decay times of the plastic synapses onto single neurons: r, drive and learning of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import hpcspike
from hpcspike.engine import checkpoint
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.checkpoint_identity import identify
from hpcspike.engine.simulation import Simulation
from hpcspike.engine.trainer import Trainer
from hpcspike.engine.trial import give_spike, take_spike_back
from hpcspike.errors import SpecError
from hpcspike.model.build import build_problem
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.validation import validate_experiment
from tests.mpi_launch import launch
from tests.test_feed_forward import F, fed, state_of

N = 60
TWO = {"excitatory": 15.0, "inhibitory": 45.0}


def slow_and_fast(**changes: Any) -> Experiment:
    """The balanced network with a feed-forward population; decay times of its two populations differ."""
    synapse = {"tau_syn_ms": 30.0, "by_neuron": {"tau_syn_ms": TWO}, **changes.pop("synapse", {})}
    return fed(synapse=synapse, **changes)


@pytest.mark.parametrize("algorithm", ["blocked", "textbook"])
def test_learning_is_least_squares_with_r_of_the_neurons_own_decay(algorithm: str) -> None:
    made = build_problem(slow_and_fast(training={"algorithm": algorithm, "n_loops": 1, "row_sum_penalty": 0.0}))
    trainer = Trainer(made, made.training)
    live, rows = trainer.simulation, (3, 40)
    raster: list[Any] = []
    original = live.run_interval

    def watched(*args: Any, **kwargs: Any) -> Any:
        raster.append(original(*args, **kwargs))
        return raster[-1]

    live.run_interval = watched  # type: ignore[method-assign]
    taus = np.array([15.0] * 30 + [45.0] * 30)
    r = {tau: np.zeros(made.n_sources) for tau in (15.0, 45.0)}
    drive, fixed, goals = np.zeros(N), [], []
    seen: dict[int, list[np.ndarray]] = {row: [] for row in rows}
    trainer.on_update = lambda one: fixed.append((live.static_drive + live.inhibitory_drive).copy())
    sources = [
        made.plastic.presynaptic[a:b] for a, b in zip(made.plastic.start[:-1], made.plastic.start[1:], strict=True)
    ]
    for step in range(trainer.steps_per_loop):
        weight = live.weight.copy()
        trainer.advance(1)
        assert live.feed is not None
        spiked = np.concatenate([raster[-1].neuron, live.feed.spikes(step, 1)[1]])
        for tau, own in r.items():
            own *= 1 - 0.1 / tau
            own[spiked] += 10.0 / tau
        drive *= 1 - 0.1 / taus
        for row in range(N):
            heard = weight[made.plastic.start[row] : made.plastic.start[row + 1]][np.isin(sources[row], spiked)]
            drive[row] += 10.0 / taus[row] * heard.sum()
        if len(fixed) > len(goals):
            goals.append(trainer.goals[0, len(goals)])
            for row in rows:
                seen[row].append(r[taus[row]][sources[row]].copy())
    assert len(goals) == 3
    np.testing.assert_allclose(live.plastic_drive, drive, atol=1e-9)
    for row in rows:
        q, low, high = np.array(seen[row]), made.plastic.start[row], made.plastic.start[row + 1]
        price = np.diag(np.where(sources[row] >= N, 100.0, 4.0))
        start, wanted = made.plastic.weight[low:high], np.array(goals)[:, row] - np.array(fixed)[:, row]
        change = np.linalg.solve(price + q.T @ q, q.T @ (wanted - q @ start))
        assert np.abs(change).max() > 1e-4
        np.testing.assert_allclose(live.weight[low:high], start + change, atol=1e-9)


def test_one_decay_time_of_each_is_that_of_all() -> None:
    """Also where it is another one than the shared, of which r is kept, too."""
    shared, listed, other = (
        hpcspike.train(build_problem(fed(synapse=synapse))).simulation.weight
        for synapse in (
            {"tau_syn_ms": 45.0},
            {"tau_syn_ms": 45.0, "by_neuron": {"tau_syn_ms": [45.0] * N}},
            {"tau_syn_ms": 30.0, "by_neuron": {"tau_syn_ms": [45.0] * N}},
        )
    )
    np.testing.assert_array_equal(shared, listed)
    np.testing.assert_array_equal(shared, other)
    assert "by_neuron" not in fed().model_dump()["synapse"]


def test_stretches_and_resumes_give_the_same_bits(tmp_path: Path) -> None:
    made = build_problem(slow_and_fast())
    far, near = Trainer(made, made.training), Trainer(made, made.training)
    while not far.finished:
        far.advance_far(400)
    identity, cuts = identify(near, None), {150, 555, 801}
    while not near.finished:
        near.advance(1 if any(abs(near.steps - cut) < 30 for cut in cuts) else 20)
        if near.steps in cuts:
            cuts.remove(near.steps)
            checkpoint.save(near, Checkpoints(tmp_path), identity)
            near = Trainer(made, made.training)
            assert checkpoint.resume(near, Checkpoints(tmp_path), identity)
    assert not cuts
    assert state_of(near) == state_of(far)
    assert far.simulation.filtered.shape == (3 * (N + F),)


def test_a_spike_that_is_given_and_taken_back_leaves_nothing() -> None:
    made = build_problem(slow_and_fast())
    made.plastic.weight[:] = 0.1
    live = Simulation(made)
    neuron = int(made.plastic.presynaptic[0])
    live.run_interval(1, made.input)
    before = live.plastic_drive.copy(), live.filtered.copy()
    give_spike(live, neuron)
    added = live.plastic_drive - before[0]
    for row in np.flatnonzero(added):
        tau = 15.0 if row < 30 else 45.0
        own = slice(made.plastic.start[row], made.plastic.start[row + 1])
        expected = 10.0 / tau * made.plastic.weight[own][made.plastic.presynaptic[own] == neuron].sum()
        assert added[row] == pytest.approx(expected)
    assert added.any()
    np.testing.assert_allclose(
        (live.filtered - before[1]).reshape(3, -1)[:, neuron], 10.0 / np.array([30.0, 15.0, 45.0])
    )
    take_spike_back(live, neuron)
    np.testing.assert_allclose(live.plastic_drive, before[0], atol=1e-15)
    np.testing.assert_allclose(live.filtered, before[1], atol=1e-15)


@pytest.mark.mpi
def test_two_ranks_give_the_same_file(tmp_path: Path) -> None:
    document = slow_and_fast(targets={"duration_ms": 40.0}, neuron={"by_neuron": {"threshold": [1.0, 0.9] * 30}})
    document = slow_and_fast(
        targets={"duration_ms": 40.0}, stimulus={"amplitude": 0.0, "duration_ms": 10.0, "noise": 0.3},
        neuron={"by_neuron": {"threshold": {"mean": 1.0, "standard_deviation": 0.05}}},
        feed_forward={"covariance": "joint"},
    )  # fmt: skip
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(document.model_dump(mode="json") | {"name": "two"}))
    found = {}
    for ranks in (0, 2):
        line = f"train two.yaml --threads 1 --out {ranks}.zarr"
        done = launch(ranks, Path(__file__).with_name("mpi_train.py"), 2000, line, folder=tmp_path, timeout=120.0)
        assert done.code == 0, done
        found[ranks] = hpcspike.open_network(tmp_path / f"{ranks}.zarr").load()
    for name, values in found[0].items():
        if name != "curve_seconds":
            np.testing.assert_array_equal(found[2][name], values, err_msg=str(name))


@pytest.mark.parametrize(
    ("own", "training", "message"),
    {
        "length": ([15.0, 30.0], {}, r"synapse\.by_neuron\.tau_syn_ms has 2 numbers: must be one for each of the 60"),
        "many": ([float(k % 17 + 10) for k in range(N)], {}, "has 17 different numbers.*must be at most 16"),
        "normal": ({"mean": 30.0, "standard_deviation": 1.0}, {}, "normally distributed.*give a value for each pop"),
        "short": ({"excitatory": 0.01, "inhibitory": 30.0}, {}, r"the shortest is 0\.01 ms; must be at least"),
        "rate": (TWO, {"variable": "rate", "transfer": "measured"}, "choose training.variable: drive"),
    }.values(),
)
def test_what_cannot_be_is_refused(own: Any, training: dict[str, Any], message: str) -> None:
    document = fed(training=training, trial_noise={"standard_deviation": 0.1}).model_dump(mode="json")
    document["synapse"]["by_neuron"] = {"tau_syn_ms": own}
    with pytest.raises(SpecError, match=message):
        validate_experiment(document)


@pytest.mark.parametrize("algorithm", ["blocked", "textbook", "textbook_blas"])
def test_the_prior_gain_is_that_of_p_before_the_update(algorithm: str) -> None:
    """From P(0) on, where both have the same P and error: its change is 1 + r P r times as large."""
    settings = {"algorithm": algorithm, "n_loops": 1, "row_sum_penalty": 0.0, "ridge": 0.01, "feed_forward_ridge": None}
    changes, products = {}, []
    for gain in ("recursive", "prior"):
        made = build_problem(fed(training={**settings, "gain": gain}, synapse={"weight_acts": "at_once"}))
        trainer = Trainer(made, made.training)
        live = trainer.simulation
        while not trainer.updated:
            trainer.advance(1)
        changes[gain] = live.weight - made.plastic.weight
        if gain == "prior":
            row = np.repeat(np.arange(N), made.in_degree)
            squares = np.bincount(row, live.filtered[made.plastic.presynaptic] ** 2, minlength=N)
            products = (1.0 + squares / 0.01)[row]
            drive = np.bincount(row, live.weight * live.filtered[made.plastic.presynaptic], minlength=N)
            np.testing.assert_allclose(live.plastic_drive, drive, atol=1e-10)
    assert np.max(products) > 1.5
    np.testing.assert_allclose(changes["prior"], changes["recursive"] * products, rtol=1e-7, atol=1e-12)


def test_engines_agree_on_the_prior_gain() -> None:
    found = []
    for algorithm in ("blocked", "textbook", "textbook_blas"):
        experiment = fed(training={"algorithm": algorithm, "gain": "prior", "ridge": 40.0})
        found.append(hpcspike.train(build_problem(experiment)).simulation.weight)
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-10)
    assert not np.allclose(found[0], hpcspike.train(build_problem(fed(training={"ridge": 40.0}))).simulation.weight)
