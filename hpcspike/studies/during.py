"""What example neurons do while their weights are changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcspike.engine.trainer import Trainer


class DuringTraining:
    """Keeps the trained variable of example neurons before every weight update of some loops.

    Parameters
    ----------
    neurons
        (e,) example neurons.
    loops
        Numbers of the loops, 1 being the first.

    Attributes
    ----------
    response
        Loop -> (updates, e): synaptic drive u, or filtered spikes r in spikes per tau when the rate is trained.
    """

    def __init__(self, neurons: np.ndarray, loops: Sequence[int]) -> None:
        self._neurons, self._loops = neurons, frozenset(loops)
        self.response: dict[int, list[np.ndarray]] = {}

    def __call__(self, trainer: Trainer) -> None:
        """Note one update; given to `hpcspike.train` as ``on_update``."""
        loop = trainer.cursor.loop + 1
        if loop not in self._loops:
            return
        simulation = trainer.simulation
        value = simulation.filtered if trainer.training.variable == "rate" else simulation.drive
        self.response.setdefault(loop, []).append(value[self._neurons].copy())
