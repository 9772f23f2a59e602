"""Which rank holds which neurons."""

from __future__ import annotations

import numpy as np

from hpcspike.checks import instance
from hpcspike.engine.communication import World
from hpcspike.engine.offsets import simulate_targets, spontaneous_rates
from hpcspike.errors import ResourceError, SpecError
from hpcspike.model.build import build_problem as build_arrays
from hpcspike.model.build import recording_of
from hpcspike.model.connectivity import in_degrees
from hpcspike.model.problem import Problem
from hpcspike.model.subset import TrainedSubset, subset_of
from hpcspike.model.targets import n_neurons_of
from hpcspike.partition import balanced_bounds
from hpcspike.spec.experiment import Experiment


def block_bounds(experiment: Experiment, world: World, subset: TrainedSubset | None = None) -> np.ndarray:
    """First neuron of every rank's block, and N; (ranks + 1,).

    Blocks are contiguous and balanced by the sum of squared in-degrees, which is what learning costs. Every rank draws
    the in-degrees of an even share of the neurons, so that none draws all rows.
    """
    if subset is not None:
        assert experiment.network.n_neurons is not None
        trained = np.isin(np.arange(experiment.network.n_neurons), subset.neuron)
        # those that are not trained take a share of the steps
        return balanced_bounds(trained + 0.05, world.size)
    mine = world.agree(lambda: _share_of_in_degrees(experiment, world))
    return balanced_bounds(world.concatenate(mine).astype(np.float64) ** 2, world.size)


def _share_of_in_degrees(experiment: Experiment, world: World) -> np.ndarray:
    size = n_neurons_of(experiment, recording_of(experiment))
    refuse_idle_ranks(size, world.size)
    even = np.linspace(0, size, world.size + 1).astype(int)
    share = range(even[world.rank], even[world.rank + 1])
    degrees = in_degrees(experiment.connectivity, size, share, seed=experiment.seed, replicate=experiment.replicate)
    return degrees + experiment.feed_forward.n_inputs(experiment.targets.n_sets) * (degrees > 0)


def build_block(experiment: Experiment, world: World) -> Problem:
    """The arrays of this rank's neurons; what fails on one rank is raised on all."""
    block, subset = None, find_subset(experiment, world)
    if world.size > 1:
        bounds = block_bounds(experiment, world, subset)
        block = int(bounds[world.rank]), int(bounds[world.rank + 1])
    problem = world.agree(lambda: build_arrays(experiment, block=block, subset=subset))
    simulate_targets(problem, experiment, world)
    return problem


def find_subset(experiment: Experiment, world: World) -> TrainedSubset | None:
    """Who is trained, where that is a subset: the same on all ranks, which must ask together."""
    chosen = experiment.training.subset
    if chosen is None:
        return None
    recording = world.agree(lambda: recording_of(experiment))
    rates = np.empty(0)
    if chosen.match == "rate":
        size = n_neurons_of(experiment, recording)
        refuse_idle_ranks(size, world.size)
        even = np.linspace(0, size, world.size + 1).astype(int)
        background = world.agree(
            lambda: build_arrays(experiment, block=(int(even[world.rank]), int(even[world.rank + 1])))
        )
        dtype = np.dtype(experiment.training.dtype)
        rates = spontaneous_rates(background, chosen.spontaneous_run_ms, dtype=dtype, world=world)
        rates = rates[: background.first_inhibitory]
    return world.agree(lambda: subset_of(experiment, recording, rates))


def build_problem(experiment: Experiment) -> Problem:
    """The arrays of all neurons of an experiment: what `hpcspike.train` takes.

    It carries the experiment's ``training`` section, by which `hpcspike.train` trains it unless told otherwise.

    Raises
    ------
    TypeError
        If it is given something else than an experiment.
    SpecError
        If the experiment names another learner than rls.
    """
    instance("experiment", experiment, Experiment, made_by="give what hpcspike.load(PATH) returns of one experiment")
    if experiment.learner.kind != "rls":
        raise SpecError(
            f"learner.kind = {experiment.learner.kind}: hpcspike.train trains by rls only; for other learners see "
            "hpcspike.learners"
        )
    return build_block(experiment, World())


def refuse_idle_ranks(n_neurons: int, ranks: int) -> None:
    """A ResourceError if there are more MPI ranks than neurons."""
    if n_neurons < ranks:
        raise ResourceError(
            f"network.n_neurons = {n_neurons} is less than the {ranks} MPI ranks; start at most {n_neurons}"
        )
