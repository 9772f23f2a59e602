"""Steps of gradient descent on a task's loss, and runs of the trained network on its own (JAX)."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from hpcspike.errors import SpecError
from hpcspike.learners.adam import Weights, adam_start, adam_step, from_arrays, key_of, norm_clipped, to_arrays
from hpcspike.learners.interface import Rollout, refuse_absent_spike
from hpcspike.learners.tasks import PHASES
from hpcspike.learners.trials import Stimulus, Task, Trial

_MOST_CACHED = 64


class Activity(NamedTuple):
    """What a network did: spikes (steps, B, N), output (steps, B, d), charge released or spikes sent (steps, B, N),
    and the cost of its activity."""

    spikes: jax.Array
    output: jax.Array
    released: jax.Array
    cost: jax.Array


class Network(Protocol):
    """A differentiable network.

    Attributes
    ----------
    step_ms
        Integration step.
    start_weights
        Trained parameters at the start.
    relative_rates
        Factor of the learning rate of each of them.
    kick
        Membrane change of noise of strength 1 over one second: the distance from rest (or reset) to threshold.
    """

    step_ms: float
    start_weights: Weights
    relative_rates: dict[str, float]
    kick: float

    def random_start(self, key: jax.Array, n_batch: int) -> Any:
        """Random initial state of a batch."""

    def run(
        self,
        weights: Weights,
        inputs: jax.Array,
        start: Any,
        *,
        noise: jax.Array | None = None,
        alive: jax.Array | None = None,
        sent: jax.Array | None = None,
    ) -> Activity:
        """Run on inputs (steps, B, n_inputs); noise (steps, B, N), alive (N,), sent (steps, N)."""

    def settle(self, before: Weights, stepped: Weights, key: jax.Array, rate: jax.Array) -> Weights:
        """The weights after a step of the optimiser, within what is allowed."""

    def shown(self, weights: Weights) -> Weights:
        """The weights as they act."""

    def n_trained(self, weights: Weights) -> int:
        """Number of trained parameters."""

    def lost(self, released: np.ndarray, step: int, neuron: int) -> np.ndarray:
        """Mask (steps, N) that makes the spike at the end of ``step`` have no effect, from ``released`` (steps, N)."""


class Batch(NamedTuple):
    """Inputs (steps, B, n), targets (samples, B, d) and weights of samples (samples, B) that sum to 1 per trial; for
    answers: averages (B, answers, samples), labels and validity (B, answers)."""

    inputs: Any
    targets: Any
    scored: Any
    averages: Any
    labels: Any
    valid: Any


class Descent:
    """A network, its optimiser, and the task they are for."""

    def __init__(self, network: Network, task: Task, settings: Any, *, seed: int, replicate: int) -> None:
        self._network, self._task, self._settings = network, task, settings
        self._seed, self._replicate = seed, replicate
        self._substeps = round(task.grid_ms / network.step_ms)
        if self._substeps < 1 or abs(self._substeps * network.step_ms - task.grid_ms) > 1e-9:
            raise SpecError(
                f"learner step_ms = {network.step_ms:g} ms does not divide the sampling interval "
                f"{task.grid_ms:g} ms of task {task.name}; choose a step that does"
            )
        self.network_weights = network.start_weights
        self._adam = adam_start(network.start_weights)
        self._skipped = 0
        self._key = key_of(seed, replicate, "learner_noise")
        self._cache: dict[int, Trial] = {}
        self._step = jax.jit(self._one_step)
        self._run = jax.jit(self._one_run)

    # ---- training ----------------------------------------------------------------------------------------------------

    def advance(self, number: int) -> dict[str, float]:
        """One pass: ``steps_per_pass`` steps, each on a batch of its own."""
        settings, task = self._settings, self._task
        scores, rates, self._skipped = [], [], 0
        for step in range(number * settings.steps_per_pass, (number + 1) * settings.steps_per_pass):
            rate = settings.learning_rate * settings.rate_decay ** (step // settings.rate_decay_every)
            self.network_weights, self._adam, score, hz, finite = self._step(
                self.network_weights, self._adam, self._batch(step), jnp.float32(rate), step
            )
            scores.append(float(score))
            rates.append(float(hz))
            self._skipped += not bool(finite)
        per_step = settings.batch * (task.duration_ms + task.cue_ms) / 1000.0
        return {
            "score_alone": float(np.mean(scores)),
            "rate_hz": float(np.mean(rates)),
            "simulated_seconds": settings.steps_per_pass * per_step,
        }

    def diverged(self) -> bool:
        """Whether no step of the last pass had a finite gradient."""
        return self._skipped == self._settings.steps_per_pass

    def _one_step(self, weights: Weights, adam: Any, batch: Batch, rate: jax.Array, step: jax.Array) -> tuple:
        key_loss, key_settle = jax.random.split(jax.random.fold_in(self._key, step))
        found, gradient = jax.value_and_grad(self._loss, has_aux=True)(weights, batch, key_loss)
        score, hz = found[1]
        gradient, finite = norm_clipped(gradient, self._settings.gradient_norm)
        finite = finite & jnp.isfinite(found[0])
        rates = {name: rate * factor for name, factor in self._network.relative_rates.items()}
        stepped, adam_after = adam_step(weights, gradient, adam, rates)
        after = self._network.settle(weights, stepped, key_settle, rate)

        def kept(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)

        return kept(after, weights), kept(adam_after, adam), score, hz, finite

    def _loss(self, weights: Weights, batch: Batch, key: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        network, strength = self._network, self._settings.training_noise
        key_start, key_noise = jax.random.split(key)
        inputs = self._fine(batch.inputs)
        noise = None
        if strength > 0:
            n_steps, n_batch, _ = inputs.shape
            noise = self._noise(key_noise, strength, n_steps, n_batch)
        start = network.random_start(key_start, inputs.shape[1])
        activity = network.run(weights, inputs, start, noise=noise)
        output = self._sampled(activity.output)
        rate_hz = activity.spikes.mean() * 1000.0 / network.step_ms
        if self._task.score == "error":
            loss, score = _answers(output, batch)
        else:
            loss, score = _squared(output, batch)
            if self._task.score == "correlation":
                score = _correlation(output, batch)
        return loss + activity.cost, (score, rate_hz)

    def _fine(self, inputs: jax.Array) -> jax.Array:
        fine = inputs if inputs.dtype == bool else inputs.astype(jnp.float32)
        return fine if self._substeps == 1 else jnp.repeat(fine, self._substeps, axis=0)

    def _sampled(self, output: jax.Array) -> jax.Array:
        """Values at the ends of the window's samples."""
        first = self._task.n_cue_samples * self._substeps
        return output[first + self._substeps - 1 :: self._substeps]

    def _noise(self, key: jax.Array, strength: float | jax.Array, n_steps: int, n_batch: int) -> jax.Array:
        n_neurons = self._n_neurons
        size = strength * self._network.kick * (self._network.step_ms / 1000.0) ** 0.5
        return size * jax.random.normal(key, (n_steps, n_batch, n_neurons))

    @property
    def _n_neurons(self) -> int:
        return self._network.start_weights["w_rec"].shape[-1]

    def _trial(self, index: int) -> Trial:
        finite = self._task.n_trials
        if finite is None or finite > _MOST_CACHED:
            return self._task.sample("train", index)
        if index % finite not in self._cache:
            self._cache[index % finite] = self._task.sample("train", index % finite)
        return self._cache[index % finite]

    def _batch(self, step: int) -> Batch:
        size = self._settings.batch
        trials = [self._trial(step * size + number) for number in range(size)]
        stimuli = [trial.stimulus for trial in trials]
        inputs = np.stack([_whole(one) for one in stimuli], axis=1)
        scored = np.stack([trial.scored for trial in trials], axis=1).astype(np.float32)
        if self._task.score == "error":
            return Batch(inputs, None, None, *_answer_tables(trials))
        targets = np.stack([trial.target for trial in trials], axis=1).astype(np.float32)
        return Batch(inputs, targets, scored / scored.sum(axis=0), None, None, None)

    # ---- the network on its own --------------------------------------------------------------------------------------

    def rollout(
        self, stimulus: Stimulus, *, kill: np.ndarray | None, noise: float, delete_spike: int | None
    ) -> Rollout:
        """Run on a stimulus; see `hpcspike.learners.interface.Learner.rollout`."""
        index = (PHASES[stimulus.phase], stimulus.index)
        inputs, key_start = _whole(stimulus)[:, None, :], self._key_of_start(stimulus)
        keys = key_start, key_of(self._seed, self._replicate, "learner_noise", *index, 1) if noise > 0 else None
        alive = None if kill is None else jnp.asarray(~np.asarray(kill, dtype=bool), jnp.float32)
        run = partial(self._run, self.network_weights, inputs, keys, jnp.float32(noise), alive)
        output, spikes, released = run(None)
        times, neurons = self._events(np.asarray(spikes))
        if delete_spike is not None:
            inside = np.flatnonzero(times > 0)
            refuse_absent_spike(delete_spike, len(inside))
            event = inside[delete_spike]
            step = round((times[event] + self._task.cue_ms) / self._network.step_ms) - 1
            mask = self._network.lost(np.asarray(released), step, int(neurons[event]))
            output, spikes, _ = run(jnp.asarray(mask, jnp.float32))
            times, neurons = self._events(np.asarray(spikes))
        prediction = np.asarray(output, dtype=np.float64)
        drive = prediction if self._task.kind == "drive" else None
        start = np.asarray(self._network.random_start(key_start, 1).v[0], dtype=np.float64)
        return Rollout(prediction, times, neurons, self._n_neurons, drive, start)

    def _key_of_start(self, stimulus: Stimulus) -> jax.Array:
        return key_of(self._seed, self._replicate, "learner_start", PHASES[stimulus.phase], stimulus.index)

    def given(self, stimulus: Stimulus) -> tuple[jax.Array, Any]:
        """What a run on a stimulus begins with: input (steps, 1, n_inputs) and state of a batch of one."""
        start = self._network.random_start(self._key_of_start(stimulus), 1)
        return self._fine(jnp.asarray(_whole(stimulus)[:, None, :])), start

    def _one_run(
        self, weights: Weights, inputs: Any, keys: Any, noise: jax.Array, alive: Any, sent: Any
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        fine = self._fine(inputs)
        kicks = None if keys[1] is None else self._noise(keys[1], noise, fine.shape[0], 1)
        start = self._network.random_start(keys[0], 1)
        activity = self._network.run(weights, fine, start, noise=kicks, alive=alive, sent=sent)
        return self._sampled(activity.output)[:, 0], activity.spikes[:, 0] > 0, activity.released[:, 0]

    def _events(self, spikes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        steps, neurons = np.nonzero(spikes)
        return (steps + 1) * self._network.step_ms - self._task.cue_ms, neurons.astype(np.int32)

    # ---- state -------------------------------------------------------------------------------------------------------

    def shown_weights(self) -> dict[str, np.ndarray]:
        """Weights as they act, as numpy arrays."""
        return {name: np.asarray(value) for name, value in self._network.shown(self.network_weights).items()}

    def n_trained(self) -> int:
        """Number of trained parameters."""
        return self._network.n_trained(self.network_weights)

    def state(self) -> dict[str, np.ndarray]:
        """Weights, optimiser, and how many steps of the last pass were skipped."""
        return to_arrays(self.network_weights, self._adam) | {"skipped": np.array(self._skipped)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state` gave."""
        self.network_weights, self._adam = from_arrays(state, self._network.start_weights)
        self._skipped = int(state["skipped"])


def _whole(stimulus: Stimulus) -> np.ndarray:
    """Input of cue and window: bool as it is, numbers as float32."""
    both = np.concatenate([stimulus.cue, stimulus.input])
    return both if both.dtype == bool else both.astype(np.float32)


# ---- losses and scores -----------------------------------------------------------------------------------------------


def _squared(output: jax.Array, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Squared error over the power of the target in the scored samples of the batch."""
    weight = batch.scored[:, :, None]
    nmse = (weight * (output - batch.targets) ** 2).sum() / (weight * batch.targets**2).sum()
    return nmse, nmse


def _correlation(output: jax.Array, batch: Batch) -> jax.Array:
    """Mean Pearson correlation over trials and components."""
    weight = batch.scored[:, :, None]
    x = output - (weight * output).sum(axis=0)
    y = batch.targets - (weight * batch.targets).sum(axis=0)
    spread = (weight * x * x).sum(axis=0) * (weight * y * y).sum(axis=0)
    return ((weight * x * y).sum(axis=0) / jnp.sqrt(jnp.maximum(spread, 1e-24))).mean()


def _answers(output: jax.Array, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Cross entropy of the answers by the mean output over their stretches, and the share of wrong ones."""
    logits = jnp.einsum("bas,sbd->bad", batch.averages, output)
    likely = jnp.take_along_axis(jax.nn.log_softmax(logits), batch.labels[:, :, None], axis=2)[:, :, 0]
    wrong = logits.argmax(axis=2) != batch.labels
    return -(likely * batch.valid).sum() / batch.valid.sum(), (wrong * batch.valid).sum() / batch.valid.sum()


def _answer_tables(trials: list[Trial]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Averages over the stretches of scored samples (B, answers, samples), labels and validity (B, answers)."""
    stretches = [trial.answers() for trial in trials]
    # padded to a multiple, so that not every batch is compiled anew
    most = -(-max(len(found) for found in stretches) // 8) * 8
    n_batch = len(trials)
    averages = np.zeros((n_batch, most, len(trials[0].scored)), dtype=np.float32)
    labels, valid = np.zeros((n_batch, most), dtype=np.int32), np.zeros((n_batch, most), dtype=np.float32)
    for place, (trial, found) in enumerate(zip(trials, stretches, strict=True)):
        for number, (first, end) in enumerate(found):
            averages[place, number, first:end] = 1.0 / (end - first)
            labels[place, number], valid[place, number] = trial.target[first].argmax(), 1.0
    return averages, labels, valid
