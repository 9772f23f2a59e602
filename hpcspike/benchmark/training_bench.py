"""Whole trainings, all included: free run, cue, spikes, weight updates and learning curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcspike.engine.trainer import Trainer
from hpcspike.model.build import build_problem
from hpcspike.spec.experiment import Experiment, Training


@dataclass(frozen=True)
class TrainingCase:
    """One row of the table: ``n_loops`` loops are timed after one that is not."""

    n_neurons: int
    dtype: str
    n_loops: int

    def experiment(self, algorithm: str) -> Experiment:
        """A point of the paper's Fig 6: tau_s = 30 ms, tau_c = 100 ms, p = 0.3, T = 1 s, an update every 2 ms."""
        return Experiment.model_validate(
            {
                "name": "bench",
                "network": {"n_neurons": self.n_neurons},
                "synapse": {"tau_syn_ms": 30.0},
                "connectivity": {"kind": "zero", "probability": 0.3},
                "targets": {"kind": "ou", "tau_corr_ms": 100.0, "duration_ms": 1000.0},
                "training": {
                    "update_interval_ms": 2.0,
                    "n_loops": self.n_loops + 1,
                    "algorithm": algorithm,
                    "dtype": self.dtype,
                },
            }
        )


def compare_algorithms(case: TrainingCase) -> dict[str, Any]:
    """Seconds per loop with the textbook through BLAS and with the blocked engine, one thread."""
    curves = _take_turns(case, {"textbook_blas": ("textbook_blas", 1), "blocked": ("blocked", 1)})
    seconds = {name: float(np.median(curve["seconds"][1:])) for name, curve in curves.items()}
    return {
        "seconds_per_loop": seconds,
        "ratio": seconds["textbook_blas"] / seconds["blocked"],
        "correlation": {name: curve["correlation"][-1] for name, curve in curves.items()},
        "rate_hz": curves["blocked"]["rate"][-1],
    }


def compare_threads(case: TrainingCase, threads: int) -> dict[str, Any]:
    """Seconds per loop of the blocked engine on one thread and on several; the weights must be the same."""
    curves = _take_turns(case, {"1": ("blocked", 1), str(threads): ("blocked", threads)})
    seconds = {name: float(np.median(curve["seconds"][1:])) for name, curve in curves.items()}
    return {
        "seconds_per_loop": seconds,
        "ratio": seconds["1"] / seconds[str(threads)],
        "same_curves": curves["1"]["weight_change"] == curves[str(threads)]["weight_change"],
    }


def _take_turns(case: TrainingCase, runs: dict[str, tuple[str, int]]) -> dict[str, dict[str, list[float]]]:
    """Learning curves of trainings that advance by one loop in turn, so that all meet the same disturbances."""
    trainers = {}
    for name, (algorithm, threads) in runs.items():
        experiment = case.experiment(algorithm)
        training: Training = experiment.training
        trainers[name] = Trainer(build_problem(experiment), training, threads=threads)
    for loop in range(1, case.n_loops + 2):
        for trainer in trainers.values():
            while trainer.cursor.loop < loop and not trainer.finished:
                trainer.advance_far()
    return {name: trainer.curve for name, trainer in trainers.items()}
