"""Whether an experiment can give what it asks for: keys without effect, and training in which nothing can be learned.

Asked before new work begins and not when a document is read: what was once stored stays readable. A sweep may hold
values that leave a key without effect beside others that do not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from hpcspike.spec.experiment import Experiment
from hpcspike.spec.learners import RlsLearner
from hpcspike.spec.recorded import RecordedTargets


class _Vain(NamedTuple):
    """A reason, and the keys of which another value would take it away."""

    reason: str
    rests_on: tuple[str, ...]


RESTED_ON = ("stimulus.amplitude", "stimulus.duration_ms", "stimulus.noise", "feed_forward.n_neurons")
"""All keys that decide whether others have an effect."""


def why_in_vain(experiment: Experiment, varied: Collection[str] = ()) -> str | None:
    """What an experiment asks for in vain, or None; varied: keys that have other values beside this one in a sweep."""
    for found in _found(experiment):
        if not any(key == one or key.startswith(f"{one}.") for key in found.rests_on for one in varied):
            return found.reason
    return None


def differing(experiments: Collection[Experiment]) -> list[str]:
    """Those of `RESTED_ON` that have several values among some experiments."""
    return [key for key in RESTED_ON if len({_value(experiment, key) for experiment in experiments}) > 1]


def _value(experiment: Experiment, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(experiment, section), name, None)


def _found(experiment: Experiment) -> Iterator[_Vain]:
    if isinstance(experiment.learner, RlsLearner):
        if experiment.targets.n_sets > 1:
            yield from _of_sets(experiment)


def _of_sets(experiment: Experiment) -> Iterator[_Vain]:
    cue, feed, targets = experiment.stimulus, experiment.feed_forward, experiment.targets
    fed = feed.n_neurons > 0 and (feed.noise > 0 or (feed.mean_hz > 0 and feed.weights == "per_condition"))
    if fed or (cue.duration_ms > 0 and (cue.amplitude > 0 or cue.noise > 0)):
        return
    lacking = f"amplitude = {cue.amplitude:g}" if cue.duration_ms > 0 else f"duration_ms = {cue.duration_ms:g} ms"
    needed = "amplitude > 0" if cue.duration_ms > 0 else "duration_ms > 0 ms"
    several, one = f"targets.n_sets = {targets.n_sets}", "choose targets.n_sets: 1"
    if isinstance(targets, RecordedTargets):
        several, one = f"targets.conditions names {targets.n_sets} conditions", "leave all conditions but one out"
    yield _Vain(
        f"{several}, but stimulus.{lacking}: without a cue nothing tells the target sets apart, and a network can "
        f"recall one at most; give a cue with stimulus.{needed}, or {one}",
        ("stimulus.amplitude", "stimulus.duration_ms", "stimulus.noise", "feed_forward.n_neurons"),
    )
