"""One deleted spike: how far two copies of a network drift apart (paper, Fig 4c, f, g)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from hpcspike.checks import choice, instance, number, whole_number
from hpcspike.engine.simulation import Simulation
from hpcspike.engine.trained import Trained
from hpcspike.engine.trial import spiking, take_spike_back
from hpcspike.errors import SpecError
from hpcspike.model.random_streams import stream
from hpcspike.shown import short_repr
from hpcspike.spec.experiment import is_multiple, n_steps

Formula = Literal["wrapped", "cosine"]


class StateRecord(NamedTuple):
    """State of a trial at the grid: time_ms (samples,) from the end of the cue; phase, drive (n, samples)."""

    time_ms: np.ndarray
    phase: np.ndarray
    drive: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


class SpikeDeletion(NamedTuple):
    """Distance of two copies, in one of which a spike was deleted.

    time_ms (samples,): from the end of the cue; deviation (repeats, samples): of the phases, mean over neurons, exactly
    0 before the deletion; drive_deviation (repeats, samples): |difference of u|, mean over neurons; deleted_ms
    (repeats,): end of the step of the deleted spike; neuron (repeats,): whose it was. Where there was no spike to
    delete: NaN, and neuron -1.
    """

    time_ms: np.ndarray
    deviation: np.ndarray
    drive_deviation: np.ndarray
    deleted_ms: np.ndarray
    neuron: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


def delete_spike(
    trained: Trained,
    *,
    stimulus: int = 0,
    repeats: int = 10,
    first_trial: int = 0,
    delay_ms: float = 200.0,
    counted_from: Literal["window", "cue"] = "window",
    beyond_ms: float = 0.0,
    neuron: int | None = None,
    formula: Formula = "wrapped",
) -> SpikeDeletion:
    """Run pairs of trials that differ in one deleted spike.

    A test trial runs until ``delay_ms``. Its state is copied, and of one spike of the copy the effect on all
    others is taken back: the jump of its filtered spike train and of the drives. The neuron itself keeps its phase.
    Both copies go on, and their phases are compared at every sample of the grid:

        wrapped: mean over i of ``|theta_i - theta'_i|``, on the circle, between 0 and pi (unrelated phases: pi / 2)
        cosine:  mean over i of 1 - cos(theta_i - theta'_i), between 0 and 2 (unrelated phases: 1)

    Parameters
    ----------
    trained
        A trained network, or an untrained one (``n_loops: 0``).
    stimulus
        Which target set's cue to give.
    repeats, first_trial
        Number of pairs; pair k has the initial phases of test trial ``first_trial + k``.
    delay_ms
        The first spike after this time is deleted; times beyond the window are welcome.
    counted_from
        Whether ``delay_ms`` counts from the end of the cue, where the window starts, or from its onset.
    beyond_ms
        Run this much longer than the trained window.
    neuron
        Whose spike; default: one of those that spike in the first step with a spike, drawn at random by the key of the
        network and the trial.
    formula
        How phases are compared.

    Raises
    ------
    SpecError
        If neurons have no phase, or the deletion does not fall between the end of the cue and the end of the run.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    trained.check_set("stimulus", stimulus)
    whole_number("repeats", repeats, least=1)
    whole_number("first_trial", first_trial)
    number("delay_ms", delay_ms, unit="ms")
    choice("counted_from", counted_from, ("window", "cue"))
    choice("formula", formula, _FORMULAS)
    problem = trained.problem
    if problem.neuron.model != "theta":
        raise SpecError(f"phases are compared of theta neurons only, not of neuron.model = {problem.neuron.model}")
    if neuron is not None:
        whole_number("neuron", neuron, most=problem.n_neurons - 1, of="number of a neuron")
    every, samples = problem.steps_per_sample, _n_samples(trained, beyond_ms)
    delay = delay_ms - (problem.stimulus_ms if counted_from == "cue" else 0.0)
    if not is_multiple(delay, problem.neuron.step_ms) or not 0 <= delay < samples * problem.grid_ms:
        raise SpecError(
            f"delay_ms = {delay_ms:g} ms puts the deletion {delay:g} ms after the end of the cue: must be a multiple "
            f"of the step of {problem.neuron.step_ms:g} ms, from 0 to less than {samples * problem.grid_ms:g} ms"
        )
    compare, start = _FORMULAS[formula], n_steps(delay, problem.neuron.step_ms)
    found = SpikeDeletion(
        problem.grid_ms * np.arange(1, samples + 1),
        np.zeros((repeats, samples)), np.zeros((repeats, samples)),
        np.full(repeats, np.nan), np.full(repeats, -1),
    )  # fmt: skip
    one, other = trained.copy_simulation(), trained.copy_simulation()
    for repeat in range(repeats):
        trial = first_trial + repeat
        begin_trial(trained, one, stimulus, trial)
        _run(one, 0, start)
        who, now = _next_spike(one, neuron, range(start, samples * every), trial)
        if who < 0:
            found.deviation[repeat] = found.drive_deviation[repeat] = np.nan
            continue
        copy_state(one, other)
        take_spike_back(other, who)
        found.neuron[repeat], found.deleted_ms[repeat] = who, now * problem.neuron.step_ms
        first = -(-now // every) - 1
        distance = np.empty((problem.n_rows, 2, samples - first))
        for m in range(first, samples):
            for simulation in (one, other):
                _run(simulation, now, (m + 1) * every)
            now = (m + 1) * every
            distance[:, 0, m - first] = compare(one.state[0] - other.state[0])
            distance[:, 1, m - first] = np.abs(one.drive - other.drive)
        # joined in the order of neurons and only then averaged, so that blocks do not matter
        mean = trained.world.concatenate(distance).mean(axis=0)
        found.deviation[repeat, first:], found.drive_deviation[repeat, first:] = mean
    return found


def record_trial(trained: Trained, *, stimulus: int = 0, trial: int = 0, beyond_ms: float = 0.0) -> StateRecord:
    """Phases and drives of one test trial, run interval by interval; the drives are those of `Trained.evoke`.

    Parameters
    ----------
    trained
        Outcome of `hpcspike.train`.
    stimulus
        Which target set's cue to give.
    trial
        Number of the trial, which decides its initial phases.
    beyond_ms
        Record this much longer (ms) than the trained window.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    trained.check_set("stimulus", stimulus)
    whole_number("trial", trial)
    problem, samples = trained.problem, _n_samples(trained, beyond_ms)
    simulation, every = trained.copy_simulation(), problem.steps_per_sample
    begin_trial(trained, simulation, stimulus, trial)
    phase, drive = np.empty((2, problem.n_rows, samples))
    for m in range(samples):
        _run(simulation, m * every, (m + 1) * every)
        phase[:, m], drive[:, m] = simulation.state[0], simulation.drive
    return StateRecord(problem.grid_ms * np.arange(1, samples + 1), phase, drive)


def begin_trial(trained: Trained, simulation: Simulation, stimulus: int, trial: int) -> None:
    """Bring a simulation to the end of the cue of a test trial, as `Trained.evoke` does."""
    problem = trained.problem
    simulation.start_at_random("test_phase", trial)
    simulation.begin_test_feed("test_phase", trial, stimulus)
    if problem.test_free_run_steps:
        simulation.run_interval(problem.test_free_run_steps, problem.input)
    _run(simulation, -problem.stimulus_steps, 0, problem.input + problem.stimuli[stimulus], cue_of=stimulus)


def copy_state(source: Simulation, target: Simulation) -> None:
    """Give a simulation of the same problem, in the same precision, the state of another one, to the bit."""
    target.load_numbers(source.state_numbers())
    n_rows = source.problem.n_rows
    for ours, theirs in zip(source.state_arrays(), target.state_arrays(), strict=True):
        theirs.put(0, n_rows, ours.take(0, n_rows))
    target.filtered[:], target.trace[:] = source.filtered, source.trace


def _next_spike(simulation: Simulation, neuron: int | None, steps: range, trial: int) -> tuple[int, int]:
    """Run until there is a spike to delete; whose it is (-1: nobody's), and the steps run by then."""
    problem = simulation.problem
    for step in steps:
        _run(simulation, step, step + 1)
        found = spiking(simulation)
        if neuron is not None and neuron in found:
            return neuron, step + 1
        if neuron is None and len(found):
            rng = stream(problem.seed, problem.replicate, "deleted_spike", trial)
            return int(found[rng.integers(len(found))]), step + 1
    return -1, steps.stop


def _run(
    simulation: Simulation, begin: int, end: int, external: np.ndarray | None = None, *, cue_of: int | None = None
) -> None:
    """Run as one interval from step ``begin`` to ``end``, counted from the end of the cue."""
    problem = simulation.problem
    if end > begin:
        noise = problem.noise_of(problem.stimulus_steps + begin, end - begin, cue_of)
        simulation.run_interval(end - begin, problem.input if external is None else external, noise=noise)


def _n_samples(trained: Trained, beyond_ms: float) -> int:
    return trained.problem.n_samples + trained.check_beyond(beyond_ms)


def _wrapped(difference: np.ndarray) -> np.ndarray:
    return np.abs(np.pi - np.mod(np.pi - difference, 2.0 * np.pi))


def _cosine(difference: np.ndarray) -> np.ndarray:
    return 1.0 - np.cos(difference)


_FORMULAS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"wrapped": _wrapped, "cosine": _cosine}
