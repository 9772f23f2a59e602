"""One block of neurons in time: state, spike delivery layout, and intervals of steps."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, NamedTuple

import numpy as np

from hpcspike.accelerate import respecialised
from hpcspike.engine.communication import World
from hpcspike.engine.delivery_kernels import order_by_presynaptic
from hpcspike.engine.step_kernels import run_steps
from hpcspike.engine.training_kernels import end_interval
from hpcspike.errors import ResourceError
from hpcspike.model.connectivity import Rows
from hpcspike.model.neurons import initial_state, model_code, parameters, state_dtype, step_size, user_advance
from hpcspike.model.problem import Problem
from hpcspike.model.random_streams import uniform_by_neuron
from hpcspike.model.trial_noise import NOISE_OF, NoisePath
from hpcspike.shown import short_repr
from hpcspike.spec.experiment import Neuron, UserNeuron
from hpcspike.state import StateArray, by_neuron, ragged

_BUFFER_SPIKES = 1 << 20


class Spikes(NamedTuple):
    """Spikes of a stretch of time: step (spikes,) int32 counted from its start, neuron (spikes,) int32."""

    step: np.ndarray
    neuron: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


class Live(NamedTuple):
    """Arrays and numbers of a `Simulation` for compiled code, by the names of `hpcspike.engine.step_kernels.run_steps`.

    Other names: jumps and exchange_seconds are ``jump`` and ``seconds`` there, separate is ``readout`` there (empty if
    it is the drive), and readout is w.r with the weights of the moment in any case.
    """

    first: int
    model: int
    step: float
    decay: float
    jumps: np.ndarray
    static_decay: float
    static_jump: float
    state: np.ndarray
    parameters: np.ndarray
    plastic_drive: np.ndarray
    static_drive: np.ndarray
    readout: np.ndarray
    separate: np.ndarray
    filtered: np.ndarray
    trace: np.ndarray
    no_clamp: np.ndarray
    no_record: np.ndarray
    increment: np.ndarray
    received: np.ndarray
    forced: np.ndarray
    spikes: np.ndarray
    everyone: np.ndarray
    address: int
    kind: int
    world: int
    send: np.ndarray
    receive: np.ndarray
    exchange_seconds: np.ndarray
    plastic_start: np.ndarray
    plastic_row: np.ndarray
    plastic_synapse: np.ndarray
    weight: np.ndarray
    static_start: np.ndarray
    static_row: np.ndarray
    static_weight: np.ndarray
    row_start: np.ndarray
    events: np.ndarray
    n_events: np.ndarray


class Delivery(NamedTuple):
    """Synapses by presynaptic neuron: start (N + 1,), postsynaptic row, and index into the row-wise arrays."""

    start: np.ndarray
    row: np.ndarray
    synapse: np.ndarray


def delivery_layout(rows: Rows, n_neurons: int) -> Delivery:
    """The synapses of compressed rows, ordered by presynaptic neuron and then by row."""
    synapses = len(rows.presynaptic)
    layout = Delivery(
        np.zeros(n_neurons + 1, np.int64), np.empty(synapses, np.uint32), np.empty(synapses, np.int64)
    )  # fmt: skip
    order_by_presynaptic(rows.start, rows.presynaptic, *layout)
    return layout


def decay_per_step(step_ms: float, tau_syn_ms: float) -> float:
    """Factor of r and u in one step: Runge-Kutta 4 of dr/dt = -r / tau_s."""
    h = step_ms / tau_syn_ms
    return 1.0 - h + h * h / 2.0 - h**3 / 6.0 + h**4 / 24.0


def row_sums(rows: Rows, weight: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """W x of compressed rows, (n,); each row is summed in the order of its synapses, the same in every block."""
    n_rows = len(rows.start) - 1
    if not vector.any():  # at rest, where a large network would only be walked through
        return np.zeros(n_rows)
    row = np.repeat(np.arange(n_rows), np.diff(rows.start))
    sums = np.bincount(row, weight * vector[rows.presynaptic], minlength=n_rows)
    return sums.astype(np.float64, copy=False)  # of no synapses at all, bincount makes integers


def stepper(neuron: Neuron) -> Any:
    """`run_steps`, with the model of a user's neurons inside."""
    return _respecialised(user_advance(neuron)) if isinstance(neuron, UserNeuron) else run_steps


