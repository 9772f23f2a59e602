"""A feed-forward population: its spikes, its weights per condition, ranks and resumption."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import hpcspike
from hpcspike.engine import checkpoint
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.checkpoint_identity import identify
from hpcspike.engine.trainer import Trainer
from hpcspike.errors import SpecError
from hpcspike.model.build import build_problem
from hpcspike.model.feed_forward import FeedPath, feed_forward_population, rate_path
from hpcspike.rls import reference
from hpcspike.spec.experiment import Experiment, FeedForward
from hpcspike.spec.validation import validate_experiment
from tests.mpi_launch import launch
from tests.test_balanced_program import balanced

F = 12
CHANGES: dict[str, Any] = {
    "feed_forward": {"n_neurons": F, "mean_hz": 40.0, "noise": 1.0, "smoothing_ms": 5.0},
    "targets": {"kind": "sine", "duration_ms": 60.0, "n_sets": 2, "grid_ms": 20.0},
    "protocol": {"free_run_ms": 10.0, "test_free_run_ms": 10.0, "start": "random"},
    "training": {
        "update_interval_ms": 20.0, "n_loops": 2, "ridge": 4.0, "row_sum_penalty": 800.0, "feed_forward_ridge": 100.0,
    },
    "synapse": {"tau_syn_ms": 30.0},
}  # fmt: skip
SECTION = FeedForward(n_neurons=300)


def fed(**changes: Any) -> Experiment:
    """The balanced network with a feed-forward population and two target sets."""
    sections = {key: {**CHANGES.get(key, {}), **changes.get(key, {})} for key in {*CHANGES, *changes}}
    return balanced(60, 10, **sections)


def test_spikes_have_the_rate_that_was_asked_for() -> None:
    quiet = SECTION.changed(noise=0.0)
    made = feed_forward_population(quiet, n_sets=1, n_steps=20_000, step_ms=0.1, key=(1, 0))
    assert made is not None
    path = FeedPath(made, 1000, (1, 0), "training_feed", 3, 0, 10_000)
    bounds, sources = path.spikes(0, 30_000)
    assert abs(len(sources) - 3000) < 165  # three standard deviations
    assert bounds[10_000] == 0  # silent before the window
    assert bounds[-1] == len(sources)
    assert sources.min() >= 1000
    assert sources.max() < 1300
    part, some = path.spikes(12_340, 500)
    np.testing.assert_array_equal(some, sources[bounds[12_340] : bounds[12_840]])
    np.testing.assert_array_equal(part, bounds[12_340:12_841] - bounds[12_340])
    others = [FeedPath(made, 1000, (1, 0), *key, 0, 10_000) for key in (("training_feed", 4), ("test_feed", 3))]
    assert all(other.spikes(0, 30_000)[1].tolist() != sources.tolist() for other in others)


def test_rates_are_smoothed_ornstein_uhlenbeck_paths() -> None:
    section = SECTION.changed(smoothing_ms=0.3, mean_hz=2.0)
    normals = np.random.default_rng(5).standard_normal(40)
    path = [2.0]
    for kick in normals[1:]:
        path.append(path[-1] + (2.0 - path[-1]) * 0.1 / 400 + 0.2 * np.sqrt(0.1) * kick)
    expected = [max(0.0, np.mean(path[max(0, n - 3) : n + 4])) for n in range(40)]
    np.testing.assert_allclose(rate_path(section, 40, 0.1, np.random.default_rng(5)), expected, atol=1e-12)
    made = feed_forward_population(SECTION, n_sets=2, n_steps=20_000, step_ms=0.1, key=(1, 0))
    assert made is not None
    rates = made.chance * 10_000.0
    assert rates.min() >= 0.0
    assert rates.mean() == pytest.approx(5.16, abs=0.3)
    assert rates[:, :, 10_000:].std() == pytest.approx(2.5, abs=0.2)
    assert not np.array_equal(rates[0], rates[1])


def test_training_is_that_of_a_dense_program() -> None:
    """r, drive and weights of both kinds of sources, by definition from the spikes."""
    made = build_problem(fed(training={"n_loops": 1}))
    trainer = Trainer(made, made.training)
    n, steps, live = made.n_neurons, trainer.steps_per_loop, trainer.simulation
    factor, jump = 1 - 0.1 / 30.0, 10.0 / 30.0
    rows = list(itertools.pairwise(made.plastic.start))
    weights = [made.plastic.weight[low:high].copy() for low, high in rows]
    sources = [made.plastic.presynaptic[low:high] for low, high in rows]
    group = [np.where(s >= n, 2, s >= made.first_inhibitory) for s in sources]
    matrices = []
    for g in group:
        price = np.diag(np.where(g == 2, 100.0, 4.0)) + 800.0 * ((g[:, None] == g) & (g < 2))
        matrices.append(np.linalg.inv(price))
    r, drive = np.zeros(n + F), np.zeros(n)
    raster = []
    original = live.run_interval

    def watched(*args: Any, **kwargs: Any) -> Any:
        spikes = original(*args, **kwargs)
        raster.append((trainer.steps, spikes))
        return spikes

    live.run_interval = watched  # type: ignore[method-assign]
    update = 0
    for step in range(steps):
        trainer.advance(1)
        assert live.feed is not None
        feed = live.feed.spikes(step, 1)[1]
        spiked = np.concatenate([raster[-1][1].neuron, feed])
        r *= factor
        r[spiked] += jump
        drive *= factor
        for i in range(n):
            drive[i] += jump * weights[i][np.isin(sources[i], spiked)].sum()
        if trainer.cursor.update > update or trainer.loop == 1:
            update += 1
            fixed, goal = live.static_drive + live.inhibitory_drive, trainer.goals[0, update - 1]
            for i in range(n):
                # the weights act on later spikes only: the error is of w.r, not of the drive
                error = goal[i] - fixed[i] - weights[i] @ r[sources[i]]
                weights[i], matrices[i] = reference.update(weights[i], matrices[i], r[sources[i]], error)
        if trainer.loop == 1:
            break
    assert update == 3
    assert (r[n:] > 0.0).sum() > F / 2
    np.testing.assert_allclose(live.filtered, r, rtol=1e-10)
    np.testing.assert_allclose(live.plastic_drive, drive, atol=1e-10)
    np.testing.assert_allclose(live.weight, np.concatenate(weights), atol=1e-9)
    np.testing.assert_allclose(trainer.rls.covariance(7), matrices[7], atol=1e-9)


def state_of(trainer: Trainer) -> dict[str, Any]:
    numbers = trainer.state_numbers()
    del numbers["loop_seconds"], numbers["curve"]["seconds"]
    return {a.name: a.take(0, trainer.problem.n_rows).tobytes() for a in trainer.state_arrays()} | numbers


def test_a_condition_leaves_the_weights_of_others_alone() -> None:
    made = build_problem(fed())
    trainer = Trainer(made, made.training)
    while trainer.loop < 1:
        trainer.advance_far(5000)
    after_first = trainer.simulation.feed_forward_weights()
    assert (after_first[0] != 0.0).mean() > 0.5
    assert not after_first[1].any()
    while trainer.loop < 2:
        trainer.advance_far(5000)
    after_second = trainer.simulation.feed_forward_weights()
    np.testing.assert_array_equal(after_second[0], after_first[0])
    assert (after_second[1] != 0.0).mean() > 0.5
    assert not np.array_equal(after_second[0], after_second[1])


def test_stretches_resumes_and_blocks_of_steps_give_the_same_bits(tmp_path: Path) -> None:
    made = build_problem(fed())
    far, near = Trainer(made, made.training), Trainer(made, made.training)
    identity = identify(near, None)
    cuts = {50, 100, 150, 237, 400, 777, 801, 1000, 1311, 2222, 3999}
    while not far.finished:
        far.advance_far(400)
    while not near.finished:
        near.advance(1 if any(abs(near.steps - cut) < 30 for cut in cuts) else 20)
        if near.steps in cuts:
            cuts.remove(near.steps)
            checkpoint.save(near, Checkpoints(tmp_path), identity)
            near = Trainer(made, made.training)
            assert checkpoint.resume(near, Checkpoints(tmp_path), identity)
    assert len(cuts) <= 3
    assert state_of(near) == state_of(far)


def test_tests_use_the_weights_of_their_condition() -> None:
    trained = hpcspike.train(build_problem(fed()))
    first, second = (trained.evoke(target_set, 1) for target_set in (0, 1))
    again = trained.evoke(0, 1)
    np.testing.assert_array_equal(again.drive, first.drive)
    assert not np.array_equal(second.drive, first.drive)
    trained.simulation.weight_sets[1 - trained.simulation.set_in_use] *= 3.0
    changed = [trained.evoke(target_set, 1).drive for target_set in (0, 1)]
    assert [np.array_equal(a, b.drive) for a, b in zip(changed, (first, second), strict=True)] == [False, True]


@pytest.mark.slow  # tests/test_subset.py has one rank test of such a network in the normal run
@pytest.mark.mpi
def test_ranks_give_the_same_files(tmp_path: Path) -> None:
    document = fed(targets={"duration_ms": 40.0}).model_dump(mode="json") | {"name": "fed"}
    (tmp_path / "fed.yaml").write_text(yaml.safe_dump(document))
    found = {}
    for ranks, threads in ((0, 1), (2, 1), (3, 1)):
        line = f"train fed.yaml --threads {threads} --out {ranks}.zarr"
        program = Path(__file__).with_name("mpi_train.py")
        done = launch(ranks, program, 2000, line, folder=tmp_path, timeout=120.0)
        assert done.code == 0, done
        found[ranks] = hpcspike.open_network(tmp_path / f"{ranks}.zarr").load()
    for ranks in (2, 3):
        for name, values in found[0].items():
            if name not in ("curve_seconds",):
                np.testing.assert_array_equal(found[ranks][name], values, err_msg=str(name))
    whole = found[0]
    assert whole["feed_forward_weight"].shape == (2, 60 * F)
    assert whole["presynaptic"].max() < 60
    assert whole["row_start"][-1] == whole.sizes["synapse"] == 60 * 6


def test_joint_p_is_least_squares_over_both_conditions() -> None:
    """Inputs of each condition of their own, so that the recursion is the batch solution over all updates."""
    made = build_problem(fed(feed_forward={"covariance": "joint"}, training={"n_loops": 2, "ridge": 4.0}))
    trainer = Trainer(made, made.training)
    live, n, row = trainer.simulation, made.n_neurons, 3
    low, high = made.plastic.start[row], made.plastic.start[row + 1]
    sources = made.plastic.presynaptic[low:high]
    assert (sources >= n).sum() == 2 * F
    regressors, goals = [], []

    def note(watched: Trainer) -> None:
        fixed = live.static_drive + live.inhibitory_drive
        regressors.append(live.filtered[sources].copy())
        goals.append(trainer.goals[watched.target_set, watched.cursor.update, row] - fixed[row])

    trainer.on_update = note
    while not trainer.finished:
        trainer.advance(1000)
    q, f = np.array(regressors), np.array(goals)
    first = (sources >= n) & (sources < n + F)
    assert not q[3:6, first].any()
    assert not q[:3, sources >= n + F].any()
    group = np.where(sources >= n, 2, sources >= made.first_inhibitory)
    price = np.diag(np.where(group == 2, 100.0, 4.0)) + 800.0 * ((group[:, None] == group) & (group < 2))
    start = made.plastic.weight[low:high]
    change = np.linalg.solve(price + q.T @ q, q.T @ (f - q @ start))
    np.testing.assert_allclose(live.weight[low:high], start + change, atol=1e-9)
    assert live.feed_forward_weights().shape == (1, n * 2 * F)


def test_joint_p_gives_the_same_bits_in_stretches_and_from_a_file() -> None:
    experiment = fed(feed_forward={"covariance": "joint"}, protocol={"start": "running"}, training={"keep": "last"})
    made = build_problem(experiment)
    far, near = Trainer(made, made.training), Trainer(made, made.training)
    while not far.finished:
        far.advance_far(400)
    while not near.finished:
        near.advance(7)
    assert state_of(near) == state_of(far)
    network = hpcspike.run(experiment)
    tested = hpcspike.live_network(network).test(trials=1)
    np.testing.assert_array_equal(tested["response"].values, network["response"].values[:, :1])


def test_joint_p_of_shared_weights_is_refused() -> None:
    document = fed().model_dump(mode="json")
    document["feed_forward"] |= {"covariance": "joint", "weights": "shared"}
    with pytest.raises(SpecError, match=r"feed_forward\.weights = shared; choose weights: per_condition"):
        validate_experiment(document)


def test_weights_per_condition_need_a_fresh_start() -> None:
    document = fed().model_dump(mode="json")
    document["protocol"]["start"] = "running"
    with pytest.raises(SpecError, match=r"protocol\.start: random"):
        validate_experiment(document)
