"""Numbers that published programs of balanced networks with a trained subset give, and what their parts must do.

Which test holds each of the numbered tests of their specification (sections of it in brackets); NAME is the file
tests/test_NAME.py. What a test leaves out of the specification is said.

0 (0)    balanced_program: test_spikes_are_those_of_the_program
1 (1.4)  balanced_program: test_rates_and_currents_are_the_published_ones, N = 1000 (slow; four seeds, each by itself)
2 (1.4)  the same, N = 5000 (slow)
3 (2)    subset: test_units_take_the_nearest_neuron_in_descending_order
4 (2)    subset: test_the_curve_is_of_the_trained_neurons_alone (40 of 300 neurons)
5 (3)    here: test_fixed_and_plastic_synapses_on_one_pair_both_act
6 (3)    plastic_decays: test_learning_is_least_squares_with_r_of_the_neurons_own_decay
7 (4)    feed_forward: test_spikes_have_the_rate_that_was_asked_for,
         test_stretches_resumes_and_blocks_of_steps_give_the_same_bits, test_ranks_give_the_same_files (slow)
8 (4)    feed_forward: test_a_condition_leaves_the_weights_of_others_alone
9 (5)    subset: test_engines_agree_over_loops; penalties: test_engines_agree
10 (5)   penalties: test_weights_are_those_of_regularised_least_squares
11 (5)   subset: test_a_price_on_row_sums_keeps_them
12 (5)   recorded_conditions: test_a_training_of_conditions_cut_anywhere_goes_on_bit_for_bit; subset:
         test_ranks_give_the_same_files
13 (6)   here: test_the_published_network_has_its_published_correlation
14 (7)   ricciardi: test_inputs_of_rates_are_those_of_the_published_program
15 (7)   ricciardi: test_there_and_back
16 (7)   ricciardi: test_a_simulated_neuron_has_the_rate_that_was_asked_for
17 (7)   ricciardi: test_published_targets_come_out_of_the_published_rates
18 (8)   here: test_noise_of_a_million_steps_is_white_and_normal
19 (8)   mpi_train: test_every_file_is_the_same_on_any_number_of_ranks (2, 3, 4, 7); trial_noise:
         test_any_stretch_in_any_order_of_any_block_is_the_same, test_a_training_cut_anywhere_goes_on_bit_for_bit
20 (8)   trial_noise: test_every_part_of_the_key_matters; test_command: test_stored_trials_are_run_again_bit_for_bit
21 (8)   trial_noise: test_every_neuron_may_have_a_size_of_its_own
22 (9)   glif: test_spikes_of_a_neuron_alone
"""

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
