"""The table of learners: one section each, with what an experiment sets and what the program has to know.

What a learner does is in the module of its ``home``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field

from hpcspike.spec.fields import Section, is_multiple, n_steps, quantity, whole_number
from hpcspike.spec.targets import GIVEN_INPUT, DelayedXorTargets, NavigationTargets, RecordedTargets, Targets


@dataclass(frozen=True)
class GradientCosts:
    """What `hpcspike plan` predicts a gradient learner from, measured on one core of a server (2025).

    Attributes
    ----------
    seconds_per_cell, seconds_per_product
        Per neuron, and per weight, of a trial of the batch and a step, there and back.
    bytes_per_cell
        What the way back needs to know of a neuron, trial of the batch and step.
    """

    seconds_per_cell: float
    seconds_per_product: float
    bytes_per_cell: float


class RlsLearner(Section):
    """Recursive least squares (Kim & Chow 2018) as `neuron`, `synapse`, `connectivity` and `training` describe it."""

    home: ClassVar[str | None] = "hpcspike.learners.rls:RlsLearner"
    title: ClassVar[str | None] = "RLS"

    kind: Literal["rls"] = "rls"


class _Other(Section):
    home: ClassVar[str | None] = None
    """Where its class is, ``package.module:Class``; None: the section says it."""
    title: ClassVar[str | None] = None
    """What it is called in figures; None: by its kind."""

    kind: str
    variable: Literal["drive", "readout"] = quantity(
        "drive", doc="What carries the targets: every neuron's drive, or readouts of the network."
    )
    n_readouts: int | None = whole_number(
        None, ge=1, doc="With variable: readout, train the first so many targets only; default: all N."
    )
    passes: int = whole_number(100, ge=0, le=1_000_000, doc="Passes over the training trials.")


class BalancedNetwork(_Other):
    """Efficient balanced networks: spikes are fired when they lower the error of a decoded state."""

    step_ms: float | None = quantity(
        None,
        unit="ms",
        gt=0,
        le=1.0,
        doc="Integration step; default: 0.1 ms, and above 250 neurons at most 25 ms / N, since all neurons together "
        "fire at most one spike per step.",
    )
    bandwidth_hz: float = quantity(
        8.0, unit="Hz", gt=0, doc="Highest frequency of the rotations through which targets are expressed."
    )
    settle_ms: float = quantity(0.0, unit="ms", ge=0, doc="Beginning of a trial without slow learning.")
    voltage_noise: float = quantity(
        0.0, ge=0, doc="White noise on V, in mean distances from 0 to threshold per square root of a second."
    )

    def step(self, n_neurons: int, grid_ms: float) -> float:
        """Integration step (ms) in a network of this size, a whole fraction of the sampling interval by default.

        25 ms / N leaves half of the steps without a spike at 20 Hz; networks that fire in more of them recall worse.
        """
        if self.step_ms is not None:
            return self.step_ms
        return grid_ms / math.ceil(grid_ms / min(0.1, 25.0 / n_neurons) - 1e-9)


class BourdoukanLearner(BalancedNetwork):
    """Fast weights by a voltage-based rule, then slow ones by an error current (Bourdoukan & Deneve 2015)."""

    home: ClassVar[str | None] = "hpcspike.learners.ebn_bourdoukan:BourdoukanLearner"
    title: ClassVar[str | None] = "Bourdoukan & Denève"

    kind: Literal["ebn_bourdoukan"]
    decay_per_s: float = quantity(50.0, unit="1/s", gt=0, doc="Decay lambda of voltages and of the decoded state.")
    weight_norm: float | None = quantity(
        None, gt=0, doc="Length of every neuron's input weights F_i; default: lambda J / (N 20 Hz)."
    )
    cost: float = quantity(1e-3, ge=0, doc="Quadratic cost mu of activity, in units of the square of that length.")
    fast_passes: int = whole_number(70, ge=0, doc="Passes of the fast rule before the slow one, not counted in passes.")
    fast_pass_ms: float = quantity(2000.0, unit="ms", gt=0, doc="Simulated time of such a pass.")
    fast_rate: float = quantity(1e-2, ge=0, lt=1, doc="Step of the fast rule per spike in the first half of them.")
    fast_rate_last: float = quantity(1e-3, ge=0, lt=1, doc="Step of the fast rule per spike in the second half.")
    fast_scale: float = quantity(1.8, gt=0, doc="beta of the fast rule; 2 is the gradient.")
    fast_input: float = quantity(1.0, gt=0, doc="S.d. of the noise that the network follows in the fast passes.")
    feedback_per_s: float = quantity(50.0, unit="1/s", ge=0, doc="Error feedback K in the first pass.")
    feedback_last_per_s: float = quantity(50.0, unit="1/s", ge=0, doc="Error feedback K in the last pass.")
    slow_rate: float = quantity(7.5, ge=0, doc="Step of the slow rule eta_0 in units of the decoded state.")


class AlemiLearner(BalancedNetwork):
    """Slow weights from random nonlinear units, learned by an error current (Alemi et al. 2018)."""

    home: ClassVar[str | None] = "hpcspike.learners.ebn_alemi:AlemiLearner"
    title: ClassVar[str | None] = "Alemi et al."

    kind: Literal["ebn_alemi"]
    leak_per_s: float = quantity(20.0, unit="1/s", gt=0, doc="Leak of the voltages.")
    decay_per_s: float = quantity(20.0, unit="1/s", gt=0, doc="Decay lambda of the decoded state.")
    decoder: Literal["gaussian", "equal"] = quantity(
        "equal", doc="Decoding vectors of neurons: Gaussian, or all of the length that is typical of these."
    )
    decoder_scale: float | None = quantity(
        None, gt=0, doc="S.d. of the decoder's entries; default: lambda sqrt(J) / (N 20 Hz)."
    )
    cost: float = quantity(1e-3, ge=0, doc="Quadratic cost mu of activity, in units of decoder_scale^2 J.")
    linear_cost: float = quantity(1e-3, ge=0, doc="Linear cost nu of activity, in the same units.")
    basis: Literal["trace", "tanh"] = quantity("trace", doc="Psi: the traces r, or tanh(B x_hat + theta).")
    basis_scale: float = quantity(1.5, gt=0, doc="S.d. of B; theta is uniform in [-1, 1].")
    feedback_per_s: float = quantity(50.0, unit="1/s", ge=0, doc="Error feedback k in the first pass.")
    feedback_last_per_s: float = quantity(25.0, unit="1/s", ge=0, doc="Error feedback k in the last pass.")
    slow_rate: float = quantity(40.0, ge=0, doc="Step of the slow rule eta_0 in units of the decoded state.")


class GradientLearner(_Other):
    """Gradient descent through whole trials, with Adam."""

    costs: ClassVar[GradientCosts]
    if TYPE_CHECKING:
        step_ms: float  # a field of every such section, with its own default

    @property
    def cost(self) -> GradientCosts:
        """What `hpcspike plan` predicts from, with these settings."""
        return self.costs

    variable: Literal["drive", "readout"] = quantity("readout", doc="What carries the targets.")
    steps_per_pass: int = whole_number(10, ge=1, le=100_000, doc="Steps of Adam in one pass.")
    batch: int = whole_number(4, ge=1, le=65_536, doc="Trials in the batch of every step.")
    learning_rate: float = quantity(0.01, gt=0, doc="Learning rate of Adam.")
    rate_decay: float = quantity(1.0, gt=0, le=1, doc="Factor of the learning rate after every rate_decay_every steps.")
    rate_decay_every: int = whole_number(100, ge=1, doc="Steps between two reductions of the learning rate.")
    gradient_norm: float | None = quantity(None, gt=0, doc="Longer gradients are shortened to this length.")
    training_noise: float = quantity(
        0.0, ge=0, doc="White noise on v in training, in distances from rest to threshold per square root of a second."
    )


class AdaptiveNetwork(GradientLearner):
    """Leaky and adaptive integrate-and-fire neurons (Bellec et al. 2018), whatever the rule is that trains them."""

    costs: ClassVar[GradientCosts] = GradientCosts(
        seconds_per_cell=1.0e-8, seconds_per_product=3.2e-10, bytes_per_cell=55.0
    )
    costs_delayed: ClassVar[GradientCosts] = GradientCosts(
        seconds_per_cell=7.0e-8, seconds_per_product=8.0e-11, bytes_per_cell=55.0
    )
    """With several delays: by lists of synapses, of which only those that exist count. In large batches, which no cache
    holds, a cell takes half as long again as in small ones."""

    @property
    def cost(self) -> GradientCosts:
        """What `hpcspike plan` predicts from, with these settings."""
        if self.n_delays == 1:
            return self.costs
        share = 1.0 if self.connectivity is None else self.connectivity
        return replace(self.costs_delayed, seconds_per_product=share * self.costs_delayed.seconds_per_product)

    step_ms: float = quantity(1.0, unit="ms", gt=0, doc="Integration step.")
    tau_ms: float = quantity(20.0, unit="ms", gt=0, doc="Membrane time constant.")
    tau_adaptation_ms: float = quantity(500.0, unit="ms", gt=0, doc="Time constant of the adaptation of thresholds.")
    tau_readout_ms: float = quantity(20.0, unit="ms", gt=0, doc="Time constant of the filter of readouts and drives.")
    threshold: float = quantity(0.01, gt=0, doc="Threshold without adaptation.")
    beta: float = quantity(1.7, ge=0, doc="Rise of an adaptive neuron's threshold per spike per step of filtered rate.")
    adaptive_share: float = quantity(0.5, ge=0, le=1, doc="Share of adaptive neurons; the others are leaky ones.")
    refractory_ms: float = quantity(3.0, unit="ms", gt=0, doc="Time after a spike without another.")
    damping: float = quantity(
        0.3, gt=0, le=1, doc="Pseudo-derivative of the spike at threshold; smaller where gradients explode."
    )
    input_gain: float = quantity(0.05, gt=0, doc="Factor of all input currents; 1 for inputs that are spikes.")
    weight_scale: float = quantity(1.0, ge=0, doc="S.d. of the initial recurrent weights, times the root of N.")
    bias: float = quantity(0.0, doc="Constant current of every neuron, in thresholds.")
    train_bias: bool = quantity(False, doc="Train a constant current of every neuron too.")
    n_delays: int = whole_number(1, ge=1, le=1000, doc="Delays are uniform over so many steps, the shortest 0.")
    drive_unit: float = quantity(2.0, gt=0, doc="Filtered recurrent current, in thresholds, that counts as drive 1.")
    rate_hz: float = quantity(10.0, unit="Hz", ge=0, doc="Firing rate f0 that costs nothing.")
    rate_cost: float = quantity(0.01, ge=0, doc="Cost of squared deviations from it, in spikes per ms, per neuron.")
    connectivity: float | None = quantity(
        None, gt=0, le=1, doc="Share of connections that exist at any time (DEEP R); default: all, without rewiring."
    )
    rewiring_l1: float = quantity(0.01, ge=0, doc="Pull of connections towards zero, per learning rate (DEEP R).")
    rewiring_temperature: float = quantity(0.0, ge=0, doc="Temperature of their random walk (DEEP R).")


class LsnnLearner(AdaptiveNetwork):
    """Backpropagation through time in a network with adaptive neurons (Bellec et al. 2018).

    For ``variable: drive`` choose bias about 1 and a small weight_scale: recurrent currents are the drives then, and a
    network without other input falls silent as they shrink to the size of their targets.
    """

    home: ClassVar[str | None] = "hpcspike.learners.lsnn:LsnnLearner"
    title: ClassVar[str | None] = "LSNN"

    kind: Literal["lsnn"]


class EpropLearner(AdaptiveNetwork):
    """E-prop in a network with adaptive neurons: a local rule of eligibility traces and a learning signal (Bellec et
    al. 2020).

    The gradient of backpropagation through time without what a spike does to other neurons.
    """

    home: ClassVar[str | None] = "hpcspike.learners.eprop:EpropLearner"
    title: ClassVar[str | None] = "e-prop"

    kind: Literal["eprop"]
    variable: Literal["readout"] = quantity("readout", doc="What carries the targets: readouts of the network.")
    feedback: Literal["symmetric", "random"] = quantity(
        "symmetric",
        doc="Weights by which errors of readouts reach the neurons: those of the readouts, or random ones that stay.",
    )


class LstmLearner(GradientLearner):
    """A long short-term memory network, without spikes: the baseline of networks of adaptive neurons."""

    home: ClassVar[str | None] = "hpcspike.learners.lstm:LstmLearner"
    title: ClassVar[str | None] = "LSTM"
    costs: ClassVar[GradientCosts] = GradientCosts(
        seconds_per_cell=1.2e-7, seconds_per_product=1.3e-9, bytes_per_cell=60.0
    )

    kind: Literal["lstm"]
    variable: Literal["readout"] = quantity("readout", doc="What carries the targets: readouts of the units.")
    step_ms: float = quantity(1.0, unit="ms", gt=0, doc="Time of a step of the network.")
    forget_bias: float = quantity(1.0, doc="Bias of forget gates before training; large: what is written stays.")


class HuhLearner(GradientLearner):
    """Exact gradient descent through synapses that are graded near threshold (Huh & Sejnowski 2018).

    Its gradients are exact, and explode in chaotic networks: choose adjoint_clip for trials of more than a few 100 ms.
    It learns to code its input; recall of trajectories stays far behind that of other learners.
    """

    home: ClassVar[str | None] = "hpcspike.learners.huh:HuhLearner"
    title: ClassVar[str | None] = "Huh & Sejnowski"
    costs: ClassVar[GradientCosts] = GradientCosts(
        seconds_per_cell=1.2e-7, seconds_per_product=2.3e-10, bytes_per_cell=60.0
    )

    kind: Literal["huh"]
    neuron: Literal["theta", "nif"] = quantity("theta", doc="Theta neuron, or non-leaky integrate-and-fire neuron.")
    step_ms: float = quantity(0.5, unit="ms", gt=0, doc="Integration step.")
    tau_ms: float = quantity(10.0, unit="ms", gt=0, doc="Membrane time constant, the unit of time of the current.")
    tau_syn_ms: float = quantity(20.0, unit="ms", gt=0, doc="Time constant of synapses and readouts.")
    tau_fast_ms: float | None = quantity(None, unit="ms", gt=0, doc="Time constant of fast synapses; default: none.")
    gate_width: float = quantity(0.3, gt=0, le=1, doc="Width of the zone below threshold in which charge is released.")
    bias: float = quantity(0.0, doc="Constant current I_0 of every neuron.")
    bias_spread: float = quantity(
        0.0, ge=0, doc="With train_bias: trained currents are uniform within so much around bias before training."
    )
    input_scale: float = quantity(1.0, ge=0, doc="S.d. of the initial input weights, times the root of their number.")
    input_mean: float = quantity(
        0.0, doc="Mean of the initial input weights; clearly negative, the cue makes all neurons forget their state."
    )
    weight_scale: float = quantity(1.0, ge=0, doc="S.d. of the initial recurrent weights, times the root of N.")
    fast_inhibition: float = quantity(0.0, ge=0, doc="Initial fast inhibition of all by all, times N.")
    fast_rate: float = quantity(0.01, ge=0, doc="Factor of the learning rate of fast weights.")
    slow_rate: float = quantity(1.0, ge=0, doc="Factor of the learning rate of recurrent weights and currents.")
    train_bias: bool = quantity(False, doc="Train a constant current of every neuron too.")
    activity_cost: float = quantity(0.0, ge=0, doc="Cost lambda of mean squared synaptic traces.")
    adjoint_clip: float | None = quantity(
        None, gt=0, doc="Longest adjoint of a trial's state that is passed on from step to step."
    )


class UserLearner(_Other):
    """A learner of one's own, by import path."""

    kind: Literal["user"]
    path: str = quantity(
        pattern=r"^([A-Za-z_][\w.]*|.+\.py):[A-Za-z_]\w*$",
        doc="Where the class is: package.module:Class, or file.py:Class with a path from the YAML file.",
    )
    settings: dict[str, Any] = quantity({}, doc="What the class is called with.")


