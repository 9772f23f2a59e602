"""Paths of the cue: external input of each neuron that varies in time, the same in every loop and trial."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hpcspike.model.feed_forward import path_from_rest
from hpcspike.model.random_streams import stream
from hpcspike.spec.experiment import Experiment, n_steps


def cue_paths(experiment: Experiment, neurons: range, sets: Iterable[int]) -> np.ndarray | None:
    """Input beside the constant one in each step of the cue of some target sets, (sets, steps, n); None: there is none.

    Every neuron has a path of its own for each target set, in float32.
    """
    cue, step_ms, sets = experiment.stimulus, experiment.neuron.step_ms, list(sets)
    if cue.noise == 0.0:
        return None
    steps, key = n_steps(cue.duration_ms, step_ms), (experiment.seed, experiment.replicate)
    paths = np.empty((len(sets), steps, len(neurons)), dtype=np.float32)
    for part, target_set in zip(paths, sets, strict=True):
        for row, neuron in enumerate(neurons):
            rng = stream(*key, "cue_path", neuron, target_set)
            part[:, row] = path_from_rest(cue.noise, cue.tau_corr_ms, steps, step_ms, rng)
    return paths
