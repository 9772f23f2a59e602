"""Long short-term memory networks, the baseline that networks of adaptive neurons are held against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from hpcspike.learners.gradient import GradientLearner
from hpcspike.learners.trials import Kind, Task

if TYPE_CHECKING:
    from hpcspike.learners.lstm_network import LstmNetwork


class LstmLearner(GradientLearner):
    """Units with gates and no spikes; exact backpropagation through time. Its rates are 0.

    References
    ----------
    Hochreiter & Schmidhuber 1997, "Long short-term memory", Neural Computation 9.
    """

    name: ClassVar[str] = "lstm"
    supports: ClassVar[frozenset[Kind]] = frozenset({"readout", "system"})
    for_free: ClassVar[tuple[str, ...]] = (
        "error of all units at all times, propagated back through the trial; values instead of spikes",
    )

    def __init__(self, settings: Any = None) -> None:
        """settings: fields of `hpcspike.spec.learners.LstmLearner`; None means its defaults."""
        from hpcspike.spec.learners import LstmLearner as LstmSection

        super().__init__(LstmSection.model_validate(settings or {"kind": "lstm"}))

    def _network(self, task: Task, n_neurons: int, seed: int, replicate: int) -> LstmNetwork:
        from hpcspike.learners.lstm_network import LstmNetwork

        return LstmNetwork(task, self.settings, n_neurons=n_neurons, seed=seed, replicate=replicate)
