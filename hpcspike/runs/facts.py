"""What can be known of a network before it is built, and whatever speaks against building it.

Every command asks here before its work: what `hpcspike plan` lets pass, training does not refuse.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcspike.errors import SpecError
from hpcspike.spec.effect import why_in_vain
from hpcspike.spec.experiment import Experiment, UserNeuron, why_neurons_do_not_differ
from hpcspike.spec.learners import GradientLearner, UserLearner
from hpcspike.spec.measures import why_not_smoothed
from hpcspike.spec.targets import RecordedTargets
from hpcspike.spec.trial import why_not_shaken

_NEURONS_TRIED = 10_000
"""A user's neuron model is asked for the initial state of at most so many neurons."""


@dataclass(frozen=True)
class Facts:
    """Sizes that an experiment may leave to its recording.

    Attributes
    ----------
    n_neurons
        Number of neurons N.
    duration_ms
        Length T of the trained window in ms.
    n_recorded
        Number of neurons whose targets were recorded; they come first.
    n_units
        Number of recorded units that are followed, by those neurons or by a subset.
    """

    n_neurons: int
    duration_ms: float
    n_recorded: int = 0
    n_units: int = 0


def facts_of(experiment: Experiment) -> Facts:
    """The sizes of the network that an experiment makes; its recording and its user's code are read, nothing is built.

    Raises
    ------
    SpecError, DataError
        If the network cannot be built: a recording that does not fit, a neuron model or learner that is not there.
    ResourceError
        If a package that its learner needs is missing.
    """
    _check_learner(experiment)
    targets = experiment.targets
    if not isinstance(targets, RecordedTargets):
        assert experiment.network.n_neurons is not None
        assert targets.duration_ms is not None
        return _checked(experiment, Facts(experiment.network.n_neurons, targets.duration_ms))
    key = _what_decides(experiment, targets)
    if key not in _KNOWN:
        _KNOWN[key] = _of_recording(experiment)
    return _checked(experiment, _KNOWN[key])


def refuse_in_vain(experiment: Experiment, *, varied: Collection[str] = ()) -> None:
    """Refuse new work that cannot give what its experiment asks for, and all that `facts_of` refuses.

    Stored results are not asked: they stay readable, and can be made again.

    Parameters
    ----------
    varied
        Keys that have other values in other points of the same sweep, or other variants of the same study.

    Raises
    ------
    HpcspikeError
        As `facts_of`; a SpecError of a key without effect, or of training in which nothing can be learned.
    """
    reason = what_is_in_vain(experiment, varied=varied)
    if reason is not None:
        raise SpecError(reason)


def what_is_in_vain(experiment: Experiment, *, varied: Collection[str] = ()) -> str | None:
    """The reason for which `refuse_in_vain` refuses an experiment whose network can be built, or None."""
    facts = facts_of(experiment)
    return why_in_vain(experiment, varied) or why_not_smoothed(
        experiment.measures, grid_ms=experiment.targets.grid_ms, step_ms=experiment.neuron.step_ms,
        duration_ms=facts.duration_ms,
    )  # fmt: skip


_KNOWN: dict[tuple[Any, ...], Facts] = {}
"""What is known of recordings: a sweep asks for each of its points."""


def _what_decides(experiment: Experiment, targets: RecordedTargets) -> tuple[Any, ...]:
    """All that the facts of a recording depend on, its file as it is now included."""
    versions = [_version(path) for path in sorted({one.path for one in targets.each_condition()})]
    subset = experiment.training.subset
    sections = (targets, experiment.connectivity, experiment.network, *(() if subset is None else (subset,)))
    return (
        *(section.model_dump_json() for section in sections), experiment.neuron.tau_ms, experiment.neuron.step_ms,
        getattr(experiment.neuron, "refractory_ms", None),
        experiment.training.update_interval_ms, experiment.seed if targets.is_stand_in else None,
        *versions,
    )  # fmt: skip


def _version(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:  # a stand-in, or refused when it is read
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _of_recording(experiment: Experiment) -> Facts:
    from hpcspike.model.build import recording_of
    from hpcspike.model.targets import duration_of, n_neurons_of

    recording = recording_of(experiment)
    assert recording is not None
    return Facts(
        n_neurons_of(experiment, recording),
        duration_of(experiment, recording),
        n_recorded=0 if experiment.training.subset is not None else len(recording.values),
        n_units=len(recording.values),
    )


def _checked(experiment: Experiment, facts: Facts) -> Facts:
    n = facts.n_neurons
    reason = why_neurons_do_not_differ(experiment, n) or why_not_shaken(
        experiment.trial_noise, experiment.neuron.model, n
    )
    if reason is not None:
        raise SpecError(reason)
    if isinstance(experiment.neuron, UserNeuron):
        _check_neuron(experiment.neuron.model_dump_json(), min(n, _NEURONS_TRIED))
    return facts


@functools.lru_cache(maxsize=1024)
def _check_neuron(section: str, n: int) -> None:
    from hpcspike.model.neurons import initial_state, user_advance

    neuron = UserNeuron.model_validate_json(section)
    initial_state(neuron, np.linspace(0.0, 6.0, n), range(n))
    user_advance(neuron)


def _check_learner(experiment: Experiment) -> None:
    section = experiment.learner
    if isinstance(section, UserLearner):
        from hpcspike.learners import learner_class

        learner_class(section.path)
    elif isinstance(section, GradientLearner):
        from hpcspike.learners.gradient import require_jax

        require_jax(section.kind)
