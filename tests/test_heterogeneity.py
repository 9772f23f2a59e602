"""Rank of the targets' rates, and what could be learned at best, on targets whose rank is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpcspike import build_problem, train
from hpcspike.engine.trained import Trained
from hpcspike.errors import SpecError
from hpcspike.measures import correlation_time, measure_heterogeneity
from hpcspike.measures.heterogeneity import participation_ratio
from hpcspike.spec.experiment import Training
from tests.small_networks import arrays, experiment, problem


def untrained(targets: np.ndarray, training: Training | None = None, **changes: Any) -> Trained:
    """A network of `arrays` with these targets."""
    recipe = arrays(len(targets), **{"duration_ms": targets.shape[1], **changes})
    rule = training or Training()
    return train(problem(**{**recipe, "targets": targets[None]}), rule.model_copy(update={"n_loops": 0}))


def steps(levels: np.ndarray, length: int = 10) -> np.ndarray:
    """Time courses (n, bins * length) that are constant in every bin."""
    return np.repeat(levels, length, axis=1)


def test_rank_and_residual_are_those_of_dense_algebra() -> None:
    levels = np.random.default_rng(0).normal(0.5, 1.0, (30, 8))
    trained = untrained(steps(levels), fixed=0.3)
    found = measure_heterogeneity(trained, bin_ms=10.0)
    rates = np.sqrt(np.clip(levels, 0, None)) / np.pi
    assert (found.bin_ms, found.n_neurons, found.n_bins, found.rank) == (10.0, 30, 8, 8)
    assert found.maximal
    np.testing.assert_allclose(found.singular_values, np.linalg.svd(rates, compute_uv=False), rtol=1e-10)
    squares = found.singular_values**2
    assert found.effective_rank == pytest.approx(squares.sum() ** 2 / (squares**2).sum())
    fixed = trained.weights.toarray()
    plastic = np.zeros((30, 30), dtype=bool)
    rows = trained.problem.plastic
    plastic[np.repeat(np.arange(30), np.diff(rows.start)), rows.presynaptic] = True
    fixed[plastic] = 0.0
    for i in range(30):
        inputs = rates[plastic[i]].T
        wanted = levels[i] - fixed[i] @ rates
        left = wanted - inputs @ np.linalg.pinv(inputs, rcond=1e-10) @ wanted
        assert found.residual[i] == pytest.approx(np.sqrt((left**2).mean()) / levels[i].std(), abs=1e-9)


def test_as_many_independent_rates_as_bins_can_be_learned_exactly_and_fewer_cannot() -> None:
    random = np.random.default_rng(1)
    few = measure_heterogeneity(untrained(steps(random.normal(1.0, 1.0, (30, 4)))), bin_ms=10.0)
    many = measure_heterogeneity(untrained(steps(random.normal(1.0, 1.0, (30, 60)))), bin_ms=10.0)
    assert few.residual.max() < 1e-9
    assert many.residual.min() > 0.1
    assert few.maximal
    assert many.maximal
    assert many.rank == 30


def test_repeated_targets_are_not_heterogeneous() -> None:
    random = np.random.default_rng(2)
    same = np.repeat(random.normal(1.0, 1.0, (1, 12)), 30, axis=0)
    found = measure_heterogeneity(untrained(steps(same)), bin_ms=10.0)
    assert (found.rank, found.maximal) == (1, False)
    assert found.effective_rank == pytest.approx(1.0)
    mixed = same.copy()
    mixed[:5] = random.normal(1.0, 1.0, (5, 12))
    assert measure_heterogeneity(untrained(steps(mixed)), bin_ms=10.0).rank == 6


def test_the_tolerance_decides_what_counts_as_a_direction() -> None:
    levels = np.zeros((30, 2))
    levels[0, 0], levels[1:, 1] = 1.0, 1e-6
    trained = untrained(steps(levels))
    assert measure_heterogeneity(trained, bin_ms=10.0).rank == 2
    assert measure_heterogeneity(trained, bin_ms=10.0, tolerance=0.1).rank == 1


def test_rate_targets_are_the_rates_and_their_drives_follow_from_phi_1() -> None:
    levels = np.random.default_rng(3).uniform(0.05, 0.3, (30, 40))
    found = measure_heterogeneity(untrained(steps(levels), Training(variable="rate")), bin_ms=10.0)
    np.testing.assert_allclose(found.singular_values, np.linalg.svd(levels, compute_uv=False), rtol=1e-10)
    of_drive = measure_heterogeneity(untrained(steps((np.pi * levels) ** 2)), bin_ms=10.0)
    np.testing.assert_allclose(found.residual, of_drive.residual, rtol=1e-8)


def test_a_bin_is_a_fraction_of_the_correlation_time() -> None:
    trained = untrained(np.random.default_rng(4).normal(size=(30, 100)))
    assert measure_heterogeneity(trained, tau_corr_ms=20.0, bin_fraction=0.25).n_bins == 20
    ou = experiment(
        network={"n_neurons": 200}, targets={"kind": "ou", "tau_corr_ms": 30.0, "duration_ms": 2000.0},
        training={"n_loops": 0},
    )  # fmt: skip
    long = train(build_problem(ou), ou.training)
    assert correlation_time(long.problem.targets[0], grid_ms=1.0) == pytest.approx(30.0, rel=0.1)
    assert measure_heterogeneity(long, bin_fraction=1.0).bin_ms == pytest.approx(30.0, abs=3.0)


def test_correlation_time_of_an_exact_exponential_and_of_constants() -> None:
    # cos(w t) falls to 1/e at acos(1/e) / w
    time = np.arange(4000.0)
    waves = np.stack([np.cos(2 * np.pi * time / 400), np.sin(2 * np.pi * time / 400)])
    assert correlation_time(waves, grid_ms=0.5) == pytest.approx(
        0.5 * np.arccos(np.exp(-1)) * 400 / (2 * np.pi), rel=1e-3
    )
    assert correlation_time(np.ones((3, 50)), grid_ms=2.0) == 100.0


def test_participation_ratio_counts_equal_variances() -> None:
    assert participation_ratio(np.array([2.0, 2.0, 2.0, 0.0])) == pytest.approx(3.0)
    assert participation_ratio(np.zeros(3)) == 0.0


def test_constant_targets_have_no_residual_and_bad_bins_are_refused() -> None:
    trained = untrained(np.ones((30, 50)))
    assert np.isnan(measure_heterogeneity(trained, bin_ms=10.0).residual).all()
    with pytest.raises(SpecError, match="bin_ms = 60 ms is longer than the window of 50 ms"):
        measure_heterogeneity(trained, bin_ms=60.0)
    lif = experiment(neuron={"model": "lif"}, training={"n_loops": 0})
    with pytest.raises(SpecError, match="needs neuron.model = theta, not lif"):
        measure_heterogeneity(train(build_problem(lif), lif.training))
