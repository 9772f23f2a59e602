"""A network of tanh rate units (paper 1.8), trained as the spiking ones are."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hpcspike.engine.communication import World
from hpcspike.engine.rate_kernels import follow_rates
from hpcspike.engine.simulation import Simulation, Spikes, decay_per_step
from hpcspike.model.problem import Problem


def make_simulation(
    problem: Problem,
    *,
    dtype: np.dtype | type = np.float64,
    world: World | None = None,
    like: Simulation | None = None,
    threads: int = 1,
) -> Simulation:
    """The simulation of a problem's kind of neurons; arguments as for `Simulation`."""
    kind = Simulation if problem.neuron.facts.spikes else RateSimulation
    return kind(problem, dtype=dtype, world=world, like=like, threads=threads)


class RateSimulation(Simulation):
    """tau dx/dt = -x + W r + I, r = tanh(x), in the form that recursive least squares trains.

    While W is constant, x = W z + y with tau dz/dt = -z + r and tau dy/dt = -y + W_fixed r + I: the counterpart of
    paper Eqs 7 and 8, with tau in place of tau_s and r in place of spikes. So z is `filtered`, W z is `plastic_drive`,
    y is `static_drive`, which at the start holds x(0), and x is `drive`. A step takes all filters over dt exactly while
    r is held (exponential Euler). ``state`` (1, n) is r of the last step. z is up to date after every step, and every
    input changes in every step.
    """

    REBUILT: ClassVar[frozenset[str]] = Simulation.REBUILT | {"world", "no_noise"}
    graded = True

    def __init__(
        self,
        problem: Problem,
        *,
        dtype: np.dtype | type = np.float64,
        world: World | None = None,
        like: Simulation | None = None,
        threads: int = 1,
    ) -> None:
        super().__init__(problem, dtype=dtype, world=world, like=like, threads=threads)
        self.decay = decay_per_step(problem.neuron.step_ms, problem.neuron.tau_ms)
        self._world = world or World()
        self._no_noise = np.zeros(problem.n_rows)

    def set_state(self, phase: np.ndarray, filtered: np.ndarray) -> None:
        """Start from z = filtered (N,) and x = W z + tanh^-1(r), with r of phases (n,): see `initial_state`."""
        super().set_state(phase, filtered)
        self.static_drive += np.arctanh(self.state[0])

    def _end_interval(self, n_steps: int) -> None:
        self.interval_decay = self.decay**n_steps

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
        plastic, static = self.problem.plastic, self.problem.static
        for t in range(length):
            moving = self.plastic_drive if self.held is None else self.held
            self.held = None
            forcing = noise[t] if len(noise) else self._no_noise
            np.tanh(clamp[t] if len(clamp) else moving + self.static_drive, out=self.state[0])
            follow_rates(
                self.decay, self._world.concatenate(self.state[0]), external, forcing,
                plastic.start, plastic.presynaptic, self.weight, static.start, static.presynaptic, static.weight,
                self.plastic_drive, self.static_drive, self.filtered,
            )  # fmt: skip
            if every and (t + 1) % every == 0:
                np.add(self.plastic_drive, self.static_drive, out=record[(t + 1) // every - 1])
        return Spikes(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int32))
