"""The balanced network here: the step loop alone, without learning."""

from __future__ import annotations

from turns import asked_for, take_turns  # type: ignore[import-not-found]

import hpcspike
from hpcspike.benchmark.neighbours import Network
from hpcspike.engine.simulation import Simulation
from hpcspike.model.build import build_problem

asked = asked_for()
dtype = asked.pop("dtype")
network = Network(**asked)
problem = build_problem(network.experiment())
simulation = Simulation(problem, dtype=dtype)


def run(duration_ms: float) -> int:
    """Spikes in the next stretch."""
    steps = round(duration_ms / network.step_ms)
    return len(simulation.run_interval(steps, problem.input).step)


run(network.warm_up_ms)
synapses = len(problem.static.presynaptic) + len(problem.plastic.presynaptic)
take_turns(f"{hpcspike.__version__}, {dtype}", synapses, lambda: {"spikes": run(network.duration_ms)})
