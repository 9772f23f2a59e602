"""Gradient descent for networks of spiking neurons with graded synapses (Huh & Sejnowski 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hpcspike.learners.gradient import GradientLearner
from hpcspike.learners.interface import refuse_targets
from hpcspike.learners.trials import Stimulus, Task

if TYPE_CHECKING:
    from hpcspike.learners.huh_network import HuhNetwork


class HuhLearner(GradientLearner):
    """Theta or non-leaky neurons; the exact gradient of a model without jumps, no pseudo-derivative.

    ``kind: drive`` is scored on every neuron's recurrent current u_i = sum_j W_ij s_j, ``readout`` and ``system`` on
    linear readouts of the traces; a driven system's input enters through the trained input weights. What made long
    trials learnable is in ``cluster/config/learners_xor.yaml``: neurons silent at rest, slow synapses, weak recurrent
    weights, and adjoints clipped in every step.
    """

    name: ClassVar[str] = "huh"
    for_free: ClassVar[tuple[str, ...]] = ("error of all neurons at all times, propagated back through the trial",)
    _built: HuhNetwork

    def __init__(self, settings: Any = None) -> None:
        """settings: fields of `hpcspike.spec.learners.HuhLearner`; None means its defaults."""
        from hpcspike.spec.learners import HuhLearner as HuhSection

        super().__init__(HuhSection.model_validate(settings or {"kind": "huh"}))

    def _network(self, task: Task, n_neurons: int, seed: int, replicate: int) -> HuhNetwork:
        from hpcspike.learners.huh_network import HuhNetwork

        self._built = HuhNetwork(task, self.settings, n_neurons=n_neurons, seed=seed, replicate=replicate)
        return self._built

    def currents(self, stimulus: Stimulus) -> tuple[np.ndarray, np.ndarray]:
        """External and fast recurrent current of every neuron, (steps, N) each, in a run on its own.

        Only of networks with fast synapses. The constant current is in neither.
        """
        refuse_targets(stimulus)
        both = self._built.currents(self._descent.network_weights, *self._descent.given(stimulus))
        external, fast = (np.asarray(one[:, 0], dtype=np.float64) for one in both)
        return external, fast
