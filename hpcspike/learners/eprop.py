"""E-prop for networks of leaky and of adaptive neurons (Bellec et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from hpcspike.learners.gradient import GradientLearner
from hpcspike.learners.trials import Kind, Task

if TYPE_CHECKING:
    from hpcspike.learners.lsnn_network import EpropNetwork


class EpropLearner(GradientLearner):
    """Leaky and adaptive integrate-and-fire neurons; eligibility traces of synapses times learning signals of neurons.

    The rule uses what a synapse has seen and the errors of the readouts at the same time (e-prop 1); weights change
    after every batch of trials, by Adam, as those of the other learners that descend a gradient. A cost of firing rates
    is local too.

    References
    ----------
    Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass 2020, "A solution to the learning dilemma for recurrent
    networks of spiking neurons", Nature Communications 11.
    """

    name: ClassVar[str] = "eprop"
    supports: ClassVar[frozenset[Kind]] = frozenset({"readout", "system"})
    local = True
    for_free: ClassVar[tuple[str, ...]] = ("errors of all readouts at all times, sent to every neuron",)

    def __init__(self, settings: Any = None) -> None:
        """settings: fields of `hpcspike.spec.learners.EpropLearner`; None means its defaults."""
        from hpcspike.spec.learners import EpropLearner as EpropSection

        super().__init__(EpropSection.model_validate(settings or {"kind": "eprop"}))

    def _network(self, task: Task, n_neurons: int, seed: int, replicate: int) -> EpropNetwork:
        from hpcspike.learners.lsnn_network import EpropNetwork

        return EpropNetwork(task, self.settings, n_neurons=n_neurons, seed=seed, replicate=replicate)
