"""A network in time: drives and filtered trains against their definitions, and intervals that leave no trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcspike.engine import simulation as simulation_module
from hpcspike.engine.delivery import delivery_layout
from hpcspike.engine.simulation import Simulation, Spikes, decay_per_step
from hpcspike.engine.training_kernels import filter_spikes
from hpcspike.model.connectivity import rows_from_dense
from hpcspike.model.problem import Problem
from hpcspike.spec.experiment import Synapse, ThetaNeuron
from tests.small_networks import TAU_MS, arrays, problem

N = 30
ACTIVE = np.full(N, 0.6)
"""An external input that keeps everybody firing."""


def raster(spikes: Spikes, n_steps: int) -> np.ndarray:
    """Spikes as a boolean array (steps, neurons)."""
    result = np.zeros((n_steps, N), dtype=bool)
    result[spikes.step, spikes.neuron] = True
    return result


def running(fixed: float = 0.5, *, step_ms: float = 1.0, tau_syn_ms: float = 20.0) -> tuple[Simulation, np.ndarray]:
    """A simulation, and its dense weight matrix."""
    given_arrays = arrays(N, fixed=fixed)
    made = problem(N, **given_arrays, neuron=ThetaNeuron(step_ms=step_ms), tau_syn_ms=tau_syn_ms)
    return Simulation(made), given_arrays["weights"]


@pytest.mark.parametrize("fixed", [0.0, 0.5, 1.0])
def test_drive_is_weights_times_filtered_trains(fixed: float) -> None:
    simulation, weights = running(fixed)
    np.testing.assert_allclose(simulation.drive, weights @ simulation.filtered, atol=1e-14)
    n_spikes = 0
    for _ in range(5):
        n_spikes += len(simulation.run_interval(137, ACTIVE).step)
        np.testing.assert_allclose(simulation.drive, weights @ simulation.filtered, atol=1e-12)
    assert n_spikes > 300


@pytest.mark.parametrize(("step_ms", "tau_syn_ms"), [(1.0, 20.0), (0.5, 3.0), (1.0, 1.0)])
def test_filtered_trains_are_sums_of_exponentials(step_ms: float, tau_syn_ms: float) -> None:
    simulation, _ = running(step_ms=step_ms, tau_syn_ms=tau_syn_ms)
    start = simulation.filtered.copy()
    n_steps = 200
    spiked = raster(simulation.run_interval(n_steps, ACTIVE), n_steps)
    assert spiked.sum() > 50
    h = step_ms / tau_syn_ms
    decay = 1 - h + h**2 / 2 - h**3 / 6 + h**4 / 24  # a step of Runge-Kutta 4
    age = np.arange(n_steps - 1, -1, -1)  # a new spike has not decayed at the end of its step
    expected = decay**n_steps * start + TAU_MS / tau_syn_ms * (decay**age) @ spiked
    np.testing.assert_allclose(simulation.filtered, expected, rtol=1e-12)


def test_decay_is_exponential_to_the_order_of_the_scheme() -> None:
    for h in (0.01, 0.05, 0.2):
        assert decay_per_step(h, 1.0) == pytest.approx(np.exp(-h), abs=h**5 / 100)
    assert decay_per_step(1.0, 1.0) == pytest.approx(0.375)


def test_a_record_is_the_drive_at_the_end_of_every_few_steps() -> None:
    simulation, _ = running()
    record = np.full((20, N), np.nan)
    simulation.run_interval(100, ACTIVE, record=record)
    stepwise, _ = running()
    for row in record:
        stepwise.run_interval(5, ACTIVE)
        np.testing.assert_array_equal(stepwise.drive, row)


def test_intervals_do_not_change_spikes_or_drives() -> None:
    whole, _ = running()
    cut, _ = running()
    expected = raster(whole.run_interval(90, ACTIVE), 90)
    lengths = (1, 7, 32, 50)
    parts = [raster(cut.run_interval(length, ACTIVE), length) for length in lengths]
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    np.testing.assert_array_equal(cut.drive, whole.drive)
    np.testing.assert_array_equal(cut.state, whole.state)
    np.testing.assert_allclose(cut.filtered, whole.filtered, rtol=1e-13)


@pytest.mark.parametrize("every", [0, 1, 4])
@pytest.mark.parametrize("clamped", [False, True])
@pytest.mark.parametrize("buffer_steps", [1, 3, 17])
def test_a_short_spike_buffer_does_not_change_a_bit(
    every: int, clamped: bool, buffer_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_steps = 120

    def run() -> dict[str, Any]:
        simulation, _ = running()
        options: dict[str, Any] = {"collect": True}
        if every:
            options["record"] = np.full((n_steps // every, N), np.nan)
        if clamped:
            options["clamp"] = np.random.default_rng(0).uniform(-1, 2, (n_steps, N))
        spikes = simulation.run_interval(n_steps, ACTIVE, **options)
        events = [
            simulation.events[begin : begin + count]
            for begin, count in zip(simulation.problem.plastic.start, simulation.n_events, strict=False)
        ]
        return {
            "step": spikes.step,
            "neuron": spikes.neuron,
            "drive": simulation.drive,
            "filtered": simulation.filtered,
            "state": simulation.state,
            "trace": simulation.trace,
            "events": np.concatenate(events),
            "record": options.get("record", np.zeros(0)),
        }

    expected = run()
    monkeypatch.setattr(simulation_module, "_BUFFER_SPIKES", buffer_steps * N)
    found = run()
    assert len(expected["step"]) > 50
    assert not np.isnan(expected["record"]).any()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
        assert found[name].dtype == values.dtype


def test_spikes_come_in_order_of_time_and_neuron() -> None:
    simulation, _ = running()
    spikes = simulation.run_interval(200, ACTIVE)
    order = spikes.step.astype(np.int64) * N + spikes.neuron
    assert (np.diff(order) > 0).all()
    assert spikes.step.dtype == spikes.neuron.dtype == np.int32


@pytest.mark.parametrize("collect", [False, True])
def test_an_interval_may_be_run_in_parts(collect: bool) -> None:
    whole, cut = running()[0], running()[0]
    for _ in range(2):  # the second interval must forget the first
        expected = raster(whole.run_interval(60, ACTIVE, collect=collect), 60)
        found = np.zeros_like(expected)
        for begin, stop in ((0, 1), (1, 40), (40, 60)):
            spikes = cut.run_interval(60, ACTIVE, begin=begin, stop=stop, collect=collect)
            assert ((spikes.step >= begin) & (spikes.step < stop)).all()
            found |= raster(spikes, 60)
        np.testing.assert_array_equal(found, expected)
        for name in ("state", "drive", "filtered", "trace", "n_events", "interval_decay"):
            np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name), err_msg=name)
        assert listed(cut) == listed(whole)


def test_fixed_synapses_may_decay_on_their_own() -> None:
    given_arrays = arrays(N, fixed=0.5)
    given_arrays["filtered"] = np.zeros(N)
    made = problem(N, **given_arrays, synapse=Synapse(tau_syn_ms=20.0, static_tau_syn_ms=4.0))
    simulation = Simulation(made)
    spiked = raster(simulation.run_interval(100, ACTIVE), 100)
    age = np.arange(99, -1, -1)
    drives = []
    for tau, chosen in ((20.0, given_arrays["plastic"]), (4.0, ~given_arrays["plastic"])):
        filtered = TAU_MS / tau * decay_per_step(1.0, tau) ** age @ spiked
        drives.append(np.where(chosen, given_arrays["weights"], 0.0) @ filtered)
    np.testing.assert_allclose(simulation.plastic_drive, drives[0], atol=1e-12)
    np.testing.assert_allclose(simulation.static_drive, drives[1], atol=1e-12)
    np.testing.assert_allclose(simulation.drive, drives[0] + drives[1], atol=1e-12)


def test_changed_weights_may_act_on_later_spikes_only() -> None:
    # paper Eq 6 beside Eq 8: u remembers what spikes brought with the weights of their time, w.r does not
    given_arrays = arrays(N)
    made = problem(N, **given_arrays, synapse=Synapse(tau_syn_ms=20.0, weight_acts="at_spikes"))
    simulation = Simulation(made)
    simulation.run_interval(50, ACTIVE)
    np.testing.assert_allclose(simulation.readout, simulation.drive, atol=1e-13)
    old = simulation.drive.copy()
    simulation.weight *= 2.0
    simulation.readout *= 2.0  # what a weight update does
    spiked = raster(simulation.run_interval(10, ACTIVE), 10)
    fresh = 0.5 * simulation.decay ** np.arange(9, -1, -1) @ spiked
    expected = simulation.decay**10 * old + 2.0 * given_arrays["weights"] @ fresh
    np.testing.assert_allclose(simulation.drive, expected, atol=1e-12)
    np.testing.assert_allclose(simulation.readout, 2.0 * given_arrays["weights"] @ simulation.filtered, atol=1e-12)


def test_clamped_neurons_see_the_clamp_and_drive_is_still_computed() -> None:
    clamp = np.random.default_rng(1).uniform(-1, 2, (80, N))
    simulation, weights = running()
    spiked = raster(simulation.run_interval(80, np.zeros(N), clamp=clamp), 80)
    np.testing.assert_allclose(simulation.drive, weights @ simulation.filtered, atol=1e-13)
    lone = Simulation(problem(N, **{**arrays(N), "weights": np.zeros((N, N))}))
    stepwise = [raster(lone.run_interval(1, row), 1) for row in clamp]
    np.testing.assert_array_equal(np.concatenate(stepwise), spiked)


def test_a_value_of_the_clamp_holds_until_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).uniform(-1, 2, (N, 4)).T
    monkeypatch.setattr("hpcspike.engine.simulation._BUFFER_SPIKES", 7 * N)  # several pieces, none of whole values
    drives, rasters = [], []
    for clamp in (values, np.repeat(values, 20, axis=0)):
        simulation, _ = running()
        rasters.append(raster(simulation.run_interval(80, np.zeros(N), clamp=clamp), 80))
        drives.append(simulation.drive.copy())
    np.testing.assert_array_equal(*rasters)
    np.testing.assert_array_equal(*drives)


def test_held_drive_moves_the_neurons_for_one_more_step() -> None:
    old, changed = running()[0], running()[0]
    for simulation in (old, changed):
        simulation.run_interval(50, ACTIVE)
    before = old.drive.copy()
    changed.hold_drive()
    changed.plastic_drive += 0.3  # what a weight update does
    old.run_interval(1, ACTIVE)
    changed.run_interval(1, ACTIVE)
    np.testing.assert_array_equal(changed.state, old.state)
    np.testing.assert_allclose(changed.drive - old.drive, 0.3 * changed.decay, atol=1e-13)
    assert (before != old.drive).all()
    old.run_interval(1, ACTIVE)
    changed.run_interval(1, ACTIVE)
    assert (changed.state != old.state).all()


def listed(simulation: Simulation) -> list[list[int]]:
    """Presynaptic neurons that each row was told to have spiked."""
    rows = simulation.problem.plastic
    return [
        rows.presynaptic[begin + simulation.events[begin : begin + count]].tolist()
        for begin, count in zip(rows.start, simulation.n_events, strict=False)
    ]


def test_events_name_every_plastic_input_that_spiked_once() -> None:
    simulation, _ = running()
    rows = simulation.problem.plastic
    for n_steps in (2, 10, 100):
        spikes = simulation.run_interval(n_steps, ACTIVE, collect=True)
        who = set(spikes.neuron.tolist())
        for neuron, found in enumerate(listed(simulation)):
            inputs = set(rows.presynaptic[rows.start[neuron] : rows.start[neuron + 1]].tolist())
            assert len(found) == len(set(found))
            assert set(found) == inputs & who
    assert len(spikes.neuron) > len(who)  # somebody spiked twice
    simulation.run_interval(100, ACTIVE)
    assert not simulation.n_events.any()


def test_a_spike_that_has_decayed_to_nothing_is_still_not_listed_twice() -> None:
    # 0.375^1500 is zero in float64: the trace must not forget that the neuron has spiked, or rows overflow
    simulation, weights = running(tau_syn_ms=1.0)
    spikes = simulation.run_interval(1500, ACTIVE, collect=True)
    early, late = (set(spikes.neuron[part]) for part in (spikes.step < 500, spikes.step >= 1000))
    assert len(early & late) > 20
    assert (simulation.n_events <= simulation.problem.in_degree).all()
    for found in listed(simulation):
        assert len(found) == len(set(found))
    np.testing.assert_allclose(simulation.drive, weights @ simulation.filtered, atol=1e-12)


def test_phases_start_in_one_turn_and_state_is_a_copy() -> None:
    simulation, weights = running()
    phase, filtered = np.linspace(-20, 20, N), np.random.default_rng(0).random(N)
    given_phase, given_filtered = phase.copy(), filtered.copy()
    simulation.set_state(phase, filtered)
    assert ((simulation.state > -np.pi) & (simulation.state <= np.pi)).all()
    np.testing.assert_allclose(np.exp(1j * simulation.state[0]), np.exp(1j * phase), atol=1e-14)
    np.testing.assert_allclose(simulation.drive, weights @ filtered, atol=1e-14)
    simulation.run_interval(20, ACTIVE)
    np.testing.assert_array_equal(phase, given_phase)
    np.testing.assert_array_equal(filtered, given_filtered)


def test_two_simulations_of_one_problem_do_not_touch_each_other() -> None:
    made = problem(N)
    first, second = Simulation(made), Simulation(made)
    first.weight += 1.0
    first.run_interval(50, ACTIVE)
    np.testing.assert_array_equal(second.weight, made.plastic.weight)
    np.testing.assert_array_equal(second.filtered, made.filtered)
    np.testing.assert_array_equal(Simulation(made).state, second.state)


def test_smaller_steps_give_the_same_rates() -> None:
    # without synapses a neuron's rate depends on the input alone
    counts = []
    for step_ms in (1.0, 0.25):
        made = problem(N, weights=np.zeros((N, N)), neuron=ThetaNeuron(step_ms=step_ms))
        inputs = np.linspace(0.1, 3.0, N)
        spikes = Simulation(made).run_interval(round(2000 / step_ms), inputs)
        counts.append(np.bincount(spikes.neuron, minlength=N))
    assert np.abs(counts[0] - counts[1]).max() <= 1
    assert counts[0].sum() > 1000


def test_delivery_layout_orders_synapses_by_presynaptic_neuron() -> None:
    rng = np.random.default_rng(3)
    mask = rng.random((6, 9)) < 0.4
    weights = rng.standard_normal((6, 9))
    rows = rows_from_dense(weights, mask)
    layout = delivery_layout(rows, 9, np.array([0, 1, 4, 4, 6]))
    assert layout.begin.shape == (5, 9)
    for source in range(9):
        for part, own in enumerate((range(1), range(1, 4), range(4, 4), range(4, 6))):
            found = layout.row[layout.begin[part, source] : layout.begin[part + 1, source]]
            assert found.tolist() == [row for row in own if mask[row, source]]
        here = slice(layout.begin[0, source], layout.begin[-1, source])
        np.testing.assert_array_equal(layout.row[here], np.flatnonzero(mask[:, source]))
        np.testing.assert_array_equal(rows.weight[layout.synapse[here]], weights[mask[:, source], source])


def test_float32_weights_stay_float32() -> None:
    simulation = Simulation(problem(N, **arrays(N)), dtype=np.float32)
    simulation.run_interval(50, ACTIVE)
    assert simulation.weight.dtype == np.float32
    assert simulation.drive.dtype == simulation.filtered.dtype == np.float64


@given(
    times=st.lists(st.tuples(st.integers(0, 40), st.integers(3, 6)), max_size=30),
    begin=st.integers(0, 20),
    every=st.integers(1, 4),
    samples=st.integers(1, 6),
)
def test_filtered_spikes_at_the_samples_agree_with_a_plain_loop(
    times: list[tuple[int, int]], begin: int, every: int, samples: int
) -> None:
    times = sorted(set(times))
    step = np.array([t for t, _ in times], dtype=np.int32)
    neuron = np.array([i for _, i in times], dtype=np.int32)
    decay, jump, first = 0.9, 0.5, 3
    found = np.full((4, samples), np.nan)
    filter_spikes(step, neuron, first, decay, jump, begin, every, found)
    r = np.zeros(4)
    expected = np.zeros((4, samples))
    for t in range(begin + samples * every):
        r *= decay
        for spike_step, i in times:
            if spike_step == t:
                r[i - first] += jump
        if t >= begin and (t - begin + 1) % every == 0:
            expected[:, (t - begin + 1) // every - 1] = r
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_a_block_with_no_links_outside_runs_as_it_does_in_the_whole_network() -> None:
    given_arrays = arrays(N)
    inside = np.zeros((N, N), dtype=bool)
    inside[:10, :10] = inside[10:, 10:] = True
    given_arrays["weights"] *= inside
    given_arrays["plastic"] &= inside
    whole = problem(N, **given_arrays)
    block = Problem.from_rows(
        n_neurons=N,
        first=10,
        plastic=rows_from_dense(given_arrays["weights"][10:], given_arrays["plastic"][10:]),
        static=rows_from_dense(np.zeros((N - 10, N)), np.zeros((N - 10, N), bool)),
        targets=whole.targets[:, 10:],
        stimuli=whole.stimuli[:, 10:],
        phase=whole.phase[10:],
        filtered=whole.filtered,
        neuron=whole.neuron,
        synapse=whole.synapse,
        protocol=whole.protocol,
        stimulus_ms=whole.stimulus_ms,
        grid_ms=whole.grid_ms,
        seed=1,
        replicate=0,
    )
    everybody, part = Simulation(whole), Simulation(block)
    spikes, own = everybody.run_interval(150, ACTIVE), part.run_interval(150, ACTIVE[10:])
    assert own.neuron.tolist() == spikes.neuron[spikes.neuron >= 10].tolist()
    assert len(own.neuron) > 50
    np.testing.assert_array_equal(part.drive, everybody.drive[10:])
