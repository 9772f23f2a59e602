"""Everything that is given before training starts, as arrays of one block of neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.checks import instance, number, shown, whole_number
from hpcspike.errors import DataError, SpecError
from hpcspike.model.connectivity import Rows, rows_from_dense
from hpcspike.model.own_values import with_numbers
from hpcspike.model.set_order import set_of_loop
from hpcspike.neurons import find_model
from hpcspike.shown import Shown
from hpcspike.spec.by_neuron import why_no_decays_of_each
from hpcspike.spec.experiment import Measures, Protocol, Synapse, Training, TrialNoise, is_multiple, n_steps
from hpcspike.spec.neurons import NEURONS, Neuron, ThetaNeuron, UserNeuron
from hpcspike.spec.synapse import why_no_such_delay
from hpcspike.spec.trial import why_not_shaken

if TYPE_CHECKING:
    from hpcspike.model.feed_forward import FeedForwardPopulation
    from hpcspike.model.recordings import Recording
    from hpcspike.model.subset import TrainedSubset


class Problem(Shown):
    """A network, what its neurons are asked to do, and the state it starts from.

    This is the expert's door: anybody's arrays can be trained. `hpcspike.model.build.build_problem` makes one from
    an experiment.

    Parameters
    ----------
    weights
        Initial recurrent weights (N, N), W[i, j] from presynaptic j to postsynaptic i, dense or scipy.sparse.
    plastic
        Boolean mask (N, N) of trained synapses; default: the non-zero weights. Non-zero weights outside the mask stay
        fixed.
    fixed
        Weights (N, N) of fixed synapses, where a pair may have one beside its plastic one; ``weights`` are then those
        of the plastic synapses alone, and 0 outside of ``plastic``.
    targets
        (N, n_samples) or (n_sets, N, n_samples): drives (dimensionless) or rates (spikes per tau), sample m at time
        (m + 1) ``grid_ms`` after the end of the cue. A neuron without plastic synapses needs none: NaN (or None) in its
        whole row leaves it out of the learning curve and of all measures of how targets are followed.
    stimuli
        (N,) or (n_sets, N): external input during the cue of each target set.
    phase
        (N,) initial phases theta in radians, at the start of training.
    filtered
        (N,) initial filtered spike trains r in spikes per tau, at the start of training; default zero.
    neuron, synapse, protocol
        Sections of an experiment; defaults as there.
    stimulus_ms, grid_ms
        Length of the cue, sampling interval of the targets.
    noise
        (steps, N): further external input in every step of cue and window, the same in every loop and trial; default:
        none.
    cue
        (n_sets, steps, N): further external input in every step of the cue of each target set; default: none.
    trial_noise
        Section of an experiment: further external input that is new in every loop and trial; default: none.
    seed, replicate
        Key of the random initial phases of test trials, of training loops with ``protocol.start`` random, and of the
        noise of trials.
    training
        How `hpcspike.train` trains it unless told otherwise; default: as the paper does.
    n_excitatory
        Number of excitatory neurons, which come first, where synapses of the two populations differ in decay or row
        sums are penalised; default: populations are not told apart.

    Raises
    ------
    DataError
        If a shape is inconsistent, a value is not finite, or it is unclear which synapses are fixed.
    """

    training: Training | None = None
    measures: Measures | None = None

    def __init__(
        self,
        *,
        weights: Any,
        targets: Any,
        stimuli: Any,
        phase: Any,
        plastic: Any = None,
        fixed: Any = None,
        filtered: Any = None,
        neuron: Neuron | None = None,
        synapse: Synapse | None = None,
        protocol: Protocol | None = None,
        stimulus_ms: float = 100.0,
        grid_ms: float = 1.0,
        noise: Any = None,
        cue: Any = None,
        trial_noise: TrialNoise | None = None,
        seed: int = 1,
        replicate: int = 0,
        training: Training | None = None,
        n_excitatory: int | None = None,
    ) -> None:
        dense = _matrix("weights", weights)
        size = dense.shape[0]
        mask = dense != 0 if plastic is None else _mask(plastic, size)
        outside = np.where(mask, 0.0, dense)
        static = outside if fixed is None else _matrix("fixed", fixed, size)
        if fixed is None and plastic is not None:
            _refuse_ambiguous(dense, mask)
        elif outside.any():
            raise DataError(
                f"weights has {np.count_nonzero(outside)} non-zero entries outside of plastic, but fixed is given, "
                "which holds all fixed synapses: set them to 0, or add them to fixed"
            )
        for name, section, kind in (
            ("neuron", neuron, NEURONS), ("synapse", synapse, Synapse), ("protocol", protocol, Protocol),
            ("training", training, Training), ("trial_noise", trial_noise, TrialNoise),
        ):  # fmt: skip
            if section is not None:
                instance(name, section, kind, made_by=f"a section of an experiment, as in load(PATH).{name}")
        goals, cues = _numbers("targets", _with_rows(targets)), _numbers("stimuli", stimuli)
        goals = goals[None] if goals.ndim == 2 else goals
        cues = cues[None] if cues.ndim == 1 else cues
        self._fill(
            n_neurons=size,
            first=0,
            plastic=rows_from_dense(dense, mask),
            static=rows_from_dense(static, static != 0),
            targets=goals,
            stimuli=cues,
            phase=_numbers("phase", phase),
            filtered=np.zeros(size) if filtered is None else _numbers("filtered", filtered),
            neuron=neuron or ThetaNeuron(),
            synapse=synapse or Synapse(),
            protocol=protocol or Protocol(),
            stimulus_ms=number("stimulus_ms", stimulus_ms, unit="ms"),
            grid_ms=number("grid_ms", grid_ms, unit="ms"),
            noise=None if noise is None else np.ascontiguousarray(_numbers("noise", noise)),
            cue=None if cue is None else np.ascontiguousarray(_numbers("cue", cue)),
            trial_noise=trial_noise,
            seed=whole_number("seed", seed),
            replicate=whole_number("replicate", replicate),
            training=training,
            n_excitatory=None if n_excitatory is None else whole_number("n_excitatory", n_excitatory, most=size),
        )

    @classmethod
    def from_rows(cls, **arrays: Any) -> Problem:
        """A block of neurons from compressed rows, for builders that never hold an (N, N) array."""
        problem = cls.__new__(cls)
        problem._fill(**arrays)
        return problem

    def _fill(
        self,
        *,
        n_neurons: int,
        first: int,
        plastic: Rows,
        static: Rows,
        targets: np.ndarray,
        stimuli: np.ndarray,
        phase: np.ndarray,
        filtered: np.ndarray,
        neuron: Neuron,
        synapse: Synapse,
        protocol: Protocol,
        stimulus_ms: float,
        grid_ms: float,
        seed: int,
        replicate: int,
        input: np.ndarray | None = None,
        noise: np.ndarray | None = None,
        cue: np.ndarray | None = None,
        trial_noise: TrialNoise | None = None,
        recording: Recording | None = None,
        training: Training | None = None,
        measures: Measures | None = None,
        n_excitatory: int | None = None,
        feed_forward: FeedForwardPopulation | None = None,
        subset: TrainedSubset | None = None,
    ) -> None:
        self.training, self.measures = training, measures
        self.n_neurons, self.first = n_neurons, first
        self.plastic, self.static = plastic, static
        self.targets, self.stimuli = targets, stimuli
        self.phase, self.filtered = phase, filtered
        self.input = np.full(len(plastic.start) - 1, neuron.bias) if input is None else input
        self.neuron, self.synapse, self.protocol = neuron, synapse, protocol
        self.stimulus_ms, self.grid_ms = stimulus_ms, grid_ms
        self.seed, self.replicate = seed, replicate
        self.noise, self.cue, self.trial_noise = noise, cue, trial_noise or TrialNoise()
        self.subset = subset
        self.recording, self.n_excitatory, self.feed_forward = recording, n_excitatory, feed_forward
        if isinstance(neuron, UserNeuron):
            find_model(neuron)
        self._check()

    def _check(self) -> None:
        rows = len(self.plastic.start) - 1
        self.n_rows = rows
        self.neuron = with_numbers(
            self.neuron, "neuron", n_neurons=self.n_neurons, n_excitatory=self.n_excitatory,
            key=(self.seed, self.replicate),
        )  # fmt: skip
        self.synapse = with_numbers(
            self.synapse, "synapse", n_neurons=self.n_neurons, n_excitatory=self.n_excitatory,
            key=(self.seed, self.replicate),
        )  # fmt: skip
        if self.targets.ndim != 3 or self.targets.shape[1] != rows or self.targets.shape[2] == 0:
            raise DataError(f"targets has shape {self.targets.shape}: must be (n_sets, {rows}, n_samples)")
        # sums over time are in the order of the array, which must not depend on who holds which rows
        self.targets = np.ascontiguousarray(self.targets)
        expected = {
            "stimuli": (self.stimuli, (self.targets.shape[0], rows)),
            "phase": (self.phase, (rows,)),
            "filtered": (self.filtered, (self.n_neurons,)),
            "input": (self.input, (rows,)),
        }
        for name, (array, shape) in expected.items():
            if array.shape != shape:
                raise DataError(f"{name} has shape {array.shape}: must be {shape}")
        self._check_targets()
        for name in ("stimuli", "phase", "filtered"):
            if not np.isfinite(getattr(self, name)).all():
                raise DataError(f"{name} holds NaN or infinite values: every entry must be a finite number")
        if not (np.isfinite(self.plastic.weight).all() and np.isfinite(self.static.weight).all()):
            raise DataError("weights holds NaN or infinite values: every entry must be a finite number")
        self._check_times()
        self._check_noise()

    def _check_targets(self) -> None:
        untargeted = np.isnan(self.targets).all(axis=2)
        wrong = ~(np.isfinite(self.targets).all(axis=2) | untargeted)
        if wrong.any():
            neuron = self.first + int(np.argwhere(wrong)[0][1])
            raise DataError(
                f"targets holds NaN or infinite values (neuron {neuron}): every entry must be a finite number; a "
                "neuron without plastic synapses may have NaN in its whole row, if it has no target"
            )
        trained = untargeted & (self.in_degree > 0)
        if trained.any():
            neuron = self.first + int(np.argwhere(trained)[0][1])
            raise DataError(
                f"targets of neuron {neuron} are NaN, but it has plastic synapses, which need a target: give it one, "
                "or take its row out of plastic"
            )
        if self.n_rows == self.n_neurons and untargeted.all(axis=1).any():
            raise DataError("targets are NaN for all neurons: at least one must have a target in every set")

    def _check_noise(self) -> None:
        reason = why_not_shaken(self.trial_noise, self.neuron.model, self.n_neurons)
        if reason is not None:
            raise SpecError(reason)
        window, n = self.n_samples * self.steps_per_sample, self.n_rows
        for name, array, axes, shape in (
            ("noise", self.noise, "steps of cue and window, n", (self.stimulus_steps + window, n)),
            ("cue", self.cue, "n_sets, steps of the cue, n", (self.n_sets, self.stimulus_steps, n)),
        ):
            if array is not None and array.shape != shape:
                raise DataError(f"{name} has shape {array.shape}: must be ({axes}) = {shape}")
            if array is not None and not np.isfinite(array).all():
                raise DataError(f"{name} holds NaN or infinite values: every entry must be a finite number")

    def _check_times(self) -> None:
        step, synapse = self.neuron.step_ms, self.synapse
        for key in ("tau_syn_ms", "static_tau_syn_ms", "static_tau_inhibitory_ms"):
            tau = getattr(synapse, key)
            if tau is not None and step > tau:
                raise DataError(f"the step of {step:g} ms is larger than {key} = {tau:g} ms: choose a smaller step")
        wrong = why_no_such_delay(synapse, step) or why_no_decays_of_each(synapse.by_neuron, step, "drive")
        if wrong is not None:
            raise DataError(wrong)
        if synapse.decays_differ and self.filtered.any():
            raise DataError(
                "filtered must be 0 with synapse.by_neuron.tau_syn_ms: r differs between the decay times; leave it out"
            )
        if synapse.static_tau_inhibitory_ms is not None and self.n_excitatory is None:
            raise DataError(
                f"static_tau_inhibitory_ms = {synapse.static_tau_inhibitory_ms:g} ms: it is not said which neurons are "
                "inhibitory; give n_excitatory, the number of excitatory neurons, which come first"
            )
        if not self.grid_ms > 0:
            raise DataError(f"grid_ms = {self.grid_ms:g} ms: must be a positive multiple of the step of {step:g} ms")
        free_runs = {name: getattr(self.protocol, name) for name in ("free_run_ms", "test_free_run_ms")}
        times = {"grid_ms": self.grid_ms, "stimulus_ms": self.stimulus_ms, **free_runs}
        for key, value in times.items():
            if not (value >= 0 and is_multiple(value, step)):
                raise DataError(f"{key} = {value:g} ms is not a multiple of the step of {step:g} ms")

    def noise_of(self, first: int, n_steps: int, cue_of: int | None = None) -> np.ndarray | None:
        """Frozen noise of ``n_steps`` steps from step ``first`` on, counted from the start of the cue: (n_steps, n).

        It is zero after the window. The path of the cue of target set ``cue_of`` is part of it. None if there is
        nothing of both.
        """
        noise = None if self.noise is None else _lengthened(self.noise[first : first + n_steps], n_steps)
        if self.cue is None or cue_of is None or first >= self.stimulus_steps:
            return noise
        path = _lengthened(self.cue[cue_of, first : first + n_steps], n_steps)
        return path if noise is None else noise + path

    def input_at_samples(self) -> np.ndarray:
        """External input of the step that leads to each sample of the window, (n, n_samples)."""
        if self.noise is None:
            return np.repeat(self.input[:, None], self.n_samples, axis=1)
        every = self.steps_per_sample
        return self.input[:, None] + self.noise[self.stimulus_steps + every - 1 :: every].T

    @property
    def n_sources(self) -> int:
        """Number of presynaptic neurons: N, and those of a feed-forward population behind them."""
        return self.n_neurons + (0 if self.feed_forward is None else self.feed_forward.n_sources)

    @property
    def first_inhibitory(self) -> int:
        """The first inhibitory neuron; N where populations are not told apart."""
        return self.n_neurons if self.n_excitatory is None else self.n_excitatory

    @property
    def neurons(self) -> range:
        """The neurons of this block."""
        return range(self.first, self.first + self.n_rows)

    def require_targets(self, what: str) -> None:
        """A SpecError unless all neurons have a target; ``what`` begins it."""
        if not self.has_target.all():
            without = int((~self.has_target).any(axis=0).sum())
            raise SpecError(f"{what} needs the targets of all neurons, but {without} have none (NaN)")

    @property
    def has_target(self) -> np.ndarray:
        """Which neurons of the block have a target, (n_sets, n_rows) bool: all, but for untrained ones given as NaN."""
        return np.asarray(~np.isnan(self.targets[:, :, 0]))

    def _told(self) -> list[tuple[str, str]]:
        block = (
            "" if self.n_rows == self.n_neurons else f" (this block: {self.first} to {self.first + self.n_rows - 1})"
        )
        without = int((~self.has_target).any(axis=0).sum())
        lacking = f", {without} neurons without a target" if without else ""
        return [
            ("neurons", f"{self.n_neurons} {self.neuron.model}{block}"),
            ("synapses", f"{len(self.plastic.weight):,} plastic, {len(self.static.weight):,} fixed"),
            ("targets", f"{self.n_sets} of {self.duration_ms:g} ms every {self.grid_ms:g} ms{lacking}"),
            ("cue", f"{self.stimulus_ms:g} ms"),
        ]

    @property
    def n_recorded(self) -> int:
        """Number of neurons that follow a recorded unit, where those are the first ones; 0 where they are a subset."""
        return 0 if self.recording is None or self.subset is not None else len(self.recording.values)

    @property
    def n_sets(self) -> int:
        """Number of target sets."""
        return int(self.targets.shape[0])

    def set_of_loop(self, loop: int) -> int:
        """The target set of a training loop, counted from 0."""
        return set_of_loop(
            loop, n_sets=self.n_sets, order=self.protocol.set_order, seed=self.seed, replicate=self.replicate
        )

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Names of the target sets: those of recorded conditions; none where there is but one, or they have none."""
        return () if self.recording is None else self.recording.condition_names

    @property
    def n_samples(self) -> int:
        """Number of samples of a target."""
        return int(self.targets.shape[2])

    @property
    def duration_ms(self) -> float:
        """Length T of the trained window."""
        return self.n_samples * self.grid_ms

    @property
    def in_degree(self) -> np.ndarray:
        """Number of plastic synapses of each neuron of the block, (n_rows,)."""
        return np.diff(self.plastic.start)

    @property
    def free_run_steps(self) -> int:
        """Steps of the free run before each cue in training."""
        return n_steps(self.protocol.free_run_ms, self.neuron.step_ms)

    @property
    def test_free_run_steps(self) -> int:
        """Steps of the free run before the cue of a test trial."""
        return n_steps(self.protocol.test_free_run_ms, self.neuron.step_ms)

    @property
    def stimulus_steps(self) -> int:
        """Steps of the cue."""
        return n_steps(self.stimulus_ms, self.neuron.step_ms)

    @property
    def steps_per_sample(self) -> int:
        """Integration steps between two samples of the targets."""
        return n_steps(self.grid_ms, self.neuron.step_ms)


