"""Numbers that published programs of balanced networks with a trained subset give, and what their parts must do."""

from __future__ import annotations

import numpy as np
import pytest

from hpcspike.correlation import pearson
from hpcspike.engine.simulation import Simulation
from hpcspike.model.connectivity import rows_from_lists
from hpcspike.model.problem import Problem
from hpcspike.model.trial_noise import BLOCK_STEPS, NoisePath
from hpcspike.spec.experiment import LifNeuron, Protocol, Synapse, Training, TrialNoise
from tests.conftest import ROOT

SHARED = ROOT.parent / "shared" / "data"
LIF = LifNeuron(model="lif", step_ms=0.1)


def test_fixed_and_plastic_synapses_on_one_pair_both_act() -> None:
    """Neurons with 5, 0 and 2 plastic inputs; neuron 3 reaches neuron 0 through both kinds."""
    empty = (np.zeros(0, np.int32), np.zeros(0))
    plastic_from = [np.array([1, 2, 3, 4, 5], np.int32), empty[0], np.array([0, 3], np.int32), *[empty[0]] * 3]
    plastic_weight = [np.array([0.1, 0.2, 0.7, -0.3, 0.4]), empty[1], np.array([0.5, -0.6]), *[empty[1]] * 3]
    fixed_from = [np.array([3], np.int32), np.array([3], np.int32), *[empty[0]] * 4]
    fixed_weight = [np.array([-1.3]), np.array([0.9]), *[empty[1]] * 4]
    targets = np.full((1, 6, 5), np.nan)
    targets[:, [0, 2]] = 0.0
    made = Problem.from_rows(
        n_neurons=6, first=0, plastic=rows_from_lists(plastic_from, plastic_weight),
        static=rows_from_lists(fixed_from, fixed_weight), targets=targets,
        stimuli=np.zeros((1, 6)), phase=np.zeros(6), filtered=np.zeros(6), input=np.zeros(6), neuron=LIF,
        synapse=Synapse(tau_syn_ms=150.0, static_tau_syn_ms=3.0), protocol=Protocol(free_run_ms=0.0), stimulus_ms=0.0,
        grid_ms=1.0, seed=1, replicate=0, training=Training(),
    )  # fmt: skip
    live = Simulation(made)
    spikes = live.run_interval(1, np.where(np.arange(6) == 3, 1000.0, 0.0))
    assert spikes.neuron.tolist() == [3]
    both = -1.3 * (10.0 / 3.0) + 0.7 * (10.0 / 150.0)
    np.testing.assert_allclose(live.drive, [both, 0.9 * (10.0 / 3.0), -0.6 * (10.0 / 150.0), 0, 0, 0], rtol=1e-15)


def test_noise_of_a_million_steps_is_white_and_normal() -> None:
    white = TrialNoise(standard_deviation=1.0, tau_corr_ms=0.0)
    neurons, steps = range(100), 20 * BLOCK_STEPS
    first, other = (NoisePath(white, LIF, neurons, (1, 0), "training_noise", trial).rows(0, steps) for trial in (7, 8))
    n = first.size
    assert n == 1_000_000
    for power, moment, variance in ((1, 0.0, 1.0), (2, 1.0, 2.0), (4, 3.0, 96.0)):
        assert abs((first**power).mean() - moment) < 4.0 * np.sqrt(variance / n)
    for a, b in ((first[:, 1:], first[:, :-1]), (first[1:], first[:-1]), (first, other)):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.004


def test_the_published_network_has_its_published_correlation() -> None:
    """Total input after 200 loops of the neurons matched to units, against the targets of condition R."""
    folder = SHARED / "tsn_tutorial"
    if not folder.exists():
        pytest.skip("the published network is not here")
    import h5py
    import xarray as xr

    def read(name: str, dataset: str) -> np.ndarray:
        with h5py.File(folder / f"{name}.jld") as file:
            return np.asarray(file[dataset])

    # HDF5 has Julia's dimensions the other way round: (neuron, time)
    total, matched, order = read("xtotal_200", "xtotal"), read("matchedCells", "matchedCells"), read("almOrd", "almOrd")
    with xr.open_dataset(SHARED / "alm_two_conditions.nc") as data:
        target = data["total_input"].sel(condition="lick_right").transpose("neuron", "time").values[:, :100]
    one = pearson(total[matched.astype(int) - 1], target[order.astype(int) - 1])
    assert one.mean() == pytest.approx(0.194427, abs=1e-6)
    assert np.median(one) == pytest.approx(0.19754, abs=1e-5)
