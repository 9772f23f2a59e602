"""The scaling model: what it must hold, and how `hpcspike plan --ranks` shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcspike.cli import main
from hpcspike.spec import Experiment, load
from hpcspike.spec.connectivity import BalancedConnectivity
from hpcspike.sweep.scaling import loop_time

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "cluster" / "config" / "tsn_benchmark.yaml"


@pytest.fixture(scope="module")
def benchmark() -> Experiment:
    experiment = load(CONFIG, size="n50000")
    assert isinstance(experiment, Experiment)
    return experiment


def test_own_work_is_shared_out_and_the_kept_trains_are_not(benchmark: Experiment) -> None:
    one, many = loop_time(benchmark, 1), loop_time(benchmark, 8)
    for phase in ("neurons", "deliver", "update"):
        assert getattr(many, phase) == pytest.approx(getattr(one, phase) / 8)
    assert many.replicate == one.replicate
    assert one.exchange == 0.0 < many.exchange
    assert many.total == pytest.approx(sum((many.neurons, many.deliver, many.exchange, many.replicate, many.update)))


def test_noise_that_is_new_in_every_trial_is_work_of_the_neurons(benchmark: Experiment) -> None:
    noise = {"trial_noise.standard_deviation": 1.0, "trial_noise.tau_corr_ms": 0.0}
    quiet = loop_time(benchmark, 8)
    philox, splitmix = (
        loop_time(benchmark.changed({**noise, "trial_noise.generator": name}), 8) for name in ("philox", "splitmix")
    )
    assert quiet.neurons < splitmix.neurons < 0.5 * philox.neurons
    in_tests = loop_time(benchmark.changed({**noise, "trial_noise.phase": "test_only"}), 8)
    assert (in_tests, splitmix.update) == (quiet, quiet.update)


def test_exchange_grows_with_ranks_and_with_spikes_beyond_one_message(benchmark: Experiment) -> None:
    assert loop_time(benchmark, 1024).exchange > loop_time(benchmark, 64).exchange
    assert loop_time(benchmark, 2, rate_hz=500.0).exchange > 2 * loop_time(benchmark, 2, rate_hz=5.0).exchange


def test_plan_shows_the_prediction_for_ranks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(CONFIG), "--size", "n50000", "--ranks", "64"]) == 0
    printed = capsys.readouterr().out
    for words in ("64: about", "exchange", "checkpoint"):
        assert words in printed


def test_as_many_spikes_are_delivered_whatever_the_step(benchmark: Experiment) -> None:
    document = benchmark.model_dump(mode="json")
    document["neuron"]["step_ms"] = benchmark.neuron.step_ms / 2
    finer = Experiment.model_validate(document)
    assert loop_time(finer, 2).deliver == pytest.approx(loop_time(benchmark, 2).deliver)


def test_every_spike_goes_through_plastic_and_fixed_synapses(benchmark: Experiment) -> None:
    connectivity, stages = benchmark.connectivity, benchmark.protocol.free_run_ms + benchmark.stimulus.duration_ms
    assert isinstance(connectivity, BalancedConnectivity)
    assert benchmark.targets.duration_ms is not None
    seconds = (stages + benchmark.targets.duration_ms) / 1000.0
    synapses = 2 * (connectivity.plastic_in_degree + connectivity.static_in_degree)  # of each population
    # 50,000 neurons at 8 Hz, 1.1 ns a synapse, four ranks
    assert loop_time(benchmark, 4).deliver == pytest.approx(seconds * 50_000 * 8.0 * synapses * 1.1e-9 / 4)
