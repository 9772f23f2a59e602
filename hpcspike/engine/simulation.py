"""One block of neurons in time: state, spike delivery layout, and intervals of steps."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, NamedTuple

import numpy as np

from hpcspike.accelerate import respecialised
from hpcspike.engine.communication import World
from hpcspike.engine.delivery import delivery_layout, rows_of_threads
from hpcspike.engine.live_arrays import Live
from hpcspike.engine.step_kernels import run_own_steps
from hpcspike.engine.team_kernels import in_team, new_team
from hpcspike.engine.training_kernels import end_interval
from hpcspike.engine.transit import transit_of
from hpcspike.errors import ResourceError
from hpcspike.model.connectivity import Rows
from hpcspike.model.decay_classes import decay_classes
from hpcspike.model.feed_forward import FEED_OF, FeedPath
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


def decay_per_step(step_ms: float, tau_syn_ms: float, scheme: str = "rk4") -> float:
    """Factor of r and u in one step: Runge-Kutta 4, or with ``scheme`` euler forward Euler, of dr/dt = -r / tau_s."""
    h = step_ms / tau_syn_ms
    if scheme == "euler":
        return 1.0 - h
    return 1.0 - h + h * h / 2.0 - h**3 / 6.0 + h**4 / 24.0


def row_sums(rows: Rows, weight: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """W x of compressed rows, (n,); each row is summed in the order of its synapses, the same in every block."""
    n_rows = len(rows.start) - 1
    if not vector.any():  # at rest, where a large network would only be walked through
        return np.zeros(n_rows)
    row = np.repeat(np.arange(n_rows), np.diff(rows.start))
    sums = np.bincount(row, weight * vector[rows.presynaptic], minlength=n_rows)  # Eq 8: u = W r
    return sums.astype(np.float64, copy=False)  # of no synapses at all, bincount makes integers


def _feed_forward_synapses(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Which plastic synapses come from a feed-forward population, (synapses,), and where each row of them begins."""
    if problem.feed_forward is None:
        return np.empty(0, dtype=np.int64), np.zeros(problem.n_rows + 1, dtype=np.int64)
    which = np.flatnonzero(problem.plastic.presynaptic >= problem.n_neurons)
    return which, np.searchsorted(which, problem.plastic.start)


def stepper(neuron: Neuron) -> Any:
    """`run_own_steps`, with the model of a user's neurons inside."""
    return _respecialised(user_advance(neuron)) if isinstance(neuron, UserNeuron) else run_own_steps


@functools.cache
def _respecialised(advance: Any) -> Any:
    return respecialised(run_own_steps, advance=advance)


