"""Target families: their formulas and statistics, and that a neuron's target is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcspike.errors import DataError
from hpcspike.model.build import recording_of
from hpcspike.model.random_streams import stream
from hpcspike.model.recordings import auxiliary_rates
from hpcspike.model.targets import build_targets, duration_of, n_neurons_of, ou_paths
from hpcspike.model.transfer import rate_of_constant_input
from hpcspike.spec.experiment import Experiment
from tests.small_networks import experiment

FAMILIES: dict[str, dict[str, Any]] = {
    "sine": {"kind": "sine"},
    "sine_product": {"kind": "sine_product"},
    "ou": {"kind": "ou"},
    "chaotic": {"kind": "chaotic", "transient_ms": 50.0},
}


def targets_of(exp: Experiment, n: int, neurons: range | None = None) -> np.ndarray:
    recording = recording_of(exp)
    duration = duration_of(exp, recording)
    block = range(n) if neurons is None else neurons
    return build_targets(exp, block, n_neurons=n, duration_ms=duration, recording=recording)


def asked(n: int = 20, *, variable: str = "drive", **family: Any) -> Experiment:
    return experiment(
        network={"n_neurons": n},
        targets={"duration_ms": 100.0, **family},
        training={"variable": variable, "update_interval_ms": 10.0},
    )


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("variable", ["drive", "rate"])
def test_a_target_is_the_same_in_every_block(family: dict[str, Any], variable: str) -> None:
    exp = asked(**family, variable=variable, n_sets=2)
    whole = targets_of(exp, 20)
    assert whole.shape == (2, 20, 100)
    for first, last in ((0, 1), (0, 20), (3, 11), (19, 20), (7, 7)):
        np.testing.assert_array_equal(targets_of(exp, 20, range(first, last)), whole[:, first:last])


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_neurons_sets_seeds_and_replicates_get_different_targets(family: dict[str, Any]) -> None:
    exp = asked(**family, n_sets=2)
    first, second = targets_of(exp, 20)
    assert len(np.unique(np.concatenate([first, second])[:, 50])) == 40
    for change in ({"seed": 4}, {"replicate": 1}):
        assert (targets_of(exp.model_copy(update=change), 20)[0] != first).any(axis=1).all()


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_rate_targets_are_the_transfer_function_of_the_drives(family: dict[str, Any]) -> None:
    drives, rates = targets_of(asked(**family), 20), targets_of(asked(**family, variable="rate"), 20)
    assert (drives < 0).any()
    np.testing.assert_array_equal(rates, rate_of_constant_input(drives))


def test_sine_samples_are_taken_at_the_end_of_each_grid_step() -> None:
    exact = {"amplitude": (2.0, 2.0), "phase_ms": (30.0, 30.0), "period_ms": (400.0, 400.0)}
    target = targets_of(asked(kind="sine", **exact), 1)[0, 0]
    np.testing.assert_allclose(target, 2 * np.sin(2 * np.pi * (np.arange(1, 101) - 30) / 400), atol=1e-14)


def test_a_coarser_grid_samples_the_same_sines() -> None:
    fine, coarse = targets_of(asked(kind="sine"), 20), targets_of(asked(kind="sine", grid_ms=5.0), 20)
    np.testing.assert_array_equal(coarse, fine[:, :, 4::5])


def test_sines_stay_in_their_ranges() -> None:
    target = targets_of(asked(400, kind="sine", duration_ms=1000.0), 400)[0]
    # f(t + h) + f(t - h) = 2 cos(2 pi h / T1) f(t) gives the period, and the derivative the amplitude
    h = 50
    middle = target[:, h:-h]
    cosine = ((target[:, 2 * h :] + target[:, : -2 * h]) * middle).sum(axis=1) / (2 * (middle**2).sum(axis=1))
    period = 2 * np.pi * h / np.arccos(cosine)
    sine = np.sin(2 * np.pi * h / period)[:, None]
    quadrature = (target[:, 2 * h :] - target[:, : -2 * h]) / (2 * sine)
    amplitude = np.sqrt((middle**2 + quadrature**2).mean(axis=1))
    for values, low, high in ((period, 300, 1000), (amplitude, 0.5, 1.5)):
        assert low - 1e-6 <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high + 1e-6
        assert abs(values.mean() - (low + high) / 2) < 4 * (high - low) / np.sqrt(12 * 400)


def test_product_with_one_phase_is_the_printed_formula() -> None:
    exact = {"amplitude": (1.5, 1.5), "phase_ms": (40.0, 40.0), "period_ms": (800.0, 800.0)}
    exp = asked(kind="sine_product", phases="one", period_fast_ms=(150.0, 150.0), **exact)
    time = np.arange(1, 101) - 40.0
    expected = 1.5 * np.sin(2 * np.pi * time / 800) * np.sin(2 * np.pi * time / 150)
    np.testing.assert_allclose(targets_of(exp, 1)[0, 0], expected, atol=1e-14)


def test_product_with_two_phases_has_a_phase_in_each_factor() -> None:
    exact = {"amplitude": (1.0, 1.0), "period_ms": (800.0, 800.0), "period_fast_ms": (150.0, 150.0)}
    target = targets_of(asked(50, kind="sine_product", duration_ms=1000.0, **exact), 50)[0]
    slow, fast, time = 2 * np.pi / 800, 2 * np.pi / 150, np.arange(1, 1001)
    waves = [f((fast + sign * slow) * time) for sign in (-1, 1) for f in (np.cos, np.sin)]
    coefficients, residuals, *_ = np.linalg.lstsq(np.stack(waves, axis=1), target.T, rcond=None)
    assert residuals.max() < 1e-20
    # sin(a) sin(b) = (cos(b - a) - cos(b + a)) / 2
    np.testing.assert_allclose(np.hypot(*coefficients[:2]), 0.5, atol=1e-12)
    np.testing.assert_allclose(np.hypot(*coefficients[2:]), 0.5, atol=1e-12)
    difference = np.arctan2(coefficients[1], coefficients[0])
    total = np.arctan2(-coefficients[3], -coefficients[2])
    phases = np.stack([(total - difference) / 2, (total + difference) / 2])  # of the slow and the fast factor
    spread = np.abs(np.exp(2j * phases).mean(axis=1))  # each is known up to half a turn
    assert (spread < 3 / np.sqrt(50)).all()
    # with one common phase T0 they would be 2 pi T0 / 800 and 2 pi T0 / 150, and 3 fast = 16 slow
    assert np.abs(np.exp(2j * (16 * phases[0] - 3 * phases[1])).mean()) < 3 / np.sqrt(50)


@pytest.mark.parametrize("grid_ms", [1.0, 5.0])
def test_ornstein_uhlenbeck_targets_are_stationary_with_the_given_spread_and_memory(grid_ms: float) -> None:
    n, tau = 1500, 20.0
    exp = asked(n, kind="ou", tau_corr_ms=tau, standard_deviation=0.7, grid_ms=grid_ms)
    paths = targets_of(exp, n)[0]
    error = 4 / np.sqrt(2 * n)  # four standard errors of an s.d., relative
    assert abs(paths[:, 0].std() / 0.7 - 1) < error
    assert abs(paths[:, -1].std() / 0.7 - 1) < error
    assert abs(paths.mean()) < 4 * 0.7 / np.sqrt(n)
    lag = round(tau / grid_ms)
    for k, expected in ((1, np.exp(-grid_ms / tau)), (lag, np.exp(-1.0)), (2 * lag, np.exp(-2.0))):
        products = paths[:, 0] * paths[:, k]
        assert abs(products.mean() / 0.49 - expected) < 4 * products.std() / np.sqrt(n) / 0.49
    steps = paths[:, 1:] - np.exp(-grid_ms / tau) * paths[:, :-1]
    assert abs(steps.std() / (0.7 * np.sqrt(1 - np.exp(-2 * grid_ms / tau))) - 1) < 0.02
    assert abs((steps[:, 1:] * steps[:, :-1]).mean() / steps.var()) < 0.02  # the noise is white


def test_ornstein_uhlenbeck_paths_obey_the_recursion() -> None:
    path = ou_paths(30.0, 0.5, 2.0, 50, range(4, 5), "targets", 1, (3, 0))[0]
    from hpcspike.model.random_streams import stream

    noise = stream(3, 0, "targets", 4, 1).standard_normal(51)
    a, x = np.exp(-2.0 / 30.0), 0.5 * noise[0]
    for sample in range(50):
        x = a * x + 0.5 * np.sqrt(1 - a * a) * noise[sample + 1]
        assert path[sample] == pytest.approx(x, abs=1e-14)


def test_chaotic_targets_obey_the_rate_networks_equation() -> None:
    n = 12
    exp = asked(n, kind="chaotic", gain=8.0, probability=0.6, duration_ms=2000.0, transient_ms=20.0)
    x = targets_of(exp, n)[0].T
    assert x.std() > 0.1
    # recover M from tau dx/dt = -x + M phi(x), one Euler step per ms
    rates = rate_of_constant_input(x[:-1])
    coupling, residuals, rank, _ = np.linalg.lstsq(rates, 40.0 * np.diff(x, axis=0) + x[:-1], rcond=1e-9)
    assert rank == n
    assert residuals.max() < 1e-12
    matrix = coupling.T
    np.testing.assert_allclose(np.diag(matrix), 0.0, atol=1e-7)
    np.testing.assert_allclose(matrix.sum(axis=1), 0.0, atol=1e-7)
    connected = np.abs(matrix) > 1e-6
    assert 0.4 < connected.sum() / (n * (n - 1)) < 0.8
    assert 0.7 < matrix[connected].std() / (8.0 / np.sqrt(n * 0.6)) < 1.3


def test_chaotic_targets_of_a_coarser_grid_are_the_same_path() -> None:
    family = {"kind": "chaotic", "transient_ms": 50.0}
    fine, coarse = targets_of(asked(**family), 20), targets_of(asked(**family, grid_ms=2.0), 20)
    np.testing.assert_array_equal(coarse, fine[:, :, 1::2])


def recorded(tmp_path: Path, **changes: Any) -> Experiment:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "rates.npy", rng.uniform(6, 30, (4, 41)))
    family = {
        "kind": "recorded",
        "path": str(tmp_path / "rates.npy"),
        "unit": "Hz",
        "sample_ms": 5.0,
        "layout": "unit_by_time",
        "n_units": 3,
    }
    return experiment(
        network={}, targets={**family, **changes}, training={"variable": "rate", "update_interval_ms": 10.0}
    )


def test_recorded_targets_follow_the_file_and_auxiliary_neurons_follow_after(tmp_path: Path) -> None:
    exp = recorded(tmp_path)
    recording = recording_of(exp)
    assert recording is not None
    assert n_neurons_of(exp, recording) == 9
    assert duration_of(exp, recording) == 200.0
    targets = targets_of(exp, 9)
    assert targets.shape == (1, 9, 200)
    hertz = np.load(tmp_path / "rates.npy")[:3]
    np.testing.assert_allclose(100 * targets[0, :3, 4::5], hertz[:, 1:], rtol=1e-12)  # the window starts at sample 0
    np.testing.assert_allclose(100 * targets[0, :3, 0], 0.8 * hertz[:, 0] + 0.2 * hertz[:, 1], rtol=1e-12)
    paths = ou_paths(800.0, 0.632, 1.0, 200, range(3, 9), "auxiliary_targets", 0, (exp.seed, exp.replicate))
    np.testing.assert_array_equal(targets[0, 3:], auxiliary_rates(paths, grid_ms=1.0, tau_syn_ms=20.0))
    for first, last in ((0, 2), (1, 5), (3, 4), (8, 9), (9, 9)):
        np.testing.assert_array_equal(targets_of(exp, 9, range(first, last)), targets[:, first:last])


def test_window_of_a_recording_holds_whole_update_intervals(tmp_path: Path) -> None:
    exp = recorded(tmp_path)
    shorter = exp.model_copy(update={"training": exp.training.model_copy(update={"update_interval_ms": 30.0})})
    assert duration_of(shorter, recording_of(exp)) == 180.0
    given = recorded(tmp_path, duration_ms=100.0)
    assert duration_of(given, recording_of(given)) == 100.0


def test_a_recording_shorter_than_an_update_is_refused(tmp_path: Path) -> None:
    exp = recorded(tmp_path)
    longer = exp.model_copy(update={"training": exp.training.model_copy(update={"update_interval_ms": 300.0})})
    with pytest.raises(DataError, match=r"lasts 200 ms, less than training\.update_interval_ms = 300 ms"):
        duration_of(longer, recording_of(exp))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("fraction", [0.0, 0.29, 0.7, 0.99])
def test_a_share_of_the_neurons_has_targets_of_its_own(family: dict[str, Any], fraction: float) -> None:
    own = targets_of(asked(**family, n_sets=2), 20)
    mixed = targets_of(asked(**family, n_sets=2, random_fraction=fraction), 20)
    kept = (mixed == own).all(axis=(0, 2))
    n_own = round(fraction * 20)
    shared = mixed[:, ~kept]
    # the neuron whose target is shared keeps it, too
    assert kept.sum() == min(n_own + 1, 20)
    assert (shared == shared[:, :1]).all()
    for one_set, all_own in zip(mixed, own, strict=True):
        assert len(np.unique(one_set, axis=0)) == min(n_own + 1, 20)
        assert all((all_own[kept] == pattern).all(axis=1).any() for pattern in one_set[~kept])
    for first, last in ((0, 1), (3, 11), (7, 7)):
        block = targets_of(asked(**family, n_sets=2, random_fraction=fraction), 20, range(first, last))
        np.testing.assert_array_equal(block, mixed[:, first:last])


def test_larger_shares_contain_smaller_ones_and_share_the_same_target() -> None:
    own = targets_of(asked(kind="sine"), 30)[0]
    whose, shared = [], []
    for fraction in (0.0, 0.2, 0.5, 0.9):
        mixed = targets_of(asked(kind="sine", random_fraction=fraction), 30)[0]
        kept = (mixed == own).all(axis=1)
        whose.append(set(np.flatnonzero(kept).tolist()))
        shared.append(mixed[~kept][0])
    assert whose[0] < whose[1] < whose[2] < whose[3]
    assert all((pattern == shared[0]).all() for pattern in shared)
    other = targets_of(asked(kind="sine", random_fraction=0.2).model_copy(update={"seed": 8}), 30)[0]
    assert len(np.unique(other, axis=0)) == 7


def test_chaotic_coupling_has_the_gain_of_its_in_degree() -> None:
    n, gain = 300, 5.0
    family = {"kind": "chaotic", "gain": gain, "probability": 0.03, "zero_row_sum": False}
    exp = asked(n, **family, duration_ms=20.0, transient_ms=0.0)
    start = stream(exp.seed, exp.replicate, "chaotic_start", 0).uniform(0.0, 0.2, n)
    coupled = 40.0 * (targets_of(exp, n)[0][:, 0] - start) + start  # M phi(x) of the first Euler step of 1 ms
    wanted = gain * np.sqrt((rate_of_constant_input(start) ** 2).mean())
    assert coupled.std() == pytest.approx(wanted, rel=0.15)
