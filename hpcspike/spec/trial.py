"""What happens in a trial: start, cue, and external input that repeats."""

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


class Protocol(GrownSection):
    """What comes before the cue of a trial: the state it starts from, and spontaneous activity."""

    later_keys: ClassVar[tuple[str, ...]] = ("start",)

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


def why_start_is_unused(protocol: Protocol, learner: LearnerSection) -> str | None:
    """What makes a state at the start of loops (protocol) meaningless to a learner, or None."""
    if protocol.start == "random" and not isinstance(learner, RlsLearner):
        return (
            f"protocol.start = random has no effect with learner.kind = {learner.kind}, which begins its trials in its "
            "own way; leave it out, or choose learner.kind: rls"
        )
    return None
