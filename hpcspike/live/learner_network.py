"""A network that another learner than rls trained, live: its test trials, and passes that it had not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hpcspike.checks import number, shown, whole_number
from hpcspike.engine.communication import World
from hpcspike.engine.output import DatasetOutput
from hpcspike.errors import DataError, SpecError
from hpcspike.learners.assignment import carrier_of, learner_of
from hpcspike.learners.interface import Learner, Rollout
from hpcspike.learners.passes import Budget
from hpcspike.learners.tasks import score
from hpcspike.learners.trials import Stimulus, Trial, carrier_dimension
from hpcspike.live.asked import Asked
from hpcspike.live.network import Network, changes_in, origin_of
from hpcspike.runs.restore import learner_in
from hpcspike.runs.rollouts import write_tests
from hpcspike.runs.run import describe
from hpcspike.runs.scores import evaluate_learner
from hpcspike.spec.experiment import Experiment
from hpcspike.variables import POINT_RESULTS, TRAINED

if TYPE_CHECKING:
    from hpcspike.engine.training import OnLoop


@dataclasses.dataclass(frozen=True, repr=False)
class LearnerNetwork(Network):
    """See `hpcspike.live.network.Network`.

    Attributes
    ----------
    learner
        The learner after its last pass, with the state of its rule: training goes on as if it had not ended.
    """

    experiment: Experiment
    learner: Learner
    origin: dict[str, str]
    changes: tuple[str, ...] = ()
    labels: dict[str, xr.DataArray] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, network: xr.Dataset, experiment: Experiment) -> LearnerNetwork:
        """The network that a Dataset holds."""
        return cls(experiment, learner_in(network, experiment), origin_of(network), changes_in(network))

    @property
    def n_neurons(self) -> int:
        """Number of neurons N."""
        assert self.experiment.network.n_neurons is not None
        return self.experiment.network.n_neurons

    def _tested(self, asked: Asked) -> xr.Dataset:
        self._refuse(asked)
        if asked.target_set is not None:
            whole_number("target_set", asked.target_set, most=0, of="number of a target set and its cue")
        strength = number("noise", asked.noise, least=0.0)
        silent = None
        if asked.silence is not None:
            silent = np.zeros(self.n_neurons, dtype=bool)
            silent[self.chosen(asked.silence, name="silence")] = True
        trials = [self.learner.task.sample("test", trial) for trial in asked.numbers]
        if asked.stimulus is not None:
            trials = [replace(one, stimulus=self._own(one.stimulus, asked.stimulus)) for one in trials]
        options: dict[str, Any] = {"kill": silent, "noise": strength}
        if asked.delete_spike is not None:
            options["delete_spike"] = whole_number("delete_spike", asked.delete_spike)
        rollouts = [self.learner.rollout(one.stimulus, **options) for one in trials]
        output = DatasetOutput(World())
        write_tests(
            output, self.learner.task, trials, rollouts, n_neurons=self.n_neurons, first_trial=asked.first_trial
        )
        output.finish(
            self._identity() | asked.attributes(), ("neuron", "output", "time", "trial", "target_set")
        )  # fmt: skip
        assert output.dataset is not None
        return self._judged(output.dataset, trials, rollouts, silent)

    def _refuse(self, asked: Asked) -> None:
        """A `SpecError` for conditions that only networks of the engine know."""
        only = {
            "clamp": asked.clamp, "add_spike": asked.add_spike, "seed": asked.seed,
            "beyond_ms": asked.beyond_ms or None,
        }  # fmt: skip
        wrong = [name for name, value in only.items() if value is not None]
        if wrong:
            raise SpecError(
                f"{', '.join(wrong)}: a network that learner {self.experiment.learner.kind} trained cannot be tested "
                "so; it can with trials, first_trial, stimulus, silence, noise and delete_spike"
            )

    def _own(self, given: Stimulus, stimulus: Any) -> Stimulus:
        """The user's input in place of the task's."""
        if getattr(self.learner, "embedding", None) is not None:
            raise SpecError(
                f"stimulus: learner {self.experiment.learner.kind} recalls its target from a cue of its own, and has "
                "no other input"
            )
        cue, samples = len(given.cue), len(given.cue) + len(given.input)
        shape = (samples, given.input.shape[1])
        values = stimulus.values if isinstance(stimulus, xr.DataArray) else stimulus
        try:
            whole = np.asarray(values, dtype=given.input.dtype)
        except (TypeError, ValueError):
            raise DataError(f"stimulus = {shown(stimulus)}: must be numbers {shape}") from None
        if whole.shape != shape or (whole.dtype.kind == "f" and not np.isfinite(whole).all()):
            raise DataError(
                f"stimulus has shape {whole.shape}: must be (samples of cue and window, inputs) = {shape}, finite"
            )
        return replace(given, cue=whole[:cue], input=whole[cue:])

    def _judged(
        self, found: xr.Dataset, asked: list[Trial], rollouts: list[Rollout], silent: np.ndarray | None
    ) -> xr.Dataset:
        from hpcspike.correlation import pearson

        task = self.learner.task
        along = carrier_dimension(task, self.n_neurons)
        wanted = np.stack([one.target.T for one in asked])
        responses = np.stack([one.prediction.T for one in rollouts])
        correlation = np.full((1, task.n_outputs), math.nan)
        if task.followed:
            correlation[0] = pearson(responses, wanted).mean(axis=0)
        rates = np.mean([one.rates_hz(task.duration_ms) for one in rollouts], axis=0)
        judged = np.ones(task.n_outputs, dtype=bool)
        if along == "neuron" and silent is not None:
            judged &= ~silent
        scores = [score(task, one, rollout.prediction) for one, rollout in zip(asked, rollouts, strict=True)]
        over = {"over": f"{int(judged.sum())} of {task.n_outputs} components, single test trials, plasticity off"}
        words = {"units": "1", "long_name": f"{task.score} of each test trial"}
        found = found.assign(
            neuron_correlation=(("target_set", along), correlation, TRAINED["neuron_correlation"].attrs),
            neuron_rate=(("target_set", "neuron"), rates[None], TRAINED["neuron_rate"].attrs),
            correlation=((), float(correlation[0, judged].mean()), POINT_RESULTS["correlation"].attrs | over),
            population_rate=((), float(rates.mean()), POINT_RESULTS["population_rate"].attrs),
            score=("trial", np.array(scores), words),
        )
        if silent is not None:
            found = found.assign_coords(silenced=("neuron", silent, {"units": "1", "long_name": "neuron is silenced"}))
        return found

    def train(
        self,
        loops: int,
        *,
        settings: Mapping[str, Any] | None = None,
        states: str | Path | None = None,
        threads: int = 1,
        progress: bool = False,
        on_loop: OnLoop | None = None,
    ) -> LearnerNetwork:
        """See `Network.train`; the state of the rule is in the network's file, so that none needs to be given."""
        whole_number("loops", loops, least=1)
        if states is not None:
            raise SpecError(
                f"states: the file of a network that learner {self.experiment.learner.kind} trained holds the state of "
                "its rule; leave states out"
            )
        start = self.with_settings(settings) if settings else self
        assert isinstance(start, LearnerNetwork)
        total = len(self.learner.history) + loops
        document = start.experiment.model_dump(mode="json")
        document["learner"]["passes"] = total
        experiment = Experiment.model_validate(document)
        learner = _copied(start.learner, experiment)

        def tell(number: int, row: dict[str, float]) -> None:
            if on_loop is not None:
                on_loop(number, {name: float(column[-1]) for name, column in learner.curve().items()})

        learner.fit(Budget(passes=total), on_pass=tell)
        words = f"trained for {loops} more passes, from the state of its rule"
        return replace(start, experiment=experiment, learner=learner, changes=(*start.changes, words))

    def _with_experiment(self, experiment: Experiment, changed: str) -> LearnerNetwork:
        learner = _copied(self.learner, experiment)
        return replace(self, experiment=experiment, learner=learner, changes=(*self.changes, changed))

    def dataset(self) -> xr.Dataset:
        """See `Network.dataset`."""
        found = describe(self.experiment, self.learner, evaluate_learner(self.learner, self.experiment))
        return found.assign_attrs(self._identity())

    def _identity(self) -> dict[str, str]:
        state = self.learner.state()
        arrays = [np.asarray(state[name]) for name in sorted(state)]
        return {"trained_variable": carrier_of(self.experiment), **self._attributes(*arrays)}


def _copied(learner: Learner, experiment: Experiment) -> Learner:
    """A learner of an experiment in the state of another one."""
    made = learner_of(experiment)
    made.restore({name: np.array(values) for name, values in learner.state().items()})
    for name, column in learner.history.columns.items():
        made.history.columns[name] = list(column)
    return made
