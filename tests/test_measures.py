"""What is computed from a trained network, against the definitions recomputed the long way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import hpcspike
from hpcspike.correlation import centred, pearson
from hpcspike.measures.clamped import clamped_split
from hpcspike.measures.evaluation import evaluate
from hpcspike.measures.spectrum import band_powers, fast_share, spectral_index
from hpcspike.measures.status import classify
from hpcspike.measures.theory import sampling_scale, tracking_scale
from hpcspike.measures.verdict import remarks_of
from hpcspike.model.random_streams import uniform_by_neuron
from hpcspike.model.transfer import rate_of_constant_input, rate_of_noisy_input
from hpcspike.spec.experiment import Measures, ThetaNeuron, Training
from hpcspike.variables import POINT_RESULTS, STATUS
from tests.program_order import Program
from tests.small_networks import TAU_MS, arrays, problem

N = 25
TAU_SYN_MS = 20.0
SCALARS = {name for name, variable in POINT_RESULTS.items() if variable.dims == ("point",)}


# ---- correlation ------------------------------------------------------------------------------------------------


def test_pearson_is_numpys_correlation() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 4, 50)), rng.standard_normal((4, 50))
    found = pearson(x, y)
    assert found.shape == (3, 4)
    for trial in range(3):
        for neuron in range(4):
            assert found[trial, neuron] == pytest.approx(np.corrcoef(x[trial, neuron], y[neuron])[0, 1], abs=1e-14)
    np.testing.assert_allclose(pearson(3 * y + 7, y), 1.0, rtol=1e-14)
    np.testing.assert_allclose(pearson(-y, y), -1.0, rtol=1e-14)


@pytest.mark.parametrize("level", [0.0, 0.1, 1e9])
def test_a_constant_time_course_correlates_with_nothing(level: float) -> None:
    # the mean of 0.1 is not 0.1 in floating point, which must not become a correlation of 1
    constant, varying = np.full(1001, level), np.random.default_rng(0).standard_normal(1001)
    assert pearson(constant, varying) == 0.0
    assert pearson(varying, constant) == 0.0
    assert pearson(constant, np.full(1001, 0.3)) == 0.0


def test_centred_values_have_no_mean_along_either_axis() -> None:
    values = np.random.default_rng(0).standard_normal((6, 9))
    values[2] = 0.1
    np.testing.assert_allclose(centred(values).sum(axis=1), 0.0, atol=1e-14)
    np.testing.assert_allclose(centred(values, axis=0).sum(axis=0), 0.0, atol=1e-14)
    assert not centred(values)[2].any()
    assert centred(values, axis=0)[2].any()


# ---- spectrum ---------------------------------------------------------------------------------------------------


def wave(frequency_hz: float, n_samples: int = 1000, grid_ms: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz * grid_ms / 1000.0 * np.arange(n_samples) + 0.4)


@pytest.mark.parametrize("grid_ms", [1.0, 2.0])
def test_a_slow_sine_has_no_fast_power_and_a_fast_one_nothing_else(grid_ms: float) -> None:
    # the cut-off of 20 ms is 7.96 Hz
    options = {"grid_ms": grid_ms, "fast_time_ms": 20.0}
    assert fast_share(wave(7.0, grid_ms=grid_ms), **options) == pytest.approx(0.0, abs=1e-20)
    assert fast_share(wave(8.0, grid_ms=grid_ms), **options) == pytest.approx(1.0, abs=1e-12)
    assert fast_share(2.0 * wave(3.0, grid_ms=grid_ms) + wave(30.0, grid_ms=grid_ms) + 5.0, **options) == pytest.approx(
        0.2, abs=1e-12
    )


@pytest.mark.parametrize("n_samples", [1000, 1001])
def test_white_noise_has_the_share_of_its_bandwidth(n_samples: int) -> None:
    noise = np.random.default_rng(0).standard_normal((400, n_samples))
    share = fast_share(noise, grid_ms=1.0, fast_time_ms=20.0)
    # seven of the frequencies up to 500 Hz, 1 Hz apart, lie below 7.96 Hz; without the mean, 999 degrees are left
    assert share == pytest.approx(1 - 14 / (n_samples - 1), abs=5e-4)


@given(n_samples=st.integers(2, 60), rows=st.integers(1, 3), seed=st.integers(0, 100))
def test_all_power_is_that_of_the_time_courses(n_samples: int, rows: int, seed: int) -> None:
    # Parseval, for odd and even lengths
    values = np.random.default_rng(seed).standard_normal((rows, n_samples))
    fast, total = band_powers(values, grid_ms=1.0, fast_time_ms=5.0)
    squares = ((values - values.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    np.testing.assert_allclose(total, 0.5 * n_samples * squares, rtol=1e-12)
    assert fast.shape == (rows,)


@given(n_samples=st.integers(2, 200), seed=st.integers(0, 50), fast_time_ms=st.sampled_from([1.0, 5.0, 20.0, 1000.0]))
def test_a_share_is_between_zero_and_one(n_samples: int, seed: int, fast_time_ms: float) -> None:
    values = np.random.default_rng(seed).standard_normal((2, n_samples))
    assert 0.0 <= fast_share(values, grid_ms=1.0, fast_time_ms=fast_time_ms) <= 1.0


def test_a_window_that_holds_fast_power_only_has_a_share_of_exactly_one() -> None:
    # rounding must not decide between sampling and tracking
    values = np.random.default_rng(1).standard_normal((50, 20, 100))
    assert {fast_share(v, grid_ms=1.0, fast_time_ms=20.0) for v in values} == {1.0}


def test_constant_time_courses_have_no_share() -> None:
    assert math.isnan(fast_share(np.full((3, 100), 0.1), grid_ms=1.0, fast_time_ms=20.0))
    assert math.isnan(fast_share(np.ones((3, 1)), grid_ms=1.0, fast_time_ms=20.0))


def test_spectral_index_is_positive_for_excess_fast_power() -> None:
    assert spectral_index(0.4, 0.2) == pytest.approx(math.log(2))
    assert spectral_index(0.1, 0.2) == pytest.approx(-math.log(2))
    assert spectral_index(0.2, 0.2) == 0.0
    for share, of_target in ((0.0, 0.2), (0.2, 0.0), (math.nan, 0.2), (0.2, math.nan)):
        assert math.isnan(spectral_index(share, of_target))


# ---- status and theory ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "values"),
    [
        ("learned", {"correlation": 0.7}),
        ("learned", {"correlation": 0.9, "spectral_index": math.nan}),
        ("sampling", {"correlation": 0.69, "spectral_index": 0.1}),
        ("tracking", {"correlation": 0.69, "spectral_index": -0.1}),
        ("tracking", {"correlation": 0.0, "spectral_index": math.nan}),
        ("silent", {"population_rate_hz": 0.09}),
        ("silent", {"correlation": 0.0, "population_rate_hz": 0.0, "spectral_index": math.nan}),
        ("unjudged", {"correlation": math.nan, "spectral_index": math.nan}),
        ("silent", {"correlation": math.nan, "population_rate_hz": 0.0}),
        ("diverged", {"diverged": True}),
        ("diverged", {"diverged": True, "population_rate_hz": math.nan, "correlation": math.nan}),
    ],
)
def test_status_by_the_default_thresholds(status: str, values: dict[str, Any]) -> None:
    usual = {"correlation": 0.9, "population_rate_hz": 8.0, "spectral_index": 0.3, "diverged": False}
    assert STATUS[classify(**{**usual, **values}, measures=Measures())] == status


def test_thresholds_of_the_status_are_parameters() -> None:
    values = {"correlation": 0.6, "population_rate_hz": 2.0, "spectral_index": 0.3, "diverged": False}
    assert STATUS[classify(**values, measures=Measures())] == "sampling"
    assert STATUS[classify(**values, measures=Measures(learned_correlation=0.6))] == "learned"
    assert STATUS[classify(**values, measures=Measures(silent_rate_hz=3.0))] == "silent"


def test_theory_is_equation_3() -> None:
    assert tracking_scale(20.0, 100.0) == pytest.approx(0.2 / (4 * np.pi))
    assert math.isnan(tracking_scale(20.0, math.nan))
    assert sampling_scale(500, 20.0, 10.0) == pytest.approx(1 / np.sqrt(1000))


# ---- clamped split ----------------------------------------------------------------------------------------------


def untrained(given_arrays: dict[str, Any], **changes: Any) -> hpcspike.Trained:
    return hpcspike.train(problem(N, **given_arrays, tau_syn_ms=TAU_SYN_MS, **changes), Training(n_loops=0))


def test_without_weights_nothing_is_sampled_and_everything_is_missed() -> None:
    given_arrays = arrays(N)
    given_arrays["weights"] = np.zeros((N, N))
    split = clamped_split(untrained(given_arrays), trials=2)
    target = given_arrays["targets"][0]
    missed = np.sqrt(np.mean(target**2)) / np.sqrt(np.mean((target - target.mean(axis=1, keepdims=True)) ** 2))
    assert split.sampling == 0.0
    assert split.tracking == pytest.approx(missed, rel=1e-12)
    assert split.quasi_static == pytest.approx(missed, rel=1e-12)


@pytest.mark.parametrize("lead_ms", [0, 20])
def test_clamped_split_is_its_definition(lead_ms: int) -> None:
    given_arrays = arrays(N, fixed=0.3, n_sets=2)
    bias = 0.2
    split = clamped_split(
        untrained(given_arrays, neuron=ThetaNeuron(bias=bias), stimulus_ms=float(lead_ms)), target_set=1, trials=2
    )
    target, weights = given_arrays["targets"][1], given_arrays["weights"]
    rates = rate_of_constant_input(target + bias)
    # r and rho go through the same filter, one step at a time; the first values of the targets lead in
    inputs = np.concatenate([np.repeat(target[:, :1], lead_ms, axis=1), target], axis=1)
    decay = np.exp(-1.0 / TAU_SYN_MS)
    rho, smooth, smooth_rates, traces = np.zeros(N), [], [], []
    for value in inputs.T:
        rho = decay * rho + (1 - decay) * rate_of_constant_input(value + bias)
        smooth.append(weights @ rho)
        smooth_rates.append(rho)
    mean_field = np.array(smooth[lead_ms:]).T
    squares = []
    for trial in range(2):
        phase = uniform_by_neuron(1, 0, "clamped_phase", range(N), trial, 0.0, 2 * np.pi)
        program = Program(
            weights, given_arrays["plastic"], phase, np.zeros(N),
            step=0.1, tau_over_tau_syn=TAU_MS / TAU_SYN_MS, ridge=1.0,
        )  # fmt: skip
        read_out, trace = [], []
        for value in inputs.T:
            program.drive = value
            program.advance(np.full(N, bias))
            read_out.append(program.drive)
            trace.append(program.filtered.copy())
        traces.append(trace[lead_ms:])
        squares.append((np.array(read_out[lead_ms:]).T - mean_field) ** 2)
    spread = np.sqrt(np.mean((target - target.mean(axis=1, keepdims=True)) ** 2))
    assert split.sampling == pytest.approx(np.sqrt(np.mean(squares)) / spread, rel=1e-6)
    assert split.tracking == pytest.approx(np.sqrt(np.mean((mean_field - target) ** 2)) / spread, rel=1e-6)
    residual = np.sqrt(np.mean((weights @ rates - target) ** 2)) / spread
    assert split.quasi_static == pytest.approx(residual, rel=1e-12)
    assert split.lag == pytest.approx(np.sqrt(np.mean((mean_field - weights @ rates) ** 2)) / spread, rel=1e-6)
    assert split.weight_norm == pytest.approx(np.sqrt(np.mean((weights**2).sum(axis=1))), rel=1e-12)
    shaken = np.mean((np.array(traces) - np.array(smooth_rates)[None, lead_ms:]) ** 2, axis=(0, 1))
    assert split.spike_noise == pytest.approx(np.sqrt(shaken.mean()), rel=1e-6)
    assert split.formula == pytest.approx(np.sqrt(np.mean(weights**2 @ shaken)) / spread, rel=1e-6)
    assert split.sampling > 0.1


def test_slow_synapses_sample_better() -> None:
    given_arrays = arrays(N, duration_ms=300)
    errors = [
        clamped_split(
            hpcspike.train(problem(N, **given_arrays, tau_syn_ms=tau), Training(n_loops=0)), trials=3
        ).sampling
        for tau in (5.0, 20.0, 80.0)
    ]
    assert errors[0] > 1.3 * errors[1] > 1.3 * 1.3 * errors[2]


# ---- everything together ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drive_trained() -> hpcspike.Trained:
    return hpcspike.train(problem(N, **arrays(N, n_sets=2, duration_ms=200)), Training(n_loops=3))


@pytest.fixture(scope="module")
def rate_trained() -> hpcspike.Trained:
    given_arrays = arrays(N, n_sets=2, duration_ms=200)
    given_arrays["targets"] = rate_of_constant_input(given_arrays["targets"])
    made = problem(N, **given_arrays, neuron=ThetaNeuron(bias=0.1))
    return hpcspike.train(made, Training(n_loops=3, variable="rate"))


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    # a neuron that never spiked in a trial has a constant filtered train
    return 0.0 if np.ptp(x) == 0.0 else float(np.corrcoef(x, y)[0, 1])


@pytest.mark.parametrize("variable", ["drive", "rate"])
def test_measures_are_their_definitions(variable: str, request: pytest.FixtureRequest) -> None:
    trained: hpcspike.Trained = request.getfixturevalue(f"{variable}_trained")
    evaluation = evaluate(trained, Measures(n_test_trials=3), tau_corr_ms=50.0)
    scalars = evaluation.scalars
    target = trained.problem.targets
    evoked = [trained.evoke(cue, 3) for cue in (0, 1)]
    response = np.stack([r.drive if variable == "drive" else r.filtered for r in evoked])  # set, trial, neuron, time
    by_neuron = np.array(
        [[np.mean([correlation(response[s, k, i], target[s, i]) for k in range(3)]) for i in range(N)] for s in (0, 1)]
    )
    np.testing.assert_allclose(evaluation.correlation, by_neuron, atol=1e-12)
    spread = np.sqrt(np.mean([np.var(target[s, i]) for s in (0, 1) for i in range(N)]))
    mean = response.mean(axis=1)
    in_window = [np.count_nonzero(spikes.step >= 0) for r in evoked for spikes in r.spikes]
    expected = {
        "correlation": by_neuron.mean(),
        "correlation_sd": by_neuron.std(),
        "correlation_trial_mean": np.mean([[correlation(mean[s, i], target[s, i]) for i in range(N)] for s in (0, 1)]),
        "population_rate": np.sum(in_window) / (6 * N * 0.2),
        "trial_sd": np.sqrt(response.var(axis=1, ddof=1).mean()) / spread,
        "residual_after_averaging": np.sqrt(np.mean((mean - target) ** 2)) / spread,
        "fast_share_response": fast_share(response, grid_ms=1.0, fast_time_ms=20.0),
        "fast_share_target": fast_share(target, grid_ms=1.0, fast_time_ms=20.0),
        "tracking_theory": tracking_scale(20.0, 50.0),
        "sampling_theory": sampling_scale(N, 20.0, 10.0),
    }
    for name, value in expected.items():
        assert scalars[name] == pytest.approx(value, rel=1e-9), name
    index = math.log(scalars["fast_share_response"] / scalars["fast_share_target"])
    assert scalars["spectral_index"] == pytest.approx(index, rel=1e-12)
    if variable == "rate":
        phi = [rate_of_noisy_input(r.drive + 0.1, 0.1) for r in evoked]
        expected_phi = np.mean([pearson(p, t).mean() for p, t in zip(phi, target, strict=True)])
        assert scalars["correlation_phi"] == pytest.approx(expected_phi, rel=1e-12)
        for name in ("sampling_error", "tracking_error", "quasi_static_residual"):
            assert math.isnan(scalars[name])
    else:
        assert math.isnan(scalars["correlation_phi"])
        splits = np.array([clamped_split(trained, target_set=s, trials=3) for s in (0, 1)])
        pooled = np.sqrt((splits**2).mean(axis=0))
        names = (
            "sampling_error", "tracking_error", "quasi_static_residual", "lag_error", "sampling_formula", "weight_norm",
            "spike_noise",
        )  # fmt: skip
        np.testing.assert_allclose([scalars[name] for name in names], pooled, rtol=1e-12)


@pytest.mark.parametrize("variable", ["drive", "rate"])
def test_measures_have_exactly_the_registered_names(variable: str, request: pytest.FixtureRequest) -> None:
    scalars = evaluate(request.getfixturevalue(f"{variable}_trained"), Measures(n_test_trials=1)).scalars
    assert scalars.keys() == SCALARS
    assert all(isinstance(value, (int, float)) for value in scalars.values())


def test_one_trial_has_no_trial_to_trial_spread(drive_trained: hpcspike.Trained) -> None:
    assert math.isnan(evaluate(drive_trained, Measures(n_test_trials=1)).scalars["trial_sd"])


def test_a_diverged_network_has_every_measure_and_no_value() -> None:
    given_arrays = arrays(N)
    given_arrays["targets"] *= 1e9
    trained = hpcspike.train(problem(N, **given_arrays), Training(n_loops=2, ridge=1e-12))
    evaluation = evaluate(trained, Measures(n_test_trials=1))
    scalars = evaluation.scalars
    assert scalars.keys() == SCALARS
    assert STATUS[int(scalars["status"])] == "diverged"
    assert scalars["diverged_loop"] == 0
    assert scalars["sampling_theory"] > 0
    known = {"status", "diverged_loop", "sampling_theory", "n_trained", "simulated_seconds", "n_recorded"}
    for name in SCALARS - known:
        assert math.isnan(scalars[name]), name
    assert evaluation.correlation.shape == (1, N)
    assert np.isnan(evaluation.correlation).all()


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_targets_that_never_move_have_no_unit_to_measure_in(level: float) -> None:
    trained = hpcspike.train(problem(N, targets=np.full((N, 100), level)), Training(n_loops=1))
    scalars = evaluate(trained, Measures(n_test_trials=2)).scalars
    assert scalars["correlation"] == 0.0
    assert trained.curve["correlation"][0] == 0.0
    for name in ("trial_sd", "residual_after_averaging", "fast_share_target", "spectral_index", "tracking_error"):
        assert math.isnan(scalars[name]), name


@pytest.mark.parametrize(("n_constant", "said"), [(0, None), (1, "1 of 50 targets is"), (3, "3 of 50 targets are")])
def test_constant_targets_are_counted_and_said(n_constant: int, said: str | None) -> None:
    given_arrays = arrays(N)
    sets = np.concatenate([given_arrays["targets"]] * 2)
    sets[1, :n_constant] = 0.1
    stimuli = np.concatenate([given_arrays["stimuli"]] * 2)
    trained = hpcspike.train(problem(N, **{**given_arrays, "targets": sets, "stimuli": stimuli}), Training(n_loops=2))
    found = evaluate(trained, Measures(n_test_trials=1)).remarks
    stored = xr.Dataset({"target": (("target_set", "neuron", "time"), sets)})
    assert found == remarks_of(stored)
    if said is None:
        assert found == []
    else:
        assert found == [f"{said} constant: a correlation with a constant has no value, and counts as 0 in the mean"]


def test_a_network_nobody_moves_is_silent() -> None:
    given_arrays = arrays(N)
    given_arrays["weights"], given_arrays["stimuli"] = np.zeros((N, N)), np.zeros(N)
    trained = untrained(given_arrays, neuron=ThetaNeuron(bias=-1.0))
    scalars = evaluate(trained, Measures(n_test_trials=1)).scalars
    assert scalars["population_rate"] == 0.0
    assert STATUS[int(scalars["status"])] == "silent"
    assert scalars["correlation"] == 0.0
