"""What happens in a trial: start, cue, and external input beside it."""

from __future__ import annotations

from typing import ClassVar, Literal

from hpcspike.spec.fields import GrownSection, Section, quantity
from hpcspike.spec.learners import LearnerSection, RlsLearner


class Stimulus(Section):
    """Cue before the window: one constant amplitude per neuron, uniform on [-a, a] (paper, Methods)."""

    amplitude: float = quantity(1.0, ge=0, paper="Methods", doc="Largest amplitude a.")
    duration_ms: float = quantity(100.0, unit="ms", ge=0, paper="Methods", doc="Length of the cue.")


class FrozenNoise(Section):
    """Ornstein-Uhlenbeck input of each neuron, the same path in every loop and trial (paper, Fig 3 supplement 3).

    It starts with the cue, from its stationary distribution, and ends with the trained window.
    """

    standard_deviation: float = quantity(
        0.0, ge=0, paper="Fig 3s3", doc="Stationary s.d. in units of the external input I; 0: no noise."
    )
    tau_corr_ms: float = quantity(10.0, unit="ms", gt=0, doc="Correlation time of the noise.")


class TrialNoise(Section):
    """External input of each neuron that is new in every trial: Ornstein-Uhlenbeck or white noise.

    It lasts from the start of the free run to the end of the trial, from its stationary distribution.
    """

    standard_deviation: float = quantity(
        0.0, ge=0, doc="Stationary s.d. in units of the external input I; 0: no noise."
    )
    tau_corr_ms: float = quantity(
        10.0, unit="ms", ge=0, doc="Correlation time of the noise; 0: white, a new value in every step."
    )
    where: Literal["input"] = quantity("input", doc="What it is added to: the external input.")
    phase: Literal["training_and_test", "test_only"] = quantity(
        "training_and_test", doc="Whether training loops have noise too, each its own, or test trials only."
    )


class Protocol(GrownSection):
    """What comes before the cue of a trial: the state it starts from, and spontaneous activity."""

    later_keys: ClassVar[tuple[str, ...]] = ("start", "set_order")

    free_run_ms: float = quantity(1000.0, unit="ms", ge=0, doc="Free run before each cue in training.")
    test_free_run_ms: float = quantity(
        200.0, unit="ms", ge=0, doc="Free run before the cue of a test trial, from random phases and r = 0."
    )
    start: Literal["running", "random"] = quantity(
        "running",
        paper="Methods",
        doc="State at the start of a training loop: 'running': where the loop before ended, as in the paper's program; "
        "'random': new random phases and r = 0 in every loop, as test trials start.",
    )
    set_order: Literal["alternating", "random"] = quantity(
        "alternating",
        paper="Fig 2",
        doc="Order of several target sets in training: 'alternating': 1, 2, 1, 2, ...; 'random': every set once per "
        "round, in a new random order.",
    )


def why_trials_are_others(protocol: Protocol, noise: TrialNoise, learner: LearnerSection) -> str | None:
    """What makes starts of loops (protocol) or noise in trials (noise) meaningless to a learner, or None."""
    if noise.standard_deviation > 0 and not isinstance(learner, RlsLearner):
        return (
            f"trial_noise.standard_deviation = {noise.standard_deviation:g} has no effect with learner.kind = "
            f"{learner.kind}, which has trials of its own; leave it out, or choose learner.kind: rls"
        )
    if protocol.start == "random" and not isinstance(learner, RlsLearner):
        return (
            f"protocol.start = random has no effect with learner.kind = {learner.kind}, which begins its trials in its "
            "own way; leave it out, or choose learner.kind: rls"
        )
    if protocol.set_order == "random" and not isinstance(learner, RlsLearner):
        return (
            f"protocol.set_order = random has no effect with learner.kind = {learner.kind}, which chooses its trials "
            "itself; leave it out, or choose learner.kind: rls"
        )
    return None
