"""Long short-term memory in networks of spiking neurons: adaptive neurons trained through time (Bellec et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from hpcspike.learners.gradient import GradientLearner
from hpcspike.learners.trials import Kind, Task

if TYPE_CHECKING:
    from hpcspike.learners.lsnn_network import LsnnNetwork


class LsnnLearner(GradientLearner):
    """Leaky and adaptive integrate-and-fire neurons; back-propagation with a pseudo-derivative of the spike.

    ``kind: drive`` is scored on the filtered recurrent current of every neuron, ``readout`` and ``system`` on linear
    readouts of filtered spikes; a driven system's input enters through the trained input weights. ``actions`` are such
    readouts with noise.
    """

    name: ClassVar[str] = "lsnn"
    supports: ClassVar[frozenset[Kind]] = GradientLearner.supports | {"actions"}
    for_free: ClassVar[tuple[str, ...]] = ("error of all neurons at all times, propagated back through the trial",)

    def __init__(self, settings: Any = None) -> None:
        """settings: fields of `hpcspike.spec.learners.LsnnLearner`; None means its defaults."""
        from hpcspike.spec.learners import LsnnLearner as LsnnSection

        super().__init__(LsnnSection.model_validate(settings or {"kind": "lsnn"}))

    def _network(self, task: Task, n_neurons: int, seed: int, replicate: int) -> LsnnNetwork:
        from hpcspike.learners.lsnn_network import LsnnNetwork

        return LsnnNetwork(task, self.settings, n_neurons=n_neurons, seed=seed, replicate=replicate)
