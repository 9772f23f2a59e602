"""A trained network: its weights, its learning curve, and what it does when it is cued."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hpcspike.checks import number, whole_number
from hpcspike.engine.communication import World
from hpcspike.engine.simulation import Simulation, Spikes
from hpcspike.engine.trial import AS_TRAINED, Conditions, copy_of, run_trial
from hpcspike.errors import SpecError
from hpcspike.model.problem import Problem
from hpcspike.model.rate_law import RateLaw, rate_law
from hpcspike.rls.interface import RlsEngine
from hpcspike.shown import Shown
from hpcspike.spec.experiment import Training, is_multiple, n_steps
from hpcspike.wording import counted


@dataclass(frozen=True, repr=False)
class Response(Shown):
    """What a cue evoked, in ``trials`` trials from random initial conditions.

    drive (trials, n, samples): synaptic drive u; filtered (trials, n, samples): filtered spike trains r in spikes per
    tau; spikes: one `Spikes` per trial, steps counted from the start of the window (negative: cue and free run).
    Of rate units drive is x, filtered is tanh(x), and there are no spikes.
    """

    drive: np.ndarray
    filtered: np.ndarray
    spikes: list[Spikes]

    def _told(self) -> list[tuple[str, str]]:
        trials, neurons, samples = self.drive.shape
        spikes = sum(len(trial.step) for trial in self.spikes)
        names = ("trials", "neurons", "samples", "spikes")
        return [(name, f"{n:,}") for name, n in zip(names, (trials, neurons, samples, spikes), strict=True)]


@dataclass(frozen=True, repr=False)
class Trained(Shown):
    """The outcome of `hpcspike.train`.

    Attributes
    ----------
    problem, training
        What was trained, and how.
    simulation
        The live state at the end of training; with ``training.keep: best``, where weights of an earlier loop were
        better, the problem's starting state with those weights.
    rls
        The learning engine with its matrices P, at the end of training; None of a network that was opened from a file,
        which does not hold them.
    curve
        Per loop: correlation, rate (Hz), weight_change, seconds, and if there were tests in training,
        test_correlation (NaN after loops without one).
    diverged_loop
        Loop in which the network diverged, -1 if it did not.
    world
        The ranks that hold the blocks of the network.
    planned_loops
        Loops that training would have taken, had ``training.patience`` not ended it; None if it has not.
    kept_loops
        Loops after which the weights were those that are kept; None where those of the end are kept whatever tests say.
    """

    problem: Problem
    training: Training
    simulation: Simulation
    rls: RlsEngine | None
    curve: dict[str, np.ndarray]
    diverged_loop: int
    world: World = field(default_factory=World)
    planned_loops: int | None = None
    kept_loops: int | None = None

    @property
    def endings(self) -> list[str]:
        """What tests while training have decided, one line each: when it ended, and which weights are kept."""
        done, found = len(self.curve["correlation"]), []
        if self.planned_loops is not None and done < self.planned_loops:
            found.append(
                f"training ended after {done} of {counted(self.planned_loops, 'loop')}: the last "
                f"{self.training.patience} of the tests while training were no better than the best (training.patience)"
            )
        if self.kept_loops is not None and self.kept_loops != done:
            found.append(
                f"the weights are those after {counted(self.kept_loops, 'loop')} of {done}, which did best in the "
                "tests while training, over all neurons with targets (training.keep = best)"
            )
        return found

    @cached_property
    def law(self) -> RateLaw:
        """The transfer functions of this block's neurons. All ranks must ask together."""
        return law_of(self.problem, self.training, self.world)

    def rate_of_drive(self, drive: np.ndarray) -> np.ndarray:
        """phi(u + I) at drives u (n, samples) of a trial, in spikes per tau, as rate training has it."""
        return self.law.of(drive, self.problem.input_at_samples())

    @property
    def weights(self) -> Any:
        """All weights as a scipy.sparse CSR array (n, N): plastic and fixed.

        Of a feed-forward population those in use are in columns N to N + F - 1.
        """
        from scipy.sparse import csr_array

        shape = (self.problem.n_rows, self.problem.n_sources)
        plastic, static = self.problem.plastic, self.problem.static
        trained = csr_array((self.simulation.weight.astype(np.float64), plastic.presynaptic, plastic.start), shape)
        fixed = csr_array((static.weight, static.presynaptic, static.start), shape)
        return trained + fixed

    @property
    def state(self) -> dict[str, np.ndarray]:
        """Phases (n,), drives (n,) and filtered spike trains (N,) at the end of training.

        Of other than theta neurons, what stands for the phase is the first variable of their state.
        """
        live = self.simulation
        return {
            "phase": live.state[0].copy(),
            "drive": live.drive,
            "filtered": live.filtered[: self.problem.n_sources].copy(),
        }

    def evoke(
        self,
        stimulus: int = 0,
        trials: int = 20,
        *,
        first_trial: int = 0,
        beyond_ms: float = 0.0,
        conditions: Conditions = AS_TRAINED,
    ) -> Response:
        """Cue the network, with plasticity off.

        Every trial starts from its own random phases and r = 0, runs freely, receives the cue, and is recorded over
        the trained window at the grid of the targets.

        Parameters
        ----------
        stimulus
            Which target set's cue to give.
        trials
            Number of trials; trial k has the same initial phases whenever it is asked for.
        first_trial
            Number of the first trial.
        beyond_ms
            Record this much longer than the trained window, a multiple of the targets' grid.
        conditions
            What is different in these trials: another cue, further input, clamped or silent neurons, deleted or added
            spikes; see `hpcspike.engine.trial.Conditions`.

        Raises
        ------
        SpecError
            If there is no such target set, or a number is none that it can be.
        """
        problem = self.problem
        self.check_set("stimulus", stimulus)
        whole_number("trials", trials, least=1)
        whole_number("first_trial", first_trial)
        n_samples = problem.n_samples + self.check_beyond(beyond_ms)
        drive = np.empty((trials, problem.n_rows, n_samples))
        filtered = np.empty_like(drive)
        spikes = []
        simulation = self.copy_simulation()
        for trial in range(trials):
            number = first_trial + trial
            spikes.append(
                run_trial(simulation, "test_phase", number, stimulus, drive[trial], filtered[trial], conditions)
            )
        return Response(drive, filtered, spikes)

    def mean_over_targets(self, values: np.ndarray, target_set: int) -> float:
        """Mean of the values (n,) of this block's neurons over all ranks' neurons with a target in ``target_set``.

        All ranks must ask together.
        """
        whole = self.world.concatenate(values)
        judged = self.judged(target_set)
        return float((whole if judged.all() else whole[judged]).mean())

    def judged(self, target_set: int) -> np.ndarray:
        """Which neurons of all ranks have a target, (N,) bool. All ranks must ask together."""
        return self.world.concatenate(self.problem.has_target[target_set].astype(np.uint8)) == 1

    def check_set(self, name: str, target_set: int) -> int:
        """``target_set`` if it is the number of a target set; ``name`` is the argument that gives it, for messages.

        Raises
        ------
        SpecError
            If there is no such set.
        """
        return whole_number(name, target_set, most=self.problem.n_sets - 1, of="number of a target set and its cue")

    def check_beyond(self, beyond_ms: float) -> int:
        """Samples in the time ``beyond_ms`` after the trained window.

        Raises
        ------
        SpecError
            If they are not a whole number.
        """
        grid_ms = self.problem.grid_ms
        if not is_multiple(number("beyond_ms", beyond_ms, least=0.0, unit="ms"), grid_ms):
            raise SpecError(f"beyond_ms = {beyond_ms:g} ms: must be a multiple of the grid of {grid_ms:g} ms")
        return n_steps(beyond_ms, grid_ms)

    def _told(self) -> list[tuple[str, str]]:
        loops, last = self.curve["correlation"], self.diverged_loop
        became = f", diverged in loop {last + 1}" if last >= 0 else ""
        correlation = f", last correlation {loops[-1]:.3f}" if len(loops) else ""
        return [
            *self.problem._told(),
            ("trained", f"{self.training.variable}, {len(loops)} loops{correlation}{became}"),
        ]

    def copy_simulation(self) -> Simulation:
        """A fresh simulation with the trained weights."""
        return copy_of(self.simulation, self.world)


def law_of(problem: Problem, training: Training, world: World) -> RateLaw:
    """The transfer functions by which this block's rates are trained; rank 0 measures for all.

    Raises
    ------
    SpecError
        On all ranks, if they are to be measured and cannot be.
    """
    return rate_law(
        training, problem.neuron, problem.trial_noise, n_neurons=problem.n_neurons, neurons=problem.neurons,
        together=lambda work: world.share(world.agree(lambda: work() if world.rank == 0 else None)),
    )  # fmt: skip
