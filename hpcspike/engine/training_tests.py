"""Tests between training loops: from fresh states, with plasticity off, on a copy of the network.

Training goes on as if there were none. They decide which weights are kept, and when more loops are of no use.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcspike.correlation import pearson
from hpcspike.engine.communication import World
from hpcspike.engine.simulation import Simulation
from hpcspike.engine.trial import copy_of, run_trial, smoothed_drive
from hpcspike.spec.experiment import Measures, Training
from hpcspike.state import StateArray, ragged


class TrainingTests:
    """The tests of one training and what they decide; part of the state of a `hpcspike.engine.trainer.Trainer`.

    Parameters
    ----------
    live
        The simulation that is trained.
    training
        What is kept (``keep``) and when to end (``patience``).
    measures
        How often to test, and in how many trials; None: never.
    world
        The ranks that hold the blocks of the network.

    Attributes
    ----------
    every
        Loops between tests, 0 if there are none.
    results
        Number of loops that were done -> mean correlation of single trials and targets, over all neurons and sets.
        Those from before training went on (`go_on`) are part of the curve, and decide nothing.
    by_set
        The same, over the neurons of each set apart.
    best_weight
        (synapses,) plastic weights at the best of the tests at multiples of ``every``; empty if they are not kept.
    """

    def __init__(self, live: Simulation, training: Training, measures: Measures | None, world: World) -> None:
        self._live, self._world, self._patience = live, world, training.patience
        self._rate, self._keeps_best = training.variable == "rate", training.keep == "best"
        asked, self._trials = (None, 0) if measures is None else (measures.test_every_loops, measures.n_test_trials)
        self._smoothing_ms = 0.0 if measures is None else measures.smoothing_ms
        self.every = live.problem.n_sets * (asked or 0)
        self.results: dict[int, float] = {}
        self._before: dict[int, float] = {}
        self._begun = 0
        self.by_set: dict[int, list[float]] = {}
        self.best_weight = live.weight.copy() if self._keeps_best else np.empty(0)

    def after(self, loops: int, *, last: bool) -> None:
        """Test if it is due after so many loops, or after the last one. All ranks ask together."""
        if not self.every or not (last or self._scheduled(loops)):
            return
        # the last one is no test that training would have, were there more loops: it is not compared here
        best = max(self._compared().values(), default=-np.inf)
        value, self.by_set[loops] = self._mean_correlation()
        self.results[loops] = value
        if self._keeps_best and self._scheduled(loops) and value > best:
            self.best_weight = self._live.weight.copy()

    @property
    def exhausted(self) -> bool:
        """Whether so many tests as patience has brought nothing better than the best one before."""
        if self._patience is None:
            return False
        values = list(self._compared().values())
        best = values.index(max(values)) if values else -1
        return len(values) - 1 - best >= self._patience

    def kept_weight(self) -> np.ndarray:
        """Plastic weights of the network as it is kept, (synapses,): those of now, or of the best test so far."""
        best = self.kept_loops
        return self.best_weight if best in self._compared() else self._live.weight

    @property
    def kept_loops(self) -> int | None:
        """After how many loops the weights were those that are kept; None: the last ones are, whatever tests say."""
        results = self._before | {loops: value for loops, value in self.results.items() if loops > self._begun}
        return max(results, key=lambda loops: results[loops]) if self._keeps_best and results else None

    def go_on(self, results: dict[int, float], *, loops: int) -> None:
        """Begin after ``loops`` loops with the weights of now: they are tested anew, as settings may be others.

        ``results``: tests so far, for the curve. All ranks ask together.
        """
        self.results, self._begun = results, loops
        if self.every and (self._keeps_best or self._patience is not None):
            self._before = {loops: self._mean_correlation()[0]}
        if self._keeps_best:
            self.best_weight = self._live.weight.copy()

    def curve(self, loops: int) -> np.ndarray:
        """Result after every loop, (loops,), NaN where there was no test."""
        column = np.full(loops, np.nan)
        for done, value in self.results.items():
            column[done - 1] = value
        return column

    def curve_by_set(self, loops: int) -> np.ndarray:
        """As `curve`, for each target set apart: (loops, n_sets)."""
        columns = np.full((loops, self._live.problem.n_sets), np.nan)
        for done, values in self.by_set.items():
            columns[done - 1] = values
        return columns

    def state_numbers(self) -> dict[str, Any]:
        """What is not an array of the state, as plain data."""
        return {
            "results": [[loops, value] for loops, value in self.results.items()],
            "by_set": [[loops, values] for loops, values in self.by_set.items()],
        }

    def load_numbers(self, numbers: dict[str, Any], *, n_loops: int) -> None:
        """Take over `state_numbers`; the test at an end that has moved on to ``n_loops`` is forgotten."""
        self.results = {
            loops: value for loops, value in numbers["results"] if self._scheduled(loops) or loops == n_loops
        }

        # earlier versions had none
        self.by_set = {loops: values for loops, values in numbers.get("by_set", []) if loops in self.results}

    def state_arrays(self) -> list[StateArray]:
        """The arrays of the state, by neuron."""
        start = self._live.problem.plastic.start
        return [ragged("best_weight", self.best_weight, start)] if self._keeps_best else []

    def _scheduled(self, loops: int) -> bool:
        return loops % self.every == 0

    def _compared(self) -> dict[int, float]:
        """The tests that decide: that of the weights training went on with, and those at multiples of ``every``."""
        new = {k: value for k, value in self.results.items() if k > self._begun and self._scheduled(k)}
        return self._before | new

    def _mean_correlation(self) -> tuple[float, list[float]]:
        # as `hpcspike.measures.evaluation.evaluate` computes correlation, in trials of their own; 0 of neurons whose
        # drive is not finite any more
        simulation, problem = copy_of(self._live, self._world), self._live.problem
        drive, filtered = np.empty((2, problem.n_rows, problem.n_samples))
        found = []
        with np.errstate(over="ignore", invalid="ignore"):
            for target_set, target in enumerate(problem.targets):
                correlation = np.zeros(problem.n_rows)
                for trial in range(self._trials):
                    if self._smoothing_ms > 0.0:
                        key = ("training_test_phase", trial, target_set)
                        drive = smoothed_drive(simulation, *key, self._smoothing_ms)
                    else:
                        run_trial(simulation, "training_test_phase", trial, target_set, drive, filtered)
                    correlation += pearson(filtered if self._rate else drive, target) / self._trials
                judged = self._world.concatenate(problem.has_target[target_set].astype(np.uint8)) == 1
                found.append(self._world.concatenate(correlation)[judged])
        return float(np.concatenate(found).mean()), [float(values.mean()) for values in found]
