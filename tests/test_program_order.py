"""One loop of training from explicit arrays against the plain-numpy transcription of the program."""

from __future__ import annotations

import numpy as np
import pytest

import hpcspike
from hpcspike.engine.simulation import Simulation
from hpcspike.rls import make_rls
from hpcspike.spec.experiment import Protocol, Synapse, Training
from tests.program_order import Program

N = 80


def _arrays(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    mask = rng.random((N, N)) < 0.3
    np.fill_diagonal(mask, False)
    weights = np.where(mask, 2.0 / np.sqrt(0.3 * N) * rng.standard_normal((N, N)), 0.0)
    time = np.arange(1, 401)
    targets = np.sin(2 * np.pi * (time / rng.uniform(150, 500, (N, 1)) + rng.random((N, 1))))
    return {
        "weights": weights,
        "plastic": mask,
        "targets": targets,
        "stimuli": rng.uniform(-1, 1, N),
        "phase": rng.uniform(0, 2 * np.pi, N),
        "filtered": rng.uniform(0, 0.2, N),
    }


def _run_program(arrays: dict[str, np.ndarray], steps_per_update: int) -> tuple[Program, list[tuple[int, int]]]:
    program = Program(
        arrays["weights"], arrays["plastic"], arrays["phase"], arrays["filtered"],
        step=0.1, tau_over_tau_syn=0.5, ridge=1.0,
    )  # fmt: skip
    spikes = []
    nothing = np.zeros(N)
    free, cue, window = 300, 100, arrays["targets"].shape[1]
    for t in range(free + cue + window):
        external = arrays["stimuli"] if free <= t < free + cue else nothing
        spikes += [(t, int(i)) for i in program.advance(external)]
        n = t - free - cue + 1
        if n > 0 and n % steps_per_update == 0:
            program.learn(arrays["targets"][:, n - 1])
    return program, spikes


@pytest.mark.parametrize("algorithm", ["textbook", "blocked"])
@pytest.mark.parametrize("interval_ms", [2.0, 10.0])
def test_one_loop_agrees_with_the_transcribed_program(algorithm: str, interval_ms: float) -> None:
    arrays = _arrays(3)
    program, expected_spikes = _run_program(arrays, int(interval_ms))
    problem = hpcspike.Problem(
        **arrays, synapse=Synapse(tau_syn_ms=20.0), protocol=Protocol(free_run_ms=300.0), stimulus_ms=100.0
    )
    training = Training(n_loops=1, update_interval_ms=interval_ms, algorithm=algorithm)
    simulation = Simulation(problem)
    rls = make_rls(problem, training, mean_in_degree=24)
    spikes = []

    def run(begin: int, steps: int, external: np.ndarray, **options: bool) -> None:
        found = simulation.run_interval(steps, external, **options)
        spikes.extend(zip((found.step + begin).tolist(), found.neuron.tolist(), strict=True))

    run(0, 300, np.zeros(N))
    run(300, 100, arrays["stimuli"])
    for begin in range(400, 800, int(interval_ms)):
        run(begin, int(interval_ms), np.zeros(N), collect=rls.needs_events)
        target = arrays["targets"][:, begin - 400 + int(interval_ms) - 1]
        simulation.hold_drive()
        rls.update(simulation, target - simulation.drive, np.ones(N))
    assert len(expected_spikes) > 100
    assert spikes == expected_spikes
    trained = hpcspike.train(problem, training)
    weights = trained.weights.toarray()
    assert np.abs(weights - program.weights).max() < 1e-10 * np.abs(program.weights).max()
    np.testing.assert_allclose(trained.state["filtered"], program.filtered, rtol=1e-10)
    np.testing.assert_allclose(
        np.exp(1j * trained.state["phase"]), np.exp(1j * program.phase), atol=1e-9
    )  # theta is wrapped here and never there
    for row in (0, N - 1):
        np.testing.assert_allclose(trained.rls.covariance(row), program.covariances[row], rtol=1e-8, atol=1e-12)