class Simulation:
    """The live state of a block and how it moves, on one or several ``threads`` with the same numbers.

    ``like`` is a simulation of the same problem in the same precision, whose layout of the synapses this one shares.

    Attributes
    ----------
    state
        (v, n) state of the neurons: phases theta, or v and refractory steps left.
    plastic_drive, static_drive
        (n,) synaptic drive u of the plastic and of the fixed synapses.
    inhibitory_drive
        (n,) u of the fixed synapses from inhibitory neurons where they have a decay of their own, which static_drive
        then does not hold; else empty.
    readout
        (n,) w.r with the plastic weights of the moment, which learning acts on: the drive itself unless weight changes
        act on later spikes only.
    filtered
        (N + F,) filtered spike trains r in spikes per tau, at the end of the last interval; behind the neurons those
        of the F sources of a feed-forward population. Where single neurons have decay times of their own, the same
        follows with each of these (`hpcspike.model.decay_classes`), in trace, too.
    weight
        (synapses,) plastic weights, row by row.
    events, n_events
        Which inputs of each row spiked in the interval, if it collects them.
    weight_sets
        (n_sets, feed-forward synapses) weights of the feed-forward synapses for every target set, if each has its own;
        those of ``set_in_use`` are out of date, since `weight` holds them.
    trace
        (N + F,) what the interval's spikes add to r by its end.
    interval_decay
        Factor by which r decayed over the last interval; an array of one for each decay time where there are several.
    transit
        Spikes in flight: empty but for synapses with delays. r is that of spikes that have arrived.
    """

    REBUILT: ClassVar[frozenset[str]] = frozenset(
        {
            "problem",
            "plastic",
            "static",
            "static_weight",
            "step",
            "model",
            "parameters",
            "decay",
            "decays",
            "jumps_now",
            "jumps",
        }
        | {"static_decay", "static_jump", "separate", "real", "no_clamp", "no_readout", "no_record", "run_steps"}
        | {"border", "inhibitory_decay", "inhibitory_jump", "no_drive", "no_feed", "fed", "fed_start", "bounds"}
        | {"late_feed", "classes", "row_decays", "row_jumps"}
    )
    """Attributes that are no state: equal whenever they are made for the same problem."""
    SCRATCH: ClassVar[frozenset[str]] = frozenset(
        {"increment", "received", "forced", "spikes", "everyone", "exchange", "team"}
    )
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
        threads: int = 1,
    ) -> None:
        self.problem = problem
        world = world or World()
        if like is None:
            self._bounds = rows_of_threads(problem, threads if world.has_room_for(threads) else 1)
            self._plastic = delivery_layout(problem.plastic, problem.n_sources, self._bounds)
            static = delivery_layout(problem.static, problem.n_neurons, self._bounds)
            self._static_weight = problem.static.weight.astype(dtype)[static.synapse]
            # of fixed synapses only the weights are needed
            self._static = static._replace(synapse=np.empty(0, np.int64))
        else:
            self._plastic, self._static, self._static_weight = like._plastic, like._static, like._static_weight
            self._bounds = like._bounds
        self.team = new_team(self.threads)
        self.weight = problem.plastic.weight.astype(dtype)
        self._fed, self._fed_start = _feed_forward_synapses(problem)
        sets = problem.n_sets if problem.feed_forward is not None and problem.feed_forward.per_condition else 0
        self.set_in_use, self.weight_sets = 0, np.repeat(self.weight[None, self._fed], sets, axis=0)
        neuron, synapse = problem.neuron, problem.synapse
        self._step, self._run_steps = step_size(neuron), stepper(neuron)
        self._real = state_dtype(neuron, np.dtype(dtype))
        self._model, self._parameters = model_code(neuron), parameters(neuron, problem.neurons).astype(self._real)
        self.decay = decay_per_step(neuron.step_ms, synapse.tau_syn_ms, synapse.decay)
        self._classes = decay_classes(problem)
        taus, of_row = self._classes.taus_ms.tolist(), self._classes.of_row
        self._decays = [decay_per_step(neuron.step_ms, tau, synapse.decay) for tau in taus]
        self._jumps_now = [neuron.tau_ms / tau for tau in taus]
        self._jumps = np.array([self._jumps_now])
        several = len(taus) > 1
        self._row_decays = np.array(self._decays)[of_row if several else slice(1)]
        self._row_jumps = self.rounded(np.array(self._jumps_now)[of_row if several else slice(0)])
        static_tau = synapse.static_tau_syn_ms or synapse.tau_syn_ms
        self._static_decay = decay_per_step(neuron.step_ms, static_tau, synapse.decay)
        self._static_jump = neuron.tau_ms / static_tau
        inhibitory_tau = synapse.static_tau_inhibitory_ms
        self._border = problem.n_neurons if inhibitory_tau is None else problem.first_inhibitory
        self._inhibitory_decay = decay_per_step(neuron.step_ms, inhibitory_tau or static_tau, synapse.decay)
        self._inhibitory_jump = neuron.tau_ms / (inhibitory_tau or static_tau)
        rows = problem.n_rows
        self._increment, self._received, self._forced = (np.empty(rows, self._real) for _ in range(3))
        self._spikes = np.empty(rows, dtype=np.int32)
        self._everyone = np.empty(problem.n_sources, dtype=np.int32)
        self.transit = transit_of(problem)
        self._late_feed = problem.synapse.delay_steps(neuron.step_ms).feed_forward - 1
        self._exchange = world.exchange(max(1, self.transit.together))
        self.events = np.zeros(len(problem.plastic.presynaptic), dtype=np.int32)
        self.n_events = np.zeros(rows, dtype=np.int32)
        self.trace = np.zeros(len(taus) * problem.n_sources)
        self.interval_decay: float | np.ndarray = np.ones(len(taus)) if several else 1.0
        self._no_clamp, self._no_readout = np.empty((0, rows), self._real), np.empty(0, self._real)
        self._no_record, self._no_drive = np.empty((0, rows)), np.empty(0, self._real)
        self._no_feed = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32)
        self.set_state(problem.phase, problem.filtered)

    def set_state(self, phase: np.ndarray, filtered: np.ndarray) -> None:
        """Start from phases (n,) in radians and filtered spike trains (N,), with the current weights."""
        problem = self.problem
        self.state = self.rounded(initial_state(problem.neuron, phase, problem.neurons))
        self.filtered = np.zeros(len(self._decays) * problem.n_sources)
        self.filtered[: problem.n_neurons] = filtered
        self.held: np.ndarray | None = None
        self.noise: NoisePath | None = None
        self.feed: FeedPath | None = None
        self.transit.land()
        self.plastic_drive = self.rounded(row_sums(problem.plastic, self.weight, self.filtered))
        self.static_drive, self.inhibitory_drive = self._fixed_drives()
        self._separate = problem.synapse.weight_acts == "at_spikes"
        self.readout = self.plastic_drive.copy() if self._separate else self.plastic_drive

    def _fixed_drives(self) -> tuple[np.ndarray, np.ndarray]:
        static, border, first = self.problem.static, self._border, self.filtered[: self.problem.n_neurons]
        if self.problem.synapse.static_tau_inhibitory_ms is None:
            return self.rounded(row_sums(static, static.weight, first)), self._no_drive
        place = np.arange(len(first))
        parts = (np.where(side, first, 0.0) for side in (place < border, place >= border))
        excitatory, inhibitory = (self.rounded(row_sums(static, static.weight, part)) for part in parts)
        return excitatory, inhibitory

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
        self.noise = None
        if problem.trial_noise.standard_deviation > 0:
            self.noise = NoisePath(
                problem.trial_noise, problem.neuron, problem.neurons, key, purpose, trial, step=step,
                threads=self.threads,
            )  # fmt: skip

    def begin_feed(self, purpose: str, trial: int, target_set: int, silent: int, *, step: int = 0) -> None:
        """Let the next step be that ``step`` of a trial with the feed-forward spikes and weights of a target set.

        The population is silent in the first ``silent`` steps of the trial; nothing happens if there is none.
        """
        problem = self.problem
        if problem.feed_forward is None:
            return
        key = (problem.seed, problem.replicate)
        self.feed = FeedPath(
            problem.feed_forward, problem.n_neurons, key, purpose, trial, target_set, silent, step=step
        )  # fmt: skip
        if step == 0:
            self.use_set(target_set)

    def begin_test_feed(self, phase_purpose: str, trial: int, target_set: int) -> None:
        """`begin_feed` of a test trial that starts from the phases of a purpose."""
        problem = self.problem
        silent = problem.test_free_run_steps + problem.stimulus_steps
        if problem.feed_forward is not None:
            self.begin_feed(FEED_OF[phase_purpose], trial, target_set, silent)

    def use_set(self, target_set: int) -> None:
        """Put the feed-forward weights of a target set in the place of those in use; their r must be 0."""
        if len(self.weight_sets) and target_set != self.set_in_use:
            self.weight_sets[self.set_in_use] = self.weight[self._fed]
            self.weight[self._fed] = self.weight_sets[target_set]
            self.set_in_use = target_set

    def take_weights(self, other: Simulation) -> None:
        """The weights of another simulation of the same problem."""
        self.weight[:], self.weight_sets[:], self.set_in_use = other.weight, other.weight_sets, other.set_in_use

    def feed_forward_weights(self) -> np.ndarray:
        """Weights of the feed-forward synapses, (n_sets, synapses), or (1, synapses) if all target sets share them."""
        if not len(self.weight_sets):
            return self.weight[None, self._fed]
        sets = self.weight_sets.copy()
        sets[self.set_in_use] = self.weight[self._fed]
        return sets

    def feed_of_steps(self, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Feed-forward spikes that arrive in the steps to come; see `hpcspike.engine.step_kernels.run_own_steps`."""
        return self._no_feed if self.feed is None else self.feed.spikes(self.feed.step - self._late_feed, n_steps)

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
        feed = None
        if self.problem.feed_forward is not None:
            # r of what is no neuron of the network is the same on every rank
            size, path = self.problem.n_neurons, None if self.feed is None else self.feed.numbers()
            both = {name: self._by_class(name)[:, size:].ravel().tolist() for name in ("filtered", "trace")}
            feed = {"path": path, **both}
        return {
            "interval_decay": np.asarray(self.interval_decay).tolist(), "held": self.held is not None, "noise": noise,
            "feed": feed, "set_in_use": self.set_in_use, "transit": self.transit.in_flight(),
        }  # fmt: skip

    def load_numbers(self, numbers: dict[str, Any]) -> None:
        """Take over `state_numbers`; before `state_arrays`, which depend on them."""
        decay = numbers["interval_decay"]
        self.interval_decay = np.array(decay) if isinstance(decay, list) else decay
        self.held = np.empty(self.problem.n_rows, self._real) if numbers["held"] else None
        self.noise, noise = None, numbers.get("noise")  # earlier versions had none
        if noise is not None:
            self.begin_noise(noise["purpose"], noise["trial"], step=noise["step"])
        self.feed, feed = None, numbers.get("feed")
        if feed is not None:
            path, size = feed["path"], self.problem.n_neurons
            if path is not None:
                self.begin_feed(*(path[name] for name in FeedPath.KEY), step=path["step"])
            for name in ("filtered", "trace"):
                own = self._by_class(name)[:, size:]
                own[:] = np.reshape(feed[name], own.shape)
        self.set_in_use = numbers.get("set_in_use", 0)
        self.transit.put_in_flight(numbers.get("transit", []))

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
            *([by_neuron("inhibitory_drive", self.inhibitory_drive)] if len(self.inhibitory_drive) else []),
            *(by_neuron(name, self._by_class(name)[0, own]) for name in ("filtered", "trace")),
        ]
        for number in range(1, len(self._decays)):
            names = ("filtered", "trace")
            arrays += [by_neuron(f"{name}.{number}", self._by_class(name)[number, own]) for name in names]
        arrays += [ragged(f"weight_sets.{i}", part, self._fed_start) for i, part in enumerate(self.weight_sets)]
        if self._separate:
            arrays.append(by_neuron("readout", self.readout))
        if self.held is not None:
            arrays.append(by_neuron("held", self.held))
        return arrays

    def _by_class(self, name: str) -> np.ndarray:
        """A view (decay times, sources) of ``filtered`` or ``trace``."""
        whole: np.ndarray = getattr(self, name)
        return whole.reshape(len(self._decays), -1)

    def replicated(self) -> list[np.ndarray]:
        """Views (N,) of what every rank has whole of the neurons: r and trace, of each decay time."""
        size = self.problem.n_neurons
        return [part[:size] for name in ("filtered", "trace") for part in self._by_class(name)]

    @property
    def drive(self) -> np.ndarray:
        """Synaptic drive u of all synapses, (n,)."""
        return self.with_fixed(self.plastic_drive)

    def with_fixed(self, drive: np.ndarray) -> np.ndarray:
        """A drive (n,) and that of the fixed synapses, together: summed in the order that every kernel has, too."""
        total = drive + self.static_drive
        return total + self.inhibitory_drive if len(self.inhibitory_drive) else total

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
            (values, n) drive that the neurons receive in place of their own, each value for ``n_steps / values`` steps.
        noise
            (n_steps, n) external input beside the constant one, and beside that which is new in every trial.
        """
        stop, external = n_steps if stop is None else stop, self.rounded(external)
        self._provide_jumps(n_steps)
        if begin == 0:
            self.trace[:] = 0.0
            self.n_events[:] = 0
        every = 0 if record is None else n_steps // len(record)
        # delayed spikes are exchanged at the end of a chunk, too, which must then be the same on all ranks
        rows = self.problem.n_neurons if self.transit.together else self.problem.n_rows
        chunk = max(1, min(n_steps, _BUFFER_SPIKES // max(rows, 1)))
        if every:
            chunk = max(every, chunk // every * every)
        parts = []
        for start in range(begin, stop, chunk):
            length = min(chunk, stop - start)
            part = self._no_record if record is None else record[start // every :]
            received = self._no_clamp
            if clamp is not None:
                received = self.rounded(clamp.take(np.arange(start, start + length) // (n_steps // len(clamp)), axis=0))
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
            steps = np.arange(n_steps)
            jumps = [jump * decay**steps for jump, decay in zip(self._jumps_now, self._decays, strict=True)]
            # never zero: the step loop sees from the trace which neurons spiked before
            self._jumps = np.maximum(np.stack(jumps, axis=1), np.finfo(np.float64).tiny)

    @property
    def threads(self) -> int:
        """How many threads move the neurons and deliver their spikes."""
        return len(self._bounds) - 1

    @property
    def compiled(self) -> bool:
        """Whether `run_own_steps` moves the neurons, without a model of the user's in it."""
        return not self.graded and self._run_steps is run_own_steps

    def live(self, n_steps: int) -> Live:
        """What compiled code needs to go on from here by intervals of ``n_steps`` steps."""
        self._provide_jumps(n_steps)
        in_flight: Any = self.transit
        return Live(
            self._bounds, self.problem.first, self._model, self._step, self._row_decays, self._jumps, self._row_jumps,
            self._static_decay, self._static_jump, self._border, self._inhibitory_decay, self._inhibitory_jump,
            self.state, self._parameters, self.plastic_drive, self.static_drive, self.inhibitory_drive, self.readout,
            self.readout if self._separate else self._no_readout, self.filtered, self.trace, self._no_clamp,
            self._no_record, self._increment, self._received, self._forced, self._spikes, self._everyone,
            *self._exchange, self._plastic.begin, self._plastic.row, self._plastic.synapse, self.weight,
            self._static.begin, self._static.row, self._static_weight, self.problem.plastic.start, self.events,
            self.n_events, *in_flight,
        )  # fmt: skip

    def decay_over(self, n_steps: int) -> float | np.ndarray:
        """Factor by which r decays in so many steps; an array where there are several decay times."""
        factors = [decay**n_steps for decay in self._decays]
        return factors[0] if len(factors) == 1 else np.array(factors)

    def _end_interval(self, n_steps: int) -> None:
        self.interval_decay = self.decay_over(n_steps)
        end_interval(self.filtered, self.trace, np.atleast_1d(self.interval_decay))

    def jumps_at(self, rows: np.ndarray) -> np.ndarray | float:
        """What a spike adds to the plastic drive of some rows, over the weight."""
        return self._jumps_now[0] if len(self._decays) == 1 else np.array(self._jumps_now)[self._classes.of_row[rows]]

    def change_r(self, neuron: int, *, there: bool) -> None:
        """Add to r and trace what a spike at the end of the last interval, of one step, does, or take it back."""
        for jump, r, trace in zip(self._jumps_now, self._by_class("filtered"), self._by_class("trace"), strict=True):
            if there:
                r[neuron] += jump
                trace[neuron] += jump
            else:
                assert trace[neuron] > 0
                r[neuron] -= trace[neuron]
                trace[neuron] = 0.0

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
        feed = self.feed_of_steps(length)
        if self.feed is not None:
            self.feed.step += length
        entering = self.plastic_drive if self.held is None else self.held
        self.held = None
        step, neuron = np.empty(capacity, dtype=np.int32), np.empty(capacity, dtype=np.int32)
        count = in_team(
            self._run_steps, self.team, self.threads, self._bounds, length, n_steps - begin, self.problem.first,
            self._model, self._step, self._row_decays, self._jumps, self._row_jumps, self._static_decay,
            self._static_jump, self._border, self._inhibitory_decay, self._inhibitory_jump, self.state,
            self._parameters, entering, self.plastic_drive,
            self.static_drive, self.inhibitory_drive, self.readout if self._separate else self._no_readout, external,
            noise, clamp, self.trace, self._increment, self._received, self._forced, self._spikes, *feed,
            self._everyone, *self._exchange, self._plastic.begin, self._plastic.row, self._plastic.synapse, self.weight,
            self._static.begin, self._static.row, self._static_weight,
            collect, self.problem.plastic.start, self.events, self.n_events,
            every, record, step, neuron, *self.transit,
        )  # fmt: skip
        if count < 0:
            raise ResourceError("the spike exchange between MPI ranks failed; see the message of the MPI library")
        return Spikes(step[:count] + np.int32(begin), neuron[:count].copy())
