"""Everything that is given before training starts, as arrays of one block of neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.errors import DataError
from hpcspike.model.connectivity import Rows, rows_from_dense
from hpcspike.neurons import find_model
from hpcspike.spec.experiment import Neuron, Protocol, Synapse, ThetaNeuron, UserNeuron, is_multiple, n_steps

if TYPE_CHECKING:
    from hpcspike.model.recordings import Recording


class Problem:
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
    targets
        (N, n_samples) or (n_sets, N, n_samples): drives (dimensionless) or rates (spikes per tau), sample m at time
        (m + 1) ``grid_ms`` after the end of the cue.
    stimuli
        (N,) or (n_sets, N): external input during the cue of each target set.
    phase
        (N,) initial phases theta in radians.
    filtered
        (N,) initial filtered spike trains r in spikes per tau; default zero.
    neuron, synapse, protocol
        Sections of an experiment; defaults as there.
    stimulus_ms, grid_ms
        Length of the cue, sampling interval of the targets.
    noise
        (steps, N): further external input in every step of cue and window, the same in every loop and trial; default:
        none.
    seed, replicate
        Key of the random initial phases of test trials.

    Raises
    ------
    DataError
        If a shape is inconsistent or a value is not finite.
    """

    def __init__(
        self,
        *,
        weights: Any,
        targets: Any,
        stimuli: Any,
        phase: Any,
        plastic: Any = None,
        filtered: Any = None,
        neuron: Neuron | None = None,
        synapse: Synapse | None = None,
        protocol: Protocol | None = None,
        stimulus_ms: float = 100.0,
        grid_ms: float = 1.0,
        noise: Any = None,
        seed: int = 1,
        replicate: int = 0,
    ) -> None:
        dense = np.asarray(weights.toarray() if hasattr(weights, "toarray") else weights, dtype=np.float64)
        if dense.ndim != 2 or dense.shape[0] != dense.shape[1]:
            raise DataError(f"weights has shape {dense.shape}: must be (N, N)")
        size = dense.shape[0]
        mask = dense != 0 if plastic is None else _dense(plastic).astype(bool)
        if mask.shape != dense.shape:
            raise DataError(f"plastic has shape {mask.shape}: must be that of weights, {dense.shape}")
        goals = np.asarray(targets, dtype=np.float64)
        cues = np.asarray(stimuli, dtype=np.float64)
        goals = goals[None] if goals.ndim == 2 else goals
        cues = cues[None] if cues.ndim == 1 else cues
        self._fill(
            n_neurons=size,
            first=0,
            plastic=rows_from_dense(dense, mask),
            static=rows_from_dense(dense, (dense != 0) & ~mask),
            targets=goals,
            stimuli=cues,
            phase=np.asarray(phase, dtype=np.float64),
            filtered=np.zeros(size) if filtered is None else np.asarray(filtered, dtype=np.float64),
            neuron=neuron or ThetaNeuron(),
            synapse=synapse or Synapse(),
            protocol=protocol or Protocol(),
            stimulus_ms=stimulus_ms,
            grid_ms=grid_ms,
            noise=None if noise is None else np.ascontiguousarray(noise, dtype=np.float64),
            seed=seed,
            replicate=replicate,
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
        recording: Recording | None = None,
    ) -> None:
        self.n_neurons, self.first = n_neurons, first
        self.plastic, self.static = plastic, static
        self.targets, self.stimuli = targets, stimuli
        self.phase, self.filtered = phase, filtered
        self.input = np.full(len(plastic.start) - 1, neuron.bias) if input is None else input
        self.neuron, self.synapse, self.protocol = neuron, synapse, protocol
        self.stimulus_ms, self.grid_ms = stimulus_ms, grid_ms
        self.seed, self.replicate = seed, replicate
        self.noise = noise
        self.recording = recording
        if isinstance(neuron, UserNeuron):
            find_model(neuron)
        self._check()

    def _check(self) -> None:
        rows = len(self.plastic.start) - 1
        self.n_rows = rows
        if self.targets.ndim != 3 or self.targets.shape[1] != rows or self.targets.shape[2] == 0:
            raise DataError(f"targets has shape {self.targets.shape}: must be (n_sets, {rows}, n_samples)")
        expected = {
            "stimuli": (self.stimuli, (self.targets.shape[0], rows)),
            "phase": (self.phase, (rows,)),
            "filtered": (self.filtered, (self.n_neurons,)),
            "input": (self.input, (rows,)),
        }
        for name, (array, shape) in expected.items():
            if array.shape != shape:
                raise DataError(f"{name} has shape {array.shape}: must be {shape}")
        for name in ("targets", "stimuli", "phase", "filtered"):
            if not np.isfinite(getattr(self, name)).all():
                raise DataError(f"{name} holds NaN or infinite values: every entry must be a finite number")
        if not (np.isfinite(self.plastic.weight).all() and np.isfinite(self.static.weight).all()):
            raise DataError("weights holds NaN or infinite values: every entry must be a finite number")
        self._check_times()
        self._check_noise()

    def _check_noise(self) -> None:
        if self.noise is None:
            return
        shape = (self.stimulus_steps + self.n_samples * self.steps_per_sample, self.n_rows)
        if self.noise.shape != shape:
            raise DataError(f"noise has shape {self.noise.shape}: must be (steps of cue and window, n) = {shape}")
        if not np.isfinite(self.noise).all():
            raise DataError("noise holds NaN or infinite values: every entry must be a finite number")

    def _check_times(self) -> None:
        step, synapse = self.neuron.step_ms, self.synapse
        for key, tau in (("tau_syn_ms", synapse.tau_syn_ms), ("static_tau_syn_ms", synapse.static_tau_syn_ms)):
            if tau is not None and step > tau:
                raise DataError(f"the step of {step:g} ms is larger than {key} = {tau:g} ms: choose a smaller step")
        if not self.grid_ms > 0:
            raise DataError(f"grid_ms = {self.grid_ms:g} ms: must be a positive multiple of the step of {step:g} ms")
        times = {"grid_ms": self.grid_ms, "stimulus_ms": self.stimulus_ms, **dict(self.protocol)}
        for key, value in times.items():
            if not (value >= 0 and is_multiple(value, step)):
                raise DataError(f"{key} = {value:g} ms is not a multiple of the step of {step:g} ms")

    def noise_of(self, first: int, n_steps: int) -> np.ndarray | None:
        """Frozen noise of ``n_steps`` steps from step ``first`` on, counted from the start of the cue: (n_steps, n).

        It is zero after the window; None if there is no noise at all.
        """
        if self.noise is None:
            return None
        part = self.noise[first : first + n_steps]
        if len(part) == n_steps:
            return part
        return np.concatenate([part, np.zeros((n_steps - len(part), self.n_rows))])

    def input_at_samples(self) -> np.ndarray:
        """External input of the step that leads to each sample of the window, (n, n_samples)."""
        if self.noise is None:
            return np.repeat(self.input[:, None], self.n_samples, axis=1)
        every = self.steps_per_sample
        return self.input[:, None] + self.noise[self.stimulus_steps + every - 1 :: every].T

    @property
    def neurons(self) -> range:
        """The neurons of this block."""
        return range(self.first, self.first + self.n_rows)

    @property
    def n_recorded(self) -> int:
        """Number of neurons that follow a recorded unit: the first ones of the network."""
        return 0 if self.recording is None else len(self.recording.values)

    @property
    def n_sets(self) -> int:
        """Number of target sets."""
        return int(self.targets.shape[0])

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


def _dense(mask: Any) -> np.ndarray:
    return np.asarray(mask.toarray() if hasattr(mask, "toarray") else mask)
