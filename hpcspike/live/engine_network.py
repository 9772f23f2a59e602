"""A network of recursive least squares that runs again: the engine's arrays, changed and tested."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hpcspike.checks import array, choice, number, shown, whole_number
from hpcspike.correlation import pearson
from hpcspike.engine.communication import World
from hpcspike.engine.output import DatasetOutput, put
from hpcspike.engine.trained import Response, Trained
from hpcspike.engine.trial import Conditions, Event
from hpcspike.errors import SpecError
from hpcspike.learners.interface import refuse_absent_spike
from hpcspike.live.asked import Asked
from hpcspike.live.inputs import Span, clamp_on_steps, stimulus_on_steps
from hpcspike.live.network import Network, changes_in, origin_of
from hpcspike.live.selection import Selection
from hpcspike.live.synapses import Pairs, changed_rows, fixed_variables, matrix_of, rows_of_matrix, with_pairs
from hpcspike.measures.altered import with_problem, with_weights
from hpcspike.measures.evaluation import evaluate
from hpcspike.measures.lesion import without_neurons
from hpcspike.model.build import frozen_noise
from hpcspike.model.connectivity import Rows, constant_input
from hpcspike.model.problem import Problem
from hpcspike.runs.restore import trained_in
from hpcspike.runs.run import describe_trained
from hpcspike.runs.trials import scale_of, variables_of, write_trials
from hpcspike.spec.experiment import Experiment, TrialNoise, is_multiple
from hpcspike.variables import ABOUT_UNITS, ALTERED, POINT_RESULTS

if TYPE_CHECKING:
    from hpcspike.engine.training import OnLoop

_COORDINATES = ("neuron", "time", "trial", "target_set")


@dataclasses.dataclass(frozen=True, repr=False)
class EngineNetwork(Network):
    """See `hpcspike.live.network.Network`; learner rls, all neuron models.

    Attributes
    ----------
    trained
        The arrays: `hpcspike.measures` take it.
    set_curve
        (loops, sets) correlation with every set in tests after each loop, where sets were added; else None.
    """

    experiment: Experiment
    trained: Trained
    labels: dict[str, xr.DataArray]
    origin: dict[str, str]
    changes: tuple[str, ...] = ()
    set_curve: np.ndarray | None = None
    other_fixed: bool = False

    @classmethod
    def of(cls, network: xr.Dataset, experiment: Experiment) -> EngineNetwork:
        """The network that a Dataset holds."""
        labels = {
            str(name): item.load()
            for name, item in network.coords.items()
            if item.dims == ("neuron",) and (name == "recorded" or ABOUT_UNITS.items() <= item.attrs.items())
        }
        curve = network["curve_set_correlation"].values if "curve_set_correlation" in network else None
        return cls(
            experiment, trained_in(network, experiment), labels, origin_of(network), changes_in(network), curve,
            "fixed_weight" in network,
        )  # fmt: skip

    @property
    def n_neurons(self) -> int:
        """Number of neurons N."""
        return self.trained.problem.n_neurons

    # ---- test trials -------------------------------------------------------------------------------------------------

    def _tested(self, asked: Asked) -> xr.Dataset:
        trained, problem = self.trained, self.trained.problem
        if asked.target_set is not None:
            trained.check_set("target_set", asked.target_set)
        n_samples = problem.n_samples + trained.check_beyond(asked.beyond_ms)
        changed = _noisy(problem, asked.noise)
        if asked.seed is not None:
            changed = copy.copy(changed)
            changed.seed = asked.seed
        if changed is not problem:
            trained = dataclasses.replace(with_problem(trained, changed), rls=trained.rls)
        silent = held = None
        if asked.silence is not None:
            silent = np.zeros(self.n_neurons, dtype=bool)
            silent[self.chosen(asked.silence, name="silence")] = True
            trained = without_neurons(trained, np.flatnonzero(silent), removed="outgoing")
        conditions, held = self._conditions(asked, silent, n_samples)
        sets = range(problem.n_sets) if asked.target_set is None else (asked.target_set,)

        def evoke(which: int, trial: int) -> Response:
            return _evoke(trained, which, trial, asked.beyond_ms, conditions, asked.delete_spike)

        output = DatasetOutput(World())
        self._write_frame(output, sets, n_samples)
        write_trials(output, trained, variables_of(trained), asked.numbers, evoke=evoke, sets=sets, n_samples=n_samples)
        output.finish(self._identity() | asked.attributes(), _COORDINATES)
        assert output.dataset is not None
        return self._judged(output.dataset, silent=silent, held=held)

    def _conditions(
        self, asked: Asked, silent: np.ndarray | None, n_samples: int
    ) -> tuple[Conditions, np.ndarray | None]:
        problem = self.trained.problem
        span = Span.of(problem, n_samples)
        cue = external = drives = held = None
        if asked.stimulus is not None:
            cue, external = stimulus_on_steps(asked.stimulus, span)
        if asked.clamp is not None:
            targets = None
            if self.experiment.training.variable == "drive" and problem.n_sets == 1 and problem.has_target.all():
                targets = np.repeat(problem.targets[0], problem.steps_per_sample, axis=1)
            drives, who = clamp_on_steps(asked.clamp, lambda one: self.chosen(one, name="clamp"), span, targets)
            held = np.zeros(self.n_neurons, dtype=bool)
            held[who] = True
        added = () if asked.add_spike is None else self._event(asked.add_spike, span)
        return Conditions(cue=cue, external=external, clamp=drives, silent=silent, added=added), held

    def _event(self, add_spike: Any, span: Span) -> tuple[Event, ...]:
        try:
            who, time_ms = add_spike
        except (TypeError, ValueError):
            raise SpecError(
                f"add_spike = {shown(add_spike)}: must be a neuron and a time in ms, as (17, 50.0)"
            ) from None
        neurons, time = self.chosen(who, name="add_spike"), number("add_spike", time_ms, unit="ms")
        first, last = span.step_ms * (1 - span.cue), span.step_ms * span.after
        if not is_multiple(time - first, span.step_ms) or not first <= time <= last:
            raise SpecError(
                f"add_spike at {time:g} ms: must be a multiple of the step of {span.step_ms:g} ms, from {first:g} "
                f"to {last:g} ms after the end of the cue"
            )
        if self.trained.simulation.graded:
            raise SpecError("add_spike: units of neuron.model = tanh do not spike")
        return tuple((round(time / span.step_ms), int(neuron)) for neuron in neurons)

    def _write_frame(self, output: DatasetOutput, sets: Sequence[int], n_samples: int) -> None:
        """Coordinates, targets and cues of test trials."""
        problem, world, variables = self.trained.problem, World(), variables_of(self.trained)
        targets = np.full((len(sets), problem.n_rows, n_samples), np.nan)
        targets[:, :, : problem.n_samples] = scale_of(self.trained) * problem.targets[list(sets)]
        for name, values in {
            "neuron": np.arange(problem.n_neurons),
            "time": problem.grid_ms * np.arange(1, n_samples + 1),
            "target_set": np.array(sets),
            "target": targets,
            "stimulus": problem.stimuli[list(sets)],
        }.items():
            put(output, world, name, variables[name], values)

    def _judged(self, found: xr.Dataset, *, silent: np.ndarray | None, held: np.ndarray | None) -> xr.Dataset:
        """With correlations and rates over the trained window, and the labels of the neurons."""
        problem = self.trained.problem
        within, n = slice(0, problem.n_samples), problem.n_neurons
        sets = found["target_set"].values
        correlation = np.stack(
            [
                pearson(found["response"].values[row][..., within], problem.targets[which]).mean(axis=0)
                for row, which in enumerate(sets)
            ]
        )
        window = found["spike_time"].values
        inside = (window > 0) & (window <= problem.duration_ms + 1e-9)
        rates = np.empty_like(correlation)
        for row, which in enumerate(sets):
            of_set = inside & (found["spike_set"].values == which)
            counts = np.bincount(found["spike_neuron"].values[of_set], minlength=n)
            rates[row] = counts * (1000.0 / problem.duration_ms / found.sizes["trial"])
        if self.trained.simulation.graded:
            rates[:] = np.nan
        judged = problem.has_target[list(sets)].copy()
        for left_out in (silent, held):
            if left_out is not None:
                judged[:, left_out] = False
        variables, named = variables_of(self.trained), ("target_set", "neuron")
        over = {"over": f"{int(judged.sum(axis=1).max())} of {n} neurons, single test trials, plasticity off"}
        mean = float(correlation[judged].mean()) if judged.any() else math.nan
        found = found.assign(
            neuron_correlation=(named, correlation, variables["neuron_correlation"].attrs),
            neuron_rate=(named, rates, variables["neuron_rate"].attrs),
            correlation=((), mean, POINT_RESULTS["correlation"].attrs | over),
            population_rate=((), float(rates.mean()), POINT_RESULTS["population_rate"].attrs),
        )
        for name, mask in (("silenced", silent), ("clamped", held)):
            if mask is not None:
                found = found.assign_coords({name: ("neuron", mask, {"units": "1", "long_name": f"neuron is {name}"})})
        return found.assign_coords(self.labels)

    # ---- other networks ----------------------------------------------------------------------------------------------

    @property
    def weights(self) -> xr.DataArray:
        """Plastic weights (postsynaptic, presynaptic), 0 where there is no synapse; `with_weights` takes it back."""
        rows, weight = self.trained.problem.plastic, self.trained.simulation.weight
        if self.trained.problem.feed_forward is not None:
            everyone = np.ones(self.n_neurons, dtype=bool)
            rows, _ = changed_rows(rows, weight, everyone, np.arange(self.trained.problem.n_sources) >= self.n_neurons)
            weight = rows.weight
        return matrix_of(rows, weight, self.labels, "plastic weight")

    @property
    def fixed_weights(self) -> xr.DataArray:
        """Weights that are not trained, (postsynaptic, presynaptic)."""
        static = self.trained.problem.static
        return matrix_of(static, static.weight, self.labels, "fixed weight")

    def with_weights(self, weights: Any) -> EngineNetwork:
        """The network with other plastic weights.

        Parameters
        ----------
        weights
            (N, N) rows postsynaptic: DataArray as from `weights`, array or scipy.sparse; a weight other than 0 where
            there is no synapse adds one. Or (synapses,) in the order of ``weight`` in the network's Dataset.

        Raises
        ------
        DataError
            If the shape is another, or an entry is not finite.
        """
        live = self.trained.simulation.weight
        if np.ndim(weights) == 1:
            trained = with_weights(self.trained, array("weights", weights, shape=(len(live),), axes=f"{(len(live),)}"))
            return self._changed(dataclasses.replace(trained, rls=None), "other plastic weights")
        self.refuse_feed_forward("weights as a matrix")
        rows = rows_of_matrix(weights, self.trained.problem.plastic, self.n_neurons)
        added = len(rows.weight) - len(live)
        return self._rewired(plastic=rows, words=f"other plastic weights, {added} synapses added")

    def without_synapses(self, onto: Selection = "all", of: Selection = "all") -> EngineNetwork:
        """The network without the synapses that lead from some neurons to others, plastic and fixed ones.

        Parameters
        ----------
        onto, of
            Postsynaptic and presynaptic neurons; see `hpcspike.live.selection.chosen`.
        """
        self.refuse_feed_forward("fewer synapses")
        post, pre = (np.zeros(self.n_neurons, dtype=bool) for _ in range(2))
        post[self.chosen(onto, name="onto")] = True
        pre[self.chosen(of, name="of")] = True
        problem, live = self.trained.problem, self.trained.simulation.weight
        plastic, n_plastic = changed_rows(problem.plastic, live, post, pre)
        static, n_static = changed_rows(problem.static, problem.static.weight, post, pre)
        return self._rewired(
            plastic=plastic, static=static, words=f"{n_plastic} plastic and {n_static} fixed synapses deleted"
        )

    def with_synapses(self, pairs: Pairs, *, kind: str = "plastic") -> EngineNetwork:
        """The network with further synapses.

        Parameters
        ----------
        pairs
            (postsynaptic, presynaptic, weight) of each; weights of synapses that are there already are replaced.
        kind
            ``plastic``: they are trained if the network is trained on; or ``fixed``.
        """
        choice("kind", kind, ("plastic", "fixed"))
        self.refuse_feed_forward("more synapses")
        problem, live = self.trained.problem, self.trained.simulation.weight
        rows, weight = (problem.plastic, live) if kind == "plastic" else (problem.static, problem.static.weight)
        new, added = with_pairs(rows, weight, pairs, self.n_neurons)
        words = f"{added} {kind} synapses added, {len(pairs) - added} changed"
        return self._rewired(plastic=new, words=words) if kind == "plastic" else self._rewired(static=new, words=words)

    def refuse_feed_forward(self, what: str) -> None:
        """A `SpecError` if there is a feed-forward population; ``what`` begins it."""
        if self.trained.problem.feed_forward is not None:
            raise SpecError(
                f"{what}: not of a network with a feed-forward population (feed_forward.n_neurons = "
                f"{self.experiment.feed_forward.n_neurons})"
            )

    def _rewired(self, *, plastic: Rows | None = None, static: Rows | None = None, words: str) -> EngineNetwork:
        problem, weight = copy.copy(self.trained.problem), self.trained.simulation.weight
        if plastic is not None:
            weight = plastic.weight
            problem.plastic = plastic._replace(weight=_initial_on(problem.plastic, plastic))
        if static is not None:
            problem.static = static
        changed = static is not None and len(static.weight) != len(self.trained.problem.static.weight)
        other = dataclasses.replace(self, other_fixed=self.other_fixed or changed)
        return other._changed(with_problem(self.trained, problem, weight=weight), words)

    def _with_experiment(self, experiment: Experiment, changed: str) -> EngineNetwork:
        problem = copy.copy(self.trained.problem)
        neurons, n = problem.neurons, problem.n_neurons
        problem.neuron, problem.synapse, problem.protocol = experiment.neuron, experiment.synapse, experiment.protocol
        problem.trial_noise, problem.training = experiment.trial_noise, experiment.training
        problem.measures = experiment.measures
        problem.input = constant_input(experiment, n, neurons)
        problem.noise = frozen_noise(experiment, neurons, problem.duration_ms)
        problem._check()
        trained = dataclasses.replace(with_problem(self.trained, problem), training=experiment.training)
        if _keeps_p(self.experiment, experiment):
            trained = dataclasses.replace(trained, rls=self.trained.rls)
        return dataclasses.replace(self, experiment=experiment)._changed(trained, changed)

    def _changed(self, trained: Trained, words: str, **more: Any) -> EngineNetwork:
        return dataclasses.replace(self, trained=trained, changes=(*self.changes, words), **more)

    # ---- further training --------------------------------------------------------------------------------------------

    def train(
        self,
        loops: int,
        *,
        settings: Mapping[str, Any] | None = None,
        states: str | Path | None = None,
        threads: int = 1,
        progress: bool = False,
        on_loop: OnLoop | None = None,
    ) -> EngineNetwork:
        """See `Network.train`."""
        from hpcspike.live.training import from_states, trained_further

        whole_number("loops", loops, least=1)
        if states is not None:
            return from_states(
                self, loops, states, settings=settings, threads=threads, progress=progress, on_loop=on_loop
            )
        start = self.with_settings(settings) if settings else self
        assert isinstance(start, EngineNetwork)
        return trained_further(start, loops, threads=threads, progress=progress, on_loop=on_loop)

    def learn(
        self,
        targets: Any,
        loops: int,
        *,
        stimulus: Any = None,
        settings: Mapping[str, Any] | None = None,
        test_trials: int = 3,
        threads: int = 1,
        progress: bool = False,
        on_loop: OnLoop | None = None,
    ) -> EngineNetwork:
        """The network after it was trained on a further target set alone; all sets are tested after every loop.

        Parameters
        ----------
        targets
            (N, samples) in the unit of ``target`` in the network's Dataset (rates in Hz), on the same window and grid;
            DataArray or array.
        loops
            Training loops.
        stimulus
            (N,) external input during its cue; default: drawn as those of the other sets are.
        settings
            Settings to change before, see `with_settings`.
        test_trials
            Test trials of every set after every loop, plasticity off.
        threads, progress, on_loop
            As for `train`.

        Returns
        -------
        EngineNetwork
            With one target set more. ``curve_set_correlation`` (loop, target_set) of its `dataset` says what was
            forgotten: loop 0 is the network before, its last column the new set.
        """
        from hpcspike.live.training import taught

        whole_number("loops", loops, least=1)
        start = self.with_settings(settings) if settings else self
        assert isinstance(start, EngineNetwork)
        return taught(
            start, targets, loops, stimulus=stimulus, test_trials=whole_number("test_trials", test_trials, least=1),
            threads=threads, progress=progress, on_loop=on_loop,
        )  # fmt: skip

    # ---- as a Dataset ------------------------------------------------------------------------------------------------

    def dataset(self) -> xr.Dataset:
        """See `Network.dataset`."""
        tau = getattr(self.experiment.targets, "tau_corr_ms", math.nan)
        evaluation = evaluate(self.trained, self.experiment.measures, tau_corr_ms=tau)
        found = describe_trained(self.experiment, self.trained, evaluation, self._identity())
        if self.other_fixed:
            found = found.assign(fixed_variables(self.trained.problem.static))
        if self.set_curve is not None:
            curve = ALTERED["curve_set_correlation"]
            found["curve_set_correlation"] = (curve.dims, self.set_curve, curve.attrs)
            loops = np.arange(len(self.set_curve))
            found = found.assign_coords(tested_loop=("tested_loop", loops, ALTERED["tested_loop"].attrs))
        return found.assign_coords(self.labels)

    def _identity(self) -> dict[str, str]:
        trained = self.trained
        arrays = (trained.simulation.weight, trained.problem.plastic.presynaptic, trained.problem.targets)
        return self._attributes(*arrays)


def _evoke(
    trained: Trained, target_set: int, trial: int, beyond_ms: float, conditions: Conditions, delete_spike: int | None
) -> Response:
    """One test trial; a spike that is to be deleted is looked for in the same trial with it."""

    def run(asked: Conditions) -> Response:
        return trained.evoke(target_set, 1, first_trial=trial, beyond_ms=beyond_ms, conditions=asked)

    if delete_spike is None:
        return run(conditions)
    spikes = run(conditions).spikes[0]
    last = trained.problem.n_samples * trained.problem.steps_per_sample
    inside = np.flatnonzero((spikes.step >= 0) & (spikes.step < last))
    refuse_absent_spike(whole_number("delete_spike", delete_spike), len(inside))
    at = inside[np.argsort(spikes.step[inside], kind="stable")][delete_spike]
    event = (int(spikes.step[at]) + 1, int(spikes.neuron[at]))
    return run(dataclasses.replace(conditions, deleted=[event]))


def _noisy(problem: Problem, noise: float | Mapping[str, float]) -> Problem:
    """The problem with noise of its own in every trial; unchanged if it is 0."""
    if isinstance(noise, Mapping):
        given = dict(noise)
    else:
        given = {"standard_deviation": number("noise", noise, least=0.0), "tau_corr_ms": 0.0}
        if given["standard_deviation"] == 0.0:
            return problem
    try:
        section = TrialNoise.model_validate({**given, "phase": "test_only"})
    except ValueError:
        raise SpecError(
            f"noise = {shown(noise)}: must be a s.d. of at least 0, or keys of trial_noise, as "
            "{'standard_deviation': 0.1, 'tau_corr_ms': 10.0}"
        ) from None
    changed = copy.copy(problem)
    changed.trial_noise = section
    return changed


def _initial_on(before: Rows, after: Rows) -> np.ndarray:
    """Weights before training of the synapses that were there then; of others those that they begin with."""
    n = len(before.start) - 1
    size = np.int64(max(before.presynaptic.max(initial=0), after.presynaptic.max(initial=0))) + 1
    old, new = (
        np.repeat(np.arange(n), np.diff(rows.start)) * size + rows.presynaptic.astype(np.int64)
        for rows in (before, after)
    )
    place = np.searchsorted(old, new)
    known = place < len(old)
    known[known] = old[place[known]] == new[known]
    found = after.weight.astype(np.float64).copy()
    found[known] = before.weight[place[known]]
    return found


def _keeps_p(before: Experiment, after: Experiment) -> bool:
    """Whether matrices P of one training can be gone on with in another: the same filters and the same engine."""
    same = ("neuron", "synapse")
    training = before.training.model_dump(), after.training.model_dump()
    free = ("n_loops", "keep", "patience", "smoothing", "transfer")
    return all(getattr(before, name) == getattr(after, name) for name in same) and all(
        value == training[1][name] for name, value in training[0].items() if name not in free
    )
