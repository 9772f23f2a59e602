"""Whether an experiment can give what it asks for: keys without effect, and training in which nothing can be learned.

Asked before new work begins and not when a document is read: what was once stored stays readable. A sweep may hold
values that leave a key without effect beside others that do not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from hpcspike.spec.connectivity import ZeroConnectivity
from hpcspike.spec.experiment import Experiment, Training
from hpcspike.spec.fields import Section
from hpcspike.spec.learners import RlsLearner
from hpcspike.spec.recorded import RecordedTargets
from hpcspike.spec.trial import FeedForward, FrozenNoise, TrialNoise


class _Vain(NamedTuple):
    """A reason, and the keys of which another value would take it away."""

    reason: str
    rests_on: tuple[str, ...]


_OF_SIZE: dict[str, tuple[str, Section]] = {
    "trial_noise": ("standard_deviation", TrialNoise()),
    "frozen_noise": ("standard_deviation", FrozenNoise()),
    "feed_forward": ("n_neurons", FeedForward()),
}
"""Section -> the key without which its others have no effect, and the section without any key."""
_SMOOTHING = Training().smoothing
RESTED_ON = (
    "stimulus.amplitude", "stimulus.duration_ms", "stimulus.noise", "training.variable", "training.transfer",
    "neuron.bias", "connectivity.kind", *(f"{section}.{size}" for section, (size, _) in _OF_SIZE.items()),
)  # fmt: skip
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
    for name, (size, plain) in _OF_SIZE.items():
        section = getattr(experiment, name)
        if getattr(section, size) == 0 and section.__dict__ != plain.__dict__:
            yield _without_size(name, size, section, plain)
    if isinstance(experiment.learner, RlsLearner):
        yield from _of_training(experiment)
        if experiment.targets.n_sets > 1:
            yield from _of_sets(experiment)


def _without_size(name: str, size: str, section: Section, plain: Section) -> _Vain:
    key, value = next((key, value) for key, value in section if value != getattr(plain, key))
    given = f"{value:g}" if isinstance(value, float) else value
    reason = f"{name}.{key} = {given} has no effect: {name}.{size} = 0; leave it out, or give {name}.{size}"
    return _Vain(reason, (f"{name}.{size}",))


def _of_training(experiment: Experiment) -> Iterator[_Vain]:
    training, noise, feed = experiment.training, experiment.trial_noise, experiment.feed_forward
    if training.variable != "rate" or training.transfer == "phi_2":
        return
    if training.smoothing != _SMOOTHING:
        yield _Vain(
            f"training.smoothing = {training.smoothing:g} has no effect with training.transfer = {training.transfer}: "
            "it is c of phi_2; leave it out, or choose training.transfer: phi_2",
            ("training.variable", "training.transfer"),
        )
    shaken = experiment.frozen_noise.standard_deviation > 0 or (
        noise.standard_deviation > 0 and noise.phase == "training_and_test"
    )
    fed = feed.n_neurons > 0 and feed.initial_weight > 0
    bias = getattr(experiment.neuron, "bias", 0.0)
    silent = isinstance(experiment.connectivity, ZeroConnectivity) and bias <= 0 and not shaken and not fed
    if training.transfer == "phi_1" and silent and training.n_loops > 0:
        yield _Vain(
            f"training.transfer = phi_1 learns nothing here: its slope is 0 at inputs of 0 or less, and with "
            f"connectivity.kind = zero the input of every neuron is neuron.bias = {bias:g}, so that no weight ever "
            "changes; choose neuron.bias > 0, another connectivity.kind, or training.transfer: phi_2",
            ("neuron.bias", "connectivity.kind", "training.variable", "training.transfer", "feed_forward.n_neurons",
             "frozen_noise.standard_deviation", "trial_noise.standard_deviation"),
        )  # fmt: skip


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