LearnerSection = Annotated[
    RlsLearner | BourdoukanLearner | AlemiLearner | LsnnLearner | EpropLearner | LstmLearner | HuhLearner | UserLearner,
    Field(discriminator="kind"),
]
LEARNERS: dict[str, Any] = {
    get_args(section.model_fields["kind"].annotation)[0]: section for section in get_args(get_args(LearnerSection)[0])
}
"""Kind -> section, in the order in which figures draw them."""


def why_unlearnable(learner: LearnerSection, targets: Targets, n_neurons: int | None, cue_ms: float) -> str | None:
    """What forbids a learner to take up targets in a network of so many neurons after such a cue, or None; rls can."""
    if isinstance(learner, RlsLearner):
        return None
    recalled = not isinstance(targets, GIVEN_INPUT)
    if recalled:
        reason = _why_not_recalled(learner, targets, n_neurons, cue_ms)
        if reason is not None:
            return reason
    if isinstance(targets, NavigationTargets) and not isinstance(learner, LsnnLearner | UserLearner):
        return f"targets.kind = navigation asks for actions, which learner.kind = {learner.kind} cannot; choose lsnn"
    # driven systems and store and recall have samples of 1 ms
    grid_ms = targets.grid_ms if recalled or isinstance(targets, DelayedXorTargets | NavigationTargets) else 1.0
    step_ms = getattr(learner, "step_ms", None)
    if step_ms is not None and not is_multiple(grid_ms, step_ms):
        return f"learner.step_ms = {step_ms:g} ms does not divide the sampling interval of the task, {grid_ms:g} ms"
    return None


def _why_not_recalled(learner: _Other, targets: Targets, n_neurons: int | None, cue_ms: float) -> str | None:
    kind = learner.kind
    if isinstance(targets, RecordedTargets) or n_neurons is None:
        return f"targets.kind = {targets.kind}: learner.kind = {kind} recalls targets that are drawn; choose kind: rls"
    if targets.n_sets != 1:
        return f"targets.n_sets = {targets.n_sets}: learner.kind = {kind} recalls one target set; choose n_sets: 1"
    if learner.variable == "readout" and (learner.n_readouts or 0) > n_neurons:
        return f"learner.n_readouts = {learner.n_readouts}: must be at most network.n_neurons = {n_neurons}"
    if isinstance(learner, BalancedNetwork) and n_steps(cue_ms, targets.grid_ms) == 0:
        return (
            f"stimulus.duration_ms = {cue_ms:g} ms: learner.kind = {kind} recalls a trajectory after a cue; "
            "give a cue of at least one sample"
        )
    return None
