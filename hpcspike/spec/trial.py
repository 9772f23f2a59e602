"""What happens in a trial: start, cue, and external input beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Strict, field_validator

from hpcspike.spec.fields import GrownSection, Section, quantity, whole_number
from hpcspike.spec.learners import LearnerSection, RlsLearner
from hpcspike.spec.neurons import Neuron

if TYPE_CHECKING:
    from hpcspike.spec.experiment import Training


class Stimulus(GrownSection):
    """Cue before the window: one constant amplitude per neuron, uniform on [-a, a] (paper, Methods), and a path.

    The path is Ornstein-Uhlenbeck, starts from 0, and is drawn once for each neuron and target set: the same in every
    loop and trial.
    """

    later_keys: ClassVar[tuple[str, ...]] = ("noise", "tau_corr_ms")

    amplitude: float = quantity(1.0, ge=0, paper="Methods", doc="Largest amplitude a.")
    duration_ms: float = quantity(100.0, unit="ms", ge=0, paper="Methods", doc="Length of the cue.")
    noise: float = quantity(
        0.0, unit="1/sqrt(ms)", ge=0, doc="Noise strength of the path; its s.d. grows to noise sqrt(tau_corr_ms / 2)."
    )
    tau_corr_ms: float = quantity(20.0, unit="ms", gt=0, doc="Correlation time of the path.")


class FrozenNoise(Section):
    """Ornstein-Uhlenbeck input of each neuron, the same path in every loop and trial (paper, Fig 3 supplement 3).

    It starts with the cue, from its stationary distribution, and ends with the trained window.
    """

    standard_deviation: float = quantity(
        0.0, ge=0, paper="Fig 3s3", doc="Stationary s.d. in units of the external input I; 0: no noise."
    )
    tau_corr_ms: float = quantity(10.0, unit="ms", gt=0, doc="Correlation time of the noise.")


class TrialNoise(GrownSection):
    """Noise of each neuron that is new in every trial: Ornstein-Uhlenbeck or white, of its input or its voltage.

    It lasts from the start of the free run to the end of the trial, from its stationary distribution.
    """

    later_keys: ClassVar[tuple[str, ...]] = ("neuron_factors", "generator")

    standard_deviation: float = quantity(
        0.0, ge=0, doc="Stationary s.d. in units of what it is added to (where); 0: no noise."
    )
    neuron_factors: Annotated[tuple[float, ...], Strict(False)] | None = quantity(
        None, doc="Factor of the s.d. of each neuron, N numbers of 0 or more; null: 1 for all."
    )
    tau_corr_ms: float = quantity(
        10.0, unit="ms", ge=0, doc="Correlation time of the noise; 0: white, a new value in every step."
    )
    where: Literal["input", "voltage"] = quantity(
        "input",
        doc="What it is added to: 'input': the external input I; 'voltage': in every step the voltage v (of theta "
        "neurons tan(theta / 2)) is moved by as much as the noise changes.",
    )
    phase: Literal["training_and_test", "test_only"] = quantity(
        "training_and_test", doc="Whether training loops have noise too, each its own, or test trials only."
    )
    generator: Literal["philox", "splitmix"] = quantity(
        "philox",
        doc="What draws the normal numbers: 'philox': numpy's Philox, in blocks of steps; 'splitmix': SplitMix64 and "
        "the ziggurat in compiled code, other numbers of the same distribution in a fraction of the time.",
    )

    @property
    def in_blocks(self) -> bool:
        """Whether steps can only be made in blocks, one after the other."""
        return self.generator == "philox" or self.tau_corr_ms > 0

    @field_validator("neuron_factors")
    @classmethod
    def _never_negative(cls, factors: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if factors is not None and (not factors or min(factors) < 0):
            raise ValueError("must be one number of 0 or more for each neuron")
        return factors

    def of_neuron(self, index: int) -> TrialNoise:
        """The noise of one neuron, as that of a network of such neurons."""
        if self.neuron_factors is None:
            return self
        own = self.standard_deviation * self.neuron_factors[index]
        return self.changed({"standard_deviation": own, "neuron_factors": None})


class FeedForward(GrownSection):
    """Poisson neurons outside of the network with plastic synapses onto every trained neuron.

    Their rates are Ornstein-Uhlenbeck paths, the same in every loop and trial; their spikes are new in each. They are
    silent before the trained window.
    """

    later_keys: ClassVar[tuple[str, ...]] = ("covariance",)

    n_neurons: int = whole_number(0, ge=0, le=1_000_000, doc="Number of feed-forward neurons F; 0: there are none.")
    mean_hz: float = quantity(5.0, unit="Hz", ge=0, doc="Mean rate, and the rate at the start of the window.")
    tau_corr_ms: float = quantity(400.0, unit="ms", gt=0, doc="Correlation time of the rates.")
    noise: float = quantity(
        0.2, unit="Hz/sqrt(ms)", ge=0, doc="Noise strength of the rates; their s.d. is noise sqrt(tau_corr_ms / 2)."
    )
    smoothing_ms: float = quantity(50.0, unit="ms", ge=0, doc="Rates are averaged over so long before and after.")
    initial_weight: float = quantity(0.0, doc="Weight before training.")
    weights: Literal["per_condition", "shared"] = quantity(
        "per_condition", doc="Whether every target set has feed-forward weights of its own, or all share one set."
    )
    covariance: Literal["shared", "joint"] = quantity(
        "shared",
        doc="P of feed-forward weights per condition. 'shared': all target sets have the same F rows of it, as "
        "published; 'joint': each has rows of its own: least squares over all sets, with n_sets F inputs for F.",
    )

    @property
    def sets_share_inputs(self) -> bool:
        """Whether every target set has weights of its own for the same inputs of a neuron."""
        return self.n_neurons > 0 and self.weights == "per_condition" and self.covariance == "shared"

    def n_inputs(self, n_sets: int) -> int:
        """Plastic inputs that a trained neuron has from the population in all target sets together."""
        return self.n_neurons * (n_sets if self.covariance == "joint" else 1)


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


def why_not_shaken(noise: TrialNoise, model: str, n_neurons: int | None) -> str | None:
    """What forbids noise of trials (noise) in a network of N neurons (None: not known yet) of a model, or None."""
    if noise.where == "voltage" and noise.standard_deviation > 0 and model in ("user", "tanh", "glif"):
        return (
            f"trial_noise.where = voltage: what is the voltage of neuron.model = {model} is not known; choose "
            "where: input"
        )
    if noise.neuron_factors is not None and n_neurons not in (None, len(noise.neuron_factors)):
        return (
            f"trial_noise.neuron_factors has {len(noise.neuron_factors)} numbers: must be one for each of the "
            f"{n_neurons} neurons; give as many, or leave it out for the same noise in all"
        )
    return None


def why_trials_are_others(
    protocol: Protocol, noise: TrialNoise, stimulus: Stimulus, learner: LearnerSection
) -> str | None:
    """What makes starts of loops (protocol), noise in trials or the path of a cue meaningless to a learner, or None."""
    if stimulus.noise > 0 and not isinstance(learner, RlsLearner):
        return (
            f"stimulus.noise = {stimulus.noise:g} has no effect with learner.kind = {learner.kind}, whose cue is "
            "constant; leave it out, or choose learner.kind: rls"
        )
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


def why_unpenalised(training: Training, feed: FeedForward, learner: LearnerSection) -> str | None:
    """What makes penalties and forgetting (training) meaningless, or None."""
    if training.forgetting < 1.0 and training.sign_rule != "none":
        return (
            f"training.forgetting = {training.forgetting:g} is not meant for training.sign_rule = "
            f"{training.sign_rule}; choose forgetting: 1 or sign_rule: none"
        )
    if training.feed_forward_ridge is not None and feed.n_neurons == 0:
        return (
            f"training.feed_forward_ridge = {training.feed_forward_ridge:g} has no effect: feed_forward.n_neurons = 0; "
            "leave it out"
        )
    for key, value, none in (
        ("training.row_sum_penalty", training.row_sum_penalty, 0.0),
        ("training.forgetting", training.forgetting, 1.0),
        ("feed_forward.n_neurons", feed.n_neurons, 0),
    ):
        if value != none and not isinstance(learner, RlsLearner):
            return f"{key} = {value:g} has no effect with learner.kind = {learner.kind}; leave it out"
    if training.keep == "best" and feed.sets_share_inputs:
        return (
            "training.keep = best keeps one set of weights, but feed_forward.weights = per_condition has several: "
            "choose keep: last, weights: shared, or covariance: joint"
        )
    return None


def why_unfed(feed: FeedForward, neuron: Neuron, protocol: Protocol, n_sets: int) -> str | None:
    """What forbids a feed-forward population (feed), or None."""
    if feed.n_neurons and not neuron.facts.spikes:
        return (
            f"feed_forward.n_neurons = {feed.n_neurons}: units of neuron.model = {neuron.model} do not take spikes; "
            "leave it out"
        )
    if feed.covariance == "joint" and feed.weights == "shared":
        return (
            "feed_forward.covariance = joint is about weights of each target set, but feed_forward.weights = shared; "
            "choose weights: per_condition, or leave covariance out"
        )
    if feed.sets_share_inputs and n_sets > 1 and protocol.start != "random":
        return (
            "feed_forward.weights = per_condition exchanges weights between loops, where r must be 0: choose "
            "protocol.start: random, weights: shared, or covariance: joint"
        )
    return None
