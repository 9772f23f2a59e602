"""Learners that descend a gradient through the whole trial, behind the common interface.

This module does not need JAX; `hpcspike.learners.descent` and the models do, and are imported when a network is built.
"""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from hpcspike.errors import ResourceError, SpecError
from hpcspike.learners.interface import Learner, Rollout, refuse_targets
from hpcspike.learners.trials import Kind, Stimulus, Task

if TYPE_CHECKING:
    from hpcspike.learners.descent import Descent, Network


def require_jax(name: str) -> None:
    """A `ResourceError` that says what to install if JAX or optax is missing."""
    missing = [package for package in ("jax", "optax") if importlib.util.find_spec(package) is None]
    if missing:
        raise ResourceError(
            f"learner {name} needs JAX ({' and '.join(missing)} not installed); install it with "
            "pip install 'hpcspike[gradient]'"
        )


class GradientLearner(Learner):
    """Back-propagation through time of the task's loss; a subclass says through which network.

    Where a task asks for actions, the gradient is that of the policy (`hpcspike.learners.policy`).
    One pass is ``settings.steps_per_pass`` steps of Adam, each on a batch of trials from random initial states.
    """

    name: ClassVar[str]
    supports: ClassVar[frozenset[Kind]] = frozenset({"drive", "readout", "system"})
    local, online, needs_error_current = False, False, False
    _descent: Descent

    @abstractmethod
    def _network(self, task: Task, n_neurons: int, seed: int, replicate: int) -> Network:
        """The untrained network; called when JAX is known to be there."""

    def build(self, task: Task, *, n_neurons: int, seed: int, replicate: int = 0) -> Self:
        """Make the untrained network for a task; returns itself."""
        self.refuse_unsupported(task)
        if task.kind == "drive" and task.n_outputs != n_neurons:
            raise SpecError(
                f"task {task.name} wants {task.n_outputs} drives of a network of {n_neurons} neurons: must be as many, "
                "one per neuron; change network.n_neurons or the task"
            )
        require_jax(self.name)
        from hpcspike.learners.descent import Descent
        from hpcspike.learners.policy import PolicyDescent

        steps = PolicyDescent if task.kind == "actions" else Descent
        network = self._network(task, n_neurons, seed, replicate)
        self._descent = steps(network, task, self.settings, seed=seed, replicate=replicate)
        return self

    def advance(self, number: int) -> dict[str, float]:
        """Train for ``steps_per_pass`` steps."""
        return self._descent.advance(number)

    def rollout(
        self, stimulus: Stimulus, *, kill: np.ndarray | None = None, noise: float = 0.0, delete_spike: int | None = None
    ) -> Rollout:
        """Run the network on its own."""
        refuse_targets(stimulus)
        return self._descent.rollout(stimulus, kill=kill, noise=noise, delete_spike=delete_spike)

    def weights(self) -> dict[str, np.ndarray]:
        """Weights by name, from row to column."""
        return self._descent.shown_weights()

    def n_trained(self) -> int:
        """Number of trained parameters; with a bound on the connections, of those that exist."""
        return self._descent.n_trained()

    def state(self) -> dict[str, np.ndarray]:
        """Weights and optimiser."""
        return self._descent.state()

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state` gave."""
        self._descent.restore(state)

    def diverged(self) -> bool:
        """Whether no step of the last pass had a finite gradient."""
        return self._descent.diverged()
