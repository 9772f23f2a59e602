"""Adaptive neurons trained through time: recurrences, pseudo-derivative, rewiring, and the learner on top."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

jax = pytest.importorskip("jax", reason="needs the extra gradient")
pytest.importorskip("optax", reason="needs the extra gradient")

import jax.numpy as jnp  # noqa: E402

from hpcspike.errors import DataError, Interrupted, SpecError  # noqa: E402
from hpcspike.learners import tasks  # noqa: E402
from hpcspike.learners.assignment import learner_of  # noqa: E402
from hpcspike.learners.deep_r import rewired, sparse_start, weights_of  # noqa: E402
from hpcspike.learners.gradient_tasks import store_recall  # noqa: E402
from hpcspike.learners.interface import Budget, Stimulus, Task, Trial  # noqa: E402
from hpcspike.learners.lsnn import LsnnLearner  # noqa: E402
from hpcspike.learners.lsnn_model import (  # noqa: E402
    delayed_product,
    make_cell,
    rate_penalty,
    simulate,
    spike,
    start_state,
    without_diagonal,
)
from hpcspike.learners.sequential_mnist import sequential_mnist  # noqa: E402
from hpcspike.spec.load import validate_experiment  # noqa: E402

STORE_RECALL: dict[str, Any] = {
    "kind": "lsnn", "steps_per_pass": 1, "batch": 128, "learning_rate": 0.01, "rate_decay": 0.3,
    "rate_decay_every": 100, "tau_adaptation_ms": 1200.0, "n_delays": 10, "input_gain": 1.0,
}  # fmt: skip
"""Settings of the published store-recall task."""


# ---- the recurrences -------------------------------------------------------------------------------------------------


def test_one_adaptive_neuron_follows_the_recurrences_exactly() -> None:
    rng = np.random.default_rng(1)
    inputs = (rng.random((400, 3)) < 0.2).astype(np.float64)
    w_in, delay = rng.normal(size=(3, 1)) * 0.3 + 0.2, np.array([[0], [4], [2]])
    with jax.enable_x64(True):
        cell = make_cell(beta=np.array([1.7]), tau_adaptation_ms=50.0, delays_in=delay)
        spikes, traces, last = simulate(
            cell,
            jnp.asarray(w_in),
            jnp.zeros((1, 1)),
            jnp.asarray(inputs)[:, None],
            start_state(cell, jnp.zeros((1, 1))),
        )
    alpha, rho, kappa, threshold = np.exp(-1 / 20.0), np.exp(-1 / 50.0), np.exp(-1 / 20.0), 0.01
    v = b = z = trace = 0.0
    silent, wanted, wanted_trace = 0, [], []
    for t in range(400):
        current = sum(w_in[i, 0] * inputs[t - delay[i, 0], i] for i in range(3) if t >= delay[i, 0])
        b = rho * b + (1 - rho) * z
        bound = threshold + 1.7 * b
        v, before = alpha * v + (1 - alpha) * current - z * bound, v
        z = float(before > bound and silent == 0)
        silent = 3 if z else max(silent - 1, 0)
        trace = kappa * trace + (1 - kappa) * z
        wanted.append(z)
        wanted_trace.append(trace)
    assert 20 < sum(wanted) < 100
    np.testing.assert_array_equal(np.asarray(spikes).ravel(), wanted)
    np.testing.assert_allclose(np.asarray(traces).ravel(), wanted_trace, rtol=1e-12)
    np.testing.assert_allclose(float(last.v[0, 0]), v, rtol=1e-9)
    np.testing.assert_allclose(float(last.b[0, 0]), b, rtol=1e-12)


def test_recurrent_spikes_arrive_after_their_delay_and_lost_ones_never() -> None:
    delays = np.array([[0, 3], [0, 0]])
    cell = make_cell(beta=np.zeros(2), delays_rec=delays)
    w_rec = without_diagonal(jnp.full((2, 2), 0.3))
    # only the first neuron is driven, for one step
    inputs = jnp.zeros((12, 1, 1)).at[0].set(1.0)
    w_in = jnp.array([[0.3, 0.0]])
    start = start_state(cell, jnp.zeros((1, 2)))
    spikes, _, _ = simulate(cell, w_in, w_rec, inputs, start)
    first, second = (np.flatnonzero(np.asarray(spikes)[:, 0, j])[0] for j in (0, 1))
    # v one step after the input, z one after that; the same again after three more steps of delay
    assert (first, second) == (1, 1 + 3 + 2)
    silent, _, _ = simulate(cell, w_in, w_rec, inputs, start, sent=jnp.ones((12, 2)).at[first, 0].set(0.0))
    assert np.flatnonzero(np.asarray(silent)[:, 0, 0])[0] == first
    assert not np.asarray(silent)[:, 0, 1].any()


def test_delayed_products_are_the_currents_of_every_delay() -> None:
    rng = np.random.default_rng(2)
    signal, weights, delays = rng.normal(size=(9, 2, 3)), rng.normal(size=(3, 4)), rng.integers(0, 5, (3, 4))
    wanted = np.zeros((9, 2, 4))
    for t in range(9):
        for i in range(3):
            for j in range(4):
                if t >= delays[i, j]:
                    wanted[t, :, j] += weights[i, j] * signal[t - delays[i, j], :, i]
    found = delayed_product(jnp.asarray(signal, jnp.float32), jnp.asarray(weights, jnp.float32), delays)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_pseudo_derivative_is_largest_at_threshold_and_ends_one_threshold_away() -> None:
    slope = jax.vmap(jax.grad(spike))
    found = slope(jnp.array([0.0, 0.5, -0.5, 1.0, -1.0, 3.0]))
    np.testing.assert_allclose(found, [0.3, 0.15, 0.15, 0.0, 0.0, 0.0], atol=1e-7)
    np.testing.assert_array_equal(spike(jnp.array([-0.1, 0.0, 0.1])), [0.0, 0.0, 1.0])


def test_a_refractory_neuron_passes_no_gradient_from_its_spike() -> None:
    cell = make_cell(beta=np.zeros(1), refractory_steps=4)

    def spikes_of(v: Any) -> Any:
        start = start_state(cell, jnp.full((1, 1), v))._replace(silent=jnp.full((1, 1), 2, jnp.int32))
        return simulate(cell, jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.zeros((2, 1, 1)), start)[0].sum()

    assert float(spikes_of(0.011)) == 0.0
    assert float(jax.grad(spikes_of)(0.011)) == 0.0


def test_rate_penalty_counts_spikes_per_ms() -> None:
    spikes = jnp.zeros((100, 1, 2)).at[:5, :, 0].set(1.0)
    assert float(rate_penalty(spikes, step_ms=1.0, wanted_hz=10.0)) == pytest.approx(0.04**2 + 0.01**2)


# ---- rewiring --------------------------------------------------------------------------------------------------------


def test_rewiring_keeps_the_number_of_connections_and_touches_only_what_it_may() -> None:
    rng = np.random.default_rng(3)
    sign = np.where(np.arange(30) < 22, 1.0, -1.0)
    strength, allowed = sparse_start(rng, n_from=30, n_to=30, connectivity=0.2, sign=sign, recurrent=True)
    assert np.count_nonzero(strength) == round(0.2 * 30 * 29)
    radius = np.abs(np.linalg.eigvals(strength * sign[:, None])).max()
    assert radius == pytest.approx(1.0, abs=1e-4)
    theta, ever = jnp.asarray(strength), set(np.flatnonzero(strength).tolist())
    for step in range(50):
        stepped = theta + 0.1 * jnp.asarray(rng.normal(size=theta.shape), jnp.float32)
        after = rewired(
            theta, stepped, jnp.asarray(allowed), jax.random.key(step), rate=jnp.float32(0.01), l1=0.1, temperature=0.01
        )
        stayed = np.asarray((theta > 0) & (after > 1e-9))
        assert int((after > 0).sum()) == int((theta > 0).sum())
        assert float(after.min()) >= 0.0
        assert not np.asarray(after)[np.arange(30), np.arange(30)].any()
        assert 0 < stayed.sum() < int((theta > 0).sum())
        theta = after
        ever |= set(np.flatnonzero(np.asarray(theta)).tolist())
    weights = np.asarray(weights_of(theta, sign[:, None]))
    assert (weights[:22] >= 0).all()
    assert (weights[22:] <= 0).all()
    assert len(ever) > 2 * round(0.2 * 30 * 29)


def test_dormant_connections_have_a_gradient_of_their_sign() -> None:
    slope = jax.grad(lambda theta: weights_of(theta, jnp.array([1.0, -1.0, -1.0])).sum())
    np.testing.assert_array_equal(slope(jnp.array([0.0, 0.0, 2.0])), [1.0, -1.0, -1.0])


# ---- the learner -----------------------------------------------------------------------------------------------------


def _recall(
    n: int = 12, kind: str = "drive", samples: int = 60, periods: tuple[float, float] = (30.0, 60.0)
) -> Task:  # fmt: skip
    """Sine waves, cued for 20 ms."""
    time = np.arange(1, samples + 1)[:, None]
    target = 0.5 * np.sin(2 * np.pi * time / np.linspace(*periods, n))

    def sample(phase: Any, index: int) -> Trial:
        return Trial(Stimulus(index, np.ones((20, 1)), np.zeros((samples, 1)), phase), target, np.ones(samples, bool))

    return Task("sines", kind, "correlation", 1.0, samples, 20, n, 1, sample, n_trials=1)  # type: ignore[arg-type]


RECALLED: dict[str, dict[str, Any]] = {
    "readout": {"input_gain": 0.3},
    "drive": {"bias": 1.0, "weight_scale": 0.15},
}
"""Settings with which a small network learns to recall."""


def _learner(task: Task, **settings: Any) -> LsnnLearner:
    chosen = {"kind": "lsnn", "steps_per_pass": 10, "batch": 2, "input_gain": 0.3, "bias": 0.9, **settings}
    return LsnnLearner(chosen).build(task, n_neurons=12, seed=5)


@pytest.mark.parametrize(("kind", "n", "before", "after"), [("readout", 3, 0.7, 0.95), ("drive", 40, 0.2, 0.5)])
def test_sine_waves_are_recalled_from_new_initial_states(kind: str, n: int, before: float, after: float) -> None:
    task = _recall(n, kind, samples=120, periods=(80.0, 160.0))
    learner = LsnnLearner({"kind": "lsnn", "batch": 1, "learning_rate": 0.003, **RECALLED[kind]})
    learner.build(task, n_neurons=40, seed=5)
    assert tasks.assess(learner, task, trials=3).score.mean() < before
    learner.fit(Budget(passes=30))
    assert tasks.assess(learner, task, trials=3).score.min() > after


@pytest.mark.parametrize("settings", [{}, {"n_delays": 3, "connectivity": 0.4}])
def test_a_resumed_training_has_the_same_bits(settings: dict[str, Any], tmp_path: Path) -> None:
    from hpcspike.engine.checkpoint import Checkpoints

    task = _recall()
    learner = _learner(task, **settings)
    untrained = learner.state()
    history = learner.fit(Budget(passes=4))
    assert not np.array_equal(learner.state()["weights.w_rec"], untrained["weights.w_rec"])
    assert history["simulated_seconds"][-1] == pytest.approx(4 * 10 * 2 * 0.08)
    stopped = _learner(task, **settings)
    with pytest.raises(Interrupted):
        stopped.fit(Budget(passes=4), checkpoints=Checkpoints(tmp_path, stop_after_steps=2))
    resumed = _learner(task, **settings)
    resumed.fit(Budget(passes=4), checkpoints=Checkpoints(tmp_path))
    for name, value in learner.state().items():
        np.testing.assert_array_equal(value, resumed.state()[name], err_msg=name)
    for name in ("score_alone", "rate_hz", "simulated_seconds"):
        np.testing.assert_array_equal(history[name], resumed.history[name], err_msg=name)
    stimulus = task.sample("test", 0).stimulus
    np.testing.assert_array_equal(learner.rollout(stimulus).prediction, resumed.rollout(stimulus).prediction)


def test_bound_connections_keep_count_and_signs_through_training() -> None:
    learner = _learner(_recall(kind="readout"), connectivity=0.3)
    before = learner.weights()
    counted = learner.n_trained()
    learner.fit(Budget(passes=3))
    after = learner.weights()
    assert learner.n_trained() == counted
    assert not np.array_equal(after["w_rec"] != 0, before["w_rec"] != 0)
    for name in ("w_in", "w_rec"):  # signs belong to the neuron a connection comes from
        together = np.concatenate([before[name], after[name]], axis=1)
        assert ((together >= 0).all(axis=1) | (together <= 0).all(axis=1)).all()
    assert (after["w_out"] * before["w_out"] >= 0).all()


def test_a_rollout_answers_the_same_stimulus_alike_and_never_sees_a_target() -> None:
    task = _recall(kind="readout")
    learner = _learner(task)
    trial = task.sample("test", 1)
    first, again = learner.rollout(trial.stimulus), learner.rollout(trial.stimulus)
    np.testing.assert_array_equal(first.prediction, again.prediction)
    assert first.drive is None
    assert not np.array_equal(first.prediction, learner.rollout(task.sample("test", 2).stimulus).prediction)
    with pytest.raises(TypeError, match="must not see a target"):
        learner.rollout(trial)  # type: ignore[arg-type]


def test_killed_neurons_are_silent_and_a_deleted_spike_changes_only_what_follows() -> None:
    task = _recall(kind="readout")
    learner = _learner(task, input_gain=1.0)
    stimulus = task.sample("test", 0).stimulus
    whole = learner.rollout(stimulus)
    kill = np.arange(12) < 6
    assert not np.isin(learner.rollout(stimulus, kill=kill).spike_neuron, np.flatnonzero(kill)).any()
    inside = whole.spike_time_ms[whole.spike_time_ms > 0]
    late = learner.rollout(stimulus, delete_spike=len(inside) // 2)
    early = np.arange(1, 61) < inside[len(inside) // 2]
    assert early.any()
    np.testing.assert_array_equal(late.prediction[early], whole.prediction[early])
    assert not np.array_equal(late.prediction, whole.prediction)
    assert not np.array_equal(learner.rollout(stimulus, noise=3.0).prediction, whole.prediction)
    with pytest.raises(SpecError, match="the window has"):
        learner.rollout(stimulus, delete_spike=10**6)


def test_what_cannot_be_expressed_is_refused() -> None:
    with pytest.raises(SpecError, match="of kind 'rate'"):
        _learner(_recall(kind="rate"))
    with pytest.raises(SpecError, match="one per neuron"):
        _learner(_recall(n=3))
    with pytest.raises(SpecError, match="does not divide"):
        _learner(_recall(), step_ms=0.3)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_eight_trajectories_of_ten_correlation_times_are_recalled() -> None:
    sweep = yaml.safe_load((Path(__file__).parent.parent / "cluster" / "config" / "learners.yaml").read_text())
    section = next(one for one in sweep["axes"]["learner"] if one["kind"] == "lsnn")
    targets = {"kind": "ou", "duration_ms": 1000.0, "tau_corr_ms": 100.0, "standard_deviation": 0.5}
    learner, task = learner_of(
        validate_experiment(
            {"seed": 1, "network": {"n_neurons": 200}, "targets": targets, "stimulus": {"duration_ms": 50.0},
             "learner": section}
        )
    )  # fmt: skip
    learner.fit(Budget(passes=learner.passes()))
    assert tasks.assess(learner, task, trials=5).score.mean() >= 0.9


# ---- store and recall ------------------------------------------------------------------------------------------------


def test_store_recall_asks_for_the_bit_of_the_last_store() -> None:
    task = store_recall(seed=3)
    rates = []
    for index in range(40):
        trial = task.sample("train", index)
        shown = trial.stimulus.input.reshape(12, 200, 4, 25).mean(axis=(1, 3)) * 1000.0
        active = shown > 10.0
        stored, asked = None, 0
        for slot in range(12):
            bits = active[slot, :2]
            answer = trial.target[200 * slot : 200 * (slot + 1)]
            scored = trial.scored[200 * slot : 200 * (slot + 1)]
            if active[slot, 3]:
                assert not bits.any()
                assert scored.all()
                assert stored is not None
                assert (answer.argmax(axis=1) == stored).all()
                stored, asked = None, asked + 1
            else:
                assert bits.sum() == 1
                assert not scored.any()
                if active[slot, 2]:
                    assert stored is None
                    stored = int(bits[1])
        assert stored is None
        assert asked >= 1
        rates.append(shown[active].mean())
    assert np.mean(rates) == pytest.approx(50.0, rel=0.05)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_ten_adaptive_neurons_keep_a_bit_and_leaky_ones_alone_do_not() -> None:
    learned = 0
    for seed in (1, 2, 3):
        learner = LsnnLearner(STORE_RECALL).build(store_recall(seed=seed), n_neurons=20, seed=seed)
        errors: list[float] = []
        while len(errors) < 200 and not (len(errors) >= 20 and np.mean(errors[-20:]) < 0.05):
            errors.append(learner.advance(len(errors))["score_alone"])
        learned += bool(np.mean(errors[-20:]) < 0.05)
    assert learned >= 2
    control = LsnnLearner({**STORE_RECALL, "adaptive_share": 0.0}).build(store_recall(seed=1), n_neurons=20, seed=1)
    errors = [control.advance(number)["score_alone"] for number in range(120)]
    assert np.mean(errors[-20:]) >= 0.2


# ---- sequential images -----------------------------------------------------------------------------------------------


def _write_images(folder: Path, prefix: str, images: np.ndarray, labels: np.ndarray, *, compressed: bool) -> None:
    head = struct.pack(">4i", 2051, *images.shape)
    for name, content in (
        (f"{prefix}-images-idx3-ubyte", head + images.tobytes()),
        (f"{prefix}-labels-idx1-ubyte", struct.pack(">2i", 2049, len(labels)) + labels.tobytes()),
    ):
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def test_images_become_threshold_crossings_pixel_by_pixel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 4, 4), dtype=np.uint8)
    labels = np.arange(6, dtype=np.uint8)
    _write_images(tmp_path, "train", images, labels, compressed=True)
    _write_images(tmp_path, "t10k", images[:2], labels[:2], compressed=False)
    task = sequential_mnist(tmp_path, seed=1, n_levels=5)
    assert (task.n_inputs, task.n_outputs, task.n_samples) == (11, 10, 16 + 8)
    trial = task.sample("test", 1)
    pixels = images[1].ravel() / 255.0
    levels = np.linspace(0.0, 1.0, 5)
    given = trial.stimulus.input
    for t in range(1, 16):
        up = (pixels[t - 1] < levels) & (pixels[t] >= levels)
        down = (pixels[t - 1] >= levels) & (pixels[t] < levels)
        np.testing.assert_array_equal(given[t, :5], up)
        np.testing.assert_array_equal(given[t, 5:10], down)
    assert given[16:, 10].all()
    assert not given[:16, 10].any()
    assert int(trial.target[-1].argmax()) == 1
    assert np.flatnonzero(trial.scored).tolist() == [20, 21, 22, 23]
    learner = LsnnLearner({"kind": "lsnn", "input_gain": 1.0, "batch": 4, "connectivity": 0.2}).build(
        task, n_neurons=10, seed=1
    )
    assert np.isfinite(learner.advance(0)["score_alone"])


def test_missing_or_damaged_image_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        sequential_mnist(tmp_path, seed=1)
    images, labels = np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.uint8)
    for prefix in ("train", "t10k"):
        _write_images(tmp_path, prefix, images, labels, compressed=False)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\0\0" * 5)
    with pytest.raises(DataError, match="not an IDX file"):
        sequential_mnist(tmp_path, seed=1)
