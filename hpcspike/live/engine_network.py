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

from hpcspike.checks import array, choice, whole_number
from hpcspike.engine.trained import Trained
from hpcspike.errors import SpecError
from hpcspike.live.asked import Asked
from hpcspike.live.network import Network, changes_in, origin_of
from hpcspike.live.selection import Selection
from hpcspike.live.synapses import Pairs, changed_rows, fixed_variables, matrix_of, rows_of_matrix, with_pairs
from hpcspike.live.testing import run_tests
from hpcspike.measures.altered import with_problem, with_weights
from hpcspike.measures.evaluation import evaluate
from hpcspike.model.build import frozen_noise
from hpcspike.model.connectivity import Rows, constant_input
from hpcspike.runs.restore import trained_in
from hpcspike.runs.run import describe_trained
from hpcspike.spec.experiment import Experiment
from hpcspike.variables import ABOUT_UNITS, ALTERED, TRAINED

if TYPE_CHECKING:
    from hpcspike.engine.training import OnLoop
    from hpcspike.live.probing import Perturbation


@dataclasses.dataclass(frozen=True, repr=False)
class EngineNetwork(Network):
    """See `hpcspike.live.network.Network`; learner rls, all neuron models.

    Attributes
    ----------
    trained
        The arrays: `hpcspike.measures` take it.
    conditions
        Names of the recorded conditions that the first target sets follow; none where they have no names.
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
    conditions: tuple[str, ...] = ()

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
            "fixed_weight" in network, tuple(map(str, network["condition"].values)) if "condition" in network else (),
        )  # fmt: skip

    @property
    def n_neurons(self) -> int:
        """Number of neurons N."""
        return self.trained.problem.n_neurons

    # ---- test trials -------------------------------------------------------------------------------------------------

    def _tested(self, asked: Asked) -> xr.Dataset:
        return run_tests(self, asked)

    def currents(self, neurons: Selection, *, trials: int = 1, first_trial: int = 0, target_set: int = 0) -> xr.Dataset:
        """Currents that some neurons receive in test trials: where they balance, the total is smaller than its parts.

        Parameters
        ----------
        neurons
            Whose; see `hpcspike.live.selection.chosen`.
        trials, first_trial, target_set
            As for `test`; trials round otherwise where excitatory and inhibitory synapses share one decay.

        Returns
        -------
        xarray.Dataset
            ``current`` (part, trial, neuron, time) in units of the neurons' input, about every ms of the window;
            parts: of fixed excitatory synapses with the external input, of fixed inhibitory ones, of plastic ones,
            and the total. `hpcspike.figures.balance_of_currents` draws it.

        Raises
        ------
        SpecError
            If the network has no populations, or does not spike.
        """
        from hpcspike.live.probing import currents_of

        return currents_of(self, neurons, trials=trials, first_trial=first_trial, target_set=target_set)

    def perturbation_map(
        self,
        kind: Perturbation = "add_spike",
        *,
        neurons: Selection = "all",
        at_ms: float = 0.0,
        strength: float = 1.0,
        duration_ms: float = 10.0,
        target_set: int = 0,
        trial: int = 0,
        beyond_ms: float = 0.0,
    ) -> xr.Dataset:
        """What a perturbation of each neuron does: as many trials as neurons, each beside the same unperturbed one.

        Parameters
        ----------
        kind
            ``add_spike`` in the first step after ``at_ms`` in which the neuron has none; ``delete_spike``, its first
            one after ``at_ms``; ``stimulate``, further input ``strength`` from ``at_ms`` on for ``duration_ms``.
        neurons
            Which are perturbed, one at a time.
        at_ms
            Time after the end of the cue.
        strength, duration_ms
            Of a stimulus, in units of the external input.
        target_set, trial, beyond_ms
            Of the trial, as for `test`.

        Returns
        -------
        xarray.Dataset
            ``deviation`` (neuron, time), rms difference of the drive over all neurons, exactly 0 before the
            perturbation; ``recall_change`` (neuron,), by how much the mean correlation with the targets changes;
            ``perturbed_ms`` (neuron,). NaN of a neuron without a spike to delete.
            `hpcspike.figures.perturbation_map` draws it.

        Raises
        ------
        SpecError
            If an argument is none that it can be.
        """
        from hpcspike.live.probing import perturbation_map_of

        return perturbation_map_of(
            self, kind, neurons=neurons, at_ms=at_ms, strength=strength, duration_ms=duration_ms,
            target_set=target_set, trial=trial, beyond_ms=beyond_ms,
        )  # fmt: skip

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
        found = describe_trained(self.experiment, self.trained, evaluation, self.identity())
        if self.other_fixed:
            found = found.assign(fixed_variables(self.trained.problem.static))
        if self.set_curve is not None:
            curve = ALTERED["curve_set_correlation"]
            found["curve_set_correlation"] = (curve.dims, self.set_curve, curve.attrs)
            loops = np.arange(len(self.set_curve))
            found = found.assign_coords(tested_loop=("tested_loop", loops, ALTERED["tested_loop"].attrs))
        return found.assign_coords(self.labels | self.named_conditions(range(self.trained.problem.n_sets)))

    def named_conditions(self, sets: Sequence[int]) -> dict[str, xr.DataArray]:
        """The coordinate ``condition`` of some target sets; none where conditions have no names."""
        if not self.conditions:
            return {}
        about, known = TRAINED["condition"], len(self.conditions)
        names = [self.conditions[one] if one < known else f"added {one - known + 1}" for one in sets]
        return {"condition": xr.DataArray(names, dims=about.dims, attrs=about.attrs)}

    def identity(self) -> dict[str, str]:
        """Attributes of a Dataset about it."""
        trained = self.trained
        arrays = (trained.simulation.weight, trained.problem.plastic.presynaptic, trained.problem.targets)
        return self._attributes(*arrays)


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
    free = ("n_loops", "keep", "patience", "smoothing", "transfer")
    of_training = (name for name in type(after.training).model_fields if name not in free)
    return (before.neuron, before.synapse) == (after.neuron, after.synapse) and all(
        getattr(before.training, name) == getattr(after.training, name) for name in of_training
    )
