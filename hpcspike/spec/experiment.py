"""One experiment: every number that decides what is trained, and how it is judged."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import field_validator, model_validator

from hpcspike.spec.by_neuron import why_no_decays_of_each, why_not_of_each
from hpcspike.spec.connectivity import (
    BalancedConnectivity,
    Connectivity,
    DaleConnectivity,
    ZeroConnectivity,
    why_undrawable,
)
from hpcspike.spec.fields import GrownSection, Section, quantity, whole_number, why_out_of_range
from hpcspike.spec.fields import is_multiple as is_multiple
from hpcspike.spec.fields import n_steps as n_steps
from hpcspike.spec.learners import GradientLearner, LearnerSection, RlsLearner, UserLearner, why_unlearnable
from hpcspike.spec.measures import Measures as Measures
from hpcspike.spec.measures import why_untested as why_untested
from hpcspike.spec.neurons import IzhikevichNeuron as IzhikevichNeuron
from hpcspike.spec.neurons import LifNeuron as LifNeuron
from hpcspike.spec.neurons import Neuron as Neuron
from hpcspike.spec.neurons import TanhNeuron as TanhNeuron
from hpcspike.spec.neurons import ThetaNeuron as ThetaNeuron
from hpcspike.spec.neurons import UserNeuron as UserNeuron
from hpcspike.spec.subset import Subset, why_no_input_of_rate, why_no_subset
from hpcspike.spec.synapse import Synapse as Synapse
from hpcspike.spec.synapse import why_late, why_undelayed
from hpcspike.spec.synapse import why_unconnectable as why_unconnectable
from hpcspike.spec.targets import (
    GIVEN_INPUT,
    DrivenTargets,
    InnateTargets,
    NavigationTargets,
    RecordedTargets,
    Targets,
)
from hpcspike.spec.trial import FeedForward as FeedForward
from hpcspike.spec.trial import FrozenNoise as FrozenNoise
from hpcspike.spec.trial import Protocol as Protocol
from hpcspike.spec.trial import Stimulus as Stimulus
from hpcspike.spec.trial import TrialNoise as TrialNoise
from hpcspike.spec.trial import why_not_shaken, why_trials_are_others, why_unfed, why_unpenalised


class Network(Section):
    """Size of the network; who is connected to whom is in ``connectivity``."""

    n_neurons: int | None = whole_number(
        None, ge=2, le=100_000_000, doc="Number of neurons N; may be left out for recorded targets, which decide it."
    )


class Training(GrownSection):
    """Recursive least squares on the plastic weights (paper Eqs 9-19)."""

    later_keys: ClassVar[tuple[str, ...]] = (
        "keep", "patience", "transfer", "row_sum_penalty", "feed_forward_ridge", "forgetting",
        "subset", "matrix_dtype", "gain",
    )  # fmt: skip

    variable: Literal["drive", "rate"] = quantity(
        "drive", paper="Eqs 9, 15", doc="Train the synaptic drive or the spiking rate."
    )
    ridge: float = quantity(1.0, gt=0, paper="Eq 9", doc="Penalty lambda on the weights; P(0) = I / lambda.")
    update_interval_ms: float = quantity(2.0, unit="ms", gt=0, paper="Methods", doc="Interval Delta t between updates.")
    n_loops: int = whole_number(30, ge=0, le=1_000_000, paper="Figs 3, 6, 7", doc="Training loops per target set.")
    smoothing: float = quantity(
        0.1, gt=0, paper="Eq 14", doc="c of the noisy transfer function phi_2 used in rate training."
    )
    transfer: Literal["phi_1", "phi_2", "measured"] = quantity(
        "phi_2",
        paper="Eqs 13, 14",
        doc="Transfer function of rate training: 'phi_1' (with the slope that it has at inputs of 0.01 or more, and "
        "none at 0 or below, where nothing is learned), 'phi_2', both of theta neurons, or 'measured': that of the "
        "neurons as they are, with their trial_noise.",
    )
    algorithm: Literal["blocked", "textbook", "textbook_blas"] = quantity(
        "blocked", doc="How RLS is computed; the results agree to rounding."
    )
    dtype: Literal["float64", "float32"] = quantity(
        "float64", doc="Precision of weights, P and the state of LIF neurons."
    )
    matrix_dtype: Literal["float32"] | None = quantity(
        None, doc="Precision of P alone: 'float32' has weights in float64 with half the memory; default: that of dtype."
    )
    sign_rule: Literal["none", "exclude", "reject"] = quantity(
        "none",
        paper="Fig 4",
        doc="A change that would flip a weight against its initial sign is not made; 'exclude': and that synapse is "
        "never trained again; 'reject': it goes on being trained.",
    )
    sign_covariance: Literal["kept", "deleted", "conditioned"] = quantity(
        "kept",
        paper="2.6",
        doc="P of an excluded synapse: 'kept' as it is; 'deleted': its row and column; 'conditioned': deleted such "
        "that P is the one the other inputs would have had without it.",
    )
    sign_increments: Literal["full", "withheld"] = quantity(
        "full", paper="2.6", doc="Whether the neuron's other synapses change at an update that one of them rejects."
    )
    sign_at_zero: Literal["allowed", "flip"] = quantity(
        "allowed", paper="2.6", doc="Whether a weight that would become exactly 0 counts as flipped."
    )
    keep: Literal["last", "best"] = quantity(
        "last", doc="Which weights are kept: the last ones, or those of the best test (measures.test_every_loops)."
    )
    patience: int | None = whole_number(
        None,
        ge=1,
        doc="End training after so many tests in a row that are no better than the best before; null: never.",
    )
    row_sum_penalty: float = quantity(
        0.0,
        ge=0,
        doc="Penalty mu on changes of the sum of a neuron's plastic weights from excitatory neurons, and of that from "
        "inhibitory ones (of all, where there are no populations).",
    )
    feed_forward_ridge: float | None = quantity(
        None, gt=0, doc="Penalty lambda_FF on the weights of a feed-forward population; default: ridge."
    )
    subset: Subset | None = quantity(None, doc="Train some excitatory neurons alone; default: all neurons.")
    forgetting: float = quantity(
        1.0, gt=0, le=1, doc="Forgetting factor: an error of n updates ago weighs this to the power n; 1: none."
    )

    gain: Literal["recursive", "prior"] = quantity(
        "recursive",
        doc="P that an error is multiplied by. 'recursive': the P after the update, which is least squares; 'prior': "
        "the P before it, as in TrainSpikingNet.jl since March 2024, which overshoots by r P r and diverges where this "
        "stays above 2.",
    )

    @property
    def precision_of_matrices(self) -> Literal["float64", "float32"]:
        """The precision in which P is kept."""
        return self.matrix_dtype or self.dtype


class Experiment(GrownSection):
    """Everything that determines one trained network and its measures."""

    later_keys: ClassVar[tuple[str, ...]] = ("trial_noise", "feed_forward")

    name: str = quantity("experiment", doc="Name used in files and figures.", max_length=250)
    seed: int = whole_number(1, ge=0, lt=2**63, doc="Seed of every random stream.")
    replicate: int = whole_number(0, ge=0, lt=2**31, doc="Independent repetition of the same experiment.")
    neuron: Neuron = quantity(ThetaNeuron(), doc="Neuron model.")
    network: Network = quantity(Network(), doc="Size of the network.")
    synapse: Synapse = quantity(Synapse(), doc="Synapses.")
    connectivity: Connectivity = quantity(ZeroConnectivity(kind="zero"), doc="Initial weights and plastic mask.")
    targets: Targets = quantity(doc="Target functions.")
    stimulus: Stimulus = quantity(Stimulus(), doc="Cue.")
    frozen_noise: FrozenNoise = quantity(FrozenNoise(), doc="External input that repeats in every loop and trial.")
    trial_noise: TrialNoise = quantity(TrialNoise(), doc="External input that is new in every loop and trial.")
    feed_forward: FeedForward = quantity(FeedForward(), doc="Poisson neurons with plastic synapses onto the network.")
    protocol: Protocol = quantity(Protocol(), doc="Order of events in a trial.")
    training: Training = quantity(Training(), doc="Learning rule.")
    learner: LearnerSection = quantity(RlsLearner(), doc="Who learns; all but rls are in hpcspike.learners.")
    measures: Measures = quantity(Measures(), doc="Tests after training.")

    @field_validator("name")
    @classmethod
    def _one_line(cls, name: str) -> str:
        if not name.strip() or not name.isprintable():
            raise ValueError("must be one line of printable text")
        return name

    @model_validator(mode="before")
    @classmethod
    def _theta_by_default(cls, document: Any) -> Any:
        if (
            isinstance(document, dict)
            and isinstance(document.get("neuron"), dict)
            and "model" not in document["neuron"]
        ):
            return {**document, "neuron": {"model": "theta", **document["neuron"]}}
        return document

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        out_of_range = why_out_of_range(self)
        if out_of_range is not None:
            raise ValueError(out_of_range)
        self._steps_fit()
        self._window_fits()
        self._size_is_known()
        self._populations_suffice()
        self._signs_are_known()
        for reason in (
            why_untrainable(self.neuron, self.training, self.trial_noise),
            why_no_matrices_of_their_own(self.training),
            why_unmeasurable(self),
            why_neurons_do_not_differ(self, self.network.n_neurons),
            why_unconnectable(self.neuron, self.synapse),
            why_undelayed(self),
            why_late(self.synapse, self.neuron.step_ms, self.training.variable),
            why_unlearnable(self.learner, self.targets, self.network.n_neurons, self.stimulus.duration_ms),
            why_not_shaken(self.trial_noise, self.neuron.model, self.network.n_neurons),
            why_trials_are_others(self.protocol, self.trial_noise, self.stimulus, self.learner),
            why_no_subset(self),
            why_no_input_of_rate(self),
            why_unpenalised(self.training, self.feed_forward, self.learner),
            why_unfed(self.feed_forward, self.neuron, self.protocol, self.targets.n_sets),
            why_untested(self.training, self.measures, self.learner),
        ):
            if reason is not None:
                raise ValueError(reason)
        self._static_decay_is_used()
        self._innate_is_possible()
        self._driven_is_possible()
        self._answers_are_possible()
        self._offset_is_possible()
        self._quasi_static_is_possible()
        return self

    def _steps_fit(self) -> None:
        step = self.neuron.step_ms
        if step > self.synapse.tau_syn_ms:
            raise ValueError(
                f"neuron.step_ms = {step:g} ms is larger than synapse.tau_syn_ms = {self.synapse.tau_syn_ms:g} ms; "
                "choose a step of at most tau_syn_ms"
            )
        for key in ("static_tau_syn_ms", "static_tau_inhibitory_ms"):
            static_tau = getattr(self.synapse, key)
            if static_tau is not None and step > static_tau:
                raise ValueError(
                    f"neuron.step_ms = {step:g} ms is larger than synapse.{key} = {static_tau:g} ms; "
                    f"choose a step of at most {key}"
                )
        feed = self.feed_forward
        if feed.n_neurons and feed.mean_hz * step > 1000.0:
            raise ValueError(
                f"feed_forward.mean_hz = {feed.mean_hz:g} Hz: must be at most {1000.0 / step:g} Hz, a spike in every "
                f"step of neuron.step_ms = {step:g} ms; choose a lower rate, or a smaller step"
            )
        for key, value in (
            ("training.update_interval_ms", self.training.update_interval_ms),
            ("targets.grid_ms", self.targets.grid_ms),
            ("protocol.free_run_ms", self.protocol.free_run_ms),
            ("protocol.test_free_run_ms", self.protocol.test_free_run_ms),
            ("stimulus.duration_ms", self.stimulus.duration_ms),
        ):
            if not is_multiple(value, step):
                raise ValueError(
                    f"{key} = {value:g} ms is not a multiple of neuron.step_ms = {step:g} ms; choose a multiple of it"
                )

    def _window_fits(self) -> None:
        if isinstance(self.targets, NavigationTargets):  # whose actions take as long as they like
            return
        interval, grid = self.training.update_interval_ms, self.targets.grid_ms
        if not is_multiple(interval, grid):
            raise ValueError(
                f"training.update_interval_ms = {interval:g} ms is not a multiple of targets.grid_ms = {grid:g} ms; "
                "choose a grid that divides the update interval"
            )
        duration = self.targets.duration_ms
        if duration is not None:
            if duration < interval:
                raise ValueError(
                    f"targets.duration_ms = {duration:g} ms is shorter than one update interval of {interval:g} ms"
                )
            if not is_multiple(duration, interval):
                raise ValueError(
                    f"targets.duration_ms = {duration:g} ms is not a multiple of "
                    f"training.update_interval_ms = {interval:g} ms"
                )

    def _size_is_known(self) -> None:
        if isinstance(self.targets, RecordedTargets):
            if self.targets.holds != self.training.variable and self.targets.input_of_rate is None:
                raise ValueError(
                    f"targets.holds = {self.targets.holds} but training.variable = {self.training.variable}; "
                    "train the quantity that the file holds"
                )
        elif self.network.n_neurons is None:
            raise ValueError("network.n_neurons is missing: give the number of neurons N (an integer >= 2)")

    def _static_decay_is_used(self) -> None:
        for key in ("static_tau_syn_ms", "static_tau_inhibitory_ms"):
            static_tau = getattr(self.synapse, key)
            if static_tau is not None and not isinstance(self.connectivity, BalancedConnectivity):
                raise ValueError(
                    f"synapse.{key} = {static_tau:g} ms has no effect: connectivity.kind = "
                    f"{self.connectivity.kind} has no fixed synapses; leave it out"
                )

    def _signs_are_known(self) -> None:
        training = self.training
        if training.sign_rule != "none" and isinstance(self.connectivity, ZeroConnectivity):
            raise ValueError(
                f"training.sign_rule = {training.sign_rule} keeps the signs of initial weights, but connectivity.kind "
                "= zero has none; choose another kind or sign_rule: none"
            )
        if training.sign_rule == "reject" and training.sign_covariance != "kept":
            raise ValueError(
                f"training.sign_covariance = {training.sign_covariance} is about excluded synapses, but "
                "training.sign_rule = reject excludes none; choose sign_covariance: kept or sign_rule: exclude"
            )

    def _innate_is_possible(self) -> None:
        targets, step = self.targets, self.neuron.step_ms
        if not isinstance(targets, InnateTargets):
            return
        if self.training.variable == "rate":
            raise ValueError(
                "targets.kind = innate records drives, but training.variable = rate; choose training.variable: drive"
            )
        if targets.offset != "none":
            raise ValueError(
                f"targets.offset = {targets.offset} is not meant for innate trajectories, which are drives of the "
                "network already; choose offset: none"
            )
        if not is_multiple(targets.transient_ms, step):
            raise ValueError(
                f"targets.transient_ms = {targets.transient_ms:g} ms is not a multiple of neuron.step_ms = {step:g} ms"
            )

    def _driven_is_possible(self) -> None:
        if isinstance(self.targets, DrivenTargets) and self.learner.kind == "rls":
            raise ValueError(
                "targets.kind = driven has new targets in every trial, which learner.kind = rls cannot learn: not "
                "applicable; choose a learner that takes input, for example ebn_alemi"
            )

    def _answers_are_possible(self) -> None:
        given = isinstance(self.targets, GIVEN_INPUT) and not isinstance(self.targets, DrivenTargets)
        if given and not isinstance(self.learner, GradientLearner | UserLearner):
            raise ValueError(
                f"targets.kind = {self.targets.kind} asks for answers to inputs, which learner.kind = "
                f"{self.learner.kind} cannot express: not applicable; choose lsnn, eprop, lstm or huh"
            )

    def _offset_is_possible(self) -> None:
        targets, step = self.targets, self.neuron.step_ms
        if targets.offset == "none":
            return
        if self.training.variable == "rate":
            raise ValueError(
                f"targets.offset = {targets.offset} adds a drive, but training.variable = rate trains rates; "
                "choose offset: none"
            )
        if not is_multiple(targets.offset_run_ms, step) or targets.offset_run_ms < 2 * step:
            raise ValueError(
                f"targets.offset_run_ms = {targets.offset_run_ms:g} ms must be a multiple of neuron.step_ms = "
                f"{step:g} ms, and two steps at least"
            )

    def _populations_suffice(self) -> None:
        # of recordings that decide N, it is asked when they are read
        if self.network.n_neurons is not None:
            reason = why_undrawable(self.connectivity, self.network.n_neurons)
            if reason is not None:
                raise ValueError(reason)

    def _quasi_static_is_possible(self) -> None:
        if self.measures.quasi_static and self.neuron.model != "theta" and self.learner.kind == "rls":
            raise ValueError(
                f"measures.quasi_static = true needs neuron.model = theta, not {self.neuron.model}: phi is the "
                "transfer function of theta neurons; choose quasi_static: false"
            )


def why_neurons_do_not_differ(experiment: Experiment, size: int | None) -> str | None:
    """What forbids by_neuron of neuron and synapse in an experiment (size: its N, if that is known), or None."""
    neuron, synapse = experiment.neuron, experiment.synapse
    populations = isinstance(experiment.connectivity, BalancedConnectivity | DaleConnectivity)
    different = isinstance(neuron, LifNeuron) and neuron.neurons_differ
    for section, there in (("neuron", different), ("synapse", synapse.decays_differ)):
        if there and experiment.learner.kind != "rls":
            return (
                f"{section}.by_neuron has no effect with learner.kind = {experiment.learner.kind}; leave it out, or "
                "choose learner.kind: rls"
            )
    reason = why_no_decays_of_each(synapse.by_neuron, neuron.step_ms, experiment.training.variable) or why_not_of_each(
        synapse.by_neuron, "synapse.by_neuron", size, populations=populations
    )
    if reason is not None or not isinstance(neuron, LifNeuron) or not different:
        return reason
    if experiment.training.transfer == "measured":
        return (
            "training.transfer = measured: the curve of equal neurons is measured, but neuron.by_neuron makes them "
            "differ; leave it out, or choose training.variable: drive"
        )
    return why_not_of_each(neuron.by_neuron, "neuron.by_neuron", size, populations=populations)


def why_untrainable(neuron: Neuron, training: Training, noise: TrialNoise) -> str | None:
    """What forbids to train neurons of this model (neuron, noise) by this rule (training), or None."""
    transfer = training.transfer
    if training.variable == "drive":
        if transfer == "phi_2":
            return None
        return (
            f"training.transfer = {transfer} has no effect with training.variable = drive; leave it out, or choose "
            "training.variable: rate"
        )
    if not neuron.facts.spikes:
        return (
            f"training.variable = rate needs neurons that spike, but those of neuron.model = {neuron.model} do not; "
            "choose training.variable: drive"
        )
    if transfer == "measured" and noise.standard_deviation == 0.0:
        return (
            "training.transfer = measured needs trial_noise.standard_deviation > 0, not 0: without noise a silent "
            "neuron has no slope to be trained by; give its s.d., for example a tenth of the input that makes a neuron "
            "fire"
        )
    factors = noise.neuron_factors or (1.0,)
    if transfer == "measured" and not all(factors):
        return (
            f"trial_noise.neuron_factors is 0 for neuron {factors.index(0.0)}: training.transfer = measured "
            "needs factors > 0, as a silent neuron without noise has no slope to be trained by"
        )
    if transfer != "measured" and neuron.model != "theta":
        return (
            f"training.variable = rate with training.transfer = {transfer} needs neuron.model = theta, not "
            f"{neuron.model}: {transfer} is the transfer function of theta neurons; choose training.transfer: measured "
            "and trial_noise.standard_deviation, or training.variable: drive"
        )
    return None


def why_no_matrices_of_their_own(training: Training) -> str | None:
    """What forbids to keep P in another precision than the weights, or None."""
    if training.matrix_dtype is None:
        return None
    if training.algorithm != "blocked":
        return (
            f"training.matrix_dtype = float32 needs training.algorithm = blocked, not {training.algorithm}: the others "
            "have weights and P in one precision; leave it out, or choose training.dtype: float32"
        )
    if training.dtype == "float32":
        return "training.matrix_dtype = float32 has no effect with training.dtype = float32; leave it out"
    return None


def why_unmeasurable(experiment: Experiment) -> str | None:
    """What forbids to train through a measured transfer function where input differs between neurons, or None."""
    if experiment.training.transfer != "measured" or not isinstance(experiment.neuron, UserNeuron):
        return None
    for there, key in (
        (experiment.frozen_noise.standard_deviation > 0, "frozen_noise.standard_deviation > 0"),
        (isinstance(experiment.connectivity, BalancedConnectivity), "connectivity.kind = balanced"),
    ):
        if there:
            return (
                "training.transfer = measured: the curve of neuron.model = user is measured at neuron.bias, but "
                f"{key} gives neurons other inputs; leave it out, or choose a built-in neuron.model"
            )
    return None