def _lengthened(part: np.ndarray, n_steps: int) -> np.ndarray:
    """Steps of an input (steps, n), and zeros up to ``n_steps``."""
    missing = n_steps - len(part)
    return part if missing == 0 else np.concatenate([part, np.zeros((missing, part.shape[1]), part.dtype)])


def _matrix(name: str, values: Any, size: int | None = None) -> np.ndarray:
    dense = _numbers(name, _dense(values))
    if dense.ndim != 2 or dense.shape[0] != dense.shape[1] or size not in (None, len(dense)) or not len(dense):
        raise DataError(f"{name} has shape {dense.shape}: must be {'(N, N)' if size is None else (size, size)}")
    return dense


def _mask(plastic: Any, size: int) -> np.ndarray:
    given = _dense(plastic)
    if given.shape != (size, size):
        raise DataError(f"plastic has shape {given.shape}: must be that of weights, {(size, size)}")
    if given.dtype != bool and not np.isin(given, (0, 1)).all():
        raise DataError(
            "plastic must be a mask of True and False (or 0 and 1): which synapses are trained, not weights"
        )
    return given.astype(bool)


def _refuse_ambiguous(weights: np.ndarray, mask: np.ndarray) -> None:
    """Weights on some of the plastic synapses only: are they where these start, or fixed synapses beside them?"""
    there = np.count_nonzero(weights[mask])
    if 0 < there < np.count_nonzero(mask):
        raise DataError(
            f"{there} of the {np.count_nonzero(mask)} synapses in plastic have a weight, the others have none: it is "
            "unclear whether these weights belong to fixed synapses beside the plastic ones (give them as fixed=, and "
            "weights of 0 there), or are where training starts (then give the fixed ones as fixed=, zeros if there are "
            "none)"
        )


def _numbers(name: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name} = {shown(values)}: must be an array of numbers") from None


def _with_rows(targets: Any) -> Any:
    """A list of time courses in which None stands for a neuron without a target, with rows of NaN in their place."""
    if not isinstance(targets, (list, tuple)) or not any(row is None for row in targets):
        return targets
    length = next((len(row) for row in targets if row is not None and np.ndim(row) == 1), 0)
    return [np.full(length, np.nan) if row is None else row for row in targets]


def _dense(values: Any) -> np.ndarray:
    try:
        return np.asarray(values.toarray() if hasattr(values, "toarray") else values)
    except (TypeError, ValueError):
        raise DataError(
            f"{shown(type(values).__name__)} is no matrix: weights, plastic and fixed must be (N, N)"
        ) from None