@functools.cache
def _respecialised(advance: Any) -> Any:
    return respecialised(run_steps, advance=advance)


class Simulation:
    """The live state of a block and how it moves.

    ``like`` is a simulation of the same problem in the same precision, whose layout of the synapses this one shares.

    Attributes
    ----------
    state
        (v, n) state of the neurons: phases theta, or v and refractory steps left.
    plastic_drive, static_drive
        (n,) synaptic drive u of the plastic and of the fixed synapses.
    readout
        (n,) w.r with the plastic weights of the moment, which learning acts on: the drive itself unless weight changes
        act on later spikes only.
    filtered
        (N,) filtered spike trains r in spikes per tau, at the end of the last interval.
    weight
        (synapses,) plastic weights, row by row.
    events, n_events
        Which inputs of each row spiked in the interval, if it collects them.
    trace
        (N,) what the interval's spikes add to r by its end.
    interval_decay
        Factor by which r decayed over the last interval.
    """

    REBUILT: ClassVar[frozenset[str]] = frozenset(
        {"problem", "plastic", "static", "static_weight", "step", "model", "parameters", "decay", "jump_now", "jumps"}
        | {"static_decay", "static_jump", "separate", "real", "no_clamp", "no_readout", "no_record", "run_steps"}
    )
    """Attributes that are no state: equal whenever they are made for the same problem."""
    SCRATCH: ClassVar[frozenset[str]] = frozenset({"increment", "received", "forced", "spikes", "everyone", "exchange"})
    """Attributes that are no state: written before they are read."""
    graded: ClassVar[bool] = False
    """Whether all inputs of a neuron change in every step, and not only when they spike."""

    def __init__(
        self,
        problem: Problem,
        *,
        dtype: np.dtype | type = np.float64,
        world: World | None = None,
        like: Simulation | None = None,
    ) -> None:
        self.problem = problem
        if like is None:
            self._plastic = delivery_layout(problem.plastic, problem.n_neurons)
            static = delivery_layout(problem.static, problem.n_neurons)
            self._static_weight = problem.static.weight.astype(dtype)[static.synapse]
            # of fixed synapses only the weights are needed
            self._static = static._replace(synapse=np.empty(0, np.int64))
        else:
            self._plastic, self._static, self._static_weight = like._plastic, like._static, like._static_weight
        self.weight = problem.plastic.weight.astype(dtype)
        neuron, synapse = problem.neuron, problem.synapse
        self._step, self._run_steps = step_size(neuron), stepper(neuron)
        self._real = state_dtype(neuron, np.dtype(dtype))
        self._model, self._parameters = model_code(neuron), parameters(neuron, problem.neurons).astype(self._real)
        self.decay = decay_per_step(neuron.step_ms, synapse.tau_syn_ms)
        self._jump_now = neuron.tau_ms / synapse.tau_syn_ms
        self._jumps = np.array([self._jump_now])
        static_tau = synapse.static_tau_syn_ms or synapse.tau_syn_ms
        self._static_decay = decay_per_step(neuron.step_ms, static_tau)
        self._static_jump = neuron.tau_ms / static_tau
        rows = problem.n_rows
        self._increment, self._received, self._forced = (np.empty(rows, self._real) for _ in range(3))
        self._spikes = np.empty(rows, dtype=np.int32)
        self._everyone = np.empty(problem.n_neurons, dtype=np.int32)
        self._exchange = (world or World()).exchange()
        self.events = np.zeros(len(problem.plastic.presynaptic), dtype=np.int32)
        self.n_events = np.zeros(rows, dtype=np.int32)
        self.trace = np.zeros(problem.n_neurons)
        self.interval_decay = 1.0
        self._no_clamp, self._no_readout = np.empty((0, rows), self._real), np.empty(0, self._real)
        self._no_record = np.empty((0, rows))
        self.set_state(problem.phase, problem.filtered)

    def set_state(self, phase: np.ndarray, filtered: np.ndarray) -> None:
        """Start from phases (n,) in radians and filtered spike trains (N,), with the current weights."""
        problem = self.problem
        self.state = self.rounded(initial_state(problem.neuron, phase, problem.neurons))
        self.filtered = filtered.astype(np.float64).copy()
        self.held: np.ndarray | None = None
        self.noise: NoisePath | None = None
        self.plastic_drive = self.rounded(row_sums(problem.plastic, self.weight, self.filtered))
        self.static_drive = self.rounded(row_sums(problem.static, problem.static.weight, self.filtered))
        self._separate = problem.synapse.weight_acts == "at_spikes"
        self.readout = self.plastic_drive.copy() if self._separate else self.plastic_drive

    def start_at_random(self, purpose: str, trial: int) -> None:
        """Start from r = 0 and the random phases that a purpose of `hpcspike.model.random_streams` has in a trial."""
        problem = self.problem
        phase = uniform_by_neuron(problem.seed, problem.replicate, purpose, problem.neurons, trial, 0.0, 2.0 * np.pi)
        self.set_state(phase, np.zeros(problem.n_neurons))
        if purpose in NOISE_OF:
            self.begin_noise(NOISE_OF[purpose], trial)

    def begin_noise(self, purpose: str, trial: int, *, step: int = 0) -> None:
        """Let the next step be that ``step`` of a trial, which has noise of its own if the problem has any."""
        problem = self.problem
        key = (problem.seed, problem.replicate)
        there = problem.trial_noise.standard_deviation > 0
        self.noise = (
            NoisePath(problem.trial_noise, problem.neuron, problem.neurons, key, purpose, trial, step=step)
            if there
            else None
        )

    def noise_of_steps(self, frozen: np.ndarray | None, first: int, n_steps: int) -> np.ndarray | None:
        """Frozen noise (n_steps, n) of some steps and that of the trial from its step ``first`` on, together."""
        if self.noise is None:
            return frozen
        own = self.noise.rows(first, n_steps)
        return own if frozen is None else frozen + own

    def rounded(self, values: np.ndarray) -> np.ndarray:
        """Values in the precision of the neurons; a copy only if that is another one."""
        return values.astype(self._real, copy=False)

    def state_numbers(self) -> dict[str, Any]:
        """What is not an array of the live state, as plain data."""
        noise = None if self.noise is None else self.noise.numbers()
        return {"interval_decay": self.interval_decay, "held": self.held is not None, "noise": noise}

    def load_numbers(self, numbers: dict[str, Any]) -> None:
        """Take over `state_numbers`; before `state_arrays`, which depend on them."""
        self.interval_decay = numbers["interval_decay"]
        self.held = np.empty(self.problem.n_rows, self._real) if numbers["held"] else None
        self.noise, noise = None, numbers.get("noise")  # earlier versions had none
        if noise is not None:
            self.begin_noise(noise["purpose"], noise["trial"], step=noise["step"])

    def state_arrays(self) -> list[StateArray]:
        """The arrays of the live state, by neuron; of r and trace, which every rank has whole, the own neurons."""
        start, first = self.problem.plastic.start, self.problem.first
        own = slice(first, first + self.problem.n_rows)
        arrays = [
            ragged("weight", self.weight, start),
            ragged("events", self.events, start),
            by_neuron("n_events", self.n_events),
            by_neuron("state", self.state.T),
            by_neuron("plastic_drive", self.plastic_drive),
            by_neuron("static_drive", self.static_drive),
            by_neuron("filtered", self.filtered[own]),
            by_neuron("trace", self.trace[own]),
        ]
        if self._separate:
            arrays.append(by_neuron("readout", self.readout))
        if self.held is not None:
            arrays.append(by_neuron("held", self.held))
        return arrays

    @property
    def drive(self) -> np.ndarray:
        """Synaptic drive u of all synapses, (n,)."""
        return self.plastic_drive + self.static_drive

    def hold_drive(self) -> None:
        """Let the next step still move the neurons with the drive as it is now.

        Called before a weight update: the program does not recompute u after it, so that new weights act on theta one
        step later.
        """
        self.held = self.plastic_drive.copy()

    def run_interval(
        self,
        n_steps: int,
        external: np.ndarray,
        *,
        begin: int = 0,
        stop: int | None = None,
        collect: bool = False,
        record: np.ndarray | None = None,
        clamp: np.ndarray | None = None,
        noise: np.ndarray | None = None,
    ) -> Spikes:
        """Run an interval of ``n_steps`` steps with constant external input (n,), and at its end bring r up to date.

        Parameters
        ----------
        begin, stop
            Run only these steps of the interval; the parts of an interval must follow each other.
        collect
            Note which plastic inputs of each row spiked (`events`, `n_events`).
        record
            (records, n) array that receives the drive after every ``n_steps / records`` steps.
        clamp
            (n_steps, n) drive that the neurons receive in place of their own.
        noise
            (n_steps, n) external input beside the constant one, and beside that which is new in every trial.
        """
        stop, external = n_steps if stop is None else stop, self.rounded(external)
        self._provide_jumps(n_steps)
        if begin == 0:
            self.trace[:] = 0.0
            self.n_events[:] = 0
        every = 0 if record is None else n_steps // len(record)
        chunk = max(1, min(n_steps, _BUFFER_SPIKES // max(self.problem.n_rows, 1)))
        if every:
            chunk = max(every, chunk // every * every)
        parts = []
        for start in range(begin, stop, chunk):
            length = min(chunk, stop - start)
            part = self._no_record if record is None else record[start // every :]
            received = self._no_clamp if clamp is None else self.rounded(clamp[start : start + length])
            shaking = self._shaking(None if noise is None else noise[start : start + length], length)
            parts.append(self._run(start, length, n_steps, external, shaking, received, collect, every, part))
        if stop == n_steps:
            self._end_interval(n_steps)
        if len(parts) == 1:
            return parts[0]
        return Spikes(np.concatenate([p.step for p in parts]), np.concatenate([p.neuron for p in parts]))

    def _shaking(self, frozen: np.ndarray | None, n_steps: int) -> np.ndarray:
        if self.noise is None:
            return self._no_clamp if frozen is None else self.rounded(frozen)
        found = self.noise_of_steps(frozen, self.noise.step, n_steps)
        assert found is not None
        self.noise.step += n_steps
        return self.rounded(found)

    def _provide_jumps(self, n_steps: int) -> None:
        if len(self._jumps) < n_steps:
            jumps = self._jump_now * self.decay ** np.arange(n_steps)
            # never zero: the step loop sees from the trace which neurons spiked before
            self._jumps = np.maximum(jumps, np.finfo(np.float64).tiny)

    @property
    def compiled(self) -> bool:
        """Whether `run_steps` moves the neurons, without a model of the user's in it."""
        return not self.graded and self._run_steps is run_steps

    def live(self, n_steps: int) -> Live:
        """What compiled code needs to go on from here by intervals of ``n_steps`` steps."""
        self._provide_jumps(n_steps)
        return Live(
            self.problem.first, self._model, self._step, self.decay, self._jumps, self._static_decay, self._static_jump,
            self.state, self._parameters, self.plastic_drive, self.static_drive, self.readout,
            self.readout if self._separate else self._no_readout, self.filtered, self.trace, self._no_clamp,
            self._no_record, self._increment, self._received, self._forced, self._spikes, self._everyone,
            *self._exchange, self._plastic.start, self._plastic.row, self._plastic.synapse, self.weight,
            self._static.start, self._static.row, self._static_weight, self.problem.plastic.start, self.events,
            self.n_events,
        )  # fmt: skip

    def _end_interval(self, n_steps: int) -> None:
        self.interval_decay = self.decay**n_steps
        end_interval(self.filtered, self.trace, self.interval_decay)

    def _run(
        self,
        begin: int,
        length: int,
        n_steps: int,
        external: np.ndarray,
        noise: np.ndarray,
        clamp: np.ndarray,
        collect: bool,
        every: int,
        record: np.ndarray,
    ) -> Spikes:
        capacity = length * self.problem.n_rows
        entering = self.plastic_drive if self.held is None else self.held
        self.held = None
        step, neuron = np.empty(capacity, dtype=np.int32), np.empty(capacity, dtype=np.int32)
        count = self._run_steps(
            length, n_steps - begin, self.problem.first, self._model, self._step, self.decay, self._jumps,
            self._static_decay, self._static_jump,
            self.state, self._parameters, entering, self.plastic_drive, self.static_drive,
            self.readout if self._separate else self._no_readout, external, noise, clamp, self.trace, self._increment,
            self._received, self._forced, self._spikes, self._everyone, *self._exchange,
            self._plastic.start, self._plastic.row, self._plastic.synapse, self.weight,
            self._static.start, self._static.row, self._static_weight,
            collect, self.problem.plastic.start, self.events, self.n_events,
            every, record, step, neuron,
        )  # fmt: skip
        if count < 0:
            raise ResourceError("the spike exchange between MPI ranks failed; see the message of the MPI library")
        return Spikes(step[:count] + np.int32(begin), neuron[:count].copy())
